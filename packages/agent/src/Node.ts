/**
 * One supervised node of a fleet, as a Layer: give it a transport and a store, and it is a member for as long as the
 * layer lives.
 *
 * @since 0.1.0
 */
import { Tree } from "@starling/actor"
import { type EffectiveTime, NodeClock } from "@starling/clock"
import { type Document, type Facts, Pattern, Query, Selector } from "@starling/fleet"
import { BroadcastTree, ViewManager } from "@starling/gossip"
import { Component, Wiring } from "@starling/member"
import { Handshake, type Transport } from "@starling/wire"
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Stream from "effect/Stream"
import {
  Agent,
  type ApplyError,
  type ApplyRequest,
  type ConfigChange,
  components,
  type CrashPoint,
  InvalidInput,
  type NewEvent,
  type Publication,
  type StartError,
  Unavailable
} from "./Agent.ts"
import * as Agreement from "./internal/agreement.ts"
import * as Application from "./internal/application.ts"
import * as Clocks from "./internal/clocks.ts"
import * as Host from "./internal/host.ts"
import * as Profiles from "./internal/profiles.ts"
import * as Runtime from "./internal/runtime.ts"
import * as Stamps from "./internal/stamps.ts"
import type { Store } from "./Store.ts"

/**
 * - `gossip`: what to listen on, `host:port`; port 0 is any free port. `advertise`: what peers dial, default the bound
 *   address. `join`: addresses of members; any one that answers is enough, and none is needed to come back.
 * - `debug`: allows `crash`, `cut` and `heal`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly name: string
  readonly datacenter: string
  readonly fleet: string
  readonly labels: Readonly<Record<string, string>>
  readonly gossip: string
  readonly advertise?: string | undefined
  readonly join: ReadonlyArray<string>
  readonly debug: boolean
  /**
   * `fleet` (default): nodes tell each other what their clocks show and stamp by what most of them do; until that is
   * known, what is to be stamped waits some seconds. `own`: the wall clock of this node is right.
   */
  readonly clockSource?: "own" | "fleet" | undefined
  /**
   * `refuse` (default): stamps beyond the fleet's time are not followed. `accept`: a plain hybrid logical clock, which a
   * wrong clock can drag along, and which only resets of the epoch mend.
   */
  readonly clockPolicy?: "refuse" | "accept" | undefined
  /**
   * What a node stamps by whose clock is wrong. `population` (default): the fleet's time. `counter`: nothing but the counter
   * while its clock is ahead or missing, and its own clock while it is behind (Jon Moore, Strange Loop 2015).
   */
  readonly clockMode?: EffectiveTime.Mode | undefined
  /** A fault on purpose, only with `debug`: the wall clock is read so many milliseconds ahead. */
  readonly clockOffsetMs?: number | undefined
  /** Of the software, for people. */
  readonly version: string
  /** Protocol versions this node speaks; default what this release speaks. */
  readonly versions: readonly [lowest: number, highest: number]
}

/** How long a goodbye may take: a few turns and frames. Our choice. */
const leaveTime = "300 millis"

/** How long a component that crashed on purpose may then take to come back. Our choice: a disk may be slow. */
const backTime = "5 seconds"

/** @since 0.1.0 @category layers */
export const layer = (
  options: Omit<Options, "versions"> & Partial<Pick<Options, "versions">>
): Layer.Layer<Agent, StartError, Transport.Transport | Store> =>
  Layer.effect(Agent, Effect.map(Runtime.start({ versions: Handshake.versions, ...options }), service))

const service = (runtime: Runtime.Runtime): Agent["Service"] => {
  const { application, boxes, host, identity, links, options } = runtime
  const allowed = options.debug
    ? Effect.void
    : Effect.fail(
        new InvalidInput({
          where: "debug",
          message: "this agent was started without --debug, so there are no faults on purpose"
        })
      )
  const facts = () => Host.stateOf(host, "facts")
  const context = (): Query.Context => ({
    now: runtime.now(),
    wall: runtime.clock.currentTimeMillisUnsafe(),
    stamp: NodeClock.present(host.clock, Host.momentNow(host))
  })
  const query = <A>(ask: (state: Facts.State, at: Query.Context) => A): Effect.Effect<A> =>
    Effect.sync(() => ask(facts(), context()))
  const selected = <A>(
    selector: string | undefined,
    ask: (selector: Selector.Selector, state: Facts.State, at: Query.Context) => A
  ): Effect.Effect<A, InvalidInput> =>
    Effect.suspend(() => {
      const parsed = Selector.parse(selector ?? "")
      return parsed.ok
        ? Effect.succeed(ask(parsed.value, facts(), context()))
        : Effect.fail(new InvalidInput({ where: "selector", message: parsed.reason }))
    })
  const answer = <Item>(items: (state: Facts.State, at: Query.Context) => ReadonlyArray<Item>) =>
    query((state, at): Document.Answer<Item> => ({ view: Query.view(state, at), items: items(state, at) }))
  const ask = (request: (token: number) => Wiring.Delivery) =>
    Application.ask(application, request, boxes.tell, (token) => Host.withdraw(host, token))

  const setConfig = (change: Omit<ConfigChange, "value"> & { readonly value: string | null }) =>
    ask((token) => ({ to: "facts", event: { _tag: "SetConfig", token, ...change } })).pipe(
      Effect.flatMap((reply) => (reply._tag === "Config" ? Effect.succeed(reply.document) : unexpected(reply)))
    )

  return Agent.of({
    identity: {
      id: identity.id,
      name: options.name,
      datacenter: options.datacenter,
      fleet: options.fleet,
      incarnation: identity.incarnation,
      gossip: runtime.address,
      labels: options.labels
    },
    status: answer((state, at) => [statusOf(runtime, state, at)]),
    nodes: ({ selector, ...rest } = {}) =>
      selected(selector, (parsed, state, at) => Query.nodes(state, at, { ...rest, selector: parsed })),
    publishers: ({ selector, ...rest } = {}) =>
      selected(selector, (parsed, state, at) => Query.publishers(state, at, { ...rest, selector: parsed })),
    offline: query(Query.offline),
    events: (filter) => query((state, at) => Query.events(state, at, filter)),
    config: query(Query.config),
    configEntry: (key) => query((state) => Query.configEntry(state, key)),
    configHistory: (key) => query((state, at) => Query.configHistory(state, at, key)),
    rollout: (key) => query((state, at) => Query.rollout(state, at, key)),
    peers: answer((state) => peersOf(runtime, state)),
    tree: answer(() => treeOf(runtime)),
    clock: answer((state) => [Clocks.documentOf(runtime, state)]),
    resetClock: (expected, wall) =>
      ask((token) => ({ to: "clock", event: { _tag: "Reset", token, expected, wall } })).pipe(
        Effect.flatMap((reply) => (reply._tag === "Epoch" ? Effect.succeed(reply.epoch) : unexpected(reply)))
      ),
    stamp: Stamps.draw(host),
    observe: (stamp) => Stamps.observe(host, stamp),
    view: query(Query.view),
    changes: Stream.fromPubSub(application.changes),
    setConfig,
    deleteConfig: (key, author, note) => setConfig({ key, value: null, selector: "", author, note }),
    sendEvent: (event: NewEvent) =>
      ask((token) => ({ to: "facts", event: { _tag: "RecordEvent", token, ...event } })).pipe(
        Effect.flatMap((reply) => (reply._tag === "Event" ? Effect.succeed(reply.document) : unexpected(reply)))
      ),
    published: (publication: Publication) =>
      Effect.suspend(() => {
        const wrong = wrongIn(publication)
        if (wrong !== undefined) return Effect.fail(new InvalidInput(wrong))
        boxes.tell({ to: "facts", event: { _tag: "Published", ...publication } })
        return Effect.void
      }),
    broadcast: (payload, { ordered = false } = {}) =>
      ask((token) => ({
        to: "broadcast-tree",
        event: { _tag: "Broadcast", token, topic: Wiring.topicApplication, payload, ordered }
      })).pipe(Effect.flatMap((reply) => (reply._tag === "Accepted" ? Effect.succeed(reply.id) : unexpected(reply)))),
    deliveries: Application.subscribe(application),
    delivered: Effect.sync(() => ({
      total: application.counters.delivered,
      // Seen twice by subscribers; what the host's ledger held back is `host_broadcasts_redelivered_total`.
      duplicates: application.counters.duplicates,
      lagged: application.counters.lagged,
      byOrigin: Object.fromEntries(application.byOrigin)
    })),
    handleConfig: <R>(pattern: string, apply: (request: ApplyRequest) => Effect.Effect<void, ApplyError, R>) =>
      Effect.gen(function* () {
        if (!Pattern.isPattern(pattern)) {
          const message = `${JSON.stringify(pattern)} is no key pattern; such are sampling/rate, sampling/* and limits/**`
          return yield* new InvalidInput({ where: "pattern", message })
        }
        const handler = { pattern, apply: Application.provided(apply, yield* Effect.context<R>()) }
        const tellPatterns = Effect.sync(
          () =>
            void boxes.tell({ to: "facts", event: { _tag: "Handles", patterns: Application.patterns(application) } })
        )
        yield* Effect.acquireRelease(
          Effect.andThen(
            Effect.sync(() => void application.handlers.push(handler)),
            tellPatterns
          ),
          () =>
            Effect.andThen(
              Effect.sync(() => void application.handlers.splice(application.handlers.indexOf(handler), 1)),
              tellPatterns
            )
        )
      }),
    reportConfig: (key, revision, status, reason) =>
      Effect.suspend((): Effect.Effect<void, InvalidInput | Unavailable> => {
        const known = Query.configEntry(facts(), key)
        if (known === undefined)
          return Effect.fail(new InvalidInput({ where: "key", message: `nothing is stored under ${key}` }))
        const told = boxes.tell({ to: "facts", event: { _tag: "Applied", key, revision, status, reason } })
        return told ? Effect.void : Effect.fail(new Unavailable({ message: "facts are overloaded; try again later" }))
      }),
    crash: Effect.fnUntraced(function* (component, at) {
      yield* allowed
      if (!components.includes(component)) {
        return yield* new InvalidInput({
          where: "component",
          message: `there is no component ${component}; there are ${components.join(", ")}`
        })
      }
      if (at !== undefined) return yield* struck(runtime, component, at, "15 seconds")
      const chance = yield* Random.nextIntBetween(0, 3, { halfOpen: true })
      const point = (["before", "committed", "acting"] as const)[chance] ?? "before"
      // Left to chance, a point that does not come soon makes room for one that does.
      return yield* Effect.catchTag(struck(runtime, component, point, "2 seconds"), "Unavailable", () =>
        struck(runtime, component, "before", "15 seconds")
      )
    }),
    cut: Effect.fnUntraced(function* (datacenter) {
      yield* allowed
      if (!links.cuts.has(datacenter) && links.cuts.size === cutsMax) {
        return yield* new InvalidInput({
          where: "datacenter",
          message: `this node is cut from ${cutsMax} data centres already; heal one of ${[...links.cuts].join(", ")}`
        })
      }
      links.cuts.add(datacenter)
      return [...links.cuts]
    }),
    heal: Effect.fnUntraced(function* (datacenter) {
      yield* allowed
      if (datacenter === undefined) links.cuts.clear()
      else if (!links.cuts.delete(datacenter)) {
        const cuts = [...links.cuts].join(", ")
        return yield* new InvalidInput({
          where: "datacenter",
          message: `this node is not cut from ${JSON.stringify(datacenter)}; it is cut from ${cuts === "" ? "none" : cuts}`
        })
      }
      return [...links.cuts]
    }),
    counters: Effect.sync(() => countersOf(runtime)),
    invariants: Effect.sync(() => Component.components.flatMap((component) => brokenOf(host, component))),
    disagreements: Effect.sync(() => Agreement.broken(runtime)),
    died: Deferred.await(runtime.died),
    leave: Effect.gen(function* () {
      boxes.tell({ to: "facts", event: { _tag: "Leave" } })
      yield* Effect.sleep("100 millis")
      boxes.tell({ to: "view-manager", event: { _tag: "Leave" } })
      yield* Effect.sleep(leaveTime)
      // No link brings anything any more.
      boxes.tell({ to: "broadcast-tree", event: { _tag: "Leave" } })
      yield* Effect.sleep("50 millis")
    })
  })
}

/**
 * Arms a crash and waits until it has struck and the next incarnation has begun, so that whoever asked sees the restart.
 * An idle component is told that it has started, which is harmless and makes it take a step; a point that does not come
 * in time is called off, and says so.
 */
const struck = (
  runtime: Runtime.Runtime,
  component: (typeof components)[number],
  point: CrashPoint,
  within: Duration.Input
): Effect.Effect<CrashPoint, Unavailable> => {
  const { boxes, host } = runtime
  const message = `${component} did not get to the point "${point}" in time (its steps had no two actions); nothing crashed`
  const nudge = Effect.sync(
    () => void (Host.isArmed(host, component) && boxes.tell({ to: component, event: { _tag: "Started" } }))
  )
  const gone = Effect.sleep("5 millis").pipe(Effect.repeat({ while: () => Host.isPending(host, component) }))
  return Effect.sync(() => Host.arm(host, component, point)).pipe(
    // Once: to start again and again would put its timers off again and again.
    Effect.andThen(
      Effect.raceFirst(gone, Effect.sleep("1 second").pipe(Effect.andThen(nudge), Effect.andThen(Effect.never)))
    ),
    Effect.as(point),
    Effect.timeoutOrElse({
      duration: within,
      orElse: () =>
        // It may have struck already, and its next incarnation wait for a slow disk; or never come, with the agent.
        Host.isArmed(host, component)
          ? Effect.fail(new Unavailable({ message }))
          : Effect.as(gone, point).pipe(
              Effect.timeoutOrElse({
                duration: backTime,
                orElse: () =>
                  Effect.fail(new Unavailable({ message: `${component} crashed as asked, and has not come back` }))
              })
            )
    }),
    // Not later, when nobody expects it any more.
    Effect.ensuring(Effect.sync(() => Host.disarm(host, component)))
  )
}

/** The limits of a publication: what a document can carry. */
const wrongIn = ({
  app,
  instance,
  labels
}: Publication): { readonly where: string; readonly message: string } | undefined => {
  if (app.length === 0 || app.length > nameMax)
    return { where: "app", message: `a name of 1 to ${nameMax} characters is needed` }
  if (instance.length > nameMax) return { where: "instance", message: `at most ${nameMax} characters are kept` }
  if (Object.keys(labels).length > labelsMax)
    return { where: "labels", message: `at most ${labelsMax} labels are kept` }
  return undefined
}

const nameMax = 255

/** Data centres that a node is cut from on purpose. Our choice. */
const cutsMax = 64

const labelsMax = 32

const unexpected = (reply: Application.Answer) => Effect.die(new Error(`a component answered with ${reply._tag}`))

const statusOf = (runtime: Runtime.Runtime, state: Facts.State, at: Query.Context): Document.StatusDocument => {
  const { application, boxes, identity, links, options, startedAt, writer, clock } = runtime
  const { nodes, publishers, configKeys, events } = Query.counts(state, at)
  const problems: Array<Document.Problem> = [...Query.problems(state, at), ...Clocks.problemsOf(runtime, state)]
  if (writer.failure !== undefined) {
    problems.push({
      what: `the store does not write: ${writer.failure.message}`,
      where: options.name,
      next: writer.failure.next
    })
  }
  problems.push(...isolationOf(runtime))
  if (links.cuts.size > 0) {
    problems.push({
      what: `this node is cut from ${[...links.cuts].join(", ")} on purpose; ${links.counters.cutTotal} frames were lost`,
      where: options.name,
      next: "starling debug heal"
    })
  }
  if (boxes.counters.overflowedTotal > 0) {
    problems.push({
      what: `${boxes.counters.overflowedTotal} events found a full mailbox and were dropped`,
      where: options.name,
      next: "starling tree"
    })
  }
  if (application.counters.outdated > 0) {
    problems.push({
      what: "peers know a later run of this node",
      where: `${options.name} (${identity.id})`,
      next: "stop the other process with this data directory, or give one of them a directory of its own"
    })
  }
  return {
    node: options.name,
    nodeId: identity.id,
    datacenter: options.datacenter,
    fleet: options.fleet,
    version: options.version,
    incarnation: identity.incarnation,
    uptimeSeconds: Math.floor((clock.currentTimeMillisUnsafe() - startedAt) / 1000),
    counts: nodes,
    publishers,
    configKeys,
    events,
    health: problems.length === 0 && !(links.byId.size === 0 && options.join.length > 0) ? "ok" : "degraded",
    problems
  }
}

/** Addresses that the status names of a node without a neighbour, beside those that it was given. Our choice: a line of them. */
const triedMax = 4

/** That this node has no neighbour and whom it tries. Who was given no address and knows nobody is a fleet of its own. */
const isolationOf = ({ host, links, options }: Runtime.Runtime): ReadonlyArray<Document.Problem> => {
  const { active, config, lost, passive, remembered } = Host.stateOf(host, "view-manager")
  if (active.length > 0) return []
  const known = [...lost.map((entry) => entry.peer), ...passive, ...remembered].map((peer) => peer.address)
  const others = [...new Set(known)].filter(
    (address) => address !== config.self.address && !options.join.includes(address)
  )
  const tried = [...options.join, ...others.slice(0, triedMax)]
  if (tried.length === 0) return []
  const more = others.length > triedMax ? ` and ${others.length - triedMax} more` : ""
  const refusals = [...links.refusals.values()].map((refusal) => `; ${refusal}`).join("")
  return [
    {
      what: `this node has no neighbour; it keeps trying ${tried.join(", ")}${more}${refusals}`,
      where: options.name,
      next: "check that one of these addresses is an agent of this fleet and can be reached: starling peers"
    }
  ]
}

const peersOf = ({ host, links }: Runtime.Runtime, state: Facts.State): ReadonlyArray<Document.PeerDocument> => {
  const views = Host.stateOf(host, "view-manager")
  const tree = Host.stateOf(host, "broadcast-tree")
  const roots = BroadcastTree.rootsOf(tree)
  const profileOf = (id: string) => Profiles.profileOf(state, id)
  return [
    ...views.active.map(({ peer, link }): Document.PeerDocument => {
      const lazy = roots.filter((root) => BroadcastTree.lazy(tree, root).includes(link)).length
      return {
        name: profileOf(peer.id)?.name ?? "",
        id: peer.id,
        address: peer.address,
        datacenter: profileOf(peer.id)?.datacenter ?? "",
        view: "active",
        linkId: link,
        rttMs: ViewManager.rtt(views, link),
        queueBytes: links.byId.get(link)?.link.queueBytes() ?? 0,
        eagerRoots: roots.length - lazy,
        lazyRoots: lazy
      }
    }),
    ...views.passive.map((peer): Document.PeerDocument => ({
      name: profileOf(peer.id)?.name ?? "",
      id: peer.id,
      address: peer.address,
      datacenter: profileOf(peer.id)?.datacenter ?? "",
      view: "passive",
      linkId: null,
      rttMs: null,
      queueBytes: 0,
      eagerRoots: 0,
      lazyRoots: 0
    }))
  ]
}

const treeOf = ({ clock, system }: Runtime.Runtime): ReadonlyArray<Document.TreeDocument> =>
  Tree.flatten(Tree.snapshotUnsafe(system)).map((node) => ({
    path: node.path.join("/"),
    type: node.type,
    strategy: node.strategy,
    state: node.state,
    restarts: node.restarts,
    lastReason: node.lastReason,
    mailbox: node.mailbox,
    handled: node.handled,
    uptimeSeconds: node.startedAt === null ? 0 : Math.floor((clock.currentTimeMillisUnsafe() - node.startedAt) / 1000)
  }))

const countersOf = (runtime: Runtime.Runtime) => {
  const { application, boxes, host, links, listener, system, writer } = runtime
  const out: Record<string, number> = {}
  const add = (prefix: string, counters: Readonly<Record<string, number>>): void => {
    for (const [name, value] of Object.entries(counters)) out[`${prefix}_${snake(name)}`] = value
  }
  add("host", { ...host.counters })
  add("mailbox", { ...boxes.counters })
  add("link", { ...links.counters, droppedTotal: listener.dropped() })
  add("wire", { ...links.wire })
  add("store", { ...writer.counters, rowsWaiting: writer.rowsWaiting })
  add("application", { ...application.counters })
  add("actor", { ...system.counters(), alive: system.alive() })
  for (const component of components) {
    const state = Host.stateOf(host, component)
    add(snake(component), { ...state.counters, ...("gate" in state && { gateOverflowed: state.gate.overflowed }) })
  }
  add("clock", Clocks.countersOf(runtime))
  return out
}

const brokenOf = <C extends Component.Component>(host: Host.Host, component: C): ReadonlyArray<string> =>
  Component.specs[component].invariants(Host.stateOf(host, component)).map((broken) => `${component}: ${broken}`)

const snake = (name: string): string =>
  name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`).replaceAll("-", "_")

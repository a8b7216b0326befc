/**
 * The moving parts of one agent, put together: host, links, store writer, application, and the actors that carry them.
 */
import { Actor, DynamicSupervisor, Mailbox, Registry, Supervisor, System } from "@starling/actor"
import { EffectiveTime, Lease } from "@starling/clock"
import { Pattern, Query } from "@starling/fleet"
import { Component, type Parts, Wiring } from "@starling/member"
import { type Handshake, Link, Transport } from "@starling/wire"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberSet from "effect/FiberSet"
import * as Random from "effect/Random"
import * as Scope from "effect/Scope"
import { type ApplyRequest, StartError } from "../Agent.ts"
import type { Options } from "../Node.ts"
import { Store, type Stored } from "../Store.ts"
import * as Application from "./application.ts"
import * as Components from "./components.ts"
import * as Host from "./host.ts"
import * as Identity from "./identity.ts"
import * as LaterRun from "./laterRun.ts"
import * as Links from "./links.ts"
import * as Profiles from "./profiles.ts"
import * as StoreWriter from "./storeWriter.ts"

export interface Runtime {
  readonly options: Options
  readonly identity: Identity.Identity
  readonly address: string
  readonly startedAt: number
  readonly system: System.System["Service"]
  readonly clock: Clock.Clock
  readonly host: Host.Host
  readonly boxes: Components.Mailboxes
  readonly links: Links.Links
  readonly listener: Transport.Listener
  readonly writer: StoreWriter.StoreWriter
  readonly application: Application.Application
  /** Fails when the agent cannot go on; whoever runs it must look. */
  readonly died: Deferred.Deferred<never, StartError>
  readonly now: () => number
  readonly fork: (effect: Effect.Effect<void>) => void
}

interface Dial {
  readonly address: string
  readonly opener: Links.Opener
}

const storeKey = Registry.key<"Flush">("store")
const dialerKey = Registry.key<Dial>("dialer")
const linksKey = DynamicSupervisor.key("links")
const componentsKey = Supervisor.key("components")

/** Dials that wait to be begun; the machines limit theirs far below. Our choice. */
const dialsMax = 1024

/** How long the disk is left alone after a failed write. Our choice. */
const writeRetry = "1 second"

/** Makes the parts and starts the supervision tree in the scope. */
export const start = Effect.fnUntraced(function* (options: Options) {
  const transport = yield* Transport.Transport
  const store = yield* Store
  const clock = yield* Clock.Clock
  const system = yield* System.make
  const scope = yield* Scope.Scope
  const loaded = yield* Effect.mapError(
    store.load,
    (error) => new StartError({ message: error.message, next: error.next })
  )
  const listener = yield* Effect.mapError(
    transport.listen(options.gossip),
    (error) => new StartError({ message: `--gossip: ${error.message}`, next: error.next })
  )
  const address = options.advertise ?? listener.address
  const { identity, stored } = yield* Effect.mapError(
    beginRun(options, store, loaded, address),
    (error) => new StartError({ message: error.message, next: error.next })
  )
  const seed = yield* Random.nextInt
  const application = yield* Application.make
  const died = yield* Deferred.make<never, StartError>()
  const runFork = yield* FiberSet.makeRuntime<never>()
  const fork = (effect: Effect.Effect<void>): void => void runFork(effect)
  const boxes = Components.mailboxes(system)
  const tell = (delivery: Wiring.Delivery): void => {
    if (!boxes.tell(delivery)) Host.dropped(host, delivery.to)
  }
  const links = Links.make(tell, boxes.depth)
  const storeAddress = Registry.viaUnsafe(system, storeKey)
  const dialerAddress = Registry.viaUnsafe(system, dialerKey)
  const writer = StoreWriter.make(() => void Actor.tellUnsafe(storeAddress, "Flush"))
  const now = (): number => Number(clock.monotonicTimeNanosUnsafe() / 1000n) / 1000
  const offset = options.debug ? (options.clockOffsetMs ?? 0) : 0

  const ports: Host.Ports = {
    monotonic: now,
    wall: () => clock.currentTimeMillisUnsafe() + offset,
    tell,
    open: (component, attempt, to) => {
      const opener = { component, attempt }
      if (!Actor.tellUnsafe(dialerAddress, { address: to, opener })) refuse(links, { address: to, opener })
    },
    send: (link, channel, payload) => Links.send(links, link, channel, payload),
    isCongested: (link) => Links.isCongested(links, link),
    close: (link, reason) => links.byId.get(link)?.link.closeUnsafe(reason),
    setTimer: (delayMs, fire) => fork(Effect.andThen(Effect.sleep(delayMs), Effect.sync(fire))),
    write: (rows, written) => void StoreWriter.offer(writer, rows, written),
    application: (output) =>
      Application.onOutput(application, output, {
        apply: (request) => fork(apply(application, boxes, request)),
        outdated: (incarnation) =>
          void StoreWriter.offer(writer, Identity.rowsAfter(identity, incarnation), () => undefined)
      }),
    lost: (delivery) => Application.onLost(application, delivery, boxes.tell),
    links: () => Links.neighbors(links)
  }
  const host = Host.make(settingsOf(options, identity, address), stored, ports, seed)
  // No stamp may leave above a lease that a crash would forget.
  yield* Effect.mapError(
    store.write(Lease.rowsOf(host.clock.reading)),
    (error) => new StartError({ message: error.message, next: error.next })
  )
  const runtime: Runtime = {
    options,
    identity,
    address,
    startedAt: clock.currentTimeMillisUnsafe(),
    system,
    clock,
    host,
    boxes,
    links,
    listener,
    writer,
    application,
    died,
    now,
    fork
  }

  yield* Effect.addFinalizer(() => lastWords(runtime, store))
  const supervisor = yield* Supervisor.start({
    name: "agent",
    strategy: "rest_for_one",
    intensity: 3,
    period: "10 seconds",
    children: [
      Supervisor.childSpec(storeActor(writer, store), { key: storeKey, onRestart: "keep" }),
      Supervisor.nested(
        {
          name: "components",
          strategy: "one_for_one",
          intensity: 10,
          period: "10 seconds",
          children: [
            componentSpec("clock", runtime, store),
            componentSpec("facts", runtime, store),
            componentSpec("broadcast-tree", runtime, store),
            componentSpec("lazy-push-repair", runtime, store),
            componentSpec("shuffler", runtime, store),
            componentSpec("view-manager", runtime, store)
          ]
        },
        { key: componentsKey }
      ),
      DynamicSupervisor.nested({ name: "links", maxChildren: Links.linksMax }, { key: linksKey }),
      Supervisor.childSpec(dialerActor(runtime), { key: dialerKey, onRestart: "keep" }),
      Supervisor.childSpec(listenerActor(runtime))
    ]
  }).pipe(
    Effect.provideService(System.System, system),
    Effect.mapError(
      (error) => new StartError({ message: `the supervision tree did not start: ${error.message}`, next: "" })
    )
  )
  yield* supervisor.await.pipe(
    Effect.andThen((reason) =>
      Deferred.fail(
        died,
        new StartError({
          message: `the agent's supervisor gave up: ${JSON.stringify(reason)}`,
          next: "see the log for what crashed"
        })
      )
    ),
    Effect.forkIn(scope)
  )
  for (const component of Component.components) boxes.tell(started(component))
  return runtime
})

/** One more than the stored run, or, once, than the later one that the fleet knows. */
const beginRun = Effect.fnUntraced(function* (
  options: Options,
  store: Store["Service"],
  stored: Stored,
  address: string
) {
  const first = yield* Identity.begin(store, stored)
  // A node that never ran has no later run.
  if (first.incarnation === 1) return { identity: first, stored }
  const later = yield* LaterRun.ask(
    helloOf({ options, identity: first, address }),
    LaterRun.whom(options.join, stored).filter((contact) => contact !== address)
  )
  if (later === undefined) return { identity: first, stored }
  const identity = yield* Identity.beginAfter(store, stored, first, later)
  yield* Effect.logWarning(
    `the fleet knows run ${later} of ${options.name} (${first.id}), and the data directory was at run ${first.incarnation - 1}: was it restored from a copy? This is run ${identity.incarnation} now.`
  )
  return { identity, stored: yield* store.load }
})

const started = (component: Component.Component) => ({ to: component, event: { _tag: "Started" } }) as const

const settingsOf = (options: Options, { id, incarnation }: Identity.Identity, address: string): Parts.Settings => ({
  self: { id, incarnation, address },
  name: options.name,
  datacenter: options.datacenter,
  labels: options.labels,
  contacts: options.join,
  clock: {
    source: options.clockSource ?? "fleet",
    time: { ...EffectiveTime.defaults, mode: options.clockMode ?? EffectiveTime.defaults.mode }
  },
  ...(options.clockPolicy === undefined ? {} : { guard: { policy: options.clockPolicy } })
})

const helloOf = ({
  options,
  identity,
  address
}: Pick<Runtime, "options" | "identity" | "address">): Handshake.Hello => ({
  fleet: options.fleet,
  versions: options.versions,
  node: {
    id: identity.id,
    incarnation: identity.incarnation,
    boot: identity.boot,
    name: options.name,
    datacenter: options.datacenter,
    address
  }
})

const linkOptions = (runtime: Runtime, roomFor: number): Link.Options => ({
  hello: helloOf(runtime),
  channelMax: Math.max(...Object.values(Component.channels)),
  counters: runtime.links.wire,
  admit: (theirs) =>
    Links.isCut(runtime.links, theirs) ? cutOff(runtime, theirs) : Effect.sync(() => admit(runtime, theirs, roomFor))
})

/** Over a cut nobody answers: who dialled has run into its own deadline by the time that this one says no. */
const cutOff = ({ options }: Runtime, { node }: Handshake.Hello): Effect.Effect<Handshake.Refusal> => {
  const message = `${options.name} is cut from the data centre ${node.datacenter} on purpose`
  return Effect.delay(Effect.succeed({ code: "busy", message }), Link.defaults.handshakeMs)
}

/** Whether a node may link to this one, as far as this one knows the fleet. */
const admit = (runtime: Runtime, theirs: Handshake.Hello, roomFor: number): Handshake.Refusal | undefined => {
  const { host, identity, options, links } = runtime
  const { id, incarnation, name, boot } = theirs.node
  const us = `${options.name} (${identity.id})`
  const them = `${name} (${id})`
  if (links.byId.size >= roomFor) {
    return { code: "busy", message: `${us} has ${roomFor} links already; ${them} should try another node` }
  }
  const facts = Host.stateOf(host, "facts")
  const known = Profiles.incarnationOf(facts, id)
  if (known !== undefined && known > incarnation) {
    const message = `${us} knows run ${known} of ${them}, which says it is run ${incarnation}: its data directory is older than the node`
    return { code: "outdated", message, incarnation: known }
  }
  const copy = [...links.byId.values()].find(
    ({ link }) =>
      link.hello.node.id === id && link.hello.node.incarnation === incarnation && link.hello.node.boot !== boot
  )
  if (copy !== undefined) {
    const message = `${us} is linked to another process that is ${them}, run ${incarnation}: the data directory was copied; give this process one of its own`
    return { code: "duplicate", message }
  }
  const [holder] =
    name !== options.name ? Query.aliveUnder(facts, runtime.now(), name, id) : identity.id === id ? [] : [identity.id]
  if (holder !== undefined) {
    const message = `the name ${name} belongs to node ${holder}, which is alive in fleet ${options.fleet}; node ${id} wants it too: start it with another --name`
    return { code: "name", message }
  }
  return undefined
}

/** The other side refuses this node for good: no retry will help. */
const onRejected = (runtime: Runtime, failure: Link.DialFailure, isNews: boolean): void => {
  if (failure._tag !== "Rejected") return
  const { code, message } = failure
  if (code === "name" || code === "duplicate") {
    const joined = Host.stateOf(runtime.host, "view-manager").active.length > 0
    // A node that is part of the fleet keeps running: after a partition both bearers of a name do, shown as name#id.
    if (joined) return
    return runtime.fork(Effect.asVoid(Deferred.fail(runtime.died, new StartError({ message, next: "" }))))
  }
  if (code === "outdated") {
    const next = "start it again: the higher number is stored now"
    return runtime.fork(
      Effect.gen(function* () {
        StoreWriter.offer(runtime.writer, Identity.rowsAfter(runtime.identity, failure.incarnation ?? 0), () =>
          runtime.fork(Effect.asVoid(Deferred.fail(runtime.died, new StartError({ message, next }))))
        )
      })
    )
  }
  // Said once and not at every attempt; the status keeps saying it.
  const said = `a peer refuses this node: ${message}`
  runtime.fork(isNews ? Effect.logWarning(said) : Effect.logDebug(said))
}

// ---------------------------------------------------------------------------------------------------------------------
// Actors
// ---------------------------------------------------------------------------------------------------------------------

const componentSpec = <C extends Component.Component>(component: C, runtime: Runtime, store: Store["Service"]) =>
  Supervisor.childSpec(
    // What was written so far must be in the store before a component is rebuilt from it.
    Components.behavior(
      component,
      runtime.host,
      runtime.boxes,
      Effect.andThen(settled(runtime, store), store.load),
      () => onRebuilt(runtime, component)
    ),
    { id: component, key: Components.keyOf(component), onRestart: "keep" }
  )

const settled = (runtime: Runtime, store: Store["Service"]) =>
  Effect.repeat(StoreWriter.flush(runtime.writer, store), { while: () => runtime.writer.waiting.length > 0 })

const onRebuilt = (runtime: Runtime, component: Component.Component): void => {
  if (component === "facts") {
    runtime.boxes.tell({ to: "facts", event: { _tag: "Handles", patterns: Application.patterns(runtime.application) } })
  }
  if (component === "lazy-push-repair") runtime.boxes.tell(Wiring.recount)
}

const storeActor = (writer: StoreWriter.StoreWriter, store: Store["Service"]) =>
  Actor.behavior<"Flush">()({
    name: "store",
    mailbox: Mailbox.bounded(16, "dropNew"),
    init: (self) => Effect.sync(() => void (writer.waiting.length > 0 && Actor.tellUnsafe(self.ref, "Flush"))),
    receive: (_, _message, self) =>
      StoreWriter.flush(writer, store).pipe(
        Effect.repeat({ while: () => writer.waiting.length > 0 }),
        Effect.catch((error) =>
          Effect.andThen(
            Effect.logError(`the store does not write: ${error.message} ${error.next}`),
            Effect.asVoid(self.sendAfter(writeRetry, "Flush"))
          )
        ),
        Effect.as(undefined)
      )
  })

const dialerActor = (runtime: Runtime) =>
  Actor.behavior<Dial>()({
    name: "dialer",
    mailbox: Mailbox.bounded(dialsMax, "dropNew"),
    init: () =>
      Effect.all({
        supervisor: Effect.provideService(DynamicSupervisor.via(linksKey), System.System, runtime.system),
        context: Effect.context<Transport.Transport>()
      }),
    receive: (state, { address, opener }) => {
      const { supervisor, context } = state
      const run = Effect.provideContext(
        Links.dial(runtime.links, linkOptions(runtime, Links.linksMax), address, opener, (failure, isNews) =>
          onRejected(runtime, failure, isNews)
        ),
        context
      )
      return supervisor.startChild(linkActor(`to ${address}`, run), { restart: "temporary" }).pipe(
        Effect.catch(() => Effect.sync(() => refuse(runtime.links, { address, opener }))),
        Effect.as(state)
      )
    }
  })

const listenerActor = (runtime: Runtime) =>
  Actor.behavior<"Failed">()({
    name: "listener",
    init: (self) =>
      Effect.gen(function* () {
        const supervisor = yield* Effect.provideService(DynamicSupervisor.via(linksKey), System.System, runtime.system)
        yield* acceptOne(runtime, supervisor).pipe(
          Effect.forever,
          Effect.onExit((exit) =>
            Effect.sync(
              () =>
                void (
                  Exit.isFailure(exit) &&
                  !Cause.hasInterruptsOnly(exit.cause) &&
                  Actor.tellUnsafe(self.ref, "Failed")
                )
            )
          ),
          Effect.forkScoped
        )
      }),
    receive: () => {
      throw new Error("the accept loop failed")
    }
  })

/** Takes one connection and hands it, with its scope, to a link actor of its own. */
const acceptOne = Effect.fnUntraced(function* (runtime: Runtime, supervisor: DynamicSupervisor.DynamicSupervisor) {
  const { links } = runtime
  const scope = yield* Scope.make()
  yield* Effect.uninterruptibleMask((restore) =>
    restore(Scope.provide(runtime.listener.accept, scope)).pipe(
      Effect.flatMap((connection) => {
        if (links.inbound >= Links.inboundMax) return Effect.fail({ message: `there are ${Links.inboundMax} already` })
        const run = Scope.provide(Links.accept(links, linkOptions(runtime, Links.welcomeMax), connection), scope)
        links.inbound++
        return Scope.addFinalizer(
          scope,
          Effect.sync(() => void links.inbound--)
        ).pipe(
          Effect.andThen(
            supervisor.startChild(linkActor(`from ${connection.remote}`, run, scope), { restart: "temporary" })
          )
        )
      }),
      Effect.onError((cause) => Scope.close(scope, Exit.failCause(cause))),
      Effect.catch((error) => {
        links.counters.overloadedTotal++
        return Effect.logDebug(`a connection was not taken: ${error.message}`)
      })
    )
  )
})

/** A link lives in the scope of its actor; when it is down the actor ends, and is not restarted. */
const linkActor = (name: string, run: Effect.Effect<void>, scope?: Scope.Closeable) =>
  Actor.behavior<"Down">()({
    name,
    mailbox: Mailbox.bounded(4),
    init: (self) =>
      Effect.gen(function* () {
        if (scope !== undefined) yield* Effect.addFinalizer((exit) => Scope.close(scope, exit))
        yield* run.pipe(Effect.ensuring(Effect.sync(() => void Actor.tellUnsafe(self.ref, "Down"))), Effect.forkScoped)
      }),
    receive: () => Actor.stop()
  })

// ---------------------------------------------------------------------------------------------------------------------
// Helpers
// ---------------------------------------------------------------------------------------------------------------------

const refuse = (links: Links.Links, { address, opener }: Dial): void =>
  links.tell({
    to: opener.component,
    event: { _tag: "LinkRefused", attempt: opener.attempt, address, failure: { _tag: "Unreachable" } }
  } as Parameters<Links.Links["tell"]>[0])

/** Runs the handlers of a configuration entry, in the order in which they were registered, and reports how it went. */
const apply = (
  application: Application.Application,
  boxes: Components.Mailboxes,
  request: ApplyRequest
): Effect.Effect<void> => {
  const { key, revision } = request.entry
  const report = (status: "applied" | "failed" | "rejected", reason: string): void => {
    application.counters[status === "applied" ? "applied" : "applyFailed"]++
    boxes.tell({ to: "facts", event: { _tag: "Applied", key, revision, status, reason } })
  }
  const handlers = application.handlers.filter((handler) => Pattern.matches(handler.pattern, key))
  // The last one has gone meanwhile; facts are told so too, and begin with the entry anew when another comes.
  if (handlers.length === 0) return Effect.void
  return Effect.forEach(handlers, (handler) => handler.apply(request), { discard: true }).pipe(
    Effect.matchCause({
      onSuccess: () => report("applied", ""),
      onFailure: (cause) => {
        const failure = cause.reasons.find((reason) => reason._tag === "Fail")?.error
        report(failure?.status ?? "failed", failure?.reason ?? Cause.pretty(cause).slice(0, 512))
      }
    })
  )
}

/** What is still in memory and worth keeping when the agent stops in good order. */
const lastWords = (runtime: Runtime, store: Store["Service"]): Effect.Effect<void> =>
  Effect.suspend(() => {
    const { lease } = Host.stateOf(runtime.host, "clock")
    StoreWriter.offer(runtime.writer, Lease.lastRowsOf(lease, runtime.host.clock.reading), () => undefined)
    return settled(runtime, store)
  }).pipe(
    Effect.timeoutOption("2 seconds"),
    // Whatever the store does: the others still have to be released.
    Effect.catchCause((cause) => Effect.logError(`what was last said is not stored: ${Cause.pretty(cause)}`)),
    Effect.asVoid
  )

/**
 * Nodes of view manager, shuffler and facts, wired as in a member: what documents cost, without broadcasts and clock.
 *
 * A fleet joins without facts, and then every node is given all documents at once, the same objects: how a thousand
 * documents come to a thousand nodes for the first time is not the question here.
 *
 * @since 0.1.0
 */
import { Facts, NodeDoc } from "@starling/fleet"
import { Shuffler, ViewManager } from "@starling/gossip"
import { type Machine, type NodeId, type Peer, Rng } from "@starling/machine"
import { type Component, Wiring } from "@starling/member"
import { World } from "@starling/sim"
import { OverlayFleet } from "@starling/testing"
import * as HashMap from "effect/HashMap"

/** @since 0.1.0 @category models */
export type Part = "view-manager" | "shuffler" | "facts"

/** @since 0.1.0 @category models */
export interface State {
  readonly self: Peer.Peer
  readonly view: ViewManager.State
  readonly shuffler: Shuffler.State
  readonly facts: Facts.State | undefined
  /** Steps of the facts: stamps differ by it. */
  readonly steps: number
}

/**
 * - `Begin`: this node has facts from now on, and its own document.
 * - `Emit`: its document changes.
 *
 * @since 0.1.0
 * @category models
 */
export type Command =
  | { readonly _tag: "Started" }
  | { readonly _tag: "Begin"; readonly settings: Partial<Facts.Config> }
  | { readonly _tag: "Emit"; readonly round: number }

/** @since 0.1.0 @category models */
export interface Protocol extends World.Protocol {
  readonly state: State
  readonly message: Wiring.Frame<Part>
  readonly timer: { readonly [P in Part]: { readonly part: P; readonly timer: Component.TimerOf<P> } }[Part]
  readonly output: never
  readonly command: Command
}

/** @since 0.1.0 @category models */
export type Fleet = World.World<Protocol>

/** Longer than any experiment. */
const neverMs = 100_000_000

/** Nodes that joined one by one and have settled, each with every document. @since 0.1.0 @category constructors */
export const make = (
  order: { readonly size: number; readonly seed: number; readonly network: Partial<World.Network<Protocol>> },
  facts: Partial<Facts.Config>,
  observer: World.Observer<Protocol>
): Fleet => {
  const { network, seed, size } = order
  const world = World.make<Protocol>({ seed, network, digestLeavesMax: 2 })
  const contact = OverlayFleet.peer(seed, 0)
  for (let n = 0; n < size; n++) {
    const self = OverlayFleet.peer(seed, n)
    World.join(world, self, (boot) => machine(self, n === 0 ? [] : [contact.address], boot.seed), {
      started: [{ _tag: "Started" }]
    })
    World.pass(world, joinEveryMs)
  }
  World.pass(world, settleMs)
  // Nobody emits anything but what the experiment asks for.
  const settings: Partial<Facts.Config> = { ...facts, pulseMs: neverMs }
  for (const id of World.ids(world)) World.inject(world, id, { _tag: "Begin", settings })
  World.pass(world, 0)
  return World.fork(world, { observer, alter: knowingAll(world) })
}

const joinEveryMs = 20

/** Three shuffles of each node. */
const settleMs = 30_000

/** What every node is given: all documents, and neighbours that have them too. */
const knowingAll = (world: Fleet): ((state: State) => State) => {
  const own = World.running(world).flatMap(({ peer, state }) => {
    const doc = state.facts === undefined ? undefined : HashMap.get(state.facts.docs, peer.id)
    return doc?._tag === "Some" ? [doc.value] : []
  })
  const first = World.running(world)[0]?.state
  if (first?.facts === undefined) return (state) => state
  const docs = own.flatMap((doc) => NodeDoc.since(doc, NodeDoc.unknown, neverMs)?.delta ?? [])
  const link = [...HashMap.keys(first.facts.links)][0] ?? 0
  const event: Facts.Event = { _tag: "Received", link, message: { _tag: "Delta", docs, via: [] } }
  const [all] = Facts.step(first.facts, { now: World.now(world), wall: 0, stamp: stampOf(first, 0), event })
  const known = HashMap.map(all.docs, NodeDoc.knownOf)
  return (state) => {
    if (state.facts === undefined) return state
    const links = HashMap.map(state.facts.links, (one) => ({
      ...one,
      known,
      speaks: true,
      dirty: HashMap.empty<NodeId.NodeId, null>(),
      since: one.since - neverMs
    }))
    return { ...state, facts: { ...state.facts, docs: all.docs, docsHash: all.docsHash, heard: all.heard, links } }
  }
}

const machine = (self: Peer.Peer, contacts: ReadonlyArray<string>, seed: string): World.Booted<Protocol> => ({
  step,
  initial: {
    self,
    view: ViewManager.make({ ...ViewManager.defaults, self, contacts }, Rng.make(`${seed}/view-manager`)),
    shuffler: Shuffler.make({ ...Shuffler.defaults, self }, Rng.make(`${seed}/shuffler`)),
    facts: undefined,
    steps: 0
  }
})

// ---------------------------------------------------------------------------------------------------------------------
// One step, run to completion
// ---------------------------------------------------------------------------------------------------------------------

interface Turn {
  readonly now: Machine.Instant
  readonly wall: number
  state: State
  readonly waiting: Array<Wiring.Delivery>
  readonly actions: Array<World.Action<Protocol>>
}

const step = (
  state: State,
  { event, now, wall }: World.Input<Protocol>
): Machine.Step<State, World.Action<Protocol>> => {
  const turn: Turn = { now, wall, state, waiting: [], actions: [] }
  accept(turn, event)
  for (let next = turn.waiting.shift(); next !== undefined; next = turn.waiting.shift()) deliver(turn, next)
  return [turn.state, turn.actions]
}

const started = { _tag: "Started" } as const

const accept = (turn: Turn, event: World.Event<Protocol>): void => {
  const { waiting } = turn
  switch (event._tag) {
    case "Started":
      waiting.push({ to: "shuffler", event: started }, { to: "view-manager", event: started })
      return
    case "Begin":
      return begin(turn, event.settings)
    case "Emit":
      waiting.push({ to: "facts", event: { _tag: "Handles", patterns: [`round/${event.round}`] } })
      return
    case "LinkUp": {
      const { attempt, link, peer } = event
      if (attempt === undefined) waiting.push({ to: "view-manager", event })
      else waiting.push({ to: ownerOf(attempt), event: { _tag: "LinkUp", link, peer, attempt: ownOf(attempt) } })
      return
    }
    case "LinkRefused":
      waiting.push({ to: ownerOf(event.attempt), event: { ...event, attempt: ownOf(event.attempt) } })
      return
    case "LinkDown":
      waiting.push({ to: "view-manager", event }, { to: "shuffler", event }, { to: "facts", event })
      return
    case "Received":
      waiting.push({
        to: event.message.channel,
        event: { _tag: "Received", link: event.link, message: event.message.message }
      } as Wiring.Delivery)
      return
    case "TimerFired":
      waiting.push({ to: event.timer.part, event: { _tag: "TimerFired", timer: event.timer.timer } } as Wiring.Delivery)
      return
    case "Written":
      waiting.push({ to: "facts", event })
  }
}

/** The digests that facts send to their neighbours are left out: everybody is about to know everything. */
const begin = (turn: Turn, settings: Partial<Facts.Config>): void => {
  const { self, view } = turn.state
  const config: Facts.Config = {
    ...Facts.defaults,
    ...settings,
    self: { ...self, name: self.id, datacenter: "lab", labels: {} },
    startedAt: turn.wall
  }
  const facts = Facts.make(config, new Map(), Rng.make(`${self.id}/facts`), turn.wall)
  turn.state = { ...turn.state, facts }
  deliver(turn, { to: "facts", event: started })
  // Beside what the view manager says, which begins with 1.
  deliver(turn, { to: "facts", event: { _tag: "Neighbors", version: 0.5, neighbors: view.active } })
  for (let i = turn.actions.length - 1; i >= 0; i--) if (turn.actions[i]?._tag === "Send") turn.actions.splice(i, 1)
}

const stampOf = ({ self, steps }: State, wall: number) => ({ epoch: 0, wall, counter: steps % 65_536, node: self.id })

const deliver = (turn: Turn, { event, to }: Wiring.Delivery): void => {
  const { now, state, wall } = turn
  switch (to) {
    case "view-manager": {
      const [view, actions] = ViewManager.step(state.view, { now, event })
      turn.state = { ...state, view }
      for (const action of actions) carryOut(turn, to, action)
      return
    }
    case "shuffler": {
      const [shuffler, actions] = Shuffler.step(state.shuffler, { now, event })
      turn.state = { ...state, shuffler }
      for (const action of actions) carryOut(turn, to, action)
      return
    }
    case "facts": {
      if (state.facts === undefined) return
      const [facts, actions] = Facts.step(state.facts, { now, event, wall, stamp: stampOf(state, wall) })
      turn.state = { ...state, facts, steps: state.steps + 1 }
      for (const action of actions) carryOut(turn, to, action)
      return
    }
    default:
      // Nobody is there to hear it.
      return
  }
}

const carryOut = <P extends Part>(turn: Turn, part: P, action: Component.ActionOf<P>): void => {
  const { actions } = turn
  switch (action._tag) {
    case "Open":
      actions.push({ ...action, attempt: 2 * action.attempt + (part === "shuffler" ? 1 : 0) })
      return
    case "Send":
      actions.push({ _tag: "Send", link: action.link, message: { channel: part, message: action.message } as never })
      return
    case "SetTimer":
      actions.push({ _tag: "SetTimer", delayMs: action.delayMs, timer: { part, timer: action.timer } as never })
      return
    case "Close":
    case "Write":
      actions.push(action)
      return
    case "Emit":
      for (const routed of Wiring.route(part, action.output)) {
        if (routed.to !== "application" && routed.to !== "clock-cell") turn.waiting.push(routed)
      }
  }
}

/** Two components dial, each with numbers of its own: what an attempt is for stands in its lowest bit. */
const ownerOf = (attempt: number): "shuffler" | "view-manager" => (attempt % 2 === 1 ? "shuffler" : "view-manager")

const ownOf = (attempt: number): number => Math.floor(attempt / 2)

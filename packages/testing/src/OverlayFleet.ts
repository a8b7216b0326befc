/**
 * The overlay alone: view manager, shuffler, broadcast tree and lazy-push repair of a node, wired as in a member, without
 * clock and facts. It runs each event to completion. Ten thousand of these fit one thread, for experiments on membership
 * and broadcast at the scale of the papers.
 *
 * @since 0.1.0
 */
import { BroadcastTree, LazyPushRepair, type MessageId, Shuffler, ViewManager } from "@starling/gossip"
import { type Machine, type NodeId, Peer, Rng } from "@starling/machine"
import { type Component, Wiring } from "@starling/member"
import { World } from "@starling/sim"
import { peerOf } from "./internal/peers.ts"

/** @since 0.1.0 @category models */
export type Part = "view-manager" | "shuffler" | "broadcast-tree" | "lazy-push-repair"

/** @since 0.1.0 @category models */
export interface State {
  readonly view: ViewManager.State
  readonly shuffler: Shuffler.State
  readonly tree: BroadcastTree.State
  readonly repair: LazyPushRepair.State
}

/** @since 0.1.0 @category models */
export type Timer = {
  readonly [P in Part]: { readonly part: P; readonly timer: Component.TimerOf<P> }
}[Part]

/** A broadcast as a node is given it, after `round` hops. @since 0.1.0 @category models */
export interface Delivered {
  readonly id: MessageId.MessageId
  readonly round: number
}

/** @since 0.1.0 @category models */
export type Command = { readonly _tag: "Started" } | { readonly _tag: "Broadcast"; readonly token: number }

/** @since 0.1.0 @category models */
export interface Protocol extends World.Protocol {
  readonly state: State
  readonly message: Wiring.Frame<Part>
  readonly timer: Timer
  readonly output: Delivered
  readonly command: Command
}

/** @since 0.1.0 @category models */
export interface Settings {
  readonly viewManager?: Partial<ViewManager.Settings>
  readonly shuffler?: Partial<Shuffler.Settings>
  readonly broadcastTree?: Partial<BroadcastTree.Settings>
  readonly lazyPushRepair?: Partial<LazyPushRepair.Settings>
}

/** @since 0.1.0 @category models */
export interface Options {
  readonly seed: number | string
  readonly network?: Partial<World.Network<Protocol>>
}

/** An empty world; add nodes with `join`. @since 0.1.0 @category constructors */
export const make = ({ network, seed }: Options): World.World<Protocol> =>
  World.make<Protocol>({ seed, network: network ?? {}, digestLeavesMax: 2 })

/** The n-th node of a fleet with this seed, in this data centre. @since 0.1.0 */
export const peer = (seed: number | string, index: number, datacenter: string = ""): Peer.Peer =>
  Peer.within(peerOf(seed, index), datacenter)

/** Starts a node that knows these contacts. @since 0.1.0 */
export const join = (
  world: World.World<Protocol>,
  self: Peer.Peer,
  contacts: ReadonlyArray<string>,
  settings: Settings = {}
): void =>
  World.join(world, self, ({ peer, seed }) => machine(peer, contacts, settings, seed), {
    started: [{ _tag: "Started" }]
  })

/** Sends a broadcast at a node. @since 0.1.0 */
export const broadcast = (world: World.World<Protocol>, id: NodeId.NodeId, token: number): boolean =>
  World.inject(world, id, { _tag: "Broadcast", token })

const machine = (
  self: Peer.Peer,
  contacts: ReadonlyArray<string>,
  settings: Settings,
  seed: string
): World.Booted<Protocol> => {
  const rng = (part: Part) => Rng.make(`${seed}/${part}`)
  const none = new Map<string, ReadonlyMap<string, unknown>>()
  return {
    step,
    initial: {
      view: ViewManager.make({ ...ViewManager.defaults, ...settings.viewManager, self, contacts }, rng("view-manager")),
      shuffler: Shuffler.make({ ...Shuffler.defaults, ...settings.shuffler, self }, rng("shuffler")),
      tree: BroadcastTree.make(
        { ...BroadcastTree.defaults, ...settings.broadcastTree, self },
        none,
        rng("broadcast-tree")
      ),
      repair: LazyPushRepair.make(
        { ...LazyPushRepair.defaults, ...settings.lazyPushRepair, self },
        none,
        rng("lazy-push-repair")
      )
    }
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// One step, run to completion
// ---------------------------------------------------------------------------------------------------------------------

interface Turn {
  readonly now: Machine.Instant
  view: ViewManager.State
  shuffler: Shuffler.State
  tree: BroadcastTree.State
  repair: LazyPushRepair.State
  readonly waiting: Array<Wiring.Delivery>
  readonly actions: Array<World.Action<Protocol>>
}

const step = (state: State, { event, now }: World.Input<Protocol>): Machine.Step<State, World.Action<Protocol>> => {
  const turn: Turn = { ...state, now, waiting: [], actions: [] }
  accept(turn, event)
  // Whoever hears of it hears after what was said before.
  for (let next = turn.waiting.shift(); next !== undefined; next = turn.waiting.shift()) deliver(turn, next)
  const { repair, shuffler, tree, view } = turn
  return [{ view, shuffler, tree, repair }, turn.actions]
}

const started = { _tag: "Started" } as const

const accept = (turn: Turn, event: World.Event<Protocol>): void => {
  const { waiting } = turn
  switch (event._tag) {
    case "Started":
      waiting.push({ to: "broadcast-tree", event: started }, { to: "lazy-push-repair", event: started })
      waiting.push({ to: "shuffler", event: started }, { to: "view-manager", event: started })
      return
    case "Broadcast": {
      const { token } = event
      const topic = Wiring.topicApplication
      waiting.push({ to: "broadcast-tree", event: { _tag: "Broadcast", token, topic, payload: token } })
      return
    }
    case "LinkUp": {
      const { attempt, link, peer } = event
      if (attempt === undefined) waiting.push({ to: "view-manager", event })
      else waiting.push({ to: ownerOf(attempt), event: { _tag: "LinkUp", link, peer, attempt: ownOf(attempt) } })
      return
    }
    case "LinkRefused": {
      const { attempt } = event
      waiting.push({ to: ownerOf(attempt), event: { ...event, attempt: ownOf(attempt) } })
      return
    }
    case "LinkDown":
      waiting.push({ to: "view-manager", event })
      // The others care only for frames of it that they hold.
      if (turn.shuffler.gate.held.length > 0) waiting.push({ to: "shuffler", event })
      if (turn.tree.gate.held.length > 0) waiting.push({ to: "broadcast-tree", event })
      if (turn.repair.gate.held.length > 0) waiting.push({ to: "lazy-push-repair", event })
      return
    case "Received": {
      const { link, message } = event
      waiting.push({
        to: message.channel,
        event: { _tag: "Received", link, message: message.message }
      } as Wiring.Delivery)
      return
    }
    case "TimerFired":
      waiting.push({
        to: event.timer.part,
        event: { _tag: "TimerFired", timer: event.timer.timer }
      } as Wiring.Delivery)
      return
    case "Written":
      waiting.push({ to: "broadcast-tree", event })
  }
}

const deliver = (turn: Turn, { event, to }: Wiring.Delivery): void => {
  const { now } = turn
  switch (to) {
    case "view-manager": {
      const [state, actions] = ViewManager.step(turn.view, { now, event })
      turn.view = state
      for (const action of actions) carryOut(turn, to, action)
      return
    }
    case "shuffler": {
      const [state, actions] = Shuffler.step(turn.shuffler, { now, event })
      turn.shuffler = state
      for (const action of actions) carryOut(turn, to, action)
      return
    }
    case "broadcast-tree": {
      const [state, actions] = BroadcastTree.step(turn.tree, { now, event })
      turn.tree = state
      for (const action of actions) carryOut(turn, to, action)
      return
    }
    case "lazy-push-repair": {
      const [state, actions] = LazyPushRepair.step(turn.repair, { now, event })
      turn.repair = state
      for (const action of actions) carryOut(turn, to, action)
      return
    }
    case "clock":
    case "facts":
      // Nobody is there to hear it.
      return
  }
}

const carryOut = <P extends Part>(turn: Turn, part: P, action: Component.ActionOf<P>): void => {
  const { actions } = turn
  switch (action._tag) {
    case "Open":
      actions.push({
        _tag: "Open",
        attempt: 2 * action.attempt + (part === "shuffler" ? 1 : 0),
        address: action.address
      })
      return
    case "Send":
      actions.push({ _tag: "Send", link: action.link, message: { channel: part, message: action.message } as never })
      return
    case "SetTimer":
      actions.push({ _tag: "SetTimer", delayMs: action.delayMs, timer: { part, timer: action.timer } as Timer })
      return
    case "Close":
    case "Write":
      actions.push(action)
      return
    case "Emit":
      for (const routed of Wiring.route(part, action.output)) {
        if (routed.to !== "application" && routed.to !== "clock-cell") turn.waiting.push(routed)
        else if (routed.to === "application" && routed.output._tag === "Delivered") {
          const { id, round } = routed.output
          actions.push({ _tag: "Emit", output: { id, round } })
        }
      }
  }
}

/** Two components dial, each with numbers of its own: what an attempt is for stands in its lowest bit. */
const ownerOf = (attempt: number): "shuffler" | "view-manager" => (attempt % 2 === 1 ? "shuffler" : "view-manager")

const ownOf = (attempt: number): number => Math.floor(attempt / 2)

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
  /** What the components said to each other and is not heard yet, from `heard` on. Most steps need no list. */
  waiting: Array<Wiring.Delivery> | undefined
  heard: number
  actions: Array<World.Action<Protocol>> | undefined
}

const noActions: ReadonlyArray<World.Action<Protocol>> = []

const step = (state: State, { event, now }: World.Input<Protocol>): Machine.Step<State, World.Action<Protocol>> => {
  const { repair, shuffler, tree, view } = state
  const turn: Turn = { now, view, shuffler, tree, repair, waiting: undefined, heard: 0, actions: undefined }
  accept(turn, event)
  // Whoever hears of it hears after what was said before.
  while (turn.waiting !== undefined && turn.heard < turn.waiting.length)
    deliver(turn, turn.waiting[turn.heard++] as Wiring.Delivery)
  const next = { view: turn.view, shuffler: turn.shuffler, tree: turn.tree, repair: turn.repair }
  return [next, turn.actions ?? noActions]
}

const started = { _tag: "Started" } as const

const accept = (turn: Turn, event: World.Event<Protocol>): void => {
  switch (event._tag) {
    case "Started":
      for (const to of ["broadcast-tree", "lazy-push-repair", "shuffler", "view-manager"] as const)
        wait(turn, { to, event: started })
      return
    case "Broadcast": {
      const { token } = event
      return toTree(turn, { _tag: "Broadcast", token, topic: Wiring.topicApplication, payload: token })
    }
    case "LinkUp": {
      const { attempt, link, peer } = event
      if (attempt === undefined) return toView(turn, event)
      return deliver(turn, { to: ownerOf(attempt), event: { _tag: "LinkUp", link, peer, attempt: ownOf(attempt) } })
    }
    case "LinkRefused": {
      const { attempt } = event
      return deliver(turn, { to: ownerOf(attempt), event: { ...event, attempt: ownOf(attempt) } })
    }
    case "LinkDown":
      wait(turn, { to: "view-manager", event })
      // The others care only for frames of it that they hold.
      if (turn.shuffler.gate.held.length > 0) wait(turn, { to: "shuffler", event })
      if (turn.tree.gate.held.length > 0) wait(turn, { to: "broadcast-tree", event })
      if (turn.repair.gate.held.length > 0) wait(turn, { to: "lazy-push-repair", event })
      return
    case "Received":
      return receive(turn, event.link, event.message)
    case "TimerFired":
      return fire(turn, event.timer)
    case "Written":
      return toTree(turn, event)
  }
}

const receive = (turn: Turn, link: Machine.LinkId, frame: Protocol["message"]): void => {
  switch (frame.channel) {
    case "view-manager":
      return toView(turn, { _tag: "Received", link, message: frame.message })
    case "shuffler":
      return toShuffler(turn, { _tag: "Received", link, message: frame.message })
    case "broadcast-tree":
      return toTree(turn, { _tag: "Received", link, message: frame.message })
    case "lazy-push-repair":
      return toRepair(turn, { _tag: "Received", link, message: frame.message })
  }
}

const fire = (turn: Turn, { part, timer }: Timer): void => {
  switch (part) {
    case "view-manager":
      return toView(turn, { _tag: "TimerFired", timer })
    case "shuffler":
      return toShuffler(turn, { _tag: "TimerFired", timer })
    case "broadcast-tree":
      return toTree(turn, { _tag: "TimerFired", timer })
    case "lazy-push-repair":
      return toRepair(turn, { _tag: "TimerFired", timer })
  }
}

const wait = (turn: Turn, delivery: Wiring.Delivery): void => {
  if (turn.waiting === undefined) turn.waiting = [delivery]
  else turn.waiting.push(delivery)
}

const deliver = (turn: Turn, { event, to }: Wiring.Delivery): void => {
  switch (to) {
    case "view-manager":
      return toView(turn, event)
    case "shuffler":
      return toShuffler(turn, event)
    case "broadcast-tree":
      return toTree(turn, event)
    case "lazy-push-repair":
      return toRepair(turn, event)
    case "clock":
    case "facts":
      // Nobody is there to hear it.
      return
  }
}

const toView = (turn: Turn, event: ViewManager.Event): void => {
  const [state, actions] = ViewManager.step(turn.view, { now: turn.now, event })
  turn.view = state
  for (const action of actions) carryOut(turn, "view-manager", action)
}

const toShuffler = (turn: Turn, event: Shuffler.Event): void => {
  const [state, actions] = Shuffler.step(turn.shuffler, { now: turn.now, event })
  turn.shuffler = state
  for (const action of actions) carryOut(turn, "shuffler", action)
}

const toTree = (turn: Turn, event: BroadcastTree.Event): void => {
  const [state, actions] = BroadcastTree.step(turn.tree, { now: turn.now, event })
  turn.tree = state
  for (const action of actions) carryOut(turn, "broadcast-tree", action)
}

const toRepair = (turn: Turn, event: LazyPushRepair.Event): void => {
  const [state, actions] = LazyPushRepair.step(turn.repair, { now: turn.now, event })
  turn.repair = state
  for (const action of actions) carryOut(turn, "lazy-push-repair", action)
}

const carryOut = <P extends Part>(turn: Turn, part: P, action: Component.ActionOf<P>): void => {
  switch (action._tag) {
    case "Open": {
      const attempt = 2 * action.attempt + (part === "shuffler" ? 1 : 0)
      return ask(turn, { _tag: "Open", attempt, address: action.address })
    }
    case "Send":
      return ask(turn, {
        _tag: "Send",
        link: action.link,
        message: { channel: part, message: action.message } as Protocol["message"]
      })
    case "SetTimer":
      return ask(turn, {
        _tag: "SetTimer",
        delayMs: action.delayMs,
        timer: { part, timer: action.timer } as Timer
      })
    case "Close":
    case "Write":
      return ask(turn, action)
    case "Emit":
      for (const routed of Wiring.route(part, action.output)) {
        if (routed.to !== "application" && routed.to !== "clock-cell") wait(turn, routed)
        else if (routed.to === "application" && routed.output._tag === "Delivered") {
          const { id, round } = routed.output
          ask(turn, { _tag: "Emit", output: { id, round } })
        }
      }
  }
}

const ask = (turn: Turn, action: World.Action<Protocol>): void => {
  if (turn.actions === undefined) turn.actions = [action]
  else turn.actions.push(action)
}

/** Two components dial, each with numbers of its own: what an attempt is for stands in its lowest bit. */
const ownerOf = (attempt: number): "shuffler" | "view-manager" => (attempt % 2 === 1 ? "shuffler" : "view-manager")

const ownOf = (attempt: number): number => Math.floor(attempt / 2)

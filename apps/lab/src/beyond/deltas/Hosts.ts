/**
 * Nodes of view manager, shuffler and one component more, wired as in a member, each event run to completion: what that
 * component does on the real overlay.
 *
 * @since 0.1.0
 */
import { Shuffler, ViewManager } from "@starling/gossip"
import { type Machine, type NodeId, type Peer, Rng } from "@starling/machine"
import { type Component, Wiring } from "@starling/member"
import { World } from "@starling/sim"
import { OverlayFleet } from "@starling/testing"

/** What the component is made of. @since 0.1.0 @category models */
export interface Guest {
  readonly state: unknown
  readonly message: unknown
  readonly timer: unknown
  readonly output: unknown
  readonly command: { readonly _tag: string }
}

/** @since 0.1.0 @category models */
export type GuestEvent<G extends Guest> =
  | { readonly _tag: "Neighbors"; readonly version: number; readonly neighbors: ReadonlyArray<Machine.Neighbor> }
  | Extract<
      Machine.ShellEvent<G["message"], G["timer"]>,
      { readonly _tag: "Received" | "LinkDown" | "TimerFired" | "Written" }
    >
  | G["command"]

/** @since 0.1.0 @category models */
export type GuestAction<G extends Guest> = Extract<
  Machine.Action<G["message"], G["timer"], G["output"]>,
  { readonly _tag: "Send" | "SetTimer" | "Write" | "Emit" }
>

/** `undefined` for a state: it has not begun. @since 0.1.0 @category models */
export type GuestStep<G extends Guest> = (
  state: G["state"] | undefined,
  at: {
    readonly now: Machine.Instant
    readonly wall: number
    readonly self: Peer.Peer
    readonly view: ViewManager.State
  },
  event: GuestEvent<G>
) => readonly [G["state"] | undefined, ReadonlyArray<GuestAction<G>>]

/** @since 0.1.0 @category models */
export interface State<G extends Guest> {
  readonly self: Peer.Peer
  readonly view: ViewManager.State
  readonly shuffler: Shuffler.State
  readonly guest: G["state"] | undefined
}

type Part = "view-manager" | "shuffler"

/** @since 0.1.0 @category models */
export interface Protocol<G extends Guest> extends World.Protocol {
  readonly state: State<G>
  readonly message: Wiring.Frame<Part> | { readonly channel: "guest"; readonly message: G["message"] }
  readonly timer:
    | { readonly [P in Part]: { readonly part: P; readonly timer: Component.TimerOf<P> } }[Part]
    | { readonly part: "guest"; readonly timer: G["timer"] }
  readonly output: G["output"]
  readonly command: { readonly _tag: "Started" } | { readonly _tag: "Ask"; readonly command: G["command"] }
}

/** @since 0.1.0 @category models */
export type Fleet<G extends Guest> = World.World<Protocol<G>>

/** Longer than any experiment. @since 0.1.0 */
export const neverMs = 100_000_000

const joinEveryMs = 20

/** Three shuffles of each node. */
const settleMs = 30_000

/**
 * Links that end are noticed as they end: there is no need for keepalives, which would be most of what happens. Nobody
 * probes, since nothing is cut.
 */
const viewSettings: Partial<ViewManager.Settings> = {
  keepaliveMs: neverMs,
  silenceMs: neverMs,
  probeMs: neverMs,
  labelMs: neverMs,
  labelStableMs: neverMs
}

/** Nodes that joined one by one, and have shuffled. Their guests have not begun. @since 0.1.0 @category constructors */
export const make = <G extends Guest>(
  order: { readonly size: number; readonly seed: number; readonly network: Partial<World.Network<Protocol<G>>> },
  guest: GuestStep<G>,
  observer: World.Observer<Protocol<G>>,
  progress: (text: string) => void
): Fleet<G> => {
  const { network, seed, size } = order
  const world = World.make<Protocol<G>>({ seed, network, observer, digestLeavesMax: 2 })
  const contact = OverlayFleet.peer(seed, 0)
  for (let n = 0; n < size; n++) {
    const self = OverlayFleet.peer(seed, n)
    World.join(world, self, (boot) => machine(guest, self, n === 0 ? [] : [contact.address], boot.seed), {
      started: [{ _tag: "Started" }]
    })
    World.pass(world, joinEveryMs)
    if ((n + 1) % 2500 === 0) progress(`${n + 1} of ${size} nodes have joined`)
  }
  World.pass(world, settleMs)
  return world
}

/** Ids of the nodes that run. @since 0.1.0 */
export const idsOf = <G extends Guest>(world: Fleet<G>): ReadonlyArray<NodeId.NodeId> =>
  World.running(world).map(({ peer }) => peer.id)

const machine = <G extends Guest>(
  guest: GuestStep<G>,
  self: Peer.Peer,
  contacts: ReadonlyArray<string>,
  seed: string
): World.Booted<Protocol<G>> => ({
  step: (state, input) => step(guest, state, input),
  initial: {
    self,
    view: ViewManager.make(
      { ...ViewManager.defaults, ...viewSettings, self, contacts },
      Rng.make(`${seed}/view-manager`)
    ),
    shuffler: Shuffler.make({ ...Shuffler.defaults, self }, Rng.make(`${seed}/shuffler`)),
    guest: undefined
  }
})

// ---------------------------------------------------------------------------------------------------------------------
// One step, run to completion
// ---------------------------------------------------------------------------------------------------------------------

interface Turn<G extends Guest> {
  readonly step: GuestStep<G>
  readonly now: Machine.Instant
  readonly wall: number
  state: State<G>
  readonly waiting: Array<Wiring.Delivery>
  readonly actions: Array<World.Action<Protocol<G>>>
}

const step = <G extends Guest>(
  guest: GuestStep<G>,
  state: State<G>,
  { event, now, wall }: World.Input<Protocol<G>>
): Machine.Step<State<G>, World.Action<Protocol<G>>> => {
  const turn: Turn<G> = { step: guest, now, wall, state, waiting: [], actions: [] }
  accept(turn, event)
  for (let next = turn.waiting.shift(); next !== undefined; next = turn.waiting.shift()) deliver(turn, next)
  return [turn.state, turn.actions]
}

const started = { _tag: "Started" } as const

const accept = <G extends Guest>(turn: Turn<G>, event: World.Event<Protocol<G>>): void => {
  const { waiting } = turn
  switch (event._tag) {
    case "Started":
      waiting.push({ to: "shuffler", event: started }, { to: "view-manager", event: started })
      return
    case "Ask":
      return ask(turn, event.command)
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
      waiting.push({ to: "view-manager", event }, { to: "shuffler", event })
      return ask(turn, event)
    case "Received": {
      const { link, message } = event
      if (message.channel === "guest") return ask(turn, { _tag: "Received", link, message: message.message })
      const received = { _tag: "Received", link, message: message.message }
      waiting.push({ to: message.channel, event: received } as Wiring.Delivery)
      return
    }
    case "TimerFired": {
      const { timer } = event
      if (timer.part === "guest") return ask(turn, { _tag: "TimerFired", timer: timer.timer })
      waiting.push({ to: timer.part, event: { _tag: "TimerFired", timer: timer.timer } } as Wiring.Delivery)
      return
    }
    case "Written":
      return ask(turn, event)
  }
}

const ask = <G extends Guest>(turn: Turn<G>, event: GuestEvent<G>): void => {
  const { now, state, wall } = turn
  const [guest, actions] = turn.step(state.guest, { now, wall, self: state.self, view: state.view }, event)
  if (guest !== state.guest) turn.state = { ...state, guest }
  for (const action of actions) {
    if (action._tag === "Send") {
      turn.actions.push({ _tag: "Send", link: action.link, message: { channel: "guest", message: action.message } })
    } else if (action._tag === "SetTimer") {
      turn.actions.push({ _tag: "SetTimer", delayMs: action.delayMs, timer: { part: "guest", timer: action.timer } })
    } else turn.actions.push(action)
  }
}

const deliver = <G extends Guest>(turn: Turn<G>, { event, to }: Wiring.Delivery): void => {
  const { now, state } = turn
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
    case "facts":
      // The guest is in their place, and hears what they would of neighbours.
      if (event._tag === "Neighbors") ask(turn, event)
      return
    default:
      return
  }
}

const carryOut = <G extends Guest, P extends Part>(turn: Turn<G>, part: P, action: Component.ActionOf<P>): void => {
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
const ownerOf = (attempt: number): Part => (attempt % 2 === 1 ? "shuffler" : "view-manager")

const ownOf = (attempt: number): number => Math.floor(attempt / 2)

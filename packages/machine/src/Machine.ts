/**
 * The shape of a protocol: `step(state, input) -> [state, actions]`.
 *
 * A machine has no clock, no randomness and no IO of its own. What time it is rides on the input; chance is a seed in
 * the state; timers are data that the shell hands back; everything the machine wants done is an action. So the same
 * code runs inside a supervised actor, inside the simulator and inside a property test.
 *
 * A state is a value: a step never mutates it, and the last good state survives a step that throws.
 *
 * @since 0.1.0
 */
import type { Peer } from "./Peer.ts"

/**
 * Milliseconds on the monotonic clock of the node that runs the machine. Only differences mean anything.
 *
 * @since 0.1.0
 * @category models
 */
export type Instant = number

/**
 * What happens to a machine, and when.
 *
 * @since 0.1.0
 * @category models
 */
export interface Input<out Event> {
  readonly now: Instant
  readonly event: Event
}

/** @since 0.1.0 @category models */
export type Step<State, Action> = readonly [State, ReadonlyArray<Action>]

/**
 * @since 0.1.0
 * @category models
 */
export interface Machine<State, in Event, out Action, in In extends Input<Event> = Input<Event>> {
  readonly initial: State
  readonly step: (state: State, input: In) => Step<State, Action>
}

/**
 * A connection as the node at this end numbers it: new for every connection, never used again in this process. The two
 * ends number the same connection differently.
 *
 * @since 0.1.0
 * @category models
 */
export type LinkId = number

/**
 * Why this node closes a link. It travels to the other end, so that no close is mistaken for a crash.
 *
 * @since 0.1.0
 * @category models
 */
export type CloseReason = "done" | "evicted" | "replaced" | "refused" | "left" | "silent" | "violation"

/**
 * Why a link is down, seen from this end. `closed-by-peer` carries the reason the other end gave; `reset` is a
 * connection that ended without one (the other process died, or its host closed it); `local` is our own `Close`.
 *
 * @since 0.1.0
 * @category models
 */
export type DownReason =
  | { readonly _tag: "ClosedByPeer"; readonly reason: CloseReason }
  | { readonly _tag: "Reset" }
  | { readonly _tag: "Timeout" }
  | { readonly _tag: "Overflow" }
  | { readonly _tag: "Local"; readonly reason: CloseReason }

/**
 * Why a link could not be opened. `Refused`: the host answered and nobody listens. `Unreachable`: no answer at all.
 * `Rejected`: the handshake was answered with a refusal, for instance of another fleet.
 *
 * @since 0.1.0
 * @category models
 */
export type OpenFailure =
  | { readonly _tag: "Refused" }
  | { readonly _tag: "Unreachable" }
  | { readonly _tag: "Rejected"; readonly code: string; readonly message: string }

/**
 * What the shell tells every machine that uses links, timers or the store.
 *
 * - `LinkUp`: a connection is open and both ends know who the other is. `attempt` is that of the `Open` it answers, and
 *   absent on a connection that the peer opened.
 * - `LinkDown`: no frame of this link will follow. Sent once for each `LinkUp`.
 * - `LinkRefused`: the answer to an `Open` that failed.
 * - `Received`: a frame of the link, in the order in which it was sent.
 * - `TimerFired`: a timer of `SetTimer`, unread. A stale one must be harmless.
 * - `Written`: the `Write` with this token, and all before it, are durable.
 *
 * @since 0.1.0
 * @category models
 */
export type ShellEvent<Message, Timer> =
  | { readonly _tag: "LinkUp"; readonly link: LinkId; readonly peer: Peer; readonly attempt?: number }
  | { readonly _tag: "LinkDown"; readonly link: LinkId; readonly reason: DownReason }
  | { readonly _tag: "LinkRefused"; readonly attempt: number; readonly address: string; readonly failure: OpenFailure }
  | { readonly _tag: "Received"; readonly link: LinkId; readonly message: Message }
  | { readonly _tag: "TimerFired"; readonly timer: Timer }
  | { readonly _tag: "Written"; readonly token: number }

/**
 * One change of the durable state: `value` is plain data, or null to remove the row. Tables and keys are the
 * component's choice; what a table may hold is written in `member`'s list of tables.
 *
 * @since 0.1.0
 * @category models
 */
export interface StoreRow {
  readonly table: string
  readonly key: string
  readonly value: unknown
}

/**
 * What a machine may ask of the shell.
 *
 * - `Open`: connect to `address`; answered by `LinkUp` or `LinkRefused` with the same `attempt`, a number the component
 *   chooses and never uses again.
 * - `Send`: put a message on a link. Dropped in silence, and counted, if the link is gone.
 * - `Close`: what was sent before still leaves; then the link is closed, and answered by `LinkDown`.
 * - `SetTimer`: answered once by `TimerFired`, after `delayMs`. There is no cancel: the timer says what it waits for.
 * - `Write`: make these rows durable, all or none; answered by `Written`. A crash of the process before that may lose it. Writes of one
 *   component become durable in order.
 * - `Emit`: tell other components of this node, or the application. The wiring of `member` says who hears it.
 *
 * @since 0.1.0
 * @category models
 */
export type Action<Message, Timer, Output> =
  | { readonly _tag: "Open"; readonly attempt: number; readonly address: string }
  | { readonly _tag: "Send"; readonly link: LinkId; readonly message: Message }
  | { readonly _tag: "Close"; readonly link: LinkId; readonly reason: CloseReason }
  | { readonly _tag: "SetTimer"; readonly delayMs: number; readonly timer: Timer }
  | { readonly _tag: "Write"; readonly token: number; readonly rows: ReadonlyArray<StoreRow> }
  | { readonly _tag: "Emit"; readonly output: Output }

/**
 * A neighbour that counts: the handshake of the overlay is done at both ends. `near`: it is held for its nearness, in a
 * slot of its own beside those chosen at random. Whether it is in the same data centre, in whatever slot, says
 * `Peer.isNear(self, peer)`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Neighbor {
  readonly peer: Peer
  readonly link: LinkId
  readonly near?: true
}

/**
 * Feeds inputs one by one; returns the last state and all actions, for tests.
 *
 * @since 0.1.0
 * @category running
 */
export const run = <State, Event, Action, In extends Input<Event>>(
  machine: Machine<State, Event, Action, In>,
  inputs: ReadonlyArray<In>
): Step<State, Action> => {
  let state = machine.initial
  const actions: Array<Action> = []
  for (const input of inputs) {
    const [next, emitted] = machine.step(state, input)
    state = next
    actions.push(...emitted)
  }
  return [state, actions]
}

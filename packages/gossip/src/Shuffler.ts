/** The types of HyParView's shuffler; the steps follow. @since 0.1.0 */
import type { Codec, LinkGate, Machine, Peer, Rng } from "@starling/machine"

/** @since 0.1.0 */
export type Event =
  | Machine.ShellEvent<Message, Timer>
  | { readonly _tag: "Started" }
  | {
      readonly _tag: "Views"
      readonly version: number
      readonly active: ReadonlyArray<Machine.Neighbor>
      readonly passive: ReadonlyArray<Peer.Peer>
    }

/** @since 0.1.0 */
export type Output = {
  readonly _tag: "Integrate"
  readonly received: ReadonlyArray<Peer.Peer>
  readonly sent: ReadonlyArray<Peer.Peer>
}

/** @since 0.1.0 */
export type Message =
  | {
      readonly _tag: "Shuffle"
      readonly id: number
      readonly origin: Peer.Peer
      readonly list: ReadonlyArray<Peer.Peer>
      readonly ttl: number
    }
  | { readonly _tag: "ShuffleReply"; readonly id: number; readonly list: ReadonlyArray<Peer.Peer> }

/** @since 0.1.0 */
export interface Timer {
  readonly _tag: "Round"
  readonly round: number
}

/** @since 0.1.0 */
export type Action = Machine.Action<Message, Timer, Output>

/** @since 0.1.0 */
export interface Settings {
  readonly intervalMs: number
  readonly firstMs: number
  readonly ttl: number
  readonly ka: number
  readonly kp: number
  readonly inFlightMax: number
  readonly repliesMax: number
}

/** @since 0.1.0 */
export interface Config extends Settings {
  readonly self: Peer.Peer
}

/** @since 0.1.0 */
export interface State {
  readonly config: Config
  readonly rng: Rng.Rng
  readonly gate: LinkGate.LinkGate<Message>
  readonly passive: ReadonlyArray<Peer.Peer>
  readonly counters: Readonly<Record<string, number>>
}

/** @since 0.1.0 */
export declare const defaults: Settings
/** @since 0.1.0 */
export declare const make: (config: Config, rng: Rng.Rng) => State
/** @since 0.1.0 */
export declare const step: (state: State, input: Machine.Input<Event>) => Machine.Step<State, Action>
/** The same as `make`: nothing of a shuffle is worth keeping. @since 0.1.0 */
export declare const rebuild: (config: Config, rng: Rng.Rng) => State
/** @since 0.1.0 */
export declare const encode: (message: Message) => ReadonlyArray<unknown>
/** @since 0.1.0 */
export declare const decode: Codec.Decoder<Message>
/** @since 0.1.0 */
export declare const invariants: (state: State) => ReadonlyArray<string>

/** The types of HyParView's view manager; the steps follow. @since 0.1.0 */
import type { Codec, Machine, Peer, Rng } from "@starling/machine"
import type * as Model from "./internal/viewModel.ts"

/** @since 0.1.0 */
export type Event = Model.Event
/** @since 0.1.0 */
export type Output = Model.Output
/** @since 0.1.0 */
export type Message = Model.Message
/** @since 0.1.0 */
export type Timer = Model.Timer
/** @since 0.1.0 */
export type Action = Model.Action
/** @since 0.1.0 */
export type Settings = Model.Settings
/** @since 0.1.0 */
export type Config = Model.Config
/** @since 0.1.0 */
export type State = Model.State
/** @since 0.1.0 */
export type Cause = Model.Cause

/** @since 0.1.0 */
export declare const defaults: Settings
/** @since 0.1.0 */
export declare const make: (config: Config, rng: Rng.Rng, remembered?: ReadonlyArray<Peer.Peer>) => State
/** @since 0.1.0 */
export declare const step: (state: State, input: Machine.Input<Event>) => Machine.Step<State, Action>
/** @since 0.1.0 */
export declare const rebuild: (
  config: Config,
  links: ReadonlyArray<Machine.Neighbor>,
  remembered: ReadonlyArray<Peer.Peer>,
  rng: Rng.Rng
) => State
/** @since 0.1.0 */
export declare const rtt: (state: State, link: Machine.LinkId) => number | null
/** @since 0.1.0 */
export declare const encode: (message: Message) => ReadonlyArray<unknown>
/** @since 0.1.0 */
export declare const decode: Codec.Decoder<Message>
/** @since 0.1.0 */
export declare const invariants: (state: State) => ReadonlyArray<string>

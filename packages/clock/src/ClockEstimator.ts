/**
 * What a node must be able to do to learn how its clock stands to the clocks of the fleet: exchange blocks with
 * neighbours, and say what they amount to.
 *
 * Everything is told as an offset to the node's own *monotonic* clock, never to its wall clock or its stamps: a wall
 * clock that steps shows at once, and a stamp that was dragged has no vote.
 *
 * Two estimators of one interface can be compared on the same faults. The one that ships is `MedianEstimator`.
 *
 * @since 0.1.0
 */
import type { Codec, Machine, NodeId } from "@starling/machine"
import * as Stamp from "./Stamp.ts"

/**
 * `now` on the monotonic clock; `wall` in milliseconds since 1970 as the machine shows it, NaN if it has no clock.
 *
 * @since 0.1.0
 * @category models
 */
export interface Moment {
  readonly now: Machine.Instant
  readonly wall: number
}

/**
 * `need`: fewer clocks than this, the own among them, amount to nothing yet. `size`: how many nodes are known, this one
 * among them, and those that are gone; undefined if nobody has said so.
 *
 * @since 0.1.0
 * @category models
 */
export interface Demand {
  readonly need: number
  readonly size: number | undefined
}

/**
 * `usual`: what fits beside a keepalive. `full`: all that is known, for a neighbour that is new, and by a node that starts.
 *
 * @since 0.1.0
 * @category models
 */
export type BlockKind = "usual" | "full"

/**
 * - `neighbors`: these nodes, and no others, are neighbours now.
 * - `absorb`: a block of a neighbour, which was under way for `oneWayMs`.
 * - `estimate`: the fleet's time minus `at.now`, or undefined; once a round.
 * - `block`: what to send to a neighbour now.
 * - `votes`: how many clocks stand behind an estimate.
 * - `offsets`: every clock that is known, the own not among them, minus `at.now`.
 * - `restart`: the monotonic clock cannot be trusted across this moment; what was held in its terms is void.
 *
 * @since 0.1.0
 * @category models
 */
export interface ClockEstimator<State, Block> {
  readonly make: (self: NodeId.NodeId, seed: number | string) => State
  readonly neighbors: (state: State, neighbors: ReadonlyArray<NodeId.NodeId>) => State
  readonly absorb: (state: State, from: NodeId.NodeId, block: Block, oneWayMs: number, at: Moment) => State
  readonly estimate: (state: State, at: Moment, demand: Demand) => readonly [State, number | undefined]
  readonly block: (state: State, kind: BlockKind, at: Moment) => readonly [State, Block]
  readonly votes: (state: State, at: Moment) => number
  readonly offsets: (state: State, at: Moment) => ReadonlyArray<number>
  readonly restart: (state: State) => State
  readonly invariants: (state: State) => ReadonlyArray<string>
  readonly encode: (block: Block) => Uint8Array
  readonly decode: (bytes: Uint8Array) => Codec.Decoded<Block>
}

/** The clock's vote in the frame of `at.now`, or undefined of a clock that shows no instant from 1970 to 9999. @since 0.1.0 */
export const voteOf = (at: Moment): number | undefined =>
  at.wall >= 0 && at.wall <= Stamp.wallMax ? at.wall - at.now : undefined

/**
 * The clock cell of a node: a hybrid logical clock that is written in place, by the rules of `Hlc`.
 *
 * A stamp costs what reading the time costs and allocates nothing but itself. The cell is the one thing here that is not
 * a value; whoever wants a value takes `read`.
 *
 * @since 0.1.0
 */
import type { NodeId } from "@starling/machine"
import type * as Hlc from "./Hlc.ts"
import * as rules from "./internal/rules.ts"
import type * as Stamp from "./Stamp.ts"

/** @since 0.1.0 @category models */
export interface HlcCell {
  readonly node: NodeId.NodeId
  epoch: number
  wall: number
  counter: number
  limit: number
}

/** @since 0.1.0 @category constructors */
export const make = (reading: Hlc.Reading, node: NodeId.NodeId): HlcCell => ({
  node,
  epoch: reading.epoch,
  wall: reading.wall,
  counter: reading.counter,
  limit: reading.limit
})

/** What `Hlc.stamp` gives. `wallNow` is NaN if there is no physical clock. @since 0.1.0 */
export const stamp = (cell: HlcCell, wallNow: number): Stamp.Stamp => {
  rules.advance(cell, wallNow)
  return { epoch: cell.epoch, wall: cell.wall, counter: cell.counter, node: cell.node }
}

/** What `Hlc.receive` does. @since 0.1.0 */
export const receive: (cell: HlcCell, received: Stamp.Stamp, wallNow: number) => void = rules.receive

/** The cell as a value. @since 0.1.0 */
export const read = (cell: HlcCell): Hlc.Reading => ({
  epoch: cell.epoch,
  wall: cell.wall,
  counter: cell.counter,
  limit: cell.limit
})

/** What `Hlc.extend` and `Hlc.reset` made of a value of this cell. @since 0.1.0 */
export const write = (cell: HlcCell, reading: Hlc.Reading): void => {
  cell.epoch = reading.epoch
  cell.wall = reading.wall
  cell.counter = reading.counter
  cell.limit = reading.limit
}

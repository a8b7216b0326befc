/**
 * The hybrid logical clock as a value: what the clock cell of a node holds, and how sending, receiving and resetting
 * move it.
 *
 * The rules are those of Kulkarni, Demirbas, Madeppa, Avva, Leone ("Logical Physical Clocks", OPODIS 2014, §3.3), with
 * three additions. An *epoch* stands before the wall part and a higher one wins whatever the clocks say (Jon Moore,
 * Strange Loop 2015). A full *counter* carries one millisecond into the wall part, so that stamps go on increasing. And
 * a *lease* bounds what the physical clock may contribute: the node has made `limit` durable before it stamps up to it,
 * so a restart that begins above that mark repeats nothing. A lease that ran out stops no one: stamps then advance by
 * the counter only.
 *
 * Nothing here asks an actor: the shell applies `stamp` and `receive` to the cell in the same synchronous turn in which
 * it builds an event, so that no message can slip between reading the clock and using it.
 *
 * @since 0.1.0
 */
import type { NodeId } from "@starling/machine"
import * as Stamp from "./Stamp.ts"

/**
 * The last stamp given or received (`epoch`, `wall`, `counter`), and `limit`: milliseconds since 1970 up to which the
 * physical clock may be followed, because a mark there is durable.
 *
 * @since 0.1.0
 * @category models
 */
export interface Reading {
  readonly epoch: number
  readonly wall: number
  readonly counter: number
  readonly limit: number
}

/** A larger step of the epoch is no reset that we missed but garbage. Our choice: 1,024 resets. @since 0.1.0 */
export const epochStepMax = 1024

/**
 * The latest wall part that is followed, whoever says it: one day before the end of the calendar. Our choice: a stamp at
 * the very end would leave no later one; a day leaves room for 5e12.
 *
 * @since 0.1.0
 */
export const wallFollowMax = Stamp.wallMax - 86_400_000

/** A clock that has seen nothing yet. @since 0.1.0 @category constructors */
export const make = (limit: number): Reading => ({ epoch: 0, wall: 0, counter: 0, limit })

/**
 * The stamp of something that happens now at `node`, later than every stamp given or received before. `wallNow` is the
 * physical clock in milliseconds since 1970; it may jump as it likes.
 *
 * @since 0.1.0
 */
export const stamp = (
  reading: Reading,
  wallNow: number,
  node: NodeId.NodeId
): readonly [reading: Reading, stamp: Stamp.Stamp] => {
  const next = advance(reading, physical(reading, wallNow))
  return [next, { epoch: next.epoch, wall: next.wall, counter: next.counter, node }]
}

/**
 * Takes notice of another node's stamp: the reading afterwards is later than it and than the reading before. The event
 * of receiving may be stamped with it, or with any later one.
 *
 * A stamp that `refuses` names changes nothing but moves the clock on as `stamp` does.
 *
 * @since 0.1.0
 */
export const receive = (reading: Reading, received: Stamp.Stamp, wallNow: number): Reading => {
  const now = physical(reading, wallNow)
  if (received.epoch < reading.epoch || refuses(reading, received)) return advance(reading, now)
  if (received.epoch > reading.epoch) {
    // The old wall part is left behind with its epoch: that is what a reset is for.
    const next =
      now > received.wall
        ? { ...reading, epoch: received.epoch, wall: now, counter: 0 }
        : bump(reading, received.epoch, received.wall, received.counter + 1)
    return unleased(next)
  }
  const wall = Math.max(reading.wall, received.wall, now)
  if (wall === reading.wall) {
    const counter = wall === received.wall ? Math.max(reading.counter, received.counter) : reading.counter
    return bump(reading, reading.epoch, wall, counter + 1)
  }
  return wall === received.wall
    ? bump(reading, reading.epoch, wall, received.counter + 1)
    : { ...reading, wall, counter: 0 }
}

/**
 * True of a stamp that must not be followed, since nothing could be stamped after it for long: an epoch more than
 * `epochStepMax` ahead, or a wall part beyond `wallFollowMax`. What carries it counts as not received; a message that
 * is handled nevertheless breaks the law that an event is stamped later than what it knows of.
 *
 * @since 0.1.0
 */
export const refuses = (reading: Reading, received: Stamp.Stamp): boolean =>
  received.epoch > reading.epoch + epochStepMax || (received.epoch >= reading.epoch && received.wall > wallFollowMax)

/**
 * Begins the epoch after `expectedEpoch` with the physical clock; undefined if this is not the epoch of the reading.
 * Compare and set: two operators who reset the same epoch end in the next one, not in the next but one.
 *
 * @since 0.1.0
 */
export const reset = (reading: Reading, expectedEpoch: number, wallNow: number): Reading | undefined =>
  reading.epoch !== expectedEpoch || reading.epoch >= Stamp.epochMax
    ? undefined
    : unleased({ ...reading, epoch: reading.epoch + 1, wall: physical(reading, wallNow), counter: 0 })

/**
 * Follows the physical clock up to the limit of a lease, which is durable. A limit never moves back, and a lease of an
 * epoch that was left meanwhile says nothing about this one.
 *
 * @since 0.1.0
 */
export const extend = (reading: Reading, lease: { readonly epoch: number; readonly limit: number }): Reading =>
  lease.epoch === reading.epoch && lease.limit > reading.limit ? { ...reading, limit: lease.limit } : reading

/** The reading as a stamp of `node`: not later than the next one it gives. @since 0.1.0 */
export const last = (reading: Reading, node: NodeId.NodeId): Stamp.Stamp => ({
  epoch: reading.epoch,
  wall: reading.wall,
  counter: reading.counter,
  node
})

/** Of the new epoch nothing is durable yet: no following of the physical clock until there is. */
const unleased = (reading: Reading): Reading => ({ ...reading, limit: Math.min(reading.limit, reading.wall) })

const advance = (reading: Reading, now: number): Reading =>
  now > reading.wall
    ? { ...reading, wall: now, counter: 0 }
    : bump(reading, reading.epoch, reading.wall, reading.counter + 1)

/** What the physical clock may contribute: whole milliseconds, within the lease and the calendar. */
const physical = (reading: Reading, wallNow: number): number => {
  const now = Math.min(wallNow, reading.limit, wallFollowMax)
  return now > 0 ? Math.floor(now) : 0
}

const bump = (reading: Reading, epoch: number, wall: number, counter: number): Reading =>
  counter > Stamp.counterMax ? { ...reading, epoch, wall: wall + 1, counter: 0 } : { ...reading, epoch, wall, counter }

/**
 * The hybrid logical clock as a value: what the clock cell of a node holds, and how sending, receiving and resetting
 * move it.
 *
 * The rules are those of Kulkarni, Demirbas, Madappa, Avva, Leone ("Logical Physical Clocks", OPODIS 2014, §3.3), with
 * three additions. An *epoch* stands before the wall part and a higher one wins whatever the clocks say (Jon Moore,
 * Strange Loop 2015). A full *counter* carries one millisecond into the wall part, so that stamps go on increasing. And
 * a *lease* bounds what the physical clock may contribute: the node has made `limit` durable before it stamps up to it,
 * so a restart that begins above that mark repeats nothing. A lease that ran out stops no one: stamps then advance by
 * the counter only.
 *
 * Nothing here asks an actor: the shell applies `stamp` and `receive` to the cell in the same synchronous turn in which
 * it builds an event, so that no message can slip between reading the clock and using it. `HlcCell` is the same by the
 * same rules in place, for those who stamp hundreds of thousands of times a second.
 *
 * @since 0.1.0
 */
import type { NodeId } from "@starling/machine"
import * as rules from "./internal/rules.ts"
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
export const epochStepMax = rules.epochStepMax

/**
 * The latest wall part that is followed, whoever says it: one day before the end of the calendar. Our choice: a stamp at
 * the very end would leave no later one; a day leaves room for 5e12.
 *
 * @since 0.1.0
 */
export const wallFollowMax = rules.wallFollowMax

/** A clock that has seen nothing yet. @since 0.1.0 @category constructors */
export const make = (limit: number): Reading => ({ epoch: 0, wall: 0, counter: 0, limit })

/**
 * The stamp of something that happens now at `node`, later than every stamp given or received before. `wallNow` is the
 * physical clock in milliseconds since 1970; it may jump as it likes. NaN says that there is none: stamps then advance
 * by the counter, from what was received.
 *
 * @since 0.1.0
 */
export const stamp = (
  reading: Reading,
  wallNow: number,
  node: NodeId.NodeId
): readonly [reading: Reading, stamp: Stamp.Stamp] => {
  const next = copy(reading)
  rules.advance(next, wallNow)
  return [next, last(next, node)]
}

/**
 * Takes notice of another node's stamp: the reading afterwards is later than it and than the reading before. The event
 * of receiving may be stamped with it, or with any later one.
 *
 * A stamp that `refuses` names changes nothing but moves the clock on as `stamp` does. Whether a stamp that could be
 * followed should be is `Guard`'s to say, before.
 *
 * @since 0.1.0
 */
export const receive = (reading: Reading, received: Stamp.Stamp, wallNow: number): Reading => {
  const next = copy(reading)
  rules.receive(next, received, wallNow)
  return next
}

/**
 * True of a stamp that must not be followed, since nothing could be stamped after it for long: an epoch more than
 * `epochStepMax` ahead, or a wall part beyond `wallFollowMax`. What carries it counts as not received; a message that
 * is handled nevertheless breaks the law that an event is stamped later than what it knows of.
 *
 * @since 0.1.0
 */
export const refuses: (reading: Reading, received: Stamp.Stamp) => boolean = rules.refuses

/**
 * Begins the epoch after `expectedEpoch` with the physical clock, or without one (NaN) with the wall part that it has;
 * undefined if this is not the epoch of the reading. Compare and set: two operators who reset the same epoch end in the
 * next one, not in the next but one.
 *
 * @since 0.1.0
 */
export const reset = (reading: Reading, expectedEpoch: number, wallNow: number): Reading | undefined => {
  if (reading.epoch !== expectedEpoch || reading.epoch >= Stamp.epochMax) return undefined
  const next = copy(reading)
  rules.reset(next, wallNow)
  return next
}

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

const copy = (reading: Reading): rules.Draft => ({
  epoch: reading.epoch,
  wall: reading.wall,
  counter: reading.counter,
  limit: reading.limit
})

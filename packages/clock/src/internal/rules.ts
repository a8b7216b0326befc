/**
 * The rules of the hybrid logical clock, once, in place: `Hlc` applies them to a copy of a value, `HlcCell` to the cell
 * of a node, where a stamp is to cost no more than reading the time does.
 */
import * as Stamp from "../Stamp.ts"

/** `Hlc.Reading`, open for writing. */
export interface Draft {
  epoch: number
  wall: number
  counter: number
  limit: number
}

export const epochStepMax = 1024
export const wallFollowMax = Stamp.wallMax - 86_400_000

/** A local event, or one of sending. */
export const advance = (draft: Draft, wallNow: number): void => {
  // Mostly within the millisecond of the last stamp: what the lease and the calendar make of that time is not later.
  if (wallNow <= draft.wall && draft.counter < Stamp.counterMax) draft.counter++
  else advanceTo(draft, physical(draft, wallNow))
}

export const receive = (draft: Draft, received: Stamp.Stamp, wallNow: number): void => {
  const now = physical(draft, wallNow)
  if (received.epoch < draft.epoch || refuses(draft, received)) return advanceTo(draft, now)
  if (received.epoch > draft.epoch) {
    // The old wall part is left behind with its epoch: that is what a reset is for.
    draft.epoch = received.epoch
    if (now > received.wall) put(draft, now, 0)
    else put(draft, received.wall, received.counter + 1)
    return unlease(draft)
  }
  if (now > draft.wall && now > received.wall) put(draft, now, 0)
  else if (received.wall > draft.wall) put(draft, received.wall, received.counter + 1)
  else if (received.wall < draft.wall) put(draft, draft.wall, draft.counter + 1)
  else put(draft, draft.wall, Math.max(draft.counter, received.counter) + 1)
}

export const refuses = (reading: Readonly<Draft>, received: Stamp.Stamp): boolean =>
  received.epoch > reading.epoch + epochStepMax || (received.epoch >= reading.epoch && received.wall > wallFollowMax)

/** Without a physical clock the wall part stays where it is: the epoch alone makes what follows later. */
export const reset = (draft: Draft, wallNow: number): void => {
  draft.epoch++
  draft.counter = 0
  if (!Number.isNaN(wallNow)) draft.wall = physical(draft, wallNow)
  unlease(draft)
}

const advanceTo = (draft: Draft, now: number): void => {
  if (now > draft.wall) put(draft, now, 0)
  else put(draft, draft.wall, draft.counter + 1)
}

/** A full counter carries one millisecond. */
const put = (draft: Draft, wall: number, counter: number): void => {
  const isFull = counter > Stamp.counterMax
  draft.wall = isFull ? wall + 1 : wall
  draft.counter = isFull ? 0 : counter
}

/** Of the new epoch nothing is durable yet: no following of the physical clock until there is. */
const unlease = (draft: Draft): void => {
  if (draft.limit > draft.wall) draft.limit = draft.wall
}

/** What the physical clock may contribute: whole milliseconds, within the lease and the calendar. Without one, nothing. */
const physical = (draft: Draft, wallNow: number): number => {
  const most = draft.limit < wallFollowMax ? draft.limit : wallFollowMax
  const now = wallNow < most ? wallNow : most
  // A missing clock is NaN, of which every comparison is false.
  return wallNow > 0 && now > 0 ? Math.floor(now) : 0
}

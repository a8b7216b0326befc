/**
 * One timer at a time, without a cancel: a timer carries the number of its arming, and one of another number is stale.
 *
 * An event can be lost with a step that crashed, a fired timer too. So nobody believes a timer for ever: one that is
 * `graceMs` overdue is armed again by whatever event comes next.
 */
import type { Machine } from "@starling/machine"

export interface Alarm {
  readonly number: number
  /** When the armed timer fires; null if none is armed. */
  readonly dueAt: Machine.Instant | null
}

export const off: Alarm = { number: 0, dueAt: null }

/** Our choice: longer than a busy event loop delays a timer, shorter than anything here waits for. */
const graceMs = 1000

/** The alarm that fires at `dueAt` or before; the same object if the armed one does. */
export const want = (alarm: Alarm, now: Machine.Instant, dueAt: Machine.Instant): Alarm =>
  alarm.dueAt !== null && alarm.dueAt <= dueAt && now <= alarm.dueAt + graceMs
    ? alarm
    : { number: alarm.number + 1, dueAt: Math.max(now, dueAt) }

/** True of the timer that was armed last. */
export const isCurrent = (alarm: Alarm, number: number): boolean => alarm.dueAt !== null && alarm.number === number

export const fired = (alarm: Alarm): Alarm => ({ number: alarm.number, dueAt: null })

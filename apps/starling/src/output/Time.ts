/**
 * Durations as people write and read them, and ages by the clock of the node that answered.
 *
 * @since 0.1.0
 */
import * as Stamp from "@starling/clock/Stamp"

const units = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const

const isUnit = (text: string): text is keyof typeof units => Object.hasOwn(units, text)

/** `250ms`, `10s`, `5m`, `1h` or `7d` in milliseconds. @since 0.1.0 */
export const parse = (text: string): number | undefined => {
  const match = /^(\d{1,9})(ms|s|m|h|d)$/.exec(text)
  const unit = match?.[2]
  return match === null || unit === undefined || !isUnit(unit) ? undefined : Number(match[1]) * units[unit]
}

/** In the largest unit that leaves at least one: `4s`, `12m`, `3h`, `9d`. @since 0.1.0 */
export const format = (ms: number): string => {
  if (!(ms >= 1000)) return "0s"
  if (ms < 60_000) return `${Math.floor(ms / 1000)}s`
  if (ms < 3_600_000) return `${Math.floor(ms / 60_000)}m`
  if (ms < 2 * 86_400_000) return `${Math.floor(ms / 3_600_000)}h`
  return `${Math.floor(ms / 86_400_000)}d`
}

/** How long before the answer it was: `at` is the clock stamp of the answer. @since 0.1.0 */
export const ago = (at: string, iso: string): string => {
  const now = wallOf(at)
  const then = Stamp.parseIso(iso)
  return now === undefined || then === undefined ? iso : `${format(now - then)} ago`
}

/** Milliseconds since 1970 of a clock stamp. @since 0.1.0 */
export const wallOf = (stamp: string): number | undefined => {
  const read = Stamp.fromText(stamp)
  return read.ok ? read.value.wall : undefined
}

/** `2024-06-14T13:40:00.123Z` as `13:40:00.123`, with the day when it is not that of the answer. @since 0.1.0 */
export const clock = (at: string, iso: string): string => {
  const wall = wallOf(at)
  const today = wall === undefined ? "" : Stamp.isoOf(wall).slice(0, 10)
  const time = iso.slice(11, 23)
  return iso.slice(0, 10) === today || iso.length < 23 ? time || iso : `${iso.slice(5, 10)} ${time}`
}

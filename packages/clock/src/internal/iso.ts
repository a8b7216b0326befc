/**
 * Dates without `Date`: the pure floors have none, and stamps must read as ISO 8601.
 *
 * The civil-date arithmetic is Howard Hinnant's ("chrono-compatible low-level date algorithms", `civil_from_days` and
 * `days_from_civil`), for the years 1970 to 9999.
 */

/** 9999-12-31T23:59:59.999Z. */
export const wallMax = 253_402_300_799_999

const dayMs = 86_400_000

/** `YYYY-MM-DDTHH:mm:ss.sssZ` of a whole number in 0..wallMax; what lies outside is moved to the nearer end. */
export const isoOf = (wallMs: number): string => {
  const wall = wallMs >= 0 ? Math.min(Math.floor(wallMs), wallMax) : 0
  const days = Math.floor(wall / dayMs)
  const inDay = wall - days * dayMs
  // Eras of 400 years that begin on 1 March: leap days come last, so that months need no table.
  const shifted = days + 719_468
  const era = Math.floor(shifted / 146_097)
  const dayOfEra = shifted - era * 146_097
  const yearOfEra = Math.floor(
    (dayOfEra - Math.floor(dayOfEra / 1460) + Math.floor(dayOfEra / 36_524) - Math.floor(dayOfEra / 146_096)) / 365
  )
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100))
  const shiftedMonth = Math.floor((5 * dayOfYear + 2) / 153)
  const day = dayOfYear - Math.floor((153 * shiftedMonth + 2) / 5) + 1
  const month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
  const year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
  const hours = Math.floor(inDay / 3_600_000)
  const minutes = Math.floor(inDay / 60_000) % 60
  const seconds = Math.floor(inDay / 1000) % 60
  return (
    `${pad(year, 4)}-${pad(month, 2)}-${pad(day, 2)}T` +
    `${pad(hours, 2)}:${pad(minutes, 2)}:${pad(seconds, 2)}.${pad(inDay % 1000, 3)}Z`
  )
}

/** Milliseconds since 1970 of exactly what `isoOf` writes; undefined for every other text, a 30 February among them. */
export const parseIso = (text: string): number | undefined => {
  const match = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)\.(\d{3})Z$/.exec(text)
  if (match === null) return undefined
  const part = (index: number): number => Number(match[index])
  const month = part(2)
  const shiftedYear = month <= 2 ? part(1) - 1 : part(1)
  const era = Math.floor(shiftedYear / 400)
  const yearOfEra = shiftedYear - era * 400
  const dayOfYear = Math.floor((153 * (month > 2 ? month - 3 : month + 9) + 2) / 5) + part(3) - 1
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear
  const days = era * 146_097 + dayOfEra - 719_468
  const wall = days * dayMs + part(4) * 3_600_000 + part(5) * 60_000 + part(6) * 1000 + part(7)
  // Fields out of range give another instant, which is written differently.
  return wall >= 0 && wall <= wallMax && isoOf(wall) === text ? wall : undefined
}

const pad = (value: number, width: number): string => String(value).padStart(width, "0")

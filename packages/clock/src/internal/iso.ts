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
  if (text.length !== 24 || !hasSeparators(text)) return undefined
  const year = two(text, 0) * 100 + two(text, 2)
  const month = two(text, 5)
  const day = two(text, 8)
  const hours = two(text, 11)
  const minutes = two(text, 14)
  const seconds = two(text, 17)
  const millis = two(text, 20) * 10 + digit(text, 22)
  // What is no digit is NaN, and in no range.
  const isInRange =
    year >= 1970 && month >= 1 && month <= 12 && hours < 24 && minutes < 60 && seconds < 60 && millis >= 0
  if (!isInRange || !(day >= 1 && day <= daysIn(year, month))) return undefined
  const shiftedYear = month <= 2 ? year - 1 : year
  const era = Math.floor(shiftedYear / 400)
  const yearOfEra = shiftedYear - era * 400
  const dayOfYear = Math.floor((153 * (month > 2 ? month - 3 : month + 9) + 2) / 5) + day - 1
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear
  const days = era * 146_097 + dayOfEra - 719_468
  return days * dayMs + hours * 3_600_000 + minutes * 60_000 + seconds * 1000 + millis
}

const hasSeparators = (text: string): boolean =>
  text.charCodeAt(4) === 0x2d &&
  text.charCodeAt(7) === 0x2d &&
  text.charCodeAt(10) === 0x54 &&
  text.charCodeAt(13) === 0x3a &&
  text.charCodeAt(16) === 0x3a &&
  text.charCodeAt(19) === 0x2e &&
  text.charCodeAt(23) === 0x5a

const daysIn = (year: number, month: number): number => {
  if (month === 2) return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28
  return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31
}

const digit = (text: string, at: number): number => {
  const value = text.charCodeAt(at) - 0x30
  return value >= 0 && value <= 9 ? value : Number.NaN
}

const two = (text: string, at: number): number => digit(text, at) * 10 + digit(text, at + 1)

const pad = (value: number, width: number): string => String(value).padStart(width, "0")

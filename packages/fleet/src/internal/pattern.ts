/** Key patterns: `*` stands for one or more characters of a segment, `**` for one or more whole segments. */
import { keyLengthMax } from "../Config.ts"

/** Why it is not a pattern, or undefined. */
export const isPattern = (pattern: string): boolean =>
  pattern.length <= keyLengthMax &&
  pattern.split("/").every((segment) => segment === "**" || /^[a-z0-9*][a-z0-9._*-]*$/.test(segment))

export const matches = (pattern: string, key: string): boolean => segments(pattern.split("/"), 0, key.split("/"), 0)

const segments = (pattern: ReadonlyArray<string>, p: number, key: ReadonlyArray<string>, k: number): boolean => {
  const wanted = pattern[p]
  if (wanted === undefined) return k === key.length
  const found = key[k]
  if (found === undefined) return false
  if (wanted === "**") return segments(pattern, p + 1, key, k + 1) || segments(pattern, p, key, k + 1)
  return text(wanted, found) && segments(pattern, p + 1, key, k + 1)
}

/** Greedy with one step back, so that no pattern takes more than length times length. */
const text = (pattern: string, found: string): boolean => {
  let p = 0
  let f = 0
  let star = -1
  let mark = 0
  while (f < found.length) {
    if (pattern[p] === "*") {
      star = p++
      mark = ++f
    } else if (pattern[p] === found[f]) {
      p++
      f++
    } else if (star !== -1) {
      p = star + 1
      f = ++mark
    } else return false
  }
  return p === pattern.length
}

/**
 * The sequence numbers of one origin that have been seen, as disjoint intervals: the delivered window of a broadcast
 * origin, or the dots of a writer. Everything seen in order takes one interval, however long it runs.
 *
 * @since 0.1.0
 */
import * as Codec from "./Codec.ts"

/**
 * Ascending, disjoint, not adjacent: `[from, to]` inclusive, `from >= 1`.
 *
 * @since 0.1.0
 * @category models
 */
export type SeqSet = ReadonlyArray<readonly [from: number, to: number]>

/** @since 0.1.0 @category constructors */
export const empty: SeqSet = []

/** 1..to, or nothing. @since 0.1.0 @category constructors */
export const upTo = (to: number): SeqSet => (to < 1 ? empty : [[1, to]])

/** @since 0.1.0 */
export const has = (set: SeqSet, seq: number): boolean => {
  // Newest first: almost every question is about the last interval.
  for (let i = set.length - 1; i >= 0; i--) {
    const [from, to] = set[i] as readonly [number, number]
    if (seq > to) return false
    if (seq >= from) return true
  }
  return false
}

/** @since 0.1.0 */
export const add = (set: SeqSet, seq: number): SeqSet => addRange(set, seq, seq)

/** @since 0.1.0 */
export const addRange = (set: SeqSet, from: number, to: number): SeqSet => {
  if (to < from) return set
  const last = set[set.length - 1]
  if (last !== undefined && from >= last[0] && from <= last[1] + 1) {
    return to <= last[1] ? set : [...set.slice(0, -1), [last[0], to]]
  }
  const out: Array<readonly [number, number]> = []
  let low = from
  let high = to
  let placed = false
  for (const interval of set) {
    if (interval[1] + 1 < low) out.push(interval)
    else if (high + 1 < interval[0]) {
      if (!placed) out.push([low, high])
      placed = true
      out.push(interval)
    } else {
      low = Math.min(low, interval[0])
      high = Math.max(high, interval[1])
    }
  }
  if (!placed) out.push([low, high])
  return out
}

/** The largest n such that 1..n are all in the set; 0 if 1 is missing. @since 0.1.0 */
export const contiguous = (set: SeqSet): number => {
  const first = set[0]
  return first !== undefined && first[0] === 1 ? first[1] : 0
}

/** The largest number in the set, or 0. @since 0.1.0 */
export const max = (set: SeqSet): number => set[set.length - 1]?.[1] ?? 0

/** How many numbers are in the set. @since 0.1.0 */
export const size = (set: SeqSet): number => set.reduce((sum, [from, to]) => sum + to - from + 1, 0)

/** The same numbers. @since 0.2.0 */
export const isSame = (a: SeqSet, b: SeqSet): boolean =>
  a.length === b.length && a.every(([from, to], i) => from === b[i]?.[0] && to === b[i]?.[1])

/** At most `limit` numbers of `a` that are not in `b`, ascending. @since 0.1.0 */
export const missing = (a: SeqSet, b: SeqSet, limit: number): ReadonlyArray<number> => {
  const out: Array<number> = []
  for (const [from, to] of a) {
    let seq = from
    for (const [low, high] of b) {
      if (high < seq) continue
      if (low > to) break
      for (; seq < low && out.length < limit; seq++) out.push(seq)
      seq = Math.max(seq, high + 1)
      if (out.length >= limit) return out
    }
    for (; seq <= to && out.length < limit; seq++) out.push(seq)
  }
  return out
}

/** Closes the lowest gaps until at most `intervalsMax` intervals are left: what was not seen there counts as seen. @since 0.1.0 */
export const compact = (set: SeqSet, intervalsMax: number): SeqSet => {
  if (set.length <= intervalsMax) return set
  const cut = set.length - intervalsMax
  const first = set[0] as readonly [number, number]
  const joined = set[cut] as readonly [number, number]
  return [[first[0], joined[1]], ...set.slice(cut + 1)]
}

/** @since 0.1.0 @category codec */
export const encode = (set: SeqSet): ReadonlyArray<unknown> => set.flat()

/** At most 1,024 intervals are accepted (our choice: far beyond what reordering makes). @since 0.1.0 @category codec */
export const decode: Codec.Decoder<SeqSet> = (input) => {
  if (!Array.isArray(input) || input.length % 2 !== 0 || input.length > 2048)
    return Codec.refuse("sequence set: expected pairs")
  const out: Array<readonly [number, number]> = []
  let previous = -1
  for (let i = 0; i < input.length; i += 2) {
    const from: unknown = input[i]
    const to: unknown = input[i + 1]
    if (!Codec.isCount(from) || !Codec.isCount(to) || from < 1 || to < from || from <= previous + 1) {
      return Codec.refuse("sequence set: intervals must ascend and not touch")
    }
    out.push([from, to])
    previous = to
  }
  return Codec.accept(out)
}

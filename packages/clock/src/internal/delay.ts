/**
 * How long a block was under way, without a common clock.
 *
 * A message carries the sender's monotonic time. Reception minus sending is its delay plus the difference of two zeros,
 * so the least of these *transits* in both directions add up to the least round trip: the zeros cancel. Half of that is
 * the delay of a message that met no obstacle, and what a certain message took beyond the least shows in its own transit.
 * So one that TCP had to send again, a second late, is corrected by that second, and its readings are as good as others.
 * (NTP's clock filter, RFC 5905 §10, believes the least delay in the same way.)
 *
 * As everywhere, half a round trip is the one-way delay only as far as both ways are alike.
 */

/** The least value of this window and the one before it. */
export interface Least {
  readonly current: number
  readonly previous: number
  readonly since: number
}

/** Our choice: in 30 s clocks drift apart by 3 ms at 100 ppm. */
export const windowMs = 30_000

/** Nothing takes longer; what claims to is a fault of a clock. Our choice: TCP gives up about then. */
export const delayMax = 60_000

export const nothing: Least = { current: Infinity, previous: Infinity, since: -Infinity }

export const least = ({ current, previous }: Least): number => Math.min(current, previous)

export const see = (seen: Least, value: number, now: number): Least =>
  now - seen.since >= windowMs
    ? { current: value, previous: seen.current, since: now }
    : value < seen.current
      ? { ...seen, current: value }
      : seen

/**
 * When a message was sent; `era` counts how often the sender's monotonic clock became another one. `back` is the least
 * transit of the receiver's messages, as far as the sender has seen it, and the receiver's era that it is of.
 */
export interface Timed {
  readonly sentAt: number
  readonly era: number
  readonly back: { readonly transit: number; readonly era: number } | undefined
}

/** What is known of the way from a neighbour and back. */
export interface Way {
  /** The neighbour's; undefined until it was heard. */
  readonly era: number | undefined
  readonly transit: Least
  /** The least transit of the way back; undefined until it was told. */
  readonly back: number | undefined
  /** Messages that were learned from. */
  readonly count: number
}

export const unknown: Way = { era: undefined, transit: nothing, back: undefined, count: 0 }

/** Learns from a message that came now. */
export const learn = (known: Way, timed: Timed, now: number, ownEra: number): Way => {
  const way = known.era === timed.era ? known : unknown
  const { back } = timed
  return {
    era: timed.era,
    transit: see(way.transit, now - timed.sentAt, now),
    back: back !== undefined && back.era === ownEra ? back.transit : way.back,
    count: way.count + 1
  }
}

/**
 * How long a message of this transit was under way, or undefined while that cannot be told: the way back is not known, or
 * all messages of a young link were so slow that half of their round trip says nothing. (The first may have been the one
 * that TCP had to send again.)
 */
export const oneWay = (way: Way, transit: number, toleranceMs: number): number | undefined => {
  if (way.back === undefined) return undefined
  const quickest = least(way.transit)
  const half = Math.max(quickest + way.back, 0) / 2
  return half > toleranceMs && way.count < settledCount ? undefined : Math.min(half + transit - quickest, delayMax)
}

/** Our choice: of so many messages one was not late. */
const settledCount = 8

/** What to tell the neighbour of its messages. */
export const backOf = ({ era, transit }: Way): Timed["back"] =>
  era === undefined ? undefined : { transit: least(transit), era }

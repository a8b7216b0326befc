/**
 * What weather does to a packet, for worlds of other kinds that want the same (`World` has it built in).
 *
 * @since 0.1.0
 */
import { defaults, type Weather } from "./internal/model.ts"

/**
 * How much later than after `latencyMs` a packet comes in this weather, in milliseconds. `draw` gives a number in [0, 1) for
 * each call. Frames that tear their link or come twice (`resetShare`, `duplicateShare`) are none of its business.
 *
 * @since 0.1.0
 */
export const latenessMs = (
  { delayMs = 0, jitterMs = 0, jitterTimes = 1, lossShare = 0, tailMs = 0 }: Partial<Weather>,
  latencyMs: number,
  draw: () => number
): number => {
  const [from, to] = defaults.network.resendMs
  return (
    delayMs +
    (jitterMs > 0 ? draw() * jitterMs : 0) +
    (jitterTimes > 1 ? latencyMs * draw() * (jitterTimes - 1) : 0) +
    (tailMs > 0 ? tailMs * tail(draw()) : 0) +
    (lossShare > 0 ? lostMs(lossShare, draw, () => from + draw() * (to - from)) : 0)
  )
}

/** How far out in a heavy tail (a Pareto distribution of shape 2, from 0), for a number in [0, 1). @since 0.1.0 */
export const tail = (unit: number): number => Math.min(tailMax, 1 / Math.sqrt(1 - unit) - 1)

const tailMax = 100

/**
 * A packet that is lost is sent again after `resendMs`, and so is that one, each time after twice as long: for how long in all.
 *
 * @since 0.1.0
 */
export const lostMs = (lossShare: number, draw: () => number, resendMs: () => number): number => {
  let waited = 0
  for (let ms = 0; waited < lostMsMax && draw() < lossShare; waited += ms) ms = ms === 0 ? resendMs() : 2 * ms
  return waited
}

/** TCP gives up later than any protocol here. */
const lostMsMax = 60_000

/**
 * What the papers report at n = 10,000. HyParView: Leitão, Pereira, Rodrigues, TR DI-FCUL 07-13 (table 1, figures 2 and
 * 4). Plumtree: the same, TR DI-FCUL 07-14 (table 1, figures 3 to 6). What stands in a figure only is read off it, to
 * about two points.
 *
 * @since 0.1.0
 */

/** By failed nodes in per cent: 10, 20, 30, 40, 50, 60, 70, 80, 90, 95. @since 0.1.0 @category models */
export type ByPercent = ReadonlyArray<number>

/** Mean reliability, per cent, of the broadcasts sent right after the failure, before any cycle: figure 2. @since 0.1.0 */
export const reliability: Readonly<Record<"HyParView" | "CyclonAcked" | "Cyclon" | "Scamp", ByPercent>> = {
  HyParView: [100, 100, 100, 100, 100, 100, 100, 100, 100, 91],
  CyclonAcked: [98, 98, 98, 98, 98, 98, 97, 46, 0, 0],
  Cyclon: [97, 96, 92, 86, 73, 50, 12, 0, 0, 0],
  Scamp: [95, 92, 88, 80, 66, 40, 4, 0, 0, 0]
}

/** Cycles until the reliability is what it was before the failure, for 10 to 90 per cent: figure 4. @since 0.1.0 */
export const healing: Readonly<Record<"HyParView" | "CyclonAcked" | "Cyclon", ByPercent>> = {
  HyParView: [1, 1, 1, 1, 1, 1, 2, 2, 4],
  CyclonAcked: [8, 26, 24, 27, 32, 24, 35, 51, 71],
  Cyclon: [42, 48, 51, 69, 72, 80, 102, 107, 158]
}

/** Table 1. @since 0.1.0 */
export const graphs: ReadonlyArray<{
  readonly name: string
  readonly clustering: number
  readonly path: number
  readonly hops: number
}> = [
  { name: "HyParView", clustering: 0.00092, path: 6.38542, hops: 9 },
  { name: "Cyclon (view 35)", clustering: 0.006836, path: 2.60426, hops: 10.6 },
  { name: "Scamp (c = 4)", clustering: 0.022476, path: 3.35398, hops: 14.1 }
]

/** First broadcast after a failure of 10 to 90 per cent in a Plumtree that existed before, per cent: figure 6a. @since 0.1.0 */
export const firstBroadcast: Readonly<Record<"Plumtree" | "eager", ReadonlyArray<number | null>>> = {
  Plumtree: [100, 100, 100, 99, 95, 56, 31, 0, 0],
  eager: [100, 100, 100, null, 95, 84, null, 0, 0]
}

/** Broadcasts until everybody has each again, for 10 to 90 per cent, at most: figure 6b. @since 0.1.0 */
export const treeHealing: ByPercent = [1, 1, 1, 1, 1, 2, 2, 3, 4]

/** Redundancy of the first broadcasts of one sender: figure 3. @since 0.1.0 */
export const bootstrap: ReadonlyArray<number> = [2, 0.9, 0.03, 0, 0, 0]

/** Redundancy of the first broadcast after a failure of 40, 60 and 80 per cent: figure 6c. @since 0.1.0 */
export const spikes: ReadonlyArray<readonly [percent: number, redundancy: number]> = [
  [40, 1.9],
  [60, 2.3],
  [80, 2]
]

/** Broadcasts after a failure until redundancy is 0 again: figure 6c. @since 0.1.0 */
export const redundancyGone: readonly [from: number, to: number] = [2, 4]

/** One broadcast in the hundredth cycle: table 1. @since 0.1.0 */
export const messages = {
  payloads: 9999,
  control: [29_987, 29_990],
  eager: 39_984,
  lastHop: [8, 9],
  eagerHop: 8,
  /** Of many senders that share one tree, with the optimisation: figure 4; without it 50 to 75. */
  sharedHop: 17
} as const

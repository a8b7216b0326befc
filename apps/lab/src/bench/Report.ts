/**
 * What a run of `bench actor` found, as `--json` prints it and as the page is made from.
 *
 * @since 0.1.0
 */
import type { ArmId, Row } from "./Rows.ts"

/**
 * `rounds`: one value a round, or two where the row is a latency: p50, p99.
 *
 * @since 0.1.0
 * @category models
 */
export interface Figures {
  readonly arm: ArmId
  readonly label: string | undefined
  readonly rounds: ReadonlyArray<ReadonlyArray<number>>
}

/** Milliseconds. @since 0.1.0 @category models */
export interface Wait {
  readonly p50: number
  readonly p99: number
  readonly max: number
  readonly samples: number
}

/** A timer of 1 ms, and a byte to a socket and back, in Starling's process while it runs the row. @since 0.1.0 @category models */
export interface Waits {
  readonly timer: Wait
  readonly echo: Wait
}

/** @since 0.1.0 @category models */
export interface RowReport {
  readonly row: Row
  readonly figures: ReadonlyArray<Figures>
  readonly waits: Waits
}

/** Messages per second, and bytes after collection. @since 0.1.0 @category models */
export interface CrowdRound {
  readonly rate: number
  readonly heap: ReadonlyArray<number>
  readonly crashes: number
}

/** @since 0.1.0 @category models */
export interface CrowdReport {
  readonly pairs: ReadonlyArray<{ readonly quiet: CrowdRound; readonly crashing: CrowdRound }>
  readonly waits: Waits
}

/** @since 0.1.0 @category models */
export interface Machine {
  readonly cpu: string
  readonly cores: number
  readonly kernel: string
  readonly commit: string
  readonly versions: { readonly [name: string]: string }
}

/**
 * - `core`: the one that all arms shared.
 * - `roundMs`, `crowdSeconds`: how long a round was, and one of the crowd.
 * - `probeMs`: how long timers and sockets were watched beside a row.
 *
 * @since 0.1.0
 * @category models
 */
export interface Settings {
  readonly core: number
  readonly rounds: number
  readonly roundMs: number
  readonly probeMs: number
  readonly crowdSeconds: number
}

/** `load`: the average of a minute, before and after. @since 0.1.0 @category models */
export interface Report {
  readonly date: string
  readonly minutes: number
  readonly load: { readonly before: number; readonly after: number }
  readonly machine: Machine
  readonly settings: Settings
  readonly rows: ReadonlyArray<RowReport>
  readonly crowd: CrowdReport | undefined
}

/** @since 0.1.0 @category models */
export interface Summary {
  readonly median: number
  readonly least: number
  readonly most: number
}

/** Of the n-th value of each round. @since 0.1.0 */
export const summary = (rounds: ReadonlyArray<ReadonlyArray<number>>, n: number = 0): Summary => {
  const sorted = rounds.map((values) => values[n] ?? Number.NaN).toSorted((a, b) => a - b)
  return { median: medianOf(sorted), least: sorted[0] ?? Number.NaN, most: sorted.at(-1) ?? Number.NaN }
}

/** The lower one of an even number. @since 0.1.0 */
export const medianOf = (values: ReadonlyArray<number>): number =>
  values.toSorted((a, b) => a - b)[(values.length - 1) >> 1] ?? Number.NaN

/** The figure of an arm in the tables: its first. @since 0.1.0 */
export const mainOf = ({ figures }: RowReport, arm: ArmId): Figures | undefined =>
  figures.find((figure) => figure.arm === arm)

/** The largest distance of a crashing round's heap from the first look at it, as a share. @since 0.1.0 */
export const heapDrift = ({ pairs }: CrowdReport): number => {
  const looks = pairs.flatMap(({ crashing }) => crashing.heap)
  const first = looks[0] ?? Number.NaN
  return Math.max(...looks.map((bytes) => Math.abs(bytes / first - 1)))
}

/** @since 0.1.0 */
export const crowdRatio = ({ pairs }: CrowdReport): Summary =>
  summary(pairs.map(({ crashing, quiet }) => [crashing.rate / quiet.rate]))

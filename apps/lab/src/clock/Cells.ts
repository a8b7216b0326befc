/**
 * The cells of the clock experiments: what is run, by name and numbers only, so that a worker thread can be told.
 *
 * @since 0.1.0
 */
import { FleetTime, MedianEstimator } from "@starling/clock"
import * as Fleet from "./Fleet.ts"
import * as Luby from "./Luby.ts"
import * as Overlay from "./Overlay.ts"
import * as Rounds from "./Rounds.ts"

/** @since 0.1.0 @category models */
export type Estimator = "median" | "luby"

/**
 * How nodes stamp. `unguarded`: by the fleet's time, with policy `accept`. `unfiltered`: the same, and the estimate is
 * followed at once. `hasty`: three votes make a fleet, and nothing must settle.
 *
 * @since 0.1.0
 * @category models
 */
export type Rule = "median" | "luby" | "plain" | "reject" | "unguarded" | "unfiltered" | "hasty"

/** @since 0.1.0 @category models */
export type Cell =
  | {
      readonly _tag: "rounds"
      readonly estimator: Estimator
      readonly size: number
      readonly bad: number
      readonly delayMs: number
      readonly isCorrected: boolean
      readonly loss: number
      readonly churn: number
      readonly rounds: number
      readonly seed: number
    }
  | {
      readonly _tag: "fleet"
      readonly rule: Rule
      readonly graph: "regular" | "hyparview"
      readonly size: number
      readonly bad: number
      readonly isAlike: boolean
      readonly jumpAtMs: number
      readonly startEveryMs: number
      readonly isSizeKnown: boolean
      readonly delayMs: number
      readonly late: number
      readonly churn: number
      readonly rounds: number
      readonly seed: number
    }
  | { readonly _tag: "reset"; readonly size: number; readonly seed: number }

/** Numbers by name; NaN where there is none. @since 0.1.0 @category models */
export interface Result {
  readonly numbers: Readonly<Record<string, number>>
  /** The share of nodes with right clocks that are beyond the guard, by round. */
  readonly dragged: ReadonlyArray<number>
}

/** @since 0.1.0 */
export const run = (cell: Cell): Result => {
  switch (cell._tag) {
    case "rounds":
      return runRounds(cell)
    case "fleet":
      return runFleet(cell)
    case "reset":
      return runReset(cell)
  }
}

const runRounds = (cell: Extract<Cell, { readonly _tag: "rounds" }>): Result => {
  const graph = graphOf("regular", cell.size, cell.seed)
  const setup = { ...cell, graph, roundMs: Fleet.roundMs, need: Math.min(3, cell.size) }
  if (cell.estimator === "median") {
    const { all, bias, bytes, max, near, p50, wrongShare, youngWrong } = Rounds.run({
      ...setup,
      estimator: MedianEstimator.estimator()
    })
    return { numbers: { all, bias, bytes, max, near, p50, wrongShare, youngWrong }, dragged: [] }
  }
  // Who follows whom at the top: the share of the largest following, and how often a node changes.
  let [agreedAt, changes, last] = [Number.NaN, 0, new Array<number>()]
  let share = 0
  const { bytes, max, p50, wrongShare } = Rounds.run({ ...setup, estimator: Luby.estimator() }, (round, states) => {
    const leaders = states.map(Luby.leaderOf)
    const following = new Map<number, number>()
    for (const leader of leaders) if (leader !== 0) following.set(leader, (following.get(leader) ?? 0) + 1)
    share = Math.max(0, ...following.values()) / states.length
    if (share >= 0.99 && Number.isNaN(agreedAt)) agreedAt = round
    if (round > cell.rounds * 0.75) for (const [i, leader] of leaders.entries()) if (leader !== last[i]) changes++
    last = leaders
  })
  const seconds = (cell.rounds * 0.25 * Fleet.roundMs) / 1000
  return { numbers: { bytes, max, p50, wrongShare, agreedAt, share, changes: changes / seconds }, dragged: [] }
}

const runFleet = (cell: Extract<Cell, { readonly _tag: "fleet" }>): Result => {
  const graph = graphOf(cell.graph, cell.size, cell.seed)
  if (cell.rule === "plain" || cell.rule === "reject") {
    return watch(cell, Fleet.make({ ...cell, graph, rule: { _tag: cell.rule } }))
  }
  const rule = { _tag: "population", fleet: filterOf(cell.rule), policy: policyOf(cell.rule) } as const
  return cell.rule === "luby"
    ? watch(cell, Fleet.make({ ...cell, graph, rule: { ...rule, estimator: Luby.estimator() } }))
    : watch(cell, Fleet.make({ ...cell, graph, rule: { ...rule, estimator: MedianEstimator.estimator() } }))
}

const policyOf = (rule: Rule): "refuse" | "accept" =>
  rule === "unguarded" || rule === "unfiltered" || rule === "hasty" ? "accept" : "refuse"

const filterOf = (rule: Rule): FleetTime.Config => {
  const { defaults } = FleetTime
  if (rule === "unfiltered") return { ...defaults, persistMs: 0 }
  if (rule === "hasty") return { ...defaults, persistMs: 0, quorum: 3, settleMs: 0, agreedMs: 0 }
  return defaults
}

/** Round by round: when everybody was right for good, how far stamps got, what the end looks like. */
const watch = <E, B>(cell: Extract<Cell, { readonly _tag: "fleet" }>, fleet: Fleet.Fleet<E, B>): Result => {
  let [settledAt, rightAt, estimatedAt] = [Number.NaN, Number.NaN, Number.NaN]
  let [lead, dragged, wrong, judged] = [-Infinity, 0, 0, 0]
  const series: Array<number> = []
  let look = Fleet.look(fleet)
  for (let round = 1; round <= cell.rounds; round++) {
    Fleet.run(fleet, round * Fleet.roundMs)
    look = Fleet.look(fleet)
    // A replaced node is young for a while: it is not waited for.
    const most = cell.churn > 0 ? 0.98 * look.alive : look.alive
    settledAt = since(settledAt, round, look.settled >= most)
    rightAt = since(rightAt, round, look.settled >= most && look.wrong === 0)
    estimatedAt = since(estimatedAt, round, look.estimating >= most && look.off === 0)
    lead = Math.max(lead, look.lead)
    dragged = Math.max(dragged, look.dragged)
    series.push(look.dragged / look.alive)
    if (round > cell.rounds / 2) {
      wrong += look.wrong
      judged += look.settled
    }
  }
  const { p50, max, dragged: draggedLast, settled, alive } = look
  const numbers = {
    settledAt,
    rightAt,
    estimatedAt,
    p50,
    max,
    wrongShare: judged === 0 ? Number.NaN : wrong / judged,
    settledShare: settled / alive,
    lead,
    dragged,
    draggedLast,
    refusedShare: fleet.refused / fleet.frames,
    bytes: fleet.bytes / fleet.sampled
  }
  return { numbers, dragged: series }
}

const since = (at: number, round: number, holds: boolean): number =>
  holds ? (Number.isNaN(at) ? round : at) : Number.NaN

/** One node of a settled fleet raises the epoch; stamps ride on the messages there are. */
const runReset = ({ seed, size }: Extract<Cell, { readonly _tag: "reset" }>): Result => {
  const fleet = Fleet.make({
    graph: graphOf("hyparview", size, seed),
    seed,
    rule: { _tag: "plain" },
    bad: 0,
    isAlike: false,
    jumpAtMs: 0,
    startEveryMs: 0,
    isSizeKnown: false,
    delayMs: 1,
    late: 0,
    churn: 0
  })
  Fleet.run(fleet, 2000)
  Fleet.reset(fleet, 0)
  let half = Number.NaN
  for (let round = 1; round < 1000; round++) {
    Fleet.run(fleet, 2000 + round * Fleet.roundMs)
    const { alive, epochs } = Fleet.look(fleet)
    if (Number.isNaN(half) && epochs >= alive / 2) half = round
    if (epochs === alive) return { numbers: { half, all: round }, dragged: [] }
  }
  return { numbers: { half, all: Number.NaN }, dragged: [] }
}

const graphs = new Map<string, Overlay.Graph>()

/** Seeds of a size share three overlays: growing one of 10,000 takes longer than measuring on it. */
const graphOf = (kind: "regular" | "hyparview", size: number, seed: number): Overlay.Graph => {
  const variant = kind === "hyparview" ? (size > 1000 ? 1 : 1 + (seed % 3)) : seed
  const key = `${kind}/${size}/${variant}`
  const known = graphs.get(key)
  if (known !== undefined) return known
  const graph = kind === "regular" ? Overlay.regular(size, 5, variant) : Overlay.hyparview(size, variant)
  if (kind === "hyparview") graphs.set(key, graph)
  return graph
}

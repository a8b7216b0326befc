/**
 * Which cells the clock experiments consist of. A section can be run by itself; the page is written from all that were.
 *
 * @since 0.1.0
 */
import type * as Cells from "./Cells.ts"

/** @since 0.1.0 @category models */
export type Section = "bands" | "grid" | "large" | "drag"

/** @since 0.1.0 */
export const sections: ReadonlyArray<Section> = ["bands", "grid", "large", "drag"]

type Rounds = Extract<Cells.Cell, { readonly _tag: "rounds" }>
type Fleet = Extract<Cells.Cell, { readonly _tag: "fleet" }>

/** @since 0.1.0 */
export const cells = (section: Section, seeds: number): ReadonlyArray<Cells.Cell> => {
  switch (section) {
    case "bands":
      return bands
    case "grid":
      return grid
    case "large":
      return large
    case "drag":
      return drag(seeds)
  }
}

const rounds = (change: Partial<Rounds>): Rounds => ({
  _tag: "rounds",
  estimator: "median",
  size: 1000,
  bad: 0.05,
  delayMs: 0,
  isCorrected: true,
  loss: 0,
  churn: 0,
  rounds: 60,
  seed: 1,
  ...change
})

const seedsOf = (count: number): ReadonlyArray<number> => Array.from({ length: count }, (_, i) => i + 1)

/** One neighbour at random, a graph in which everybody has five. */
const bands: ReadonlyArray<Cells.Cell> = [
  ...[100, 1000, 10_000].flatMap((size) =>
    [0.01, 0.05, 0.1, 0.3, 0.4]
      .filter((bad) => size < 10_000 || (bad >= 0.05 && bad < 0.4))
      .map((bad) => rounds({ size, bad }))
  ),
  ...[2, 20, 50].flatMap((delayMs) => [false, true].map((isCorrected) => rounds({ delayMs, isCorrected }))),
  rounds({ loss: 0.2 }),
  ...[0.001, 0.01].map((churn) => rounds({ churn, rounds: 120 })),
  ...[8, 16, 32, 48, 64].flatMap((size) =>
    seedsOf(3).map((seed) => rounds({ size, bad: Math.floor(0.45 * size) / size, rounds: 400, seed }))
  ),
  ...[30, 100, 300, 1000].map((size) =>
    rounds({ estimator: "luby", size, rounds: size < 1000 ? 450 : 300, delayMs: 2 })
  )
]

const fleet = (change: Partial<Fleet>): Fleet => ({
  _tag: "fleet",
  rule: "median",
  graph: "hyparview",
  size: 1000,
  bad: 0.1,
  isAlike: false,
  jumpAtMs: 0,
  startEveryMs: 0,
  isSizeKnown: false,
  delayMs: 0,
  late: 0,
  churn: 0,
  rounds: 150,
  seed: 1,
  ...change
})

const columns = [{}, { late: 0.2 }, { churn: 0.01 }] as const

const rules = ["median", "luby", "plain", "reject"] as const

/** The overlay that ships; every rule on the same faults. */
const grid: ReadonlyArray<Cells.Cell> = [100, 1000].flatMap((size) =>
  [0.01, 0.1, 0.3, 0.4].flatMap((bad) =>
    [0, 20, 50].flatMap((delayMs) =>
      columns.flatMap((column) => rules.map((rule) => fleet({ ...column, size, bad, delayMs, rule })))
    )
  )
)

const large: ReadonlyArray<Cells.Cell> = [0.1, 0.3].flatMap((bad) =>
  [{}, { churn: 0.01 }].flatMap((column) =>
    rules.map((rule) => fleet({ ...column, size: 10_000, bad, rounds: 100, rule }))
  )
)

const jumpAtMs = 10_000
const jumpRounds = 50 + 400

const drag = (seeds: number): ReadonlyArray<Cells.Cell> => [
  ...(["plain", "reject"] as const).map((rule) => fleet({ rule, bad: 0.01, jumpAtMs, rounds: 100 })),
  ...[0.3, 0.4].flatMap((bad) => seedsOf(seeds).map((seed) => fleet({ bad, jumpAtMs, rounds: jumpRounds, seed }))),
  ...[0.45, 0.5].flatMap((bad) =>
    seedsOf(Math.ceil(seeds / 5)).map((seed) => fleet({ bad, jumpAtMs, rounds: jumpRounds, seed }))
  ),
  ...(["unfiltered", "unguarded"] as const).flatMap((rule) =>
    seedsOf(2).map((seed) => fleet({ rule, bad: 0.4, jumpAtMs, rounds: jumpRounds, seed }))
  ),
  ...seedsOf(seeds).map((seed) => fleet({ bad: 0.3, rounds: 100, seed })),
  ...[9, 20, 64].flatMap((size) =>
    [0, 50, 300].flatMap((startEveryMs) =>
      [false, true].flatMap((isAlike) =>
        seedsOf(seeds).map((seed) =>
          fleet({ size, bad: 0.3, startEveryMs, isAlike, isSizeKnown: true, rounds: 150, seed })
        )
      )
    )
  ),
  ...seedsOf(3).map((seed) => fleet({ rule: "hasty", bad: 0.05, rounds: 100, seed })),
  ...seedsOf(3).map((seed) => fleet({ rule: "hasty", bad: 0.3, rounds: 100, seed })),
  ...[100, 1000].map((size): Cells.Cell => ({ _tag: "reset", size, seed: 1 }))
]

/**
 * `docs/results/clock.md` and its plot, from what the cells gave.
 *
 * @since 0.1.0
 */
import { EffectiveTime, Guard } from "@starling/clock"
import * as Markdown from "../Markdown.ts"
import * as Plot from "../Plot.ts"
import type * as Cells from "./Cells.ts"
import { type Section, sections } from "./Plan.ts"

/** @since 0.1.0 @category models */
export interface Ran {
  readonly cell: Cells.Cell
  readonly result: Cells.Result
}

/** A section as it was run. @since 0.1.0 @category models */
export interface Stored {
  readonly date: string
  readonly machine: string
  readonly seconds: number
  readonly ran: ReadonlyArray<Ran>
}

type Rounds = Extract<Cells.Cell, { readonly _tag: "rounds" }>
type Fleet = Extract<Cells.Cell, { readonly _tag: "fleet" }>

/** @since 0.1.0 */
export const render = (stored: Partial<Record<Section, Stored>>): string =>
  [
    "# The clock, measured",
    "",
    "Written by `npx -y pnpm@12 lab clock`; do not edit. What is measured here is described in",
    "[../protocols/clock.md](../protocols/clock.md). Good clocks are off by a normal error of 10 ms, bad ones 1 to 24 h ahead.",
    "A node is _right_ when it is within 50 ms of the lower median of all living clocks. Every cell is one seed unless it says",
    "otherwise; what is written is what was measured, good or bad.",
    "",
    ...sections.flatMap((section) => pageOf(section, stored[section]))
  ].join("\n")

const pageOf = (section: Section, stored: Stored | undefined): ReadonlyArray<string> =>
  stored === undefined ? [] : pages[section](stored).concat(origin(section, stored))

const origin = (section: Section, { date, machine, ran, seconds }: Stored): ReadonlyArray<string> => [
  `<sub>\`lab clock --only ${section}\`: ${ran.length} cells in ${Math.round(seconds)} s, ${date.slice(0, 10)}, ${machine}.</sub>`,
  ""
]

const pages: Readonly<Record<Section, (stored: Stored) => ReadonlyArray<string>>> = {
  bands: (stored) => bandsPage(stored),
  grid: (stored) => gridPage(stored),
  large: (stored) => largePage(stored),
  drag: (stored) => dragPage(stored)
}

const table = (head: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string>>): ReadonlyArray<string> => [
  ...Markdown.table(head, rows),
  ""
]

const number = (value: number | undefined, digits = 0): string =>
  value === undefined || value === null || Number.isNaN(value) ? "never" : value.toFixed(digits)

const ms = (value: number | undefined): string =>
  value === undefined || value === null || Number.isNaN(value)
    ? "–"
    : Math.abs(value) >= 1000
      ? span(value)
      : value.toFixed(1)

/** Milliseconds as people say them. */
const span = (value: number): string => {
  const seconds = Math.abs(value) / 1000
  const text =
    seconds >= 3600
      ? `${(seconds / 3600).toFixed(1)} h`
      : seconds >= 60
        ? `${(seconds / 60).toFixed(1)} min`
        : `${seconds.toFixed(1)} s`
  return value < 0 ? `−${text}` : text
}

const percent = (value: number | undefined, digits = 2): string =>
  value === undefined || value === null || Number.isNaN(value)
    ? "–"
    : value === 0
      ? "0"
      : `${(100 * value).toFixed(digits)} %`

const share = (value: number): string => `${Math.round(value * 100)} %`

const roundsOf = ({ ran }: Stored, accept: (cell: Rounds) => boolean): ReadonlyArray<readonly [Rounds, Cells.Result]> =>
  ran.flatMap(({ cell, result }) => (cell._tag === "rounds" && accept(cell) ? [[cell, result] as const] : []))

const fleetsOf = ({ ran }: Stored, accept: (cell: Fleet) => boolean): ReadonlyArray<readonly [Fleet, Cells.Result]> =>
  ran.flatMap(({ cell, result }) => (cell._tag === "fleet" && accept(cell) ? [[cell, result] as const] : []))

const bandsPage = (stored: Stored): ReadonlyArray<string> => {
  const median = (accept: (cell: Rounds) => boolean) =>
    roundsOf(stored, (cell) => cell.estimator === "median" && accept(cell))
  const isPlain = ({ churn, delayMs, loss, size }: Rounds): boolean =>
    churn === 0 && delayMs === 0 && loss === 0 && size >= 100
  return [
    "## The estimator by itself",
    "",
    "A random graph in which everybody has five neighbours; in a round every node sends one block to one of them, at random;",
    "no filter, no probation, no guard. _Design_ is what the simulation gave by which the estimator was chosen, rounds to 99.9 % and",
    "to all; why that needs up to six rounds less was not looked into.",
    "",
    ...table(
      ["nodes, bad clocks", "rounds to 99.9 %", "to all", "design", "p50 error, ms", "max, ms", "wrong", "bytes"],
      median(isPlain).map(([{ bad, size }, { numbers: n }]) => [
        `${size}, ${share(bad)}`,
        number(n["near"]),
        number(n["all"]),
        designed[`${size}, ${share(bad)}`] ?? "–",
        ms(n["p50"]),
        ms(n["max"]),
        percent(n["wrongShare"]),
        number(n["bytes"])
      ])
    ),
    "Delay, loss and churn at 1,000 nodes with 5 % bad clocks. _Bias_ is the median of all errors with their sign.",
    "",
    ...table(
      ["", "rounds to all", "bias, ms", "p50 error, ms", "max, ms", "wrong", "of the wrong, younger than 10 rounds"],
      median((cell) => cell.delayMs > 0 || cell.loss > 0 || cell.churn > 0).map(([cell, { numbers: n }]) => [
        conditionsOf(cell),
        // Who is young has no estimate yet: there is no round in which all are right.
        cell.churn > 0 ? "–" : number(n["all"]),
        ms(n["bias"]),
        ms(n["p50"]),
        ms(n["max"]),
        percent(n["wrongShare"], 3),
        percent(n["youngWrong"], 0)
      ])
    ),
    "Small fleets with 45 % bad clocks, 400 rounds, three seeds each: up to 32 nodes the median is exact.",
    "",
    ...table(
      ["nodes", "rounds to all", "max error at the end, ms", "wrong in the last quarter"],
      [8, 16, 32, 48, 64].map((size) => {
        const of = median((cell) => cell.size === size).map(([, { numbers }]) => numbers)
        return [
          String(size),
          of.map((n) => number(n["all"])).join(", "),
          of.map((n) => ms(n["max"])).join(", "),
          of.map((n) => percent(n["wrongShare"])).join(", ")
        ]
      })
    ),
    "The hierarchy of leaders by Luby's rule, as in `Comcast/dmc-sim`, with 5 % bad clocks and 2 ms delay, on the same graph:",
    "",
    ...table(
      [
        "nodes",
        "rounds until 99 % follow one leader",
        "follow it at the end",
        "changes of leader a second, at the end",
        "max error, ms",
        "wrong",
        "bytes"
      ],
      roundsOf(stored, ({ estimator }) => estimator === "luby").map(([{ size }, { numbers: n }]) => [
        String(size),
        number(n["agreedAt"]),
        percent(n["share"], 0),
        number(n["changes"], 1),
        ms(n["max"]),
        percent(n["wrongShare"]),
        number(n["bytes"])
      ])
    )
  ]
}

/** Rounds to 99.9 % of the nodes, and to all. */
const designed: Readonly<Record<string, string>> = {
  "100, 1 %": "1, 1",
  "100, 5 %": "6, 6",
  "100, 10 %": "4, 4",
  "1000, 1 %": "2, 2",
  "1000, 5 %": "4, 4",
  "1000, 10 %": "7, 7",
  "10000, 5 %": "4, 8",
  "10000, 10 %": "6, 11"
}

const conditionsOf = ({ churn, delayMs, isCorrected, loss }: Rounds): string => {
  if (loss > 0) return `${share(loss)} of the messages lost`
  if (churn > 0) return `${percent(churn, 1)} of the nodes replaced each round`
  return `${delayMs} ms delay, ${isCorrected ? "corrected" : "not corrected"}`
}

const ruleNames: Readonly<Record<string, string>> = {
  median: "Starling",
  luby: "Luby hierarchy",
  plain: "hybrid logical clock alone",
  reject: "reject 500 ms ahead of the own clock"
}

const columnOf = ({ churn, late }: Fleet): string =>
  late > 0 ? `${share(late)} late` : churn > 0 ? `${share(churn)} replaced in 10 s` : "quiet"

const fleetRow = ([cell, { numbers: n }]: readonly [Fleet, Cells.Result]): ReadonlyArray<string> => [
  `${share(cell.bad)}, ${cell.delayMs} ms, ${columnOf(cell)}`,
  number(n["estimatedAt"]),
  number(n["rightAt"]),
  ms(n["p50"]),
  ms(n["max"]),
  percent(n["wrongShare"], 3),
  ms(n["lead"]),
  number(n["bytes"])
]

const fleetHead = [
  "bad clocks, delay, column",
  "rounds to all estimates right",
  "to all settled and right",
  "p50 error, ms",
  "max, ms",
  "wrong",
  "furthest stamp ahead, ms",
  "bytes"
]

const gridPage = (stored: Stored): ReadonlyArray<string> => [
  "## On the overlay that ships",
  "",
  "The active views that HyParView's view managers make when nodes join one after the other; every neighbour is told once a",
  "second, so that a round is 200 ms. Whole population machines, with probation, filter and guard; all nodes start at once.",
  "_Late_ messages come 0.2 to 3 s late, and hold up what follows on their link. _To all_ leaves out nodes in probation where",
  "nodes are replaced (2 % may be), _wrong_ counts settled nodes in the second half. A _furthest stamp_ beyond the tolerance of",
  `${EffectiveTime.defaults.toleranceMs} ms would be a node that stamps by a wrong clock. _Bytes_ are those of a whole message, and 8 for the stamp on it.`,
  "",
  ...gridOf(stored, 100),
  ...gridOf(stored, 1000),
  ...othersOf(stored)
]

/** The other rules on the same faults, a row for each. */
const othersOf = (stored: Stored): ReadonlyArray<string> => [
  "### Others on the same faults",
  "",
  "The Luby hierarchy has the same filter and guard as Starling; _settled_ is the share of nodes at the end. The hybrid logical",
  "clock alone, and one that rejects what is more than 500 ms ahead of the own clock, estimate nothing.",
  "_Dragged_: the most nodes with right clocks whose stamps lay beyond true time by more than the guard",
  `(${Guard.defaults.guardMs / 1000} s). _Refused_: of all stamps; who rejects by its own clock is cut off from the wrong, and the wrong from it.`,
  "",
  ...table(
    [
      "nodes, bad clocks, delay, column",
      "Starling: rounds to all right",
      "dragged",
      "refused",
      "Luby: rounds to all right",
      "settled",
      "wrong",
      "dragged",
      "bytes",
      "clock alone: dragged",
      "reject: dragged",
      "refused"
    ],
    fleetsOf(stored, ({ rule }) => rule === "median").map(([cell, { numbers: own }]) => {
      const of = (rule: Fleet["rule"]): Cells.Result["numbers"] =>
        fleetsOf(stored, (other) => other.rule === rule && isSameFault(other, cell))[0]?.[1].numbers ?? {}
      const [luby, plain, reject] = [of("luby"), of("plain"), of("reject")]
      return [
        `${cell.size}, ${share(cell.bad)}, ${cell.delayMs} ms, ${columnOf(cell)}`,
        number(own["rightAt"]),
        number(own["dragged"]),
        percent(own["refusedShare"], 1),
        number(luby["rightAt"]),
        percent(luby["settledShare"], 1),
        percent(luby["wrongShare"], 3),
        number(luby["dragged"]),
        number(luby["bytes"]),
        number(plain["dragged"]),
        number(reject["dragged"]),
        percent(reject["refusedShare"], 1)
      ]
    })
  )
]

const isSameFault = (one: Fleet, other: Fleet): boolean =>
  one.size === other.size &&
  one.bad === other.bad &&
  one.delayMs === other.delayMs &&
  one.late === other.late &&
  one.churn === other.churn

const gridOf = (stored: Stored, size: number): ReadonlyArray<string> => [
  `### ${size} nodes`,
  "",
  ...table(fleetHead, fleetsOf(stored, (cell) => cell.rule === "median" && cell.size === size).map(fleetRow))
]

const largePage = (stored: Stored): ReadonlyArray<string> => [
  "### 10,000 nodes",
  "",
  ...table(fleetHead, fleetsOf(stored, ({ rule }) => rule === "median").map(fleetRow)),
  ...othersOf(stored)
]

const dragPage = (stored: Stored): ReadonlyArray<string> => {
  const jumping = fleetsOf(stored, ({ jumpAtMs }) => jumpAtMs > 0)
  const cold = fleetsOf(stored, ({ isSizeKnown, jumpAtMs }) => jumpAtMs === 0 && !isSizeKnown)
  const growing = fleetsOf(stored, ({ isSizeKnown }) => isSizeKnown)
  const resets = stored.ran.filter(({ cell }) => cell._tag === "reset")
  return [
    "## Who is dragged along",
    "",
    "1,000 nodes on the overlay that ships. After 10 s the bad clocks jump 1 to 24 h ahead; 400 rounds follow. _Dragged_ are",
    "nodes whose own clock is right and whose stamps lie more than the guard beyond true time; _furthest_ is the stamp of any node.",
    "`without guard` follows every stamp; `without filter` does too, and follows the estimate at once.",
    "",
    "![share of nodes dragged by rounds after the jump](clock.svg)",
    "",
    ...dragTable(jumping),
    "A cold start: all nodes boot together, the bad clocks are wrong from the beginning. `hasty` is satisfied with three votes,",
    "settles at once and has no guard.",
    "",
    ...dragTable(cold),
    "Small fleets that start with 30 % bad clocks and know how many have started, which is when agreement is enough to settle",
    "(`FleetTime.isAgreed`): nodes start one after the other, in random order, and the bad clocks are each wrong by a time of its",
    "own, or all by three hours. _Furthest_ is of any node, the wrong ones included.",
    "",
    ...dragTable(growing),
    "One node of a fleet raises the epoch; stamps ride on what is sent anyway:",
    "",
    ...table(
      ["nodes", "rounds to half of them", "to all"],
      resets.map(({ cell, result: { numbers: n } }) => [
        cell._tag === "reset" ? String(cell.size) : "",
        number(n["half"]),
        number(n["all"])
      ])
    )
  ]
}

const variantNames: Readonly<Record<string, string>> = {
  ...ruleNames,
  unguarded: "Starling without guard",
  unfiltered: "Starling without guard and filter",
  hasty: "hasty"
}

const nameOf = ({ bad, isAlike, isSizeKnown, rule, size, startEveryMs }: Fleet): string =>
  isSizeKnown
    ? `${size} nodes, ${startEveryMs === 0 ? "all at once" : `${startEveryMs} ms apart`}, ${isAlike ? "all by 3 h" : "each by its own"}`
    : `${variantNames[rule] ?? rule}, ${share(bad)} bad`

const dragTable = (of: ReadonlyArray<readonly [Fleet, Cells.Result]>): ReadonlyArray<string> => {
  const groups = new Map<string, Array<readonly [Fleet, Cells.Result]>>()
  for (const one of of) {
    const name = nameOf(one[0])
    groups.set(name, [...(groups.get(name) ?? []), one])
  }
  return table(
    [
      "",
      "seeds",
      "seeds with nodes dragged",
      "most dragged",
      "dragged at the end, most",
      "furthest stamp ahead",
      "wrong, most"
    ],
    [...groups].map(([name, all]) => {
      const most = (key: string): number => all.reduce((most, [, { numbers }]) => Math.max(most, numbers[key] ?? 0), 0)
      return [
        name,
        String(all.length),
        String(all.filter(([, { numbers }]) => (numbers["dragged"] ?? 0) > 0).length),
        percent(most("dragged") / (all[0]?.[0].size ?? 1), 1),
        percent(most("draggedLast") / (all[0]?.[0].size ?? 1), 1),
        span(most("lead")),
        percent(most("wrongShare"))
      ]
    })
  )
}

// ---------------------------------------------------------------------------------------------------------------------
// The plot
// ---------------------------------------------------------------------------------------------------------------------

/** Rounds of it. */
const plotted = 200

/** The share of right nodes dragged, round by round after the jump: one line for each rule, its worst seed. @since 0.1.0 */
export const plot = (stored: Stored): string => {
  const worst = new Map<string, Cells.Result>()
  for (const [cell, result] of fleetsOf(stored, ({ jumpAtMs }) => jumpAtMs > 0)) {
    const name = nameOf(cell)
    const known = worst.get(name)
    if (known === undefined || (known.numbers["dragged"] ?? 0) < (result.numbers["dragged"] ?? 0))
      worst.set(name, result)
  }
  return Plot.svg({
    title: "Right nodes that bad clocks drag along",
    x: "rounds after the jump",
    y: "right nodes dragged, per cent",
    yMax: 100,
    marks: [0, 0.25, 0.5, 0.75, 1].map((part) => part * plotted),
    series: [...worst].map(([name, { dragged }]) => ({
      name,
      points: dragged.slice(49, 50 + plotted).map((value, round) => [round, value * 100] as const)
    }))
  })
}

/**
 * The plots of `lab papers`: what was measured as lines, the papers' figures dashed.
 *
 * @since 0.1.0
 */
import * as Plot from "../Plot.ts"
import type { Results } from "./Experiments.ts"
import { type Failure, repaired } from "./Failures.ts"
import * as Figures from "./Figures.ts"
import { shippedCycles } from "./Promises.ts"

/** By the names of their files. @since 0.1.0 */
export const plots = (results: Results): Readonly<Record<string, Plot.Plot>> => ({
  path: path(results),
  clustering: clustering(results),
  degrees: degrees(results),
  reliability: reliability(results),
  healing: healing(results),
  redundancy: redundancy(results),
  messages: messages(results),
  hops: hops(results),
  first: first(results),
  recovery: recovery(results),
  recoveryhops: recoveryHops(results),
  churn: churn(results)
})

const failed = "failed nodes, per cent"

const byPercent = (
  { failures }: Results,
  name: string,
  value: (failure: Failure) => number | null | undefined
): Plot.Series => ({ name, points: failures.map((failure) => [failure.percent, value(failure) ?? null] as const) })

const paperByPercent = ({ failures }: Results, name: string, values: ReadonlyArray<number | null>): Plot.Series => ({
  name: `${name}, paper`,
  points: values.map((value, index) => [failures[index]?.percent ?? 0, value] as const),
  isPublished: true
})

/** From the first on. */
const byNumber = (name: string, values: ReadonlyArray<number | null>, isPublished = false): Plot.Series => ({
  name,
  points: values.map((value, index) => [index + 1, value] as const),
  isPublished
})

const path = ({ settling }: Results): Plot.Plot => ({
  title: "Mean shortest path while the overlay settles",
  x: "cycles since the last node joined",
  y: "hops",
  yMax: 8,
  series: [
    { name: "Starling", points: settling.map(({ cycle, path }) => [cycle, path] as const) },
    ...Figures.graphs.map(({ name, path }) =>
      Plot.level(
        `${name}, paper`,
        path,
        settling.map(({ cycle }) => cycle)
      )
    )
  ],
  marks: settling.map(({ cycle }) => cycle).filter((cycle) => cycle % 10 === 0)
})

const clustering = ({ settling }: Results): Plot.Plot => ({
  title: "Clustering while the overlay settles",
  x: "cycles since the last node joined",
  y: "clustering coefficient",
  yMax: 0.05,
  yEven: 0.0001,
  series: [
    { name: "Starling", points: settling.map(({ clustering, cycle }) => [cycle, clustering] as const) },
    ...Figures.graphs.map(({ clustering, name }) =>
      Plot.level(
        `${name}, paper`,
        clustering,
        settling.map(({ cycle }) => cycle)
      )
    )
  ],
  marks: settling.map(({ cycle }) => cycle).filter((cycle) => cycle % 10 === 0)
})

const degrees = ({ overlay, size }: Results): Plot.Plot => {
  const most = Math.max(overlay.activeIn.length, overlay.passiveIn.length)
  const shares = (name: string, counts: ReadonlyArray<number>): Plot.Series => ({
    name,
    points: [...counts, 0].map((nodes, times) => [times, (100 * nodes) / size] as const)
  })
  return {
    title: "In-degree of the settled overlay",
    x: "views that name a node",
    y: "nodes, per cent",
    yMax: 100,
    yEven: 0.1,
    series: [shares("active views", overlay.activeIn), shares("passive views", overlay.passiveIn)],
    marks: Array.from({ length: Math.floor(most / 5) + 1 }, (_, n) => 5 * n)
  }
}

const reliability = (results: Results): Plot.Plot => ({
  title: "Reach after failures, before any cycle",
  x: failed,
  y: "reach, per cent of the survivors",
  yMax: 100,
  series: [
    byPercent(results, "Starling", (failure) => 100 * repaired(failure)),
    byPercent(results, "Starling, not repaired", ({ unrepaired }) => 100 * unrepaired),
    ...(["HyParView", "CyclonAcked", "Cyclon", "Scamp"] as const).map((name) =>
      paperByPercent(results, name, Figures.reliability[name])
    )
  ]
})

const healing = (results: Results): Plot.Plot => ({
  title: "Cycles until everybody is reached again",
  x: failed,
  y: "cycles",
  yMax: 200,
  yEven: 1,
  series: [
    byPercent(results, "Starling, as shipped", shippedCycles),
    byPercent(results, "Starling, shuffles only", ({ cycles }) => cycles),
    ...(["HyParView", "CyclonAcked", "Cyclon"] as const).map((name) =>
      paperByPercent(results, name, Figures.healing[name])
    )
  ]
})

const redundancy = ({ many, single }: Results): Plot.Plot => ({
  title: "Redundancy of the first broadcasts",
  x: "broadcast",
  y: "payloads too many for each receiver, m / (n − 1) − 1",
  yMax: 4,
  series: [
    byNumber(
      "Starling, one sender",
      single.map(({ redundancy }) => redundancy)
    ),
    byNumber(
      `Starling, ${many.senders} at once`,
      many.rounds.map(({ redundancy }) => redundancy)
    ),
    byNumber("Plumtree, paper", Figures.bootstrap, true)
  ]
})

const messages = ({ single }: Results): Plot.Plot => {
  const xs = single.map((_, index) => index + 1)
  const [control] = Figures.messages.control
  return {
    title: "Messages of one broadcast",
    x: "broadcast",
    y: "messages",
    yMax: 40_000,
    series: [
      byNumber(
        "payloads",
        single.map(({ payloads }) => payloads)
      ),
      byNumber(
        "control",
        single.map(({ control }) => control)
      ),
      Plot.level("payloads, paper", Figures.messages.payloads, xs),
      Plot.level("control, paper", control as number, xs),
      Plot.level("payloads of eager push, paper", Figures.messages.eager, xs)
    ]
  }
}

const hops = ({ many, single }: Results): Plot.Plot => {
  const xs = single.map((_, index) => index + 1)
  const [least, most] = Figures.messages.lastHop
  return {
    title: "Last delivery hop",
    x: "broadcast",
    y: "hops",
    yMax: 20,
    series: [
      byNumber(
        "Starling, one sender",
        single.map(({ lastHop }) => lastHop)
      ),
      byNumber(
        `Starling, ${many.senders} at once`,
        many.rounds.map(({ lastHop }) => lastHop)
      ),
      Plot.level("one sender, paper (least)", least, xs),
      Plot.level("one sender, paper (most)", most, xs),
      Plot.level("many, optimised, paper", Figures.messages.sharedHop, xs)
    ]
  }
}

const first = (results: Results): Plot.Plot => ({
  title: "First broadcast after failures, in a tree of before",
  x: failed,
  y: "reached, per cent of the survivors",
  yMax: 100,
  series: [
    byPercent(results, "Starling, mending", ({ tree }) => 100 * (tree[0]?.reached ?? 0)),
    byPercent(results, "left as it is, best sender", ({ left }) => 100 * Math.max(0, ...left)),
    byPercent(results, "left as it is, all as senders", ({ unrepaired }) => 100 * unrepaired),
    paperByPercent(results, "Plumtree", Figures.firstBroadcast.Plumtree),
    paperByPercent(results, "eager push", Figures.firstBroadcast.eager)
  ]
})

/** Of the broadcasts after a failure, those that are shown; the first is 0. @since 0.1.0 */
export const shown = [0, 1, 2, 4, 7]

/** @since 0.1.0 */
export const ordinal = (index: number): string =>
  ["first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth"][index] ?? String(index + 1)

const recovery = (results: Results): Plot.Plot => ({
  title: "Redundancy of broadcasts after failures, without the optimisation",
  x: failed,
  y: "m / (n − 1) − 1",
  yMax: 3,
  series: [
    ...shown.map((index) => byPercent(results, ordinal(index), ({ plain }) => plain[index]?.redundancy)),
    { name: "first, paper", points: Figures.spikes, isPublished: true }
  ]
})

const recoveryHops = (results: Results): Plot.Plot => {
  const most = Math.max(...results.failures.flatMap(({ tree }) => tree.map(({ lastHop }) => lastHop)))
  return {
    title: "Last delivery hop after failures, as shipped",
    x: failed,
    y: "hops",
    yMax: 20 * Math.ceil(most / 20),
    series: shown.map((index) => byPercent(results, ordinal(index), ({ tree }) => tree[index]?.lastHop))
  }
}

const churn = ({ churn: { perCycle, rounds } }: Results): Plot.Plot => ({
  title: `Redundancy while ${perCycle} nodes fail in each cycle`,
  x: "cycle",
  y: "m / (n − 1) − 1",
  yMax: 0.1,
  series: [
    byNumber(
      "Starling",
      rounds.map(({ redundancy }) => redundancy)
    ),
    Plot.level(
      "Plumtree, paper (slightly above 0)",
      0,
      rounds.map((_, index) => index + 1)
    )
  ]
})

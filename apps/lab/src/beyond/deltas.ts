/**
 * What every node emits: along the trees of relays, and as it was before, flooded.
 *
 * @since 0.1.0
 */
import { check, figure } from "../Checks.ts"
import * as Markdown from "../Markdown.ts"
import * as Experiment from "./deltas/Experiment.ts"
import type { Part } from "./Part.ts"

type Order = Experiment.Order
type Result = Experiment.Result

/** Above this many nodes not each of them can have whole facts: documents are nodes squared. */
const wholeMax = 1000

/** @since 0.1.0 */
export const deltas: Part<Order, Result> = {
  name: "deltas",
  title: "What every node emits",
  about: "Every node changes its document within one second, round after round; then with relays killed meanwhile.",
  sizes: [1000, 10_000],
  orders: (sizes, seed) =>
    sizes
      .flatMap((size): ReadonlyArray<Order> => {
        // What nothing is promised of needs no more than to run.
        const [rounds, killings] = size < wholeMax ? [2, 1] : [5, 1]
        const relays: Order = { size, seed, way: "relays", jitterMs: 0, isWhole: false, rounds, killings }
        return size > wholeMax
          ? [relays]
          : [
              { ...relays, isWhole: true },
              { ...relays, isWhole: true, way: "flood", rounds: 2, killings: 0 },
              { ...relays, jitterMs: 50, killings: 0 }
            ]
      })
      .toSorted((a, b) => b.size - a.size),
  label: (order) => label(order),
  run: (order, progress) => Experiment.run(order, progress),
  checks: (results) =>
    results.flatMap((result) => {
      if (result.way === "flood" || result.jitterMs > 0) return []
      const name = label(result)
      const calm = calmOf(result)
      const redundancy = Math.max(...calm.map((round) => round.redundancy))
      const pulled = Math.max(...calm.map((round) => round.pulled))
      const slowest = Math.max(...calm.map((round) => round.last))
      const limit = 2 * result.quiet + 350
      const lost = result.results.reduce((sum, round) => sum + round.lost, 0)
      return [
        check(
          `${name}: redundancy from the second round on`,
          "< 0.05",
          Markdown.fixed(redundancy, 3),
          redundancy < 0.05
        ),
        check(
          `${name}: documents that had to be asked for, from the second round on`,
          "0",
          Markdown.count(pulled),
          pulled === 0
        ),
        check(
          `${name}: full delivery of the last change, ms`,
          `≤ 2 × quiet + 350 = ${Markdown.count(limit)}`,
          Markdown.count(slowest),
          slowest <= limit
        ),
        check(
          `${name}: changes lost, a quarter of the relays killed meanwhile`,
          "0",
          Markdown.count(lost),
          lost === 0 && result.results.some((round) => round.killed > 0)
        )
      ]
    }),
  figures: (results) =>
    results.flatMap((result) => [
      figure(
        `${label(result)}: redundancy`,
        Math.max(...calmOf(result).map((round) => round.redundancy)),
        "less",
        result.way === "flood" ? 0.3 : 0.03
      ),
      figure(
        `${label(result)}: full delivery, ms`,
        Math.max(...calmOf(result).map((round) => round.median)),
        "less",
        result.way === "flood" ? 150 : 50
      )
    ]),
  page: (results) => [
    "Links of 10 to 50 ms. Quiet is the full delivery of one change while nothing else happens. Redundancy is deltas received",
    "for each that brought something new, less one. A change is lost if some node that runs lacks it after 30 s.",
    "With whole facts each node has every document; else it keeps of each document only which change of it is here, and",
    "follows the same trees (`fleet/Relays`): ten thousand times ten thousand documents do not fit a machine. There everybody knows",
    "from the beginning who is a relay, and one that is killed is not replaced; with whole facts nodes find that out, so that a",
    "few more take themselves for one.",
    "",
    "![Redundancy by round](beyond/deltas-redundancy.svg)",
    "",
    "![Full delivery by round](beyond/deltas-delivery.svg)",
    "",
    ...Markdown.table(
      [
        "",
        "quiet, ms",
        "round",
        "relays killed",
        "redundancy",
        "asked for",
        "frames for each node",
        "median, ms",
        "99 %, ms",
        "last, ms",
        "lost"
      ],
      results.flatMap((result) =>
        result.results.map((round, index) => [
          label(result),
          Markdown.count(result.quiet),
          String(index + 1),
          round.killed === 0 ? "" : `${round.killed} of ${result.relays}`,
          Markdown.fixed(round.redundancy, 3),
          Markdown.count(round.pulled),
          Markdown.count(round.frames / result.size),
          Markdown.count(round.median),
          Markdown.count(round.p99),
          Markdown.count(round.last),
          Markdown.count(round.lost)
        ])
      )
    )
  ],
  plots: (results) => ({
    redundancy: {
      title: "Copies of what every node emits",
      x: "round",
      y: "redundancy",
      yMax: 3,
      series: results.map((result) => ({
        name: label(result),
        points: result.results.map(({ redundancy }, index) => [index + 1, redundancy] as const)
      }))
    },
    delivery: {
      title: "Full delivery of what every node emits",
      x: "round",
      y: "median, ms",
      yMax: 2000,
      series: results.map((result) => ({
        name: label(result),
        points: result.results.map(({ median }, index) => [index + 1, median] as const)
      }))
    }
  })
}

const label = ({ isWhole, jitterMs, size, way }: Order): string =>
  [
    `${size} nodes`,
    ...(isWhole ? ["whole facts"] : []),
    way === "flood" ? "flooded" : "by relays",
    ...(jitterMs > 0 ? [`jitter ${jitterMs} ms`] : [])
  ].join(", ")

/** From the second round on, before relays are killed. */
const calmOf = ({ results }: Result): ReadonlyArray<Experiment.Round> =>
  results.slice(1).filter(({ killed }) => killed === 0)

/**
 * Many nodes that broadcast at once: what the trees of one sender each settle to.
 *
 * @since 0.1.0
 */
import { World } from "@starling/sim"
import { check, figure } from "../Checks.ts"
import * as Fleets from "../Fleets.ts"
import * as Markdown from "../Markdown.ts"
import type { Part } from "./Part.ts"

interface Order {
  readonly size: number
  readonly seed: number
  readonly senders: number
}

interface Result extends Order {
  readonly rounds: ReadonlyArray<Fleets.Round>
}

/** Of the shuffler's ten seconds: each node has shuffled several times before anything is measured. */
const settleMs = 60_000

/** Longer than any delivery takes. */
const roundMs = 5000

const rounds = 6

/** @since 0.1.0 */
export const senders: Part<Order, Result> = {
  name: "senders",
  title: "Many senders at once",
  about: "Nodes broadcast at the same instant, round after round; each has a tree of its own.",
  sizes: [1000],
  orders: (sizes, seed) =>
    sizes.flatMap((size) => [100, 10].map((senders) => ({ size, seed, senders: Math.min(senders, size) }))),
  label: ({ senders, size }) => `${senders} of ${size}`,
  run: (order, progress) => {
    const { seed, size } = order
    const world = Fleets.joined({ size, seed, settings: {}, network: { jitterMs: 0 }, everyMs: 100, progress })
    World.pass(world, settleMs)
    const watch = new Fleets.Watch()
    const measured = World.fork(world, { observer: watch.observer })
    const roots = Fleets.choose(world, "senders", order.senders)
    return {
      ...order,
      rounds: Array.from({ length: rounds }, (_, index) => {
        const round = watch.round(measured, roots, roundMs)
        progress(`round ${index + 1}: redundancy ${Markdown.fixed(round.redundancy, 3)}, ${round.grafts} grafts`)
        return round
      })
    }
  },
  checks: (results) =>
    results.map(({ rounds, senders, size }) => {
      const at = settledAt(rounds)
      return check(
        `${senders} senders of ${size}: rounds to redundancy < 0.01 without grafts`,
        "≤ 3",
        at === null ? `more than ${rounds.length}` : String(at),
        at !== null && at <= 3 && rounds.every(({ reached }) => reached === 1)
      )
    }),
  figures: (results) =>
    results.flatMap(({ rounds, senders, size }) => [
      figure(`${senders} senders of ${size}: rounds to settle`, settledAt(rounds), "less", 0),
      figure(`${senders} senders of ${size}: last delivery, ms`, rounds.at(-1)?.lastMs ?? null, "less", 20)
    ]),
  page: (results) => [
    "![Redundancy by round](beyond/senders-redundancy.svg)",
    "",
    ...Markdown.table(
      ["senders", "round", "reached", "redundancy", "grafts for each", "last delivery, ms", "last hop"],
      results.flatMap(({ rounds, senders }) =>
        rounds.map((round, index) => [
          String(senders),
          String(index + 1),
          Markdown.percentOf(round.reached),
          Markdown.fixed(round.redundancy, 3),
          Markdown.fixed(round.grafts, 2),
          Markdown.count(round.lastMs),
          Markdown.fixed(round.lastHop, 1)
        ])
      )
    )
  ],
  plots: (results) => ({
    redundancy: {
      title: "Redundancy, many senders at once",
      x: "round",
      y: "m / (n − 1) − 1",
      yMax: 4,
      series: results.map(({ rounds, senders }) => ({
        name: `${senders} senders`,
        points: rounds.map(({ redundancy }, index) => [index + 1, redundancy] as const)
      }))
    }
  })
}

/** The round from which on all have redundancy < 0.01 and no grafts. */
const settledAt = (rounds: ReadonlyArray<Fleets.Round>): number | null => {
  const last = rounds.findLastIndex(({ grafts, redundancy }) => redundancy >= 0.01 || grafts > 0)
  return last + 1 < rounds.length ? last + 2 : null
}

/**
 * Many nodes that broadcast at once, each on a tree of its own or on one that it shares: what the trees settle to.
 *
 * @since 0.1.0
 */
import type { NodeId } from "@starling/machine"
import { World } from "@starling/sim"
import { OverlayFleet } from "@starling/testing"
import { type Check, check, figure } from "../Checks.ts"
import * as Fleets from "../Fleets.ts"
import * as Markdown from "../Markdown.ts"
import type { Part } from "./Part.ts"

interface Setting {
  readonly senders: number
  /** Broadcasts of each sender in a round. */
  readonly inFlight: number
  /** In the first round the second broadcast of each sender waits until the first has settled. */
  readonly holdsBack: boolean
}

/** One settled fleet, forked for each setting. */
interface Order {
  readonly size: number
  readonly seed: number
  /** Each frame takes its link's latency once to this many times. */
  readonly jitterTimes: number
  readonly settings: ReadonlyArray<Setting>
}

interface Run extends Setting {
  readonly rounds: ReadonlyArray<Round>
}

interface Result extends Order {
  readonly runs: ReadonlyArray<Run>
}

/** Means over all broadcasts of a round. */
interface Round {
  readonly reached: number
  readonly redundancy: number
  readonly grafts: number
  readonly lastHop: number
  /** From the broadcast to its last delivery: the median broadcast, in milliseconds. */
  readonly fullMs: number
}

/** Of the shuffler's ten seconds: each node has shuffled several times before anything is measured. */
const settleMs = 60_000

/** Longer than any delivery takes, and what it prunes. */
const roundMs = 5000

/** Between two broadcasts of one sender: the tenth leaves before the first has arrived everywhere. */
const everyMs = 10

/** Rounds before a setting is given up. */
const roundsMax = 25

/** So many rounds in a row without excess: what follows would say nothing new. */
const settledRounds = 2

/** @since 0.1.0 */
export const senders: Part<Order, Result> = {
  name: "senders",
  title: "Many senders at once",
  about:
    "Nodes broadcast at the same instant, round after round, over links of 10 to 50 ms: one broadcast each, or ten each " +
    "within 100 ms while every frame takes its link's latency once to twice.",
  sizes: [1000],
  orders: (sizes, seed) =>
    sizes.flatMap((size) => {
      const [many, few] = [Math.min(100, size), Math.min(10, size)]
      const one = (senders: number): Setting => ({ senders, inFlight: 1, holdsBack: false })
      const ten = (senders: number, holdsBack = false): Setting => ({ senders, inFlight: 10, holdsBack })
      return [
        { size, seed, jitterTimes: 2, settings: [one(many), ten(many)] },
        { size, seed, jitterTimes: 2, settings: [one(few), ten(few), ten(few, true)] },
        { size, seed, jitterTimes: 1, settings: [one(few), one(many)] }
      ]
    }),
  label: ({ jitterTimes, settings, size }) =>
    `${settings[0]?.senders} of ${size}${jitterTimes === 1 ? "" : `, jitter × ${jitterTimes}`}`,
  run: (order, progress) => {
    const { jitterTimes, seed, size } = order
    const network = { jitterMs: 0, jitterTimes }
    const world = Fleets.joined({ size, seed, settings: {}, network, everyMs: 100, progress })
    World.pass(world, settleMs)
    return { ...order, runs: order.settings.map((setting) => runOf(world, setting, progress)) }
  },
  checks: (results) =>
    // One broadcast each under jitter is what ten in flight are compared with, and promised nothing by itself.
    results.flatMap((result) =>
      result.runs.filter(({ inFlight }) => inFlight > 1 || result.jitterTimes === 1).map((run) => checkOf(result, run))
    ),
  figures: (results) =>
    results.flatMap((result) =>
      result.runs.flatMap((run) => [
        figure(`${nameOf(result, run)}: rounds to settle`, settledAt(run), "less", 1),
        figure(`${nameOf(result, run)}: median full delivery, ms`, lastOf(run).fullMs, "less", 20)
      ])
    ),
  page: (results) => [
    "![Redundancy by round](beyond/senders-redundancy.svg)",
    "",
    "A setting ends when two rounds in a row had redundancy < 0.01 and, with one broadcast each, no graft. _Held back_: in the first round the",
    "second broadcast of each sender waits until the first has settled.",
    "",
    ...Markdown.table(
      ["setting", "round", "reached", "redundancy", "grafts for each", "median full delivery, ms", "last hop"],
      each(results).flatMap(([result, run]) =>
        run.rounds.map((round, index) => [
          nameOf(result, run),
          String(index + 1),
          Markdown.percentOf(round.reached),
          Markdown.fixed(round.redundancy, 3),
          Markdown.fixed(round.grafts, 2),
          Markdown.count(round.fullMs),
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
      series: each(results).map(([result, run]) => ({
        name: nameOf(result, run),
        points: run.rounds.map(({ redundancy }, index) => [index + 1, redundancy] as const)
      }))
    }
  })
}

const runOf = (world: Fleets.Fleet, setting: Setting, progress: (text: string) => void): Run => {
  const watch = new Watch()
  const measured = World.fork(world, { observer: watch.observer })
  const roots = Fleets.choose(world, "senders", setting.senders)
  const rounds: Array<Round> = []
  let settled = 0
  while (rounds.length < roundsMax && settled < settledRounds) {
    const round = watch.round(measured, roots, setting.inFlight, setting.holdsBack && rounds.length === 0)
    rounds.push(round)
    settled = isSettled(setting, round) ? settled + 1 : 0
    progress(
      `${textOf(setting)}, round ${rounds.length}: redundancy ${Markdown.fixed(round.redundancy, 3)}, ` +
        `${Markdown.fixed(round.grafts, 2)} grafts for each, ${Markdown.count(round.fullMs)} ms`
    )
  }
  return { ...setting, rounds }
}

const checkOf = (result: Result, run: Run): Check => {
  const { inFlight, rounds } = run
  const at = settledAt(run)
  const within = inFlight === 1 ? 3 : roundsMax
  const settles = at !== null && at <= within && rounds.every(({ reached }) => reached === 1)
  const found = at === null ? `more than ${rounds.length} rounds` : `round ${at}`
  const quiet = result.runs.find((other) => other.inFlight === 1 && other.senders === run.senders)
  const name = nameOf(result, run)
  if (inFlight === 1 || quiet === undefined) {
    return check(name, `redundancy < 0.01 and no grafts within ${within} rounds`, found, settles)
  }
  const times = lastOf(run).fullMs / lastOf(quiet).fullMs
  const promised = `redundancy < 0.01 within ${within} rounds, full delivery ≤ 1.5 × that of one each`
  return check(name, promised, `${found}, ${Markdown.fixed(times, 2)} ×`, settles && times <= 1.5)
}

const each = (results: ReadonlyArray<Result>): ReadonlyArray<readonly [Result, Run]> =>
  results.flatMap((result) => result.runs.map((run) => [result, run] as const))

const textOf = ({ holdsBack, inFlight, senders }: Setting): string =>
  [
    `${senders} senders`,
    inFlight === 1 ? "one each" : `${inFlight} each in flight`,
    ...(holdsBack ? ["held back"] : [])
  ].join(", ")

const nameOf = ({ jitterTimes, size }: Order, setting: Setting): string =>
  `${textOf(setting)} of ${size}${jitterTimes === 1 ? "" : `, jitter × ${jitterTimes}`}`

/** Without grafts too, where each sender sends one: of ten in flight that is too much to ask. */
const isSettled = ({ inFlight }: Setting, { grafts, redundancy }: Round): boolean =>
  redundancy < 0.01 && (inFlight > 1 || grafts === 0)

/** The round from which on all are settled. */
const settledAt = (run: Run): number | null => {
  const { rounds } = run
  const last = rounds.findLastIndex((round) => !isSettled(run, round))
  return last + 1 < rounds.length ? last + 2 : null
}

const none: Round = { reached: 0, redundancy: 0, grafts: 0, lastHop: 0, fullMs: Number.POSITIVE_INFINITY }

const lastOf = ({ rounds }: Run): Round => rounds.at(-1) ?? none

/** Follows each broadcast of a round to its last delivery. */
class Watch {
  private bySender = new Map<NodeId.NodeId, Array<Flight>>()
  private tokens = 0

  readonly observer: World.Observer<OverlayFleet.Protocol> = {
    output: ({ now }, { id, round }) => {
      const flights = this.bySender.get(id.origin)
      // A node numbers its broadcasts in the order in which it is given them.
      const flight = flights?.[id.seq - (flights[0]?.seq ?? 0)]
      if (flight === undefined) return
      flight.reached++
      flight.lastAt = now
      flight.lastHop = Math.max(flight.lastHop, round)
    }
  }

  round(world: Fleets.Fleet, roots: ReadonlyArray<NodeId.NodeId>, inFlight: number, holdsBack: boolean): Round {
    const before = costOf(world)
    this.bySender = new Map(roots.map((root) => [root, []]))
    for (let n = 0; n < inFlight; n++) {
      for (const root of roots) {
        const seq = (World.state(world, root)?.tree.sequence ?? 0) + 1
        this.bySender.get(root)?.push({ seq, at: World.now(world), reached: 0, lastAt: 0, lastHop: 0 })
        OverlayFleet.broadcast(world, root, ++this.tokens)
      }
      World.pass(world, holdsBack && n === 0 ? roundMs : everyMs)
    }
    World.pass(world, roundMs)
    const after = costOf(world)
    const flights = [...this.bySender.values()].flat()
    const running = World.running(world).length
    const reached = flights.reduce((sum, flight) => sum + flight.reached, 0)
    const times = flights.map(({ at, lastAt }) => lastAt - at).toSorted((a, b) => a - b)
    return {
      reached: reached / flights.length / running,
      redundancy: (after.payloads - before.payloads) / (reached - flights.length) - 1,
      grafts: (after.grafts - before.grafts) / flights.length,
      lastHop: flights.reduce((sum, { lastHop }) => sum + lastHop, 0) / flights.length,
      fullMs: times[Math.floor(times.length / 2)] ?? 0
    }
  }
}

interface Flight {
  readonly seq: number
  readonly at: number
  reached: number
  lastAt: number
  lastHop: number
}

const costOf = (world: Fleets.Fleet): { readonly payloads: number; readonly grafts: number } => {
  let payloads = 0
  let grafts = 0
  for (const { state } of World.running(world)) {
    payloads += state.tree.counters.payloadsReceived
    grafts += state.tree.counters.graftsSent
  }
  return { payloads, grafts }
}

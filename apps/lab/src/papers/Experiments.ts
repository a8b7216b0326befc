/**
 * The experiments of the papers on HyParView and Plumtree (TR DI-FCUL 07-13, §5; TR DI-FCUL 07-14, §4), on the machines
 * that an agent runs, in virtual time.
 *
 * Nodes join one by one at one contact, then shuffle for a number of cycles. All that follows begins from this one
 * settled fleet, which is forked for each failure. A cycle is a minute of virtual time; what agents do by the clock and
 * the papers do not (keepalives, probes of strangers, anti-entropy) is put off beyond the end.
 *
 * Two threads share them. Each settles the fleet anew, the very same one, since a fleet does not pass between threads.
 *
 * @since 0.1.0
 */
import { ViewManager } from "@starling/gossip"
import type { NodeId } from "@starling/machine"
import { World } from "@starling/sim"
import { Graph } from "@starling/testing"
import { choose, type Fleet, graphOf, joined, type Round, Watch } from "../Fleets.ts"
import * as Failures from "./Failures.ts"
import { cycleMs, hopMs, joinEveryMs, roundMs, settings } from "./Setting.ts"

/** @since 0.1.0 @category models */
export interface Order {
  readonly size: number
  readonly seed: number
  /** Shuffles of each node before anything is measured. Paper, §5.1: 50. */
  readonly cycles: number
}

/** @since 0.1.0 @category models */
export interface Results extends Order {
  readonly overlay: Overlay
  /** The overlay while it settles. */
  readonly settling: ReadonlyArray<Settling>
  readonly failures: ReadonlyArray<Failures.Failure>
  /** Broadcasts of one node, one after the other. */
  readonly single: ReadonlyArray<Round>
  /** Rounds in which `senders` nodes broadcast at once. */
  readonly many: { readonly senders: number; readonly rounds: ReadonlyArray<Round> }
  readonly churn: { readonly perCycle: number; readonly rounds: ReadonlyArray<Round> }
  readonly events: number
}

/** The settled overlay. @since 0.1.0 @category models */
export interface Overlay {
  readonly links: number
  readonly components: number
  /** Nodes by the size of their active view. */
  readonly degrees: ReadonlyArray<number>
  readonly clustering: number
  readonly path: number
  readonly farthest: number
  /** Nodes by the number of active views that name them, and by the number of passive views. */
  readonly activeIn: ReadonlyArray<number>
  readonly passiveIn: ReadonlyArray<number>
}

/** @since 0.1.0 @category models */
export interface Settling {
  /** Shuffles of each node since the last one joined. */
  readonly cycle: number
  readonly path: number
  readonly clustering: number
  /** Share of the nodes with five neighbours. */
  readonly full: number
}

/** What one thread does. @since 0.1.0 @category models */
export interface Job extends Order {
  /** Shares that fail. */
  readonly percents: ReadonlyArray<number>
  /** Beside them, all that is not a failure at once. */
  readonly isFirst: boolean
}

/** What it found. @since 0.1.0 @category models */
export interface Part {
  readonly failures: ReadonlyArray<Failures.Failure>
  readonly events: number
  /** Of the first one. */
  readonly rest?: Omit<Results, keyof Order | "failures" | "events">
}

/** As much for the one as for the other: few failures leave many who broadcast. @since 0.1.0 */
export const jobs = (order: Order): ReadonlyArray<Job> => [
  { ...order, percents: [10, 40, 60, 80, 95], isFirst: true },
  { ...order, percents: [20, 30, 50, 70, 90], isFirst: false }
]

/** Of all jobs. @since 0.1.0 */
export const resultsOf = (order: Order, parts: ReadonlyArray<Part>): Results => {
  const rest = parts.find(({ rest }) => rest !== undefined)?.rest
  if (rest === undefined) throw new Error("no part is the first")
  const failures = parts.flatMap(({ failures }) => failures).toSorted((a, b) => a.percent - b.percent)
  const { churn, many, overlay, settling, single } = rest
  const events = parts.reduce((sum, { events }) => sum + events, 0)
  return { ...order, overlay, settling, failures, single, many, churn, events }
}

/** Tells what it is about as it goes; what both do, the first one tells and counts. @since 0.1.0 @category running */
export const run = ({ cycles, isFirst, percents, seed, size }: Job, progress: (text: string) => void): Part => {
  const tell = isFirst ? progress : () => {}
  const network = { latencyMs: [hopMs, hopMs], jitterMs: 0 } as const
  const begun = joined({ size, seed, settings, network, everyMs: joinEveryMs, progress: tell })
  let events = 0
  const end = (world: Fleet, since: Fleet) => {
    events += World.counters(world).events - World.counters(since).events
  }
  const settling = isFirst ? [settlingOf(begun, 0)] : []
  for (let cycle = 1; cycle <= cycles; cycle++) {
    World.pass(begun, cycleMs)
    if (!isFirst || (!looksAt(cycle) && cycle !== cycles)) continue
    const { full, path } = settling[settling.push(settlingOf(begun, cycle)) - 1] as Settling
    tell(`cycle ${cycle} of ${cycles}: ${show(full)} have five neighbours, mean shortest path ${path.toFixed(2)}`)
  }

  // The trees of some senders, and that of one alone, grown by their first broadcasts.
  const watch = new Watch()
  const senders = choose(begun, "senders", Math.min(sendersMax, Math.ceil(size / 20)))
  const root = senders[0] as NodeId.NodeId
  const grown = World.fork(begun, { observer: watch.observer })
  const single = Array.from({ length: 6 }, () => watch.round(grown, [root], roundMs))
  tell(`redundancy ${single.map(({ redundancy }) => redundancy.toFixed(3)).join(", ")}`)
  const several = World.fork(begun, { observer: watch.observer })
  const rounds = Array.from({ length: 3 }, () => watch.round(several, senders, roundMs))
  const redundancies = rounds.map(({ redundancy }) => redundancy.toFixed(3))
  tell(`${senders.length} senders at once: redundancy ${redundancies.join(", ")}`)

  const before: Failures.Before = { single: grown, root, many: several, senders, watch, end }
  const failures = percents.map((percent) => {
    const failure = Failures.fail(before, percent)
    const { shippedMs, unrepaired } = failure
    const repaired = Failures.repaired(failure)
    const healed = shippedMs === null ? "not healed" : `healed in ${shippedMs / 1000} s`
    progress(`${percent} % failed: reach ${show(unrepaired)}, after repair ${show(repaired)}, as shipped ${healed}`)
    return failure
  })
  if (!isFirst) return { failures, events }

  events += World.counters(begun).events
  end(grown, begun)
  end(several, begun)
  const overlay = overlayOf(begun)
  progress(`mean shortest path ${overlay.path.toFixed(3)}, clustering ${overlay.clustering.toFixed(5)}`)
  const perCycle = Math.max(1, Math.round(size / 200))
  const churning = World.fork(grown, { observer: watch.observer })
  const churn = Array.from({ length: 10 }, (_, cycle) => {
    for (const id of choose(churning, `churn/${cycle}`, perCycle, root)) World.crash(churning, id)
    World.pass(churning, cycleMs - roundMs)
    return watch.round(churning, [root], roundMs)
  })
  progress(`${perCycle} nodes fail in each cycle: reach ${show(Math.min(...churn.map(({ reached }) => reached)))}`)
  end(churning, grown)
  const many = { senders: senders.length, rounds }
  return { failures, events, rest: { overlay, settling, single, many, churn: { perCycle, rounds: churn } } }
}

const show = (share: number): string => `${(100 * share).toFixed(1)} %`

// --- the overlay -----------------------------------------------------------------------------------------------------

/** Cycles at whose end the overlay is looked at. */
const looksAt = (cycle: number): boolean => [1, 2, 5].includes(cycle) || cycle % 10 === 0

/** How many broadcast at once. Our choice. */
const sendersMax = 10

/** Sources of which paths are measured: all, or so many that the mean is good to a thousandth. */
const sourcesMax = 1000

/** While it settles: good to a hundredth. */
const settlingSourcesMax = 100

const settlingOf = (world: Fleet, cycle: number): Settling => {
  const graph = graphOf(world)
  return {
    cycle,
    path: Graph.paths(graph, sourcesOf(graph, settlingSourcesMax)).mean,
    clustering: Graph.clustering(graph),
    full: graph.filter(({ length }) => length === settled).length / graph.length
  }
}

/** Links of a node when all its slots are filled. Paper, §5.1. */
const settled = ViewManager.defaults.activeMax

const overlayOf = (world: Fleet): Overlay => {
  const graph = graphOf(world)
  const { farthest, mean } = Graph.paths(graph, sourcesOf(graph, sourcesMax))
  const views = World.running(world).map(({ state }) => state.view)
  const ids = World.ids(world)
  return {
    links: Graph.linkCount(graph),
    components: Graph.components(graph).length,
    degrees: histogram(graph.map(({ length }) => length)),
    clustering: Graph.clustering(graph),
    path: mean,
    farthest,
    activeIn: histogram(
      named(
        ids,
        views.flatMap(({ active }) => active.map(({ peer }) => peer.id))
      )
    ),
    passiveIn: histogram(
      named(
        ids,
        views.flatMap(({ passive }) => passive.map(({ id }) => id))
      )
    )
  }
}

const sourcesOf = (graph: Graph.Graph, max: number): ReadonlyArray<number> => {
  const step = Math.max(1, Math.floor(graph.length / max))
  return Array.from({ length: Math.min(graph.length, max) }, (_, n) => n * step)
}

/** How often each of these is named. */
const named = (ids: ReadonlyArray<NodeId.NodeId>, names: ReadonlyArray<NodeId.NodeId>): ReadonlyArray<number> => {
  const times = new Map(ids.map((id) => [id, 0]))
  for (const name of names) times.set(name, (times.get(name) ?? 0) + 1)
  return [...times.values()]
}

/** How many are 0, 1, 2 and so on. */
const histogram = (values: ReadonlyArray<number>): ReadonlyArray<number> => {
  const counts = Array.from({ length: Math.max(0, ...values) + 1 }, () => 0)
  for (const value of values) counts[value] = (counts[value] ?? 0) + 1
  return counts
}

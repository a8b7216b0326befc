/**
 * The experiments of the papers on HyParView and Plumtree (TR DI-FCUL 07-13, §5; TR DI-FCUL 07-14, §4), on the machines
 * that an agent runs, in virtual time.
 *
 * Nodes join one by one at one contact, then shuffle for a number of cycles. All that follows begins from this one
 * settled fleet, which is forked for each failure. A cycle is a minute of virtual time; what agents do by the clock and
 * the papers do not (keepalives, probes of strangers, anti-entropy) is put off beyond the end.
 *
 * @since 0.1.0
 */
import type { NodeId } from "@starling/machine"
import { World } from "@starling/sim"
import { Graph, type OverlayFleet } from "@starling/testing"
import { choose, type Fleet, graphOf, joined, type Round, Watch } from "../Fleets.ts"

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
  readonly failures: ReadonlyArray<Failure>
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
  /** In how many passive views a node is: 1st, 50th and 99th percentile. */
  readonly passiveIn: readonly [number, number, number]
  /** In how many active views a node is, by number. */
  readonly joinedMs: number
}

/** After the failure of a share of all nodes at once. @since 0.1.0 @category models */
export interface Failure {
  readonly percent: number
  /** Mean reach of a flood in what is left of the graph, before anybody notices. */
  readonly unrepaired: number
  /** The same after the survivors have replaced the neighbours that they lost, before any further cycle. */
  readonly repaired: number
  readonly isolated: number
  readonly components: number
  /** Cycles until a flood reaches everybody; null if it takes more than `healingMax`. */
  readonly cycles: number | null
  /** The first broadcast after the failure, in a tree from before, with the overlay left as it is. */
  readonly treeUnrepaired: number
  /** Broadcasts one after the other while the overlay mends: the share that got each, and the payloads in excess. */
  readonly tree: ReadonlyArray<Round>
}

/** Cycles after which an overlay that has not healed is given up. Our choice: the papers' slowest takes 4. */
const healingMax = 10

/** Failures at once, in per cent of all nodes. Paper, figure 2. @since 0.1.0 */
export const percents = [10, 20, 30, 40, 50, 60, 70, 80, 90, 95]

const cycleMs = 60_000

/** Beyond the end of every experiment. */
const neverMs = 100_000_000

/** One-way delay of every frame. The papers count hops and cycles; a hop takes a millisecond here. */
const hopMs = 1

/** One by one (paper, §5.1): a join, its walks and what they displace are over before the next one begins. */
const joinEveryMs = 100

/** One after the other, with time for the last delivery and for what it prunes. */
const roundMs = 5000

/** Longer than the survivors need to find a neighbour for each free slot; shorter than a tenth of a cycle. */
const passMs = 5000

const settings: OverlayFleet.Settings = {
  viewManager: {
    keepaliveMs: neverMs,
    silenceMs: neverMs,
    snapshotMs: neverMs,
    probeMs: neverMs,
    labelMs: neverMs,
    labelStableMs: neverMs,
    // Paper, §4.2: a contact takes every newcomer.
    forcedMs: 1,
    forcedBurst: 1000
  },
  shuffler: { intervalMs: cycleMs, firstMs: cycleMs },
  lazyPushRepair: { summaryMs: neverMs }
}

/** Runs all experiments; tells what it is about as it goes. @since 0.1.0 @category running */
export const run = (order: Order, progress: (text: string) => void): Results => {
  const { cycles, seed, size } = order
  const network = { latencyMs: [hopMs, hopMs], jitterMs: 0 } as const
  const begun = joined({ size, seed, settings, network, everyMs: joinEveryMs, progress })
  let events = 0
  const end = (world: Fleet, since: Fleet) => {
    events += World.counters(world).events - World.counters(since).events
  }
  const joinedMs = World.now(begun)
  for (let cycle = 1; cycle <= cycles; cycle++) {
    World.pass(begun, cycleMs)
    if (cycle % 10 === 0) progress(`cycle ${cycle} of ${cycles}`)
  }
  events += World.counters(begun).events
  const overlay = overlayOf(begun, joinedMs)
  progress(`mean shortest path ${overlay.path.toFixed(3)}, clustering ${overlay.clustering.toFixed(5)}`)

  // The tree of one sender, grown by its first broadcasts.
  const watch = new Watch()
  const grown = World.fork(begun, { observer: watch.observer })
  const root = choose(begun, "root", 1)[0] as NodeId.NodeId
  const single = Array.from({ length: 6 }, () => watch.round(grown, [root], roundMs))
  progress(`redundancy ${single.map(({ redundancy }) => redundancy.toFixed(3)).join(", ")}`)
  end(grown, begun)

  const senders = Math.min(10, size)
  const several = World.fork(begun, { observer: watch.observer })
  const roots = choose(begun, "senders", senders)
  const rounds = Array.from({ length: 3 }, () => watch.round(several, roots, roundMs))
  progress(`${senders} senders at once: redundancy ${rounds.map(({ redundancy }) => redundancy.toFixed(3)).join(", ")}`)
  end(several, begun)

  const failures = percents.map((percent) => {
    const failure = fail(grown, watch, root, percent, end)
    progress(`${percent} % failed: reach ${show(failure.unrepaired)}, after repair ${show(failure.repaired)}`)
    return failure
  })

  const perCycle = Math.max(1, Math.round(size / 200))
  const churning = World.fork(grown, { observer: watch.observer })
  const churn = Array.from({ length: 10 }, (_, cycle) => {
    for (const id of choose(churning, `churn/${cycle}`, perCycle, root)) World.crash(churning, id)
    World.pass(churning, cycleMs - roundMs)
    return watch.round(churning, [root], roundMs)
  })
  progress(`${perCycle} nodes fail in each cycle: reach ${show(Math.min(...churn.map(({ reached }) => reached)))}`)
  end(churning, grown)

  return {
    ...order,
    overlay,
    failures,
    single,
    many: { senders, rounds },
    churn: { perCycle, rounds: churn },
    events
  }
}

const show = (share: number): string => `${(100 * share).toFixed(1)} %`

// --- the overlay -----------------------------------------------------------------------------------------------------

/** Sources of which paths are measured: all, or so many that the mean is good to a thousandth. */
const sourcesMax = 1000

const overlayOf = (world: Fleet, joinedMs: number): Overlay => {
  const graph = graphOf(world)
  const degrees: Array<number> = []
  for (const neighbors of graph) degrees[neighbors.length] = (degrees[neighbors.length] ?? 0) + 1
  const known = new Map(World.running(world).map(({ peer }) => [peer.id, 0]))
  for (const { state } of World.running(world))
    for (const { id } of state.view.passive) known.set(id, (known.get(id) ?? 0) + 1)
  const sorted = [...known.values()].toSorted((a, b) => a - b)
  const percentile = (share: number): number => sorted[Math.floor(share * (sorted.length - 1))] ?? 0
  const step = Math.max(1, Math.floor(graph.length / sourcesMax))
  const { farthest, mean } = Graph.paths(
    graph,
    Array.from({ length: Math.min(graph.length, sourcesMax) }, (_, n) => n * step)
  )
  return {
    links: Graph.linkCount(graph),
    components: Graph.components(graph).length,
    degrees: Array.from(degrees, (count) => count ?? 0),
    clustering: Graph.clustering(graph),
    path: mean,
    farthest,
    passiveIn: [percentile(0.01), percentile(0.5), percentile(0.99)],
    joinedMs
  }
}

// --- failures --------------------------------------------------------------------------------------------------------

const fail = (
  grown: Fleet,
  watch: Watch,
  root: NodeId.NodeId,
  percent: number,
  end: (world: Fleet, since: Fleet) => void
): Failure => {
  const victims = choose(grown, `fail/${percent}`, Math.round((World.ids(grown).length * percent) / 100), root)
  const strike = (world: Fleet): Fleet => {
    for (const id of victims) World.crash(world, id)
    return world
  }

  const mending = strike(World.fork(grown))
  const unrepaired = Graph.reach(graphOf(mending))
  World.pass(mending, passMs)
  const graph = graphOf(mending)
  const repaired = Graph.reach(graph)
  const cycles = healingCycles(mending, repaired)
  end(mending, grown)

  // The overlay of the paper's first figures stays as the failure left it: nobody fills a slot.
  const still = strike(World.fork(grown, { observer: watch.observer, alter: withoutRepair }))
  World.pass(still, 100)
  const treeUnrepaired = watch.round(still, [root], 2 * roundMs).reached
  end(still, grown)

  const both = strike(World.fork(grown, { observer: watch.observer }))
  const tree = Array.from({ length: 3 }, () => watch.round(both, [root], roundMs))
  end(both, grown)

  return {
    percent,
    unrepaired,
    repaired,
    isolated: graph.filter(({ length }) => length === 0).length,
    components: Graph.components(graph).length,
    cycles,
    treeUnrepaired,
    tree
  }
}

const healingCycles = (world: Fleet, repaired: number): number | null => {
  if (repaired === 1) return 0
  for (let cycle = 1; cycle <= healingMax; cycle++) {
    World.pass(world, cycleMs)
    if (Graph.reach(graphOf(world)) === 1) return cycle
  }
  return null
}

const withoutRepair = (state: OverlayFleet.State): OverlayFleet.State => ({
  ...state,
  view: { ...state.view, config: { ...state.view.config, repairMs: neverMs } }
})

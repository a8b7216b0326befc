/**
 * A share of all nodes fails at once: what is left, how the overlay heals, and what broadcasts get through meanwhile.
 *
 * Two settings. _Shuffles only_: the papers', in which a node knows the others by its two views. _As shipped_: a node also
 * remembers peers that its facts told it of, keeps its links alive and probes known addresses, as agents do.
 *
 * @since 0.1.0
 */
import { Facts } from "@starling/fleet"
import { ViewManager } from "@starling/gossip"
import { type NodeId, type Peer, Rng } from "@starling/machine"
import { World } from "@starling/sim"
import { Graph, type OverlayFleet } from "@starling/testing"
import { choose, type Fleet, graphOf, type Round, type Watch } from "../Fleets.ts"
import { cycleMs, roundMs, unoptimized, unrepaired } from "./Setting.ts"

/** After the failure of a share of all nodes at once. @since 0.1.0 @category models */
export interface Failure {
  readonly percent: number
  /** Mean reach of a flood in what is left of the graph, before anybody notices. */
  readonly unrepaired: number
  /** Share of the survivors that hang together in the largest part of it. */
  readonly largest: number
  /**
   * Mean reach after the survivors have replaced the neighbours that they lost, before any further cycle; and how many are
   * left alone. One for each draw of who fails: where few survive, it is a matter of chance whether anybody is.
   */
  readonly passes: ReadonlyArray<Pass>
  /** Cycles until a flood reaches everybody, by shuffles only; null if it takes more than `healingMax`. */
  readonly cycles: number | null
  /** Milliseconds until then as shipped; null if it takes more than `shippedMax`. */
  readonly shippedMs: number | null
  /**
   * Share of the survivors that get the first broadcast of a sender in its tree from before, with the overlay left as it
   * is: one for each sender that survived.
   */
  readonly left: ReadonlyArray<number>
  /** Broadcasts one after the other while the overlay mends, as shipped. */
  readonly tree: ReadonlyArray<Round>
  /** The same without the optimisation (TR 07-14, §3.8), which the paper looks at by itself. */
  readonly plain: ReadonlyArray<Round>
}

/** @since 0.1.0 @category models */
export interface Pass {
  readonly reach: number
  readonly isolated: number
}

/** The mean reach over all draws. @since 0.1.0 */
export const repaired = ({ passes }: Failure): number =>
  passes.reduce((sum, { reach }) => sum + reach, 0) / passes.length

/** Failures at once, in per cent of all nodes. Paper, figure 2. @since 0.1.0 */
export const percents: ReadonlyArray<number> = [10, 20, 30, 40, 50, 60, 70, 80, 90, 95]

/** Cycles after which an overlay that has not healed is given up. Our choice: the papers' slowest takes 4. @since 0.1.0 */
export const healingMax = 10

/** The period of a shipped agent's shuffle: its cycle. @since 0.1.0 */
export const shippedCycleMs = 10_000

const shippedMax = healingMax * shippedCycleMs

/** Longer than the survivors need to find a neighbour for each free slot; shorter than a tenth of a cycle. */
const passMs = 5000

/** How often it is drawn who fails, where a tenth or fewer survive; else once. Our choice. */
const draws = 5

/** Twice what the paper's slowest recovery takes (TR 07-14, figure 6b: 4). @since 0.1.0 */
export const rounds = 8

/** A settled fleet in which trees have grown, and what looks on. @since 0.1.0 @category models */
export interface Before {
  /** With the tree of `root`. */
  readonly single: Fleet
  readonly root: NodeId.NodeId
  /** With the trees of `senders`. */
  readonly many: Fleet
  readonly senders: ReadonlyArray<NodeId.NodeId>
  readonly watch: Watch
  /** Hears of every world that is done with. */
  readonly end: (world: Fleet, since: Fleet) => void
}

/**
 * Each experiment has a world of its own, that goes when it is over: a fleet of 10,000 takes some hundreds of MiB.
 *
 * @since 0.1.0
 * @category running
 */
export const fail = (before: Before, percent: number): Failure => {
  const [victims, ...others] = Array.from({ length: percent < 90 ? 1 : draws }, (_, draw) =>
    drawn(before, percent, draw)
  ) as [Victims, ...Array<Victims>]
  const { pass, ...shuffled } = byShuffles(before, victims)
  return {
    percent,
    ...shuffled,
    passes: [pass, ...others.map((victims) => passOf(before, victims))],
    shippedMs: asShipped(before, victims),
    left: leftAsItIs(before, victims),
    tree: broadcasts(before, victims),
    plain: broadcasts(before, victims, unoptimized)
  }
}

const drawn = ({ root, single }: Before, percent: number, draw: number): Victims => {
  const count = Math.round((World.ids(single).length * percent) / 100)
  return new Set(choose(single, `fail/${percent}/${draw}`, count, root))
}

type Victims = ReadonlySet<NodeId.NodeId>

const strike = (world: Fleet, victims: Victims): Fleet => {
  for (const id of victims) World.crash(world, id)
  return world
}

const byShuffles = (
  { end, single }: Before,
  victims: Victims
): Pick<Failure, "unrepaired" | "largest" | "cycles"> & { readonly pass: Pass } => {
  const world = strike(World.fork(single), victims)
  const left = graphOf(world)
  World.pass(world, passMs)
  const pass = lookedAt(world)
  const cycles = cyclesToHeal(world, pass.reach)
  end(world, single)
  return { unrepaired: Graph.reach(left), largest: (Graph.components(left)[0] ?? 0) / left.length, pass, cycles }
}

const passOf = ({ end, single }: Before, victims: Victims): Pass => {
  const world = strike(World.fork(single), victims)
  World.pass(world, passMs)
  end(world, single)
  return lookedAt(world)
}

const lookedAt = (world: Fleet): Pass => {
  const graph = graphOf(world)
  return { reach: Graph.reach(graph), isolated: graph.filter(({ length }) => length === 0).length }
}

const asShipped = ({ end, single }: Before, victims: Victims): number | null => {
  const know = remembering(single, victims)
  const alive = keepingAlive(World.now(single), lowestOf(single))
  const world = strike(World.fork(single, { alter: (state) => alive(know(state)) }), victims)
  const ms = msToHeal(world)
  end(world, single)
  return ms
}

const leftAsItIs = ({ end, many, senders, watch }: Before, victims: Victims): ReadonlyArray<number> => {
  const world = strike(World.fork(many, { observer: watch.observer, alter: unrepaired }), victims)
  World.pass(world, 100)
  const surviving = senders.filter((id) => !victims.has(id))
  const reached = surviving.map((id) => watch.round(world, [id], 2 * roundMs).reached)
  end(world, many)
  return reached
}

const broadcasts = (
  { end, root, single, watch }: Before,
  victims: Victims,
  setting: (state: OverlayFleet.State) => OverlayFleet.State = (state) => state
): ReadonlyArray<Round> => {
  const know = remembering(single, victims)
  const world = World.fork(single, { observer: watch.observer, alter: (state) => setting(know(state)) })
  strike(world, victims)
  const made = Array.from({ length: rounds }, () => watch.round(world, [root], roundMs))
  end(world, single)
  return made
}

const cyclesToHeal = (world: Fleet, reach: number): number | null => {
  if (reach === 1) return 0
  for (let cycle = 1; cycle <= healingMax; cycle++) {
    World.pass(world, cycleMs)
    if (Graph.reach(graphOf(world)) === 1) return cycle
  }
  return null
}

/** To the second. */
const msToHeal = (world: Fleet): number | null => {
  for (const { peer } of World.running(world)) World.inject(world, peer.id, { _tag: "Started" })
  for (let ms = 1000; ms <= shippedMax; ms += 1000) {
    World.pass(world, 1000)
    if (Graph.reach(graphOf(world)) === 1) return ms
  }
  return null
}

// --- as shipped ------------------------------------------------------------------------------------------------------

/** What facts tell the view manager of a fleet that they know: some of its nodes, whether these live or not. */
const remembering = (world: Fleet, victims: Victims) => {
  const peers: ReadonlyArray<Peer.Peer> = World.running(world).map(({ peer }) => peer)
  return (state: OverlayFleet.State): OverlayFleet.State => {
    const { self } = state.view.config
    if (victims.has(self.id)) return state
    const [known] = Rng.sample(Rng.make(`remember/${self.id}`), peers, Facts.defaults.rememberMax)
    return { ...state, view: { ...state.view, remembered: known.filter(({ id }) => id !== self.id) } }
  }
}

/**
 * The periods that agents have, and what keepalives would have brought by now: links just heard from, and one label that
 * all agree on. `Started` then arms the clockwork anew.
 */
const keepingAlive =
  (now: number, leader: Peer.Peer) =>
  (state: OverlayFleet.State): OverlayFleet.State => {
    const { view } = state
    const { self } = view.config
    const config = { ...ViewManager.defaults, self, contacts: view.config.contacts }
    const [wait, rng] = Rng.nextInt(view.rng, config.probeMs)
    const { id, incarnation } = leader
    return {
      ...state,
      view: {
        ...view,
        rng,
        config,
        links: view.links.map((link) => ({ ...link, heardAt: now, pingAt: null })),
        label: { leader: id, incarnation, beat: Math.floor(now), stable: true, since: 0, heardAt: now },
        tick: { ...view.tick, due: now },
        probeAt: now + wait
      }
    }
  }

const lowestOf = (world: Fleet): Peer.Peer =>
  World.running(world)
    .map(({ peer }) => peer)
    .reduce((lowest, peer) => (peer.id < lowest.id ? peer : lowest))

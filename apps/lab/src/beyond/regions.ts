/**
 * A fleet around the world: how long a broadcast takes, and how often it crosses from one region to another.
 *
 * @since 0.1.0
 */
import { type NodeId, Peer } from "@starling/machine"
import { Regions, World } from "@starling/sim"
import { OverlayFleet } from "@starling/testing"
import { type Check, check, figure } from "../Checks.ts"
import type * as Fleets from "../Fleets.ts"
import * as Markdown from "../Markdown.ts"
import type { Part } from "./Part.ts"

interface Order {
  readonly size: number
  readonly seed: number
  /** The nodes of a region agree on few entries, as an agent does. */
  readonly entries: boolean
}

interface Result extends Order {
  /** Links, those within a region among them. */
  readonly links: number
  readonly nearLinks: number
  readonly rounds: ReadonlyArray<Round>
}

/** One broadcast of a node in each region, one after the other. */
interface Round {
  readonly reached: number
  /** Medians of the time from the broadcast to its last delivery, in milliseconds: along the tree, and if all were flooded. */
  readonly fullMs: number
  readonly floodMs: number
  /** Payloads that went from one region to another, for each broadcast. */
  readonly crossing: number
  readonly redundancy: number
  readonly grafts: number
}

/** Near slots are filled, and every node has shuffled several times. */
const settleMs = 120_000

/** Longer than the longest way, and what it prunes. */
const roundMs = 2000

/** Trees have settled by the third; without entries by the second. */
const roundsOf = ({ entries }: Order): number => (entries ? 6 : 3)

const count = Regions.all.length

/** @since 0.1.0 */
export const regions: Part<Order, Result> = {
  name: "regions",
  title: "Around the world",
  about:
    "Nodes in nineteen regions, as far apart as these are; one node of each region broadcasts, one after the other, round " +
    "after round.",
  sizes: [50 * count],
  orders: (sizes, seed) => sizes.flatMap((size) => [true, false].map((entries) => ({ size, seed, entries }))),
  label: ({ entries, size }) => `${size} nodes${entries ? "" : ", without entries"}`,
  run: (order, progress) => {
    const world = settled(order)
    const links = linksOf(world)
    const watch = new Watch()
    const measured = World.fork(world, { observer: watch.observer })
    return {
      ...order,
      links: links.length,
      nearLinks: links.filter(([one, other]) => Peer.isNear(one, other)).length,
      rounds: Array.from({ length: roundsOf(order) }, (_, index) => {
        const round = watch.round(measured)
        progress(
          `round ${index + 1}: ${Markdown.count(round.fullMs)} ms (flood ${Markdown.count(round.floodMs)} ms), ` +
            `${Markdown.count(round.crossing)} crossings, redundancy ${Markdown.fixed(round.redundancy, 3)}`
        )
        return round
      })
    }
  },
  checks: (results) => results.filter(({ entries }) => entries).flatMap(checksOf),
  figures: (results) =>
    results
      .filter(({ entries }) => entries)
      .flatMap((result) => [
        figure(`${result.size} nodes: full delivery against a flood`, timesOf(lastOf(result)), "less", 0.05),
        figure(`${result.size} nodes: crossings`, lastOf(result).crossing, "less", 2)
      ]),
  page: (results) => [
    "![Crossings by round](beyond/regions-crossings.svg)",
    "",
    "_Flood_: the longest of the shortest ways from the root over the links that there are. _Without entries_: each node",
    "keeps whatever neighbour was first, be it in another region.",
    "",
    ...Markdown.table(
      ["setting", "round", "reached", "full delivery, ms", "flood, ms", "crossings", "redundancy", "grafts"],
      results.flatMap((result) =>
        result.rounds.map((round, index) => [
          `${regions.label(result)}, ${result.nearLinks} of ${result.links} links near`,
          String(index + 1),
          Markdown.percentOf(round.reached),
          Markdown.count(round.fullMs),
          Markdown.count(round.floodMs),
          Markdown.count(round.crossing),
          Markdown.fixed(round.redundancy, 3),
          Markdown.fixed(round.grafts, 2)
        ])
      )
    )
  ],
  plots: (results) => ({
    crossings: {
      title: "Payloads from one region to another",
      x: "round",
      y: "for each broadcast",
      yMax: 100,
      series: results.map((result) => ({
        name: regions.label(result),
        points: result.rounds.map(({ crossing }, index) => [index + 1, crossing] as const)
      }))
    }
  })
}

const checksOf = (result: Result): ReadonlyArray<Check> => {
  const last = lastOf(result)
  const most = 1.5 * (count - 1)
  const complete = result.rounds.every(({ reached }) => reached === 1)
  return [
    check(
      `${result.size} nodes: median full delivery against a flood`,
      "≤ 1.2 ×",
      `${Markdown.fixed(timesOf(last), 2)} ×`,
      complete && timesOf(last) <= 1.2
    ),
    check(
      `${result.size} nodes: payloads from one region to another`,
      `≤ ${most}`,
      Markdown.count(last.crossing),
      complete && last.crossing <= most
    )
  ]
}

const timesOf = ({ floodMs, fullMs }: Round): number => fullMs / floodMs

const none: Round = { reached: 0, fullMs: Infinity, floodMs: 1, crossing: Infinity, redundancy: 0, grafts: 0 }

const lastOf = ({ rounds }: Result): Round => rounds.at(-1) ?? none

const oregon: Regions.Region = Regions.all[0] ?? { name: "oregon", latitude: 0, longitude: 0 }

const settled = ({ entries, seed, size }: Order): Fleets.Fleet => {
  const regionOf = new Map<NodeId.NodeId, Regions.Region>()
  const world = OverlayFleet.make({
    seed,
    network: { latencyMs: Regions.latencyOf((id) => regionOf.get(id) ?? oregon), jitterMs: 0 }
  })
  // Without a tolerance no entry gives way to another.
  const settings: OverlayFleet.Settings = entries ? {} : { broadcastTree: { entryMs: -1 } }
  const contacts: Array<string> = []
  for (let n = 0; n < size; n++) {
    const region = Regions.all[n % count] ?? oregon
    const peer = OverlayFleet.peer(seed, n, region.name)
    regionOf.set(peer.id, region)
    OverlayFleet.join(world, peer, contacts, settings)
    if (n === 0) contacts.push(peer.address)
    World.pass(world, 100)
  }
  World.pass(world, settleMs)
  return world
}

const linksOf = (world: Fleets.Fleet): ReadonlyArray<readonly [Peer.Peer, Peer.Peer]> =>
  World.running(world).flatMap(({ peer, state }) =>
    state.view.active.flatMap((neighbor) => (peer.id < neighbor.peer.id ? [[peer, neighbor.peer] as const] : []))
  )

/** The longest of the shortest ways from a node, in milliseconds. */
const floodMs = (world: Fleets.Fleet, root: NodeId.NodeId): number => {
  const neighbors = new Map(
    World.running(world).map(({ peer, state }) => [
      peer.id,
      state.view.active.map((other) => [other.peer.id, latencyMs(peer, other.peer)] as const)
    ])
  )
  const at = new Map([[root, 0]])
  const open = new Set(neighbors.keys())
  let longest = 0
  while (open.size > 0) {
    let [next, soonest] = ["", Infinity]
    for (const id of open) {
      const ms = at.get(id) ?? Infinity
      if (ms < soonest) [next, soonest] = [id, ms]
    }
    if (soonest === Infinity) return Infinity
    open.delete(next)
    longest = soonest
    for (const [id, ms] of neighbors.get(next) ?? []) at.set(id, Math.min(at.get(id) ?? Infinity, soonest + ms))
  }
  return longest
}

const latencyMs = (from: Peer.Peer, to: Peer.Peer): number => Regions.rttMs(regionAt(from), regionAt(to)) / 2

const regionAt = ({ datacenter }: Peer.Peer): Regions.Region =>
  Regions.all.find(({ name }) => name === datacenter) ?? oregon

const median = (values: ReadonlyArray<number>): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0

class Watch {
  private reached = 0
  private payloads = 0
  private crossing = 0
  private begun = 0
  private last = 0
  private tokens = 0

  readonly observer: World.Observer<OverlayFleet.Protocol> = {
    output: ({ now }) => {
      if (this.reached++ === 0) this.begun = now
      this.last = now
    },
    step: ({ peer }, _event, state, actions) => {
      for (const action of actions) {
        if (action._tag !== "Send" || action.message.message._tag !== "Gossip") continue
        const to = state.tree.gate.neighbors.find(({ link }) => link === action.link)
        this.payloads++
        if (to !== undefined && Peer.isFar(peer, to.peer)) this.crossing++
      }
    }
  }

  /** A broadcast of the first node of each region, one after the other. */
  round(world: Fleets.Fleet): Round {
    const roots = World.running(world)
      .slice(0, count)
      .map(({ peer }) => peer.id)
    const running = World.running(world).length
    const full: Array<number> = []
    const flood: Array<number> = []
    let reached = 0
    const grafts = graftsOf(world)
    this.payloads = 0
    this.crossing = 0
    for (const root of roots) {
      flood.push(floodMs(world, root))
      this.reached = 0
      OverlayFleet.broadcast(world, root, ++this.tokens)
      World.pass(world, roundMs)
      full.push(this.last - this.begun)
      reached += this.reached
    }
    return {
      reached: reached / running / roots.length,
      fullMs: median(full),
      floodMs: median(flood),
      crossing: this.crossing / roots.length,
      redundancy: this.payloads / (reached - roots.length) - 1,
      grafts: (graftsOf(world) - grafts) / roots.length
    }
  }
}

const graftsOf = (world: Fleets.Fleet): number =>
  World.running(world).reduce((sum, { state }) => sum + state.tree.counters.graftsSent, 0)

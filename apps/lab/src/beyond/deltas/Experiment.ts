/**
 * Every node changes its document within one second, five times over: what it costs, and how long it takes.
 *
 * @since 0.1.0
 */
import { Facts } from "@starling/fleet"
import { type NodeId, Rng } from "@starling/machine"
import { World } from "@starling/sim"
import * as HashMap from "effect/HashMap"
import * as FactsFleet from "./FactsFleet.ts"

/** @since 0.1.0 @category models */
export interface Order {
  readonly size: number
  readonly seed: number
  readonly way: "flood" | "relays"
  readonly jitterMs: number
  /** Kill a quarter of the relays in the middle of each round from this one on; 0: of none. */
  readonly killFrom: number
}

/** @since 0.1.0 @category models */
export interface Round {
  /** Deltas that came, for each that brought something new, less one. */
  readonly redundancy: number
  /** Documents that were asked for since they did not come. */
  readonly pulled: number
  readonly frames: number
  /** Milliseconds from a change until the last node has it. */
  readonly median: number
  readonly p99: number
  readonly last: number
  /** Changes that some running node lacks at the end. */
  readonly lost: number
  readonly killed: number
}

/** @since 0.1.0 @category models */
export interface Result extends Order {
  readonly relays: number
  /** Full delivery of one change of one node while nothing else happens: the median of some, in milliseconds. */
  readonly quiet: number
  readonly rounds: ReadonlyArray<Round>
}

const ways: { readonly [way in Order["way"]]: Partial<Facts.Config> } = {
  relays: {},
  // As it was before there were relays: no trees, and a quarter of a second gathered at each hop.
  flood: { hopMs: 250, relays: { ...Facts.defaults.relays, relaysMax: 0 } }
}

const rounds = 5

/** @since 0.1.0 @category running */
export const run = (order: Order, progress: (text: string) => void): Result => {
  const { jitterMs, seed, size, way } = order
  const watch = new Watch(size)
  const world = FactsFleet.make({ size, seed, network: { latencyMs: [10, 50], jitterMs } }, ways[way], watch.observer)
  watch.names(World.ids(world))
  progress("settled")
  // Relays are known after the first beats.
  World.pass(world, 2.5 * Facts.defaults.relays.beatMs)
  const quiet = Array.from({ length: 5 }, (_, index) => {
    const [origin] = choose(world, `quiet/${index}`, 1)
    return origin === undefined ? 0 : watch.one(world, origin)
  }).toSorted((a, b) => a - b)
  progress(`quiet ${quiet.join(", ")}`)
  const relays = relaysOf(world)
  return {
    ...order,
    relays: relays.length,
    quiet: quiet[2] ?? 0,
    rounds: Array.from({ length: rounds }, (_, index) => {
      const kill = order.killFrom > 0 && index + 1 >= order.killFrom ? Math.ceil(relaysOf(world).length / 4) : 0
      const round = watch.round(world, index, kill)
      progress(`round ${index + 1}: ${JSON.stringify(round)}`)
      return round
    })
  }
}

const choose = (world: FactsFleet.Fleet, label: string, count: number): ReadonlyArray<NodeId.NodeId> =>
  Rng.sample(
    Rng.make(label),
    World.running(world).map(({ peer }) => peer.id),
    count
  )[0]

/** Nodes that beat. */
const relaysOf = (world: FactsFleet.Fleet): ReadonlyArray<NodeId.NodeId> =>
  World.running(world).flatMap(({ peer, state }) =>
    state.facts !== undefined && HashMap.has(state.facts.relays, peer.id) ? [peer.id] : []
  )

/** Sees when each change reached which node. */
class Watch {
  private readonly index = new Map<NodeId.NodeId, number>()
  private readonly size: number
  /** By origin: the version that this round is about; infinite while there is none. */
  private readonly wanted: Array<number>
  private readonly emittedAt: Array<number>
  private readonly lastAt: Array<number>
  /** By node and origin. */
  private seen: Uint8Array
  private reached = 0
  private rounds = 0

  constructor(size: number) {
    this.size = size
    this.wanted = Array.from({ length: size }, () => Number.POSITIVE_INFINITY)
    this.emittedAt = Array.from({ length: size }, () => 0)
    this.lastAt = Array.from({ length: size }, () => 0)
    this.seen = new Uint8Array(size * size)
  }

  names(ids: ReadonlyArray<NodeId.NodeId>): void {
    for (const [at, id] of ids.entries()) this.index.set(id, at)
  }

  readonly observer: World.Observer<FactsFleet.Protocol> = {
    step: ({ now, peer }, event, { facts }) => {
      if (event._tag !== "Received" || event.message.channel !== "facts" || facts === undefined) return
      const { message } = event.message
      if (message._tag !== "Delta") return
      const row = (this.index.get(peer.id) ?? 0) * this.size
      for (const { id, to } of message.docs) {
        const origin = this.index.get(id) ?? 0
        if (id === peer.id || this.seen[row + origin] === 1 || to < (this.wanted[origin] ?? 0)) continue
        // It may have begun after a gap.
        if (HashMap.getUnsafe(facts.docs, id).version < (this.wanted[origin] ?? 0)) continue
        this.seen[row + origin] = 1
        this.reached++
        this.lastAt[origin] = now
      }
    }
  }

  /** One change of one node: milliseconds until the last node has it. */
  one(world: FactsFleet.Fleet, id: NodeId.NodeId): number {
    this.begin()
    this.emit(world, id)
    World.pass(world, 8000)
    const origin = this.index.get(id) ?? 0
    return this.reached === this.size - 1 ? (this.lastAt[origin] ?? 0) - (this.emittedAt[origin] ?? 0) : Number.NaN
  }

  round(world: FactsFleet.Fleet, number: number, kill: number): Round {
    this.begin()
    const before = countersOf(world)
    const framesBefore = World.counters(world).frames
    const ids = World.running(world).map(({ peer }) => peer.id)
    let rng = Rng.make(`emit/${number}`)
    const begun = World.now(world)
    for (const id of ids) {
      const [at, after] = Rng.nextInt(rng, 1000)
      rng = after
      World.at(world, begun + at, () => this.emit(world, id))
    }
    const victims = kill === 0 ? [] : Rng.sample(Rng.make(`kill/${number}`), relaysOf(world), kill)[0]
    World.at(world, begun + 500, () => {
      for (const id of victims) World.crash(world, id)
    })
    World.pass(world, 1000 + (kill === 0 ? settleMs : mendMs))
    const cost = { deltasReceived: 0, deltasRepeated: 0, documentsPulled: 0 }
    for (const [id, counters] of countersOf(world)) {
      for (const what of ["deltasReceived", "deltasRepeated", "documentsPulled"] as const) {
        cost[what] += counters[what] - (before.get(id)?.[what] ?? 0)
      }
    }
    const alive = new Set(World.running(world).map(({ peer }) => peer.id))
    const emitted = ids.filter((id) => Number.isFinite(this.wanted[this.index.get(id) ?? 0] ?? 0) && alive.has(id))
    const took = emitted
      .map((id) => {
        const origin = this.index.get(id) ?? 0
        return (this.lastAt[origin] ?? 0) - (this.emittedAt[origin] ?? 0)
      })
      .toSorted((a, b) => a - b)
    return {
      redundancy: cost.deltasReceived / (cost.deltasReceived - cost.deltasRepeated) - 1,
      pulled: cost.documentsPulled,
      frames: World.counters(world).frames - framesBefore,
      median: took[Math.floor(took.length / 2)] ?? 0,
      p99: took[Math.floor(took.length * 0.99)] ?? 0,
      last: took.at(-1) ?? 0,
      lost: emitted.filter((id) =>
        [...alive].some(
          (node) => node !== id && this.seen[(this.index.get(node) ?? 0) * this.size + (this.index.get(id) ?? 0)] !== 1
        )
      ).length,
      killed: victims.length
    }
  }

  private begin(): void {
    this.wanted.fill(Number.POSITIVE_INFINITY)
    this.seen.fill(0)
    this.reached = 0
  }

  private emit(world: FactsFleet.Fleet, id: NodeId.NodeId): void {
    const facts = World.state(world, id)?.facts
    if (facts === undefined) return
    const origin = this.index.get(id) ?? 0
    this.wanted[origin] = HashMap.getUnsafe(facts.docs, id).version + 1
    this.emittedAt[origin] = World.now(world)
    World.inject(world, id, { _tag: "Emit", round: ++this.rounds })
  }
}

/** Longer than any change takes that is not lost, announcements and questions included. */
const settleMs = 4000

/** Where relays were killed: until their trees are given up, and each node has compared itself with neighbours. */
const mendMs = 40_000

/** What nodes that run have counted, by node: those that were killed meanwhile count for nothing. */
const countersOf = (world: FactsFleet.Fleet): ReadonlyMap<NodeId.NodeId, Facts.State["counters"]> =>
  new Map(
    World.running(world).flatMap(({ peer, state }) =>
      state.facts === undefined ? [] : [[peer.id, state.facts.counters] as const]
    )
  )

/**
 * Every node changes its document within one second, five times over: what it costs, and how long it takes. Then once
 * more, with a quarter of the relays killed in the middle of it.
 *
 * @since 0.1.0
 */
import { Facts } from "@starling/fleet"
import { Rng } from "@starling/machine"
import * as FactsFleet from "./FactsFleet.ts"
import * as LeanFleet from "./LeanFleet.ts"
import type { Cost, Subject } from "./Subject.ts"

/** @since 0.1.0 @category models */
export interface Order {
  readonly size: number
  readonly seed: number
  /** `flood` is how it was before there were relays. */
  readonly way: "flood" | "relays"
  readonly jitterMs: number
  /** Whole facts; else nodes that keep of each document only its version, and nothing of what neighbours have. */
  readonly isWhole: boolean
  readonly rounds: number
  readonly killings: number
}

/** @since 0.1.0 @category models */
export interface Round {
  /** Deltas that came, for each that brought something new, less one. */
  readonly redundancy: number
  /** Documents that nodes had to ask for. */
  readonly pulled: number
  readonly frames: number
  /** Milliseconds from a change until the last node has it. */
  readonly median: number
  readonly p99: number
  readonly last: number
  /** Changes that some running node lacks at the end, of nodes that still run. */
  readonly lost: number
  readonly killed: number
}

/** @since 0.1.0 @category models */
export interface Result extends Order {
  readonly relays: number
  /** Full delivery of one change while nothing else happens: the median of some, in milliseconds. */
  readonly quiet: number
  readonly results: ReadonlyArray<Round>
}

const ways: { readonly [way in Order["way"]]: Partial<Facts.Config> } = {
  relays: {},
  // No trees, and a quarter of a second gathered at each hop.
  flood: { hopMs: 250, relays: { ...Facts.defaults.relays, relaysMax: 0 } }
}

/** @since 0.1.0 @category running */
export const run = (order: Order, progress: (text: string) => void): Result => {
  const { isWhole, killings, rounds, size, way } = order
  const watch = new Watch(size)
  const make = isWhole ? FactsFleet.make : LeanFleet.make
  const subject = make(order, ways[way], watch.seen, progress)
  // The trees are there after the first beats, and no neighbour is new any more.
  subject.pass(2.5 * Facts.defaults.relays.beatMs)
  progress("settled")
  const quiet = choose(subject.alive(), "quiet", 5)
    .map((node) => watch.one(subject, node))
    .toSorted((a, b) => a - b)
  progress(`one change takes ${quiet.join(", ")} ms`)
  const relays = subject.relays().length
  const results = Array.from({ length: rounds + killings }, (_, index) => {
    const round = watch.round(subject, index < rounds ? 0 : Math.ceil(subject.relays().length / 4))
    progress(
      `round ${index + 1}: redundancy ${round.redundancy.toFixed(3)}, median ${round.median} ms, last ${round.last} ms, ` +
        `${round.pulled} asked for, ${round.lost} lost, ${round.killed} relays killed`
    )
    return round
  })
  return { ...order, relays, quiet: quiet[2] ?? 0, results }
}

const choose = (nodes: ReadonlyArray<number>, label: string, count: number): ReadonlyArray<number> =>
  Rng.sample(Rng.make(label), nodes, count)[0]

/** Longer than any change takes that is not lost, announcements and questions included. */
const settleMs = 3000

/** Where relays were killed: until their trees are given up, and each node has compared itself with neighbours. */
const mendMs = 30_000

/** Sees when each change reached which node. */
class Watch {
  private readonly size: number
  private readonly emittedAt: Float64Array
  private readonly lastAt: Float64Array
  /** Nodes that each change reached. */
  private readonly reached: Int32Array
  /** By node and origin: the number of the last round whose change was seen. */
  private readonly rounds: Uint8Array
  private round_ = 0
  private emissions = 0

  constructor(size: number) {
    this.size = size
    this.emittedAt = new Float64Array(size)
    this.lastAt = new Float64Array(size)
    this.reached = new Int32Array(size)
    this.rounds = new Uint8Array(size * size)
  }

  readonly seen = (node: number, origin: number, now: number): void => {
    const at = node * this.size + origin
    if (this.rounds[at] === this.round_) return
    this.rounds[at] = this.round_
    this.reached[origin] = (this.reached[origin] ?? 0) + 1
    this.lastAt[origin] = now
  }

  /** One change of one node: milliseconds until the last node has it. */
  one(subject: Subject, node: number): number {
    this.begin()
    this.emit(subject, node)
    subject.pass(settleMs)
    return this.reached[node] === this.size - 1 ? this.took(node) : Number.NaN
  }

  round(subject: Subject, kill: number): Round {
    this.begin()
    const before = subject.cost()
    const framesBefore = subject.frames()
    const begun = subject.now()
    let rng = Rng.make(`emit/${this.round_}`)
    for (const node of subject.alive()) {
      const [at, after] = Rng.nextInt(rng, 1000)
      rng = after
      subject.at(begun + at, () => this.emit(subject, node))
    }
    const victims = choose(subject.relays(), `kill/${this.round_}`, kill)
    subject.at(begun + 500, () => {
      for (const node of victims) subject.kill(node)
    })
    subject.pass(1000 + (kill === 0 ? settleMs : mendMs))
    const spent = spentSince(before, subject.cost())
    const alive = subject.alive()
    const took = alive.map((node) => this.took(node)).toSorted((a, b) => a - b)
    return {
      redundancy: spent.received / (spent.received - spent.repeated) - 1,
      pulled: spent.pulled,
      frames: subject.frames() - framesBefore,
      median: took[Math.floor(took.length / 2)] ?? 0,
      p99: took[Math.floor(took.length * 0.99)] ?? 0,
      last: took.at(-1) ?? 0,
      lost: alive.filter((origin) => alive.some((node) => node !== origin && !this.has(node, origin))).length,
      killed: victims.length
    }
  }

  private begin(): void {
    this.round_++
    this.reached.fill(0)
  }

  private emit(subject: Subject, node: number): void {
    this.emittedAt[node] = subject.now()
    this.lastAt[node] = subject.now()
    subject.emit(node, ++this.emissions)
  }

  private took(node: number): number {
    return (this.lastAt[node] ?? 0) - (this.emittedAt[node] ?? 0)
  }

  private has(node: number, origin: number): boolean {
    return this.rounds[node * this.size + origin] === this.round_
  }
}

/** What the nodes that still run have counted meanwhile. */
const spentSince = (before: ReadonlyMap<number, Cost>, after: ReadonlyMap<number, Cost>): Cost => {
  const sum = { received: 0, repeated: 0, pulled: 0 }
  for (const [node, cost] of after) {
    const begun = before.get(node)
    sum.received += cost.received - (begun?.received ?? 0)
    sum.repeated += cost.repeated - (begun?.repeated ?? 0)
    sum.pulled += cost.pulled - (begun?.pulled ?? 0)
  }
  return sum
}

/**
 * A small fleet whose clocks go wrong, for tests of the population protocol: machines, links with delay, and clocks that
 * the test sets. Frames on a link keep their order, as on TCP; one that is late holds up those behind it.
 */
import { EffectiveTime, FleetTime, Guard, Hlc, Population, type Stamp } from "@starling/clock"
import { Codec, Rng } from "@starling/machine"

type Machine = ReturnType<typeof Population.median.make>
type Message = Parameters<typeof Population.median.encode>[0]

/** The true time when a network begins, in milliseconds since 1970. */
export const epochMs = 1_700_000_000_000

export interface Options {
  readonly seed: number
  /** Mean delay of a frame, milliseconds; uniform from a quarter to seven quarters of it. */
  readonly delayMs: number
  /** The share of frames that come 0.2 to 3 s late. */
  readonly late: number
  readonly policy: Guard.Policy
  /** Whether nodes are told how many they are. */
  readonly isSizeKnown: boolean
}

export const defaults: Options = { seed: 1, delayMs: 0, late: 0, policy: "refuse", isSizeKnown: true }

export class Node {
  readonly index: number
  readonly id: string
  machine: Machine
  reading: Hlc.Reading = Hlc.make(Number.MAX_SAFE_INTEGER)
  /** What the clock is wrong by, as a function of true time; NaN is a lost clock. */
  error: (at: number) => number
  /** True time minus monotonic time: a suspended machine's grows. */
  zero: number
  isDead = false
  /** What happens to a suspended machine when it wakes, if it is suspended. */
  backlog: Array<() => void> | undefined = undefined
  offset: number | undefined
  alone = false
  refused = 0
  held = 0
  conditions = new Set<EffectiveTime.Condition>()

  constructor(index: number, at: number, seed: number, error: (at: number) => number) {
    this.index = index
    this.error = error
    this.id = (index + 1).toString(16).padStart(12, "0")
    // Every process has a zero of its own.
    this.zero = at - 1000 * (index % 7)
    this.machine = Population.median.make({ ...Population.defaults, self: this.id }, `${seed}/${index}`, at - this.zero)
  }

  wall(at: number): number {
    return Math.floor(epochMs + at + this.error(at))
  }

  /** What this node holds for the fleet's time, minus the true time. */
  fleetError(at: number): number | undefined {
    return this.offset === undefined ? undefined : this.offset + at - this.zero - epochMs - at
  }

  physical(at: number): number {
    const fleet = this.offset === undefined ? Number.NaN : this.offset + at - this.zero
    return EffectiveTime.physical(this.wall(at), fleet, this.alone, EffectiveTime.defaults)
  }
}

interface Due {
  readonly at: number
  readonly run: () => void
}

export class Network {
  readonly options: Options
  readonly nodes: Array<Node> = []
  now = 0
  version = 1
  private rng: Rng.Rng
  private readonly agenda: Array<Due> = []
  private readonly arrivals = new Map<string, number>()
  /** Links between nodes, both ways. */
  edges: ReadonlyArray<readonly [number, number]> = []
  isCut = (_from: number, _to: number): boolean => false
  bytes = 0
  frames = 0

  /** A node for each clock, by what it is wrong. */
  constructor(errors: ReadonlyArray<number>, options: Partial<Options> = {}) {
    this.options = { ...defaults, ...options }
    this.rng = Rng.make(this.options.seed)
    for (const error of errors) this.add(error)
    this.connect(graph(errors.length, this.options.seed))
  }

  add(error: number): Node {
    const node = new Node(this.nodes.length, this.now, this.options.seed, () => error)
    this.nodes.push(node)
    this.after(this.chance() * 200, () => this.feed(node, { _tag: "Started" }))
    return node
  }

  /** Everybody is told the neighbours of the graph. */
  connect(edges: ReadonlyArray<readonly [number, number]>): void {
    this.edges = edges
    this.version++
    for (const node of this.nodes) if (!node.isDead) this.tellNeighbors(node)
  }

  kill(node: Node): void {
    node.isDead = true
    this.connect(this.edges.filter(([a, b]) => a !== node.index && b !== node.index))
  }

  /** The machine sleeps, and its monotonic clock with it; frames and timers wait. */
  suspend(node: Node, ms: number): void {
    node.backlog = []
    this.after(ms, () => {
      const backlog = node.backlog ?? []
      node.backlog = undefined
      node.zero += ms
      for (const happen of backlog) happen()
    })
  }

  /** Time passes. */
  run(ms: number, each?: () => void): void {
    const end = this.now + ms
    for (;;) {
      const first = this.agenda[0]
      if (first === undefined || first.at > end) break
      pop(this.agenda)
      this.now = first.at
      first.run()
      each?.()
    }
    this.now = end
  }

  get alive(): ReadonlyArray<Node> {
    return this.nodes.filter(({ isDead }) => !isDead)
  }

  /** The lower median of the living clocks, minus the true time. */
  get trueMedian(): number {
    const errors = this.alive.map((node) => node.error(this.now)).filter((error) => !Number.isNaN(error))
    return errors.toSorted((a, b) => a - b)[(errors.length - 1) >> 1] as number
  }

  feed(node: Node, event: Parameters<typeof Population.median.step>[1]["event"]): void {
    if (node.isDead) return
    if (node.backlog !== undefined) {
      node.backlog.push(() => this.feed(node, event))
      return
    }
    const now = this.now - node.zero
    const [machine, actions] = Population.median.step(node.machine, { now, wall: node.wall(this.now), event })
    node.machine = machine
    for (const action of actions) {
      switch (action._tag) {
        case "SetTimer":
          this.after(action.delayMs, () => this.feed(node, { _tag: "TimerFired", timer: action.timer }))
          break
        case "Emit":
          node.offset = action.output.offset
          node.alone = action.output.alone
          node.conditions.add(action.output.condition)
          break
        case "Send":
          this.send(node, this.nodes[action.link] as Node, action.message)
          break
        default:
      }
    }
  }

  stamp(node: Node): Stamp.Stamp {
    // A disk that answers at once: the lease is not what is tested here.
    const leased = Hlc.extend(node.reading, { epoch: node.reading.epoch, limit: Number.MAX_SAFE_INTEGER })
    const [reading, at] = Hlc.stamp(leased, node.physical(this.now), node.id)
    node.reading = reading
    return at
  }

  private send(from: Node, to: Node, message: Message): void {
    const stamp = this.stamp(from)
    const plain = Population.median.encode(message)
    this.bytes += Codec.sizeOf(plain)
    this.frames++
    if (this.isCut(from.index, to.index)) return
    const isLate = this.chance() < this.options.late
    const delay = this.options.delayMs * (0.25 + 1.5 * this.chance()) + (isLate ? 200 + 2800 * this.chance() : 0)
    const way = `${from.index}>${to.index}`
    const arrival = Math.max(this.now + delay, this.arrivals.get(way) ?? 0)
    this.arrivals.set(way, arrival)
    this.after(arrival - this.now, () => {
      const read = Population.median.decode(plain)
      if (!read.ok) throw new Error(read.reason)
      this.receive(to, from, stamp, read.value)
    })
  }

  private receive(to: Node, from: Node, stamp: Stamp.Stamp, message: Message): void {
    if (to.isDead) return
    const fleet = to.offset === undefined ? undefined : to.offset + this.now - to.zero
    const verdict = Guard.judge(to.reading, stamp, fleet, { ...Guard.defaults, policy: this.options.policy })
    if (verdict._tag === "Follow") to.reading = Hlc.receive(to.reading, stamp, to.physical(this.now))
    else if (verdict._tag === "Hold") to.held++
    else to.refused++
    this.feed(to, { _tag: "Received", link: from.index, message })
  }

  private tellNeighbors(node: Node): void {
    const neighbors = this.edges
      .flatMap(([a, b]) => (a === node.index ? [b] : b === node.index ? [a] : []))
      .map((index) => this.nodes[index] as Node)
      .map(({ id, index }) => ({ link: index, peer: { id, incarnation: 1, address: "10.0.0.1:7000" } }))
    this.feed(node, { _tag: "Neighbors", version: this.version, neighbors })
    if (this.options.isSizeKnown) this.feed(node, { _tag: "Fleet", size: this.alive.length })
  }

  chance(): number {
    const [value, rng] = Rng.nextFloat(this.rng)
    this.rng = rng
    return value
  }

  private after(ms: number, run: () => void): void {
    push(this.agenda, { at: this.now + ms, run })
  }
}

/** What probation takes at the most, with room. */
export const settledAfterMs = FleetTime.defaults.probationMs + FleetTime.defaults.settleMs + 1000

/** `size` clocks, `good` ones right to about 10 ms (a sum of three uniform numbers), the others as `bad` says. */
export const clocks = (
  size: number,
  bad: number,
  seed: number,
  badError: (unit: number) => number = anHourToADayAhead
): ReadonlyArray<number> => {
  let rng = Rng.split(Rng.make(seed), "errors")
  const unit = (): number => {
    const [value, next] = Rng.nextFloat(rng)
    rng = next
    return value
  }
  return Array.from({ length: size }, (_, i) => (i < bad ? badError(unit()) : 20 * (unit() + unit() + unit() - 1.5)))
}

const anHourToADayAhead = (unit: number): number => 3_600_000 * (1 + 23 * unit)

/** A ring with three random partners each on top: about five neighbours, connected. */
const graph = (size: number, seed: number): ReadonlyArray<readonly [number, number]> => {
  const edges = new Map<string, readonly [number, number]>()
  const add = (a: number, b: number): void => {
    if (a !== b) edges.set(`${Math.min(a, b)}-${Math.max(a, b)}`, [a, b])
  }
  let rng = Rng.split(Rng.make(seed), "graph")
  const all = Array.from({ length: size }, (_, i) => i)
  for (const i of all) add(i, (i + 1) % size)
  for (let layer = 0; layer < (size > 6 ? 3 : 0); layer++) {
    const [mixed, next] = Rng.sample(rng, all, size)
    rng = next
    for (let i = 0; i + 1 < size; i += 2) add(mixed[i] as number, mixed[i + 1] as number)
  }
  if (size <= 6) for (const a of all) for (const b of all) if (a < b) add(a, b)
  return [...edges.values()]
}

/** A binary heap by time. */
const push = (heap: Array<Due>, due: Due): void => {
  let at = heap.push(due) - 1
  while (at > 0) {
    const parent = (at - 1) >> 1
    if ((heap[parent] as Due).at <= due.at) break
    heap[at] = heap[parent] as Due
    at = parent
  }
  heap[at] = due
}

const pop = (heap: Array<Due>): void => {
  const last = heap.pop()
  if (last === undefined || heap.length === 0) return
  let at = 0
  for (;;) {
    const left = 2 * at + 1
    if (left >= heap.length) break
    const right = left + 1
    const child = right < heap.length && (heap[right] as Due).at < (heap[left] as Due).at ? right : left
    if ((heap[child] as Due).at >= last.at) break
    heap[at] = heap[child] as Due
    at = child
  }
  heap[at] = last
}

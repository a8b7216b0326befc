/**
 * A fleet of stamping nodes in virtual time, for experiments with clocks: thousands of population machines on a fixed
 * graph, where a message is a block of clocks and a stamp.
 *
 * Made for speed and for nothing else: no codec but for sampled sizes, links that only delay. What is late, 0.2 to 3 s as
 * TCP's retransmission time-out has it, holds up what follows on its link. A node that is replaced leaves at once, and
 * another takes its links a second later, as a passive view does it.
 *
 * @since 0.1.0
 */
import {
  type ClockEstimator,
  EffectiveTime,
  type FleetTime,
  Guard,
  Hlc,
  HlcCell,
  Population,
  type Stamp
} from "@starling/clock"
import { Codec, Rng } from "@starling/machine"
import type { Graph } from "./Overlay.ts"

/** The true time when a fleet begins. @since 0.1.0 */
export const epochMs = 1_700_000_000_000

/** A round: each node sends one message. @since 0.1.0 */
export const roundMs = Population.defaults.roundMs

/**
 * How a node stamps: `population` by the fleet's time; `plain` is the hybrid logical clock alone, which follows everything;
 * `reject` follows what is at most 500 ms ahead of the own clock (CockroachDB's default for its maximum offset).
 *
 * @since 0.1.0
 * @category models
 */
export type Rule<E, B> =
  | {
      readonly _tag: "population"
      readonly estimator: ClockEstimator.ClockEstimator<E, B>
      readonly fleet: FleetTime.Config
      readonly policy: Guard.Policy
    }
  | { readonly _tag: "plain" }
  | { readonly _tag: "reject" }

/** @since 0.1.0 @category models */
export interface Setup<E, B> {
  readonly graph: Graph
  readonly seed: number
  readonly rule: Rule<E, B>
  /** The share of clocks that are 1 to 24 h ahead. */
  readonly bad: number
  /** They are all wrong by the same three hours, as those of one bad source. */
  readonly isAlike: boolean
  /** When they jump there; 0: they are from the beginning. */
  readonly jumpAtMs: number
  /** A node starts so long after the one before it; 0: all at once. */
  readonly startEveryMs: number
  /** Nodes are told how many have started. */
  readonly isSizeKnown: boolean
  /** Mean delay; uniform from a quarter to seven quarters of it. */
  readonly delayMs: number
  /** The share of messages that are late. */
  readonly late: number
  /** The share of nodes replaced every 10 s. */
  readonly churn: number
}

const rejectMs = 500

interface Node<E, B> {
  readonly index: number
  generation: number
  id: string
  state: Population.State<E, B> | undefined
  cell: HlcCell.HlcCell
  error: number
  isBad: boolean
  isGone: boolean
  bornAt: number
  version: number
  offset: number
  alone: boolean
  turn: number
}

/** @since 0.1.0 @category models */
export interface Fleet<E, B> {
  readonly setup: Setup<E, B>
  readonly nodes: ReadonlyArray<Node<E, B>>
  now: number
  frames: number
  bytes: number
  sampled: number
  refused: number
  /** The lower median of the living clocks, minus the true time. */
  median: number
  /** @internal */
  readonly core: Core<E, B>
}

interface Core<E, B> {
  readonly protocol: Population.Protocol<E, B> | undefined
  readonly agenda: Array<Array<() => void>>
  /** When the last message of each way arrives, by `from * degreeMax + slot`. */
  readonly arrivals: Map<number, number>
  rng: Rng.Rng
}

/** Nothing lies further ahead than this. */
const agendaMs = 8192

/** @since 0.1.0 @category constructors */
export const make = <E, B>(setup: Setup<E, B>): Fleet<E, B> => {
  const { rule } = setup
  const fleet: Fleet<E, B> = {
    setup,
    nodes: setup.graph.map((_, index): Node<E, B> => ({
      index,
      generation: 0,
      id: "",
      state: undefined,
      cell: HlcCell.make(Hlc.make(Number.MAX_SAFE_INTEGER), ""),
      error: 0,
      isBad: false,
      isGone: false,
      bornAt: 0,
      version: 0,
      offset: Number.NaN,
      alone: false,
      turn: 0
    })),
    now: 0,
    frames: 0,
    bytes: 0,
    sampled: 0,
    refused: 0,
    median: 0,
    core: {
      protocol: rule._tag === "population" ? Population.make(rule.estimator) : undefined,
      agenda: Array.from({ length: agendaMs }, () => []),
      arrivals: new Map(),
      rng: Rng.split(Rng.make(setup.seed), "fleet")
    }
  }
  const count = Math.round(setup.bad * fleet.nodes.length)
  const order = shuffled(fleet, fleet.nodes)
  for (const [rank, node] of order.entries()) {
    node.isBad = rank < count
    node.error = node.isBad && setup.jumpAtMs === 0 ? badError(fleet) : goodError(fleet)
    if (setup.startEveryMs === 0) boot(fleet, node)
    else node.isGone = true
  }
  if (setup.startEveryMs > 0) startNext(fleet, 0)
  for (const node of fleet.nodes) tellNeighbors(fleet, node)
  tellSize(fleet)
  if (setup.jumpAtMs > 0) after(fleet, setup.jumpAtMs % agendaMs, () => jump(fleet))
  if (setup.churn > 0) after(fleet, 10_000 / (setup.churn * fleet.nodes.length), () => replaceNext(fleet))
  measureMedian(fleet)
  return fleet
}

/** @since 0.1.0 */
export const run = <E, B>(fleet: Fleet<E, B>, untilMs: number): void => {
  const { agenda } = fleet.core
  for (; fleet.now < untilMs; fleet.now++) {
    const due = agenda[fleet.now % agendaMs] as Array<() => void>
    // What is due now may add to it.
    for (let i = 0; i < due.length; i++) (due[i] as () => void)()
    due.length = 0
  }
}

/**
 * - `settled`: nodes out of probation; `wrong`: those of them that are off the true median by more than 50 ms.
 * - `estimating`, `off`: the same of the raw estimates, before the filter.
 * - `p50`, `max`: of the settled ones' distance to the true median, in milliseconds.
 * - `lead`: by how much the furthest stamp lies beyond the true time; `dragged`: nodes beyond the guard whose clock is right.
 * - `epochs`: nodes in the highest epoch.
 *
 * @since 0.1.0
 * @category models
 */
export interface Look {
  readonly alive: number
  readonly settled: number
  readonly wrong: number
  readonly estimating: number
  readonly off: number
  readonly p50: number
  readonly max: number
  readonly lead: number
  readonly dragged: number
  readonly epochs: number
}

/** Off by more counts as wrong. @since 0.1.0 */
export const wrongMs = 50

/** @since 0.1.0 */
export const look = <E, B>(fleet: Fleet<E, B>): Look => {
  const { median, nodes, now } = fleet
  const errors: Array<number> = []
  let [alive, wrong, estimating, off, dragged, epoch, epochs] = [0, 0, 0, 0, 0, 0, 0]
  let lead = -Infinity
  for (const { cell, isBad, isGone, offset, state } of nodes) {
    if (isGone) continue
    alive++
    if (!Number.isNaN(offset)) {
      const error = Math.abs(offset - epochMs - median)
      errors.push(error)
      if (error > wrongMs) wrong++
    }
    const estimate = state?.estimate
    if (estimate !== undefined) {
      estimating++
      if (Math.abs(estimate - epochMs - median) > wrongMs) off++
    }
    const ahead = cell.wall - epochMs - now
    lead = Math.max(lead, ahead)
    if (ahead > Guard.defaults.guardMs && !isBad) dragged++
    if (cell.epoch > epoch) {
      epoch = cell.epoch
      epochs = 0
    }
    if (cell.epoch === epoch) epochs++
  }
  errors.sort((a, b) => a - b)
  return {
    alive,
    settled: errors.length,
    wrong,
    estimating,
    off,
    p50: errors[errors.length >> 1] ?? Number.NaN,
    max: errors.at(-1) ?? Number.NaN,
    lead,
    dragged,
    epochs
  }
}

/** An operator resets the epoch at one node. @since 0.1.0 */
export const reset = <E, B>(fleet: Fleet<E, B>, index: number): void => {
  const { cell } = fleet.nodes[index] as Node<E, B>
  const next = Hlc.reset(HlcCell.read(cell), cell.epoch, physical(fleet, fleet.nodes[index] as Node<E, B>))
  if (next !== undefined) HlcCell.write(cell, next)
}

/** All clocks are right from now on. @since 0.1.0 */
export const mend = <E, B>(fleet: Fleet<E, B>): void => {
  for (const node of fleet.nodes) {
    if (node.isBad) node.error = goodError(fleet)
    node.isBad = false
  }
  measureMedian(fleet)
}

// ---------------------------------------------------------------------------------------------------------------------
// Nodes
// ---------------------------------------------------------------------------------------------------------------------

const boot = <E, B>(fleet: Fleet<E, B>, node: Node<E, B>): void => {
  const { core, now, setup } = fleet
  const { rule } = setup
  const { generation, index } = node
  node.id = (generation * 0x1000000 + index + 1).toString(16).padStart(12, "0")
  node.cell = HlcCell.make(Hlc.make(Number.MAX_SAFE_INTEGER), node.id)
  node.isGone = false
  node.bornAt = now
  node.offset = Number.NaN
  node.alone = false
  const first = Math.floor(chance(fleet) * roundMs)
  if (core.protocol !== undefined && rule._tag === "population") {
    node.state = core.protocol.make(
      { ...Population.defaults, self: node.id, fleet: rule.fleet },
      `${setup.seed}/${node.id}`,
      now
    )
    after(fleet, first, () => feed(fleet, node, generation, { _tag: "Started" }))
  } else {
    node.offset = Number.NaN
    after(fleet, first, () => plainRound(fleet, node, generation))
  }
}

const startNext = <E, B>(fleet: Fleet<E, B>, index: number): void => {
  const node = fleet.nodes[index]
  if (node === undefined) return
  boot(fleet, node)
  tellNeighbors(fleet, node)
  for (const other of neighborsOf(fleet, node)) tellNeighbors(fleet, other)
  tellSize(fleet)
  measureMedian(fleet)
  after(fleet, fleet.setup.startEveryMs, () => startNext(fleet, index + 1))
}

const tellSize = <E, B>(fleet: Fleet<E, B>): void => {
  if (!fleet.setup.isSizeKnown) return
  const alive = fleet.nodes.filter(({ isGone }) => !isGone)
  for (const node of alive) feed(fleet, node, node.generation, { _tag: "Fleet", size: alive.length })
}

const replaceNext = <E, B>(fleet: Fleet<E, B>): void => {
  const node = fleet.nodes[Math.floor(chance(fleet) * fleet.nodes.length)] as Node<E, B>
  if (!node.isGone) {
    node.isGone = true
    node.generation++
    for (const other of neighborsOf(fleet, node)) tellNeighbors(fleet, other)
    measureMedian(fleet)
    after(fleet, 1000, () => {
      const { bad, jumpAtMs } = fleet.setup
      node.isBad = chance(fleet) < bad
      node.error = node.isBad && (jumpAtMs === 0 || fleet.now >= jumpAtMs) ? badError(fleet) : goodError(fleet)
      boot(fleet, node)
      tellNeighbors(fleet, node)
      for (const other of neighborsOf(fleet, node)) tellNeighbors(fleet, other)
      measureMedian(fleet)
    })
  }
  after(fleet, Math.max(1, 10_000 / (fleet.setup.churn * fleet.nodes.length)), () => replaceNext(fleet))
}

const jump = <E, B>(fleet: Fleet<E, B>): void => {
  // Farther off than the agenda reaches.
  if (fleet.now < fleet.setup.jumpAtMs) {
    after(fleet, Math.min(fleet.setup.jumpAtMs - fleet.now, agendaMs - 1), () => jump(fleet))
    return
  }
  for (const node of fleet.nodes) if (node.isBad) node.error = badError(fleet)
  measureMedian(fleet)
}

const neighborsOf = <E, B>(fleet: Fleet<E, B>, node: Node<E, B>): ReadonlyArray<Node<E, B>> =>
  (fleet.setup.graph[node.index] ?? []).map((index) => fleet.nodes[index] as Node<E, B>).filter(({ isGone }) => !isGone)

/** A link is numbered by who is at its other end, and by which run of it. */
const linkOf = <E, B>({ generation, index }: Node<E, B>): number => generation * 0x1000000 + index

const tellNeighbors = <E, B>(fleet: Fleet<E, B>, node: Node<E, B>): void => {
  if (node.isGone || node.state === undefined) return
  node.version++
  const neighbors = neighborsOf(fleet, node).map((other) => ({
    link: linkOf(other),
    peer: { id: other.id, incarnation: 1, address: "" }
  }))
  feed(fleet, node, node.generation, { _tag: "Neighbors", version: node.version, neighbors })
}

const wallOf = <E, B>({ now }: Fleet<E, B>, { error }: Node<E, B>): number => Math.floor(epochMs + now + error)

const fleetTime = <E, B>({ now }: Fleet<E, B>, { offset }: Node<E, B>): number => offset + now

const physical = <E, B>(fleet: Fleet<E, B>, node: Node<E, B>): number =>
  fleet.setup.rule._tag === "population"
    ? EffectiveTime.physical(wallOf(fleet, node), fleetTime(fleet, node), node.alone, EffectiveTime.defaults)
    : wallOf(fleet, node)

const feed = <E, B>(fleet: Fleet<E, B>, node: Node<E, B>, generation: number, event: Population.Event<B>): void => {
  const { protocol } = fleet.core
  if (node.generation !== generation || protocol === undefined || node.state === undefined) return
  const [state, actions] = protocol.step(node.state, { now: fleet.now, wall: wallOf(fleet, node), event })
  node.state = state
  for (const action of actions) {
    switch (action._tag) {
      case "Send":
        send(fleet, node, fleet.nodes[action.link % 0x1000000] as Node<E, B>, action.message)
        break
      case "SetTimer":
        after(fleet, action.delayMs, () => feed(fleet, node, generation, { _tag: "TimerFired", timer: action.timer }))
        break
      case "Emit":
        node.offset = action.output.offset ?? Number.NaN
        node.alone = action.output.alone
        break
      default:
    }
  }
}

/** Without a population protocol: a stamp to one neighbour after the other. */
const plainRound = <E, B>(fleet: Fleet<E, B>, node: Node<E, B>, generation: number): void => {
  if (node.generation !== generation || node.isGone) return
  const neighbors = neighborsOf(fleet, node)
  const to = neighbors[node.turn++ % Math.max(neighbors.length, 1)]
  if (to !== undefined) send(fleet, node, to, undefined)
  after(fleet, roundMs, () => plainRound(fleet, node, generation))
}

// ---------------------------------------------------------------------------------------------------------------------
// Messages
// ---------------------------------------------------------------------------------------------------------------------

const stampBytes = 8

const send = <E, B>(
  fleet: Fleet<E, B>,
  from: Node<E, B>,
  to: Node<E, B>,
  message: Population.Message<B> | undefined
): void => {
  const { core, setup } = fleet
  const stamp = HlcCell.stamp(from.cell, physical(fleet, from))
  fleet.frames++
  if (fleet.frames % 64 === 0) {
    fleet.sampled++
    fleet.bytes += stampBytes + (message === undefined ? 0 : Codec.sizeOf(core.protocol?.encode(message)))
  }
  const isLate = setup.late > 0 && chance(fleet) < setup.late
  let delay = setup.delayMs === 0 ? 0 : setup.delayMs * (0.25 + 1.5 * chance(fleet))
  if (isLate) delay += 200 + 2800 * chance(fleet)
  if (setup.late > 0) {
    const way = from.index * fleet.nodes.length + to.index
    const arrival = Math.max(fleet.now + delay, core.arrivals.get(way) ?? 0)
    core.arrivals.set(way, arrival)
    delay = arrival - fleet.now
  }
  const generation = to.generation
  const link = linkOf(from)
  after(fleet, delay, () => receive(fleet, to, generation, link, stamp, message))
}

const receive = <E, B>(
  fleet: Fleet<E, B>,
  to: Node<E, B>,
  generation: number,
  link: number,
  stamp: Stamp.Stamp,
  message: Population.Message<B> | undefined
): void => {
  if (to.isGone || to.generation !== generation) return
  if (isFollowed(fleet, to, stamp)) HlcCell.receive(to.cell, stamp, physical(fleet, to))
  else fleet.refused++
  if (message !== undefined) feed(fleet, to, generation, { _tag: "Received", link, message })
}

const isFollowed = <E, B>(fleet: Fleet<E, B>, to: Node<E, B>, stamp: Stamp.Stamp): boolean => {
  const { rule } = fleet.setup
  switch (rule._tag) {
    case "plain":
      return true
    case "reject":
      return stamp.epoch > to.cell.epoch || stamp.wall <= wallOf(fleet, to) + rejectMs
    case "population": {
      const time = fleetTime(fleet, to)
      const known = Number.isNaN(time) ? undefined : time
      return Guard.judge(to.cell, stamp, known, { ...Guard.defaults, policy: rule.policy })._tag === "Follow"
    }
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Time and chance
// ---------------------------------------------------------------------------------------------------------------------

const after = <E, B>(fleet: Fleet<E, B>, ms: number, act: () => void): void => {
  const at = fleet.now + Math.min(Math.round(ms), agendaMs - 1)
  ;(fleet.core.agenda[at % agendaMs] as Array<() => void>).push(act)
}

const chance = <E, B>({ core }: Fleet<E, B>): number => {
  const [unit, rng] = Rng.nextFloat(core.rng)
  core.rng = rng
  return unit
}

const shuffled = <E, B>(fleet: Fleet<E, B>, nodes: ReadonlyArray<Node<E, B>>): ReadonlyArray<Node<E, B>> => {
  const [mixed, rng] = Rng.sample(fleet.core.rng, nodes, nodes.length)
  fleet.core.rng = rng
  return mixed
}

/** Normal with a deviation of 10 ms (Box, Muller). */
const goodError = <E, B>(fleet: Fleet<E, B>): number =>
  10 * Math.sqrt(-2 * Math.log(1 - chance(fleet))) * Math.cos(2 * Math.PI * chance(fleet))

const badError = <E, B>(fleet: Fleet<E, B>): number => 3_600_000 * (fleet.setup.isAlike ? 3 : 1 + 23 * chance(fleet))

const measureMedian = <E, B>(fleet: Fleet<E, B>): void => {
  const errors = fleet.nodes.filter(({ isGone }) => !isGone).map(({ error }) => error)
  errors.sort((a, b) => a - b)
  fleet.median = errors[(errors.length - 1) >> 1] ?? 0
}

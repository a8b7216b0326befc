/**
 * Estimators by themselves, in rounds: every node sends one block to one neighbour drawn at random, and nothing else
 * happens. What the design of the estimator was chosen by.
 *
 * @since 0.1.0
 */
import { type ClockEstimator } from "@starling/clock"
import { Rng } from "@starling/machine"
import type { Graph } from "./Overlay.ts"

/** @since 0.1.0 @category models */
export interface Setup<E, B> {
  readonly graph: Graph
  readonly seed: number
  readonly estimator: ClockEstimator.ClockEstimator<E, B>
  readonly roundMs: number
  readonly rounds: number
  /** The share of clocks that are 1 to 24 h ahead. */
  readonly bad: number
  readonly delayMs: number
  /** The receiver knows the mean delay, as half a round trip; else it takes every message for instantaneous. */
  readonly isCorrected: boolean
  /** The share of messages that are lost. */
  readonly loss: number
  /** The share of nodes replaced each round, by one with an empty state. */
  readonly churn: number
  /** Fewer clocks amount to nothing. */
  readonly need: number
}

/**
 * `near`, `all`: the first round from which 99.9 % of the nodes, or all, have been right (within 50 ms of the true median)
 * until the end; NaN if they were not. Errors are of the last round, in milliseconds; shares are of the last quarter of
 * the rounds. `youngWrong`: the share of wrong estimates that belonged to nodes of at most ten rounds.
 *
 * @since 0.1.0
 * @category models
 */
export interface Result {
  readonly near: number
  readonly all: number
  readonly p50: number
  readonly max: number
  readonly bias: number
  readonly wrongShare: number
  readonly youngWrong: number
  readonly bytes: number
}

interface Node<E> {
  id: string
  state: E
  error: number
  age: number
}

const wrongMs = 50
const base = 1_700_000_000_000

/** @since 0.1.0 */
export const run = <E, B>(setup: Setup<E, B>, each?: (round: number, states: ReadonlyArray<E>) => void): Result => {
  const { estimator, graph, rounds, roundMs } = setup
  let rng = Rng.split(Rng.make(setup.seed), "rounds")
  const chance = (): number => {
    const [unit, next] = Rng.nextFloat(rng)
    rng = next
    return unit
  }
  const good = (): number => 10 * Math.sqrt(-2 * Math.log(1 - chance())) * Math.cos(2 * Math.PI * chance())
  const bad = (): number => 3_600_000 * (1 + 23 * chance())
  let born = 0
  const make = (isBad: boolean): Node<E> => {
    const id = (++born).toString(16).padStart(12, "0")
    return { id, state: estimator.make(id, `${setup.seed}/${born}`), error: isBad ? bad() : good(), age: 0 }
  }
  const count = Math.round(setup.bad * graph.length)
  const nodes = graph.map((_, i) => make(i < count))
  const neighbors = (at: number): void => {
    const node = nodes[at] as Node<E>
    node.state = estimator.neighbors(
      node.state,
      (graph[at] ?? []).map((other) => (nodes[other] as Node<E>).id)
    )
  }
  for (let i = 0; i < nodes.length; i++) neighbors(i)
  const demand: ClockEstimator.Demand = { need: setup.need, size: graph.length }
  const at = (now: number, node: Node<E>): ClockEstimator.Moment => ({ now, wall: Math.floor(base + now + node.error) })
  const inFlight: Array<{ readonly at: number; readonly act: () => void }> = []
  let [frames, bytes] = [0, 0]
  let [near, all] = [Number.NaN, Number.NaN]
  let [judged, wrong, youngWrong] = [0, 0, 0]
  let errors: ReadonlyArray<number> = []
  for (let round = 1; round <= rounds; round++) {
    const from = (round - 1) * roundMs
    const sends = nodes.map((_, i) => ({ at: from + chance() * roundMs, i })).toSorted((a, b) => a.at - b.at)
    for (const { at: now, i } of sends) {
      deliver(inFlight, now)
      const node = nodes[i] as Node<E>
      const near = graph[i] ?? []
      const to = near[Math.floor(chance() * near.length)]
      if (to === undefined) continue
      node.state = estimator.estimate(node.state, at(now, node), demand)[0]
      const [state, block] = estimator.block(node.state, "usual", at(now, node))
      node.state = state
      if (++frames % 64 === 0) bytes += estimator.encode(block).length
      if (chance() < setup.loss) continue
      const delay = setup.delayMs * (0.25 + 1.5 * chance())
      const receiver = nodes[to] as Node<E>
      inFlight.push({
        at: now + delay,
        act: () => {
          const oneWay = setup.isCorrected ? setup.delayMs : 0
          receiver.state = estimator.absorb(receiver.state, node.id, block, oneWay, at(now + delay, receiver))
        }
      })
    }
    const end = round * roundMs
    deliver(inFlight, end)
    if (setup.churn > 0) {
      for (let i = 0; i < nodes.length; i++) {
        if (chance() >= setup.churn) continue
        nodes[i] = make(chance() < setup.bad)
        neighbors(i)
        for (const other of graph[i] ?? []) neighbors(other)
      }
    }
    const sorted = nodes.map(({ error }) => error).toSorted((a, b) => a - b)
    const median = sorted[(sorted.length - 1) >> 1] as number
    const signed: Array<number> = []
    let right = 0
    for (const node of nodes) {
      node.age++
      const [state, estimate] = estimator.estimate(node.state, at(end, node), demand)
      node.state = state
      const error = estimate === undefined ? Number.NaN : estimate - base - median
      if (!Number.isNaN(error)) signed.push(error)
      const isRight = Math.abs(error) <= wrongMs
      if (isRight) right++
      if (round <= rounds * 0.75 || Number.isNaN(error)) continue
      judged++
      if (isRight) continue
      wrong++
      if (node.age <= 10) youngWrong++
    }
    if (right < 0.999 * nodes.length) near = Number.NaN
    else if (Number.isNaN(near)) near = round
    if (right < nodes.length) all = Number.NaN
    else if (Number.isNaN(all)) all = round
    errors = signed
    each?.(
      round,
      nodes.map(({ state }) => state)
    )
  }
  const distances = errors.map(Math.abs).toSorted((a, b) => a - b)
  const bias = errors.toSorted((a, b) => a - b)[errors.length >> 1] ?? Number.NaN
  return {
    near,
    all,
    p50: distances[distances.length >> 1] ?? Number.NaN,
    max: distances.at(-1) ?? Number.NaN,
    bias,
    wrongShare: judged === 0 ? Number.NaN : wrong / judged,
    youngWrong: wrong === 0 ? Number.NaN : youngWrong / wrong,
    bytes: bytes / Math.floor(frames / 64)
  }
}

/** In the order of arrival: later ones may be due already. */
const deliver = (inFlight: Array<{ readonly at: number; readonly act: () => void }>, now: number): void => {
  const due = inFlight.filter(({ at }) => at <= now).toSorted((a, b) => a.at - b.at)
  if (due.length === 0) return
  const later = inFlight.filter(({ at }) => at > now)
  inFlight.splice(0, inFlight.length, ...later)
  for (const { act } of due) act()
}

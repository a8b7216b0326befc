/**
 * Which members of a fleet could reach which, and when: computed from the faults alone, so that it can be said from
 * outside what had to arrive.
 */
import { Parts } from "@starling/member"
import type * as AgentFaults from "../AgentFaults.ts"
import { briefMs, mergeMs } from "./fleetPlan.ts"

/** In virtual time. */
export interface Interval {
  readonly from: number
  readonly to: number
}

export interface Reach {
  /** When a way led from one to the other, brief cuts overlooked. */
  readonly intervals: (one: number, other: number) => ReadonlyArray<Interval>
}

/** How long the broadcast tree keeps a payload: `cacheAgeMs` of `BroadcastTree.defaults`. */
const heldMs = 60_000

/** A link that is cut is given up after 5 s, its successor found and the broadcast asked for. Our choice. */
const quickMs = 10_000

/** What parts members, and what joins them. A process that ends stands still no longer. */
const parting: ReadonlySet<AgentFaults.AgentFault["_tag"]> = new Set([
  "Cut",
  "Heal",
  "HealAll",
  "Pause",
  "Resume",
  "Crash"
])

/** From `from` on, when all were one; `faults` have happened at `from + atMs`. */
export const make = (size: number, faults: AgentFaults.Scenario, from: number, to: number): Reach => {
  const cuts = new Set<number>()
  /** Members whose process stands still: nothing leads there or away. */
  const still = new Set<number>()
  const index = (name: string): number => Number(name.slice(1))
  /** For each stretch without a change: which component each member is in. */
  const stretches: Array<readonly [Interval, Int32Array]> = []
  let since = from - mergeMs
  const until = (time: number): void => {
    if (time > since) stretches.push([{ from: since, to: time }, componentsOf(size, cuts, still)])
    since = time
  }
  for (const { atMs, fault } of faults) {
    if (!parting.has(fault._tag)) continue
    until(from + atMs)
    if (fault._tag === "HealAll") cuts.clear()
    else if (fault._tag === "Pause") still.add(index(fault.node))
    else if (fault._tag === "Resume" || fault._tag === "Crash") still.delete(index(fault.node))
    else if (fault._tag === "Cut" || fault._tag === "Heal") {
      for (const one of fault.some) {
        for (const other of fault.others) {
          const [a, b] = [index(one), index(other)]
          if (fault._tag === "Heal") {
            cuts.delete(a * size + b)
            cuts.delete(b * size + a)
          } else {
            cuts.add(a * size + b)
            if (fault.direction === "both") cuts.add(b * size + a)
          }
        }
      }
    }
  }
  until(to)
  return {
    intervals: (one, other) => {
      const out: Array<Interval> = []
      for (const [stretch, component] of stretches) {
        if (component[one] !== component[other]) continue
        const last = out.at(-1)
        if (last !== undefined && stretch.from - last.to < briefMs)
          out[out.length - 1] = { from: last.from, to: stretch.to }
        else out.push(stretch)
      }
      return out
    }
  }
}

/**
 * True if a broadcast that was accepted at `at` had to arrive within these intervals, in which its origin and the member
 * ran and could reach each other: after such an interval has begun the overlay has time to become one; then, as long as
 * the origin still holds the payload, a while is enough. What is still held when all is quiet has until `to`.
 */
export const isDue = (intervals: ReadonlyArray<Interval>, at: number, quietAt: number, to: number): boolean =>
  intervals.some((interval) => {
    const ready = Math.max(interval.from + mergeMs, at)
    const end = Math.min(interval.to, at + heldMs)
    return end - ready >= quickMs || (interval.to >= to && ready <= quietAt && at + heldMs > to)
  })

/** True if two members could reach each other, in one of these intervals, for long enough between two times. */
export const isShared = (intervals: ReadonlyArray<Interval>, from: number, to: number): boolean =>
  intervals.some((interval) => Math.min(interval.to, to) - Math.max(interval.from, from) >= quickMs)

/** A crash strikes at a point of a step, which may be so much later than it was asked for, while the process runs. */
const strikeMs = 3000

/**
 * Between when and when the broadcast tree of a member was built anew: at its second crash within a period. What was sent
 * before is still known as sent, but its payload is gone.
 */
export const rebuilds = (faults: AgentFaults.Scenario, from: number): ReadonlyMap<string, ReadonlyArray<Interval>> => {
  const pauses = pausesOf(faults)
  /** Until when the last crash of each strikes. */
  const last = new Map<string, number>()
  const out = new Map<string, Array<Interval>>()
  for (const { atMs, fault } of faults) {
    if (fault._tag !== "CrashComponent" || fault.component !== "broadcast-tree") continue
    const { node } = fault
    const [before, until] = [last.get(node), struckUntil(pauses.get(node) ?? [], atMs)]
    last.set(node, until)
    if (before === undefined || atMs - before > Parts.crashPeriodMs) continue
    out.set(node, [...(out.get(node) ?? []), { from: from + atMs, to: from + until }])
  }
  return out
}

/** Until when a broadcast of `at` is held by an origin that lost its payloads in these intervals; Infinity if it did not. */
export const heldUntil = (lost: ReadonlyArray<Interval>, at: number): number =>
  lost.find(({ to }) => at < to)?.from ?? Number.POSITIVE_INFINITY

/** When what is asked for at `atMs` has struck, at the latest: what stands still takes no step. */
const struckUntil = (pauses: ReadonlyArray<Interval>, atMs: number): number => {
  let [time, leftMs] = [atMs, strikeMs]
  for (const { from, to } of pauses) {
    if (to <= time) continue
    const runsMs = Math.max(0, from - time)
    if (runsMs > leftMs) break
    leftMs -= runsMs
    time = to
  }
  return time + leftMs
}

/** When the process of each stood still, as far as the faults say. */
const pausesOf = (faults: AgentFaults.Scenario): ReadonlyMap<string, ReadonlyArray<Interval>> => {
  const since = new Map<string, number>()
  const out = new Map<string, Array<Interval>>()
  for (const { atMs, fault } of faults) {
    if (fault._tag === "Pause" && !since.has(fault.node)) since.set(fault.node, atMs)
    if (fault._tag !== "Resume" && fault._tag !== "Crash") continue
    const from = since.get(fault.node)
    if (from === undefined) continue
    since.delete(fault.node)
    out.set(fault.node, [...(out.get(fault.node) ?? []), { from, to: atMs }])
  }
  return out
}

/** What two lists of intervals have in common. */
export const both = (one: ReadonlyArray<Interval>, other: ReadonlyArray<Interval>): ReadonlyArray<Interval> =>
  one.flatMap((a) =>
    other.flatMap((b) => {
      const [from, to] = [Math.max(a.from, b.from), Math.min(a.to, b.to)]
      return from < to ? [{ from, to }] : []
    })
  )

/** The components of the members, by the ways that lead there and back. */
const componentsOf = (size: number, cuts: ReadonlySet<number>, still: ReadonlySet<number>): Int32Array => {
  const component = new Int32Array(size).fill(-1)
  for (let start = 0; start < size; start++) {
    if (component[start] !== -1) continue
    component[start] = start
    if (still.has(start)) continue
    const stack = [start]
    for (let one = stack.pop(); one !== undefined; one = stack.pop()) {
      for (let other = 0; other < size; other++) {
        if (component[other] !== -1 || still.has(other)) continue
        if (cuts.has(one * size + other) || cuts.has(other * size + one)) continue
        component[other] = start
        stack.push(other)
      }
    }
  }
  return component
}

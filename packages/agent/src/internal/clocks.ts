/**
 * The clock of a node as people see it: the document, what is wrong, the numbers.
 */
import { Clock, ClockBlock, type EffectiveTime, Guard, NodeClock, Stamp } from "@starling/clock"
import type { Document, Facts } from "@starling/fleet"
import * as HashMap from "effect/HashMap"
import * as Host from "./host.ts"
import * as Profiles from "./profiles.ts"
import type * as Runtime from "./runtime.ts"

export const documentOf = (
  { host, identity, options }: Runtime.Runtime,
  facts: Facts.State
): Document.ClockDocument => {
  const at = Host.momentNow(host)
  const state = Host.stateOf(host, "clock")
  const status = Clock.statusOf(state, at.now, at.wall)
  const { clock } = host
  const others = Clock.others(state, at.now, at.wall)
  const mark = state.lease.durable
  return {
    node: options.name,
    nodeId: identity.id,
    state: state.config.source === "own" ? "own" : (status?.condition ?? "probation"),
    epoch: clock.reading.epoch,
    offsetMs: status?.aheadMs === undefined ? null : round(status.aheadMs),
    wall: isoOf(at.wall),
    population: status?.fleet === undefined ? null : isoOf(status.fleet),
    settled: status !== undefined && !status.isUnsettled,
    votes: status?.votes ?? 0,
    // Whoever has others to reach and has reached none needs one of them at the least.
    need: status === undefined || !Number.isFinite(status.need) ? 2 : status.need,
    policy: clock.config.guard.policy,
    held: host.held.length,
    refused: clock.refused,
    lastRefused: clock.lastRefused === undefined ? null : Guard.message(clock.lastRefused),
    poisonedMs: NodeClock.poisonedBy(clock, at.now) ?? null,
    highWater: mark === undefined ? null : `${mark.epoch}/${isoOf(mark.wall) ?? ""}`,
    histogram: histogramOf(others.map(({ aheadMs }) => aheadMs)),
    outliers: outliersOf(facts, others, clock.config.time)
  }
}

/** What is wrong with clocks, this node's or another's, each with what to do. */
export const problemsOf = (runtime: Runtime.Runtime, facts: Facts.State): ReadonlyArray<Document.Problem> => {
  const { lastRefused, offsetMs, outliers, poisonedMs, refused, state } = documentOf(runtime, facts)
  const { refusedAt } = runtime.host.clock
  const where = runtime.options.name
  const problems: Array<Document.Problem> = []
  if (poisonedMs !== null) {
    problems.push({
      what: `this node's stamps lie ${span(poisonedMs)} beyond what the fleet follows: others do not take its facts`,
      where,
      next: "mend the clock that caused it, then: starling clock reset"
    })
  }
  if ((state === "degraded" || state === "behind") && offsetMs !== null) {
    problems.push({
      what: `the clock of this node is ${aheadOrBehind(offsetMs)} the fleet's; it stamps by the fleet's time`,
      where,
      next: "set the clock (NTP: is it running?), then look again: starling clock"
    })
  }
  if (state === "clockless") {
    problems.push({
      what: "this node has no clock; it stamps by the fleet's time",
      where,
      next: "set the clock, then look again: starling clock"
    })
  }
  for (const { node, offsetMs } of outliers.slice(0, outliersShown)) {
    problems.push({
      what: `its clock is ${aheadOrBehind(offsetMs)} the fleet's`,
      where: node,
      next: "set its clock (NTP: is it running?)"
    })
  }
  if (lastRefused !== null && refusedAt !== undefined && runtime.now() - refusedAt < refusedShownMs) {
    problems.push({
      what: `stamps beyond what this node follows were refused, ${refused} since the start: ${lastRefused}`,
      where,
      next: "starling clock"
    })
  }
  return problems
}

/** Numbers for `/metrics`; no offset while none is known. */
export const countersOf = ({ host }: Runtime.Runtime): Readonly<Record<string, number>> => {
  const at = Host.momentNow(host)
  const state = Host.stateOf(host, "clock")
  const status = Clock.statusOf(state, at.now, at.wall)
  return {
    ...state.lease.counters,
    ...state.population?.counters,
    epoch: host.clock.reading.epoch,
    ...(status?.aheadMs !== undefined && { offsetMs: round(status.aheadMs) }),
    settled: status !== undefined && !status.isUnsettled ? 1 : 0,
    votes: status?.votes ?? 0,
    held: host.held.length,
    refused: host.clock.refused
  }
}

/** Steps that tell apart what NTP leaves, what it does not, a wrong second hand and a wrong time zone. Our choice. */
const edges = [-3_600_000, -60_000, -1000, -250, -25, 25, 250, 1000, 60_000, 3_600_000]

/** A refusal is a problem for so long; who goes on being wrong is refused again. Our choice. */
const refusedShownMs = 60_000

/** Of 63 clocks; more problems than this would hide the others. */
const outliersShown = 10

const histogramOf = (offsets: ReadonlyArray<number>): Document.ClockDocument["histogram"] =>
  [null, ...edges].map((fromMs, index) => {
    const toMs = edges[index] ?? null
    const count = offsets.filter((offset) => (fromMs === null || offset >= fromMs) && (toMs === null || offset < toMs))
    return { fromMs, toMs, count: count.length }
  })

const outliersOf = (
  facts: Facts.State,
  others: ReturnType<typeof Clock.others>,
  { toleranceMs }: EffectiveTime.Config
): Document.ClockDocument["outliers"] => {
  const wrong = others.filter(({ aheadMs }) => Math.abs(aheadMs) > toleranceMs)
  if (wrong.length === 0) return []
  const byOrigin = new Map([...HashMap.keys(facts.docs)].map((id) => [ClockBlock.originOf(id), id]))
  return wrong
    .flatMap(({ aheadMs, origin }) => {
      const nodeId = byOrigin.get(origin)
      return nodeId === undefined
        ? []
        : [{ node: Profiles.profileOf(facts, nodeId)?.name ?? nodeId, nodeId, offsetMs: round(aheadMs) }]
    })
    .toSorted((a, b) => Math.abs(b.offsetMs) - Math.abs(a.offsetMs))
}

const aheadOrBehind = (ms: number): string => `${span(Math.abs(ms))} ${ms > 0 ? "ahead of" : "behind"}`

const span = (ms: number): string =>
  ms < 1000
    ? `${Math.round(ms)} ms`
    : ms < 120_000
      ? `${(ms / 1000).toFixed(1)} s`
      : ms < 7_200_000
        ? `${Math.round(ms / 60_000)} min`
        : `${(ms / 3_600_000).toFixed(1)} h`

const round = (ms: number): number => Math.round(ms * 10) / 10

const isoOf = (wall: number): string | null =>
  wall >= 0 && wall <= Stamp.wallMax ? Stamp.isoOf(Math.floor(wall)) : null

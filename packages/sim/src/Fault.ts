/**
 * What can go wrong in a world, as data: so that a scenario can be written down, generated from a seed, shrunk and kept
 * as a regression.
 *
 * ```ts
 * Fault.schedule(world, [
 *   ...Fault.at(5_000, Fault.crash(a), Fault.cut([b], [c, d])),
 *   ...Fault.at(9_000, Fault.restart(a), Fault.healAll),
 *   ...Fault.flap([a, b], [c], { fromMs: 10_000, times: 5, downMs: 300, upMs: 700 })
 * ])
 * ```
 *
 * A fault is plain data (JSON), and does nothing where it makes no sense: crashing what is down, starting what runs, naming
 * a node that has not joined. So any part of a scenario is a scenario. Nodes are named by their ids, or by anything else
 * that `map` then makes an id of.
 *
 * @since 0.1.0
 */
import type { NodeId } from "@starling/machine"
import * as World from "./World.ts"

/**
 * One fault, or its end.
 *
 * - `Crash`: a process dies and its host says so (`reset`), or the whole host is gone (`silent`). `Restart` starts it again.
 * - `Cut`: nothing gets through, in silence; in one direction only if `there`. `Heal` and `HealAll` end it.
 * - `ResetLinks`: of a node, to one other or all; what is under way arrives before, or is lost in the middle of a frame.
 * - `HalfOpen`: links there are (new ones are as ever); see `World.halfOpen`.
 * - `SetWeather`: slow, lossy, torn links. `ClearWeather` and `ClearAllWeather` end it.
 * - `Pause`: a process is stopped; it accepts connections, and neither reads nor writes. `Resume` ends it.
 * - `StallDisk`: nothing is durable for so long.
 * - `SetSkew`, `ShiftClock`, `SetDrift`: of the wall clock.
 * - `SwapAddresses`: of two nodes that are down.
 * - `Twin`: a second process with the id, incarnation and disk of a node, at an address of its own; `Crash` ends it.
 *
 * @since 0.1.0
 * @category models
 */
export type Fault<Node = NodeId.NodeId> =
  | { readonly _tag: "Crash"; readonly node: Node; readonly how: "reset" | "silent" }
  | { readonly _tag: "Restart"; readonly node: Node; readonly disk: "kept" | "lost" }
  | {
      readonly _tag: "Cut"
      readonly some: ReadonlyArray<Node>
      readonly others: ReadonlyArray<Node>
      readonly direction: Direction
    }
  | { readonly _tag: "Heal"; readonly some: ReadonlyArray<Node>; readonly others: ReadonlyArray<Node> }
  | { readonly _tag: "HealAll" }
  | {
      readonly _tag: "ResetLinks"
      readonly node: Node
      /** Null: all others. */
      readonly other: Node | null
      readonly underWay: "arrives" | "lost"
    }
  | {
      readonly _tag: "HalfOpen"
      readonly node: Node
      /** Null: all others. */
      readonly other: Node | null
      readonly who: "told" | "nobody"
    }
  | {
      readonly _tag: "SetWeather"
      readonly some: ReadonlyArray<Node>
      readonly others: ReadonlyArray<Node>
      readonly weather: Partial<World.Weather>
      readonly direction: Direction
    }
  | { readonly _tag: "ClearWeather"; readonly some: ReadonlyArray<Node>; readonly others: ReadonlyArray<Node> }
  | { readonly _tag: "ClearAllWeather" }
  | { readonly _tag: "Pause"; readonly node: Node }
  | { readonly _tag: "Resume"; readonly node: Node }
  | { readonly _tag: "StallDisk"; readonly node: Node; readonly ms: number }
  | { readonly _tag: "SetSkew"; readonly node: Node; readonly skewMs: number }
  | { readonly _tag: "ShiftClock"; readonly node: Node; readonly byMs: number }
  | { readonly _tag: "SetDrift"; readonly node: Node; readonly driftPpm: number }
  | { readonly _tag: "SwapAddresses"; readonly node: Node; readonly other: Node }
  | { readonly _tag: "Twin"; readonly node: Node; readonly twin: Node; readonly address: string }

/** Between two groups: both ways, or from the first to the second only. @since 0.1.0 @category models */
export type Direction = "both" | "there"

/** A fault and its virtual time. @since 0.1.0 @category models */
export interface Timed<Node = NodeId.NodeId> {
  readonly atMs: number
  readonly fault: Fault<Node>
}

/** Faults with their virtual times; any order, and joined as lists are. @since 0.1.0 @category models */
export type Scenario<Node = NodeId.NodeId> = ReadonlyArray<Timed<Node>>

// ---------------------------------------------------------------------------------------------------------------------
// Single faults
// ---------------------------------------------------------------------------------------------------------------------

/** @since 0.1.0 @category constructors */
export const crash = <N>(node: N, how: "reset" | "silent" = "reset"): Fault<N> => ({ _tag: "Crash", node, how })

/** @since 0.1.0 @category constructors */
export const restart = <N>(node: N, disk: "kept" | "lost" = "kept"): Fault<N> => ({ _tag: "Restart", node, disk })

/** @since 0.1.0 @category constructors */
export const cut = <N>(some: ReadonlyArray<N>, others: ReadonlyArray<N>, direction: Direction = "both"): Fault<N> => ({
  _tag: "Cut",
  some,
  others,
  direction
})

/** @since 0.1.0 @category constructors */
export const heal = <N>(some: ReadonlyArray<N>, others: ReadonlyArray<N>): Fault<N> => ({ _tag: "Heal", some, others })

/** @since 0.1.0 @category constructors */
export const healAll: Fault<never> = { _tag: "HealAll" }

/** @since 0.1.0 @category constructors */
export const resetLinks = <N>(node: N, other: N | null = null, underWay: "arrives" | "lost" = "arrives"): Fault<N> => ({
  _tag: "ResetLinks",
  node,
  other,
  underWay
})

/** @since 0.1.0 @category constructors */
export const halfOpen = <N>(node: N, other: N | null, who: "told" | "nobody"): Fault<N> => ({
  _tag: "HalfOpen",
  node,
  other,
  who
})

/** @since 0.1.0 @category constructors */
export const setWeather = <N>(
  some: ReadonlyArray<N>,
  others: ReadonlyArray<N>,
  weather: Partial<World.Weather>,
  direction: Direction = "both"
): Fault<N> => ({ _tag: "SetWeather", some, others, weather, direction })

/** @since 0.1.0 @category constructors */
export const clearWeather = <N>(some: ReadonlyArray<N>, others: ReadonlyArray<N>): Fault<N> => ({
  _tag: "ClearWeather",
  some,
  others
})

/** @since 0.1.0 @category constructors */
export const clearAllWeather: Fault<never> = { _tag: "ClearAllWeather" }

/** @since 0.1.0 @category constructors */
export const pause = <N>(node: N): Fault<N> => ({ _tag: "Pause", node })

/** @since 0.1.0 @category constructors */
export const resume = <N>(node: N): Fault<N> => ({ _tag: "Resume", node })

/** @since 0.1.0 @category constructors */
export const stallDisk = <N>(node: N, ms: number): Fault<N> => ({ _tag: "StallDisk", node, ms })

/** @since 0.1.0 @category constructors */
export const setSkew = <N>(node: N, skewMs: number): Fault<N> => ({ _tag: "SetSkew", node, skewMs })

/** @since 0.1.0 @category constructors */
export const shiftClock = <N>(node: N, byMs: number): Fault<N> => ({ _tag: "ShiftClock", node, byMs })

/** @since 0.1.0 @category constructors */
export const setDrift = <N>(node: N, driftPpm: number): Fault<N> => ({ _tag: "SetDrift", node, driftPpm })

/** @since 0.1.0 @category constructors */
export const swapAddresses = <N>(node: N, other: N): Fault<N> => ({ _tag: "SwapAddresses", node, other })

/** @since 0.1.0 @category constructors */
export const twin = <N>(node: N, as: { readonly twin: N; readonly address: string }): Fault<N> => ({
  _tag: "Twin",
  node,
  ...as
})

// ---------------------------------------------------------------------------------------------------------------------
// Faults in time
// ---------------------------------------------------------------------------------------------------------------------

/** Several faults at one time. @since 0.1.0 @category combinators */
export const at = <N>(atMs: number, ...faults: ReadonlyArray<Fault<N>>): Scenario<N> =>
  faults.map((fault) => ({ atMs, fault }))

/** The same, later. @since 0.1.0 @category combinators */
export const shift = <N>(scenario: Scenario<N>, ms: number): Scenario<N> =>
  scenario.map(({ atMs, fault }) => ({ atMs: atMs + ms, fault }))

/** From when on, and for how long. @since 0.1.0 @category models */
export interface Span {
  readonly fromMs: number
  readonly forMs: number
}

/** Groups of which each reaches only itself, for a while: data centres, halves. @since 0.1.0 @category combinators */
export const partition = <N>(groups: ReadonlyArray<ReadonlyArray<N>>, { forMs, fromMs }: Span): Scenario<N> =>
  groups.flatMap((some, index) =>
    groups.slice(index + 1).flatMap((others) => estrange(some, others, { fromMs, forMs }))
  )

/** Two groups that do not reach each other, though both reach everybody else, for a while. @since 0.1.0 @category combinators */
export const estrange = <N>(
  some: ReadonlyArray<N>,
  others: ReadonlyArray<N>,
  { forMs, fromMs }: Span,
  direction: Direction = "both"
): Scenario<N> => [...at(fromMs, cut(some, others, direction)), ...at(fromMs + forMs, heal(some, others))]

/** A cut that comes and goes. @since 0.1.0 @category combinators */
export const flap = <N>(
  some: ReadonlyArray<N>,
  others: ReadonlyArray<N>,
  { downMs, fromMs, times, upMs }: { fromMs: number; times: number; downMs: number; upMs: number }
): Scenario<N> =>
  Array.from({ length: times }, (_, n) =>
    estrange(some, others, { fromMs: fromMs + n * (downMs + upMs), forMs: downMs })
  ).flat()

/** Bad weather between two groups, for a while. @since 0.1.0 @category combinators */
export const storm = <N>(
  some: ReadonlyArray<N>,
  others: ReadonlyArray<N>,
  weather: Partial<World.Weather>,
  { forMs, fromMs }: Span,
  direction: Direction = "both"
): Scenario<N> => [
  ...at(fromMs, setWeather(some, others, weather, direction)),
  ...at(fromMs + forMs, clearWeather(some, others))
]

/** A node is down for a while: too short for others to notice, or long. @since 0.1.0 @category combinators */
export const outage = <N>(
  node: N,
  { forMs, fromMs }: Span,
  { disk = "kept", how = "reset" }: { readonly how?: "reset" | "silent"; readonly disk?: "kept" | "lost" } = {}
): Scenario<N> => [...at(fromMs, crash(node, how)), ...at(fromMs + forMs, restart(node, disk))]

/** One node after the other is started anew. @since 0.1.0 @category combinators */
export const rollingRestart = <N>(
  nodes: ReadonlyArray<N>,
  { downMs, everyMs, fromMs }: { fromMs: number; everyMs: number; downMs: number }
): Scenario<N> => nodes.flatMap((node, n) => outage(node, { fromMs: fromMs + n * everyMs, forMs: downMs }))

/** All of these at once, and for ever. @since 0.1.0 @category combinators */
export const massCrash = <N>(nodes: ReadonlyArray<N>, atMs: number, how: "reset" | "silent" = "reset"): Scenario<N> =>
  at(atMs, ...nodes.map((node) => crash(node, how)))

/** A process that is stopped for a while, once or again and again: a slow node. @since 0.1.0 @category combinators */
export const stutter = <N>(
  node: N,
  { fromMs, runMs, stopMs, times }: { fromMs: number; times: number; stopMs: number; runMs: number }
): Scenario<N> =>
  Array.from({ length: times }, (_, n) => fromMs + n * (stopMs + runMs)).flatMap((begin) =>
    at(begin, pause(node)).concat(at(begin + stopMs, resume(node)))
  )

/** Two nodes are down, and come back each with the other's address. @since 0.1.0 @category combinators */
export const exchangeAddresses = <N>(node: N, other: N, { forMs, fromMs }: Span): Scenario<N> => [
  ...at(fromMs, crash(node), crash(other), swapAddresses(node, other)),
  ...at(fromMs + forMs, restart(node), restart(other))
]

/** A copied machine runs beside the one it was copied from, for a while. @since 0.1.0 @category combinators */
export const haunt = <N>(
  node: N,
  as: { readonly twin: N; readonly address: string },
  { forMs, fromMs }: Span
): Scenario<N> => [...at(fromMs, twin(node, as)), ...at(fromMs + forMs, crash(as.twin))]

// ---------------------------------------------------------------------------------------------------------------------
// Names of nodes
// ---------------------------------------------------------------------------------------------------------------------

/** The same fault with other names for its nodes, for instance ids for numbers. @since 0.1.0 */
export const map = <A, B>(fault: Fault<A>, f: (node: A) => B): Fault<B> => {
  switch (fault._tag) {
    case "HealAll":
    case "ClearAllWeather":
      return fault
    case "Cut":
    case "Heal":
    case "SetWeather":
    case "ClearWeather":
      return { ...fault, some: fault.some.map(f), others: fault.others.map(f) }
    case "ResetLinks":
    case "HalfOpen":
      return { ...fault, node: f(fault.node), other: fault.other === null ? null : f(fault.other) }
    case "SwapAddresses":
      return { ...fault, node: f(fault.node), other: f(fault.other) }
    case "Twin":
      return { ...fault, node: f(fault.node), twin: f(fault.twin) }
    default:
      return { ...fault, node: f(fault.node) }
  }
}

/**
 * What is left of a fault when some nodes do not exist, or undefined if nothing is.
 *
 * @since 0.1.0
 */
export const restrict = <N>(fault: Fault<N>, exists: (node: N) => boolean): Fault<N> | undefined => {
  switch (fault._tag) {
    case "HealAll":
    case "ClearAllWeather":
      return fault
    case "Cut":
    case "Heal":
    case "SetWeather":
    case "ClearWeather": {
      const [some, others] = [fault.some.filter(exists), fault.others.filter(exists)]
      return some.length === 0 || others.length === 0 ? undefined : { ...fault, some, others }
    }
    case "ResetLinks":
    case "HalfOpen":
      return exists(fault.node) && (fault.other === null || exists(fault.other)) ? fault : undefined
    case "SwapAddresses":
      return exists(fault.node) && exists(fault.other) ? fault : undefined
    default:
      return exists(fault.node) ? fault : undefined
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Letting them happen
// ---------------------------------------------------------------------------------------------------------------------

/** Lets a fault happen now, between the nodes that there are. @since 0.1.0 */
export const apply = <P extends World.Protocol>(world: World.World<P>, fault: Fault): void => {
  const possible = restrict(fault, (node) => World.has(world, node))
  if (possible !== undefined) happen(world, possible)
}

const happen = <P extends World.Protocol>(world: World.World<P>, fault: Fault): unknown => {
  switch (fault._tag) {
    case "Crash":
      return World.crash(world, fault.node, fault.how)
    case "Restart":
      return World.restart(world, fault.node, { disk: fault.disk })
    case "Cut":
      return World.cut(world, fault.some, fault.others, fault.direction)
    case "Heal":
      return World.heal(world, fault.some, fault.others)
    case "HealAll":
      return World.healAll(world)
    case "ResetLinks":
      return World.resetLinks(world, fault.node, fault.other ?? undefined, fault.underWay)
    case "HalfOpen":
      return World.halfOpen(world, fault.node, fault.other ?? undefined, fault.who)
    case "SetWeather":
      return World.setWeather(world, fault.some, fault.others, fault.weather, fault.direction)
    case "ClearWeather":
      return World.clearWeather(world, fault.some, fault.others)
    case "ClearAllWeather":
      return World.clearAllWeather(world)
    case "Pause":
      return World.pause(world, fault.node)
    case "Resume":
      return World.resume(world, fault.node)
    case "StallDisk":
      return World.stallDisk(world, fault.node, fault.ms)
    case "SetSkew":
      return World.setSkew(world, fault.node, fault.skewMs)
    case "ShiftClock":
      return World.shiftClock(world, fault.node, fault.byMs)
    case "SetDrift":
      return World.setDrift(world, fault.node, fault.driftPpm)
    case "SwapAddresses":
      return World.swapAddresses(world, fault.node, fault.other)
    case "Twin":
      return World.twin(world, fault.node, { id: fault.twin, address: fault.address })
  }
}

/** Lets every fault happen at its time; one whose time is past happens at once. @since 0.1.0 */
export const schedule = <P extends World.Protocol>(world: World.World<P>, scenario: Scenario): void => {
  for (const { atMs, fault } of scenario) World.at(world, atMs, () => apply(world, fault))
}

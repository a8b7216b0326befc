/**
 * The clock cell of a node, as a value: the last stamp, the lease, and what is known of the fleet's time. The shell reads
 * and moves it in the same turn in which it builds an event, so nothing can be stamped between reading and using it.
 *
 * A node that starts does not know what time it is (*probation*), and a stamp cannot be taken back. So:
 *
 * - `probation`: there is no time to stamp by. What the node itself says meanwhile is stamped by the counter alone, above
 *   its durable mark and far in the past. What people will want to see in its true place waits in the shell.
 * - `ready`: the time is known and leased. What waited is stamped by the moment at which it happened, and nothing else
 *   follows the clock before that.
 * - `open`: from `release` on, stamps follow the time, and received stamps are followed as they come.
 *
 * A higher epoch is followed at once, whatever the phase: what waits belongs in it. For its wall part the greatest received
 * stamp that nobody can judge yet is kept, and followed on release unless it lies beyond the guard; lesser ones are not
 * kept, and if that one is refused they are followed when they are heard again.
 *
 * @since 0.1.0
 */
import type { Machine, NodeId } from "@starling/machine"
import type * as Clock from "./Clock.ts"
import type { Moment } from "./ClockEstimator.ts"
import * as EffectiveTime from "./EffectiveTime.ts"
import * as Guard from "./Guard.ts"
import * as Hlc from "./Hlc.ts"
import * as Stamp from "./Stamp.ts"

/** @since 0.1.0 @category models */
export interface Config {
  readonly node: NodeId.NodeId
  readonly guard: Guard.Config
  readonly time: EffectiveTime.Config
}

/** @since 0.1.0 @category models */
export type Phase = "probation" | "ready" | "open"

/**
 * - `offset`: the fleet's time minus the monotonic clock, NaN in probation.
 * - `alone`: until there is one, the own clock is taken.
 * - `held`: the greatest stamp that was received and can not be judged yet.
 * - `refused`: received stamps that lay beyond the guard.
 *
 * @since 0.1.0
 * @category models
 */
export interface NodeClock {
  readonly config: Config
  readonly reading: Hlc.Reading
  readonly phase: Phase
  readonly offset: number
  readonly alone: boolean
  readonly held: Stamp.Stamp | undefined
  readonly refused: number
  /** The last that was refused, and when, for people. */
  readonly lastRefused: Guard.TimestampAhead | undefined
  readonly refusedAt: Machine.Instant | undefined
}

/** In probation. @since 0.1.0 @category constructors */
export const make = (config: Config, reading: Hlc.Reading): NodeClock => ({
  config,
  reading,
  phase: "probation",
  offset: Number.NaN,
  alone: false,
  held: undefined,
  refused: 0,
  lastRefused: undefined,
  refusedAt: undefined
})

/** A fresh stamp for what is said now, later than every one before. @since 0.1.0 */
export const stamp = (clock: NodeClock, at: Moment): readonly [NodeClock, Stamp.Stamp] =>
  stampedBy(clock, clock.phase === "open" ? timeAt(clock, at) : Number.NaN)

/** A fresh stamp for what happened at `occurred` and had to wait. @since 0.1.0 */
export const stampOf = (clock: NodeClock, at: Moment, occurred: Machine.Instant): readonly [NodeClock, Stamp.Stamp] =>
  stampedBy(clock, timeAt(clock, momentOf(at, occurred)))

/**
 * The moment `occurred` of the monotonic clock, with what the own clock showed then if it has not jumped since, in whole
 * milliseconds as clocks show them.
 *
 * @since 0.1.0
 */
export const momentOf = (at: Moment, occurred: Machine.Instant): Moment => ({
  now: occurred,
  wall: Math.floor(at.wall - (at.now - occurred))
})

/**
 * The time of day as well as the node can tell, as a stamp that no fact ever bears: for answers to people, who want to
 * know how long ago something was.
 *
 * @since 0.1.0
 */
export const present = (clock: NodeClock, at: Moment): Stamp.Stamp => {
  const last = Hlc.last(clock.reading, clock.config.node)
  const time = timeAt(clock, at)
  const guess = Math.floor(Number.isNaN(time) ? at.wall : time)
  return guess > last.wall && guess <= Stamp.wallMax ? { ...last, wall: guess, counter: 0 } : last
}

/**
 * What `Guard` says of a received stamp, by the fleet's time. Who stamps by the own clock, since there is none, follows what lies
 * within the guard of that; what lies beyond is held and not refused, since one clock is no majority.
 *
 * @since 0.1.0
 */
export const judge = (clock: NodeClock, received: Stamp.Stamp, at: Moment): Guard.Verdict => {
  const { config, phase, reading } = clock
  const isSettled = !Number.isNaN(clock.offset)
  const verdict = Guard.judge(reading, received, judgeTime(clock, at), config.guard)
  switch (verdict._tag) {
    case "Follow":
      return phase === "open" ? verdict : Guard.hold
    case "Hold":
      return verdict
    case "TimestampAhead":
      return verdict.cause === "wall" && !isSettled ? Guard.hold : verdict
  }
}

/**
 * What is to be said of a stamp that no member sent, but somebody outside of the fleet: whatever the policy, it moves neither
 * the epoch nor the clock beyond the guard.
 *
 * @since 0.1.0
 */
export const judgeForeign = (clock: NodeClock, received: Stamp.Stamp, at: Moment): Guard.Verdict => {
  const { config, reading } = clock
  if (received.epoch > reading.epoch) {
    return { _tag: "TimestampAhead", stamp: received, cause: "epoch", limit: reading.epoch }
  }
  return Guard.judge(reading, received, judgeTime(clock, at), { ...config.guard, policy: "refuse" })
}

/** The time to judge by: the fleet's, also where the node stamps by its own or by none; without a fleet, what it stamps by. */
const judgeTime = (clock: NodeClock, at: Moment): number | undefined => {
  const time = Number.isNaN(clock.offset) ? timeAt(clock, at) : at.now + clock.offset
  return Number.isNaN(time) ? undefined : time
}

/** Takes notice of a received stamp; of one that is refused, by counting it. @since 0.1.0 */
export const receive = (clock: NodeClock, received: Stamp.Stamp, at: Moment): NodeClock => {
  const verdict = judge(clock, received, at)
  switch (verdict._tag) {
    case "Follow":
      return { ...clock, reading: Hlc.receive(clock.reading, received, timeAt(clock, at)) }
    case "Hold":
      return inEpochOf(
        { ...clock, held: clock.held === undefined ? received : Stamp.max(clock.held, received) },
        received,
        at
      )
    case "TimestampAhead":
      return { ...clock, refused: clock.refused + 1, lastRefused: verdict, refusedAt: at.now }
  }
}

/** What the clock component found out. @since 0.1.0 */
export const hear = (
  clock: NodeClock,
  output: Exclude<Clock.Output, { readonly _tag: "Answer" }>,
  at: Moment
): NodeClock => {
  switch (output._tag) {
    case "FleetTime":
      return followHeld(advanced({ ...clock, offset: output.offset ?? Number.NaN, alone: output.alone }, at), at)
    case "Lease":
      return advanced({ ...clock, reading: Hlc.extend(clock.reading, output) }, at)
    case "Epoch": {
      const reading = Hlc.reset(clock.reading, output.expected, output.wall)
      return reading === undefined ? clock : leased({ ...clock, reading }, at)
    }
  }
}

/** What waited is stamped: from now on everything follows the time, and what was received meanwhile is judged. @since 0.1.0 */
export const release = (clock: NodeClock, at: Moment): NodeClock =>
  clock.phase === "ready" ? followHeld({ ...clock, phase: "open" }, at) : clock

/** The time that the node stamps by, NaN if there is none. @since 0.1.0 */
export const timeAt = ({ alone, config, offset }: NodeClock, at: Moment): number =>
  EffectiveTime.physical(at.wall, at.now + offset, alone, config.time)

/** How far beyond the guard the own stamps lie, milliseconds; undefined if they do not. @since 0.1.0 */
export const poisonedBy = (clock: NodeClock, now: Machine.Instant): number | undefined =>
  Guard.poisonedBy(clock.reading, Number.isNaN(clock.offset) ? undefined : now + clock.offset, clock.config.guard)

/** Judges what is held, once something can be followed: it may be followed, refused, or held on. */
const followHeld = (clock: NodeClock, at: Moment): NodeClock =>
  clock.phase === "open" && clock.held !== undefined ? receive({ ...clock, held: undefined }, clock.held, at) : clock

/**
 * Takes the epoch of a stamp that is held, and nothing else: no clock need be known to follow that, and what is stamped in an
 * epoch that was left sorts before all of the next one for ever.
 */
const inEpochOf = (clock: NodeClock, { epoch, node }: Stamp.Stamp, at: Moment): NodeClock => {
  if (epoch <= clock.reading.epoch) return clock
  const time = clock.phase === "open" ? timeAt(clock, at) : Number.NaN
  const reading = Hlc.receive(clock.reading, { epoch, wall: 0, counter: 0, node }, time)
  return leased({ ...clock, reading }, at)
}

/** In another epoch what waits is stamped only under a lease of that. */
const leased = (clock: NodeClock, at: Moment): NodeClock =>
  clock.phase === "ready" ? advanced({ ...clock, phase: "probation" }, at) : clock

const stampedBy = (clock: NodeClock, time: number): readonly [NodeClock, Stamp.Stamp] => {
  const [reading, drawn] = Hlc.stamp(clock.reading, time, clock.config.node)
  return [{ ...clock, reading }, drawn]
}

const advanced = (clock: NodeClock, at: Moment): NodeClock => {
  const isKnown = clock.alone || !Number.isNaN(clock.offset)
  if (!isKnown) return clock.phase === "probation" ? clock : { ...clock, phase: "probation" }
  if (clock.phase !== "probation") return clock
  // NaN: it is known that there is no time to follow, so that no lease will come.
  const time = timeAt(clock, at)
  return time > clock.reading.limit && clock.reading.limit < Hlc.wallFollowMax ? clock : { ...clock, phase: "ready" }
}

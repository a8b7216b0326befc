/**
 * Keeps the durable high-water mark ahead of the stamps that a node gives.
 *
 * The clock itself is a cell (`NodeClock`) that the shell reads and moves without asking anybody. This part of the clock
 * component only sees to it that the cell may follow the physical clock: it makes a mark a few seconds ahead durable and
 * then extends the cell's limit to it. A node that restarts begins above the mark, so that it never repeats a stamp, nor
 * gives one that is less than an earlier one, even if its wall clock was set back in between.
 *
 * The mark follows the time that the node stamps by (`EffectiveTime`), never its wall clock as such: a mark that a wrong
 * clock had set would make the next run begin hours ahead. While there is no such time the mark stays where it is.
 *
 * What a mark does not cover: a stamp received from a node whose clock is ahead by more than the lease, or in a higher
 * epoch, moves the cell beyond the mark at once. The mark follows at the next tick; a crash before that forgets it, and
 * a peer's next stamp brings it back. A node that stops in good order forgets nothing (`lastRowsOf`).
 *
 * @since 0.1.0
 */
import { Codec, type Machine } from "@starling/machine"
import * as Hlc from "./Hlc.ts"
import * as Stamp from "./Stamp.ts"

/**
 * - `Started` arms the tick and asks for the first lease.
 * - `Renew` looks at the lease now: there is a time to stamp by since a moment ago, or another epoch, begun or heard of.
 *
 * @since 0.1.0
 * @category models
 */
export type Event = Machine.ShellEvent<never, Timer> | { readonly _tag: "Started" } | { readonly _tag: "Renew" }

/**
 * Beside time and event: `wall` is the time that the node stamps by, in milliseconds since 1970 and NaN if it has none;
 * `reading` is what the cell holds.
 *
 * @since 0.1.0
 * @category models
 */
export interface Input extends Machine.Input<Event> {
  readonly wall: number
  readonly reading: Hlc.Reading
}

/** In this epoch the physical clock may be followed up to `limit`: hand it to `Hlc.extend`. @since 0.1.0 @category models */
export interface Output {
  readonly _tag: "Lease"
  readonly epoch: number
  readonly limit: number
}

/** @since 0.1.0 @category models */
export type Action = Machine.Action<never, Timer, Output>

/** `round` tells the tick that counts from one armed before a restart. @since 0.1.0 @category models */
export interface Timer {
  readonly _tag: "Tick"
  readonly round: number
}

/** @since 0.1.0 @category models */
export interface Config {
  /** How far ahead the mark is set. */
  readonly leaseMs: number
  /** How often the lease is looked at. */
  readonly tickMs: number
  /** A write unanswered for longer is asked for again. */
  readonly writeTimeoutMs: number
}

/**
 * Our choices: a lease of 4 s is renewed when less than half is left, so a disk may stall for 1 s before stamps
 * advance by counter only, and a restart runs at most 4 s and its gap ahead of the wall. With what the own clock may be ahead
 * of the fleet's time that is less than `Guard.defaults.guardMs`, and leaves room for the gaps of six restarts in a row:
 * nobody refuses what a node says that restarted quickly.
 *
 * @since 0.1.0
 */
export const defaults: Config = { leaseMs: 4000, tickMs: 1000, writeTimeoutMs: 5000 }

/** Stamps up to here may have been given. @since 0.1.0 @category models */
export interface Mark {
  readonly epoch: number
  readonly wall: number
}

/** @since 0.1.0 @category models */
export interface State {
  readonly config: Config
  readonly round: number
  /** The mark that is known to be durable. */
  readonly durable: Mark | undefined
  readonly writing: { readonly token: number; readonly mark: Mark; readonly since: Machine.Instant } | undefined
  /** Token of the last write. */
  readonly token: number
  readonly counters: Counters
}

/** @since 0.1.0 @category models */
export interface Counters {
  readonly leases: number
  /** Writes that were not answered in time. */
  readonly lateWrites: number
  /** Ticks that found the lease used up. */
  readonly exhausted: number
  /** 1 if the stored mark could not be read. */
  readonly damagedMark: number
}

/** The durable state of a node: tables, and in each the rows by key. @since 0.1.0 @category models */
export type Stored = ReadonlyMap<string, ReadonlyMap<string, unknown>>

/** Where the mark is kept: `[epoch, wall]`. @since 0.1.0 */
export const table = "meta"

/** @since 0.1.0 */
export const key = "high-water"

/**
 * How far above the mark a restart begins. Our choice: room for the milliseconds that full counters carried beyond the
 * mark while a lease had run out, 65,536 stamps each.
 *
 * @since 0.1.0
 */
export const restartGapMs = 100

/**
 * What the cell of a node that starts holds: the durable mark, if there is one, and a little above it. There is no lease
 * yet, since nobody knows what time it is. **The rows of `rowsOf` must be durable before its first stamp leaves the
 * node**; they go with the new incarnation.
 *
 * @since 0.1.0
 * @category constructors
 */
export const initial = (stored: Stored): Hlc.Reading => {
  const mark = markOf(stored)
  if (mark === undefined || mark === "damaged") return Hlc.make(0)
  const start = Math.min(mark.wall + restartGapMs, Hlc.wallFollowMax)
  return { epoch: mark.epoch, wall: start, counter: 0, limit: start }
}

/** What must be durable before a cell gives its first stamp. @since 0.1.0 */
export const rowsOf = (reading: Hlc.Reading): ReadonlyArray<Machine.StoreRow> => [
  rowOf({ epoch: reading.epoch, wall: reading.limit })
]

/**
 * What to write last when the node stops in good order: a mark that lies above every stamp, those beyond the lease included,
 * and never below one that is durable or asked for.
 *
 * @since 0.1.0
 */
export const lastRowsOf = (
  { durable, writing }: State,
  { epoch, limit, wall }: Hlc.Reading
): ReadonlyArray<Machine.StoreRow> => [rowOf(highest({ epoch, wall: Math.max(limit, wall) }, durable, writing?.mark))]

/** @since 0.1.0 @category constructors */
export const make = (config: Config, stored: Stored): State => {
  const mark = markOf(stored)
  return {
    config,
    round: 0,
    durable: mark === "damaged" ? undefined : mark,
    writing: undefined,
    token: 0,
    counters: { leases: 0, lateWrites: 0, exhausted: 0, damagedMark: mark === "damaged" ? 1 : 0 }
  }
}

/** After a second crash: from the store alone. @since 0.1.0 @category constructors */
export const rebuild: (config: Config, stored: Stored) => State = make

/** @since 0.1.0 @category running */
export const step = (state: State, input: Input): Machine.Step<State, Action> => {
  switch (input.event._tag) {
    case "Started":
      return onTick(state, input)
    case "Renew":
      return renew(state, input)
    case "TimerFired":
      return input.event.timer.round === state.round ? onTick(state, input) : [state, []]
    case "Written":
      return onWritten(state, input.event.token)
    default:
      return [state, []]
  }
}

/** Names of the broken ones; empty is fine. @since 0.1.0 */
export const invariants = (state: State): ReadonlyArray<string> => {
  const broken: Array<string> = []
  const { durable, writing } = state
  if (durable !== undefined && writing !== undefined && !isAbove(writing.mark, durable)) {
    broken.push("clock: a mark is never moved back")
  }
  if (writing !== undefined && writing.token !== state.token) {
    broken.push("clock: only the newest write is waited for")
  }
  return broken
}

const onTick = (state: State, input: Input): Machine.Step<State, Action> => {
  const round = state.round + 1
  const tick: Action = { _tag: "SetTimer", delayMs: state.config.tickMs, timer: { _tag: "Tick", round } }
  const [next, actions] = renew({ ...state, round }, input)
  return [next, [...actions, tick]]
}

const renew = (state: State, input: Input): Machine.Step<State, Action> => {
  const { config, durable, writing } = state
  const { reading } = input
  const isCovered = durable !== undefined && !isAbove(reading, durable)
  const left = isCovered ? durable.wall - toWall(input.wall) : 0
  const late = writing !== undefined && input.now - writing.since >= config.writeTimeoutMs
  const counters = {
    ...state.counters,
    lateWrites: state.counters.lateWrites + (late ? 1 : 0),
    exhausted: state.counters.exhausted + (state.counters.leases > 0 && left <= 0 ? 1 : 0)
  }
  if (left >= config.leaseMs / 2 || (writing !== undefined && !late)) return [{ ...state, counters }, []]
  // Within an epoch a mark never falls, not even behind one that was asked for and not answered.
  const wanted = ahead(input.wall, reading.wall, config)
  const mark = highest({ epoch: reading.epoch, wall: wanted }, durable, writing?.mark)
  if (durable !== undefined && !isAbove(mark, durable)) return [{ ...state, counters }, []]
  // Never that of a write that a crashed predecessor asked for: its answer may still come.
  const token = Math.max(state.token + 1, Math.floor(input.now))
  return [
    { ...state, counters, token, writing: { token, mark, since: input.now } },
    [{ _tag: "Write", token, rows: [rowOf(mark)] }]
  ]
}

const onWritten = (state: State, token: number): Machine.Step<State, Action> => {
  const { writing } = state
  if (writing === undefined || writing.token !== token) return [state, []]
  const counters = { ...state.counters, leases: state.counters.leases + 1 }
  return [
    { ...state, counters, durable: writing.mark, writing: undefined },
    [{ _tag: "Emit", output: { _tag: "Lease", epoch: writing.mark.epoch, limit: writing.mark.wall } }]
  ]
}

const markOf = (stored: Stored): Mark | "damaged" | undefined => {
  const value = stored.get(table)?.get(key)
  if (value === undefined) return undefined
  const fields = Codec.tuple(value, 2, "high-water mark")
  if (!fields.ok) return "damaged"
  const [epoch, wall] = fields.value
  return Codec.isCount(epoch, Stamp.epochMax) && Codec.isCount(wall, Stamp.wallMax) ? { epoch, wall } : "damaged"
}

const rowOf = (mark: Mark): Machine.StoreRow => ({ table, key, value: [mark.epoch, mark.wall] })

const isAbove = (a: Mark, b: Mark): boolean => a.epoch > b.epoch || (a.epoch === b.epoch && a.wall > b.wall)

const highest = (mark: Mark, ...earlier: ReadonlyArray<Mark | undefined>): Mark =>
  earlier.reduce<Mark>((most, one) => (one !== undefined && isAbove(one, most) ? one : most), mark)

const toWall = (wall: number): number => (wall > 0 ? Math.floor(Math.min(wall, Hlc.wallFollowMax)) : 0)

/**
 * A lease beyond the physical clock, and never below what was stamped. Not a lease beyond the stamps: a node that starts
 * above its last mark would otherwise run one lease further ahead of the wall with every crash.
 */
const ahead = (wall: number, from: number, config: Config): number =>
  Math.min(Number.isNaN(wall) ? from : Math.max(toWall(wall) + config.leaseMs, from), Hlc.wallFollowMax)

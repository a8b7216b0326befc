/**
 * The clock component of a node: what time it is, and up to when stamps may follow it.
 *
 * Two machines side by side. The *population protocol* (`Population`) finds out how this node's clock stands to the clocks
 * of the fleet; the *lease* (`Lease`) keeps a durable mark ahead of the stamps. The cell itself (`NodeClock`) belongs to
 * the shell, which stamps without asking anybody; what is found out here is told to it as `Output`s.
 *
 * A *reset* begins the next epoch with the fleet's time. It is for a fleet whose stamps have run away from the time of day
 * (Jon Moore, Strange Loop 2015: the operator raises the epoch): every stamp of the new epoch sorts after all of the old.
 *
 * @since 0.1.0
 */
import { Codec, type Machine, type NodeId } from "@starling/machine"
import type { ClockBlock } from "./ClockBlock.ts"
import * as EffectiveTime from "./EffectiveTime.ts"
import * as FleetTime from "./FleetTime.ts"
import type * as Hlc from "./Hlc.ts"
import * as Lease from "./Lease.ts"
import * as MedianEstimator from "./MedianEstimator.ts"
import * as Population from "./Population.ts"
import * as Stamp from "./Stamp.ts"

/**
 * - `Neighbors`: the view manager's numbered snapshot.
 * - `Fleet`: so many nodes are known, this one among them, and those that are gone.
 * - `Reset`: an operator's wish to leave epoch `expected`; answered by `Answer` with the same token. `wall` is the time to
 *   begin the next one with, for a fleet that does not agree on one. Like every time that is followed it counts up to the end
 *   of the lease, some seconds beyond the time that this node stamps by.
 * - `Renew`: the cell is in another epoch than a moment ago, which was begun here or heard of.
 *
 * @since 0.1.0
 * @category models
 */
export type Event =
  | Machine.ShellEvent<Message, Timer>
  | { readonly _tag: "Started" }
  | { readonly _tag: "Neighbors"; readonly version: number; readonly neighbors: ReadonlyArray<Machine.Neighbor> }
  | { readonly _tag: "Fleet"; readonly size: number }
  | {
      readonly _tag: "Reset"
      readonly token: number
      readonly expected: number
      readonly wall: number | undefined
    }
  | { readonly _tag: "Renew" }

/**
 * Beside time and event: `wall` is the node's own clock in milliseconds since 1970, NaN if it has none; `reading` is what
 * the cell holds.
 *
 * @since 0.1.0
 * @category models
 */
export interface Input extends Machine.Input<Event> {
  readonly wall: number
  readonly reading: Hlc.Reading
}

/** @since 0.1.0 @category models */
export type Message = Population.Message<ClockBlock>

/** @since 0.1.0 @category models */
export type Timer = Lease.Timer | Population.Timer

/**
 * For the cell: `Lease` and `FleetTime` as their machines say them; `Epoch`: leave epoch `expected` for the next one, which
 * begins at `wall`. For who asked: `Answer`.
 *
 * @since 0.1.0
 * @category models
 */
export type Output =
  | Lease.Output
  | Population.Output
  | { readonly _tag: "Epoch"; readonly expected: number; readonly wall: number }
  | { readonly _tag: "Answer"; readonly token: number; readonly answer: ResetAnswer }

/** @since 0.1.0 @category models */
export type ResetAnswer =
  | { readonly _tag: "Epoch"; readonly epoch: number }
  | { readonly _tag: "Invalid"; readonly where: "epoch" | "wall"; readonly message: string }

/** @since 0.1.0 @category models */
export type Action = Machine.Action<Message, Timer, Output>

/**
 * - `source`: `fleet` (our choice) stamps by the population's time. `own` takes the own clock for right and says nothing
 *   to neighbours: a plain hybrid logical clock, for fleets whose clocks somebody else keeps.
 *
 * @since 0.1.0
 * @category models
 */
export interface Settings {
  readonly source: "fleet" | "own"
  readonly lease: Lease.Config
  readonly roundMs: number
  readonly gapMs: number
  readonly fleet: FleetTime.Config
  readonly time: EffectiveTime.Config
}

/** @since 0.1.0 @category models */
export interface Config extends Settings {
  readonly self: NodeId.NodeId
  /** There are others to be joined: configured seeds, or remembered peers. */
  readonly hasContacts: boolean
}

/** @since 0.1.0 */
export const defaults: Settings = {
  source: "fleet",
  lease: Lease.defaults,
  roundMs: Population.defaults.roundMs,
  gapMs: Population.defaults.gapMs,
  fleet: FleetTime.defaults,
  time: EffectiveTime.defaults
}

/** @since 0.1.0 @category models */
export interface State {
  readonly config: Config
  readonly seed: number
  readonly lease: Lease.State
  /** Undefined until the first event, since only that says what the monotonic clock shows. */
  readonly population: Population.State<MedianEstimator.State, ClockBlock> | undefined
  /** What was settled before this state, in terms of the same monotonic clock. */
  readonly offset: number | undefined
  /** If nothing was: probation was overdue, or there was nobody to ask. */
  readonly alone: boolean
  readonly counters: Counters
}

/** @since 0.1.0 @category models */
export interface Counters {
  readonly resets: number
  readonly resetsRefused: number
}

/** @since 0.1.0 @category constructors */
export const make = (config: Config, stored: Lease.Stored, seed: number): State => ({
  config,
  seed,
  lease: Lease.make(config.lease, stored),
  population: undefined,
  offset: undefined,
  alone: false,
  counters: { resets: 0, resetsRefused: 0 }
})

/**
 * After a second crash: the lease from the store. `offset` is the fleet's time as the cell has it; it is a fact about this
 * process's monotonic clock that no crash of a component makes untrue. Nor does one make anybody wait once more who stamps by
 * the own clock (`alone`), since there is no fleet's time.
 *
 * @since 0.1.0
 * @category constructors
 */
export const rebuild = (
  config: Config,
  stored: Lease.Stored,
  seed: number,
  offset: number | undefined,
  alone: boolean
): State => ({ ...make(config, stored, seed), offset, alone })

/** @since 0.1.0 @category running */
export const step = (state: State, input: Input): Machine.Step<State, Action> => {
  const { event } = input
  switch (event._tag) {
    case "Started": {
      const [talked, said] = talk(state, input, event)
      const [leased, asked] = lease(talked, input, event)
      return [leased, [...said, ...asked]]
    }
    case "TimerFired": {
      const { timer } = event
      return timer._tag === "Tick"
        ? lease(state, input, { _tag: "TimerFired", timer })
        : talk(state, input, { _tag: "TimerFired", timer })
    }
    case "Written":
    case "Renew":
      return lease(state, input, event)
    case "Reset":
      return onReset(state, input, event)
    default:
      return talk(state, input, event)
  }
}

/** The time that the node stamps by, NaN if there is none. @since 0.1.0 */
export const timeOf = ({ population }: State, now: Machine.Instant, wall: number): number => {
  if (population === undefined) return Number.NaN
  const { config, told } = population
  return EffectiveTime.physical(wall, now + (told?.offset ?? Number.NaN), told?.alone ?? false, config.time)
}

/** What `starling clock` shows, or undefined before the first event. @since 0.1.0 */
export const statusOf = (state: State, now: Machine.Instant, wall: number): Population.Status | undefined =>
  state.population === undefined ? undefined : Population.median.status(state.population, { now, wall })

/**
 * The clocks of others that this node has heard of lately, of all of them in a small fleet and of 63 in a large one:
 * whose (`ClockBlock.originOf` of the node's id), and how far ahead of the fleet's time. Empty in probation.
 *
 * @since 0.1.0
 */
export const others = (
  { population }: State,
  now: Machine.Instant,
  wall: number
): ReadonlyArray<{ readonly origin: number; readonly aheadMs: number }> => {
  const settled = population?.fleet.offset
  if (population === undefined || settled === undefined) return []
  return MedianEstimator.clocks(population.estimator, { now, wall }).map(({ offset, origin }) => ({
    origin,
    aheadMs: offset - settled
  }))
}

/** @since 0.1.0 @category codec */
export const encode = (message: Message): ReadonlyArray<unknown> => [kindClocks, ...Population.median.encode(message)]

/** @since 0.1.0 @category codec */
export const decode: Codec.Decoder<Message> = (input) => {
  if (!Array.isArray(input)) return Codec.refuse("clock: expected a list")
  return input[0] === kindClocks
    ? Population.median.decode(input.slice(1))
    : Codec.refuse(`unknown kind: ${String(input[0]).slice(0, 32)}`)
}

const kindClocks = 0

/** Names of the broken ones; empty is fine. @since 0.1.0 */
export const invariants = (state: State): ReadonlyArray<string> => [
  ...Lease.invariants(state.lease),
  ...(state.population === undefined ? [] : Population.median.invariants(state.population))
]

type Talk = Parameters<typeof Population.median.step>[1]["event"]

/** One step of the population protocol. Whoever learns what time it is asks for a lease at once. */
const talk = (state: State, input: Input, event: Talk): Machine.Step<State, Action> => {
  const { now, wall } = input
  const before = begun(state, now)
  const [population, actions] =
    state.config.source === "own"
      ? trust(before.population, event)
      : Population.median.step(before.population, { now, wall, event })
  const after: State = { ...before, population }
  if (!Number.isNaN(timeOf(state, now, wall)) || Number.isNaN(timeOf(after, now, wall))) return [after, actions]
  const [leased, asked] = lease(after, input, { _tag: "Renew" })
  return [leased, [...actions, ...asked]]
}

type Begun = State & { readonly population: Population.State<MedianEstimator.State, ClockBlock> }

const begun = (state: State, now: Machine.Instant): Begun => {
  if (state.population !== undefined) return { ...state, population: state.population }
  const { fleet, gapMs, hasContacts, roundMs, self, time } = state.config
  const config = { self, hasContacts, roundMs, gapMs, fleet, time }
  return { ...state, population: Population.median.make(config, state.seed, now, state.offset, state.alone) }
}

/** Without a talk the own clock is right by definition. */
const trust = (
  population: Begun["population"],
  event: Talk
): Machine.Step<Begun["population"], Machine.Action<Message, Population.Timer, Population.Output>> => {
  if (event._tag !== "Started") return [population, []]
  const told: Population.Output = { _tag: "FleetTime", offset: undefined, alone: true, condition: "ok" }
  return [{ ...population, told }, [{ _tag: "Emit", output: told }]]
}

const lease = (state: State, input: Input, event: Lease.Event): Machine.Step<State, Action> => {
  const wall = timeOf(state, input.now, input.wall)
  const [next, actions] = Lease.step(state.lease, { now: input.now, wall, reading: input.reading, event })
  return [{ ...state, lease: next }, actions]
}

const onReset = (
  state: State,
  input: Input,
  { expected, token, wall }: Extract<Event, { readonly _tag: "Reset" }>
): Machine.Step<State, Action> => {
  const refusal = refusalOf(state, input, expected, wall)
  if (refusal !== undefined) {
    const counters = { ...state.counters, resetsRefused: state.counters.resetsRefused + 1 }
    return [{ ...state, counters }, [{ _tag: "Emit", output: { _tag: "Answer", token, answer: refusal } }]]
  }
  const begins = wall ?? timeOf(state, input.now, input.wall)
  const counters = { ...state.counters, resets: state.counters.resets + 1 }
  return [
    { ...state, counters },
    [
      { _tag: "Emit", output: { _tag: "Epoch", expected, wall: begins } },
      { _tag: "Emit", output: { _tag: "Answer", token, answer: { _tag: "Epoch", epoch: expected + 1 } } }
    ]
  ]
}

/** A reset to a time that is itself wrong would have to be reset again. */
const refusalOf = (
  state: State,
  { now, reading, wall: own }: Input,
  expected: number,
  wall: number | undefined
): ResetAnswer | undefined => {
  const invalid = (where: "epoch" | "wall", message: string): ResetAnswer => ({ _tag: "Invalid", where, message })
  if (reading.epoch !== expected) {
    return invalid("epoch", `this node is in epoch ${reading.epoch}, not ${expected}: somebody was quicker; look again`)
  }
  if (expected >= Stamp.epochMax) return invalid("epoch", `${Stamp.epochMax} is the last epoch there is`)
  if (wall !== undefined) {
    return wall >= 0 && wall <= Stamp.wallMax
      ? undefined
      : invalid("wall", `expected milliseconds since 1970 up to the year 9999, got ${wall}`)
  }
  const status = statusOf(state, now, own)
  if (state.config.source === "own" || (status !== undefined && !status.isUnsettled)) return undefined
  return invalid("wall", unsettled(status))
}

const unsettled = (status: Population.Status | undefined): string => {
  if (status === undefined || (status.fleet === undefined && !Number.isFinite(status.need))) {
    return "the fleet's time is not known: no other node was reached yet; try again in some seconds, or give the time"
  }
  return status.fleet === undefined
    ? `the fleet's time is not settled: of ${status.need} clocks that must agree ${status.votes} can be heard, or they do not; mend the clocks first, or give the time`
    : "the fleet's clocks do not agree with what was settled: mend the clocks first, or give the time"
}

/**
 * The population protocol: a node learns how its clock stands to the clocks of the fleet, and so what time to stamp with.
 *
 * Every round one neighbour, in turn, is sent a block of clocks; one that is new, at once and with all that is known, as is
 * everybody by a node that starts and knows little. What
 * comes in goes to the estimator, what that amounts to through `FleetTime`, and out to the shell, which stamps by it
 * (`EffectiveTime`). A wall clock that runs away from the monotonic one by more than the tolerance means a machine that
 * was suspended or a clock that was set: then what is known in terms of the monotonic clock is void, and probation begins
 * again.
 *
 * The estimator is a parameter; `median` is what ships.
 *
 * @since 0.1.0
 */
import { Codec, LinkGate, type Machine, type NodeId } from "@starling/machine"
import { type BlockKind, type ClockEstimator, type Demand, type Moment, voteOf } from "./ClockEstimator.ts"
import * as EffectiveTime from "./EffectiveTime.ts"
import * as FleetTime from "./FleetTime.ts"
import * as delay from "./internal/delay.ts"
import * as MedianEstimator from "./MedianEstimator.ts"

/**
 * - `Started` arms the timer; once more, it re-arms it.
 * - `Neighbors` is the view manager's snapshot.
 * - `Fleet`: so many nodes are known, this one among them, and those that are gone.
 *
 * @since 0.1.0
 * @category models
 */
export type Event<Block> =
  | Machine.ShellEvent<Message<Block>, Timer>
  | { readonly _tag: "Started" }
  | { readonly _tag: "Neighbors"; readonly version: number; readonly neighbors: ReadonlyArray<Machine.Neighbor> }
  | { readonly _tag: "Fleet"; readonly size: number }

/** `wall`: milliseconds since 1970 as the machine shows them, NaN if it has no clock. @since 0.1.0 @category models */
export interface Input<Block> extends Machine.Input<Event<Block>> {
  readonly wall: number
}

/**
 * What the shell is to stamp by from now on, given to `EffectiveTime.tell`; and what an operator may want to know.
 *
 * @since 0.1.0
 * @category models
 */
export interface Output {
  readonly _tag: "FleetTime"
  /** The fleet's time minus the monotonic clock; undefined in probation. */
  readonly offset: number | undefined
  /** Until there is a fleet's time the own clock is taken: there is nobody to ask, or probation has lasted too long. */
  readonly alone: boolean
  readonly condition: EffectiveTime.Condition
}

/** @since 0.1.0 @category models */
export type Action<Block> = Machine.Action<Message<Block>, Timer, Output>

/**
 * A block, with what its delay is measured by: when it was sent, in milliseconds of the sender's monotonic clock; `era`,
 * which counts how often that clock became another one; and how long the receiver's own messages took at the least, by
 * the same clocks.
 *
 * @since 0.1.0
 * @category models
 */
export interface Message<Block> extends delay.Timed {
  readonly _tag: "Clocks"
  readonly block: Block
}

/** Numbered: one of an earlier round changes nothing. @since 0.1.0 @category models */
export interface Timer {
  readonly _tag: "Round"
  readonly round: number
}

/** @since 0.1.0 @category models */
export interface Config {
  readonly self: NodeId.NodeId
  /** There are others to be joined: configured seeds, or remembered peers. */
  readonly hasContacts: boolean
  /** How often a block is sent, to one neighbour after the other. */
  readonly roundMs: number
  /** No neighbour is sent two blocks within this time. */
  readonly gapMs: number
  readonly fleet: FleetTime.Config
  readonly time: EffectiveTime.Config
}

/** Our choices: five neighbours hear from a node once a second each, at about 50 bytes once it has settled. @since 0.1.0 */
export const defaults: Omit<Config, "self"> = {
  hasContacts: true,
  roundMs: 200,
  gapMs: 100,
  fleet: FleetTime.defaults,
  time: EffectiveTime.defaults
}

/** A block, and when it came. @since 0.1.0 @category models */
export interface Arrived<Block> {
  readonly message: Message<Block>
  readonly at: Machine.Instant
}

/**
 * A neighbour, and when it was sent a block last. `held`: its first block, until it can be told how long that was under
 * way.
 *
 * @since 0.1.0
 * @category models
 */
export interface Neighbor<Block> extends Machine.Neighbor {
  readonly sentAt: Machine.Instant | undefined
  readonly way: delay.Way
  readonly held: Arrived<Block> | undefined
}

/** @since 0.1.0 @category models */
export interface State<Estimator, Block> {
  readonly config: Config
  readonly round: number
  /** Blocks of a link that may become a neighbour's, with when they came. */
  readonly gate: LinkGate.LinkGate<Arrived<Block>>
  readonly neighbors: ReadonlyArray<Neighbor<Block>>
  readonly size: number | undefined
  readonly estimator: Estimator
  /** The estimate of the last round. */
  readonly estimate: number | undefined
  readonly fleet: FleetTime.State
  /** When the clocks were looked at last. */
  readonly seen: Moment | undefined
  /** How often the monotonic clock became another one. */
  readonly era: number
  readonly told: Output | undefined
  readonly counters: Counters
}

/** @since 0.1.0 @category models */
export interface Counters {
  readonly sent: number
  readonly received: number
  /** Blocks dropped because their link went down before it was a neighbour's, or because too many waited for that. */
  readonly strangers: number
  /** How often wall and monotonic clock disagreed about how much time had passed. */
  readonly restarts: number
}

/** What `starling clock` shows. @since 0.1.0 @category models */
export interface Status {
  readonly condition: EffectiveTime.Condition
  /** The own clock minus the fleet's time; undefined if either is missing. */
  readonly aheadMs: number | undefined
  /** The fleet's time, undefined in probation. */
  readonly fleet: number | undefined
  /** The estimate is outside the tolerance of what is settled. */
  readonly isUnsettled: boolean
  readonly votes: number
  readonly need: number
  /** Every other clock that is known, minus the fleet's time, ascending; empty in probation. */
  readonly others: ReadonlyArray<number>
}

/** The protocol with one estimator. @since 0.1.0 @category models */
export interface Protocol<Estimator, Block> {
  /** `offset`: what another state of the same process had settled on; `overdue`: its probation had lasted too long. */
  readonly make: (
    config: Config,
    seed: number | string,
    now: Machine.Instant,
    offset?: number,
    overdue?: boolean
  ) => State<Estimator, Block>
  readonly step: (
    state: State<Estimator, Block>,
    input: Input<Block>
  ) => Machine.Step<State<Estimator, Block>, Action<Block>>
  readonly status: (state: State<Estimator, Block>, at: Moment) => Status
  readonly encode: (message: Message<Block>) => ReadonlyArray<unknown>
  readonly decode: Codec.Decoder<Message<Block>>
  readonly invariants: (state: State<Estimator, Block>) => ReadonlyArray<string>
}

/** @since 0.1.0 @category constructors */
export const make = <E, B>(estimator: ClockEstimator<E, B>): Protocol<E, B> => ({
  make: (config, seed, now, offset, overdue = false) => ({
    config,
    round: 0,
    gate: LinkGate.empty,
    neighbors: [],
    size: undefined,
    estimator: estimator.make(config.self, seed),
    estimate: undefined,
    fleet: FleetTime.make(now, offset, overdue ? now - config.fleet.overdueMs : now),
    seen: undefined,
    era: 0,
    told: undefined,
    counters: { sent: 0, received: 0, strangers: 0, restarts: 0 }
  }),
  step: (state, input) => step(estimator, state, input),
  status: (state, at) => status(estimator, state, at),
  encode: (message) => encode(estimator, message),
  decode: (input) => decode(estimator, input),
  invariants: (state) => invariants(estimator, state)
})

/** @since 0.1.0 */
export const median = make(MedianEstimator.estimator())

/** While the shell carries out one input. */
interface Turn<E, B> {
  readonly estimator: ClockEstimator<E, B>
  readonly at: Moment
  state: State<E, B>
  readonly actions: Array<Action<B>>
}

const step = <E, B>(
  estimator: ClockEstimator<E, B>,
  state: State<E, B>,
  { event, now, wall }: Input<B>
): Machine.Step<State<E, B>, Action<B>> => {
  const turn: Turn<E, B> = { estimator, at: { now, wall }, state, actions: [] }
  look(turn)
  switch (event._tag) {
    case "Started":
      onRound(turn)
      break
    case "TimerFired":
      if (event.timer.round === state.round) onRound(turn)
      break
    case "Neighbors":
      onNeighbors(turn, event.version, event.neighbors)
      break
    case "Fleet":
      turn.state = { ...turn.state, size: event.size }
      break
    case "Received":
      onReceived(turn, event.link, event.message)
      break
    case "LinkDown":
      onLinkDown(turn, event.link)
      break
    default:
  }
  return [turn.state, turn.actions]
}

/** Does the wall clock say that more time has passed than the monotonic one does? */
const look = <E, B>(turn: Turn<E, B>): void => {
  const { at, state } = turn
  const { seen } = state
  const jump = seen === undefined ? 0 : at.wall - seen.wall - (at.now - seen.now)
  turn.state = { ...state, seen: at }
  if (!(jump > state.config.time.toleranceMs)) return
  turn.state = {
    ...turn.state,
    estimator: turn.estimator.restart(state.estimator),
    estimate: undefined,
    fleet: FleetTime.restart(state.fleet, at.now),
    // When they came is told by the clock that is void.
    gate: { ...state.gate, held: [] },
    neighbors: state.neighbors.map((neighbor) => ({ ...neighbor, way: delay.unknown, held: undefined })),
    era: (state.era + 1) % eras,
    counters: { ...state.counters, restarts: state.counters.restarts + 1 }
  }
  tell(turn)
}

const onRound = <E, B>(turn: Turn<E, B>): void => {
  const { at, estimator } = turn
  const round = turn.state.round + 1
  turn.state = { ...turn.state, round }
  const [judged, estimate] = estimator.estimate(turn.state.estimator, at, demandOf(turn.state, at.now))
  const fleet = FleetTime.follow(turn.state.fleet, estimate, at.now, turn.state.config.fleet, isSure(turn, estimate))
  turn.state = { ...turn.state, estimator: judged, estimate, fleet }
  tell(turn)
  const next = longestUnheard(turn.state)
  if (next !== undefined) send(turn, next, kindOf(turn))
  turn.actions.push({ _tag: "SetTimer", delayMs: turn.state.config.roundMs, timer: { _tag: "Round", round } })
}

/** Who starts tells all it knows as long as that is little, so that those who start with it need not wait for a sample of it. */
const kindOf = <E, B>({ at, estimator, state }: Turn<E, B>): BlockKind =>
  state.fleet.offset === undefined && estimator.votes(state.estimator, at) <= fewClocks ? "full" : "usual"

/** Our choice: twice what a young node asks for. */
const fewClocks = 32

/** Asked in probation only. */
const isSure = <E, B>({ at, estimator, state }: Turn<E, B>, estimate: number | undefined): boolean => {
  if (estimate === undefined || state.fleet.offset !== undefined) return false
  const others = estimator.offsets(state.estimator, at)
  return FleetTime.isAgreed(voteOf(at), others, estimate, aroundOf(state), state.config.fleet)
}

/** Whose turn it is: who was sent a block longest ago. */
const longestUnheard = <E, B>({ neighbors }: State<E, B>): Neighbor<B> | undefined => {
  let first: Neighbor<B> | undefined = undefined
  for (const neighbor of neighbors) {
    if (first === undefined || (neighbor.sentAt ?? -Infinity) < (first.sentAt ?? -Infinity)) first = neighbor
  }
  return first
}

const onNeighbors = <E, B>(turn: Turn<E, B>, version: number, named: ReadonlyArray<Machine.Neighbor>): void => {
  const change = LinkGate.accept(turn.state.gate, version, named)
  if (change === undefined) return
  const known = new Map(turn.state.neighbors.map((neighbor) => [neighbor.link, neighbor]))
  const neighbors = named.map(
    ({ link, peer }): Neighbor<B> =>
      known.get(link) ?? { link, peer, sentAt: undefined, way: delay.unknown, held: undefined }
  )
  const estimator = turn.estimator.neighbors(
    turn.state.estimator,
    neighbors.map(({ peer }) => peer.id)
  )
  turn.state = { ...turn.state, gate: change.gate, neighbors, estimator }
  for (const { link, message } of change.released) take(turn, link, message)
  for (const { link } of change.up) {
    const added = turn.state.neighbors.find((neighbor) => neighbor.link === link)
    if (added !== undefined) send(turn, added, "full")
  }
}

const onLinkDown = <E, B>(turn: Turn<E, B>, link: Machine.LinkId): void => {
  const { counters, gate } = turn.state
  const closed = LinkGate.close(gate, link)
  if (closed === gate) return
  const strangers = counters.strangers + gate.held.length - closed.held.length
  turn.state = { ...turn.state, gate: closed, counters: { ...counters, strangers } }
}

const onReceived = <E, B>(turn: Turn<E, B>, link: Machine.LinkId, message: Message<B>): void => {
  const { at, state } = turn
  const arrived = { message, at: at.now }
  if (state.neighbors.some((neighbor) => neighbor.link === link)) return take(turn, link, arrived)
  // The view manager has not said yet that this is a neighbour.
  const gate = LinkGate.hold(state.gate, link, arrived)
  const strangers = state.counters.strangers + gate.overflowed - state.gate.overflowed
  turn.state = { ...state, gate, counters: { ...state.counters, strangers } }
}

/** A block of a neighbour, which may have come before it was one. */
const take = <E, B>(turn: Turn<E, B>, link: Machine.LinkId, arrived: Arrived<B>): void => {
  const { state } = turn
  const from = state.neighbors.find((neighbor) => neighbor.link === link)
  if (from === undefined) return
  const { message } = arrived
  const way = delay.learn(from.way, message, arrived.at, state.era)
  const { toleranceMs } = state.config.time
  const isKnown = delay.oneWay(way, 0, toleranceMs) !== undefined
  // Until it is known how long they take, the first block of a link waits: it tells most.
  const held = isKnown ? undefined : (from.held ?? arrived)
  turn.state = {
    ...withNeighbor(state, { ...from, way, held }),
    counters: { ...state.counters, received: state.counters.received + 1 }
  }
  if (!isKnown) return
  if (from.held !== undefined) absorb(turn, from.peer.id, way, from.held)
  absorb(turn, from.peer.id, way, arrived)
}

/** As if the block had been under way until now. */
const absorb = <E, B>(
  turn: Turn<E, B>,
  from: NodeId.NodeId,
  way: delay.Way,
  { at: arrivedAt, message }: Arrived<B>
): void => {
  const { at, estimator, state } = turn
  if (message.era !== way.era) return
  const oneWay = delay.oneWay(way, arrivedAt - message.sentAt, state.config.time.toleranceMs)
  if (oneWay === undefined) return
  const absorbed = estimator.absorb(state.estimator, from, message.block, oneWay + at.now - arrivedAt, at)
  turn.state = { ...state, estimator: absorbed }
}

const send = <E, B>(turn: Turn<E, B>, to: Neighbor<B>, kind: BlockKind): void => {
  const { at, state } = turn
  if (to.sentAt !== undefined && at.now - to.sentAt < state.config.gapMs) return
  const [estimator, block] = turn.estimator.block(state.estimator, kind, at)
  turn.state = {
    ...withNeighbor(state, { ...to, sentAt: at.now }),
    estimator,
    counters: { ...state.counters, sent: state.counters.sent + 1 }
  }
  turn.actions.push({
    _tag: "Send",
    link: to.link,
    message: { _tag: "Clocks", sentAt: at.now, era: state.era, back: delay.backOf(to.way), block }
  })
}

/** Says what to stamp by, if it has changed. */
const tell = <E, B>(turn: Turn<E, B>): void => {
  const { at, state } = turn
  const { config, fleet, told } = state
  const { offset } = fleet
  const output: Output = {
    _tag: "FleetTime",
    offset,
    alone:
      FleetTime.isAlone(fleet, aroundOf(state), at.now, config.fleet) ||
      FleetTime.isOverdue(fleet, at.now, config.fleet),
    condition: EffectiveTime.conditionOf(at.wall, FleetTime.at(fleet, at.now) ?? Number.NaN, config.time)
  }
  if (
    told !== undefined &&
    told.offset === offset &&
    told.alone === output.alone &&
    told.condition === output.condition
  )
    return
  turn.state = { ...state, told: output }
  turn.actions.push({ _tag: "Emit", output })
}

const status = <E, B>(estimator: ClockEstimator<E, B>, state: State<E, B>, at: Moment): Status => {
  const { config, estimate, fleet } = state
  const time = FleetTime.at(fleet, at.now)
  const ahead = time === undefined ? Number.NaN : at.wall - time
  return {
    condition: EffectiveTime.conditionOf(at.wall, time ?? Number.NaN, config.time),
    aheadMs: Number.isNaN(ahead) ? undefined : ahead,
    fleet: time,
    isUnsettled: fleet.outsideSince !== undefined || fleet.offset === undefined || estimate === undefined,
    votes: estimator.votes(state.estimator, at),
    need: demandOf(state, at.now).need,
    others: others(estimator.offsets(state.estimator, at), fleet.offset)
  }
}

const others = (offsets: ReadonlyArray<number>, settled: number | undefined): ReadonlyArray<number> =>
  settled === undefined ? [] : offsets.map((offset) => offset - settled).toSorted((a, b) => a - b)

const encode = <E, B>(
  estimator: ClockEstimator<E, B>,
  { back, block, era, sentAt }: Message<B>
): ReadonlyArray<unknown> => [
  tenths(sentAt),
  era,
  back === undefined ? null : [tenths(back.transit), back.era],
  estimator.encode(block)
]

const decode = <E, B>(estimator: ClockEstimator<E, B>, input: unknown): Codec.Decoded<Message<B>> => {
  const fields = Codec.tuple(input, 4, "clocks")
  if (!fields.ok) return fields
  const [sentAt, era, told, bytes] = fields.value
  if (!isTenths(sentAt)) return Codec.refuse("clocks: the time of sending is no whole number")
  if (!Codec.isCount(era, eras - 1)) return Codec.refuse(`clocks: the era is not in 0..${eras - 1}`)
  const back = decodeBack(told)
  if (!back.ok) return back
  if (!(bytes instanceof Uint8Array)) return Codec.refuse("clocks: the block is no byte string")
  const block = estimator.decode(bytes)
  if (!block.ok) return block
  return Codec.accept({ _tag: "Clocks", sentAt: sentAt / 10, era, back: back.value, block: block.value })
}

const decodeBack = (input: unknown): Codec.Decoded<delay.Timed["back"]> => {
  if (input === null) return Codec.accept(undefined)
  const fields = Codec.tuple(input, 2, "clocks: way back")
  if (!fields.ok) return fields
  const [transit, era] = fields.value
  return isTenths(transit) && Codec.isCount(era, eras - 1)
    ? Codec.accept({ transit: transit / 10, era })
    : Codec.refuse("clocks: the way back is not a transit and an era")
}

/** Eras are told apart from their neighbours only. */
const eras = 128

/** On the wire, tenths of a millisecond: finer than clocks are, and mostly five bytes. (The sum has no -0.) */
const tenths = (ms: number): number => Math.round(ms * 10) + 0

const isTenths = (input: unknown): input is number => Number.isSafeInteger(input) && !Object.is(input, -0)

const invariants = <E, B>(estimator: ClockEstimator<E, B>, state: State<E, B>): ReadonlyArray<string> => {
  const broken = estimator.invariants(state.estimator).map((name) => `clocks: ${name}`)
  const { fleet } = state
  if (fleet.offset !== undefined && fleet.candidate !== undefined) broken.push("clocks: settled, and yet a candidate")
  if (new Set(state.neighbors.map(({ link }) => link)).size < state.neighbors.length) {
    broken.push("clocks: one link of two neighbours")
  }
  return broken
}

const withNeighbor = <E, B>(state: State<E, B>, changed: Neighbor<B>): State<E, B> => ({
  ...state,
  neighbors: state.neighbors.map((neighbor) => (neighbor.link === changed.link ? changed : neighbor))
})

const aroundOf = <E, B>({ config, neighbors, size }: State<E, B>): FleetTime.Surroundings => ({
  neighbors: neighbors.length,
  size,
  hasContacts: config.hasContacts
})

const demandOf = <E, B>(state: State<E, B>, now: Machine.Instant): Demand => ({
  need: FleetTime.need(state.fleet, aroundOf(state), now, state.config.fleet),
  size: state.size
})

/**
 * One member of the fleet as one machine: view manager, shuffler, broadcast tree, lazy-push repair, clock and facts,
 * wired together by `Wiring`.
 *
 * It steps as the actors of an agent do. Between every ordered pair of components stands a first-in-first-out queue;
 * one move is either the next step of one component or the next action of its last step; and which component moves is
 * chosen by the seed. So the simulator explores the interleavings that supervised actors have. Running to completion is
 * an option for speed (`mode`), for scale where interleaving is not the question.
 *
 * A component can be crashed on purpose at three points, as an actor can be: before a step (its event is lost), after
 * the commit, and between two actions. `Cell` keeps what is committed; a second crash within the period rebuilds the
 * component instead of trusting its state.
 *
 * @since 0.1.0
 */
import { Lease, NodeClock } from "@starling/clock"
import { Cell, type Machine, type Peer, Rng } from "@starling/machine"
import * as HashMap from "effect/HashMap"
import * as Option from "effect/Option"
import {
  type ActionOf,
  type Component,
  components,
  type EventOf,
  type InputOf,
  type MessageOf,
  type Moment,
  specs,
  type StateOf,
  type TimerOf
} from "./Component.ts"
import * as Agreement from "./internal/agreement.ts"
import * as Ledger from "./Ledger.ts"
import * as Parts from "./Parts.ts"
import * as Wiring from "./Wiring.ts"

/** A timer of a component; of a generation that was rebuilt since, it is dropped. @since 0.1.0 @category models */
export type Timer =
  | { readonly _tag: "Advance" }
  | {
      readonly [C in Component]: {
        readonly _tag: "Component"
        readonly component: C
        readonly generation: number
        readonly timer: TimerOf<C>
      }
    }[Component]

/** Where a crash strikes. @since 0.1.0 @category models */
export type CrashPoint = "before" | "committed" | "acting"

/**
 * - `Started`: once, before everything else.
 * - `Command`: what the application asks of a component.
 * - `Crash`: the component crashes the next time it gets to that point.
 *
 * @since 0.1.0
 * @category models
 */
export type Event =
  | Machine.ShellEvent<Wiring.Frame, Timer>
  | { readonly _tag: "Started" }
  | { readonly _tag: "Command"; readonly delivery: Wiring.Delivery }
  | { readonly _tag: "Crash"; readonly component: Component; readonly at: CrashPoint }

/** @since 0.1.0 @category models */
export type Action = Machine.Action<Wiring.Frame, Timer, Wiring.ToApplication>

/** `wall`: milliseconds since 1970 as this machine's own clock shows them. @since 0.1.0 @category models */
export interface Input extends Machine.Input<Event> {
  readonly wall: number
}

/** @since 0.1.0 @category models */
export interface Config extends Parts.Settings {
  /** `interleaved`: one move at a time, as actors do. `run-to-completion`: all moves of an event at once, for speed. */
  readonly mode: "interleaved" | "run-to-completion"
}

/** @since 0.1.0 @category models */
export type Cells = { readonly [C in Component]: Cell.Cell<StateOf<C>, ActionOf<C>> }

interface Waiting {
  readonly from: Component | "shell"
  readonly delivery: Wiring.Delivery
}

type Queue = ReadonlyArray<Waiting>

/** @since 0.1.0 @category models */
export interface State {
  readonly config: Config
  /** What the store is known to hold: a component that is rebuilt starts from it. */
  readonly durable: Durable
  readonly cells: Cells
  readonly queues: Readonly<Record<Component, Queue>>
  /** The clock cell. */
  readonly clock: NodeClock.NodeClock
  /** What waits until the time is known, the oldest first. */
  readonly held: ReadonlyArray<Wiring.Delivery>
  readonly rng: Rng.Rng
  /** An `Advance` timer is on its way. */
  readonly advancing: boolean
  /** Numbers of this machine's `Open` and `Write` actions, with whose they are. */
  readonly requests: Requests
  readonly links: ReadonlyArray<LinkUse>
  readonly ledger: Ledger.Ledger
  /** The newest neighbour set each component was told, and the patterns that facts were told to handle. */
  readonly told: Readonly<Partial<Record<Component, Wiring.Delivery>>>
  readonly handles: Wiring.Delivery | undefined
  /** What crashes before a step have lost, the newest: until it comes again, or newer news, components may disagree. */
  readonly lost: ReadonlyArray<Wiring.Delivery>
  readonly crash: { readonly component: Component; readonly at: CrashPoint } | undefined
  readonly generations: Readonly<Record<Component, number>>
  readonly crashedAt: Readonly<Record<Component, ReadonlyArray<Machine.Instant>>>
  readonly counters: Counters
}

/**
 * What `disagreements` holds side by side. In a member's state all of it stands as it is; a whole agent gathers it.
 *
 * @since 0.2.0
 * @category models
 */
export interface Knowledge extends Pick<
  State,
  "cells" | "clock" | "durable" | "generations" | "ledger" | "lost" | "told"
> {
  readonly config: Pick<Config, "self">
  readonly links: ReadonlyArray<Pick<LinkUse, "link">>
}

/**
 * `eventsLost` to crashes before a step, `refused` documents and configuration entries because of a stamp that must not be
 * followed, `heldRefused` because too many waited for the time already, `redelivered` by a broadcast tree that was rebuilt
 * or had forgotten the origin (and not handed on).
 *
 * @since 0.1.0
 * @category models
 */
export type Counters = Readonly<
  Record<"steps" | "crashes" | "rebuilds" | "eventsLost" | "refused" | "heldRefused" | "redelivered", number>
>

/** A live link, and the components that were told of it or handed a frame of it. @since 0.1.0 @category models */
export interface LinkUse {
  readonly link: Machine.LinkId
  readonly peer: Peer.Peer
  readonly concerned: ReadonlyArray<Component>
}

interface Requests {
  readonly next: number
  readonly waiting: ReadonlyArray<Request>
}

interface Request {
  readonly number: number
  readonly component: Component
  /** The number by which the component knows it, and the generation of the component that does. */
  readonly own: number
  readonly generation: number
  readonly rows: ReadonlyArray<Machine.StoreRow>
}

type Durable = HashMap.HashMap<string, HashMap.HashMap<string, unknown>>

/**
 * `rows` must be durable before the first event: no stamp may leave above a lease that a crash would forget.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  config: Config,
  stored: Parts.Stored,
  seed: number | string,
  wall: number
): Machine.Machine<State, Event, Action, Input> & { readonly rows: ReadonlyArray<Machine.StoreRow> } => {
  const [states, clock] = Parts.boot(config, stored, Rng.make(seed), wall)
  return {
    step,
    rows: Lease.rowsOf(clock.reading),
    initial: {
      config,
      durable: HashMap.fromIterable([...stored].map(([table, rows]) => [table, HashMap.fromIterable(rows)] as const)),
      clock,
      held: [],
      cells: each((component) => Cell.make(states[component])) as Cells,
      queues: each(() => []),
      rng: Rng.split(Rng.make(seed), "moves"),
      advancing: false,
      requests: { next: 1, waiting: [] },
      links: [],
      ledger: Ledger.empty,
      told: {},
      handles: undefined,
      lost: [],
      crash: undefined,
      generations: each(() => 0),
      crashedAt: each(() => []),
      counters: { steps: 0, crashes: 0, rebuilds: 0, eventsLost: 0, refused: 0, heldRefused: 0, redelivered: 0 }
    }
  }
}

/**
 * @since 0.1.0
 * @category running
 */
export const step = (state: State, input: Input): Machine.Step<State, Action> => {
  const turn = open(state, input)
  accept(turn, input.event)
  if (state.config.mode === "run-to-completion") {
    complete(turn)
    return close(turn)
  }
  const mover = chooseMover(turn)
  if (mover !== undefined) move(turn, mover)
  if (!turn.state.advancing && firstMover(turn) !== undefined) {
    turn.actions.push({ _tag: "SetTimer", delayMs: 0, timer: { _tag: "Advance" } })
    turn.state.advancing = true
  }
  return close(turn)
}

/** True when no component has an event waiting or an action to carry out: they must agree with each other. @since 0.1.0 */
export const isQuiet = (state: State): boolean =>
  components.every((component) => state.queues[component].length === 0 && Cell.isSettled(state.cells[component]))

/**
 * Broken safety invariants of every component, and of a quiet member what its components disagree on; each with the name
 * of the component before it, or of the one that knows less.
 *
 * @since 0.1.0
 */
export const invariants = (state: State): ReadonlyArray<string> => [
  ...invariantsSince(undefined, state),
  ...(isQuiet(state) ? disagreements(state) : [])
]

/** Broken invariants of the components that have changed since an earlier state. @since 0.2.0 */
export const invariantsSince = (before: State | undefined, state: State): ReadonlyArray<string> =>
  components.flatMap((component) =>
    state.cells[component].state === before?.cells[component].state
      ? []
      : brokenOf(state, component).map((broken) => `${component}: ${broken}`)
  )

/**
 * What the components of a quiet member disagree on. `since`: an earlier state, quiet too, of which this was asked: what
 * is dear to look at and has not changed is not looked at again.
 *
 * @since 0.2.0
 */
export const disagreements = (state: Knowledge, since?: Knowledge): ReadonlyArray<string> =>
  Agreement.broken(state, since)

const brokenOf = <C extends Component>(state: State, component: C): ReadonlyArray<string> =>
  specs[component].invariants(state.cells[component].state)

// ---------------------------------------------------------------------------------------------------------------------
// One step: a copy that changes in place until the step ends, and is thrown away if it throws
// ---------------------------------------------------------------------------------------------------------------------

type Draft = { -readonly [Key in keyof State]: State[Key] }

interface Turn {
  readonly state: Draft
  readonly cells: { [C in Component]: Cell.Cell<StateOf<C>, ActionOf<C>> }
  readonly queues: Record<Component, Queue>
  readonly counters: Record<keyof Counters, number>
  readonly input: Input
  readonly actions: Array<Action>
}

const open = (state: State, input: Input): Turn => ({
  state: { ...state },
  cells: { ...state.cells },
  queues: { ...state.queues },
  counters: { ...state.counters },
  input,
  actions: []
})

const close = ({ state, cells, queues, counters, actions }: Turn): Machine.Step<State, Action> => {
  state.cells = cells
  state.queues = queues
  state.counters = counters
  return [state, actions]
}

// ---------------------------------------------------------------------------------------------------------------------
// What comes in: into a queue
// ---------------------------------------------------------------------------------------------------------------------

const accept = (turn: Turn, event: Event): void => {
  const { state } = turn
  switch (event._tag) {
    case "Started":
      for (const to of components) enqueue(turn, "shell", { to, event: { _tag: "Started" } })
      return
    case "Command":
      if (event.delivery.event._tag === "Handles") state.handles = event.delivery
      return enqueue(turn, "shell", event.delivery)
    case "Crash":
      state.crash = { component: event.component, at: event.at }
      return
    case "LinkUp":
      return onLinkUp(turn, event)
    case "LinkDown": {
      const { concerned } = useOf(turn, event.link) ?? unused
      state.links = state.links.filter(({ link }) => link !== event.link)
      for (const delivery of Wiring.linkDown(event.link, event.reason, concerned)) enqueue(turn, "shell", delivery)
      return
    }
    case "LinkRefused": {
      const request = answered(turn, event.attempt)
      if (request === undefined) return
      return enqueue(turn, "shell", { to: request.component, event: { ...event, attempt: request.own } })
    }
    case "Written": {
      const request = answered(turn, event.token)
      if (request === undefined) return
      state.durable = request.rows.reduce(written, state.durable)
      // The answer to a state that was rebuilt since could be taken for the answer to another write.
      if (request.generation !== state.generations[request.component]) return
      return enqueue(turn, "shell", { to: request.component, event: { _tag: "Written", token: request.own } })
    }
    case "Received":
      return enqueueReceived(turn, event.link, event.message)
    case "TimerFired":
      if (event.timer._tag === "Component") return enqueueTimer(turn, event.timer)
      state.advancing = false
  }
}

const unused: Pick<LinkUse, "concerned"> = { concerned: [] }

const onLinkUp = (turn: Turn, event: Extract<Event, { readonly _tag: "LinkUp" }>): void => {
  const { link, peer } = event
  const request = event.attempt === undefined ? undefined : answered(turn, event.attempt)
  if (event.attempt !== undefined && request === undefined) return
  const to = request?.component ?? "view-manager"
  turn.state.links = [...turn.state.links.filter((use) => use.link !== link), { link, peer, concerned: [to] }]
  enqueue(turn, "shell", {
    to,
    event: request === undefined ? { _tag: "LinkUp", link, peer } : { _tag: "LinkUp", link, peer, attempt: request.own }
  })
}

const enqueueReceived = <C extends Component>(turn: Turn, link: Machine.LinkId, frame: Wiring.Frame<C>): void => {
  const { state } = turn
  const use = useOf(turn, link)
  if (use !== undefined && !use.concerned.includes(frame.channel)) {
    const told: LinkUse = { link, peer: use.peer, concerned: [...use.concerned, frame.channel] }
    state.links = state.links.map((other) => (other === use ? told : other))
  }
  enqueue(turn, "shell", {
    to: frame.channel,
    event: { _tag: "Received", link, message: frame.message }
  } as Wiring.Delivery)
}

const enqueueTimer = (turn: Turn, timer: Extract<Timer, { readonly _tag: "Component" }>): void => {
  // A timer of a state that was rebuilt since is nobody's any more.
  if (timer.generation !== turn.state.generations[timer.component]) return
  enqueue(turn, "shell", {
    to: timer.component,
    event: { _tag: "TimerFired", timer: timer.timer }
  } as Wiring.Delivery)
}

const useOf = ({ state }: Turn, link: Machine.LinkId): LinkUse | undefined => {
  for (const use of state.links) if (use.link === link) return use
  return undefined
}

const enqueue = (turn: Turn, from: Component | "shell", delivery: Wiring.Delivery): void => {
  const { queues, state } = turn
  const queue = queues[delivery.to]
  // Mostly nothing waits, and a list made with its one entry is a tenth of one that grows.
  if (queue === state.queues[delivery.to] && queue.length === 0) queues[delivery.to] = [{ from, delivery }]
  else ownQueue(turn, delivery.to).push({ from, delivery })
}

/** A queue to be changed in place: a copy of the state's, made when it is first asked for. */
const ownQueue = ({ queues, state }: Turn, component: Component): Array<Waiting> => {
  if (queues[component] === state.queues[component]) queues[component] = state.queues[component].slice()
  return queues[component] as Array<Waiting>
}

/** Whose request this number is; it is answered once. */
const answered = ({ state }: Turn, number: number): Request | undefined => {
  const { next, waiting } = state.requests
  const found = waiting.find((request) => request.number === number)
  if (found !== undefined) state.requests = { next, waiting: waiting.filter((request) => request !== found) }
  return found
}

const written = (durable: Durable, { table, key, value }: Machine.StoreRow): Durable => {
  const rows = Option.getOrElse(HashMap.get(durable, table), () => HashMap.empty<string, unknown>())
  return HashMap.set(durable, table, value === null ? HashMap.remove(rows, key) : HashMap.set(rows, key, value))
}

// ---------------------------------------------------------------------------------------------------------------------
// Moves
// ---------------------------------------------------------------------------------------------------------------------

const isAble = ({ cells, queues }: Turn, component: Component): boolean =>
  queues[component].length > 0 || !Cell.isSettled(cells[component])

const firstMover = (turn: Turn): Component | undefined => {
  for (const component of components) if (isAble(turn, component)) return component
  return undefined
}

/** A component that has something to do, each equally likely. */
const chooseMover = (turn: Turn): Component | undefined => {
  const [mover, rng] = Rng.pick(
    turn.state.rng,
    components.filter((component) => isAble(turn, component))
  )
  turn.state.rng = rng
  return mover
}

/** Run to completion: every event that waits, and all actions of its step, until nothing waits. */
const complete = (turn: Turn): void => {
  for (let mover = firstWaiting(turn); mover !== undefined; mover = firstWaiting(turn)) {
    stepOne(turn, mover)
    // With no crash to come there is nothing to see between two actions.
    if (turn.state.crash === undefined) actAll(turn, mover)
    else while (!Cell.isSettled(turn.cells[mover])) actOne(turn, mover)
  }
}

/** Between two events nothing waits, so only queues that this turn made its own can hold something. */
const firstWaiting = ({ queues, state }: Turn): Component | undefined => {
  for (const component of components) {
    if (queues[component] !== state.queues[component] && queues[component].length > 0) return component
  }
  return undefined
}

const move = (turn: Turn, component: Component): void =>
  Cell.isSettled(turn.cells[component]) ? stepOne(turn, component) : actOne(turn, component)

const stepOne = <C extends Component>(turn: Turn, component: C): void => {
  const { state } = turn
  const held = component === "facts" && state.clock.phase === "ready" ? state.held[0] : undefined
  if (held !== undefined) state.held = state.held.slice(1)
  else if (component === "facts" && state.clock.phase === "ready") {
    setClock(turn, "shell", NodeClock.release(state.clock, turn.input))
  }
  const delivery = held ?? take(turn, component)
  if (delivery === undefined) return
  const admitted = held ?? admit(turn, delivery)
  if (admitted === undefined) return
  if (strikes(turn, component, "before")) {
    turn.counters.eventsLost++
    state.lost = Wiring.lose(state.lost, admitted)
    return crashed(turn, component)
  }
  commit(turn, component, admitted)
  if (strikes(turn, component, "committed")) crashed(turn, component)
}

/** What the clock lets be handled now of a delivery; undefined if it is held. */
const admit = (turn: Turn, delivery: Wiring.Delivery): Wiring.Delivery | undefined => {
  const { input, state } = turn
  const admission = Wiring.admit(state.clock, delivery, input)
  if (admission._tag === "Handle") {
    turn.counters.refused += admission.refused.length
    for (const stamp of admission.refused) setClock(turn, "shell", NodeClock.receive(state.clock, stamp, input))
    return admission.delivery
  }
  if (state.held.length < Wiring.heldMax) {
    state.held = [...state.held, Wiring.occurredAt(delivery, input.now)]
    return undefined
  }
  turn.counters.heldRefused++
  const output = Wiring.noRoom(delivery)
  if (output !== undefined) turn.actions.push({ _tag: "Emit", output })
  return undefined
}

/** Merges the stamp that a delivery brings, or keeps it until it can be judged. */
const follow = (turn: Turn, delivery: Wiring.Delivery): void => {
  const brought = Wiring.stampOf(delivery)
  if (brought !== undefined) setClock(turn, "shell", NodeClock.receive(turn.state.clock, brought, turn.input))
}

const setClock = (turn: Turn, from: Component | "shell", clock: NodeClock.NodeClock): void => {
  const before = turn.state.clock
  turn.state.clock = clock
  for (const delivery of Wiring.clockMoved(before, clock)) enqueue(turn, from, delivery)
}

/**
 * The oldest event of one sender, the sender chosen by the seed: order holds per pair, and per pair only. Run to
 * completion, the oldest of all.
 */
const take = (turn: Turn, component: Component): Wiring.Delivery | undefined => {
  const { state } = turn
  const queue = ownQueue(turn, component)
  if (state.config.mode === "run-to-completion" || queue.length < 2) return queue.shift()?.delivery
  const [sender, rng] = Rng.pick(state.rng, [...new Set(queue.map((entry) => entry.from))])
  const index = queue.findIndex((entry) => entry.from === sender)
  state.rng = rng
  return queue.splice(index, 1)[0]?.delivery
}

const commit = <C extends Component>(turn: Turn, component: C, delivery: Wiring.Delivery): void => {
  const { counters, input, state } = turn
  follow(turn, delivery)
  const moment: Moment = {
    now: input.now,
    wall: input.wall,
    reading: state.clock.reading,
    stamp: (occurred) => {
      const [clock, drawn] =
        occurred === undefined ? NodeClock.stamp(state.clock, input) : NodeClock.stampOf(state.clock, input, occurred)
      state.clock = clock
      return drawn
    }
  }
  const spec = specs[component]
  const own = spec.input(delivery.event as EventOf<C>, moment) as InputOf<C>
  setCell(turn, component, Cell.commit(cellOf(turn, component), spec.step, own))
  counters.steps++
  state.lost = Wiring.madeUp(state.lost, delivery)
}

const actOne = <C extends Component>(turn: Turn, component: C): void => {
  const cell = cellOf(turn, component)
  const action = Cell.pending(cell)
  if (action === undefined) return
  if (cell.ticked > 0 && strikes(turn, component, "acting")) return crashed(turn, component)
  setCell(turn, component, Cell.tick(cell))
  carryOut(turn, component, action)
}

const actAll = <C extends Component>(turn: Turn, component: C): void => {
  const cell = cellOf(turn, component)
  if (Cell.isSettled(cell)) return
  setCell(turn, component, Cell.settle(cell))
  for (let at = cell.ticked; at < cell.actions.length; at++) {
    carryOut(turn, component, cell.actions[at] as ActionOf<C>)
  }
}

const carryOut = <C extends Component>(turn: Turn, component: C, action: ActionOf<C>): void => {
  const { actions, state } = turn
  switch (action._tag) {
    case "Open": {
      const attempt = request(turn, component, action.attempt, [])
      actions.push({ _tag: "Open", attempt, address: action.address })
      return
    }
    case "Write": {
      const token = request(turn, component, action.token, action.rows)
      actions.push({ _tag: "Write", token, rows: action.rows })
      return
    }
    case "Send":
      actions.push({ _tag: "Send", link: action.link, message: frame(component, action.message) })
      return
    case "Close":
      actions.push(action)
      return
    case "SetTimer": {
      const generation = state.generations[component]
      const timer = { _tag: "Component", component, generation, timer: action.timer } as Timer
      actions.push({ _tag: "SetTimer", delayMs: action.delayMs, timer })
      return
    }
    case "Emit":
      for (const routed of Wiring.route(component, action.output)) deliver(turn, component, routed)
  }
}

const deliver = (turn: Turn, from: Component, routed: Wiring.Routed): void => {
  const { actions, counters, state } = turn
  const id = Wiring.handedOver(routed)
  if (id !== undefined) {
    if (Ledger.has(state.ledger, id)) {
      counters.redelivered++
      return
    }
    state.ledger = Ledger.record(state.ledger, id)
  }
  switch (routed.to) {
    case "clock-cell":
      return setClock(turn, from, NodeClock.hear(state.clock, routed.output, turn.input))
    case "application":
      actions.push({ _tag: "Emit", output: routed.output })
      return
    default:
      if (Wiring.isNeighborSet(routed)) state.told = { ...state.told, [routed.to]: routed }
      enqueue(turn, from, routed)
  }
}

const request = ({ state }: Turn, component: Component, own: number, rows: ReadonlyArray<Machine.StoreRow>): number => {
  const { next: number, waiting } = state.requests
  state.requests = {
    next: number + 1,
    waiting: [...waiting, { number, component, own, rows, generation: state.generations[component] }]
  }
  return number
}

// ---------------------------------------------------------------------------------------------------------------------
// Crashes
// ---------------------------------------------------------------------------------------------------------------------

const strikes = ({ state }: Turn, component: Component, at: CrashPoint): boolean =>
  state.crash?.component === component && state.crash.at === at

/** What the supervisor does: a new incarnation on the committed state; on a second crash within the period, a new state. */
const crashed = (turn: Turn, component: Component): void => {
  const { counters, input, state } = turn
  const recent = state.crashedAt[component].filter((at) => input.now - at <= Parts.crashPeriodMs)
  state.crash = undefined
  state.crashedAt = { ...state.crashedAt, [component]: [...recent, input.now] }
  counters.crashes++
  if (recent.length > 0) rebuilt(turn, component)
  else for (const delivery of Wiring.afterCrash(component)) enqueue(turn, "shell", delivery)
}

const rebuilt = <C extends Component>(turn: Turn, component: C): void => {
  const { counters, input, state } = turn
  // First what its last step asked for: a broadcast handed to this application and sent to nobody would stay half done.
  while (!Cell.isSettled(cellOf(turn, component))) actOne(turn, component)
  const generation = state.generations[component] + 1
  const fresh = Parts.rebuild(component, {
    settings: state.config,
    stored: new Map([...state.durable].map(([table, rows]) => [table, new Map(rows)])),
    rng: Rng.split(state.rng, `${component}/${generation}`),
    wall: input.wall,
    links: state.links.map(({ link, peer }) => ({ link, peer })),
    ledger: state.ledger,
    clock: state.clock
  })
  setCell(turn, component, Cell.make(fresh))
  state.generations = { ...state.generations, [component]: generation }
  counters.rebuilds++
  enqueue(turn, "shell", { to: component, event: { _tag: "Started" } })
  const told = state.told[component]
  if (told !== undefined) enqueue(turn, "shell", told)
  if (component === "lazy-push-repair") enqueue(turn, "shell", Wiring.recount)
  if (component === "facts" && state.handles !== undefined) enqueue(turn, "shell", state.handles)
}

// ---------------------------------------------------------------------------------------------------------------------
// Helpers
// ---------------------------------------------------------------------------------------------------------------------

const cellOf = <C extends Component>({ cells }: Turn, component: C): Cell.Cell<StateOf<C>, ActionOf<C>> =>
  cells[component]

const setCell = <C extends Component>(turn: Turn, component: C, cell: Cell.Cell<StateOf<C>, ActionOf<C>>): void => {
  const cells: Record<Component, unknown> = turn.cells
  cells[component] = cell
}

const frame = <C extends Component>(channel: C, message: MessageOf<C>): Wiring.Frame =>
  ({ channel, message }) as Wiring.Frame

const each = <A>(value: (component: Component) => A): Readonly<Record<Component, A>> => ({
  "view-manager": value("view-manager"),
  shuffler: value("shuffler"),
  "broadcast-tree": value("broadcast-tree"),
  "lazy-push-repair": value("lazy-push-repair"),
  clock: value("clock"),
  facts: value("facts")
})

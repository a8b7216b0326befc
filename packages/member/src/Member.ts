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
import { Clock, Hlc } from "@starling/clock"
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

type Queue = ReadonlyArray<{ readonly from: Component | "shell"; readonly delivery: Wiring.Delivery }>

/** @since 0.1.0 @category models */
export interface State {
  readonly config: Config
  /** What the store is known to hold: a component that is rebuilt starts from it. */
  readonly durable: Durable
  readonly cells: Cells
  readonly queues: Readonly<Record<Component, Queue>>
  readonly reading: Hlc.Reading
  readonly rng: Rng.Rng
  /** An `Advance` timer is on its way. */
  readonly advancing: boolean
  /** Numbers of this machine's `Open` and `Write` actions, with whose they are. */
  readonly requests: Requests
  readonly links: HashMap.HashMap<Machine.LinkId, Peer.Peer>
  readonly ledger: Ledger.Ledger
  /** The newest neighbour set each component was told, and the patterns that facts were told to handle. */
  readonly told: Readonly<Partial<Record<Component, Wiring.Delivery>>>
  readonly handles: Wiring.Delivery | undefined
  readonly crash: { readonly component: Component; readonly at: CrashPoint } | undefined
  readonly generations: Readonly<Record<Component, number>>
  readonly crashedAt: Readonly<Record<Component, ReadonlyArray<Machine.Instant>>>
  readonly counters: Counters
}

/**
 * `eventsLost` to crashes before a step, `refused` because of a stamp that must not be followed, `redelivered` by a
 * broadcast tree that was rebuilt (and not handed on).
 *
 * @since 0.1.0
 * @category models
 */
export type Counters = Readonly<
  Record<"steps" | "crashes" | "rebuilds" | "eventsLost" | "refused" | "redelivered", number>
>

interface Requests {
  readonly next: number
  readonly waiting: ReadonlyArray<Request>
}

interface Request {
  readonly number: number
  readonly component: Component
  /** The number by which the component knows it. */
  readonly own: number
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
  const [states, reading] = Parts.boot(config, stored, Rng.make(seed), wall)
  return {
    step,
    rows: Clock.rowsOf(reading),
    initial: {
      config,
      durable: HashMap.fromIterable([...stored].map(([table, rows]) => [table, HashMap.fromIterable(rows)] as const)),
      reading,
      cells: each((component) => Cell.make(states[component])) as Cells,
      queues: each(() => []),
      rng: Rng.split(Rng.make(seed), "moves"),
      advancing: false,
      requests: { next: 1, waiting: [] },
      links: HashMap.empty(),
      ledger: Ledger.empty,
      told: {},
      handles: undefined,
      crash: undefined,
      generations: each(() => 0),
      crashedAt: each(() => []),
      counters: { steps: 0, crashes: 0, rebuilds: 0, eventsLost: 0, refused: 0, redelivered: 0 }
    }
  }
}

/**
 * @since 0.1.0
 * @category running
 */
export const step = (state: State, input: Input): Machine.Step<State, Action> => {
  const actions: Array<Action> = []
  let current = accept(state, input.event)
  if (current.config.mode === "run-to-completion") {
    for (let mover = chooseMover(current); mover[0] !== undefined; mover = chooseMover(current)) {
      current = move({ ...current, rng: mover[1] }, mover[0], input, actions)
    }
    return [current, actions]
  }
  const [mover, rng] = chooseMover(current)
  if (mover !== undefined) current = move({ ...current, rng }, mover, input, actions)
  if (!current.advancing && chooseMover(current)[0] !== undefined) {
    actions.push({ _tag: "SetTimer", delayMs: 0, timer: { _tag: "Advance" } })
    current = { ...current, advancing: true }
  }
  return [current, actions]
}

/** True when no component has an event waiting or an action to carry out: cross-component invariants hold here. @since 0.1.0 */
export const isQuiet = (state: State): boolean =>
  components.every((component) => state.queues[component].length === 0 && Cell.isSettled(state.cells[component]))

/** Broken safety invariants of every component, each with the component's name before it. @since 0.1.0 */
export const invariants = (state: State): ReadonlyArray<string> =>
  components.flatMap((component) => brokenOf(state, component).map((broken) => `${component}: ${broken}`))

const brokenOf = <C extends Component>(state: State, component: C): ReadonlyArray<string> =>
  specs[component].invariants(cellOf(state, component).state)

// ---------------------------------------------------------------------------------------------------------------------
// What comes in: into a queue
// ---------------------------------------------------------------------------------------------------------------------

const accept = (state: State, event: Event): State => {
  switch (event._tag) {
    case "Started":
      return components.reduce((next, to) => enqueue(next, "shell", { to, event: { _tag: "Started" } }), state)
    case "Command": {
      const next = event.delivery.event._tag === "Handles" ? { ...state, handles: event.delivery } : state
      return enqueue(next, "shell", event.delivery)
    }
    case "Crash":
      return { ...state, crash: { component: event.component, at: event.at } }
    case "LinkUp":
      return onLinkUp(state, event)
    case "LinkDown": {
      const next = { ...state, links: HashMap.remove(state.links, event.link) }
      return Wiring.linkDown(event.link, event.reason).reduce((s, delivery) => enqueue(s, "shell", delivery), next)
    }
    case "LinkRefused": {
      const [next, request] = answered(state, event.attempt)
      if (request === undefined) return next
      return enqueue(next, "shell", { to: request.component, event: { ...event, attempt: request.own } })
    }
    case "Written": {
      const [next, request] = answered(state, event.token)
      if (request === undefined) return next
      const stored = { ...next, durable: request.rows.reduce(written, next.durable) }
      return enqueue(stored, "shell", { to: request.component, event: { _tag: "Written", token: request.own } })
    }
    case "Received":
      return enqueueReceived(state, event.link, event.message)
    case "TimerFired":
      return event.timer._tag === "Advance" ? { ...state, advancing: false } : enqueueTimer(state, event.timer)
  }
}

const onLinkUp = (state: State, event: Extract<Event, { readonly _tag: "LinkUp" }>): State => {
  const linked = { ...state, links: HashMap.set(state.links, event.link, event.peer) }
  const { link, peer } = event
  if (event.attempt === undefined)
    return enqueue(linked, "shell", { to: "view-manager", event: { _tag: "LinkUp", link, peer } })
  const [next, request] = answered(linked, event.attempt)
  return request === undefined
    ? next
    : enqueue(next, "shell", { to: request.component, event: { _tag: "LinkUp", link, peer, attempt: request.own } })
}

const enqueueReceived = <C extends Component>(state: State, link: Machine.LinkId, frame: Wiring.Frame<C>): State =>
  enqueue(state, "shell", {
    to: frame.channel,
    event: { _tag: "Received", link, message: frame.message }
  } as Wiring.Delivery)

const enqueueTimer = (state: State, timer: Extract<Timer, { readonly _tag: "Component" }>): State =>
  timer.generation === state.generations[timer.component]
    ? enqueue(state, "shell", {
        to: timer.component,
        event: { _tag: "TimerFired", timer: timer.timer }
      } as Wiring.Delivery)
    : state

const enqueue = (state: State, from: Component | "shell", delivery: Wiring.Delivery): State => ({
  ...state,
  queues: { ...state.queues, [delivery.to]: [...state.queues[delivery.to], { from, delivery }] }
})

/** Whose request this number is; it is answered once. */
const answered = (state: State, number: number): readonly [State, Request | undefined] => {
  const found = state.requests.waiting.find((request) => request.number === number)
  if (found === undefined) return [state, undefined]
  const waiting = state.requests.waiting.filter((request) => request !== found)
  return [{ ...state, requests: { ...state.requests, waiting } }, found]
}

const written = (durable: Durable, { table, key, value }: Machine.StoreRow): Durable => {
  const rows = Option.getOrElse(HashMap.get(durable, table), () => HashMap.empty<string, unknown>())
  return HashMap.set(durable, table, value === null ? HashMap.remove(rows, key) : HashMap.set(rows, key, value))
}

// ---------------------------------------------------------------------------------------------------------------------
// Moves
// ---------------------------------------------------------------------------------------------------------------------

/** A component that has something to do, each equally likely. */
const chooseMover = (state: State): readonly [Component | undefined, Rng.Rng] => {
  const able = components.filter(
    (component) => !Cell.isSettled(state.cells[component]) || state.queues[component].length > 0
  )
  return Rng.pick(state.rng, able)
}

const move = (state: State, component: Component, input: Input, actions: Array<Action>): State =>
  Cell.isSettled(state.cells[component]) ? stepOne(state, component, input) : actOne(state, component, input, actions)

/** Takes the oldest event of one sender, the sender chosen by the seed: order holds per pair, and per pair only. */
const stepOne = <C extends Component>(state: State, component: C, input: Input): State => {
  const queue = state.queues[component]
  const senders = [...new Set(queue.map((entry) => entry.from))]
  const [sender, rng] = Rng.pick(state.rng, senders)
  const index = queue.findIndex((entry) => entry.from === sender)
  const entry = queue[index]
  if (entry === undefined) return state
  const taken: State = { ...state, rng, queues: { ...state.queues, [component]: queue.toSpliced(index, 1) } }
  if (Wiring.isRefused(taken.reading, entry.delivery)) return counted(taken, "refused")
  if (strikes(state, component, "before")) {
    return crashed(
      { ...taken, counters: { ...taken.counters, eventsLost: taken.counters.eventsLost + 1 } },
      component,
      input
    )
  }
  const next = commit(taken, component, entry.delivery, input)
  return strikes(state, component, "committed") ? crashed(next, component, input) : next
}

const commit = <C extends Component>(state: State, component: C, delivery: Wiring.Delivery, input: Input): State => {
  const stamp = Wiring.stampOf(delivery)
  let reading = stamp === undefined ? state.reading : Hlc.receive(state.reading, stamp, input.wall)
  const moment: Moment = {
    now: input.now,
    wall: input.wall,
    reading,
    stamp: () => {
      const [next, drawn] = Hlc.stamp(reading, input.wall, state.config.self.id)
      reading = next
      return drawn
    }
  }
  const spec = specs[component]
  const cell = Cell.commit(
    cellOf(state, component),
    spec.step,
    spec.input(delivery.event as EventOf<C>, moment) as InputOf<C>
  )
  return {
    ...withCell(state, component, cell),
    reading,
    counters: { ...state.counters, steps: state.counters.steps + 1 }
  }
}

const actOne = <C extends Component>(state: State, component: C, input: Input, actions: Array<Action>): State => {
  const cell = cellOf(state, component)
  const action = Cell.pending(cell)
  if (action === undefined) return state
  if (cell.ticked > 0 && strikes(state, component, "acting")) return crashed(state, component, input)
  return carryOut(withCell(state, component, Cell.tick(cell)), component, action, actions)
}

const carryOut = <C extends Component>(
  state: State,
  component: C,
  action: ActionOf<C>,
  actions: Array<Action>
): State => {
  switch (action._tag) {
    case "Open": {
      const [next, attempt] = request(state, component, action.attempt, [])
      actions.push({ _tag: "Open", attempt, address: action.address })
      return next
    }
    case "Write": {
      const [next, token] = request(state, component, action.token, action.rows)
      actions.push({ _tag: "Write", token, rows: action.rows })
      return next
    }
    case "Send":
      actions.push({ _tag: "Send", link: action.link, message: frame(component, action.message) })
      return state
    case "Close":
      actions.push(action)
      return state
    case "SetTimer": {
      const timer = {
        _tag: "Component",
        component,
        generation: state.generations[component],
        timer: action.timer
      } as Timer
      actions.push({ _tag: "SetTimer", delayMs: action.delayMs, timer })
      return state
    }
    case "Emit":
      return Wiring.route(component, action.output).reduce(
        (next, routed) => deliver(next, component, routed, actions),
        state
      )
  }
}

const deliver = (state: State, from: Component, routed: Wiring.Routed, actions: Array<Action>): State => {
  const id = Wiring.handedOver(routed)
  if (id !== undefined && Ledger.has(state.ledger, id)) return counted(state, "redelivered")
  const next = id === undefined ? state : { ...state, ledger: Ledger.record(state.ledger, id) }
  switch (routed.to) {
    case "clock-cell":
      return { ...next, reading: Hlc.extend(next.reading, routed.lease) }
    case "application":
      actions.push({ _tag: "Emit", output: routed.output })
      return next
    default:
      return enqueue(
        Wiring.isNeighborSet(routed) ? { ...next, told: { ...next.told, [routed.to]: routed } } : next,
        from,
        routed
      )
  }
}

const request = (
  state: State,
  component: Component,
  own: number,
  rows: ReadonlyArray<Machine.StoreRow>
): readonly [State, number] => {
  const { next: number, waiting } = state.requests
  return [{ ...state, requests: { next: number + 1, waiting: [...waiting, { number, component, own, rows }] } }, number]
}

// ---------------------------------------------------------------------------------------------------------------------
// Crashes
// ---------------------------------------------------------------------------------------------------------------------

const strikes = (state: State, component: Component, at: CrashPoint): boolean =>
  state.crash?.component === component && state.crash.at === at

/** What the supervisor does: a new incarnation on the committed state; on a second crash within the period, a new state. */
const crashed = (state: State, component: Component, input: Input): State => {
  const recent = state.crashedAt[component].filter((at) => input.now - at <= Parts.crashPeriodMs)
  const next: State = {
    ...counted(state, "crashes"),
    crash: undefined,
    crashedAt: { ...state.crashedAt, [component]: [...recent, input.now] }
  }
  return recent.length === 0 ? next : rebuilt(next, component, input)
}

const rebuilt = <C extends Component>(state: State, component: C, input: Input): State => {
  const generation = state.generations[component] + 1
  const fresh = Parts.rebuild(component, {
    settings: state.config,
    stored: new Map([...state.durable].map(([table, rows]) => [table, new Map(rows)])),
    rng: Rng.split(state.rng, `${component}/${generation}`),
    wall: input.wall,
    links: [...HashMap.entries(state.links)].map(([link, peer]) => ({ link, peer })),
    ledger: state.ledger
  })
  const next: State = {
    ...counted(withCell(state, component, Cell.make(fresh)), "rebuilds"),
    generations: { ...state.generations, [component]: generation }
  }
  const again = [
    { to: component, event: { _tag: "Started" } } as Wiring.Delivery,
    state.told[component],
    component === "facts" ? state.handles : undefined
  ]
  return again.reduce((s, delivery) => (delivery === undefined ? s : enqueue(s, "shell", delivery)), next)
}

// ---------------------------------------------------------------------------------------------------------------------
// Helpers
// ---------------------------------------------------------------------------------------------------------------------

const counted = (state: State, what: keyof Counters): State => ({
  ...state,
  counters: { ...state.counters, [what]: state.counters[what] + 1 }
})

const cellOf = <C extends Component>(state: State, component: C): Cell.Cell<StateOf<C>, ActionOf<C>> =>
  state.cells[component]

const withCell = <C extends Component>(
  state: State,
  component: C,
  cell: Cell.Cell<StateOf<C>, ActionOf<C>>
): State => ({
  ...state,
  cells: { ...state.cells, [component]: cell }
})

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

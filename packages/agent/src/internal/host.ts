/**
 * What outlives the fibers of an agent's components: their cells, the clock cell, who waits for an answer.
 *
 * A component actor owns no state. Its handler calls `handle`, which commits one step to the component's cell and
 * carries the actions out in order, ticking each off in the same synchronous turn. When the actor crashes, the next
 * incarnation calls `finish` for what is not ticked; after a second crash within the period, `rebuild`.
 *
 * Nothing here waits and nothing here is an Effect: it runs on the component's own turn.
 */
import { type ClockEstimator, type Guard, Lease, NodeClock, type Stamp } from "@starling/clock"
import type { MessageId } from "@starling/gossip"
import { Cell, type Machine, Rng } from "@starling/machine"
import { Component, Ledger, Parts, Wiring } from "@starling/member"
import type { CrashPoint } from "../Agent.ts"

/** What a component's actions are carried out with. None of these waits or throws. */
export interface Ports {
  readonly monotonic: () => Machine.Instant
  readonly wall: () => number
  readonly tell: (delivery: Wiring.Delivery) => void
  readonly open: (component: Component.Component, attempt: number, address: string) => void
  readonly send: (link: Machine.LinkId, channel: number, payload: ReadonlyArray<unknown>) => void
  /** So much waits to be written that what can be left out should be; counts each time it says so. */
  readonly isCongested: (link: Machine.LinkId) => boolean
  readonly close: (link: Machine.LinkId, reason: Machine.CloseReason) => void
  readonly setTimer: (delayMs: number, fire: () => void) => void
  readonly write: (rows: ReadonlyArray<Machine.StoreRow>, written: () => void) => void
  readonly application: (output: Wiring.ToApplication) => void
  /** An event was lost to a crash before its step was committed. */
  readonly lost: (delivery: Wiring.Delivery) => void
  /** Live links that finished their handshake. */
  readonly links: () => ReadonlyArray<Machine.Neighbor>
}

interface Slot<C extends Component.Component> {
  cell: Cell.Cell<Component.StateOf<C>, Component.ActionOf<C>>
  generation: number
  crashedAt: ReadonlyArray<Machine.Instant>
  crash: CrashPoint | undefined
  /** Crashed on purpose, and no incarnation has taken over yet. */
  isDown: boolean
  /** An actor has taken the component over at least once. */
  hasBegun: boolean
  /** Events of it were dropped, timers and answers among them: its state no longer fits what will come. */
  isOutOfStep: boolean
}

/** @internal */
export type Slots = { readonly [C in Component.Component]: Slot<C> }

/** Counted over the life of the agent. */
export interface Counters {
  stepsTotal: number
  eventsLostTotal: number
  eventsRefusedTotal: number
  eventsHeldTotal: number
  heldRefusedTotal: number
  heldWithdrawnTotal: number
  crashesTotal: number
  rebuildsTotal: number
  broadcastsDeliveredTotal: number
  broadcastsRedeliveredTotal: number
}

/** Of one agent, over all incarnations of its components. */
export interface Host {
  readonly settings: Parts.Settings
  readonly ports: Ports
  readonly slots: Slots
  /** The clock cell: read and advanced synchronously, never asked of an actor. */
  clock: NodeClock.NodeClock
  /** What waits until the time is known, the oldest first. */
  readonly held: Array<Wiring.Delivery>
  /** Of the application, who waits for the same. */
  readonly onOpen: Set<() => void>
  ledger: Ledger.Ledger
  rng: Rng.Rng
  /** The newest neighbour set each component was told. */
  readonly told: Map<Component.Component, Wiring.Delivery>
  /** What crashes before a step have lost: until it comes again, components may disagree. */
  lost: ReadonlyArray<Wiring.Delivery>
  /** The clock's rows that the store is known to hold. */
  leased: ReadonlyArray<Machine.StoreRow>
  readonly counters: Counters
}

/** Thrown by a component that has to be rebuilt because events of it were dropped. */
export class OutOfStep extends Error {
  override readonly name = "OutOfStep"
}

/** Thrown by a crash on purpose. */
export class InjectedCrash extends Error {
  override readonly name = "InjectedCrash"
}

export const make = (settings: Parts.Settings, stored: Parts.Stored, ports: Ports, seed: number): Host => {
  const [states, clock] = Parts.boot(settings, stored, Rng.make(seed), ports.wall())
  const slot = <C extends Component.Component>(component: C): Slot<C> => ({
    cell: Cell.make(states[component]),
    generation: 0,
    crashedAt: [],
    crash: undefined,
    isDown: false,
    hasBegun: false,
    isOutOfStep: false
  })
  return {
    settings,
    ports,
    clock,
    held: [],
    onOpen: new Set(),
    ledger: Ledger.empty,
    told: new Map(),
    lost: [],
    // Whoever makes a host writes them before its first event.
    leased: Lease.rowsOf(clock.reading),
    rng: Rng.split(Rng.make(seed), "host"),
    slots: {
      "view-manager": slot("view-manager"),
      shuffler: slot("shuffler"),
      "broadcast-tree": slot("broadcast-tree"),
      "lazy-push-repair": slot("lazy-push-repair"),
      clock: slot("clock"),
      facts: slot("facts")
    },
    counters: {
      stepsTotal: 0,
      eventsLostTotal: 0,
      eventsRefusedTotal: 0,
      eventsHeldTotal: 0,
      heldRefusedTotal: 0,
      heldWithdrawnTotal: 0,
      crashesTotal: 0,
      rebuildsTotal: 0,
      broadcastsDeliveredTotal: 0,
      broadcastsRedeliveredTotal: 0
    }
  }
}

/** The last committed state of a component: what questions are answered from. */
export const stateOf = <C extends Component.Component>(host: Host, component: C): Component.StateOf<C> =>
  host.slots[component].cell.state

/**
 * One turn of a component. Throws what its step threw; the event is then lost, once, and counted.
 *
 * Facts begin with what was held, once the time is known. A crash of that takes the event along, which is counted, and
 * named, too.
 */
export const handle = <C extends Component.Component>(host: Host, component: C, event: Component.EventOf<C>): void => {
  const delivery = { to: component, event } as Wiring.Delivery
  if (component === "facts" && host.clock.phase === "ready") {
    try {
      for (let held = host.held.shift(); held !== undefined; held = host.held.shift()) run(host, held)
    } catch (error) {
      lose(host, delivery)
      throw error
    }
    setClock(host, NodeClock.release(host.clock, momentNow(host)))
  }
  const admitted = admit(host, delivery)
  if (admitted !== undefined) run(host, admitted)
}

/** To a crash before its step was committed. */
const lose = (host: Host, delivery: Wiring.Delivery): void => {
  host.counters.eventsLostTotal++
  // Nothing else of what was lost is kept: it may be large.
  if (Wiring.excuses(delivery)) host.lost = Wiring.lose(host.lost, delivery)
  host.ports.lost(delivery)
}

/** What the clock lets be handled now of a delivery; undefined if it is held. */
const admit = (host: Host, delivery: Wiring.Delivery): Wiring.Delivery | undefined => {
  const at = momentNow(host)
  const admission = Wiring.admit(host.clock, delivery, at)
  if (admission._tag === "Handle") {
    host.counters.eventsRefusedTotal += admission.refused.length
    for (const stamp of admission.refused) setClock(host, NodeClock.receive(host.clock, stamp, at))
    return admission.delivery
  }
  hold(host, delivery, at.now)
  return undefined
}

const hold = (host: Host, delivery: Wiring.Delivery, now: Machine.Instant): void => {
  if (host.held.length < Wiring.heldMax) {
    host.counters.eventsHeldTotal++
    host.held.push(Wiring.occurredAt(delivery, now))
    return
  }
  host.counters.heldRefusedTotal++
  const output = Wiring.noRoom(delivery)
  if (output !== undefined) host.ports.application(output)
}

/** Takes back what is held of a request; true if it was. */
export const withdraw = (host: Host, token: number): boolean => {
  const index = host.held.findIndex(({ event }) => "token" in event && event.token === token)
  if (index < 0) return false
  host.held.splice(index, 1)
  host.counters.heldWithdrawnTotal++
  return true
}

/** Merges the stamp that a delivery brings, or counts why not. */
const follow = (host: Host, delivery: Wiring.Delivery): void => {
  const brought = Wiring.stampOf(delivery)
  if (brought !== undefined) setClock(host, NodeClock.receive(host.clock, brought, momentNow(host)))
}

const setClock = (host: Host, clock: NodeClock.NodeClock): void => {
  const before = host.clock
  host.clock = clock
  for (const delivery of Wiring.clockMoved(before, clock)) host.ports.tell(delivery)
  if (clock.phase !== "open") return
  for (const open of host.onOpen) open()
  host.onOpen.clear()
}

/** A fresh stamp for what the application says now. */
export const stampNow = (host: Host): Stamp.Stamp => stamp(host, undefined)

/** Merges the stamp of what the application received from outside of the fleet, if the verdict is to follow it. */
export const observe = (host: Host, received: Stamp.Stamp): Guard.Verdict => {
  const at = momentNow(host)
  const verdict = NodeClock.judgeForeign(host.clock, received, at)
  if (verdict._tag === "Follow") {
    setClock(host, NodeClock.receive(host.clock, received, at))
    // Nobody outside would tell it again after a crash: it is covered as soon as can be.
    if (host.clock.reading.wall > host.clock.reading.limit) host.ports.tell(Wiring.renew)
  }
  return verdict
}

/** Commits one step, then carries its actions out. */
const run = <C extends Component.Component>(host: Host, delivery: Wiring.Delivery): void => {
  const component = delivery.to as C
  const event = delivery.event as Component.EventOf<C>
  const slot: Slot<C> = host.slots[component]
  try {
    if (slot.isOutOfStep) throw new OutOfStep(`events of ${component} were dropped, it begins anew`)
    strike(slot, "before")
    const moment = momentOf(host, delivery)
    const spec = Component.specs[component]
    const input = spec.input(event, moment) as Component.InputOf<C>
    slot.cell = Cell.commit(slot.cell, spec.step, input)
    host.counters.stepsTotal++
    host.lost = Wiring.madeUp(host.lost, delivery)
  } catch (error) {
    lose(host, delivery)
    throw error
  }
  strike(slot, "committed")
  finish(host, component)
}

/**
 * An incarnation takes the component over: after a second crash within the period, or when events were dropped, its state
 * is not trusted any more. True if `rebuild` is due, instead of `goOn`.
 *
 * `incarnation` begins at 1 again when the supervisor itself was restarted; the mailbox is then gone, with all that waited.
 */
export const takeOver = (host: Host, component: Component.Component, incarnation: number): boolean => {
  const slot = host.slots[component]
  if (incarnation > 1) onCrash(host, component)
  else if (slot.hasBegun) slot.isOutOfStep = true
  slot.hasBegun = true
  return slot.isOutOfStep || slot.crashedAt.length >= 2
}

/** The component goes on with its state. */
export const goOn = (host: Host, component: Component.Component): void => {
  const slot = host.slots[component]
  slot.isDown = false
  if (slot.crashedAt.length === 0) return
  for (const delivery of Wiring.afterCrash(component)) host.ports.tell(delivery)
}

/** An event of the component was dropped: it begins anew with the next one. */
export const dropped = (host: Host, component: Component.Component): void => {
  host.slots[component].isOutOfStep = true
}

const onCrash = (host: Host, component: Component.Component): void => {
  const slot = host.slots[component]
  const now = host.ports.monotonic()
  host.counters.crashesTotal++
  slot.crashedAt = [...slot.crashedAt.filter((at) => now - at <= Parts.crashPeriodMs), now]
}

/** Arms a crash: it strikes the next time the component gets to that point. */
export const arm = (host: Host, component: Component.Component, at: CrashPoint): void => {
  host.slots[component].crash = at
}

/** A crash was armed and has not come yet. */
export const isArmed = (host: Host, component: Component.Component): boolean =>
  host.slots[component].crash !== undefined

/** The same, or it has come and the component is not back. */
export const isPending = (host: Host, component: Component.Component): boolean =>
  isArmed(host, component) || host.slots[component].isDown

/** A crash that never came is called off. */
export const disarm = (host: Host, component: Component.Component): void => {
  host.slots[component].crash = undefined
}

/** A fresh stamp for what this node says now, or for what happened at `occurred` and had to wait. */
const stamp = (host: Host, occurred: Machine.Instant | undefined): Stamp.Stamp => {
  const at = momentNow(host)
  const [clock, drawn] =
    occurred === undefined ? NodeClock.stamp(host.clock, at) : NodeClock.stampOf(host.clock, at, occurred)
  host.clock = clock
  return drawn
}

/** What both clocks of the machine show. */
export const momentNow = ({ ports }: Host): ClockEstimator.Moment => ({ now: ports.monotonic(), wall: ports.wall() })

const strike = <C extends Component.Component>(slot: Slot<C>, at: CrashPoint): void => {
  if (slot.crash !== at) return
  slot.crash = undefined
  slot.isDown = true
  throw new InjectedCrash(`crashed on purpose: ${at}`)
}

/** What rides on an event: the time, and for facts a stamp that sorts after every stamp the event brings. */
const momentOf = (host: Host, delivery: Wiring.Delivery): Component.Moment => {
  follow(host, delivery)
  return { ...momentNow(host), reading: host.clock.reading, stamp: (occurred) => stamp(host, occurred) }
}

/** Carries out what the last committed step still asks for. A new incarnation begins with it. */
export const finish = <C extends Component.Component>(host: Host, component: C): void => {
  const slot: Slot<C> = host.slots[component]
  for (let action = Cell.pending(slot.cell); action !== undefined; action = Cell.pending(slot.cell)) {
    if (slot.cell.ticked > 0) strike(slot, "acting")
    slot.cell = Cell.tick(slot.cell)
    carryOut(host, component, action)
  }
}

const carryOut = <C extends Component.Component>(host: Host, component: C, action: Component.ActionOf<C>): void => {
  const { ports } = host
  switch (action._tag) {
    case "Open":
      return ports.open(component, action.attempt, action.address)
    case "Send": {
      const { link, message } = action
      const spec: Component.Spec<C> = Component.specs[component]
      const event = spec.shed?.(link, message)
      if (event !== undefined && ports.isCongested(link)) {
        return ports.tell({ to: component, event } as Wiring.Delivery)
      }
      return ports.send(link, Component.channels[component], spec.encode(message))
    }
    case "Close":
      return ports.close(action.link, action.reason)
    case "SetTimer": {
      const slot: Slot<C> = host.slots[component]
      const { generation } = slot
      const delivery = { to: component, event: { _tag: "TimerFired", timer: action.timer } } as Wiring.Delivery
      // A timer of a state that was rebuilt since is nobody's any more.
      return ports.setTimer(action.delayMs, () => {
        if (slot.generation === generation) ports.tell(delivery)
      })
    }
    case "Write": {
      const slot: Slot<C> = host.slots[component]
      const { generation } = slot
      const delivery = { to: component, event: { _tag: "Written", token: action.token } } as Wiring.Delivery
      // The answer to a state that was rebuilt since could be taken for the answer to another write.
      return ports.write(action.rows, () => {
        if (component === "clock") host.leased = action.rows
        if (slot.generation === generation) ports.tell(delivery)
      })
    }
    case "Emit":
      for (const routed of Wiring.route(component, action.output)) hand(host, routed)
  }
}

const hand = (host: Host, routed: Wiring.Routed): void => {
  const id = Wiring.handedOver(routed)
  if (id !== undefined && !isFirst(host, id)) return
  switch (routed.to) {
    case "application":
      return host.ports.application(routed.output)
    case "clock-cell":
      return setClock(host, NodeClock.hear(host.clock, routed.output, momentNow(host)))
    default:
      if (Wiring.isNeighborSet(routed)) host.told.set(routed.to, routed)
      return host.ports.tell(routed)
  }
}

/** Exactly once is the receiver's claim: it looks at its own ledger, whatever the broadcast tree remembers. */
const isFirst = (host: Host, id: MessageId.MessageId): boolean => {
  if (Ledger.has(host.ledger, id)) {
    host.counters.broadcastsRedeliveredTotal++
    return false
  }
  host.ledger = Ledger.record(host.ledger, id)
  host.counters.broadcastsDeliveredTotal++
  return true
}

/** Begins the component anew from what is durable and what the shell knows; timers of before are nobody's any more. */
export const rebuild = <C extends Component.Component>(host: Host, component: C, stored: Parts.Stored): void => {
  const slot: Slot<C> = host.slots[component]
  slot.crashedAt = slot.crashedAt.slice(-1)
  slot.isOutOfStep = false
  slot.isDown = false
  slot.generation++
  host.counters.rebuildsTotal++
  slot.cell = Cell.make(
    Parts.rebuild(component, {
      settings: host.settings,
      stored,
      rng: Rng.split(host.rng, `${component}/${slot.generation}`),
      wall: host.ports.wall(),
      links: host.ports.links(),
      ledger: host.ledger,
      clock: host.clock
    })
  )
  host.ports.tell({ to: component, event: { _tag: "Started" } } as Wiring.Delivery)
  const told = host.told.get(component)
  if (told !== undefined) host.ports.tell(told)
}

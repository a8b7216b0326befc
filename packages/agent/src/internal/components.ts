/**
 * The six component actors. Each handler is a plain function that hands the event to the host: an actor here is a
 * mailbox, a place in the supervision tree, and nothing else that could be lost.
 */
import { Actor, Mailbox, Registry, type System } from "@starling/actor"
import { Component, type Wiring } from "@starling/member"
import * as Effect from "effect/Effect"
import type { Stored, StoreError } from "../Store.ts"
import * as Host from "./host.ts"

/** Admission at the edges keeps mailboxes far below this; one that fills all the same drops, counted. Our choice. */
const mailboxMax = 65_536

export interface Mailboxes {
  readonly tell: (delivery: Wiring.Delivery) => boolean
  /** Events that wait for a component. */
  readonly depth: (component: Component.Component) => number
  /** Called by a component for each event it takes. */
  readonly taken: (component: Component.Component) => void
  /** Called by a component whose mailbox is new: what waited in the one before is gone. */
  readonly emptied: (component: Component.Component) => void
  readonly counters: { overflowedTotal: number }
}

export const keyOf = <C extends Component.Component>(component: C): Registry.RegistryKey<Component.EventOf<C>> =>
  Registry.key<Component.EventOf<C>>(component)

export const mailboxes = (system: System.System["Service"]): Mailboxes => {
  const waiting = new Map<Component.Component, number>(Component.components.map((component) => [component, 0]))
  const counters = { overflowedTotal: 0 }
  const addresses = {
    "view-manager": Registry.viaUnsafe(system, keyOf("view-manager")),
    shuffler: Registry.viaUnsafe(system, keyOf("shuffler")),
    "broadcast-tree": Registry.viaUnsafe(system, keyOf("broadcast-tree")),
    "lazy-push-repair": Registry.viaUnsafe(system, keyOf("lazy-push-repair")),
    clock: Registry.viaUnsafe(system, keyOf("clock")),
    facts: Registry.viaUnsafe(system, keyOf("facts"))
  }
  const send = <C extends Component.Component>(to: C, event: Component.EventOf<C>): boolean =>
    Actor.tellUnsafe(addresses[to] as Actor.ActorRef<Component.EventOf<C>>, event)
  const add = (component: Component.Component, count: number): void => {
    waiting.set(component, (waiting.get(component) ?? 0) + count)
  }
  return {
    counters,
    depth: (component) => waiting.get(component) ?? 0,
    taken: (component) => add(component, -1),
    emptied: (component) => void waiting.set(component, 0),
    tell: (delivery) => {
      const told = send(delivery.to, delivery.event)
      if (told) add(delivery.to, 1)
      else counters.overflowedTotal++
      return told
    }
  }
}

/**
 * The actor of a component. Its `init` is where an incarnation takes over: it finishes the last committed step and, if
 * the component crashed twice within the period, rebuilds it from the store.
 */
export const behavior = <C extends Component.Component>(
  component: C,
  host: Host.Host,
  boxes: Mailboxes,
  load: Effect.Effect<Stored, StoreError>,
  rebuilt: (component: Component.Component) => void
) =>
  Actor.behavior<Component.EventOf<C>>()({
    name: component,
    mailbox: Mailbox.bounded(mailboxMax, "dropNew"),
    init: (self) =>
      Effect.gen(function* () {
        if (self.incarnation === 1) boxes.emptied(component)
        const distrusted = Host.takeOver(host, component, self.incarnation)
        // In either case: a broadcast handed to this application and sent to nobody would stay half done.
        Host.finish(host, component)
        if (!distrusted) return Host.goOn(host, component)
        const stored = yield* load
        Host.rebuild(host, component, stored)
        rebuilt(component)
      }),
    receive: (_, event) => {
      boxes.taken(component)
      Host.handle(host, component, event)
    }
  })

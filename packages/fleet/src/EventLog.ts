/**
 * What happened in the fleet, in the order of the clock stamps, bounded.
 *
 * The log keeps the newest `perOriginMax` events of each node and of these the newest `logMax`. Both are the greatest
 * elements of a total order, so the log is a CRDT: a grow-only set with a floor that only rises. It does not matter in
 * which order events come, or how often.
 *
 * @since 0.1.0
 */
import { Stamp } from "@starling/clock"
import type { NodeId } from "@starling/machine"
import * as HashMap from "effect/HashMap"
import * as Option from "effect/Option"
import type { EventDocument } from "./Document.ts"
import type { EventRecord } from "./internal/records.ts"
import * as Sorted from "./internal/sorted.ts"
import { compareText } from "./internal/text.ts"
import { eventsMax } from "./NodeDoc.ts"

/** @since 0.1.0 @category models */
export type Event = EventRecord

/** @since 0.1.0 @category models */
export interface EventLog {
  readonly byStamp: Sorted.Sorted<Event>
  readonly byOrigin: HashMap.HashMap<NodeId.NodeId, Sorted.Sorted<Event>>
}

/** Events kept of one node. @since 0.1.0 */
export const perOriginMax = eventsMax

/** Events kept in all. Our choice: about 10 MB. @since 0.1.0 */
export const logMax = 20_000

/** @since 0.1.0 @category constructors */
export const empty: EventLog = { byStamp: Sorted.empty(), byOrigin: HashMap.empty() }

/** Origin node id, incarnation and sequence: `a1b2c3d4e5f6.3.17`. @since 0.1.0 */
export const idOf = (event: Pick<Event, "origin" | "incarnation" | "seq">): string =>
  `${event.origin}.${event.incarnation}.${event.seq}`

/** Reads what `idOf` writes. @since 0.1.0 */
export const parseId = (
  id: string
): { readonly origin: NodeId.NodeId; readonly incarnation: number; readonly seq: number } | undefined => {
  const match = /^([0-9a-f]{12})\.(\d{1,16})\.(\d{1,16})$/.exec(id)
  return match === null
    ? undefined
    : { origin: match[1] as string, incarnation: Number(match[2]), seq: Number(match[3]) }
}

/** The order of the log: by stamp, then by id. @since 0.1.0 */
export const compare = (a: Event, b: Event): number =>
  Stamp.compare(a.stamp, b.stamp) || compareText(a.origin, b.origin) || compareOwn(a, b)

/** The order in which one origin recorded. */
const compareOwn = (a: Event, b: Event): number => a.incarnation - b.incarnation || a.seq - b.seq

/** @since 0.1.0 */
export const size = (log: EventLog): number => log.byStamp.size

/** @since 0.1.0 */
export const has = (log: EventLog, event: Event): boolean => Sorted.has(ofOrigin(log, event.origin), event, compareOwn)

/**
 * Adds one event. `added` is false if it is known or older than all that is kept; `dropped` is what had to go for it.
 *
 * @since 0.1.0
 * @category running
 */
export const add = (
  log: EventLog,
  event: Event
): { readonly log: EventLog; readonly added: boolean; readonly dropped: ReadonlyArray<Event> } => {
  if (has(log, event)) return { log, added: false, dropped: [] }
  let next = put(log, event)
  const dropped: Array<Event> = []
  const own = ofOrigin(next, event.origin)
  const oldestOwn = Sorted.first(own)
  if (own.size > perOriginMax && oldestOwn !== undefined) {
    dropped.push(oldestOwn)
    next = take(next, oldestOwn)
  }
  const oldest = Sorted.first(next.byStamp)
  if (next.byStamp.size > logMax && oldest !== undefined) {
    dropped.push(oldest)
    next = take(next, oldest)
  }
  return dropped.includes(event) ? { log, added: false, dropped: [] } : { log: next, added: true, dropped }
}

/** Newest first, until `take` returns false. @since 0.1.0 */
export const backwards = (log: EventLog, take: (event: Event) => boolean): void => Sorted.backwards(log.byStamp, take)

/** Oldest first. @since 0.1.0 */
export const toArray = (log: EventLog): ReadonlyArray<Event> => Sorted.toArray(log.byStamp)

/** The events of one node, in the order in which it recorded them. @since 0.1.0 */
export const eventsOf = (log: EventLog, origin: NodeId.NodeId): ReadonlyArray<Event> =>
  Sorted.toArray(ofOrigin(log, origin))

/**
 * What can be said about the order of two events that follow each other in the log. A stamp of a later event is never
 * smaller than that of an earlier one it could have known of, but a greater stamp alone proves nothing: `after` is said
 * of one origin's own order, `by-clock` where the clocks differ by more than they can be wrong, and else `unknown`.
 *
 * @since 0.1.0
 */
export const relation = (earlier: Event | undefined, later: Event): EventDocument["relation"] => {
  if (earlier === undefined) return "unknown"
  if (earlier.origin === later.origin) return "after"
  return later.stamp.epoch !== earlier.stamp.epoch || later.stamp.wall - earlier.stamp.wall > uncertaintyMs
    ? "by-clock"
    : "unknown"
}

/** How far two clocks of one fleet may be apart. Our choice: what NTP keeps with room to spare. @since 0.1.0 */
export const uncertaintyMs = 500

/** @since 0.1.0 */
export const documentOf = (event: Event, before: Event | undefined, node: string): EventDocument => ({
  id: idOf(event),
  at: Stamp.toText(event.stamp),
  wall: Stamp.isoOf(event.wall),
  node,
  nodeId: event.origin,
  datacenter: event.datacenter,
  app: event.app,
  severity: event.severity,
  body: event.body,
  attributes: event.attributes,
  relation: relation(before, event)
})

const ofOrigin = (log: EventLog, origin: NodeId.NodeId): Sorted.Sorted<Event> =>
  Option.getOrElse(HashMap.get(log.byOrigin, origin), () => Sorted.empty<Event>())

const put = (log: EventLog, event: Event): EventLog => ({
  byStamp: Sorted.insert(log.byStamp, event, compare),
  byOrigin: HashMap.set(log.byOrigin, event.origin, Sorted.insert(ofOrigin(log, event.origin), event, compareOwn))
})

const take = (log: EventLog, event: Event): EventLog => {
  const own = Sorted.remove(ofOrigin(log, event.origin), event, compareOwn)
  return {
    byStamp: Sorted.remove(log.byStamp, event, compare),
    byOrigin: own.size === 0 ? HashMap.remove(log.byOrigin, event.origin) : HashMap.set(log.byOrigin, event.origin, own)
  }
}

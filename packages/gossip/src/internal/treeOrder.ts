/**
 * Broadcasts that wait for the one before them, of senders that asked for order.
 *
 * Such a broadcast names its predecessor, so it waits for that one and for nothing else. It does not wait for ever: after a
 * while, or when too much waits, it is handed out without.
 */
import type { Machine } from "@starling/machine"
import * as HashMap from "effect/HashMap"
import * as HashSet from "effect/HashSet"
import * as Option from "effect/Option"
import * as MessageId from "../MessageId.ts"
import * as Queue from "./treeQueue.ts"

export interface Waiting {
  readonly id: MessageId.MessageId
  readonly round: number
  readonly topic: number
  readonly payload: unknown
  readonly bytes: number
  readonly since: Machine.Instant
}

export interface Order {
  /** By the name of the predecessor. */
  readonly waiting: HashMap.HashMap<string, Waiting>
  /** Names of those that wait. */
  readonly names: HashSet.HashSet<string>
  /** Predecessors as their successors came; one that was taken stays, stale. */
  readonly queue: Queue.Queue<{ readonly predecessor: string; readonly since: Machine.Instant }>
  readonly bytes: number
}

export interface Limits {
  readonly orderMs: number
  readonly orderCountMax: number
  readonly orderBytesMax: number
}

export const empty: Order = { waiting: HashMap.empty(), names: HashSet.empty(), queue: Queue.empty, bytes: 0 }

export const isEmpty = (order: Order): boolean => HashMap.isEmpty(order.waiting)

export const has = (order: Order, id: MessageId.MessageId): boolean => HashSet.has(order.names, MessageId.toText(id))

/** Whether something of this origin waits. */
export const waitsFor = (order: Order, origin: string): boolean => {
  for (const { id } of HashMap.values(order.waiting)) if (id.origin === origin) return true
  return false
}

/** Something waits for this one already: of two only a mistake can be the successor. */
export const isTaken = (order: Order, predecessor: MessageId.MessageId): boolean =>
  HashMap.has(order.waiting, MessageId.toText(predecessor))

export const hold = (order: Order, predecessor: MessageId.MessageId, waiting: Waiting): Order => {
  const key = MessageId.toText(predecessor)
  return {
    waiting: HashMap.set(order.waiting, key, waiting),
    names: HashSet.add(order.names, MessageId.toText(waiting.id)),
    queue: Queue.push(order.queue, { predecessor: key, since: waiting.since }),
    bytes: order.bytes + waiting.bytes
  }
}

/** The one that waited for this predecessor, if one did. */
export const take = (order: Order, predecessor: string): readonly [Order, Waiting | undefined] => {
  const waiting = Option.getOrUndefined(HashMap.get(order.waiting, predecessor))
  if (waiting === undefined) return [order, undefined]
  const left = HashMap.remove(order.waiting, predecessor)
  if (HashMap.isEmpty(left)) return [empty, waiting]
  const names = HashSet.remove(order.names, MessageId.toText(waiting.id))
  return [{ waiting: left, names, queue: order.queue, bytes: order.bytes - waiting.bytes }, waiting]
}

/** When the first has waited long enough; earlier if a stale one comes first. */
export const dueAt = (order: Order, { orderMs }: Limits): Machine.Instant | undefined => {
  const first = Queue.peek(order.queue)
  return first === undefined ? undefined : first.since + orderMs
}

const withoutFirst = (order: Order): Order => ({ ...order, queue: Queue.drop(order.queue) })

/** The next that waited too long, or is one too many; undefined if there is none. */
export const overdue = (
  order: Order,
  now: Machine.Instant,
  { orderBytesMax, orderCountMax, orderMs }: Limits
): readonly [Order, Waiting | undefined] => {
  let left = order
  for (let first = Queue.peek(left.queue); first !== undefined; first = Queue.peek(left.queue)) {
    const waiting = Option.getOrUndefined(HashMap.get(left.waiting, first.predecessor))
    const isStale = waiting === undefined || waiting.since !== first.since
    // Stale ones take room too.
    const isOver = left.bytes > orderBytesMax || Queue.size(left.queue) > orderCountMax
    if (!isStale && !isOver && now < first.since + orderMs) break
    left = withoutFirst(left)
    if (!isStale) return take(left, first.predecessor)
  }
  return [left, undefined]
}

/** The payloads that a neighbour may still ask for, bounded in number, bytes and age; the oldest leave first. */
import type { Machine, NodeId } from "@starling/machine"
import * as HashMap from "effect/HashMap"
import * as Option from "effect/Option"
import * as MessageId from "../MessageId.ts"
import * as Queue from "./treeQueue.ts"

export interface Entry {
  readonly id: MessageId.MessageId
  /** Hops of this copy; fewer once a shorter way was taken up. */
  readonly round: number
  readonly topic: number
  readonly payload: unknown
  readonly bytes: number
  readonly at: Machine.Instant
  /** The link that gave the first copy, or was taken for the parent instead; null for a broadcast of this node. */
  readonly from: Machine.LinkId | null
  /** The root along whose tree it travels. */
  readonly along: NodeId.NodeId
  /** It came along the tree all the way, from parents that nodes had already: its hops are those of the tree. */
  readonly isSettled: boolean
  /** The node through which it came into this region; undefined if nobody said. */
  readonly entry: NodeId.NodeId | undefined
  /** Somebody on its way had to ask for it. */
  readonly mended: boolean
  /** The number of the broadcast that it comes after, if its sender asked for order. */
  readonly after: number | undefined
  /** Neighbours that have taken another parent since: what they announced of it counts no more. */
  readonly moved: ReadonlyArray<Machine.LinkId>
}

export interface Cache {
  readonly entries: HashMap.HashMap<string, Entry>
  /** As they came: of each what never changes, which is asked for after every step. */
  readonly order: Queue.Queue<Pick<Entry, "id" | "bytes" | "at">>
  readonly bytes: number
}

export interface Limits {
  readonly countMax: number
  readonly bytesMax: number
  readonly ageMaxMs: number
}

export const empty: Cache = { entries: HashMap.empty(), order: Queue.empty, bytes: 0 }

export const get = (cache: Cache, id: MessageId.MessageId): Entry | undefined =>
  Option.getOrUndefined(HashMap.get(cache.entries, MessageId.toText(id)))

/** All of them, the oldest first. */
export const ids = (cache: Cache): ReadonlyArray<MessageId.MessageId> => Queue.toArray(cache.order).map(({ id }) => id)

/** `entry` must not be in the cache; the delivered windows see to that. */
export const put = (cache: Cache, entry: Entry): Cache => {
  const key = MessageId.toText(entry.id)
  return {
    entries: HashMap.set(cache.entries, key, entry),
    order: Queue.push(cache.order, entry),
    bytes: cache.bytes + entry.bytes
  }
}

/** What is known of a payload that is in the cache has changed. */
export const replace = (cache: Cache, entry: Entry): Cache => ({
  ...cache,
  entries: HashMap.set(cache.entries, MessageId.toText(entry.id), entry)
})

/** When the next payload becomes too old, or undefined of an empty cache. */
export const expiresAt = (cache: Cache, limits: Limits): Machine.Instant | undefined => {
  const entry = Queue.peek(cache.order)
  return entry === undefined ? undefined : entry.at + limits.ageMaxMs
}

/** Drops what is over the limits; returns it too. `crowded` of it were not too old yet. */
export const evict = (
  cache: Cache,
  now: Machine.Instant,
  limits: Limits
): readonly [Cache, gone: ReadonlyArray<MessageId.MessageId>, crowded: number] => {
  let current = cache
  let crowded = 0
  const gone: Array<MessageId.MessageId> = []
  for (let entry = Queue.peek(current.order); entry !== undefined; entry = Queue.peek(current.order)) {
    const isOld = now >= entry.at + limits.ageMaxMs
    const isOver = current.bytes > limits.bytesMax || Queue.size(current.order) > limits.countMax
    if (!isOld && !isOver) break
    if (!isOld) crowded++
    gone.push(entry.id)
    current = {
      entries: HashMap.remove(current.entries, MessageId.toText(entry.id)),
      order: Queue.drop(current.order),
      bytes: current.bytes - entry.bytes
    }
  }
  return [current, gone, crowded]
}

/** What the broadcast tree is made of. The documents of what leaves the machine stand in `BroadcastTree.ts`. */
import type { LinkGate, Machine, NodeId, Peer } from "@starling/machine"
import type * as HashSet from "effect/HashSet"
import type * as MessageId from "../MessageId.ts"
import type * as Alarm from "./treeAlarm.ts"
import type * as Cache from "./treeCache.ts"
import type * as Order from "./treeOrder.ts"
import type * as Queue from "./treeQueue.ts"
import type * as Roots from "./treeRoots.ts"
import type * as Win from "./treeWindows.ts"

export type Message =
  | {
      readonly _tag: "Gossip"
      readonly id: MessageId.MessageId
      readonly round: number
      readonly topic: number
      readonly payload: unknown
      readonly along?: NodeId.NodeId
      readonly entry?: NodeId.NodeId
      readonly mended?: true
      readonly after?: number
      readonly loose?: true
    }
  | { readonly _tag: "Prune"; readonly root: NodeId.NodeId; readonly unlessParent?: true }
  | { readonly _tag: "Graft"; readonly ids: ReadonlyArray<MessageId.MessageId> }
  | { readonly _tag: "GraftMiss"; readonly ids: ReadonlyArray<MessageId.MessageId> }
  | { readonly _tag: "Adopt"; readonly root: NodeId.NodeId }
  | { readonly _tag: "Entry"; readonly id: MessageId.MessageId; readonly entry: NodeId.NodeId }

export type Gossip = Extract<Message, { readonly _tag: "Gossip" }>

export interface Timer {
  readonly _tag: "Tick"
  readonly number: number
}

export type Rejection = "busy" | "too-large" | "bad-topic"

export type Output =
  | { readonly _tag: "Accepted"; readonly token: number; readonly id: MessageId.MessageId }
  | { readonly _tag: "Rejected"; readonly token: number; readonly reason: Rejection }
  | {
      readonly _tag: "Delivered"
      readonly id: MessageId.MessageId
      readonly topic: number
      readonly payload: unknown
      readonly round: number
    }
  | {
      readonly _tag: "Seen"
      readonly id: MessageId.MessageId
      readonly link: Machine.LinkId | null
      readonly round: number
      readonly mended: boolean
    }
  | { readonly _tag: "Known"; readonly windows: Win.Windows; readonly held: ReadonlyArray<MessageId.MessageId> }
  | { readonly _tag: "Late" }
  | {
      readonly _tag: "Announce"
      readonly id: MessageId.MessageId
      readonly round: number
      readonly links: ReadonlyArray<Machine.LinkId>
    }
  | { readonly _tag: "Forgotten"; readonly ids: ReadonlyArray<MessageId.MessageId> }
  | { readonly _tag: "Missed"; readonly link: Machine.LinkId; readonly ids: ReadonlyArray<MessageId.MessageId> }

export type Action = Machine.Action<Message, Timer, Output>

export interface Settings {
  /** Trees kept; further roots share them. Our choice: 64 roots at once. */
  readonly rootsMax: number
  /** A root that was silent for so long gives its place to a new one. Our choice: well above the pace of slow senders. */
  readonly rootIdleMs: number
  /** How much later the way through the entry that a region agrees on may bring a broadcast. Our choice, measured: with 10, 15 and 30 ms nineteen regions get 28, 20 and 18 copies (docs/protocols/plumtree.md). */
  readonly entryMs: number
  /** Own broadcasts that wait for the store. Our choice. */
  readonly pendingMax: number
  /** Largest payload, as `Codec.sizeOf` counts. Our choice: half a frame of the wire. */
  readonly payloadBytesMax: number
  /** All payloads kept for grafts. Our choice: 16 MiB. */
  readonly cacheBytesMax: number
  /** Payloads kept for grafts, however small. Our choice: what 16 MiB hold at 1 KiB each. */
  readonly cacheCountMax: number
  /** How long a payload is kept. Our choice, twice iroh-gossip's 30 s: a link that fails is noticed and grafted well within. */
  readonly cacheAgeMs: number
  /** How long a changed window may stay unwritten: what a process crash may let be delivered again. Our choice. */
  readonly flushMs: number
  /** Payload bytes sent in answer to one `Graft`; the first payload is always sent. Our choice: the link's queue must not overflow. */
  readonly graftBytesMax: number
  /** How long a broadcast waits for the one before it, of a sender that asked for order. Our choice: several times what repair takes. */
  readonly orderMs: number
  /** Broadcasts that wait so. Our choice; above, the oldest is handed out without the one before it, and counted. The shell's record of what was handed over has room for no more by default. */
  readonly orderCountMax: number
  /** Their payloads. Our choice. */
  readonly orderBytesMax: number
  /** Origins of which something was delivered. Our choice; above, one of which nothing is cached gives way, counted. */
  readonly originsMax: number
}

export interface Config extends Settings {
  readonly self: Peer.Peer
}

export const roundMax = 0xffff

export const topicMax = 255

export const defaults: Settings = {
  rootsMax: 64,
  rootIdleMs: 600_000,
  entryMs: 15,
  pendingMax: 1024,
  payloadBytesMax: 512 * 1024,
  cacheBytesMax: 16 * 1024 * 1024,
  cacheCountMax: 16_384,
  cacheAgeMs: 60_000,
  flushMs: 1000,
  graftBytesMax: 256 * 1024,
  orderMs: 10_000,
  orderCountMax: 1024,
  orderBytesMax: 16 * 1024 * 1024,
  originsMax: 65_536
}

/** A numbered broadcast that waits until its number is durable. */
export interface Pending {
  readonly written: number
  readonly token: number
  readonly id: MessageId.MessageId
  readonly topic: number
  readonly payload: unknown
  readonly after: number | undefined
  readonly at: Machine.Instant
}

export type Counters = Readonly<
  Record<
    | "accepted"
    | "rejected"
    | "delivered"
    | "duplicates"
    | "payloadsSent"
    | "payloadsShed"
    | "payloadsReceived"
    | "prunesSent"
    | "prunesReceived"
    | "graftsSent"
    | "graftsReceived"
    | "graftsShed"
    | "missesSent"
    | "missesReceived"
    | "adoptsSent"
    | "adoptsReceived"
    | "entriesSent"
    | "entriesReceived"
    | "entriesLeft"
    | "optimized"
    | "orderGivenUp"
    | "shared"
    | "rootsEvicted"
    | "rootsRefused"
    | "cacheCrowded"
    | "gapsClosed"
    | "originsForgotten"
    | "originsRefused"
    | "impostors"
    | "storedRefused",
    number
  >
>

export interface State {
  readonly config: Config
  readonly gate: LinkGate.LinkGate<Message>
  /** The last number given out in this incarnation. */
  readonly sequence: number
  /** Tokens of writes: `[first, last]` given out by this state; a `Written` of another range is not ours. */
  readonly tokens: readonly [first: number, last: number]
  readonly pending: Queue.Queue<Pending>
  readonly windows: Win.Windows
  /** Origins whose window is newer than its row in the store. */
  readonly changed: HashSet.HashSet<NodeId.NodeId>
  /** The last of this node's broadcasts that others must come after. */
  readonly ordered: number
  readonly order: Order.Order
  /** Repair was told what this state knows. */
  readonly isKnown: boolean
  readonly roots: Roots.Roots
  readonly cache: Cache.Cache
  readonly tick: Alarm.Alarm
  readonly counters: Counters
}

export const zero: Counters = {
  accepted: 0,
  rejected: 0,
  delivered: 0,
  duplicates: 0,
  payloadsSent: 0,
  payloadsShed: 0,
  payloadsReceived: 0,
  prunesSent: 0,
  prunesReceived: 0,
  graftsSent: 0,
  graftsReceived: 0,
  graftsShed: 0,
  missesSent: 0,
  missesReceived: 0,
  adoptsSent: 0,
  adoptsReceived: 0,
  entriesSent: 0,
  entriesReceived: 0,
  entriesLeft: 0,
  optimized: 0,
  orderGivenUp: 0,
  shared: 0,
  rootsEvicted: 0,
  rootsRefused: 0,
  cacheCrowded: 0,
  gapsClosed: 0,
  originsForgotten: 0,
  originsRefused: 0,
  impostors: 0,
  storedRefused: 0
}

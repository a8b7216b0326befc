/**
 * The replicated facts about a fleet, as a machine: node documents, configuration, events.
 *
 * Every node keeps all facts, so every question is answered where it is asked. What it takes to get there:
 *
 * - **Node documents** have one writer each, who gathers changes for up to a quarter of a second. Then they travel along
 *   the tree of one relay (`Relays`); neighbours that are not on it are told which version there is, and ask for it if it
 *   did not come. For each neighbour this node knows which version of each document it has, and sends only what comes
 *   after. Deltas are idempotent.
 * - **Configuration entries** travel on the writer's broadcast tree (`Broadcast`, `Delivered`), and are repaired by
 *   vectors: what a neighbour's vector lacks is sent to it.
 * - **Anti-entropy**: both ends of a new neighbour link exchange digests; every 10 s one neighbour is asked whether its
 *   digest still has the same hash as this node's.
 * - **Persist before you advertise**: what this node says it has received, has written or has recorded is durable.
 *
 * A step is one turn over a value: the handlers in `internal/` carry one `Turn` through it, which is thrown away if one
 * of them throws.
 *
 * @since 0.1.0
 */
import type { Stamp } from "@starling/clock"
import type { LinkGate, Machine, NodeId, Peer, Rng } from "@starling/machine"
import type * as HashMap from "effect/HashMap"
import type { Registers, Vector } from "./Config.ts"
import type * as ConfigModule from "./Config.ts"
import type { ConfigDocument, EventDocument, Severity, Signal } from "./Document.ts"
import type { EventLog } from "./EventLog.ts"
import type * as EventLogModule from "./EventLog.ts"
import * as aside from "./internal/aside.ts"
import * as entries from "./internal/entries.ts"
import * as events from "./internal/events.ts"
import * as messages from "./internal/messages.ts"
import * as own from "./internal/own.ts"
import * as spread from "./internal/spread.ts"
import * as start from "./internal/start.ts"
import * as sync from "./internal/sync.ts"
import * as timers from "./internal/timers.ts"
import type { Turn } from "./internal/turn.ts"
import * as turns from "./internal/turn.ts"
import type { DocDelta, Known, Lost, NodeDoc } from "./NodeDoc.ts"
import * as Publishers from "./Publishers.ts"
import * as Relays from "./Relays.ts"
import type { Labels } from "./Selector.ts"

/**
 * What the shell, the other components and the application tell the facts.
 *
 * - `Neighbors`: the numbered neighbour set of the view manager.
 * - `NeighborDown`: evidence; sent before the neighbour set without that neighbour. `isEarly`: the node does not know what
 *   time it is, and the stamp of the evidence says nothing of when it was.
 * - `Delivered`: a configuration entry from the broadcast tree; `isAside` if it bears a stamp that must not be followed.
 * - `SetConfig`, `RecordEvent`: answered by `Answer` with the same token, once durable or refused. A `value` of null
 *   deletes the key.
 * - `Published`: telemetry arrived at this node.
 * - `Handles`: all key patterns that something on this node acts on (`*` within a segment, `**` across segments). It
 *   replaces what was said before, and must be said again after `rebuild`.
 * - `Applied`: the answer to `Apply`, or the report of a local application that asked for nothing.
 * - `Leave`: this node is about to go. Its document says so from now on.
 * - `Restamp`: stamps are worth more than they were: the clock knows the time since now, or is in another epoch, begun here
 *   or heard of. What this node says of itself is said again; evidence that has a stamp of this epoch and of a known time
 *   keeps it. `isEarly`: the time is not known yet after all, and nothing is said again.
 *
 * `at`: when it happened, if it had to wait; the stamp and the wall of the input are of then.
 *
 * @since 0.1.0
 * @category models
 */
export type Event =
  | Machine.ShellEvent<Message, Timer>
  | { readonly _tag: "Started" }
  | { readonly _tag: "Neighbors"; readonly version: number; readonly neighbors: ReadonlyArray<Machine.Neighbor> }
  | {
      readonly _tag: "NeighborDown"
      readonly peer: Peer.Peer
      readonly cause: DownCause
      readonly isEarly?: true
    }
  | {
      readonly _tag: "Delivered"
      readonly id: unknown
      readonly topic: number
      readonly payload: unknown
      readonly isAside?: true
    }
  | {
      readonly _tag: "SetConfig"
      readonly token: number
      readonly key: string
      readonly value: string | null
      readonly selector: string
      readonly author: string
      readonly note: string
      /** Default: `set`, or `delete` where the value is null. */
      readonly operation?: "set" | "revert"
      readonly at?: Machine.Instant
    }
  | {
      readonly _tag: "RecordEvent"
      readonly token: number
      readonly app: string
      readonly severity: Severity
      readonly body: string
      readonly attributes: Readonly<Record<string, string | number | boolean>>
      readonly at?: Machine.Instant
    }
  | {
      readonly _tag: "Published"
      readonly app: string
      readonly instance: string
      readonly signal: Signal
      readonly labels: Labels
    }
  | { readonly _tag: "Handles"; readonly patterns: ReadonlyArray<string> }
  | {
      readonly _tag: "Applied"
      readonly key: string
      readonly revision: string
      readonly status: "applied" | "applying" | "failed" | "rejected"
      readonly reason: string
    }
  | { readonly _tag: "Leave" }
  | { readonly _tag: "Restamp"; readonly isEarly?: true }

/** How the view manager lost a neighbour. Eviction and replacement accuse nobody. @since 0.1.0 @category models */
export type DownCause = "closed" | "refused" | "timeout" | "left" | "evicted" | "replaced"

/**
 * A fresh stamp comes with every input, never given before, and `wall`: milliseconds since 1970 by this node's clock.
 *
 * @since 0.1.0
 * @category models
 */
export type Input = Machine.Input<Event> & { readonly stamp: Stamp.Stamp; readonly wall: number }

/**
 * - `Digest`: which version of each document the sender has, in parts; with the last part, its configuration vector.
 *   `reply` asks for the same. `relays`: the sender knows the last four messages (releases before it do not, and are sent deltas only).
 * - `Delta`: what is new in some documents. `via` names the relays whose trees they take, each for a run of documents;
 *   where it ends, or names none, the receiver chooses.
 * - `Entries`: configuration entries, and dots whose entries nobody needs any more. `aside`: those of entries that were
 *   taken out, because their stamps must not be followed; never so on the wire.
 * - `Summary`: hashes of what a digest would say. A receiver with other hashes sends its digest.
 * - `Pull`: the sender's configuration vector, to be sent what it lacks.
 * - `Have`: the sender has these versions of documents.
 * - `Want`: these are all it has, and it wants newer ones.
 * - `Beats`: the newest beats of relays.
 * - `Claims`: the receiver is the sender's parent in the trees of `parents`, and no longer in those of `released`.
 *
 * @since 0.1.0
 * @category models
 */
export type Message =
  | {
      readonly _tag: "Digest"
      readonly reply: boolean
      readonly first: boolean
      readonly last: boolean
      readonly docs: ReadonlyArray<readonly [NodeId.NodeId, Known]>
      readonly config: Vector | null
      readonly relays: boolean
    }
  | {
      readonly _tag: "Delta"
      readonly docs: ReadonlyArray<DocDelta>
      readonly via: ReadonlyArray<readonly [relay: NodeId.NodeId | null, documents: number]>
    }
  | {
      readonly _tag: "Entries"
      readonly entries: ReadonlyArray<ConfigModule.Entry>
      readonly skipped: Vector
      readonly aside?: ReadonlyArray<ConfigModule.Dot>
    }
  | { readonly _tag: "Summary"; readonly docs: number; readonly config: number }
  | { readonly _tag: "Pull"; readonly config: Vector }
  | { readonly _tag: "Have"; readonly docs: ReadonlyArray<readonly [NodeId.NodeId, Known]> }
  | { readonly _tag: "Want"; readonly docs: ReadonlyArray<readonly [NodeId.NodeId, Known]> }
  | { readonly _tag: "Beats"; readonly beats: ReadonlyArray<readonly [relay: NodeId.NodeId, beat: Known]> }
  | {
      readonly _tag: "Claims"
      readonly parents: ReadonlyArray<NodeId.NodeId>
      readonly released: ReadonlyArray<NodeId.NodeId>
    }

/**
 * `Own` puts this node's changes on their way; `Flush` sends what is dirty; `Announce` tells the neighbours that are not on
 * the way; `Beat` is a relay's; `Tick` does the housekeeping of every second; `AntiEntropy` compares with a neighbour;
 * `Pulse` shows that this data centre is heard from; `Pull` asks for configuration that a neighbour has and this node
 * lacks. A timer of another round than the state's is stale and changes nothing.
 *
 * @since 0.1.0
 * @category models
 */
export interface Timer {
  readonly _tag: "Flush" | "Own" | "Announce" | "Tick" | "AntiEntropy" | "Pulse" | "Pull" | "Beat"
  readonly round: number
}

/**
 * - `Answer`: to a command with that token; `where` names the field that was wrong.
 * - `Broadcast`: a configuration entry for the broadcast tree.
 * - `Apply`: act on this entry, then answer `Applied`. One at a time for each key, the newest only.
 * - `Remember`: nodes to dial when this node is lonely; at most 256.
 * - `Changed`: an answer may differ from before. At most once in a step.
 * - `Fleet`: so many nodes have a document here, this one among them. Said when it changes, and again now and then.
 * - `Outdated`: somebody has seen a later incarnation of this very node.
 *
 * @since 0.1.0
 * @category models
 */
export type Output =
  | {
      readonly _tag: "Answer"
      readonly token: number
      readonly answer:
        | { readonly _tag: "Config"; readonly document: ConfigDocument }
        | { readonly _tag: "Event"; readonly document: EventDocument }
        | { readonly _tag: "Invalid"; readonly where: string; readonly message: string }
    }
  | { readonly _tag: "Broadcast"; readonly token: number; readonly topic: 0; readonly payload: unknown }
  | { readonly _tag: "Apply"; readonly entry: ConfigDocument; readonly previous: ConfigDocument | null }
  | { readonly _tag: "Remember"; readonly peers: ReadonlyArray<Peer.Peer> }
  | { readonly _tag: "Changed" }
  | { readonly _tag: "Fleet"; readonly size: number }
  | { readonly _tag: "Outdated"; readonly incarnation: number }

/** @since 0.1.0 @category models */
export type Action = Machine.Action<Message, Timer, Output>

/** Who this node is. @since 0.1.0 @category models */
export interface Self {
  readonly id: NodeId.NodeId
  readonly incarnation: number
  /** What peers dial, host:port. */
  readonly address: string
  readonly name: string
  readonly datacenter: string
  readonly labels: Labels
}

/** @since 0.1.0 @category models */
export interface Config {
  readonly self: Self
  /** When this incarnation started, milliseconds since 1970. */
  readonly startedAt: number
  /** How long the first change waits for company. Our choice: less than a hop on a wide-area link. */
  readonly leadingMs: number
  /** How long changes are gathered while more come. Our choice: not noticed by people; small fleets gather for less. */
  readonly coalesceMs: number
  /**
   * How long others' changes are gathered after some were passed on. Our choice: little beside a link's delay. Where ten
   * thousand nodes change within a second, the median change took 0.6 s to the last node with 20 ms, and 1.1 s with 60 ms.
   */
  readonly hopMs: number
  /** How long a change may come by tree before it is announced, about; small fleets wait for less. Our choice: longer than trees take. */
  readonly announceMs: number
  /** Bytes of one frame, about. Our choice: a quarter of the wire's hard limit. */
  readonly frameBytesMax: number
  /** Bytes sent to one neighbour in one flush. Our choice: an eighth of a link's outbound queue. */
  readonly flushBytesMax: number
  /** Rows of one digest part. Our choice: about 120 KiB. */
  readonly digestRowsMax: number
  /** Period of anti-entropy with one random neighbour; jittered. */
  readonly antiEntropyMs: number
  /** Period of housekeeping. */
  readonly tickMs: number
  /** One node of each data centre shows up in this time, on average. Our choice. */
  readonly pulseMs: number
  /** How long configuration that a neighbour has may come by tree before it is pulled. Our choice: a lazy repair's time. */
  readonly pullMs: number
  /** Writes that may wait for the disk. */
  readonly pendingMax: number
  /** Documents kept: nodes ever heard of. */
  readonly docsMax: number
  /** Peers handed to the view manager. */
  readonly rememberMax: number
  readonly publishers: Publishers.Config
  readonly relays: Relays.Config
}

/** @since 0.1.0 */
export const defaults: Omit<Config, "self" | "startedAt"> = {
  leadingMs: 20,
  coalesceMs: 250,
  hopMs: 30,
  announceMs: 1000,
  frameBytesMax: 256 * 1024,
  flushBytesMax: 1024 * 1024,
  digestRowsMax: 4000,
  antiEntropyMs: 10_000,
  tickMs: 1000,
  pulseMs: 5000,
  pullMs: 500,
  pendingMax: 1024,
  docsMax: 20_000,
  rememberMax: 256,
  publishers: Publishers.defaults,
  relays: Relays.defaults
}

/** Every table with its rows, by key: what the store has. @since 0.1.0 @category models */
export type Stored = ReadonlyMap<string, ReadonlyMap<string, unknown>>

/** What a neighbour is known to have. @since 0.1.0 @category models */
export interface LinkState {
  readonly peer: Peer.Peer
  /** It knows relays, and asks for what is announced. */
  readonly speaks: boolean
  /** Undefined until its first digest is complete: until then it is sent nothing. */
  readonly known: HashMap.HashMap<NodeId.NodeId, Known> | undefined
  /** Parts of a digest that is still coming. */
  readonly arriving: HashMap.HashMap<NodeId.NodeId, Known>
  /** Documents that it may lack something of and is sent, with the relay whose tree they take. */
  readonly dirty: HashMap.HashMap<NodeId.NodeId, NodeId.NodeId | null>
  /** What it was sent, in the time for which a budget lasts. */
  readonly spent: { readonly since: Machine.Instant; readonly bytes: number }
  /** Its configuration vector with what was sent since, while there is something to send; else undefined. */
  readonly config: Vector | undefined
  /** When it was last sent, or asked for, a digest. */
  readonly askedAt: Machine.Instant
}

/** A node known from the store, or a row that still has to be written. @since 0.1.0 @category models */
export interface Remembered {
  readonly peer: Peer.Peer
  readonly name: string
  readonly datacenter: string
  readonly labels: Labels
  /** When its row was written, milliseconds since 1970; 0 if the row does not say. */
  readonly heard: number
}

/** What waits for the disk. @since 0.1.0 @category models */
export interface Pending {
  readonly at: Machine.Instant
  readonly rows: ReadonlyArray<Machine.StoreRow>
  readonly entries: ReadonlyArray<ConfigModule.Entry>
  readonly skipped: Vector
  readonly event: EventLogModule.Event | undefined
  /** Who to answer. */
  readonly token: number | undefined
}

/** Where this node stands with a key it acts on. @since 0.1.0 @category models */
export interface Acting {
  readonly revision: string
  readonly status: "applying" | "applied" | "failed" | "rejected"
  readonly reason: string
  readonly since: number
  /** The record that lists it in this node's document, or null. */
  readonly slot: number | null
}

/** @since 0.1.0 @category models */
export interface State {
  readonly config: Config
  readonly rng: Rng.Rng
  readonly timers: Readonly<
    Record<Timer["_tag"], { readonly round: number; readonly due: Machine.Instant | undefined }>
  >
  readonly lastFlush: Machine.Instant
  /** When this node's own changes were last put on their way. */
  readonly lastOwn: Machine.Instant
  /** When the machine was started. */
  readonly madeAt: Machine.Instant
  readonly gate: LinkGate.LinkGate<Message>
  readonly links: HashMap.HashMap<Machine.LinkId, LinkState>
  readonly relays: Relays.Relays
  /** Beats of this node, as a relay. */
  readonly beats: number
  /** Documents to be announced not the next time but the time after, */
  readonly fresh: HashMap.HashMap<NodeId.NodeId, true>
  /** and the next time, to the neighbours that may lack something of them. */
  readonly due: HashMap.HashMap<NodeId.NodeId, true>
  /**
   * Documents that a neighbour was asked for: which version it announced, and when. `isAside`: it came, with a stamp that
   * must not be followed, and counts as asked for at the end of a term.
   */
  readonly asked: HashMap.HashMap<
    NodeId.NodeId,
    { readonly told: Known; readonly at: Machine.Instant; readonly isAside?: true }
  >
  /** Configuration entries that came with such stamps: until when they are not asked for, and their dots as one vector. */
  readonly aside: {
    readonly until: HashMap.HashMap<string, { readonly dot: ConfigModule.Dot; readonly at: Machine.Instant }>
    readonly vector: Vector
  }
  /** By node id, this node's own included. */
  readonly docs: HashMap.HashMap<NodeId.NodeId, NodeDoc>
  /** Changes with every change of `docs`: the same for the same set of versions. */
  readonly docsHash: number
  /** When each document last changed here. */
  readonly heard: HashMap.HashMap<NodeId.NodeId, Machine.Instant>
  readonly remembered: HashMap.HashMap<NodeId.NodeId, Remembered>
  /** Nodes whose row in the store is not up to date. */
  readonly unsaved: HashMap.HashMap<NodeId.NodeId, true>
  /** Rows of events, and of what fell out at a bound, for the next batch. */
  readonly unsavedRows: ReadonlyArray<Machine.StoreRow>
  readonly rememberDue: boolean
  /** The size of the fleet that was said last. */
  readonly toldSize: number
  /** Neighbours that this node lost; newest last. */
  readonly lost: ReadonlyArray<Lost>
  /** Those of `lost` that were lost while nobody knew what time it was. */
  readonly early: ReadonlyArray<NodeId.NodeId>
  readonly leaving: Stamp.Stamp | null
  readonly registers: Registers
  /** Of this node's own dots. */
  readonly generation: number
  readonly nextSeq: number
  /** Keys that hold a value. */
  readonly liveKeys: number
  /** Tokens of writes given out so far: from `firstToken` up to before `nextToken`. */
  readonly firstToken: number
  readonly nextToken: number
  readonly pending: HashMap.HashMap<number, Pending>
  /** Dots among `pending`. */
  readonly writing: Vector
  readonly patterns: ReadonlyArray<string>
  /** Keys that a local application reported on without a handler; newest last. */
  readonly reported: ReadonlyArray<string>
  readonly acting: HashMap.HashMap<string, Acting>
  /** Revision that the application is working on, by key. */
  readonly running: HashMap.HashMap<string, string>
  /** What was applied last, by key. */
  readonly applied: HashMap.HashMap<string, ConfigDocument>
  readonly freeSlots: ReadonlyArray<number>
  readonly unlisted: number
  readonly publishers: Publishers.Publishers
  readonly events: EventLog
  readonly nextEvent: number
  readonly outdated: number
  readonly counters: Readonly<Record<Counter, number>>
}

/**
 * What was dropped, refused, put aside or overflowed; and of deltas how many came, how many of them brought nothing new, and
 * how many documents had to be asked for.
 *
 * @since 0.1.0
 * @category models
 */
export type Counter =
  | "documentsRefused"
  | "digestsRefused"
  | "peersForgotten"
  | "recordsRefused"
  | "keysRefused"
  | "writersRefused"
  | "entriesMalformed"
  | "pendingOverflow"
  | "publishersRefused"
  | "publishersMalformed"
  | "eventsDropped"
  | "eventRowsOverflow"
  | "deltaGaps"
  | "deltasReceived"
  | "deltasRepeated"
  | "documentsPulled"
  | "documentsAside"
  | "entriesAside"
  | "asideOverflow"
  | "relaysRefused"
  | "appliedStale"
  | "rewritten"

/**
 * The facts as the store has them; everything else comes back from the neighbours. `wall` is now, in milliseconds since
 * 1970, and tells this run of the document from an earlier one of the same incarnation.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (config: Config, stored: Stored, rng: Rng.Rng, wall: number): State =>
  start.make(config, stored, rng, wall)

/**
 * The facts after a second crash: from the store, which must have every `Write` carried out so far, and from the
 * neighbours. `Handles` and the neighbour set must be said again.
 *
 * @since 0.1.0
 * @category constructors
 */
export const rebuild = make

/**
 * @since 0.1.0
 * @category running
 */
export const step = (state: State, input: Input): Machine.Step<State, Action> => {
  const turn = turns.begin(state, input)
  // Most events are frames, and there are others every second.
  if (input.event._tag !== "Received") timers.revive(turn)
  onEvent(turn, input.event)
  entries.tellStatus(turn)
  spread.settle(turn)
  return turns.end(turn)
}

const onEvent = (turn: Turn, event: Event): void => {
  switch (event._tag) {
    case "Started":
      return timers.started(turn)
    case "Neighbors":
      return sync.neighbors(turn, event.version, event.neighbors)
    case "NeighborDown":
      return own.neighborDown(turn, event.peer, event.cause, event.isEarly === true)
    case "Received":
      return sync.received(turn, event.link, event.message)
    case "LinkDown":
      return sync.linkDown(turn, event.link)
    case "Delivered":
      return event.isAside === true ? aside.delivered(turn, event.payload) : entries.delivered(turn, event.payload)
    case "Written":
      return entries.written(turn, event.token)
    case "TimerFired":
      return timers.fired(turn, event.timer)
    case "SetConfig":
      return entries.set(turn, event)
    case "RecordEvent":
      return events.record(turn, event)
    case "Published":
      return own.published(turn, event)
    case "Handles":
      return entries.handles(turn, event.patterns)
    case "Applied":
      return entries.applied(turn, event)
    case "Leave":
      return own.leave(turn)
    case "Restamp":
      return event.isEarly === true ? undefined : own.restamp(turn)
    case "LinkUp":
    case "LinkRefused":
      // The view manager opens links, and its neighbour set says which of them count.
      return
  }
}

/** @since 0.1.0 @category codec */
export const encode: (message: Message) => ReadonlyArray<unknown> = messages.encode

/** @since 0.1.0 @category codec */
export const decode: (input: unknown) => ReturnType<typeof messages.decode> = messages.decode

/**
 * The greatest stamp that a message brings. The shell merges it into the clock before it hands the message on, so what
 * this node records after having heard of another's fact sorts after it.
 *
 * @since 0.1.0
 */
export const stampsOf: (message: Message) => Stamp.Stamp | undefined = messages.stampsOf

/**
 * What may be handed on of a message, and the stamps of what may not: of each document with a stamp that is refused only the
 * version is left, of each configuration entry only the dot. The facts note both, so that they are not asked for again for
 * a minute, and take the rest.
 *
 * @since 0.1.0
 */
export const sift: (
  message: Message,
  isRefused: (stamp: Stamp.Stamp) => boolean
) => { readonly message: Message; readonly refused: ReadonlyArray<Stamp.Stamp> } = messages.sift

/** The stamp of a configuration entry as the broadcast tree delivers it. @since 0.1.0 */
export const stampOfPayload: (payload: unknown) => Stamp.Stamp | undefined = messages.stampOfPayload

/** Names of the rules that a state breaks; none, if all is well. @since 0.1.0 */
export const invariants: (state: State) => ReadonlyArray<string> = start.invariants

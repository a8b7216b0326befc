/**
 * The agent as its users see it: what an embedding Effect application, the HTTP API and the command line can ask and do.
 *
 * @since 0.1.0
 */
import type { Stamp } from "@starling/clock"
import type { Document } from "@starling/fleet"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"

/** Input that was refused: what was wrong, where, and what would be right. @since 0.1.0 @category errors */
export class InvalidInput extends Data.TaggedError("InvalidInput")<{
  readonly where: string
  readonly message: string
}> {}

/** The agent could not do it now: stopping, overloaded, or its component crashed before the request was stored. @since 0.1.0 @category errors */
export class Unavailable extends Data.TaggedError("Unavailable")<{ readonly message: string }> {}

/**
 * A stamp that was not followed, since it lies beyond what the fleet's time allows, or in an epoch that this node has not
 * heard of (after a reset, for a moment). What came with it should not be acted upon: what follows from it would be
 * stamped before it.
 *
 * @since 0.2.0
 * @category errors
 */
export class StampRefused extends Data.TaggedError("StampRefused")<{
  readonly stamp: Stamp.Stamp
  readonly message: string
}> {}

/** The agent cannot start, or cannot go on: what is wrong, and what to do next. @since 0.1.0 @category errors */
export class StartError extends Data.TaggedError("StartError")<{
  readonly message: string
  readonly next: string
}> {}

/** @since 0.1.0 @category models */
export interface Identity {
  readonly id: string
  readonly name: string
  readonly datacenter: string
  readonly fleet: string
  readonly incarnation: number
  /** Where peers dial this node, host:port. */
  readonly gossip: string
  readonly labels: Readonly<Record<string, string>>
}

/** A configuration change as an operator asks for it. @since 0.1.0 @category models */
export interface ConfigChange {
  readonly key: string
  readonly value: string
  /** Label selector; "" targets every node. */
  readonly selector: string
  readonly author: string
  readonly note: string
  /** `revert`: an older value on purpose, as the history then says. Default: `set`. */
  readonly operation?: "set" | "revert"
}

/** Something that publishes telemetry to this node. @since 0.1.0 @category models */
export interface Publication {
  readonly app: string
  readonly instance: string
  readonly signal: Document.Signal
  readonly labels: Readonly<Record<string, string>>
}

/** An event to be recorded at this node. @since 0.1.0 @category models */
export interface NewEvent {
  readonly app: string
  readonly severity: Document.Severity
  readonly body: string
  readonly attributes: Readonly<Record<string, string | number | boolean>>
}

/** @since 0.1.0 @category models */
export interface NodeFilter {
  readonly selector?: string
}

/** @since 0.1.0 @category models */
export interface PublisherFilter {
  readonly selector?: string
  readonly app?: string
  readonly state?: Document.PublisherState
}

/** @since 0.1.0 @category models */
export interface EventFilter {
  /** This severity and above. */
  readonly severity?: Document.Severity
  readonly app?: string
  readonly node?: string
  /** Not older than this many milliseconds. */
  readonly sinceMs?: number
  /** The newest so many; the answer runs oldest first. Default 100. */
  readonly limit?: number
}

/** @since 0.1.0 @category models */
export type Component = "view-manager" | "shuffler" | "broadcast-tree" | "lazy-push-repair" | "clock" | "facts"

/** @since 0.1.0 */
export const components: ReadonlyArray<Component> = [
  "view-manager",
  "shuffler",
  "broadcast-tree",
  "lazy-push-repair",
  "clock",
  "facts"
]

/** Where a crash on purpose strikes: before a step, after its commit, between two of its actions. @since 0.1.0 */
export type CrashPoint = "before" | "committed" | "acting"

/** A broadcast as it reaches the application: once for each id. @since 0.1.0 @category models */
export interface Delivery {
  /** Origin node id, incarnation and sequence: `a1b2c3d4e5f6.3.17`. */
  readonly id: string
  readonly payload: unknown
  /** How many broadcasts this subscriber lost right before this one, because it was 10,000 behind. */
  readonly lagged: number
}

/** A configuration entry that a handler is asked to act on. @since 0.1.0 @category models */
export interface ApplyRequest {
  readonly entry: Document.ConfigDocument
  readonly previous: Document.ConfigDocument | null
}

/** The handler could not act on the entry (`failed`), or will not (`rejected`). @since 0.1.0 @category errors */
export class ApplyError extends Data.TaggedError("ApplyError")<{
  readonly status: "failed" | "rejected"
  readonly reason: string
}> {}

/**
 * One supervised node.
 *
 * Every question is answered from this node's own copy of the facts, at once and without asking anybody.
 *
 * - `changes` signals (without content, coalesced) that an answer may differ from before.
 * - `setConfig`, `sendEvent` and `broadcast` return when what they made is durable on this node.
 * - `handleConfig` registers a handler for keys that match a pattern (`*` within a segment, `**` across segments) for as
 *   long as the scope is open; entries that target this node are handed to it, the newest of each key, one at a time.
 * - `deliveries` is a bounded subscription to application broadcasts; a subscriber that falls behind loses the oldest. The
 *   next one that it gets says how many (`Delivery.lagged`), and `delivered.lagged` counts what any of them lost.
 *
 * @since 0.1.0
 * @category services
 */
export class Agent extends Context.Service<
  Agent,
  {
    readonly identity: Identity
    readonly status: Effect.Effect<Document.Answer<Document.StatusDocument>>
    readonly nodes: (filter?: NodeFilter) => Effect.Effect<Document.Answer<Document.NodeDocument>, InvalidInput>
    readonly publishers: (
      filter?: PublisherFilter
    ) => Effect.Effect<Document.Answer<Document.PublisherDocument>, InvalidInput>
    readonly offline: Effect.Effect<Document.Answer<Document.OfflineDocument>>
    readonly events: (filter?: EventFilter) => Effect.Effect<Document.Answer<Document.EventDocument>, InvalidInput>
    readonly config: Effect.Effect<Document.Answer<Document.ConfigDocument>>
    /** Undefined when nothing is stored under the key. */
    readonly configEntry: (key: string) => Effect.Effect<Document.ConfigDocument | undefined>
    readonly configHistory: (key: string) => Effect.Effect<Document.Answer<Document.ConfigDocument>>
    readonly rollout: (key: string) => Effect.Effect<Document.RolloutDocument | undefined>
    readonly peers: Effect.Effect<Document.Answer<Document.PeerDocument>>
    readonly tree: Effect.Effect<Document.Answer<Document.TreeDocument>>
    /** What this node's clock is worth. */
    readonly clock: Effect.Effect<Document.Answer<Document.ClockDocument>>
    /**
     * Leaves epoch `expected` for the next one, which begins with the fleet's time or with `wall` (milliseconds since
     * 1970; at the latest some seconds after the time that this node stamps by), and returns its number. Refused where the epoch is another by now, or where the fleet does not agree on a
     * time and none is given.
     */
    readonly resetClock: (expected: number, wall?: number) => Effect.Effect<number, InvalidInput | Unavailable>
    /**
     * A fresh stamp for what the application says or does: later than every stamp that this run of the node has given or
     * followed. Waits while the node does not know what time it is, some seconds after its start; 10 s at most.
     */
    readonly stamp: Effect.Effect<Stamp.Stamp, Unavailable>
    /**
     * Follows the stamp of what the application has received, so that whatever is stamped from now on sorts after it. Who
     * sent it is no member: it never begins an epoch, and never moves the clock beyond the guard, whatever the policy.
     */
    readonly observe: (stamp: Stamp.Stamp) => Effect.Effect<void, StampRefused | Unavailable>
    readonly view: Effect.Effect<Document.View>
    readonly changes: Stream.Stream<void>

    readonly setConfig: (change: ConfigChange) => Effect.Effect<Document.ConfigDocument, InvalidInput | Unavailable>
    readonly deleteConfig: (
      key: string,
      author: string,
      note: string
    ) => Effect.Effect<Document.ConfigDocument, InvalidInput | Unavailable>
    readonly sendEvent: (event: NewEvent) => Effect.Effect<Document.EventDocument, InvalidInput | Unavailable>
    readonly published: (publication: Publication) => Effect.Effect<void, InvalidInput>
    /** `ordered`: at every node it is handed out after the ordered broadcast of this node before it. */
    readonly broadcast: (
      payload: unknown,
      options?: { readonly ordered?: boolean }
    ) => Effect.Effect<string, InvalidInput | Unavailable>
    readonly deliveries: Effect.Effect<Stream.Stream<Delivery>, never, Scope.Scope>
    /** How many application broadcasts reached this node, by origin node id; duplicates must stay 0. */
    readonly delivered: Effect.Effect<{
      readonly total: number
      readonly duplicates: number
      readonly lagged: number
      readonly byOrigin: Readonly<Record<string, number>>
    }>
    readonly handleConfig: <R>(
      pattern: string,
      apply: (request: ApplyRequest) => Effect.Effect<void, ApplyError, R>
    ) => Effect.Effect<void, InvalidInput, R | Scope.Scope>
    /** Status of an entry as reported by a local application over the API. */
    readonly reportConfig: (
      key: string,
      revision: string,
      status: "applied" | "applying" | "failed" | "rejected",
      reason: string
    ) => Effect.Effect<void, InvalidInput | Unavailable>

    readonly crash: (component: Component, at?: CrashPoint) => Effect.Effect<CrashPoint, InvalidInput | Unavailable>
    /**
     * Loses every frame to and from that data centre, until it is healed or the agent stops. Only this node is cut: a
     * partition is made at each node of one side. Returns all data centres that this node is cut from.
     */
    readonly cut: (datacenter: string) => Effect.Effect<ReadonlyArray<string>, InvalidInput>
    /** Of one data centre, or of all. Returns those that this node is still cut from. */
    readonly heal: (datacenter?: string) => Effect.Effect<ReadonlyArray<string>, InvalidInput>
    /** Numbers of what was dropped, refused or overflowed, by name, for `/metrics`. */
    readonly counters: Effect.Effect<Readonly<Record<string, number>>>
    /**
     * What should hold of each component's state after every step, and does not; empty in a sound agent. It reads all of
     * their state, so it is for tests and for whoever suspects something.
     */
    readonly invariants: Effect.Effect<ReadonlyArray<string>>
    /**
     * What its components disagree on; undefined while something is on its way between them: ask again. For tests, as
     * `invariants`.
     */
    readonly disagreements: Effect.Effect<ReadonlyArray<string> | undefined>
    /** Fails when the agent cannot go on: refused by its fleet for good, or given up by its supervisor. Whoever runs it looks. */
    readonly died: Effect.Effect<never, StartError>
    /** Says goodbye to the fleet; the process may end when it returns. */
    readonly leave: Effect.Effect<void>
  }
>()("@starling/agent/Agent") {}

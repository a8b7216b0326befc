/**
 * The documents of `fleet` as schemas: what the HTTP API says, and what its clients read.
 *
 * Every schema is checked by the compiler against the interface it describes, in both directions: a field that is
 * missing here or there does not build.
 *
 * @since 0.1.0
 */
import type * as Agent from "@starling/agent/Agent"
import type { Document } from "@starling/fleet"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import * as SchemaTransformation from "effect/SchemaTransformation"

/** `S` when its type and `A` are the same type, else nothing. */
type Describes<A, S extends Schema.Constraint> = [S["Type"]] extends [A] ? ([A] extends [S["Type"]] ? S : never) : never

const describes =
  <A>() =>
  <S extends Schema.Constraint>(schema: S & Describes<A, S>): S =>
    schema

/** @since 0.1.0 @category documents */
export const Severity = describes<Document.Severity>()(
  Schema.Literals(["trace", "debug", "info", "warn", "error", "fatal"])
)

/** @since 0.1.0 @category documents */
export const Signal = describes<Document.Signal>()(Schema.Literals(["metrics", "logs", "traces"]))

/** @since 0.1.0 @category documents */
export const NodeState = describes<Document.NodeState>()(
  Schema.Literals(["alive", "suspect", "offline", "unreachable", "left", "missing", "forgotten", "unexpected"])
)

/** @since 0.1.0 @category documents */
export const PublisherState = describes<Document.PublisherState>()(
  Schema.Literals(["fresh", "stale", "stopped", "unknown"])
)

/** @since 0.1.0 @category documents */
export const DatacenterView = describes<Document.DatacenterView>()(
  Schema.Struct({
    datacenter: Schema.String,
    nodes: Schema.Finite,
    alive: Schema.Finite,
    state: Schema.Literals(["healthy", "degraded", "unreachable"]),
    lastHeardSeconds: Schema.Finite
  })
)

/** @since 0.1.0 @category documents */
export const View = describes<Document.View>()(
  Schema.Struct({
    node: Schema.String,
    nodeId: Schema.String,
    at: Schema.String,
    complete: Schema.Boolean,
    datacenters: Schema.Array(DatacenterView)
  })
)

/** `{ view, items }`: no answer comes without saying how much of the fleet it covers. @since 0.1.0 @category documents */
export const Answer = <Item extends Schema.Constraint>(item: Item) =>
  Schema.Struct({ view: View, items: Schema.Array(item) })

/** @since 0.1.0 @category documents */
export const Evidence = describes<Document.Evidence>()(
  Schema.Struct({
    by: Schema.String,
    cause: Schema.Literals(["closed", "refused", "timeout", "left"]),
    at: Schema.String
  })
)

const Labels = Schema.Record(Schema.String, Schema.String)

/** @since 0.1.0 @category documents */
export const NodeDocument = describes<Document.NodeDocument>()(
  Schema.Struct({
    id: Schema.String,
    name: Schema.String,
    datacenter: Schema.String,
    state: NodeState,
    incarnation: Schema.Finite,
    address: Schema.String,
    labels: Labels,
    since: Schema.String,
    evidence: Schema.Array(Evidence)
  })
)

/** @since 0.1.0 @category documents */
export const PublisherDocument = describes<Document.PublisherDocument>()(
  Schema.Struct({
    app: Schema.String,
    instance: Schema.String,
    node: Schema.String,
    nodeId: Schema.String,
    datacenter: Schema.String,
    signals: Schema.Array(Signal),
    state: PublisherState,
    lastPublish: Schema.String,
    ttlSeconds: Schema.Finite,
    labels: Labels
  })
)

/** @since 0.1.0 @category documents */
export const OfflineDocument = describes<Document.OfflineDocument>()(
  Schema.Union([
    Schema.Struct({ kind: Schema.Literal("node"), ...NodeDocument.fields }),
    Schema.Struct({ kind: Schema.Literal("publisher"), ...PublisherDocument.fields })
  ])
)

/** @since 0.1.0 @category documents */
export const Attributes = Schema.Record(Schema.String, Schema.Union([Schema.String, Schema.Finite, Schema.Boolean]))

/** @since 0.1.0 @category documents */
export const EventDocument = describes<Document.EventDocument>()(
  Schema.Struct({
    id: Schema.String,
    at: Schema.String,
    wall: Schema.String,
    node: Schema.String,
    nodeId: Schema.String,
    datacenter: Schema.String,
    app: Schema.String,
    severity: Severity,
    body: Schema.String,
    attributes: Attributes,
    relation: Schema.Literals(["after", "by-clock", "unknown"])
  })
)

/** @since 0.1.0 @category documents */
export const ConfigDocument = describes<Document.ConfigDocument>()(
  Schema.Struct({
    key: Schema.String,
    value: Schema.String,
    revision: Schema.String,
    selector: Schema.String,
    author: Schema.String,
    note: Schema.String,
    writtenAt: Schema.String,
    operation: Schema.Literals(["set", "delete", "revert"])
  })
)

/** @since 0.1.0 @category documents */
export const RolloutStatus = describes<Document.RolloutStatus>()(
  Schema.Literals([
    "applied",
    "applying",
    "failed",
    "rejected",
    "held",
    "received",
    "not-received",
    "offline",
    "unreachable",
    "superseded",
    "silent",
    "drifted"
  ])
)

/** @since 0.1.0 @category documents */
export const RolloutNode = describes<Document.RolloutNode>()(
  Schema.Struct({
    node: Schema.String,
    nodeId: Schema.String,
    datacenter: Schema.String,
    status: RolloutStatus,
    reason: Schema.String,
    since: Schema.String
  })
)

/** @since 0.1.0 @category documents */
export const RolloutDocument = describes<Document.RolloutDocument>()(
  Schema.Struct({
    key: Schema.String,
    revision: Schema.String,
    targeted: Schema.Finite,
    received: Schema.Finite,
    applied: Schema.Finite,
    failed: Schema.Finite,
    rejected: Schema.Finite,
    pending: Schema.Finite,
    converged: Schema.Boolean,
    nodes: Schema.Array(RolloutNode)
  })
)

/** @since 0.1.0 @category documents */
export const PeerDocument = describes<Document.PeerDocument>()(
  Schema.Struct({
    name: Schema.String,
    id: Schema.String,
    address: Schema.String,
    datacenter: Schema.String,
    view: Schema.Literals(["active", "passive"]),
    linkId: Schema.NullOr(Schema.Finite),
    rttMs: Schema.NullOr(Schema.Finite),
    queueBytes: Schema.Finite,
    eagerRoots: Schema.Finite,
    lazyRoots: Schema.Finite
  })
)

/** @since 0.1.0 @category documents */
export const ClockDocument = describes<Document.ClockDocument>()(
  Schema.Struct({
    node: Schema.String,
    nodeId: Schema.String,
    state: Schema.Literals(["probation", "clockless", "ok", "degraded", "behind", "own"]),
    epoch: Schema.Finite,
    offsetMs: Schema.NullOr(Schema.Finite),
    wall: Schema.NullOr(Schema.String),
    population: Schema.NullOr(Schema.String),
    settled: Schema.Boolean,
    votes: Schema.Finite,
    need: Schema.Finite,
    policy: Schema.Literals(["refuse", "accept"]),
    held: Schema.Finite,
    refused: Schema.Finite,
    lastRefused: Schema.NullOr(Schema.String),
    poisonedMs: Schema.NullOr(Schema.Finite),
    highWater: Schema.NullOr(Schema.String),
    histogram: Schema.Array(
      Schema.Struct({
        fromMs: Schema.NullOr(Schema.Finite),
        toMs: Schema.NullOr(Schema.Finite),
        count: Schema.Finite
      })
    ),
    outliers: Schema.Array(Schema.Struct({ node: Schema.String, nodeId: Schema.String, offsetMs: Schema.Finite }))
  })
)

/** @since 0.1.0 @category documents */
export const TreeDocument = describes<Document.TreeDocument>()(
  Schema.Struct({
    path: Schema.String,
    type: Schema.Literals(["supervisor", "worker"]),
    strategy: Schema.NullOr(Schema.String),
    state: Schema.Literals(["running", "restarting", "stopped"]),
    restarts: Schema.Finite,
    lastReason: Schema.NullOr(Schema.String),
    mailbox: Schema.Finite,
    handled: Schema.Finite,
    uptimeSeconds: Schema.Finite
  })
)

/** @since 0.1.0 @category documents */
export const Problem = describes<Document.Problem>()(
  Schema.Struct({ what: Schema.String, where: Schema.String, next: Schema.String })
)

/** @since 0.1.0 @category documents */
export const StatusDocument = describes<Document.StatusDocument>()(
  Schema.Struct({
    node: Schema.String,
    nodeId: Schema.String,
    datacenter: Schema.String,
    fleet: Schema.String,
    version: Schema.String,
    incarnation: Schema.Finite,
    uptimeSeconds: Schema.Finite,
    counts: Schema.Record(NodeState, Schema.Finite),
    publishers: Schema.Record(PublisherState, Schema.Finite),
    configKeys: Schema.Finite,
    events: Schema.Finite,
    health: Schema.Literals(["ok", "degraded"]),
    problems: Schema.Array(Problem)
  })
)

/** @since 0.1.0 @category documents */
export const Component = describes<Agent.Component>()(
  Schema.Literals(["view-manager", "shuffler", "broadcast-tree", "lazy-push-repair", "clock", "facts"])
)

/** @since 0.1.0 @category documents */
export const CrashPoint = describes<Agent.CrashPoint>()(Schema.Literals(["before", "committed", "acting"]))

/** How a change stands: the exit codes 0, 2, 3 and 4 of the command line, in this order. @since 0.1.0 @category documents */
export const Outcome = Schema.Literals(["converged", "failed", "pending", "incomplete"])

/** @since 0.1.0 @category documents */
export type Outcome = typeof Outcome.Type

/** What a change is waited for: that every target holds it, or that something on every target acted on it. @since 0.1.0 @category documents */
export const Wait = Schema.Literals(["received", "applied"])

/** @since 0.1.0 @category documents */
export type Wait = typeof Wait.Type

/**
 * The answer to a change: the rollout, how it stands and why. The fields of the rollout stand both in `items`, as in
 * every answer, and beside `outcome`, where whoever asked for the change looks first.
 *
 * @since 0.1.0
 * @category documents
 */
export const ChangeAnswer = Schema.Struct({
  ...RolloutDocument.fields,
  outcome: Outcome,
  /** What was waited for; null when the answer came as soon as the change was stored. */
  wait: Schema.NullOr(Wait),
  /** Why it is not (yet) converged; empty when it is. */
  reason: Schema.String,
  view: View,
  items: Schema.Array(RolloutDocument)
})

/** @since 0.1.0 @category documents */
export type ChangeAnswer = typeof ChangeAnswer.Type

/** An answer of one item whose fields also stand beside `items`, as those of a change do. */
const alone = <Fields extends Schema.Struct.Fields>(fields: Fields) =>
  Schema.Struct({ ...fields, view: View, items: Schema.Array(Schema.Struct(fields)) })

/** @since 0.1.0 @category documents */
export const Crashed = alone({ component: Component, at: CrashPoint })

/** @since 0.1.0 @category documents */
export type Crashed = typeof Crashed.Type

/** @since 0.1.0 @category documents */
export const Broadcasts = alone({ count: Schema.Int, ids: Schema.Array(Schema.String) })

/** @since 0.1.0 @category documents */
export type Broadcasts = typeof Broadcasts.Type

/** Data centres that the node is cut from on purpose. @since 0.1.0 @category documents */
export const Cuts = alone({ cut: Schema.Array(Schema.String) })

/** @since 0.1.0 @category documents */
export type Cuts = typeof Cuts.Type

/** @since 0.1.0 @category documents */
export const Delivered = alone({
  total: Schema.Finite,
  duplicates: Schema.Finite,
  lagged: Schema.Finite,
  byOrigin: Schema.Record(Schema.String, Schema.Finite)
})

/** @since 0.1.0 @category documents */
export type Delivered = typeof Delivered.Type

/** What can be watched. @since 0.1.0 @category watch */
export const Resource = Schema.Literals(["nodes", "publishers", "offline", "config", "events"])

/** @since 0.1.0 @category watch */
export type Resource = typeof Resource.Type

const change = <const Name extends Resource, Item extends Schema.Constraint>(resource: Name, item: Item) =>
  Schema.Struct({
    resource: Schema.Literal(resource),
    /** `snapshot`: everything there is. `change`: what is new or different since the message before. */
    kind: Schema.Literals(["snapshot", "change"]),
    view: View,
    items: Schema.Array(item),
    /** Of a `change`: what is gone, by id; a publisher's is `node id/app/instance`. */
    removed: Schema.Array(Schema.String)
  })

/** @since 0.1.0 @category watch */
export const Heartbeat = Schema.Struct({
  resource: Schema.Literal("heartbeat"),
  kind: Schema.Literal("heartbeat"),
  view: View
})

/**
 * One message of a watch: a snapshot of each resource first, then what changes, and a heartbeat when nothing does.
 *
 * @since 0.1.0
 * @category watch
 */
export const WatchMessage = Schema.Union([
  change("nodes", NodeDocument),
  change("publishers", PublisherDocument),
  change("offline", OfflineDocument),
  change("config", ConfigDocument),
  change("events", EventDocument),
  Heartbeat
])

/** @since 0.1.0 @category watch */
export type WatchMessage = typeof WatchMessage.Type

const unitsMs = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const

const isUnit = (text: string): text is keyof typeof unitsMs => Object.hasOwn(unitsMs, text)

/** `250ms`, `10s`, `5m`, `1h`, `7d` in milliseconds, or undefined. @since 0.1.0 @category durations */
export const parseDuration = (text: string): number | undefined => {
  const match = /^(\d{1,12})(ms|s|m|h|d)$/.exec(text)
  const unit = match?.[2]
  return match === null || unit === undefined || !isUnit(unit) ? undefined : Number(match[1]) * unitsMs[unit]
}

/** Milliseconds, written `250ms`, `10s`, `5m`, `1h` or `7d`. @since 0.1.0 @category durations */
export const Duration = Schema.String.annotate({
  description: "a duration: 250ms, 10s, 5m, 1h, 7d",
  examples: ["10s"]
}).pipe(
  Schema.decodeTo(
    Schema.Finite,
    SchemaTransformation.transformEffect({
      decode: (text: string, options) => {
        const ms = parseDuration(text)
        return ms === undefined
          ? Effect.fail(
              new SchemaIssue.InvalidValue(
                { message: "Expected a duration such as 250ms, 10s, 5m, 1h, 7d" },
                text,
                options
              )
            )
          : Effect.succeed(ms)
      },
      encode: (ms: number) => Effect.succeed(`${Math.round(ms)}ms`)
    })
  )
)

/** A comma-separated list of resources. @since 0.1.0 @category watch */
export const Resources = Schema.String.annotate({
  description: "comma-separated: nodes, publishers, offline, config, events",
  examples: ["nodes,config"]
}).pipe(
  Schema.decodeTo(
    Schema.Array(Resource).check(Schema.isMinLength(1)),
    SchemaTransformation.transform({
      decode: (text: string) => text.split(",").map((part) => part.trim()) as ReadonlyArray<Resource>,
      encode: (list: ReadonlyArray<Resource>) => list.join(",")
    })
  )
)

/**
 * The HTTP API of an agent as data: paths, parameters, documents and problems. Server, typed client and OpenAPI document
 * are all derived from it.
 *
 * Whoever mistypes a parameter is told so: unknown query parameters and unknown fields of a body are refused, because a
 * misspelt `selector` that is ignored would change every node.
 *
 * @since 0.1.0
 */
import * as HttpApi from "effect/http-api/HttpApi"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpApiMiddleware from "effect/http-api/HttpApiMiddleware"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as Sse from "effect/encoding/Sse"
import * as Schema from "effect/Schema"
import * as Problems from "./Problems.ts"
import * as Schemas from "./Schemas.ts"

/** Renders a request that does not decode as a problem that names the part at fault. @since 0.1.0 @category middleware */
export class DecodingProblems extends HttpApiMiddleware.Service<DecodingProblems>()("@starling/api/DecodingProblems", {
  error: [Problems.InvalidInput, Problems.Internal]
}) {}

/** Longest wait of one change, and longest life of a subscription between two messages. Our choice: an hour. @since 0.1.0 */
export const waitMsMax = 3_600_000

/** How long a change waits when nothing is said. Our choice, as the command line's. @since 0.1.0 */
export const waitMsDefault = 10_000

/** Most events of one answer. Our choice. @since 0.1.0 */
export const eventsMax = 10_000

/** Most broadcasts of one debug request. Our choice. @since 0.1.0 */
export const broadcastsMax = 10_000

const Key = { key: Schema.String }

const Selector = Schema.String.check(Schema.isMaxLength(4096))

const Text = (lengthMax: number) => Schema.String.check(Schema.isMaxLength(lengthMax))

const count = (maximum: number) => Schema.Int.check(Schema.isBetween({ minimum: 1, maximum }))

const WaitDuration = Schemas.Duration.check(Schema.isLessThanOrEqualTo(waitMsMax))

/** Body of a change. @since 0.1.0 @category models */
export const ConfigChange = Schema.Struct({
  value: Schema.String,
  /** Label selector; empty or absent targets every node. */
  selector: Schema.optionalKey(Selector),
  note: Schema.optionalKey(Text(1024)),
  author: Schema.optionalKey(Text(256)),
  /** `revert` says in the history that an older value is meant to be back; default: `set`. */
  operation: Schema.optionalKey(Schema.Literals(["set", "revert"]))
})

/** Body of an event. @since 0.1.0 @category models */
export const NewEvent = Schema.Struct({
  /** Default: `operator`. */
  app: Schema.optionalKey(Text(256)),
  /** Default: `info`. */
  severity: Schema.optionalKey(Schemas.Severity),
  body: Schema.String,
  attributes: Schema.optionalKey(Schemas.Attributes)
})

/** Body of a reset of the clock. @since 0.1.0 @category models */
export const ClockReset = Schema.Struct({
  /** The epoch to leave: two operators who leave the same one end in one new one. */
  epoch: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 65_535 })),
  /** Milliseconds since 1970 to begin the next one with; default: the fleet's time. */
  wall: Schema.optionalKey(Schema.Int)
})

/** What an application says about an entry it acted on. @since 0.1.0 @category models */
export const ConfigStatus = Schema.Struct({
  revision: Text(256),
  status: Schema.Literals(["applied", "applying", "failed", "rejected"]),
  reason: Schema.optionalKey(Text(1024))
})

/** What can be asked of a watch. @since 0.1.0 @category models */
export const WatchQuery = {
  resource: Schemas.Resources,
  /** Only configuration that targets the node that answers: what a local application has to act on. */
  here: Schema.optionalKey(Schema.Literals(["true", "false"])),
  /** Stamp of the last event that was seen; the snapshot of events begins after it. */
  after: Schema.optionalKey(Text(256))
}

const fleet = HttpApiGroup.make("fleet").add(
  HttpApiEndpoint.get("status", "/v1/status", { success: Schemas.Answer(Schemas.StatusDocument) }),
  HttpApiEndpoint.get("nodes", "/v1/nodes", {
    query: { selector: Schema.optionalKey(Selector) },
    success: Schemas.Answer(Schemas.NodeDocument),
    error: Problems.InvalidInput
  }),
  HttpApiEndpoint.get("publishers", "/v1/publishers", {
    query: {
      selector: Schema.optionalKey(Selector),
      app: Schema.optionalKey(Schema.String),
      state: Schema.optionalKey(Schemas.PublisherState)
    },
    success: Schemas.Answer(Schemas.PublisherDocument),
    error: Problems.InvalidInput
  }),
  HttpApiEndpoint.get("offline", "/v1/offline", { success: Schemas.Answer(Schemas.OfflineDocument) }),
  HttpApiEndpoint.get("events", "/v1/events", {
    query: {
      severity: Schema.optionalKey(Schemas.Severity),
      app: Schema.optionalKey(Schema.String),
      node: Schema.optionalKey(Schema.String),
      since: Schema.optionalKey(Schemas.Duration),
      limit: Schema.optionalKey(count(eventsMax))
    },
    success: Schemas.Answer(Schemas.EventDocument),
    error: Problems.InvalidInput
  }),
  HttpApiEndpoint.post("sendEvent", "/v1/events", {
    payload: NewEvent,
    success: Schemas.Answer(Schemas.EventDocument),
    error: [Problems.InvalidInput, Problems.Unavailable]
  }),
  HttpApiEndpoint.get("peers", "/v1/peers", { success: Schemas.Answer(Schemas.PeerDocument) }),
  HttpApiEndpoint.get("tree", "/v1/tree", { success: Schemas.Answer(Schemas.TreeDocument) }),
  HttpApiEndpoint.get("clock", "/v1/clock", { success: Schemas.Answer(Schemas.ClockDocument) }),
  HttpApiEndpoint.post("resetClock", "/v1/clock/reset", {
    payload: ClockReset,
    success: Schemas.Answer(Schemas.ClockDocument),
    error: [Problems.InvalidInput, Problems.Unavailable]
  })
)

/** A key is one percent-encoded segment: `sampling%2Frate`. */
const config = HttpApiGroup.make("config").add(
  HttpApiEndpoint.get("list", "/v1/config", { success: Schemas.Answer(Schemas.ConfigDocument) }),
  HttpApiEndpoint.get("get", "/v1/config/:key", {
    params: Key,
    success: Schemas.Answer(Schemas.ConfigDocument),
    error: Problems.NotFound
  }),
  HttpApiEndpoint.get("history", "/v1/config/:key/history", {
    params: Key,
    success: Schemas.Answer(Schemas.ConfigDocument),
    error: Problems.NotFound
  }),
  HttpApiEndpoint.get("rollout", "/v1/config/:key/rollout", {
    params: Key,
    success: Schemas.Answer(Schemas.RolloutDocument),
    error: Problems.NotFound
  }),
  HttpApiEndpoint.put("set", "/v1/config/:key", {
    params: Key,
    query: { wait: Schema.optionalKey(Schemas.Wait), timeout: Schema.optionalKey(WaitDuration) },
    payload: ConfigChange,
    success: Schemas.ChangeAnswer,
    error: [Problems.InvalidInput, Problems.Unavailable]
  }),
  HttpApiEndpoint.delete("delete", "/v1/config/:key", {
    params: Key,
    query: { author: Schema.optionalKey(Text(256)), note: Schema.optionalKey(Text(1024)) },
    success: Schemas.Answer(Schemas.ConfigDocument),
    error: [Problems.InvalidInput, Problems.NotFound, Problems.Unavailable]
  }),
  HttpApiEndpoint.post("report", "/v1/config/:key/status", {
    params: Key,
    payload: ConfigStatus,
    success: HttpApiSchema.NoContent,
    error: [Problems.InvalidInput, Problems.Unavailable]
  })
)

const Datacenter = Schema.NonEmptyString.check(Schema.isMaxLength(255))

const debug = HttpApiGroup.make("debug").add(
  HttpApiEndpoint.post("crash", "/v1/debug/crash", {
    payload: Schema.Struct({ component: Schemas.Component, at: Schema.optionalKey(Schemas.CrashPoint) }),
    success: Schemas.Crashed,
    error: [Problems.InvalidInput, Problems.NotAllowed, Problems.Unavailable]
  }),
  HttpApiEndpoint.post("broadcast", "/v1/debug/broadcast", {
    payload: Schema.Struct({ count: Schema.optionalKey(count(broadcastsMax)) }),
    success: Schemas.Broadcasts,
    error: [Problems.InvalidInput, Problems.NotAllowed, Problems.Unavailable]
  }),
  HttpApiEndpoint.get("delivered", "/v1/debug/delivered", {
    success: Schemas.Delivered,
    error: Problems.NotAllowed
  }),
  HttpApiEndpoint.post("cut", "/v1/debug/cut", {
    payload: Schema.Struct({ datacenter: Datacenter }),
    success: Schemas.Cuts,
    error: [Problems.InvalidInput, Problems.NotAllowed]
  }),
  HttpApiEndpoint.post("heal", "/v1/debug/heal", {
    payload: Schema.Struct({ datacenter: Schema.optionalKey(Datacenter) }),
    success: Schemas.Cuts,
    error: [Problems.InvalidInput, Problems.NotAllowed]
  })
)

/** `id` is the stamp of the last event of the message, where there is one: what `Last-Event-ID` resumes after. */
const WatchEvent = Schema.Struct({ ...Sse.EventEncoded.fields, data: Schema.fromJsonString(Schemas.WatchMessage) })

const watch = HttpApiGroup.make("watch").add(
  HttpApiEndpoint.get("sse", "/v1/watch", {
    query: WatchQuery,
    success: HttpApiSchema.StreamSse({ events: WatchEvent }),
    error: [Problems.InvalidInput, Problems.Unavailable]
  }),
  HttpApiEndpoint.get("ndjson", "/v1/watch.ndjson", {
    query: WatchQuery,
    success: HttpApiSchema.StreamNdjson({ schema: Schemas.WatchMessage, maxElementBytes: "64 MiB" }),
    error: [Problems.InvalidInput, Problems.Unavailable]
  })
)

/** @since 0.1.0 @category api */
export const Api = HttpApi.make("starling")
  .add(fleet, config, debug, watch)
  .middleware(DecodingProblems)
  .annotate(HttpApi.QueryParseOptions, { onExcessProperty: "error", errors: "all" })
  .annotate(HttpApi.PayloadParseOptions, { onExcessProperty: "error", errors: "all" })

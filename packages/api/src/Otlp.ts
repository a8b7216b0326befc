/**
 * The OTLP/HTTP intake: whatever speaks OpenTelemetry is a publisher, unchanged.
 *
 * `POST /v1/metrics`, `/v1/logs` and `/v1/traces`, as JSON or protobuf, plain or gzip. A node takes from a request who
 * publishes and which log records are errors; the telemetry itself is not kept. By the OTLP specification 1.x: bad data is
 * a 400 that must not be sent again, an agent that cannot take it now a 503 with `Retry-After`, what was taken in part a
 * 200 with `partialSuccess`; errors are `google.rpc.Status` in the encoding of the request.
 *
 * @since 0.1.0
 */
import * as Agent from "@starling/agent/Agent"
import type { Document } from "@starling/fleet"
import * as Codec from "@starling/machine/Codec"
import * as ByteSize from "effect/ByteSize"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as HttpIncomingMessage from "effect/http/HttpIncomingMessage"
import * as HttpMiddleware from "effect/http/HttpMiddleware"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerError from "effect/http/HttpServerError"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Result from "effect/Result"
import * as Counters from "./Counters.ts"
import { refuseBrowser } from "./internal/guard.ts"
import * as Read from "./internal/otlp.ts"
import * as Protobuf from "./internal/protobuf.ts"
import * as Utf8 from "./internal/utf8.ts"

/** @since 0.1.0 @category models */
export interface Options {
  /** Names besides `localhost` under which this intake may be asked; addresses always may. Default: none. */
  readonly allowedHosts?: ReadonlyArray<string>
}

/** @since 0.1.0 @category models */
export type Encoding = "json" | "protobuf"

/** One resource of a request: who publishes, how many items it brought, and its error records. @since 0.1.0 @category models */
export type Source = Read.Source

/** Largest request, after decompression. Our choice, as the OpenTelemetry Collector's order of magnitude. @since 0.1.0 */
export const bodyBytesMax = ByteSize.mebibytes(16)

/** Most events that one request may record; the other error records are rejected. Our choice. @since 0.1.0 */
export const eventsPerRequestMax = 1000

/** Events recorded at once; they begin in the order of the request. Our choice. */
const eventsAtOnce = 16

/** When a client should come again, seconds. Our choice. */
const retryAfterSeconds = "1"

const roots = { metrics: "Metrics", logs: "Logs", traces: "Traces" } as const

/**
 * Protobuf to the OTLP/JSON shape: camel-case names, 64-bit numbers as text, ids as hex. Never throws.
 *
 * @since 0.1.0
 * @category decoding
 */
export const decodeProtobuf = (signal: Document.Signal, bytes: Uint8Array): Codec.Decoded<Record<string, unknown>> =>
  Protobuf.decode(roots[signal], bytes)

/** @since 0.1.0 @category decoding */
export const decodeJson = (bytes: Uint8Array): Codec.Decoded<unknown> => {
  const text = Utf8.decode(bytes)
  if (text === undefined) return Codec.refuse("the body is not UTF-8")
  try {
    return Codec.accept(JSON.parse(text))
  } catch (error) {
    return Codec.refuse(`the body is not JSON: ${error instanceof Error ? error.message.slice(0, 200) : "malformed"}`)
  }
}

/** What a node takes from a request of either encoding. Never throws. @since 0.1.0 @category decoding */
export const decode = (
  signal: Document.Signal,
  encoding: Encoding,
  bytes: Uint8Array
): Codec.Decoded<ReadonlyArray<Source>> => {
  const shape = encoding === "json" ? decodeJson(bytes) : decodeProtobuf(signal, bytes)
  return shape.ok ? Read.read(signal, shape.value) : shape
}

/** Codes of `google.rpc.Status`. */
const rpc = { invalid: 3, permission: 7, notFound: 5, exhausted: 8, unimplemented: 12, internal: 13, unavailable: 14 }

const mediaOf: Record<Encoding, string> = { json: "application/json", protobuf: "application/x-protobuf" }

const encodingOf = (request: HttpServerRequest.HttpServerRequest): Encoding | undefined => {
  const media = (request.headers["content-type"] ?? "").split(";")[0]?.trim().toLowerCase()
  return media === "application/json" ? "json" : media === "application/x-protobuf" ? "protobuf" : undefined
}

/** An error in the encoding of the request; JSON when that is unknown. */
const failure = (
  encoding: Encoding | undefined,
  status: number,
  code: number,
  message: string,
  headers: Readonly<Record<string, string>> = {}
): HttpServerResponse.HttpServerResponse =>
  encoding === "protobuf"
    ? HttpServerResponse.uint8Array(Protobuf.encodeStatus(code, message), {
        status,
        contentType: mediaOf.protobuf,
        headers
      })
    : HttpServerResponse.jsonUnsafe({ code, message }, { status, headers })

const rejectedNames = { metrics: "rejectedDataPoints", logs: "rejectedLogRecords", traces: "rejectedSpans" } as const

const accepted = (
  signal: Document.Signal,
  encoding: Encoding,
  rejected: number,
  message: string
): HttpServerResponse.HttpServerResponse => {
  if (encoding === "protobuf") {
    return HttpServerResponse.uint8Array(Protobuf.encodePartialSuccess(rejected, message), {
      contentType: mediaOf.protobuf
    })
  }
  const partialSuccess = { [rejectedNames[signal]]: String(rejected), errorMessage: message }
  return HttpServerResponse.jsonUnsafe(rejected === 0 && message === "" ? {} : { partialSuccess })
}

/** The intake's routes and their guard: a layer of its own router, for its own port. @since 0.1.0 @category layers */
export const routes = ({ allowedHosts = [] }: Options = {}) =>
  HttpRouter.use(
    Effect.fnUntraced(function* (router) {
      const agent = yield* Agent.Agent
      const counters = yield* Counters.Counters
      for (const signal of ["metrics", "logs", "traces"] as const) {
        yield* router.add("POST", `/v1/${signal}`, take(agent, counters, signal))
      }
      yield* router.addGlobalMiddleware((handle) => guard(handle, allowedHosts, counters))
    })
  )

/** The intake on the given server. @since 0.1.0 @category layers */
export const layer = (options: Options = {}) =>
  HttpRouter.serve(routes(options), { disableLogger: true, disableListenLog: true })

const counted = { metrics: "otlp_data_points", logs: "otlp_log_records", traces: "otlp_spans" } as const

/** One request: read as a whole before anything of it is taken. */
const take = Effect.fnUntraced(function* (
  agent: Agent.Agent["Service"],
  counters: Counters.Registry,
  signal: Document.Signal
) {
  const request = yield* HttpServerRequest.HttpServerRequest
  const encoding = encodingOf(request)
  if (encoding === undefined) {
    counters.add("otlp_refused_media_type")
    const sent = JSON.stringify((request.headers["content-type"] ?? "none").slice(0, 100))
    return failure(
      undefined,
      415,
      rpc.invalid,
      `content-type ${sent} is not accepted; send application/json or application/x-protobuf`
    )
  }
  const decoded = decode(signal, encoding, new Uint8Array(yield* request.arrayBuffer))
  if (!decoded.ok) {
    counters.add("otlp_refused_malformed")
    return failure(encoding, 400, rpc.invalid, `malformed ${signal} request: ${decoded.reason}`)
  }
  const sources = decoded.value
  const taken = yield* publish(agent, signal, sources)
  const recorded = yield* record(agent, taken.sources)
  counters.add(counted[signal], sources.reduce((sum, source) => sum + source.items, 0) - taken.rejected)
  counters.add("otlp_events", recorded.events)
  if (recorded.events === 0 && recorded.unavailable !== undefined) {
    counters.add("otlp_unavailable")
    return failure(encoding, 503, rpc.unavailable, recorded.unavailable, { "retry-after": retryAfterSeconds })
  }
  const rejected = taken.rejected + recorded.rejected
  counters.add("otlp_rejected_items", rejected)
  counters.add("otlp_events_lost", recorded.rejected)
  return accepted(
    signal,
    encoding,
    rejected,
    [...new Set([...taken.reasons, ...recorded.reasons])].slice(0, 5).join("; ")
  )
})

/** Announces each resource; the items of one that is refused are rejected. */
const publish = Effect.fnUntraced(function* (
  agent: Agent.Agent["Service"],
  signal: Document.Signal,
  sources: ReadonlyArray<Source>
) {
  const kept: Array<Source> = []
  const reasons: Array<string> = []
  let rejected = 0
  for (const source of sources) {
    const { app, instance, labels } = source
    const result = yield* Effect.result(agent.published({ app, instance, signal, labels }))
    if (Result.isSuccess(result)) {
      kept.push(source)
    } else {
      rejected += source.items
      reasons.push(`${app}: ${result.failure.where}: ${result.failure.message}`)
    }
  }
  return { sources: kept, rejected, reasons }
})

/**
 * Records the error records as events. When none could be recorded the whole request may come again; after the first one
 * that was, it may not, or that one would be recorded twice.
 */
const record = Effect.fnUntraced(function* (agent: Agent.Agent["Service"], sources: ReadonlyArray<Source>) {
  const errors = sources.flatMap((source) => source.errors.map((error) => ({ app: source.app, ...error })))
  const results = yield* Effect.forEach(
    errors.slice(0, eventsPerRequestMax),
    (event) => Effect.result(agent.sendEvent(event)),
    { concurrency: eventsAtOnce }
  )
  const reasons: Array<string> = []
  let events = 0
  let unavailable: string | undefined
  for (const result of results) {
    if (Result.isSuccess(result)) {
      events += 1
    } else if (result.failure._tag === "InvalidInput") {
      reasons.push(`${result.failure.where}: ${result.failure.message}`)
    } else {
      unavailable = result.failure.message
      reasons.push(result.failure.message)
    }
  }
  if (errors.length > eventsPerRequestMax) {
    reasons.push(`at most ${eventsPerRequestMax} error records of one request become events`)
  }
  return { events, rejected: errors.length - events, reasons, unavailable }
})

/** Around every request: browser pages of other origins, size, compression, and failures in OTLP's own words. */
const guard = <E, R>(
  handle: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>,
  allowedHosts: ReadonlyArray<string>,
  counters: Counters.Registry
) =>
  Effect.gen(function* () {
    const request = yield* HttpServerRequest.HttpServerRequest
    const encoding = encodingOf(request)
    counters.add("otlp_requests")
    const refusal = refuseBrowser(request, allowedHosts)
    if (refusal !== undefined) {
      counters.add("otlp_refused_origin")
      return failure(encoding, 403, rpc.permission, refusal.detail)
    }
    const response = yield* handle.pipe(
      HttpMiddleware.decompression({ maxDecompressedSize: bodyBytesMax }),
      Effect.provideService(HttpIncomingMessage.MaxBodySize, bodyBytesMax),
      Effect.catchCause((cause) => answerCause(cause, request, encoding, counters))
    )
    if (response.status === 415 && response.headers["accept-encoding"] !== undefined) {
      counters.add("otlp_refused_media_type")
      return failure(encoding, 415, rpc.invalid, "this content-encoding is not accepted; send gzip, deflate or none", {
        "accept-encoding": "gzip, deflate"
      })
    }
    return response
  })

const answerCause = <E>(
  cause: Cause.Cause<E>,
  request: HttpServerRequest.HttpServerRequest,
  encoding: Encoding | undefined,
  counters: Counters.Registry
): Effect.Effect<HttpServerResponse.HttpServerResponse, E> => {
  if (Cause.hasInterruptsOnly(cause)) return Effect.failCause(cause)
  const error = Cause.squash(cause)
  if (HttpServerError.isHttpServerError(error)) {
    const { reason } = error
    if (reason._tag === "RouteNotFound") return Effect.succeed(noRoute(request, encoding, counters))
    if (reason._tag === "RequestParseError") {
      const isLarge = reason.reason === "BodyTooLarge"
      counters.add(isLarge ? "otlp_refused_too_large" : "otlp_refused_malformed")
      return Effect.succeed(
        isLarge
          ? failure(
              encoding,
              413,
              rpc.exhausted,
              `the body is larger than ${ByteSize.toNumberUnsafe(bodyBytesMax)} bytes`
            )
          : failure(encoding, 400, rpc.invalid, `the body cannot be read: ${reason.description ?? "damaged"}`)
      )
    }
  }
  counters.add("otlp_failed")
  return Effect.as(
    Effect.logError(`${request.method} ${request.url} failed`, cause),
    failure(encoding, 500, rpc.internal, "the agent failed; its log says why")
  )
}

const paths: ReadonlyArray<string> = ["/v1/metrics", "/v1/logs", "/v1/traces"]

const noRoute = (
  request: HttpServerRequest.HttpServerRequest,
  encoding: Encoding | undefined,
  counters: Counters.Registry
): HttpServerResponse.HttpServerResponse => {
  counters.add("otlp_refused_path")
  const path = request.url.split("?")[0] ?? ""
  if (paths.includes(path)) {
    return failure(encoding, 405, rpc.unimplemented, `${request.method} is not possible here, only POST`, {
      allow: "POST"
    })
  }
  const where = JSON.stringify(path.slice(0, 100))
  return failure(encoding, 404, rpc.notFound, `OTLP/HTTP is taken at ${paths.join(", ")}, not at ${where}`)
}

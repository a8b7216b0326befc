/**
 * The typed client of the HTTP API, for the command line and for programs.
 *
 * Whatever goes wrong is one of two things: no agent answers (`NoAgent`), or the agent says why not (`Problem`).
 *
 * @since 0.1.0
 */
import type * as Agent from "@starling/agent/Agent"
import type { Document } from "@starling/fleet"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientError from "effect/http/HttpClientError"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as HttpApiClient from "effect/http-api/HttpApiClient"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Api from "./Api.ts"
import type * as Schemas from "./Schemas.ts"

/** Nobody answers at `url`, or who does is no agent. @since 0.1.0 @category errors */
export class NoAgent extends Data.TaggedError("NoAgent")<{
  readonly url: string
  readonly message: string
}> {}

/** The agent refused or failed, and says why: a problem document of RFC 9457. @since 0.1.0 @category errors */
export class Problem extends Data.TaggedError("Problem")<{
  readonly status: number
  /** The stable name of the kind: `urn:starling:problem:invalid-input`. */
  readonly type: string
  readonly title: string
  readonly detail: string
}> {
  override get message(): string {
    return this.detail === "" ? this.title : this.detail
  }
}

/** @since 0.1.0 @category errors */
export type ClientError = NoAgent | Problem

/** @since 0.1.0 @category models */
export type Asked<A> = Effect.Effect<A, ClientError>

/**
 * What can be asked of an agent. Durations are milliseconds; keys are given as they are, the client encodes them.
 *
 * @since 0.1.0
 * @category models
 */
export interface Client {
  readonly url: string
  readonly status: Asked<Document.Answer<Document.StatusDocument>>
  readonly nodes: (filter?: Agent.NodeFilter) => Asked<Document.Answer<Document.NodeDocument>>
  readonly publishers: (filter?: Agent.PublisherFilter) => Asked<Document.Answer<Document.PublisherDocument>>
  readonly offline: Asked<Document.Answer<Document.OfflineDocument>>
  readonly events: (filter?: Agent.EventFilter) => Asked<Document.Answer<Document.EventDocument>>
  readonly sendEvent: (event: typeof Api.NewEvent.Type) => Asked<Document.Answer<Document.EventDocument>>
  readonly peers: Asked<Document.Answer<Document.PeerDocument>>
  readonly clock: Asked<Document.Answer<Document.ClockDocument>>
  /** Leaves this epoch for the next, which begins with the fleet's time or with `wall`. */
  readonly resetClock: (epoch: number, wall?: number) => Asked<Document.Answer<Document.ClockDocument>>
  readonly tree: Asked<Document.Answer<Document.TreeDocument>>
  readonly config: Asked<Document.Answer<Document.ConfigDocument>>
  readonly configEntry: (key: string) => Asked<Document.Answer<Document.ConfigDocument>>
  readonly configHistory: (key: string) => Asked<Document.Answer<Document.ConfigDocument>>
  readonly rollout: (key: string) => Asked<Document.Answer<Document.RolloutDocument>>
  /** Without `wait` it returns as soon as the change is stored at the agent. */
  readonly setConfig: (
    key: string,
    change: typeof Api.ConfigChange.Type,
    options?: { readonly wait?: Schemas.Wait; readonly timeoutMs?: number }
  ) => Asked<Schemas.ChangeAnswer>
  readonly deleteConfig: (
    key: string,
    options?: { readonly author?: string; readonly note?: string }
  ) => Asked<Document.Answer<Document.ConfigDocument>>
  readonly reportConfig: (key: string, status: typeof Api.ConfigStatus.Type) => Asked<void>
  readonly crash: (component: Agent.Component, at?: Agent.CrashPoint) => Asked<Schemas.Crashed>
  readonly broadcast: (count?: number) => Asked<Schemas.Broadcasts>
  readonly delivered: Asked<Schemas.Delivered>
  /** The agent loses every frame to and from that data centre. */
  readonly cut: (datacenter: string) => Asked<Schemas.Cuts>
  /** Of one data centre, or of all. */
  readonly heal: (datacenter?: string) => Asked<Schemas.Cuts>
  /** A snapshot of each resource, then what changes, until it is interrupted. */
  readonly watch: (
    resources: ReadonlyArray<Schemas.Resource>,
    options?: {
      /** Only configuration that targets the node that answers. */
      readonly here?: boolean
      /** Stamp of the last event that was seen. */
      readonly after?: string
    }
  ) => Stream.Stream<Schemas.WatchMessage, ClientError>
}

/** A client of the agent at `url`, such as `http://127.0.0.1:7741`. @since 0.1.0 @category constructors */
export const make = Effect.fnUntraced(function* (url: string): Effect.fn.Return<Client, never, HttpClient.HttpClient> {
  const http = (yield* HttpClient.HttpClient).pipe(HttpClient.transform((answer) => refuseProblems(url, answer)))
  const api = yield* HttpApiClient.makeWith(Api.Api, { httpClient: http, baseUrl: url })
  const asked = <A, E>(effect: Effect.Effect<A, E>): Asked<A> =>
    Effect.mapError(effect, (error) => toClientError(url, error))
  const { config, debug, fleet, watch } = api
  return {
    url,
    status: asked(fleet.status()),
    nodes: (filter = {}) => asked(fleet.nodes({ query: filter })),
    publishers: (filter = {}) => asked(fleet.publishers({ query: filter })),
    offline: asked(fleet.offline()),
    events: ({ sinceMs, ...filter } = {}) =>
      asked(fleet.events({ query: sinceMs === undefined ? filter : { ...filter, since: sinceMs } })),
    sendEvent: (payload) => asked(fleet.sendEvent({ payload })),
    peers: asked(fleet.peers()),
    clock: asked(fleet.clock()),
    resetClock: (epoch, wall) => asked(fleet.resetClock({ payload: wall === undefined ? { epoch } : { epoch, wall } })),
    tree: asked(fleet.tree()),
    config: asked(config.list()),
    configEntry: (key) => asked(config.get({ params: { key } })),
    configHistory: (key) => asked(config.history({ params: { key } })),
    rollout: (key) => asked(config.rollout({ params: { key } })),
    setConfig: (key, payload, { timeoutMs, wait } = {}) =>
      asked(
        config.set({
          params: { key },
          query: {
            ...(wait === undefined ? {} : { wait }),
            ...(timeoutMs === undefined ? {} : { timeout: timeoutMs })
          },
          payload
        })
      ),
    deleteConfig: (key, query = {}) => asked(config.delete({ params: { key }, query })),
    reportConfig: (key, payload) => asked(config.report({ params: { key }, payload })),
    crash: (component, at) => asked(debug.crash({ payload: at === undefined ? { component } : { component, at } })),
    broadcast: (count) => asked(debug.broadcast({ payload: count === undefined ? {} : { count } })),
    delivered: asked(debug.delivered()),
    cut: (datacenter) => asked(debug.cut({ payload: { datacenter } })),
    heal: (datacenter) => asked(debug.heal({ payload: datacenter === undefined ? {} : { datacenter } })),
    watch: (resource, { after, here } = {}) =>
      asked(
        watch.ndjson({
          query: {
            resource,
            ...(here === undefined ? {} : { here: here ? ("true" as const) : ("false" as const) }),
            ...(after === undefined ? {} : { after })
          }
        })
      ).pipe(
        Stream.unwrap,
        Stream.mapError((error) => toClientError(url, error))
      )
  }
})

const ProblemBody = Schema.Struct({
  type: Schema.optionalKey(Schema.String),
  title: Schema.optionalKey(Schema.String),
  detail: Schema.optionalKey(Schema.String)
})

const decodeProblem = Schema.decodeUnknownEffect(Schema.fromJsonString(ProblemBody))

/** Turns every answer that is no success into a `Problem`, before anything tries to decode it. */
const refuseProblems = <E, R>(
  url: string,
  answer: Effect.Effect<HttpClientResponse.HttpClientResponse, E, R>
): Effect.Effect<HttpClientResponse.HttpClientResponse, E | ClientError, R> =>
  Effect.flatMap(answer, (response): Effect.Effect<HttpClientResponse.HttpClientResponse, ClientError> => {
    if (response.status < 400) return Effect.succeed(response)
    if (!(response.headers["content-type"] ?? "").startsWith("application/problem+json")) {
      return Effect.fail(new NoAgent({ url, message: notAnAgent(url, `it answers with status ${response.status}`) }))
    }
    return response.text.pipe(
      Effect.flatMap(decodeProblem),
      Effect.mapError((error) => new NoAgent({ url, message: notAnAgent(url, error.message) })),
      Effect.flatMap(({ detail = "", title = "", type = "about:blank" }) =>
        Effect.fail(new Problem({ status: response.status, type, title, detail }))
      )
    )
  })

const notAnAgent = (url: string, why: string): string => `what answers at ${url} is no Starling agent: ${why}`

const toClientError = (url: string, error: unknown): ClientError => {
  if (error instanceof NoAgent || error instanceof Problem) return error
  if (HttpClientError.isHttpClientError(error)) {
    return error.reason._tag === "TransportError" || error.reason._tag === "InvalidUrlError"
      ? new NoAgent({ url, message: `no agent answers at ${url}: ${causeOf(error.reason)}` })
      : new NoAgent({ url, message: notAnAgent(url, error.message) })
  }
  return new Problem({
    status: 200,
    type: "urn:starling:problem:unreadable",
    title: "Unreadable answer",
    detail: `${url} answers with a document that this version does not understand: ${
      error instanceof Error ? error.message : String(error)
    }`
  })
}

/** The innermost message: `connect ECONNREFUSED 127.0.0.1:7741` says more than `fetch failed`. */
const causeOf = (error: unknown, depth: number = 0): string => {
  if (!(error instanceof Error)) return String(error)
  const inner = error.cause
  if (depth < 8 && inner instanceof Error) {
    if (inner instanceof AggregateError && inner.errors.length > 0) return causeOf(inner.errors[0], depth + 1)
    return causeOf(inner, depth + 1)
  }
  return error.message
}

/**
 * What every request passes before a handler sees it, and every answer before a client does: no browser page of another
 * origin, no host name that is not ours, no body that is too large or not JSON; and whatever goes wrong is a problem
 * document.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as HttpIncomingMessage from "effect/http/HttpIncomingMessage"
import * as HttpServerError from "effect/http/HttpServerError"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as ProblemDetails from "effect/http/ProblemDetails"
import * as ByteSize from "effect/ByteSize"
import { Api } from "../Api.ts"
import type * as Counters from "../Counters.ts"
import { typeOf } from "../Problems.ts"

/** Largest body of a request. Our choice: a value of 64 KiB, JSON-escaped, and room. */
export const bodyBytesMax = ByteSize.mebibytes(1)

export interface Refusal {
  readonly kind: "origin" | "host"
  readonly detail: string
}

/**
 * A page of another origin may not ask, and neither may one whose name was made to point here (DNS rebinding): it shows
 * in `Host`, which is then neither an address, nor `localhost`, nor a name that the operator allowed.
 */
export const refuseBrowser = (
  request: HttpServerRequest.HttpServerRequest,
  allowedHosts: ReadonlyArray<string>
): Refusal | undefined => {
  const host = request.headers["host"]
  if (host !== undefined && !isOwnHost(host, allowedHosts)) {
    const detail = `the host name ${quote(host)} is not one of this agent's; use its address, localhost, or allow the name`
    return { kind: "host", detail }
  }
  const origin = request.headers["origin"]
  const isForeign =
    origin === undefined
      ? request.method !== "GET" && request.headers["sec-fetch-site"] === "cross-site"
      : origin.toLowerCase().replace(/^https?:\/\//, "") !== host?.toLowerCase()
  if (!isForeign) return undefined
  return {
    kind: "origin",
    detail: `pages of ${quote(origin ?? "another site")} may not use this agent; only a page that it serves itself may`
  }
}

const isOwnHost = (host: string, allowedHosts: ReadonlyArray<string>): boolean => {
  const name = host.toLowerCase().replace(/:\d{1,5}$/, "")
  return (
    name === "localhost" ||
    name.endsWith(".localhost") ||
    /^\d{1,3}(\.\d{1,3}){3}$/.test(name) ||
    /^\[[0-9a-f:.%]+\]$/.test(name) ||
    allowedHosts.some((allowed) => allowed.toLowerCase() === name)
  )
}

const quote = (text: string): string => JSON.stringify(text.length > 100 ? `${text.slice(0, 100)}...` : text)

export const problem = (
  kind: string,
  status: number,
  title: string,
  detail: string,
  headers: Readonly<Record<string, string>> = {}
): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.setHeaders(ProblemDetails.toResponse({ type: typeOf(kind), status, title, detail }), headers)

/** Global middleware of the API's router. */
export const guard =
  (options: { readonly allowedHosts: ReadonlyArray<string>; readonly counters: Counters.Registry }) =>
  <E, R>(handle: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>) =>
    Effect.gen(function* () {
      const request = yield* HttpServerRequest.HttpServerRequest
      options.counters.add("api_requests")
      const refused = refuse(request, options)
      if (refused !== undefined) return refused
      return yield* handle.pipe(
        Effect.provideService(HttpIncomingMessage.MaxBodySize, bodyBytesMax),
        Effect.catchCause((cause) => answerCause(cause, request)),
        Effect.map((response) => asProblem(response, request, options.counters))
      )
    })

const refuse = (
  request: HttpServerRequest.HttpServerRequest,
  { allowedHosts, counters }: { readonly allowedHosts: ReadonlyArray<string>; readonly counters: Counters.Registry }
): HttpServerResponse.HttpServerResponse | undefined => {
  const refusal = refuseBrowser(request, allowedHosts)
  if (refusal !== undefined) {
    counters.add(refusal.kind === "origin" ? "api_refused_origin" : "api_refused_host")
    return problem(`foreign-${refusal.kind}`, 403, "Not allowed", refusal.detail)
  }
  if (request.method !== "POST" && request.method !== "PUT") return undefined
  const media = (request.headers["content-type"] ?? "").split(";")[0]?.trim().toLowerCase()
  const encoding = request.headers["content-encoding"] ?? "identity"
  if (media === "application/json" && encoding === "identity") return undefined
  counters.add("api_refused_media_type")
  const sent = media === "application/json" ? `content-encoding: ${encoding}` : `content-type: ${media || "none"}`
  return problem(
    "media-type",
    415,
    "Unsupported media type",
    `the body was sent with ${quote(sent)}; send content-type: application/json, not compressed`
  )
}

/** Failures that no handler declared, and faults: what is ours to mend is logged, what is not is answered. */
const answerCause = <E>(
  cause: Cause.Cause<E>,
  request: HttpServerRequest.HttpServerRequest
): Effect.Effect<HttpServerResponse.HttpServerResponse, E> => {
  if (Cause.hasInterruptsOnly(cause)) return Effect.failCause(cause)
  const error = Cause.squash(cause)
  if (HttpServerError.isHttpServerError(error)) {
    switch (error.reason._tag) {
      case "RouteNotFound":
        return Effect.succeed(noRoute(request, error.reason.description))
      case "RequestParseError":
        return Effect.succeed(
          error.reason.reason === "BodyTooLarge"
            ? HttpServerResponse.empty({ status: 413 })
            : problem("invalid-input", 400, "Invalid input", `the body cannot be read: ${error.reason.message}`)
        )
    }
  }
  return Effect.flatMap(HttpServerError.causeResponse(cause), ([response]) =>
    response.status >= 500
      ? Effect.as(Effect.logError(`${request.method} ${request.url} failed`, cause), response)
      : Effect.succeed(response)
  )
}

/** What the library answers in its own words becomes a problem; everything else is handed on. */
const asProblem = (
  response: HttpServerResponse.HttpServerResponse,
  request: HttpServerRequest.HttpServerRequest,
  counters: Counters.Registry
): HttpServerResponse.HttpServerResponse => {
  if (response.status < 400) return response
  const name = countedAs(response.status)
  if (name !== undefined) counters.add(name)
  if (response.status === 503) {
    const isProblem = (response.headers["content-type"] ?? "").startsWith(ProblemDetails.contentType)
    const detail = "this agent cannot answer now: it is starting or stopping"
    return HttpServerResponse.setHeader(
      isProblem ? response : problem("unavailable", 503, "Unavailable", detail),
      "retry-after",
      "1"
    )
  }
  if ((response.headers["content-type"] ?? "").startsWith(ProblemDetails.contentType)) return response
  switch (response.status) {
    case 413:
      return problem("too-large", 413, "Body too large", "the body is larger than 1 MiB, the most that is accepted", {
        connection: "close"
      })
    case 404:
      return noRoute(request, undefined)
    default:
      return problem("failed", response.status, "Failed", `${request.method} ${quote(request.url)} failed`)
  }
}

const countedAs = (status: number): Counters.Name | undefined => {
  switch (status) {
    case 400:
      return "api_refused_input"
    case 403:
      return "api_refused_not_allowed"
    case 404:
    case 405:
      return "api_refused_path"
    case 413:
      return "api_refused_too_large"
    case 503:
      return "api_unavailable"
    default:
      return status >= 500 ? "api_failed" : undefined
  }
}

interface Route {
  readonly method: string
  readonly pattern: RegExp
}

/** Paths outside the typed API. */
export const plainPaths = ["/livez", "/readyz", "/metrics", "/v1/openapi.json"] as const

const routes: ReadonlyArray<Route> = [
  ...Object.values(Api.groups)
    .flatMap((group) => Object.values(group.endpoints))
    .map((endpoint) => ({
      method: endpoint.method,
      pattern: new RegExp(`^${endpoint.path.replaceAll(".", "\\.").replaceAll(/:[a-z]+/gi, "[^/]+")}$`)
    })),
  ...plainPaths.map((path) => ({ method: "GET", pattern: new RegExp(`^${path.replaceAll(".", "\\.")}$`) }))
]

const noRoute = (
  request: HttpServerRequest.HttpServerRequest,
  description: string | undefined
): HttpServerResponse.HttpServerResponse => {
  const path = request.url.split("?")[0] ?? ""
  const allowed = [...new Set(routes.filter((route) => route.pattern.test(path)).map((route) => route.method))]
  if (allowed.length > 0 && !allowed.includes(request.method) && description === undefined) {
    const allow = allowed.join(", ")
    return problem(
      "method",
      405,
      "Method not allowed",
      `${request.method} is not possible at ${quote(path)}, only ${allow}`,
      {
        allow
      }
    )
  }
  const hint = path.startsWith("/v1/config/")
    ? "a key is one percent-encoded segment: sampling%2Frate"
    : "everything there is stands in /v1/openapi.json"
  return problem("path", 404, "Not found", `there is nothing at ${quote(path)}: ${description ?? hint}`)
}

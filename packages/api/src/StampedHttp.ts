/**
 * Stamps on an application's own HTTP messages: what is sent in answer to a message is stamped after it, at whatever
 * machine (DMC, Strange Loop 2015: stamps ride on the messages there are, in a header).
 *
 * A message without the header passes. One whose header is no stamp, or a stamp beyond what the fleet's time allows, is
 * refused: at the server with a problem document, at the client as a failure of the request, whose answer has then come in
 * vain. What follows from it would be stamped before it.
 *
 * @since 0.2.0
 */
import * as Agent from "@starling/agent/Agent"
import * as Stamp from "@starling/clock/Stamp"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import type * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import * as Guard from "./internal/guard.ts"

/** The header of a message is no stamp: what is wrong with it. @since 0.2.0 @category errors */
export class BadHeader extends Data.TaggedError("BadHeader")<{ readonly message: string }> {}

/** @since 0.2.0 @category models */
export type Failure = BadHeader | Agent.StampRefused | Agent.Unavailable

/**
 * Every request is sent with a fresh stamp, and the stamp of every answer is followed.
 *
 * @since 0.2.0
 * @category client
 */
export const client = <E, R>(
  self: HttpClient.HttpClient.With<E, R>
): HttpClient.HttpClient.With<E | Failure, R | Agent.Agent> =>
  self.pipe(
    HttpClient.mapRequestEffect((request) =>
      Effect.map(fresh, (stamp) => HttpClientRequest.setHeader(request, Stamp.headerName, stamp))
    ),
    HttpClient.tap(({ headers }) => follow(headers[Stamp.headerName]))
  )

/**
 * For one app, or one route: the stamp of every request is followed before it is handled, and every answer bears a fresh
 * one. While the node does not know what time it is, requests wait, and are then not handled but answered with 503.
 *
 * @since 0.2.0
 * @category server
 */
export const middleware = <E, R>(
  handle: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>
): Effect.Effect<HttpServerResponse.HttpServerResponse, E, R | Agent.Agent | HttpServerRequest.HttpServerRequest> =>
  Effect.gen(function* () {
    const { headers } = yield* HttpServerRequest.HttpServerRequest
    const entered = yield* Effect.result(Effect.andThen(follow(headers[Stamp.headerName]), fresh))
    if (Result.isFailure(entered)) return refusal(entered.failure)
    const response = yield* handle
    return yield* Effect.match(fresh, {
      onSuccess: (stamp) => HttpServerResponse.setHeader(response, Stamp.headerName, stamp),
      // The time was lost meanwhile (the machine slept). What was done is done, and an answer without a stamp passes.
      onFailure: () => response
    })
  })

/**
 * The same for every route of the router.
 *
 * @since 0.2.0
 * @category server
 */
export const layer: Layer.Layer<never, never, HttpRouter.HttpRouter | Agent.Agent> = HttpRouter.middleware(
  Effect.map(
    Agent.Agent,
    (agent) =>
      <E, R>(handle: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>) =>
        Effect.provideService(middleware(handle), Agent.Agent, agent)
  ),
  { global: true }
)

const fresh: Effect.Effect<string, Agent.Unavailable, Agent.Agent> = Effect.flatMap(Agent.Agent, ({ stamp }) =>
  Effect.map(stamp, Stamp.toHeader)
)

const follow = (header: string | undefined): Effect.Effect<void, Failure, Agent.Agent> => {
  if (header === undefined) return Effect.void
  const read = Stamp.fromHeader(header)
  return read.ok
    ? Effect.flatMap(Agent.Agent, ({ observe }) => observe(read.value))
    : Effect.fail(new BadHeader({ message: read.reason }))
}

const refusal = (failure: Failure): HttpServerResponse.HttpServerResponse => {
  switch (failure._tag) {
    case "BadHeader":
      return Guard.problem("stamp", 400, "Bad stamp", failure.message)
    case "StampRefused":
      return Guard.problem("stamp", 409, "Stamp refused", failure.message)
    case "Unavailable":
      return Guard.problem("unavailable", 503, "Unavailable", failure.message, { "retry-after": "1" })
  }
}

/**
 * Stamps on an application's own HTTP messages: what is sent in answer to a message is stamped after it, at whatever
 * machine (DMC, Strange Loop 2015: stamps ride on the messages there are, in a header).
 *
 * A message without the header passes. One whose header is no stamp, or a stamp that `Agent.observe` refuses, is refused:
 * at the server with a problem document, at the client as a failure that holds the answer. A body that is streamed is not
 * covered: the stamp of its message is drawn before it begins.
 *
 * @since 0.2.0
 */
import * as Agent from "@starling/agent/Agent"
import * as Stamp from "@starling/clock/Stamp"
import * as Data from "effect/Data"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Headers from "effect/http/Headers"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as HttpEffect from "effect/http/HttpEffect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import type * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Guard from "./internal/guard.ts"

/** The header of a message is no stamp: what is wrong with it. @since 0.2.0 @category errors */
export class BadHeader extends Data.TaggedError("BadHeader")<{ readonly message: string }> {}

/**
 * An answer came, and its stamp was not followed: what follows from it would be stamped before it. The request was handled.
 *
 * @since 0.2.0
 * @category errors
 */
export class NotFollowed extends Data.TaggedError("NotFollowed")<{
  readonly response: HttpClientResponse.HttpClientResponse
  readonly reason: BadHeader | Agent.StampRefused | Agent.Unavailable
  readonly message: string
}> {}

/**
 * Every request is sent with a fresh stamp, and the stamp of every answer is followed. `Unavailable`: nothing was sent.
 *
 * Redirects and retries belong around it, so that each attempt has a stamp of its own; `withScope` belongs inside, since it
 * knows a request by its identity. A `fetch` that follows redirects by itself sends the old stamp again: give it
 * `redirect: "manual"`.
 *
 * @since 0.2.0
 * @category client
 */
export const client = <E, R>(
  self: HttpClient.HttpClient.With<E, R>
): HttpClient.HttpClient.With<E | NotFollowed | Agent.Unavailable, R | Agent.Agent> => {
  // It passes on whatever failure its request has, of which its type knows nothing.
  const send = self.postprocess as HttpClient.HttpClient.Postprocess<E | Agent.Unavailable, R | Agent.Agent>
  return HttpClient.makeWith<E, R, E | NotFollowed | Agent.Unavailable, R | Agent.Agent>(
    (request) =>
      Effect.flatMap(Agent.Agent, (agent) =>
        Effect.tap(send(Effect.flatMap(request, (sent) => stamped(agent, sent))), (response) =>
          Effect.mapError(
            follow(agent, response.headers),
            (reason) => new NotFollowed({ response, reason, message: reason.message })
          )
        )
      ),
    self.preprocess
  )
}

/**
 * For one app, or one route: the stamp of every request is followed before it is handled, and every answer bears a fresh
 * one, also that of a handler that failed. While the node does not know what time it is, requests wait, and are then not
 * handled but answered with 503.
 *
 * Who can send a request can move the clock, by as much as the guard allows (`Agent.observe`): it belongs behind
 * authentication.
 *
 * @since 0.2.0
 * @category server
 */
export const middleware = <E, R>(
  handle: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>
): Effect.Effect<HttpServerResponse.HttpServerResponse, E, R | Agent.Agent | HttpServerRequest.HttpServerRequest> =>
  Effect.flatMap(Agent.Agent, (agent) => serve(agent, handle))

/**
 * The same for every route of the router. The middleware that is registered first is the outermost.
 *
 * @since 0.2.0
 * @category server
 */
export const layer: Layer.Layer<never, never, HttpRouter.HttpRouter | Agent.Agent> = HttpRouter.middleware(
  Effect.map(
    Agent.Agent,
    (agent) =>
      <E, R>(handle: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>) =>
        serve(agent, handle)
  ),
  { global: true }
)

/** An answer is not kept from its client for longer when the time was lost meanwhile (the machine slept). Our choice. */
const answerTime: Duration.Input = "50 millis"

const serve = <E, R>(
  agent: Agent.Agent["Service"],
  handle: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>
): Effect.Effect<HttpServerResponse.HttpServerResponse, E, R | HttpServerRequest.HttpServerRequest> =>
  Effect.gen(function* () {
    const { headers } = yield* HttpServerRequest.HttpServerRequest
    // Drawn to know that it can be: what is done can not be taken back.
    const entered = yield* Effect.result(Effect.andThen(follow(agent, headers), agent.stamp))
    if (Result.isFailure(entered)) return refusal(entered.failure)
    return yield* HttpEffect.withPreResponseHandler(handle, (_, response) =>
      Effect.map(
        Effect.timeoutOption(Effect.option(agent.stamp), answerTime),
        // Without a stamp the answer passes.
        (drawn) =>
          Option.match(Option.flatten(drawn), {
            onNone: () => response,
            onSome: (stamp) => HttpServerResponse.setHeader(response, Stamp.headerName, Stamp.toHeader(stamp))
          })
      )
    )
  })

const stamped = (
  { stamp }: Agent.Agent["Service"],
  request: HttpClientRequest.HttpClientRequest
): Effect.Effect<HttpClientRequest.HttpClientRequest, Agent.Unavailable> =>
  Effect.map(stamp, (drawn) => HttpClientRequest.setHeader(request, Stamp.headerName, Stamp.toHeader(drawn)))

const follow = (
  { observe }: Agent.Agent["Service"],
  headers: Headers.Headers
): Effect.Effect<void, BadHeader | Agent.StampRefused | Agent.Unavailable> => {
  const header = headers[Stamp.headerName]
  if (header === undefined) return Effect.void
  const read = Stamp.fromHeader(header)
  return read.ok ? observe(read.value) : Effect.fail(new BadHeader({ message: read.reason }))
}

const refusal = (
  failure: BadHeader | Agent.StampRefused | Agent.Unavailable
): HttpServerResponse.HttpServerResponse => {
  switch (failure._tag) {
    case "BadHeader":
      return Guard.problem("stamp", 400, "Bad stamp", failure.message)
    case "StampRefused":
      return Guard.problem("stamp", 409, "Stamp refused", failure.message)
    case "Unavailable":
      return Guard.problem("unavailable", 503, "Unavailable", failure.message, { "retry-after": "1" })
  }
}

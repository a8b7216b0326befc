/**
 * What the HTTP API answers when it cannot do what was asked: problem documents of RFC 9457.
 *
 * Each says what was wrong, where, and what would be right. `type` names the kind and is stable; `detail` is for people.
 *
 * @since 0.1.0
 */
import * as HttpApiError from "effect/http-api/HttpApiError"
import * as Schema from "effect/Schema"

/** The stable names of problems; not addresses. @since 0.1.0 @category models */
export const typeOf = <const Kind extends string>(kind: Kind): `urn:starling:problem:${Kind}` =>
  `urn:starling:problem:${kind}`

/** Something in the request was refused; `errors` says which part of it and why. @since 0.1.0 @category errors */
export class InvalidInput extends HttpApiError.Problem<InvalidInput>()(
  "InvalidInput",
  { type: typeOf("invalid-input"), status: 400, title: "Invalid input" },
  { errors: Schema.Array(HttpApiError.ProblemIssue) }
) {}

/** @since 0.1.0 @category errors */
export class NotFound extends HttpApiError.Problem<NotFound>()("NotFound", {
  type: typeOf("not-found"),
  status: 404,
  title: "Not found"
}) {}

/** The agent was started without what this needs. @since 0.1.0 @category errors */
export class NotAllowed extends HttpApiError.Problem<NotAllowed>()("NotAllowed", {
  type: typeOf("not-allowed"),
  status: 403,
  title: "Not allowed"
}) {}

/** The agent cannot do it now; the same request may succeed later. @since 0.1.0 @category errors */
export class Unavailable extends HttpApiError.Problem<Unavailable>()("Unavailable", {
  type: typeOf("unavailable"),
  status: 503,
  title: "Unavailable"
}) {}

/** An answer could not be written; a fault of the agent. @since 0.1.0 @category errors */
export class Internal extends HttpApiError.Problem<Internal>()("Internal", {
  type: typeOf("internal"),
  status: 500,
  title: "Internal error"
}) {}

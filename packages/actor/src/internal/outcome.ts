/** How a start went, and which of two ends counts. */
import type * as Cause from "effect/Cause"
import * as ExitReason from "../ExitReason.ts"
import { Ignore } from "./errors.ts"

export type Outcome =
  | { readonly _tag: "Running" }
  | { readonly _tag: "Ignored" }
  | { readonly _tag: "Failed"; readonly reason: ExitReason.ExitReason; readonly cause: Cause.Cause<unknown> }

/** A failure at the end is worse than an orderly end, and never hides an earlier failure. */
export const worse = (reason: ExitReason.ExitReason, last: ExitReason.ExitReason): ExitReason.ExitReason =>
  reason._tag === "Failed" ? reason : last

export const failedInit = (cause: Cause.Cause<unknown>): Outcome => {
  const error = cause.reasons.length === 1 && cause.reasons[0]?._tag === "Fail" ? cause.reasons[0].error : undefined
  if (error instanceof Ignore) return { _tag: "Ignored" }
  return { _tag: "Failed", reason: initReason(error) ?? ExitReason.fromCause(cause), cause }
}

/** A supervisor that could not start its children ends with `shutdown`, as OTP's does: no crash, but no start. */
const initReason = (error: unknown): ExitReason.ExitReason | undefined =>
  typeof error === "object" && error !== null && "_tag" in error && error._tag === "StartError"
    ? ExitReason.shutdownWith(error)
    : undefined

/** The two reports of a crash: by the behaviour, and from outside (gen_server and proc_lib in OTP). */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as ExitReason from "../ExitReason.ts"
import type { Process } from "./process.ts"
import { describe } from "./text.ts"

/** `message`: what was being handled, if anything was. */
export const reportCrash = (
  process: Process,
  message: { readonly value: unknown } | undefined,
  cause: Cause.Cause<unknown>
): Effect.Effect<void> => {
  const { runtime } = process
  const shared = {
    at: runtime.now(),
    actor: process.pathText,
    message: message === undefined ? null : describe(message.value),
    state: process.outcome === undefined ? null : describe(process.state),
    reason: ExitReason.toText(ExitReason.failed(cause))
  }
  return Effect.andThen(
    runtime.report({ _tag: "Terminated", ...shared }),
    runtime.report({
      _tag: "Crashed",
      ...shared,
      cause: Cause.pretty(cause).slice(0, causeMax),
      ancestors: ancestors(process),
      waiting: process.waiting
    })
  )
}

/** Our choice: characters of a cause with its stack. */
const causeMax = 8000

/** Nearest first. */
const ancestors = (process: Process): ReadonlyArray<string> => {
  const names: Array<string> = []
  for (let at = process.parent; at !== undefined; at = at.parent) names.push(at.pathText)
  return names
}

/** The two reports of a crash: by the behaviour, and from outside (gen_server and proc_lib in OTP). */
import * as Cause from "effect/Cause"
import type * as Effect from "effect/Effect"
import * as ExitReason from "../ExitReason.ts"
import type { Report } from "../Report.ts"
import { after } from "./after.ts"
import type { Process } from "./process.ts"
import { describe } from "./text.ts"

/** `message`: what was being handled, if anything was. */
export const reportCrash = (
  process: Process,
  message: { readonly value: unknown } | undefined,
  cause: Cause.Cause<unknown>
): Effect.Effect<void> => {
  const { context, runtime } = process
  const shared = {
    at: runtime.now(),
    actor: process.pathText,
    message: message === undefined ? null : describe(message.value),
    state: process.outcome === undefined ? null : describe(process.state),
    reason: ExitReason.toText(ExitReason.failed(cause))
  }
  let text: string | undefined
  const crashed: Report = {
    _tag: "Crashed",
    ...shared,
    // A stack takes longer to print than a restart takes: not before somebody reads it.
    get cause() {
      return (text ??= pretty(cause).slice(0, causeMax))
    },
    ancestors: ancestors(process),
    waiting: process.waiting
  }
  return after(runtime.report({ _tag: "Terminated", ...shared }, context), () => runtime.report(crashed, context))
}

/** What a handler throws need not be printable: an error's stack may be a getter that throws. */
const pretty = (cause: Cause.Cause<unknown>): string => {
  try {
    return Cause.pretty(cause)
  } catch {
    return ExitReason.toText(ExitReason.failed(cause))
  }
}

/** Our choice: characters of a cause with its stack. */
const causeMax = 8000

/** Nearest first. */
const ancestors = (process: Process): ReadonlyArray<string> => {
  const names: Array<string> = []
  for (let at = process.parent; at !== undefined; at = at.parent) names.push(at.pathText)
  return names
}

/**
 * Why an actor ended: the four reasons that a supervisor tells apart.
 *
 * `Normal` and `Shutdown` are orderly ends: a transient child is not restarted after them, and no crash is reported.
 * `Killed` is an interruption that asked for nothing (OTP's `killed`); `Failed` is everything that went wrong, with the
 * cause that Effect keeps. OTP: reference manual, processes, "Error Handling"; supervisor(3), `restart`.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"

/** @since 0.1.0 @category models */
export type ExitReason =
  | { readonly _tag: "Normal" }
  | { readonly _tag: "Shutdown"; readonly detail?: unknown }
  | { readonly _tag: "Killed" }
  | { readonly _tag: "Failed"; readonly cause: Cause.Cause<unknown> }

/**
 * What a monitor is told: the exit reason, or that there was nobody to watch.
 *
 * @since 0.1.0
 * @category models
 */
export type DownReason = ExitReason | { readonly _tag: "NoProc" }

/** @since 0.1.0 @category constructors */
export const normal: ExitReason = { _tag: "Normal" }

/** @since 0.1.0 @category constructors */
export const shutdown: ExitReason = { _tag: "Shutdown" }

/** OTP's `{shutdown, Detail}`. @since 0.1.0 @category constructors */
export const shutdownWith = (detail: unknown): ExitReason => ({ _tag: "Shutdown", detail })

/** @since 0.1.0 @category constructors */
export const killed: ExitReason = { _tag: "Killed" }

/** @since 0.1.0 @category constructors */
export const failed = (cause: Cause.Cause<unknown>): ExitReason => ({ _tag: "Failed", cause })

/** `Failed` with an error value, for instance to crash an actor from outside. @since 0.1.0 @category constructors */
export const failure = (error: unknown): ExitReason => ({ _tag: "Failed", cause: Cause.fail(error) })

/** @since 0.1.0 @category constructors */
export const noProc: DownReason = { _tag: "NoProc" }

/**
 * The annotation of an interruption that says which exit reason it stands for:
 * `Fiber.interruptAs(fiber, id, Context.make(ExitReason.Annotation, ExitReason.shutdown))`.
 *
 * @since 0.1.0
 * @category services
 */
export class Annotation extends Context.Service<Annotation, ExitReason>()("@starling/actor/ExitReason/Annotation") {}

/**
 * The reason of a fiber that ended with this cause: any failure or defect is `Failed`; an interruption alone is what its
 * annotation says, and `Killed` without one.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromCause = (cause: Cause.Cause<unknown>): ExitReason => {
  if (cause.reasons.some((reason) => reason._tag !== "Interrupt")) return failed(cause)
  return Context.getOrUndefined(Cause.annotations(cause), Annotation) ?? killed
}

/** `Failed` and `Killed`: what a transient child is restarted after. @since 0.1.0 @category guards */
export const isAbnormal = (reason: DownReason): boolean => reason._tag === "Failed" || reason._tag === "Killed"

/** One line for people: `normal`, `shutdown`, `killed`, or the failure's message. @since 0.1.0 */
export const toText = (reason: DownReason): string => {
  switch (reason._tag) {
    case "Normal":
      return "normal"
    case "Shutdown":
      return reason.detail === undefined ? "shutdown" : `shutdown (${short(reason.detail)})`
    case "Killed":
      return "killed"
    case "NoProc":
      return "no such actor"
    case "Failed":
      return `failed: ${reason.cause.reasons.map(reasonText).join("; ")}`
  }
}

const reasonText = (reason: Cause.Reason<unknown>): string => {
  switch (reason._tag) {
    case "Fail":
      return short(reason.error)
    case "Die":
      return short(reason.defect)
    case "Interrupt":
      return "interrupted"
  }
}

const short = (value: unknown): string => {
  let text: string
  try {
    if (value instanceof Error) text = value.message === "" ? `${value.name}` : `${value.name}: ${value.message}`
    else text = typeof value === "string" ? value : (JSON.stringify(value) ?? String(value))
  } catch {
    // Whatever was thrown: even to ask it for its tag may throw.
    text = `<not printable: ${typeof value}>`
  }
  return text.length > 200 ? `${text.slice(0, 200)}…` : text
}

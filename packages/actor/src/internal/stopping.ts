/** How an actor is brought to its end: asked, then killed, then abandoned. */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as ExitReason from "../ExitReason.ts"
import { StartTimeout } from "./errors.ts"
import type { Outcome } from "./outcome.ts"
import type { Process } from "./process.ts"
import { noting } from "./waits.ts"

/** `brutal` kills at once; a duration is the time to end in order before the kill; `infinity` waits. */
export type Shutdown = "brutal" | "infinity" | Duration.Input

/** Our choice: how long a kill may take (finalizers) before nobody waits for it any longer. */
export const abandonAfterMs = 1000

/** The reason with which it ended. */
export const stopProcess: (process: Process, shutdown: Shutdown) => Effect.Effect<ExitReason.DownReason> =
  Effect.fnUntraced(function* (process: Process, shutdown: Shutdown) {
    if (process.ended !== undefined) return process.ended
    if (shutdown !== "brutal") {
      process.stop(ExitReason.shutdown)
      if (shutdown === "infinity") return yield* noting("end", process, process.awaitEnd)
      const shutdownMs = typeof shutdown === "number" ? shutdown : Duration.toMillis(shutdown)
      const ended = yield* noting("end", process, endWithin(process, shutdownMs), shutdownMs)
      if (ended !== undefined) return ended
    }
    process.kill()
    const killed = yield* noting("end", process, endWithin(process, abandonAfterMs), abandonAfterMs)
    if (killed !== undefined) return killed
    // Somebody else may have waited as long.
    if (process.ended !== undefined) return process.ended
    process.abandon()
    const report = { at: process.runtime.now(), actor: process.pathText, afterMs: abandonAfterMs }
    yield* process.runtime.report({ _tag: "Abandoned", ...report }, process.context)
    return ExitReason.killed
  })

/** How the start went. An init that has not returned in time is killed, and if that is of no use abandoned. */
export const startWithin: (process: Process, timeoutMs: number) => Effect.Effect<Outcome> = Effect.fnUntraced(
  function* (process: Process, timeoutMs: number) {
    if (!Number.isFinite(timeoutMs)) return yield* noting("start", process, process.started)
    const outcome = yield* noting("start", process, outcomeWithin(process, timeoutMs), timeoutMs)
    if (outcome !== undefined) return outcome
    yield* stopProcess(process, "brutal")
    const error = new StartTimeout({ actor: process.pathText, timeoutMs })
    return { _tag: "Failed", reason: ExitReason.failure(error), cause: Cause.fail(error) }
  }
)

const outcomeWithin = (process: Process, timeoutMs: number): Effect.Effect<Outcome | undefined> =>
  Effect.callback<Outcome | undefined>((resume) => {
    const { runtime } = process
    const timer = runtime.timers.set(timeoutMs, () => resume(Effect.succeed(undefined)))
    process.onStarted((outcome) => {
      timer.cancelUnsafe()
      runtime.defer(() => resume(Effect.succeed(outcome)))
    })
    return Effect.sync(() => timer.cancelUnsafe())
  })

/** Undefined when the time is over first. */
const endWithin = (process: Process, timeoutMs: number): Effect.Effect<ExitReason.DownReason | undefined> =>
  Effect.callback<ExitReason.DownReason | undefined>((resume) => {
    const { runtime } = process
    if (process.ended !== undefined) return resume(Effect.succeed(process.ended))
    const settle = (reason: ExitReason.DownReason | undefined): void => {
      timer.cancelUnsafe()
      process.unwatch(monitor)
      runtime.defer(() => resume(Effect.succeed(reason)))
    }
    const timer = runtime.timers.set(timeoutMs, () => settle(undefined))
    const monitor = process.watch(settle)
    return Effect.sync(() => {
      timer.cancelUnsafe()
      process.unwatch(monitor)
    })
  })

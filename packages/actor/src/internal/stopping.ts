/** How an actor is brought to its end: asked, then killed, then abandoned. */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as ExitReason from "../ExitReason.ts"
import type { Process } from "./process.ts"

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
      if (shutdown === "infinity") return yield* process.awaitEnd
      const ended = yield* Effect.timeoutOption(process.awaitEnd, shutdown)
      if (Option.isSome(ended)) return ended.value
    }
    process.kill()
    const killed = yield* Effect.timeoutOption(process.awaitEnd, abandonAfterMs)
    if (Option.isSome(killed)) return killed.value
    yield* process.runtime.report({
      _tag: "Abandoned",
      at: process.runtime.now(),
      actor: process.pathText,
      afterMs: abandonAfterMs
    })
    process.abandon()
    return ExitReason.killed
  })

/**
 * One-way watching: exactly one Down for each monitor, with the exit reason; at once, with `NoProc`, for the dead.
 *
 * A handler monitors with `self.monitor` and gets a `Signal`; this module is for everybody else.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { ActorRef } from "./Actor.ts"
import * as ExitReason from "./ExitReason.ts"
import type { Address } from "./internal/model.ts"

/**
 * Monitors from now on; the inner Effect waits for the Down. The monitor goes with the Scope.
 *
 * @since 0.1.0
 */
export const on = (ref: ActorRef<never>): Effect.Effect<Effect.Effect<ExitReason.DownReason>, never, Scope.Scope> =>
  Effect.suspend(() => {
    const process = (ref as unknown as Address).resolveProcess()
    if (process === undefined || process.isDead) return Effect.succeed(Effect.succeed(ExitReason.noProc))
    let down: ExitReason.DownReason | undefined
    const waiting: Array<(reason: ExitReason.DownReason) => void> = []
    const monitor = process.watch((reason) => {
      down = reason
      for (const resume of waiting) process.runtime.defer(() => resume(reason))
    })
    const wait = Effect.callback<ExitReason.DownReason>((resume) => {
      if (down !== undefined) return resume(Effect.succeed(down))
      const settle = (reason: ExitReason.DownReason): void => resume(Effect.succeed(reason))
      waiting.push(settle)
      return Effect.sync(() => void waiting.splice(waiting.indexOf(settle), 1))
    })
    return Effect.as(
      Effect.addFinalizer(() => Effect.sync(() => process.unwatch(monitor))),
      wait
    )
  })

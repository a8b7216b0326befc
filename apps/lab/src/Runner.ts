/**
 * A worker thread that runs one order at a time. A thread that dies (out of memory, a fault of the engine) makes its
 * order a finding, and the next order gets a new thread. Interrupting a run ends its thread at once.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { Worker } from "node:worker_threads"
import * as Options from "./options.ts"
import * as Runs from "./Runs.ts"

/** @since 0.1.0 @category models */
export interface Runner {
  readonly run: (order: Runs.Order) => Effect.Effect<Runs.Run>
}

/** @since 0.1.0 @category constructors */
export const make: Effect.Effect<Runner, never, Scope.Scope> = Effect.gen(function* () {
  let worker: Worker | undefined
  const end = Effect.sync(() => {
    void worker?.terminate()
    worker = undefined
  })
  yield* Effect.addFinalizer(() => end)
  const run = Effect.fnUntraced(function* (order: Runs.Order) {
    const begin = yield* Clock.currentTimeMillis
    const answer = yield* Effect.callback<Runs.Run | string>((resume) => {
      const thread =
        worker ?? new Worker(new URL("./worker.ts", import.meta.url), { resourceLimits: Options.resourceLimits })
      worker = thread
      const finish = (answer: Runs.Run | string) => {
        thread.off("message", finish).off("error", failed).off("exit", ended)
        if (typeof answer === "string") worker = undefined
        resume(Effect.succeed(answer))
      }
      const failed = (error: unknown) =>
        finish(`the thread ended: ${error instanceof Error ? error.message : String(error)}`)
      const ended = (code: number) => finish(`the thread ended with code ${code}`)
      thread.on("message", finish).on("error", failed).on("exit", ended)
      thread.postMessage(order)
      return end
    })
    if (typeof answer !== "string") return answer
    return Runs.lost(order, answer, (yield* Clock.currentTimeMillis) - begin)
  })
  return { run }
})

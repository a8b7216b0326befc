/**
 * A thread that runs one order at a time and makes small what fails. One that dies or hangs makes its order a finding, and
 * the next order gets a new thread.
 *
 * @since 0.1.0
 */
import { Regression } from "@starling/testing"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import { Worker } from "node:worker_threads"
import * as Options from "../options.ts"
import * as Runs from "../Runs.ts"
import type { Order, Report } from "./worker.ts"

/** At most so long is spent on making one finding small. Our choice: a hundred runs of a small fleet. @since 0.1.0 */
export const shrinkMs = 120_000

/** A run, or the shrinking of one, that takes longer than this beyond its time has hung. Our choice. */
const graceMs = 10 * 60_000

/** @since 0.1.0 @category models */
export interface Thread {
  /** Undefined if nothing is broken. */
  readonly run: (order: Order, onRun: (run: Runs.Run) => void) => Effect.Effect<Regression.Regression | undefined>
}

/** @since 0.1.0 @category constructors */
export const make: Effect.Effect<Thread, never, Scope.Scope> = Effect.gen(function* () {
  let worker: Worker | undefined
  const end = Effect.sync(() => {
    void worker?.terminate()
    worker = undefined
  })
  yield* Effect.addFinalizer(() => end)
  const run: Thread["run"] = (order, onRun) => {
    let isRun = false
    const ran = (run: Runs.Run): void => {
      isRun = true
      onRun(run)
    }
    const lose = (why: string): Regression.Regression | undefined => {
      // What was lost while it was made small is kept as it was.
      if (!isRun) ran(Runs.lost(order, why, 0))
      return Regression.of({ ...order, broken: [why] })
    }
    const answer = Effect.callback<Regression.Regression | undefined>((resume) => {
      const thread =
        worker ?? new Worker(new URL("./worker.ts", import.meta.url), { resourceLimits: Options.resourceLimits })
      worker = thread
      const finish = (regression: Regression.Regression | undefined): void => {
        thread.off("message", heard).off("error", failed).off("exit", ended)
        resume(Effect.succeed(regression))
      }
      const heard = (report: Report): void => {
        if (report._tag === "Shrunk") return finish(report.regression)
        ran(report.run)
        if (report.run.broken.length === 0) finish(undefined)
      }
      const dead = (why: string): void => {
        worker = undefined
        finish(lose(why))
      }
      const failed = (error: unknown): void =>
        dead(`the thread ended: ${error instanceof Error ? error.message : String(error)}`)
      const ended = (code: number): void => dead(`the thread ended with code ${code}`)
      thread.on("message", heard).on("error", failed).on("exit", ended)
      thread.postMessage(order)
      return end
    })
    return Effect.flatMap(Effect.timeoutOption(answer, order.shrinkMs + graceMs), (answer) =>
      Option.isSome(answer)
        ? Effect.succeed(answer.value)
        : Effect.sync(() => lose(`did not end within ${(order.shrinkMs + graceMs) / 1000} s`))
    )
  }
  return { run }
})

/**
 * A thread that runs one order at a time and makes small what fails. One that dies or hangs makes its order a finding, and
 * the next order gets a new thread.
 *
 * @since 0.1.0
 */
import { Regression } from "@starling/testing"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import { performance } from "node:perf_hooks"
import { Worker } from "node:worker_threads"
import * as Options from "../options.ts"
import * as Runs from "../Runs.ts"
import type { Order, Report } from "./worker.ts"

/** At most so long is spent on making one finding small. Our choice: a hundred runs of a small fleet. @since 0.1.0 */
export const shrinkMs = 120_000

/** A run of a hunt, or the last try to make one small, that takes longer than this has hung. Our choice. @since 0.1.0 */
export const graceMs = 10 * 60_000

/**
 * A run that does not end within `runMs` has hung; Infinity if it may take its time. At most `shrinkMs` are spent on making
 * it small.
 *
 * @since 0.1.0
 * @category models
 */
export interface Limits {
  readonly runMs: number
  readonly shrinkMs: number
}

/** @since 0.1.0 @category models */
export interface Thread {
  /** `onRun` is called before anything is made small. Undefined if nothing is broken. */
  readonly run: (
    order: Runs.Order,
    limits: Limits,
    onRun: (run: Runs.Run) => void
  ) => Effect.Effect<Regression.Regression | undefined>
}

/** @since 0.1.0 @category constructors */
export const make: Effect.Effect<Thread, never, Scope.Scope> = Effect.gen(function* () {
  let worker: Worker | undefined
  const end = Effect.sync(() => {
    void worker?.terminate()
    worker = undefined
  })
  yield* Effect.addFinalizer(() => end)
  const run: Thread["run"] = (order, { runMs, shrinkMs }, onRun) => {
    const begin = performance.now()
    const hasRun = Deferred.makeUnsafe<void>()
    let outcome: Runs.Run | undefined
    const ran = (run: Runs.Run): Runs.Run => {
      outcome = run
      onRun(run)
      Deferred.doneUnsafe(hasRun, Exit.void)
      return run
    }
    // What was lost while it was made small is kept as it was.
    const lose = (why: string): Regression.Regression =>
      Regression.of(outcome ?? ran(Runs.lost(order, why, Math.round(performance.now() - begin))))
    const answer = Effect.callback<Regression.Regression | undefined>((resume) => {
      const thread =
        worker ?? new Worker(new URL("./worker.ts", import.meta.url), { resourceLimits: Options.resourceLimits })
      worker = thread
      const deafen = (): void => void thread.off("message", heard).off("error", failed).off("exit", ended)
      const finish = (regression: Regression.Regression | undefined): void => {
        deafen()
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
      thread.postMessage({ ...order, shrinkMs } satisfies Order)
      // Its end is no news for the thread that comes after it.
      return Effect.andThen(Effect.sync(deafen), end)
    })
    const hung = (ms: number) => Effect.as(Effect.sleep(ms), `did not end within ${ms / 1000} s`)
    const overdue = Effect.raceFirst(
      runMs === Infinity
        ? Effect.never
        : Effect.tap(hung(runMs), () => (outcome === undefined ? Effect.void : Effect.never)),
      Effect.andThen(Deferred.await(hasRun), hung(shrinkMs + graceMs))
    )
    return Effect.raceFirst(answer, Effect.map(overdue, lose))
  }
  return { run }
})

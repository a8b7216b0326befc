/**
 * A thread that runs scenarios and makes small what fails, one task at a time. It may die of a task or hang in it; then that
 * task is lost, and the next one gets a new thread.
 *
 * @since 0.1.0
 */
import type { Regression } from "@starling/testing"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { performance } from "node:perf_hooks"
import process from "node:process"
import { Worker } from "node:worker_threads"
import * as Options from "../options.ts"
import * as Runs from "../Runs.ts"
import type { Report, Task } from "./worker.ts"

/** At most so long is spent on making one finding small. Our choice: a hundred runs of a small fleet. @since 0.1.0 */
export const shrinkMs = 120_000

/** Time up, the last try to make a finding small may still end; one that takes longer than this has hung. Our choice. */
const lastTryMs = 10 * 60_000

/** The thread died, or did not end in time. @since 0.1.0 @category errors */
export class Lost extends Data.TaggedError("Lost")<{ readonly why: string }> {}

/** @since 0.1.0 @category models */
export interface Runner {
  /** A run that is not over within so long is lost; default: it may take its time. */
  readonly run: (order: Runs.Order, withinMs?: number) => Effect.Effect<Runs.Run>
  /** Tells of each smaller one when it is found, so that it is there whatever becomes of the thread. */
  readonly shrink: (
    failing: Regression.Regression,
    forMs: number,
    onSmaller: (smaller: Regression.Regression) => void
  ) => Effect.Effect<void, Lost>
}

/** Who waits for the thread. */
interface Waiting {
  readonly hear: (report: Report) => void
  readonly mourn: (why: string) => void
}

/** Another module than the thread's own is for tests. @since 0.1.0 @category constructors */
export const make = (
  module: URL = new URL("./worker.ts", import.meta.url)
): Effect.Effect<Runner, never, Scope.Scope> =>
  Effect.gen(function* () {
    let worker: Worker | undefined
    let waiting: Waiting | undefined

    const start = (): Worker => {
      const started = new Worker(module, { resourceLimits: Options.resourceLimits })
      let why: string | undefined
      // Its listeners live as long as it does: it may die while nobody waits for it, too. What the one says that was put away
      // is no news of the one that came after it.
      started.on("message", (report: Report) => {
        if (worker === started) waiting?.hear(report)
      })
      // Its exit follows, when all that it said has been heard.
      started.on("error", (error: unknown) => (why = error instanceof Error ? error.message : String(error)))
      started.on("exit", (code) => {
        if (worker !== started) return
        worker = undefined
        const text = `the thread ended${why === undefined ? ` with code ${code}` : `: ${why}`}`
        if (waiting === undefined) process.stderr.write(`lab: between two runs ${text}\n`)
        else waiting.mourn(text)
      })
      return started
    }

    const end = Effect.sync(() => {
      void worker?.terminate()
      worker = undefined
      waiting = undefined
    })
    yield* Effect.addFinalizer(() => end)

    /** The first report of which `answerOf` makes something is the answer. */
    const ask = <A>(task: Task, answerOf: (report: Report) => A | undefined): Effect.Effect<A, Lost> =>
      Effect.callback((resume) => {
        const finish = (answer: Effect.Effect<A, Lost>): void => {
          waiting = undefined
          resume(answer)
        }
        waiting = {
          hear: (report) => {
            const answer = answerOf(report)
            if (answer !== undefined) finish(Effect.succeed(answer))
          },
          mourn: (why) => finish(Effect.fail(new Lost({ why })))
        }
        worker ??= start()
        worker.postMessage(task)
        // What was interrupted is still under way in the thread.
        return end
      })

    const run: Runner["run"] = (order, withinMs = Infinity) =>
      Effect.suspend(() => {
        const begin = performance.now()
        return ask({ _tag: "Run", order }, (report) => (report._tag === "Ran" ? report.run : undefined)).pipe(
          within(withinMs),
          Effect.catchTag("Lost", ({ why }) =>
            Effect.sync(() => Runs.lost(order, why, Math.round(performance.now() - begin)))
          )
        )
      })

    const shrink: Runner["shrink"] = (failing, forMs, onSmaller) =>
      ask({ _tag: "Shrink", failing, forMs }, (report) => {
        if (report._tag === "Smaller") onSmaller(report.regression)
        return report._tag === "Shrunk" ? true : undefined
      }).pipe(within(forMs + lastTryMs), Effect.asVoid)

    return { run, shrink }
  })

const within =
  (ms: number) =>
  <A>(task: Effect.Effect<A, Lost>): Effect.Effect<A, Lost> =>
    ms === Infinity
      ? task
      : Effect.timeoutOrElse(task, {
          duration: ms,
          orElse: () => Effect.fail(new Lost({ why: `did not end within ${ms / 1000} s` }))
        })

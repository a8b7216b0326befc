/**
 * Runs parts on every core: one order of one part in each thread, in the order in which parts and orders are listed.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Semaphore from "effect/Semaphore"
import { availableParallelism } from "node:os"
import process from "node:process"
import * as Results from "../Results.ts"
import * as Thread from "../Thread.ts"
import type { Any } from "./Part.ts"
import type { Job } from "./worker.ts"

/** @since 0.1.0 @category models */
export type Stored = Results.Stored<ReadonlyArray<unknown>>

/** Where a part is stored, below the folder of results. @since 0.1.0 */
export const fileOf = ({ name }: Any): string => `beyond/${name}.json`

/** A part as it was run: what there is to store, or why there is nothing. @since 0.1.0 @category models */
export interface Outcome {
  readonly part: Any
  readonly stored?: Stored
  readonly failure?: string
}

/**
 * `done` hears of each part as soon as its last order is done. A part that loses an order has no results, and leaves the
 * others alone. `sizes` undefined: those of each part.
 *
 * @since 0.1.0
 * @category running
 */
export const parts = Effect.fnUntraced(function* <E, R>(
  chosen: ReadonlyArray<Any>,
  sizes: ReadonlyArray<number> | undefined,
  seed: number,
  done: (part: Any, stored: Stored) => Effect.Effect<void, E, R>
) {
  const begin = yield* Clock.currentTimeMillis
  const cores = yield* Semaphore.make(availableParallelism())
  const ask = Effect.fnUntraced(function* (part: Any, order: unknown) {
    const job: Job = { part: part.name, order }
    const clock = yield* Clock.Clock
    return yield* Thread.run<unknown>(new URL("worker.ts", import.meta.url), job, (text) => {
      const seconds = Math.round((clock.currentTimeMillisUnsafe() - begin) / 1000)
      process.stderr.write(`${seconds} s · ${part.name} · ${part.label(order)} · ${text}\n`)
    })
  }, cores.withPermits(1))
  const one = Effect.fnUntraced(function* (part: Any) {
    const asked = Effect.forEach(part.orders(sizes ?? part.sizes, seed), (order) => ask(part, order), {
      concurrency: "unbounded"
    })
    const answers = yield* Effect.result(asked)
    if (Result.isFailure(answers)) {
      const outcome: Outcome = { part, failure: `${part.name}: ${answers.failure.message}` }
      return outcome
    }
    const results = answers.success.map(({ result }) => result)
    const seconds = answers.success.reduce((sum, { processorSeconds }) => sum + processorSeconds, 0)
    const stored: Stored = {
      about: yield* Results.about(`lab beyond --only ${part.name}`, seconds, begin),
      checks: part.checks(results),
      figures: part.figures(results),
      results
    }
    yield* done(part, stored)
    const outcome: Outcome = { part, stored }
    return outcome
  })
  return yield* Effect.forEach(chosen, one, { concurrency: "unbounded" })
})

/**
 * Runs the papers' experiments in two threads, and keeps what they gave.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import process from "node:process"
import * as Results from "../Results.ts"
import * as Thread from "../Thread.ts"
import * as Experiments from "./Experiments.ts"
import * as Page from "./Page.ts"
import { plots } from "./Plots.ts"
import * as Promises from "./Promises.ts"

/** @since 0.1.0 @category models */
export type Stored = Results.Stored<Experiments.Results>

/** Below the folder of results. @since 0.1.0 */
export const file = "papers/results.json"

/** The scale of the papers, which all promises are about. @since 0.1.0 */
export const promised: Experiments.Order = { size: 10_000, seed: 1, cycles: 50 }

/** Of each thread, at the papers' scale: both stay below 4 GB. Our choice. */
const promisedHeapMib = 1700

/** @since 0.1.0 @category running */
export const run = Effect.fnUntraced(function* (order: Experiments.Order) {
  const begin = yield* Clock.currentTimeMillis
  const answers = yield* Effect.forEach(
    Experiments.jobs(order),
    (job) =>
      Thread.run<Experiments.Part>(
        new URL("worker.ts", import.meta.url),
        job,
        (text) => void process.stderr.write(`${text}\n`),
        order.size <= promised.size ? promisedHeapMib : undefined
      ),
    { concurrency: "unbounded" }
  )
  const result = Experiments.resultsOf(
    order,
    answers.map(({ result }) => result)
  )
  const processorSeconds = answers.reduce((sum, answer) => sum + answer.processorSeconds, 0)
  const stored: Stored = {
    about: yield* Results.about("lab papers", processorSeconds, begin),
    checks: Promises.checks(result),
    figures: Promises.figures(result),
    results: result
  }
  return stored
})

/** Results, page and plots. @since 0.1.0 */
export const write = Effect.fnUntraced(function* (stored: Stored) {
  yield* Results.write(file, stored)
  yield* Results.writeText("papers.md", Page.page(stored.results, stored.about))
  for (const [name, plot] of Object.entries(plots(stored.results))) yield* Results.writePlot(`papers/${name}`, plot)
})

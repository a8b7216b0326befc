/** The thread behind a `Runner`: runs scenarios, and makes small what fails. */
import { Regression, Scenarios } from "@starling/testing"
import { performance } from "node:perf_hooks"
import { parentPort } from "node:worker_threads"
import * as Runs from "../Runs.ts"

/** One at a time. At most `forMs` are spent on making small what fails. @since 0.1.0 @category models */
export type Task =
  | { readonly _tag: "Run"; readonly order: Runs.Order }
  | { readonly _tag: "Shrink"; readonly failing: Regression.Regression; readonly forMs: number }

/**
 * `Ran` ends a run, `Shrunk` the shrinking. Before that, each `Smaller` says what is the smallest so far, since the thread may
 * not live to say it in the end.
 *
 * @since 0.1.0
 * @category models
 */
export type Report =
  | { readonly _tag: "Ran"; readonly run: Runs.Run }
  | { readonly _tag: "Smaller"; readonly regression: Regression.Regression }
  | { readonly _tag: "Shrunk" }

const report = (one: Report): void => parentPort?.postMessage(one)

parentPort?.on("message", (task: Task) => {
  if (task._tag === "Run") return report({ _tag: "Ran", run: runOf(task.order) })
  const until = performance.now() + task.forMs
  Regression.shrink(
    task.failing,
    () => performance.now() < until,
    (regression) => report({ _tag: "Smaller", regression })
  )
  report({ _tag: "Shrunk" })
})

const runOf = (order: Runs.Order): Runs.Run => {
  const scenario = Scenarios.all.find(({ name }) => name === order.scenario)
  return scenario === undefined
    ? Runs.lost(order, `there is no scenario ${order.scenario}`, 0)
    : Runs.run(scenario, order)
}

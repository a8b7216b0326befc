/** A thread of `lab run`, `lab soak` and `lab hunt`: runs what it is given, and makes what fails small. */
import { Regression, Scenarios } from "@starling/testing"
import { performance } from "node:perf_hooks"
import { parentPort } from "node:worker_threads"
import * as Runs from "../Runs.ts"

/** @since 0.1.0 @category models */
export interface Order extends Runs.Order {
  /** At most so long is spent on making it small. */
  readonly shrinkMs: number
}

/** `Ran` comes first; `Shrunk` follows if something was broken. @since 0.1.0 @category models */
export type Report =
  | { readonly _tag: "Ran"; readonly run: Runs.Run }
  | { readonly _tag: "Shrunk"; readonly regression: Regression.Regression; readonly tries: number }

const report = (one: Report): void => parentPort?.postMessage(one)

parentPort?.on("message", ({ shrinkMs, ...order }: Order) => {
  const run = runOf(order)
  report({ _tag: "Ran", run })
  if (run.broken.length === 0) return
  const until = performance.now() + shrinkMs
  let tries = 0
  const regression = Regression.shrink(Regression.of(run), () => {
    tries++
    return performance.now() < until
  })
  report({ _tag: "Shrunk", regression, tries })
})

const runOf = (order: Runs.Order): Runs.Run => {
  const scenario = Scenarios.all.find(({ name }) => name === order.scenario)
  return scenario === undefined
    ? Runs.lost(order, `there is no scenario ${order.scenario}`, 0)
    : Runs.run(scenario, order)
}

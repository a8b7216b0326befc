/**
 * A thread that runs seeds, one order after the other. The thread that gives them stays free to show progress and to be
 * interrupted.
 */
import { Scenarios } from "@starling/testing"
import { parentPort } from "node:worker_threads"
import * as Runs from "./Runs.ts"

parentPort?.on("message", (order: Runs.Order) => {
  const scenario = Scenarios.all.find(({ name }) => name === order.scenario)
  parentPort?.postMessage(
    scenario === undefined ? Runs.lost(order, `there is no scenario ${order.scenario}`, 0) : Runs.run(scenario, order)
  )
})

/**
 * One run of a scenario, as worker threads report it: plain data, whatever happened. A scenario that throws is a finding
 * like any other, so that one bad seed does not end a soak.
 *
 * @since 0.1.0
 */
import { Regression, type Scenarios } from "@starling/testing"
import { performance } from "node:perf_hooks"
import process from "node:process"

/** @since 0.1.0 @category models */
export interface Order {
  readonly scenario: string
  readonly seed: number
  readonly size: number
  /** Of faults, in virtual time; default: the scenario's own. */
  readonly minutes?: number
}

/** @since 0.1.0 @category models */
export interface Run extends Order, Scenarios.Outcome {
  readonly realMs: number
  /** The largest resident size of the process so far. */
  readonly memoryMib: number
  /** It has no outcome: its thread died, or it did not end in time. Nobody could play it again in a test. */
  readonly lost?: true
}

/** @since 0.1.0 @category running */
export const run = (scenario: Scenarios.Scenario, order: Order): Run => {
  const begin = performance.now()
  const outcome = Regression.attempt(() => scenario.run(order))
  return {
    ...order,
    ...outcome,
    realMs: Math.round(performance.now() - begin),
    memoryMib: Math.round(process.resourceUsage().maxRSS / 1024)
  }
}

/** A run of which nothing is known but why it has no outcome. @since 0.1.0 @category constructors */
export const lost = (order: Order, broken: string, realMs: number): Run => ({
  ...order,
  broken: [broken],
  virtualMs: 0,
  history: "",
  measured: {},
  realMs,
  memoryMib: 0,
  lost: true
})

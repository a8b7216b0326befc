/**
 * One experiment beyond the papers: what it is about, the runs it consists of, and what page, plots and promises are made
 * of their results. `lab beyond` does the rest: threads, progress, files, exit code.
 *
 * @since 0.1.0
 */
import type { Check, Figure } from "../Checks.ts"
import type * as Plot from "../Plot.ts"

/**
 * `Order` and `Result` are plain data (what JSON can hold): orders go to threads, results come back and are stored.
 * Methods, so that parts of different types stand in one list: what `run` made is all that the others are given.
 *
 * @since 0.1.0
 * @category models
 */
export interface Part<Order, Result> {
  /** Names its files and what `--only` takes: one word. */
  readonly name: string
  /** Heading on the page. */
  readonly title: string
  /** One sentence: what is tried. */
  readonly about: string
  /** Nodes of the fleets that the promises are about. Other sizes are for a quick look, and are not stored. */
  readonly sizes: ReadonlyArray<number>
  /** Its runs, each for a thread of its own, the longest first. Any size from 38 on makes a run, for tests. */
  orders(sizes: ReadonlyArray<number>, seed: number): ReadonlyArray<Order>
  /** How progress names an order. */
  label(order: Order): string
  /** In a thread. The same order gives the same result. */
  run(order: Order, progress: (text: string) => void): Result
  /** Of all results, in the order of `orders`. */
  checks(results: ReadonlyArray<Result>): ReadonlyArray<Check>
  /** What `lab compare` looks at. */
  figures(results: ReadonlyArray<Result>): ReadonlyArray<Figure>
  /** Lines of Markdown below the table of promises; a plot is at `beyond/NAME-PLOT.svg`. */
  page(results: ReadonlyArray<Result>): ReadonlyArray<string>
  /** By the name of the plot: one word. */
  plots(results: ReadonlyArray<Result>): Readonly<Record<string, Plot.Plot>>
}

/** @since 0.1.0 @category models */
export type Any = Part<unknown, unknown>

/**
 * `lab papers`: the papers' experiments at their scale, with what was promised beside what was measured.
 *
 * @since 0.1.0
 */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import process from "node:process"
import * as Checks from "../Checks.ts"
import { exitCodes, Failure } from "../Failure.ts"
import * as Options from "../options.ts"
import type * as Experiments from "../papers/Experiments.ts"
import * as Page from "../papers/Page.ts"
import { plots } from "../papers/Plots.ts"
import * as Promises from "../papers/Promises.ts"
import * as Results from "../Results.ts"
import * as Thread from "../Thread.ts"

/** Scale of the papers, and the page that is written of it. */
const sizeOfPapers = 10_000

/** @since 0.1.0 @category commands */
export const papers = Command.make(
  "papers",
  {
    seed: Options.seed,
    size: Options.size,
    cycles: Flag.Int("cycles").pipe(
      Flag.withMetavar("C"),
      Flag.withDescription("Shuffles before anything is measured; default 50, as in the papers"),
      Flag.filter(
        (cycles) => cycles >= 1 && cycles <= 1000,
        (cycles) => `Expected --cycles from 1 to 1000, got ${cycles}`
      ),
      Flag.withDefault(50)
    ),
    json: Options.json
  },
  Effect.fnUntraced(function* ({ cycles, json, seed, size }) {
    const order: Experiments.Order = { size: Option.getOrElse(size, () => sizeOfPapers), seed, cycles }
    const stored = yield* run(order)
    const { checks } = stored
    // What is measured at another size is not what the page promises.
    const isPromised = order.size === sizeOfPapers
    if (isPromised) yield* write(stored)
    yield* Console.log(json ? JSON.stringify(stored, undefined, 2) : Checks.text(checks))
    if (isPromised && checks.some(({ holds }) => !holds))
      return yield* new Failure({ code: exitCodes.findings, message: "" })
  })
).pipe(Command.withDescription("The experiments of the HyParView and Plumtree papers, n = 10,000"))

const run = Effect.fnUntraced(function* (order: Experiments.Order) {
  const { processorSeconds, result } = yield* Thread.run<Experiments.Results>(
    new URL("../papers/worker.ts", import.meta.url),
    order,
    (text) => void process.stderr.write(`${text}\n`)
  )
  const stored: Results.Stored<Experiments.Results> = {
    about: yield* Results.about("lab papers", processorSeconds),
    checks: Promises.checks(result),
    figures: Promises.figures(result),
    results: result
  }
  return stored
})

const write = Effect.fnUntraced(function* (stored: Results.Stored<Experiments.Results>) {
  yield* Results.write("papers/results.json", stored)
  yield* Results.writeText("papers.md", Page.page(stored.results, stored.about))
  for (const [name, plot] of Object.entries(plots(stored.results))) yield* Results.writePlot(`papers/${name}`, plot)
})

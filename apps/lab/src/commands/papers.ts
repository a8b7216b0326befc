/**
 * `lab papers`: the papers' experiments at their scale, with what was promised beside what was measured.
 *
 * @since 0.1.0
 */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import process from "node:process"
import { Worker } from "node:worker_threads"
import { exitCodes, Failure } from "../Failure.ts"
import * as Options from "../options.ts"
import type * as Experiments from "../papers/Experiments.ts"
import * as Page from "../papers/Page.ts"
import type { Report } from "../papers/worker.ts"
import * as SoakLog from "../SoakLog.ts"

/** Scale of the papers, and the page that is written of it. */
const sizeOfPapers = 10_000

/** Heap of the thread, in MiB: at n = 10,000 it takes about half. Our choice. */
const resourceLimits = { maxOldGenerationSizeMb: 3400, maxYoungGenerationSizeMb: 192 }

/** @since 0.1.0 @category commands */
export const papers = Command.make(
  "papers",
  {
    seed: Flag.Int("seed").pipe(
      Flag.withMetavar("S"),
      Flag.withDescription("The same seed gives the same results; default 1"),
      Flag.filter(Options.isSeed, (seed) => `Expected --seed from 0 on, got ${seed}`),
      Flag.withDefault(1)
    ),
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
    const results = yield* run(order)
    const used = process.cpuUsage()
    const about: Page.About = {
      command: "lab papers",
      commit: yield* SoakLog.commit,
      machine: `${SoakLog.machine.cpu}, ${SoakLog.machine.cores} cores, Node ${SoakLog.machine.node}`,
      processorSeconds: Math.round((used.user + used.system) / 1_000_000),
      memoryMib: Math.round(process.resourceUsage().maxRSS / 1024)
    }
    const checks = Page.checks(results)
    // What is measured at another size is not what the page promises.
    if (order.size === sizeOfPapers) yield* write(results, about)
    yield* Console.log(json ? JSON.stringify({ about, checks, results }, undefined, 2) : textOf(checks))
    if (order.size === sizeOfPapers && checks.some(({ holds }) => !holds))
      return yield* new Failure({ code: exitCodes.findings, message: "" })
  })
).pipe(Command.withDescription("The experiments of the HyParView and Plumtree papers, n = 10,000"))

/** In a thread of its own, so that this one can tell how far it is, and be interrupted. */
const run = (order: Experiments.Order): Effect.Effect<Experiments.Results, Failure> =>
  Effect.callback((resume) => {
    const worker = new Worker(new URL("../papers/worker.ts", import.meta.url), { workerData: order, resourceLimits })
    const failed = (what: string) =>
      resume(Effect.fail(new Failure({ code: exitCodes.findings, message: `the experiments ended: ${what}` })))
    worker.on("message", (report: Report) => {
      if (report._tag === "Progress") process.stderr.write(`${report.text}\n`)
      else resume(Effect.succeed(report.results))
    })
    worker.on("error", (error) => failed(error instanceof Error ? (error.stack ?? error.message) : String(error)))
    worker.on("exit", (code) => failed(`code ${code}`))
    return Effect.sync(() => void worker.terminate())
  })

const write = Effect.fnUntraced(function* (results: Experiments.Results, about: Page.About) {
  const fs = yield* FileSystem.FileSystem
  const folder = `${SoakLog.folder}papers`
  yield* fs.makeDirectory(folder, { recursive: true })
  yield* fs.writeFileString(`${SoakLog.folder}papers.md`, Page.page(results, about))
  yield* fs.writeFileString(`${folder}/results.json`, `${JSON.stringify(results, undefined, 2)}\n`)
  for (const [name, svg] of Object.entries(Page.plots(results))) yield* fs.writeFileString(`${folder}/${name}`, svg)
})

const textOf = (checks: ReadonlyArray<Page.Check>): string =>
  checks
    .map(({ holds, measured, promised, what }) => `${holds ? "holds" : "FAILS"}  ${what}: ${measured} (${promised})`)
    .join("\n")

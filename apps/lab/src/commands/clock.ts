/**
 * `lab clock`: what clocks do to a fleet, in virtual time, and `docs/results/clock.md` with it.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Console from "effect/Console"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import { availableParallelism } from "node:os"
import { fileURLToPath } from "node:url"
import { Worker } from "node:worker_threads"
import type * as Cells from "../clock/Cells.ts"
import * as Page from "../clock/Page.ts"
import * as Plan from "../clock/Plan.ts"
import { exitCodes, Failure } from "../Failure.ts"
import * as SoakLog from "../SoakLog.ts"

/** Of each case of dragging; fewer are a quicker look. */
const seedsDefault = 20

const results = new URL("../../../../docs/results/", import.meta.url)
const path = (name: string): string => fileURLToPath(new URL(name, results))

/** @since 0.1.0 @category commands */
export const clock = Command.make(
  "clock",
  {
    only: Flag.String("only").pipe(
      Flag.withMetavar("SECTION"),
      Flag.withDescription(`One of ${Plan.sections.join(", ")}; default: all`),
      Flag.filterMap(
        (name) => Option.fromUndefinedOr(Plan.sections.find((section) => section === name)),
        () => `Expected --only ${Plan.sections.join(", ")}`
      ),
      Flag.optional
    ),
    seeds: Flag.Int("seeds").pipe(
      Flag.withMetavar("N"),
      Flag.withDescription(`Seeds of each case of dragging; default ${seedsDefault}`),
      Flag.filter(
        (seeds) => seeds >= 1 && seeds <= 1000,
        (seeds) => `Expected --seeds from 1 to 1000, got ${seeds}`
      ),
      Flag.optional
    )
  },
  Effect.fnUntraced(function* ({ only, seeds }) {
    const sections = Option.match(only, { onNone: () => Plan.sections, onSome: (section) => [section] })
    for (const section of sections) {
      // After each: an interrupted run keeps what it has.
      yield* write(
        section,
        yield* runSection(
          section,
          Option.getOrElse(seeds, () => seedsDefault)
        )
      )
    }
    yield* Console.log("docs/results/clock.md")
  })
).pipe(Command.withDescription("Bad clocks, delay, loss and churn: the population protocol beside others"))

type Sections = Partial<Record<Plan.Section, Page.Stored>>

/** Each section has a file of its own, so that two may run at a time. */
const fileOf = (section: Plan.Section): string => path(`clock.${section}.jsonl`)

const read = Effect.gen(function* () {
  const files = yield* FileSystem.FileSystem
  const stored: Sections = {}
  for (const section of Plan.sections) {
    if (!(yield* files.exists(fileOf(section)))) continue
    const text = yield* files.readFileString(fileOf(section))
    stored[section] = yield* Effect.try({
      try: () => JSON.parse(text, (_, value: unknown) => (value === null ? Number.NaN : value)) as Page.Stored,
      catch: () =>
        new Failure({
          code: exitCodes.findings,
          message: `${fileOf(section)} is no JSON`,
          next: `run lab clock --only ${section}`
        })
    })
  }
  return stored
})

const write = Effect.fnUntraced(function* (section: Plan.Section, ran: Page.Stored) {
  const files = yield* FileSystem.FileSystem
  yield* files.writeFileString(fileOf(section), `${JSON.stringify(ran, rounded)}\n`)
  const stored = yield* read
  yield* files.writeFileString(path("clock.md"), Page.render(stored))
  if (stored.drag !== undefined) yield* files.writeFileString(path("clock.svg"), Page.plot(stored.drag))
})

/** Three digits after the point say enough. NaN is null in JSON. */
const rounded = (_: string, value: unknown): unknown =>
  typeof value === "number" && !Number.isInteger(value) && Number.isFinite(value) ? Number(value.toPrecision(6)) : value

/** On every core, each with a thread that takes one cell after the other. */
const runSection = Effect.fnUntraced(function* (section: Plan.Section, seeds: number) {
  const cells = Plan.cells(section, seeds)
  const begin = yield* Clock.currentTimeMillis
  const ran: Array<Page.Ran> = []
  let next = 0
  let done = 0
  const drain = Effect.gen(function* () {
    const worker = yield* thread
    for (let at = next++; at < cells.length; at = next++) {
      const cell = cells[at] as Cells.Cell
      ran[at] = { cell, result: yield* ask(worker, cell) }
      done++
      const seconds = ((yield* Clock.currentTimeMillis) - begin) / 1000
      yield* Console.error(`${section} · ${done} of ${cells.length} · ${seconds.toFixed(0)} s · ${nameOf(cell)}`)
    }
  }).pipe(Effect.scoped)
  const threads = Math.min(availableParallelism(), cells.length)
  yield* Effect.all(
    Array.from({ length: threads }, () => drain),
    { concurrency: "unbounded", discard: true }
  )
  const now = yield* DateTime.now
  return {
    date: DateTime.formatIso(now),
    machine: `${SoakLog.machine.cores} cores of ${SoakLog.machine.cpu}, Node ${SoakLog.machine.node}`,
    seconds: ((yield* Clock.currentTimeMillis) - begin) / 1000,
    ran
  } satisfies Page.Stored
})

const thread = Effect.acquireRelease(
  Effect.sync(
    () =>
      new Worker(new URL("../clock/worker.ts", import.meta.url), { resourceLimits: { maxYoungGenerationSizeMb: 192 } })
  ),
  (worker) => Effect.promise(() => worker.terminate())
)

const ask = (worker: Worker, cell: Cells.Cell): Effect.Effect<Cells.Result, Failure> =>
  Effect.callback<Cells.Result, Failure>((resume) => {
    const answered = (result: Cells.Result): void => {
      worker.off("error", failed)
      resume(Effect.succeed(result))
    }
    const failed = (error: unknown): void => {
      worker.off("message", answered)
      const message = `${nameOf(cell)}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`
      resume(Effect.fail(new Failure({ code: exitCodes.findings, message })))
    }
    worker.once("message", answered).once("error", failed)
    worker.postMessage(cell)
  })

const nameOf = (cell: Cells.Cell): string =>
  Object.entries(cell)
    .filter(([, value]) => value !== 0 && value !== false)
    .map(([name, value]) => (name === "_tag" ? String(value) : `${name} ${String(value)}`))
    .join(", ")

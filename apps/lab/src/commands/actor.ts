/**
 * `bench actor`: Starling's actors beside Erlang's and those of JavaScript, row by row, in one run.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import { fileURLToPath } from "node:url"
import * as Machine from "../bench/Machine.ts"
import * as Measure from "../bench/Measure.ts"
import * as Page from "../bench/Page.ts"
import * as Program from "../bench/Program.ts"
import type * as Report from "../bench/Report.ts"
import { crowd, ids, rows as allRows } from "../bench/Rows.ts"
import { exitCodes, Failure } from "../Failure.ts"
import * as Options from "../options.ts"

/** What the page is made with. Our choice: a second outlasts a batch of any arm; a minute, the restart window. */
const defaults = { rounds: 5, roundMs: 1000, crowdSeconds: 60 }

/** How long timers and sockets are watched beside a row. Our choice: a 99th percentile wants some hundred looks. */
const probeMs = 3000

const directory = new URL("../../../../docs/benchmarks/", import.meta.url)

const pagePath = fileURLToPath(new URL("actor.md", directory))

const whole = (name: string, least: number, most: number, byDefault: number, description: string) =>
  Flag.Int(name).pipe(
    Flag.withMetavar("N"),
    Flag.withDescription(`${description}; default ${byDefault}`),
    Flag.filter(
      (value) => value >= least && value <= most,
      (value) => `Expected --${name} from ${least} to ${most}, got ${value}`
    ),
    Flag.withDefault(byDefault)
  )

/** @since 0.1.0 @category commands */
export const actor = Command.make(
  "actor",
  {
    rows: Flag.String("rows").pipe(
      Flag.withMetavar("A,B"),
      Flag.withDescription(`Only these: ${ids.join(", ")}`),
      Flag.filterMap(
        (text) => {
          const wanted = text.split(",")
          return wanted.every((id) => ids.includes(id)) ? Option.some(wanted) : Option.none()
        },
        (text) => `Expected --rows of ${ids.join(", ")}, with commas between them, got ${JSON.stringify(text)}`
      ),
      Flag.optional
    ),
    rounds: whole("rounds", 1, 100, defaults.rounds, "Rounds that count, of each row, and pairs of the crowd"),
    ms: whole("ms", 1, 60_000, defaults.roundMs, "Milliseconds of a round"),
    seconds: whole("seconds", 1, 3600, defaults.crowdSeconds, "Seconds of a round of the crowd"),
    core: whole("core", 0, Machine.lastCore(), Machine.lastCore(), "The core that all arms share"),
    json: Options.json
  },
  Effect.fnUntraced(function* ({ core, json, ms, rounds, rows, seconds }) {
    const settings = { core, rounds, roundMs: ms, probeMs, crowdSeconds: seconds }
    const wanted = Option.getOrElse(rows, () => ids)
    const isWhole =
      ids.every((id) => wanted.includes(id)) &&
      rounds === defaults.rounds &&
      ms === defaults.roundMs &&
      seconds === defaults.crowdSeconds
    // Before anything is measured: a page that has lost its marks is not overwritten.
    const notes = yield* byHand
    const report = yield* Effect.scoped(runAll(wanted, settings))
    const page = Page.render(report, notes)
    if (isWhole) yield* writePage(page)
    yield* Console.error(
      isWhole
        ? "bench: written to docs/benchmarks/actor.md"
        : "bench: docs/benchmarks/actor.md is left as it is: only a whole run with nothing changed goes there"
    )
    yield* Console.log(json ? JSON.stringify(report, undefined, 2) : page)
  })
).pipe(Command.withDescription("Actors: Starling beside Erlang/OTP, raw Effect, nact and XState, on one core"))

const runAll = Effect.fnUntraced(
  function* (wanted: ReadonlyArray<string>, settings: Report.Settings) {
    yield* Machine.needTaskset
    const machine = yield* Machine.machine
    const files = yield* FileSystem.FileSystem
    const beams = yield* files.makeTempDirectoryScoped({ prefix: "starling-bench-" })
    yield* Machine.compileErlang(beams)
    const chosen = allRows.filter(({ id }) => wanted.includes(id))
    const withCrowd = wanted.includes(crowd.id)
    const before = Machine.load()
    const begin = yield* Clock.currentTimeMillis
    const say = progress(begin, Measure.estimateMs(chosen, withCrowd, settings))
    const run = { settings, pin: Program.pinnedTo(settings.core), beams, say }
    const measured: Array<Report.RowReport> = []
    for (const row of chosen) measured.push(yield* Measure.measureRow(run, row))
    const crowdReport = withCrowd ? yield* Measure.measureCrowd(run) : undefined
    const now = yield* Clock.currentTimeMillis
    const report: Report.Report = {
      date: new Date(now).toISOString().slice(0, 16).replace("T", " "),
      minutes: (now - begin) / 60_000,
      load: { before, after: Machine.load() },
      machine,
      settings,
      rows: measured,
      crowd: crowdReport
    }
    return report
  },
  Effect.mapError((error) =>
    error instanceof Failure ? error : new Failure({ code: exitCodes.findings, message: error.message })
  )
)

const progress = (begin: number, totalMs: number) => (text: string) =>
  Effect.flatMap(Clock.currentTimeMillis, (now) => {
    const minutes = (ms: number) => (ms / 60_000).toFixed(1)
    return Console.error(`${minutes(now - begin)} of about ${minutes(totalMs)} min · ${text}`)
  })

const byHand = Effect.gen(function* () {
  const files = yield* FileSystem.FileSystem
  if (!(yield* files.exists(pagePath))) return Page.noNotes
  const notes = Page.notesOf(yield* files.readFileString(pagePath))
  if (notes !== undefined) return notes
  return yield* new Failure({
    code: exitCodes.findings,
    message: "docs/benchmarks/actor.md has lost the marks around what is written by hand",
    next: "put `<!-- by hand: begin -->` and `<!-- by hand: end -->` around it"
  })
})

const writePage = Effect.fnUntraced(function* (page: string) {
  const files = yield* FileSystem.FileSystem
  yield* files.makeDirectory(fileURLToPath(directory), { recursive: true })
  yield* files.writeFileString(pagePath, page)
})

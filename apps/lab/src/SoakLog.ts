/**
 * `docs/results/soak.jsonl`: one line for each soak, what was run, where, and what was found. Lines are only added.
 *
 * A soak goes on where the lines of the same scenario, size and code end. Code is the last commit that touched what the
 * scenario runs, so that a change elsewhere does not begin the seeds anew; sources that are not committed have no name, and
 * what was run on them is never counted as done.
 *
 * @since 0.1.0
 */
import type { Scenarios } from "@starling/testing"
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import type * as PlatformError from "effect/PlatformError"
import * as ChildProcess from "effect/process/ChildProcess"
import * as ChildProcessSpawner from "effect/process/ChildProcessSpawner"
import * as os from "node:os"
import process from "node:process"
import { fileURLToPath } from "node:url"
import type * as Runs from "./Runs.ts"
import * as Sources from "./Sources.ts"

/** @since 0.1.0 @category models */
export interface Finding {
  readonly seed: number
  readonly broken: ReadonlyArray<string>
}

/** @since 0.1.0 @category models */
export interface Line {
  readonly scenario: string
  readonly size: number
  /** Of the checkout; with `-dirty` if sources differ from it. */
  readonly commit: string
  /** The last commit that touched what the scenario runs; the same as `commit` if that is dirty. */
  readonly code: string
  /** When it ended, as ISO 8601. */
  readonly date: string
  readonly machine: { readonly cpu: string; readonly cores: number; readonly node: string }
  readonly command: string
  /** Every seed from `first` to `last` was run. */
  readonly first: number
  readonly last: number
  readonly runs: number
  readonly virtualSeconds: number
  readonly realSeconds: number
  readonly failing: number
  /** Of the first failing seeds. */
  readonly findings: ReadonlyArray<Finding>
}

/** Broken promises of a finding that a line keeps: the first say enough. @since 0.1.0 */
export const brokenMax = 5

/** The line of these runs, of which there is one at least. @since 0.1.0 @category constructors */
export const lineOf = (
  {
    begin,
    now,
    revision,
    runs,
    scenario,
    size
  }: {
    readonly scenario: string
    readonly size: number
    readonly revision: Revision
    readonly begin: number
    readonly now: number
    readonly runs: ReadonlyArray<Runs.Run>
  },
  findings: ReadonlyArray<Finding>
): Line => ({
  scenario,
  size,
  commit: revision.commit,
  code: revision.code,
  date: DateTime.formatIso(DateTime.makeUnsafe(now)),
  machine,
  command: ["lab", ...process.argv.slice(2)].join(" "),
  first: runs[0]?.seed ?? 0,
  last: runs.at(-1)?.seed ?? 0,
  runs: runs.length,
  virtualSeconds: virtualSeconds(runs),
  realSeconds: Math.round((now - begin) / 1000),
  failing: runs.filter(({ broken }) => broken.length > 0).length,
  findings
})

/** Seeds that ended without a gap before them: what a line may claim. @since 0.1.0 */
export const claimed = (first: number, ended: ReadonlyMap<number, Runs.Run>): ReadonlyArray<Runs.Run> => {
  const out: Array<Runs.Run> = []
  for (let run = ended.get(first); run !== undefined; run = ended.get(run.seed + 1)) out.push(run)
  return out
}

/** @since 0.1.0 */
export const virtualSeconds = (runs: Iterable<Runs.Run>): number => {
  let sum = 0
  for (const { virtualMs } of runs) sum += virtualMs
  return Math.round(sum / 1000)
}

const rootUrl = new URL("../../../", import.meta.url)

/** Of the repository. @since 0.1.0 */
export const root = fileURLToPath(rootUrl)

/** Where results are kept. @since 0.1.0 */
export const folder = fileURLToPath(new URL("docs/results/", rootUrl))

/** @since 0.1.0 */
export const path = `${folder}soak.jsonl`

/** Where what once failed is kept. @since 0.1.0 */
export const regressions = fileURLToPath(new URL("test/regressions/", rootUrl))

/** @since 0.1.0 */
export const machine: Line["machine"] = {
  cpu: os.cpus()[0]?.model.trim() ?? "unknown",
  cores: os.availableParallelism(),
  node: process.version
}

/** @since 0.1.0 @category models */
export interface Revision {
  readonly commit: string
  readonly code: string
  /** Whether `code` names exactly what runs. */
  readonly known: boolean
}

/** What runs here, for these scenarios. Without git nothing is known. @since 0.1.0 */
export const revision = (
  scenarios: ReadonlyArray<Scenarios.Scenario>
): Effect.Effect<Revision, never, Spawner | FileSystem.FileSystem> =>
  Effect.gen(function* () {
    const paths = yield* Effect.forEach(scenarios, (scenario) => Sources.of(scenario, rootUrl))
    const sources = ["--", ...new Set(paths.flat()), "pnpm-lock.yaml"]
    const commit = yield* git("rev-parse", "--short=12", "HEAD")
    const changed = yield* git("status", "--porcelain", ...sources)
    const code = yield* git("log", "-1", "--format=%h", "--abbrev=12", ...sources)
    if (changed !== "") return { commit: `${commit}-dirty`, code: `${commit}-dirty`, known: false }
    return { commit, code, known: code !== "" }
  }).pipe(Effect.orElseSucceed(() => ({ commit: "unknown", code: "unknown", known: false })))

/** What is checked out, and whether sources differ from it. Without git nothing is known. @since 0.1.0 */
export const commit: Effect.Effect<string, never, Spawner> = Effect.gen(function* () {
  const head = yield* git("rev-parse", "--short=12", "HEAD")
  const changed = yield* git("status", "--porcelain", "--", "packages", "apps/lab", "pnpm-lock.yaml")
  return changed === "" ? head : `${head}-dirty`
}).pipe(Effect.orElseSucceed(() => "unknown"))

/** Date, time and commit, for pages of what was measured. @since 0.1.0 */
export const when: Effect.Effect<string, never, Spawner> = Effect.gen(function* () {
  const now = yield* Clock.currentTimeMillis
  return `${new Date(now).toISOString().slice(0, 16).replace("T", " ")}, ${yield* commit}`
})

type Spawner = ChildProcessSpawner.ChildProcessSpawner

/** What git says in this repository. @since 0.1.0 */
export const git = Effect.fnUntraced(function* (...args: ReadonlyArray<string>) {
  const spawner = yield* ChildProcessSpawner.ChildProcessSpawner
  const text = yield* spawner.string(ChildProcess.make("git", args, { cwd: root }))
  return text.trim()
})

/** Lines that are not of this form are passed over: the file is also for people. @since 0.1.0 */
export const read: Effect.Effect<ReadonlyArray<Line>, PlatformError.PlatformError, FileSystem.FileSystem> = Effect.gen(
  function* () {
    const files = yield* FileSystem.FileSystem
    if (!(yield* files.exists(path))) return []
    return parse(yield* files.readFileString(path))
  }
)

/** @since 0.1.0 */
export const append = Effect.fnUntraced(function* (line: Line) {
  const files = yield* FileSystem.FileSystem
  yield* files.makeDirectory(folder, { recursive: true })
  yield* files.writeFileString(path, `${JSON.stringify(line)}\n`, { flag: "a" })
})

/** @since 0.1.0 */
export const parse = (text: string): ReadonlyArray<Line> =>
  text.split("\n").flatMap((row) => {
    const line = parseRow(row)
    return line === undefined ? [] : [line]
  })

const parseRow = (row: string): Line | undefined => {
  try {
    const value: unknown = JSON.parse(row)
    return isLine(value) ? value : undefined
  } catch {
    return undefined
  }
}

const isLine = (value: unknown): value is Line => {
  if (typeof value !== "object" || value === null) return false
  const { code, findings, first, last, scenario, size } = value as Partial<Record<keyof Line, unknown>>
  return (
    typeof scenario === "string" &&
    typeof code === "string" &&
    [first, last, size].every((field) => Number.isSafeInteger(field)) &&
    Array.isArray(findings)
  )
}

/**
 * Where seeds that begin at `first` go on, and the lines that cover what is done already.
 *
 * @since 0.1.0
 */
export const resume = (
  lines: ReadonlyArray<Line>,
  of: Pick<Line, "scenario" | "size" | "code">,
  first: number
): { readonly next: number; readonly done: ReadonlyArray<Line> } => {
  const same = lines.filter((line) => line.scenario === of.scenario && line.size === of.size && line.code === of.code)
  const done: Array<Line> = []
  let next = first
  for (let line = covering(same, next); line !== undefined; line = covering(same, next)) {
    done.push(line)
    next = line.last + 1
  }
  return { next, done }
}

const covering = (lines: ReadonlyArray<Line>, seed: number): Line | undefined =>
  lines.find((line) => line.first <= seed && seed <= line.last)

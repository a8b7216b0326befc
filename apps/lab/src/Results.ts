/**
 * What is kept of an experiment in `docs/results`: its results as they are, what was promised and measured, the figures
 * that `lab compare` looks at, and its plots.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import process from "node:process"
import { exitCodes, Failure } from "./Failure.ts"
import type { Check, Figure } from "./Checks.ts"
import * as Plot from "./Plot.ts"
import * as SoakLog from "./SoakLog.ts"

/** How a run went, beside what it found. @since 0.1.0 @category models */
export interface About {
  readonly command: string
  readonly commit: string
  readonly machine: string
  /** Of the threads that measure: what else the machine does counts for nothing, nor what the engine does beside them. */
  readonly processorSeconds: number
  /** From the start of the command until this was done. */
  readonly realSeconds: number
  /** The most that the process had by then, whatever else it ran. */
  readonly memoryMib: number
}

/** @since 0.1.0 @category models */
export interface Stored<Results> {
  readonly about: About
  readonly checks: ReadonlyArray<Check>
  readonly figures: ReadonlyArray<Figure>
  readonly results: Results
}

/** `since`: when the command started. @since 0.1.0 */
export const about = Effect.fnUntraced(function* (command: string, processorSeconds: number, since: number) {
  const about: About = {
    command,
    commit: yield* SoakLog.commit,
    machine: `${SoakLog.machine.cpu}, ${SoakLog.machine.cores} cores, Node ${SoakLog.machine.node}`,
    processorSeconds: Math.round(processorSeconds),
    realSeconds: Math.round(((yield* Clock.currentTimeMillis) - since) / 1000),
    memoryMib: Math.round(process.resourceUsage().maxRSS / 1024)
  }
  return about
})

/** `name` is a path below the folder of results. @since 0.1.0 */
export const write = Effect.fnUntraced(function* <Results>(name: string, stored: Stored<Results>) {
  yield* writeText(name, `${JSON.stringify(stored, undefined, 2)}\n`)
})

/** Undefined if nothing was stored yet. @since 0.1.0 */
export const read = Effect.fnUntraced(function* <Results>(name: string) {
  const files = yield* FileSystem.FileSystem
  const file = SoakLog.folder + name
  if (!(yield* files.exists(file))) return undefined
  return yield* parse<Results>(name, yield* files.readFileString(file))
})

/** What `write` wrote. @since 0.1.0 */
export const parse = <Results>(name: string, text: string): Effect.Effect<Stored<Results>, Failure> =>
  Effect.suspend(() => {
    const stored = valueOf(text)
    if (isStored<Results>(stored)) return Effect.succeed(stored)
    const message = `docs/results/${name} is not what the lab stores: an object with about, checks, figures and results`
    return Effect.fail(new Failure({ code: exitCodes.findings, message, next: "run the experiment again" }))
  })

const valueOf = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** The lab reads back what it wrote itself: that the four parts are there is enough. */
const isStored = <Results>(value: unknown): value is Stored<Results> =>
  typeof value === "object" && value !== null && ["about", "checks", "figures", "results"].every((key) => key in value)

/** @since 0.1.0 */
export const writeText = Effect.fnUntraced(function* (name: string, text: string) {
  const files = yield* FileSystem.FileSystem
  const file = SoakLog.folder + name
  yield* files.makeDirectory(file.slice(0, file.lastIndexOf("/")), { recursive: true })
  yield* files.writeFileString(file, text)
})

/** As SVG and PNG; `name` without an extension. @since 0.1.0 */
export const writePlot = Effect.fnUntraced(function* (name: string, plot: Plot.Plot) {
  yield* writeText(`${name}.svg`, Plot.svg(plot))
  const png = Plot.png(plot)
  if (png === undefined) return yield* Console.error(`${name}.png is left as it is: this machine has no fonts`)
  const files = yield* FileSystem.FileSystem
  yield* files.writeFile(`${SoakLog.folder}${name}.png`, png)
})

/**
 * What failed, made small, as a file of `test/regressions/`, which `lab replay` and a test play.
 *
 * @since 0.1.0
 */
import { Regression } from "@starling/testing"
import * as Clock from "effect/Clock"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FileSystem from "effect/FileSystem"
import * as Path from "effect/Path"
import * as Result from "effect/Result"
import * as Options from "../options.ts"
import type * as Runs from "../Runs.ts"
import * as SoakLog from "../SoakLog.ts"
import type * as Runner from "./Runner.ts"

/** Where, and by what. @since 0.1.0 @category models */
export interface Keeper {
  readonly directory: string
  readonly by: "lab hunt" | "lab run"
}

/** The file's name, the line that plays it, and what people are told. @since 0.1.0 @category models */
export interface Kept {
  readonly name: string
  readonly replay: string
  readonly text: string
}

/** What takes longer is not kept as it was found. Our choice: half of what a regression may take in `test`. */
const keptMsMax = 60_000

/**
 * Makes a failing run small and keeps it as far as that came, whatever ended it: success, time, the death of the thread, or
 * Ctrl-C. Of what nothing smaller failed there is no file if it took long, or if it was interrupted: a test has to play it.
 * Nothing is kept of a run that was lost, either: what took all memory or never ended would do so to the test as well.
 *
 * @since 0.1.0
 */
export const shrunk = <E, R>(
  keeper: Keeper,
  runner: Runner.Runner,
  run: Runs.Run,
  options: {
    readonly forMs: number
    readonly onSmaller?: (smaller: Regression.Regression) => void
    readonly onKept: (kept: Kept) => Effect.Effect<void, E, R>
  }
) =>
  Effect.gen(function* () {
    if (run.lost === true) return yield* Console.error("lab: the run has no outcome; nothing is kept of it")
    const before = Regression.of(run)
    let best = before
    const { forMs, onKept, onSmaller } = options
    const shrinking = runner.shrink(before, forMs, (smaller) => {
      best = smaller
      onSmaller?.(smaller)
    })
    yield* shrinking.pipe(
      Effect.catchTag("Lost", ({ why }) => Console.error(`lab: shrinking ended early: ${why}`)),
      Effect.onExit((exit) => {
        if (best !== before) return Effect.flatMap(keep(keeper, run, best), onKept)
        if (Exit.isFailure(exit)) return Console.error("lab: nothing smaller had failed yet; nothing is kept")
        return run.realMs > keptMsMax
          ? Console.error(`lab: nothing smaller fails, and it took more than ${keptMsMax / 1000} s; nothing is kept`)
          : Effect.flatMap(keep(keeper, run, best), onKept)
      })
    )
  })

/** Writes what was found, made small, beside what else was found by that seed. @since 0.1.0 */
export const keep = Effect.fnUntraced(function* (
  { by, directory }: Keeper,
  { minutes, scenario, seed, size }: Runs.Order,
  small: Regression.Regression
) {
  const files = yield* FileSystem.FileSystem
  const paths = yield* Path.Path
  const date = new Date(yield* Clock.currentTimeMillis).toISOString().slice(0, 10)
  const before = Options.replay(scenario, seed, size, minutes)
  const finding = { ...small, found: `${date}, by ${by}; before it was shrunk: ${before}` }
  yield* files.makeDirectory(directory, { recursive: true })
  const name = yield* nameOf(directory, finding, before)
  const file = paths.resolve(directory, name)
  yield* files.writeFileString(file, Regression.toText(finding))
  // As people give it where `npx -y pnpm@12 lab` runs: at the root of the repository.
  const fromRoot = paths.relative(SoakLog.root, file)
  const path = fromRoot.startsWith("..") ? file : fromRoot
  const replay = Options.replayFile(path)
  return { name, replay, text: `kept: ${sizeOf(small)} in ${path}\n  replay: ${replay}` } satisfies Kept
})

/** How small it is, for people. @since 0.1.0 */
export const sizeOf = ({ faults, plan, size }: Regression.Regression): string =>
  (plan === null
    ? [count(size, "member"), ...(faults === undefined ? [] : [count(faults.length, "fault")])]
    : [count(plan.members.length, "member"), count(plan.faults.length, "fault"), count(plan.deeds.length, "deed")]
  ).join(", ")

/** Free, or of a file that holds the same failure of the same run. */
const nameOf = Effect.fnUntraced(function* (directory: string, finding: Regression.Regression, replay: string) {
  const files = yield* FileSystem.FileSystem
  const paths = yield* Path.Path
  for (let count = 1; ; count++) {
    const name = `${finding.scenario}-${finding.seed}${count === 1 ? "" : `-${count}`}.json`
    const path = paths.join(directory, name)
    if (!(yield* files.exists(path))) return name
    const kept = Regression.parse(yield* files.readFileString(path))
    if (Result.isSuccess(kept) && isSame(kept.success, finding, replay)) return name
  }
})

/** What the same run showed before the code was another may be another failure. */
const isSame = (kept: Regression.Regression, { broken }: Regression.Regression, replay: string): boolean => {
  const known = Regression.signature(kept.broken)
  return kept.found.endsWith(replay) && [...Regression.signature(broken)].some((line) => known.has(line))
}

const count = (number: number, what: string): string => `${number} ${what}${number === 1 ? "" : "s"}`

/**
 * A finding as a file of `test/regressions/`, which `lab replay` and a test play.
 *
 * @since 0.1.0
 */
import { Regression } from "@starling/testing"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Result from "effect/Result"
import * as Options from "../options.ts"
import type * as Runs from "../Runs.ts"

/** The file's name, and what people are told. @since 0.1.0 @category models */
export interface Kept {
  readonly name: string
  readonly text: string
}

/** Writes what was found by a command, made small, into the directory; beside what else was found there by that seed. @since 0.1.0 */
export const keep = Effect.fnUntraced(function* (
  directory: string,
  by: "lab hunt" | "lab run",
  { minutes, scenario, seed, size }: Runs.Order,
  small: Regression.Regression
) {
  const files = yield* FileSystem.FileSystem
  const date = new Date(yield* Clock.currentTimeMillis).toISOString().slice(0, 10)
  const replay = Options.replay(scenario, seed, size, minutes)
  const found = `${date}, by ${by}; before it was shrunk: ${replay}`
  yield* files.makeDirectory(directory, { recursive: true })
  let name = `${scenario}-${seed}.json`
  for (let other = 2; yield* isTaken(directory + name, replay); other++) name = `${scenario}-${seed}-${other}.json`
  yield* files.writeFileString(`${directory}${name}`, Regression.toText({ ...small, found }))
  const { plan } = small
  const left =
    plan === null
      ? [count(small.size, "member"), ...(small.faults === undefined ? [] : [count(small.faults.length, "fault")])]
      : [count(plan.members.length, "member"), count(plan.faults.length, "fault"), count(plan.deeds.length, "deed")]
  const text = `kept: ${left.join(", ")} in test/regressions/${name}\n  replay: ${Options.replayFile(name)}`
  return { name, text } satisfies Kept
})

/** A file of the same name holds what another run found. */
const isTaken = Effect.fnUntraced(function* (path: string, replay: string) {
  const files = yield* FileSystem.FileSystem
  if (!(yield* files.exists(path))) return false
  const kept = Regression.parse(yield* files.readFileString(path))
  return Result.isFailure(kept) || !kept.success.found.endsWith(replay)
})

const count = (number: number, what: string): string => `${number} ${what}${number === 1 ? "" : "s"}`

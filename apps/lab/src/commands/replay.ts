/**
 * `lab replay`: what once failed, from its file.
 *
 * @since 0.1.0
 */
import { Regression } from "@starling/testing"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Result from "effect/Result"
import { exitCodes, Failure } from "../Failure.ts"
import * as Options from "../options.ts"

/** @since 0.1.0 @category commands */
export const replay = Command.make(
  "replay",
  {
    file: Argument.String("file").pipe(
      Argument.withMetavar("FILE"),
      Argument.withDescription("A file as `lab run` and `lab hunt` leave them in test/regressions/")
    ),
    json: Options.json
  },
  Effect.fnUntraced(function* ({ file, json }) {
    const files = yield* FileSystem.FileSystem
    const text = yield* Effect.mapError(
      files.readFileString(file),
      ({ message }) =>
        new Failure({
          code: exitCodes.usage,
          message: `cannot read ${file}: ${message}`,
          next: "give the path of a file"
        })
    )
    const parsed = Regression.parse(text)
    if (Result.isFailure(parsed)) {
      return yield* new Failure({ code: exitCodes.usage, message: `${file} is no regression: ${parsed.failure}` })
    }
    const regression = parsed.success
    const outcome = Regression.attempt(() => Regression.run(regression))
    yield* Console.log(
      json
        ? JSON.stringify({ ...regression, ...outcome, before: regression.broken }, undefined, 2)
        : [
            `${regression.scenario} · seed ${regression.seed}: ${outcome.broken.length === 0 ? "nothing broken" : `${outcome.broken.length} broken`}`,
            ...outcome.broken.map((broken) => `  broken: ${broken}`),
            ...regression.broken.map((broken) => `  when it was found: ${broken.split("\n", 1)[0]}`),
            `  virtual time ${outcome.virtualMs / 1000} s, history ${outcome.history}`
          ].join("\n")
    )
    if (outcome.broken.length > 0) return yield* new Failure({ code: exitCodes.findings, message: "" })
  })
).pipe(Command.withDescription("What once failed, from its file: is it still broken?"))

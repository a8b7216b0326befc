/**
 * `bench micro`, and `bench PACKAGE` for one package: the benchmarks in `packages/*\/bench`, by Vitest.
 *
 * @since 0.1.0
 */
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as ChildProcess from "effect/process/ChildProcess"
import * as ChildProcessSpawner from "effect/process/ChildProcessSpawner"
import { fileURLToPath } from "node:url"
import { exitCodes, Failure } from "../Failure.ts"

const root = fileURLToPath(new URL("../../../../", import.meta.url))

/** Those that have benchmarks of their own. */
const packages = ["fleet", "wire"]

const vitest = Effect.fnUntraced(function* (...of: ReadonlyArray<string>) {
  const spawner = yield* ChildProcessSpawner.ChildProcessSpawner
  const args = ["bench", "--run", "--config", "vitest.bench.ts", ...of]
  const command = ChildProcess.make("node_modules/.bin/vitest", args, {
    cwd: root,
    stdin: "inherit",
    stdout: "inherit",
    stderr: "inherit"
  })
  const code = yield* spawner.exitCode(command)
  // Vitest has said what was wrong.
  if (code !== 0) return yield* new Failure({ code: exitCodes.findings, message: "" })
})

/** @since 0.1.0 @category commands */
export const micro = [
  Command.make("micro", {}, () => vitest()).pipe(Command.withDescription("Functions of facts and wire, one by one")),
  ...packages.map((name) =>
    Command.make(name, {}, () => vitest(`packages/${name}/`)).pipe(
      Command.withDescription(`Functions of ${name}, one by one`)
    )
  )
] as const

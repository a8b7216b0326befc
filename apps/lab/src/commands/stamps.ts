/**
 * `bench clock`: stamps beside `Date.now()` and the clocks of the registry, and `docs/benchmarks/clock.md` with it.
 *
 * @since 0.1.0
 */
import * as Command from "effect/cli/Command"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as ChildProcess from "effect/process/ChildProcess"
import * as ChildProcessSpawner from "effect/process/ChildProcessSpawner"
import process from "node:process"
import { fileURLToPath } from "node:url"
import { exitCodes, Failure } from "../Failure.ts"
import * as SoakLog from "../SoakLog.ts"

const path = (name: string): string => fileURLToPath(new URL(`../../../../${name}`, import.meta.url))

const intro = `# Stamps, measured

Written by \`npx -y pnpm@12 bench clock\`; do not edit. All in one process and one run, in turns, in processor time of the
thread: on a machine that is busy it is longer, the ratios about the same. What is measured stands in
[apps/lab/bench/clock/rows.ts](../../apps/lab/bench/clock/rows.ts). The goal of a stamp: at most twice \`Date.now()\`, no
allocation beyond the stamp (72 bytes with its wall part; \`Date.now()\` allocates 16 itself).

`

/** @since 0.1.0 @category commands */
export const stamps = Command.make(
  "clock",
  {},
  Effect.fnUntraced(function* () {
    const spawner = yield* ChildProcessSpawner.ChildProcessSpawner
    const files = yield* FileSystem.FileSystem
    yield* Console.error("about 40 s")
    const table = yield* spawner.string(
      ChildProcess.make(process.execPath, [path("apps/lab/bench/clock/main.ts")], { stderr: "inherit" })
    )
    // What went wrong was said on standard error.
    if (!table.includes("## ")) return yield* new Failure({ code: exitCodes.findings, message: "" })
    yield* files.writeFileString(path("docs/benchmarks/clock.md"), `${intro}${yield* SoakLog.when}.\n\n${table}`)
    yield* Console.log(table)
  })
).pipe(Command.withDescription("Stamps beside Date.now() and the clocks of the registry"))

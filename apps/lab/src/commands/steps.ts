/**
 * `bench gossip`: steps of the membership and broadcast machines, and `docs/benchmarks/gossip.md` with it.
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

const intro = `# Steps of gossip, measured

Written by \`npx -y pnpm@12 bench gossip\`; do not edit. Each machine stands where it stands in a fleet of 10,000 nodes: five
neighbours, thirty passive peers, and, of broadcast tree and repair, one broadcast delivered of every node. A row is one
call of \`step\`, on 1,024 pairs of a state and an event; the kinds of a machine take turns, round by round. Time is the
processor's, of the one thread; on a machine that is busy it is longer all the same, for the caches are shared. What is measured stands in
[apps/lab/bench/gossip/rows.ts](../../apps/lab/bench/gossip/rows.ts).

Beside them: stamps in [clock.md](clock.md), facts in \`npx -y pnpm@12 bench fleet\`, all of it together in [sim.md](sim.md).

`

/** @since 0.1.0 @category commands */
export const steps = Command.make(
  "gossip",
  {},
  Effect.fnUntraced(function* () {
    const spawner = yield* ChildProcessSpawner.ChildProcessSpawner
    const files = yield* FileSystem.FileSystem
    yield* Console.error("about a minute")
    const table = yield* spawner.string(
      ChildProcess.make(process.execPath, ["--expose-gc", path("apps/lab/bench/gossip/main.ts")], { stderr: "inherit" })
    )
    // What went wrong was said on standard error.
    if (!table.includes("## What a machine keeps")) return yield* new Failure({ code: exitCodes.findings, message: "" })
    yield* files.writeFileString(path("docs/benchmarks/gossip.md"), `${intro}${yield* SoakLog.when}.\n\n${table}`)
    yield* Console.log(table)
  })
).pipe(Command.withDescription("Steps of the membership and broadcast machines, in a fleet of 10,000"))

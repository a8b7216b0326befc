/**
 * Who started the demo: its parent and, when a package runner started it (`npx` → `pnpm` → `sh` → here), everybody up
 * to the outermost runner. When one of them is gone, however it ended, there is nobody left to demonstrate to.
 *
 * The shell or terminal above is not watched: it may go away on purpose, and when a terminal closes it says so (SIGHUP).
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as ChildProcess from "effect/process/ChildProcess"
import * as ChildProcessSpawner from "effect/process/ChildProcessSpawner"
import process from "node:process"

interface Entry {
  readonly pid: number
  readonly parent: number
  readonly command: string
}

/** Commands that start other commands for people: they stand between them and the demo. */
const runner = /\b(?:npm|npx|pnpm|pnpx|yarn|bun|bunx|corepack)\b/

/** No sane chain is longer; ours are four. */
const chainMax = 16

/** How often it is looked. Our choice: fast enough to seem immediate, and nearly free. */
const every = "300 millis"

/** The processes to watch, given everybody from the parent upwards. */
export const watchedOf = (chain: ReadonlyArray<Entry>): ReadonlyArray<number> =>
  chain.slice(0, Math.max(1, chain.findLastIndex(({ command }) => runner.test(command)) + 1)).map(({ pid }) => pid)

/** Returns when one of those who started this process is gone. */
export const gone: Effect.Effect<void, never, FileSystem.FileSystem | ChildProcessSpawner.ChildProcessSpawner> =
  Effect.gen(function* () {
    const parent = process.ppid
    const watched = watchedOf(yield* chainFrom(parent))
    while (process.ppid === parent && watched.every(isAlive)) yield* Effect.sleep(every)
  })

const chainFrom = Effect.fnUntraced(function* (parent: number) {
  const chain: Array<Entry> = []
  for (let pid = parent; pid > 1 && chain.length < chainMax;) {
    const entry = yield* Effect.orElseSucceed(
      Effect.catch(fromProc(pid), () => fromPs(pid)),
      () => undefined
    )
    if (entry === undefined) break
    chain.push(entry)
    pid = entry.parent
  }
  return chain
})

/** Linux: `/proc/PID/stat` is `PID (name) state parent …`, and a name may contain anything. */
const fromProc = Effect.fnUntraced(function* (pid: number) {
  const files = yield* FileSystem.FileSystem
  const stat = yield* files.readFileString(`/proc/${pid}/stat`)
  const command = yield* files.readFileString(`/proc/${pid}/cmdline`)
  const parent = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1])
  return { pid, parent, command: command.replaceAll("\0", " ") }
})

/** Elsewhere. */
const fromPs = Effect.fnUntraced(function* (pid: number) {
  const spawner = yield* ChildProcessSpawner.ChildProcessSpawner
  const line = yield* spawner.string(ChildProcess.make("ps", ["-o", "ppid=,args=", "-p", String(pid)]))
  const [, parent, command] = /^\s*(\d+)\s+(.*)/.exec(line) ?? []
  return parent === undefined ? undefined : { pid, parent: Number(parent), command: command ?? "" }
})

/** Somebody else's process is alive too: the system refuses the signal instead of not finding whom to send it to. */
const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM"
  }
}

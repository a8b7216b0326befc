/**
 * On what was measured: the machine, the checkout, the versions; and what has to be there.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Schema from "effect/Schema"
import * as ChildProcess from "effect/process/ChildProcess"
import * as ChildProcessSpawner from "effect/process/ChildProcessSpawner"
import * as os from "node:os"
import process from "node:process"
import { fileURLToPath } from "node:url"
import { exitCodes, Failure } from "../Failure.ts"
import { sources } from "./Program.ts"
import type { Machine } from "./Report.ts"

const root = new URL("../../../../", import.meta.url)

type Spawner = ChildProcessSpawner.ChildProcessSpawner

const output = Effect.fnUntraced(function* (command: string, ...args: ReadonlyArray<string>) {
  const spawner = yield* ChildProcessSpawner.ChildProcessSpawner
  const text = yield* spawner.string(ChildProcess.make(command, args, { cwd: fileURLToPath(root) }))
  return text.trim()
})

const needed = (command: string, debian: string) => () =>
  new Failure({
    code: exitCodes.findings,
    message: `\`${command}\` is not on this machine, and bench actor runs it`,
    next: `on Debian: apt-get install ${debian}`
  })

/** @since 0.1.0 */
export const needTaskset: Effect.Effect<void, Failure, Spawner> = output("taskset", "--version").pipe(
  Effect.mapError(needed("taskset", "util-linux")),
  Effect.asVoid
)

const erlangVersion = output(
  "erl",
  "-noshell",
  "-eval",
  'io:format("OTP ~s, ERTS ~s, ~s", [erlang:system_info(otp_release), erlang:system_info(version), erlang:system_info(emu_flavor)]), halt().'
).pipe(Effect.mapError(needed("erl", "erlang-base")))

/** Compiles the modules of Erlang's arm into the directory. @since 0.1.0 */
export const compileErlang = (into: string): Effect.Effect<void, Failure, FileSystem.FileSystem | Spawner> =>
  Effect.gen(function* () {
    const files = yield* FileSystem.FileSystem
    const from = fileURLToPath(new URL("erlang/", sources))
    const modules = (yield* files.readDirectory(from))
      .filter((name) => name.endsWith(".erl"))
      .map((name) => from + name)
    const command = ChildProcess.make("erlc", ["-o", into, ...modules], { stdout: "inherit", stderr: "inherit" })
    return yield* (yield* ChildProcessSpawner.ChildProcessSpawner).exitCode(command)
  }).pipe(
    Effect.mapError(needed("erlc", "erlang-base")),
    Effect.flatMap((code) =>
      code === 0
        ? Effect.void
        : new Failure({ code: exitCodes.findings, message: "erlc does not compile apps/lab/bench/actor/erlang" })
    )
  )

const Manifest = Schema.fromJsonString(Schema.Struct({ version: Schema.String }))

const versionOf = Effect.fnUntraced(function* (name: string) {
  const files = yield* FileSystem.FileSystem
  const path = fileURLToPath(new URL(`apps/lab/node_modules/${name}/package.json`, root))
  const { version } = yield* Schema.decodeEffect(Manifest)(yield* files.readFileString(path))
  return version
})

const commit = Effect.gen(function* () {
  const hash = yield* output("git", "rev-parse", "--short=12", "HEAD")
  // The page itself does not count.
  const changed = yield* output("git", "status", "--porcelain", "--", ".", ":!docs/benchmarks")
  return changed === "" ? hash : `${hash}-dirty`
}).pipe(Effect.orElseSucceed(() => "unknown"))

/** @since 0.1.0 */
export const machine: Effect.Effect<Machine, Failure, FileSystem.FileSystem | Spawner> = Effect.gen(function* () {
  const versions: Record<string, string> = { Erlang: yield* erlangVersion, Node: process.versions.node }
  for (const name of ["effect", "nact", "xstate"]) {
    versions[name] = yield* versionOf(name).pipe(
      Effect.mapError(
        () =>
          new Failure({
            code: exitCodes.findings,
            message: `${name} is not installed beside the lab`,
            next: "npx -y pnpm@12 install"
          })
      )
    )
  }
  return {
    cpu: os.cpus()[0]?.model.trim() ?? "unknown",
    cores: os.cpus().length,
    kernel: `${os.type()} ${os.release()}`,
    commit: yield* commit,
    versions
  }
})

/** The average of the last minute. @since 0.1.0 */
export const load = (): number => os.loadavg()[0] ?? Number.NaN

/** The last one: the first has the most to do for the system. @since 0.1.0 */
export const lastCore = (): number => Math.max(0, os.cpus().length - 1)

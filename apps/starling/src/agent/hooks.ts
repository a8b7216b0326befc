/**
 * What this host does with configuration when nothing embeds the agent: each `[[apply]]` of its file is a handler that
 * gives the newest value of a key to a command, or keeps it in a file.
 *
 * Both must bear being told the same value twice: a node that starts again acts on everything that targets it anew.
 *
 * @since 0.1.0
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Agent from "@starling/agent/Agent"
import type * as AgentConfig from "@starling/platform-node/AgentConfig"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FileSystem from "effect/FileSystem"
import * as Path from "effect/Path"
import * as ChildProcess from "effect/process/ChildProcess"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"
import { exitCodes, Failure } from "../Failure.ts"

/** What a command says about a value that it will not have; every other code but 0 is a failure. */
const exitRejected = 3

/** Of standard error, so much is read as the reason: what travels is shorter. */
const reasonBytesMax = 8192

/** Characters of a reason; the fleet carries 512. */
const reasonLengthMax = 500

/** How long a command may take to end after SIGTERM, before SIGKILL. Our choice. */
const forceKillAfter = "2 seconds"

/** How long standard error may stay open after the command has ended, held by what it has left running. Our choice. */
const stderrGrace = "200 millis"

const failed = (reason: string): Agent.ApplyError => new Agent.ApplyError({ status: "failed", reason })

/** Registers all of them for as long as the scope is open. @since 0.1.0 @category running */
export const register = Effect.fnUntraced(function* (
  hooks: ReadonlyArray<AgentConfig.Hook>,
  agent: Agent.Agent["Service"]
) {
  for (const [index, hook] of hooks.entries()) {
    const act: (entry: Entry) => Effect.Effect<void, Agent.ApplyError, NodeServices.NodeServices> =
      hook._tag === "Command" ? command(hook) : yield* file(hook, agent.identity.id)
    yield* agent
      .handleConfig(hook.match, ({ entry }) => act(entry))
      .pipe(
        Effect.mapError(
          ({ message }) => new Failure({ code: exitCodes.usage, message: `[[apply]][${index}].match: ${message}` })
        )
      )
  }
}, Effect.provide(NodeServices.layer))

type Entry = Agent.ApplyRequest["entry"]

const encoder = new TextEncoder()

const command = ({ command: [program, ...args], timeoutMs }: Extract<AgentConfig.Hook, { _tag: "Command" }>) =>
  Effect.fnUntraced(
    function* ({ key, operation, revision, value }: Entry) {
      const handle = yield* ChildProcess.make(program, args, {
        env: { STARLING_KEY: key, STARLING_REVISION: revision, STARLING_OPERATION: operation },
        extendEnv: true,
        stdin: Stream.make(encoder.encode(value)),
        stdout: "ignore",
        stderr: "pipe",
        forceKillAfter
      })
      const said: Array<Uint8Array> = []
      const reading = yield* Effect.forkScoped(collect(handle.stderr, said))
      const code: number = yield* handle.exitCode.pipe(
        Effect.timeoutOrElse({
          duration: timeoutMs,
          orElse: () => Effect.fail(failed(`${program} has not ended within ${timeoutMs} ms and was stopped`))
        })
      )
      if (code === 0) return
      yield* Effect.timeoutOption(Fiber.await(reading), stderrGrace)
      const reason = textOf(said)
      return yield* new Agent.ApplyError({
        status: code === exitRejected ? "rejected" : "failed",
        reason: reason === "" ? `${program} ended with ${code}` : reason
      })
    },
    Effect.scoped,
    Effect.catchTag("PlatformError", (error) => Effect.fail(failed(`${program} cannot be run: ${error.message}`)))
  )

/** Reads to the end, so that the command is not held up, and keeps the beginning. */
const collect = <E>(stderr: Stream.Stream<Uint8Array, E>, into: Array<Uint8Array>): Effect.Effect<void> => {
  let bytes = 0
  return Effect.ignore(
    Stream.runForEach(stderr, (chunk) =>
      Effect.sync(() => {
        if (bytes < reasonBytesMax) into.push(chunk.subarray(0, reasonBytesMax - bytes))
        bytes += chunk.length
      })
    )
  )
}

const textOf = (chunks: ReadonlyArray<Uint8Array>): string => {
  const text = Buffer.concat(chunks).toString("utf8").trim()
  return text.length > reasonLengthMax ? `${text.slice(0, reasonLengthMax - 1)}…` : text
}

const file = Effect.fnUntraced(function* (
  { file: target }: Extract<AgentConfig.Hook, { _tag: "File" }>,
  nodeId: string
) {
  // A pattern may match several keys, and one file is written by one at a time.
  const turn = yield* Semaphore.make(1)
  return Effect.fnUntraced(
    function* ({ operation, value }: Entry) {
      const fs = yield* FileSystem.FileSystem
      const path = yield* Path.Path
      if (operation === "delete") return yield* fs.remove(target, { force: true })
      const folder = path.dirname(target)
      // Beside the file, since only within one file system a rename is atomic.
      const beside = path.join(folder, `.${path.basename(target)}.${nodeId}.tmp`)
      yield* written(fs, beside, value, yield* modeOf(fs, target)).pipe(
        Effect.andThen(fs.rename(beside, target)),
        Effect.onError(() => Effect.ignore(fs.remove(beside, { force: true })))
      )
    },
    turn.withPermits(1),
    Effect.catchTag("PlatformError", (error) => Effect.fail(failed(`${target} cannot be written: ${error.message}`)))
  )
})

/** Who may read the file stays as it is. */
const modeOf = (fs: FileSystem.FileSystem, target: string): Effect.Effect<number | undefined> =>
  fs.stat(target).pipe(
    Effect.map(({ mode }) => mode & 0o777),
    Effect.orElseSucceed(() => undefined)
  )

/** Returns when the value is on the disk, and not only on its way there. */
const written = (fs: FileSystem.FileSystem, path: string, value: string, mode: number | undefined) =>
  Effect.scoped(
    Effect.gen(function* () {
      const opened = yield* fs.open(path, { flag: "w", ...(mode === undefined ? {} : { mode }) })
      yield* opened.writeAll(encoder.encode(value))
      yield* opened.sync
    })
  )

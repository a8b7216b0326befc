/**
 * The operating-system processes of a demo: agents, sample applications, and a janitor.
 *
 * Every process holds the read end of a pipe whose write end is the demo's. However the demo ends, `kill -9` included,
 * the pipes close: agents and applications end by themselves, and the janitor removes the temporary data.
 */
import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as PlatformError from "effect/PlatformError"
import * as ChildProcess from "effect/process/ChildProcess"
import * as ChildProcessSpawner from "effect/process/ChildProcessSpawner"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import process from "node:process"

/** A process of the demo ended, or did not begin. */
export class ProcessFailed extends Data.TaggedError("ProcessFailed")<{ readonly message: string }> {}

export interface Agent {
  readonly name: string
  readonly datacenter: string
  readonly id: string
  readonly gossip: string
  readonly api: string
  readonly otlp: string
  readonly directory: string
  /** `kill -9`, and waits until the process is gone. */
  readonly kill: Effect.Effect<void>
}

export interface AgentOptions {
  readonly name: string
  readonly datacenter: string
  readonly directory: string
  readonly join: ReadonlyArray<string>
  readonly api: string
  readonly gossip: string
}

export interface Application {
  readonly name: string
  /** Lets the application log an error through its OpenTelemetry SDK. */
  readonly error: (body: string) => Effect.Effect<void>
}

const readyTimeout = "30 seconds"

const scriptOf = (file: string): string => new URL(file, import.meta.url).pathname

/** Starts an agent in the scope and returns when it is ready. */
export const startAgent = Effect.fnUntraced(function* (
  options: AgentOptions
): Effect.fn.Return<
  Agent,
  ProcessFailed | PlatformError.PlatformError,
  ChildProcessSpawner.ChildProcessSpawner | Scope.Scope
> {
  const handle = yield* ChildProcess.make(
    process.execPath,
    [
      scriptOf("../main.ts"),
      "agent",
      ...["--name", options.name, "--datacenter", options.datacenter, "--fleet", "demo", "--data", options.directory],
      ...["--gossip", options.gossip, "--api", options.api, "--otlp", "127.0.0.1:0", "--log-level", "warn", "--debug"],
      ...options.join.flatMap((address) => ["--join", address])
    ],
    { env: { STARLING_PARENT_PIPE: "1" }, extendEnv: true, forceKillAfter: "2 seconds" }
  )
  const errors: Array<string> = []
  yield* linesOf(handle.stderr).pipe(
    Stream.runForEach((line) => Effect.sync(() => void (errors.length < 50 && errors.push(line)))),
    Effect.ignore,
    Effect.forkScoped
  )
  const ready = yield* Deferred.make<string, ProcessFailed>()
  yield* linesOf(handle.stdout).pipe(
    Stream.runForEach((line) => (line.startsWith("ready ") ? Deferred.succeed(ready, line) : Effect.void)),
    Effect.ignore,
    Effect.andThen(
      Effect.suspend(() =>
        Deferred.fail(ready, new ProcessFailed({ message: `agent ${options.name} ended: ${errors.join("\n")}` }))
      )
    ),
    Effect.forkScoped
  )
  const line = yield* Deferred.await(ready).pipe(
    Effect.timeoutOrElse({
      duration: readyTimeout,
      orElse: () =>
        Effect.fail(new ProcessFailed({ message: `agent ${options.name} was not ready within ${readyTimeout}` }))
    })
  )
  const field = (key: string): string => new RegExp(`(?:^| )${key}=(\\S+)`).exec(line)?.[1] ?? ""
  return {
    name: options.name,
    datacenter: options.datacenter,
    directory: options.directory,
    id: field("id"),
    gossip: field("gossip"),
    api: field("api"),
    otlp: field("otlp"),
    kill: handle.kill({ killSignal: "SIGKILL" }).pipe(Effect.andThen(handle.exitCode), Effect.ignore)
  }
})

/** Starts a sample application that publishes to an agent. */
export const startApplication = Effect.fnUntraced(function* (
  name: string,
  instance: string,
  otlp: string
): Effect.fn.Return<Application, PlatformError.PlatformError, ChildProcessSpawner.ChildProcessSpawner | Scope.Scope> {
  const commands = yield* Queue.bounded<string>(64)
  yield* ChildProcess.make(process.execPath, [scriptOf("sample.ts"), name, instance, otlp], {
    stdin: Stream.fromQueue(commands).pipe(Stream.map((line) => new TextEncoder().encode(`${line}\n`))),
    stdout: "ignore",
    stderr: "ignore",
    forceKillAfter: "1 second"
  })
  return { name, error: (body) => Effect.asVoid(Queue.offer(commands, body)) }
})

/** Starts who removes `directory` when the demo is gone, however it ended. */
export const startJanitor = (
  directory: string
): Effect.Effect<void, PlatformError.PlatformError, ChildProcessSpawner.ChildProcessSpawner | Scope.Scope> =>
  Effect.asVoid(
    ChildProcess.make(process.execPath, [scriptOf("janitor.ts"), directory], { stdout: "ignore", stderr: "ignore" })
  )

/** Fails when the process that started this one is gone: there is nobody left to demonstrate to. */
export const parentGone: Effect.Effect<never, ProcessFailed> = Effect.suspend(() => {
  const parent = process.ppid
  return Effect.sleep("300 millis").pipe(
    Effect.andThen(
      Effect.suspend(() =>
        process.ppid === parent
          ? Effect.void
          : Effect.fail(new ProcessFailed({ message: "the process that started the demo is gone" }))
      )
    ),
    Effect.forever
  )
})

/** How long an effect takes, in milliseconds. */
export const timed = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<readonly [A, number], E, R> =>
  Effect.gen(function* () {
    const from = yield* Clock.monotonicTimeNanos
    const value = yield* effect
    const to = yield* Clock.monotonicTimeNanos
    return [value, Number((to - from) / 1_000_000n)] as const
  })

const linesOf = <E, R>(bytes: Stream.Stream<Uint8Array, E, R>): Stream.Stream<string, E, R> =>
  bytes.pipe(Stream.decodeText, Stream.splitLines)

/**
 * The operating-system processes of a demo: agents, sample applications, and a janitor.
 *
 * However the demo ends, nothing of it stays. When it can, it kills what it started and removes its directory itself.
 * When it cannot (`kill -9`), the janitor does: every process is told to it, and the end of its input is its sign. Agents
 * and applications end by the same sign, too, so that one that the janitor was not told of in time is only a little
 * later. And all work in the demo's directory by relative paths: once that is removed, nobody can make it again.
 */
import { Client } from "@starling/api"
import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as HttpClient from "effect/http/HttpClient"
import type * as PlatformError from "effect/PlatformError"
import * as ChildProcess from "effect/process/ChildProcess"
import * as ChildProcessSpawner from "effect/process/ChildProcessSpawner"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { randomBytes } from "node:crypto"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import process from "node:process"
import { fileURLToPath } from "node:url"

/** A process of the demo ended, or did not begin. */
export class ProcessFailed extends Data.TaggedError("ProcessFailed")<{ readonly message: string }> {}

export interface Agent {
  readonly name: string
  readonly datacenter: string
  readonly id: string
  readonly gossip: string
  readonly api: string
  readonly otlp: string
  /** `kill -9`, and waits until the process is gone. */
  readonly kill: Effect.Effect<void>
}

/** Addresses are `HOST:PORT`; port 0 is any free one. */
export interface AgentOptions {
  readonly name: string
  readonly datacenter: string
  readonly join: ReadonlyArray<string>
  readonly api: string
  readonly gossip: string
  readonly otlp: string
}

export interface Application {
  readonly name: string
  /** Lets the application log an error through its OpenTelemetry SDK. */
  readonly error: (body: string) => Effect.Effect<void>
}

/** Where a demo plays: the machine, or a test's. What is started lives as long as the scope. */
export interface Stage {
  /** Returns when the agent is ready. The same name has the same data, also after it was killed. */
  readonly startAgent: (
    options: AgentOptions
  ) => Effect.Effect<Agent, ProcessFailed | PlatformError.PlatformError, Scope.Scope>
  /** Starts a sample application that publishes to `otlp`, a URL. */
  readonly startApplication: (
    name: string,
    instance: string,
    otlp: string
  ) => Effect.Effect<Application, PlatformError.PlatformError, Scope.Scope>
  readonly client: (api: string) => Effect.Effect<Client.Client>
  /** An address that nobody listens at. */
  readonly freeAddress: Effect.Effect<string, ProcessFailed>
}

/** What a slow machine needs to start sixteen agents at once for the first time, with room. Our choice. */
const readyTimeout = "60 seconds"

const scriptOf = (file: string): string => fileURLToPath(new URL(file, import.meta.url))

/** This machine, with a temporary directory, and a janitor for the case that the demo cannot clean up itself. */
export const makeStage: Effect.Effect<
  Stage,
  PlatformError.PlatformError | ProcessFailed,
  ChildProcessSpawner.ChildProcessSpawner | FileSystem.FileSystem | HttpClient.HttpClient | Scope.Scope
> = Effect.gen(function* () {
  const files = yield* FileSystem.FileSystem
  const spawner = yield* ChildProcessSpawner.ChildProcessSpawner
  const http = yield* HttpClient.HttpClient
  if (!(yield* files.exists(scriptOf("janitor.ts")))) {
    const message = "the demo starts programs of the repository, which are not here: run it in a checkout"
    return yield* new ProcessFailed({ message })
  }
  const directory = join(tmpdir(), `starling-demo-${randomBytes(6).toString("hex")}`)
  // The janitor comes before what it would have to remove.
  const told = yield* Queue.unbounded<string>()
  yield* ChildProcess.make(process.execPath, [scriptOf("janitor.ts"), directory], {
    env: environment(),
    extendEnv: true,
    stdin: linesTo(told),
    stdout: "ignore",
    stderr: "ignore",
    killSignal: "SIGKILL"
  })
  yield* Effect.acquireRelease(files.makeDirectory(directory, { mode: 0o700 }), () =>
    Effect.ignore(files.remove(directory, { recursive: true, force: true }))
  )
  const start = Effect.fnUntraced(
    function* (command: ChildProcess.Command) {
      const handle = yield* command
      yield* Queue.offer(told, `+${handle.pid}`)
      yield* Effect.forkScoped(
        Effect.andThen(
          Effect.exit(handle.exitCode),
          Effect.suspend(() => Queue.offer(told, `-${handle.pid}`))
        )
      )
      return handle
    },
    Effect.provideService(ChildProcessSpawner.ChildProcessSpawner, spawner)
  )
  return {
    startAgent: (options) => startAgent(start, directory, options),
    startApplication: (name, instance, otlp) => startApplication(start, directory, name, instance, otlp),
    client: (api) => Effect.provideService(Client.make(api), HttpClient.HttpClient, http),
    freeAddress
  }
})

type Start = (
  command: ChildProcess.Command
) => Effect.Effect<ChildProcessSpawner.ChildProcessHandle, PlatformError.PlatformError, Scope.Scope>

/** Of this process's environment, what would make the demo another one is left out; compiled code is shared. */
const environment = (): Record<string, string | undefined> => ({
  ...Object.fromEntries(
    Object.keys(process.env)
      .filter((key) => /^(?:STARLING|OTEL)_/.test(key))
      .map((key) => [key, undefined])
  ),
  NODE_COMPILE_CACHE: scriptOf("../../node_modules/.cache/compiled")
})

const startAgent = Effect.fnUntraced(function* (start: Start, directory: string, options: AgentOptions) {
  const { api, datacenter, gossip, name, otlp } = options
  const given = { name, datacenter, fleet: "demo", data: name, gossip, api, otlp, "log-level": "warn" }
  const flags = ["--debug", ...Object.entries(given).flatMap(([flag, value]) => [`--${flag}`, value])]
  const handle = yield* start(
    ChildProcess.make(
      process.execPath,
      [scriptOf("../main.ts"), "agent", ...flags, ...options.join.flatMap((address) => ["--join", address])],
      {
        cwd: directory,
        env: { ...environment(), STARLING_PARENT_PIPE: "1" },
        extendEnv: true,
        killSignal: "SIGKILL"
      }
    )
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
  const agent: Agent = {
    name: options.name,
    datacenter: options.datacenter,
    id: field("id"),
    gossip: field("gossip"),
    api: field("api"),
    otlp: field("otlp"),
    kill: handle.kill({ killSignal: "SIGKILL" }).pipe(Effect.andThen(handle.exitCode), Effect.ignore)
  }
  return agent
})

const startApplication = Effect.fnUntraced(function* (
  start: Start,
  directory: string,
  name: string,
  instance: string,
  otlp: string
) {
  const commands = yield* Queue.bounded<string>(64)
  yield* start(
    ChildProcess.make(process.execPath, [scriptOf("sample.ts"), name, instance, otlp], {
      cwd: directory,
      env: environment(),
      extendEnv: true,
      stdin: linesTo(commands),
      stdout: "ignore",
      stderr: "ignore",
      killSignal: "SIGKILL"
    })
  )
  const application: Application = { name, error: (body) => Effect.asVoid(Queue.offer(commands, body)) }
  return application
})

/** Whether an address of this machine can be listened at; port 0 answers which one was free. */
const listened = (port: number): Effect.Effect<number | undefined> =>
  Effect.callback((resume) => {
    const server = createServer()
    server.once("error", () => resume(Effect.succeed(undefined)))
    server.listen(port, "127.0.0.1", () => {
      const address = server.address()
      server.close(() => resume(Effect.succeed(typeof address === "object" ? address?.port : undefined)))
    })
  })

const freeAddress: Effect.Effect<string, ProcessFailed> = Effect.flatMap(listened(0), (port) =>
  port === undefined
    ? Effect.fail(new ProcessFailed({ message: "cannot listen at any port of 127.0.0.1" }))
    : Effect.succeed(`127.0.0.1:${port}`)
)

/** Whether nobody listens at a port of 127.0.0.1. */
export const isFree = (port: number): Effect.Effect<boolean> => Effect.map(listened(port), (free) => free !== undefined)

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

const linesTo = (queue: Queue.Dequeue<string>): Stream.Stream<Uint8Array> =>
  Stream.fromQueue(queue).pipe(Stream.map((line) => new TextEncoder().encode(`${line}\n`)))

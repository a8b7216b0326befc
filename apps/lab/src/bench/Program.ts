/**
 * One arm at one row: a process on the one core that all share, which measures when it is told to.
 *
 * @since 0.1.0
 */
import type * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as ChildProcess from "effect/process/ChildProcess"
import type * as ChildProcessSpawner from "effect/process/ChildProcessSpawner"
import process from "node:process"
import { fileURLToPath } from "node:url"
import type { ArmId } from "./Rows.ts"

/** A program did not start, did not answer, or said what it should not. @since 0.1.0 @category errors */
export class ProgramFailed extends Data.TaggedError("ProgramFailed")<{
  readonly program: string
  readonly what: string
}> {
  override get message(): string {
    return `${this.program}: ${this.what}`
  }
}

/** What a round comes to is at most this much later than it should be. Our choice: slow machines collect slowly. */
const graceMs = 180_000

/** @since 0.1.0 */
export const sources = new URL("../../bench/actor/", import.meta.url)

/**
 * The command line of an arm. `beams`: where the modules of Erlang's arm are.
 *
 * @since 0.1.0
 */
export const commandOf = (arm: ArmId | "crowd", beams: string): ReadonlyArray<string> =>
  arm === "erlang"
    ? ["erl", "-noshell", "+S", "1", "-pa", beams, "-s", "bench", "main", "-extra"]
    : [process.execPath, "--expose-gc", fileURLToPath(new URL(`${arm}.ts`, sources))]

/** @since 0.1.0 @category models */
export interface Program {
  /** Does one round, and gives what the program says of it. */
  readonly order: <A>(order: string, ms: number, answer: Schema.Decoder<A>) => Effect.Effect<A, ProgramFailed>
}

/** Words before a command that keep it, with all its threads, on one core. @since 0.1.0 */
export const pinnedTo = (core: number): ReadonlyArray<string> => ["taskset", "--cpu-list", String(core)]

/** Ends with the Scope. `pin`: see `pinnedTo`; none leaves it where it is. @since 0.1.0 @category constructors */
export const start = (
  pin: ReadonlyArray<string>,
  command: ReadonlyArray<string>,
  args: ReadonlyArray<string | number>
): Effect.Effect<Program, ProgramFailed, ChildProcessSpawner.ChildProcessSpawner | Scope.Scope> =>
  Effect.gen(function* () {
    const [first = "", ...others] = [...pin, ...command, ...args.map(String)]
    const program = [first, ...others].join(" ")
    const failed = (what: string) => new ProgramFailed({ program, what })
    const orders = yield* Queue.unbounded<Uint8Array, Cause.Done>()
    const answers = yield* Queue.unbounded<string, ProgramFailed>()
    const handle = yield* ChildProcess.make(first, others, {
      stdin: Stream.fromQueue(orders),
      // A crash of the program is told by itself.
      stderr: "inherit"
    }).pipe(Effect.mapError(({ message }) => failed(message)))
    yield* handle.stdout.pipe(
      Stream.decodeText,
      Stream.splitLines,
      Stream.runForEach((line) => Queue.offer(answers, line)),
      Effect.andThen(handle.exitCode),
      Effect.matchEffect({
        onFailure: ({ message }) => Queue.fail(answers, failed(message)),
        onSuccess: (code) => Queue.fail(answers, failed(`ended with code ${code} where an answer was due`))
      }),
      Effect.forkScoped
    )
    // It ends with its input; what does not is killed with the Scope of the process.
    yield* Effect.addFinalizer(() =>
      Effect.andThen(Queue.end(orders), Effect.ignore(Effect.timeout(handle.exitCode, "5 seconds")))
    )
    const order = <A>(order: string, ms: number, answer: Schema.Decoder<A>) =>
      Effect.gen(function* () {
        yield* Queue.offer(orders, new TextEncoder().encode(`${order} ${ms}\n`))
        const line = yield* Queue.take(answers).pipe(
          Effect.timeoutOrElse({
            duration: ms + graceMs,
            orElse: () => Effect.fail(failed(`no answer to \`${order} ${ms}\` within ${(ms + graceMs) / 1000} s`))
          })
        )
        return yield* Schema.decodeEffect(Schema.fromJsonString(answer))(line).pipe(
          Effect.mapError(({ message }) => failed(`said ${line} to \`${order} ${ms}\`: ${message}`))
        )
      })
    return { order }
  })

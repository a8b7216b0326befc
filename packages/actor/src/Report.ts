/**
 * What an operator should know about the life of actors, as data: crashes, restarts, give-ups.
 *
 * The kinds and their order follow OTP's reports (proc_lib, gen_server, supervisor): a crash gives `Terminated`,
 * `Crashed`, then the supervisor's `ChildTerminated`, then `Progress` of the new incarnation, or `GaveUp`. Ends that are
 * normal or asked for give no crash report. The same reports are written to the log with structured annotations; of the
 * lines that every crash causes (`Crashed`, `ChildTerminated`, `StartFailed`, `Progress`) at most 100 in a second (our
 * choice), and the next line counts those that were left out.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import { System } from "./System.ts"

/** Instants are milliseconds of Effect's Clock; texts are bounded. @since 0.1.0 @category models */
export type Report =
  /** A child is up: its init has returned. */
  | {
      readonly _tag: "Progress"
      readonly at: number
      readonly supervisor: string
      readonly child: string
      readonly incarnation: number
    }
  /** The behaviour ended abnormally: with which message, in which state. `message` is null outside of a handler. */
  | {
      readonly _tag: "Terminated"
      readonly at: number
      readonly actor: string
      readonly message: string | null
      readonly state: string | null
      readonly reason: string
    }
  /** The same crash from outside: who it was, why with its stack, its ancestors (nearest first), what was left waiting. */
  | {
      readonly _tag: "Crashed"
      readonly at: number
      readonly actor: string
      readonly message: string | null
      readonly state: string | null
      readonly reason: string
      readonly cause: string
      readonly ancestors: ReadonlyArray<string>
      readonly waiting: number
    }
  /** A supervisor learned that a child ended; `restart` is the child's restart type. */
  | {
      readonly _tag: "ChildTerminated"
      readonly at: number
      readonly supervisor: string
      readonly child: string
      readonly reason: string
      readonly restart: string
    }
  /** A child's init failed, at the start or at a restart. */
  | {
      readonly _tag: "StartFailed"
      readonly at: number
      readonly supervisor: string
      readonly child: string
      readonly reason: string
    }
  /** A child that was asked to stop ended for another reason. */
  | {
      readonly _tag: "ShutdownFailed"
      readonly at: number
      readonly supervisor: string
      readonly child: string
      readonly reason: string
    }
  /** More restarts than the intensity allows: the supervisor stops its children and exits with `shutdown`. */
  | {
      readonly _tag: "GaveUp"
      readonly at: number
      readonly supervisor: string
      readonly child: string
      readonly reason: string
    }
  /** It did not end when killed (an uninterruptible region, a finalizer that hangs); nobody waits for it any longer. */
  | { readonly _tag: "Abandoned"; readonly at: number; readonly actor: string; readonly afterMs: number }
  /** A spec that is legal but known to surprise. */
  | { readonly _tag: "Warning"; readonly at: number; readonly supervisor: string; readonly message: string }

/** A message that reached nobody. @since 0.1.0 @category models */
export interface DeadLetter {
  readonly to: string
  readonly message: unknown
  /** Its mailbox was full, or its receiver ended before it, or there was no receiver. */
  readonly cause: "full" | "down" | "noproc"
}

/**
 * Every report from now on. A reader that falls behind loses the oldest (the buffer is 1,024 reports, our choice).
 *
 * @since 0.1.0
 */
export const stream: Stream.Stream<Report, never, System> = Stream.unwrap(
  Effect.map(System, (system) => Stream.fromPubSub(system.reports))
)

/** The last 256 reports, oldest first. @since 0.1.0 */
export const recent: Effect.Effect<ReadonlyArray<Report>, never, System> = Effect.map(System, (system) =>
  system.recentReports()
)

/** The last 256 messages that reached nobody, oldest first. @since 0.1.0 */
export const deadLetters: Effect.Effect<ReadonlyArray<DeadLetter>, never, System> = Effect.map(System, (system) =>
  system.deadLetters()
)

/**
 * Every message that reaches nobody from now on, whichever way it was lost. A reader that falls behind loses the oldest
 * (the buffer is 1,024 unless given; our choice); `counters().deadLetters` counts them all.
 *
 * @since 0.1.0
 */
export const deadLetterStream = (
  options: { readonly bufferSize?: number } = {}
): Stream.Stream<DeadLetter, never, System> =>
  Stream.callback<DeadLetter, never, System>(
    (queue) =>
      Effect.gen(function* () {
        const system = yield* System
        const forget = system.onDeadLetter((letter) => void Queue.offerUnsafe(queue, letter))
        yield* Effect.addFinalizer(() => Effect.sync(forget))
      }),
    { bufferSize: options.bufferSize ?? 1024, strategy: "sliding" }
  )

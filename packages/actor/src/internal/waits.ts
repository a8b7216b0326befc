/**
 * Who is in which handler, and who waits for whom: noted only where a scheduler under test steps the actors
 * (`System.Stepped`), so that elsewhere what may wait pays for one look at a field.
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type { Address } from "./model.ts"
import type { Process } from "./process.ts"

/**
 * - `room`: a `tell` waits until the full mailbox has room.
 * - `answer`: an `ask`, or a call of a supervisor.
 * - `start`, `end`: for an init to return, or for an actor to end.
 */
export type Kind = "room" | "answer" | "start" | "end"

export interface Wait {
  readonly kind: Kind
  readonly to: Address
  /** Ends by itself after so long. */
  readonly timeoutMs: number
  /** Whose Effect it is; undefined: a fiber of no actor. */
  readonly by: Process | undefined
  readonly fiber: Fiber.Fiber<unknown, unknown>
}

/** An Effect of an actor that has not ended, and the fiber that runs it. */
export interface Task {
  readonly process: Process
  readonly fiber: Fiber.Fiber<unknown, unknown>
}

export class Waits {
  readonly all = new Set<Wait>()
  readonly tasks = new Map<Process, Task>()

  /** The same Effect, noted for as long as it takes. */
  during<A, E>(kind: Kind, to: Address, timeoutMs: number, waiting: Effect.Effect<A, E>): Effect.Effect<A, E> {
    return Effect.withFiber((fiber) => {
      const wait = { kind, to, timeoutMs, by: fiber.getRef(Current), fiber }
      this.all.add(wait)
      return Effect.ensuring(
        waiting,
        Effect.sync(() => this.all.delete(wait))
      )
    })
  }

  /** An Effect of this actor: its init, a handler, its end. */
  of<A, E>(process: Process, effect: Effect.Effect<A, E>): Effect.Effect<A, E> {
    return Effect.withFiber((fiber) => {
      const task = { process, fiber }
      this.tasks.set(process, task)
      return Effect.ensuring(
        Effect.provideService(effect, Current, process),
        // An init that was abandoned may end later than what came after it.
        Effect.sync(() => this.tasks.get(process) === task && this.tasks.delete(process))
      )
    })
  }
}

/** The actor whose Effect a fiber runs; also in the fibers that were forked from it. */
const Current: Context.Reference<Process | undefined> = Context.Reference<Process | undefined>(
  "@starling/actor/internal/waits/Current",
  { defaultValue: () => undefined }
)

/** Where a run under test wants them noted, over all its systems. */
export const Noted: Context.Reference<Waits | undefined> = Context.Reference<Waits | undefined>(
  "@starling/actor/internal/waits/Noted",
  { defaultValue: () => undefined }
)

/** The same Effect; noted, where somebody looks, as one that waits. */
export const noting = <A, E>(
  kind: Kind,
  to: Address,
  waiting: Effect.Effect<A, E>,
  timeout: Duration.Input = Number.POSITIVE_INFINITY
): Effect.Effect<A, E> => {
  const { noted } = to.runtime
  return noted === undefined ? waiting : noted.during(kind, to, Duration.toMillis(timeout), waiting)
}

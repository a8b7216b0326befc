/**
 * Who waits for whom: noted only where a scheduler under test steps the actors (`System.Stepped`), so that elsewhere an
 * `ask`, or a `tell` that waits, pays for one look at a field.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { Address } from "./model.ts"
import type { Process } from "./process.ts"

/** `tell` waits for room in a mailbox, `ask` for an answer. */
export interface Wait {
  readonly kind: "tell" | "ask"
  readonly to: Address
  /** Whose handler it is; undefined: a fiber of no actor. */
  readonly by: Process | undefined
}

/** The actor whose Effect a fiber runs, and the fibers it forks with it. */
export const Current: Context.Reference<Process | undefined> = Context.Reference<Process | undefined>(
  "@starling/actor/internal/Current",
  { defaultValue: () => undefined }
)

/** The same Effect, noted for as long as it takes. */
export const noted = <A, E>(kind: Wait["kind"], to: Address, waiting: Effect.Effect<A, E>): Effect.Effect<A, E> => {
  const { waits } = to.runtime
  if (waits === undefined) return waiting
  return Effect.withFiber((fiber) => {
    const wait = { kind, to, by: fiber.getRef(Current) }
    waits.add(wait)
    return Effect.ensuring(
      waiting,
      Effect.sync(() => {
        waits.delete(wait)
      })
    )
  })
}

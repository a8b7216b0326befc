/** Effects one after another: at once where there is nothing to wait for, so that what is plain needs no fiber. */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { exitOf } from "./exitOf.ts"

export const after = <A, E, B, E2>(
  first: Effect.Effect<A, E>,
  next: (value: A) => Effect.Effect<B, E2>
): Effect.Effect<B, E | E2> => {
  const exit = exitOf(first)
  return exit?._tag === "Success" ? next(exit.value) : Effect.flatMap(first, next)
}

/** One step for each item, in order, until one says that there is no going on: false. */
export const inOrder = <A, E>(
  items: ReadonlyArray<A>,
  step: (item: A) => Effect.Effect<boolean, E>,
  from: number = 0
): Effect.Effect<void, E> => {
  for (let i = from; i < items.length; i++) {
    const done = step(items[i] as A)
    const exit = exitOf(done)
    if (exit?._tag !== "Success") {
      return Effect.flatMap(done, (goesOn) => (goesOn ? inOrder(items, step, i + 1) : Effect.void))
    }
    if (!exit.value) break
  }
  return Exit.void
}

export const goOn: Effect.Effect<boolean> = Exit.succeed(true)

export const enough: Effect.Effect<boolean> = Exit.succeed(false)

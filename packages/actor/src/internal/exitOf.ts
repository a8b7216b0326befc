/** What an Effect that is done already came to: every `Exit` is an Effect. */
import type * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"

export const exitOf = <A, E>(effect: Effect.Effect<A, E>): Exit.Exit<A, E> | undefined =>
  Exit.isExit(effect) ? (effect as unknown as Exit.Exit<A, E>) : undefined

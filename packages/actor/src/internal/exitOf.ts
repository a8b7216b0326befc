/** What a value is to Effect, asked for each message: a property is read, because `in` is many times slower where shapes vary. */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"

/** What an Effect that is done already came to: every `Exit` is an Effect. */
export const exitOf = <A, E>(effect: Effect.Effect<A, E>): Exit.Exit<A, E> | undefined => {
  const tag = (effect as { readonly _tag?: unknown })._tag
  return (tag === "Success" || tag === "Failure") && Exit.isExit(effect)
    ? (effect as unknown as Exit.Exit<A, E>)
    : undefined
}

/** `Effect.isEffect`. */
export const isEffect = (value: unknown): value is Effect.Effect<unknown, unknown> =>
  ((typeof value === "object" && value !== null) || typeof value === "function") &&
  (value as { readonly [Effect.TypeId]?: unknown })[Effect.TypeId] !== undefined

/** Services, captured once for every incarnation. */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"

export const contextOf = <R = never>(): Effect.Effect<Context.Context<never>, never, R> =>
  Effect.map(Effect.context<R>(), (context) => context as unknown as Context.Context<never>)

import * as Effect from "effect/Effect"

/** Lets everything run that can run without the clock moving. */
export const settle: Effect.Effect<void> = Effect.repeat(Effect.yieldNow, { times: 20 }).pipe(Effect.asVoid)

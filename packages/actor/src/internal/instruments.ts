/** A behaviour that somebody looks on: see `System.Instrument`. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Self } from "../Actor.ts"
import type { System } from "../System.ts"
import type { ErasedBehavior } from "./model.ts"
import type { Process } from "./process.ts"

export interface Instruments {
  readonly system: (system: System["Service"]) => void
  readonly init: (self: Self<never>) => Effect.Effect<void, never, Scope.Scope>
  readonly handling: (self: Self<never>) => void
}

export const instrumented = (behavior: ErasedBehavior, { handling, init }: Instruments): ErasedBehavior => {
  const { signal } = behavior
  return {
    ...behavior,
    init: (self) =>
      Effect.andThen(
        init(selfOf(self)) as Effect.Effect<void>,
        Effect.suspend(() => behavior.init(self))
      ),
    receive: (state, message, self) => {
      handling(selfOf(self))
      return behavior.receive(state, message, self)
    },
    ...(signal === undefined
      ? {}
      : {
          signal: (state, message, self) => {
            handling(selfOf(self))
            return signal(state, message, self)
          }
        })
  }
}

const selfOf = (self: Process): Self<never> => self as unknown as Self<never>

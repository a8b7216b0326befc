/** The one place where a behaviour's types are forgotten. */
import type { Behavior } from "../Actor.ts"
import type { ErasedBehavior } from "./model.ts"

export const erase = <Msg, S, E, R>(behavior: Behavior<Msg, S, E, R>): ErasedBehavior =>
  behavior as unknown as ErasedBehavior

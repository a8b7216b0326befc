/**
 * Effect programs in virtual time, by a seed: real fibers, real actors, real queues, and no real clock.
 *
 * The runtime is that of `ActorTest` of `@starling/actor`, with bounds for whole agents.
 *
 * @since 0.1.0
 */
import { ActorTest } from "@starling/actor"
import type * as Context from "effect/Context"
import type * as Effect from "effect/Effect"

/** @since 0.1.0 @category models */
export interface Options {
  readonly seed: number | string
  /** Tasks and timers before a run is given up. Default fifty million: minutes of a processor. */
  readonly stepsMax?: number
}

/** @since 0.1.0 @category models */
export type Outcome<A, E> = ActorTest.Outcome<A, E>

/** @since 0.1.0 @category models */
export type Run = ActorTest.Run

/**
 * Adds to the history of the run it is called in; elsewhere it does nothing.
 *
 * @since 0.1.0
 */
export const Note: Context.Reference<(text: string) => void> = ActorTest.Note

/** @since 0.1.0 @category running */
export const run = <A, E>(program: Effect.Effect<A, E>, { seed, stepsMax = 50_000_000 }: Options): Outcome<A, E> =>
  ActorTest.run(program, { seed, stepsMax, stepsAtInstantMax: instantMax })

/** No fleet of agents moves so often without a timer. */
const instantMax = 10_000_000

/** A program in a `World`, to its end or to the proof that it has none. */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Logger from "effect/Logger"
import * as Random from "effect/Random"
import * as Scheduler from "effect/Scheduler"
import type { Outcome, Run } from "../ActorTest.ts"
import { Stepped } from "./runtime.ts"
import { findRing, ringText, waitingNow } from "./standstill.ts"
import { Noted, Waits } from "./waits.ts"
import { World } from "./world.ts"

/** See `ActorTest.Note`. */
export const Note: Context.Reference<(text: string) => void> = Context.Reference<(text: string) => void>(
  "@starling/actor/ActorTest/Note",
  { defaultValue: () => () => {} }
)

export interface Limits {
  readonly stepsMax: number
  readonly stepsAtInstantMax: number
}

export const simulate = <A, E>(
  program: Effect.Effect<A, E>,
  seed: number | string,
  { stepsAtInstantMax, stepsMax }: Limits
): Outcome<A, E> => {
  const world = new World(seed)
  const waits = new Waits()
  const context = Context.empty().pipe(
    Context.add(Scheduler.Scheduler, world),
    Context.add(Clock.Clock, world.clock),
    Context.add(Stepped, true),
    Context.add(Noted, waits),
    Context.add(Note, world.note)
  )
  const silent = program.pipe(Random.withSeed(String(seed)), Effect.provide(Logger.layer([])))
  const fiber = Effect.runForkWith(context)(silent)
  const report = (): Run => ({
    seed,
    steps: world.steps,
    virtualMs: world.virtualMs,
    history: world.history(),
    sleepers: world.timers.length
  })
  const stuck = (_tag: "Deadlock" | "Livelock" | "Endless", ring: string | null = null): Outcome<A, E> => ({
    _tag,
    ring,
    waiting: waitingNow(waits),
    ...report()
  })
  while (fiber.pollUnsafe() === undefined) {
    if (world.steps >= stepsMax) return stuck("Endless")
    if (world.stepsAtInstant >= stepsAtInstantMax) return stuck("Livelock")
    if (world.runTask()) continue
    const ring = findRing(waits)
    if (ring !== undefined) return stuck("Deadlock", ringText(ring))
    if (!world.runTimer()) return stuck("Deadlock")
  }
  while (world.runTask()) {
    if (world.steps >= stepsMax) return stuck("Endless")
    if (world.stepsAtInstant >= stepsAtInstantMax) return stuck("Livelock")
  }
  return { _tag: "Done", exit: fiber.pollUnsafe() as Exit.Exit<A, E>, ...report() }
}

/** What tests of whole agents tell: a story of a small fleet, in virtual time. */
import { assert } from "@effect/vitest"
import { AgentFleet, SimRuntime } from "@starling/testing"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"

/** Runs the story by a seed; it must end, succeed, and leave nobody asleep. */
export const told = (
  size: number,
  story: (fleet: AgentFleet.AgentFleet) => Effect.Effect<void, unknown>,
  options = {}
) => {
  const fleet = AgentFleet.make({ size, ...options })
  const outcome = SimRuntime.run(Effect.andThen(story(fleet), AgentFleet.stopAll(fleet)), { seed: size })
  if (outcome._tag !== "Done") assert.fail(`${outcome._tag} at ${outcome.virtualMs} ms`)
  if (Exit.isFailure(outcome.exit)) throw Cause.squash(outcome.exit.cause)
  assert.strictEqual(outcome.sleepers, 0, "fibers that still sleep after everything was stopped")
}

export const whole = Effect.fnUntraced(function* (fleet: AgentFleet.AgentFleet, withinMs = 20_000) {
  assert.isTrue(yield* AgentFleet.until(AgentFleet.isWhole(fleet), withinMs), "the members did not become one fleet")
})

/** All members run and know each other. */
export const joined = Effect.fnUntraced(function* (fleet: AgentFleet.AgentFleet) {
  yield* AgentFleet.startAll(fleet)
  yield* whole(fleet)
})

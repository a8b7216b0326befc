/** What an agent counts, by the names that `/metrics` shows. */
import { assert, describe, it } from "@effect/vitest"
import { AgentFleet, SimRuntime } from "@starling/testing"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"

describe("The counters of an agent", () => {
  it("name every bound of broadcast and repair, and the frames that found a full gate", () => {
    const fleet = AgentFleet.make({ size: 1 })
    const story = Effect.gen(function* () {
      yield* AgentFleet.startAll(fleet)
      const counters = yield* AgentFleet.agentOf(fleet, 0).counters
      yield* AgentFleet.stopAll(fleet)
      return counters
    })
    const outcome = SimRuntime.run(story, { seed: 1 })
    if (outcome._tag !== "Done" || Exit.isFailure(outcome.exit)) return assert.fail(JSON.stringify(outcome))
    const gates = ["shuffler", "broadcast_tree", "lazy_push_repair", "facts"].map((gated) => `${gated}_gate_overflowed`)
    const bounds = ["summaries_cut", "wanted_cut", "gaps_cut", "held_cut", "asks_shed", "missing_shed"]
    for (const name of [...gates, ...bounds.map((bound) => `lazy_push_repair_${bound}`), "broadcast_tree_gaps_closed"])
      assert.strictEqual(outcome.exit.value[name], 0, name)
  })
})

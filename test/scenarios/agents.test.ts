/**
 * Whole agents in virtual time: components of one of them crash at random points while everybody broadcasts. More
 * seeds run in `.ci/run seeds`.
 */
import { assert, describe, it } from "@effect/vitest"
import { Scenarios } from "@starling/testing"

const seeds = Array.from({ length: 10 }, (_, index) => index + 1)

describe("whole agents with crashing components", () => {
  it(
    "at ten seeds, with 1,000 broadcasts at each, every one is delivered exactly once, the agent is never taken for lost, each crash strikes where it was asked, and nothing runs on",
    { timeout: 240_000 },
    () => {
      for (const seed of seeds) {
        const { broken } = Scenarios.agents.run({ seed, size: 5 })
        assert.deepStrictEqual(broken, [], `replay: npx -y pnpm@12 lab run agents --seed ${seed} --size 5`)
      }
    }
  )

  it("the same seed gives the same history to the last task, another seed another", () => {
    const history = (seed: number): string => Scenarios.agents.run({ seed, size: 5 }).history
    assert.strictEqual(history(1), history(1))
    assert.notStrictEqual(history(1), history(2))
  })
})

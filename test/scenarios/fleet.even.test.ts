/**
 * Sixteen whole agents in several data centres, a component crash every second, and partitions. The even one of three
 * seeds; the others stand in a second file, so that two cores share them. Twenty
 * seeds of a hundred agents (`npx -y pnpm@12 lab run fleet`) run in `.ci/run seeds`; each takes minutes.
 */
import { assert, describe, it } from "@effect/vitest"
import { Scenarios } from "@starling/testing"

const size = 16
const seed = 2

describe("sixteen whole agents with crashing components and partitions", () => {
  it(
    `seed ${seed}: nothing delivered twice, nothing lost that its origin held, all sound five seconds after`,
    {
      timeout: 300_000
    },
    () => {
      const { broken } = Scenarios.fleet.run({ seed, size })
      assert.deepStrictEqual(broken, [], `replay: npx -y pnpm@12 lab run fleet --seed ${seed} --size ${size}`)
    }
  )

  it("the same seed gives the same history to the last task, another seed another", () => {
    const history = (seed: number): string => Scenarios.fleet.run({ seed, size: 6, minutes: 0.2 }).history
    assert.strictEqual(history(1), history(1))
    assert.notStrictEqual(history(1), history(2))
  })
})

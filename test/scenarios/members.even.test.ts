/**
 * A thousand members in virtual time: they join, become one overlay, and every broadcast reaches each of them once.
 * The even ones of the twenty seeds; the others stand in a second file, so that two cores share them.
 */
import { assert, describe, it } from "@effect/vitest"
import { Scenarios } from "@starling/testing"

const seeds = Array.from({ length: 10 }, (_, index) => 2 * index + 2)

describe("1,000 members", () => {
  for (const seed of seeds) {
    it(`seed ${seed}: one symmetric overlay, every broadcast once at every member`, { timeout: 120_000 }, () => {
      const { broken } = Scenarios.members.run({ seed, size: 1000 })
      assert.deepStrictEqual(broken, [], `replay: npx -y pnpm@12 lab run members --seed ${seed} --size 1000`)
    })
  }
})

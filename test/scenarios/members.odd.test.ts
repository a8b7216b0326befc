/**
 * A thousand members in virtual time: they join, become one overlay, and every broadcast reaches each of them once. The odd
 * ones of three seeds; the even one stands in a second file, so that two cores share them. Seven more run in `.ci/run seeds`.
 */
import { assert, describe, it } from "@effect/vitest"
import { Scenarios } from "@starling/testing"

describe("1,000 members", () => {
  for (const seed of [1, 3]) {
    it(`seed ${seed}: one symmetric overlay, every broadcast once at every member`, () => {
      const { broken } = Scenarios.members.run({ seed, size: 1000 })
      assert.deepStrictEqual(broken, [], `replay: npx -y pnpm@12 lab run members --seed ${seed} --size 1000`)
    })
  }
})

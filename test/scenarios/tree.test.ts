/**
 * Any actor in the supervision trees of whole agents is killed or crashes, at any instant; an onlooker from outside of the
 * runtime sees to it that nothing is begun twice, nothing is lost and nothing is left.
 */
import { assert, describe, it } from "@effect/vitest"
import { Scenarios } from "@starling/testing"

const seeds = Array.from({ length: 10 }, (_, index) => index + 1)

describe("the supervision trees of whole agents, struck anywhere", () => {
  for (const seed of seeds) {
    it(`seed ${seed}: no deadlock, no lost end or stop, no orphan, nothing begun twice, and all is whole afterwards`, () => {
      const { broken, virtualMs } = Scenarios.tree.run({ seed, size: 3 })
      assert.deepStrictEqual(broken, [], `replay: npx -y pnpm@12 lab run tree --seed ${seed} --size 3`)
      // A thousand runs are 24 hours.
      assert.isAtLeast(virtualMs, (24 * 3_600_000) / 1000)
    })
  }
})

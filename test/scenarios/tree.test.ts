/**
 * Any actor in the supervision trees of whole agents is killed or crashes, at any instant; an onlooker from outside of the
 * runtime sees to it that nothing is begun twice, nothing is lost and nothing is left.
 */
import { assert, describe, it } from "@effect/vitest"
import { Scenarios } from "@starling/testing"

const seeds = Array.from({ length: 10 }, (_, index) => index + 1)

describe("the supervision trees of whole agents", () => {
  it(
    "at ten seeds: no deadlock, no lost end or stop, no orphan, no second incarnation, and all is whole afterwards",
    { timeout: 120_000 },
    () => {
      let virtualMs = 0
      for (const seed of seeds) {
        const outcome = Scenarios.tree.run({ seed, size: 3 })
        assert.deepStrictEqual(outcome.broken, [], `replay: npx -y pnpm@12 lab run tree --seed ${seed} --size 3`)
        virtualMs += outcome.virtualMs
      }
      // A thousand runs are 24 hours.
      assert.isAtLeast(virtualMs, (24 * 3_600_000) / 100)
    }
  )
})

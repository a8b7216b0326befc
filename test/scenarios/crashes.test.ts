/**
 * Components crash at random points while broadcasts are under way; members step as actors do, by the seed.
 * More seeds run with the actors themselves (`agents.test.ts`); this is the same promise of the one machine.
 */
import { assert, describe, it } from "@effect/vitest"
import { Scenarios } from "@starling/testing"

const seeds = Array.from({ length: 4 }, (_, index) => index + 1)

describe("crashing components", () => {
  it(
    "at four seeds every broadcast is delivered exactly once, no stamp goes back, and no neighbour is lost",
    { timeout: 240_000 },
    () => {
      for (const seed of seeds) {
        const { broken } = Scenarios.crashes.run({ seed, size: 9 })
        assert.deepStrictEqual(broken, [], `replay: npx -y pnpm@12 lab run crashes --seed ${seed} --size 9`)
      }
    }
  )
})

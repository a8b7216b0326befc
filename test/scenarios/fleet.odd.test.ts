/**
 * Sixteen whole agents in several data centres, a component crash every second, and partitions. The odd ones of three
 * seeds; the even one stands in a second file, so that two cores share them. Twenty
 * seeds of a hundred agents (`npx -y pnpm@12 lab run fleet`) run in `.ci/run seeds`; each takes minutes.
 */
import { assert, describe, it } from "@effect/vitest"
import { Scenarios } from "@starling/testing"

const size = 16

describe("sixteen whole agents with crashing components and partitions", () => {
  for (const seed of [1, 3]) {
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
  }
})

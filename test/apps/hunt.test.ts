/** What a hunt tries, and what it leaves behind. */
import { assert, describe, it } from "@effect/vitest"
import { Scenarios } from "@starling/testing"
import * as Prey from "../../apps/lab/src/hunt/Prey.ts"

describe("a seed of a hunt", () => {
  it("stands for one scenario with one size, the same each time", () => {
    for (let seed = 0; seed < 100; seed++) assert.deepStrictEqual(Prey.of(seed), Prey.of(seed))
    assert.strictEqual(Prey.of(7).seed, 7)
  })

  it("stands for any of all scenarios, most often for that of all faults, and for sizes that they can have", () => {
    const orders = Array.from({ length: 2000 }, (_, seed) => Prey.of(seed))
    const tried = Map.groupBy(orders, ({ scenario }) => scenario)
    assert.sameMembers(
      [...tried.keys()],
      Scenarios.all.map(({ name }) => name)
    )
    assert.isAbove(tried.get("faults")?.length ?? 0, 1000)
    for (const { size } of orders) assert.isTrue(size >= 2 && size <= 1000)
  })

  it("stands for a scenario that was added since, too", () => {
    const added: Scenarios.Scenario = { ...Scenarios.members, name: "added", size: 17 }
    assert.deepStrictEqual(Prey.of(3, [added]), { scenario: "added", seed: 3, size: 17 })
  })
})

import { assert, describe, it } from "@effect/vitest"
import { NodeId, Rng } from "@starling/machine"
import * as fc from "fast-check"

const draws = (seed: number | string, count: number, bound: number): ReadonlyArray<number> => {
  const out: Array<number> = []
  let rng = Rng.make(seed)
  for (let i = 0; i < count; i++) {
    const [value, next] = Rng.nextInt(rng, bound)
    out.push(value)
    rng = next
  }
  return out
}

describe("Rng", () => {
  it("the same seed draws the same numbers, another seed others", () => {
    assert.deepStrictEqual(draws(7, 50, 1000), draws(7, 50, 1000))
    assert.notDeepEqual(draws(7, 50, 1000), draws(8, 50, 1000))
    assert.notDeepEqual(draws("seven", 50, 1000), draws("eight", 50, 1000))
  })

  it("draws every value of a small range about equally often", () => {
    const counts = [0, 0, 0, 0, 0, 0, 0, 0]
    for (const value of draws(3, 16_000, 8)) counts[value] = (counts[value] ?? 0) + 1
    // Chi-square with 7 degrees of freedom: 24.3 is the 99.9 % point.
    const chiSquare = counts.reduce((sum, count) => sum + (count - 2000) ** 2 / 2000, 0)
    assert.isBelow(chiSquare, 24.3)
  })

  it("a sample has no duplicates, no strangers, and the size asked for", () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.integer(), { maxLength: 40 }), fc.nat(50), fc.integer(), (items, count, seed) => {
        const [sample] = Rng.sample(Rng.make(seed), items, count)
        assert.strictEqual(new Set(sample).size, Math.min(count, items.length))
        for (const item of sample) assert.include(items, item)
      })
    )
  })

  it("a sample favours no position", () => {
    const counts = [0, 0, 0, 0, 0, 0]
    let rng = Rng.make(11)
    for (let i = 0; i < 6000; i++) {
      const [sample, next] = Rng.sample(rng, [0, 1, 2, 3, 4, 5], 2)
      rng = next
      for (const item of sample) counts[item] = (counts[item] ?? 0) + 1
    }
    const chiSquare = counts.reduce((sum, count) => sum + (count - 2000) ** 2 / 2000, 0)
    assert.isBelow(chiSquare, 20.5)
  })

  it("jitter stays within its share", () => {
    fc.assert(
      fc.property(fc.integer({ min: 10, max: 100_000 }), fc.integer(), (value, seed) => {
        const [jittered] = Rng.jitter(Rng.make(seed), value, 0.5)
        assert.isAtLeast(jittered, Math.floor(value * 0.5))
        assert.isAtMost(jittered, Math.ceil(value * 1.5))
      })
    )
  })

  it("split generators go different ways", () => {
    const rng = Rng.make(5)
    assert.notStrictEqual(Rng.split(rng, "a"), Rng.split(rng, "b"))
  })

  it("node ids are twelve hexadecimal digits", () => {
    fc.assert(fc.property(fc.integer(), (seed) => assert.isTrue(NodeId.isNodeId(NodeId.random(Rng.make(seed))[0]))))
  })
})

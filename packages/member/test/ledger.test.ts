import { assert, describe, it } from "@effect/vitest"
import { Component, Ledger } from "@starling/member"
import * as HashMap from "effect/HashMap"
import * as fc from "fast-check"

const id = fc.record({
  origin: fc.constantFrom("00000000000a", "00000000000b"),
  incarnation: fc.integer({ min: 1, max: 2 }),
  seq: fc.integer({ min: 1, max: 40 })
})

describe("Ledger", () => {
  it("has exactly what was recorded, in any order", () => {
    fc.assert(
      fc.property(fc.array(id, { maxLength: 60 }), id, (recorded, asked) => {
        const ledger = recorded.reduce(Ledger.record, Ledger.empty)
        const model = recorded.some(
          ({ origin, incarnation, seq }) =>
            origin === asked.origin && incarnation === asked.incarnation && seq === asked.seq
        )
        assert.strictEqual(Ledger.has(ledger, asked), model)
      })
    )
  })

  it("takes for handed over what lies in the lowest gaps only where there are more than 1,088 intervals", () => {
    const of = (seq: number) => ({ origin: "00000000000a", incarnation: 1, seq })
    let ledger = Ledger.empty
    for (let n = 0; n < Ledger.intervalsMax; n++) ledger = Ledger.record(ledger, of(2 * n + 1))
    assert.deepStrictEqual([Ledger.intervalsMax, Ledger.has(ledger, of(2))], [1088, false])
    ledger = Ledger.record(ledger, of(2 * Ledger.intervalsMax + 1))
    assert.deepStrictEqual([Ledger.has(ledger, of(2)), Ledger.has(ledger, of(4))], [true, false])
  })

  it("keeps the two newest incarnations of an origin", () => {
    const of = (incarnation: number) => ({ origin: "00000000000a", incarnation, seq: 1 })
    const ledger = [of(1), of(3), of(2)].reduce(Ledger.record, Ledger.empty)
    assert.deepStrictEqual(
      [1, 2, 3].map((incarnation) => Ledger.has(ledger, of(incarnation))),
      [false, true, true]
    )
  })

  it("of one origin too many takes the place of another", () => {
    const of = (n: number) => ({ origin: n.toString(16).padStart(12, "0"), incarnation: 1, seq: 1 })
    let ledger = Ledger.empty
    for (let n = 0; n <= Ledger.originsMax; n++) ledger = Ledger.record(ledger, of(n))
    assert.strictEqual(HashMap.size(ledger), Ledger.originsMax)
    assert.isTrue(Ledger.has(ledger, of(Ledger.originsMax)))
  })
})

describe("Component", () => {
  it("every component has a channel of its own, and the channel names it", () => {
    for (const component of Component.components) {
      assert.strictEqual(Component.ofChannel(Component.channels[component]), component)
      assert.isAbove(Component.channels[component], 0)
    }
    assert.isUndefined(Component.ofChannel(0))
    assert.isUndefined(Component.ofChannel(99))
  })
})

/** Making small what fails. */
import { assert, describe, it } from "@effect/vitest"
import { Arbitraries, Plan, Shrink } from "@starling/testing"
import * as fc from "fast-check"

describe("a list that fails", () => {
  it("shrinks to exactly what it takes, wherever that stands", () => {
    const culprits = fc.uniqueArray(fc.nat(60), { minLength: 0, maxLength: 5 })
    fc.assert(
      fc.property(culprits, (culprits) => {
        const items = Array.from({ length: 61 }, (_, n) => n)
        const small = Shrink.list(items, (part) => culprits.every((one) => part.includes(one)))
        assert.deepStrictEqual(
          small,
          culprits.toSorted((a, b) => a - b)
        )
      })
    )
  })

  it("shrinks to one of which no item can be left out, whatever it takes", () => {
    // Fails with any three even numbers, or with 7 alone: more than one part is to blame.
    const fails = (part: ReadonlyArray<number>): boolean =>
      part.includes(7) || part.filter((n) => n % 2 === 0).length >= 3
    fc.assert(
      fc.property(fc.array(fc.nat(20)).filter(fails), (items) => {
        const small = Shrink.list(items, fails)
        assert.isTrue(fails(small))
        small.forEach((_, n) => assert.isFalse(fails(small.toSpliced(n, 1))))
      })
    )
  })

  it("takes few tries for one culprit among many", () => {
    let tries = 0
    const items = Array.from({ length: 1000 }, (_, n) => n)
    Shrink.list(items, (part) => {
      tries++
      return part.includes(123)
    })
    assert.isBelow(tries, 60)
  })
})

describe("a plan that fails", () => {
  const crashes = (plan: Plan.Plan) => plan.faults.filter(({ fault }) => fault._tag === "Crash")

  it("keeps failing while it shrinks, is a plan all the while, and no part of it can go", () => {
    const failing = Arbitraries.plan({ size: 12, kinds: ["outage", "partition", "slowLinks"] }).filter(
      (plan) => crashes(plan).length > 1
    )
    fc.assert(
      fc.property(failing, (plan) => {
        const fails = (plan: Plan.Plan): boolean => {
          assert.isTrue(Plan.decode(plan)._tag === "Success")
          return crashes(plan).length > 1
        }
        const small = Shrink.plan(plan, fails)
        assert.strictEqual(small.faults.length, 2)
        assert.strictEqual(crashes(small).length, 2)
        assert.strictEqual(small.deeds.length, 0)
        assert.isAtMost(small.members.length, 3)
        assert.strictEqual(small.mode, "run-to-completion")
        assert.isAtMost(small.quietAtMs, plan.quietAtMs)
      }),
      { numRuns: 20 }
    )
  })

  it("takes members out of groups", () => {
    const plan: Plan.Plan = {
      ...Arbitraries.sample(Arbitraries.plan({ size: 2 }), 1),
      members: [0, 1, 2, 3, 4, 5].map((member) => ({ member, joinAtMs: 0 })),
      faults: [{ atMs: 5, fault: { _tag: "Cut", some: [1, 2, 3], others: [0, 4, 5], direction: "both" } }],
      deeds: []
    }
    const small = Shrink.plan(plan, ({ faults }) =>
      faults.some(({ fault }) => fault._tag === "Cut" && fault.some.includes(2) && fault.others.includes(5))
    )
    assert.deepStrictEqual(
      small.faults.map(({ fault }) => fault),
      [{ _tag: "Cut", some: [2], others: [5], direction: "both" }]
    )
    assert.deepStrictEqual(
      small.members.map(({ member }) => member),
      [0, 2, 5]
    )
  })

  it("is given up after so many tries, with the smallest so far", () => {
    const plan = Arbitraries.sample(Arbitraries.plan({ size: 12 }), 3)
    let tries = 0
    Shrink.plan(
      plan,
      () => {
        tries++
        return true
      },
      { triesMax: 5 }
    )
    assert.strictEqual(tries, 5)
  })
})

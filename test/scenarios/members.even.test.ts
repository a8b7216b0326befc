/**
 * A thousand members in virtual time: they join, become one overlay, and every broadcast reaches each of them once. The even
 * one of three seeds; the others stand in a second file, so that two cores share them. Seven more run in `.ci/run seeds`.
 */
import { assert, describe, it } from "@effect/vitest"
import { Scenarios } from "@starling/testing"

describe("1,000 members", () => {
  const seed = 2

  it(`seed ${seed}: one symmetric overlay, every broadcast once at every member`, () => {
    const { broken } = Scenarios.members.run({ seed, size: 1000 })
    assert.deepStrictEqual(broken, [], `replay: npx -y pnpm@12 lab run members --seed ${seed} --size 1000`)
  })

  it("the same seed gives the same history to the last event, another seed another", () => {
    const history = (seed: number): string => Scenarios.members.run({ seed, size: 60 }).history
    assert.strictEqual(history(1), history(1))
    assert.notStrictEqual(history(1), history(2))
  })
})

import { assert, describe, it } from "@effect/vitest"
import type { World } from "@starling/sim"
import { AgentFaults, Plan, Regression } from "@starling/testing"
import * as Result from "effect/Result"

describe("what failed with whole agents", () => {
  // Over before anybody has said anything.
  const failing = Regression.of({
    scenario: "fleet",
    seed: 1,
    size: 4,
    minutes: 0.002,
    broken: ["nothing was broadcast"]
  })

  it("is made small by fewer agents and fewer faults, as long as it fails in the same way", () => {
    const told: Array<Regression.Regression> = []
    const small = Regression.shrink(
      failing,
      () => true,
      (smaller) => void told.push(smaller)
    )
    assert.include(small.broken, "nothing was broadcast")
    assert.strictEqual(small.size, 2)
    assert.deepStrictEqual(small.faults, [])
    assert.strictEqual(told.at(-1), small)
  })

  it("is played from its file as it was kept: its length, and what went wrong", () => {
    const kept: Regression.Regression = {
      ...failing,
      faults: [
        { atMs: 10, fault: { _tag: "Cut", some: ["n0"], others: ["n1"], direction: "there" } },
        { atMs: 20, fault: { _tag: "CrashComponent", node: "n1", component: "facts", at: "acting" } },
        { atMs: 30, fault: { _tag: "Crash", node: "n2", how: "silent" } }
      ]
    }
    const read = Result.getOrThrow(Regression.parse(Regression.toText(kept)))
    assert.deepStrictEqual(read, kept)
    // Nobody ends the cut or starts the member again, and still all is whole in the end.
    assert.deepStrictEqual(
      Regression.run(read).broken.filter((line) => /member|fault|last/.test(line)),
      []
    )
  })

  it("keeps every kind of poison", () => {
    const faults = [...Plan.poisons, ...Plan.spoilt].map((what, n) => ({
      atMs: n,
      fault: AgentFaults.poison("n0", "n1", what, n)
    }))
    const kept = { ...failing, faults }
    assert.deepStrictEqual(Result.getOrThrow(Regression.parse(Regression.toText(kept))), kept)
    const [other] = faults.map(({ fault }) => ({ atMs: 1, fault: { ...fault, what: "cyanide" } }))
    assert.isTrue(Result.isFailure(Regression.parse(JSON.stringify({ ...failing, faults: [other] }))))
  })

  it("keeps every kind of weather", () => {
    // Required: one that is added and not kept does not build, or is found here.
    const weather: Required<World.Weather> = {
      delayMs: 1,
      jitterMs: 2,
      jitterTimes: 3,
      tailMs: 4,
      lossShare: 0.1,
      resetShare: 0.2,
      duplicateShare: 0.3
    }
    const fault = { _tag: "SetWeather", some: ["n0"], others: ["n1"], direction: "both", weather } as const
    const read = Result.getOrThrow(Regression.parse(Regression.toText({ ...failing, faults: [{ atMs: 10, fault }] })))
    assert.deepStrictEqual(read.faults, [{ atMs: 10, fault }])
  })

  it("is refused with where it is wrong", () => {
    const text = Regression.toText({ ...failing, faults: [{ atMs: 10, fault: { _tag: "HealAll" } }] })
    const read = Regression.parse(text.replace("HealAll", "HealSome"))
    assert.isTrue(Result.isFailure(read))
    assert.include(Result.isFailure(read) ? read.failure : "", "faults")
  })
})

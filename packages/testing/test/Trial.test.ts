/** Plans that are played: what holds, what does not, and the same again. */
import { assert, describe, it } from "@effect/vitest"
import { World } from "@starling/sim"
import { Arbitraries, MemberFleet, Plan, Regression, Trial } from "@starling/testing"
import * as Result from "effect/Result"

const calm = (count: number): Plan.Plan => ({
  seed: 7,
  mode: "run-to-completion",
  terrain: "near",
  contacts: 1,
  datacenters: 2,
  members: Array.from({ length: count }, (_, member) => ({ member, joinAtMs: member * 20 })),
  faults: [],
  deeds: [
    { atMs: 3000, deed: { _tag: "Broadcast", member: 1, count: 10 } },
    { atMs: 3000, deed: { _tag: "SetConfig", member: 2, key: "a" } }
  ],
  gone: [],
  quietAtMs: 4000
})

describe("a trial", () => {
  it("of a calm fleet finds nothing, and says what was played", () => {
    const { broken, measured } = Trial.run(calm(6))
    assert.deepStrictEqual(broken, [])
    assert.strictEqual(measured["running"], 6)
    assert.isAtLeast(measured["broadcasts"] ?? 0, 11)
  })

  it(
    "of members that know nobody finds them apart, and shrinks to two of them without a fault",
    { timeout: 60_000 },
    () => {
      const drawn = Arbitraries.sample(Arbitraries.plan({ size: 5 }), 9)
      const plan = { ...drawn, contacts: 0, members: calm(4).members, gone: [] }
      const { broken } = Trial.run(plan)
      assert.match(broken.join("\n"), /components/)
      const failing = { ...Regression.of({ scenario: "faults", seed: 0, size: 0, broken }), plan }
      const small = Regression.shrink(failing, () => true)
      assert.strictEqual(small.plan?.members.length, 2)
      assert.deepStrictEqual([small.plan?.faults, small.plan?.deeds], [[], []])
      assert.match(small.broken.join("\n"), /2 components of 1, 1 members/)
      assert.deepStrictEqual(Regression.parse(Regression.toText(small)), Result.succeed(small))
    }
  )

  it("of one plan has one history, whatever goes wrong", () => {
    for (const seed of [3, 4, 11]) {
      const plan = Arbitraries.sample(Arbitraries.plan({ size: 5 }), seed)
      assert.deepStrictEqual(Trial.run(plan), Trial.run(plan))
    }
  })

  it("mends at quiet what a plan leaves broken", () => {
    const plan: Plan.Plan = {
      ...calm(4),
      faults: [
        { atMs: 2000, fault: { _tag: "Crash", node: 1, how: "silent" } },
        { atMs: 2000, fault: { _tag: "Cut", some: [0], others: [2, 3], direction: "both" } },
        { atMs: 2000, fault: { _tag: "Pause", node: 3 } },
        { atMs: 2000, fault: { _tag: "Twin", node: 2, twin: Plan.twins, address: "10.255.0.0:7740" } }
      ]
    }
    const { broken, measured } = Trial.run(plan)
    assert.deepStrictEqual([broken, measured["running"]], [[], 4])
    assert.strictEqual(Trial.run({ ...plan, gone: [1] }).measured["running"], 3)
  })
})

describe("members with free slots", () => {
  it("are named in pairs as long as they could be neighbours, and only so long", () => {
    const fleet = MemberFleet.make({ seed: 3, size: 9, mode: "run-to-completion", joinEveryMs: 1 })
    World.run(fleet.world, 10)
    const before = MemberFleet.unpaired(fleet)
    World.run(fleet.world, 20_000)
    const open = World.running(fleet.world).filter(({ state }) => {
      const { active, config } = state.cells["view-manager"].state
      return active.filter(({ near }) => near !== true).length < config.activeMax
    })
    // Nine have been joined, and of two that lack one still there is nobody to link to.
    assert.isAbove(before.length, 5)
    assert.deepStrictEqual([MemberFleet.unpaired(fleet), open.length < 9], [[], true])
  })

  it("do not count if they are neighbours already: three have a slot each for ever", () => {
    const fleet = MemberFleet.make({ seed: 3, size: 3, mode: "run-to-completion" })
    World.run(fleet.world, 5000)
    assert.isTrue(MemberFleet.isOneComponent(fleet))
    assert.deepStrictEqual(MemberFleet.unpaired(fleet), [])
  })
})

describe("a regression", () => {
  it("that is none is refused, and says what is wrong", () => {
    for (const [text, said] of [
      ["{", /JSON/i],
      ["{}", /found/],
      [Regression.toText({ found: "", broken: [], scenario: "faults", seed: 1, size: 2, plan: {} as never }), /seed/]
    ] as const) {
      const refused = Regression.parse(text)
      assert.match(Result.isFailure(refused) ? refused.failure : "accepted", said)
    }
  })

  it("fails in the same way whoever it befell and whenever", () => {
    const one = Regression.signature([
      "4046c5070001 at 12261 ms: facts: documents are in order",
      "3 components of 1, 2, 4 members"
    ])
    const other = Regression.signature([
      "dd63203c0000 at 9 ms: facts: documents are in order",
      "2 components of 5, 1 members"
    ])
    assert.deepStrictEqual(one, other)
    assert.notDeepEqual(one, Regression.signature(["4046c5070001 at 12261 ms: facts: documents are lost"]))
  })
})

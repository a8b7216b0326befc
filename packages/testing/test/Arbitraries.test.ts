/** What is drawn: within its bounds, with an end to everything, and readable as data. */
import { assert, describe, it } from "@effect/vitest"
import { Member } from "@starling/member"
import { Fault, World } from "@starling/sim"
import { Arbitraries, MemberFleet, Plan } from "@starling/testing"
import * as fc from "fast-check"

const nodes = ["a", "b", "c", "d", "e"]
const ghosts = [{ twin: "ghost", address: "ghost:1" }]
const around: Arbitraries.Around<string> = { nodes, fromMs: 1000, untilMs: 9000, mortal: ["d", "e"], twins: ghosts }

/** What still goes wrong after the last of these, going by their kinds. */
const unended = (scenario: Fault.Scenario<string>): ReadonlyArray<string> => {
  const going = new Set<string>()
  for (const { fault } of scenario.toSorted((a, b) => a.atMs - b.atMs)) {
    const pairs = (some: ReadonlyArray<string>, others: ReadonlyArray<string>) =>
      some.flatMap((one) => others.flatMap((other) => [`${one}${other}`, `${other}${one}`]))
    switch (fault._tag) {
      case "Crash":
        going.add(`down ${fault.node}`)
        break
      case "Restart":
        going.delete(`down ${fault.node}`)
        break
      case "Cut":
        for (const pair of pairs(fault.some, fault.others)) going.add(`cut ${pair}`)
        break
      case "Heal":
        for (const pair of pairs(fault.some, fault.others)) going.delete(`cut ${pair}`)
        break
      case "SetWeather":
        for (const pair of pairs(fault.some, fault.others)) going.add(`weather ${pair}`)
        break
      case "ClearWeather":
        for (const pair of pairs(fault.some, fault.others)) going.delete(`weather ${pair}`)
        break
      case "Pause":
        going.add(`stopped ${fault.node}`)
        break
      case "Resume":
        going.delete(`stopped ${fault.node}`)
        break
      case "SetDrift":
        if (fault.driftPpm === 0) going.delete(`drift ${fault.node}`)
        else going.add(`drift ${fault.node}`)
        break
      case "Twin":
        going.add(`down ${fault.twin}`)
        break
      default:
    }
  }
  return [...going]
}

describe("a misfortune", () => {
  for (const kind of Arbitraries.kinds) {
    it(`${kind} begins and ends within its span`, () => {
      fc.assert(
        fc.property(Arbitraries.misfortune(kind, around), (scenario) => {
          assert.isAbove(scenario.length, 0)
          for (const { atMs } of scenario) assert.isTrue(atMs >= 1000 && atMs <= 9000.001, `${atMs} ms`)
          const mortal = kind === "massCrash" ? ["down d", "down e"] : ["down ghost"]
          assert.deepStrictEqual(
            unended(scenario).filter((one) => !mortal.includes(one)),
            []
          )
        })
      )
    })
  }

  it("names only nodes that there are", () => {
    fc.assert(
      fc.property(Arbitraries.faults(around), (scenario) => {
        for (const { fault } of scenario) {
          Fault.map(fault, (node) => assert.include([...nodes, "ghost"], node))
        }
      })
    )
  })

  it("of a fleet without twins and without mortals is none of those", () => {
    const spared: Arbitraries.Around<string> = { nodes, fromMs: 0, untilMs: 10 }
    for (const kind of ["massCrash", "twin"] as const) {
      assert.deepStrictEqual(Arbitraries.sample(Arbitraries.misfortune(kind, spared), 1), [])
    }
  })
})

describe("a plan", () => {
  it("is data: it survives its text, and what is not a plan is refused with the place", () => {
    fc.assert(
      fc.property(Arbitraries.plan({ size: 20 }), (plan) => {
        const again = Plan.decode(JSON.parse(Plan.toText(plan)))
        assert.deepStrictEqual(again._tag === "Success" ? again.success : again.failure, plan)
      })
    )
    const plan = Arbitraries.sample(Arbitraries.plan({ size: 5 }), 2)
    const cases: ReadonlyArray<readonly [unknown, RegExp]> = [
      [{ ...plan, members: [] }, /members/],
      [{ ...plan, terrain: "flat" }, /terrain/],
      [{ ...plan, quietAtMs: -1 }, /quietAtMs/],
      [{ ...plan, faults: [{ atMs: 1, fault: { _tag: "Quake" } }] }, /fault/],
      [{ ...plan, deeds: [{ atMs: 1, deed: { _tag: "Broadcast", member: 0 } }] }, /count/],
      [null, /Expected object/]
    ]
    for (const [wrong, said] of cases) {
      const refused = Plan.decode(wrong)
      assert.match(refused._tag === "Failure" ? refused.failure : "accepted", said)
    }
  })

  it("ends with quiet: nothing happens after that, and member 0 is spared", () => {
    fc.assert(
      fc.property(Arbitraries.plan({ size: 20 }), (plan) => {
        const times = [...plan.faults, ...plan.deeds].map(({ atMs }) => atMs)
        assert.isBelow(Math.max(0, ...times, ...plan.members.map(({ joinAtMs }) => joinAtMs)), plan.quietAtMs)
        assert.notInclude(plan.gone, 0)
        for (const { deed } of plan.deeds) if (deed._tag === "Leave") assert.include(plan.gone, deed.member)
      })
    )
  })

  it("is the same for the same seed, and seeds draw every kind of fault and deed", () => {
    const plans = Array.from({ length: 400 }, (_, seed) => Arbitraries.sample(Arbitraries.plan({ size: 8 }), seed))
    assert.deepStrictEqual(Arbitraries.sample(Arbitraries.plan({ size: 8 }), 7), plans[7])
    const tags = new Set<string>()
    for (const { deeds, faults } of plans) {
      for (const { fault } of faults) tags.add(fault._tag)
      for (const { deed } of deeds) tags.add(deed._tag)
    }
    assert.sameMembers(
      [...tags],
      [
        "Crash",
        "Restart",
        "Cut",
        "Heal",
        "ResetLinks",
        "HalfOpen",
        "SetWeather",
        "ClearWeather",
        "Pause",
        "Resume"
      ].concat(
        ["StallDisk", "ShiftClock", "SetDrift", "SwapAddresses", "Twin"],
        ["Broadcast", "SetConfig", "Leave", "Fail", "Poison"]
      )
    )
  })
})

describe("commands", () => {
  it("put a fleet through faults as they come: invariants hold after each, and after the last it becomes one again", () => {
    const size = 5
    const options: MemberFleet.Options = { seed: 5, size, mode: "interleaved", joinEveryMs: 20 }
    const nodes = MemberFleet.make(options).peers.map(({ id }) => id)
    const commands = Arbitraries.commands<MemberFleet.Protocol, object>({
      nodes,
      passMsMax: 3000,
      holds: (world) => {
        for (const { state } of World.running(world)) assert.deepStrictEqual(Member.invariants(state), [])
      }
    })
    fc.assert(
      fc.property(fc.commands(commands, { maxCommands: 12 }), (steps) => {
        const fleet = MemberFleet.make(options)
        fc.modelRun(() => ({ model: {}, real: fleet.world }), steps)
        World.pass(fleet.world, 1000)
        Arbitraries.mend(fleet.world)
        assert.isTrue(
          World.runUntil(fleet.world, () => MemberFleet.isOneComponent(fleet), { withinMs: 60_000, everyMs: 250 })
        )
        assert.deepStrictEqual([fleet.broken, fleet.stampsBack], [[], []])
      }),
      { numRuns: 10 }
    )
  })
})

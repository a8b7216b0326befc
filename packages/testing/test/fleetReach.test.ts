/** What the scenario `fleet` says had to arrive. */
import { assert, describe, it } from "@effect/vitest"
import type { Agent } from "@starling/agent"
import { Fault } from "@starling/sim"
import * as fc from "fast-check"
import * as AgentFaults from "../src/AgentFaults.ts"
import * as Plan from "../src/internal/fleetPlan.ts"
import * as Reach from "../src/internal/fleetReach.ts"

const minute = 60_000
const always = { from: -minute, to: 10 * minute }

describe("which members could reach which", () => {
  it("a cut parts two members that no third one joins, from then to its end", () => {
    const cut = [...Fault.at(10_000, Fault.cut(["n0"], ["n1", "n2"])), ...Fault.at(20_000, Fault.healAll)]
    const reach = Reach.make(3, cut, 0, minute)
    assert.deepStrictEqual(
      reach.intervals(0, 1).map(({ from, to }) => [Math.max(0, from), to]),
      [
        [0, 10_000],
        [20_000, minute]
      ]
    )
    assert.strictEqual(reach.intervals(1, 2).length, 1)
    assert.strictEqual(Reach.make(3, Fault.at(0, Fault.cut(["n0"], ["n1"])), 0, minute).intervals(0, 1).length, 1)
  })

  it("a way that leads there and not back is none", () => {
    const reach = Reach.make(2, Fault.at(10_000, Fault.cut(["n0"], ["n1"], "there")), 0, minute)
    assert.deepStrictEqual(
      reach.intervals(1, 0).map(({ to }) => to),
      [10_000]
    )
  })

  it("nothing leads to a process that stands still, until it goes on or ends", () => {
    for (const end of [Fault.resume("n1"), Fault.crash("n1")]) {
      const still = [...Fault.at(10_000, Fault.pause("n1")), ...Fault.at(20_000, end)]
      const reach = Reach.make(3, still, 0, minute)
      assert.deepStrictEqual(
        reach.intervals(0, 1).map(({ from, to }) => [Math.max(0, from), to]),
        [
          [0, 10_000],
          [20_000, minute]
        ]
      )
      assert.strictEqual(reach.intervals(0, 2).length, 1)
    }
  })

  it("what was shared with somebody for ten seconds outlives its origin's disk", () => {
    const before = [{ from: -minute, to: 10_000 }]
    assert.isTrue(Reach.isShared(before, 0, minute))
    assert.isFalse(Reach.isShared(before, 1, minute))
    assert.isFalse(Reach.isShared(before, 0, 9999))
  })

  it("what costs no link is overlooked", () => {
    const cut = [...Fault.at(10_000, Fault.cut(["n0"], ["n1"])), ...Fault.at(12_900, Fault.heal(["n0"], ["n1"]))]
    assert.strictEqual(Reach.make(2, cut, 0, minute).intervals(0, 1).length, 1)
  })
})

describe("what is due", () => {
  const quiet = 2 * minute
  const end = quiet + 5000

  it("between two that could always reach each other, everything", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: quiet }), (at) => assert.isTrue(Reach.isDue([always], at, quiet, end)))
    )
  })

  it("nothing that was sent to the other side of a partition that outlasts what the origin keeps", () => {
    const partition = [
      { from: -minute, to: 10_000 },
      { from: 75_000, to: end }
    ]
    assert.isFalse(Reach.isDue(partition, 11_000, quiet, end))
    assert.isTrue(Reach.isDue(partition, 60_000, quiet, end))
  })

  it("over a partition that ends in time, what was sent while it lasted", () => {
    const partition = [
      { from: -minute, to: 10_000 },
      { from: 20_000, to: end }
    ]
    assert.isTrue(Reach.isDue(partition, 11_000, quiet, end))
  })
})

describe("what an origin still holds", () => {
  const crash = (atMs: number, node: string, component: Agent.Component): AgentFaults.Scenario[number] => ({
    atMs,
    fault: AgentFaults.crashComponent(node, component)
  })

  it("is lost with the second crash of its broadcast tree within the period, and with no other", () => {
    const faults = [
      crash(1000, "n0", "broadcast-tree"),
      crash(2000, "n1", "broadcast-tree"),
      crash(3000, "n0", "facts"),
      crash(5000, "n0", "broadcast-tree"),
      crash(14_000, "n0", "broadcast-tree"),
      crash(20_000, "n1", "broadcast-tree")
    ]
    assert.deepStrictEqual([...Reach.rebuilds(faults, 100)], [["n0", [{ from: 5100, to: 8100 }]]])
  })

  it("is lost also where a standstill puts off the first crash, and until the second has struck", () => {
    const still = (node: string, atMs: number, ms: number): AgentFaults.Scenario => [
      ...Fault.at(atMs, Fault.pause(node)),
      ...Fault.at(atMs + ms, Fault.resume(node))
    ]
    const [first, soon, late] = [1000, 17_000, 21_001].map((atMs) => crash(atMs, "n0", "broadcast-tree"))
    assert.isDefined(first)
    assert.isDefined(soon)
    assert.isDefined(late)
    // The first strikes by 16 s: half a second before the standstill, and two and a half after it.
    const faults = [first, ...still("n0", 1500, 12_000), soon]
    assert.deepStrictEqual([...Reach.rebuilds(faults, 100)], [["n0", [{ from: 17_100, to: 20_100 }]]])
    assert.strictEqual(Reach.rebuilds([first, ...still("n0", 1500, 12_000), late], 0).size, 0)
    // Nobody else's standstill does that, nor one after it has struck.
    for (const pause of [still("n1", 1500, 12_000), still("n0", 4001, 12_000)]) {
      assert.strictEqual(Reach.rebuilds([first, ...pause, soon], 0).size, 0)
    }
    const twice = [crash(0, "n0", "broadcast-tree"), first, ...still("n0", 1500, 12_000)]
    assert.deepStrictEqual(Reach.rebuilds(twice, 0).get("n0"), [{ from: 1000, to: 16_000 }])
  })

  it("ends there for what was sent before, and is not cut short for what came later", () => {
    const lost = [
      { from: 5000, to: 8000 },
      { from: 50_000, to: 65_000 }
    ]
    assert.strictEqual(Reach.heldUntil([], 0), Number.POSITIVE_INFINITY)
    assert.strictEqual(Reach.heldUntil(lost, 1000), 5000)
    assert.strictEqual(Reach.heldUntil(lost, 7999), 5000)
    assert.strictEqual(Reach.heldUntil(lost, 20_000), 50_000)
    assert.strictEqual(Reach.heldUntil(lost, 64_999), 50_000)
    assert.strictEqual(Reach.heldUntil(lost, 65_000), Number.POSITIVE_INFINITY)
  })
})

describe("the plan", () => {
  it("is the same for the same seed, in order, ends every cut in time, and starts every host that it took the power of", () => {
    fc.assert(
      fc.property(fc.nat(), fc.integer({ min: 6, max: 60 }), (seed, size) => {
        const plan = Plan.make(seed, size, 2 * minute)
        assert.deepStrictEqual(plan.faults, Plan.make(seed, size, 2 * minute).faults)
        const cuts = new Set<string>()
        const down = new Set<string>()
        let last = 0
        for (const { atMs, fault } of plan.faults) {
          assert.isAtLeast(atMs, last)
          last = atMs
          if (fault._tag === "Crash") down.add(fault.node)
          if (fault._tag === "Restart") down.delete(fault.node)
          if (fault._tag !== "Cut" && fault._tag !== "Heal") continue
          for (const a of fault.some) {
            for (const b of fault.others) {
              if (fault._tag === "Cut") cuts.add(`${a} ${b}`)
              else for (const way of [`${a} ${b}`, `${b} ${a}`]) cuts.delete(way)
            }
          }
        }
        assert.isAtMost(last, plan.endMs)
        assert.deepStrictEqual([...cuts, ...down], [])
        assert.isAtLeast(plan.faults.filter(({ fault }) => fault._tag === "CrashComponent").length, 120)
      })
    )
  })

  const small = (seed: number): Plan.Plan => Plan.make(seed, 16, 2 * minute)

  it("parts nobody for long in the end", () => {
    fc.assert(
      fc.property(fc.nat(100_000), (seed) => {
        const plan = small(seed)
        const reach = Reach.make(16, plan.faults, 0, plan.endMs)
        for (let one = 0; one < 16; one++) {
          for (let other = 0; other < one; other++) {
            assert.isAtMost(reach.intervals(one, other).at(-1)?.from ?? Infinity, plan.endMs - Plan.mergeMs)
          }
        }
      }),
      { numRuns: 30 }
    )
  })

  it("is itself with all of its faults, and sound with any part of them: what that leaves open ends in time", () => {
    fc.assert(
      fc.property(fc.nat(100_000), fc.infiniteStream(fc.boolean()), (seed, kept) => {
        const plan = small(seed)
        assert.deepStrictEqual(Plan.withFaults(plan, plan.faults), plan)
        const part = Plan.withFaults(
          plan,
          plan.faults.filter(() => kept.next().value === true)
        )
        assert.isAtLeast(part.endMs, plan.endMs)
        // Nothing is left to be mended.
        assert.deepStrictEqual(Plan.withFaults(part, part.faults), part)
        const reach = Reach.make(16, part.faults, 0, part.endMs)
        for (let one = 1; one < 16; one++) {
          assert.isAtMost(reach.intervals(0, one).at(-1)?.from ?? Infinity, part.endMs - Plan.mergeMs)
        }
      })
    )
  })

  it("of a part has calm after what another one's end ended late", () => {
    const [some, others] = [["n0"], ["n1", "n2"]]
    const lateMs = 2 * minute - 2000
    const partsOf: ReadonlyArray<readonly [string, AgentFaults.Scenario]> = [
      [
        "a cut whose end was left out",
        [
          ...Fault.at(50_000, Fault.cut(some, others)),
          ...Fault.at(lateMs - 500, Fault.cut(some, others)),
          ...Fault.at(lateMs, Fault.heal(some, others))
        ]
      ],
      ["a pause", [...Fault.at(50_000, Fault.pause("n3")), ...Fault.at(lateMs, Fault.resume("n3"))]],
      ["a crash", [...Fault.at(50_000, Fault.crash("n3")), ...Fault.at(lateMs, Fault.restart("n3"))]],
      [
        "bad weather",
        [
          ...Fault.at(50_000, Fault.setWeather(some, others, { tailMs: 1 })),
          ...Fault.at(lateMs, Fault.clearWeather(some, others))
        ]
      ],
      [
        "two brief ones without a gap",
        [
          ...Fault.at(lateMs - 3500, Fault.cut(some, others)),
          ...Fault.at(lateMs - 1500, Fault.heal(some, others)),
          ...Fault.at(lateMs - 1500, Fault.pause("n0")),
          ...Fault.at(lateMs, Fault.resume("n0"))
        ]
      ]
    ]
    for (const [what, left] of partsOf) {
      const { endMs, faults } = Plan.withFaults(small(1), left)
      assert.deepStrictEqual(faults, left, what)
      assert.strictEqual(endMs, lateMs + Plan.mergeMs, what)
    }
    const brief = [
      ...Fault.at(lateMs - Plan.briefMs + 1, Fault.cut(some, others)),
      ...Fault.at(lateMs, Fault.heal(some, others))
    ]
    assert.strictEqual(Plan.withFaults(small(1), brief).endMs, 2 * minute)
    const short = Plan.make(1, 16, minute / 2)
    assert.deepStrictEqual(Plan.withFaults(short, short.faults), short)
  })

  it("parts nobody for long in the end without up to three of its ends", () => {
    const ends = new Set<AgentFaults.AgentFault["_tag"]>(["Heal", "Resume", "Restart", "ClearWeather"])
    fc.assert(
      fc.property(fc.nat(100_000), fc.array(fc.nat(), { minLength: 1, maxLength: 3 }), (seed, picks) => {
        const plan = small(seed)
        const those = plan.faults.filter(({ fault }) => ends.has(fault._tag))
        const out = new Set(picks.map((pick) => those[pick % those.length]))
        const part = Plan.withFaults(
          plan,
          plan.faults.filter((one) => !out.has(one))
        )
        assert.deepStrictEqual(Plan.withFaults(plan, part.faults), part)
        assert.isAtLeast(part.endMs, part.faults.at(-1)?.atMs ?? 0)
        const reach = Reach.make(16, part.faults, 0, part.endMs)
        for (let one = 0; one < 16; one++) {
          for (let other = 0; other < one; other++) {
            assert.isAtMost(reach.intervals(one, other).at(-1)?.from ?? Infinity, part.endMs - Plan.mergeMs)
          }
        }
        for (const { atMs, fault } of part.faults) {
          if (fault._tag === "Restart") assert.isAtMost(atMs, part.endMs - Plan.mergeMs)
        }
      })
    )
  })

  it("of a part ends a pause, a copy, a storm and a crash that nobody ends", () => {
    const left = [
      ...Fault.at(
        1000,
        Fault.pause("n1"),
        Fault.twin("n2", { twin: "ghost", address: "a:1" }),
        Fault.setWeather(["n0"], ["n1"], { tailMs: 1 }),
        Fault.crash("n3")
      )
    ]
    const plan = Plan.withFaults({ ...small(1), endMs: 10_000 }, left)
    assert.deepStrictEqual(
      plan.faults.slice(left.length).map(({ fault }) => fault),
      [Fault.clearAllWeather, Fault.resume("n1"), Fault.crash("ghost"), Fault.restart("n3")]
    )
    assert.strictEqual(plan.endMs, (plan.faults.at(-1)?.atMs ?? 0) + Plan.mergeMs)
  })
})

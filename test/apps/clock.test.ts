/** The laboratory's fleets of clocks, small: that what they measure is there to be measured. */
import { assert, describe, it } from "@effect/vitest"
import { FleetTime, MedianEstimator } from "@starling/clock"
import * as Cells from "../../apps/lab/src/clock/Cells.ts"
import * as Fleet from "../../apps/lab/src/clock/Fleet.ts"
import * as Overlay from "../../apps/lab/src/clock/Overlay.ts"
import * as Page from "../../apps/lab/src/clock/Page.ts"
import * as Plan from "../../apps/lab/src/clock/Plan.ts"

const cell = (change: Partial<Extract<Cells.Cell, { readonly _tag: "fleet" }>>): Cells.Cell => ({
  _tag: "fleet",
  rule: "median",
  graph: "regular",
  size: 40,
  bad: 0.1,
  isAlike: false,
  jumpAtMs: 0,
  startEveryMs: 0,
  isSizeKnown: false,
  delayMs: 0,
  late: 0,
  churn: 0,
  rounds: 60,
  seed: 1,
  ...change
})

const of = (change: Parameters<typeof cell>[0]): Cells.Result => Cells.run(cell(change))

describe("lab clock", () => {
  it("grows graphs in which links go both ways, everybody has five, and all can reach all", () => {
    for (const graph of [Overlay.regular(100, 5, 1), Overlay.regular(6, 5, 1), Overlay.hyparview(30, 1)]) {
      const reached = new Set([0])
      for (const at of reached) for (const other of graph[at] ?? []) reached.add(other)
      assert.strictEqual(reached.size, graph.length)
      for (const [i, neighbors] of graph.entries()) {
        assert.strictEqual(new Set(neighbors).size, neighbors.length)
        assert.isTrue(neighbors.every((other) => other !== i && graph[other]?.includes(i) === true))
      }
    }
    assert.isTrue(Overlay.regular(100, 5, 1).every(({ length }) => length === 5))
  })

  it("a fleet settles and is right, and the same seed gives the same numbers", () => {
    const { numbers } = of({})
    assert.isAtMost(numbers["rightAt"] as number, 30)
    assert.strictEqual(numbers["wrongShare"], 0)
    assert.strictEqual(numbers["dragged"], 0)
    assert.isAtMost(numbers["lead"] as number, 100)
    assert.deepStrictEqual(of({}), { numbers, dragged: Array.from({ length: 60 }, () => 0) })
  })

  it("of plain hybrid logical clocks one that jumps drags all, who rejects drags nobody and is refused", () => {
    const plain = of({ rule: "plain", bad: 0.03, jumpAtMs: 2000 })
    assert.strictEqual(plain.numbers["draggedLast"], 39)
    assert.strictEqual(plain.dragged[5], 0)
    const reject = of({ rule: "reject", bad: 0.1, jumpAtMs: 2000 })
    assert.strictEqual(reject.numbers["dragged"], 0)
    assert.isAtLeast(reject.numbers["refusedShare"] as number, 0.05)
  })

  it("nodes that are replaced, and messages that are late, leave the others right", () => {
    const { numbers } = of({ churn: 0.1, late: 0.2, delayMs: 20 })
    assert.isAtLeast(numbers["settledShare"] as number, 0.8)
    assert.strictEqual(numbers["wrongShare"], 0)
  })

  it("the hierarchy of leaders finds the fleet's time of thirty nodes that stay", () => {
    const { numbers } = Cells.run({
      _tag: "rounds",
      estimator: "luby",
      size: 30,
      bad: 0,
      delayMs: 0,
      isCorrected: true,
      loss: 0,
      churn: 0,
      rounds: 300,
      seed: 1
    })
    assert.isAtMost(numbers["agreedAt"] as number, 300)
    assert.isAtMost(numbers["max"] as number, 20)
  })

  it("a reset reaches everybody", () => {
    const rule = {
      _tag: "population",
      estimator: MedianEstimator.estimator(),
      fleet: FleetTime.defaults,
      policy: "accept"
    } as const
    const setup = {
      graph: Overlay.regular(20, 5, 1),
      seed: 1,
      rule,
      bad: 0,
      isAlike: false,
      jumpAtMs: 0,
      startEveryMs: 0,
      isSizeKnown: false,
      delayMs: 1,
      late: 0,
      churn: 0
    }
    const fleet = Fleet.make(setup)
    Fleet.run(fleet, 5000)
    Fleet.reset(fleet, 3)
    assert.strictEqual(Fleet.look(fleet).epochs, 1)
    Fleet.run(fleet, 8000)
    assert.strictEqual(Fleet.look(fleet).epochs, 20)
    assert.isAtMost(Fleet.look(fleet).lead, 50)
  })

  it("nodes that start one after the other settle sooner where they know how many they are", () => {
    const small = { size: 9, bad: 0, delayMs: 5, startEveryMs: 50, rounds: 60 } as const
    const { numbers } = of({ ...small, isSizeKnown: true })
    assert.isAtMost(numbers["max"] as number, 10, "and are right")
    const known = numbers["settledAt"] as number
    const unknown = of(small).numbers["settledAt"] as number
    assert.isBelow(known, 12)
    assert.isAbove(unknown, 25)
  })

  it("every section has a page, and a plot that says what was dragged", () => {
    const stored = Object.fromEntries(
      Plan.sections.map((section) => [
        section,
        {
          date: "2024-06-14T13:40:00.000Z",
          machine: "a machine",
          seconds: 1,
          ran: Plan.cells(section, 1).map((cell) => ({
            cell,
            result: { numbers: { all: Number.NaN, lead: 7_200_000 }, dragged: [0, 1] }
          }))
        }
      ])
    )
    const page = Page.render(stored)
    for (const section of Plan.sections) assert.include(page, `lab clock --only ${section}`)
    assert.include(page, "2.0 h")
    assert.notInclude(page, "NaN")
    assert.notInclude(page, "undefined")
    assert.match(Page.plot(stored["drag"] as Page.Stored), /^<svg [\s\S]*path[\s\S]*<\/svg>\n$/)
  })
})

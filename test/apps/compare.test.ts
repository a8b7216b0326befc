/** What `lab compare` makes of two runs: only a change for the worse, by more than its slack, counts. */
import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { check, type Figure, figure } from "../../apps/lab/src/Checks.ts"
import * as Compare from "../../apps/lab/src/Compare.ts"
import type * as Results from "../../apps/lab/src/Results.ts"

const run = (change: Partial<Results.Stored<null>>, processorSeconds = 100, machine = "m") => ({
  about: { command: "lab papers", commit: "c1", machine, processorSeconds, realSeconds: 1, memoryMib: 1 },
  checks: [],
  figures: [],
  ...change
})

const verdict = (before: Figure, after: Figure) =>
  Compare.rows(run({ figures: [before] }), run({ figures: [after] }))[0]?.verdict

describe("lab compare", () => {
  it("finds nothing worse in a run than in itself", () => {
    const one = run({ checks: [check("a", "1", "1", false)], figures: [figure("b", null, "less", 0)] })
    const rows = Compare.rows(one, one)
    assert.deepStrictEqual(
      rows.map(({ verdict }) => verdict),
      ["same", "same", "same"]
    )
    assert.strictEqual(Compare.text(rows), "3 of 3 are the same.")
  })

  it("tells worse from better by the figure's direction, and lets its slack pass", () => {
    const cases = fc.record({
      before: fc.integer({ min: -1000, max: 1000 }),
      change: fc.integer({ min: -1000, max: 1000 }),
      slack: fc.integer({ min: 0, max: 100 }),
      better: fc.constantFrom("less" as const, "more" as const, "same" as const)
    })
    fc.assert(
      fc.property(cases, ({ before, better, change, slack }) => {
        const expected =
          Math.abs(change) <= slack
            ? "same"
            : better === "same"
              ? "worse"
              : change < 0 === (better === "less")
                ? "better"
                : "worse"
        assert.strictEqual(
          verdict(figure("f", before, better, slack), figure("f", before + change, better, slack)),
          expected
        )
      })
    )
  })

  it("takes what never came to that for worse than any number", () => {
    assert.strictEqual(verdict(figure("f", 9, "less", 100), figure("f", null, "less", 100)), "worse")
    assert.strictEqual(verdict(figure("f", null, "more", 0), figure("f", 0, "more", 0)), "better")
  })

  it("calls a promise that does not hold any more worse, and says what is new and what is gone", () => {
    const before = run({
      checks: [check("a", "1", "1", true), check("b", "1", "2", false), check("c", "1", "1", true)]
    })
    const after = run({
      checks: [check("a", "1", "0", false), check("b", "1", "1", true), check("d", "1", "0", false)]
    })
    const rows = Compare.rows(before, after)
    assert.deepStrictEqual(
      rows.map(({ verdict, what }) => [what, verdict]),
      [
        ["promise: a", "worse"],
        ["promise: b", "better"],
        ["promise: d", "new"],
        ["processor seconds", "same"],
        ["promise: c", "gone"]
      ]
    )
    const text = Compare.text(rows)
    assert.match(text, /^\| promise: a +\| 1 +\| 0, broken +\| +\| WORSE +\|$/m)
    assert.include(text, "1 of 5 are the same.")
  })

  it("says by how much, in the figure's own unit and as a share", () => {
    const [row] = Compare.rows(
      run({ figures: [figure("f", 8, "less", 1)] }),
      run({ figures: [figure("f", 10, "less", 1)] })
    )
    assert.deepInclude(row, { before: "8", after: "10", change: "+2 (+25.0 %)", verdict: "worse" })
  })

  it("compares time on the same machine only", () => {
    const time = (before: number, after: number, machine: string) =>
      Compare.rows(run({}, before), run({}, after, machine)).map(({ verdict }) => verdict)
    assert.deepStrictEqual(time(100, 140, "m"), ["same"])
    assert.deepStrictEqual(time(100, 160, "m"), ["worse"])
    assert.deepStrictEqual(time(100, 160, "other"), [])
  })
})

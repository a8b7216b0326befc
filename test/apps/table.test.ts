import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import * as Table from "../../apps/starling/src/output/Table.ts"
import * as Time from "../../apps/starling/src/output/Time.ts"

type Row = readonly [string, string]
const columns: ReadonlyArray<Table.Column<Row>> = [
  { header: "A", of: ([a]) => a, style: () => "good" },
  { header: "B", of: ([, b]) => b, align: "right" }
]
const pipe: Table.Screen = { width: undefined, color: false }
const render = (screen: Table.Screen, rows: ReadonlyArray<Row>) => Table.render(screen, columns, rows)

const escape = "\u001B"

/** What a terminal shows of it. */
const uncolored = (text: string): string => text.replaceAll(new RegExp(`${escape}\\[[0-9]*m`, "g"), "")

describe("a table", () => {
  it("aligns its columns, with no blanks at the end of a line", () => {
    assert.strictEqual(
      render(pipe, [
        ["a", "1"],
        ["alpha", "100"]
      ]),
      ["A        B", "a        1", "alpha  100"].join("\n")
    )
  })

  it("never is wider than the terminal, whatever stands in it", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.string({ unit: "grapheme", maxLength: 200 }), fc.string({ maxLength: 50 })), {
          maxLength: 8
        }),
        fc.integer({ min: 1, max: 120 }),
        (rows, width) => {
          for (const line of render({ width, color: false }, rows).split("\n"))
            assert.isAtMost(Table.widthOf(line), width)
        }
      )
    )
  })

  it("has one line for each item, whatever stands in it", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.string({ unit: "binary" }), fc.string({ unit: "binary" }))), (rows) => {
        assert.lengthOf(render(pipe, rows).split(/[\n\r\u2028\u2029]/), rows.length + 1)
      })
    )
  })

  it("cuts nothing where there is no terminal", () => {
    const long = "x".repeat(500)
    assert.include(render(pipe, [[long, "y"]]), long)
  })

  it("says with an ellipsis that something was cut", () => {
    assert.include(render({ width: 20, color: false }, [["x".repeat(50), "y"]]), "…")
  })

  it("has colour only where it is asked for, and says the same without", () => {
    const rows: ReadonlyArray<Row> = [["alive", "1"]]
    const colored = render({ width: 40, color: true }, rows)
    assert.include(colored, "\u001B[32malive\u001B[0m")
    assert.strictEqual(uncolored(colored), render({ width: 40, color: false }, rows))
  })

  it("makes control characters of the fleet visible instead of obeying them", () => {
    const text = render(pipe, [["\u001B[2Jgone\u0007\n", "\u202Eevil"]])
    assert.include(text, "\\u001b[2Jgone\\u0007\\n")
    assert.include(text, "\\u202eevil")
  })
})

describe("a duration", () => {
  it("is read in every unit and refused otherwise", () => {
    assert.deepStrictEqual(
      ["250ms", "10s", "5m", "1h", "7d"].map(Time.parse),
      [250, 10_000, 300_000, 3_600_000, 604_800_000]
    )
    for (const text of ["", "10", "s", "-1s", "1.5s", "10 s", "1w", "9999999999s"]) assert.isUndefined(Time.parse(text))
  })

  it("is told by the clock of the answer", () => {
    const at = "0000/2024-06-14T13:40:00.000Z/0000/a1b2c3d4e5f6"
    assert.strictEqual(Time.ago(at, "2024-06-14T13:39:56.000Z"), "4s ago")
    assert.strictEqual(Time.ago(at, "2024-06-14T13:40:01.000Z"), "0s ago")
    assert.strictEqual(Time.ago(at, "whenever"), "whenever")
    assert.strictEqual(Time.clock(at, "2024-06-14T13:39:56.123Z"), "13:39:56.123")
    assert.strictEqual(Time.clock(at, "2024-06-13T13:39:56.123Z"), "06-13 13:39:56.123")
  })
})

import { assert, describe, it } from "@effect/vitest"
import { Selector } from "@starling/fleet"
import * as fc from "fast-check"

const key = fc.constantFrom("role", "env", "zone.example/a", "in", "notin", "x-1")
const value = fc.constantFrom("edge", "prod", "", "a:1", "10%", "in")
const subject: fc.Arbitrary<Selector.Subject> = fc.oneof(
  key.map((key) => ({ _tag: "Label", key }) as const),
  fc.constantFrom("name", "datacenter").map((field) => ({ _tag: "Field", field }) as const)
)
const requirement: fc.Arbitrary<Selector.Requirement> = fc.oneof(
  fc.record({
    _tag: fc.constantFrom("In", "NotIn"),
    subject,
    values: fc.array(value, { minLength: 1, maxLength: 3 })
  }),
  key.map((key) => ({ _tag: "Exists", key }) as const),
  key.map((key) => ({ _tag: "Absent", key }) as const)
)
const selector = fc.array(requirement, { maxLength: 5 })

const parsed = (text: string): Selector.Selector => {
  const result = Selector.parse(text)
  if (!result.ok) throw new Error(result.reason)
  return result.value
}

const reasonOf = (text: string): string => {
  const result = Selector.parse(text)
  return result.ok ? `parsed as ${Selector.toText(result.value)}` : result.reason
}

const node = { name: "lon-1", datacenter: "lon" }

describe("Selector", () => {
  it("the text of a selector reads back to the same selector", () => {
    fc.assert(fc.property(selector, (one) => assert.deepStrictEqual(parsed(Selector.toText(one)), one)))
  })

  it("no text makes it throw, and a refusal names a column within the text or just after it", () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(..."ab1=!,() @intodmec\t"), maxLength: 30 }), (text) => {
        const result = Selector.parse(text)
        if (result.ok) return
        const column = Number(/column (\d+)/.exec(result.reason)?.[1])
        assert.isTrue(column >= 1 && column <= text.length + 1, result.reason)
      })
    )
  })

  it("blanks change nothing", () => {
    assert.deepStrictEqual(
      parsed("  role = edge ,env in ( prod,stage ),  ! canary , dc notin(lhr)"),
      parsed("role=edge,env in (prod,stage),!canary,dc notin (lhr)")
    )
  })

  it("matches as the equality-based and set-based selectors of Kubernetes do", () => {
    const labels = { role: "edge", env: "prod" }
    const table: ReadonlyArray<readonly [string, boolean]> = [
      ["", true],
      ["role=edge", true],
      ["role==edge", true],
      ["role=core", false],
      ["role!=core", true],
      ["role!=edge", false],
      ["missing!=x", true],
      ["missing=x", false],
      ["env in (prod, stage)", true],
      ["env in (stage)", false],
      ["env notin (stage)", true],
      ["missing notin (stage)", true],
      ["role", true],
      ["missing", false],
      ["!missing", true],
      ["!role", false],
      ["role=edge,env=prod", true],
      ["role=edge,env=stage", false],
      ["@name=lon-1", true],
      ["@name!=lon-1", false],
      ["@datacenter in (ams, lon)", true],
      ["@datacenter notin (ams, lon)", false],
      ["constructor", false]
    ]
    for (const [text, expected] of table)
      assert.strictEqual(Selector.matches(parsed(text), labels, node), expected, text)
  })

  it("refuses with the column, what was found and what would be right", () => {
    assert.strictEqual(
      reasonOf("role edge"),
      'selector, column 6: found "edge", expected "=", "!=", "in", "notin" or ","'
    )
    assert.strictEqual(reasonOf("env in prod"), 'selector, column 8: found "prod", expected "(" and a list of values')
    assert.strictEqual(reasonOf("env in (a"), 'selector, column 10: found the end, expected "," or ")"')
    assert.strictEqual(reasonOf("@zone=a"), 'selector, column 1: found "@zone=a", expected @name or @datacenter')
    assert.strictEqual(
      reasonOf("@name"),
      'selector, column 6: found the end, expected "=", "!=", "in" or "notin" after @name'
    )
    assert.match(reasonOf("a=b,"), /^selector, column 5: found the end, expected a label key/)
    assert.match(reasonOf("a".repeat(2000)), /2000 characters, at most 1024/)
  })
})

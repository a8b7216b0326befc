import { assert, describe, it } from "@effect/vitest"
import { readdirSync, readFileSync } from "node:fs"
import { recorded } from "./Traces.ts"

const read = (path: string): string => readFileSync(new URL(`../../../${path}`, import.meta.url), "utf8")

const rules = read("docs/actor/rules.md")
/** The titles of the package's tests. */
const tests = new Set<string>()
for (const name of readdirSync(new URL("../../../packages/actor/test/", import.meta.url))) {
  if (!name.endsWith(".test.ts")) continue
  const titles = read(`packages/actor/test/${name}`).matchAll(/\bit(?:\.effect)?\(\s*(["`])(.+?)\1,/g)
  for (const [, , title = ""] of titles) tests.add(title)
}

/** `T` before a title: a recorded scenario. Any other letter, or a file: a test of the package. */
const named = [...rules.matchAll(/(?:\b([A-Z])|`\w+\.test\.ts`:)\s`([^`]+)`/g)].map(([, letter, title = ""]) => ({
  title,
  known: letter === "T" ? recorded.some((scenario) => scenario.title === title) : tests.has(title)
}))

describe("docs/actor/rules.md", () => {
  it("names only tests that exist", () => {
    assert.isAbove(named.length, 110)
    assert.deepStrictEqual(
      named.filter(({ known }) => !known).map(({ title }) => title),
      []
    )
  })

  it("has a row for every recorded scenario that applies", () => {
    const missing = recorded
      .map(({ title }) => title)
      .filter((title) => !title.startsWith("window edge: ") && !title.startsWith("link: "))
      .filter((title) => !rules.includes(`\`${title}\``))
    assert.deepStrictEqual(missing, [])
  })
})

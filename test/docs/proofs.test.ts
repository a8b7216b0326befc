/** The pages that name tests as proof name tests that exist. */
import { assert, describe, it } from "@effect/vitest"
import { globSync, readFileSync } from "node:fs"
import { basename } from "node:path"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("../../", import.meta.url))

const read = (path: string): string => readFileSync(`${root}${path}`, "utf8")

/** Titles by the name of the file, as they stand in its source. */
const titles = new Map<string, Set<string>>()
for (const file of globSync(["test/**/*.ts", "packages/*/test/**/*.ts"], { cwd: root })) {
  const found = titles.get(basename(file)) ?? new Set()
  for (const [, , title = ""] of read(file).matchAll(/\bit(?:\.\w+)?\(\s*(["'`])((?:(?!\1)[^\\]|\\.)+)\1/g)) {
    found.add(title)
  }
  titles.set(basename(file), found)
}

const named = (page: string): ReadonlyArray<readonly [file: string, title: string]> =>
  [...page.matchAll(/`([\w.]+\.ts) › ([^`]+)`/g)].map(([, file = "", title = ""]) => [file, title])

const missing = (page: string): ReadonlyArray<string> =>
  named(page)
    .filter(([file, title]) => titles.get(file)?.has(title) !== true)
    .map(([file, title]) => `${file} › ${title}`)

/** The rows of the table below a heading, cell by cell. */
const rowsBelow = (page: string, heading: string): ReadonlyArray<ReadonlyArray<string>> => {
  const [, below = ""] = page.split(`\n## ${heading}\n`)
  const [section = ""] = below.split("\n## ")
  const rows = section.split("\n").filter((line) => line.startsWith("|"))
  return rows.slice(2).map((row) =>
    row
      .split("|")
      .slice(1, -1)
      .map((cell) => cell.trim())
  )
}

describe("docs/protocols/pitfalls.md", () => {
  const page = read("docs/protocols/pitfalls.md")

  it("names only tests that exist", () => {
    assert.isAbove(named(page).length, 100)
    assert.deepStrictEqual(missing(page), [])
  })

  it("has a source, an answer and a test for each of 37 faults of membership and 26 of broadcast", () => {
    const [membership, broadcast] = [rowsBelow(page, "Membership"), rowsBelow(page, "Broadcast")]
    assert.deepStrictEqual([membership.length, broadcast.length], [37, 26])
    for (const row of [...membership, ...broadcast]) {
      const [what, where, here, held] = row
      assert.lengthOf(row, 4, what)
      assert.match(where ?? "", /\S+\/\S+|Babel/, what)
      assert.isAbove(here?.length ?? 0, 10, what)
      assert.isAbove(named(held ?? "").length, 0, what)
    }
  })
})

describe("docs/protocols/properties.md", () => {
  const page = read("docs/protocols/properties.md")

  it("names only tests that exist", () => {
    assert.isAbove(named(page).length, 40)
    assert.deepStrictEqual(missing(page), [])
  })

  it("has a test for every property", () => {
    const headings = [...page.matchAll(/^## (.+)$/gm)].map(([, heading = ""]) => heading)
    assert.isAbove(headings.length, 5)
    for (const heading of headings) {
      for (const [property, held = ""] of rowsBelow(page, heading)) assert.isNotEmpty(named(held), property)
    }
  })
})

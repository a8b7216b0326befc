/** The pages that name tests as proof name tests that exist. */
import { assert, describe, it } from "@effect/vitest"
import { globSync, readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("../../", import.meta.url))

const read = (path: string): string => readFileSync(`${root}${path}`, "utf8")

/** Titles of the tests in a source that run: not those that are skipped, or left out because of others (`only`). */
const titlesIn = (source: string): ReadonlySet<string> => {
  const code = source.replaceAll(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, "")
  // It is not worth knowing which tests such a group, or such a test, leaves out: none of the file counts.
  if (/\bdescribe\.(?:\w+\.)*(?:skip|only|todo|skipIf|runIf)\b|\bit\.(?:\w+\.)*only\b/.test(code)) return new Set()
  const found = new Set<string>()
  for (const { 0: call, 2: title = "", index } of code.matchAll(
    /\bit(?:\.\w+)*\(\s*(["'`])((?:(?!\1)[^\\]|\\.)+)\1/g
  )) {
    // Options, or the context by which a test skips itself.
    const [, after = ""] = /^\s*,([^>]*?)=>/.exec(code.slice(index + call.length)) ?? []
    if (!/\b(?:skip|fails|todo)\b/.test(`${call.slice(0, call.indexOf("("))}${after}`)) found.add(title)
  }
  return found
}

/** By the path of the file. */
const titles = new Map(
  globSync(["test/**/*.ts", "packages/*/test/**/*.ts"], { cwd: root }).map((file) => [file, titlesIn(read(file))])
)

/** Files that a page may mean: it says as much of the path as tells them apart. */
const filesOf = (name: string): ReadonlyArray<string> =>
  [...titles.keys()].filter((file) => file === name || file.endsWith(`/${name}`))

const named = (page: string): ReadonlyArray<readonly [file: string, title: string]> =>
  [...page.matchAll(/`([\w./-]+\.ts) › ([^`]+)`/g)].map(([, file = "", title = ""]) => [file, title])

/** What is named and is no test that runs, or could be one of two files. */
const missing = (page: string): ReadonlyArray<string> =>
  named(page).flatMap(([name, title]) => {
    const files = filesOf(name)
    if (files.length > 1) return [`${name} › ${title}: one of ${files.join(", ")}?`]
    return files.some((file) => titles.get(file)?.has(title) === true) ? [] : [`${name} › ${title}`]
  })

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

describe("a page that names tests", () => {
  it("takes none for a proof that is skipped, commented out, or left out because of another", () => {
    const running = (source: string) => [...titlesIn(source)]
    assert.deepStrictEqual(running('it("a", () => 1)\n  it.effect(\n    "b", () => 2)\nit.live(`c ${d}`, () => 3)'), [
      "a",
      "b",
      "c ${d}"
    ])
    for (const source of [
      'it.skip("a", () => 1)',
      'it.effect.skip("a", () => 1)',
      'it.skipIf(true)("a", () => 1)',
      'it.todo("a")',
      'it.fails("a", () => 1)',
      'it("a", { skip: true }, () => 1)',
      'it("a", ({ skip }) => skip())',
      '// it("a", () => 1)',
      '/* it("a", () => 1) */',
      'describe.skip("all", () => {\n  it("a", () => 1)\n})',
      'it("a", () => 1)\nit.only("b", () => 1)'
    ]) {
      assert.notInclude(running(source), "a", source)
    }
  })

  it("says which file, where two have the same name", () => {
    const twice = [...titles].filter(([file]) => filesOf(file.split("/").at(-1) ?? "").length > 1)
    assert.isAbove(twice.length, 1)
    for (const [file, found] of twice) {
      for (const title of found) {
        assert.isNotEmpty(missing(`\`${file.split("/").at(-1)} › ${title}\``), file)
        if (!title.includes("`")) assert.deepStrictEqual(missing(`\`${file} › ${title}\``), [])
      }
    }
  })
})

describe("docs", () => {
  it("name only tests that exist and run", () => {
    for (const file of globSync("docs/**/*.md", { cwd: root, exclude: ["**/node_modules/**"] })) {
      assert.deepStrictEqual(missing(read(file)), [], file)
    }
  })
})

describe("docs/protocols/pitfalls.md", () => {
  const page = read("docs/protocols/pitfalls.md")

  it("names many tests", () => {
    assert.isAbove(named(page).length, 100)
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

  it("names many tests", () => {
    assert.isAbove(named(page).length, 40)
  })

  it("has a test for every property", () => {
    const headings = [...page.matchAll(/^## (.+)$/gm)].map(([, heading = ""]) => heading)
    assert.isAbove(headings.length, 5)
    for (const heading of headings) {
      for (const [property, held = ""] of rowsBelow(page, heading)) assert.isNotEmpty(named(held), property)
    }
  })
})

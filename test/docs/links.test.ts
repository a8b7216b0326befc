/** Relative links of the pages point to files that are there, and to headings that those have. */
import { assert, describe, it } from "@effect/vitest"
import { existsSync, globSync, readFileSync, statSync } from "node:fs"
import { fileURLToPath } from "node:url"

const root = new URL("../../", import.meta.url)

const pages = ["README.md", ...globSync("docs/**/*.md", { cwd: fileURLToPath(root) })].filter(
  (page) => !page.includes("node_modules") && !page.includes(".generated")
)

/** Code is not prose: what looks like a link there is none. */
const proseOf = (text: string): string => text.replaceAll(/^```[\s\S]*?^```$/gm, "").replaceAll(/`[^`\n]*`/g, "code")

const targetsOf = (text: string): ReadonlyArray<string> =>
  [...proseOf(text).matchAll(/\]\(([^()\s]+)\)/g)].map(([, target]) => target ?? "")

const isRelative = (target: string): boolean => !/^[a-z][a-z0-9+.-]*:/i.test(target)

/** As GitHub makes them: lower case, without punctuation, hyphens for spaces. */
const anchorsOf = (text: string): ReadonlySet<string> =>
  new Set(
    [...text.replaceAll(/^```[\s\S]*?^```$/gm, "").matchAll(/^#+ +(.+)$/gm)].map(([, heading]) =>
      (heading ?? "")
        .toLowerCase()
        .replaceAll(/[^\p{L}\p{N} _-]/gu, "")
        .replaceAll(" ", "-")
    )
  )

const brokenLinks = (page: string): ReadonlyArray<string> => {
  const here = new URL(page, root)
  return targetsOf(readFileSync(here, "utf8"))
    .filter(isRelative)
    .filter((target) => {
      const url = new URL(target, here)
      const file = new URL(url.pathname, root)
      if (!existsSync(file)) return true
      if (url.hash === "" || statSync(file).isDirectory()) return false
      return !anchorsOf(readFileSync(file, "utf8")).has(decodeURIComponent(url.hash.slice(1)))
    })
}

describe("links", () => {
  for (const page of pages) {
    it(`${page} points only to what is there`, () => {
      assert.deepStrictEqual(brokenLinks(page), [])
    })
  }
})

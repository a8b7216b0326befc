/** What once failed holds now: every file that `lab run` or `lab hunt` left here, played again. */
import { assert, describe, it } from "@effect/vitest"
import { Regression } from "@starling/testing"
import * as Result from "effect/Result"
import { globSync, readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"

const files = globSync("*.json", { cwd: fileURLToPath(new URL("./", import.meta.url)) }).toSorted()

describe("what once failed", () => {
  it("is there to be played", () => {
    assert.isAbove(files.length, 0)
  })

  for (const file of files) {
    it(`${file} holds`, () => {
      const regression = Result.getOrThrow(Regression.parse(readFileSync(new URL(file, import.meta.url), "utf8")))
      assert.deepStrictEqual(
        Regression.run(regression).broken,
        [],
        `replay: npx -y pnpm@12 lab replay test/regressions/${file}`
      )
    })
  }
})

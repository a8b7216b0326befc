/** The laboratory, as the pages tell people to use it: processes, their output and their exit codes. */
import { assert, describe, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import { fileURLToPath } from "node:url"

const main = fileURLToPath(new URL("../../apps/lab/src/main.ts", import.meta.url))

const lab = (...args: ReadonlyArray<string>) => {
  const { status, stderr, stdout } = spawnSync(process.execPath, [main, ...args], { encoding: "utf8", timeout: 50_000 })
  return { status, stderr, stdout }
}

describe("lab", () => {
  it("lists the scenarios with what they show", () => {
    const { status, stdout } = lab("list")
    assert.strictEqual(status, 0)
    assert.match(stdout, /^members +\d+ members +\w+/m)
  })

  it("runs one seed, says what was measured, and the same seed again has the same history", () => {
    const first = lab("run", "members", "--seed", "3", "--size", "12", "--json")
    const again = lab("run", "members", "--seed", "3", "--size", "12", "--json")
    assert.strictEqual(first.status, 0, first.stdout)
    const { broken, history, seed, virtualMs } = JSON.parse(first.stdout)
    assert.deepStrictEqual({ broken, seed }, { broken: [], seed: 3 })
    assert.isAbove(virtualMs, 0)
    assert.strictEqual(JSON.parse(again.stdout).history, history)
  })

  it("replays what once failed from its file, and says what it was", () => {
    const file = fileURLToPath(new URL("../regressions/faults-2028.json", import.meta.url))
    const { status, stdout } = lab("replay", file)
    assert.strictEqual(status, 0, stdout)
    assert.match(stdout, /nothing broken\n {2}when it was found: redundancy/)
  })

  it("refuses what it does not understand with exit 5, and says what would be right", () => {
    const cases: ReadonlyArray<readonly [ReadonlyArray<string>, RegExp]> = [
      [["run", "nothing", "--seed", "1"], /"nothing".*members/],
      [["run", "members", "--seed", "-1"], /--seed from 0/],
      [["run", "members"], /--seed/],
      [["soak", "members", "--seeds", "9..3"], /such as 1\.\.500.*"9\.\.3"/],
      [["soak", "members", "--minutes", "0"], /--minutes above 0/],
      [["soak", "members", "--size", "1"], /--size from 2/],
      [["hunt", "--minutes", "0"], /--minutes above 0/],
      [["hunt", "--cores", "0"], /--cores from 1/],
      [["replay", "no-such-file.json"], /cannot read no-such-file\.json/],
      [["replay", fileURLToPath(import.meta.url)], /is no regression/]
    ]
    for (const [args, said] of cases) {
      const { status, stderr, stdout } = lab(...args)
      assert.strictEqual(status, 5, args.join(" "))
      assert.match(stderr, said)
      assert.strictEqual(stdout, "")
    }
  })
})

/** The laboratory, as the pages tell people to use it: processes, their output and their exit codes. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { spawn, spawnSync } from "node:child_process"
import { globSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

const main = fileURLToPath(new URL("../../apps/lab/src/main.ts", import.meta.url))

const lab = (...args: ReadonlyArray<string>) => {
  const { status, stderr, stdout } = spawnSync(process.execPath, [main, ...args], {
    encoding: "utf8",
    timeout: 200_000
  })
  return { status, stderr, stdout }
}

/** The same, interrupted as by Ctrl-C as soon as it has said `until`. */
const interrupted = (until: RegExp, ...args: ReadonlyArray<string>) =>
  Effect.callback<{ readonly status: number | null; readonly stderr: string; readonly stdout: string }>((resume) => {
    const child = spawn(process.execPath, [main, ...args])
    const said = { stderr: "", stdout: "" }
    let isOver = false
    for (const stream of ["stderr", "stdout"] as const) {
      child[stream].setEncoding("utf8").on("data", (text: string) => {
        said[stream] += text
        if (isOver || !until.test(said[stream])) return
        isOver = true
        child.kill("SIGINT")
      })
    }
    child.on("close", (status) => resume(Effect.succeed({ status, ...said })))
    return Effect.sync(() => void child.kill("SIGKILL"))
  })

/** Breaks within a second of virtual time: too short for anything to be stored. */
const breaking = ["run", "fleet", "--seed", "1", "--size", "4", "--minutes", "0.01"]

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

  it("says what is broken, then makes it small, keeps it with the line that plays it, and ends with 1", () => {
    const directory = mkdtempSync(join(tmpdir(), "lab-"))
    const { status, stdout } = lab(...breaking, "--shrink", "0.02", "--keep", directory)
    const [said, kept] = stdout.split(/^kept: /m)
    assert.strictEqual(status, 1, stdout)
    assert.match(said ?? "", /1 broken\n {2}broken: neither[^]*replay: .*lab run fleet --seed 1/)
    assert.include(kept, `lab replay ${join(directory, "fleet-1.json")}`)
    assert.strictEqual(lab("replay", join(directory, "fleet-1.json")).status, 1)
    rmSync(directory, { recursive: true })
  })

  it.live("interrupted while it makes small, has said its one JSON document, and ends with 1 all the same", () =>
    Effect.gen(function* () {
      const directory = mkdtempSync(join(tmpdir(), "lab-"))
      const { status, stderr, stdout } = yield* interrupted(/^\}/m, ...breaking, "--json", "--keep", directory)
      const { broken, replay } = JSON.parse(stdout)
      assert.strictEqual(status, 1, stderr)
      assert.lengthOf(broken, 1)
      assert.match(replay, /lab run fleet --seed 1 --size 4 --minutes 0.01$/)
      // How far it came depends on the machine.
      if (globSync("*.json", { cwd: directory }).length > 0) assert.include(stderr, "kept: ")
      else assert.include(stderr, "nothing is kept")
      rmSync(directory, { recursive: true })
    })
  )

  it.live("interrupted before anything is broken, ends with 130, and says what has run", () =>
    Effect.gen(function* () {
      const [run, soak] = yield* Effect.all(
        [
          interrupted(/s · fleet · seed 1/, "run", "fleet", "--seed", "1", "--size", "100"),
          interrupted(/ [1-9]\d* seeds /, "soak", "members", "--size", "5", "--anew")
        ],
        { concurrency: 2 }
      )
      assert.deepInclude(run, { status: 130, stdout: "" })
      assert.strictEqual(soak.status, 130, soak.stderr)
      assert.match(soak.stdout, /members · 5 members · seeds 1\.\.\d+, interrupted: \d+ runs[^]*not recorded/)
    })
  )

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

/** The program of the guide on simulation, as a reader runs it: it finds its bug, and its line replays it. */
import { assert, describe, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { fileURLToPath } from "node:url"

const docs = new URL("../../docs/", import.meta.url)
const folder = new URL(".generated/", docs)
const program = fileURLToPath(new URL("simulate-as-program.ts", folder))

const run = (...args: ReadonlyArray<string>) => {
  const { status, stderr, stdout } = spawnSync(process.execPath, [program, ...args], {
    encoding: "utf8",
    timeout: 200_000
  })
  assert.strictEqual(status, 0, stderr)
  return stdout
}

describe("the program of docs/guide/simulate.md", () => {
  it("finds the planted bug, prints the line that replays it to the last event, and shrinks it to what it takes", () => {
    const [, code] = /^```ts run\n([\s\S]*?)^```$/m.exec(readFileSync(new URL("guide/simulate.md", docs), "utf8")) ?? []
    assert.isDefined(code)
    mkdirSync(folder, { recursive: true })
    writeFileSync(program, `${code}\nexport {}\n`)
    const first = run()
    const [, line] = /^replay: (--seed=\d+)$/m.exec(first) ?? []
    assert.isDefined(line)
    assert.strictEqual(run(line ?? ""), first)
    const [, drawn, left] = /^(\d+) faults, of which it takes: (.*)$/m.exec(first) ?? []
    const faults: ReadonlyArray<unknown> = JSON.parse(left ?? "[]")
    assert.isAbove(faults.length, 0)
    assert.isBelow(faults.length, Number(drawn))
    // What the guide shows is what the program prints; the digest changes with every change of the simulator.
    const guide = readFileSync(new URL("guide/simulate.md", docs), "utf8")
    for (const printed of first.split("\n").slice(0, 2)) assert.include(guide, printed)
  })
})

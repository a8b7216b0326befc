/** Every program in docs/examples/ runs to its end as a process of its own, as somebody would start it who reads it. */
import { assert, describe, it } from "@effect/vitest"
import { spawn } from "node:child_process"
import { globSync } from "node:fs"
import { fileURLToPath } from "node:url"

const examples = fileURLToPath(new URL("../../docs/examples/", import.meta.url))

/** Long enough for a busy machine; an example takes a second or two. */
const limitMs = 200_000

interface Ended {
  readonly code: number | null
  readonly output: string
}

const run = (file: string): Promise<Ended> =>
  new Promise((resolve, reject) => {
    const process_ = spawn(process.execPath, [file], { cwd: examples, timeout: limitMs, killSignal: "SIGKILL" })
    let output = ""
    const collect = (chunk: Buffer) => {
      output += chunk.toString()
    }
    process_.stdout.on("data", collect)
    process_.stderr.on("data", collect)
    process_.on("error", reject)
    process_.on("close", (code) => resolve({ code, output }))
  })

const files = globSync("**/*.ts", { cwd: examples }).toSorted()

describe("docs/examples", () => {
  it("there is an example", () => {
    assert.isAbove(files.length, 0)
  })

  for (const file of files) {
    it(`${file} runs to its end and ends well`, async () => {
      const { code, output } = await run(file)
      assert.strictEqual(code, 0, output)
    })
  }
})

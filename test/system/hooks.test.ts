import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import type { Document } from "@starling/fleet"
import { spawnSync } from "node:child_process"
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { type AgentProcess, node, start, temporary } from "./harness.ts"

const main = fileURLToPath(new URL("../../apps/starling/src/main.ts", import.meta.url))
const folder = temporary()
const at = (name: string): string => join(folder.path, name)

/** Fails, rejects, sleeps or keeps what it was told, as the value says. */
const script = `
value=$(cat)
case "$value" in
  fail) echo "no such shop" >&2; exit 1 ;;
  quiet) exit 7 ;;
  reject) echo "out of range" >&2; exit 3 ;;
  sleep) sleep 60 ;;
  *) echo "$STARLING_KEY $STARLING_REVISION $STARLING_OPERATION $value" > "$1" ;;
esac
`

const toml = `
[[apply]]
match = "limits/*"
file = ${JSON.stringify(at("limits.txt"))}

[[apply]]
match = "sampling/*"
command = ["sh", "-c", ${JSON.stringify(script)}, "hook", ${JSON.stringify(at("told.txt"))}]
timeout = "1s"

[[apply]]
match = "deaf"
command = ["true"]

[[apply]]
match = "nowhere"
file = ${JSON.stringify(at("no/such/folder/x"))}

[[apply]]
match = "missing"
command = [${JSON.stringify(at("no-such-program"))}]
`

const gone = async (path: string, tries = 100): Promise<void> => {
  if (!existsSync(path) || tries === 0) return
  await new Promise((resolve) => setTimeout(resolve, 50))
  return gone(path, tries - 1)
}

/** The first entry of that key that a stream of server-sent events brings. */
const firstOf = async (response: Response, key: string): Promise<Document.ConfigDocument> => {
  let text = ""
  for await (const chunk of response.body ?? []) {
    text += Buffer.from(chunk).toString()
    for (const line of text.split("\n").slice(0, -1)) {
      if (!line.startsWith("data: ")) continue
      const message = JSON.parse(line.slice("data: ".length)) as {
        readonly items: ReadonlyArray<Document.ConfigDocument>
      }
      const entry = message.items.find((item) => item.key === key)
      if (entry !== undefined) return entry
    }
  }
  throw new Error(`the watch ended before ${key} came`)
}

describe("an agent that acts on configuration by what its file says", () => {
  let agent: AgentProcess
  beforeAll(async () => {
    writeFileSync(at("agent.toml"), toml)
    agent = await start({ name: "hooked", data: at("data"), args: ["--config", at("agent.toml")] })
  })
  afterAll(async () => {
    await agent.kill()
    folder.remove()
  })

  const starling = (args: ReadonlyArray<string>) => {
    const { status, stderr, stdout } = spawnSync(node, [main, "config", ...args, "--api", agent.api], {
      encoding: "utf8"
    })
    return { code: status, err: stderr, out: stdout }
  }
  const set = (key: string, value: string) => {
    const { code, err, out } = starling(["set", key, value, "--wait", "applied", "--timeout", "10s", "--json"])
    assert.strictEqual(err, "")
    const rollout = JSON.parse(out) as Document.RolloutDocument
    const [{ reason, status } = { reason: "", status: "" }] = rollout.nodes
    return { code, reason, status, revision: rollout.revision }
  }

  it("converges when the file holds the value, and leaves nothing beside it", () => {
    const { code, status } = set("limits/shop", "a\nb\n")
    assert.deepStrictEqual([code, status], [0, "applied"])
    assert.strictEqual(readFileSync(at("limits.txt"), "utf8"), "a\nb\n")
    assert.deepStrictEqual(
      readdirSync(folder.path).filter((name) => name.endsWith(".tmp")),
      []
    )
  })

  it("a local application sees the change on its watch, acts, and what it reports stands in the rollout", async () => {
    const ended = new AbortController()
    const watch = await fetch(`${agent.api}/v1/watch?resource=config&here=true`, {
      headers: { accept: "text/event-stream" },
      signal: ended.signal
    })
    const seen = firstOf(watch, "cache/size")
    assert.strictEqual(starling(["set", "cache/size", "64"]).code, 0)
    const { revision, value } = await seen
    ended.abort()
    assert.strictEqual(value, "64")
    const report = await fetch(`${agent.api}/v1/config/cache%2Fsize/status`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ revision, status: "rejected", reason: "no more than 32" })
    })
    assert.strictEqual(report.status, 204)
    const rollout = JSON.parse(starling(["rollout", "cache/size", "--json"]).out) as {
      readonly items: ReadonlyArray<Document.RolloutDocument>
    }
    const [{ rejected, nodes } = { rejected: 0, nodes: [] }] = rollout.items
    assert.deepStrictEqual([rejected, nodes[0]?.status, nodes[0]?.reason], [1, "rejected", "no more than 32"])
  })

  it("removes the file of a key that is deleted", async () => {
    assert.strictEqual(set("limits/shop", "a").code, 0)
    assert.strictEqual(starling(["delete", "limits/shop"]).code, 0)
    await gone(at("limits.txt"))
    assert.isFalse(existsSync(at("limits.txt")))
  })

  it("gives the command the value, the key and the revision", () => {
    const { code, revision, status } = set("sampling/rate", "0.5")
    assert.deepStrictEqual([code, status], [0, "applied"])
    assert.strictEqual(readFileSync(at("told.txt"), "utf8"), `sampling/rate ${revision} set 0.5\n`)
  })

  it("says 2 with the reason when a command fails, rejects, does not end or is not there", () => {
    const said = (key: string, value: string) => {
      const { code, reason, status } = set(key, value)
      assert.strictEqual(code, 2, value)
      return [status, reason]
    }
    assert.deepStrictEqual(said("sampling/rate", "fail"), ["failed", "no such shop"])
    assert.deepStrictEqual(said("sampling/rate", "quiet"), ["failed", "sh ended with 7"])
    assert.deepStrictEqual(said("sampling/rate", "reject"), ["rejected", "out of range"])
    assert.deepStrictEqual(said("sampling/rate", "sleep"), [
      "failed",
      "sh has not ended within 1000 ms and was stopped"
    ])
    const [missing, whyMissing] = said("missing", "x")
    const [nowhere, whyNowhere] = said("nowhere", "x")
    assert.deepStrictEqual([missing, nowhere], ["failed", "failed"])
    assert.include(whyMissing, "no-such-program cannot be run")
    assert.include(whyNowhere, "cannot be written")
  })

  it("does not mind a command that reads nothing of what it is given", () => {
    const { code, status } = set("deaf", "x".repeat(65_000))
    assert.deepStrictEqual([code, status], [0, "applied"])
  })
})

import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { type ChildProcess, spawn } from "node:child_process"
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

const root = new URL("../../", import.meta.url).pathname
const pinned = join(root, "node_modules/.bin/node")
const node = existsSync(pinned) ? pinned : process.execPath
const main = join(root, "apps/starling/src/main.ts")
const folder = mkdtempSync(join(tmpdir(), "starling-cli-"))

/** No variable of whoever runs the tests may tell the program anything. */
const environment = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !name.startsWith("STARLING_") && name !== "COLUMNS")
)

interface Ended {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

interface Given {
  readonly env?: Readonly<Record<string, string>>
  readonly stdin?: string
}

const start = (args: ReadonlyArray<string>, { env = {}, stdin }: Given = {}) => {
  const child = spawn(node, [main, ...args], { env: { ...environment, ...env }, stdio: ["pipe", "pipe", "pipe"] })
  let out = ""
  let err = ""
  child.stdout.setEncoding("utf8").on("data", (text: string) => (out += text))
  child.stderr.setEncoding("utf8").on("data", (text: string) => (err += text))
  if (stdin !== undefined) child.stdin.end(stdin)
  const ended = new Promise<Ended>((resolve) => child.once("close", (code) => resolve({ code, out, err })))
  return { child, ended, out: () => out }
}

const starling = (args: ReadonlyArray<string>, given: Given = {}): Promise<Ended> =>
  start(args, { stdin: "", ...given }).ended

const until = async (
  what: string,
  holds: () => boolean | Promise<boolean>,
  from: number = Date.now()
): Promise<void> => {
  if (await holds()) return
  if (Date.now() - from > 10_000) throw new Error(`not within 10 s: ${what}`)
  await new Promise((resolve) => setTimeout(resolve, 50))
  return until(what, holds, from)
}

/** Every address is any free one, unless it is given. */
const agentArgs = (name: string, given: Readonly<Record<string, string>> = {}) => {
  const flags = { name, data: join(folder, name), gossip: "127.0.0.1:0", api: "127.0.0.1:0", otlp: "127.0.0.1:0" }
  const all = { ...flags, "log-level": "warn", ...given }
  return ["agent", ...Object.entries(all).flatMap(([flag, value]) => [`--${flag}`, value])]
}

const fieldOf = (line: string, field: string): string => new RegExp(` ${field}=(\\S+)`).exec(line)?.[1] ?? ""

describe("the command line without an agent", () => {
  it("says 7, on standard error alone, when no agent answers", async () => {
    const { code, err, out } = await starling(["status", "--api", "http://127.0.0.1:9"])
    assert.deepStrictEqual([code, out], [7, ""])
    assert.include(err, "no agent answers at http://127.0.0.1:9")
    assert.include(err, "--api URL")
  })

  it("says 5, on standard error alone, to every kind of bad usage", async () => {
    const cases: ReadonlyArray<readonly [string, ReadonlyArray<string>, string]> = [
      ["an unknown command", ["frobnicate"], "frobnicate"],
      ["an unknown flag", ["nodes", "--bogus"], "--bogus"],
      ["a missing argument", ["config", "get"], "key"],
      ["a bad duration", ["nodes", "--timeout", "3x"], "250ms, 10s"],
      ["a bad choice", ["events", "--severity", "loud"], "warn"],
      ["a bad address of an agent", ["nodes", "--api", "ftp://x"], "--api"],
      ["two documents in one", ["events", "--follow", "--json"], "--jsonl"],
      ["a command that needs another word", ["config"], "rollout"]
    ]
    await Promise.all(
      cases.map(async ([kind, args, said]) => {
        const { code, err, out } = await starling(args)
        assert.deepStrictEqual([code, out], [5, ""], kind)
        assert.include(err, said, kind)
      })
    )
  })

  it("helps on standard output, and names every command", async () => {
    const { code, err, out } = await starling(["--help"])
    assert.deepStrictEqual([code, err], [0, ""])
    const commands = "agent demo status nodes publishers offline events event config peers tree clock debug completion"
    for (const command of commands.split(" ")) assert.match(out, new RegExp(`^  ${command} `, "m"))
  })

  it("stops without a word when nobody reads what it prints", async () => {
    const commands = [["--help"], ["agent", "--check"], ["completion", "zsh"]]
    const codes = commands.map(async (args) => {
      const { child, ended } = start(args, { stdin: "" })
      child.stdout.destroy()
      const { code, err } = await ended
      assert.deepStrictEqual([code, err], [0, ""], args.join(" "))
    })
    await Promise.all(codes)
  })

  it("writes a completion script that a shell accepts", async () => {
    const { code, out } = await starling(["completion", "bash"])
    assert.strictEqual(code, 0)
    const shell = spawn("bash", ["-n"], { stdio: ["pipe", "ignore", "ignore"] })
    shell.stdin.end(out)
    assert.strictEqual(await new Promise((resolve) => shell.once("close", resolve)), 0)
  })
})

describe("starling agent --check", () => {
  it("prints the effective configuration with where each value came from", async () => {
    const file = join(folder, "agent.toml")
    writeFileSync(file, 'datacenter = "fra"\njoin = ["h.example:7740"]\nlog-level = "warn"\n[label]\nrole = "edge"\n')
    const { code, err, out } = await starling(["agent", "--check", "--name", "x", "--config", file], {
      env: { STARLING_LOG_LEVEL: "debug" }
    })
    assert.deepStrictEqual([code, err], [0, ""])
    const line = (key: string) => out.split("\n").find((text) => text.startsWith(`${key} `)) ?? ""
    assert.match(line("name"), /x +--name$/)
    assert.match(line("log-level"), /debug +STARLING_LOG_LEVEL$/)
    assert.match(line("datacenter"), new RegExp(`fra +${file}$`))
    assert.match(line("label"), new RegExp(`role=edge +${file}$`))
    assert.match(line("gossip"), /127\.0\.0\.1:7740 +default$/)
  })

  it("says 5 and everything that is wrong, with key, value, source and what would be right", async () => {
    const file = join(folder, "wrong.toml")
    writeFileSync(file, "datacentre = 3\n")
    const { code, err, out } = await starling(["agent", "--gossip", "nine", "--api", "0.0.0.0:1", "--config", file], {
      env: { STARLING_DEBUG: "perhaps" }
    })
    assert.deepStrictEqual([code, out], [5, ""])
    assert.include(err, '--gossip: "nine": expected host:port')
    assert.include(err, "not loopback")
    assert.include(err, 'STARLING_DEBUG: "perhaps": expected true or false')
    assert.include(err, `datacentre (${file}): "3": unknown key; did you mean datacenter?`)
  })
})

describe("the command line with two agents", () => {
  const children: Array<ChildProcess> = []
  let api = ""
  let otherApi = ""
  const launch = async (name: string, given: Readonly<Record<string, string>>, more: ReadonlyArray<string> = []) => {
    const agent = start([...agentArgs(name, given), ...more])
    children.push(agent.child)
    await until(`agent ${name} is ready`, () => agent.out().includes("\n") || agent.child.exitCode !== null)
    return agent
  }
  let first: Awaited<ReturnType<typeof launch>> | undefined

  beforeAll(async () => {
    first = await launch("one", { label: "role=edge" }, ["--debug"])
    api = fieldOf(first.out(), "api")
    const second = await launch("two", { datacenter: "lhr", join: fieldOf(first.out(), "gossip") })
    otherApi = fieldOf(second.out(), "api")
    await until("both know both", async () => {
      const { out } = await starling(["nodes", "--jsonl", "--api", api])
      return (
        out
          .trim()
          .split("\n")
          .filter((line) => line.includes('"alive"')).length === 2
      )
    })
  }, 30_000)

  afterAll(() => {
    for (const child of children) child.kill("SIGKILL")
    rmSync(folder, { recursive: true, force: true })
  })

  const ask = (...args: ReadonlyArray<string>) => starling([...args, "--api", api])

  it("prints exactly one line when it is ready, and nothing else on standard output", () => {
    assert.match(
      first?.out() ?? "",
      /^ready name=one datacenter=default gossip=127\.0\.0\.1:\d+ api=http:\/\/127\.0\.0\.1:\d+ otlp=http:\/\/127\.0\.0\.1:\d+ id=[0-9a-f]{12}\n$/
    )
  })

  it("answers every question as one document with view and items, and as a screen", async () => {
    await Promise.all(
      ["status", "nodes", "publishers", "offline", "events", "peers", "tree", "clock"].map(async (command) => {
        const [json, screen] = await Promise.all([ask(command, "--json"), ask("--no-color", command)])
        assert.deepStrictEqual([json.code, json.err, screen.code, screen.err], [0, "", 0, ""], command)
        const document = JSON.parse(json.out) as { readonly view: { readonly node: string }; readonly items: unknown }
        assert.strictEqual(document.view.node, "one", command)
        assert.isArray(document.items, command)
        assert.include(screen.out, "one", command)
        assert.notInclude(screen.out, "\u001B", command)
      })
    )
  })

  it("changes configuration everywhere, and says 3 at once where nothing acts on the key", async () => {
    const received = await ask("config", "set", "sampling/rate", "0.5", "--wait", "received", "--json")
    assert.deepStrictEqual([received.code, received.err], [0, ""])
    const answer = JSON.parse(received.out) as { readonly outcome: string; readonly targeted: number }
    assert.deepStrictEqual([answer.outcome, answer.targeted], ["converged", 2])
    const there = await starling(["config", "get", "sampling/rate", "--api", otherApi])
    assert.deepStrictEqual([there.code, there.out], [0, "0.5\n"])
    const applied = await ask("config", "set", "sampling/rate", "0.7", "--wait", "applied", "--timeout", "5s")
    assert.strictEqual(applied.code, 3)
    assert.include(applied.out, "nothing on this node acts on this key")
  })

  it("takes a value from standard input as it is", async () => {
    const set = await starling(["config", "set", "motd", "-", "--api", api], { stdin: "hello\nworld\n" })
    assert.strictEqual(set.code, 0)
    const { out } = await ask("config", "get", "motd", "--jsonl")
    assert.strictEqual((JSON.parse(out) as { readonly value: string }).value, "hello\nworld\n")
  })

  it("reverts to the value before as a new revision that says so, and names what there is not", async () => {
    await ask("config", "set", "undo/me", "old", "-l", "role=edge")
    await ask("config", "set", "undo/me", "new")
    const { code, err } = await ask("config", "revert", "undo/me")
    assert.deepStrictEqual([code, err], [0, ""])
    const { out } = await ask("config", "history", "undo/me", "--jsonl")
    const entries = out
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Readonly<Record<string, string>>)
    assert.deepStrictEqual(
      entries.map(({ operation, selector, value }) => [operation, value, selector]),
      [
        ["set", "old", "role=edge"],
        ["set", "new", ""],
        ["revert", "old", "role=edge"]
      ]
    )
    const far = await ask("config", "revert", "undo/me", "--to", "9")
    assert.deepStrictEqual([far.code, far.out], [1, ""])
    assert.include(far.err, "has 3 known revisions, so there is none 9 back")
  })

  it("changes nothing in a dry run", async () => {
    const { code, out } = await ask("config", "set", "dry/run", "x", "-l", "role=edge", "--dry-run")
    assert.strictEqual(code, 0)
    assert.include(out, "1 node: one")
    assert.deepStrictEqual((await ask("config", "get", "dry/run")).code, 1)
  })

  it("follows events of another node, one document a line", async () => {
    const follow = start(["events", "--follow", "--jsonl", "--api", otherApi])
    children.push(follow.child)
    const sent = await ask("event", "send", "--severity", "error", "--app", "shop", "first")
    assert.strictEqual(sent.code, 0)
    await until("the first event is shown", () => follow.out().includes('"first"'))
    await ask("event", "send", "second")
    await until("the second event is shown", () => follow.out().includes('"second"'))
    const bodies = follow
      .out()
      .trim()
      .split("\n")
      .map((line) => (JSON.parse(line) as { readonly body: string }).body)
    assert.deepStrictEqual(bodies, ["first", "second"])
    follow.child.kill("SIGINT")
    assert.strictEqual((await follow.ended).code, 130)
  })

  it("ends a subscription that nobody reads any more", async () => {
    const follow = start(["events", "--follow", "--jsonl", "--api", api])
    children.push(follow.child)
    await ask("event", "send", "third")
    await until("the third event is shown", () => follow.out().includes('"third"'))
    follow.child.stdout.destroy()
    await ask("event", "send", "fourth")
    const { code, err } = await follow.ended
    assert.deepStrictEqual([code, err], [0, ""])
  })

  it("cuts a node from a data centre on purpose, shows it in the status, and heals it", async () => {
    const cut = await ask("debug", "cut", "--datacenter", "fra")
    assert.deepStrictEqual([cut.code, cut.err], [0, ""])
    assert.include(cut.out, "cut from fra")
    assert.include((await ask("status")).out, "starling debug heal")
    const wrong = await ask("debug", "heal", "--datacenter", "lhr")
    assert.deepStrictEqual([wrong.code, wrong.out], [5, ""])
    assert.include(wrong.err, "cut from fra")
    assert.include((await ask("debug", "heal")).out, "cut from no data centre")
  })

  it("says 5 to bad input that only the agent can tell, and 6 to what it does not allow", async () => {
    const [selector, key, debug] = await Promise.all([
      ask("nodes", "-l", "((("),
      ask("config", "set", "BAD KEY", "1"),
      starling(["debug", "crash", "clock", "--api", otherApi])
    ])
    assert.deepStrictEqual([selector.code, selector.out, key.code, key.out], [5, "", 5, ""])
    assert.deepStrictEqual([debug.code, debug.out], [6, ""])
    assert.include(debug.err, "--debug")
  })

  it("refuses a second process on one data directory, a port in use, and a name that is taken", async () => {
    const gossip = fieldOf(first?.out() ?? "", "gossip")
    const [locked, port, name] = await Promise.all([
      starling(agentArgs("one")),
      starling(agentArgs("three", { api: new URL(api).host })),
      starling(agentArgs("one", { data: join(folder, "four"), join: gossip }))
    ])
    assert.deepStrictEqual([locked.code, locked.out], [1, ""])
    assert.include(locked.err, join(folder, "one"))
    assert.deepStrictEqual([port.code, port.out], [1, ""])
    assert.include(port.err, "in use")
    assert.deepStrictEqual([name.code, name.out], [1, ""])
    assert.include(name.err, "one")
  })

  it("names where a port in use was said: in the environment, in the file, nowhere", async () => {
    const { host } = new URL(api)
    const file = join(folder, "port.toml")
    writeFileSync(file, `otlp = "${host}"\n`)
    const free = ["agent", "--name", "busy", "--data", join(folder, "busy"), "--gossip", "127.0.0.1:0"]
    const ended = [
      await starling([...free, "--otlp", "off"], { env: { STARLING_API: host } }),
      await starling([...free, "--api", "127.0.0.1:0", "--config", file]),
      await starling(["agent", "--name", "busy", "--data", join(folder, "busy")], { env: { STARLING_GOSSIP: host } })
    ]
    const said = [
      `STARLING_API: cannot listen on ${host}`,
      `otlp (${file}): cannot listen on ${host}`,
      `STARLING_GOSSIP: cannot listen on ${host}`
    ]
    said.forEach((text, index) => {
      assert.strictEqual(ended[index]?.code, 1, text)
      assert.include(ended[index]?.err, text)
    })
  })

  it("leaves on SIGTERM with 0, and the others know that it left", async () => {
    first?.child.kill("SIGTERM")
    const ended = await first?.ended
    assert.strictEqual(ended?.code, 0)
    await until("two knows that one left", async () => {
      const { out } = await starling(["nodes", "--jsonl", "--api", otherApi])
      return out.split("\n").some((line) => line.includes('"one"') && line.includes('"left"'))
    })
  })

  it("ends when the process that started it is gone", async () => {
    const agent = start(agentArgs("child"), { env: { STARLING_PARENT_PIPE: "1" } })
    children.push(agent.child)
    await until("the child is ready", () => agent.out().includes("ready"))
    agent.child.stdin.end()
    assert.strictEqual((await agent.ended).code, 0)
  })
})

/**
 * The demo: that a wrong answer ends it with the step's name, that it shows what it promises, and that nothing of it
 * stays, however it ends.
 */
import { assert, beforeEach, afterEach, describe, it } from "@effect/vitest"
import type { Client } from "@starling/api"
import type { Document } from "@starling/fleet"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/testing/TestClock"
import { type ChildProcess, execFileSync, spawn } from "node:child_process"
import { readdirSync } from "node:fs"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { watchedOf } from "../../apps/starling/src/demo/ancestors.ts"
import type * as Processes from "../../apps/starling/src/demo/processes.ts"
import * as Report from "../../apps/starling/src/demo/report.ts"
import * as Steps from "../../apps/starling/src/demo/steps.ts"
import { eventually, node, temporary } from "./harness.ts"

const stepNames = [
  "start",
  "one view",
  "publishers",
  "configuration",
  "events",
  "offline",
  "while it is away",
  "return"
] as const

type StepName = (typeof stepNames)[number]

/** A fleet that answers at once and truly, but for what it is told to lie about. */
const makeFake = (lie: StepName | undefined): Processes.Stage => {
  const members: Array<{ name: string; id: string; datacenter: string; otlp: string; alive: boolean; inc: number }> = []
  const publishers: Array<{ app: string; instance: string; node: string }> = []
  const errors: Array<{ body: string; node: string }> = []
  let value = ""
  const view: Document.View = { node: "fake", nodeId: "fake", at: "0", complete: true, datacenters: [] }
  const answer = <A>(items: ReadonlyArray<A>): Document.Answer<A> => ({ view, items })
  const nodes = (): ReadonlyArray<Document.NodeDocument> => {
    const seen = lie === "one view" ? members.slice(1) : members
    return seen.map(({ alive, datacenter, id, inc, name }) => ({
      labels: {},
      since: "",
      address: "",
      id,
      name,
      datacenter,
      incarnation: lie === "return" ? 1 : inc,
      state: alive ? "alive" : "offline",
      evidence: alive ? [] : [{ by: "fake", cause: "closed", at: "0" }]
    }))
  }
  const rollout = (): Document.RolloutDocument => {
    const received = members.filter(({ alive }) => alive).length - (lie === "configuration" ? 1 : 0)
    return {
      key: "sampling/rate",
      revision: "1",
      targeted: members.length,
      received,
      applied: 0,
      failed: 0,
      rejected: 0,
      pending: members.length - received,
      converged: received === members.length,
      nodes: members.map(({ alive, datacenter, id, name }) => ({
        node: name,
        nodeId: id,
        datacenter,
        status: alive || lie === "while it is away" ? "received" : "offline",
        reason: "",
        since: ""
      }))
    }
  }
  const never = Effect.die(new Error("the demo does not ask this"))
  const client: Client.Client = {
    url: "http://fake",
    status: never,
    nodes: () => Effect.sync(() => answer(nodes())),
    publishers: () =>
      Effect.sync(() =>
        answer(
          publishers.map(({ app, instance, node: host }, index) => ({
            app,
            instance,
            node: host,
            nodeId: "",
            datacenter: "",
            signals: ["metrics"] as const,
            state: lie === "publishers" && index === 0 ? ("stale" as const) : ("fresh" as const),
            lastPublish: "",
            ttlSeconds: 1,
            labels: {}
          }))
        )
      ),
    offline: Effect.sync(() =>
      answer(
        nodes().flatMap((item) =>
          item.state === "offline"
            ? [Object.assign(item, { kind: "node" as const, evidence: lie === "offline" ? [] : item.evidence })]
            : []
        )
      )
    ),
    events: () =>
      Effect.sync(() =>
        answer(
          (lie === "events" ? errors.toReversed() : errors).map(({ body, node: origin }) => ({
            id: body,
            at: "0",
            wall: "",
            node: origin,
            nodeId: "",
            datacenter: "",
            app: "",
            severity: "error" as const,
            body,
            attributes: {},
            relation: "after" as const
          }))
        )
      ),
    sendEvent: () => never,
    peers: never,
    clock: never,
    resetClock: () => never,
    tree: never,
    config: never,
    configEntry: (key) =>
      Effect.sync(() =>
        answer([
          { key, value, revision: "1", selector: "", author: "", note: "", writtenAt: "", operation: "set" as const }
        ])
      ),
    configHistory: () => never,
    rollout: () => Effect.sync(() => answer([rollout()])),
    setConfig: (_, change) =>
      Effect.sync(() => {
        value = change.value
        const now = rollout()
        const outcome = now.converged ? ("converged" as const) : ("pending" as const)
        return { ...now, outcome, wait: null, reason: "", view, items: [now] }
      }),
    deleteConfig: () => never,
    reportConfig: () => never,
    crash: () => never,
    broadcast: () => never,
    cut: () => never,
    heal: () => never,
    delivered: never,
    watch: () => {
      throw new Error("the demo does not watch")
    }
  }
  let port = 1000
  return {
    startAgent: ({ datacenter, name, otlp }) =>
      Effect.sync(() => {
        const known = members.find((member) => member.name === name)
        const id = lie === "start" ? "same" : name
        const member = known ?? { name, id, datacenter, otlp: `http://127.0.0.1:${port++}`, alive: true, inc: 0 }
        if (known === undefined) members.push(member)
        else assert.strictEqual(`http://${otlp}`, known.otlp, "it comes back where its applications publish")
        member.alive = true
        member.inc++
        const kill = Effect.sync(() => void (member.alive = false))
        return { name, datacenter, id, gossip: "127.0.0.1:1", api: "http://127.0.0.1:2", otlp: member.otlp, kill }
      }),
    startApplication: (app, instance, otlp) =>
      Effect.sync(() => {
        const host = members.find((member) => member.otlp === otlp)?.name ?? "nobody"
        publishers.push({ app, instance, node: host })
        return { name: app, error: (body: string) => Effect.sync(() => void errors.push({ body, node: host })) }
      }),
    client: () => Effect.succeed(client),
    freeAddress: Effect.succeed("127.0.0.1:1")
  }
}

/** Runs the steps in virtual time, so that patience costs nothing. */
const play = Effect.fnUntraced(function* (lie: StepName | undefined, size: readonly [number, number] = [3, 3]) {
  const steps: Array<Report.Step> = []
  const report: Report.Report = {
    begin: () => Effect.void,
    end: (step) => Effect.sync(() => void steps.push(step))
  }
  const [datacenters, nodes] = size
  const options = { datacenters, nodes, api: "127.0.0.1:0" }
  const running = yield* Effect.forkChild(Effect.scoped(Steps.run(makeFake(lie), options, report)), {
    startImmediately: true
  })
  yield* TestClock.adjust("1 minute")
  return { steps, exit: yield* Fiber.await(running) }
})

describe("the steps of the demo", () => {
  it.effect("all pass when every answer is right", () =>
    Effect.gen(function* () {
      const { exit, steps } = yield* play(undefined)
      assert.isTrue(Exit.isSuccess(exit))
      assert.deepStrictEqual(
        steps.map(({ ok, step }) => [step, ok]),
        stepNames.map((name) => [name, true])
      )
    })
  )

  it.effect.each(stepNames.map((name) => ({ name })))("a wrong answer in $name ends them there, by name", ({ name }) =>
    Effect.gen(function* () {
      const { exit, steps } = yield* play(name)
      const error = Exit.isFailure(exit) ? Exit.findErrorOption(exit) : undefined
      assert.strictEqual(error?._tag === "Some" ? error.value.step : undefined, name)
      const until = stepNames.slice(0, stepNames.indexOf(name) + 1)
      assert.deepStrictEqual(
        steps.map(({ ok, step }) => [step, ok]),
        until.map((step) => [step, step !== name])
      )
      assert.notStrictEqual(steps.at(-1)?.text, "")
    })
  )

  it.effect("a fleet of any size is shown, and one agent skips what it takes two for", () =>
    Effect.gen(function* () {
      for (const [datacenters, nodes] of [
        [1, 1],
        [1, 3],
        [3, 1],
        [12, 2]
      ] as const) {
        const { exit, steps } = yield* play(undefined, [datacenters, nodes])
        assert.isTrue(Exit.isSuccess(exit), `${datacenters} × ${nodes}: ${JSON.stringify(steps.at(-1))}`)
        assert.strictEqual(steps.filter(({ skipped }) => skipped).length, datacenters * nodes === 1 ? 3 : 0)
      }
    })
  )

  it("a line is never wider than the terminal", () => {
    const step: Report.Step = {
      step: "offline",
      ok: true,
      text: "noticed by everybody ".repeat(9),
      value: 1,
      unit: "ms"
    }
    for (const width of [60, 80, 120]) {
      for (const line of Report.lineOf({ width, color: false }, step).split("\n")) assert.isAtMost(line.length, width)
    }
  })
})

describe("who is watched", () => {
  const chain = (...commands: ReadonlyArray<string>) =>
    commands.map((command, index) => ({ pid: 10 - index, parent: 9 - index, command }))

  it("is everybody up to the outermost package runner, and not the shell above", () => {
    const started = chain("sh -c node main.ts", "pnpm start", "sh -c 'pnpm' start", "npm exec pnpm@12", "bash", "sshd")
    assert.deepStrictEqual(watchedOf(started), [10, 9, 8, 7])
  })

  it("is the parent alone when no package runner started the demo", () => {
    assert.deepStrictEqual(watchedOf(chain("bash", "sshd")), [10])
    assert.deepStrictEqual(watchedOf([]), [])
  })
})

interface Demo {
  readonly process: ChildProcess
  readonly stdout: () => string
  readonly stderr: () => string
  readonly ended: Promise<number | NodeJS.Signals>
  /** Resolves when a line of standard output contains the text. */
  readonly line: (text: string) => Promise<void>
}

interface Listed {
  readonly pid: number
  readonly parent: number
  readonly args: string
}

const processes = (): ReadonlyArray<Listed> =>
  execFileSync("ps", ["-eo", "pid=,ppid=,stat=,args="], { encoding: "utf8" })
    .split("\n")
    .flatMap((text) => {
      const [, pid, parent, state, args] = /^\s*(\d+)\s+(\d+)\s+(\S+)\s+(.*)$/.exec(text) ?? []
      return pid === undefined || state?.startsWith("Z")
        ? []
        : [{ pid: Number(pid), parent: Number(parent), args: args ?? "" }]
    })

describe("starling demo", () => {
  let folder = temporary()
  let demo: Demo | undefined

  const startDemo = (...args: ReadonlyArray<string>): Demo => {
    const main = fileURLToPath(new URL("../../apps/starling/src/main.ts", import.meta.url))
    const child = spawn(node, [main, "demo", ...args], {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, TMPDIR: folder.path, NODE_OPTIONS: "" }
    })
    let out = ""
    let errors = ""
    child.stderr.on("data", (chunk: Buffer) => (errors += chunk.toString()))
    child.stdout.on("data", (chunk: Buffer) => (out += chunk.toString()))
    const lines = createInterface({ input: child.stdout })
    const ended = new Promise<number | NodeJS.Signals>((resolve) =>
      child.once("close", (code, signal) => resolve(code ?? signal ?? -1))
    )
    const line = (text: string): Promise<void> =>
      new Promise((resolve, reject) => {
        lines.on("line", (shown) => shown.includes(text) && resolve())
        void ended.then((code) => reject(new Error(`ended with ${code} before "${text}":\n${out}\n${errors}`)))
      })
    return { process: child, stdout: () => out, stderr: () => errors, ended, line }
  }

  const childrenOf = ({ process: { pid } }: Demo): ReadonlyArray<Listed> =>
    processes().filter(({ parent }) => parent === pid)

  /** No process that was a child of the demo, and no file. */
  const nothingLeft = (children: ReadonlyArray<Listed>) =>
    eventually(
      "no process and no file is left",
      10_000,
      () => {
        const alive = processes().filter(({ args, pid }) =>
          children.some((child) => child.pid === pid && child.args === args)
        )
        return Promise.resolve([...alive.map(({ args }) => args), ...readdirSync(folder.path)])
      },
      (left) => left.length === 0
    )

  beforeEach(() => {
    folder = temporary()
  })

  afterEach(() => {
    demo?.process.kill("SIGKILL")
    demo = undefined
    folder.remove()
  })

  it("--once --json shows every step, measured, prints one document, and leaves nothing", async () => {
    demo = startDemo("--once", "--json")
    const started = demo
    const { answer: children } = await eventually(
      "nine agents, three applications and a janitor run",
      40_000,
      () => Promise.resolve(childrenOf(started)),
      ({ length }) => length === 13
    )
    assert.strictEqual(await demo.ended, 0, demo.stdout() + demo.stderr())
    const { items } = JSON.parse(demo.stdout()) as { items: ReadonlyArray<Report.Step> }
    assert.deepStrictEqual(
      items.map(({ ok, skipped, step, unit }) => [step, ok, skipped, unit]),
      stepNames.map((name) => [name, true, undefined, "ms"])
    )
    for (const { step, value } of items) assert.isAbove(value, 0, step)
    assert.strictEqual(demo.stderr(), "")
    assert.deepStrictEqual(readdirSync(folder.path), [])
    await nothingLeft(children)
  })

  it("kill -9 in the middle leaves no process and no file", async () => {
    demo = startDemo("--datacenters", "2", "--nodes", "2")
    await demo.line("✓ publishers")
    const children = childrenOf(demo)
    assert.strictEqual(children.length, 7, "four agents, two applications, a janitor")
    demo.process.kill("SIGKILL")
    await nothingLeft(children)
  })

  it("Ctrl-C while idle ends it quietly with exit 0, no process and no file left", async () => {
    demo = startDemo("--datacenters", "1", "--nodes", "2")
    await demo.line("The fleet lives until Ctrl-C")
    const children = childrenOf(demo)
    demo.process.kill("SIGINT")
    assert.strictEqual(await demo.ended, 0)
    assert.strictEqual(demo.stderr(), "")
    await nothingLeft(children)
  })

  it("an agent that dies unasked makes the next step wrong: exit 1, the step's name on stderr", async () => {
    demo = startDemo("--datacenters", "2", "--nodes", "2", "--once")
    await demo.line("✓ one view")
    const children = childrenOf(demo)
    const victim = children.find(({ args }) => args.includes("--name lon-2"))
    assert.isDefined(victim)
    process.kill(victim.pid, "SIGKILL")
    assert.strictEqual(await demo.ended, 1, demo.stdout() + demo.stderr())
    assert.match(demo.stdout(), /✗ configuration/)
    assert.match(demo.stderr(), /^starling: configuration: pending: 3 of 4 received it/)
    await nothingLeft(children)
  })
})

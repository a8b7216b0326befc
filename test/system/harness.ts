/**
 * Real agents as operating-system processes on loopback, asked over HTTP as any client would.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"

const main = fileURLToPath(new URL("../../apps/starling/src/main.ts", import.meta.url))

/** Node as it runs this test: the pinned one. */
export const node = process.execPath

export interface AgentProcess {
  readonly name: string
  readonly datacenter: string
  readonly data: string
  readonly id: string
  readonly gossip: string
  readonly api: string
  readonly otlp: string
  readonly process: ChildProcess
  readonly stderr: () => string
  readonly kill: (signal?: NodeJS.Signals) => Promise<void>
  readonly get: <A = unknown>(path: string) => Promise<A>
  readonly send: <A = unknown>(method: "POST" | "PUT" | "DELETE", path: string, body?: unknown) => Promise<A>
}

export interface StartOptions {
  readonly name: string
  readonly datacenter?: string
  readonly join?: ReadonlyArray<string>
  readonly data: string
  readonly gossip?: string
  readonly args?: ReadonlyArray<string>
  /** The program of another release; default: the sources. */
  readonly program?: string
}

/** A folder that is removed with everything in it. */
export const temporary = (): { readonly path: string; readonly remove: () => void } => {
  const path = mkdtempSync(join(tmpdir(), "starling-test-"))
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) }
}

/** Starts an agent and returns when it is ready; throws with its stderr if it ends before. */
export const start = async (options: StartOptions): Promise<AgentProcess> => {
  const args = [
    options.program ?? main,
    "agent",
    "--name",
    options.name,
    "--datacenter",
    options.datacenter ?? "default",
    "--gossip",
    options.gossip ?? "127.0.0.1:0",
    "--api",
    "127.0.0.1:0",
    "--otlp",
    "127.0.0.1:0",
    "--data",
    options.data,
    "--log-level",
    "warn",
    "--debug",
    ...(options.join ?? []).flatMap((address) => ["--join", address]),
    ...(options.args ?? [])
  ]
  const child = spawn(node, args, { stdio: ["pipe", "pipe", "pipe"], env: environment() })
  let errors = ""
  child.stderr.on("data", (chunk: Buffer) => {
    errors += chunk.toString()
  })
  const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()))
  const line = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stdout }).on("line", (text) => {
      if (text.startsWith("ready ")) resolve(text)
    })
    child.once("exit", (code) =>
      reject(new Error(`agent ${options.name} ended with ${code} before it was ready:\n${errors}`))
    )
  })
  const field = (key: string): string => new RegExp(`(?:^| )${key}=(\\S+)`).exec(line)?.[1] ?? ""
  const api = field("api")
  return {
    name: options.name,
    datacenter: options.datacenter ?? "default",
    data: options.data,
    id: field("id"),
    gossip: field("gossip"),
    api,
    otlp: field("otlp"),
    process: child,
    stderr: () => errors,
    kill: async (signal = "SIGTERM") => {
      if (child.exitCode === null && child.signalCode === null) child.kill(signal)
      await exited
    },
    get: (path) => request(`${api}${path}`),
    send: (method, path, body) =>
      request(`${api}${path}`, {
        method,
        headers: { "content-type": "application/json" },
        ...(body === undefined ? {} : { body: JSON.stringify(body) })
      })
  }
}

/** Asks again and again until the answer satisfies; throws with the last answer after `timeoutMs`. */
export const eventually = async <A>(
  what: string,
  timeoutMs: number,
  ask: () => Promise<A>,
  satisfied: (answer: A) => boolean
): Promise<{ readonly answer: A; readonly elapsedMs: number }> => {
  const from = performance.now()
  let last: unknown
  for (;;) {
    try {
      const answer = await ask()
      if (satisfied(answer)) return { answer, elapsedMs: performance.now() - from }
      last = answer
    } catch (error) {
      last = error
    }
    if (performance.now() - from > timeoutMs) {
      throw new Error(
        `${what}: not within ${timeoutMs} ms; last: ${last instanceof Error ? last.stack : JSON.stringify(last)}`
      )
    }
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

/** Three data centres of three agents that know each other. */
export const startFleet = async (folder: string): Promise<ReadonlyArray<AgentProcess>> => {
  const place = (index: number) => ({
    name: `${["ams", "lon", "nyc"][Math.floor(index / 3)]}-${(index % 3) + 1}`,
    datacenter: ["ams", "lon", "nyc"][Math.floor(index / 3)] ?? "",
    data: join(folder, `node-${index}`)
  })
  const first = await start(place(0))
  const rest = await Promise.all(
    Array.from({ length: 8 }, (_, index) => start({ ...place(index + 1), join: [first.gossip] }))
  )
  const fleet = [first, ...rest]
  await Promise.all(
    fleet.map((agent) =>
      eventually(
        `${agent.name} sees nine nodes`,
        15_000,
        () => agent.get<Answer<NodeItem>>("/v1/nodes"),
        (nodes) => nodes.items.length === 9 && nodes.items.every((item) => item.state === "alive")
      )
    )
  )
  return fleet
}

export interface Answer<Item> {
  readonly items: ReadonlyArray<Item>
  readonly view: { readonly complete: boolean; readonly at: string }
}

export interface NodeItem {
  readonly id: string
  readonly name: string
  readonly state: string
  readonly incarnation: number
  readonly evidence: ReadonlyArray<{ readonly by: string; readonly cause: string }>
}

const request = async <A>(url: string, init: RequestInit = {}): Promise<A> => {
  const response = await fetch(url, { ...init, signal: AbortSignal.timeout(20_000) })
  const text = await response.text()
  if (!response.ok) throw new Error(`${init.method ?? "GET"} ${url}: ${response.status} ${text}`)
  return (text === "" ? undefined : JSON.parse(text)) as A
}

const environment = (): NodeJS.ProcessEnv =>
  Object.fromEntries(
    Object.entries(process.env).filter(([key]) => !key.startsWith("STARLING_") && key !== "NODE_OPTIONS")
  )

/**
 * A fleet that must come to no harm while everything that is wrong is done to it, and hands to do it with: processes
 * that are expected to end, requests with headers of one's own choice, what `/metrics` counted.
 */
import { afterAll, afterEach, assert, beforeAll } from "@effect/vitest"
import { spawn } from "node:child_process"
import { request as httpRequest } from "node:http"
import { createServer, type Server, type Socket } from "node:net"
import { join } from "node:path"
import process from "node:process"
import { fileURLToPath } from "node:url"
import { type AgentProcess, type Answer, eventually, node, type NodeItem, start, temporary } from "./harness.ts"

const main = fileURLToPath(new URL("../../apps/starling/src/main.ts", import.meta.url))
export const folder = temporary()
export const at = (name: string): string => join(folder.path, name)

export interface Ended {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

export interface Given {
  readonly env?: Readonly<Record<string, string>>
  readonly uid?: number
}

/** Runs the program to its end; one that goes on for half a minute is ended, and its code is null. How long it may take is no promise. */
export const starling = (args: ReadonlyArray<string>, { env = {}, uid }: Given = {}): Promise<Ended> => {
  const inherited = Object.entries(process.env).filter(([key]) => !key.startsWith("STARLING_"))
  const child = spawn(node, [main, ...args], {
    env: { ...Object.fromEntries(inherited), NODE_OPTIONS: "", ...env },
    stdio: ["ignore", "pipe", "pipe"],
    ...(uid === undefined ? {} : { uid, gid: uid })
  })
  let out = ""
  let err = ""
  child.stdout.on("data", (chunk: Buffer) => (out += chunk.toString()))
  child.stderr.on("data", (chunk: Buffer) => (err += chunk.toString()))
  const patience = setTimeout(() => child.kill("SIGKILL"), 30_000)
  return new Promise((resolve) =>
    child.once("close", (code) => {
      clearTimeout(patience)
      resolve({ code, out, err })
    })
  )
}

/** An agent that is expected not to start; every address is any free one, unless it is given. */
export const agent = (name: string, given: Readonly<Record<string, string>> = {}, more: Given = {}): Promise<Ended> => {
  const flags = { name, data: at(name), gossip: "127.0.0.1:0", api: "127.0.0.1:0", otlp: "127.0.0.1:0", ...given }
  return starling(["agent", ...Object.entries(flags).flatMap(([key, value]) => [`--${key}`, value])], more)
}

export const assertEnds = (what: string, ended: Ended, code: number, says: ReadonlyArray<string>): void => {
  assert.deepStrictEqual([ended.code, ended.out], [code, ""], `${what}: ${ended.err}`)
  for (const text of says) assert.include(ended.err, text, what)
}

/** The fleet that nothing may harm. */
let fleet: ReadonlyArray<AgentProcess> = []
export const member = (index: number): AgentProcess => {
  const found = fleet[index]
  if (found === undefined) throw new Error(`no agent ${index}`)
  return found
}

export const metricsOf = async (of: AgentProcess): Promise<ReadonlyMap<string, number>> => {
  // A connection of its own: one that was kept may end just as it is used again.
  const response = await fetch(`${of.api}/metrics`, { headers: { connection: "close" } })
  const text = await response.text()
  return new Map([...text.matchAll(/^starling_(\w+) (\d+)$/gm)].map(([, name = "", value]) => [name, Number(value)]))
}

/** What `act` counted at the agent under these names. */
export const counting = async (
  of: AgentProcess,
  names: ReadonlyArray<string>,
  act: () => Promise<unknown>
): Promise<ReadonlyArray<number>> => {
  const before = await metricsOf(of)
  await act()
  const after = await metricsOf(of)
  for (const name of names) assert.isTrue(after.has(name), `/metrics has no starling_${name}`)
  return names.map((name) => (after.get(name) ?? 0) - (before.get(name) ?? 0))
}

const servers: Array<Server> = []
export const sockets = new Set<Socket>()

/** A listener that accepts and never says a word. */
export const silentServer = (): Promise<{ readonly address: string; readonly port: number; readonly server: Server }> =>
  new Promise((resolve) => {
    const server = createServer((socket) => {
      sockets.add(socket)
      socket.on("error", () => undefined)
    })
    servers.push(server)
    server.listen(0, "127.0.0.1", () => {
      const bound = server.address()
      const port = typeof bound === "object" && bound !== null ? bound.port : 0
      resolve({ address: `127.0.0.1:${port}`, port, server })
    })
  })

const close = (server: Server): Promise<void> => new Promise((resolve) => server.close(() => resolve()))

/** A port that was free a moment ago. */
export const freePort = async (): Promise<number> => {
  const { port, server } = await silentServer()
  await close(server)
  return port
}

export interface Asked {
  readonly status: number
  readonly body: string
}

/** As `fetch`, with headers that `fetch` does not let a program set. */
export const ask = (
  url: string,
  method: string,
  headers: Readonly<Record<string, string>>,
  body?: string | Uint8Array
): Promise<Asked> =>
  new Promise((resolve, reject) => {
    const outgoing = httpRequest(url, { method, headers }, (response) => {
      let text = ""
      response.on("data", (chunk: Buffer) => (text += chunk.toString()))
      response.on("end", () => resolve({ status: response.statusCode ?? 0, body: text }))
    })
    outgoing.on("error", reject)
    outgoing.end(body)
  })

export const json = { "content-type": "application/json" }

interface Problem {
  readonly type: string
  readonly status: number
  readonly detail: string
}

export const problemOf = ({ body }: Asked): Problem => JSON.parse(body) as Problem

export const aliveNames = async (of: AgentProcess): Promise<ReadonlyArray<string>> =>
  (await of.get<Answer<NodeItem>>("/v1/nodes")).items
    .filter(({ state }) => state === "alive")
    .map(({ name }) => name)
    .toSorted()

export interface Status {
  readonly health: string
  readonly problems: ReadonlyArray<{ readonly what: string; readonly where: string; readonly next: string }>
}

export const statusOf = async (of: AgentProcess): Promise<Status> => {
  const [status] = (await of.get<Answer<Status>>("/v1/status")).items
  if (status === undefined) throw new Error("no status")
  return status
}

interface PeerItem {
  readonly id: string
  readonly view: string
  readonly linkId: number | null
}

const linkOf = async (of: AgentProcess, to: AgentProcess): Promise<number | null | undefined> =>
  (await of.get<Answer<PeerItem>>("/v1/peers")).items.find(({ id, view }) => id === to.id && view === "active")?.linkId

let linkAtFirst: number | null | undefined

/**
 * Two linked agents, a1 and a2, for the tests of a file. After every test they are still linked to each other, alive in
 * each other's eyes, and answering.
 */
export const guardFleet = (): void => {
  beforeAll(async () => {
    const first = await start({ name: "a1", data: at("a1") })
    const second = await start({ name: "a2", data: at("a2"), join: [first.gossip] })
    fleet = [first, second]
    await Promise.all(
      fleet.map((each) =>
        eventually(
          `${each.name} sees both`,
          10_000,
          () => aliveNames(each),
          (names) => names.length === 2
        )
      )
    )
    linkAtFirst = await linkOf(first, second)
    assert.isNumber(linkAtFirst)
  }, 30_000)

  afterEach(async () => {
    for (const each of fleet) {
      assert.includeMembers([...(await aliveNames(each))], ["a1", "a2"], `${each.name} sees both alive`)
      assert.strictEqual((await fetch(`${each.api}/livez`)).status, 200)
      assert.strictEqual((await fetch(`${each.api}/readyz`)).status, 200)
    }
    assert.strictEqual(await linkOf(member(0), member(1)), linkAtFirst, "the link between them is the one they had")
  })

  afterAll(async () => {
    await Promise.all(fleet.map((each) => each.kill("SIGKILL")))
    for (const socket of sockets) socket.destroy()
    await Promise.all(servers.filter((server) => server.listening).map(close))
    folder.remove()
  })
}

/**
 * Three agents of the last release among six of this version, as operating-system processes on loopback: one fleet for
 * both, and then the three are upgraded one after the other on their own data directories. Run by `.ci/run upgrade`.
 */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import type { Peer } from "@starling/machine"
import { Frame, Handshake } from "@starling/wire"
import { connect } from "node:net"
import { join } from "node:path"
import { type AgentProcess, type Answer, eventually, type NodeItem, start, temporary } from "../system/harness.ts"
import { metricsOf } from "../system/wrongs.ts"
import { write } from "./codecs.ts"
import { record, type Recorded } from "./record.ts"
import * as Release from "./release.ts"

const folder = temporary()
const version = Release.last
let oldProgram = ""
/** In the order in which they were started; those of the last release are the first of each data centre. */
let fleet: ReadonlyArray<AgentProcess> = []
const old = new Set<string>()

const at = (index: number): AgentProcess => {
  const agent = fleet[index]
  if (agent === undefined) throw new Error(`no agent ${index}`)
  return agent
}

const isOld = (index: number): boolean => index % 3 === 0

const place = (index: number) => {
  const datacenter = ["ams", "lon", "nyc"][Math.floor(index / 3)] ?? ""
  return {
    name: `${datacenter}-${(index % 3) + 1}`,
    datacenter,
    data: join(folder.path, `node-${index}`),
    ...(isOld(index) ? { program: oldProgram } : {})
  }
}

const versionOf = async (agent: AgentProcess): Promise<string> =>
  /starling_info\{.*version="([^"]*)"/.exec(await (await fetch(`${agent.api}/metrics`)).text())?.[1] ?? ""

/** Every agent sees nine nodes, all of them alive. */
const allSeeNine = (withinMs: number): Promise<unknown> =>
  Promise.all(
    fleet.map((agent) =>
      eventually(
        `${agent.name} sees nine nodes`,
        withinMs,
        () => agent.get<Answer<NodeItem>>("/v1/nodes"),
        ({ items }) => items.length === 9 && items.every(({ state }) => state === "alive")
      )
    )
  )

const set = async (agent: AgentProcess, key: string, value: string): Promise<void> => {
  const path = `/v1/config/${encodeURIComponent(key)}`
  const rollout = await agent.send<{ readonly outcome: string; readonly targeted: number; readonly received: number }>(
    "PUT",
    `${path}?wait=received&timeout=10s`,
    { value }
  )
  assert.strictEqual(rollout.outcome, "converged", `${key} at ${agent.name}`)
  assert.deepInclude(rollout, { targeted: 9, received: 9 })
  for (const other of fleet) {
    const { items } = await other.get<Answer<{ readonly value: string }>>(path)
    assert.deepStrictEqual(
      items.map((item) => item.value),
      [value],
      `${key} at ${other.name}`
    )
  }
}

interface Delivered {
  readonly duplicates: number
  readonly byOrigin: Record<string, number>
}

/** Each of these broadcasts so often, and everybody is handed each once; counted from what it was handed before. */
const broadcast = async (senders: ReadonlyArray<AgentProcess>, count: number): Promise<void> => {
  const handed = (agent: AgentProcess) => agent.get<Delivered>("/v1/debug/delivered")
  const before = new Map<string, Delivered>()
  for (const agent of fleet) before.set(agent.id, await handed(agent))
  await Promise.all(senders.map((agent) => agent.send("POST", "/v1/debug/broadcast", { count })))
  for (const agent of fleet) {
    const { answer } = await eventually(
      `${agent.name} has every broadcast`,
      15_000,
      () => handed(agent),
      ({ byOrigin }) =>
        senders.every(({ id }) => (byOrigin[id] ?? 0) >= (before.get(agent.id)?.byOrigin[id] ?? 0) + count)
    )
    assert.strictEqual(answer.duplicates, 0, agent.name)
    for (const { id } of senders) {
      assert.strictEqual(answer.byOrigin[id], (before.get(agent.id)?.byOrigin[id] ?? 0) + count, agent.name)
    }
  }
}

/** Nobody has taken what another one sent for garbage. */
const noGarbage = async (): Promise<void> => {
  const names = ["link_malformed_total", "wire_garbage_total", "wire_unknown_channel_total", "wire_oversize_total"]
  for (const agent of fleet) {
    const counted = await metricsOf(agent)
    assert.deepStrictEqual(
      names.map((name) => [name, counted.get(name)]),
      names.map((name) => [name, 0]),
      agent.name
    )
  }
}

beforeAll(async () => {
  oldProgram = Release.unpackProgram(version, join(folder.path, "release"))
  const first = await start(place(0))
  const rest = await Promise.all(
    Array.from({ length: 8 }, (_, index) => start({ ...place(index + 1), join: [first.gossip] }))
  )
  fleet = [first, ...rest]
  for (const [index, agent] of fleet.entries()) if (isOld(index)) old.add(agent.id)
})

afterAll(async () => {
  await Promise.all(fleet.map((agent) => agent.kill("SIGKILL")))
  folder.remove()
})

describe(`three agents of release ${version} among six of this version`, () => {
  it("see nine nodes, from either side", async () => {
    await allSeeNine(20_000)
    assert.strictEqual(old.size, 3)
    for (const agent of fleet) if (old.has(agent.id)) assert.include(await versionOf(agent), version)
  })

  it("receive what is set at an old and at a new node, nine of nine", async () => {
    await set(at(0), "sampling/rate", "0.1")
    await set(at(1), "sampling/rate", "0.2")
    await set(at(6), "log/level", "debug")
    await set(at(8), "log/level", "info")
  })

  it("are handed every broadcast of either side once", () => broadcast([at(0), at(3), at(1), at(8)], 50))

  it("list events in one order, which is the order in which one was seen before the next was sent", async () => {
    const bodies = ["one", "two", "three", "four"]
    for (const [index, body] of bodies.entries()) {
      const sender = at([0, 4, 6, 1][index] ?? 0)
      await eventually(
        `${sender.name} has seen what came before`,
        10_000,
        () => sender.get<Answer<{ readonly body: string }>>("/v1/events"),
        ({ items }) => items.length === index
      )
      await sender.send("POST", "/v1/events", { severity: "error", body })
    }
    const orders = await Promise.all(
      fleet.map(async (agent) => {
        const { answer } = await eventually(
          `${agent.name} has four events`,
          10_000,
          () => agent.get<Answer<{ readonly body: string; readonly at: string }>>("/v1/events"),
          ({ items }) => items.length === 4
        )
        return answer.items.map((item) => `${item.body} ${item.at}`)
      })
    )
    for (const order of orders) assert.deepStrictEqual(order, orders[0])
    assert.deepStrictEqual(
      orders[0]?.map((line) => line.split(" ")[0]),
      bodies
    )
  })

  it("have taken nothing for garbage", noGarbage)

  it("an old one bears every frame of this version: known ones are read, unknown ones dropped and counted", async () => {
    const theirs = await Release.codecs(version, join(folder.path, "codecs"))
    const frames = record("borne").filter(({ kind }) => !kind.startsWith("handshake/"))
    const conversations = conversationsOf(frames)
    const alone = await start({ name: "alone", data: join(folder.path, "alone"), program: oldProgram })
    try {
      const violated = await Promise.all(conversations.map((conversation) => speak(alone.gossip, conversation)))
      assert.deepStrictEqual(
        conversations.filter((_, index) => violated[index]).map(({ kind }) => kind),
        []
      )
      const counted = await metricsOf(alone)
      const unknown = frames.filter(({ bytes }) => theirs.read(bytes)._tag === "unknown")
      assert.strictEqual(counted.get("link_unknown_kind_total"), unknown.length)
      assert.strictEqual(counted.get("link_malformed_total"), 0)
      // All were read: beside a frame for each handshake.
      assert.isAtLeast(counted.get("wire_frames_received_total") ?? 0, frames.length)
    } finally {
      await alone.kill()
    }
  }, 120_000)

  it("a killed old one is offline with evidence at all others within 5 s", async () => {
    const victim = at(3)
    await victim.kill("SIGKILL")
    const from = performance.now()
    await Promise.all(
      fleet
        .filter((agent) => agent !== victim)
        .map((agent) =>
          eventually(
            `${agent.name} reports it offline`,
            8000,
            () => agent.get<Answer<NodeItem>>("/v1/offline"),
            ({ items }) => items.some(({ evidence, id }) => id === victim.id && evidence.length > 0)
          )
        )
    )
    assert.isBelow(performance.now() - from, 5000)
    await at(8).send("PUT", "/v1/config/missed", { value: "while it was away" })
  })

  it("are upgraded one after the other, each as the node it was, with all it had and what it missed", async () => {
    const { answer } = await eventually(
      "somebody has all three keys",
      5000,
      () => at(1).get<Answer<{ readonly key: string; readonly value: string }>>("/v1/config"),
      ({ items }) => items.length === 3
    )
    const config = answer.items
    const events = (await at(1).get<Answer<unknown>>("/v1/events")).items
    for (const index of [3, 0, 6]) {
      const before = at(index)
      const known = (await at(1).get<Answer<NodeItem>>("/v1/nodes")).items.find(({ id }) => id === before.id)
      // What was delivered is on the disk within a second; before, a restart may hear it again.
      await new Promise((resolve) => setTimeout(resolve, 1500))
      await before.kill("SIGTERM")
      const { data, datacenter, name } = place(index)
      const after = await start({ name, datacenter, data, gossip: before.gossip })
      fleet = fleet.map((agent) => (agent === before ? after : agent))
      assert.strictEqual(after.id, before.id)
      await allSeeNine(15_000)
      // Who has not heard the goodbye yet still calls the run before alive.
      await Promise.all(
        fleet.map((agent) =>
          eventually(
            `${agent.name} sees the next run of ${name}`,
            15_000,
            () => agent.get<Answer<NodeItem>>("/v1/nodes"),
            ({ items }) =>
              items.some(
                ({ id, incarnation, state }) =>
                  id === before.id && state === "alive" && incarnation > (known?.incarnation ?? 0)
              )
          )
        )
      )
      await eventually(
        `${name} has all configuration`,
        8000,
        () => after.get<Answer<unknown>>("/v1/config"),
        ({ items }) => JSON.stringify(items) === JSON.stringify(config)
      )
      assert.deepStrictEqual((await after.get<Answer<unknown>>("/v1/events")).items, events)
      await broadcast([after, at(7)], 20)
    }
    await set(at(3), "sampling/rate", "0.3")
    await noGarbage()
  }, 180_000)
})

interface Conversation {
  readonly kind: string
  readonly hello: Handshake.Hello
  readonly frames: ReadonlyArray<Uint8Array>
}

/** A link for each kind; a link for each frame that says who is at the other end of it, which must be true. */
const conversationsOf = (frames: ReadonlyArray<Recorded>): ReadonlyArray<Conversation> => {
  const groups = new Map<string, Array<Recorded>>()
  for (const [index, frame] of frames.entries()) {
    const key = claimed(frame) === undefined ? frame.kind : `${frame.kind} ${index}`
    groups.set(key, [...(groups.get(key) ?? []), frame])
  }
  return [...groups.values()].map((group, index) => ({
    kind: group[0]?.kind ?? "",
    frames: group.map(({ bytes }) => bytes),
    hello: {
      fleet: "starling",
      versions: Handshake.versions,
      node: {
        id: `0123456789${index.toString(16).padStart(2, "0")}`,
        incarnation: 1,
        address: `127.0.0.1:${index + 1}`,
        boot: 1,
        name: `stranger-${index}`,
        datacenter: "default",
        ...(group[0] === undefined ? {} : claimed(group[0]))
      }
    }
  }))
}

/** Whom the sender of a frame says to be in it. */
const claimed = ({ kind, value }: Recorded): Peer.Peer | undefined =>
  ["view-manager/Join", "view-manager/Neighbor", "view-manager/Probe"].includes(kind)
    ? (value as { readonly peer: Peer.Peer }).peer
    : undefined

/** Shakes hands with an agent, sends the frames, then listens for a second; true if it was told of a violation. */
const speak = (address: string, { frames, hello }: Conversation): Promise<boolean> =>
  new Promise((resolve, reject) => {
    const splitter = Frame.makeSplitter()
    let violation = false
    const impatient = setTimeout(() => {
      socket.destroy()
      reject(new Error(`the agent did not shake hands with ${hello.node.name}`))
    }, 15_000)
    const socket = connect({ host: "127.0.0.1", port: Number(address.split(":")[1]) }, () => {
      const first: Handshake.Message = { _tag: "Hello", hello }
      socket.write(prefixed(write("handshake", first)))
    })
    socket.on("data", (chunk: Buffer) => {
      splitter.push(new Uint8Array(chunk))
      for (let bytes = splitter.next(); bytes?.ok === true; bytes = splitter.next()) {
        const frame = Frame.decode(bytes.value)
        if (!frame.ok || frame.value.channel !== 0) continue
        const { payload } = frame.value
        const message = Handshake.decode(payload)
        if (message.ok && message.value._tag === "Welcome") {
          clearTimeout(impatient)
          for (const sent of frames) socket.write(prefixed(sent))
          setTimeout(() => {
            socket.destroy()
            resolve(violation)
          }, 1000)
        } else if (message.ok && message.value._tag === "Refusal") reject(new Error(message.value.refusal.message))
        else violation ||= Array.isArray(payload) && payload[1] === "violation"
      }
    })
    socket.on("error", reject)
  })

const prefixed = (frame: Uint8Array): Uint8Array => {
  const bytes = new Uint8Array(Frame.prefixBytes + frame.length)
  Frame.put(bytes, 0, frame)
  return bytes
}

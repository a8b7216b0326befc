/**
 * Real agents among peers that should not be there: other versions and fleets, garbage, taken names, copied and outdated
 * data directories, contacts that never answer. Each is told why, is counted, and costs the fleet nothing.
 */
import { assert, describe, it } from "@effect/vitest"
import { Frame, Handshake } from "@starling/wire"
import { cpSync, rmSync } from "node:fs"
import { connect } from "node:net"
import { type AgentProcess, type Answer, eventually, type NodeItem, start } from "./harness.ts"
import {
  agent,
  aliveNames,
  at,
  counting,
  type Ended,
  freePort,
  guardFleet,
  member,
  silentServer,
  sockets,
  statusOf
} from "./wrongs.ts"

guardFleet()

const stranger = (node: Partial<Handshake.NodeInfo> = {}, rest: Partial<Handshake.Hello> = {}): Handshake.Hello => ({
  fleet: "starling",
  versions: Handshake.versions,
  node: {
    id: "0123456789ab",
    incarnation: 1,
    boot: 1,
    name: "stranger",
    datacenter: "default",
    address: "127.0.0.1:9",
    ...node
  },
  ...rest
})

const helloBytes = (hello: Handshake.Hello): Uint8Array => bytesOf(0, Handshake.encode({ _tag: "Hello", hello }))

const bytesOf = (channel: number, payload: unknown): Uint8Array => {
  const frame = Frame.encode(channel, payload)
  if (!frame.ok) throw new Error(frame.reason)
  return frame.value
}

interface Conversation {
  readonly frames: ReadonlyArray<Frame.Frame>
  /** False when the agent left the connection open for as long as the patience lasted. */
  readonly ended: boolean
}

/** An agent gives up a handshake after three seconds; a close takes it two more. */
const patienceMs = 8000

/** On a machine that is slow and busy, a crowd takes its time; nobody else is waited for that long. */
const crowdPatienceMs = 30_000

/**
 * Connects, says `first`, after the first answer `second`, and listens until the agent ends the connection. With
 * `hangUp` this end closes its half after the last word.
 */
const speak = (
  address: string,
  {
    first,
    second,
    hangUp = false,
    withinMs = patienceMs
  }: {
    readonly first: Uint8Array
    readonly second?: Uint8Array
    readonly hangUp?: boolean
    readonly withinMs?: number
  }
): Promise<Conversation> =>
  new Promise((resolve, reject) => {
    const port = Number(address.split(":")[1])
    const splitter = Frame.makeSplitter()
    const frames: Array<Frame.Frame> = []
    const socket = connect({ host: "127.0.0.1", port, allowHalfOpen: true }, () => {
      socket.write(first)
      if (second === undefined && hangUp) socket.end()
    })
    const patience = setTimeout(() => done(false), withinMs)
    const done = (ended: boolean): void => {
      clearTimeout(patience)
      socket.destroy()
      resolve({ frames, ended })
    }
    socket.on("data", (chunk: Buffer) => {
      splitter.push(new Uint8Array(chunk))
      for (let bytes = splitter.next(); bytes?.ok === true; bytes = splitter.next()) {
        const frame = Frame.decode(bytes.value)
        if (!frame.ok) return reject(new Error(frame.reason))
        frames.push(frame.value)
        if (frames.length !== 1 || second === undefined) continue
        socket.write(second)
        if (hangUp) socket.end()
      }
    })
    socket.on("end", () => done(true))
    // A reset ends it as well.
    socket.on("error", () => done(true))
    sockets.add(socket)
  })

const answerOf = ({ frames }: Conversation): Handshake.Message => {
  const decoded = Handshake.decode(frames[0]?.payload)
  if (!decoded.ok) throw new Error(`no handshake came back: ${decoded.reason}`)
  return decoded.value
}

const refusalOf = (conversation: Conversation): Handshake.Refusal => {
  assert.isTrue(conversation.ended, "the agent closes the connection")
  const answer = answerOf(conversation)
  if (answer._tag !== "Refusal") throw new Error(`expected a refusal, got ${answer._tag}`)
  return answer.refusal
}

describe("strangers at the gossip port", () => {
  it("a peer without a common protocol version is refused with both ranges, and counted", async () => {
    const theirs = stranger({}, { versions: [7, 9] })
    let refusal: Handshake.Refusal | undefined
    const [refused] = await counting(member(0), ["wire_refused_total"], async () => {
      refusal = refusalOf(await speak(member(0).gossip, { first: helloBytes(theirs) }))
    })
    assert.strictEqual(refused, 1)
    const [low, high] = Handshake.versions
    assert.strictEqual(refusal?.code, "version")
    for (const text of ["a1", "stranger", `${low} to ${high} here`, "7 to 9 there", "upgrade the older one"]) {
      assert.include(refusal?.message, text)
    }
  })

  it("an agent of another fleet is refused with both names, says so in its log and status, and is counted", async () => {
    let alien: AgentProcess | undefined
    try {
      const [refused] = await counting(member(0), ["wire_refused_total"], async () => {
        alien = await start({ name: "alien", data: at("alien"), join: [member(0).gossip], args: ["--fleet", "mars"] })
        const said = alien
        await eventually(
          "it says so",
          5000,
          async () => said.stderr(),
          (text) => text.includes("different fleets")
        )
      })
      assert.isAtLeast(refused ?? 0, 1)
      const said = alien?.stderr() ?? ""
      for (const text of ["alien", "fleet mars", "a1", "fleet starling", "the same fleet name"])
        assert.include(said, text)
      const status = await statusOf(alien as AgentProcess)
      assert.strictEqual(status.health, "degraded")
      const [problem] = status.problems
      for (const text of ["fleet mars", "fleet starling"]) assert.include(problem?.what, text)
      assert.notStrictEqual(problem?.next, "")
      assert.notInclude(await aliveNames(member(0)), "alien")
    } finally {
      await alien?.kill()
    }
  })

  it("garbage, an HTTP request and a hello that is none are refused in words, and counted", async () => {
    const words: ReadonlyArray<Uint8Array> = [
      new Uint8Array(64).fill(0xc1),
      new TextEncoder().encode("GET / HTTP/1.1\r\nHost: a1\r\n\r\n"),
      bytesOf(0, [1, "sparrow"]),
      bytesOf(0, ["hello"]),
      bytesOf(0, [1, "starling", "starling", 9, 1, "x", -1, "", 0, 0, 0]),
      bytesOf(3, [1, 2, 3])
    ]
    const [refused] = await counting(member(0), ["wire_refused_total"], async () => {
      for (const conversation of await Promise.all(words.map((first) => speak(member(0).gossip, { first })))) {
        const refusal = refusalOf(conversation)
        assert.strictEqual(refusal.code, "garbage")
        assert.include(refusal.message, "a1")
        assert.include(refusal.message, "does not understand 127.0.0.1:")
      }
    })
    assert.strictEqual(refused, words.length)
  })

  it("who connects and says nothing, alone, is dropped within seconds, and counted", async () => {
    const [failed] = await counting(member(1), ["wire_handshakes_failed_total"], async () => {
      const { ended, frames } = await speak(member(1).gossip, { first: new Uint8Array() })
      assert.deepStrictEqual([ended, frames.length], [true, 0])
    })
    assert.strictEqual(failed, 1)
  })

  it("a crowd that connects and says nothing, or breaks off in its hello, is dropped, and every one is counted", async () => {
    const names = ["wire_handshakes_failed_total", "link_overloaded_total", "link_dropped_total"]
    const crowd = 400
    const counted = await counting(member(1), names, async () => {
      const cut = await speak(member(1).gossip, { first: helloBytes(stranger()).subarray(0, 20), hangUp: true })
      assert.deepStrictEqual([cut.ended, cut.frames.length], [true, 0])
      const silent = await Promise.all(
        Array.from({ length: crowd }, () =>
          speak(member(1).gossip, { first: new Uint8Array(), withinMs: crowdPatienceMs })
        )
      )
      assert.strictEqual(silent.filter(({ ended }) => ended).length, crowd)
      assert.isTrue(silent.every(({ frames }) => frames.length === 0))
    })
    assert.strictEqual(
      counted.reduce((sum, count) => sum + count),
      crowd + 1,
      counted.join()
    )
    // There is room again.
    const bye = bytesOf(0, [4, "done"])
    const after = await speak(member(1).gossip, { first: helloBytes(stranger()), second: bye, hangUp: true })
    assert.strictEqual(answerOf(after)._tag, "Welcome")
  })

  it("a link that sends garbage, a frame over the limit, an unknown channel or half a frame is closed, and counted", async () => {
    const oversize = new Uint8Array(64)
    new DataView(oversize.buffer).setUint32(0, Frame.frameBytesMax + 1)
    const garbage = new Uint8Array(20).fill(0xc1)
    new DataView(garbage.buffer).setUint32(0, 16)
    const cases = [
      { counter: "wire_oversize_total", second: oversize },
      { counter: "wire_garbage_total", second: garbage },
      { counter: "wire_unknown_channel_total", second: bytesOf(99, [1]) },
      { counter: "link_malformed_total", second: bytesOf(1, [1, "no", "such", "fields"]) },
      { counter: "wire_truncated_total", second: bytesOf(1, [1, "cut short"]).subarray(0, 8), hangUp: true }
    ]
    const names = cases.map(({ counter }) => counter)
    const counted = await counting(member(0), names, async () => {
      const conversations = await Promise.all(
        cases.map(({ hangUp = false, second }, index) =>
          speak(member(0).gossip, {
            first: helloBytes(stranger({ id: `00000000000${index}`, name: `stranger-${index}` })),
            second,
            hangUp
          })
        )
      )
      conversations.forEach((conversation, index) => {
        assert.strictEqual(answerOf(conversation)._tag, "Welcome", names[index])
        assert.isTrue(conversation.ended, names[index])
        if (cases[index]?.hangUp !== true) {
          assert.deepInclude(conversation.frames, { channel: 0, payload: [4, "violation"] }, names[index])
        }
      })
    })
    assert.deepStrictEqual(Object.fromEntries(names.map((name, index) => [name, counted[index]])), {
      wire_oversize_total: 1,
      wire_garbage_total: 1,
      wire_unknown_channel_total: 1,
      link_malformed_total: 1,
      wire_truncated_total: 1
    })
    assert.deepStrictEqual(await aliveNames(member(0)), ["a1", "a2"])
  })

  it("a message of a kind that a later version may bring is dropped and counted, and costs its link nothing", async () => {
    const messages = [1, 2, 3, 4, 5, 6].map((channel) => bytesOf(channel, [99, 1, 2, 3]))
    const names = ["link_unknown_kind_total", "link_malformed_total"]
    const counted = await counting(member(0), names, async () => {
      const conversation = await speak(member(0).gossip, {
        first: helloBytes(stranger({ name: "from the future" })),
        second: new Uint8Array(Buffer.concat(messages)),
        hangUp: true
      })
      assert.strictEqual(answerOf(conversation)._tag, "Welcome")
      assert.lengthOf(conversation.frames, 1, "the agent says nothing more, no violation above all")
    })
    assert.deepStrictEqual(counted, [messages.length, 0])
  })
})

/** It may have called itself ready, if the refusal took longer than it waits for one. */
const assertRefused = ({ code, err }: Ended, says: ReadonlyArray<string>): void => {
  assert.strictEqual(code, 1, err)
  for (const text of says) assert.include(err, text)
}

describe("agents that should not be in the fleet", () => {
  it("a newcomer with a name that is alive ends with 1, and its error names both", async () => {
    const [refused] = await counting(member(1), ["wire_refused_total"], async () => {
      const ended = await agent("a1", { data: at("a1-too"), join: member(1).gossip })
      assertRefused(ended, ["the name a1 belongs to node", member(0).id, "another --name"])
      const ids = new Set(ended.err.match(/\b[0-9a-f]{12}\b/g))
      assert.strictEqual(ids.size, 2, ended.err)
    })
    assert.strictEqual(refused, 1)
    assert.deepStrictEqual(await aliveNames(member(0)), ["a1", "a2"])
    const known = (await member(1).get<Answer<NodeItem>>("/v1/nodes")).items.map(({ name }) => name)
    assert.deepStrictEqual(
      [...known].filter((name) => name.startsWith("a1")),
      ["a1"]
    )
  })

  it("of two processes on copies of one data directory the later one ends with 1, and the fleet keeps the first", async () => {
    const joining = { name: "c1", join: [member(0).gossip] }
    const original = await start({ ...joining, data: at("c1") })
    await original.kill()
    cpSync(at("c1"), at("c1-copy"), { recursive: true })
    const again = await start({ ...joining, data: at("c1") })
    try {
      await eventually(
        "a1 sees it",
        5000,
        () => aliveNames(member(0)),
        (names) => names.includes("c1")
      )
      const ended = await agent("c1", { data: at("c1-copy"), join: member(0).gossip })
      // Its copy of the data names other members than the one that it was told to join: whoever hears of it first, refuses it.
      assert.match(ended.err, /\ba[12] \(/)
      assertRefused(ended, [`c1 (${again.id})`, "run 2", "was copied", "of its own"])
      assert.include(await aliveNames(member(1)), "c1")
      assert.include(await aliveNames(again), "a1")
    } finally {
      await again.kill()
    }
  })

  it("an agent restored from an older data directory comes back above the run that the fleet knows", async () => {
    const joining = { name: "r1", join: [member(0).gossip] }
    const first = await start({ ...joining, data: at("r1") })
    await first.send("PUT", "/v1/config/run%2F1?wait=received&timeout=5s", { value: "before" })
    await first.kill()
    cpSync(at("r1"), at("r1-backup"), { recursive: true })
    for (let run = 2; run <= 3; run++) {
      const next = await start({ ...joining, data: at("r1") })
      await eventually(
        "a1 sees it",
        5000,
        () => aliveNames(member(0)),
        (names) => names.includes("r1")
      )
      await next.send("PUT", `/v1/config/run%2F${run}?wait=received&timeout=5s`, { value: "before" })
      await next.kill("SIGKILL")
    }
    rmSync(at("r1"), { recursive: true })
    cpSync(at("r1-backup"), at("r1"), { recursive: true })
    const restored = await start({ ...joining, data: at("r1") })
    try {
      // Before it can have heard what it wrote in runs 2 and 3, which must not be taken for this, nor this for that.
      await restored.send("PUT", "/v1/config/run%2F4", { value: "after" })
      assert.strictEqual(restored.id, first.id)
      assert.include(restored.stderr(), "restored from a copy")
      await eventually(
        "a1 sees run 4",
        5000,
        () => member(0).get<Answer<NodeItem>>("/v1/nodes"),
        ({ items }) =>
          items.some(({ id, incarnation, state }) => id === first.id && state === "alive" && incarnation === 4)
      )
      for (const each of [restored, member(0), member(1)]) {
        await eventually(
          `${each.name} has all four entries`,
          8000,
          () => each.get<Answer<{ readonly key: string; readonly value: string }>>("/v1/config"),
          ({ items }) =>
            items.map(({ key, value }) => `${key}=${value}`).join() ===
            "run/1=before,run/2=before,run/3=before,run/4=after"
        )
      }
    } finally {
      await restored.kill()
    }
  })
})

describe("a join address that never answers", () => {
  it("leaves the agent up and ready, with what to type next in its status, and it joins when one answers", async () => {
    const silent = await silentServer()
    const port = await freePort()
    const closed = `127.0.0.1:${port}`
    // TEST-NET-1 (RFC 5737) belongs to nobody: unroutable, or silent.
    const contacts = [silent.address, closed, "192.0.2.1:7740"]
    const lonely = await start({ name: "l1", data: at("l1"), join: contacts, args: ["--fleet", "lonely"] })
    let late: AgentProcess | undefined
    try {
      for (const path of ["/livez", "/readyz"]) assert.strictEqual((await fetch(`${lonely.api}${path}`)).status, 200)
      const { answer: status } = await eventually(
        "the status says that nobody listens at one",
        4000,
        () => statusOf(lonely),
        ({ problems }) => problems[0]?.what.includes(`nothing answers at ${closed}`) === true
      )
      assert.strictEqual(status.health, "degraded")
      const [problem] = status.problems
      for (const contact of contacts) assert.include(problem?.what, contact)
      await eventually(
        "the status says that one is silent",
        8000,
        () => statusOf(lonely),
        ({ problems }) => problems[0]?.what.includes(`what listens at ${silent.address} said nothing`) === true
      )
      assert.include(problem?.next, "starling peers")
      late = await start({ name: "l2", data: at("l2"), gossip: closed, args: ["--fleet", "lonely"] })
      await eventually(
        "they found each other",
        15_000,
        () => aliveNames(lonely),
        (names) => names.length === 2
      )
      assert.strictEqual((await statusOf(lonely)).problems.length, 0)
    } finally {
      await Promise.all([lonely.kill(), late?.kill()])
    }
  })
})

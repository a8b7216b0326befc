import { assert, describe, it } from "@effect/vitest"
import { Config, EventLog, Facts, NodeDoc, Query } from "@starling/fleet"
import * as fc from "fast-check"
import * as HashMap from "effect/HashMap"
import { answersOf, Network, record, set } from "./network.ts"

/** A tenth of what other properties take: each run is a fleet for a minute. */
const runs = Math.ceil(Number(process.env["RUNS"] ?? 100) / 8)

/** Everything that two nodes must agree on, as text. */
const facts = (network: Network, index: number): unknown => {
  const { state } = network.at(index)
  return {
    docs: [...HashMap.values(state.docs)]
      .map((doc) => [
        doc.id,
        NodeDoc.knownOf(doc),
        [...HashMap.values(doc.records)].map(({ key, raw, version }) => [key, version, raw]).toSorted()
      ])
      .toSorted(),
    config: Query.config(state, network.context(index)).items,
    history: [...HashMap.keys(state.registers.keys)]
      .toSorted()
      .map((key) => Query.configHistory(state, network.context(index), key).items),
    vector: Config.encodeVector(state.registers.vector).toSorted(),
    events: EventLog.toArray(state.events).map(EventLog.idOf)
  }
}

const assertSame = (network: Network, indexes: ReadonlyArray<number>): void => {
  const [first, ...others] = indexes
  const expected = JSON.stringify(facts(network, first as number))
  for (const other of others) assert.strictEqual(JSON.stringify(facts(network, other)), expected, `node ${other}`)
}

/** Lets the network come to rest: pulses would go on for ever. */
const settle = (network: Network, durationMs: number): void => {
  network.run(durationMs)
  for (let i = 0; i < 100; i++) {
    network.run(400)
    const hashes = new Set(network.members.filter(({ alive }) => alive).map(({ state }) => state.docsHash))
    if (hashes.size === 1) return
  }
}

describe("a network of facts", () => {
  it("comes to the same documents, configuration and events everywhere, whatever is lost or reset on the way", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1_000_000 }), (seed) => {
        const network = new Network({
          nodes: 7,
          seed,
          datacenter: (i) => `dc${i % 3}`,
          skew: (i) => (i * 7919) % 3000,
          lost: 0.3,
          codec: true
        })
        network.overlay(4)
        for (let round = 0; round < 12; round++) {
          network.run(network.random(300))
          const node = network.at(network.random(7))
          switch (network.random(7)) {
            case 0:
            case 1:
              network.event(node, set(`k/${network.random(3)}`, `v${round}`))
              break
            case 2:
            case 3:
              network.event(node, record(`e${round}`))
              break
            case 4: {
              const other = network.random(7)
              network.cut(node.index, other, "closed")
              network.later(network.random(500), () => network.connect(node.index, other))
              break
            }
            case 5:
              node.crashes += 1
              break
            case 6:
              network.event(node, {
                _tag: "Published",
                app: "a/b",
                instance: `${round}`,
                signal: "metrics",
                labels: {}
              })
          }
        }
        for (let i = 0; i < 7; i++) network.connect(i, (i + 1) % 7)
        for (let i = 0; i < 10; i++) {
          network.run(5000)
          network.refresh()
        }
        settle(network, 1000)
        assert.deepStrictEqual(network.problems, [])
        assertSame(network, [0, 1, 2, 3, 4, 5, 6])
      }),
      { numRuns: runs }
    )
  })

  it("shows a change of one of nine nodes at all others well within a second", () => {
    const network = new Network({ nodes: 9, seed: 3, datacenter: (i) => `dc${i % 3}` })
    network.overlay(3)
    network.run(3000)
    const seen = new Map<number, number>()
    const began = network.now
    network.event(network.at(0), { _tag: "Published", app: "shop/cart", instance: "1", signal: "metrics", labels: {} })
    while (seen.size < 9 && network.now < began + 5000) {
      network.run(5)
      for (const { index, state } of network.members) {
        const { items } = Query.publishers(state, network.context(index))
        if (items.length === 1 && !seen.has(index)) seen.set(index, network.now - began)
      }
    }
    assert.strictEqual(seen.size, 9)
    assert.isBelow(Math.max(...seen.values()), 300)
  })

  it("converges a configuration change over nine nodes within a second, though the tree loses a third of it", () => {
    for (let seed = 1; seed <= 5; seed++) {
      const network = new Network({ nodes: 9, seed, lost: 0.33 })
      network.overlay(4)
      network.run(3000)
      network.event(network.at(4), set("sampling/rate", "0.1"))
      network.run(1900)
      const rollout = Query.rollout(network.at(8).state, network.context(8), "sampling/rate")
      assert.isDefined(rollout)
      assert.strictEqual(rollout.targeted, 9)
      assert.strictEqual(rollout.received, 9)
      assert.strictEqual(Query.rolloutOutcome(rollout, "received"), "converged")
    }
  })

  it("gives a newcomer everything", () => {
    const network = new Network({ nodes: 4, seed: 5 })
    network.overlay(2)
    network.run(500)
    network.event(network.at(1), set("a", "1"))
    network.event(network.at(2), record("before it came"))
    network.run(2000)
    network.join(4)
    network.connect(4, 0)
    network.run(2000)
    settle(network, 100)
    assertSame(network, [0, 1, 2, 3, 4])
    assert.strictEqual(Query.events(network.at(4).state, network.context(4)).items[0]?.body, "before it came")
  })

  it("brings a restarted node back with what it wrote and what it missed", () => {
    const network = new Network({ nodes: 4, seed: 6 })
    network.overlay(3)
    network.run(500)
    network.event(network.at(0), set("mine", "1"))
    network.event(network.at(0), record("mine"))
    network.run(1000)
    network.kill(0)
    network.run(1000)
    network.event(network.at(1), set("missed", "2"))
    network.run(1000)
    network.restart(0)
    const before = network.at(0)
    assert.deepStrictEqual(Query.configEntry(before.state, "mine")?.value, "1")
    assert.deepStrictEqual(
      Query.events(before.state, network.context(0)).items.map(({ body }) => body),
      ["mine"]
    )
    network.connect(0, 1)
    network.connect(0, 2)
    network.run(2000)
    settle(network, 100)
    assertSame(network, [0, 1, 2, 3])
    assert.strictEqual(Query.configEntry(network.at(0).state, "missed")?.value, "2")
    assert.strictEqual(NodeDoc.knownOf(HashMap.getUnsafe(network.at(3).state.docs, before.id)).incarnation, 2)
  })

  it("replaces a document that was rebuilt within its incarnation, even when the wall clock went back", () => {
    const network = new Network({ nodes: 3, seed: 7 })
    network.overlay(2)
    network.run(500)
    network.event(network.at(0), { _tag: "Published", app: "a", instance: "1", signal: "logs", labels: {} })
    network.run(1000)
    const clock = network.wall
    network.wall = (index) => clock.call(network, index) - 60_000
    network.rebuild(0)
    network.wall = clock
    network.run(3000)
    settle(network, 100)
    assertSame(network, [0, 1, 2])
    // What only the crashed state knew is gone everywhere.
    assert.deepStrictEqual(Query.publishers(network.at(2).state, network.context(2)).items, [])
  })

  it("repairs what a crashed step lost of documents and configuration", () => {
    const network = new Network({ nodes: 5, seed: 8, lost: 1 })
    network.overlay(3)
    network.run(500)
    for (let i = 0; i < 5; i++) {
      for (const member of network.members) member.crashes += 1
      network.event(network.at(i), set(`k${i}`, "v"))
      network.run(50)
    }
    for (let i = 0; i < 12; i++) {
      network.run(5000)
      network.refresh()
    }
    settle(network, 100)
    assertSame(network, [0, 1, 2, 3, 4])
  })

  it("writes again what it never heard to be durable, and answers then", () => {
    const network = new Network({ nodes: 1 })
    const member = network.at(0)
    network.run(500)
    network.event(member, set("k", "v"))
    member.crashes = 1
    member.crashIf = (event) => event._tag === "Written"
    network.run(100)
    assert.deepStrictEqual(answersOf(member), [])
    network.run(8000)
    assert.strictEqual(answersOf(member)[0]?._tag, "Config")
    assert.strictEqual(member.state.counters.rewritten, 1)
  })

  it("arms a timer again whose step crashed", () => {
    for (const tag of ["Own", "Tick", "AntiEntropy", "Pulse", "Beat"] as const) {
      const network = new Network({ nodes: 2, seed: 2 })
      const member = network.at(0)
      member.crashes = 1
      member.crashIf = (event) => event._tag === "TimerFired" && event.timer._tag === tag
      network.connect(0, 1)
      network.run(20_000)
      assert.strictEqual(member.crashes, 0, tag)
      const { round } = member.state.timers[tag]
      network.run(30_000)
      assert.isAbove(member.state.timers[tag].round, round, tag)
    }
  })

  it("sends again what was to be sent when a step crashed", () => {
    const network = new Network({ nodes: 2, seed: 2 })
    const member = network.at(0)
    member.crashes = 1
    member.crashIf = (event) => event._tag === "TimerFired" && event.timer._tag === "Flush"
    network.connect(0, 1)
    network.run(10_000)
    assert.strictEqual(member.crashes, 0)
    assert.isTrue(HashMap.has(network.at(1).state.docs, member.id))
  })

  it("asks again for a digest that a crashed step lost", () => {
    const network = new Network({ nodes: 2, seed: 2 })
    network.run(100)
    network.connect(0, 1)
    const [one, two] = [network.at(0), network.at(1)]
    while (one.state.gate.version === 0 || two.state.gate.version === 0) network.run(1)
    one.crashes = 1
    one.crashIf = (event) => event._tag === "Received" && event.message._tag === "Digest"
    network.run(500)
    assert.strictEqual(one.crashes, 0)
    assert.isFalse(HashMap.has(two.state.docs, one.id))
    network.run(3500)
    assert.isTrue(HashMap.has(two.state.docs, one.id))
  })

  it("answers a summary with another hash by its digest, and one with its own hash by nothing", () => {
    const network = new Network({ nodes: 2, seed: 3 })
    network.connect(0, 1)
    network.run(3000)
    const { docsHash, gate, registers } = network.at(0).state
    const link = gate.neighbors[0]?.link ?? 0
    const ask = (docs: number) =>
      Facts.step(network.at(0).state, {
        now: network.now,
        event: { _tag: "Received", link, message: { _tag: "Summary", docs, config: hash } },
        stamp: network.context(0).stamp,
        wall: network.wall(0)
      })[1]
    // No entries: the hash of the empty vector.
    const hash = 0
    assert.strictEqual(HashMap.size(registers.vector), 0)
    assert.deepStrictEqual(ask(docsHash), [])
    const [digest, ...others] = ask(docsHash ^ 1)
    assert.deepStrictEqual(others, [])
    assert.isTrue(digest?._tag === "Send" && digest.message._tag === "Digest" && digest.message.reply)
    assert.isTrue(digest?._tag === "Send" && digest.message._tag === "Digest" && digest.message.docs.length === 2)
  })

  it("a newcomer has received also the revisions that nobody keeps any more", () => {
    const network = new Network({ nodes: 2, seed: 4 })
    network.connect(0, 1)
    network.run(500)
    for (let i = 0; i < 15; i++) {
      network.event(network.at(0), set("k", `${i}`))
      network.run(100)
    }
    network.run(2000)
    network.join(2)
    network.connect(2, 1)
    network.run(2000)
    const { registers } = network.at(2).state
    assert.strictEqual(
      Query.configHistory(network.at(2).state, network.context(2), "k").items.length,
      Config.historyMax
    )
    assert.deepStrictEqual(Config.encodeVector(registers.vector), [[network.at(0).id, 1, [1, 15]]])
    assert.deepStrictEqual(Config.encodeVector(registers.pruned), [[network.at(0).id, 1, [1, 5]]])
    network.kill(2)
    network.run(100)
    network.restart(2)
    assert.deepStrictEqual(
      Config.encodeVector(network.at(2).state.registers.vector),
      Config.encodeVector(registers.vector)
    )
  })

  it("keeps and forwards what a later version added", () => {
    const network = new Network({ nodes: 3, seed: 9, codec: true })
    network.connect(0, 1)
    network.run(500)
    const entry = Config.entry({
      key: "k",
      value: "v",
      revision: network.context(0).stamp,
      selector: "",
      author: "",
      note: "",
      wall: 1,
      operation: "set",
      dot: { writer: "bbbbbbbbbbbb", generation: 1, seq: 1 }
    })
    network.event(network.at(0), { _tag: "Delivered", id: null, topic: 0, payload: [...entry.raw, { later: true }] })
    // Node 1 hears of it from node 0, and passes it on to node 2.
    network.event(network.at(1), {
      _tag: "Received",
      link: [...network.at(1).links.keys()][0] as number,
      message: {
        _tag: "Delta",
        docs: [
          {
            id: "cccccccccccc",
            incarnation: 1,
            built: 1,
            from: 0,
            to: 2,
            records: [
              { key: "profile", version: 1, raw: ["c", "dc", "c:1", [], 1, null, "later"], value: undefined },
              { key: "weather", version: 2, raw: { sunny: [1, 2] }, value: undefined }
            ]
          }
        ],
        via: []
      }
    })
    network.run(1000)
    network.connect(1, 2)
    network.run(2000)
    const { docs, registers } = network.at(2).state
    assert.deepStrictEqual(HashMap.getUnsafe(registers.entries, "bbbbbbbbbbbb.1.1").raw.at(-1), { later: true })
    const doc = HashMap.getUnsafe(docs, "cccccccccccc")
    assert.deepStrictEqual(HashMap.getUnsafe(doc.records, "weather").raw, { sunny: [1, 2] })
    assert.deepStrictEqual(HashMap.getUnsafe(doc.records, "profile").raw, ["c", "dc", "c:1", [], 1, null, "later"])
  })
})

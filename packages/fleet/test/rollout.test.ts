import { assert, describe, it } from "@effect/vitest"
import { type Document, Facts, Query } from "@starling/fleet"
import { answersOf, Network, set } from "./network.ts"

const rolloutAt = (network: Network, viewer: number, key: string): Document.RolloutDocument => {
  const rollout = Query.rollout(network.at(viewer).state, network.context(viewer), key)
  if (rollout === undefined) throw new Error(`no rollout of ${key}`)
  const { applied, failed, pending, received, rejected, targeted } = rollout
  assert.strictEqual(received + applied + failed + rejected + pending, targeted)
  assert.strictEqual(rollout.nodes.length, targeted)
  return rollout
}

const statuses = (rollout: Document.RolloutDocument): ReadonlyArray<string> =>
  rollout.nodes.map(({ node, status }) => `${node} ${status}`)

const five = (): Network => {
  const network = new Network({ nodes: 5, seed: 1, labels: (i) => ({ role: i < 3 ? "edge" : "core" }) })
  network.overlay(3)
  network.run(2000)
  return network
}

describe("rollout", () => {
  it("a node on which nothing acts on the key stays received, and the reason says so", () => {
    const network = five()
    network.event(network.at(0), set("k", "v"))
    network.run(1500)
    const rollout = rolloutAt(network, 4, "k")
    assert.strictEqual(rollout.received, 5)
    assert.isTrue(rollout.converged)
    assert.strictEqual(rollout.nodes[0]?.reason, "nothing on this node acts on this key")
    assert.strictEqual(Query.rolloutOutcome(rollout, "received"), "converged")
    assert.strictEqual(Query.rolloutOutcome(rollout, "applied"), "pending")
    assert.isFalse(Query.rolloutMoves(rollout, "applied"))
  })

  it("a selector names the targets, and a node it does not target acts on nothing", () => {
    const network = five()
    for (const member of network.members) {
      member.applying = { delayMs: 10, status: "applied" }
      network.event(member, { _tag: "Handles", patterns: ["**"] })
    }
    network.event(network.at(4), set("k", "v", "role=edge"))
    network.run(1500)
    assert.deepStrictEqual(statuses(rolloutAt(network, 3, "k")), ["n0 applied", "n1 applied", "n2 applied"])
    assert.isFalse(network.at(4).outputs.some(({ output }) => output._tag === "Apply"))
  })

  it("is applying until the handler is done, then applied, failed or rejected with the reason", () => {
    const network = five()
    const outcomes = ["applied", "failed", "rejected", "applied", "applied"] as const
    for (const member of network.members) {
      member.applying = { delayMs: 3000, status: outcomes[member.index] ?? "applied" }
      network.event(member, { _tag: "Handles", patterns: ["sampling/*"] })
    }
    network.event(network.at(4), set("sampling/rate", "0.1"))
    network.run(2000)
    const during = rolloutAt(network, 0, "sampling/rate")
    assert.isTrue(during.nodes.every(({ status }) => status === "applying"))
    assert.strictEqual(during.pending, 5)
    assert.isFalse(during.converged)
    assert.strictEqual(Query.rolloutOutcome(during, "received"), "converged")
    assert.isTrue(Query.rolloutMoves(during, "applied"))
    network.run(3000)
    const after = rolloutAt(network, 0, "sampling/rate")
    assert.deepStrictEqual(statuses(after), ["n0 applied", "n1 failed", "n2 rejected", "n3 applied", "n4 applied"])
    assert.strictEqual(after.nodes[1]?.reason, "because")
    assert.strictEqual(Query.rolloutOutcome(after, "applied"), "failed")
  })

  it("a new revision clears the failures of the old one", () => {
    const network = five()
    const failing = network.at(1)
    failing.applying = { delayMs: 10, status: "failed" }
    network.event(failing, { _tag: "Handles", patterns: ["k"] })
    network.event(network.at(0), set("k", "1"))
    network.run(1500)
    assert.strictEqual(rolloutAt(network, 3, "k").failed, 1)
    failing.applying = { delayMs: 10, status: "applied" }
    network.event(network.at(2), set("k", "2"))
    network.run(1500)
    const rollout = rolloutAt(network, 3, "k")
    assert.strictEqual(rollout.applied, 1)
    assert.strictEqual(rollout.failed, 0)
    assert.deepStrictEqual(Facts.invariants(failing.state), [])
    assert.strictEqual(failing.state.freeSlots.length, 1000)
  })

  it("the newest revision of a key is applied, one at a time, with what was applied before it", () => {
    const network = five()
    const member = network.at(1)
    member.applying = { delayMs: 1000, status: "applied" }
    network.event(member, { _tag: "Handles", patterns: ["k"] })
    for (const value of ["1", "2", "3"]) {
      network.event(network.at(0), set("k", value))
      network.run(200)
    }
    network.run(5000)
    const asked = member.outputs.flatMap(({ output }) =>
      output._tag === "Apply" ? [[output.previous?.value ?? null, output.entry.value]] : []
    )
    // The third came while the first was worked on: the second was never asked for.
    assert.deepStrictEqual(asked, [
      [null, "1"],
      [null, "3"]
    ])
    assert.strictEqual(rolloutAt(network, 0, "k").applied, 1)
  })

  it("what was received before its handler came is applied when it comes, and again for a handler that comes back", () => {
    const network = five()
    const member = network.at(1)
    member.applying = { delayMs: 10, status: "applied" }
    network.event(network.at(0), set("k", "1"))
    network.run(1500)
    for (const patterns of [["k"], [], ["k"]]) {
      network.event(member, { _tag: "Handles", patterns })
      network.run(1000)
      assert.strictEqual(rolloutAt(network, 0, "k").applied, patterns.length)
    }
    assert.strictEqual(member.outputs.filter(({ output }) => output._tag === "Apply").length, 2)
  })

  it("a local application that only reports is an applier too", () => {
    const network = five()
    network.event(network.at(0), set("k", "1"))
    network.run(1500)
    const revision = rolloutAt(network, 0, "k").revision
    network.event(network.at(2), { _tag: "Applied", key: "k", revision, status: "failed", reason: "no" })
    network.run(500)
    assert.strictEqual(rolloutAt(network, 0, "k").nodes[2]?.status, "failed")
    network.event(network.at(2), { _tag: "Applied", key: "k", revision, status: "applied", reason: "" })
    network.run(500)
    assert.strictEqual(rolloutAt(network, 0, "k").nodes[2]?.status, "applied")
    network.event(network.at(2), { _tag: "Applied", key: "k", revision: "none", status: "failed", reason: "" })
    assert.strictEqual(network.at(2).state.counters.appliedStale, 1)
  })

  it("a target that is offline is pending, one behind a partition makes it incomplete, one that left is no target", () => {
    const network = new Network({ nodes: 8, seed: 3, datacenter: (i) => (i < 3 ? "a" : "b") })
    for (let i = 0; i < 8; i++) for (const step of [1, 2]) network.connect(i, (i + step) % 8)
    network.run(2000)
    network.kill(5)
    network.event(network.at(7), { _tag: "Leave" })
    network.kill(7, "left")
    network.run(1000)
    network.event(network.at(4), set("k", "v"))
    network.run(1500)
    const pending = rolloutAt(network, 0, "k")
    assert.strictEqual(pending.targeted, 7)
    assert.strictEqual(pending.nodes.find(({ node }) => node === "n5")?.status, "offline")
    assert.strictEqual(Query.rolloutOutcome(pending, "received"), "pending")
    assert.isFalse(Query.rolloutMoves(pending, "received"))
    for (const a of [0, 1, 2]) for (const b of [3, 4, 6]) network.cut(a, b, "timeout", 100)
    network.run(1000)
    // The other side does not get what is written on this one: its broadcast is ours to lose.
    network.event(network.at(4), set("k2", "v"))
    const rollout = rolloutAtSoon(network, 4, "k2")
    assert.strictEqual(rollout.nodes.find(({ node }) => node === "n0")?.status, "unreachable")
    assert.strictEqual(Query.rolloutOutcome(rollout, "received"), "incomplete")
  })

  it("a node that received a change and went offline has received it", () => {
    const network = five()
    network.event(network.at(0), set("k", "v"))
    network.run(1500)
    network.kill(2)
    network.run(500)
    const rollout = rolloutAt(network, 0, "k")
    assert.strictEqual(rollout.nodes[2]?.status, "received")
    assert.strictEqual(Query.rolloutOutcome(rollout, "received"), "converged")
  })
})

/** As soon as the writer has stored it: nobody else can have it. */
const rolloutAtSoon = (network: Network, viewer: number, key: string): Document.RolloutDocument => {
  for (let i = 0; i < 50 && Query.configEntry(network.at(viewer).state, key) === undefined; i++) network.run(1)
  return rolloutAt(network, viewer, key)
}

describe("SetConfig", () => {
  it("is answered and broadcast after it is durable, not before", () => {
    const network = new Network({ nodes: 1 })
    const member = network.at(0)
    network.event(member, set("k", "v"))
    assert.deepStrictEqual(answersOf(member), [])
    assert.isUndefined(Query.configEntry(member.state, "k"))
    network.run(50)
    const [answer] = answersOf(member)
    assert.strictEqual(answer?._tag === "Config" && answer.document.value, "v")
    assert.isTrue(member.disk.get("config")?.size === 1)
    assert.deepStrictEqual(
      member.outputs.map(({ output }) => output._tag).filter((tag) => tag === "Answer" || tag === "Broadcast"),
      ["Answer", "Broadcast"]
    )
  })

  it("a crash before the disk has it forgets it: nobody ever saw it", () => {
    const network = new Network({ nodes: 2, seed: 2 })
    network.connect(0, 1)
    network.run(500)
    network.event(network.at(0), set("k", "v"))
    network.kill(0)
    network.run(500)
    network.restart(0)
    assert.isUndefined(Query.configEntry(network.at(0).state, "k"))
    assert.isUndefined(Query.configEntry(network.at(1).state, "k"))
  })

  it("delete leaves the history, frees the key, and is refused where nothing is stored", () => {
    const network = new Network({ nodes: 1 })
    const member = network.at(0)
    for (const event of [set("k", "1"), set("k", null), set("k", null)]) {
      network.event(member, event)
      network.run(100)
    }
    assert.deepStrictEqual(
      answersOf(member).map((answer) => (answer._tag === "Config" ? answer.document.operation : answer._tag)),
      ["set", "delete", "Invalid"]
    )
    assert.isUndefined(Query.configEntry(member.state, "k"))
    const { items } = Query.configHistory(member.state, network.context(0), "k")
    assert.deepStrictEqual(
      items.map(({ operation, value }) => [operation, value]),
      [
        ["set", "1"],
        ["delete", ""]
      ]
    )
    assert.strictEqual(member.state.liveKeys, 0)
  })

  it("wrong input is answered with the field, and costs nothing", () => {
    const network = new Network({ nodes: 1 })
    const member = network.at(0)
    const before = member.state
    network.event(member, set("Not A Key", "v"))
    network.event(member, set("k", "v", "a=b,"))
    network.event(member, {
      _tag: "RecordEvent",
      token: 1,
      app: "a",
      severity: "error",
      body: "x".repeat(5000),
      attributes: {}
    })
    assert.deepStrictEqual(
      answersOf(member).map((answer) => answer._tag === "Invalid" && answer.where),
      ["key", "selector", "body"]
    )
    assert.strictEqual(member.state.pending, before.pending)
    assert.strictEqual(member.state.nextSeq, before.nextSeq)
  })

  it("a writer restored from an old copy goes on in another generation", () => {
    const network = new Network({ nodes: 3, seed: 4 })
    network.overlay(2)
    network.run(500)
    const member = network.at(0)
    network.event(member, set("a", "1"))
    network.run(500)
    const copy = structuredClone(member.disk)
    network.event(member, set("b", "2"))
    network.run(1000)
    network.kill(0)
    member.disk.clear()
    for (const [table, rows] of copy) member.disk.set(table, rows)
    network.run(500)
    network.restart(0)
    network.connect(0, 1)
    network.run(2000)
    assert.strictEqual(Query.configEntry(member.state, "b")?.value, "2")
    network.event(member, set("c", "3"))
    network.run(2000)
    for (const { state } of network.members) {
      for (const [key, value] of [
        ["a", "1"],
        ["b", "2"],
        ["c", "3"]
      ] as const) {
        assert.strictEqual(Query.configEntry(state, key)?.value, value)
      }
    }
    assert.isAbove(member.state.generation, 1)
  })
})

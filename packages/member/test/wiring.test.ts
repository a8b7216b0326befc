/** What the clock of a node lets through to its facts. */
import { assert, describe, it } from "@effect/vitest"
import { EffectiveTime, Guard, Hlc, NodeClock, type Stamp } from "@starling/clock"
import { Config, type Facts, NodeDoc } from "@starling/fleet"
import { Member, Wiring } from "@starling/member"
import * as fc from "fast-check"
import * as HashMap from "effect/HashMap"

const wall = 1_718_372_400_000
const at = { now: 0, wall }
const writer = "00000000000b"

/** Open, and the fleet's time is the wall clock's. */
const open: NodeClock.NodeClock = {
  ...NodeClock.make(
    { node: "00000000000a", guard: Guard.defaults, time: EffectiveTime.defaults },
    Hlc.make(Number.MAX_SAFE_INTEGER)
  ),
  phase: "open",
  offset: wall
}

const stampOf = (isBad: boolean, counter: number): Stamp.Stamp => ({
  epoch: 0,
  wall: isBad ? wall + Guard.defaults.guardMs + 1 : wall,
  counter,
  node: writer
})

const entryOf = (isBad: boolean, index: number): Config.Entry =>
  Config.entry({
    key: `k/${index}`,
    value: "v",
    revision: stampOf(isBad, index),
    selector: "",
    author: "",
    note: "",
    wall,
    operation: "set",
    dot: { writer, generation: 1, seq: index + 1 }
  })

const deltaOf = (isBad: boolean, index: number): NodeDoc.DocDelta => {
  const doc = NodeDoc.empty((0xb00000000000 + index).toString(16), { incarnation: 1, built: 1 })
  const full = NodeDoc.write(doc, "adjacency", {
    _tag: "Adjacency",
    at: stampOf(isBad, index),
    neighbors: [],
    lost: []
  })
  return NodeDoc.since(full, NodeDoc.unknown, 1e6)?.delta ?? assert.fail("a document has a delta")
}

const received = (message: Facts.Message): Wiring.Delivery => ({
  to: "facts",
  event: { _tag: "Received", link: 1, message }
})

/** What the facts are handed of a message, and the stamps that were refused. */
const admitted = (message: Facts.Message) => {
  const admission = Wiring.admit(open, received(message), at)
  if (admission._tag !== "Handle") return assert.fail("only what this node stamps is held")
  const { delivery, refused } = admission
  if (delivery.to !== "facts" || delivery.event._tag !== "Received") return assert.fail("it is the same event")
  return { delivery, message: delivery.event.message, refused }
}

describe("Wiring.admit", () => {
  it("takes out of a message what lies beyond the guard, by itself, and tells what it was", () => {
    fc.assert(
      fc.property(fc.array(fc.boolean(), { maxLength: 20 }), (bad) => {
        const good = bad.flatMap((isBad, index) => (isBad ? [] : [index]))
        const docs = admitted({ _tag: "Delta", docs: bad.map(deltaOf), via: [[null, bad.length]] })
        assert.strictEqual(docs.refused.length, bad.length - good.length)
        if (docs.message._tag !== "Delta") return assert.fail("it is the same message")
        assert.deepStrictEqual(
          docs.message.docs.map(({ isAside, records }) => [isAside === true, records.length]),
          bad.map((isBad) => [isBad, isBad ? 0 : 1])
        )
        assert.deepStrictEqual(
          docs.message.docs.map(({ id, to }) => [id, to]),
          bad.map(deltaOf).map(({ id, to }) => [id, to])
        )
        const entries = admitted({ _tag: "Entries", entries: bad.map(entryOf), skipped: HashMap.empty() })
        assert.strictEqual(entries.refused.length, bad.length - good.length)
        if (entries.message._tag !== "Entries") return assert.fail("it is the same message")
        assert.deepStrictEqual(
          entries.message.entries.map(({ key }) => key),
          good.map((index) => `k/${index}`)
        )
        assert.strictEqual((entries.message.aside ?? []).length, bad.length - good.length)
        for (const { delivery } of [docs, entries]) {
          const stamp = Wiring.stampOf(delivery)
          assert.strictEqual(stamp === undefined, good.length === 0)
          if (stamp !== undefined) assert.strictEqual(NodeClock.judge(open, stamp, at)._tag, "Follow")
        }
      })
    )
  })

  it("marks what the facts have to say again when the time is known", () => {
    const peer = { id: writer, incarnation: 1, address: "b:1" }
    const deliveries: ReadonlyArray<Wiring.Delivery> = [
      { to: "facts", event: { _tag: "NeighborDown", peer, cause: "closed" } },
      Wiring.restamp
    ]
    for (const delivery of deliveries) {
      for (const phase of ["probation", "ready"] as const) {
        const early = Wiring.admit({ ...open, phase }, delivery, at)
        const event: unknown = early._tag === "Handle" ? early.delivery.event : undefined
        assert.deepStrictEqual(event, { ...delivery.event, isEarly: true })
      }
      const late = Wiring.admit(open, delivery, at)
      assert.isTrue(late._tag === "Handle" && late.delivery === delivery)
    }
  })

  it("a member counts what it refuses, does not follow it, and notes what it was", () => {
    const self = { id: "00000000000a", incarnation: 1, address: "a:1" }
    const config = { mode: "run-to-completion", self, name: "a", datacenter: "dc", labels: {}, contacts: [] } as const
    const machine = Member.make(config, new Map(), 1, wall)
    const [started] = machine.step(machine.initial, { now: 0, wall, event: { _tag: "Started" } })
    const entry = { ...stampOf(true, 0), epoch: 60_000 }
    const payload = Config.entry({ ...entryOf(true, 0), revision: entry }).raw
    const delivery: Wiring.Delivery = { to: "facts", event: { _tag: "Delivered", id: null, topic: 0, payload } }
    const [state] = machine.step(started, { now: 1, wall: wall + 1, event: { _tag: "Command", delivery } })
    assert.strictEqual(state.counters.refused, 1)
    assert.strictEqual(state.clock.refused, 1)
    assert.strictEqual(state.clock.reading.epoch, 0)
    assert.strictEqual(state.cells.facts.state.counters.entriesAside, 1)
    assert.strictEqual(HashMap.size(state.cells.facts.state.pending), 0)
  })
})

import { assert, describe, it } from "@effect/vitest"
import { Config, EventLog, NodeDoc } from "@starling/fleet"
import { SeqSet } from "@starling/machine"
import * as fc from "fast-check"
import * as HashMap from "effect/HashMap"
import * as Option from "effect/Option"

const nodes = ["aaaaaaaaaaaa", "bbbbbbbbbbbb", "cccccccccccc"]

const entryOf = (writer: number, seq: number, key: number, wall: number): Config.Entry =>
  Config.entry({
    key: `k${key}`,
    value: `${writer}.${seq}`,
    revision: { epoch: 0, wall, counter: 0, node: nodes[writer] as string },
    selector: "",
    author: "a",
    note: "",
    wall,
    operation: "set",
    dot: { writer: nodes[writer] as string, generation: 1, seq }
  })

const entry = fc
  .tuple(fc.nat(2), fc.integer({ min: 1, max: 30 }), fc.nat(1), fc.nat(12))
  // One dot has one entry.
  .map(([writer, seq]) => entryOf(writer, seq, (writer + seq) % 2, (writer * 7 + seq * 5) % 13))

const entries = fc.array(entry, { maxLength: 60 })

const merged = (list: ReadonlyArray<Config.Entry>, from: Config.Registers = Config.empty): Config.Registers =>
  list.reduce((registers, one) => Config.merge(registers, one).registers, from)

const normal = (registers: Config.Registers): unknown => ({
  keys: [...registers.keys].map(([key, history]) => [key, history.map(({ dot }) => Config.dotText(dot))]).toSorted(),
  entries: [...HashMap.keys(registers.entries)].toSorted(),
  vector: Config.encodeVector(registers.vector).toSorted(),
  pruned: Config.encodeVector(registers.pruned).toSorted()
})

describe("Config", () => {
  it("merging is commutative, associative and idempotent: any order and repetition of entries gives the same registers", () => {
    fc.assert(
      fc.property(entries, fc.infiniteStream(fc.nat(1000)), (list, order) => {
        const shuffled = [...list, ...list.filter((_, i) => i % 3 === 0)]
          .map((one) => [order.next().value as number, one] as const)
          .toSorted(([a], [b]) => a - b)
          .map(([, one]) => one)
        assert.deepStrictEqual(normal(merged(shuffled)), normal(merged(list)))
      })
    )
  })

  it("the entry that counts is the one with the greatest stamp", () => {
    fc.assert(
      fc.property(entries, (list) => {
        const registers = merged(list)
        for (const key of ["k0", "k1"]) {
          const greatest = list
            .filter((one) => one.key === key)
            .toSorted(Config.compare)
            .at(-1)
          assert.deepStrictEqual(Config.head(registers, key)?.dot, greatest?.dot)
        }
      })
    )
  })

  it("a history never exceeds ten, and what falls out of it stays received", () => {
    fc.assert(
      fc.property(entries, (list) => {
        const registers = merged(list)
        for (const history of HashMap.values(registers.keys)) assert.isAtMost(history.length, Config.historyMax)
        for (const { dot } of list) {
          assert.isTrue(Config.hasDot(registers.vector, dot))
          assert.strictEqual(Config.hasDot(registers.pruned, dot), !HashMap.has(registers.entries, Config.dotText(dot)))
        }
      })
    )
  })

  it("what one side lacks by its vector is all it takes to make two sides equal", () => {
    fc.assert(
      fc.property(entries, entries, (left, right) => {
        const sync = (from: Config.Registers, to: Config.Registers): Config.Registers => {
          let out = to
          let skipped: Config.Vector = HashMap.empty()
          for (const dot of Config.missingDots(from.vector, to.vector, 1000)) {
            const one = Option.getOrUndefined(HashMap.get(from.entries, Config.dotText(dot)))
            if (one === undefined) skipped = Config.addDot(skipped, dot)
            else out = Config.merge(out, one).registers
          }
          return Config.skip(out, skipped)
        }
        const a = merged(left)
        const b = merged(right)
        const one = sync(b, a)
        const two = sync(one, b)
        assert.deepStrictEqual(normal(one), normal(two))
        assert.isTrue(Config.covers(one.vector, a.vector) && Config.covers(one.vector, b.vector))
      })
    )
  })

  it("an entry and a vector read back as they were written", () => {
    fc.assert(
      fc.property(entries, (list) => {
        for (const one of list) {
          const decoded = Config.decodeEntry(JSON.parse(JSON.stringify(Config.encodeEntry(one))))
          assert.deepStrictEqual(decoded, { ok: true, value: one })
        }
        const { vector } = merged(list)
        const decoded = Config.decodeVector(JSON.parse(JSON.stringify(Config.encodeVector(vector))))
        assert.isTrue(decoded.ok && Config.covers(decoded.value, vector) && Config.covers(vector, decoded.value))
      })
    )
  })

  it("dots taken out of a vector are missing from it, and nothing else is", () => {
    fc.assert(
      fc.property(entries, entries, (list, out) => {
        const { vector } = merged(list)
        const dots = out.map(({ dot }) => dot)
        const left = Config.without(vector, dots)
        for (const { dot } of list) {
          const taken = dots.some((one) => Config.dotText(one) === Config.dotText(dot))
          assert.strictEqual(Config.hasDot(left, dot), !taken)
        }
        for (const seqs of HashMap.values(left)) assert.isTrue(SeqSet.decode(SeqSet.encode(seqs)).ok)
      })
    )
  })

  it("no plain data makes a decoder throw", () => {
    fc.assert(
      fc.property(fc.anything(), fc.array(fc.anything(), { minLength: 11, maxLength: 12 }), (any, list) => {
        for (const input of [any, list]) {
          Config.decodeEntry(input)
          Config.decodeVector(input)
          NodeDoc.decodeDelta(input)
        }
      })
    )
  })

  it("says which field of a change is wrong, and what would be right", () => {
    const right = { key: "sampling/rate", value: "1", selector: "", author: "", note: "" }
    assert.strictEqual(Config.refusalOf(right), undefined)
    const table: ReadonlyArray<readonly [Partial<typeof right>, string]> = [
      [{ key: "" }, "key"],
      [{ key: "Upper" }, "key"],
      [{ key: "a//b" }, "key"],
      [{ key: "a/" }, "key"],
      [{ key: "a".repeat(256) }, "key"],
      [{ value: "é".repeat(33 * 1024) }, "value"],
      [{ selector: "role edge" }, "selector"],
      [{ author: "a".repeat(257) }, "author"],
      [{ note: "a".repeat(1025) }, "note"]
    ]
    for (const [change, where] of table) assert.strictEqual(Config.refusalOf({ ...right, ...change })?.where, where)
    assert.strictEqual(Config.refusalOf({ ...right, value: "é".repeat(32 * 1024) }), undefined)
  })
})

/** A history of one document: each step writes one of few keys. */
const writes = fc.array(fc.tuple(fc.constantFrom("publisher/0", "publisher/1", "pulse", "event"), fc.nat(1000)), {
  minLength: 1,
  maxLength: 25
})

const build = (
  list: ReadonlyArray<readonly [string, number]>,
  run = { incarnation: 1, built: 5 }
): ReadonlyArray<NodeDoc.NodeDoc> => {
  const out = [NodeDoc.empty("aaaaaaaaaaaa", run)]
  for (const [key, value] of list) {
    const doc = out.at(-1) as NodeDoc.NodeDoc
    out.push(NodeDoc.writeRaw(doc, key === "event" ? NodeDoc.eventKey(1, value) : key, value === 0 ? null : [value]))
  }
  return out
}

const raws = (doc: NodeDoc.NodeDoc | undefined): unknown =>
  doc === undefined
    ? undefined
    : [
        NodeDoc.knownOf(doc),
        doc.events,
        [...doc.records].map(([key, { raw, version }]) => [key, version, raw]).toSorted()
      ]

describe("NodeDoc", () => {
  it("deltas in any order and repetition bring every copy to the document, once gaps are asked for", () => {
    fc.assert(
      fc.property(
        writes,
        fc.array(fc.nat(1000), { minLength: 1, maxLength: 30 }),
        fc.integer({ min: 1, max: 400 }),
        (list, order, bytesMax) => {
          const states = build(list)
          const last = states.at(-1) as NodeDoc.NodeDoc
          let copy: NodeDoc.NodeDoc | undefined
          const take = (delta: NodeDoc.DocDelta) => {
            const decoded = NodeDoc.decodeDelta(JSON.parse(JSON.stringify(NodeDoc.encodeDelta(delta))))
            if (!decoded.ok) throw new Error(decoded.reason)
            const applied = NodeDoc.apply(copy, decoded.value)
            if (applied._tag === "Newer") copy = applied.doc
          }
          for (const number of order) {
            const from = states[number % states.length] as NodeDoc.NodeDoc
            const to = states[(number * 7) % states.length] as NodeDoc.NodeDoc
            const part = NodeDoc.since(to, NodeDoc.knownOf(from), bytesMax)
            if (part !== undefined) take(part.delta)
          }
          for (;;) {
            const part = NodeDoc.since(last, copy === undefined ? NodeDoc.unknown : NodeDoc.knownOf(copy), bytesMax)
            if (part === undefined) break
            take(part.delta)
          }
          assert.deepStrictEqual(raws(copy), raws(last))
        }
      )
    )
  })

  it("a later run replaces every record of an earlier one, and an earlier one changes nothing", () => {
    fc.assert(
      fc.property(writes, writes, fc.boolean(), (first, second, byIncarnation) => {
        const old = build(first).at(-1) as NodeDoc.NodeDoc
        const run = byIncarnation ? { incarnation: 2, built: 1 } : { incarnation: 1, built: 6 }
        const next = build(second, run).at(-1) as NodeDoc.NodeDoc
        const part = NodeDoc.since(next, NodeDoc.knownOf(old), 1_000_000)
        assert.isDefined(part)
        const applied = NodeDoc.apply(old, part.delta)
        assert.strictEqual(applied._tag, "Newer")
        if (applied._tag !== "Newer") return
        assert.deepStrictEqual(raws(applied.doc), raws(next))
        const back = NodeDoc.since(old, NodeDoc.unknown, 1_000_000)
        assert.isTrue(back === undefined || NodeDoc.apply(next, back.delta)._tag === "Old")
        assert.strictEqual(NodeDoc.since(old, NodeDoc.knownOf(next), 1_000_000), undefined)
      })
    )
  })

  it("keeps the newest events only, the same ones in every copy", () => {
    let doc = NodeDoc.empty("aaaaaaaaaaaa", { incarnation: 1, built: 1 })
    for (let seq = 1; seq <= NodeDoc.eventsMax + 30; seq++) doc = NodeDoc.writeRaw(doc, NodeDoc.eventKey(1, seq), [seq])
    assert.strictEqual(HashMap.size(doc.records), NodeDoc.eventsMax)
    assert.strictEqual(doc.events[0], NodeDoc.eventKey(1, 31))
    const part = NodeDoc.since(doc, NodeDoc.unknown, 10_000_000)
    const applied = part === undefined ? undefined : NodeDoc.apply(undefined, part.delta)
    assert.deepStrictEqual(raws(applied?._tag === "Newer" ? applied.doc : undefined), raws(doc))
  })

  it("does not take more records than its bound, and says how many it refused", () => {
    const records = Array.from({ length: NodeDoc.recordsMax + 7 }, (_, i) => ({
      key: `later/${i}`,
      version: i + 1,
      raw: [i],
      value: undefined
    }))
    const applied = NodeDoc.apply(undefined, {
      id: "aaaaaaaaaaaa",
      incarnation: 1,
      built: 1,
      from: 0,
      to: 9000,
      records
    })
    assert.strictEqual(applied._tag === "Newer" && applied.refused, 7)
  })
})

const eventOf = (origin: number, seq: number): EventLog.Event => ({
  _tag: "Event",
  origin: nodes[origin] as string,
  incarnation: 1,
  seq,
  stamp: { epoch: 0, wall: seq * 3 + origin, counter: 0, node: nodes[origin] as string },
  wall: 1,
  name: "n",
  datacenter: "d",
  app: "",
  severity: "info",
  body: "",
  attributes: {},
  raw: []
})

const log = (list: ReadonlyArray<EventLog.Event>): EventLog.EventLog =>
  list.reduce((log, event) => EventLog.add(log, event).log, EventLog.empty)

describe("EventLog", () => {
  it("is the same for any order and repetition of events, and sorted by stamp", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(2), fc.nat(300)), { maxLength: 400 }), (list) => {
        const events = list.map(([origin, seq]) => eventOf(origin, seq))
        const one = EventLog.toArray(log(events))
        assert.deepStrictEqual(one, EventLog.toArray(log([...events.toReversed(), ...events])))
        assert.deepStrictEqual(one, one.toSorted(EventLog.compare))
        assert.strictEqual(new Set(one.map(EventLog.idOf)).size, one.length)
      })
    )
  })

  it("keeps the newest of each node, whichever way they come", () => {
    const many = Array.from({ length: EventLog.perOriginMax + 50 }, (_, i) => eventOf(0, i + 1))
    for (const list of [many, many.toReversed()]) {
      const events = EventLog.toArray(log([...list, eventOf(1, 1)]))
      assert.strictEqual(events.length, EventLog.perOriginMax + 1)
      assert.strictEqual(events.find(({ origin }) => origin === nodes[0])?.seq, 51)
    }
  })

  it("an id reads back as it was written, and nothing else is an id", () => {
    assert.deepStrictEqual(EventLog.parseId(EventLog.idOf(eventOf(1, 7))), { origin: nodes[1], incarnation: 1, seq: 7 })
    for (const text of ["", "bbbbbbbbbbbb.1", "bbbbbbbbbbbb.1.x", "zz.1.1"]) assert.isUndefined(EventLog.parseId(text))
  })

  it("says of one origin's events that one came after the other, of others only what the clocks show", () => {
    const at = (origin: number, wall: number, epoch = 0): EventLog.Event => ({
      ...eventOf(origin, wall),
      stamp: { epoch, wall, counter: 0, node: nodes[origin] as string }
    })
    assert.strictEqual(EventLog.relation(undefined, at(0, 1)), "unknown")
    assert.strictEqual(EventLog.relation(at(0, 1), at(0, 2)), "after")
    assert.strictEqual(EventLog.relation(at(0, 1), at(1, 501)), "unknown")
    assert.strictEqual(EventLog.relation(at(0, 1), at(1, 502)), "by-clock")
    assert.strictEqual(EventLog.relation(at(0, 1), at(1, 1, 1)), "by-clock")
  })
})

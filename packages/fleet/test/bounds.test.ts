import { assert, describe, it } from "@effect/vitest"
import type { Stamp } from "@starling/clock"
import { Config, Facts, Liveness, NodeDoc, Query } from "@starling/fleet"
import { Rng } from "@starling/machine"
import * as fc from "fast-check"
import * as HashMap from "effect/HashMap"
import { set } from "./network.ts"

const wall = 1_750_000_000_000

const selfId = "aaaaaaaaaaaa"

const make = (
  options: { readonly wall?: number; readonly docsMax?: number; readonly stored?: Facts.Stored } = {}
): Facts.State =>
  Facts.make(
    {
      ...Facts.defaults,
      docsMax: options.docsMax ?? Facts.defaults.docsMax,
      self: { id: selfId, incarnation: 1, address: "10.0.0.1:7740", name: "a", datacenter: "x", labels: {} },
      startedAt: wall
    },
    options.stored ?? new Map(),
    Rng.make(1),
    options.wall ?? wall
  )

/** A machine driven by hand: what its steps asked for is in `actions`. */
class Driven {
  now = 0
  state: Facts.State
  actions: ReadonlyArray<Facts.Action> = []

  constructor(state: Facts.State) {
    this.state = state
  }

  step(event: Facts.Event): ReadonlyArray<Facts.Action> {
    const stamp: Stamp.Stamp = { epoch: 0, wall: wall + ++this.now, counter: 0, node: selfId }
    const [state, actions] = Facts.step(this.state, { now: this.now, event, stamp, wall: wall + this.now })
    this.state = state
    this.actions = actions
    assert.deepStrictEqual(Facts.invariants(state), [])
    return actions
  }

  written(): ReadonlyArray<Facts.Action> {
    const tokens = this.actions.flatMap((action) => (action._tag === "Write" ? [action.token] : []))
    return tokens.flatMap((token) => this.step({ _tag: "Written", token }))
  }
}

const emitted = (actions: ReadonlyArray<Facts.Action>): ReadonlyArray<Facts.Output> =>
  actions.flatMap((action) => (action._tag === "Emit" ? [action.output] : []))

describe("writes", () => {
  it("are not acknowledged by an answer to the write of a predecessor, nor by a token nobody gave out", () => {
    const before = new Driven(make())
    for (let i = 0; i < 5; i++) before.step(set(`k/${i}`, "1"))
    const old = before.actions.flatMap((action) => (action._tag === "Write" ? [action.token] : []))
    const after = new Driven(make({ wall: wall + 7 }))
    const [own] = after.step(set("k/new", "2")).flatMap((action) => (action._tag === "Write" ? [action.token] : []))
    for (const token of [...old, 0, 1, 6, Number.MAX_SAFE_INTEGER, (own ?? 0) + 1, (own ?? 0) - 1]) {
      assert.deepStrictEqual(emitted(after.step({ _tag: "Written", token })), [], `${token}`)
    }
    const answers = emitted(after.step({ _tag: "Written", token: own ?? 0 })).map(({ _tag }) => _tag)
    assert.includeMembers(answers, ["Answer", "Broadcast"])
  })
})

const idOf = (index: number): string => (0xb00000000000 + index).toString(16)

const neighbor = { link: 1, peer: { id: idOf(0), incarnation: 1, address: "10.0.0.2:7740" } }

const linked = (state: Facts.State): Driven => {
  const driven = new Driven(state)
  driven.step({ _tag: "Neighbors", version: 1, neighbors: [neighbor] })
  return driven
}

const digest = (from: number, to: number, first: boolean, last: boolean): Facts.Event => ({
  _tag: "Received",
  link: neighbor.link,
  message: {
    _tag: "Digest",
    reply: false,
    first,
    last,
    docs: Array.from(
      { length: to - from },
      (_, i) => [idOf(from + i), { incarnation: 1, built: 1, version: 1 }] as const
    ),
    config: null,
    relays: true
  }
})

const profileOf = (index: number, left: boolean = false): Facts.Event => {
  const doc = NodeDoc.write(NodeDoc.empty(idOf(index), { incarnation: left ? 2 : 1, built: 1 }), "profile", {
    _tag: "Profile",
    name: `n${index}`,
    datacenter: "x",
    address: `10.0.0.9:${index}`,
    labels: {},
    since: wall,
    left: left ? { epoch: 0, wall, counter: 0, node: idOf(index) } : null
  })
  const part = NodeDoc.since(doc, NodeDoc.unknown, 100_000)
  return {
    _tag: "Received",
    link: neighbor.link,
    message: { _tag: "Delta", docs: part === undefined ? [] : [part.delta], via: [] }
  }
}

const tick = (driven: Driven): ReadonlyArray<Facts.Action> =>
  driven.step({ _tag: "TimerFired", timer: { _tag: "Tick", round: driven.state.timers.Tick.round } })

const closed = (actions: ReadonlyArray<Facts.Action>): ReadonlyArray<Facts.Action> =>
  actions.filter(({ _tag }) => _tag === "Close")

describe("one peer", () => {
  it("names as many documents as a node may keep, in parts; one more closes the link and leaves nothing behind", () => {
    const driven = linked(make({ docsMax: 100 }))
    for (let part = 0; part < 10; part++) {
      assert.deepStrictEqual(closed(driven.step(digest(part * 10, part * 10 + 10, part === 0, false))), [])
    }
    // A part that comes again names nobody new.
    assert.deepStrictEqual(closed(driven.step(digest(0, 10, false, false))), [])
    assert.deepStrictEqual(closed(driven.step(digest(100, 101, false, false))), [
      { _tag: "Close", link: neighbor.link, reason: "violation" }
    ])
    assert.strictEqual(driven.state.counters.digestsRefused, 1)
    const link = HashMap.getUnsafe(driven.state.links, neighbor.link)
    assert.strictEqual(HashMap.size(link.arriving), 0)
    // In one part, too.
    assert.strictEqual(closed(driven.step(digest(0, 101, true, true))).length, 1)
    assert.isUndefined(HashMap.getUnsafe(driven.state.links, neighbor.link).known)
  })

  it("does not grow what it is known to have by documents that are refused", () => {
    const driven = linked(make({ docsMax: 5 }))
    driven.step(digest(0, 5, true, true))
    for (let i = 0; i < 40; i++) driven.step(profileOf(i))
    assert.strictEqual(HashMap.size(driven.state.docs), 5)
    assert.strictEqual(driven.state.counters.documentsRefused, 36)
    const { known } = HashMap.getUnsafe(driven.state.links, neighbor.link)
    assert.strictEqual(known === undefined ? -1 : HashMap.size(known), 5)
  })
})

describe("nodes remembered in the store", () => {
  const rowOf = (index: number, heard: ReadonlyArray<number>): readonly [string, unknown] => [
    idOf(index),
    [1, `10.0.0.9:${index}`, `n${index}`, "x", [], ...heard]
  ]

  it("are as many as documents: those longest unheard of go, from the table too, and are counted", () => {
    const rows = Array.from({ length: 30 }, (_, i) => rowOf(i, i < 5 ? [] : [1000 - i]))
    const driven = new Driven(make({ docsMax: 10, stored: new Map([["peers", new Map(rows)]]) }))
    assert.deepStrictEqual(
      [...HashMap.keys(driven.state.remembered)].toSorted(),
      Array.from({ length: 10 }, (_, i) => idOf(5 + i))
    )
    assert.strictEqual(driven.state.counters.peersForgotten, 20)
    driven.step({ _tag: "Started" })
    const gone = tick(driven).flatMap((action) => (action._tag === "Write" ? action.rows : []))
    assert.deepStrictEqual(
      gone.map(({ key, table, value }) => [table, key, value]).toSorted(),
      [0, 1, 2, 3, 4, ...Array.from({ length: 15 }, (_, i) => 15 + i)].map((i) => ["peers", idOf(i), null]).toSorted()
    )
  })

  it("make room for nodes heard of now, and one that left is forgotten at once", () => {
    const rows = Array.from({ length: 8 }, (_, i) => rowOf(100 + i, [i]))
    const driven = linked(make({ docsMax: 10, stored: new Map([["peers", new Map(rows)]]) }))
    driven.step({ _tag: "Started" })
    for (let i = 0; i < 4; i++) driven.step(profileOf(i))
    driven.step(profileOf(107, true))
    const written = new Map<string, unknown>(rows)
    for (const action of tick(driven)) {
      if (action._tag !== "Write") continue
      for (const { key, table, value } of action.rows) {
        assert.strictEqual(table, "peers")
        if (value === null) written.delete(key)
        else written.set(key, value)
      }
    }
    assert.strictEqual(driven.state.counters.peersForgotten, 3)
    const expected = [0, 1, 2, 3, 103, 104, 105, 106].map(idOf).toSorted()
    assert.deepStrictEqual([...written.keys()].toSorted(), expected)
    assert.deepStrictEqual([...HashMap.keys(driven.state.remembered)].toSorted(), expected.slice(4))
    // The rows say when: the next run knows whom it heard of last.
    const again = make({ docsMax: 4, stored: new Map([["peers", written]]) })
    assert.deepStrictEqual([...HashMap.keys(again.remembered)].toSorted(), expected.slice(0, 4))
  })
})

describe("an answer", () => {
  it("is the same whatever was asked before, at whichever time", () => {
    const base = (): Facts.State => {
      const driven = linked(make())
      driven.step(digest(0, 3, true, true))
      for (let i = 0; i < 3; i++) {
        driven.now = i * 700 + 0.5
        driven.step(profileOf(i))
      }
      return driven.state
    }
    const asked = base()
    const states = (state: Facts.State, now: number): ReadonlyArray<string> =>
      Query.nodes(state, { now, wall, stamp: { epoch: 0, wall, counter: 0, node: selfId } }).items.map(
        (node) => `${node.name} ${node.state}`
      )
    const seen = new Set<string>()
    const instant = fc.oneof(
      fc.integer({ min: 0, max: 3000 }).map((i) => Liveness.graceMs - 500 + i),
      fc.integer({ min: 0, max: 40_000 })
    )
    fc.assert(
      fc.property(fc.array(instant, { maxLength: 12 }), (times) => {
        for (const now of times) {
          const answer = states(asked, now)
          assert.deepStrictEqual(answer, states(base(), now), `${now}`)
          seen.add(answer.join())
        }
      })
    )
    assert.isAbove(seen.size, 2)
  })

  it("changes with what it is made from, though the documents are the same", () => {
    const driven = linked(make())
    driven.step(profileOf(1))
    const peers = HashMap.make([
      idOf(7),
      { peer: { id: idOf(7), incarnation: 1, address: "h:1" }, name: "old", datacenter: "x", labels: {}, heard: 0 }
    ])
    const context = { now: 20_000, wall, stamp: { epoch: 0, wall, counter: 0, node: selfId } }
    const names = (state: Facts.State) => Query.nodes(state, context).items.map(({ name }) => name)
    assert.notInclude(names(driven.state), "old")
    assert.include(names({ ...driven.state, remembered: peers }), "old")
    const stateOf = (state: Facts.State) => Query.nodes(state, context).items.find(({ id }) => id === idOf(1))?.state
    assert.strictEqual(stateOf(driven.state), "offline")
    const heard = HashMap.set(driven.state.heard, idOf(1), 19_000)
    assert.strictEqual(stateOf({ ...driven.state, heard }), "suspect")
  })
})

const entryOf = (writer: string, seq: number, key: string, value: string | null): Config.Entry =>
  Config.entry({
    key,
    value,
    revision: { epoch: 0, wall: wall - 100_000 + seq, counter: 0, node: writer },
    selector: "",
    author: "a",
    note: "",
    wall,
    operation: value === null ? "delete" : "set",
    dot: { writer, generation: 1, seq }
  })

/** A store with this many keys, all of them deleted. */
const deleted = (keys: number): Facts.Stored => {
  const rows = Array.from({ length: keys }, (_, i) => entryOf(idOf(0), i + 1, `k/${i}`, null))
  return new Map([["config", new Map(rows.map((entry) => [Config.dotText(entry.dot), entry.raw]))]])
}

const deliver = (entry: Config.Entry): Facts.Event => ({ _tag: "Delivered", id: null, topic: 0, payload: entry.raw })

const rowsOf = (actions: ReadonlyArray<Facts.Action>): ReadonlyArray<string> =>
  actions.flatMap((action) =>
    action._tag === "Write"
      ? action.rows.map(({ key, table, value }) => `${table} ${key}${value === null ? " removed" : ""}`)
      : []
  )

const told = (actions: ReadonlyArray<Facts.Action>): ReadonlyArray<string> =>
  emitted(actions).flatMap((output) =>
    output._tag === "Answer" ? [output.answer._tag] : output._tag === "Broadcast" ? ["Broadcast"] : []
  )

describe("a node whose keys are at their maximum", () => {
  it("refuses a key it does not know, though every key is deleted, and takes one it knows", () => {
    const driven = new Driven(make({ stored: deleted(Config.keysStoredMax) }))
    assert.strictEqual(driven.state.liveKeys, 0)
    const actions = driven.step(set("new", "1"))
    const [output] = emitted(actions)
    assert.deepStrictEqual(rowsOf(actions), [])
    assert.match(
      output?._tag === "Answer" && output.answer._tag === "Invalid" ? output.answer.message : "",
      /20000 keys.*use a key that was set before/
    )
    driven.step(set("k/7", "1"))
    assert.deepStrictEqual(told(driven.written()), ["Config", "Broadcast"])
  })

  it("notes the dot of an entry it has no room for: not asked for again, not called received, not called superseded", () => {
    const stored = deleted(Config.keysStoredMax)
    const driven = linked(make({ stored }))
    const entry = entryOf(idOf(0), Config.keysStoredMax + 1, "new", "1")
    const actions = driven.step(deliver(entry))
    assert.deepStrictEqual(rowsOf(actions), ["meta refused"])
    driven.step(deliver(entry))
    const meta = actions.flatMap((action) => (action._tag === "Write" ? action.rows : []))
    const after = make({ stored: new Map([...stored, ["meta", new Map(meta.map(({ key, value }) => [key, value]))]]) })
    for (const state of [driven.state, after]) {
      assert.isTrue(Config.hasDot(state.registers.vector, entry.dot))
      assert.isFalse(Config.hasDot(state.registers.pruned, entry.dot))
      const status = NodeDoc.valueOf(HashMap.getUnsafe(state.docs, selfId), "config", "ConfigStatus")
      assert.isFalse(status === undefined || Config.hasDot(status.received, entry.dot))
      assert.isFalse(status === undefined || Config.hasDot(status.settled, entry.dot))
    }
    assert.strictEqual(driven.state.counters.keysRefused, 1)
    // A neighbour that has all but this one is told nothing about it.
    const config = Config.without(driven.state.registers.vector, [entry.dot])
    const message = { _tag: "Digest", reply: false, first: true, last: true, docs: [], config, relays: true } as const
    driven.step({ _tag: "Received", link: neighbor.link, message })
    const sent = driven.step({ _tag: "TimerFired", timer: { _tag: "Flush", round: driven.state.timers.Flush.round } })
    assert.isFalse(sent.some((action) => action._tag === "Send" && action.message._tag === "Entries"))
  })

  it("answers as invalid, and does not broadcast, what found the last room taken when it was durable", () => {
    const driven = new Driven(make({ stored: deleted(Config.keysStoredMax - 1) }))
    const first = driven.step(set("one", "1"))
    const second = driven.step(set("two", "2"))
    driven.actions = first
    assert.deepStrictEqual(told(driven.written()), ["Config", "Broadcast"])
    driven.actions = second
    const actions = driven.written()
    assert.deepStrictEqual(told(actions), ["Invalid"])
    assert.include(rowsOf(actions), `config ${selfId}.1.2 removed`)
    assert.strictEqual(driven.state.counters.keysRefused, 1)
    assert.isUndefined(Config.head(driven.state.registers, "two"))
  })
})

describe("writers of configuration", () => {
  const full = (): Facts.Stored => {
    const rows = Array.from({ length: Config.writersMax }, (_, i) => entryOf(idOf(i), 1, "k", `${i}`))
    const pruned: Config.Vector = HashMap.fromIterable(rows.map(({ dot }) => [Config.writerOf(dot), [[1, 1]]] as const))
    return new Map([["meta", new Map([["pruned", Config.encodeVector(pruned)]])]])
  }

  it("beyond the bound are refused where they write and where they arrive, and every frame can be read", () => {
    const driven = new Driven(make({ stored: full() }))
    assert.strictEqual(HashMap.size(driven.state.registers.vector), Config.writersMax)
    assert.deepStrictEqual(told(driven.step(set("k", "1"))), ["Invalid"])
    const stranger = idOf(Config.writersMax)
    assert.deepStrictEqual(rowsOf(driven.step(deliver(entryOf(stranger, 1, "k", "1")))), [])
    assert.strictEqual(driven.state.counters.writersRefused, 1)
    assert.strictEqual(rowsOf(driven.step(deliver(entryOf(idOf(3), 2, "k", "1")))).length, 1)
    const config = driven.state.registers.vector
    assert.isTrue(Facts.decode(Facts.encode({ _tag: "Pull", config })).ok)
    const skipped: Config.Vector = HashMap.make([`${stranger}.1`, [[1, 1]] as const])
    assert.strictEqual(Config.skip(driven.state.registers, skipped).vector, config)
    assert.isTrue(HashMap.isEmpty(Config.takeable(config, skipped)))
  })

  it("held and being written at once still make a vector that is read, and one of more is cut", () => {
    const some = (from: number): Config.Vector =>
      HashMap.fromIterable(
        Array.from({ length: Config.writersMax }, (_, i) => [`${idOf(from + i)}.1`, [[1, 1]]] as const)
      )
    const vector = Config.joinVectors(some(0), some(Config.writersMax))
    const decoded = Config.decodeVector(Config.encodeVector(vector))
    assert.strictEqual(decoded.ok && HashMap.size(decoded.value), 2 * Config.writersMax)
    const more = Config.decodeVector(Config.encodeVector(Config.joinVectors(vector, some(2 * Config.writersMax))))
    assert.isTrue(more.ok && HashMap.size(more.value) === Config.writersReadMax)
  })
})

import { assert, describe, it } from "@effect/vitest"
import type { Stamp } from "@starling/clock"
import { Facts, Liveness, NodeDoc, Query } from "@starling/fleet"
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
    config: null
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
    message: { _tag: "Delta", docs: part === undefined ? [] : [part.delta] }
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

import { assert, describe, it } from "@effect/vitest"
import { Cell, Codec, LinkGate, type Machine, Peer } from "@starling/machine"
import * as fc from "fast-check"

const peer = (id: string, incarnation = 1): Peer.Peer => ({ id, incarnation, address: `${id}:1` })
const neighbor = (link: number): Machine.Neighbor => ({ link, peer: peer(`00000000000${link % 10}`) })

describe("Cell", () => {
  const doubling = (state: number, input: Machine.Input<number>): Machine.Step<number, string> => {
    if (input.event < 0) throw new Error("poison")
    return [state + input.event, Array.from({ length: input.event }, (_, i) => `${state}+${i}`)]
  }
  const at = (event: number) => ({ now: 0, event })

  it("commits state and actions together and gives the actions out one by one", () => {
    let cell = Cell.commit(Cell.make<number, string>(1), doubling, at(2))
    assert.strictEqual(cell.state, 3)
    const done: Array<string> = []
    for (let action = Cell.pending(cell); action !== undefined; action = Cell.pending(cell)) {
      assert.isFalse(Cell.isSettled(cell))
      done.push(action)
      cell = Cell.tick(cell)
    }
    assert.deepStrictEqual(done, ["1+0", "1+1"])
    assert.isTrue(Cell.isSettled(cell))
  })

  it("a step that throws leaves the cell as it was", () => {
    const cell = Cell.commit(Cell.make<number, string>(1), doubling, at(1))
    assert.throws(() => Cell.commit(cell, doubling, at(-1)), "poison")
    assert.strictEqual(cell.state, 2)
    assert.strictEqual(Cell.pending(cell), "1+0")
  })
})

describe("LinkGate", () => {
  it("holds a stranger's frames in order and releases them when it becomes a neighbour", () => {
    let gate: LinkGate.LinkGate<string> = LinkGate.empty
    gate = LinkGate.hold(LinkGate.hold(LinkGate.hold(gate, 1, "a"), 2, "x"), 1, "b")
    const change = LinkGate.accept(gate, 1, [neighbor(1)])
    assert.deepStrictEqual(
      change?.released.map((frame) => frame.message),
      ["a", "b"]
    )
    assert.deepStrictEqual(
      change?.gate.held.map((frame) => frame.message),
      ["x"]
    )
    assert.deepStrictEqual(change?.up, [neighbor(1)])
  })

  it("an older neighbour set changes nothing", () => {
    const change = LinkGate.accept(LinkGate.empty, 5, [neighbor(1)])
    assert.isDefined(change)
    assert.isUndefined(LinkGate.accept(change?.gate ?? LinkGate.empty, 5, []))
    assert.isUndefined(LinkGate.accept(change?.gate ?? LinkGate.empty, 4, []))
  })

  it("a link that goes down takes what it held with it", () => {
    const gate = LinkGate.hold(LinkGate.hold<string>(LinkGate.empty, 1, "a"), 2, "b")
    assert.deepStrictEqual(
      LinkGate.close(gate, 1).held.map((frame) => frame.message),
      ["b"]
    )
  })

  it("is bounded and counts what it drops", () => {
    let gate: LinkGate.LinkGate<number> = LinkGate.empty
    for (let i = 0; i < LinkGate.heldMax + 3; i++) gate = LinkGate.hold(gate, 1, i)
    assert.strictEqual(gate.held.length, LinkGate.heldMax)
    assert.strictEqual(gate.overflowed, 3)
  })

  it("up and down are what changed between two sets, by link", () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat(8)), fc.uniqueArray(fc.nat(8)), (before, after) => {
        const first = LinkGate.accept(LinkGate.empty, 1, before.map(neighbor))
        const change = LinkGate.accept(first?.gate ?? LinkGate.empty, 2, after.map(neighbor))
        assert.deepStrictEqual(
          change?.up.map((n) => n.link),
          after.filter((link) => !before.includes(link))
        )
        assert.deepStrictEqual(
          change?.down.map((n) => n.link),
          before.filter((link) => !after.includes(link))
        )
      })
    )
  })
})

describe("Codec", () => {
  it("a peer survives its encoding, with fields of later versions behind it", () => {
    const p = peer("a1b2c3d4e5f6", 7)
    const placed = Peer.within(p, "dc1")
    assert.deepStrictEqual(Peer.decode(Peer.encode(p)), { ok: true, value: p })
    assert.deepStrictEqual(Peer.decode([...Peer.encode(p), null, "later"]), { ok: true, value: p })
    assert.deepStrictEqual(Peer.decode([...Peer.encode(placed), "later"]), { ok: true, value: placed })
    // What a node reads that knows of no data centres.
    assert.deepStrictEqual(Peer.decode(Peer.encode(placed).slice(0, 3)), { ok: true, value: p })
  })

  it("decoding a peer never throws and accepts only peers", () => {
    fc.assert(
      fc.property(fc.anything(), (input) => {
        const decoded = Peer.decode(input)
        if (decoded.ok) assert.deepStrictEqual(Peer.decode(Peer.encode(decoded.value)), decoded)
      })
    )
  })

  it("a count is a whole number that survives the wire", () => {
    for (const good of [0, 1, Number.MAX_SAFE_INTEGER]) assert.isTrue(Codec.isCount(good))
    for (const bad of [-1, -0, 0.5, Number.NaN, Infinity, "1", null, 2 ** 53]) assert.isFalse(Codec.isCount(bad))
  })

  it("a list refuses more than its bound and names the reason", () => {
    const item: Codec.Decoder<number> = (input) =>
      Codec.isCount(input) ? Codec.accept(input) : Codec.refuse("not a count")
    assert.deepStrictEqual(Codec.list([1, 2], item, 2, "numbers"), { ok: true, value: [1, 2] })
    assert.deepStrictEqual(Codec.list([1, 2, 3], item, 2, "numbers"), {
      ok: false,
      reason: "numbers: 3 items, at most 2 are accepted"
    })
    assert.deepStrictEqual(Codec.list([1, "x"], item, 2, "numbers"), { ok: false, reason: "not a count" })
  })

  it("the estimated size grows with the content and survives any nesting", () => {
    assert.isAtLeast(Codec.sizeOf("x".repeat(1000)), 1000)
    assert.isAtLeast(Codec.sizeOf(new Uint8Array(1000)), 1000)
    let nested: unknown = 0
    for (let i = 0; i < 10_000; i++) nested = [nested]
    assert.isBelow(Codec.sizeOf(nested), 200)
  })
})

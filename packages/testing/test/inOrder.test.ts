/** What is held against ordered broadcasts, and what is not. */
import { assert, describe, it } from "@effect/vitest"
import { World } from "@starling/sim"
import { MemberFleet } from "@starling/testing"
import * as InOrder from "../src/internal/inOrder.ts"

const origin = "0000000000a1"
const at = { node: "0000000000b1", peer: { id: "0000000000b1", incarnation: 1 } }
const id = (seq: number, incarnation = 1) => ({ origin, incarnation, seq })

/** Every third of nine is ordered and accepted; then they are given in this order. */
const given = (...seqs: ReadonlyArray<number>): InOrder.Books => {
  const books = InOrder.make()
  for (let seq = 1; seq <= 9; seq++) {
    assert.strictEqual(InOrder.tell(books, origin, seq), seq % 3 === 0)
    InOrder.accept(books, seq, id(seq))
  }
  for (const seq of seqs) InOrder.give(books, at, id(seq))
  return books
}

describe("Ordered broadcasts", () => {
  it("are in order whatever comes between them, and where the one before is not given at all", () => {
    assert.deepStrictEqual(InOrder.judge(given(3, 2, 1, 6, 5, 4, 9)), [2, []])
    assert.deepStrictEqual(InOrder.judge(given(1, 9)), [0, []])
    assert.deepStrictEqual(InOrder.judge(given(1, 9, 3)), [0, []])
  })

  it("that are given before the one before are told of", () => {
    const told = [`${at.node}.1 was given ${origin}.1.6 before ${origin}.1.3`]
    assert.deepStrictEqual(InOrder.judge(given(1, 6, 3, 9)), [1, told])
    // Given twice is given the first time.
    assert.deepStrictEqual(InOrder.judge(given(1, 6, 3, 6, 9)), [1, told])
  })

  it("are excused where they are the first of their run, or have waited for too long", () => {
    assert.deepStrictEqual(InOrder.judge(given(6, 3, 9)), [1, []])
    const late = given(1, 6, 3, 9)
    late.given.get(`${at.node}.1`)?.late.add(`${origin}.1.6`)
    assert.deepStrictEqual(InOrder.judge(late), [1, []])
    const doubled = given(1, 6, 3, 9)
    doubled.doubled.add(`${origin}.1`)
    assert.deepStrictEqual(InOrder.judge(doubled), [0, []])
  })

  it("of members that only hear of each other are in order at all of them, and so many", () => {
    const fleet = MemberFleet.make({ seed: 3, size: 5, mode: "interleaved" })
    World.run(fleet.world, 5000)
    const sender = fleet.peers[1]?.id ?? ""
    for (let n = 0; n < 30; n++) MemberFleet.broadcast(fleet, sender, n)
    World.pass(fleet.world, 3000)
    assert.deepStrictEqual(MemberFleet.order(fleet), { inOrder: 9 * 5, broken: [] })
  })
})

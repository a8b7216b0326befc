/** What went wrong in other implementations of Plumtree; docs/protocols/pitfalls.md names each with its source. */
import { assert, describe, it } from "@effect/vitest"
import { LazyPushRepair, type MessageId } from "@starling/gossip"
import { id, neighbor, self } from "./plumtreeArbitraries.ts"

const { graftMaxMs, graftMinMs, graftMs } = LazyPushRepair.defaults

const run = (
  state: LazyPushRepair.State,
  now: number,
  ...events: ReadonlyArray<LazyPushRepair.Event>
): LazyPushRepair.State =>
  events.reduce((current, event) => {
    const [next] = LazyPushRepair.step(current, { now, event })
    assert.deepStrictEqual(LazyPushRepair.invariants(next), [])
    return next
  }, state)

const fresh = (): LazyPushRepair.State =>
  run(
    LazyPushRepair.make({ ...LazyPushRepair.defaults, self }, new Map(), 1),
    0,
    { _tag: "Started" },
    { _tag: "Neighbors", version: 1, neighbors: [neighbor(1), neighbor(2)] }
  )

/** A lazy neighbour announces at `now`, and the tree brings it `ms` later. */
const arrives = (
  state: LazyPushRepair.State,
  of: MessageId.MessageId,
  now: number,
  ms: number
): LazyPushRepair.State => {
  const items = [[of, 2]] as const
  const announced = run(state, now, { _tag: "Received", link: 1, message: { _tag: "IHave", items } })
  return run(announced, now + ms, { _tag: "Seen", id: of, link: 2, round: 1, mended: false })
}

describe("How long the tree is waited for before anybody is asked", () => {
  it("is longer than the tree took of late, longer still when somebody was asked in vain, and short again once it is quick", () => {
    const wait = (state: LazyPushRepair.State): number => LazyPushRepair.waits(state).firstMs
    const first = fresh()
    assert.strictEqual(wait(first), graftMs)
    const slow = arrives(first, id(1), 0, 450)
    assert.isAtLeast(wait(slow), 2 * 450)
    const late = run(slow, 500, { _tag: "Late" })
    assert.isAbove(wait(late), wait(slow))
    assert.isAtMost(wait(late), graftMaxMs)
    let quick = late
    for (let seq = 2; seq < 300; seq++) quick = arrives(quick, id(seq), seq * 1000, 5)
    assert.isBelow(wait(quick), wait(slow))
    assert.isAtLeast(wait(quick), graftMinMs)
  })
})

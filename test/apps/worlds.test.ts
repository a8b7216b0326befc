/** `bench sim` and `bench gossip` at tiny sizes, and the pages they make. Nothing here is a measurement. */
import { assert, describe, it } from "@effect/vitest"
import * as Chatter from "../../apps/lab/bench/sim/chatter.ts"
import * as Fleet from "../../apps/lab/bench/sim/fleet.ts"
import * as Gossip from "../../apps/lab/bench/gossip/rows.ts"
import * as States from "../../apps/lab/bench/gossip/states.ts"
import { BroadcastTree, LazyPushRepair, Shuffler, ViewManager } from "@starling/gossip"
import { measure } from "../../apps/lab/bench/measure.ts"
import * as Worlds from "../../apps/lab/src/bench/Worlds.ts"

const quiet = () => undefined

describe("bench sim", () => {
  it("loads a fleet in four ways, each with events, and the same ones every time", () => {
    const measured = Fleet.measure(40, quiet, quiet)
    const again = Fleet.measure(40, quiet, quiet)
    assert.strictEqual(measured.history, again.history)
    assert.deepStrictEqual(
      measured.loads.map(({ events }) => events),
      again.loads.map(({ events }) => events)
    )
    assert.deepStrictEqual(
      measured.loads.map(({ nodes }) => nodes),
      [40, 40, 40, 36]
    )
    const [joins, idle, broadcasts] = measured.loads
    assert.isAbove(joins?.events ?? 0, 40 * 5)
    // A tick, five pings and five pongs a second.
    assert.isAbove((idle?.events ?? 0) / (idle?.virtualSeconds ?? 1) / 40, 10)
    assert.isAbove((broadcasts?.events ?? 0) / (broadcasts?.virtualSeconds ?? 1) / 40, 20)
  })

  it("lets both simulators have the same talk", () => {
    const [ours, theirs] = [Chatter.starling(20), Chatter.simjs(20)]
    for (const talk of [ours, theirs]) talk.pass(10)
    const before = [ours.events(), theirs.events()]
    for (const talk of [ours, theirs]) talk.pass(100)
    const [a, b] = [ours.events() - (before[0] ?? 0), theirs.events() - (before[1] ?? 0)]
    // Of one that is greeted by itself ours refuses the dial, and theirs sends nothing.
    assert.isAtLeast(a, 20 * 100 * 9)
    assert.isAtLeast(b, 20 * 100 * 9)
    assert.isBelow(Math.abs(a - b), 0.2 * a)
  })

  const load = {
    name: "idle",
    nodes: 1000,
    virtualSeconds: 10,
    events: 2_000_000,
    seconds: 3,
    processorSeconds: 2,
    allocatedBytes: 4e9
  }

  it("makes a page of what was measured", () => {
    const page = Worlds.page({
      when: "2024-06-14 13:40, c1",
      machine: "a machine",
      load: { before: 0.5, after: 1.2 },
      fleets: [{ size: 1000, loads: [load], heapBytesOfNode: 20_480, residentMib: 300, history: "0" }],
      talks: [{ size: 1000, seconds: 10, starling: [900, 1000, 1200], simjs: [500, 480, 700] }]
    })
    assert.include(page, "2024-06-14 13:40, c1; a machine; load 0.5 before, 1.2 after.")
    assert.notInclude(page, "Goal")
    assert.include(page, "| 1,000 | idle | 2,000,000 | 1,000,000 | 1,000 | 1,500 | 2,000 | 0.20 |")
    assert.include(page, "| 1,000 | 20.0 | 300 | 200 |")
    assert.include(page, "| 1,000 | 1,000 | 900–1,200 | 500 | 480–700 | 2.00 × |")
  })

  it("says whether the goal for ten thousand nodes was reached", () => {
    const small = { size: 1000, loads: [load], heapBytesOfNode: 10_240, residentMib: 300, history: "0" }
    const pageOf = (events: number): string =>
      Worlds.page({
        when: "",
        machine: "",
        load: { before: 0, after: 0 },
        fleets: [
          small,
          { size: 10_000, loads: [{ ...load, events }], heapBytesOfNode: 10_240, residentMib: 300, history: "0" }
        ],
        talks: [{ size: 10_000, seconds: 10, starling: [1000], simjs: [500] }]
      })
    assert.include(pageOf(2_000_000), "Idle it is 1,000,000: reached.")
    const missed = pageOf(500_000)
    assert.include(missed, "Idle it is 250,000: missed by a factor of 4.0.")
    assert.include(missed, "Of the 4,000 ns of such an event the world itself takes some 1,000")
    assert.include(missed, "With 1,000 nodes it takes 1,000 in all.")
    assert.include(missed, "the states, 98 MiB here")
  })
})

describe("bench gossip", () => {
  const sizes: Gossip.Sizes = { fleet: 50, nodes: 8, heavy: 2 }

  it("begins with sound machines that are where a node of the fleet is", () => {
    const fleet = States.makeFleet(sizes.fleet)
    for (const node of [0, 17, 49]) {
      const view = States.view(fleet, node)
      const [tree, repair] = [States.tree(fleet, node, 49), States.repair(fleet, node, 49)]
      assert.deepStrictEqual(ViewManager.invariants(view), [])
      assert.deepStrictEqual(Shuffler.invariants(States.shuffler(fleet, node)), [])
      assert.deepStrictEqual(BroadcastTree.invariants(tree), [])
      assert.deepStrictEqual(LazyPushRepair.invariants(repair), [])
      assert.lengthOf(view.active, 5)
      assert.isTrue(BroadcastTree.hasSeen(tree, States.idOf(fleet, node + 49, 1)))
      assert.isFalse(BroadcastTree.hasSeen(tree, States.idOf(fleet, node + 49, 2)))
    }
  })

  it("measures every machine, and weighs what it keeps", () => {
    const measured = measure(Gossip.rows(sizes), { rounds: 1, roundMs: 30 })
    assert.deepStrictEqual(
      measured.map(({ name }) => name),
      ["view manager", "shuffler", "broadcast tree", "lazy-push repair"]
    )
    assert.isTrue(measured.every(({ figures }) => figures.every(({ bytes, median }) => median > 0 && bytes > 0)))
    let heap = 0
    const weights = Gossip.weights(sizes, quiet, () => (heap += 1000))
    assert.isTrue(weights.every(({ bytes }) => bytes > 0))
  })
})

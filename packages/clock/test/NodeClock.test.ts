import { assert, describe, it } from "@effect/vitest"
import { EffectiveTime, Guard, Lease, NodeClock, Stamp } from "@starling/clock"
import * as fc from "fast-check"

const node = "a1b2c3d4e5f6"
const other = "b1b2c3d4e5f6"
const base = 1_700_000_000_000
const config: NodeClock.Config = { node, guard: Guard.defaults, time: EffectiveTime.defaults }
const fresh = NodeClock.make(config, Lease.initial(new Map()))

/** `ms` after the start, by a clock that is `aheadMs` ahead. */
const at = (ms: number, aheadMs = 0) => ({ now: ms, wall: base + ms + aheadMs })

const fleetTime = (offset: number | undefined, alone = false) =>
  ({ _tag: "FleetTime", offset, alone, condition: "ok" }) as const
const lease = (limit: number, epoch = 0) => ({ _tag: "Lease", epoch, limit }) as const

/** Settled at once, with a lease of five seconds. */
const settled = (ms: number, aheadMs = 0) =>
  NodeClock.hear(NodeClock.hear(fresh, fleetTime(base), at(ms, aheadMs)), lease(base + ms + 5000), at(ms, aheadMs))

/** Open by its own clock, since the fleet does not agree. */
const overdue = NodeClock.release(
  NodeClock.hear(NodeClock.hear(fresh, fleetTime(undefined, true), at(30_000)), lease(base + 34_000), at(30_000)),
  at(30_000)
)

const from = (wall: number, epoch = 0): Stamp.Stamp => ({ epoch, wall, counter: 0, node: other })

describe("NodeClock", () => {
  it("in probation stamps advance by the counter, whatever the own clock shows", () => {
    const [once, first] = NodeClock.stamp(fresh, at(0, 3_600_000))
    const [, second] = NodeClock.stamp(once, at(1000, 3_600_000))
    assert.deepStrictEqual([first.wall, first.counter, second.wall, second.counter], [0, 1, 0, 2])
  })

  it("the time counts only once it is leased", () => {
    const known = NodeClock.hear(fresh, fleetTime(base), at(100))
    assert.strictEqual(known.phase, "probation")
    assert.strictEqual(NodeClock.hear(known, lease(base + 50), at(100)).phase, "probation")
    assert.strictEqual(NodeClock.hear(known, lease(base + 5000), at(100)).phase, "ready")
  })

  it("what waited is stamped by when it happened, and everything else after it", () => {
    const ready = settled(3000)
    const [early, before] = NodeClock.stamp(ready, at(3000))
    assert.strictEqual(before.wall, 0, "nothing overtakes what waits")
    const [one, first] = NodeClock.stampOf(early, at(3010), 500)
    const [two, second] = NodeClock.stampOf(one, at(3020), 900)
    const [, now] = NodeClock.stamp(NodeClock.release(two, at(3030)), at(3030))
    assert.deepStrictEqual([first.wall, second.wall, now.wall], [base + 500, base + 900, base + 3030])
  })

  it("what waited on a clock hours ahead is stamped by the fleet's time of then", () => {
    const ahead = 3 * 3_600_000
    const [, stamp] = NodeClock.stampOf(settled(3000, ahead), at(3000, ahead), 500)
    assert.strictEqual(stamp.wall, base + 500)
  })

  it("a moment that is past is one in whole milliseconds of the wall clock, whatever the monotonic one counts in", () => {
    assert.deepStrictEqual(NodeClock.momentOf({ now: 3000.25, wall: base }, 2000.75), {
      now: 2000.75,
      wall: base - 1000
    })
  })

  it("a stamp received in probation is followed on release, unless it lies beyond the guard", () => {
    const held = NodeClock.receive(settled(3000), from(base + 2900), at(3000))
    assert.strictEqual(held.reading.wall, 0)
    const [, next] = NodeClock.stamp(NodeClock.release(held, at(2000)), at(2000))
    assert.isTrue(Stamp.compare(next, from(base + 2900)) > 0)
    const poison = NodeClock.release(NodeClock.receive(settled(3000), from(base + 3_600_000), at(3000)), at(3001))
    assert.isAtMost(poison.reading.wall, base + 3001)
    assert.strictEqual(poison.refused, 1)
    assert.include(Guard.message(poison.lastRefused ?? assert.fail("it says why")), other)
  })

  it("in probation a higher epoch is followed at once, without its wall part, and what waited is stamped in it, under its lease", () => {
    const raised = NodeClock.receive(fresh, from(base + 100, 1), at(200))
    const [stamped, meanwhile] = NodeClock.stamp(raised, at(200))
    assert.deepStrictEqual([meanwhile.epoch, meanwhile.wall], [1, 0])
    const known = NodeClock.hear(NodeClock.hear(stamped, fleetTime(base), at(3000)), lease(base + 8000), at(3000))
    assert.strictEqual(known.phase, "probation", "the lease is of an epoch that was left")
    const ready = NodeClock.hear(known, lease(base + 8000, 1), at(3000))
    assert.strictEqual(ready.phase, "ready")
    const [after, waited] = NodeClock.stampOf(ready, at(3000), 500)
    assert.deepStrictEqual([waited.epoch, waited.wall], [1, base + 500])
    assert.deepStrictEqual(NodeClock.release(after, at(3000)).reading.epoch, 1)
  })

  it("an epoch that is heard of when the time is leased already needs a lease of its own", () => {
    const raised = NodeClock.receive(settled(3000), from(base + 100, 1), at(3000))
    assert.deepStrictEqual([raised.phase, raised.reading.epoch], ["probation", 1])
    assert.strictEqual(NodeClock.hear(raised, lease(base + 8000, 1), at(3000)).phase, "ready")
  })

  it("an epoch that no resets lead to is not followed in probation either", () => {
    const strange = NodeClock.receive(fresh, from(base, 1025), at(200))
    assert.deepStrictEqual([strange.reading, strange.refused], [fresh.reading, 1])
  })

  it("a reset to a time that the own clock calls wrong is followed with its epoch alone in a fleet that does not agree", () => {
    const raised = NodeClock.receive(overdue, from(base + 3_600_000, 1), at(31_000))
    const [, next] = NodeClock.stamp(NodeClock.hear(raised, lease(base + 36_000, 1), at(31_000)), at(31_000))
    assert.deepStrictEqual([next.epoch, next.wall], [1, base + 31_000])
  })

  it("in a fleet that does not agree, stamps within the guard of the own clock are followed, and others held, not refused", () => {
    const followed = NodeClock.receive(overdue, from(base + 30_900), at(31_000))
    assert.isTrue(Stamp.compare(NodeClock.stamp(followed, at(31_000, -5000))[1], from(base + 30_900)) > 0)
    const far = from(base + 3_600_000)
    assert.strictEqual(NodeClock.judge(followed, far, at(31_000))._tag, "Hold")
    const held = NodeClock.receive(followed, far, at(31_000))
    assert.deepStrictEqual([held.held, held.refused, held.reading], [far, 0, followed.reading])
  })

  it("what was held while open is judged when the fleet's time is known after all", () => {
    const stamp = from(base + 60_000)
    const held = NodeClock.receive(overdue, stamp, at(31_000))
    const followed = NodeClock.hear(held, fleetTime(base + 58_000), at(31_000))
    assert.isTrue(Stamp.compare(NodeClock.stamp(followed, at(31_000))[1], stamp) > 0)
    assert.isUndefined(followed.held)
    const refused = NodeClock.hear(held, fleetTime(base), at(31_000))
    assert.deepStrictEqual([refused.held, refused.refused, refused.reading], [undefined, 1, held.reading])
  })

  it("a stamp from outside of the fleet moves neither the epoch nor the clock beyond the guard, whatever the policy", () => {
    const accepting = { ...config, guard: { ...Guard.defaults, policy: "accept" } as const }
    const open = { ...NodeClock.release(settled(1000), at(1000)), config: accepting }
    const { guardMs } = Guard.defaults
    const limit = base + 1000 + guardMs
    const judged = (stamp: Stamp.Stamp) => NodeClock.judgeForeign(open, stamp, at(1000))
    assert.strictEqual(judged(from(limit))._tag, "Follow")
    assert.deepStrictEqual(judged(from(limit + 1)), {
      _tag: "TimestampAhead",
      stamp: from(limit + 1),
      cause: "wall",
      limit
    })
    assert.deepStrictEqual(judged(from(base, 1)), {
      _tag: "TimestampAhead",
      stamp: from(base, 1),
      cause: "epoch",
      limit: 0
    })
    assert.strictEqual(NodeClock.judge(open, from(base, 1), at(1000))._tag, "Follow", "a member begins an epoch")
  })

  it("a suspended machine is in probation again, and its stamps go on from where they were", () => {
    const open = NodeClock.release(settled(3000), at(3000))
    const [stamped, last] = NodeClock.stamp(open, at(3000))
    const doubtful = NodeClock.hear(stamped, fleetTime(undefined), at(3001, 3_600_000))
    assert.strictEqual(doubtful.phase, "probation")
    const [, next] = NodeClock.stamp(doubtful, at(3001, 3_600_000))
    assert.deepStrictEqual([next.wall, next.counter], [last.wall, last.counter + 1])
  })

  it("a reset leaves the epoch once", () => {
    const open = NodeClock.release(settled(3000), at(3000))
    const epoch = { _tag: "Epoch", expected: 0, wall: base + 3000 } as const
    const once = NodeClock.hear(open, epoch, at(3000))
    assert.strictEqual(once.reading.epoch, 1)
    assert.strictEqual(NodeClock.hear(once, epoch, at(3000)), once)
  })

  it("an answer for people bears the time as well as it is known, and moves nothing", () => {
    assert.strictEqual(NodeClock.present(fresh, at(70)).wall, base + 70)
    const open = NodeClock.release(settled(3000, 3_600_000), at(3000, 3_600_000))
    assert.strictEqual(NodeClock.present(open, at(3000, 3_600_000)).wall, base + 3000)
  })
})

type Move = (clock: NodeClock.NodeClock, at: { readonly now: number; readonly wall: number }) => NodeClock.NodeClock

const moves: fc.Arbitrary<Move> = fc.oneof(
  fc.constant<Move>((clock) => clock),
  fc.boolean().map(
    (known): Move =>
      (clock, at) =>
        NodeClock.hear(clock, fleetTime(known ? base : undefined), at)
  ),
  fc.nat(10_000).map(
    (ms): Move =>
      (clock, at) =>
        NodeClock.hear(clock, lease(base + at.now + ms, clock.reading.epoch), at)
  ),
  fc.tuple(fc.constantFrom(-10_000, -1, 0, 4000, 5001, 3_600_000), fc.nat(2)).map(
    ([ms, epoch]): Move =>
      (clock, at) =>
        NodeClock.receive(clock, from(base + at.now + ms, epoch), at)
  ),
  fc.constant<Move>(NodeClock.release),
  fc.nat(2).map(
    (expected): Move =>
      (clock, at) =>
        NodeClock.hear(clock, { _tag: "Epoch", expected, wall: base + at.now }, at)
  )
)

describe("a stamp from outside of the fleet that is to be followed", () => {
  it("was followed: what is stamped next comes after it, and nothing was refused", () => {
    const guardMs = Guard.defaults.guardMs
    const modes = fc.constantFrom<EffectiveTime.Config["mode"]>("population", "counter")
    // Around the own clock's limit, and around the fleet's.
    const beyond = fc.integer({ min: guardMs - 600, max: guardMs + 600 })
    const ahead = fc.oneof(fc.integer({ min: -300, max: 300 }), fc.constantFrom(3_600_000, Number.NaN))
    let followed = 0
    fc.assert(
      fc.property(modes, ahead, beyond, fc.nat(1), (mode, ahead, beyond, epochs) => {
        const now = at(1000, ahead)
        const clock = {
          ...NodeClock.release(settled(1000, ahead), now),
          config: { ...config, time: { ...config.time, mode } }
        }
        const received = { ...from(base + 1000 + beyond, epochs), counter: 7 }
        const verdict = NodeClock.judgeForeign(clock, received, now)
        assert.strictEqual(verdict._tag === "Follow", epochs === 0 && beyond <= guardMs)
        if (verdict._tag !== "Follow") return
        followed++
        const after = NodeClock.receive(clock, received, now)
        assert.strictEqual(after.refused, clock.refused)
        const [, next] = NodeClock.stamp(after, now)
        assert.isAbove(Stamp.compare(next, received), 0)
      })
    )
    assert.isAbove(followed, 0)
  })
})

describe("a node's stamps", () => {
  it("lie in no epoch below one that was heard of, whether or not the time is known", () => {
    const step = fc.tuple(fc.constantFrom("received", "known", "unknown", "alone", "leased", "released"), fc.nat(5))
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (script) => {
        let clock = fresh
        let most = 0
        for (const [index, [what, epoch]] of script.entries()) {
          const moment = at(index)
          switch (what) {
            case "received":
              most = Math.max(most, epoch)
              clock = NodeClock.receive(clock, from(base + index, epoch), moment)
              break
            case "leased":
              clock = NodeClock.hear(clock, lease(base + index + 5000, epoch), moment)
              break
            case "released":
              clock = NodeClock.release(clock, moment)
              break
            default:
              clock = NodeClock.hear(clock, fleetTime(what === "known" ? base : undefined, what === "alone"), moment)
          }
          const [next, drawn] = NodeClock.stamp(clock, moment)
          clock = next
          assert.strictEqual(drawn.epoch, most)
          if (clock.phase === "ready") {
            const [, waited] = NodeClock.stampOf(clock, moment, 0)
            assert.deepStrictEqual([waited.epoch, waited.wall], [most, Math.max(base, clock.reading.wall)])
          }
        }
      })
    )
  })

  it("strictly increase, and none leaves the guard, whatever is heard, received and jumped", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(moves, fc.nat(500), fc.constantFrom(0, 0, 0, -3_600_000, 200, 3_600_000)), { maxLength: 60 }),
        (script) => {
          let clock = fresh
          let last: Stamp.Stamp | undefined
          let now = 0
          for (const [move, ms, aheadMs] of script) {
            now += ms
            clock = move(clock, at(now, aheadMs))
            const [next, drawn] = NodeClock.stamp(clock, at(now, aheadMs))
            clock = next
            if (last !== undefined) assert.isTrue(Stamp.compare(last, drawn) < 0)
            // A counter that is full carries a millisecond; here none is.
            assert.isAtMost(drawn.wall, base + now + config.guard.guardMs)
            last = drawn
          }
        }
      ),
      { numRuns: 500 }
    )
  })
})

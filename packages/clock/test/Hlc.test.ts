import { assert, describe, it } from "@effect/vitest"
import { Hlc, HlcCell, Stamp } from "@starling/clock"
import * as fc from "fast-check"
import { counter, epoch, stamp } from "./arbitraries.ts"

const node = "a1b2c3d4e5f6"
const base = 1_700_000_000_000
const far = Number.MAX_SAFE_INTEGER

const reading: fc.Arbitrary<Hlc.Reading> = fc.record({
  epoch,
  wall: fc.oneof(fc.integer({ min: 0, max: Hlc.wallFollowMax }), fc.integer({ min: base, max: base + 5 })),
  counter,
  limit: fc.oneof(fc.integer({ min: base - 5, max: base + 5 }), fc.constant(far))
})

const wallNow = fc.oneof(
  fc.integer({ min: base - 5, max: base + 10 }),
  fc.integer({ min: -1, max: Stamp.wallMax + 1 }),
  fc.constantFrom(Number.NaN, Infinity, -Infinity, 0.5)
)

const isValid = (value: Hlc.Reading): boolean => Stamp.isStamp(Hlc.last(value, node))

const before = (a: Hlc.Reading, b: Hlc.Reading): boolean => Stamp.compare(Hlc.last(a, node), Hlc.last(b, node)) < 0

describe("Hlc", () => {
  it("a clock ahead of the last stamp is shown, with the counter at zero", () => {
    const [next, at] = Hlc.stamp({ epoch: 3, wall: base, counter: 9, limit: far }, base + 1, node)
    assert.deepStrictEqual(at, { epoch: 3, wall: base + 1, counter: 0, node })
    assert.deepStrictEqual(next, { epoch: 3, wall: base + 1, counter: 0, limit: far })
  })

  it("a clock that stands still or was set back advances the counter", () => {
    for (const now of [base, base - 3_600_000, Number.NaN]) {
      const [, at] = Hlc.stamp({ epoch: 0, wall: base, counter: 9, limit: far }, now, node)
      assert.deepStrictEqual(at, { epoch: 0, wall: base, counter: 10, node })
    }
  })

  it("a full counter carries one millisecond", () => {
    const [, at] = Hlc.stamp({ epoch: 0, wall: base, counter: Stamp.counterMax, limit: far }, base, node)
    assert.deepStrictEqual(at, { epoch: 0, wall: base + 1, counter: 0, node })
  })

  it("a lease that ran out lets the counter advance, not the wall part", () => {
    const [first, at] = Hlc.stamp({ epoch: 0, wall: base, counter: 0, limit: base + 2 }, base + 9, node)
    assert.strictEqual(at.wall, base + 2)
    const [second, later] = Hlc.stamp(first, base + 10, node)
    assert.deepStrictEqual(later, { epoch: 0, wall: base + 2, counter: 1, node })
    const [, after] = Hlc.stamp(Hlc.extend(second, { epoch: 0, limit: base + 99 }), base + 11, node)
    assert.deepStrictEqual(after, { epoch: 0, wall: base + 11, counter: 0, node })
  })

  it("a lease never shrinks, and one of another epoch changes nothing", () => {
    const cell: Hlc.Reading = { epoch: 1, wall: base, counter: 0, limit: base + 5 }
    assert.strictEqual(Hlc.extend(cell, { epoch: 1, limit: base + 4 }), cell)
    assert.strictEqual(Hlc.extend(cell, { epoch: 0, limit: base + 99 }), cell)
    assert.strictEqual(Hlc.extend(cell, { epoch: 1, limit: base + 99 }).limit, base + 99)
  })

  it("receiving follows the table of the hybrid logical clock", () => {
    const mine = { epoch: 0, wall: base, counter: 5, limit: far }
    const of = (wall: number, counter: number): Stamp.Stamp => ({ epoch: 0, wall, counter, node: "bbbbbbbbbbbb" })
    const table: ReadonlyArray<readonly [Stamp.Stamp, number, number, number]> = [
      [of(base, 9), base, base, 10], // l = m.l: the larger counter, plus one
      [of(base, 2), base, base, 6],
      [of(base - 1, 9), base - 1, base, 6], // l alone
      [of(base + 1, 9), base - 1, base + 1, 10], // m.l alone
      [of(base + 1, 9), base + 2, base + 2, 0], // the physical clock alone
      [of(base + 1, 9), base + 1, base + 1, 10],
      [of(base, Stamp.counterMax), base, base + 1, 0]
    ]
    for (const [received, now, wall, counter] of table) {
      assert.deepStrictEqual(Hlc.receive(mine, received, now), { ...mine, wall, counter })
    }
  })

  it("a higher epoch wins whatever the clocks say, and a lower one moves nothing but the counter", () => {
    const mine = { epoch: 4, wall: base, counter: 5, limit: far }
    const reset: Stamp.Stamp = { epoch: 5, wall: base - 1000, counter: 7, node: "bbbbbbbbbbbb" }
    assert.deepStrictEqual(Hlc.receive(mine, reset, base - 2000), {
      epoch: 5,
      wall: base - 1000,
      counter: 8,
      limit: base - 1000
    })
    const old: Stamp.Stamp = { epoch: 3, wall: base + 1_000_000, counter: 7, node: "bbbbbbbbbbbb" }
    assert.deepStrictEqual(Hlc.receive(mine, old, base), { ...mine, counter: 6 })
  })

  it("stamping moves every clock forward", () => {
    fc.assert(
      fc.property(reading, wallNow, (mine, now) => {
        const [next, at] = Hlc.stamp(mine, now, node)
        assert.isTrue(isValid(next))
        assert.isTrue(before(mine, next))
        assert.deepStrictEqual(at, Hlc.last(next, node))
      })
    )
  })

  it("receiving never lowers the clock, and puts it after what was received unless that is refused", () => {
    fc.assert(
      fc.property(reading, stamp, wallNow, (mine, received, now) => {
        const next = Hlc.receive(mine, received, now)
        assert.isTrue(isValid(next))
        assert.isTrue(before(mine, next))
        assert.isTrue(
          Hlc.refuses(mine, received) || Stamp.compare(received, { ...Hlc.last(next, node), node: "000000000000" }) < 0
        )
        assert.isTrue(next.epoch === mine.epoch || next.epoch === received.epoch)
      })
    )
  })

  it("a stamp of an impossible epoch, or at the end of the calendar, is refused and not followed", () => {
    const mine = Hlc.make(far)
    const wild: Stamp.Stamp = { epoch: Hlc.epochStepMax + 1, wall: base, counter: 0, node }
    const last: Stamp.Stamp = { epoch: 0, wall: Stamp.wallMax, counter: Stamp.counterMax, node }
    for (const received of [wild, last]) {
      assert.isTrue(Hlc.refuses(mine, received))
      assert.deepStrictEqual(Hlc.receive(mine, received, base), { epoch: 0, wall: base, counter: 0, limit: far })
    }
  })

  it("the wall part never exceeds the lease, unless a stamp that was received does", () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 20 }), { maxLength: 50 }),
        fc.integer({ min: 0, max: 20 }),
        (walls, limit) => {
          let mine = Hlc.make(base + limit)
          for (const now of walls) {
            const [next, at] = Hlc.stamp(mine, base + now, node)
            assert.isTrue(at.wall <= base + limit)
            mine = next
          }
        }
      )
    )
  })

  it("without a physical clock stamps advance by the counter from what was received, and a reset keeps the wall part", () => {
    fc.assert(
      fc.property(fc.array(stamp, { maxLength: 20 }), (received) => {
        let mine = Hlc.make(far)
        let most = 0
        for (const [index, one] of received.entries()) {
          if (!Hlc.refuses(mine, one)) most = Math.max(most, one.wall)
          mine = Hlc.receive(mine, one, Number.NaN)
          // A full counter may have carried once for each stamp received with one.
          assert.isAtMost(mine.wall, most + index + 1)
        }
        const next = Hlc.reset(mine, mine.epoch, Number.NaN)
        if (next !== undefined) assert.deepStrictEqual([next.wall, next.counter], [mine.wall, 0])
      })
    )
  })

  it("the cell, written in place, does what the value does", () => {
    fc.assert(
      fc.property(
        reading,
        fc.array(fc.tuple(fc.option(stamp, { nil: undefined }), wallNow), { maxLength: 30 }),
        (start, events) => {
          const cell = HlcCell.make(start, node)
          let mine = start
          for (const [received, now] of events) {
            if (received === undefined) {
              const [next, at] = Hlc.stamp(mine, now, node)
              assert.deepStrictEqual(HlcCell.stamp(cell, now), at)
              mine = next
            } else {
              HlcCell.receive(cell, received, now)
              mine = Hlc.receive(mine, received, now)
            }
            assert.deepStrictEqual(HlcCell.read(cell), mine)
          }
          HlcCell.write(cell, start)
          assert.deepStrictEqual(HlcCell.read(cell), start)
        }
      )
    )
  })

  it("an idle node whose clock is ahead of its stamps shows the clock, with the counter at zero", () => {
    fc.assert(
      fc.property(reading, fc.integer({ min: 1, max: 10_000 }), (mine, later) => {
        const now = mine.wall + later
        fc.pre(now <= Hlc.wallFollowMax)
        const [, at] = Hlc.stamp({ ...mine, limit: far }, now, node)
        assert.deepStrictEqual([at.epoch, at.wall, at.counter], [mine.epoch, now, 0])
      })
    )
  })

  it("a reset begins the next epoch with the physical clock, and only from the epoch it names", () => {
    const mine = { epoch: 2, wall: base + 1_000_000, counter: 5, limit: base + 1_005_000 }
    assert.deepStrictEqual(Hlc.reset(mine, 2, base), { epoch: 3, wall: base, counter: 0, limit: base })
    assert.isUndefined(Hlc.reset(mine, 1, base))
    assert.isUndefined(Hlc.reset(mine, 3, base))
    assert.isUndefined(Hlc.reset({ ...mine, epoch: Stamp.epochMax }, Stamp.epochMax, base))
  })

  it("two concurrent resets of one epoch end in the next one, whoever hears of whom first", () => {
    fc.assert(
      fc.property(reading, reading, wallNow, wallNow, fc.boolean(), (one, other, here, there, twice) => {
        fc.pre(one.epoch < Stamp.epochMax)
        const expected = one.epoch
        let a = Hlc.reset(one, expected, here)
        let b = Hlc.reset({ ...other, epoch: expected }, expected, there)
        assert.isDefined(a)
        assert.isDefined(b)
        const [fromA, fromB] = [Hlc.last(a, node), Hlc.last(b, "bbbbbbbbbbbb")]
        a = Hlc.receive(a, fromB, here)
        b = Hlc.receive(b, fromA, there)
        if (twice) a = Hlc.reset(a, expected, here) ?? a
        assert.strictEqual(a.epoch, expected + 1)
        assert.strictEqual(b.epoch, expected + 1)
      })
    )
  })
})

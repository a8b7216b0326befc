import { assert, describe, it } from "@effect/vitest"
import { Guard, Hlc, Stamp } from "@starling/clock"
import * as fc from "fast-check"
import { counter, epoch, stamp, wall } from "./arbitraries.ts"

const node = "a1b2c3d4e5f6"
const base = 1_700_000_000_000
const far = Number.MAX_SAFE_INTEGER
const mine: Hlc.Reading = { epoch: 4, wall: base, counter: 0, limit: far }
const at = (epoch: number, wall: number): Stamp.Stamp => ({ epoch, wall, counter: 0, node })
const accept: Guard.Config = { ...Guard.defaults, policy: "accept" }

const reading: fc.Arbitrary<Hlc.Reading> = fc.record({ epoch, wall, counter, limit: fc.constant(far) })

describe("Guard", () => {
  it("a stamp within five seconds of the fleet's time is followed, one beyond is refused", () => {
    assert.deepStrictEqual(Guard.judge(mine, at(4, base + 5000), base + 0.4), { _tag: "Follow" })
    assert.deepStrictEqual(Guard.judge(mine, at(4, base + 5001), base + 0.4), {
      _tag: "TimestampAhead",
      stamp: at(4, base + 5001),
      cause: "wall",
      limit: base + 5000
    })
  })

  it("the own clock has no say: what is judged is the distance to the fleet's time", () => {
    const poisoned = { ...mine, wall: base + 3_600_000 }
    assert.strictEqual(Guard.judge(poisoned, at(4, base + 5001), base)._tag, "TimestampAhead")
    assert.strictEqual(Guard.judge({ ...mine, wall: 0 }, at(4, base), base)._tag, "Follow")
  })

  it("before the fleet's time is settled, what might be refused is held back", () => {
    assert.strictEqual(Guard.judge(mine, at(4, base), undefined)._tag, "Hold")
    assert.strictEqual(Guard.judge(mine, at(3, base + 3_600_000), undefined)._tag, "Follow")
    assert.strictEqual(Guard.judge(mine, at(4, base), undefined, accept)._tag, "Follow")
  })

  it("an older epoch is harmless, a higher one is judged by its wall part too", () => {
    assert.strictEqual(Guard.judge(mine, at(3, Stamp.wallMax), base)._tag, "Follow")
    assert.strictEqual(Guard.judge(mine, at(5, base), base)._tag, "Follow")
    assert.strictEqual(Guard.judge(mine, at(5, base + 3_600_000), base)._tag, "TimestampAhead")
  })

  it("what nobody could follow is refused under either policy, and no other under accept", () => {
    fc.assert(
      fc.property(reading, stamp, fc.option(wall, { nil: undefined }), (reading, received, population) => {
        const verdict = Guard.judge(reading, received, population, accept)
        assert.strictEqual(verdict._tag, Hlc.refuses(reading, received) ? "TimestampAhead" : "Follow")
        if (Hlc.refuses(reading, received)) {
          assert.deepStrictEqual(Guard.judge(reading, received, population), verdict)
        }
      })
    )
  })

  it("a settled node never holds a wall part beyond the guard, unless it already did", () => {
    const now = fc.integer({ min: -10_000, max: 250 })
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.integer({ min: -20_000, max: 20_000 }), counter, epoch, now)), (received) => {
        let mine = Hlc.make(far)
        for (const [ahead, counter, epoch, own] of received) {
          const one: Stamp.Stamp = { epoch, wall: base + ahead, counter, node }
          if (Guard.judge(mine, one, base)._tag === "Follow") mine = Hlc.receive(mine, one, base + own)
          // One millisecond for the counter that was full when it was received.
          assert.isAtMost(mine.wall, base + Guard.defaults.guardMs + 1)
          assert.isTrue((Guard.poisonedBy(mine, base) ?? 0) <= 1)
        }
      })
    )
  })

  it("a node that lies beyond the guard itself is told by how much", () => {
    assert.strictEqual(Guard.poisonedBy({ ...mine, wall: base + 5010 }, base), 10)
    assert.isUndefined(Guard.poisonedBy({ ...mine, wall: base + 5000 }, base))
    assert.isUndefined(Guard.poisonedBy({ ...mine, wall: base + 3_600_000 }, undefined))
  })

  it("a refusal says what was wrong and what would be right", () => {
    const messageOf = (received: Stamp.Stamp): string => {
      const verdict = Guard.judge(mine, received, base)
      assert.strictEqual(verdict._tag, "TimestampAhead")
      return verdict._tag === "TimestampAhead" ? Guard.message(verdict) : ""
    }
    assert.strictEqual(
      messageOf(at(4, base + 6000)),
      "stamp 0004/2023-11-14T22:13:26.000Z/0000/a1b2c3d4e5f6 is not followed: it lies 1000 ms beyond " +
        "2023-11-14T22:13:25.000Z, the latest that the fleet's time allows; look at the clock of node a1b2c3d4e5f6"
    )
    assert.include(messageOf(at(4 + 1025, base)), "its epoch is 1029, and here none above 1028 can be one")
    assert.include(messageOf(at(4, Stamp.wallMax)), "it lies after 9999-12-30T23:59:59.999Z")
  })
})

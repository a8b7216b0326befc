import { assert, describe, it } from "@effect/vitest"
import { ClockBlock, type ClockEstimator, MedianEstimator, Stamp } from "@starling/clock"
import * as fc from "fast-check"

const self = "0000000000ff"
const base = 1_700_000_000_000
const peer = (i: number): string => i.toString(16).padStart(12, "0")
const demand = (need: number, size?: number): ClockEstimator.Demand => ({ need, size })
const { defaults } = MedianEstimator
const empty = (config = defaults): MedianEstimator.State => MedianEstimator.make(config, self, 1)

/** A block that says what these clocks show, heard just now. */
const saying = (
  walls: ReadonlyArray<readonly [origin: number, wall: number]>,
  own?: number
): ClockBlock.ClockBlock => ({
  own,
  median: undefined,
  samples: walls.map(([origin, wall]) => ({ origin, wall, age: 0, hops: 1 }))
})

const estimate = (state: MedianEstimator.State, at: ClockEstimator.Moment, demand: ClockEstimator.Demand) =>
  MedianEstimator.estimate(state, at, demand)[1]

/** A round, then a block. */
const tell = (state: MedianEstimator.State, kind: ClockEstimator.BlockKind, at: ClockEstimator.Moment, need = 1) =>
  MedianEstimator.block(MedianEstimator.estimate(state, at, demand(need))[0], kind, at)

describe("lowerMedian", () => {
  const good = fc.array(fc.double({ min: -10, max: 10, noNaN: true }), { minLength: 1, maxLength: 40 })

  it("with fewer than half of the values arbitrary it lies among the others", () => {
    const wild = fc.double({ min: -1e15, max: 1e15, noNaN: true })
    fc.assert(
      fc.property(good, fc.array(wild, { maxLength: 39 }), (good, bad) => {
        const median = MedianEstimator.lowerMedian([...bad.slice(0, good.length - 1), ...good]) as number
        assert.isTrue(median >= Math.min(...good) && median <= Math.max(...good))
      })
    )
  })

  it("with half of the values ahead it still does", () => {
    fc.assert(
      fc.property(good, (good) => {
        const bad = good.map((value) => value + 1e9)
        const median = MedianEstimator.lowerMedian([...bad, ...good]) as number
        assert.isTrue(median >= Math.min(...good) && median <= Math.max(...good))
      })
    )
  })

  it("it is what stands in the middle once the values are sorted", () => {
    const value = fc.oneof(fc.integer({ min: -3, max: 3 }), fc.double({ noNaN: true }))
    fc.assert(
      fc.property(fc.array(value, { minLength: 1, maxLength: 70 }), (values) => {
        const sorted = values.toSorted((a, b) => a - b)
        // A sum has no -0.
        assert.strictEqual(
          (MedianEstimator.lowerMedian(values) as number) + 0,
          (sorted[(values.length - 1) >> 1] as number) + 0
        )
      })
    )
  })

  it("it is one of the values, the earlier one of two in the middle, and of none there is none", () => {
    assert.strictEqual(MedianEstimator.lowerMedian([4, 1]), 1)
    assert.strictEqual(MedianEstimator.lowerMedian([3, 9, 1]), 3)
    assert.isUndefined(MedianEstimator.lowerMedian([]))
  })
})

interface Heard {
  readonly from: number
  readonly pause: number
  readonly late: number
  readonly own: number | undefined
  readonly samples: ReadonlyArray<ClockBlock.Sample>
}

const heard = (origins: number): fc.Arbitrary<Heard> =>
  fc.record({
    from: fc.integer({ min: 1, max: 5 }),
    pause: fc.constantFrom(0, 1, 100, 1000, 30_000),
    late: fc.constantFrom(0, 0.5, 20, 3000),
    own: fc.option(fc.integer({ min: base, max: base + 1000 }), { nil: undefined }),
    samples: fc
      .uniqueArray(
        fc.record({
          origin: fc.integer({ min: 1, max: origins }).map((n) => (n === 9 ? 0xff : n)),
          wall: fc.integer({ min: base, max: base + 1_000_000 }),
          age: fc.constantFrom(0, 1, 10, 200, 400),
          hops: fc.integer({ min: 1, max: ClockBlock.hopsMax })
        }),
        { maxLength: 8, selector: ({ origin }) => origin }
      )
      .map((all) => all.toSorted((a, b) => a.origin - b.origin))
  })

const absorb = (
  state: MedianEstimator.State,
  now: number,
  { from, late, own, samples }: Heard
): MedianEstimator.State =>
  MedianEstimator.absorb(state, peer(from), { own, median: own, samples }, late, { now, wall: base + now })

describe("MedianEstimator", () => {
  it("keeps the freshest sample of every clock, none of its own, and none that is too old, as a plain map does", () => {
    fc.assert(
      fc.property(fc.array(heard(20), { maxLength: 30 }), (blocks) => {
        let state = MedianEstimator.neighbors(empty(), [peer(1), peer(2)])
        const model = new Map<number, { readonly at: number; readonly offset: number }>()
        let now = 0
        const put = (origin: number, at: number, offset: number): void => {
          const known = model.get(origin)
          if (origin !== 0xff && at >= now - defaults.ttlMs && (known === undefined || known.at < at)) {
            model.set(origin, { at, offset })
          }
        }
        for (const one of blocks) {
          now += one.pause
          state = absorb(state, now, one)
          if (one.own !== undefined) put(one.from, now - one.late, one.own + one.late - now)
          for (const { age, origin, wall } of one.samples)
            put(origin, now - one.late - 100 * age, wall + one.late - now)
          assert.deepStrictEqual(MedianEstimator.invariants(state), [])
          const at = { now, wall: Number.NaN }
          const live = [...model.values()].filter(({ at }) => now - at <= defaults.ttlMs).map(({ offset }) => offset)
          assert.deepStrictEqual(
            MedianEstimator.offsets(state, at).toSorted((a, b) => a - b),
            live.toSorted((a, b) => a - b)
          )
          assert.strictEqual(MedianEstimator.votes(state, at), live.length)
          assert.strictEqual(estimate(state, at, demand(1)), MedianEstimator.lowerMedian(live))
        }
      })
    )
  })

  it("holds no more samples than it is to, however many clocks there are, and forgets all that are dead", () => {
    fc.assert(
      fc.property(fc.array(heard(1000), { minLength: 20, maxLength: 60 }), (blocks) => {
        let state = empty({ ...defaults, cacheMax: 7 })
        let now = 0
        for (const one of blocks) {
          now += one.pause
          state = absorb(state, now, one)
          assert.deepStrictEqual(MedianEstimator.invariants(state), [])
        }
        const later = { now: now + defaults.ttlMs + 1, wall: Number.NaN }
        assert.strictEqual(MedianEstimator.votes(state, later), 0)
        assert.isUndefined(estimate(state, later, demand(1)))
        const [, block] = tell(state, "full", later, 1)
        assert.deepStrictEqual(block, { own: undefined, median: undefined, samples: [] })
      })
    )
  })

  it("an expired sample gives way to a new one before a live one does", () => {
    let state = empty({ ...defaults, cacheMax: 2 })
    state = MedianEstimator.absorb(state, peer(1), saying([[10, base]]), 0, { now: 0, wall: base })
    state = MedianEstimator.absorb(state, peer(1), saying([[11, base]]), 0, { now: 20_000, wall: base })
    state = MedianEstimator.absorb(state, peer(1), saying([[12, base]]), 0, { now: 30_000, wall: base })
    assert.deepStrictEqual(
      state.entries.map(({ origin }) => origin).toSorted((a, b) => a - b),
      [11, 12]
    )
  })

  it("the first layer waits for as many clocks as are asked for, and the own clock is one of them", () => {
    const state = MedianEstimator.absorb(empty(), peer(1), saying([[10, base + 9]], base + 5), 0, {
      now: 0,
      wall: base
    })
    const at = { now: 0, wall: base }
    assert.strictEqual(MedianEstimator.votes(state, at), 3)
    assert.isUndefined(estimate(state, at, demand(4)))
    assert.strictEqual(estimate(state, at, demand(3)), base + 5)
    for (const wall of [Number.NaN, -1, Stamp.wallMax + 1, Infinity]) {
      assert.strictEqual(MedianEstimator.votes(state, { now: 0, wall }), 2)
    }
  })

  it("a reading is corrected by the time it was under way, and keeps pace with the own monotonic clock", () => {
    const state = MedianEstimator.absorb(empty(), peer(1), saying([], base), 40, { now: 1000, wall: base })
    assert.deepStrictEqual(MedianEstimator.offsets(state, { now: 1000, wall: base }), [base + 40 - 1000])
    const [, block] = tell(state, "usual", { now: 1500, wall: Number.NaN }, 1)
    assert.deepStrictEqual(block.samples, [{ origin: 1, wall: base + 540, age: 6, hops: 1 }])
    assert.strictEqual(block.median, base + 540)
    assert.isUndefined(block.own)
  })

  it("beyond 32 clocks the neighbours' first layers decide with the own one, and are never told on", () => {
    const many = Array.from({ length: 40 }, (_, i) => [100 + i, base + 1_000_000] as const)
    let state = MedianEstimator.neighbors(empty(), [peer(1), peer(2), peer(3)])
    const at = { now: 0, wall: base }
    state = MedianEstimator.absorb(state, peer(1), { ...saying(many), median: base + 2 }, 0, at)
    state = MedianEstimator.absorb(state, peer(2), { ...saying([]), median: base + 1 }, 0, at)
    assert.strictEqual(estimate(state, at, demand(16)), base + 2)
    assert.strictEqual(tell(state, "usual", at, 16)[1].median, base + 1_000_000)
    // Who is no neighbour any more has no say, and who never was had none.
    state = MedianEstimator.neighbors(state, [peer(1)])
    state = MedianEstimator.absorb(state, peer(3), { ...saying([]), median: base + 3 }, 0, at)
    assert.strictEqual(estimate(state, at, demand(16)), base + 2)
  })

  it("up to 32 clocks the median is exact, whatever neighbours say", () => {
    let state = MedianEstimator.neighbors(empty(), [peer(1), peer(2)])
    const at = { now: 0, wall: base }
    state = MedianEstimator.absorb(state, peer(1), { ...saying([[9, base + 3]], base + 2), median: base + 99 }, 0, at)
    state = MedianEstimator.absorb(state, peer(2), { ...saying([]), median: base + 98 }, 0, at)
    assert.strictEqual(estimate(state, at, demand(1)), base + 2)
    // The fleet is known to be larger than what was heard of it.
    assert.strictEqual(estimate(state, at, demand(1, 33)), base + 98)
  })

  it("a usual block tells three clocks at random, a full one all; one that came over 16 nodes is told no further", () => {
    const many = Array.from({ length: 40 }, (_, i) => [100 + i, base] as const)
    const far: ClockBlock.Sample = { origin: 7, wall: base, age: 0, hops: ClockBlock.hopsMax }
    const at = { now: 0, wall: base }
    let state = MedianEstimator.absorb(empty(), peer(1), saying(many), 0, at)
    state = MedianEstimator.absorb(state, peer(2), { own: undefined, median: undefined, samples: [far] }, 0, at)
    const told = new Set<number>()
    for (let i = 0; i < 200; i++) {
      const [next, block] = tell(state, "usual", at, 1)
      state = next
      assert.strictEqual(block.samples.length, 3)
      assert.isTrue(ClockBlock.decode(ClockBlock.encode(block)).ok)
      for (const { origin } of block.samples) told.add(origin)
    }
    assert.strictEqual(told.size, 40)
    const [, full] = tell(state, "full", at, 1)
    assert.deepStrictEqual(
      full.samples.map(({ origin }) => origin),
      many.map(([origin]) => origin)
    )
    assert.isTrue(ClockBlock.decode(ClockBlock.encode(full)).ok)
  })

  it("a clock that nears the end of the calendar is told as being there", () => {
    const state = MedianEstimator.absorb(empty(), peer(1), saying([[5, Stamp.wallMax]], Stamp.wallMax), 0, {
      now: 0,
      wall: 0
    })
    const [, block] = tell(state, "full", { now: 5000, wall: base }, 1)
    assert.isTrue(ClockBlock.decode(ClockBlock.encode(block)).ok)
    assert.deepStrictEqual(
      block.samples.map(({ wall }) => wall),
      [Stamp.wallMax, Stamp.wallMax]
    )
  })
})

import { assert, describe, it } from "@effect/vitest"
import { EffectiveTime, FleetTime } from "@starling/clock"
import * as fc from "fast-check"

const config = FleetTime.defaults
const base = 1_700_000_000_000
const around = (neighbors: number, size: number | undefined, hasContacts = true): FleetTime.Surroundings => ({
  neighbors,
  size,
  hasContacts
})

/** Estimates every 100 ms from `from` on. */
const feed = (state: FleetTime.State, from: number, estimates: ReadonlyArray<number | undefined>): FleetTime.State =>
  estimates.reduce<FleetTime.State>(
    (state, estimate, i) => FleetTime.follow(state, estimate, from + 100 * i, config),
    state
  )

const times = <A>(count: number, value: A): ReadonlyArray<A> => Array.from({ length: count }, () => value)

const settledAt = (offset: number): FleetTime.State => feed(FleetTime.make(0), 0, times(21, offset))

describe("FleetTime", () => {
  it("settles when estimates agree for two seconds, not before", () => {
    assert.isUndefined(FleetTime.at(feed(FleetTime.make(0), 0, times(20, base)), 1900))
    assert.strictEqual(FleetTime.at(settledAt(base), 2000), base + 2000)
  })

  it("an estimate that jumps, or is missing, begins the wait anew", () => {
    for (const broken of [base + 251, undefined]) {
      const state = feed(FleetTime.make(0), 0, [...times(15, base), broken, ...times(20, base)])
      assert.isUndefined(state.offset)
      assert.strictEqual(FleetTime.follow(state, base, 3600, config).offset, base)
    }
  })

  it("settles in 400 ms where the fleet agrees, and begins anew with what broke it", () => {
    const sure = (from: number, count: number, state = FleetTime.make(0)): FleetTime.State =>
      times(count, base).reduce<FleetTime.State>(
        (state, estimate, i) => FleetTime.follow(state, estimate, from + 100 * i, config, true),
        state
      )
    assert.isUndefined(sure(0, 4).offset)
    assert.strictEqual(sure(0, 5).offset, base)
    const moved = FleetTime.follow(sure(0, 4), base + 251, 400, config, true)
    assert.isUndefined(sure(500, 4, moved).offset)
    assert.strictEqual(sure(500, 5, moved).offset, base)
  })

  it("the 400 ms begin when the fleet agrees, however long the estimate has been the same", () => {
    const unsure = feed(FleetTime.make(0), 0, times(10, base))
    const at = (now: number, state: FleetTime.State, isSure = true): FleetTime.State =>
      FleetTime.follow(state, base, now, config, isSure)
    const sure = at(1000, unsure)
    assert.isUndefined(at(1399, sure).offset)
    assert.strictEqual(at(1400, sure).offset, base)
    assert.isUndefined(at(1500, at(1200, sure, false)).offset, "for a moment it did not")
    assert.strictEqual(at(2000, at(1200, sure, false), false).offset, base, "two seconds in all")
  })

  it("a fleet agrees when as many were heard as are known, three at least, and the own clock and three quarters say the same", () => {
    const isAgreed = ([own, ...others]: ReadonlyArray<number>, size: number | undefined): boolean =>
      FleetTime.isAgreed(
        own === undefined ? undefined : base + own,
        others.map((by) => base + by),
        base,
        around(3, size),
        config
      )
    assert.isTrue(isAgreed([0, 250, -250], 3))
    assert.isFalse(isAgreed([0, 250, -250], 4), "one was not heard")
    assert.isFalse(isAgreed([0, 250, -250], undefined), "nobody knows how many there are")
    assert.isFalse(isAgreed([0, 0], 2), "of two nobody knows which is wrong")
    assert.isFalse(isAgreed([0, 0, 251], 3))
    assert.isTrue(isAgreed([0, 0, 0, 3_600_000], 4))
    assert.isFalse(isAgreed([3_600_000, 0, 0, 0], 4), "the own clock is at odds with the others")
    assert.isFalse(FleetTime.isAgreed(undefined, [base, base, base], base, around(3, 3), config), "it has no clock")
    assert.isFalse(isAgreed([0, 0, 0, 0, 0, 0, 3_600_000, 7_200_000, 10_800_000], 9), "a third is wrong")
  })

  it("within the tolerance it follows slowly, and never overshoots", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -100, max: 100 }), { maxLength: 50 }), (changes) => {
        let state = settledAt(base)
        for (const [i, by] of changes.entries()) {
          const before = state.offset as number
          state = FleetTime.follow(state, base + by, 2100 + 100 * i, config)
          const after = state.offset as number
          assert.isTrue(Math.min(before, base + by) <= after && after <= Math.max(before, base + by))
          assert.isAtMost(Math.abs(after - before), 0.05 * Math.abs(base + by - before) + 1e-3)
        }
      })
    )
  })

  it("what does not last ten seconds moves nothing, whatever it says", () => {
    const wild = fc.oneof(fc.integer({ min: 300, max: 1e9 }), fc.integer({ min: -1e9, max: -300 }))
    fc.assert(
      fc.property(fc.array(wild, { minLength: 1, maxLength: 99 }), (wild) => {
        const state = feed(
          settledAt(base),
          2100,
          wild.map((by) => base + by)
        )
        assert.strictEqual(state.offset, base)
        assert.isUndefined(FleetTime.follow(state, base, 20_000, config).outsideSince)
      })
    )
  })

  it("what lasts is followed at once when ten seconds are over", () => {
    const state = feed(settledAt(base), 2100, times(100, base + 3_600_000))
    assert.strictEqual(state.offset, base)
    assert.strictEqual(FleetTime.follow(state, base + 3_600_000, 12_100, config).offset, base + 3_600_000)
  })

  it("while too few clocks are heard it goes on by the monotonic clock", () => {
    const state = feed(settledAt(base), 2100, times(600, undefined))
    assert.strictEqual(FleetTime.at(state, 62_000), base + 62_000)
  })

  it("who is young asks for sixteen clocks, or for all there are; who is not, for three", () => {
    const young = FleetTime.make(0)
    const need = (neighbors: number, size: number | undefined, now = 0): number =>
      FleetTime.need(young, around(neighbors, size), now, config)
    assert.strictEqual(need(5, undefined), 16)
    assert.strictEqual(need(5, 1000), 16)
    assert.strictEqual(need(5, 9), 9)
    assert.strictEqual(need(5, 2), 6)
    assert.strictEqual(need(5, 1000, config.probationMs), 3)
    assert.strictEqual(need(1, 1000, config.probationMs), 2)
  })

  it("who has nobody is right by definition, but not before it has failed to reach its contacts", () => {
    const young = FleetTime.make(0)
    assert.isTrue(FleetTime.isAlone(young, around(0, undefined, false), 0, config))
    assert.isFalse(FleetTime.isAlone(young, around(0, undefined), config.probationMs - 1, config))
    assert.strictEqual(FleetTime.need(young, around(0, undefined), 0, config), Infinity)
    assert.isTrue(FleetTime.isAlone(young, around(0, undefined), config.probationMs, config))
    assert.isFalse(FleetTime.isAlone(young, around(1, undefined), config.probationMs, config))
  })

  it("what was settled before a restart holds again as soon as one estimate confirms it, and not otherwise", () => {
    const doubted = FleetTime.restart(settledAt(base), 5000)
    assert.isUndefined(doubted.offset)
    assert.strictEqual(FleetTime.follow(doubted, base + 200, 5100, config).offset, base)
    assert.isUndefined(FleetTime.follow(doubted, base + 300, 5100, config).offset)
    assert.strictEqual(feed(doubted, 5100, times(21, base + 60_000)).offset, base + 60_000)
    // Twice in doubt is not forgotten.
    assert.strictEqual(FleetTime.follow(FleetTime.restart(doubted, 6000), base, 6100, config).offset, base)
  })
})

describe("EffectiveTime", () => {
  const population = EffectiveTime.defaults
  const counter: EffectiveTime.Config = { ...population, mode: "counter" }
  const none = Number.NaN

  it("follows its table", () => {
    const rows: ReadonlyArray<readonly [wall: number, fleet: number, EffectiveTime.Condition, number, number]> = [
      [base, none, "probation", none, none],
      [none, none, "probation", none, none],
      [none, base + 0.7, "clockless", base, none],
      [base + 250, base, "ok", base + 250, base + 250],
      [base - 250, base, "ok", base - 250, base - 250],
      [base + 251, base + 0.7, "degraded", base, none],
      [base - 251, base + 0.7, "behind", base, base - 251]
    ]
    for (const [wall, fleet, condition, inPopulation, inCounter] of rows) {
      assert.strictEqual(EffectiveTime.conditionOf(wall, fleet, population), condition)
      assert.deepStrictEqual(EffectiveTime.physical(wall, fleet, false, population), inPopulation)
      assert.deepStrictEqual(EffectiveTime.physical(wall, fleet, false, counter), inCounter)
    }
    assert.strictEqual(EffectiveTime.physical(base, none, true, population), base)
    assert.strictEqual(EffectiveTime.conditionOf(Infinity, base, population), "degraded")
  })

  it("the time is never further ahead of the fleet's than the tolerance", () => {
    fc.assert(
      fc.property(fc.double(), fc.constantFrom(population, counter), (wall, config) => {
        const time = EffectiveTime.physical(wall, base, false, config)
        assert.isTrue(Number.isNaN(time) || time <= base + config.toleranceMs)
      })
    )
  })

  it("a cell says what the table says, but for the few milliseconds in which it does not look again", () => {
    const steps = fc.array(
      fc.record({
        pass: fc.constantFrom(0, 0.3, 1, 9, 11, 500),
        jump: fc.constantFrom(0, 0, 0, 0, 3, -3, 200, -200, 260, 3_600_000, -3_600_000),
        told: fc.constantFrom(undefined, base, base + 100, base - 300, none)
      }),
      { maxLength: 60 }
    )
    fc.assert(
      fc.property(steps, fc.constantFrom(population, counter), (steps, config) => {
        let wall = base
        let now = 0
        let offset = none
        const cell = EffectiveTime.makeCell(
          config,
          () => Math.floor(wall),
          () => now
        )
        for (const { jump, pass, told } of steps) {
          wall += pass + jump
          now += pass
          if (told !== undefined) {
            offset = told
            EffectiveTime.tell(cell, told, false)
          }
          const got = EffectiveTime.read(cell)
          const fleet = now + offset
          if (Number.isNaN(fleet)) assert.isNaN(got)
          else if (!Number.isNaN(got)) assert.isAtMost(got, fleet + config.toleranceMs + EffectiveTime.recheckMs)
          const right = EffectiveTime.physical(Math.floor(wall), fleet, false, config)
          const isSure = Math.abs(Math.floor(wall) - fleet) < config.toleranceMs - EffectiveTime.recheckMs || jump > 250
          if (isSure) assert.deepStrictEqual(got, right)
        }
      })
    )
  })

  it("the monotonic clock is not read while the own clock moves on by little", () => {
    let wall = base
    let reads = 0
    const cell = EffectiveTime.makeCell(
      population,
      () => wall,
      () => {
        reads++
        return 0
      }
    )
    EffectiveTime.tell(cell, base, false)
    for (let i = 0; i < 100; i++) {
      wall = base + Math.floor(i / 10)
      assert.strictEqual(EffectiveTime.read(cell), wall)
    }
    assert.strictEqual(reads, 1)
  })
})

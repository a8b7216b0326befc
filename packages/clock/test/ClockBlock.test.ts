import { assert, describe, it } from "@effect/vitest"
import { ClockBlock, Population, Stamp } from "@starling/clock"
import * as fc from "fast-check"
import { wall } from "./arbitraries.ts"

const near = fc.integer({ min: -20, max: 20 }).map((by) => 1_718_372_400_000 + by)
const clock = fc.oneof(wall, near)
const origin = fc.oneof(fc.nat(0xffffffff), fc.constantFrom(0, 1, 0xffffffff))

const sample: fc.Arbitrary<ClockBlock.Sample> = fc.record({
  origin,
  wall: clock,
  age: fc.nat(ClockBlock.ageMax),
  hops: fc.integer({ min: 1, max: ClockBlock.hopsMax })
})

const samples = (maxLength: number) =>
  fc
    .uniqueArray(sample, { maxLength, selector: ({ origin }) => origin })
    .map((all) => all.toSorted((a, b) => a.origin - b.origin))

const block: fc.Arbitrary<ClockBlock.ClockBlock> = fc.record({
  own: fc.option(clock, { nil: undefined }),
  median: fc.option(clock, { nil: undefined }),
  samples: samples(ClockBlock.samplesMax)
})

const example: ClockBlock.ClockBlock = {
  own: 1_718_372_400_123,
  median: 1_718_372_400_120,
  samples: [
    { origin: 1, wall: 1_718_372_400_100, age: 12, hops: 2 },
    { origin: 0xa1b2c3d4, wall: 1_718_372_400_200, age: 0, hops: 1 },
    { origin: 0xffffffff, wall: 1_718_375_000_000, age: 119, hops: 16 }
  ]
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex")
const reasonOf = (bytes: Uint8Array): string => {
  const read = ClockBlock.decode(bytes)
  return read.ok ? "" : read.reason
}

describe("ClockBlock", () => {
  it("a block is flags, base, median and samples in fixed places", () => {
    assert.strictEqual(
      hex(ClockBlock.encode(example)),
      [
        ["03", "019016f9fbfb", "05", "03"],
        ["00000001", "2d", "000c", "02"],
        ["a1b2c3d4", "9a01", "0000", "01"],
        ["ffffffff", "8aafbd02", "0077", "10"]
      ]
        .flat()
        .join("")
    )
  })

  it("every block reads back as it was, from the only bytes it has", () => {
    fc.assert(
      fc.property(block, (one) => {
        assert.deepStrictEqual(ClockBlock.decode(ClockBlock.encode(one)), { ok: true, value: one })
      })
    )
  })

  it("bytes that no block is written as are refused, with a reason", () => {
    const shaken = fc
      .tuple(block, fc.array(fc.tuple(fc.nat(700), fc.nat(255)), { maxLength: 4 }), fc.nat(20))
      .map(([one, changes, cut]) => {
        const bytes = ClockBlock.encode(one)
        for (const [at, value] of changes) bytes[at % bytes.length] = value
        return cut < 10 ? bytes.subarray(0, bytes.length - cut) : bytes
      })
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 60 }), shaken), (bytes) => {
        const read = ClockBlock.decode(bytes)
        if (read.ok) assert.deepStrictEqual(hex(ClockBlock.encode(read.value)), hex(bytes))
        else assert.match(read.reason, /^clock block: /)
      })
    )
  })

  it("what is wrong is named", () => {
    const bytes = ClockBlock.encode(example)
    const changed = (at: number, value: number): Uint8Array =>
      Uint8Array.from(bytes, (byte, i) => (i === at ? value : byte))
    assert.include(reasonOf(changed(0, 4)), "unknown flags 4")
    assert.include(reasonOf(changed(1, 0xff)), "beyond the years 1970 to 9999")
    assert.include(reasonOf(changed(8, 65)), "65 samples, at most 64")
    assert.include(reasonOf(changed(16, 0)), "0 hops, expected 1 to 16")
    assert.include(reasonOf(changed(16, 17)), "17 hops, expected 1 to 16")
    assert.include(reasonOf(changed(9, 0xff)), "origins that do not ascend")
    assert.include(reasonOf(bytes.subarray(0, 20)), "cut off")
    assert.include(reasonOf(Uint8Array.from([...bytes, 0])), "1 bytes too many")
    const long = [...bytes.subarray(0, 7), 0x85, 0x00, 0x00]
    assert.include(reasonOf(Uint8Array.from(long)), "longer than needed")
    const endless = [...bytes.subarray(0, 7), ...Array.from({ length: 12 }, () => 0xff)]
    assert.include(reasonOf(Uint8Array.from(endless)), "beyond 53 bits")
    assert.include(reasonOf(Uint8Array.from([0, 0, 0, 0, 0, 0, 1, 0])), "the base is not the first sample's")
  })

  it("a usual block takes about 50 bytes, and the largest has a bound", () => {
    assert.isAtMost(ClockBlock.encode(example).length, 50)
    fc.assert(
      fc.property(block, (one) => assert.isAtMost(ClockBlock.encode(one).length, 16 + 15 * ClockBlock.samplesMax))
    )
  })

  it("clocks at both ends of the calendar are told as any others", () => {
    for (const own of [0, Stamp.wallMax]) {
      const one = { own, median: Stamp.wallMax - own, samples: [] }
      assert.deepStrictEqual(ClockBlock.decode(ClockBlock.encode(one)), { ok: true, value: one })
    }
  })
})

describe("Population's frames", () => {
  const { decode, encode } = Population.median
  const tenths = fc.integer({ min: -1e12, max: 1e12 }).map((value) => value / 10)

  it("every message reads back to the tenth of a millisecond", () => {
    const message = fc.record({
      _tag: fc.constant("Clocks" as const),
      sentAt: tenths,
      era: fc.nat(127),
      back: fc.option(fc.record({ transit: tenths, era: fc.nat(127) }), { nil: undefined }),
      block
    })
    fc.assert(fc.property(message, (one) => assert.deepStrictEqual(decode(encode(one)), { ok: true, value: one })))
  })

  it("what is no message is refused, and never throws", () => {
    const bytes = ClockBlock.encode(example)
    for (const [wrong, reason] of [
      [[], "expected 4 fields"],
      [[0.5, 0, null, bytes], "time of sending"],
      [[-0, 0, null, bytes], "time of sending"],
      [[0, 128, null, bytes], "era is not in 0..127"],
      [[0, 0, 7, bytes], "way back"],
      [[0, 0, ["x", 0], bytes], "way back"],
      [[0, 0, null, "bytes"], "no byte string"],
      [[0, 0, null, bytes.subarray(0, 5)], "clock block"]
    ] as const) {
      const read = decode(wrong)
      assert.isTrue(!read.ok && read.reason.includes(reason), JSON.stringify(read))
    }
    fc.assert(fc.property(fc.anything(), (input) => typeof decode(input).ok === "boolean"))
  })
})

import { assert, describe, it } from "@effect/vitest"
import { Stamp } from "@starling/clock"
import * as fc from "fast-check"
import { pair, stamp, wall } from "./arbitraries.ts"

const example: Stamp.Stamp = { epoch: 0, wall: 1718372400123, counter: 7, node: "a1b2c3d4e5f6" }

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex")

const unhex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, "hex"))

/** Field by field, as the law is written. */
const oracle = (a: Stamp.Stamp, b: Stamp.Stamp): number => {
  for (const field of ["epoch", "wall", "counter", "node"] as const) {
    if (a[field] !== b[field]) return a[field] < b[field] ? -1 : 1
  }
  return 0
}

describe("Stamp", () => {
  it("stamps order by epoch, then wall, then counter, then node", () => {
    fc.assert(
      fc.property(pair, ([a, b]) => {
        assert.strictEqual(Stamp.order(a, b), oracle(a, b))
        assert.strictEqual(Math.sign(Stamp.compare(a, b)), oracle(a, b))
        assert.strictEqual(Stamp.equals(a, b), oracle(a, b) === 0)
        assert.strictEqual(Stamp.max(a, b), oracle(a, b) >= 0 ? a : b)
      })
    )
  })

  it("no stamp is earlier than zero", () => {
    fc.assert(fc.property(stamp, (a) => assert.isTrue(Stamp.compare(Stamp.zero, a) <= 0)))
  })

  it("the text is 47 characters that read as epoch, ISO instant, counter and node", () => {
    assert.strictEqual(Stamp.toText(example), "0000/2024-06-14T13:40:00.123Z/0007/a1b2c3d4e5f6")
    fc.assert(fc.property(stamp, (a) => assert.strictEqual(Stamp.toText(a).length, Stamp.textLength)))
  })

  it("the sixteen bytes are epoch, wall, counter and node, big-endian", () => {
    assert.strictEqual(hex(Stamp.toBytes(example)), "0000019016f9fbfb0007a1b2c3d4e5f6")
  })

  it("the compact form of a small epoch and counter takes 14 bytes, or 8 without the node", () => {
    assert.strictEqual(hex(Stamp.toCompact(example)), "00019016f9fbfb07a1b2c3d4e5f6")
    assert.strictEqual(hex(Stamp.toCompact(example, "without-node")), "00019016f9fbfb07")
  })

  it("texts sort as the stamps do", () => {
    fc.assert(
      fc.property(pair, ([a, b]) => {
        const [left, right] = [Stamp.toText(a), Stamp.toText(b)]
        assert.strictEqual(left < right ? -1 : left > right ? 1 : 0, oracle(a, b))
      })
    )
  })

  it("bytes sort as the stamps do", () => {
    fc.assert(
      fc.property(pair, ([a, b]) => {
        assert.strictEqual(Buffer.compare(Stamp.toBytes(a), Stamp.toBytes(b)), oracle(a, b))
      })
    )
  })

  it("compact bytes sort as the stamps do, and without the node as those of one node do", () => {
    fc.assert(
      fc.property(pair, ([a, b]) => {
        assert.strictEqual(Buffer.compare(Stamp.toCompact(a), Stamp.toCompact(b)), oracle(a, b))
        const [left, right] = [Stamp.toCompact(a, "without-node"), Stamp.toCompact(b, "without-node")]
        assert.strictEqual(Buffer.compare(left, right), oracle(a, { ...b, node: a.node }))
      })
    )
  })

  it("every written form reads back as the stamp", () => {
    fc.assert(
      fc.property(stamp, (a) => {
        const back = { ok: true as const, value: a }
        assert.deepStrictEqual(Stamp.fromText(Stamp.toText(a)), back)
        assert.deepStrictEqual(Stamp.fromBytes(Stamp.toBytes(a)), back)
        assert.deepStrictEqual(Stamp.fromCompact(Stamp.toCompact(a)), back)
        assert.deepStrictEqual(Stamp.fromCompact(Stamp.toCompact(a, "without-node"), a.node), back)
        assert.deepStrictEqual(Stamp.decode(Stamp.encode(a)), back)
        assert.isTrue(Stamp.isStamp(a))
      })
    )
  })

  it("a text that toText does not write is refused", () => {
    const text = Stamp.toText(example)
    for (const wrong of [
      "",
      text.slice(0, -1),
      `${text}0`,
      ` ${text.slice(1)}`,
      text.toUpperCase(),
      text.replace("a1b2", "A1B2"),
      text.replace("0007", "000g"),
      text.replace("06-14", "02-30"),
      text.replace("06-14", "13-01"),
      text.replace("T13", "T24"),
      text.replace(":00.", ":60."),
      text.replace("2024", "1969"),
      text.replace("Z", "z"),
      text.replaceAll("/", " ")
    ]) {
      const read = Stamp.fromText(wrong)
      assert.isFalse(read.ok, wrong)
      if (!read.ok) assert.match(read.reason, /^stamp: /)
    }
  })

  it("the header is the text, in one value", () => {
    fc.assert(
      fc.property(stamp, (a) => {
        const headers = new Headers([[Stamp.headerName, Stamp.toHeader(a)]])
        assert.deepStrictEqual(Stamp.fromHeader(headers.get("DMC")), { ok: true, value: a })
        headers.append("dmc", Stamp.toHeader(a))
        assert.isFalse(Stamp.fromHeader(headers.get("dmc")).ok)
      })
    )
    for (const [wrong, reason] of [
      [null, "stamp: there is no dmc header"],
      [undefined, "stamp: there is no dmc header"],
      [[Stamp.toText(example), Stamp.toText(example)], "stamp: the dmc header was sent 2 times"],
      ["", "stamp: expected eeee/YYYY-MM-DDTHH:mm:ss.sssZ/cccc/nnnnnnnnnnnn, in the dmc header"]
    ] as const) {
      assert.deepStrictEqual(Stamp.fromHeader(wrong), { ok: false, reason })
    }
  })

  it("a text with one character changed is refused or is the text of another stamp", () => {
    fc.assert(
      fc.property(stamp, fc.nat(46), fc.string({ minLength: 1, maxLength: 1 }), (a, at, character) => {
        const text = Stamp.toText(a)
        const changed = text.slice(0, at) + character + text.slice(at + 1)
        const read = Stamp.fromText(changed)
        if (read.ok) assert.strictEqual(Stamp.toText(read.value), changed)
      })
    )
  })

  it("bytes that no stamp is written as are refused", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 20 }), (bytes) => {
        const fixed = Stamp.fromBytes(bytes)
        if (fixed.ok) assert.deepStrictEqual(Stamp.toBytes(fixed.value), bytes)
        const compact = Stamp.fromCompact(bytes)
        if (compact.ok) assert.deepStrictEqual(Stamp.toCompact(compact.value), bytes)
        const bare = Stamp.fromCompact(bytes, example.node)
        if (bare.ok) assert.deepStrictEqual(Stamp.toCompact(bare.value, "without-node"), bytes)
      })
    )
    // Beyond the year 9999; a varint longer than needed; one beyond 16 bits; one byte too many.
    for (const wrong of [
      "00ffffffffffff07a1b2c3d4e5f6",
      "f100019016f9fbfb07a1b2c3d4e5f6",
      "f9ffff019016f9fbfb07a1b2c3d4e5f6",
      "fa019016f9fbfb07a1b2c3d4e5f6",
      "00019016f9fbfb07a1b2c3d4e5f600"
    ]) {
      assert.isFalse(Stamp.fromCompact(unhex(wrong)).ok, wrong)
    }
    assert.isFalse(Stamp.fromBytes(unhex("0000ffffffffffff0007a1b2c3d4e5f6")).ok)
  })

  it("plain data that is no stamp is refused", () => {
    for (const wrong of [
      null,
      {},
      [],
      [0, 0, 0],
      [65536, 0, 0, "a1b2c3d4e5f6"],
      [0, -1, 0, "a1b2c3d4e5f6"],
      [0, -0, 0, "a1b2c3d4e5f6"],
      [0, Stamp.wallMax + 1, 0, "a1b2c3d4e5f6"],
      [0, 1.5, 0, "a1b2c3d4e5f6"],
      [0, 0, "0", "a1b2c3d4e5f6"],
      [0, 0, Number.NaN, "a1b2c3d4e5f6"],
      [0, 0, 0, "A1B2C3D4E5F6"],
      [0, 0, 0, 7]
    ]) {
      assert.isFalse(Stamp.decode(wrong).ok, JSON.stringify(wrong))
      assert.isFalse(Stamp.isStamp(wrong))
    }
    fc.assert(fc.property(fc.anything(), (input) => typeof Stamp.decode(input).ok === "boolean"))
  })

  it("fields that a later version appends are ignored", () => {
    assert.deepStrictEqual(Stamp.decode([...Stamp.encode(example), "later"]), { ok: true, value: example })
  })

  it("instants read as Date writes them, and only so", () => {
    fc.assert(
      fc.property(wall, (ms) => {
        assert.strictEqual(Stamp.isoOf(ms), new Date(ms).toISOString())
        assert.strictEqual(Stamp.parseIso(Stamp.isoOf(ms)), ms)
      })
    )
    for (let day = 0; day < 366 * 401; day += 1) {
      const ms = day * 86_400_000
      if (Stamp.isoOf(ms) !== new Date(ms).toISOString()) assert.fail(`${ms} reads ${Stamp.isoOf(ms)}`)
    }
    for (const wrong of ["2023-02-29T00:00:00.000Z", "2024-06-14T13:40:00Z", "2024-06-14 13:40:00.123Z", "x"]) {
      assert.isUndefined(Stamp.parseIso(wrong))
    }
  })
})

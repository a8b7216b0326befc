import { assert, describe, it } from "@effect/vitest"
import { Frame, Pack } from "@starling/wire"
import * as fc from "fast-check"

/** Plain data that comes back as it was. */
const plain = fc.anything({
  maxDepth: 4,
  values: [
    fc.string({ unit: "grapheme" }),
    fc.integer(),
    fc.double({ noNaN: true }).map((value) => (Object.is(value, -0) ? 0 : value)),
    fc.boolean(),
    fc.constant(null),
    fc.uint8Array({ maxLength: 40 })
  ],
  key: fc.string().filter((key) => key !== "__proto__"),
  withNullPrototype: false
})

const concat = (parts: ReadonlyArray<Uint8Array>): Uint8Array => {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let offset = 0
  for (const part of parts) {
    all.set(part, offset)
    offset += part.length
  }
  return all
}

/** The same bytes, cut where `cuts` say. */
const cut = (bytes: Uint8Array, cuts: ReadonlyArray<number>): ReadonlyArray<Uint8Array> => {
  const points = [0, ...cuts.map((point) => point % (bytes.length + 1)).toSorted((a, b) => a - b), bytes.length]
  return points.slice(1).map((to, i) => bytes.slice(points[i], to))
}

const unwrap = <A>(
  decoded: { readonly ok: true; readonly value: A } | { readonly ok: false; readonly reason: string }
): A => {
  if (!decoded.ok) throw new Error(decoded.reason)
  return decoded.value
}

const split = (
  chunks: ReadonlyArray<Uint8Array>,
  limit?: number
): { frames: Array<Uint8Array>; refused: boolean; pending: number } => {
  const splitter = Frame.makeSplitter(limit)
  const frames: Array<Uint8Array> = []
  let refused = false
  for (const chunk of chunks) {
    splitter.push(chunk)
    for (let next = splitter.next(); next !== undefined && !refused; next = splitter.next()) {
      if (next.ok) frames.push(next.value)
      else refused = true
    }
  }
  return { frames, refused, pending: splitter.pending() }
}

describe("Frame", () => {
  it("any cutting of the stream gives the same frames, and their bytes stay as they were", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(200), plain), { maxLength: 12 }),
        fc.array(fc.nat(), { maxLength: 40 }),
        (messages, cuts) => {
          const stream = concat(messages.map(([channel, payload]) => unwrap(Frame.encode(channel, payload))))
          const { frames, pending, refused } = split(cut(stream, cuts))
          assert.isFalse(refused)
          assert.strictEqual(pending, 0)
          // Decoded only now: later chunks must not have written over earlier frames.
          const decoded = frames.map((bytes) => unwrap(Frame.decode(bytes)))
          assert.deepStrictEqual(
            decoded,
            messages.map(([channel, payload]) => ({ channel, payload }))
          )
        }
      )
    )
  })

  it("one byte at a time, a frame of the largest size costs no more than a few copies of it", () => {
    const length = Frame.frameBytesMax
    const splitter = Frame.makeSplitter()
    splitter.push(Uint8Array.of(length >>> 24, length >>> 16, length >>> 8, length))
    const byte = Uint8Array.of(0xc0)
    let whole: Uint8Array | undefined
    for (let i = 0; i < length; i++) {
      splitter.push(byte)
      const next = splitter.next()
      if (next !== undefined) whole = unwrap(next)
    }
    assert.strictEqual(whole?.length, length)
  })

  it("a length over the limit is refused as soon as it is read, again and again", () => {
    const splitter = Frame.makeSplitter()
    splitter.push(Uint8Array.of(0x48, 0x54, 0x54, 0x50))
    for (const next of [splitter.next(), splitter.next()]) {
      assert.deepStrictEqual(next, { ok: false, reason: "frame: 1213486160 bytes, at most 1048576 are accepted" })
    }
  })

  it("frames before an oversize one are still cut", () => {
    const small = unwrap(Frame.encode(1, "a"))
    const { frames, refused } = split([concat([small, small, Uint8Array.of(0xff, 0xff, 0xff, 0xff)])])
    assert.strictEqual(frames.length, 2)
    assert.isTrue(refused)
  })

  it("the limit can be raised between two frames of one chunk", () => {
    const small = unwrap(Frame.encode(0, "a"))
    const large = unwrap(Frame.encode(1, "b".repeat(100)))
    const splitter = Frame.makeSplitter(20)
    splitter.push(concat([small, large]))
    assert.isTrue(splitter.next()?.ok)
    assert.isFalse(splitter.next()?.ok)
    splitter.limit = 200
    assert.isTrue(splitter.next()?.ok)
  })

  it("a payload too large for a frame is refused by the sender", () => {
    assert.isFalse(Frame.encode(1, "x".repeat(Frame.frameBytesMax)).ok)
  })

  it("fields after the payload are ignored, fewer than two are refused", () => {
    assert.deepStrictEqual(Frame.decode(unwrap(Pack.encode([3, "a", "later"]))), {
      ok: true,
      value: { channel: 3, payload: "a" }
    })
    for (const wrong of [[3], 3, null, { 0: 1 }, [-1, 0], [1.5, 0], ["1", 0], [65536, 0]]) {
      assert.isFalse(Frame.decode(unwrap(Pack.encode(wrong))).ok)
    }
  })
})

describe("Pack", () => {
  it("plain data comes back as it was", () => {
    fc.assert(
      fc.property(plain, (data) => assert.deepStrictEqual(unwrap(Pack.decode(unwrap(Pack.encode(data)))), data))
    )
  })

  it("arbitrary bytes are decoded or refused, never thrown at", () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => typeof Pack.decode(bytes).ok === "boolean"))
  })

  it("bytes that nearly are plain data are decoded or refused, never thrown at", () => {
    fc.assert(
      fc.property(plain, fc.nat(), fc.integer({ min: 0, max: 255 }), (data, at, byte) => {
        const bytes = unwrap(Pack.encode(data)).slice()
        bytes[at % bytes.length] = byte
        return typeof Pack.decode(bytes).ok === "boolean" && typeof Frame.decode(bytes).ok === "boolean"
      })
    )
  })

  it("no beginning of plain data is plain data", () => {
    fc.assert(
      fc.property(plain, fc.nat(), (data, at) => {
        const bytes = unwrap(Pack.encode(data))
        assert.isFalse(Pack.decode(bytes.subarray(0, at % bytes.length)).ok)
      })
    )
  })

  it("bytes after the end are refused", () => {
    assert.isFalse(Pack.decode(concat([unwrap(Pack.encode([1])), Uint8Array.of(0xc0)])).ok)
  })

  it("lists that promise more than the bytes hold reserve nothing", () => {
    // 350,000 nested lists of 65,535 items each would be 180 GB of references.
    const bomb = new Uint8Array(Frame.frameBytesMax)
    for (let i = 0; i + 2 < bomb.length; i += 3) bomb.set([0xdc, 0xff, 0xff], i)
    assert.isFalse(Pack.decode(bomb).ok)
    assert.isFalse(Pack.decode(Uint8Array.of(0xdd, 0xff, 0xff, 0xff, 0xff)).ok)
    assert.isFalse(Pack.decode(Uint8Array.of(0xdf, 0xff, 0xff, 0xff, 0xff)).ok)
    assert.isFalse(Pack.decode(Uint8Array.of(0xdb, 0xff, 0xff, 0xff, 0xff)).ok)
  })

  it("data nested to the limit passes, one level more is refused at both ends", () => {
    const nested = (depth: number): unknown => (depth === 0 ? [] : [nested(depth - 1)])
    const deepest = Pack.depthMax - 1
    assert.isTrue(Pack.decode(unwrap(Pack.encode(nested(deepest)))).ok)
    assert.isFalse(Pack.encode(nested(deepest + 1)).ok)
    assert.isFalse(Pack.decode(Uint8Array.from([...Array.from({ length: Pack.depthMax + 1 }, () => 0x91), 0xc0])).ok)
  })

  it("extension types, reserved bytes and __proto__ as a key are refused", () => {
    assert.isFalse(Pack.decode(Uint8Array.of(0xd6, 0xff, 0, 0, 0, 0)).ok)
    assert.isFalse(Pack.decode(Uint8Array.of(0xc1)).ok)
    assert.isFalse(Pack.decode(concat([Uint8Array.of(0x81), unwrap(Pack.encode("__proto__")), Uint8Array.of(1)])).ok)
  })

  it("what is no plain data is refused by the sender", () => {
    const loop: Array<unknown> = []
    loop.push(loop)
    for (const wrong of [1n, loop, Symbol("x"), () => 1]) assert.isFalse(Pack.encode([wrong]).ok)
  })

  it("decoded byte strings share no memory with the input", () => {
    const input = unwrap(Pack.encode([Uint8Array.of(1, 2, 3)]))
    const [bytes] = unwrap(Pack.decode(input)) as [Uint8Array]
    input.fill(0)
    assert.deepStrictEqual([...bytes], [1, 2, 3])
  })
})

import { assert, describe, it } from "@effect/vitest"
import { Address, Handshake } from "@starling/wire"
import * as fc from "fast-check"

const hello = (node: Partial<Handshake.NodeInfo> = {}, rest: Partial<Handshake.Hello> = {}): Handshake.Hello => ({
  fleet: "prod",
  versions: [2, 4],
  node: {
    id: "a1b2c3d4e5f6",
    incarnation: 3,
    boot: 17,
    name: "a",
    datacenter: "fra",
    address: "10.0.0.1:7740",
    ...node
  },
  ...rest
})

const other = hello({ id: "0123456789ab", name: "b", address: "10.0.0.2:7740" })

const refusal = (mine: Handshake.Hello, theirs: Handshake.Hello): Handshake.Refusal | undefined => {
  const verdict = Handshake.negotiate(mine, theirs)
  return verdict._tag === "Refused" ? verdict.refusal : undefined
}

describe("Handshake", () => {
  it("both sides agree on the highest version they share, or both refuse", () => {
    const range = fc.tuple(fc.nat(9), fc.nat(9)).map(([a, b]) => [Math.min(a, b), Math.max(a, b)] as const)
    fc.assert(
      fc.property(range, range, (ours, theirs) => {
        const a = hello({}, { versions: ours })
        const b = { ...other, versions: theirs }
        const shared = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9].filter(
          (v) => v >= ours[0] && v <= ours[1] && v >= theirs[0] && v <= theirs[1]
        )
        for (const verdict of [Handshake.negotiate(a, b), Handshake.negotiate(b, a)]) {
          if (verdict._tag === "Agreed") assert.strictEqual(verdict.version, shared.at(-1))
          else {
            assert.deepStrictEqual(shared, [])
            assert.strictEqual(verdict.refusal.code, "version")
            for (const bound of [...ours, ...theirs]) assert.include(verdict.refusal.message, String(bound))
          }
        }
      })
    )
  })

  it("a refusal names both sides, with their fleets", () => {
    const said = refusal(hello(), { ...other, fleet: "test" })
    assert.strictEqual(said?.code, "fleet")
    for (const word of ["a (a1b2c3d4e5f6", "b (0123456789ab", "fleet prod", "fleet test"])
      assert.include(said?.message, word)
  })

  it("the same process is refused as self, another of the same run as duplicate, an older run as outdated", () => {
    assert.strictEqual(refusal(hello(), hello())?.code, "self")
    assert.strictEqual(refusal(hello(), hello({ boot: 18 }))?.code, "duplicate")
    const outdated = refusal(hello(), hello({ incarnation: 2, boot: 18 }))
    assert.deepStrictEqual([outdated?.code, outdated?.incarnation], ["outdated", 3])
    assert.isUndefined(refusal(hello(), hello({ incarnation: 4, boot: 18 })))
  })

  it("every message comes back as it was, also with fields that a later version appends", () => {
    const messages: ReadonlyArray<Handshake.Message> = [
      { _tag: "Hello", hello: other },
      { _tag: "Welcome", version: 3, hello: other },
      { _tag: "Refusal", refusal: { code: "name", message: "taken" } },
      { _tag: "Refusal", refusal: { code: "outdated", message: "old", incarnation: 9 } }
    ]
    for (const message of messages) {
      assert.deepStrictEqual(Handshake.decode(Handshake.encode(message)), { ok: true, value: message })
      assert.deepStrictEqual(Handshake.decode([...Handshake.encode(message), "later", 1]), { ok: true, value: message })
    }
  })

  it("anything is read or refused, never thrown at", () => {
    const word = fc.oneof(fc.constant("starling"), fc.anything(), fc.nat(5), fc.string())
    fc.assert(
      fc.property(fc.oneof(fc.anything(), fc.array(word)), (data) => typeof Handshake.decode(data).ok === "boolean")
    )
  })

  it("a field of the wrong kind is refused, whichever it is", () => {
    const words = Handshake.encode({ _tag: "Hello", hello: other })
    for (let i = 0; i < words.length; i++) {
      for (const wrong of [undefined, {}, -1, "x".repeat(300)]) {
        assert.isFalse(Handshake.decode(words.with(i, wrong)).ok, `field ${i} as ${String(wrong).slice(0, 20)}`)
      }
    }
  })

  it("a refusal code of a later version reads as busy", () => {
    const read = Handshake.decode([3, "starling", "phase-of-moon", "not today", null])
    assert.deepStrictEqual(read, {
      ok: true,
      value: { _tag: "Refusal", refusal: { code: "busy", message: "not today" } }
    })
  })
})

describe("Address", () => {
  it("host:port is read, IPv6 in brackets", () => {
    const cases = {
      "a:1": ["a", 1],
      "10.0.0.1:0": ["10.0.0.1", 0],
      "[::1]:7740": ["::1", 7740],
      "n-1.x.example:65535": ["n-1.x.example", 65535]
    }
    for (const [text, [host, port]] of Object.entries(cases)) {
      assert.deepStrictEqual(Address.parse(text), { ok: true, value: { host, port } } as never)
      assert.strictEqual(Address.format({ host, port } as Address.Address), text)
    }
  })

  it("a wrong address is refused with what would be right", () => {
    const cases = {
      "": "host:port",
      a: "host:port",
      "a:": "host:port",
      ":1": "host:port",
      "::1:7740": "brackets",
      "a:65536": "65535",
      "[a]:1": "IPv6",
      "a b:1": "host:port",
      "http://a:1": "scheme"
    }
    for (const [text, hint] of Object.entries(cases)) {
      const read = Address.parse(text)
      assert.isFalse(read.ok, text)
      if (!read.ok) assert.include(read.reason, hint)
    }
  })
})

import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { MessageId } from "@starling/gossip"
import { anyId } from "./plumtreeArbitraries.ts"

describe("MessageId", () => {
  it("an id survives its codec, and fields that a later version appends", () => {
    fc.assert(
      fc.property(anyId, (id) => {
        const decoded = { ok: true, value: id } as const
        assert.deepStrictEqual(MessageId.decode(MessageId.encode(id)), decoded)
        assert.deepStrictEqual(MessageId.decode([...MessageId.encode(id), "later"]), decoded)
      })
    )
  })

  it("two ids have one text exactly if they are the same", () => {
    fc.assert(
      fc.property(anyId, anyId, (a, b) => {
        assert.strictEqual(MessageId.toText(a) === MessageId.toText(b), MessageId.same(a, b))
      })
    )
    assert.strictEqual(MessageId.toText({ origin: "0123456789ab", incarnation: 2, seq: 17 }), "0123456789ab.2.17")
  })

  it("what is no id is refused with a reason, never with an exception", () => {
    fc.assert(
      fc.property(fc.anything(), (input) => {
        const decoded = MessageId.decode(input)
        assert.isTrue(decoded.ok || decoded.reason.length > 0)
      })
    )
    const bad = [
      [["0123456789AB", 1, 1], "message id: origin is not twelve hexadecimal digits"],
      [["0123456789ab", -1, 1], "message id: incarnation is not a count"],
      [["0123456789ab", 1, 0], "message id: sequence is not a count from 1"],
      [["0123456789ab", 1, 1.5], "message id: sequence is not a count from 1"],
      [["0123456789ab", 1, 2 ** 53], "message id: sequence is not a count from 1"],
      [["0123456789ab", 1], "message id: expected 3 fields"]
    ] as const
    for (const [input, reason] of bad) assert.deepStrictEqual(MessageId.decode(input), { ok: false, reason })
  })
})

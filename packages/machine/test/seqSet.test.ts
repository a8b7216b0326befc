import { assert, describe, it } from "@effect/vitest"
import { SeqSet } from "@starling/machine"
import * as fc from "fast-check"

const seqs = fc.array(fc.integer({ min: 1, max: 60 }), { maxLength: 60 })
const of = (numbers: ReadonlyArray<number>): SeqSet.SeqSet => numbers.reduce(SeqSet.add, SeqSet.empty)
const range = (from: number, to: number) => Array.from({ length: Math.max(0, to - from + 1) }, (_, i) => from + i)

describe("SeqSet", () => {
  it("holds exactly what was added, in any order", () => {
    fc.assert(
      fc.property(seqs, (numbers) => {
        const set = of(numbers)
        const model = new Set(numbers)
        for (const seq of range(1, 62)) assert.strictEqual(SeqSet.has(set, seq), model.has(seq))
        assert.strictEqual(SeqSet.size(set), model.size)
        assert.strictEqual(SeqSet.max(set), Math.max(0, ...model))
      })
    )
  })

  it("keeps its intervals ascending and apart", () => {
    fc.assert(
      fc.property(seqs, (numbers) => {
        let previous = -1
        for (const [from, to] of of(numbers)) {
          assert.isAbove(from, previous + 1)
          assert.isAtLeast(to, from)
          previous = to
        }
      })
    )
  })

  it("a range is the same as its numbers one by one", () => {
    fc.assert(
      fc.property(seqs, fc.integer({ min: 1, max: 60 }), fc.integer({ min: 0, max: 20 }), (numbers, from, length) => {
        const set = of(numbers)
        assert.deepStrictEqual(
          SeqSet.addRange(set, from, from + length),
          range(from, from + length).reduce(SeqSet.add, set)
        )
      })
    )
  })

  it("sets of the same numbers are the same, and no others", () => {
    const few = fc.array(fc.integer({ min: 1, max: 4 }), { maxLength: 6 })
    fc.assert(
      fc.property(few, few, (one, other) => {
        const [ours, theirs] = [new Set(one), new Set(other)]
        const same = ours.size === theirs.size && one.every((seq) => theirs.has(seq))
        assert.strictEqual(SeqSet.isSame(of(one), of(other)), same)
      })
    )
  })

  it("contiguous is the end of the run that starts at 1", () => {
    fc.assert(
      fc.property(seqs, (numbers) => {
        const model = new Set(numbers)
        let end = 0
        while (model.has(end + 1)) end++
        assert.strictEqual(SeqSet.contiguous(of(numbers)), end)
      })
    )
  })

  it("missing lists the first of what the other set lacks", () => {
    fc.assert(
      fc.property(seqs, seqs, fc.integer({ min: 0, max: 20 }), (ours, theirs, limit) => {
        const model = [...new Set(ours)].filter((seq) => !theirs.includes(seq)).toSorted((a, b) => a - b)
        assert.deepStrictEqual(SeqSet.missing(of(ours), of(theirs), limit), model.slice(0, limit))
      })
    )
  })

  it("compacting closes the lowest gaps only and forgets nothing that was seen", () => {
    fc.assert(
      fc.property(seqs, fc.integer({ min: 1, max: 8 }), (numbers, intervals) => {
        const set = of(numbers)
        const small = SeqSet.compact(set, intervals)
        assert.isAtMost(small.length, Math.max(intervals, 0))
        for (const seq of numbers) assert.isTrue(SeqSet.has(small, seq))
        assert.strictEqual(SeqSet.max(small), SeqSet.max(set))
      })
    )
  })

  it("survives its encoding", () => {
    fc.assert(
      fc.property(seqs, (numbers) =>
        assert.deepStrictEqual(SeqSet.decode(SeqSet.encode(of(numbers))), { ok: true, value: of(numbers) })
      )
    )
  })

  it("decoding refuses anything else without throwing", () => {
    fc.assert(
      fc.property(fc.anything(), (input) => {
        const decoded = SeqSet.decode(input)
        if (decoded.ok)
          assert.deepStrictEqual(
            of(decoded.value.flatMap(([from, to]) => (to - from < 500 ? range(from, to) : []))).length <=
              decoded.value.length,
            true
          )
      })
    )
    for (const bad of [[1], [0, 3], [5, 4], [1, 3, 4, 6], [1, 2, "3", 4], [1.5, 2], null])
      assert.isFalse(SeqSet.decode(bad).ok)
  })
})

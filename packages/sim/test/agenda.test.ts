/** The agenda against the plainest one there is: a list, sorted anew whenever something is taken. */
import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import * as Agenda from "../src/internal/agenda.ts"

/** Within a tick, a block, an era and an age of the wheel, beyond all of them, and never. */
const delay = fc.oneof(
  fc.constantFrom(0, 0.01, 1 / 16, 1, 64, 65_536, 2 ** 26, 2 ** 30, Number.MAX_SAFE_INTEGER),
  fc.double({ min: 0, max: 1, noNaN: true }),
  fc.double({ min: 0, max: 200, noNaN: true }),
  fc.double({ min: 0, max: 100_000, noNaN: true }),
  fc.double({ min: 0, max: 1e9, noNaN: true })
)

const deed = fc.oneof(
  { weight: 3, arbitrary: fc.record({ enter: delay }) },
  { weight: 2, arbitrary: fc.constant("take" as const) },
  // Looked for, and not taken: what is entered next may fall before it.
  { weight: 1, arbitrary: fc.constant("look" as const) }
)

interface Entry {
  readonly at: number
  readonly name: number
}

const earliest = (entries: ReadonlyArray<Entry>): Entry | undefined => entries.toSorted((a, b) => a.at - b.at)[0]

describe("Agenda", () => {
  it("gives back the earliest, and of one instant what was entered first", () => {
    fc.assert(
      fc.property(fc.array(deed, { maxLength: 300 }), fc.nat(299), (deeds, forkAt) => {
        let agenda = Agenda.make<number>()
        let model: ReadonlyArray<Entry> = []
        let now = 0
        const take = () => {
          const expected = earliest(model)
          assert.strictEqual(Agenda.nextAt(agenda), expected?.at ?? Infinity)
          assert.strictEqual(Agenda.pop(agenda), expected?.name)
          now = expected?.at ?? now
          model = model.filter((entry) => entry !== expected)
          assert.strictEqual(agenda.size, model.length)
        }
        for (const [name, deed] of deeds.entries()) {
          if (name === forkAt) agenda = Agenda.copy(agenda, (task) => task)
          if (deed === "take") take()
          else if (deed === "look") assert.strictEqual(Agenda.nextAt(agenda), earliest(model)?.at ?? Infinity)
          else {
            const at = now + deed.enter
            Agenda.push(agenda, at, name)
            model = [...model, { at, name }]
          }
        }
        while (model.length > 0) take()
        take()
      })
    )
  })

  it("never gives back what is never due", () => {
    const agenda = Agenda.make<string>()
    Agenda.push(agenda, Infinity, "never")
    Agenda.push(agenda, 5, "soon")
    assert.strictEqual(Agenda.pop(agenda), "soon")
    assert.strictEqual(Agenda.nextAt(agenda), Infinity)
    assert.strictEqual(Agenda.pop(agenda), undefined)
  })

  it("takes a fork its own way", () => {
    const agenda = Agenda.make<number>()
    for (let n = 0; n < 3000; n++) Agenda.push(agenda, (n * 37) % 5000, n)
    const fork = Agenda.copy(agenda, (task) => task + 10_000)
    Agenda.push(fork, 0, -1)
    const drain = (of: Agenda.Agenda<number>): ReadonlyArray<number> => {
      const out: Array<number> = []
      for (let task = Agenda.pop(of); task !== undefined; task = Agenda.pop(of)) out.push(task)
      return out
    }
    const ours = drain(agenda)
    assert.strictEqual(ours.length, 3000)
    assert.deepStrictEqual(drain(fork).slice(0, 2), [10_000, -1])
    assert.isTrue(ours.every((task) => task < 3000))
  })
})

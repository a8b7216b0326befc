/** What no honest member sends: what it is to who receives it, at both levels, and that it reaches members. */
import { assert, describe, it } from "@effect/vitest"
import { Peer } from "@starling/machine"
import { Plan, Trial } from "@starling/testing"
import { Frame } from "@starling/wire"
import * as Poison from "../src/internal/poison.ts"
import { peerOf } from "../src/internal/peers.ts"

const members = [0, 1, 2, 3].map((index) => Peer.within(peerOf(1, index), "dc0"))

/** What the doses of some seeds are to their receiver. */
const effects = (what: Plan.Poison, seeds = 50) => {
  const counts = { Frame: 0, Dropped: 0, Rubbish: 0 }
  for (let seed = 0; seed < seeds; seed++) {
    for (const dose of Poison.brew(what, seed, members)) counts[Poison.effectOf(dose)._tag]++
  }
  return counts
}

describe("a brew", () => {
  it("is the same for the same seed, and another for another", () => {
    for (const what of [...Plan.poisons, ...Plan.spoilt]) {
      assert.deepStrictEqual(Poison.brew(what, 7, members), Poison.brew(what, 7, members))
      assert.notDeepEqual(Poison.brew(what, 7, members), Poison.brew(what, 8, members))
    }
  })

  it("of what mixes begins with what can be read, and ends with at most one that ends the link", () => {
    for (const what of ["garbage", "walks"] as const) {
      for (let seed = 0; seed < 50; seed++) {
        const tags = Poison.brew(what, seed, members).map((dose) => Poison.effectOf(dose)._tag)
        assert.notInclude(tags.slice(0, -1), "Rubbish")
      }
    }
  })

  it("of garbage ends the link, is dropped as of an unknown kind, and seldom is a frame after all", () => {
    const counts = effects("garbage")
    assert.strictEqual(counts.Rubbish, 50)
    assert.isAbove(counts.Dropped, 100)
    assert.isAbove(counts.Frame, 0)
  })

  it("of lies is of frames that are all read, but for walks of more hops than a frame may say", () => {
    for (const what of ["announcements", "shuffles", "spoofs", "grafts"] as const) {
      assert.deepStrictEqual(effects(what, 20), { Frame: 400, Dropped: 0, Rubbish: 0 })
    }
    const walks = effects("walks", 20)
    assert.isAbove(walks.Frame, 200)
    assert.isAbove(walks.Rubbish, 15)
    assert.strictEqual(walks.Dropped, 0)
  })

  it("of what is spoilt is dropped or ends the link, as its kind has it", () => {
    assert.deepStrictEqual(effects("kinds", 20), { Frame: 0, Dropped: 400, Rubbish: 0 })
    for (const what of ["channels", "bytes", "oversize"] as const) {
      assert.deepStrictEqual(effects(what, 20), { Frame: 0, Dropped: 0, Rubbish: 400 })
    }
  })

  it("goes over a connection as it was brewed: what is data comes out of the framing again", () => {
    for (const what of [...Plan.poisons, ...Plan.spoilt]) {
      for (let seed = 0; seed < 4; seed++) {
        for (const dose of Poison.brew(what, seed, members)) {
          const bytes = Poison.bytesOf(dose)
          const frame = dose._tag === "Data" ? Frame.decode(bytes.subarray(Frame.prefixBytes)) : undefined
          if (dose._tag !== "Data") assert.strictEqual(bytes, dose.bytes)
          else if (frame?.ok !== true) assert.fail(`${what} of seed ${seed}: no frame`)
          else {
            // Also what changes on the way, a -0 or what is no text, is to its receiver what it was.
            const arrived = { _tag: "Data", channel: frame.value.channel, data: frame.value.payload } as const
            assert.strictEqual(Poison.effectOf(arrived)._tag, Poison.effectOf(dose)._tag)
          }
        }
      }
    }
  })
})

describe("poison in a trial", () => {
  const planOf = (what: Plan.Poison): Plan.Plan => ({
    seed: 3,
    mode: "interleaved",
    terrain: "near",
    contacts: 2,
    datacenters: 2,
    members: [0, 1, 2, 3].map((member) => ({ member, joinAtMs: 50 * member })),
    faults: [],
    deeds: Array.from({ length: 6 }, (_, n) => ({
      atMs: 3000 + 300 * n,
      deed: { _tag: "Poison", from: n % 4, to: (n + 1) % 4, what, seed: n }
    })),
    gone: [],
    quietAtMs: 8000
  })

  const played = (what: Plan.Poison) => {
    const { broken, measured } = Trial.run(planOf(what))
    assert.deepStrictEqual(broken, [])
    return measured
  }

  it("garbage ends the link that it comes on, a violation each, and the fleet is whole again", () => {
    const measured = played("garbage")
    assert.strictEqual(measured["violations"], 6)
    assert.strictEqual(measured["rubbish"], 6)
    assert.isAbove(measured["unknown"] ?? 0, 0)
  })

  it("walks are read before the one that ends the link", () => {
    const measured = played("walks")
    assert.isAbove(measured["forged"] ?? 0, 50)
    assert.strictEqual(measured["violations"], measured["rubbish"])
  })

  it("of kinds that nobody knows costs nothing", () => {
    assert.deepInclude(played("kinds"), { forged: 0, unknown: 120, rubbish: 0, violations: 0 })
  })

  it("that lies is read as frames are", () => {
    assert.deepInclude(played("shuffles"), { forged: 120, unknown: 0, rubbish: 0, violations: 0 })
  })
})

import { assert, describe, it } from "@effect/vitest"
import { World } from "@starling/sim"
import { MemberFleet } from "@starling/testing"
import * as HashMap from "effect/HashMap"

/** Quick beats, and no change but what the test asks for. */
const facts = { relays: { relaysMax: 4, beatMs: 2000, settleMs: 500 }, pulseMs: 100_000_000 }

const size = 16

const make = (seed: number): MemberFleet.MemberFleet => {
  const fleet = MemberFleet.make({ seed, size, mode: "interleaved", settings: { facts } })
  World.pass(fleet.world, 20_000)
  return fleet
}

/** A change of every member's document. */
const changeAll = (fleet: MemberFleet.MemberFleet, what: string): void => {
  for (const { peer } of World.running(fleet.world)) {
    MemberFleet.command(fleet, peer.id, { to: "facts", event: { _tag: "Handles", patterns: [what] } })
  }
}

const stateOf = (fleet: MemberFleet.MemberFleet) =>
  World.running(fleet.world).map(({ state }) => state.cells.facts.state)

const assertSame = (fleet: MemberFleet.MemberFleet, seed: number): void => {
  const documents = stateOf(fleet).map(({ docs }) =>
    [...HashMap.values(docs)]
      .map(({ built, id, version }) => `${id}/${built}:${version}`)
      .toSorted()
      .join()
  )
  assert.strictEqual(new Set(documents).size, 1, `seed ${seed}`)
  assert.deepStrictEqual(fleet.broken, [], `seed ${seed}`)
}

const repeated = (fleet: MemberFleet.MemberFleet): number =>
  stateOf(fleet).reduce((sum, { counters }) => sum + counters.deltasRepeated, 0)

describe("relay trees of members", () => {
  it("grow again in facts that were built anew, and lose nothing meanwhile", () => {
    for (const seed of [1]) {
      const fleet = make(seed)
      assert.isAbove(stateOf(fleet).filter(({ beats }) => beats > 0).length, 2, `seed ${seed}`)
      const struck = MemberFleet.choose(fleet, "struck", 5)
      // The second crash within the period builds them anew.
      for (const at of ["before", "acting"] as const) {
        for (const id of struck) MemberFleet.crash(fleet, id, "facts", at)
        World.pass(fleet.world, 1500)
      }
      assert.isAbove(
        World.running(fleet.world).reduce((sum, { state }) => sum + state.counters.rebuilds, 0),
        0,
        `seed ${seed}`
      )
      changeAll(fleet, "while they grow")
      World.pass(fleet.world, 6000)
      assertSame(fleet, seed)
      const before = repeated(fleet)
      changeAll(fleet, "when they have grown")
      World.pass(fleet.world, 3000)
      assertSame(fleet, seed)
      assert.isAtMost((repeated(fleet) - before) / (size * (size - 1)), 0.05, `seed ${seed}`)
    }
  })

  it("bring everything though view managers crash and members die", () => {
    for (const seed of [4]) {
      const fleet = make(seed)
      for (const id of MemberFleet.choose(fleet, "struck", 4)) MemberFleet.crash(fleet, id, "view-manager", "committed")
      for (const id of MemberFleet.choose(fleet, "dead", 3)) World.crash(fleet.world, id)
      changeAll(fleet, "in the middle of it")
      World.pass(fleet.world, 12_000)
      assertSame(fleet, seed)
    }
  })
})

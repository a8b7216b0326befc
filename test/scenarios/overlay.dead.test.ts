/** How long the dead stay in the passive views of a fleet: by one seed each, so a pass stays a pass. */
import { assert, describe, it } from "@effect/vitest"
import { World } from "@starling/sim"
import { OverlayFleet } from "@starling/testing"

const size = 200
const seed = 1
/** Every tenth node. */
const deadEvery = 10

/** Entries of dead nodes in all passive views: at once, and after each minute until there is none or the time is over. */
const entries = (settings: OverlayFleet.Settings, minutes: number): ReadonlyArray<number> => {
  const world = OverlayFleet.make({ seed, network: { latencyMs: [1, 10], jitterMs: 0 } })
  const contact = OverlayFleet.peer(seed, 0).address
  for (let n = 0; n < size; n++) {
    OverlayFleet.join(world, OverlayFleet.peer(seed, n), n === 0 ? [] : [contact], settings)
    World.pass(world, 5)
  }
  World.pass(world, 120_000)
  const dead = new Set<string>()
  for (let n = 1; n < size; n += deadEvery) {
    const { id } = OverlayFleet.peer(seed, n)
    dead.add(id)
    World.crash(world, id)
  }
  const left = (): number =>
    World.running(world).reduce((sum, { state }) => sum + state.view.passive.filter(({ id }) => dead.has(id)).length, 0)
  const counts = [left()]
  while (counts.at(-1) !== 0 && counts.length <= minutes) {
    World.pass(world, 60_000)
    counts.push(left())
  }
  World.pass(world, 60_000)
  assert.strictEqual(left() > 0, counts.at(-1) !== 0, "who is in no passive view does not come back")
  return counts
}

describe("of two hundred nodes, twenty that were killed at once", () => {
  it("are in no passive view twenty minutes later", () => {
    const counts = entries({}, 20)
    assert.isAbove(counts[0] ?? 0, 400)
    // 56 to 86 by seven seeds; more than 100 where a dial that fails keeps nobody out.
    assert.isBelow(counts[3] ?? 0, 100)
    assert.strictEqual(counts.at(-1), 0, counts.join(" "))
  })

  it("are in none four minutes later where the fleet is twenty times as large as a passive view", () => {
    const counts = entries({ viewManager: { passiveMax: 10 } }, 4)
    assert.isAbove(counts[0] ?? 0, 100)
    assert.strictEqual(counts.at(-1), 0, counts.join(" "))
  })
})

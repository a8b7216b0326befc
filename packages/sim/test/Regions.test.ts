/** Nineteen regions, and the time between them. */
import { assert, describe, it } from "@effect/vitest"
import { Regions, World } from "@starling/sim"
import { act, id, open, peer, program, type Puppet } from "./puppet.ts"

const region = (name: string): Regions.Region => {
  const found = Regions.all.find((region) => region.name === name)
  if (found === undefined) throw new Error(`there is no region ${name}`)
  return found
}

const near = (value: number, expected: number, share: number): void =>
  assert.isBelow(Math.abs(value - expected) / expected, share, `${value} is not near ${expected}`)

describe("nineteen regions", () => {
  it("have names of their own and stand on the globe", () => {
    assert.strictEqual(new Set(Regions.all.map(({ name }) => name)).size, 19)
    for (const { latitude, longitude } of Regions.all) {
      assert.isTrue(Math.abs(latitude) <= 90 && Math.abs(longitude) <= 180)
    }
  })

  it("are as far apart as the globe has it", () => {
    near(Regions.distanceKm(region("london"), region("paris")), 344, 0.02)
    near(Regions.distanceKm(region("virginia"), region("sydney")), 15_700, 0.02)
    near(Regions.distanceKm(region("tokyo"), region("california")), 8280, 0.02)
  })

  it("are equally far there and back, and no detour is shorter by more than what a stop costs", () => {
    for (const a of Regions.all) {
      assert.strictEqual(Regions.rttMs(a, a), 4)
      for (const b of Regions.all) {
        assert.strictEqual(Regions.rttMs(a, b), Regions.rttMs(b, a))
        for (const c of Regions.all) {
          assert.isAtMost(Regions.rttMs(a, c), Regions.rttMs(a, b) + Regions.rttMs(b, c))
        }
      }
    }
  })

  it("give links their latency, by where nodes stand", () => {
    const [london, sydney] = [region("london"), region("sydney")]
    const ups: Array<number> = []
    const world = World.make<Puppet>({
      seed: 1,
      network: { jitterMs: 0, latencyMs: Regions.latencyOf((node) => (node === id(0) ? london : sydney)) },
      observer: { step: ({ now }, event) => void (event._tag === "LinkUp" && ups.push(now)) }
    })
    for (const n of [0, 1]) World.join(world, peer(n), program)
    act({ world, seen: [], outputs: [] }, 0, open(1))
    World.run(world, 1000)
    const rtt = Regions.rttMs(london, sydney)
    assert.deepStrictEqual(ups, [Math.floor(rtt / 2), Math.floor(rtt)])
    near(rtt, 231, 0.02)
  })
})

/** A world and its fork: the same past, the same future unless something is done to one of them. */
import { assert, describe, it } from "@effect/vitest"
import { World } from "@starling/sim"
import * as fc from "fast-check"
import { id, peer } from "./puppet.ts"
import * as Rumor from "./rumor.ts"

const size = 8
const all = Array.from({ length: size }, (_, n) => id(n))

/** Twenty unless `RUNS` says otherwise: each run is three worlds. */
const numRuns = Math.ceil(Number(process.env["RUNS"] ?? 100) / 5)

type RumorWorld = World.World<Rumor.Rumor>

const village = (seed: number): RumorWorld => {
  const world = World.make<Rumor.Rumor>({ seed, network: { resetShare: 0.01, duplicateShare: 0.05 } })
  for (let n = 0; n < size; n++) {
    const acquaintances = [1, 3].map((step) => peer((n + step) % size).address)
    World.join(world, peer(n), Rumor.program(acquaintances), { started: [{ _tag: "Started" }] })
  }
  return world
}

interface Deed {
  readonly ms: number
  readonly kind: "tell" | "crash" | "silence" | "restart" | "pause" | "resume" | "cut" | "heal" | "reset" | "stall"
  readonly node: number
}

const kinds = ["tell", "crash", "silence", "restart", "pause", "resume", "cut", "heal", "reset", "stall"] as const

const deeds = fc.array(
  fc.record<Deed>({
    ms: fc.constantFrom(0, 7, 40, 300, 4000),
    kind: fc.constantFrom(...kinds),
    node: fc.nat(size - 1)
  }),
  { maxLength: 12 }
)

const apply = (world: RumorWorld, { kind, ms, node }: Deed): void => {
  World.pass(world, ms)
  const one = id(node)
  const half = all.filter((_, n) => n % 2 === node % 2)
  const others = all.filter((other) => !half.includes(other))
  switch (kind) {
    case "tell":
      return void World.inject(world, one, { _tag: "Tell", text: `${node} at ${World.now(world)}` })
    case "crash":
      return void World.crash(world, one)
    case "silence":
      return void World.crash(world, one, "silent")
    case "restart":
      return void World.restart(world, one)
    case "pause":
      return World.pause(world, one)
    case "resume":
      return World.resume(world, one)
    case "cut":
      return World.cut(world, half, others)
    case "heal":
      return World.heal(world, half, others)
    case "reset":
      return void World.resetLinks(world, one)
    case "stall":
      return World.stallDisk(world, one, 200)
  }
}

describe("A fork", () => {
  it("has the past and the future of its world, whatever is done to both", () => {
    fc.assert(
      fc.property(fc.nat(), deeds, deeds, (seed, before, after) => {
        const world = village(seed)
        for (const deed of before) apply(world, deed)
        const fork = World.fork(world)
        assert.strictEqual(World.history(fork), World.history(world))
        for (const deed of after) {
          apply(world, deed)
          apply(fork, deed)
        }
        World.pass(world, 5000)
        World.pass(fork, 5000)
        assert.strictEqual(World.history(fork), World.history(world))
        assert.deepStrictEqual(World.counters(fork), World.counters(world))
      }),
      { numRuns }
    )
  })

  it("changes nothing in its world, whatever is done to it", () => {
    fc.assert(
      fc.property(fc.nat(), deeds, deeds, (seed, before, after) => {
        const [world, twin] = [village(seed), village(seed)]
        for (const deed of before) for (const one of [world, twin]) apply(one, deed)
        const fork = World.fork(world)
        for (const deed of after) apply(fork, deed)
        World.pass(fork, 5000)
        for (const one of [world, twin]) World.pass(one, 5000)
        assert.strictEqual(World.history(world), World.history(twin))
        for (const node of all) assert.deepStrictEqual(World.disk(world, node), World.disk(twin, node))
      }),
      { numRuns }
    )
  })

  it("may begin with other states and another observer", () => {
    const world = village(1)
    World.pass(world, 1000)
    let steps = 0
    const fork = World.fork(world, {
      alter: (state) => ({ ...state, known: ["told in advance"] }),
      observer: { step: () => void steps++ }
    })
    assert.isTrue(World.running(fork).every(({ state }) => state.known.includes("told in advance")))
    assert.isFalse(World.running(world).some(({ state }) => state.known.includes("told in advance")))
    World.pass(fork, 1000)
    assert.isAbove(steps, 0)
  })

  it("is refused while a call is ahead, which belongs to its world", () => {
    const world = village(1)
    World.at(world, 1000, () => undefined)
    assert.throws(() => World.fork(world), /call of `at` is ahead/)
    World.pass(world, 1000)
    World.fork(world)
  })
})

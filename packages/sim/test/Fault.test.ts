/** The example protocol under faults: what a user of the world would write. */
import { assert, describe, it } from "@effect/vitest"
import { Rng } from "@starling/machine"
import { Fault, World } from "@starling/sim"
import * as fc from "fast-check"
import { id, peer } from "./puppet.ts"
import * as Rumor from "./rumor.ts"

const size = 12

/** Twenty unless `RUNS` says otherwise: each run is a whole world. */
const numRuns = Math.ceil(Number(process.env["RUNS"] ?? 100) / 5)

/** A ring with chords: 0 dials 1 and 5, 1 dials 2 and 6, and so on. */
const village = (seed: number, options: Partial<World.Options<Rumor.Rumor>> = {}): World.World<Rumor.Rumor> => {
  const world = World.make<Rumor.Rumor>({ seed, ...options })
  for (let n = 0; n < size; n++) {
    const acquaintances = [1, 5].map((step) => peer((n + step) % size).address)
    World.join(world, peer(n), Rumor.program(acquaintances), { started: [{ _tag: "Started" }] })
  }
  return world
}

const all = Array.from({ length: size }, (_, n) => id(n))
const [east, west] = [all.slice(0, size / 2), all.slice(size / 2)]

const knowers = (world: World.World<Rumor.Rumor>, text: string): number =>
  World.running(world).filter(({ state }) => state.known.includes(text)).length

const tell = (world: World.World<Rumor.Rumor>, n: number, text: string): boolean =>
  World.inject(world, id(n), { _tag: "Tell", text })

const node = fc.nat(size - 1).map(id)
const instant = fc.integer({ min: 0, max: 20_000 })
const group = fc.uniqueArray(node, { minLength: 1, maxLength: 6 })

const weather = fc.record(
  {
    delayMs: fc.nat(500),
    jitterMs: fc.nat(200),
    tailMs: fc.nat(50),
    lossShare: fc.double({ min: 0, max: 0.5, noNaN: true }),
    resetShare: fc.double({ min: 0, max: 0.05, noNaN: true }),
    duplicateShare: fc.double({ min: 0, max: 0.5, noNaN: true })
  },
  { requiredKeys: [] }
)

const fault: fc.Arbitrary<Fault.Fault> = fc.oneof(
  fc.tuple(node, fc.constantFrom("reset" as const, "silent" as const)).map(([n, how]) => Fault.crash(n, how)),
  node.map((n) => Fault.restart(n)),
  fc.tuple(group, group, fc.constantFrom("both" as const, "there" as const)).map((args) => Fault.cut(...args)),
  fc.tuple(group, group).map((args) => Fault.heal(...args)),
  fc.tuple(node, node).map(([n, other]) => Fault.resetLinks(n, other)),
  node.map((n) => Fault.resetLinks(n)),
  node.map((n) => Fault.pause(n)),
  node.map((n) => Fault.resume(n)),
  fc
    .tuple(node, fc.option(node), fc.constantFrom("told" as const, "nobody" as const))
    .map((args) => Fault.halfOpen(...args)),
  fc.tuple(node, fc.option(node)).map(([n, other]) => Fault.resetLinks(n, other, "lost")),
  fc
    .tuple(group, group, weather, fc.constantFrom("both" as const, "there" as const))
    .map((args) => Fault.setWeather(...args)),
  fc.tuple(group, group).map((args) => Fault.clearWeather(...args)),
  fc.constant(Fault.clearAllWeather),
  fc.tuple(node, node).map((args) => Fault.swapAddresses(...args)),
  fc.tuple(node, fc.nat(2)).map(([n, k]) => Fault.twin(n, { twin: `twin-${k}`, address: `twin-${k}:1` })),
  fc.nat(2).map((k) => Fault.crash(`twin-${k}`)),
  fc.tuple(node, fc.integer({ min: -1_000_000, max: 1_000_000 })).map((args) => Fault.setDrift(...args)),
  fc.tuple(node, fc.integer({ min: -5000, max: 5000 })).map((args) => Fault.shiftClock(...args)),
  fc.tuple(node, fc.nat(2000)).map(([n, ms]) => Fault.stallDisk(n, ms)),
  fc.tuple(node, fc.integer({ min: -5000, max: 5000 })).map(([n, ms]) => Fault.setSkew(n, ms)),
  fc.constant(Fault.healAll)
)

const scenario = fc.array(
  fc.tuple(instant, fault).map(([atMs, fault]) => ({ atMs, fault })),
  { maxLength: 30 }
)

const play = (seed: number, faults: Fault.Scenario): World.World<Rumor.Rumor> => {
  const world = village(seed, { network: { resetShare: 0.002 } })
  Fault.schedule(world, faults)
  World.at(world, 3000, (world) => tell(world, 0, "the king is dead"))
  World.at(world, 9000, (world) => tell(world, 7, "long live the king"))
  World.run(world, 20_000)
  return world
}

describe("the same seed", () => {
  it("gives the same history to the last event, whatever goes wrong", () => {
    fc.assert(
      fc.property(fc.nat(), scenario, (seed, faults) => {
        const [one, other] = [play(seed, faults), play(seed, faults)]
        assert.strictEqual(World.history(one), World.history(other))
        assert.deepStrictEqual(World.counters(one), World.counters(other))
        assert.deepStrictEqual(World.running(one), World.running(other))
      }),
      { numRuns }
    )
  })

  it("gives another history from the first event that differs", () => {
    const [one, other] = [village(3), village(3)]
    for (const world of [one, other]) World.run(world, 5000)
    assert.strictEqual(World.history(one), World.history(other))
    tell(one, 0, "a")
    tell(other, 0, "b")
    for (const world of [one, other]) World.pass(world, 0)
    assert.notStrictEqual(World.history(one), World.history(other))
  })
})

describe("another seed", () => {
  it("gives another history", () => {
    const histories = Array.from({ length: 100 }, (_, seed) => {
      const world = village(seed)
      World.run(world, 2000)
      return World.history(world)
    })
    assert.strictEqual(new Set(histories).size, 100)
  })
})

describe("a rumor", () => {
  it("reaches everybody, once", () => {
    const told: Array<string> = []
    const world = village(1, { observer: { output: ({ peer }, text) => told.push(`${peer.id} ${text}`) } })
    World.run(world, 1000)
    tell(world, 3, "r")
    assert.isTrue(World.runUntil(world, (world) => knowers(world, "r") === size, { withinMs: 1000 }))
    World.pass(world, 10_000)
    assert.strictEqual(told.length, size)
    assert.strictEqual(new Set(told).size, size)
  })

  it("does not cross a cut, and does when it heals, though links were given up meanwhile", () => {
    const world = village(2)
    World.run(world, 2000)
    Fault.schedule(world, [
      ...Fault.at(2000, Fault.cut(east, west)),
      ...Fault.shift(Fault.at(0, Fault.healAll), 15_000)
    ])
    World.pass(world, 0)
    tell(world, 0, "r")
    World.run(world, 14_999)
    assert.strictEqual(knowers(world, "r"), size / 2)
    assert.isTrue(World.runUntil(world, (world) => knowers(world, "r") === size, { withinMs: 10_000 }))
  })

  it("that a node told others survives the crash of that node", () => {
    for (let seed = 0; seed < 50; seed++) {
      const world = village(seed)
      World.run(world, 2000)
      tell(world, 0, "r")
      World.runUntil(world, (world) => knowers(world, "r") > 1, { withinMs: 1000, everyMs: 1 })
      Fault.apply(world, Fault.crash(id(0)))
      Fault.apply(world, Fault.restart(id(0)))
      assert.include(World.state(world, id(0))?.known ?? [], "r")
    }
  })

  it("that one living node knows reaches all of them when the faults are over", () => {
    fc.assert(
      fc.property(fc.nat(), scenario, (seed, faults) => {
        const world = play(seed, faults)
        for (const twin of ["twin-0", "twin-1", "twin-2"]) Fault.apply(world, Fault.crash(twin))
        for (const end of [Fault.healAll, Fault.clearAllWeather]) Fault.apply(world, end)
        for (const n of all) {
          Fault.apply(world, Fault.resume(n))
          Fault.apply(world, Fault.restart(n))
        }
        World.pass(world, 15_000)
        for (const text of ["the king is dead", "long live the king"]) {
          assert.include([0, size], knowers(world, text), `seed ${seed}: ${text}`)
        }
      }),
      { numRuns }
    )
  })
})

describe("any fault", () => {
  it("lets every link come up once and go down at most once, with nothing before or after", () => {
    fc.assert(
      fc.property(fc.nat(), scenario, (seed, faults) => {
        const phases = new Map<string, "up" | "down">()
        const world = village(seed, {
          network: { resetShare: 0.01, jitterMs: 100 },
          observer: {
            step: ({ node, peer }, event) => {
              if (!("link" in event)) return
              const key = `${node}.${peer.incarnation}.${event.link}`
              const phase = phases.get(key)
              assert.strictEqual(phase, event._tag === "LinkUp" ? undefined : "up", `${key} ${event._tag}`)
              phases.set(key, event._tag === "LinkDown" ? "down" : "up")
            }
          }
        })
        Fault.schedule(world, faults)
        World.run(world, 20_000)
        for (const n of all) Fault.apply(world, Fault.resume(n))
        World.pass(world, 0)
        // What a node believes to be open is what it was told is up.
        for (const { node, peer } of World.running(world)) {
          const run = `${node}.${peer.incarnation}.`
          const up = [...phases].filter(([key, phase]) => phase === "up" && key.startsWith(run)).map(([key]) => key)
          assert.sameMembers(
            World.links(world, node).map(({ link }) => `${run}${link}`),
            up
          )
        }
      }),
      { numRuns }
    )
  })

  it("leaves no half of a link behind for ever, as long as both nodes ask for signs of life", () => {
    for (let seed = 0; seed < 10; seed++) {
      const world = village(seed)
      World.run(world, 3000)
      let rng = Rng.make(seed)
      for (let i = 0; i < 10; i++) {
        const [n, next] = Rng.nextInt(rng, size)
        rng = next
        Fault.apply(world, Fault.crash(id(n), i % 2 === 0 ? "silent" : "reset"))
        World.pass(world, 700)
        Fault.apply(world, Fault.restart(id(n)))
      }
      World.pass(world, 10_000)
      const broken = all.flatMap((n) => World.links(world, n)).filter(({ whole }) => !whole)
      assert.deepStrictEqual(broken, [])
    }
  })
})

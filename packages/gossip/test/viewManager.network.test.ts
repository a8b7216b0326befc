import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { components, degrees, Network, overlayFaults, type Run, unbiased } from "./viewNetwork.ts"

/** Starts `n` nodes within `withinMs` through node 0. */
const fleet = (n: number, withinMs: number, options: ConstructorParameters<typeof Network>[0]): Network => {
  const network = new Network(options)
  network.start(0, [])
  for (let i = 1; i < n; i++) network.at(network.chance() * withinMs, () => network.start(i, [0]))
  return network
}

const seeds = fc.integer({ min: 0, max: 0x7fffffff })

const isJoined = (network: Network): boolean => components(network) === 1

describe("ViewManager, a fleet", () => {
  it("two nodes are neighbours 100 ms after the second start", () => {
    const network = fleet(2, 0, { seed: 1 })
    network.advance(100)
    assert.deepStrictEqual(degrees(network), [1, 1])
  })

  it("three nodes are a full mesh one second after they start at once", () => {
    const network = fleet(3, 100, { seed: 2 })
    network.advance(1100)
    assert.deepStrictEqual(degrees(network), [2, 2, 2])
  })

  it("a node whose contact starts later than itself joins it", () => {
    const network = new Network({ seed: 3 })
    network.start(1, [0])
    network.advance(30_000)
    network.start(0, [])
    network.advance(13_000)
    assert.deepStrictEqual(degrees(network), [1, 1])
  })

  it("nine nodes that join within a second through one contact are one component after two, and after five nobody has a slot to spare for another", () => {
    fc.assert(
      fc.property(seeds, (seed) => {
        const network = fleet(9, 1000, { seed })
        network.advance(3000)
        assert.isTrue(isJoined(network))
        network.advance(3000)
        assert.deepStrictEqual(overlayFaults(network), [])
        assert.isAtLeast(Math.min(...degrees(network)), 3)
      }),
      { numRuns: 10 }
    )
  })

  it("two hundred nodes are one component two seconds after they join, with at least 190 full views", () => {
    const network = fleet(200, 1000, { seed: 7 })
    network.advance(3000)
    assert.isTrue(isJoined(network))
    assert.isAtLeast(degrees(network).filter((degree) => degree === 5).length, 190)
    assert.isAtLeast(Math.min(...degrees(network)), 3)
  })

  it("the neighbours of a killed process report it closed at once, fill the slot, and find that its host refuses", () => {
    fc.assert(
      fc.property(seeds, (seed) => {
        const network = fleet(9, 500, { seed })
        network.advance(5000)
        const victim = network.node(4) as Run
        const witnesses = victim.view.active.map((neighbor) => neighbor.peer.id)
        const killedAt = network.now
        network.kill(victim)
        network.advance(100)
        for (const run of network.live()) {
          if (!witnesses.includes(run.peer.id)) continue
          const down = run.downs.find((entry) => entry.id === victim.peer.id && entry.at >= killedAt)
          assert.strictEqual(down?.cause, "closed")
        }
        network.advance(5000)
        const refused = network.live().filter((run) => run.refusals.includes(victim.peer.id))
        assert.includeMembers(
          refused.map((run) => run.peer.id),
          witnesses
        )
        assert.deepStrictEqual(overlayFaults(network), [])
      }),
      { numRuns: 5 }
    )
  })

  it("the neighbours of a host that went silent report a timeout within seven seconds", () => {
    const network = fleet(6, 500, { seed: 11 })
    network.advance(5000)
    const victim = network.node(3) as Run
    const witnesses = victim.view.active.length
    network.vanish(victim)
    network.advance(7000)
    const downs = network.live().flatMap((run) => run.downs.filter((entry) => entry.id === victim.peer.id))
    assert.deepStrictEqual(
      downs.map((entry) => entry.cause),
      Array.from({ length: witnesses }, () => "timeout")
    )
  })

  it("a node that leaves is reported as left by every neighbour, and nobody dials it again", () => {
    const network = fleet(9, 500, { seed: 12 })
    network.advance(5000)
    const leaver = network.node(4) as Run
    const witnesses = leaver.view.active.length
    const leftAt = network.now
    network.leave(leaver)
    network.advance(5000)
    const since = (run: Run) => run.downs.filter((entry) => entry.id === leaver.peer.id && entry.at >= leftAt)
    const downs = network.live().flatMap(since)
    assert.deepStrictEqual(
      downs.map((entry) => entry.cause),
      Array.from({ length: witnesses }, () => "left")
    )
    assert.isFalse(network.live().some((run) => run.refusals.length > 0))
    assert.deepStrictEqual(overlayFaults(network), [])
  })

  it("a node restarted with remembered peers and no contacts is back within two seconds", () => {
    fc.assert(
      fc.property(seeds, (seed) => {
        const network = fleet(9, 500, { seed })
        network.advance(5000)
        const victim = network.node(4) as Run
        network.kill(victim)
        const dead = network.node(6) as Run
        network.kill(dead)
        network.advance(2000)
        const remembered = [dead, ...network.live()].map((run) => run.peer)
        const again = network.start(4, [], remembered)
        network.advance(2000)
        assert.strictEqual(again.peer.incarnation, 2)
        assert.isAtLeast(again.view.active.length, 2)
        assert.isTrue(isJoined(network))
      }),
      { numRuns: 5 }
    )
  })

  it("two components that forgot each other for minutes are one again within a minute and a half of the mending", () => {
    const n = 24
    const network = fleet(n, 1000, { seed: 21 })
    network.advance(10_000)
    for (let i = 0; i < n; i++) network.group.set((network.node(i) as Run).peer.id, i % 2)
    network.advance(120_000)
    assert.strictEqual(components(network), 2)
    // Lost neighbours would be found again; without them only probes between the components mend it.
    for (const run of network.live()) run.view = { ...run.view, lost: [] }
    network.group.clear()
    network.advance(90_000)
    assert.isTrue(isJoined(network))
    assert.isAbove(
      network.live().reduce((sum, run) => sum + run.view.counters.merges, 0),
      0
    )
  })

  it("a settled fleet evicts nobody", () => {
    const network = fleet(30, 1000, { seed: 22 })
    network.advance(60_000)
    const evictions = () => network.live().reduce((sum, run) => sum + run.view.counters.evictions, 0)
    const before = evictions()
    network.advance(60_000)
    assert.strictEqual(evictions(), before)
  })

  it("a settled fleet of three data centres gives up no unbiased neighbour, and for nearer ones one per two nodes and minute at most", () => {
    const network = fleet(30, 1000, { seed: 22, datacenters: 3 })
    network.advance(120_000)
    const counted = (what: "evictions" | "nearer") =>
      network.live().reduce((sum, run) => sum + run.view.counters[what], 0)
    const kept = () => network.live().map((run) => unbiased(run).map(({ link }) => link))
    const before = { evictions: counted("evictions"), nearer: counted("nearer"), kept: kept() }
    network.advance(60_000)
    assert.deepStrictEqual(kept(), before.kept)
    const evictions = counted("evictions") - before.evictions
    assert.strictEqual(evictions, counted("nearer") - before.nearer)
    // A link has a latency of its own here, so that whoever looks finds a nearer one more often than where distance stays.
    assert.isAtMost(evictions, network.live().length / 2)
    assert.isAbove(evictions, 0)
  })
})

type Fault =
  | { readonly _tag: "Start" | "Kill" | "Leave" | "Vanish" | "Rebuild"; readonly index: number }
  | { readonly _tag: "Reset"; readonly index: number; readonly pick: number }
  | { readonly _tag: "Cut" | "Heal"; readonly index: number }
  | { readonly _tag: "Wait"; readonly ms: number }

const size = 10

const index = fc.nat({ max: size - 1 })
const fault: fc.Arbitrary<Fault> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ _tag: fc.constant("Start" as const), index }) },
  {
    weight: 3,
    arbitrary: fc.record({ _tag: fc.constantFrom("Kill" as const, "Leave" as const, "Rebuild" as const), index })
  },
  { weight: 1, arbitrary: fc.record({ _tag: fc.constant("Vanish" as const), index }) },
  { weight: 4, arbitrary: fc.record({ _tag: fc.constant("Reset" as const), index, pick: fc.nat({ max: 50 }) }) },
  { weight: 1, arbitrary: fc.record({ _tag: fc.constantFrom("Cut" as const, "Heal" as const), index }) },
  {
    weight: 6,
    arbitrary: fc.record({
      _tag: fc.constant("Wait" as const),
      ms: fc.oneof(fc.nat({ max: 40 }), fc.nat({ max: 1500 }), fc.nat({ max: 8000 }))
    })
  }
)

const remembered = (network: Network) => network.runs.map((run) => run.peer).slice(-20)

const inflict = (network: Network, one: Fault): void => {
  const run = one._tag === "Wait" ? undefined : network.node(one.index)
  switch (one._tag) {
    case "Start":
      if (run === undefined) network.start(one.index, [0, 1], one.index % 2 === 0 ? remembered(network) : [])
      return
    case "Kill":
      if (run !== undefined) network.kill(run)
      return
    case "Leave":
      if (run !== undefined && !run.view.leaving) network.leave(run)
      return
    case "Vanish":
      if (run !== undefined) network.vanish(run)
      return
    case "Rebuild":
      if (run !== undefined && !run.view.leaving && !run.view.rebuilt) network.rebuild(run)
      return
    case "Reset": {
      // Any link: a neighbour's, one in the middle of a handshake, a temporary one.
      const links = run === undefined ? [] : [...run.ends.keys()]
      const link = links[one.pick % Math.max(1, links.length)]
      if (run !== undefined && link !== undefined) network.reset(run, link)
      return
    }
    case "Cut":
      if (run !== undefined) network.group.set(run.peer.id, 1)
      return
    case "Heal":
      network.group.clear()
      return
    case "Wait":
      return network.advance(one.ms)
  }
}

describe("ViewManager, any schedule of faults", () => {
  // The network checks the invariants of every node after every step: see `viewNetwork.ts`.
  it("keeps every invariant, and mends: symmetric views, one component, no two free slots that could meet", () => {
    fc.assert(
      fc.property(
        seeds,
        fc.array(fault, { minLength: 5, maxLength: 40 }),
        fc.constantFrom(2, 3, 5),
        fc.constantFrom(0, 0.2),
        fc.constantFrom([1, 10] as const, [5, 400] as const),
        fc.constantFrom(0, 0.02),
        fc.constantFrom(undefined, 2, 3),
        (seed, faults, activeMax, duplicates, latencyMs, crashing, datacenters) => {
          const settings = { activeMax, passiveMax: 9, labelMs: 8000, labelStableMs: 6000, probeMs: 4000 }
          const network = new Network({
            seed,
            settings,
            duplicates,
            latencyMs,
            ...(datacenters === undefined ? {} : { datacenters })
          })
          network.crashing = crashing
          for (const one of faults) inflict(network, one)
          network.crashing = 0
          network.group.clear()
          network.advance(100)
          for (const i of [0, 1]) if (network.node(i) === undefined) network.start(i, [1 - i], remembered(network))
          for (let waited = 0; waited < 120_000 && overlayFaults(network).length > 0; waited += 3000)
            network.advance(3000)
          assert.deepStrictEqual(overlayFaults(network), [])
        }
      )
    )
  })
})

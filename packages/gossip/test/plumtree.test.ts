import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { BroadcastTree } from "@starling/gossip"
import { Network } from "./plumtreeNetwork.ts"

const settled = (options: Partial<ConstructorParameters<typeof Network>[0]> = {}): Network => {
  const network = new Network({ nodes: 40, degree: 5, seed: 1, ...options })
  network.run(200)
  return network
}

describe("Plumtree on a stable overlay", () => {
  it("one root's redundancy is 0 from its second broadcast on", () => {
    const network = settled()
    const redundancy: Array<number> = []
    for (let i = 0; i < 5; i++) {
      const before = network.sent.payloads
      network.broadcast(0)
      network.run(2000)
      redundancy.push((network.sent.payloads - before) / (network.nodes.length - 1) - 1)
    }
    network.assertComplete()
    assert.isAbove(redundancy[0] ?? 0, 1)
    assert.deepStrictEqual(redundancy.slice(1), [0, 0, 0, 0])
    assert.strictEqual(network.sent.grafted, 0)
  })

  it("a settled tree is spanning, mutual, and announces twice over every other link", () => {
    for (const seed of [1, 2, 3, 4, 5]) {
      const network = settled({ seed })
      const n = network.nodes.length
      for (let i = 0; i < 3; i++) {
        network.broadcast(i)
        network.run(1000)
        network.broadcast(i)
        network.run(1000)
        assert.deepStrictEqual(network.eagerEdges(i), { mutual: n - 1, oneWay: 0 })
        const before = { ...network.sent }
        network.broadcast(i)
        network.run(1000)
        assert.deepStrictEqual(
          { payloads: network.sent.payloads - before.payloads, announced: network.sent.announced - before.announced },
          { payloads: n - 1, announced: 2 * (network.edges.length - (n - 1)) }
        )
        assert.strictEqual(network.sent.prunes, before.prunes)
      }
      network.assertComplete()
    }
  })

  it(
    "ten roots with five broadcasts in flight each settle without a graft, also when latencies jitter",
    { timeout: 30_000 },
    () => {
      for (const jitterMs of [0, 60]) {
        const network = settled({ nodes: 18, seed: 7, jitterMs })
        const burst = (): number => {
          const before = network.sent.payloads
          for (let i = 0; i < 5; i++) {
            for (let root = 0; root < 10; root++) network.later(network.float() * 100, () => network.broadcast(root))
          }
          network.run(3000)
          return (network.sent.payloads - before) / (50 * (network.nodes.length - 1)) - 1
        }
        burst()
        // Each shorter way that a node finds, by jitter or where two ways take equally long, costs one duplicate.
        assert.isAtMost(burst(), 0.005)
        assert.isAtMost(burst(), 0.005)
        assert.strictEqual(network.sent.grafted, 0)
        for (let root = 0; root < 10; root++) {
          assert.deepStrictEqual(network.eagerEdges(root), { mutual: network.nodes.length - 1, oneWay: 0 })
        }
        network.assertComplete()
      }
    }
  )
})

describe("Plumtree in several data centres", () => {
  it("each comes to have about one entry for each root, and delivery stays complete", { timeout: 30_000 }, () => {
    const regions = 5
    for (const seed of [1, 2, 3]) {
      const crossings = [30, -1].map((entryMs) => {
        const network = settled({ nodes: 60, regions, seed, tree: { entryMs } })
        let crossing = 0
        for (let i = 0; i < 5; i++) {
          const before = { ...network.sent }
          network.broadcast(0)
          network.run(2000)
          crossing = network.sent.crossing - before.crossing
        }
        network.assertComplete()
        assert.strictEqual(network.sent.grafted, 0)
        return crossing
      })
      assert.isAtMost(crossings[0] ?? 0, 1.5 * (regions - 1))
      assert.isAbove(crossings[1] ?? 0, 2 * (regions - 1), "many more, if each keeps whoever was first")
    }
  })
})

const fault = (nodes: number) =>
  fc.record({
    at: fc.integer({ min: 0, max: 4000 }),
    node: fc.nat(nodes - 1),
    kind: fc.oneof(
      { weight: 6, arbitrary: fc.constant("broadcast" as const) },
      { weight: 3, arbitrary: fc.constant("reset" as const) },
      { weight: 2, arbitrary: fc.constant("loseTree" as const) },
      { weight: 1, arbitrary: fc.constant("loseRepair" as const) },
      { weight: 1, arbitrary: fc.constant("rebuildTree" as const) },
      { weight: 1, arbitrary: fc.constant("rebuildRepair" as const) },
      { weight: 1, arbitrary: fc.constant("link" as const) }
    )
  })

describe("Plumtree under faults", () => {
  const nodes = 10
  it(
    "every accepted broadcast is delivered exactly once at every node, and nothing stays missing",
    { timeout: 30_000 },
    () => {
      fc.assert(
        fc.property(
          fc.integer(),
          fc.array(fault(nodes), { minLength: 1, maxLength: 40 }),
          fc.constantFrom(0, 0.1),
          fc.constantFrom({}, { regions: 3 }, { tree: { rootsMax: 2, rootIdleMs: 2000 } }),
          (seed, faults, duplicates, more) => {
            const network = new Network({
              nodes,
              degree: 4,
              seed,
              jitterMs: 20,
              duplicates,
              repair: { summaryMs: 500 },
              ...more
            })
            network.run(100)
            for (const { at, kind, node } of faults) {
              network.later(at, () => inject(network, node, kind))
            }
            network.run(6000)
            // Somebody says something, so that gaps show; then time for summaries to reach everybody.
            network.broadcast(0)
            network.run(8000)
            network.assertComplete()
          }
        )
      )
    }
  )

  it("a broadcast that one node loses in a crash is grafted by that node within a second or two", () => {
    const network = settled({ seed: 3 })
    for (let i = 0; i < 3; i++) {
      network.broadcast(0)
      network.run(2000)
    }
    const victim = network.node(17)
    const before = network.sent.grafted
    network.broadcast(0)
    victim.lose.tree = 1
    network.run(400)
    assert.strictEqual(victim.delivered.size, 3)
    assert.strictEqual(victim.lose.tree, 0)
    network.run(2000)
    assert.strictEqual(victim.delivered.size, 4)
    assert.strictEqual(victim.tree.counters.graftsSent, 1)
    // Its subtree was served by the same graft, or grafted around it.
    assert.isAtMost(network.sent.grafted - before, 1 + network.nodes.length / 4)
    network.assertComplete()
  })

  it("what a node missed without a neighbour comes by the summaries of its first one, whatever the topic", () => {
    const topics = [0, 1, 2, 17, 255]
    const network = settled({ nodes: 10, degree: 4, seed: 6 })
    for (const edge of network.edges.filter(({ ends }) => ends.some(({ peer }) => peer === 3))) network.reset(edge)
    network.run(500)
    for (const root of [0, 5]) for (const topic of topics) network.broadcast(root, "payload", topic)
    network.run(2000)
    const victim = network.node(3)
    assert.deepStrictEqual(victim.topics, [])
    network.connect(3, 7)
    // Announcements were made before, and no broadcast comes after: what it asks for it knows from a summary.
    const { announced } = network.sent
    network.run(2000)
    assert.strictEqual(network.sent.announced, announced)
    assert.deepStrictEqual(
      victim.topics.toSorted((a, b) => a - b),
      topics.flatMap((topic) => [topic, topic])
    )
    assert.isAbove(victim.tree.counters.graftsSent, 0)
    network.assertComplete()
  })

  it("after a burst of resets redundancy is 0 again within four broadcasts", () => {
    for (const seed of [1, 2, 3]) {
      const network = settled({ seed })
      for (let i = 0; i < 3; i++) {
        network.broadcast(0)
        network.run(500)
      }
      for (const edge of network.edges.slice(0, 20)) {
        const [a, b] = edge.ends
        network.reset(edge)
        network.later(300, () => network.connect(b.peer, a.peer))
      }
      network.run(2000)
      const redundancy: Array<number> = []
      for (let i = 0; i < 6; i++) {
        const before = network.sent.payloads
        network.broadcast(0)
        network.run(3000)
        redundancy.push((network.sent.payloads - before) / (network.nodes.length - 1) - 1)
      }
      assert.deepStrictEqual(redundancy.slice(4), [0, 0])
      assert.deepStrictEqual(network.eagerEdges(0), { mutual: network.nodes.length - 1, oneWay: 0 })
      network.assertComplete()
    }
  })

  it("roots without a place share the trees of those that have one: redundancy 0 for all from the third round on", () => {
    const network = settled({ nodes: 24, degree: 4, tree: { rootsMax: 4 } })
    const redundancy: Array<number> = []
    for (let round = 0; round < 4; round++) {
      const before = network.sent.payloads
      for (let root = 0; root < 12; root++) network.broadcast(root)
      network.run(2000)
      redundancy.push((network.sent.payloads - before) / (12 * (network.nodes.length - 1)) - 1)
    }
    network.assertComplete()
    assert.deepStrictEqual(redundancy.slice(2), [0, 0])
    assert.strictEqual(network.sent.grafted, 0)
    assert.isTrue(network.nodes.every(({ tree }) => BroadcastTree.rootsOf(tree).length === 4))
    const shared = network.nodes.map(({ tree }) => tree.counters.shared)
    assert.deepStrictEqual(
      shared.map((count) => count > 0),
      network.nodes.map((_, index) => index >= 4 && index < 12)
    )
  })

  it("a deep tree becomes shallow once there are shorter ways, and nothing is missed or grafted meanwhile", () => {
    const lastHop = (optimizeHops: number): number => {
      // At first the overlay is a ring; links across it come later.
      const network = new Network({ nodes: 40, degree: 2, seed: 1, repair: { optimizeHops } })
      network.run(500)
      for (let i = 0; i < 2; i++) {
        network.broadcast(0)
        network.run(4000)
      }
      for (let i = 0; i < 40; i++) network.connect(i, (i * 7 + 3) % 40)
      network.run(500)
      for (let i = 0; i < 6; i++) {
        network.broadcast(0)
        network.run(4000)
      }
      network.assertComplete()
      assert.deepStrictEqual(network.eagerEdges(0), { mutual: network.nodes.length - 1, oneWay: 0 })
      return Math.max(...network.nodes.map(({ lastRound }) => lastRound))
    }
    const [kept, shortened] = [lastHop(1000), lastHop(3)]
    assert.isAbove(kept, 15)
    assert.isBelow(shortened, 10)
  })
})

type Kind = "broadcast" | "reset" | "loseTree" | "loseRepair" | "rebuildTree" | "rebuildRepair" | "link"

const inject = (network: Network, node: number, kind: Kind): void => {
  switch (kind) {
    case "broadcast":
      network.broadcast(node)
      return
    case "reset": {
      const edge = network.edges[Math.floor(network.float() * network.edges.length)]
      if (edge === undefined) return
      const [a, b] = edge.ends
      network.reset(edge)
      network.later(150 + network.float() * 500, () => network.connect(b.peer, a.peer))
      return
    }
    case "loseTree":
      network.node(node).lose.tree++
      return
    case "loseRepair":
      network.node(node).lose.repair++
      return
    case "rebuildTree":
      return network.rebuild(node, "tree")
    case "rebuildRepair":
      return network.rebuild(node, "repair")
    case "link":
      return network.connect(node, Math.floor(network.float() * network.nodes.length))
  }
}

import { assert, describe, it } from "@effect/vitest"
import { Facts, type NodeDoc, Query, Relays } from "@starling/fleet"
import { Rng } from "@starling/machine"
import * as fc from "fast-check"
import * as HashMap from "effect/HashMap"
import { Network } from "./network.ts"

const runs = Number(process.env["RUNS"] ?? 100)

const config: Relays.Config = { relaysMax: 4, beatMs: 10_000, settleMs: 1000 }

const idOf = (index: number): string => (0xb00000000000 + index).toString(16)

/**
 * Nodes that do nothing but pass beats on and claim parents, over links whose delays are drawn anew for every frame. Links
 * are named alike at both ends; node 0 is the relay.
 */
class Beats {
  now = 0
  readonly nodes: Array<Relays.Relays>
  /** By link: its ends, while it is there. */
  readonly links = new Map<number, readonly [number, number]>()
  readonly dead = new Set<number>()
  private agenda: Array<{ readonly at: number; readonly order: number; readonly run: () => void }> = []
  private readonly arrival = new Map<string, number>()
  private order = 0
  private rng: Rng.Rng
  private beats = 0
  private readonly jitterMs: number

  constructor(seed: number, size: number, degree: number, jitterMs: number) {
    this.rng = Rng.make(seed)
    this.jitterMs = jitterMs
    this.nodes = Array.from({ length: size }, () => Relays.empty)
    let link = 1
    for (let i = 0; i < size; i++) this.links.set(link++, [i, (i + 1) % size])
    for (let i = 0; i < (size * (degree - 2)) / 2; i++) {
      const [a, b] = [this.random(size), this.random(size)]
      const isNew = [...this.links.values()].every((ends) => !ends.includes(a) || !ends.includes(b))
      if (a !== b && isNew) this.links.set(link++, [a, b])
    }
  }

  random(bound: number): number {
    const [value, rng] = Rng.nextInt(this.rng, bound)
    this.rng = rng
    return value
  }

  linksOf(node: number): ReadonlyArray<number> {
    return [...this.links].flatMap(([link, ends]) => (ends.includes(node) ? [link] : []))
  }

  beat(): void {
    this.hear(0, { incarnation: 1, built: 1, version: ++this.beats }, null)
  }

  tend(): void {
    for (const node of this.nodes.keys()) {
      const { relays, released } = Relays.tended(this.relaysOf(node), config, this.now)
      this.nodes[node] = relays
      for (const { links, relay } of released) for (const link of links) this.claim(node, link, relay, false)
    }
  }

  /** A process ends, and its neighbours notice. */
  kill(node: number): void {
    this.dead.add(node)
    for (const link of this.linksOf(node)) {
      const other = this.otherEnd(link, node)
      this.links.delete(link)
      const left = this.linksOf(other)
      const { orphaned, relays } = Relays.without(this.relaysOf(other), [{ link, id: idOf(node) }], left, this.now)
      this.nodes[other] = relays
      this.claimAll(other, orphaned)
    }
  }

  run(durationMs: number, look: () => void = () => {}): void {
    const end = this.now + durationMs
    for (;;) {
      this.agenda.sort((a, b) => a.at - b.at || a.order - b.order)
      const next = this.agenda[0]
      if (next === undefined || next.at > end) break
      this.agenda.shift()
      this.now = next.at
      next.run()
      look()
    }
    this.now = end
  }

  isEdge(node: number, link: number): boolean {
    return Relays.isEdge(Relays.branchOf(this.relaysOf(node), idOf(0)), link, config, this.now)
  }

  /** Nodes that something gets to from this one along edges, as the nodes on its way see them. */
  reachable(from: number): ReadonlySet<number> {
    const found = new Set([from])
    const queue = [from]
    for (const node of queue) {
      for (const link of this.linksOf(node)) {
        const other = this.otherEnd(link, node)
        if (found.has(other) || !this.isEdge(node, link)) continue
        found.add(other)
        queue.push(other)
      }
    }
    return found
  }

  alive(): ReadonlyArray<number> {
    return [...this.nodes.keys()].filter((node) => !this.dead.has(node))
  }

  /** Everybody alive hangs together by links. */
  isConnected(): boolean {
    const found = new Set([this.alive()[0] as number])
    const queue = [...found]
    for (const node of queue) {
      for (const link of this.linksOf(node)) {
        const other = this.otherEnd(link, node)
        if (!found.has(other)) queue.push(other)
        found.add(other)
      }
    }
    return found.size === this.alive().length
  }

  private relaysOf(node: number): Relays.Relays {
    return this.nodes[node] as Relays.Relays
  }

  private otherEnd(link: number, node: number): number {
    const [a, b] = this.links.get(link) as readonly [number, number]
    return a === node ? b : a
  }

  private hear(node: number, beat: NodeDoc.Known, link: number | null): void {
    if (node === 0 && link !== null) return
    const heard = Relays.heard(this.relaysOf(node), idOf(0), beat, link, this.now)
    if (heard._tag === "Old" || heard._tag === "Full") return
    this.nodes[node] = heard.relays
    if (heard._tag === "Again") return
    if (link !== null) this.claim(node, link, idOf(0), true)
    if (heard._tag === "Adopted") return
    for (const way of this.linksOf(node)) if (way !== link) this.send(node, way, (to) => this.hear(to, beat, way))
  }

  private claimAll(node: number, orphaned: ReadonlyArray<Relays.Orphaned>): void {
    for (const { links, relay } of orphaned) for (const link of links) this.claim(node, link, relay, true)
  }

  private claim(node: number, link: number, relay: string, isParent: boolean): void {
    this.send(node, link, (to) => {
      const left = this.linksOf(to)
      const { orphaned, relays } = Relays.claimed(this.relaysOf(to), relay, link, isParent, left, this.now)
      this.nodes[to] = relays
      this.claimAll(to, orphaned)
    })
  }

  /** In order, and only while the link is there. */
  private send(from: number, link: number, run: (to: number) => void): void {
    const to = this.otherEnd(link, from)
    const key = `${link}>${to}`
    const at = Math.max(this.now + 10 + (link % 41) + this.random(1 + this.jitterMs), this.arrival.get(key) ?? 0)
    this.arrival.set(key, at)
    this.agenda.push({
      at,
      order: this.order++,
      run: () => {
        if (this.links.has(link)) run(to)
      }
    })
  }
}

describe("relay trees", () => {
  it("are spanning trees on whose edges both ends agree, once a beat has settled", () => {
    fc.assert(
      fc.property(fc.integer(), fc.integer({ min: 3, max: 40 }), fc.constantFrom(0, 60), (seed, size, jitterMs) => {
        const beats = new Beats(seed, size, 5, jitterMs)
        for (let i = 0; i < 3; i++) {
          beats.beat()
          beats.run(5000)
          beats.tend()
          beats.run(5000)
        }
        const edges = [...beats.links].filter(([link, [a]]) => beats.isEdge(a, link))
        for (const [link, [a, b]] of beats.links) assert.strictEqual(beats.isEdge(a, link), beats.isEdge(b, link))
        assert.strictEqual(edges.length, size - 1)
        assert.strictEqual(beats.reachable(0).size, size)
      }),
      { numRuns: runs }
    )
  })

  it("lead from everybody to everybody at any moment, while parents change from beat to beat", () => {
    fc.assert(
      fc.property(fc.integer(), fc.integer({ min: 3, max: 16 }), (seed, size) => {
        const beats = new Beats(seed, size, 5, 60)
        const look = () => {
          for (const node of beats.nodes.keys()) assert.strictEqual(beats.reachable(node).size, size, `${beats.now}`)
        }
        for (let i = 0; i < 3; i++) {
          beats.beat()
          for (let ms = 0; ms < 10_000; ms += 1000) {
            beats.run(1000, look)
            beats.tend()
          }
        }
      }),
      { numRuns: Math.ceil(runs / 5) }
    )
  })

  it("are whole again with the next beat, whoever died meanwhile", () => {
    fc.assert(
      fc.property(fc.integer(), fc.integer({ min: 8, max: 40 }), (seed, size) => {
        const beats = new Beats(seed, size, 6, 20)
        beats.beat()
        beats.run(10_000)
        beats.tend()
        for (let i = 0; i < size / 4; i++) beats.kill(1 + beats.random(size - 1))
        fc.pre(beats.isConnected())
        beats.run(1000)
        beats.beat()
        beats.run(5000)
        beats.tend()
        beats.run(1000)
        assert.strictEqual(beats.reachable(0).size, beats.alive().length)
        const edges = [...beats.links].filter(([link, [a]]) => beats.isEdge(a, link))
        assert.strictEqual(edges.length, beats.alive().length - 1)
      }),
      { numRuns: runs }
    )
  })

  it("take another parent at once when theirs dies, mostly one that is no descendant, and do not flood", () => {
    const found = { kills: 0, whole: 0, surplus: 0 }
    for (let seed = 0; seed < 200; seed++) {
      const beats = new Beats(seed, 40, 6, 20)
      beats.beat()
      beats.run(10_000)
      beats.tend()
      beats.run(1000)
      beats.kill(1 + beats.random(39))
      if (!beats.isConnected()) continue
      beats.run(1000)
      found.kills += 1
      if (beats.reachable(0).size === 39) found.whole += 1
      found.surplus += [...beats.links].filter(([link, [a]]) => beats.isEdge(a, link)).length - 38
    }
    assert.isAbove(found.kills, 150)
    assert.isAtLeast(found.whole / found.kills, 0.95, JSON.stringify(found))
    // Without next parents, the children of whoever died claim all they have.
    assert.isAtMost(found.surplus / found.kills, 0.25, JSON.stringify(found))
  })

  it("keep no child that does not claim again, and no relay that fell silent", () => {
    const beat = (version: number): NodeDoc.Known => ({ incarnation: 1, built: 1, version })
    const first = Relays.heard(Relays.empty, idOf(1), beat(1), 7, 0)
    assert.strictEqual(first._tag, "Newer")
    const known = first._tag === "Newer" ? Relays.claimed(first.relays, idOf(1), 8, true, [], 0).relays : Relays.empty
    const isChild = (relays: Relays.Relays, now: number) =>
      Relays.isEdge(Relays.branchOf(relays, idOf(1)), 8, config, now)
    assert.isTrue(isChild(known, 5000))
    assert.isTrue(isChild(Relays.tended(known, config, 25_000).relays, 25_000))
    assert.isFalse(isChild(Relays.tended(known, config, 25_001).relays, 25_001))
    const silent = Relays.tended(known, config, 35_001).relays
    assert.isFalse(Relays.branchOf(Relays.tended(known, config, 35_000).relays, idOf(1))?.silent)
    assert.isTrue(Relays.branchOf(silent, idOf(1))?.silent)
    assert.strictEqual(HashMap.size(Relays.tended(silent, config, 600_000).relays), 1)
    assert.strictEqual(HashMap.size(Relays.tended(silent, config, 600_001).relays), 0)
  })

  it("take the last beat of a silent relay for no news, whoever brings it, and a newer one for the beginning of another tree", () => {
    const beat = (version: number): NodeDoc.Known => ({ incarnation: 1, built: 1, version })
    const first = Relays.heard(Relays.empty, idOf(1), beat(1), 7, 0)
    const known = first._tag === "Newer" ? first.relays : Relays.empty
    assert.deepStrictEqual(Relays.told(known, config, 25_000), [[idOf(1), beat(1)]])
    assert.deepStrictEqual(Relays.told(known, config, 25_001), [])
    const silent = Relays.tended(known, config, 35_001).relays
    assert.strictEqual(Relays.heard(silent, idOf(1), beat(1), 8, 35_002)._tag, "Old")
    const back = Relays.heard(silent, idOf(1), beat(2), 8, 40_000)
    assert.strictEqual(back._tag, "Newer")
    if (back._tag === "Newer") assert.strictEqual(Relays.branchOf(back.relays, idOf(1))?.since, 40_000)
  })

  it("make room for one more where one is silent", () => {
    const beat: NodeDoc.Known = { incarnation: 1, built: 1, version: 1 }
    let relays = Relays.empty
    for (let i = 0; i < Relays.knownMax; i++) {
      const heard = Relays.heard(relays, idOf(i), beat, 1, i === 0 ? 0 : 30_000)
      if (heard._tag === "Newer") relays = heard.relays
    }
    relays = Relays.tended(relays, config, 36_000).relays
    const heard = Relays.heard(relays, idOf(1000), beat, 1, 36_000)
    assert.strictEqual(heard._tag, "Newer")
    if (heard._tag === "Newer") assert.isUndefined(Relays.branchOf(heard.relays, idOf(0)))
  })

  it("are at most knownMax, whoever says to be a relay", () => {
    let relays = Relays.empty
    for (let i = 0; i < 2 * Relays.knownMax; i++) {
      const heard = Relays.heard(relays, idOf(i), { incarnation: 1, built: 1, version: 1 }, 1, 0)
      assert.strictEqual(heard._tag, i < Relays.knownMax ? "Newer" : "Full")
      if (heard._tag === "Newer") relays = heard.relays
    }
    assert.strictEqual(HashMap.size(relays), Relays.knownMax)
  })
})

describe("the choice of a relay", () => {
  const all = (count: number): Relays.Relays => {
    let relays = Relays.empty
    for (let i = 0; i < count; i++) {
      const heard = Relays.heard(relays, idOf(i), { incarnation: 1, built: 1, version: 1 }, 1, 0)
      if (heard._tag === "Newer") relays = heard.relays
    }
    return relays
  }
  const origins = Array.from({ length: 1600 }, (_, index) => idOf(10_000 + 7 * index))

  it("changes for those that had a relay which is gone, and for nobody else", () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 32 }), fc.nat(), (count, gone) => {
        const relays = all(count)
        const lost = idOf(gone % count)
        const fewer = HashMap.remove(relays, lost)
        for (const origin of origins.slice(0, 200)) {
          const before = Relays.choose(relays, origin, config, 5000)
          const after = Relays.choose(fewer, origin, config, 5000)
          assert.notStrictEqual(after, lost)
          if (before !== lost) assert.strictEqual(after, before)
        }
      }),
      { numRuns: runs }
    )
  })

  it("spreads origins over all relays", () => {
    const counts = new Map<string | null, number>()
    for (const origin of origins) {
      const relay = Relays.choose(all(16), origin, config, 5000)
      counts.set(relay, (counts.get(relay) ?? 0) + 1)
    }
    // A hundred each on average; five standard deviations to both sides.
    for (let i = 0; i < 16; i++) {
      assert.isAbove(counts.get(idOf(i)) ?? 0, 50, idOf(i))
      assert.isBelow(counts.get(idOf(i)) ?? 0, 150, idOf(i))
    }
  })

  it("takes none that is known to be gone", () => {
    const relays = all(3)
    const chosen = Relays.choose(relays, idOf(77), config, 5000)
    const other = Relays.choose(relays, idOf(77), config, 5000, (relay) => relay === chosen)
    assert.notStrictEqual(other, chosen)
    assert.isNotNull(other)
    assert.isNull(Relays.choose(relays, idOf(77), config, 5000, () => true))
  })

  it("takes none that has just been heard of for the first time, and none that has missed two beats", () => {
    assert.isNull(Relays.choose(all(3), idOf(77), config, 999))
    assert.isNotNull(Relays.choose(all(3), idOf(77), config, 1000))
    assert.isNotNull(Relays.choose(all(3), idOf(77), config, 25_000))
    assert.isNull(Relays.choose(all(3), idOf(77), config, 25_001))
  })
})

/** Facts with quick beats, so that a minute has many. */
const quick = (relaysMax: number): Partial<Facts.Config> => ({
  relays: { relaysMax, beatMs: 2000, settleMs: 500 },
  // Nothing but what the test asks for.
  pulseMs: 100_000_000
})

const sum = (network: Network, counter: "deltasReceived" | "deltasRepeated" | "documentsPulled"): number =>
  network.members.reduce((total, { state }) => total + state.counters[counter], 0)

const change = (network: Network, index: number, what: string): void =>
  network.event(network.at(index), { _tag: "Handles", patterns: [what] })

const versions = (network: Network): ReadonlyArray<string> =>
  network.members.flatMap(({ alive, state }) => {
    if (!alive) return []
    return [
      [...HashMap.values(state.docs)]
        .map(({ id, version }) => `${id}:${version}`)
        .toSorted()
        .join()
    ]
  })

const assertSame = (network: Network): void => {
  assert.strictEqual(new Set(versions(network)).size, 1)
  assert.deepStrictEqual(network.problems, [])
}

describe("facts with relays", () => {
  it("bring each change to each node once, along the trees", () => {
    const size = 24
    const network = new Network({ nodes: size, seed: 11, codec: true, facts: quick(4), latency: [5, 6] })
    network.overlay(5)
    network.run(12_000)
    assert.strictEqual(network.members.filter(({ state }) => state.beats > 0).length, 4)
    const before = { received: sum(network, "deltasReceived"), repeated: sum(network, "deltasRepeated") }
    for (let i = 0; i < size; i++) network.later(network.random(300), () => change(network, i, "once"))
    network.run(2000)
    assertSame(network)
    assert.strictEqual(sum(network, "deltasReceived") - before.received, size * (size - 1))
    assert.strictEqual(sum(network, "deltasRepeated"), before.repeated)
  })

  it("lose nothing when relays die, links break and steps crash", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1_000_000 }), (seed) => {
        const size = 14
        const network = new Network({ nodes: size, seed, codec: true, facts: quick(4) })
        network.overlay(5)
        network.run(8000)
        for (let round = 0; round < 12; round++) {
          network.run(network.random(600))
          const node = network.random(size)
          change(network, node, `${round}`)
          const relays = network.members.filter(({ alive, state }) => alive && state.beats > 0)
          switch (network.random(5)) {
            case 0:
              if (relays[0] !== undefined && relays.length > 2) {
                const { index } = relays[0]
                network.kill(index)
                network.later(3000, () => network.restart(index))
                network.later(3100, () => {
                  for (const step of [1, 2, 5]) network.connect(index, (index + step) % size)
                })
              }
              break
            case 1: {
              const other = network.random(size)
              network.cut(node, other, "closed")
              network.later(network.random(500), () => network.connect(node, other))
              break
            }
            case 2:
              network.at(node).crashes += 1
              break
            case 3:
              network.rebuild(node)
          }
        }
        network.run(4000)
        for (let i = 0; i < size; i++) network.connect(i, (i + 1) % size)
        for (let i = 0; i < 8; i++) {
          network.run(5000)
          network.refresh()
        }
        assertSame(network)
      }),
      { numRuns: Math.ceil(runs / 20) }
    )
  })

  it("show a killed one of nine as offline at all others within two seconds, though it lay on every tree", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1_000_000 }), (seed) => {
        const network = new Network({ nodes: 9, seed, codec: true })
        network.overlay(4)
        // No neighbour is new any more, and all nine are relays.
        network.run(45_000)
        for (const { state } of network.members) assert.strictEqual(HashMap.size(state.relays), 9)
        const victim = network.random(9)
        network.kill(victim)
        network.run(2000)
        for (const { index, state } of network.members) {
          if (index === victim) continue
          const { items } = Query.nodes(state, network.context(index))
          assert.strictEqual(items.find(({ id }) => id === network.at(victim).id)?.state, "offline", `at ${index}`)
        }
      }),
      { numRuns: Math.ceil(runs / 25) }
    )
  })

  it("take another relay two seconds after theirs has died", () => {
    const network = new Network({ nodes: 24, seed: 3, facts: quick(4), latency: [5, 6] })
    network.overlay(5)
    network.run(12_000)
    const victim = network.members.find(({ state }) => state.beats > 0)
    if (victim === undefined) return assert.fail("somebody beats")
    network.kill(victim.index)
    network.run(2000)
    const before = sum(network, "documentsPulled")
    const from = sum(network, "deltasReceived")
    for (const { alive, index } of network.members)
      if (alive) network.later(network.random(300), () => change(network, index, "on"))
    network.run(1500)
    assert.strictEqual(sum(network, "documentsPulled"), before)
    assert.isAtLeast(sum(network, "deltasReceived") - from, 23 * 22)
    assertSame(network)
  })

  it("reach neighbours that are off the trees within two seconds, by announcement", () => {
    const network = new Network({ nodes: 12, seed: 5, facts: quick(2) })
    network.overlay(5)
    network.run(10_000)
    // Nobody forwards a delta: all that is left are announcements.
    const before = sum(network, "documentsPulled")
    network.drop = ({ _tag }) => _tag === "Delta"
    change(network, 3, "off")
    network.run(150)
    network.drop = undefined
    network.run(8000)
    assertSame(network)
    assert.isAbove(sum(network, "documentsPulled"), before)
  })

  it("give everything to neighbours of the release before, and take it from them", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1_000_000 }), (seed) => {
        const size = 12
        const network = new Network({ nodes: size, seed, codec: true, facts: quick(3), old: (i) => i % 3 === 0 })
        network.overlay(4)
        network.run(10_000)
        for (let i = 0; i < size; i++) change(network, i, "mixed")
        network.run(3000)
        assertSame(network)
        for (const { id, index, state } of network.members) {
          // Nobody sends it a beat.
          if (index % 3 === 0) assert.isTrue([...HashMap.keys(state.relays)].every((relay) => relay === id))
        }
      }),
      { numRuns: Math.ceil(runs / 20) }
    )
  })

  it("of a peer that makes things up stay within their bounds", () => {
    const network = new Network({ nodes: 2, seed: 5, facts: { ...quick(2), docsMax: 50 } })
    network.connect(0, 1)
    network.run(3000)
    const member = network.at(0)
    const link = [...member.links.keys()][0] as number
    const known = { incarnation: 1, built: 1, version: 1 }
    for (let frame = 0; frame < 10; frame++) {
      const rows = Array.from({ length: 100 }, (_, i) => [idOf(100 * frame + i), known] as const)
      for (const message of [
        { _tag: "Have", docs: rows },
        { _tag: "Want", docs: rows },
        { _tag: "Beats", beats: rows },
        { _tag: "Claims", parents: rows.map(([id]) => id), released: [] }
      ] as const) {
        network.event(member, { _tag: "Received", link, message })
        assert.deepStrictEqual(Facts.invariants(member.state), [])
      }
    }
    assert.isAbove(member.state.counters.relaysRefused, 0)
  })
})

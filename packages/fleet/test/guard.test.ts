/** Facts whose stamps lie beyond the clock guard, in a network where one node took them before it could tell. */
import { assert, describe, it } from "@effect/vitest"
import { Hlc } from "@starling/clock"
import { Config, EventLog, Facts, NodeDoc } from "@starling/fleet"
import * as fc from "fast-check"
import * as HashMap from "effect/HashMap"
import * as Option from "effect/Option"
import { Network, record, set } from "./network.ts"

/** Each run is a fleet for some minutes. */
const runs = Math.ceil(Number(process.env["RUNS"] ?? 100) / 8)

/** Its clock is ahead. */
const poisoned = 0
/** In probation, it took what the poisoned one said. */
const taken = 1
const healthy = [2, 3, 4, 5]
const beside = [2, 3]
const aheadMs = 150_000
const asideMs = 60_000

const make = (seed: number, skew: () => number = () => aheadMs, frameBytesMax = 256 * 1024): Network => {
  const network = new Network({
    nodes: 6,
    seed,
    codec: true,
    skew: (index) => (index === poisoned ? skew() : 0),
    guard: (index) => (index === poisoned ? "accept" : index === taken ? "probation" : "refuse"),
    // No change but those of the test.
    facts: { pulseMs: 1e9, frameBytesMax }
  })
  network.connect(poisoned, taken)
  // The others hear of its documents only from those who refuse some.
  for (const index of beside) network.connect(taken, index)
  for (const index of healthy) network.connect(index, healthy[(healthy.indexOf(index) + 1) % healthy.length] as number)
  return network
}

const idOf = (network: Network, index: number): string => network.at(index).id

const docAt = (network: Network, index: number, of: number): NodeDoc.NodeDoc | undefined =>
  Option.getOrUndefined(HashMap.get(network.at(index).state.docs, idOf(network, of)))

const keysAt = (network: Network, index: number): ReadonlyArray<string> =>
  [...HashMap.keys(network.at(index).state.registers.keys)].toSorted()

const pulledAt = (network: Network, index: number): number => network.at(index).state.counters.documentsPulled

/** True if nothing that a node shows is stamped beyond the guard. */
const isClean = (network: Network, index: number): boolean => {
  const { state } = network.at(index)
  const doc = docAt(network, index, poisoned)
  const docs = doc === undefined ? [] : [NodeDoc.since(doc, NodeDoc.unknown, 1e9)?.delta ?? assert.fail("no delta")]
  const stamp = Facts.stampsOf({ _tag: "Delta", docs, via: [] })
  return (
    [...HashMap.values(state.registers.entries)].every(({ revision }) => !network.isBeyond(revision)) &&
    EventLog.toArray(state.events).every((event) => !network.isBeyond(event.stamp)) &&
    (stamp === undefined || !network.isBeyond(stamp))
  )
}

const countDigests = (network: Network, during: () => void): number => {
  let digests = 0
  network.drop = (message) => {
    if (message._tag === "Digest") digests += 1
    return false
  }
  during()
  network.drop = undefined
  return digests
}

describe("what lies beyond the guard", () => {
  it("is put aside by itself, is not asked for again and again, and is taken when it lies within", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1_000_000 }), fc.boolean(), (seed, isCut) => {
        const network = make(seed)
        const good: Array<string> = []
        const bodies: Array<string> = []
        if (isCut) {
          network.run(1000)
          // Behind a partition everything gathers, to go in the same frames.
          for (const index of beside) network.cut(taken, index, "timeout")
        }
        for (let round = 0; round < 15; round++) {
          network.run(network.random(400))
          const index = network.random(6)
          const name = `${round}`
          if (network.random(2) === 0) {
            network.event(network.at(index), record(name))
            if (index !== poisoned) bodies.push(name)
          } else {
            network.event(network.at(index), set(`k/${name}`, "v"))
            if (index !== poisoned) good.push(`k/${name}`)
          }
        }
        network.event(network.at(poisoned), record("bad"))
        network.event(network.at(poisoned), set("k/bad", "v"))
        if (isCut) for (const index of beside) network.connect(taken, index)
        network.run(30_000)
        assert.deepStrictEqual(network.problems, [])
        for (const index of healthy) {
          assert.isTrue(isClean(network, index))
          assert.deepStrictEqual(keysAt(network, index), good.toSorted())
          const told = EventLog.toArray(network.at(index).state.events).map(({ body }) => body)
          assert.sameMembers(told, bodies)
          for (const of of [taken, ...healthy]) {
            const owned = docAt(network, of, of) ?? assert.fail("everybody has its own document")
            assert.deepStrictEqual(NodeDoc.knownOf(docAt(network, index, of) ?? assert.fail()), NodeDoc.knownOf(owned))
          }
        }
        // Within a term each of them asks once at most, and nobody finds a difference.
        const before = healthy.map((index) => pulledAt(network, index))
        const refused = network.refused
        const digests = countDigests(network, () => network.run(asideMs - 10_000))
        healthy.forEach((index, at) => assert.isAtMost(pulledAt(network, index) - (before[at] as number), 1))
        // Pulled, and offered after a digest.
        const bad = keysAt(network, poisoned).length - good.length
        assert.isAtMost(network.refused - refused, 2 * healthy.length * (1 + bad))
        assert.isAtMost(digests, 6)
        // In the end it is the past.
        network.run(aheadMs)
        const hashes = new Set(network.members.map(({ state }) => state.docsHash))
        assert.strictEqual(hashes.size, 1)
        for (const { index } of network.members) {
          assert.deepStrictEqual(keysAt(network, index), keysAt(network, poisoned))
          assert.strictEqual(
            JSON.stringify(Config.encodeVector(network.at(index).state.registers.vector).toSorted()),
            JSON.stringify(Config.encodeVector(network.at(poisoned).state.registers.vector).toSorted())
          )
        }
        assert.include(keysAt(network, 2), "k/bad")
        assert.deepStrictEqual(network.problems, [])
      }),
      { numRuns: runs }
    )
  })

  it("gives way to what its node says with a mended clock, at once", () => {
    let skew = aheadMs
    const network = make(7, () => skew)
    network.run(20_000)
    assert.isTrue(healthy.every((index) => isClean(network, index)))
    assert.isAbove(network.refused, 0)
    skew = 0
    network.at(poisoned).reading = Hlc.make(Number.MAX_SAFE_INTEGER)
    network.kill(poisoned)
    network.run(100)
    network.restart(poisoned)
    network.connect(poisoned, taken)
    network.run(5000)
    const own = NodeDoc.knownOf(docAt(network, poisoned, poisoned) ?? assert.fail())
    for (const index of healthy) {
      assert.deepStrictEqual(NodeDoc.knownOf(docAt(network, index, poisoned) ?? assert.fail()), own)
    }
  })

  it("is asked for once with each later version, and the later one counts as no gap", () => {
    const network = make(3)
    network.run(20_000)
    network.event(network.at(poisoned), record("bad"))
    network.run(5000)
    const before = healthy.map((index) => network.at(index).state.counters)
    const changes = 5
    for (let i = 0; i < changes; i++) {
      network.event(network.at(poisoned), { _tag: "Handles", patterns: [`p/${i}`] })
      network.run(4000)
    }
    healthy.forEach((index, at) => {
      const { deltaGaps, documentsPulled } = network.at(index).state.counters
      assert.strictEqual(deltaGaps, before[at]?.deltaGaps)
      assert.isAtMost(documentsPulled - (before[at]?.documentsPulled ?? 0), changes)
    })
    assert.isTrue(healthy.every((index) => isClean(network, index)))
  })

  it("is not asked for again either when it comes in parts", () => {
    const network = make(11, () => aheadMs, 1000)
    network.run(1000)
    for (const index of beside) network.cut(taken, index, "timeout")
    // What follows has no stamps, and builds upon what is refused.
    network.event(network.at(poisoned), record("bad"))
    network.run(100)
    for (let i = 0; i < 20; i++) {
      const labels = { text: "x".repeat(120) }
      network.event(network.at(poisoned), {
        _tag: "Published",
        app: `a/${i}`,
        instance: "1",
        signal: "metrics",
        labels
      })
    }
    network.run(2000)
    for (const index of beside) network.connect(taken, index)
    network.run(5000)
    const before = healthy.map((index) => pulledAt(network, index))
    network.run(asideMs - 10_000)
    assert.deepStrictEqual(
      healthy.map((index) => pulledAt(network, index)),
      before
    )
    assert.isTrue(healthy.every((index) => isClean(network, index)))
    network.run(2 * aheadMs)
    assert.strictEqual(new Set(network.members.map(({ state }) => state.docsHash)).size, 1)
  })

  it("is noted within bounds, and what finds no room is counted", () => {
    const network = make(5)
    network.run(10_000)
    const member = network.at(2)
    const entries = Array.from({ length: 1100 }, (_, at) =>
      Config.entry({
        key: `k/${at}`,
        value: "v",
        revision: { epoch: 0, wall: network.wall(poisoned) + aheadMs, counter: 0, node: idOf(network, poisoned) },
        selector: "",
        author: "",
        note: "",
        wall: 0,
        operation: "set",
        dot: { writer: idOf(network, poisoned), generation: 1, seq: at + 1 }
      })
    )
    const [link] = [...member.links.keys()]
    network.event(member, {
      _tag: "Received",
      link: link ?? assert.fail("no link"),
      message: { _tag: "Entries", entries, skipped: HashMap.empty() }
    })
    assert.strictEqual(member.state.counters.entriesAside, 1024)
    assert.strictEqual(member.state.counters.asideOverflow, 76)
    assert.deepStrictEqual(Facts.invariants(member.state), [])
    assert.deepStrictEqual(keysAt(network, 2), [])
  })
})

/** The population protocol in a small fleet with real delays, and clocks that go wrong in every way. */
import { assert, describe, it } from "@effect/vitest"
import { EffectiveTime, FleetTime, Guard, Hlc, MedianEstimator, Population, Stamp } from "@starling/clock"
import { LinkGate } from "@starling/machine"
import * as fc from "fast-check"
import { clocks, epochMs, Network, type Node, settledAfterMs } from "./clockNetwork.ts"

const guardMs = Guard.defaults.guardMs
const toleranceMs = EffectiveTime.defaults.toleranceMs

/** A whole fleet is simulated in each: fewer of them, and more with RUNS. */
const numRuns = Math.ceil((fc.readConfigureGlobal().numRuns ?? 100) / 12)

/** Beyond the true time, in milliseconds, what this node stamps. */
const stampError = (network: Network, node: Node): number => network.stamp(node).wall - epochMs - network.now

const fleetError = (network: Network, node: Node): number => {
  const error = node.fleetError(network.now)
  assert.isDefined(error, `${node.id} is in probation`)
  return error
}

/** The chance that at least `least` of `count` draws hit. */
const binomialTail = (count: number, hit: number, least: number): number => {
  let [term, sum] = [(1 - hit) ** count, 0]
  for (let hits = 0; hits <= count; hits++) {
    if (hits >= least) sum += term
    term *= ((count - hits) / (hits + 1)) * (hit / (1 - hit))
  }
  return sum
}

/** Clocks of 1970 and 2106, an hour ahead, ahead of the calendar, lost. */
const anyError = fc.oneof(
  fc.constantFrom(-epochMs, 4_294_967_296_000 - epochMs, 3_600_000, -3_600_000, 300, -300, 1e15, Number.NaN),
  fc.integer({ min: -86_400_000, max: 86_400_000 })
)

/** Mostly wrong ones among at most 20 clocks, but always fewer than half of those that vote. */
const smallFleet = fc
  .tuple(fc.integer({ min: 1, max: 20 }), fc.array(anyError, { maxLength: 20 }), fc.nat(1000))
  .map(([size, wrong, seed]) => {
    const bad = wrong.slice(0, (size - 1) >> 1)
    return { seed, bad, errors: [...bad, ...clocks(size, 0, seed).slice(bad.length)] }
  })

describe("Population, exact", () => {
  it("with fewer than half of the clocks arbitrary, every node finds the median, and stamps within the tolerance of it", () => {
    fc.assert(
      fc.property(smallFleet, fc.constantFrom(0, 20), ({ bad, errors, seed }, delayMs) => {
        // Of three nodes two with a clock are too few votes: after half a minute each goes by its own.
        fc.pre(errors.length !== 3 || bad.every((error) => error + epochMs <= Stamp.wallMax))
        const network = new Network(errors, { seed, delayMs })
        network.run(25_000)
        const good = errors.slice(bad.length)
        // Whole milliseconds per hop, and half of what the two ways differ by.
        const blur = 4 + delayMs
        for (const node of network.alive) {
          const error = fleetError(network, node)
          assert.isTrue(error >= Math.min(...good) - blur && error <= Math.max(...good) + blur, `${node.id}: ${error}`)
          assert.isAtMost(stampError(network, node), network.trueMedian + toleranceMs + blur)
          assert.deepStrictEqual(Population.median.invariants(node.machine), [])
        }
      }),
      { numRuns }
    )
  })

  it("a fleet that knows how many it is and agrees settles within 1.8 s, and otherwise not before two", () => {
    const settledAt = (errors: ReadonlyArray<number>, isSizeKnown: boolean): ReadonlyArray<number> => {
      const network = new Network(errors, { seed: 3, delayMs: 5, isSizeKnown })
      const at = errors.map(() => Number.NaN)
      while (network.now < 10_000) {
        network.run(50)
        for (const [i, node] of network.nodes.entries())
          if (node.offset !== undefined && Number.isNaN(at[i])) at[i] = network.now
      }
      return at
    }
    const right = clocks(9, 0, 3)
    for (const at of settledAt(right, true)) assert.isAtMost(at, 1800)
    for (const at of settledAt(right, false)) assert.isAtLeast(at, 2000)
    const [wrong, ...others] = settledAt([3_600_000, ...right.slice(1)], true)
    assert.isAtLeast(wrong as number, 2000, "who is at odds with the others takes its time")
    for (const at of others) assert.isAtMost(at, 1800)
    const third = [3_600_000, 7_200_000, 10_800_000, ...right.slice(3)]
    for (const at of settledAt(third, true)) assert.isAtLeast(at, 2000)
  })

  it("a node whose clock is ahead says so within 15 s, and nobody else does", () => {
    const network = new Network([3 * 3_600_000, ...clocks(8, 0, 5)], { seed: 5, delayMs: 5 })
    network.run(15_000)
    const conditions = network.nodes.map(({ machine }) => machine.told?.condition)
    assert.deepStrictEqual(conditions, ["degraded", ...Array.from({ length: 8 }, () => "ok" as const)])
    const [first, second] = network.nodes as [Node, Node]
    const at = { now: network.now - first.zero, wall: first.wall(network.now) }
    const status = Population.median.status(first.machine, at)
    assert.strictEqual(status.condition, "degraded")
    assert.closeTo(status.aheadMs as number, 3 * 3_600_000, 30)
    assert.strictEqual(status.votes, 9)
    assert.strictEqual(status.others.length, 8)
    assert.isFalse(status.isUnsettled)
    for (const other of status.others) assert.isAtMost(Math.abs(other), 40)
    // Its neighbour sees one clock far ahead.
    const seen = Population.median.status(second.machine, {
      now: network.now - second.zero,
      wall: second.wall(network.now)
    })
    assert.closeTo(seen.others.at(-1) as number, 3 * 3_600_000, 40)
    assert.isAtMost(stampError(network, first), 50)
  })

  it("of two clocks the later one yields, even to one of 1970", () => {
    for (const error of [-3_600_000, -epochMs]) {
      const network = new Network([0, error])
      network.run(settledAfterMs)
      for (const node of network.nodes) assert.closeTo(fleetError(network, node), error, 2)
      assert.deepStrictEqual(
        network.nodes.map(({ machine }) => machine.told?.condition),
        ["degraded", "ok"]
      )
    }
  })

  it("a node that is alone goes by its own clock, at once without contacts, else after probation", () => {
    const network = new Network([3_600_000])
    network.run(1000)
    assert.isTrue(Number.isNaN(network.nodes[0]?.physical(network.now)))
    network.run(settledAfterMs)
    assert.strictEqual(network.nodes[0]?.machine.told?.condition, "ok")
    assert.closeTo(stampError(network, network.nodes[0] as Node), 3_600_000, 1)
  })
})

describe("Population, sampled", () => {
  it("beyond 32 nodes nobody is wrong with 30 % of the clocks ahead, quiet or late", () => {
    for (const [seed, delayMs, late] of [
      [1, 0, 0],
      [2, 20, 0.2]
    ] as const) {
      const network = new Network(clocks(64, 20, seed), { seed, delayMs, late, isSizeKnown: false })
      network.run(20_000)
      for (const node of network.nodes) {
        const error = fleetError(network, node) - network.trueMedian
        assert.isAtMost(Math.abs(error), 30, `${node.id} with seed ${seed}`)
        assert.isAtMost(stampError(network, node), guardMs)
      }
      assert.isAtMost(network.bytes / network.frames, 75)
    }
  })

  it("when 40 % jump ahead at once, no stamp leaves the guard, then or later", () => {
    const network = new Network(clocks(48, 0, 7), { seed: 7, delayMs: 2 })
    network.run(settledAfterMs)
    for (const node of network.nodes.slice(0, 19)) {
      const ahead = 3_600_000 * (1 + 23 * network.chance())
      node.error = () => ahead
    }
    let worst = 0
    for (let second = 0; second < 40; second++) {
      network.run(1000)
      for (const node of network.nodes) worst = Math.max(worst, stampError(network, node))
    }
    assert.isAtMost(worst, toleranceMs + EffectiveTime.recheckMs)
  })

  it("the first layer is wrong about as often as chance has it that most of 64 samples are", () => {
    let [judged, wrong] = [0, 0]
    for (const seed of [1, 2]) {
      const network = new Network(clocks(100, 40, seed), { seed, delayMs: 2, isSizeKnown: false })
      // Samples are replaced within 24 s, so that looks so far apart are draws of their own.
      for (const forMs of [30_000, 25_000]) {
        network.run(forMs)
        for (const { machine, zero } of network.nodes) {
          const { first } = machine.estimator
          if (first === undefined) continue
          judged++
          if (Math.abs(first - zero - epochMs - network.trueMedian) > 50) wrong++
        }
      }
    }
    assert.strictEqual(judged, 400)
    // 63 samples and the own clock: the lower median is wrong when 33 of 64 are; one in 25 at 40 %.
    const chance = binomialTail(64, 0.4, 33)
    assert.closeTo(chance, 0.04, 0.01)
    // Neighbours share samples, hence more room than independent draws would need.
    assert.isAtMost(wrong / judged, 2 * chance)
  })

  it("a cold start with 30 % bad clocks poisons nobody", () => {
    for (const [seed, size, isSizeKnown] of [
      [1, 60, false],
      [2, 60, false],
      [3, 60, true],
      [4, 20, true],
      [5, 10, true],
      [6, 10, true]
    ] as const) {
      const network = new Network(clocks(size, 0.3 * size, seed), { seed, delayMs: 5, isSizeKnown })
      network.run(15_000, () => {
        for (const node of network.nodes) {
          if (node.reading.wall > epochMs + network.now + toleranceMs) assert.fail(`${node.id} with seed ${seed}`)
        }
      })
    }
  })
})

describe("Population, when clocks change", () => {
  const settled = (seed: number): Network => {
    const network = new Network(clocks(8, 0, seed), { seed, delayMs: 2 })
    network.run(settledAfterMs)
    return network
  }

  it("a step of the own clock moves the fleet's time by no more than a vote does, and never shows in a stamp", () => {
    fc.assert(
      fc.property(fc.oneof(fc.integer({ min: -400, max: 400 }), anyError), fc.nat(100), (step, seed) => {
        const network = settled(seed)
        const node = network.nodes[0] as Node
        const before = fleetError(network, node)
        const error = node.error(0)
        node.error = () => error + step
        // The first stamp after the step, before anybody has looked at the clock.
        assert.isAtMost(stampError(network, node), before + toleranceMs + 1)
        for (let second = 0; second < 8; second++) {
          network.run(1000)
          const fleet = node.fleetError(network.now)
          // In doubt it says nothing rather than something else.
          if (fleet !== undefined) assert.closeTo(fleet, before, 40)
          assert.isAtMost(stampError(network, node), before + 40 + toleranceMs)
        }
        assert.closeTo(fleetError(network, node), before, 40)
        assert.strictEqual(
          node.machine.told?.condition,
          Number.isNaN(step)
            ? "clockless"
            : step > 300
              ? "degraded"
              : step < -300
                ? "behind"
                : node.machine.told?.condition
        )
      }),
      { numRuns }
    )
  })

  it("a machine that was suspended goes through probation again, and finds its clock right", () => {
    const network = settled(3)
    const node = network.nodes[0] as Node
    network.suspend(node, 60_000)
    network.run(60_300)
    assert.strictEqual(node.machine.told?.condition, "probation")
    assert.strictEqual(node.machine.counters.restarts, 1)
    assert.isTrue(Number.isNaN(node.physical(network.now)))
    network.run(settledAfterMs)
    assert.strictEqual(node.machine.told?.condition, "ok")
    assert.isAtMost(Math.abs(fleetError(network, node)), 20)
    // Nobody took what it said meanwhile for late by a minute.
    for (const other of network.nodes) assert.isAtMost(Math.abs(fleetError(network, other)), 20)
  })

  it("clocks that are frozen, run at half or double speed, or are lost are found out, and their nodes stamp near true time", () => {
    const network = settled(4)
    const start = network.now
    const [frozen, half, double] = network.nodes as [Node, Node, Node]
    frozen.error = (at) => start - at
    half.error = (at) => (start - at) / 2
    double.error = (at) => at - start
    network.run(20_000)
    assert.deepStrictEqual(
      [frozen, half, double].map(({ machine }) => machine.told?.condition),
      ["behind", "behind", "degraded"]
    )
    for (const node of network.nodes) assert.closeTo(stampError(network, node), 0, 60)
    half.error = () => Number.NaN
    network.run(1000)
    assert.strictEqual(half.machine.told?.condition, "clockless")
    assert.closeTo(stampError(network, half), 0, 60)
  })

  it("a fleet whose clocks are all set right follows them, after ten seconds of doubt at the most", () => {
    const network = new Network([-5000, -5000, -5000, -5000, -5000])
    network.run(settledAfterMs)
    for (const node of network.nodes) node.error = () => 0
    network.run(25_000)
    for (const node of network.nodes) {
      assert.strictEqual(node.machine.told?.condition, "ok")
      assert.closeTo(stampError(network, node), 0, 20)
    }
  })

  it("the clocks of the dead are forgotten", () => {
    const network = settled(6)
    for (const node of network.nodes.slice(0, 4)) network.kill(node)
    network.run(MedianEstimator.defaults.ttlMs + 1000)
    for (const node of network.alive) {
      assert.strictEqual(
        node.machine.estimator.entries.filter(({ at }) => network.now - node.zero - at <= 24_000).length,
        3
      )
      assert.strictEqual(node.machine.neighbors.length, network.alive.length - 1 - lacking(network, node))
    }
  })

  it("each side of a partition follows its own median, and the healed fleet the median of all", () => {
    const network = new Network([0, 0, 0, 0, 0, 600, 600, 600, 600, 600, 600])
    network.isCut = (from, to) => from < 5 !== to < 5
    // What crossed before the cut has to be forgotten, and then the change to last.
    network.run(MedianEstimator.defaults.ttlMs + FleetTime.defaults.persistMs + 5000)
    for (const node of network.nodes) assert.closeTo(fleetError(network, node), node.index < 5 ? 0 : 600, 2)
    network.isCut = () => false
    network.run(30_000)
    for (const node of network.nodes) assert.closeTo(fleetError(network, node), 600, 5)
  })
})

/** Nodes that this one has no link to. */
const lacking = (network: Network, node: Node): number =>
  network.alive.filter(
    (other) =>
      other !== node &&
      !network.edges.some(
        ([a, b]) => (a === node.index && b === other.index) || (b === node.index && a === other.index)
      )
  ).length

describe("a reset", () => {
  it("of a poisoned fleet, by two operators at once, ends in the next epoch everywhere, near true time", () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 12 }), fc.nat(1000), fc.nat(), fc.nat(), (size, seed, one, other) => {
        const network = new Network(clocks(size, 0, seed), { seed, delayMs: 5, policy: "accept" })
        network.run(settledAfterMs)
        const at = (index: number): Node => network.nodes[index % size] as Node
        at(0).reading = { ...at(0).reading, wall: epochMs + 3_600_000 }
        network.run(4000)
        for (const node of network.nodes) {
          assert.isAtLeast(stampError(network, node), 3_500_000)
          const fleet = (node.offset as number) + network.now - node.zero
          assert.isDefined(Guard.poisonedBy(node.reading, fleet))
        }
        for (const node of [at(one), at(other)]) {
          node.reading = Hlc.reset(node.reading, 0, node.physical(network.now)) ?? node.reading
        }
        network.run(4000)
        for (const node of network.nodes) {
          assert.strictEqual(node.reading.epoch, 1)
          assert.isAtMost(Math.abs(stampError(network, node)), 40)
          assert.isUndefined(Guard.poisonedBy(node.reading, (node.offset as number) + network.now - node.zero))
        }
      }),
      { numRuns }
    )
  })
})

describe("Population's machine", () => {
  const config: Population.Config = { ...Population.defaults, self: "0000000000ff" }
  const { make, step } = Population.median
  const peer = { id: "000000000001", incarnation: 1, address: "10.0.0.1:7000" }
  const wall = epochMs
  /** What a node says that has just begun. */
  const first = {
    _tag: "Clocks",
    sentAt: 0,
    era: 0,
    back: undefined,
    block: { own: wall, median: undefined, samples: [] }
  } as const
  const up = (link: number, version = 1) => ({ _tag: "Neighbors", version, neighbors: [{ link, peer }] }) as const

  it("a new neighbour is sent all that is known at once, and no second block within a tenth of a second", () => {
    const [one, actions] = step(make(config, 1, 0), { now: 0, wall, event: up(7) })
    assert.deepStrictEqual(actions, [
      {
        _tag: "Send",
        link: 7,
        message: first
      }
    ])
    assert.deepStrictEqual(step(one, { now: 50, wall: wall + 50, event: up(7) })[1], [])
    const round = step(one, { now: 99, wall: wall + 99, event: { _tag: "Started" } })
    assert.deepStrictEqual(
      round[1].map(({ _tag }) => _tag),
      ["Emit", "SetTimer"]
    )
    const [, later] = step(round[0], {
      now: 299,
      wall: wall + 299,
      event: { _tag: "TimerFired", timer: { _tag: "Round", round: 1 } }
    })
    assert.deepStrictEqual(
      later.map(({ _tag }) => _tag),
      ["Send", "SetTimer"]
    )
  })

  it("who starts tells all it knows while that is little, and three samples once it is much, or has settled", () => {
    const { median } = Population
    const told = (known: number, isSettled: boolean): number => {
      const fresh = make(config, 1, 0, isSettled ? epochMs : undefined)
      const clocks = MedianEstimator.estimator()
      const samples = Array.from({ length: known }, (_, i) => ({ origin: i + 1, wall, age: 0, hops: 1 }))
      const estimator = clocks.absorb(fresh.estimator, peer.id, { own: undefined, median: undefined, samples }, 0, {
        now: 0,
        wall
      })
      const [linked] = step({ ...fresh, estimator }, { now: 0, wall, event: up(7) })
      const [, actions] = median.step(linked, { now: 200, wall: wall + 200, event: { _tag: "Started" } })
      const sent = actions.find(({ _tag }) => _tag === "Send")
      return sent?._tag === "Send" ? sent.message.block.samples.length : assert.fail("nothing was sent")
    }
    assert.strictEqual(told(31, false), 31)
    assert.strictEqual(told(32, false), 3)
    assert.strictEqual(told(31, true), 3)
  })

  it("blocks that come before the news that their link is a neighbour's count as if they had come after it", () => {
    const others = fc.array(fc.tuple(fc.integer({ min: 1, max: 60 }), fc.integer({ min: -200, max: 200 })), {
      minLength: 1,
      maxLength: 4
    })
    fc.assert(
      fc.property(others, fc.integer({ min: 0, max: 250 }), (blocks, newsAt) => {
        let now = 0
        const received = blocks.map(([pass, offset], index) => {
          now += pass
          const message = {
            _tag: "Clocks",
            sentAt: now - 5,
            era: 0,
            back: index === 0 ? undefined : { transit: 5, era: 0 },
            block: { own: wall + now + offset, median: undefined, samples: [] }
          } as const
          return { at: now, event: { _tag: "Received", link: 7, message } } as const
        })
        const play = (newsAt: number) => {
          const events = [...received, { at: newsAt, event: up(7) } as const].toSorted((a, b) => a.at - b.at)
          const played = events.reduce(
            (state, { at, event }) => step(state, { now: at, wall: wall + at, event })[0],
            make(config, 1, 0)
          )
          const [end] = step(played, { now: 300, wall: wall + 300, event: { _tag: "Fleet", size: 2 } })
          return {
            way: end.neighbors[0]?.way,
            held: end.neighbors[0]?.held,
            votes: Population.median.status(end, { now: 300, wall: wall + 300 }).votes,
            waiting: end.gate.held,
            strangers: end.counters.strangers
          }
        }
        assert.deepStrictEqual(play(newsAt), play(0))
      })
    )
  })

  it("what a link sent that went down before it was a neighbour's is dropped and counted, and so is what finds no room", () => {
    const [state] = step(make(config, 1, 0), { now: 0, wall, event: up(7) })
    const block = (link: number) =>
      ({
        _tag: "Received",
        link,
        message: first
      }) as const
    const feed = (before: typeof state, event: Parameters<typeof step>[1]["event"]) =>
      step(before, { now: 10, wall: wall + 10, event })[0]
    const waiting = [block(8), block(9), block(8)].reduce(feed, state)
    assert.strictEqual(waiting.counters.strangers, 0)
    const down = feed(waiting, { _tag: "LinkDown", link: 8, reason: { _tag: "Reset" } })
    assert.strictEqual(down.counters.strangers, 2)
    assert.strictEqual(down.gate.held.length, 1)
    const full = Array.from({ length: 300 }, () => block(10)).reduce(feed, down)
    assert.strictEqual(full.gate.held.length, LinkGate.heldMax)
    assert.strictEqual(full.counters.strangers, 2 + 301 - LinkGate.heldMax)
  })

  it("a stale timer and an old view change nothing", () => {
    const [state] = step(make(config, 1, 0), { now: 0, wall, event: up(7, 2) })
    const at = { now: 10, wall: wall + 10 }
    const stale = step(state, { ...at, event: { _tag: "TimerFired", timer: { _tag: "Round", round: 5 } } })
    assert.deepStrictEqual(stale, [{ ...state, seen: at }, []])
    assert.deepStrictEqual(step(state, { ...at, event: up(9, 1) }), [{ ...state, seen: at }, []])
  })

  it("no clock of whatever year makes it throw or tell what cannot be told", () => {
    const walls = fc.oneof(fc.constantFrom(Number.NaN, Infinity, -Infinity, -1, Stamp.wallMax, 1e300), fc.double())
    fc.assert(
      fc.property(fc.array(fc.tuple(walls, fc.constantFrom(1, 200, 5000)), { maxLength: 20 }), (looks) => {
        let [state] = step(make(config, 1, 0), { now: 0, wall, event: up(7) })
        let now = 0
        for (const [wall, pass] of looks) {
          now += pass
          const [next, actions] = step(state, { now, wall, event: { _tag: "Started" } })
          state = next
          for (const action of actions) {
            if (action._tag === "Send") {
              assert.isTrue(Population.median.decode(Population.median.encode(action.message)).ok)
            }
          }
          assert.deepStrictEqual(Population.median.invariants(state), [])
        }
      })
    )
  })
})

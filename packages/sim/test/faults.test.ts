/** What each kind of fault does, told by puppets: to the packet, and to the millisecond where chance has no part. */
import { assert, describe, it } from "@effect/vitest"
import { Fault, World } from "@starling/sim"
import * as fc from "fast-check"
import { act, events, heard, id, linked, numbers, open, peer, say, stage, type Stage } from "./puppet.ts"

const tags = (set: Stage, n: number): ReadonlyArray<string> => events(set, n).map(({ _tag }) => _tag)

const apply = ({ world }: Stage, ...faults: ReadonlyArray<Fault.Fault>): void => {
  for (const fault of faults) Fault.apply(world, fault)
}

const [zero, one, two] = [id(0), id(1), id(2)]

/** When each of `count` frames, sent at once, arrived after it was sent. */
const delays = (set: Stage, count: number): ReadonlyArray<number> => {
  const sentAt = World.now(set.world)
  act(set, 0, ...Array.from({ length: count }, (_, n) => say(1, n)))
  World.pass(set.world, 3_600_000)
  return heard(set, 1).map(({ at }) => at - Math.floor(sentAt))
}

describe("bad weather", () => {
  it("makes a link slow both ways or one way, the open ones and those to come, until it clears", () => {
    const set = linked()
    apply(set, Fault.setWeather([zero], [one], { delayMs: 300 }, "there"))
    const at = World.now(set.world)
    act(set, 0, say(1, 1))
    act(set, 1, say(1, 2))
    World.pass(set.world, 1000)
    assert.strictEqual(heard(set, 1)[0]?.at, at + 320)
    assert.strictEqual(heard(set, 0)[0]?.at, at + 20)
    set.seen.length = 0
    act(set, 1, open(0))
    World.pass(set.world, 1000)
    assert.strictEqual(heard(set, 1)[0]?.at, at + 1000 + 20 + 320)
    set.seen.length = 0
    apply(set, Fault.clearWeather([zero], [one]))
    assert.deepStrictEqual(delays(set, 1), [20])
  })

  it("jitters within its bound, and nothing overtakes", () => {
    const set = linked()
    apply(set, Fault.setWeather([zero], [one], { jitterMs: 100 }))
    const late = delays(set, 1000)
    assert.deepStrictEqual(
      numbers(set, 1),
      late.map((_, n) => n)
    )
    assert.isTrue(late.every((ms) => ms >= 20 && ms <= 120))
    assert.isAbove(late.at(-1) ?? 0, 110)
  })

  it("takes a link's latency once to so many times, and nothing overtakes", () => {
    const set = linked()
    apply(set, Fault.setWeather([zero], [one], { jitterTimes: 3 }))
    const late = delays(set, 1000)
    assert.deepStrictEqual(
      numbers(set, 1),
      late.map((_, n) => n)
    )
    assert.isTrue(late.every((ms) => ms >= 20 && ms <= 60))
    assert.isAbove(late.at(-1) ?? 0, 55)
  })

  it("has a tail as heavy as it says", () => {
    // One frame at a time: else one that is late holds up the others.
    const set = linked()
    apply(set, Fault.setWeather([zero], [one], { tailMs: 10 }))
    const late = Array.from({ length: 20_000 }, () => {
      set.seen.length = 0
      const at = World.now(set.world)
      act(set, 0, say(1, 1))
      World.pass(set.world, 2000)
      return (heard(set, 1)[0]?.at ?? 0) - at - 20
    }).toSorted((a, b) => a - b)
    const share = (q: number): number => late[Math.floor(q * late.length)] ?? 0
    assert.isTrue(share(0.5) >= 3 && share(0.5) <= 5, `half of them later by ${share(0.5)} ms`)
    assert.isTrue(share(0.99) > 75 && share(0.99) < 110, `one in a hundred later by ${share(0.99)} ms`)
    assert.isAtMost(late.at(-1) ?? 0, 1000)
    assert.isAbove(late.at(-1) ?? 0, 400)
  })

  it("loses packets, which are sent again and hold up those behind them; all arrive", () => {
    const set = linked({ network: { resendMs: [200, 200] } })
    apply(set, Fault.setWeather([zero], [one], { lossShare: 0.3 }))
    const late = delays(set, 1)
    assert.isTrue([20, 220, 620, 1420].includes(late[0] ?? 0), `${late[0]} ms`)
    const lost = Array.from({ length: 1000 }, () => {
      set.seen.length = 0
      return delays(set, 1)[0] ?? 0
    })
    const once = lost.filter((ms) => ms > 20).length / lost.length
    assert.isTrue(once > 0.25 && once < 0.35, `${once} of all were late`)
    assert.strictEqual(new Set(lost).has(620), true)
    set.seen.length = 0
    delays(set, 500)
    assert.deepStrictEqual(
      numbers(set, 1),
      Array.from({ length: 500 }, (_, n) => n)
    )
  })

  it("tears links, and lets frames come twice", () => {
    const set = linked()
    apply(set, Fault.setWeather([zero], [one], { duplicateShare: 1 }))
    delays(set, 2)
    assert.deepStrictEqual(numbers(set, 1), [0, 0, 1, 1])
    apply(set, Fault.setWeather([zero], [one], { resetShare: 1 }))
    act(set, 0, say(1, 7))
    World.pass(set.world, 1000)
    assert.deepStrictEqual([tags(set, 0).at(-1), tags(set, 1).at(-1)], ["LinkDown", "LinkDown"])
    assert.notInclude(numbers(set, 1), 7)
  })

  it("is as everywhere after all of it has cleared", () => {
    const set = linked({}, 3)
    apply(set, Fault.setWeather([zero, two], [one], { delayMs: 300 }), Fault.clearAllWeather)
    assert.deepStrictEqual(delays(set, 1), [20])
  })
})

describe("a link that is reset in the middle of a frame", () => {
  it("loses what was under way, both ways, and both ends hear of it", () => {
    const set = linked()
    act(set, 0, say(1, 1))
    act(set, 1, say(1, 2))
    World.pass(set.world, 0)
    apply(set, Fault.resetLinks(zero, one, "lost"))
    World.pass(set.world, 1000)
    assert.deepStrictEqual([tags(set, 0), tags(set, 1)], [["LinkDown"], ["LinkDown"]])
  })

  it("and one that is reset after it does not", () => {
    const set = linked()
    act(set, 0, say(1, 1))
    World.pass(set.world, 0)
    apply(set, Fault.resetLinks(zero))
    World.pass(set.world, 1000)
    assert.deepStrictEqual([tags(set, 0), tags(set, 1)], [["LinkDown"], ["Received", "LinkDown"]])
  })
})

describe("a half-open link", () => {
  it("of which one end was told is open for ever at the other, which speaks to nobody", () => {
    const set = linked()
    apply(set, Fault.halfOpen(zero, one, "told"))
    act(set, 1, say(1, 1))
    World.pass(set.world, 60_000)
    assert.deepStrictEqual([tags(set, 0), tags(set, 1)], [["LinkDown"], []])
    assert.deepStrictEqual(
      World.links(set.world, one).map(({ whole }) => whole),
      [false]
    )
  })

  it("of which nobody was told carries nothing either way, not even the end of it", () => {
    const set = linked()
    apply(set, Fault.halfOpen(zero, null, "nobody"))
    act(set, 0, say(1, 1))
    act(set, 1, say(1, 2))
    World.pass(set.world, 60_000)
    act(set, 0, { _tag: "Close", link: 1, reason: "done" })
    World.pass(set.world, 60_000)
    assert.deepStrictEqual([tags(set, 0), tags(set, 1)], [["LinkDown"], []])
  })

  it("takes no other link with it: the next one is as ever", () => {
    const set = linked()
    apply(set, Fault.halfOpen(zero, one, "nobody"))
    act(set, 0, open(1, 2))
    World.pass(set.world, 100)
    act(set, 0, say(2, 5))
    World.pass(set.world, 100)
    assert.deepStrictEqual(numbers(set, 1), [5])
  })

  it("fills up at the end that goes on speaking", () => {
    const set = linked({ network: { queueMax: 3 } })
    apply(set, Fault.halfOpen(zero, one, "nobody"))
    act(set, 0, say(1, 1), say(1, 2), say(1, 3), say(1, 4))
    World.pass(set.world, 100)
    assert.deepStrictEqual(events(set, 0), [{ _tag: "LinkDown", link: 1, reason: { _tag: "Overflow" } }])
  })
})

describe("a process that is stopped", () => {
  it("accepts connections, and reads and writes nothing", () => {
    const set = stage(2)
    apply(set, Fault.pause(one))
    act(set, 0, open(1))
    World.pass(set.world, 100)
    act(set, 0, say(1, 1))
    World.pass(set.world, 30_000)
    assert.deepStrictEqual([tags(set, 0), tags(set, 1)], [["LinkUp"], []])
    apply(set, Fault.resume(one))
    World.pass(set.world, 0)
    assert.deepStrictEqual(tags(set, 1), ["LinkUp", "Received"])
  })

  it("lets what is sent to it pile up, until the link overflows", () => {
    const set = linked({ network: { queueMax: 10 } })
    apply(set, Fault.pause(one))
    for (let n = 0; n < 11; n++) {
      act(set, 0, say(1, n))
      World.pass(set.world, 1000)
    }
    assert.deepStrictEqual(tags(set, 0), ["LinkDown"])
    assert.strictEqual(World.counters(set.world).overflows, 1)
  })

  it("and dies then says so to whoever spoke to it, once its host is back", () => {
    const set = linked()
    apply(set, Fault.pause(one))
    act(set, 0, say(1, 1))
    World.pass(set.world, 1000)
    apply(set, Fault.crash(one, "silent"))
    World.pass(set.world, 1000)
    assert.deepStrictEqual(tags(set, 0), [])
    apply(set, Fault.restart(one))
    World.pass(set.world, 2000)
    assert.deepStrictEqual(tags(set, 0), ["LinkDown"])
  })
})

describe("a clock", () => {
  it("jumps, runs at another speed without a jump, and stands still", () => {
    const { world } = stage(1, { wallBase: 0 })
    const read = (): number => World.wall(world, zero)
    World.run(world, 1000)
    Fault.apply(world, Fault.shiftClock(zero, -400))
    assert.strictEqual(read(), 600)
    Fault.apply(world, Fault.setDrift(zero, 1_000_000))
    assert.strictEqual(read(), 600)
    World.pass(world, 100)
    assert.strictEqual(read(), 800)
    Fault.apply(world, Fault.setDrift(zero, -1_000_000))
    World.pass(world, 5000)
    assert.strictEqual(read(), 800)
    Fault.apply(world, Fault.setDrift(zero, 0))
    World.pass(world, 10)
    assert.strictEqual(read(), 810)
  })
})

describe("addresses", () => {
  it("are swapped by two nodes that are down, and lead to the other from then on", () => {
    const set = stage(3)
    apply(set, Fault.crash(zero), Fault.swapAddresses(zero, one), Fault.crash(one), Fault.swapAddresses(zero, one))
    apply(set, Fault.restart(zero), Fault.restart(one))
    act(set, 2, open(1))
    World.pass(set.world, 100)
    const [up] = events(set, 2)
    assert.deepStrictEqual(up?._tag === "LinkUp" ? up.peer : up, {
      id: zero,
      incarnation: 2,
      address: peer(1).address
    })
  })
})

describe("a twin", () => {
  const as = { twin: "ghost", address: "ghost:1" }

  it("says it is the node it was copied from, with its incarnation and its disk, until it crashes", () => {
    const set = stage(3)
    act(set, 0, { _tag: "Write", token: 1, rows: [{ table: "notes", key: "a", value: 1 }] })
    World.pass(set.world, 100)
    apply(set, Fault.twin(zero, as), Fault.twin(zero, as))
    assert.deepStrictEqual(World.state(set.world, "ghost")?.stored.get("notes")?.get("a"), 1)
    act(set, 2, { _tag: "Open", attempt: 1, address: "ghost:1" })
    World.pass(set.world, 100)
    const [up] = events(set, 2)
    assert.deepStrictEqual(up?._tag === "LinkUp" ? up.peer : up, { id: zero, incarnation: 1, address: "ghost:1" })
    apply(set, Fault.crash("ghost"))
    World.pass(set.world, 100)
    assert.deepStrictEqual(tags(set, 2), ["LinkUp", "LinkDown"])
    assert.isDefined(World.state(set.world, zero))
  })

  it("of a node that is down is none", () => {
    const set = stage(1)
    apply(set, Fault.crash(zero), Fault.twin(zero, as))
    assert.deepStrictEqual(World.ids(set.world), [zero])
  })
})

describe("a forged frame", () => {
  it("arrives as if its sender had sent it, in order, and only on a link", () => {
    const set = linked({}, 3)
    act(set, 0, say(1, 1))
    World.pass(set.world, 0)
    assert.isTrue(World.forge(set.world, zero, one, { from: two, run: 9, link: 9, n: 2 }))
    assert.isFalse(World.forge(set.world, two, one, { from: two, run: 9, link: 9, n: 3 }))
    World.pass(set.world, 100)
    assert.deepStrictEqual(numbers(set, 1), [1, 2])
  })
})

describe("what is no frame", () => {
  it("comes behind what is under way, and its receiver closes the link for it", () => {
    const set = linked({}, 3)
    act(set, 0, say(1, 1))
    World.pass(set.world, 0)
    assert.isTrue(World.forgeRubbish(set.world, zero, one))
    assert.isFalse(World.forgeRubbish(set.world, two, one))
    act(set, 0, say(1, 2))
    World.pass(set.world, 100)
    assert.deepStrictEqual(numbers(set, 1), [1])
    assert.deepStrictEqual(events(set, 1).at(-1), {
      _tag: "LinkDown",
      link: 1,
      reason: { _tag: "Local", reason: "violation" }
    })
    assert.deepStrictEqual(events(set, 0).at(-1), {
      _tag: "LinkDown",
      link: 1,
      reason: { _tag: "ClosedByPeer", reason: "violation" }
    })
    assert.strictEqual(World.counters(set.world).violations, 1)
  })

  it("waits while its receiver stands still", () => {
    const set = linked()
    World.pause(set.world, one)
    World.forgeRubbish(set.world, zero, one)
    World.forgeRubbish(set.world, zero, one)
    World.pass(set.world, 100)
    assert.strictEqual(World.counters(set.world).violations, 0)
    World.resume(set.world, one)
    World.pass(set.world, 100)
    assert.strictEqual(World.counters(set.world).violations, 1)
  })
})

describe("faults in time", () => {
  const forth = { fromMs: 1000, forMs: 500 }

  /** Who reaches whom: each of three dials the others, again and again. */
  const reach = (scenario: Fault.Scenario, atMs: number): ReadonlyArray<string> => {
    const set = stage(3)
    Fault.schedule(set.world, scenario)
    World.run(set.world, atMs)
    set.seen.length = 0
    for (const n of [0, 1, 2]) for (const other of [0, 1, 2]) if (n !== other) act(set, n, open(other, other))
    World.pass(set.world, 200)
    return set.seen
      .flatMap(({ event, node }) =>
        event._tag === "LinkUp" && event.attempt !== undefined ? [`${Number(node)}${Number(event.peer.id)}`] : []
      )
      .toSorted()
  }
  const everybody = ["01", "02", "10", "12", "20", "21"]

  it("a partition parts groups, and is over when it is over", () => {
    const scenario = Fault.partition([[zero], [one], [two]], forth)
    assert.deepStrictEqual(reach(scenario, 900), everybody)
    assert.deepStrictEqual(reach(scenario, 1000), [])
    assert.deepStrictEqual(reach(scenario, 1500), everybody)
    assert.deepStrictEqual(reach(Fault.partition([[zero, one], [two]], forth), 1000), ["01", "10"])
  })

  it("who is estranged is reached through others: reachability is not transitive", () => {
    assert.deepStrictEqual(reach(Fault.estrange([zero], [two], forth), 1000), ["01", "10", "12", "21"])
  })

  it("a cut that flaps comes and goes", () => {
    const scenario = Fault.flap([zero, one], [two], { fromMs: 1000, times: 2, downMs: 300, upMs: 700 })
    for (const [atMs, reached] of [
      [1000, 2],
      [1500, 6],
      [2000, 2],
      [2500, 6]
    ] as const) {
      assert.strictEqual(reach(scenario, atMs).length, reached, `at ${atMs} ms`)
    }
  })

  it("outages, restarts and stops end", () => {
    const set = stage(3)
    Fault.schedule(set.world, [
      ...Fault.outage(zero, forth, { how: "silent", disk: "lost" }),
      ...Fault.rollingRestart([zero, one, two], { fromMs: 2000, everyMs: 100, downMs: 50 }),
      ...Fault.stutter(one, { fromMs: 3000, times: 2, stopMs: 100, runMs: 100 }),
      ...Fault.storm([zero], [one], { delayMs: 100 }, { fromMs: 4000, forMs: 100 }),
      ...Fault.exchangeAddresses(zero, one, { fromMs: 5000, forMs: 100 }),
      ...Fault.haunt(two, { twin: "ghost", address: "ghost:1" }, { fromMs: 6000, forMs: 100 }),
      ...Fault.massCrash([zero, one], 7000)
    ])
    const runs = (): string =>
      World.running(set.world)
        .map(({ node, peer }) => `${Number(node)}${peer.incarnation}`)
        .join()
    for (const [atMs, expected] of [
      [1000, "11,21"],
      [1500, "02,11,21"],
      [2000, "11,21"],
      [2120, "03,21"],
      [2300, "03,12,22"],
      [5050, "22"],
      [5100, "04,13,22"],
      [6000, "04,13,22,NaN2"],
      [6100, "04,13,22"],
      [7000, "22"]
    ] as const) {
      World.run(set.world, atMs)
      assert.strictEqual(runs(), expected, `at ${atMs} ms`)
    }
  })
})

describe("names of nodes", () => {
  const node = fc.nat(9)
  const group = fc.array(node, { maxLength: 3 })
  const fault: fc.Arbitrary<Fault.Fault<number>> = fc.oneof(
    node.map((n) => Fault.crash(n)),
    fc.tuple(group, group).map(([some, others]) => Fault.cut(some, others)),
    fc.tuple(node, fc.option(node)).map(([n, other]) => Fault.resetLinks(n, other)),
    fc.tuple(node, fc.option(node)).map(([n, other]) => Fault.halfOpen(n, other, "told")),
    fc.tuple(group, group).map(([some, others]) => Fault.setWeather(some, others, { delayMs: 1 })),
    fc.tuple(node, node).map(([n, other]) => Fault.swapAddresses(n, other)),
    fc.tuple(node, node).map(([n, twin]) => Fault.twin(n, { twin, address: "ghost:1" })),
    fc.constant(Fault.healAll)
  )

  it("can be changed and changed back, and survive JSON", () => {
    fc.assert(
      fc.property(fault, (fault) => {
        assert.deepStrictEqual(Fault.map(Fault.map(fault, String), Number), fault)
        assert.deepStrictEqual(JSON.parse(JSON.stringify(fault)), fault)
      })
    )
  })

  it("that do not exist leave what is left of a fault, and nothing throws", () => {
    fc.assert(
      fc.property(fault, (fault) => {
        const left = Fault.restrict(fault, (n) => n < 3)
        if (left !== undefined) {
          Fault.map(left, (n) => assert.isTrue(n < 3 || (left._tag === "Twin" && n === left.twin)))
        }
        Fault.apply(stage(3).world, Fault.map(fault, id))
      })
    )
  })
})

import { assert, describe, it } from "@effect/vitest"
import { World } from "@starling/sim"
import {
  act,
  events,
  heard,
  id,
  linked,
  numbers,
  open,
  peer,
  program,
  say,
  stage,
  type Action,
  type Puppet
} from "./puppet.ts"

const write = (token: number, key: string, value: unknown = token): Action => ({
  _tag: "Write",
  token,
  rows: [{ table: "notes", key, value }]
})

const rows = (stored: World.Boot["stored"] | undefined): ReadonlyArray<readonly [string, unknown]> => [
  ...(stored?.get("notes") ?? new Map<string, unknown>())
]

describe("a dial", () => {
  it("is up at the listener after one latency and at the dialler after two, each with its own number", () => {
    const set = stage(2)
    act(set, 1, open(0, 4), open(0, 5))
    World.pass(set.world, 100)
    const up = (at: number, node: number, link: number, other: number, attempt?: number) => ({
      at,
      node: id(node),
      incarnation: 1,
      event: { _tag: "LinkUp", link, peer: peer(other), ...(attempt === undefined ? {} : { attempt }) }
    })
    assert.deepStrictEqual(heard(set, 0), [up(20, 0, 1, 1), up(20, 0, 2, 1)] as never)
    assert.deepStrictEqual(heard(set, 1), [up(40, 1, 1, 0, 4), up(40, 1, 2, 0, 5)] as never)
  })

  it("of a host where nothing listens is refused after a round trip", () => {
    const set = stage(2)
    World.crash(set.world, id(1))
    act(set, 0, open(1))
    World.pass(set.world, 5000)
    assert.deepStrictEqual(heard(set, 0), [
      {
        at: 40,
        node: id(0),
        incarnation: 1,
        event: { _tag: "LinkRefused", attempt: 1, address: "host-1:1", failure: { _tag: "Refused" } }
      }
    ])
  })

  it("that nobody answers is unreachable after the timeout: a host that is gone, an address nobody has, a cut", () => {
    const set = stage(3)
    World.crash(set.world, id(1), "silent")
    World.cut(set.world, [id(0)], [id(2)])
    act(set, 0, open(1, 1), open(9, 2), open(2, 3))
    World.pass(set.world, 2999)
    assert.deepStrictEqual(heard(set, 0), [])
    World.pass(set.world, 1)
    assert.deepStrictEqual(
      events(set, 0).map((event) => event._tag === "LinkRefused" && [event.attempt, event.failure._tag]),
      [
        [1, "Unreachable"],
        [2, "Unreachable"],
        [3, "Unreachable"]
      ]
    )
    World.healAll(set.world)
    World.pass(set.world, 10_000)
    assert.deepStrictEqual(heard(set, 2), [])
    assert.strictEqual(World.counters(set.world).dialsFailed, 3)
  })

  it("whose answer is cut off leaves the listener with half a link until the reset comes through", () => {
    const set = stage(2)
    World.cut(set.world, [id(1)], [id(0)], "there")
    act(set, 0, open(1))
    World.pass(set.world, 2999)
    assert.deepStrictEqual(World.links(set.world, id(1)), [{ link: 1, peer: id(0), whole: false }])
    World.pass(set.world, 1000)
    assert.deepStrictEqual(
      events(set, 0).map(({ _tag }) => _tag),
      ["LinkRefused"]
    )
    assert.deepStrictEqual(
      events(set, 1).map(({ _tag }) => _tag),
      ["LinkUp", "LinkDown"]
    )
  })

  it("of oneself, or one that the host does not admit, is rejected", () => {
    const set = stage(2, { network: { admit: (host) => ({ code: "fleet", message: `${host.id} is of another` }) } })
    act(set, 0, open(0, 1), open(1, 2))
    World.pass(set.world, 100)
    assert.deepStrictEqual(
      events(set, 0).map((event) => event._tag === "LinkRefused" && event.failure),
      [
        { _tag: "Rejected", code: "self", message: "host-0:1 is this node itself" },
        { _tag: "Rejected", code: "fleet", message: `${id(1)} is of another` }
      ]
    )
    assert.deepStrictEqual(events(set, 1), [])
  })
})

describe("a link", () => {
  it("carries frames in order whatever the jitter", () => {
    const set = linked({ network: { jitterMs: 500 } })
    World.pass(set.world, 2000)
    const sent = Array.from({ length: 200 }, (_, n) => n)
    for (const n of sent) {
      act(set, 0, say(1, n))
      World.pass(set.world, 3)
    }
    World.pass(set.world, 1000)
    assert.deepStrictEqual(numbers(set, 1), sent)
  })

  it("that is closed is down at once here and later there, and what is sent in between is lost in silence", () => {
    const set = linked()
    const start = World.now(set.world)
    act(set, 0, say(1, 1), { _tag: "Close", link: 1, reason: "evicted" }, say(1, 2))
    World.pass(set.world, 10)
    assert.deepStrictEqual(World.links(set.world, id(0)), [])
    assert.deepStrictEqual(World.links(set.world, id(1)), [{ link: 1, peer: id(0), whole: false }])
    act(set, 1, say(1, 3, 1))
    World.pass(set.world, 100)
    assert.deepStrictEqual(heard(set, 0), [
      {
        at: start,
        node: id(0),
        incarnation: 1,
        event: { _tag: "LinkDown", link: 1, reason: { _tag: "Local", reason: "evicted" } }
      }
    ])
    assert.deepStrictEqual(
      heard(set, 1).map(({ at, event }) => [at - start, event._tag]),
      [
        [20, "Received"],
        [20, "LinkDown"]
      ]
    )
    assert.deepStrictEqual(events(set, 1)[1], {
      _tag: "LinkDown",
      link: 1,
      reason: { _tag: "ClosedByPeer", reason: "evicted" }
    })
    assert.strictEqual(World.counters(set.world).dropped, 2)
  })

  it("closed at both ends at once is down once at each, as its own doing", () => {
    const set = linked()
    act(set, 0, { _tag: "Close", link: 1, reason: "done" })
    act(set, 1, { _tag: "Close", link: 1, reason: "left" })
    World.pass(set.world, 100)
    for (const [n, reason] of [
      [0, "done"],
      [1, "left"]
    ] as const) {
      assert.deepStrictEqual(events(set, n), [{ _tag: "LinkDown", link: 1, reason: { _tag: "Local", reason } }])
    }
  })

  it("that is torn loses a frame and all after it, and both ends hear of a reset", () => {
    const set = linked({ network: { resetShare: 0.1 } })
    for (let n = 0; n < 100; n++) act(set, 0, say(1, n))
    World.pass(set.world, 100)
    const arrived = numbers(set, 1)
    assert.deepStrictEqual(
      arrived,
      Array.from(arrived, (_, n) => n)
    )
    assert.isTrue(arrived.length < 100)
    const down = { _tag: "LinkDown", link: 1, reason: { _tag: "Reset" } } as const
    assert.deepStrictEqual(events(set, 0), [down])
    assert.deepStrictEqual(events(set, 1).slice(arrived.length), [down])
  })

  it("ends with overflow when too much is under way", () => {
    const set = linked({ network: { queueMax: 10 } })
    act(set, 0, ...Array.from({ length: 11 }, (_, n) => say(1, n)))
    World.pass(set.world, 100)
    assert.deepStrictEqual(events(set, 0), [{ _tag: "LinkDown", link: 1, reason: { _tag: "Overflow" } }])
    assert.strictEqual(numbers(set, 1).length, 10)
    assert.strictEqual(events(set, 1)[10]?._tag, "LinkDown")
    assert.strictEqual(World.counters(set.world).overflows, 1)
  })

  it("repeats frames only if asked to, and loses what the codec does not carry", () => {
    const set = linked({ network: { duplicateShare: 1, carry: (said) => (said.n === 2 ? undefined : said) } })
    act(set, 0, say(1, 1), say(1, 2), say(1, 3))
    World.pass(set.world, 100)
    assert.deepStrictEqual(numbers(set, 1), [1, 1, 3, 3])
    const { garbled, duplicated } = World.counters(set.world)
    assert.deepStrictEqual([garbled, duplicated], [1, 2])
  })
})

describe("a cut", () => {
  it("is silent; frames wait for it to heal and arrive in order, with none missing", () => {
    const set = linked()
    act(set, 0, say(1, 1))
    World.pass(set.world, 10)
    World.cut(set.world, [id(0)], [id(1)])
    act(set, 0, say(1, 2))
    World.pass(set.world, 60_000)
    assert.deepStrictEqual(heard(set, 0), [])
    assert.deepStrictEqual(heard(set, 1), [])
    World.heal(set.world, [id(1)], [id(0)])
    act(set, 0, say(1, 3))
    World.pass(set.world, 2000)
    assert.deepStrictEqual(numbers(set, 1), [1, 2, 3])
  })

  it("in one direction lets the other through", () => {
    const set = linked()
    World.cut(set.world, [id(0)], [id(1)], "there")
    act(set, 0, say(1, 1))
    act(set, 1, say(1, 2, 1))
    World.pass(set.world, 1000)
    assert.deepStrictEqual(numbers(set, 1), [])
    assert.deepStrictEqual(numbers(set, 0), [2])
  })

  it("between two leaves a third connected to both", () => {
    const set = stage(3)
    act(set, 0, open(1))
    act(set, 1, open(2))
    World.pass(set.world, 100)
    World.cut(set.world, [id(0)], [id(2)])
    act(set, 0, say(1, 7))
    act(set, 1, say(2, 8, 1))
    World.pass(set.world, 100)
    assert.deepStrictEqual([numbers(set, 1), numbers(set, 2)], [[7], [8]])
  })
})

describe("a crash", () => {
  it("of a process resets its links at the other ends, after what it sent before", () => {
    const set = linked()
    act(set, 0, say(1, 1))
    World.pass(set.world, 5)
    World.crash(set.world, id(0))
    World.pass(set.world, 100)
    assert.deepStrictEqual(
      events(set, 1).map(({ _tag }) => _tag),
      ["Received", "LinkDown"]
    )
    assert.deepStrictEqual(events(set, 1)[1], { _tag: "LinkDown", link: 1, reason: { _tag: "Reset" } })
    assert.deepStrictEqual(heard(set, 0), [])
    assert.isFalse(World.crash(set.world, id(0)))
    assert.isFalse(act(set, 0))
  })

  it("of a host tells nobody; who had sent something is reset when it is back, who had not when it sends", () => {
    const set = stage(3)
    act(set, 1, open(0))
    act(set, 2, open(0))
    World.pass(set.world, 100)
    World.crash(set.world, id(0), "silent")
    act(set, 1, say(1, 1, 1))
    World.pass(set.world, 60_000)
    assert.deepStrictEqual([events(set, 1).length, events(set, 2).length], [1, 1])
    World.restart(set.world, id(0))
    World.pass(set.world, 2000)
    assert.deepStrictEqual([events(set, 1).length, events(set, 2).length], [2, 1])
    act(set, 2, say(1, 1, 2))
    World.pass(set.world, 100)
    assert.deepStrictEqual(events(set, 2)[1], { _tag: "LinkDown", link: 1, reason: { _tag: "Reset" } })
    assert.deepStrictEqual(numbers(set, 0), [])
  })

  it("before a dial was answered ends it at the other end, too", () => {
    const set = stage(2)
    act(set, 0, open(1))
    World.pass(set.world, 30)
    World.crash(set.world, id(0))
    World.pass(set.world, 5000)
    assert.deepStrictEqual(
      events(set, 1).map(({ _tag }) => _tag),
      ["LinkUp", "LinkDown"]
    )
    assert.deepStrictEqual(heard(set, 0), [])
  })

  it("forgets timers: none of an earlier run fires in a later one", () => {
    const set = stage(1)
    act(set, 0, { _tag: "SetTimer", delayMs: 100, timer: "old" })
    World.pass(set.world, 50)
    World.crash(set.world, id(0))
    World.restart(set.world, id(0))
    act(set, 0, { _tag: "SetTimer", delayMs: 100, timer: "new" })
    World.pass(set.world, 1000)
    assert.deepStrictEqual(
      heard(set, 0).map(({ at, event }) => [at, event]),
      [[150, { _tag: "TimerFired", timer: "new" }]]
    )
  })

  it("by an observer, between a step and its actions, lets none of them happen", () => {
    const world: World.World<Puppet> = World.make<Puppet>({
      seed: 1,
      observer: { step: (at, event) => void (event._tag === "Do" && World.crash(world, at.peer.id)) }
    })
    World.join(world, peer(0), program)
    World.inject(world, id(0), { _tag: "Do", actions: [write(1, "a"), { _tag: "Emit", output: "x" }] })
    World.run(world, 100)
    const { writes, outputs, crashes } = World.counters(world)
    assert.deepStrictEqual([writes, outputs, crashes], [0, 0, 1])
  })
})

describe("a disk", () => {
  it("answers when the rows are durable, in order, not before", () => {
    const set = stage(1, { disk: { latencyMs: [5, 50] } })
    act(set, 0, write(1, "a"), write(2, "a"), write(3, "b"))
    World.pass(set.world, 4)
    assert.deepStrictEqual(rows(World.disk(set.world, id(0))), [])
    World.pass(set.world, 100)
    assert.deepStrictEqual(
      events(set, 0).map((event) => event._tag === "Written" && event.token),
      [1, 2, 3]
    )
    assert.deepStrictEqual(rows(World.disk(set.world, id(0))), [
      ["a", 2],
      ["b", 3]
    ])
  })

  it("loses at a crash what was not durable; the restarted node has the rest, and the next incarnation", () => {
    const set = stage(1, { disk: { latencyMs: [10, 10], onCrash: "lose-all" } })
    act(set, 0, write(1, "a"), write(2, "b"), write(3, "a", null))
    World.pass(set.world, 10)
    act(set, 0, write(4, "c"))
    World.pass(set.world, 9)
    World.crash(set.world, id(0))
    World.pass(set.world, 100)
    World.restart(set.world, id(0))
    World.pass(set.world, 100)
    assert.deepStrictEqual(rows(World.state(set.world, id(0))?.stored), [["b", 2]])
    assert.deepStrictEqual(
      World.running(set.world).map(({ peer }) => peer.incarnation),
      [2]
    )
    assert.strictEqual(World.counters(set.world).writesLost, 1)
    assert.strictEqual(set.seen.filter(({ event }) => event._tag === "Started").length, 1)
  })

  it("may at a crash have a first part of what it never answered, over seeds every part", () => {
    const kept = new Set<number>()
    for (let seed = 0; seed < 40; seed++) {
      const set = stage(1, { seed })
      act(set, 0, write(1, "1"), write(2, "2"), write(3, "3"))
      World.pass(set.world, 0)
      World.crash(set.world, id(0))
      const keys = rows(World.disk(set.world, id(0))).map(([key]) => key)
      assert.deepStrictEqual(keys, ["1", "2", "3"].slice(0, keys.length))
      assert.deepStrictEqual(events(set, 0), [])
      kept.add(keys.length)
    }
    assert.deepStrictEqual([...kept].toSorted(), [0, 1, 2, 3])
  })

  it("that was lost is empty, and one that stalls answers late", () => {
    const set = stage(1)
    act(set, 0, write(1, "a"))
    World.pass(set.world, 100)
    World.crash(set.world, id(0))
    World.restart(set.world, id(0), { disk: "lost", address: "elsewhere:1" })
    assert.deepStrictEqual(rows(World.state(set.world, id(0))?.stored), [])
    World.stallDisk(set.world, id(0), 1000)
    act(set, 0, write(1, "b"))
    World.pass(set.world, 1000)
    assert.deepStrictEqual(rows(World.disk(set.world, id(0))), [])
    World.pass(set.world, 10)
    assert.deepStrictEqual(rows(World.disk(set.world, id(0))), [["b", 1]])
  })

  it("holds the rows of a boot before the first event", () => {
    const world = World.make<Puppet>({ seed: 1 })
    World.join(world, peer(0), (boot) => ({
      ...program(boot),
      rows: [{ table: "notes", key: "run", value: boot.peer }]
    }))
    World.crash(world, id(0))
    World.restart(world, id(0))
    assert.deepStrictEqual(rows(World.state(world, id(0))?.stored), [["run", peer(0)]])
  })
})

describe("a node", () => {
  it("that is paused hears nothing, and when it goes on its timers first, then all there is to read, in order", () => {
    const set = linked()
    act(set, 1, { _tag: "SetTimer", delayMs: 500, timer: "t" })
    World.pass(set.world, 0)
    World.pause(set.world, id(1))
    act(set, 0, say(1, 1), say(1, 2))
    World.pass(set.world, 10_000)
    assert.deepStrictEqual(heard(set, 1), [])
    World.resume(set.world, id(1))
    World.pass(set.world, 0)
    assert.deepStrictEqual(
      events(set, 1).map(({ _tag }) => _tag),
      ["TimerFired", "Received", "Received"]
    )
    assert.deepStrictEqual(numbers(set, 1), [1, 2])
    assert.strictEqual(heard(set, 1)[0]?.at, World.now(set.world))
  })

  it("has a wall clock of its own, which is skewed, drifts and jumps, while now goes on", () => {
    const walls: Array<number> = []
    const world = World.make<Puppet>({
      seed: 1,
      wallBase: 1_000_000,
      observer: { step: ({ wall }) => walls.push(wall) }
    })
    World.join(world, peer(0), program, { skewMs: -500, driftPpm: 1000 })
    for (const skewMs of [-500, 3000]) {
      World.setSkew(world, id(0), skewMs)
      World.pass(world, 10_000)
      World.inject(world, id(0), { _tag: "Do", actions: [] })
      World.pass(world, 0)
    }
    assert.deepStrictEqual(walls, [1_000_000 + 10_010 - 500, 1_000_000 + 20_020 + 3000])
    assert.strictEqual(World.wall(world, id(0)), walls[1])
  })

  it("whose step throws ends the run with seed, node and time", () => {
    const world = World.make<Puppet>({ seed: 42 })
    const step = (): never => {
      throw new Error("no such state")
    }
    World.join(world, peer(0), (boot) => ({ ...program(boot), step }), { started: [{ _tag: "Started" }] })
    assert.throws(() => World.run(world, 1), "seed 42: node 000000000000 threw at 0 ms on Started")
  })

  it("that never lets time pass ends the run", () => {
    const world = World.make<Puppet>({ seed: 1, instantEventsMax: 1000 })
    const again: World.Action<Puppet> = { _tag: "SetTimer", delayMs: 0, timer: "again" }
    World.join(world, peer(0), (boot) => ({ ...program(boot), step: (state) => [state, [again]] }), {
      started: [{ _tag: "Started" }]
    })
    assert.throws(() => World.run(world, 1), /endless loop/)
  })

  it("has an id and an address of its own", () => {
    const { world } = stage(1)
    assert.throws(() => World.join(world, peer(0), program), /a node 000000000000 already/)
    assert.throws(() => World.join(world, { ...peer(1), address: peer(0).address }, program), /at host-0:1 already/)
    assert.throws(() => World.crash(world, "ffffffffffff"), /no node ffffffffffff/)
  })

  it("gets a seed that no other run has", () => {
    const { world } = stage(3)
    const seeds = new Set(World.running(world).map(({ state }) => state.seed))
    World.crash(world, id(0))
    World.restart(world, id(0))
    seeds.add(World.state(world, id(0))?.seed ?? "")
    assert.strictEqual(seeds.size, 4)
  })
})

describe("running", () => {
  it("until something is true stops there, or says that it never was", () => {
    const set = linked()
    act(set, 0, { _tag: "SetTimer", delayMs: 500, timer: "t" })
    const start = World.now(set.world)
    const fired = () => heard(set, 0).length > 0
    assert.isFalse(World.runUntil(set.world, fired, { withinMs: 400 }))
    assert.strictEqual(World.now(set.world), start + 400)
    assert.isTrue(World.runUntil(set.world, fired, { withinMs: 400 }))
    assert.strictEqual(World.now(set.world), start + 500)
  })

  it("calls back at a virtual time", () => {
    const { world } = stage(1)
    const times: Array<number> = []
    for (const ms of [30, 10, 20, -5]) World.at(world, ms, (world) => times.push(World.now(world)))
    World.run(world, 100)
    assert.deepStrictEqual(times, [0, 10, 20, 30])
  })
})

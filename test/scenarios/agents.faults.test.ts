/**
 * Faults of the simulator as they befall whole agents: what a process that stands still, a link that a router forgot, a clock
 * that drifts, an address that changed hands and a copied machine do to a small fleet, and that it is sound afterwards.
 */
import { assert, describe, it } from "@effect/vitest"
import type { Agent } from "@starling/agent"
import { ViewManager } from "@starling/gossip"
import { Fault } from "@starling/sim"
import { Frame } from "@starling/wire"
import { AgentFaults, AgentFleet, AgentInvariants, type Plan } from "@starling/testing"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import { joined, told, whole } from "./stories.ts"

/** A neighbour is given up after five seconds of silence. */
const silenceMs = 5000

const sound = Effect.fnUntraced(function* (fleet: AgentFleet.AgentFleet, withinMs: number) {
  const agents = AgentFleet.running(fleet)
  const broken = Effect.map(
    Effect.forEach(
      [AgentInvariants.overlay, AgentInvariants.alive, AgentInvariants.components, AgentInvariants.agreement],
      (look) => look(agents)
    ),
    (lists) => lists.flat()
  )
  yield* AgentFleet.until(
    Effect.map(broken, (found) => found.length === 0),
    withinMs
  )
  assert.deepStrictEqual(yield* broken, [], `not sound after ${withinMs} ms`)
})

/** A broadcast of a member reaches all, once, within this. */
const reaches = Effect.fnUntraced(function* (fleet: AgentFleet.AgentFleet, id: string, withinMs: number) {
  yield* AgentFleet.until(
    Effect.sync(() => fleet.members.every(({ delivered }) => delivered.has(id))),
    withinMs
  )
  assert.deepStrictEqual(
    fleet.members.map(({ delivered }) => delivered.get(id)),
    fleet.members.map(() => 1)
  )
})

const befall = (fleet: AgentFleet.AgentFleet, ...faults: ReadonlyArray<AgentFaults.AgentFault>) =>
  Effect.forEach(faults, (fault) => AgentFaults.apply(fleet, fault), { discard: true })

const counterOf = Effect.fnUntraced(function* (agent: Agent.Agent["Service"], name: string) {
  const { [name]: value } = yield* agent.counters
  assert.isDefined(value, name)
  return value
})

/** Over all that run. */
const total = (fleet: AgentFleet.AgentFleet, name: string): Effect.Effect<number> =>
  Effect.map(
    Effect.forEach(AgentFleet.running(fleet), (agent) => counterOf(agent, name)),
    (counts) => counts.reduce((sum, count) => sum + count, 0)
  )

describe("a process that stands still", () => {
  it("takes no step, is asked in vain, and for less than a silence costs no link", () =>
    told(5, (fleet) =>
      Effect.gen(function* () {
        yield* joined(fleet)
        yield* Effect.sleep(silenceMs)
        const givenUp = total(fleet, "view_manager_silent")
        const still = AgentFleet.agentOf(fleet, 1)
        yield* befall(fleet, Fault.pause("n1"))
        yield* Effect.sleep(1)
        const [steps, before] = [yield* counterOf(still, "host_steps_total"), yield* givenUp]
        const id = yield* AgentFleet.agentOf(fleet, 0).broadcast("to all")
        const asked = yield* Effect.forkChild(still.broadcast("of one that stands still"))
        yield* Effect.sleep(silenceMs - 2000)
        assert.strictEqual(yield* counterOf(still, "host_steps_total"), steps)
        assert.strictEqual(fleet.members[1]?.delivered.size, 0)
        assert.isUndefined(asked.pollUnsafe())
        yield* befall(fleet, Fault.resume("n1"))
        yield* reaches(fleet, id, 500)
        yield* reaches(fleet, yield* Fiber.join(asked), 500)
        yield* sound(fleet, 1000)
        assert.strictEqual(yield* givenUp, before)
      })
    ))

  it("for longer is taken for lost, and is itself again when it goes on", () =>
    told(5, (fleet) =>
      Effect.gen(function* () {
        yield* joined(fleet)
        const { id: node } = AgentFleet.agentOf(fleet, 1).identity
        yield* befall(fleet, Fault.pause("n1"), Fault.pause("n1"))
        yield* Effect.sleep(2 * silenceMs)
        assert.notStrictEqual(yield* AgentFleet.stateAt(AgentFleet.agentOf(fleet, 0), node), "alive")
        const id = yield* AgentFleet.agentOf(fleet, 0).broadcast("missed")
        yield* Effect.sleep(silenceMs)
        yield* befall(fleet, Fault.resume("n1"))
        yield* sound(fleet, 2 * silenceMs)
        yield* reaches(fleet, id, 1000)
        assert.strictEqual(AgentFleet.agentOf(fleet, 1).identity.id, node)
      })
    ))

  it("can be ended, and started again", () =>
    told(4, (fleet) =>
      Effect.gen(function* () {
        yield* joined(fleet)
        yield* befall(fleet, Fault.pause("n1"), Fault.crash("n1"), Fault.pause("n2"), Fault.crash("n2", "silent"))
        assert.strictEqual(AgentFleet.running(fleet).length, 2)
        // Its name is free again once it is taken for lost.
        yield* Effect.sleep(2 * silenceMs)
        yield* befall(fleet, Fault.restart("n1"), Fault.restart("n2", "lost"), Fault.resume("n1"))
        yield* sound(fleet, 2 * silenceMs)
      })
    ))
})

describe("others, while a process stands still", () => {
  it("hear each other as ever", () =>
    told(
      8,
      (fleet) =>
        Effect.gen(function* () {
          yield* joined(fleet)
          yield* Effect.sleep(silenceMs)
          yield* befall(fleet, Fault.pause("n1"))
          for (let n = 0; n < 20; n++) {
            const id = yield* AgentFleet.agentOf(fleet, 0).broadcast(n)
            // A tree over seven nodes has few hops of 10 ms; what comes by an announcement takes 250 ms more.
            yield* Effect.sleep(600)
            const got = fleet.members.filter(({ delivered }) => delivered.has(id))
            assert.strictEqual(got.length, 7, `broadcast ${n}`)
          }
          yield* befall(fleet, Fault.resume("n1"))
          yield* sound(fleet, 3 * silenceMs)
        }),
      { latencyMs: () => 10 }
    ))
})

describe("links", () => {
  for (const who of ["told", "nobody"] as const) {
    it(`that are half-open (${who}) are given up for others, and nothing is lost`, () =>
      told(5, (fleet) =>
        Effect.gen(function* () {
          yield* joined(fleet)
          yield* Effect.sleep(silenceMs)
          const [links, silent] = [total(fleet, "link_up_total"), total(fleet, "view_manager_silent")]
          const before = [yield* links, yield* silent] as const
          yield* befall(fleet, Fault.halfOpen("n1", null, who))
          const id = yield* AgentFleet.agentOf(fleet, 1).broadcast("through new links")
          yield* reaches(fleet, id, 3 * silenceMs)
          yield* sound(fleet, silenceMs)
          // All four, at both ends. Who is told makes them anew at once, and that takes the place of what is half-open.
          assert.isAtLeast(yield* links, before[0] + 8)
          if (who === "nobody") assert.isAbove(yield* silent, before[1])
          else assert.strictEqual(yield* silent, before[1])
        })
      ))
  }

  it("that weather tears, in the middle of a frame, are made anew, and nothing is lost", () =>
    told(5, (fleet) =>
      Effect.gen(function* () {
        yield* joined(fleet)
        const all = fleet.members.map(({ name }) => name)
        const [before, cut] = [yield* total(fleet, "link_up_total"), yield* total(fleet, "wire_truncated")]
        yield* befall(fleet, Fault.setWeather(all, all, { resetShare: 0.05 }))
        const ids: Array<string> = []
        for (let n = 0; n < 20; n++) {
          ids.push(yield* AgentFleet.agentOf(fleet, n % 5).broadcast(n))
          yield* Effect.sleep(250)
        }
        yield* befall(fleet, Fault.clearAllWeather)
        assert.isAbove(yield* total(fleet, "link_up_total"), before + 5)
        // Torn in the middle of a frame, which its reader has seen in part.
        assert.isAbove(yield* total(fleet, "wire_truncated"), cut + 2)
        for (const id of ids) yield* reaches(fleet, id, 3 * silenceMs)
        yield* sound(fleet, silenceMs)
      })
    ))
})

describe("clocks", () => {
  it("a wall clock that drifts does not jump when it begins to, and gains what it should", () =>
    told(1, (fleet) =>
      Effect.gen(function* () {
        yield* AgentFleet.start(fleet, 0)
        const wall = AgentFleet.wall(fleet, 0)
        const before = yield* wall
        yield* befall(fleet, Fault.setDrift("n0", 100_000))
        assert.strictEqual(yield* wall, before)
        yield* Effect.sleep(10_000)
        assert.strictEqual((yield* wall) - before, 11_000)
        yield* befall(fleet, Fault.setDrift("n0", -1_000_000))
        yield* Effect.sleep(10_000)
        assert.strictEqual((yield* wall) - before, 11_000)
        // Set anew, it keeps what it has drifted.
        yield* befall(fleet, Fault.setSkew("n0", 200))
        assert.strictEqual((yield* wall) - before, 11_200)
      })
    ))
})

describe("addresses", () => {
  it("that two nodes have swapped while they were down lead to the other one, and all is sound", () =>
    told(5, (fleet) =>
      Effect.gen(function* () {
        yield* joined(fleet)
        const before = fleet.members.map(({ address }) => address)
        const ids = AgentFleet.running(fleet).map(({ identity }) => identity.id)
        yield* befall(fleet, Fault.swapAddresses("n1", "n2"))
        assert.deepStrictEqual(
          fleet.members.map(({ address }) => address),
          before,
          "nobody swaps while it runs"
        )
        yield* befall(fleet, Fault.crash("n1"), Fault.crash("n2", "silent"))
        yield* Effect.sleep(500)
        yield* befall(fleet, Fault.swapAddresses("n1", "n2"), Fault.restart("n1"), Fault.restart("n2"))
        yield* sound(fleet, 3 * silenceMs)
        assert.deepStrictEqual(
          AgentFleet.running(fleet).map(({ identity }) => identity.id),
          ids
        )
        assert.deepStrictEqual(
          [1, 2].map((index) => fleet.members[index]?.address),
          [before[2], before[1]]
        )
      })
    ))
})

describe("a node that starts", () => {
  it("is not started a second time while its disk hangs", () =>
    told(4, (fleet) =>
      Effect.gen(function* () {
        yield* joined(fleet)
        yield* befall(fleet, Fault.crash("n1"))
        yield* Effect.sleep(500)
        yield* befall(fleet, Fault.stallDisk("n1", 1000))
        const starting = yield* Effect.forkChild(befall(fleet, Fault.restart("n1")))
        yield* Effect.sleep(300)
        assert.isUndefined(starting.pollUnsafe())
        yield* befall(fleet, Fault.restart("n1"), Fault.swapAddresses("n1", "n2"))
        yield* Fiber.join(starting)
        yield* sound(fleet, 3 * silenceMs)
      })
    ))
})

describe("cuts", () => {
  it("go with a node that moves, and end where they began", () =>
    told(4, (fleet) =>
      Effect.gen(function* () {
        yield* joined(fleet)
        yield* befall(fleet, Fault.cut(["n0", "n1"], ["n2", "n3"]), Fault.crash("n1"), Fault.crash("n2"))
        yield* Effect.sleep(500)
        yield* befall(fleet, Fault.swapAddresses("n1", "n2"), Fault.restart("n1"), Fault.restart("n2"))
        yield* befall(fleet, Fault.heal(["n0", "n1"], ["n2", "n3"]))
        assert.strictEqual(fleet.network.state.cuts.size, 0)
        yield* sound(fleet, 3 * silenceMs)
      })
    ))
})

describe("a silent crash", () => {
  it("ends its own cuts when it is over, also where others swapped their addresses meanwhile, and no other", () =>
    told(4, (fleet) =>
      Effect.gen(function* () {
        yield* joined(fleet)
        yield* befall(fleet, Fault.cut(["n3"], ["n1"]), Fault.crash("n3", "silent"))
        yield* befall(fleet, Fault.crash("n1"), Fault.crash("n2"))
        yield* Effect.sleep(500)
        yield* befall(fleet, Fault.swapAddresses("n1", "n2"), Fault.restart("n1"), Fault.restart("n2"))
        yield* befall(fleet, Fault.restart("n3"))
        const [, n1, n2, n3] = fleet.members.map(({ host }) => host) as [string, string, string, string]
        assert.deepStrictEqual(
          [n1, n2].map((host) => [fleet.network.isCut(n3, host), fleet.network.isCut(host, n3)]),
          [
            [true, true],
            [false, false]
          ]
        )
        yield* befall(fleet, Fault.heal(["n3"], ["n1"]))
        assert.strictEqual(fleet.network.state.cuts.size, 0)
        yield* sound(fleet, 3 * silenceMs)
      })
    ))
})

describe("a copied machine", () => {
  it("is refused where the original is known, hands nothing out twice, and is forgotten when it ends", () =>
    told(6, (fleet) =>
      Effect.gen(function* () {
        yield* joined(fleet)
        yield* befall(fleet, Fault.twin("n1", { twin: "ghost", address: "10.9.9.9:7740" }))
        const [ghost] = fleet.twins.values()
        const { identity } = AgentFleet.agentOf(fleet, 1)
        assert.deepInclude(ghost?.run?.agent.identity, { id: identity.id, incarnation: identity.incarnation })
        const ids: Array<string> = []
        for (let n = 0; n < 6; n++) {
          ids.push(yield* AgentFleet.agentOf(fleet, n).broadcast(n))
          yield* Effect.sleep(1000)
        }
        assert.isAbove(yield* total(fleet, "wire_refused"), 0)
        yield* befall(fleet, Fault.crash("ghost"), Fault.crash("ghost"))
        yield* sound(fleet, 3 * silenceMs)
        for (const id of ids) yield* reaches(fleet, id, 1000)
      })
    ))
})

describe("what cannot be", () => {
  it("weather that brings frames twice, and members that there are not, are defects that say so", () =>
    told(1, (fleet) =>
      Effect.gen(function* () {
        for (const [fault, message] of [
          [Fault.setWeather(["n0"], ["n0"], { duplicateShare: 0.1 }), "duplicateShare"],
          [Fault.crash("n7"), "there is no member n7; there are n0 to n0"]
        ] as const) {
          const exit = yield* Effect.exit(AgentFaults.apply(fleet, fault))
          assert.include(String(exit), message)
        }
      })
    ))
})

describe("what nobody honest sends", () => {
  /** Seeds of so many poisons, a while apart, from each of a fleet to another. */
  const poisoned = Effect.fnUntraced(function* (fleet: AgentFleet.AgentFleet, what: Plan.Poison, seeds: number) {
    const size = fleet.members.length
    for (let seed = 0; seed < seeds; seed++) {
      yield* befall(fleet, AgentFaults.poison(`n${seed % size}`, `n${(seed + 1) % size}`, what, seed))
      yield* Effect.sleep(500)
    }
  })

  const seeds = 10

  /** By kind, who counts it, and whether it ends the link. */
  const kinds: ReadonlyArray<readonly [Plan.Poison, ReadonlyArray<string>, boolean]> = [
    ["garbage", ["link_malformed_total", "link_unknown_kind_total"], true],
    ["bytes", ["wire_garbage", "wire_oversize"], true],
    ["oversize", ["wire_oversize"], true],
    ["channels", ["wire_unknown_channel"], true],
    ["kinds", ["link_unknown_kind_total"], false]
  ]
  const all = [
    "link_malformed_total",
    "link_unknown_kind_total",
    "wire_garbage",
    "wire_oversize",
    "wire_unknown_channel"
  ]

  for (const [what, counters, ends] of kinds) {
    it(`${what}: is counted, ${ends ? "ends the link" : "is dropped"}, and the fleet is whole`, () =>
      told(5, (fleet) =>
        Effect.gen(function* () {
          yield* joined(fleet)
          yield* Effect.sleep(silenceMs)
          const count = () => Effect.forEach(all, (name) => total(fleet, name))
          const [before, links] = [yield* count(), yield* total(fleet, "link_up_total")]
          yield* poisoned(fleet, what, seeds)
          const rise = (yield* count()).map((value, index) => value - (before[index] ?? 0))
          for (const [index, name] of all.entries()) {
            if (counters.includes(name)) assert.isAbove(rise[index] ?? 0, 0, name)
            else assert.strictEqual(rise[index], 0, name)
          }
          const dropped = rise[all.indexOf("link_unknown_kind_total")] ?? 0
          const ended = rise.reduce((sum, value) => sum + value, 0) - dropped
          if (ends) {
            // Once for each link that it ends: what comes behind is not read.
            assert.strictEqual(ended, seeds)
            assert.isAtLeast(yield* total(fleet, "link_up_total"), links + seeds)
          } else {
            assert.strictEqual(dropped, 20 * seeds)
            assert.strictEqual(yield* total(fleet, "link_up_total"), links)
          }
          yield* sound(fleet, 2 * silenceMs)
          yield* reaches(fleet, yield* AgentFleet.agentOf(fleet, 1).broadcast("after all that"), 1000)
        })
      ))
  }

  /** By kind, who counts it, how much at least, and how many seeds show it. */
  const lies: ReadonlyArray<readonly [Plan.Poison, counter: string, atLeast: number, seeds: number]> = [
    // Each is asked for in vain, everywhere.
    ["announcements", "lazy_push_repair_exhausted", 1000, 2],
    ["shuffles", "shuffler_unexpected", 50, 12],
    // Strangers that are nowhere are tried as neighbours.
    ["walks", "view_manager_dial_failures", 5, 12],
    ["spoofs", "view_manager_violations", 5, 12],
    ["grafts", "broadcast_tree_misses_sent", 1000, 12]
  ]

  for (const [what, counter, atLeast, seeds] of lies) {
    it(`${what}: are taken as frames are, break no invariant, and lose nothing`, () =>
      told(6, (fleet) =>
        Effect.gen(function* () {
          yield* joined(fleet)
          yield* Effect.sleep(silenceMs)
          const before = yield* total(fleet, counter)
          const sent: Array<string> = []
          const sending = yield* Effect.gen(function* () {
            sent.push(yield* AgentFleet.agentOf(fleet, sent.length % 6).broadcast(sent.length))
            yield* Effect.sleep(200)
          }).pipe(Effect.forever, Effect.forkChild)
          yield* poisoned(fleet, what, seeds)
          yield* Fiber.interrupt(sending)
          assert.isAtLeast(yield* total(fleet, counter), before + atLeast)
          yield* sound(fleet, 2 * silenceMs)
          for (const id of sent) yield* reaches(fleet, id, 2 * silenceMs)
          yield* reaches(fleet, yield* AgentFleet.agentOf(fleet, 1).broadcast("after all that"), 1000)
        })
      ))
  }

  it("a length whose bytes never come swallows what is honest, until silence ends the link", () =>
    told(5, (fleet) =>
      Effect.gen(function* () {
        yield* joined(fleet)
        yield* Effect.sleep(silenceMs)
        const silent = yield* total(fleet, "view_manager_silent")
        const [one, other] = [fleet.members[1]?.host ?? "", fleet.members[2]?.host ?? ""]
        const length = Frame.frameBytesMax
        assert.isTrue(
          fleet.network.inject(one, other, Uint8Array.of(length >>> 24, length >>> 16, length >>> 8, length))
        )
        const id = yield* AgentFleet.agentOf(fleet, 1).broadcast("swallowed on one way")
        yield* Effect.sleep(2 * silenceMs)
        assert.isAbove(yield* total(fleet, "view_manager_silent"), silent)
        yield* reaches(fleet, id, silenceMs)
        yield* sound(fleet, silenceMs)
      })
    ))

  it("is nothing where there is no link", () =>
    told(2, (fleet) =>
      Effect.gen(function* () {
        yield* AgentFleet.start(fleet, 0)
        yield* befall(fleet, AgentFaults.poison("n0", "n1", "bytes", 1), AgentFaults.poison("n1", "n0", "bytes", 1))
        yield* AgentFleet.start(fleet, 1)
        yield* whole(fleet)
        yield* sound(fleet, silenceMs)
        assert.strictEqual(yield* total(fleet, "wire_oversize"), 0)
      })
    ))
})

describe("a peer that takes no more", () => {
  /** Below what a broadcast may carry. */
  const large = "x".repeat(200_000)

  const burst = Effect.fnUntraced(function* (fleet: AgentFleet.AgentFleet, count: number) {
    const ids: Array<string> = []
    for (let n = 0; n < count; n++) {
      ids.push(yield* AgentFleet.agentOf(fleet, 0).broadcast(large))
      yield* Effect.sleep(50)
    }
    return ids
  })

  it("is sent announcements in place of payloads, costs no link, and asks for what it missed", () =>
    told(4, (fleet) =>
      Effect.gen(function* () {
        yield* joined(fleet)
        yield* Effect.sleep(silenceMs)
        const [shed, silent] = [yield* total(fleet, "link_shed_total"), yield* total(fleet, "view_manager_silent")]
        yield* befall(fleet, Fault.pause("n1"))
        const ids = yield* burst(fleet, 30)
        assert.isAbove(yield* total(fleet, "link_shed_total"), shed)
        yield* befall(fleet, Fault.resume("n1"))
        for (const id of ids) yield* reaches(fleet, id, silenceMs)
        yield* sound(fleet, silenceMs)
        assert.strictEqual(yield* total(fleet, "wire_overflows"), 0)
        assert.strictEqual(yield* total(fleet, "view_manager_silent"), silent)
      })
    ))

  /** Whom an agent has for neighbours, by name. */
  const neighborsOf = (agent: Agent.Agent["Service"]) =>
    Effect.map(agent.peers, ({ items }) => items.flatMap(({ name, view }) => (view === "active" ? [name] : [])))

  /** Of 60 KiB; events are left out for nobody. */
  const event = {
    app: "test",
    severity: "info",
    body: "",
    attributes: Object.fromEntries(Array.from({ length: 60 }, (_, n) => [`${n}`, "x".repeat(1024)]))
  } as const

  it("nor what cannot be left out is expelled, left alone for half a minute, and then lacks nothing", () =>
    told(4, (fleet) =>
      Effect.gen(function* () {
        yield* joined(fleet)
        yield* Effect.sleep(silenceMs)
        const [sender, stuck] = [AgentFleet.agentOf(fleet, 0), AgentFleet.agentOf(fleet, 1)]
        const [silent, overflows] = [yield* total(fleet, "view_manager_silent"), total(fleet, "wire_overflows")]
        // A tree: from then on it is the sender alone that has payloads for n1, and so the first that has too much for it.
        for (let n = 0; n < 3; n++) yield* reaches(fleet, yield* sender.broadcast(n), silenceMs)
        const paused = yield* Clock.currentTimeMillis
        yield* befall(fleet, Fault.pause("n1"))
        const ids = yield* burst(fleet, 15)
        // Payloads are left out at a quarter of the bound: broadcasts alone never reach it.
        assert.isAbove(yield* total(fleet, "link_shed_total"), 0)
        assert.strictEqual(yield* overflows, 0)
        const events: Array<string> = []
        while ((yield* overflows) === 0 && events.length < 200) {
          events.push((yield* sender.sendEvent(event)).id)
          yield* Effect.sleep(10)
        }
        const expelled = yield* Clock.currentTimeMillis
        assert.isBelow(expelled - paused, silenceMs - 500, "before it is given up for its silence")
        assert.strictEqual(yield* overflows, 1)
        assert.strictEqual(yield* counterOf(sender, "view_manager_slow"), 1)
        assert.notInclude(yield* neighborsOf(sender), "n1")

        yield* befall(fleet, Fault.resume("n1"))
        // Others had less for it, and are its neighbours still: it gets from them what it missed.
        for (const id of ids) yield* reaches(fleet, id, silenceMs)
        const { slowMs } = ViewManager.defaults
        while ((yield* Clock.currentTimeMillis) < expelled + slowMs - 250) {
          assert.notInclude(yield* neighborsOf(sender), "n1")
          assert.notInclude(yield* neighborsOf(stuck), "n0")
          yield* Effect.sleep(200)
        }
        // It asked, was told, and did not ask again.
        assert.strictEqual(yield* counterOf(sender, "view_manager_slow_refused"), 1)

        const isBack = Effect.map(neighborsOf(sender), (names) => names.includes("n1"))
        assert.isTrue(yield* AgentFleet.until(isBack, silenceMs))
        yield* sound(fleet, silenceMs)
        assert.deepStrictEqual(yield* AgentInvariants.facts(AgentFleet.running(fleet)), [])
        const { items } = yield* Effect.orDie(stuck.events({ limit: 2 * events.length }))
        assert.sameMembers(
          items.map(({ id }) => id),
          events
        )
        for (const id of ids) yield* reaches(fleet, id, 0)
        assert.strictEqual(yield* overflows, 1)
        assert.strictEqual(yield* total(fleet, "view_manager_silent"), silent)
      })
    ))
})

describe("a subscriber that stalls", () => {
  it("holds up neither its agent nor anybody else, and has lost nothing that its queue could hold", () =>
    told(3, (fleet) =>
      Effect.gen(function* () {
        yield* joined(fleet)
        yield* Effect.scoped(
          Effect.gen(function* () {
            const stalled = yield* AgentFleet.agentOf(fleet, 1).deliveries
            const ids: Array<string> = []
            for (let n = 0; n < 100; n++) ids.push(yield* AgentFleet.agentOf(fleet, n % 3).broadcast(n))
            // The fleet's own subscribers, one of them beside it, have all of them meanwhile.
            for (const id of ids) yield* reaches(fleet, id, silenceMs)
            const taken = yield* Stream.runCollect(Stream.take(stalled, ids.length))
            assert.sameMembers(
              taken.map(({ id }) => id),
              ids
            )
            assert.isTrue(taken.every(({ lagged }) => lagged === 0))
          })
        )
      })
    ))
})

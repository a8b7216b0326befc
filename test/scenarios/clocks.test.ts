/** Wrong clocks in a fleet of whole agents, in virtual time. */
import { assert, describe, it } from "@effect/vitest"
import type { Agent } from "@starling/agent"
import { Stamp } from "@starling/clock"
import { AgentFleet, SimRuntime } from "@starling/testing"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"

const size = 9
const hourMs = 3_600_000
/** The one whose clock is wrong. */
const wrong = 4
const guardMs = 5000

const simulate = (program: Effect.Effect<void>, seed = 1): void => {
  const outcome = SimRuntime.run(program, { seed })
  if (outcome._tag !== "Done") return assert.fail(`seed ${seed}: ${outcome._tag} after ${outcome.virtualMs} ms`)
  if (Exit.isFailure(outcome.exit)) return assert.fail(`seed ${seed}: ${String(outcome.exit.cause)}`)
}

const say = (agent: Agent.Agent["Service"], body: string) =>
  Effect.orDie(agent.sendEvent({ app: "shop", severity: "error", body, attributes: {} }))

const eventsAt = (agent: Agent.Agent["Service"]) =>
  Effect.map(Effect.orDie(agent.events({ app: "shop" })), ({ items }) => items.map(({ body }) => body))

const clockOf = (agent: Agent.Agent["Service"]) =>
  Effect.map(agent.clock, ({ items }) => {
    const [item] = items
    return item ?? assert.fail("an agent has a clock")
  })

const areSettled = (agents: ReadonlyArray<Agent.Agent["Service"]>) =>
  Effect.map(Effect.forEach(agents, clockOf), (clocks) => clocks.every(({ settled }) => settled))

const all = (fleet: AgentFleet.AgentFleet) =>
  Array.from({ length: size }, (_, index) => AgentFleet.agentOf(fleet, index))

const wallOf = (stamp: string): number => {
  const read = Stamp.fromText(stamp)
  return read.ok ? read.value.wall : assert.fail(read.reason)
}

const refusal = (agent: Agent.Agent["Service"]) => Effect.orDie(Effect.flip(agent.resetClock(0)))

/** Every agent's stamps lie within the guard of the true time. */
const nobodyIsDragged = (fleet: AgentFleet.AgentFleet) =>
  Effect.gen(function* () {
    const now = yield* Clock.currentTimeMillis
    for (const agent of all(fleet)) {
      const { items } = yield* Effect.orDie(agent.events({ app: "shop" }))
      for (const { at } of items) assert.isAtMost(wallOf(at), now + guardMs)
      assert.isNull((yield* clockOf(agent)).poisonedMs)
    }
  })

describe("a clock three hours ahead", () => {
  for (const seed of [1, 2, 3]) {
    it(`orders its events truly, from the first second on, and drags nobody (seed ${seed})`, () =>
      simulate(
        Effect.gen(function* () {
          const fleet = AgentFleet.make({
            size,
            node: (index) => ({
              debug: true,
              clockSource: "fleet",
              ...(index === wrong ? { clockOffsetMs: 3 * hourMs } : {})
            })
          })
          yield* Effect.orDie(AgentFleet.startAll(fleet))
          const bodies: Array<string> = []
          const agents = all(fleet)
          for (let round = 0; round < 3; round++) {
            for (const index of [0, wrong, 7]) {
              const body = `${round} at ${index}`
              const agent = agents[index] ?? assert.fail("no such agent")
              // Before the fleet's time is known the answer takes a while; what counts is when it was said.
              yield* Effect.forkChild(say(agent, body))
              bodies.push(body)
              yield* Effect.sleep("100 millis")
            }
          }
          const isEverywhere = Effect.map(Effect.forEach(agents, eventsAt), (lists) =>
            lists.every((list) => list.length === bodies.length)
          )
          assert.isTrue(yield* AgentFleet.until(isEverywhere, 30_000), "every event is at every agent")
          for (const agent of agents) assert.deepStrictEqual(yield* eventsAt(agent), bodies)
          yield* nobodyIsDragged(fleet)

          const told = Effect.map(Effect.forEach(agents, clockOf), (clocks) =>
            clocks.every(({ outliers, state }, index) =>
              index === wrong
                ? state === "degraded"
                : state === "ok" && outliers.length === 1 && outliers[0]?.nodeId === agents[wrong]?.identity.id
            )
          )
          assert.isTrue(yield* AgentFleet.until(told, 15_000), "it is degraded, and every other agent knows")
          const { items } = yield* (agents[0] ?? assert.fail("no agent")).status
          assert.include(items[0]?.problems.map(({ what }) => what).join(), "3.0 h ahead of the fleet's")
          yield* AgentFleet.stopAll(fleet)
        }),
        seed
      ))
  }
})

describe("a node in counter mode whose clock is three hours ahead", () => {
  it("stamps after what it has heard, by the counter alone", () =>
    simulate(
      Effect.gen(function* () {
        const fleet = AgentFleet.make({
          size,
          node: (index) => ({
            debug: true,
            clockMode: "counter",
            ...(index === wrong ? { clockOffsetMs: 3 * hourMs } : {})
          })
        })
        yield* Effect.orDie(AgentFleet.startAll(fleet))
        assert.isTrue(yield* AgentFleet.until(areSettled(all(fleet)), 10_000), "all know the time")
        const [right, ahead] = [AgentFleet.agentOf(fleet, 0), AgentFleet.agentOf(fleet, wrong)]
        yield* say(right, "before")
        const isHeard = Effect.map(eventsAt(ahead), (bodies) => bodies.includes("before"))
        assert.isTrue(yield* AgentFleet.until(isHeard, 5000))
        yield* Effect.sleep("1 minute")
        const heard = (yield* clockOf(ahead)).state
        assert.strictEqual(heard, "degraded")
        yield* say(ahead, "after")
        const { items } = yield* Effect.orDie(ahead.events({ app: "shop" }))
        assert.deepStrictEqual(
          items.map(({ body }) => body),
          ["before", "after"]
        )
        const [before, after] = items.map(({ at }) => wallOf(at))
        if (before === undefined || after === undefined) return assert.fail("two events")
        assert.isAtLeast(after, before)
        // By the fleet's time it would be a minute later.
        assert.isAtMost(after, (yield* Clock.currentTimeMillis) - 30_000)
        yield* nobodyIsDragged(fleet)
        yield* AgentFleet.stopAll(fleet)
      })
    ))
})

describe("a fleet that starts with a third of its clocks hours ahead, the wrong ones first", () => {
  // Each wrong by a time of its own, or all by the same, as those of one bad source.
  for (const ahead of [(index: number) => 2 ** (index + 1), () => 3]) {
    it(`stamps near the true time at every node, from the first event on (${[0, 1, 2].map(ahead).join(", ")} h)`, () =>
      simulate(
        Effect.gen(function* () {
          const fleet = AgentFleet.make({
            size,
            node: (index) => ({
              debug: true,
              clockSource: "fleet",
              ...(index < 3 ? { clockOffsetMs: ahead(index) * hourMs } : {})
            })
          })
          yield* Effect.orDie(AgentFleet.startAll(fleet))
          for (const agent of all(fleet)) yield* Effect.forkChild(say(agent, agent.identity.name))
          assert.isTrue(yield* AgentFleet.until(areSettled(all(fleet)), 10_000), "all know the time")
          const isEverywhere = Effect.map(Effect.forEach(all(fleet), eventsAt), (lists) =>
            lists.every(({ length }) => length === size)
          )
          assert.isTrue(yield* AgentFleet.until(isEverywhere, 5000), "every event is at every agent")
          yield* nobodyIsDragged(fleet)
          yield* AgentFleet.stopAll(fleet)
        })
      ))
  }
})

describe("a fact from three hours ahead that a node took before it knew the time", () => {
  it("is put aside by everybody else, who take the rest and do not ask for it for ever", () =>
    simulate(
      Effect.gen(function* () {
        const [poisoned, taken] = [size - 2, size - 1]
        const fleet = AgentFleet.make({ size, node: () => ({ clockSource: "fleet" }) })
        const healthy: Array<Agent.Agent["Service"]> = []
        for (let index = 0; index < poisoned; index++) healthy.push(yield* Effect.orDie(AgentFleet.start(fleet, index)))
        assert.isTrue(yield* AgentFleet.until(areSettled(healthy), 30_000), "the fleet knows the time")

        // By itself it is right, and stamps at once.
        const wrong = { clockSource: "own", clockOffsetMs: 3 * hourMs, join: [] } as const
        const source = yield* Effect.orDie(AgentFleet.start(fleet, poisoned, wrong))
        yield* say(source, "poison")
        const contacts = [poisoned, 0, 1].flatMap((index) => fleet.members[index]?.address ?? [])
        const carrier = yield* Effect.orDie(AgentFleet.start(fleet, taken, { join: contacts }))
        assert.isTrue(
          yield* AgentFleet.until(
            Effect.map(eventsAt(carrier), (bodies) => bodies.includes("poison")),
            10_000
          ),
          "who is in probation takes it"
        )
        yield* say(carrier, "good")
        yield* Effect.sleep("30 seconds")
        const counted = (name: string) =>
          Effect.map(
            Effect.forEach(healthy, (agent) => agent.counters),
            (all) => all.map((counters) => counters[name] ?? assert.fail(`there is no counter ${name}`))
          )
        const before = yield* counted("facts_documents_pulled")
        yield* Effect.sleep("60 seconds")
        const pulled = (yield* counted("facts_documents_pulled")).map((now, at) => now - (before[at] ?? 0))
        // Once with each change of the document, and with each term; every second would be sixty times.
        for (const times of pulled) assert.isAtMost(times, 15, `asked for ${pulled.join(", ")} times`)
        // Not at those who have no neighbour that has it.
        const aside = yield* counted("facts_documents_aside")
        assert.isAbove(aside.filter((times) => times > 0).length, 2)
        for (const [at, agent] of healthy.entries()) {
          assert.deepStrictEqual(yield* eventsAt(agent), ["good"])
          assert.strictEqual((yield* clockOf(agent)).refused > 0, (aside[at] ?? 0) > 0)
        }
        yield* AgentFleet.stopAll(fleet)
      })
    ))
})

describe("a fleet that was poisoned on purpose", () => {
  it("stamps near the true time again after a reset, once, however many reset it", () =>
    simulate(
      Effect.gen(function* () {
        const fleet = AgentFleet.make({
          size,
          node: (index) => ({
            debug: true,
            clockSource: "fleet",
            clockPolicy: "accept",
            // Alone at first, so that its own clock is right by definition.
            ...(index === 0 ? { clockOffsetMs: 3 * hourMs, join: [] } : {})
          })
        })
        yield* Effect.orDie(AgentFleet.start(fleet, 0))
        const agents0 = AgentFleet.agentOf(fleet, 0)
        yield* say(agents0, "poison")
        for (let index = 1; index < size; index++) yield* Effect.orDie(AgentFleet.start(fleet, index))
        const agents = all(fleet)
        const settled = Effect.map(Effect.forEach(agents, clockOf), (clocks) =>
          clocks.every((clock) => clock.settled && clock.poisonedMs !== null)
        )
        assert.isTrue(yield* AgentFleet.until(settled, 60_000), "all are poisoned, and agree on the time")
        const [one, other] = [agents[1], agents[5]]
        if (one === undefined || other === undefined) return assert.fail("no agents")
        const answers = yield* Effect.all([Effect.exit(one.resetClock(0)), Effect.exit(other.resetClock(0))])
        assert.isTrue(answers.some(Exit.isSuccess))
        yield* Effect.sleep("2 seconds")
        const now = yield* Clock.currentTimeMillis
        for (const agent of agents) {
          const clock = yield* clockOf(agent)
          assert.strictEqual(clock.epoch, 1, agent.identity.name)
          assert.isNull(clock.poisonedMs)
          const { items } = yield* say(agent, "after").pipe(Effect.andThen(Effect.orDie(agent.events({ app: "shop" }))))
          const last = items.findLast(({ body, node }) => body === "after" && node === agent.identity.name)
          assert.isBelow(Math.abs(wallOf(last?.at ?? "") - now), guardMs)
        }
        const late = yield* refusal(one)
        assert.include(late.message, "epoch 1")
        yield* AgentFleet.stopAll(fleet)
      })
    ))

  it("a node that joins after a reset stamps what happens in its first second in the new epoch", () =>
    simulate(
      Effect.gen(function* () {
        const fleet = AgentFleet.make({ size: 3, node: () => ({ clockSource: "fleet" }) })
        yield* Effect.orDie(AgentFleet.start(fleet, 0))
        yield* Effect.orDie(AgentFleet.start(fleet, 1))
        const first = AgentFleet.agentOf(fleet, 0)
        const isSettled = Effect.map(clockOf(first), ({ settled }) => settled)
        assert.isTrue(yield* AgentFleet.until(isSettled, 30_000))
        yield* Effect.orDie(first.resetClock(0))
        yield* say(first, "before")
        yield* Effect.sleep("2 seconds")
        yield* Effect.orDie(AgentFleet.start(fleet, 2))
        const young = AgentFleet.agentOf(fleet, 2)
        const now = yield* Clock.currentTimeMillis
        yield* say(young, "in its first second")
        const { items } = yield* Effect.orDie(young.events({ app: "shop" }))
        assert.deepStrictEqual(
          items.map(({ body }) => body),
          ["before", "in its first second"]
        )
        const at = items[1]?.at ?? ""
        assert.isTrue(at.startsWith("0001/"), at)
        assert.isBelow(Math.abs(wallOf(at) - now), 1000)
        yield* AgentFleet.stopAll(fleet)
      })
    ))

  it("a reset is refused while the fleet's time is not settled, and says what to do", () =>
    simulate(
      Effect.gen(function* () {
        const fleet = AgentFleet.make({ size: 2, node: () => ({ clockSource: "fleet" }) })
        yield* Effect.orDie(AgentFleet.start(fleet, 1))
        assert.include((yield* refusal(AgentFleet.agentOf(fleet, 1))).message, "give the time")
        yield* AgentFleet.stopAll(fleet)
      })
    ))
})

describe("a node among others that say nothing of their clocks", () => {
  it("goes on by its own clock after a while, and stamps after what it has heard, in whatever epoch", () =>
    simulate(
      Effect.gen(function* () {
        const fleet = AgentFleet.make({
          size: 3,
          node: (index) =>
            index === 2 ? { debug: true, clockSource: "fleet", clockOffsetMs: -3000 } : { clockSource: "own" }
        })
        yield* Effect.orDie(AgentFleet.startAll(fleet))
        const [other, asking] = [AgentFleet.agentOf(fleet, 0), AgentFleet.agentOf(fleet, 2)]
        yield* Effect.sleep("35 seconds")
        const bodies: Array<string> = []
        const inTurn = (turn: string) =>
          Effect.gen(function* () {
            for (const [agent, who] of [
              [other, "other"],
              [asking, "asking"]
            ] as const) {
              const body = `${turn}: ${who}`
              bodies.push(body)
              yield* say(agent, body)
              yield* Effect.sleep("1 second")
            }
            assert.deepStrictEqual(yield* eventsAt(other), bodies)
          })
        yield* inTurn("first")
        yield* Effect.orDie(other.resetClock(0, yield* Clock.currentTimeMillis))
        yield* inTurn("after a reset")
        assert.strictEqual((yield* clockOf(asking)).epoch, 1)
        yield* AgentFleet.stopAll(fleet)
      })
    ))
})

describe("a node that has followed a stamp far beyond its lease", () => {
  it("stamps after it when it was stopped in good order and started again, though nobody repeats it", () =>
    simulate(
      Effect.gen(function* () {
        const fleet = AgentFleet.make({
          size: 2,
          node: (index) => ({ debug: true, clockSource: "own", ...(index === 0 ? { clockOffsetMs: hourMs } : {}) })
        })
        yield* Effect.orDie(AgentFleet.startAll(fleet))
        assert.isTrue(yield* AgentFleet.until(AgentFleet.isWhole(fleet), 10_000))
        yield* say(AgentFleet.agentOf(fleet, 0), "ahead")
        const heard = Effect.map(eventsAt(AgentFleet.agentOf(fleet, 1)), ({ length }) => length > 0)
        assert.isTrue(yield* AgentFleet.until(heard, 10_000))
        yield* say(AgentFleet.agentOf(fleet, 1), "before")
        yield* AgentFleet.stop(fleet, 1)
        yield* AgentFleet.stop(fleet, 0)
        yield* Effect.orDie(AgentFleet.start(fleet, 1))
        const again = AgentFleet.agentOf(fleet, 1)
        yield* say(again, "after")
        const own = (yield* eventsAt(again)).filter((body) => body !== "ahead")
        assert.deepStrictEqual(own, ["before", "after"])
        yield* AgentFleet.stopAll(fleet)
      })
    ))
})

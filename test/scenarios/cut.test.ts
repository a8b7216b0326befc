/** A node that is cut from a data centre on purpose, and healed. */
import { assert, describe, it } from "@effect/vitest"
import type { Agent } from "@starling/agent"
import { AgentFleet, SimRuntime } from "@starling/testing"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"

/** Members by turns in the data centres dc0 and dc1. */
const size = 6
const withinMs = 60_000

const simulate = (program: Effect.Effect<void>): void => {
  const outcome = SimRuntime.run(program, { seed: 1 })
  if (outcome._tag !== "Done") return assert.fail(`${outcome._tag} after ${outcome.virtualMs} ms`)
  if (Exit.isFailure(outcome.exit)) return assert.fail(String(outcome.exit.cause))
}

describe("a cut on purpose", () => {
  it("parts a data centre from the other, both go on, and healed they are one fleet again", () =>
    simulate(
      Effect.gen(function* () {
        const fleet = AgentFleet.make({ size, datacenters: 2 })
        yield* Effect.orDie(AgentFleet.startAll(fleet))
        assert.isTrue(yield* AgentFleet.until(AgentFleet.isWhole(fleet), 20_000))
        const here = [0, 2, 4].map((index) => AgentFleet.agentOf(fleet, index))
        const there = [1, 3, 5].map((index) => AgentFleet.agentOf(fleet, index))
        for (const agent of here) assert.deepStrictEqual(yield* Effect.orDie(agent.cut("dc1")), ["dc1"])

        const isParted = Effect.map(Effect.forEach([...here, ...there], countAlive), (counts) =>
          counts.every((count) => count === size / 2)
        )
        assert.isTrue(yield* AgentFleet.until(isParted, withinMs), "each side sees only itself alive")
        const [one, other] = [here[0], there[0]]
        if (one === undefined || other === undefined) return assert.fail("there are no agents")
        assert.strictEqual(yield* AgentFleet.stateAt(one, other.identity.id), "unreachable")
        const { items } = yield* one.status
        assert.include(items[0]?.problems.map(({ what }) => what).join(), "cut from dc1 on purpose")
        yield* Effect.orDie(one.setConfig({ ...change, key: "here" }))
        yield* Effect.orDie(other.setConfig({ ...change, key: "there" }))

        for (const agent of here) assert.deepStrictEqual(yield* Effect.orDie(agent.heal()), [])
        assert.isTrue(yield* AgentFleet.until(AgentFleet.isWhole(fleet), withinMs), "one fleet again")
        const isKnown = Effect.map(
          Effect.forEach([...here, ...there], ({ config }) => config),
          (answers) => answers.every((answer) => answer.items.length === 2)
        )
        assert.isTrue(yield* AgentFleet.until(isKnown, withinMs), "each side has what the other changed meanwhile")
        yield* AgentFleet.stopAll(fleet)
      })
    ))

  it("is refused without --debug, and a heal of what is not cut says what is", () =>
    simulate(
      Effect.gen(function* () {
        const fleet = AgentFleet.make({ size: 2, node: (index) => ({ debug: index === 0 }) })
        yield* Effect.orDie(AgentFleet.startAll(fleet))
        const [open, closed] = [AgentFleet.agentOf(fleet, 0), AgentFleet.agentOf(fleet, 1)]
        assert.include(yield* refusal(closed.cut("dc0")), "--debug")
        yield* Effect.orDie(open.cut("dc1"))
        assert.include(yield* refusal(open.heal("dc9")), 'not cut from "dc9"; it is cut from dc1')
        yield* AgentFleet.stopAll(fleet)
      })
    ))
})

const refusal = (asked: Effect.Effect<unknown, Agent.InvalidInput>): Effect.Effect<string> =>
  Effect.map(Effect.orDie(Effect.flip(asked)), ({ message }) => message)

const change = { value: "1", selector: "", author: "test", note: "" }

const countAlive = (agent: ReturnType<typeof AgentFleet.agentOf>): Effect.Effect<number> =>
  Effect.map(Effect.orDie(agent.nodes()), ({ items }) => items.filter(({ state }) => state === "alive").length)

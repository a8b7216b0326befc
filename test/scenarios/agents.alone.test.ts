/** What a node says of itself that has no neighbour, of whole agents in virtual time. */
import { assert, describe, it } from "@effect/vitest"
import type { Agent } from "@starling/agent"
import { AgentFleet } from "@starling/testing"
import * as Effect from "effect/Effect"
import { joined, told } from "./stories.ts"

/** What it says of having no neighbour, if it says so; `ok` if it sees no problem at all. */
const complaint = (agent: Agent.Agent["Service"]) =>
  Effect.map(agent.status, ({ items: [status] }) => {
    assert.strictEqual(status?.health, status?.problems.length === 0 ? "ok" : "degraded")
    return status?.health === "ok" ? "ok" : status?.problems.find(({ what }) => what.includes("has no neighbour"))?.what
  })

const becomes = Effect.fnUntraced(function* (
  agent: Agent.Agent["Service"],
  what: (said: string | undefined) => boolean,
  withinMs: number
) {
  const inTime = yield* AgentFleet.until(Effect.map(complaint(agent), what), withinMs)
  assert.isTrue(inTime, `it says: ${yield* complaint(agent)}`)
})

const addresses = ({ members }: AgentFleet.AgentFleet): ReadonlyArray<string> => members.map(({ address }) => address)

/** Of the others, how many it names, and that it counts the rest. */
const assertNames = (fleet: AgentFleet.AgentFleet, said: string | undefined, named: number): void => {
  const [own, ...others] = addresses(fleet)
  // Why dials failed, which comes after it, names addresses too.
  const tried = said?.split("; ")[1] ?? ""
  assert.notInclude(tried, own ?? "")
  assert.lengthOf(
    others.filter((address) => tried.includes(address)),
    named
  )
  assert.strictEqual(tried.includes(" more"), named < others.length)
  if (named < others.length) assert.include(tried, `and ${others.length - named} more`)
}

/** Whom it knows is in its store. */
const remembered = Effect.fnUntraced(function* (fleet: AgentFleet.AgentFleet) {
  yield* joined(fleet)
  yield* Effect.sleep(12_000)
})

const noJoin = (index: number) => (index === 0 ? { join: [] } : {})

describe("a node without a neighbour", () => {
  it("that knows nobody sees no problem", () =>
    told(
      1,
      (fleet) =>
        Effect.gen(function* () {
          const agent = yield* AgentFleet.start(fleet, 0)
          for (let seconds = 0; seconds < 60; seconds += 5) {
            yield* Effect.sleep(5000)
            assert.strictEqual(yield* complaint(agent), "ok")
          }
        }),
      { node: noJoin }
    ))

  it("says so once it is cut off from all others, whom it names, though it was given no address to join", () =>
    told(
      3,
      (fleet) =>
        Effect.gen(function* () {
          yield* joined(fleet)
          const agent = AgentFleet.agentOf(fleet, 0)
          yield* becomes(agent, (said) => said === "ok", 10_000)
          AgentFleet.isolate(fleet, 0)
          yield* becomes(agent, (said) => said !== undefined && said !== "ok", 10_000)
          assertNames(fleet, yield* complaint(agent), 2)
          yield* Effect.sleep(300_000)
          assertNames(fleet, yield* complaint(agent), 2)
          AgentFleet.heal(fleet, 0)
          yield* becomes(agent, (said) => said === "ok", 60_000)
        }),
      { node: noJoin }
    ))

  it("names four whom it remembers from its last run, and says how many more there are", () =>
    told(
      7,
      (fleet) =>
        Effect.gen(function* () {
          yield* remembered(fleet)
          yield* AgentFleet.stop(fleet, 0)
          for (let index = 1; index < 7; index++) yield* AgentFleet.kill(fleet, index)
          const agent = yield* AgentFleet.start(fleet, 0)
          yield* becomes(agent, (said) => said !== undefined && said !== "ok", 10_000)
          assertNames(fleet, yield* complaint(agent), 4)
        }),
      { node: noJoin }
    ))

  it("does not miss who said goodbye, neither in this run nor in the next", () =>
    told(
      3,
      (fleet) =>
        Effect.gen(function* () {
          yield* remembered(fleet)
          for (const index of [1, 2]) {
            yield* AgentFleet.agentOf(fleet, index).leave
            yield* AgentFleet.stop(fleet, index)
          }
          yield* becomes(AgentFleet.agentOf(fleet, 0), (said) => said === "ok", 10_000)
          yield* AgentFleet.stop(fleet, 0)
          const agent = yield* AgentFleet.start(fleet, 0)
          yield* Effect.sleep(5000)
          assert.strictEqual(yield* complaint(agent), "ok")
        }),
      { node: noJoin }
    ))
})

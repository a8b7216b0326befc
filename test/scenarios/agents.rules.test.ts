/**
 * What operators rely on, of whole agents in virtual time: identity, names, rollouts, goodbyes, cuts, and disks that fail.
 */
import { assert, describe, it } from "@effect/vitest"
import { Agent, Store } from "@starling/agent"
import { AgentFleet } from "@starling/testing"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { joined, told, whole } from "./stories.ts"

/** Waits until an agent says of a node that it is in this state. */
const sees = Effect.fnUntraced(function* (
  agent: Agent.Agent["Service"],
  id: string,
  state: string | undefined,
  withinMs: number
) {
  const seen = Effect.map(AgentFleet.stateAt(agent, id), (now) => now === state)
  const inTime = yield* AgentFleet.until(seen, withinMs)
  assert.isTrue(inTime, `${state} was due within ${withinMs} ms, it is ${yield* AgentFleet.stateAt(agent, id)}`)
})

const change = (key: string, value: string, selector = ""): Agent.ConfigChange => ({
  key,
  value,
  selector,
  author: "test",
  note: ""
})

/** Each message once at every running member. */
const assertOnce = (fleet: AgentFleet.AgentFleet, ids: ReadonlyArray<string>): void => {
  for (const { delivered, name, run } of fleet.members) {
    if (run !== undefined) for (const id of ids) assert.strictEqual(delivered.get(id), 1, `${id} at ${name}`)
  }
}

const diskFull = new Store.StoreError({
  reason: "full",
  where: "disk",
  message: "no space left",
  next: "make room"
})

describe("identity", () => {
  it("a node keeps its id over a restart, and its incarnation grows", () =>
    told(1, (fleet) =>
      Effect.gen(function* () {
        const before = (yield* AgentFleet.start(fleet, 0)).identity
        yield* AgentFleet.stop(fleet, 0)
        const after = (yield* AgentFleet.start(fleet, 0)).identity
        assert.strictEqual(after.id, before.id)
        assert.strictEqual(after.incarnation, before.incarnation + 1)
      })
    ))

  it("a node whose incarnation does not become durable does not start, and nobody hears of it", () =>
    told(2, (fleet) =>
      Effect.gen(function* () {
        const other = yield* AgentFleet.start(fleet, 0)
        const disk = fleet.members[1]!.disk
        disk.failing = diskFull
        const error = yield* Effect.flip(AgentFleet.start(fleet, 1))
        assert.strictEqual(error.message, "no space left")
        yield* Effect.sleep(5000)
        assert.strictEqual((yield* other.nodes()).items.length, 1)
        assert.strictEqual((yield* other.counters)["link_up_total"], 0)
      })
    ))

  it("a node on an old copy of its data directory takes the number after the last run that the fleet knows", () =>
    told(3, (fleet) =>
      Effect.gen(function* () {
        yield* joined(fleet)
        const { disk } = fleet.members[2]!
        const old = new Map([...disk.tables].map(([table, rows]) => [table, new Map(rows)]))
        for (let run = 0; run < 3; run++) {
          yield* AgentFleet.stop(fleet, 2)
          yield* AgentFleet.start(fleet, 2)
          yield* whole(fleet)
        }
        yield* AgentFleet.stop(fleet, 2)
        disk.tables = old
        // It would be the second run; the fleet knows a fourth.
        const back = yield* AgentFleet.start(fleet, 2)
        assert.strictEqual(back.identity.incarnation, 5)
        assert.strictEqual(disk.tables.get("meta")?.get("incarnation"), 5)
        yield* whole(fleet)
      })
    ))
})

describe("who may join", () => {
  it("a name that is alive is refused to a newcomer, which ends and names both", () =>
    told(4, (fleet) =>
      Effect.gen(function* () {
        for (const index of [0, 1, 2]) yield* AgentFleet.start(fleet, index)
        yield* whole(fleet)
        const holder = AgentFleet.agentOf(fleet, 1).identity
        const newcomer = yield* AgentFleet.start(fleet, 3, { name: "n1" })
        const error = yield* Effect.flip(newcomer.died)
        assert.include(error.message, holder.id)
        assert.include(error.message, newcomer.identity.id)
        assert.include(error.message, "n1")
        yield* AgentFleet.stop(fleet, 3)
        yield* whole(fleet, 10_000)
        assert.strictEqual((yield* AgentFleet.agentOf(fleet, 0).nodes()).items.length, 3)
      })
    ))

  it("a node of another fleet never becomes a member, and its status says that it has no neighbour", () =>
    told(3, (fleet) =>
      Effect.gen(function* () {
        for (const index of [0, 1]) yield* AgentFleet.start(fleet, index)
        const stranger = yield* AgentFleet.start(fleet, 2, { fleet: "other" })
        yield* Effect.sleep(15_000)
        for (const index of [0, 1]) {
          assert.strictEqual((yield* AgentFleet.agentOf(fleet, index).nodes()).items.length, 2)
        }
        assert.isAbove((yield* AgentFleet.agentOf(fleet, 0).counters)["wire_refused"] ?? 0, 0)
        const status = (yield* stranger.status).items[0]
        assert.strictEqual(status?.health, "degraded")
        assert.include(JSON.stringify(status?.problems), "no neighbour")
      })
    ))
})

describe("configuration", () => {
  it("what handlers made of an entry reaches the rollout at another node: applied, failed, rejected", () =>
    told(4, (fleet) =>
      Effect.gen(function* () {
        yield* joined(fleet)
        const [asker, applies, fails, rejects] = AgentFleet.running(fleet) as [
          Agent.Agent["Service"],
          Agent.Agent["Service"],
          Agent.Agent["Service"],
          Agent.Agent["Service"]
        ]
        const applied: Array<string> = []
        yield* Effect.scoped(
          Effect.gen(function* () {
            yield* applies.handleConfig("limits/*", ({ entry }) =>
              Effect.sync(() => void applied.push(entry.value ?? ""))
            )
            yield* fails.handleConfig("limits/*", () =>
              Effect.fail(new Agent.ApplyError({ status: "failed", reason: "no such device" }))
            )
            yield* asker.setConfig(change("limits/cpu", "2"))
            // A handler that comes after the entry is given it too.
            yield* Effect.sleep(3000)
            yield* rejects.handleConfig("limits/*", () =>
              Effect.fail(new Agent.ApplyError({ status: "rejected", reason: "too small" }))
            )
            const rollout = AgentFleet.until(
              Effect.map(
                asker.rollout("limits/cpu"),
                (now) => now?.applied === 1 && now.failed === 1 && now.rejected === 1 && now.received === 1
              ),
              5000
            )
            assert.isTrue(yield* rollout, JSON.stringify(yield* asker.rollout("limits/cpu")))
            const nodes = (yield* asker.rollout("limits/cpu"))?.nodes ?? []
            assert.include(JSON.stringify(nodes), "no such device")
            assert.include(JSON.stringify(nodes), "too small")
            assert.deepStrictEqual(applied, ["2"])
          })
        )
      })
    ))

  it("a handler that dies has failed, with a reason; the next change is handled, and nothing restarts", () =>
    told(2, (fleet) =>
      Effect.gen(function* () {
        yield* joined(fleet)
        const [asker, broken] = AgentFleet.running(fleet) as [Agent.Agent["Service"], Agent.Agent["Service"]]
        const restarts = Effect.map(broken.tree, ({ items }) =>
          items.map(({ path, restarts }) => `${path} ${restarts}`)
        )
        const before = yield* restarts
        const applied: Array<string> = []
        const isDue = (key: string, status: "applied" | "failed") =>
          AgentFleet.until(
            Effect.map(asker.rollout(key), (now) => now?.[status] === 1),
            5000
          )
        yield* Effect.scoped(
          Effect.gen(function* () {
            yield* broken.handleConfig("limits/*", ({ entry }) => {
              // Outside of any Effect, inside of one, and not at all.
              if (entry.value === "1") throw new Error("the device caught fire")
              if (entry.value === "2") return Effect.die(new Error("the device melted"))
              return Effect.sync(() => void applied.push(entry.value ?? ""))
            })
            for (const [value, reason] of [
              ["1", "caught fire"],
              ["2", "melted"]
            ] as const) {
              yield* asker.setConfig(change("limits/cpu", value))
              yield* Effect.sleep(1000)
              assert.isTrue(yield* isDue("limits/cpu", "failed"), value)
              assert.include(JSON.stringify((yield* asker.rollout("limits/cpu"))?.nodes), reason)
            }
            yield* asker.setConfig(change("limits/cpu", "3"))
            assert.isTrue(yield* isDue("limits/cpu", "applied"))
          })
        )
        assert.deepStrictEqual(applied, ["3"])
        assert.deepStrictEqual(yield* restarts, before)
        assert.isTrue(before.every((line) => line.endsWith(" 0")))
      })
    ))

  it("an entry reaches the handlers of the nodes that its selector targets, and of no others", () =>
    told(
      4,
      (fleet) =>
        Effect.gen(function* () {
          yield* joined(fleet)
          const handled: Array<number> = []
          yield* Effect.scoped(
            Effect.gen(function* () {
              for (const [index, agent] of AgentFleet.running(fleet).entries()) {
                yield* agent.handleConfig("**", () => Effect.sync(() => void handled.push(index)))
              }
              yield* AgentFleet.agentOf(fleet, 0).setConfig(change("a/b", "1", "role=edge"))
              yield* Effect.sleep(3000)
            })
          )
          assert.deepStrictEqual(handled.toSorted(), [1, 3])
          assert.strictEqual((yield* AgentFleet.agentOf(fleet, 2).rollout("a/b"))?.targeted, 2)
        }),
      { node: (index: number) => ({ labels: { role: index % 2 === 1 ? "edge" : "core" } }) }
    ))

  it("a handler that is registered by a step that crashes is registered all the same", () =>
    told(2, (fleet) =>
      Effect.gen(function* () {
        yield* joined(fleet)
        const agent = AgentFleet.agentOf(fleet, 0)
        const handled: Array<string> = []
        yield* Effect.scoped(
          Effect.gen(function* () {
            const crash = yield* Effect.forkChild(agent.crash("facts", "before"))
            yield* Effect.yieldNow
            yield* agent.handleConfig("**", ({ entry }) => Effect.sync(() => void handled.push(entry.key)))
            yield* Fiber.join(crash)
            yield* AgentFleet.agentOf(fleet, 1).setConfig(change("late", "1"))
            yield* Effect.sleep(3000)
          })
        )
        assert.deepStrictEqual(handled, ["late"])
      })
    ))
})

describe("who is lost", () => {
  it("a node that says goodbye is left, within 5 s and at every other node", () =>
    told(5, (fleet) =>
      Effect.gen(function* () {
        yield* joined(fleet)
        const { id } = AgentFleet.agentOf(fleet, 4).identity
        yield* AgentFleet.agentOf(fleet, 4).leave
        yield* AgentFleet.stop(fleet, 4)
        for (const agent of AgentFleet.running(fleet)) yield* sees(agent, id, "left", 5000)
      })
    ))

  it("a node that says goodbye is not given again in its next run what it was given a moment before", () =>
    told(3, (fleet) =>
      Effect.gen(function* () {
        yield* joined(fleet)
        const sent = yield* AgentFleet.agentOf(fleet, 0).broadcast("hello")
        yield* Effect.sleep(300)
        assertOnce(fleet, [sent])
        yield* AgentFleet.agentOf(fleet, 2).leave
        yield* AgentFleet.stop(fleet, 2)
        yield* AgentFleet.start(fleet, 2)
        yield* whole(fleet)
        yield* Effect.sleep(15_000)
        assertOnce(fleet, [sent])
      })
    ))

  it("a killed node is offline within 5 s; back without a join it is the same node, with what it missed", () =>
    told(5, (fleet) =>
      Effect.gen(function* () {
        yield* joined(fleet)
        yield* Effect.sleep(12_000)
        const { id, incarnation } = AgentFleet.agentOf(fleet, 4).identity
        yield* AgentFleet.kill(fleet, 4)
        for (const agent of AgentFleet.running(fleet)) yield* sees(agent, id, "offline", 5000)
        yield* AgentFleet.agentOf(fleet, 0).setConfig(change("missed", "1"))
        const sent = yield* AgentFleet.agentOf(fleet, 0).broadcast("hello")
        yield* Effect.sleep(2000)
        assertOnce(fleet, [sent])
        const back = yield* AgentFleet.start(fleet, 4, { join: [] })
        assert.strictEqual(back.identity.id, id)
        assert.isAbove(back.identity.incarnation, incarnation)
        yield* whole(fleet, 5000)
        const missed = Effect.map(back.configEntry("missed"), (entry) => entry?.value === "1")
        assert.isTrue(yield* AgentFleet.until(missed, 5000))
      })
    ))

  it("a node cut off from the rest of its data centre is offline, and back after the cut", () =>
    told(5, (fleet) =>
      Effect.gen(function* () {
        yield* joined(fleet)
        const { id } = AgentFleet.agentOf(fleet, 4).identity
        AgentFleet.isolate(fleet, 4)
        for (const agent of AgentFleet.running(fleet).slice(0, 4)) yield* sees(agent, id, "offline", 15_000)
        AgentFleet.heal(fleet, 4)
        yield* whole(fleet, 60_000)
        const sent = yield* AgentFleet.agentOf(fleet, 4).broadcast("back")
        yield* Effect.sleep(2000)
        assertOnce(fleet, [sent])
      })
    ))

  it("a node cut off with its whole data centre is unreachable, not offline, and back after the cut", () =>
    told(5, (fleet) =>
      Effect.gen(function* () {
        yield* joined(fleet)
        // The only one of its data centre.
        const { id } = AgentFleet.agentOf(fleet, 2).identity
        AgentFleet.isolate(fleet, 2)
        const rest = AgentFleet.running(fleet).filter((agent) => agent.identity.id !== id)
        for (const agent of rest) yield* sees(agent, id, "unreachable", 15_000)
        AgentFleet.heal(fleet, 2)
        yield* whole(fleet, 60_000)
      })
    ))
})

describe("crashes beyond what a supervisor lets pass", () => {
  it("the components are restarted with their supervisor, begin anew, and lose no accepted broadcast", () =>
    told(4, (fleet) =>
      Effect.gen(function* () {
        yield* joined(fleet)
        const victim = AgentFleet.agentOf(fleet, 1)
        const ids: Array<string> = []
        for (let crash = 0; crash < 14; crash++) {
          yield* victim.crash("facts", "before")
          const sent = yield* Effect.option(victim.broadcast(crash))
          if (sent._tag === "Some") ids.push(sent.value)
          ids.push(yield* AgentFleet.agentOf(fleet, 0).broadcast(crash))
        }
        const { items } = yield* victim.tree
        assert.strictEqual(items.find(({ path }) => path === "agent/components")?.restarts, 1)
        yield* whole(fleet, 20_000)
        yield* Effect.sleep(10_000)
        ids.push(yield* victim.broadcast("after"))
        yield* Effect.sleep(3000)
        assertOnce(fleet, ids)
      })
    ))

  it("an agent whose supervisor gives up says so", () =>
    told(2, (fleet) =>
      Effect.gen(function* () {
        yield* joined(fleet)
        const { disk } = fleet.members[1]!
        const agent = AgentFleet.agentOf(fleet, 1)
        const breaking = yield* Effect.forkChild(
          Effect.forever(
            Effect.andThen(
              Effect.sync(() => {
                disk.defect = new Error("the store is broken")
              }),
              Effect.sleep(100)
            )
          )
        )
        const error = yield* Effect.flip(agent.died)
        yield* Fiber.interrupt(breaking)
        disk.defect = undefined
        assert.include(error.message, "gave up")
      })
    ))
})

describe("disks", () => {
  it("while the disk is full nothing is accepted, status says so, and what waited is accepted once it has room", () =>
    told(3, (fleet) =>
      Effect.gen(function* () {
        yield* joined(fleet)
        const { disk } = fleet.members[1]!
        const agent = AgentFleet.agentOf(fleet, 1)
        disk.failing = diskFull
        const sending = yield* Effect.forkChild(agent.broadcast("patience"))
        yield* Effect.sleep(3000)
        assert.isUndefined(sending.pollUnsafe())
        assert.include(JSON.stringify((yield* agent.status).items[0]?.problems), "no space left")
        disk.failing = undefined
        const id = yield* Fiber.join(sending)
        yield* Effect.sleep(2000)
        assertOnce(fleet, [id])
        assert.strictEqual((yield* agent.status).items[0]?.health, "ok")
      })
    ))

  it("a store that crashes once takes its node's components with it, and the node is whole again by itself", () =>
    told(4, (fleet) =>
      Effect.gen(function* () {
        yield* joined(fleet)
        const agent = AgentFleet.agentOf(fleet, 1)
        fleet.members[1]!.disk.defect = new Error("a bit fell over")
        yield* Effect.forkChild(Effect.ignore(agent.setConfig(change("a", "1"))))
        yield* Effect.sleep(3000)
        yield* whole(fleet, 20_000)
        yield* agent.setConfig(change("b", "2"))
        const ids = [yield* agent.broadcast("after"), yield* AgentFleet.agentOf(fleet, 0).broadcast("too")]
        yield* Effect.sleep(5000)
        assertOnce(fleet, ids)
        for (const other of AgentFleet.running(fleet)) {
          assert.strictEqual((yield* other.configEntry("b"))?.value, "2", other.identity.name)
        }
        // Its timers tick: the clock's lease is renewed long after.
        yield* Effect.sleep(20_000)
        assert.strictEqual((yield* agent.counters)["clock_exhausted"], 0)
      })
    ))
})

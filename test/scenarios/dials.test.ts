/**
 * Two that dial each other at one and the same instant, as members and as whole agents: of the two links that come up, both
 * keep the one that the lower id opened, and what either broadcasts all the while is given to both once.
 */
import { assert, describe, it } from "@effect/vitest"
import type { Machine, NodeId } from "@starling/machine"
import type { Member } from "@starling/member"
import { World } from "@starling/sim"
import { AgentFleet, AgentInvariants, MemberFleet } from "@starling/testing"
import * as Effect from "effect/Effect"
import { told } from "./stories.ts"

/** Before, while and after both links are there. */
const broadcastingMs = 60

describe("two members that dial each other at once", () => {
  const met = (seed: number, mode: Member.Config["mode"]) => {
    const dialled = new Map<NodeId.NodeId, number>()
    /** Links of each that are up, and whether it dialled them itself. */
    const up = new Map<NodeId.NodeId, Map<Machine.LinkId, boolean>>()
    let [firstUp, most] = [Number.POSITIVE_INFINITY, 0]
    const fleet = MemberFleet.make({
      seed,
      mode,
      size: 2,
      joinAtMs: () => 0,
      network: { latencyMs: [5, 5] },
      observer: {
        step: ({ node, now }, event, _, actions) => {
          const links = up.get(node) ?? new Map<Machine.LinkId, boolean>()
          up.set(node, links)
          if (event._tag === "LinkUp") {
            links.set(event.link, event.attempt !== undefined)
            firstUp = Math.min(firstUp, now)
          }
          if (event._tag === "LinkDown") links.delete(event.link)
          if (up.size === 2) most = Math.max(most, Math.min(...[...up.values()].map(({ size }) => size)))
          if (actions.some(({ _tag }) => _tag === "Open") && !dialled.has(node)) dialled.set(node, now)
        }
      }
    })
    const tokens: Array<number> = []
    for (let at = 1; at <= broadcastingMs; at++) {
      World.run(fleet.world, at)
      for (const { id } of fleet.peers) tokens.push(MemberFleet.broadcast(fleet, id, at))
    }
    World.run(fleet.world, 3000)
    return { fleet, tokens, dialled, up, firstUp, most }
  }

  for (const mode of ["interleaved", "run-to-completion"] as const) {
    it(`${mode}: one link is left, and both say which`, () => {
      for (let seed = 1; seed <= 20; seed++) {
        const { dialled, firstUp, fleet, most, tokens, up } = met(seed, mode)
        const say = `seed ${seed}`
        // That it is what it should be: both dialled before either heard of the other, and both links came up at both.
        assert.strictEqual(dialled.size, 2, say)
        assert.isBelow(Math.max(...dialled.values()), firstUp, say)
        if (mode === "run-to-completion") assert.strictEqual(new Set(dialled.values()).size, 1, say)
        assert.strictEqual(most, 2, say)

        const lower = fleet.peers.map(({ id }) => id).toSorted()[0]
        for (const { peer, state } of World.running(fleet.world)) {
          const links = [...(up.get(peer.id) ?? [])]
          assert.deepStrictEqual(
            links.map(([, isOwn]) => isOwn),
            [peer.id === lower],
            `${say}: ${peer.id} keeps what ${lower} opened`
          )
          assert.deepStrictEqual(
            state.cells["view-manager"].state.active.map(({ link, peer: { id } }) => [link, id]),
            [[links[0]?.[0], fleet.peers.find(({ id }) => id !== peer.id)?.id]],
            say
          )
        }
        assert.deepStrictEqual(MemberFleet.asymmetric(fleet), [], say)
        assert.deepStrictEqual(MemberFleet.brokenDelivery(fleet, tokens), [], say)
        assert.deepStrictEqual(MemberFleet.brokenOverlay(fleet), [], say)
      }
    })
  }
})

describe("two whole agents that dial each other at once", () => {
  it("keep one connection, which the lower id opened, and lose and repeat nothing", () =>
    told(
      2,
      (fleet) =>
        Effect.gen(function* () {
          const agents = yield* Effect.forEach(fleet.members, ({ index }) => AgentFleet.start(fleet, index), {
            concurrency: "unbounded"
          })
          const counts = (name: string) =>
            Effect.forEach(agents, (agent) => Effect.map(agent.counters, (counters) => counters[name]))
          const { lines } = fleet.network.state
          const ids: Array<string> = []
          let most = 0
          let crossed = false
          for (let ms = 0; ms < 2 * broadcastingMs; ms++) {
            const [dials, ups] = [yield* counts("view_manager_dials"), yield* counts("link_up_total")]
            if (dials.join() === "1,1" && ups.join() === "0,0") crossed = true
            most = Math.max(most, lines.size)
            for (const agent of agents) ids.push(yield* agent.broadcast(ms))
            yield* Effect.sleep(1)
          }
          assert.isTrue(crossed, "both dialled before either heard of the other")
          assert.strictEqual(most, 2)
          assert.deepStrictEqual(yield* counts("link_up_total"), [2, 2])

          const [lower] = agents.map(({ identity }) => identity).toSorted((a, b) => (a.id < b.id ? -1 : 1))
          const opener = fleet.members.find(({ name }) => name === lower?.name)?.host
          assert.deepStrictEqual(
            [...lines].map(({ hosts: [from] }) => from),
            [opener]
          )
          yield* Effect.sleep(3000)
          for (const look of [AgentInvariants.overlay, AgentInvariants.alive, AgentInvariants.components]) {
            assert.deepStrictEqual(yield* look(agents), [])
          }
          assert.deepStrictEqual(yield* AgentInvariants.agreement(agents), [])
          assert.strictEqual(lines.size, 1)
          assert.deepStrictEqual(yield* counts("link_up_total"), [2, 2], "and no other was made since")
          for (const { delivered } of fleet.members) {
            assert.deepStrictEqual(
              ids.map((id) => delivered.get(id)),
              ids.map(() => 1)
            )
          }
          yield* AgentFleet.stopAll(fleet)
          // What is under way when they stop has arrived.
          yield* Effect.sleep(200)
        }),
      { latencyMs: () => 10, diskMsMax: 0 }
    ))
})

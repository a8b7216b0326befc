/** The scenario `members`: a thousand members join, and everybody hears what is broadcast. */
import { World } from "@starling/sim"
import * as MemberFleet from "../MemberFleet.ts"
import type { Scenario } from "../Scenarios.ts"
import { outcome } from "./outcome.ts"

/** Symmetry is promised three keepalive periods after the last change, and a broadcast takes less. */
const symmetryMs = 4000

/** Five hundred joins a second. */
const joinEveryMs = 2

/**
 * Members join one after the other at three contacts, become one symmetric overlay with views within bounds, and every
 * broadcast reaches each of them exactly once.
 */
export const members: Scenario = {
  name: "members",
  about: "join, one symmetric overlay, every broadcast once at every member",
  size: 1000,
  run: ({ seed, size }) => {
    const fleet = MemberFleet.make({
      seed,
      size,
      mode: "run-to-completion",
      joinEveryMs,
      digestLeavesMax: 8,
      checkSteps: false,
      // What this scenario asks for are the overlay and broadcasts. A thousand documents known to a thousand members are
      // a million records, several times over while neighbours change; so facts gather their changes until after its end.
      settings: { facts: { leadingMs: 60_000, coalesceMs: 60_000 } }
    })
    const { world } = fleet
    const joined = World.runUntil(world, () => MemberFleet.isOneComponent(fleet), {
      withinMs: size * 2 + 20_000,
      everyMs: 250
    })
    const joinedMs = World.now(world)
    World.pass(world, 500)
    const tokens = MemberFleet.choose(fleet, "senders", 10).map((sender, index) =>
      MemberFleet.broadcast(fleet, sender, index)
    )
    World.pass(world, symmetryMs)
    const broken = joined ? [] : ["the members did not become one component"]
    return outcome(
      fleet,
      [...broken, ...MemberFleet.brokenOverlay(fleet), ...MemberFleet.brokenDelivery(fleet, tokens)],
      {
        joinedMs
      }
    )
  }
}

/** The scenario `crashes`: components of one member crash while everybody broadcasts, one move at a time. */
import { type NodeId, Rng } from "@starling/machine"
import { Component, type Member } from "@starling/member"
import { World } from "@starling/sim"
import * as MemberFleet from "../MemberFleet.ts"
import type { Scenario } from "../Scenarios.ts"
import { outcome } from "./outcome.ts"

/** After the last fault, three keepalive periods and then some: what is broken now stays broken. */
const settleMs = 20_000

/** Before the first crash, between two rounds of broadcasts, and between two looks at the victim. */
const firstCrashMs = 500
const roundMs = 100
const stepMs = 20

/** Rounds of broadcasts at least: with nine members more than a thousand broadcasts. */
const roundsMin = 112

/** A component that did not get to the point where it should crash is nudged after so long, and given up after so long. */
const nudgeMs = 1000
const crashMs = 15_000

/**
 * Components of one member crash, at random points, while everybody broadcasts: each broadcast is delivered exactly once
 * everywhere, no stamp goes back, nobody takes the member for offline. Members step as actors do, one move at a time.
 */
export const crashes: Scenario = {
  name: "crashes",
  about: "components crash at random points amid broadcasts: exactly once, stamps never back, still a neighbour",
  size: 9,
  run: ({ seed, size }) => {
    const fleet = MemberFleet.make({ seed, size, mode: "interleaved", joinEveryMs: 50 })
    const { world, peers } = fleet
    World.runUntil(world, () => MemberFleet.isOneComponent(fleet), { withinMs: 20_000, everyMs: 100 })
    World.pass(world, 3000)
    const victim = MemberFleet.choose(fleet, "victim", 1)[0] ?? ""
    fleet.watched = victim
    const tokens: Array<number> = []
    const armed = [...strikes(seed)]
    const missed: Array<string> = []
    const start = World.now(world)
    let next = 0
    let dueAt = start + firstCrashMs
    // Everybody broadcasts ten times a second, until each crash has struck: more than a thousand with nine members.
    for (let round = 0; round < roundsMin || next < armed.length || isArmed(fleet, victim); round++) {
      for (const peer of peers) tokens.push(MemberFleet.broadcast(fleet, peer.id, round))
      const until = World.now(world) + roundMs
      while (World.now(world) < until) {
        const former = armed[next - 1]
        if (former?.isLast === true && !isArmed(fleet, victim) && !isRebuilt(fleet, victim, former.component)) {
          // The second crash came too late after the first to rebuild it; one more, in any step, does.
          armed.splice(next, 0, { ...former, at: "before", waitMs: 0 })
        }
        const strike = armed[next]
        if (isArmed(fleet, victim)) {
          // An idle component is told that it has started, which is harmless and makes it take a step.
          if (former !== undefined && World.now(world) === dueAt + nudgeMs) {
            MemberFleet.command(fleet, victim, { to: former.component, event: { _tag: "Started" } })
          }
        } else if (strike !== undefined && World.now(world) >= dueAt + strike.waitMs) {
          MemberFleet.crash(fleet, victim, strike.component, strike.at)
          dueAt = World.now(world)
          next++
        }
        World.pass(world, stepMs)
      }
      if (isArmed(fleet, victim) && World.now(world) - dueAt > crashMs) {
        const late = armed[next - 1]
        missed.push(`${late?.component} never got to the point "${late?.at}"`)
        break
      }
    }
    World.pass(world, settleMs)
    const state = World.state(world, victim)
    const lost = state?.counters.eventsLost ?? 0
    // A broadcast whose own step was lost was never accepted; whoever sent it is told so, and may send it again. Nor is one whose
    // number was not durable yet when the tree was rebuilt: whoever sent it hears nothing, as of a process that has died.
    const accepted = tokens.filter((token) => fleet.accepted.has(token))
    const unanswered = tokens.filter((token) => !fleet.accepted.has(token) && !fleet.forgotten.has(token))
    const broken = [
      ...MemberFleet.brokenOverlay(fleet),
      ...MemberFleet.brokenDelivery(fleet, accepted),
      ...(unanswered.length > lost
        ? [`${unanswered.length} broadcasts were never accepted, but only ${lost} events lost`]
        : []),
      ...missed,
      ...(state?.counters.crashes === armed.length
        ? []
        : [`${state?.counters.crashes} of ${armed.length} crashes struck`]),
      ...Component.components.flatMap((component) =>
        isRebuilt(fleet, victim, component) ? [] : [`${component} was never rebuilt`]
      )
    ]
    return outcome(fleet, broken, {
      crashes: state?.counters.crashes ?? 0,
      rebuilds: state?.counters.rebuilds ?? 0,
      redelivered: state?.counters.redelivered ?? 0,
      eventsLost: lost,
      broadcasts: accepted.length
    })
  }
}

interface Strike {
  readonly component: Component.Component
  readonly at: Member.CrashPoint
  /** After the former one has struck. */
  readonly waitMs: number
  /** By now the component must have been rebuilt. */
  readonly isLast: boolean
}

/** Each component twice in a row, the second time at once, so that it is rebuilt; where and when by the seed. */
const strikes = (seed: number): ReadonlyArray<Strike> => {
  let rng = Rng.make(`${seed}/crashes`)
  return Component.components.flatMap((component) =>
    [400, 0].map((pauseMs, time): Strike => {
      const [at, next] = Rng.pick(rng, ["before", "committed", "acting"] as const)
      const [jitter, after] = Rng.nextInt(next, 500)
      rng = after
      return { component, at: at ?? "before", waitMs: pauseMs + jitter, isLast: time === 1 }
    })
  )
}

const isArmed = ({ world }: MemberFleet.MemberFleet, id: NodeId.NodeId): boolean =>
  World.state(world, id)?.crash !== undefined

const isRebuilt = ({ world }: MemberFleet.MemberFleet, id: NodeId.NodeId, component: Component.Component): boolean =>
  (World.state(world, id)?.generations[component] ?? 0) > 0

/**
 * The scenarios that tests, `lab run` and `lab soak` share: a function of seed and size to what was found broken.
 *
 * @since 0.1.0
 */
import { type NodeId, Rng } from "@starling/machine"
import { Component, type Member } from "@starling/member"
import { World } from "@starling/sim"
import * as Agents from "./internal/agents.ts"
import * as MemberFleet from "./MemberFleet.ts"

/** @since 0.1.0 @category models */
export interface Input {
  readonly seed: number
  readonly size: number
}

/** @since 0.1.0 @category models */
export interface Outcome {
  /** What is not as promised; empty is a pass. */
  readonly broken: ReadonlyArray<string>
  /** Virtual time of the run. */
  readonly virtualMs: number
  /** Digest over all that happened: the same for the same seed. */
  readonly history: string
  readonly measured: Readonly<Record<string, number>>
}

/** @since 0.1.0 @category models */
export interface Scenario {
  readonly name: string
  readonly about: string
  readonly size: number
  readonly run: (input: Input) => Outcome
}

/** Symmetry is promised three keepalive periods after the last change, and a broadcast takes less. */
const symmetryMs = 4000

/** Five hundred joins a second. */
const joinEveryMs = 2

/** After the last fault, three keepalive periods and then some: what is broken now stays broken. */
const settleMs = 10_000

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
 * Members join one after the other at three contacts, become one symmetric overlay with views within bounds, and every
 * broadcast reaches each of them exactly once.
 *
 * @since 0.1.0
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

/**
 * Components of one member crash, at random points, while everybody broadcasts: each broadcast is delivered exactly once
 * everywhere, no stamp goes back, nobody takes the member for offline. Members step as actors do, one move at a time.
 *
 * @since 0.1.0
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
    World.pass(world, settleMs + 10_000)
    const state = World.state(world, victim)
    const lost = state?.counters.eventsLost ?? 0
    // A broadcast whose own step was lost was never accepted; whoever sent it is told so, and may send it again.
    const accepted = tokens.filter((token) => fleet.accepted.has(token))
    const broken = [
      ...MemberFleet.brokenOverlay(fleet),
      ...MemberFleet.brokenDelivery(fleet, accepted),
      ...(tokens.length - accepted.length > lost
        ? [`${tokens.length - accepted.length} broadcasts were never accepted, but only ${lost} events lost`]
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

/**
 * Whole agents: real actors under real supervisors, over links in memory, every task and every actor's turn chosen by the
 * seed. Each of the six components of one agent crashes at random points, some twice within the period, while everybody
 * broadcasts and configuration is set: every broadcast is delivered exactly once everywhere, nobody ever takes the agent
 * for lost, no stamp goes back, and nothing runs on when the agents are stopped.
 *
 * @since 0.1.0
 */
export const agents: Scenario = {
  name: "agents",
  about: "whole agents with crashing components: exactly once, never taken for lost, nothing left running",
  size: 5,
  run: Agents.run
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

/** @since 0.1.0 */
export const all: ReadonlyArray<Scenario> = [members, crashes, agents]

const outcome = (
  fleet: MemberFleet.MemberFleet,
  broken: ReadonlyArray<string>,
  measured: Readonly<Record<string, number>>
): Outcome => ({
  broken,
  virtualMs: World.now(fleet.world),
  history: World.history(fleet.world),
  measured: { ...measured, events: World.counters(fleet.world).events, frames: World.counters(fleet.world).frames }
})

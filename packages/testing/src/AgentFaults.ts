/**
 * The faults of the simulator, as they befall whole agents: where a fault can befall both, the same data drives both levels.
 *
 * Nodes are named as members are (`n7`). What can befall agents stands in `tags`. The others are for machines only: a
 * process cannot be halted or slowed within a runtime that all share (`Pause`, `SetDrift`), and links in memory have no
 * half-open ends and no addresses that change hands. In return a component of an agent can crash at a point of its own step.
 *
 * @since 0.1.0
 */
import type { Agent } from "@starling/agent"
import { type Fault, Weather } from "@starling/sim"
import * as Effect from "effect/Effect"
import * as AgentFleet from "./AgentFleet.ts"

/**
 * - `Crash`: as by a power cut. `reset`: the host closes its connections; `silent`: its peers hear nothing of it until it
 *   is started again or the cuts around it are healed.
 * - `Restart`: on its disk, or on an empty one.
 * - `Cut`: bytes wait, and dials go unanswered. `StallDisk`: each write takes so much longer, for as long.
 * - `SetWeather`: what makes packets late; nothing comes twice or tears its link (`duplicateShare`, `resetShare`).
 * - `SetSkew`: from now on its wall clock is so far ahead of true time. `ShiftClock`: by so much further than it was.
 * - `CrashComponent`: where it is said, or anywhere.
 *
 * @since 0.1.0
 * @category models
 */
export type AgentFault =
  | Fault.Fault
  | {
      readonly _tag: "CrashComponent"
      readonly node: string
      readonly component: Agent.Component
      readonly at?: Agent.CrashPoint
    }

/** @since 0.1.0 @category models */
export type Scenario = ReadonlyArray<{ readonly atMs: number; readonly fault: AgentFault }>

/** @since 0.1.0 @category constructors */
export const crashComponent = (node: string, component: Agent.Component, at?: Agent.CrashPoint): AgentFault =>
  at === undefined ? { _tag: "CrashComponent", node, component } : { _tag: "CrashComponent", node, component, at }

/** What `apply` fails with. @since 0.1.0 @category errors */
export type Failure = Agent.StartError | Agent.Unavailable | Agent.InvalidInput

/** Several faults at one time. @since 0.1.0 @category constructors */
export const at = (atMs: number, ...faults: ReadonlyArray<AgentFault>): Scenario =>
  faults.map((fault) => ({ atMs, fault }))

/** What can befall agents; the other faults are for machines. @since 0.1.0 */
export const tags: ReadonlySet<AgentFault["_tag"]> = new Set<AgentFault["_tag"]>([
  "Crash",
  "Restart",
  "Cut",
  "Heal",
  "HealAll",
  "ResetLinks",
  "SetWeather",
  "ClearWeather",
  "ClearAllWeather",
  "StallDisk",
  "SetSkew",
  "ShiftClock",
  "CrashComponent"
])

/**
 * Lets a fault happen now. It returns when it has: a component that crashed is back, a member that was started runs.
 * Crashing what is down and starting what runs changes nothing. Fails with what the agent says when it cannot start, or
 * when a component does not get to the point at which it should crash; dies of a fault that is none of `tags`.
 *
 * @since 0.1.0
 */
export const apply = (fleet: AgentFleet.AgentFleet, fault: AgentFault): Effect.Effect<void, Failure> =>
  Effect.suspend((): Effect.Effect<void, Failure> => {
    const { network } = fleet
    switch (fault._tag) {
      case "Crash": {
        const member = memberOf(fleet, fault.node)
        if (member.run === undefined) return Effect.void
        if (fault.how === "silent") {
          const hosts = fleet.members.map(({ host }) => host)
          member.silenced = hosts.filter((host) => host !== member.host && !network.isCut(member.host, host))
          for (const host of member.silenced) network.cut(member.host, host, "there")
        }
        return AgentFleet.kill(fleet, member.index)
      }
      case "Restart": {
        const member = memberOf(fleet, fault.node)
        if (member.run !== undefined) return Effect.void
        if (fault.disk === "lost") member.disk.tables = new Map()
        for (const host of member.silenced) network.heal(member.host, host, "there")
        member.silenced = []
        return Effect.asVoid(AgentFleet.start(fleet, member.index))
      }
      case "Cut":
        for (const [a, b] of pairs(fleet, fault.some, fault.others)) network.cut(a, b, fault.direction)
        return Effect.void
      case "Heal":
        for (const [a, b] of pairs(fleet, fault.some, fault.others)) network.heal(a, b)
        return Effect.void
      case "HealAll":
        network.healAll()
        return Effect.void
      case "ResetLinks":
        network.reset(
          memberOf(fleet, fault.node).host,
          fault.other === null ? undefined : memberOf(fleet, fault.other).host
        )
        return Effect.void
      case "SetWeather": {
        const { weather } = fault
        if ((weather.duplicateShare ?? 0) > 0 || (weather.resetShare ?? 0) > 0) {
          return Effect.die(new Error("weather that doubles frames or tears links cannot befall an agent"))
        }
        for (const [a, b] of pairs(fleet, fault.some, fault.others)) {
          for (const [from, to] of fault.direction === "both"
            ? [[a, b] as const, [b, a] as const]
            : [[a, b] as const]) {
            const latencyMs = network.state.config.latencyMs(from, to)
            network.setWeather(from, to, () => Weather.latenessMs(weather, latencyMs, fleet.draw))
          }
        }
        return Effect.void
      }
      case "ClearWeather":
        for (const [a, b] of pairs(fleet, fault.some, fault.others)) {
          network.setWeather(a, b, undefined)
          network.setWeather(b, a, undefined)
        }
        return Effect.void
      case "ClearAllWeather":
        network.clearWeather()
        return Effect.void
      case "StallDisk": {
        const { disk } = memberOf(fleet, fault.node)
        disk.delayMs += fault.ms
        return Effect.asVoid(
          Effect.forkDetach(
            Effect.delay(
              Effect.sync(() => void (disk.delayMs -= fault.ms)),
              fault.ms
            )
          )
        )
      }
      case "SetSkew":
        memberOf(fleet, fault.node).skewMs = fault.skewMs
        return Effect.void
      case "ShiftClock":
        memberOf(fleet, fault.node).skewMs += fault.byMs
        return Effect.void
      case "CrashComponent": {
        const { run } = memberOf(fleet, fault.node)
        return run === undefined ? Effect.void : Effect.asVoid(run.agent.crash(fault.component, fault.at))
      }
      default:
        return Effect.die(new Error(`${fault._tag} cannot befall an agent: ${[...tags].join(", ")} can`))
    }
  })

const memberOf = (fleet: AgentFleet.AgentFleet, name: string): AgentFleet.Member => {
  const member = fleet.members[Number(name.slice(1))]
  if (member?.name !== name) throw new Error(`there is no member ${name}; there are n0 to n${fleet.members.length - 1}`)
  return member
}

const pairs = (
  fleet: AgentFleet.AgentFleet,
  some: ReadonlyArray<string>,
  others: ReadonlyArray<string>
): ReadonlyArray<readonly [string, string]> =>
  some.flatMap((one) =>
    others.flatMap((other) =>
      one === other ? [] : [[memberOf(fleet, one).host, memberOf(fleet, other).host] as const]
    )
  )

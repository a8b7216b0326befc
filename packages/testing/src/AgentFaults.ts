/**
 * The faults of the simulator, as they befall whole agents: the same data drives both levels.
 *
 * Nodes are named as members are (`n7`). For machines only is weather that brings a frame twice (`duplicateShare`), which a
 * stream of bytes cannot. In return a component of an agent can crash at a point of its own step, and what nobody honest
 * sends (`Plan.Poisoning`) comes as bytes, which need not even be frames.
 *
 * @since 0.1.0
 */
import type { Agent } from "@starling/agent"
import { type Fault, Weather } from "@starling/sim"
import * as Effect from "effect/Effect"
import * as AgentFleet from "./AgentFleet.ts"
import * as Poison from "./internal/poison.ts"
import type * as Plan from "./Plan.ts"

/**
 * - `Crash`: as by a power cut. `reset`: the host closes its connections; `silent`: its peers hear nothing of it until it
 *   is started again or the cuts around it are healed.
 * - `Restart`: on its disk, or on an empty one.
 * - `Cut`: bytes wait, and dials go unanswered. `StallDisk`: each write takes so much longer, for as long.
 * - `ResetLinks`: whatever `underWay` says, what was not read when an end sees the reset is lost, in whole writes. What breaks
 *   in the middle of a frame is what weather tears.
 * - `SetWeather`: of writes, of which one may hold several frames. A write that is torn (`resetShare`) arrives in part, wherever
 *   frames end.
 * - `SetSkew`: from now on its wall clock is so far ahead of true time. `ShiftClock`: by so much further than it was.
 * - `Pause`: see `AgentFleet.pause`; it ends with the process. `Twin`: see `AgentFleet.twin`; `Crash` of its name ends it.
 * - `SwapAddresses`: see `AgentFleet.swapAddresses`.
 * - `Poison`: bytes on an open connection that `from` has to `to`, or to another one, as if it had written them. Each receiver
 *   counts: `wire_garbage`, `wire_oversize` and `wire_unknown_channel` what is no frame, `link_malformed_total` what is none of
 *   its channel, and these end the link; `link_unknown_kind_total` what is dropped. Lies are counted by whom they are told.
 *   What can be read comes first, and what ends the link last.
 * - `CrashComponent`: where it is said, or anywhere; nothing in a process that stands still.
 *
 * @since 0.1.0
 * @category models
 */
export type AgentFault =
  | Fault.Fault
  | Plan.Poisoning<string>
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

/** @since 0.1.0 @category constructors */
export const poison = (from: string, to: string, what: Plan.Poison, seed: number): AgentFault => ({
  _tag: "Poison",
  from,
  to,
  what,
  seed
})

/** What `apply` fails with. @since 0.1.0 @category errors */
export type Failure = Agent.StartError | Agent.Unavailable | Agent.InvalidInput

/** Several faults at one time. @since 0.1.0 @category constructors */
export const at = (atMs: number, ...faults: ReadonlyArray<AgentFault>): Scenario =>
  faults.map((fault) => ({ atMs, fault }))

/**
 * Lets a fault happen now. It returns when it has: a component that crashed is back, a member that was started runs.
 * Crashing what is down and starting what runs changes nothing. Fails with what the agent says when it cannot start, or
 * when a component does not get to the point at which it should crash; dies of weather that brings a frame twice, and of a
 * member that does not exist.
 *
 * @since 0.1.0
 */
export const apply = (fleet: AgentFleet.AgentFleet, fault: AgentFault): Effect.Effect<void, Failure> =>
  Effect.suspend((): Effect.Effect<void, Failure> => {
    const { network } = fleet
    switch (fault._tag) {
      case "Crash": {
        if (fleet.twins.has(fault.node)) return AgentFleet.stopTwin(fleet, fault.node)
        const member = memberOf(fleet, fault.node)
        if (member.run === undefined) return Effect.void
        if (fault.how === "silent") silence(fleet, member)
        return AgentFleet.kill(fleet, member.index)
      }
      case "Restart": {
        const member = memberOf(fleet, fault.node)
        if (!AgentFleet.isDown(member)) return Effect.void
        if (fault.disk === "lost") member.disk.tables = new Map()
        unsilence(fleet, member)
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
      case "HalfOpen": {
        const other = fault.other === null ? undefined : memberOf(fleet, fault.other).host
        network.halfOpen(memberOf(fleet, fault.node).host, other, fault.who)
        return Effect.void
      }
      case "SetWeather": {
        const { weather } = fault
        const { duplicateShare = 0, resetShare = 0 } = weather
        if (duplicateShare > 0) {
          return Effect.die(
            new Error("weather that brings frames twice (duplicateShare) cannot befall a stream of bytes")
          )
        }
        for (const [a, b] of pairs(fleet, fault.some, fault.others)) {
          for (const [from, to] of fault.direction === "both"
            ? [[a, b] as const, [b, a] as const]
            : [[a, b] as const]) {
            const latencyMs = network.state.config.latencyMs(from, to)
            const lateMs = () => Weather.latenessMs(weather, latencyMs, fleet.draw)
            network.setWeather(from, to, resetShare > 0 ? { lateMs, tornAt: tearing(fleet, resetShare) } : { lateMs })
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
      case "Pause":
        AgentFleet.pause(fleet, memberOf(fleet, fault.node).index)
        return Effect.void
      case "Resume":
        AgentFleet.resume(fleet, memberOf(fleet, fault.node).index)
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
      case "SetDrift":
        return AgentFleet.setDrift(fleet, memberOf(fleet, fault.node).index, fault.driftPpm)
      case "SwapAddresses": {
        const [one, two] = [memberOf(fleet, fault.node), memberOf(fleet, fault.other)]
        if (!AgentFleet.isDown(one) || !AgentFleet.isDown(two)) return Effect.void
        // Somebody else will answer there.
        for (const member of [one, two]) unsilence(fleet, member)
        AgentFleet.swapAddresses(fleet, one.index, two.index)
        return Effect.void
      }
      case "Twin":
        return AgentFleet.twin(fleet, memberOf(fleet, fault.node).index, { name: fault.twin, address: fault.address })
      case "Poison":
        poisonLink(fleet, fault)
        return Effect.void
      case "CrashComponent": {
        const { run } = memberOf(fleet, fault.node)
        if (run === undefined || run.gate.isShut) return Effect.void
        return Effect.asVoid(run.agent.crash(fault.component, fault.at))
      }
    }
  })

/** One number says whether a write is torn and where: below the share, they are spread as evenly as all are. */
const tearing = (fleet: AgentFleet.AgentFleet, share: number) => (): number | undefined => {
  const unit = fleet.draw()
  return unit < share ? unit / share : undefined
}

const poisonLink = (fleet: AgentFleet.AgentFleet, { from, seed, to, what }: Plan.Poisoning<string>): void => {
  const { network } = fleet
  const [{ host }, { host: wanted }] = [memberOf(fleet, from), memberOf(fleet, to)]
  const others = network.connected(host)
  const other = others.includes(wanted) ? wanted : others[Math.abs(seed) % others.length]
  const members = fleet.members.flatMap(({ address, run }) =>
    run === undefined ? [] : [{ id: run.agent.identity.id, incarnation: run.agent.identity.incarnation, address }]
  )
  if (other === undefined || members.length === 0) return
  for (const dose of Poison.brew(what, seed, members)) network.inject(host, other, Poison.bytesOf(dose))
}

/** Nothing of it reaches anybody any more. */
const silence = ({ members, network, twins }: AgentFleet.AgentFleet, member: AgentFleet.Member): void => {
  member.silenced = [...members, ...twins.values()].flatMap(({ host }) =>
    host === member.host || network.isCut(member.host, host) ? [] : [[member.host, host] as const]
  )
  for (const [from, to] of member.silenced) network.cut(from, to, "there")
}

const unsilence = ({ network }: AgentFleet.AgentFleet, member: AgentFleet.Member): void => {
  for (const [from, to] of member.silenced) network.heal(from, to, "there")
  member.silenced = []
}

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

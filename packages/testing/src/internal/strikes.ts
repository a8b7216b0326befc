/** What befalls the supervision trees of whole agents in the scenario `tree`: one strike at a time, by the seed. */
import { ExitReason } from "@starling/actor"
import { Agent, Store } from "@starling/agent"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Lives from "./lives.ts"
import { type Ending, request, type Slot, type Stage, supervisorOf } from "./stage.ts"

/** Beyond the intensity of the supervisor of the components, and of the root. */
const stormOfComponents = 14
const stormOfChildren = 5

/** How long a disk hangs. */
const hangMs = 6000

/** Ends are struck into for so long. */
const amidMs = 300

type Strike = (stage: Stage, slot: Slot, run: Lives.Run) => Effect.Effect<unknown>

/** One strike, at an agent that runs or begins; it returns when it has struck, whatever follows. */
export const strike = (stage: Stage): Effect.Effect<unknown> =>
  Effect.suspend(() => {
    const slot = stage.slots[stage.draw(stage.slots.length)]
    const run = slot?.run
    if (slot === undefined || run === undefined) return Effect.void
    stage.counts.strikes++
    let chance = stage.draw(total)
    for (const [weight, one] of strikes) {
      if (chance < weight) return one(stage, slot, run)
      chance -= weight
    }
    return Effect.void
  })

/** Any actor, of whatever kind. */
const one: Strike = (stage, _, run) => Effect.sync(() => hit(stage, pick(stage, run)))

/** One, and its next incarnations while they begin. */
const again: Strike = (stage, _, run) =>
  Effect.sync(() => {
    const life = pick(stage, run)
    if (life === undefined) return
    const times = 1 + stage.draw(3)
    run.traps.set(
      life.path,
      Array.from({ length: times }, () => trap(stage))
    )
    hit(stage, life)
  })

/** Several in one turn. */
const together: Strike = (stage, _, run) =>
  Effect.sync(() => {
    const victims = Array.from({ length: 2 + stage.draw(3) }, () => pick(stage, run))
    for (const life of victims) hit(stage, life)
  })

/** Twice, or more often, within the milliseconds in which the first is dealt with. */
const quickly: Strike = (stage, _, run) =>
  Effect.gen(function* () {
    for (let left = 2 + stage.draw(3); left > 0; left--) {
      hit(stage, pick(stage, run))
      yield* stage.draw(2) === 0 ? Effect.yieldNow : Effect.sleep(1 + stage.draw(20))
    }
  })

/** A supervisor, before, with or after one of its children. */
const withSupervisor: Strike = (stage, _, run) =>
  Effect.gen(function* () {
    const supervisor = run.latest.get(["agent/components", "agent/links"][stage.draw(2)] ?? "")
    const child = any(
      stage,
      Lives.living(run).filter(({ parent }) => parent === supervisor)
    )
    const both = stage.draw(2) === 0 ? [supervisor, child] : [child, supervisor]
    for (const life of both) {
      hit(stage, life)
      if (stage.draw(3) === 0) yield* Effect.yieldNow
      if (stage.draw(3) === 0) yield* Effect.sleep(1 + stage.draw(10))
    }
  })

/** So often that the supervisor gives up. */
const storm =
  (times: number, among: (life: Lives.Life) => boolean): Strike =>
  (stage, _, run) =>
    Effect.gen(function* () {
      for (let left = times; left > 0; left--) {
        hit(stage, any(stage, Lives.living(run).filter(among)))
        yield* Effect.sleep(1 + stage.draw(40))
      }
    })

/** The end of an agent, and strikes at what is ending. */
const ended: Strike = (stage, slot, run) =>
  Effect.gen(function* () {
    const how = (["stop", "leave", "kill"] as const)[stage.draw(3)] ?? ("stop" satisfies Ending)
    Deferred.doneUnsafe(slot.ending, Exit.succeed(how))
    for (let passed = 0; passed < amidMs;) {
      const ms = 1 + stage.draw(60)
      passed += ms
      yield* Effect.sleep(ms)
      if (stage.draw(2) === 0) hit(stage, pick(stage, run))
    }
  })

/** A write that dies takes the store's writer with it; one that hangs must not keep the writer from its end. */
const disk: Strike = (stage, slot, run) =>
  Effect.gen(function* () {
    const { disk } = stage.fleet.members[slot.index] ?? {}
    if (disk === undefined) return
    switch (stage.draw(3)) {
      case 0:
        disk.defect = new Error("a bit fell over")
        return
      case 1:
        disk.failing = diskFull
        yield* Effect.sleep(100 + stage.draw(2000))
        disk.failing = undefined
        return
      default:
        disk.delayMs = hangMs
        yield* Effect.sleep(100 + stage.draw(2000))
        hit(stage, run.latest.get("agent/store"))
        disk.delayMs = 0
    }
  })

/** At a point of a component's own step. */
const inStep: Strike = (stage, { agent }, run) =>
  Effect.suspend(() => {
    const component = Agent.components[stage.draw(Agent.components.length)]
    if (agent === undefined || component === undefined) return Effect.void
    return request(stage, `${run.name}, run ${run.tag}: a crash of ${component}`, agent.crash(component))
  })

/** An operator stops a component, and has it started again. */
const operator: Strike = (stage, _, run) =>
  Effect.suspend(() => {
    const component = Agent.components[stage.draw(Agent.components.length)] ?? "facts"
    const path = `agent/components/${component}`
    const restart = Effect.gen(function* () {
      const supervisor = yield* supervisorOf(run)
      run.held.add(path)
      yield* supervisor.terminateChild(component)
      yield* Effect.sleep(1 + stage.draw(500))
      // A child whose start fails is stopped, and stays so until somebody starts it.
      const start = Effect.catchTag(supervisor.restartChild(component), "ChildRefused", (refusal) =>
        refusal.reason === "not_found" ? Effect.fail(refusal) : Effect.void
      )
      yield* Effect.retry(start, { while: ({ _tag }) => _tag === "StartError", times: 20 })
      yield* Effect.flip(supervisor.deleteChild(component))
    })
    const released = Effect.ensuring(
      restart,
      Effect.sync(() => void run.held.delete(path))
    )
    return request(stage, `${run.name}, run ${run.tag}: a stop and start of ${component}`, released)
  })

const strikes: ReadonlyArray<readonly [weight: number, Strike]> = [
  [36, one],
  [14, again],
  [8, together],
  [8, quickly],
  [8, withSupervisor],
  [4, storm(stormOfComponents, ({ path }) => path.startsWith("agent/components/"))],
  [2, storm(stormOfChildren, ({ parent, path }) => parent?.parent === undefined && path !== "agent")],
  [5, ended],
  [4, disk],
  [7, inStep],
  [6, operator]
]

const total = strikes.reduce((sum, [weight]) => sum + weight, 0)

/** Components most often, as they are the most; the root itself seldom, because an agent ends with it. */
const pick = (stage: Stage, run: Lives.Run): Lives.Life | undefined => {
  const lives = Lives.living(run)
  const chance = stage.draw(64)
  const below = (above: string) => lives.filter(({ parent }) => parent?.path === above)
  const kind =
    chance < 36
      ? below("agent/components")
      : chance < 55
        ? below("agent/links")
        : chance < 63
          ? below("agent")
          : lives.filter(({ path }) => path === "agent")
  return any(stage, kind)
}

const any = (stage: Stage, lives: ReadonlyArray<Lives.Life>): Lives.Life | undefined =>
  lives.length === 0 ? undefined : lives[stage.draw(lives.length)]

const hit = (stage: Stage, life: Lives.Life | undefined): void => {
  const reason = reasonOf(stage)
  if (life !== undefined) Lives.tellToEnd(life, reason)
}

const reasonOf = ({ draw }: Stage): ExitReason.ExitReason => {
  const chance = draw(10)
  if (chance < 5) return ExitReason.killed
  if (chance < 8) return ExitReason.failure(new Error("struck"))
  return chance < 9 ? ExitReason.shutdown : ExitReason.normal
}

const trap = (stage: Stage): Lives.Trap => {
  switch (stage.draw(3)) {
    case 0:
      return { _tag: "Fail" }
    case 1:
      return { _tag: "Wait", ms: 1 + stage.draw(200) }
    default:
      return { _tag: "Exit", reason: reasonOf(stage) }
  }
}

const diskFull = new Store.StoreError({
  reason: "full",
  where: "disk",
  message: "no space left",
  next: "make room"
})

/** What the parts of the scenario `tree` share: the members with their agents, and what is asked of them. */
import { Supervisor, System } from "@starling/actor"
import type { Agent } from "@starling/agent"
import type * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as AgentFleet from "../AgentFleet.ts"
import type * as Lives from "./lives.ts"

/** Our own bound on an answer: the agent's is 10 s for each of the times that it asks again. */
export const answerMs = 30_000

/** What an agent is ended with: as its supervisor, its operator or its power supply would. */
export type Ending = "stop" | "leave" | "kill"

/** A member, with its agent while it runs. */
export interface Slot {
  readonly index: number
  run: Lives.Run | undefined
  agent: Agent.Agent["Service"] | undefined
  ending: Deferred.Deferred<Ending>
}

/** All that the parts of a run share. */
export interface Stage {
  readonly fleet: AgentFleet.AgentFleet
  readonly lives: Lives.Lives
  readonly slots: ReadonlyArray<Slot>
  readonly broken: Array<string>
  readonly draw: (bound: number) => number
  readonly counts: { strikes: number; requests: number; answered: number; agentsEnded: number; notStarted: number }
  /** Requests without an answer so far. */
  readonly pending: Set<string>
  isOver: boolean
}

/** Asks, and goes on. */
export const request = <A, E>(stage: Stage, what: string, effect: Effect.Effect<A, E>) =>
  Effect.suspend(() => {
    const { counts, pending } = stage
    const name = `${what} (${++counts.requests})`
    pending.add(name)
    const asked = Effect.map(Effect.exit(effect), () => {
      pending.delete(name)
      counts.answered++
    })
    // Not as a child: what waits when the work ends is answered too.
    return Effect.forkDetach(bounded(stage, name, asked, answerMs))
  })

/** Undefined, and broken, if it takes longer. It is not interrupted, so that what hangs is seen to hang. */
export const bounded = Effect.fnUntraced(function* <A>(
  stage: Stage,
  what: string,
  effect: Effect.Effect<A>,
  ms: number
) {
  const fiber = yield* Effect.forkDetach(effect)
  const exit = yield* Effect.timeoutOption(Fiber.join(fiber), ms)
  if (exit._tag === "Some") return exit.value
  stage.broken.push(`${what} took more than ${ms} ms`)
  return undefined
})

/** The supervisor of the components, as an operator reaches it. */
export const supervisorOf = ({ system }: Lives.Run): Effect.Effect<Supervisor.Supervisor> =>
  system === undefined
    ? Effect.die(new Error("there is no system"))
    : Effect.provideService(Supervisor.via(Supervisor.key("components")), System.System, system)

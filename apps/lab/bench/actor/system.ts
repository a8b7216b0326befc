/** The home of Starling's actors in a measurement, and how they stand in it: as those of an agent do. */
import { type Actor, Mailbox, Monitor, Registry, Supervisor, System } from "@starling/actor"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as References from "effect/References"
import * as Scope from "effect/Scope"
import type { Round } from "./rounds.ts"
import type { Setup } from "./serve.ts"

export type Env = System.System | Scope.Scope

export type Run = <A, E>(effect: Effect.Effect<A, E, Env>) => Promise<A>

export type Rounds = { readonly run: Round; readonly [order: string]: Round }

/** Bounded, with backpressure: 4,096 messages, as every mailbox is unless it says otherwise. */
export const mailbox = Mailbox.defaultMailbox

/** In a system of its own that writes no log, for as long as the process lives. */
export const inSystem =
  (build: (variant: string, numbers: ReadonlyArray<number>, run: Run) => Effect.Effect<Rounds, unknown, Env>): Setup =>
  async (variant, numbers) => {
    const context = Context.make(Scope.Scope, Scope.makeUnsafe()).pipe(
      Context.add(System.System, await Effect.runPromise(System.make)),
      Context.add(References.MinimumLogLevel, "None")
    )
    const run = Effect.runPromiseWith(context)
    return run(build(variant, numbers, run))
  }

/** Under one supervisor, each registered by its name, with a monitor on each. */
export const supervised = Effect.fnUntraced(function* <Msg, S>(
  behaviors: ReadonlyArray<Actor.Behavior<Msg, S, never, never>>
) {
  const children = behaviors.map((behavior) => ({ behavior, key: Registry.key<Msg>(behavior.name) }))
  yield* Supervisor.start({
    name: "bench",
    children: children.map(({ behavior, key }) => Supervisor.childSpec(behavior, { key }))
  })
  const refs: Array<Actor.ActorRef<Msg>> = []
  for (const { key } of children) {
    const ref = Option.getOrThrow(yield* Registry.whereIs(key))
    yield* Effect.asVoid(Monitor.on(ref))
    refs.push(ref)
  }
  return refs
})

/** The address behind the name. */
export const addressOf = <Msg>(name: string): Effect.Effect<Actor.ActorRef<Msg>, never, System.System> =>
  Registry.via(Registry.key<Msg>(name))

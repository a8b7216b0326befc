/**
 * A supervisor of children that come and go: none at the start, any number later, one_for_one, stopped in parallel.
 *
 * Elixir's DynamicSupervisor (OTP's simple_one_for_one): ids are for people only, a child is addressed by its ref, and
 * one that is not restarted is forgotten. There is no restart or delete by id.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import type * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import type { ActorRef, Behavior, NameTaken } from "./Actor.ts"
import type * as ExitReason from "./ExitReason.ts"
import { contextOf } from "./internal/context.ts"
import { addressOf, awaitEnd, counted, erasedSpec, optionsOf, specOf, infoOf } from "./internal/handle.ts"
import type { Address } from "./internal/model.ts"
import { spawnProcess } from "./internal/spawn.ts"
import { stopProcess } from "./internal/stopping.ts"
import type * as Supervision from "./internal/supervision.ts"
import * as Core from "./internal/supervisor.ts"
import { type RegistryKey, viaUnsafe } from "./Registry.ts"
import type {
  ChildCount,
  ChildInfo,
  ChildRefused,
  ChildSpec,
  InvalidSpec,
  Options,
  Request,
  StartError,
  SupervisorDown
} from "./Supervisor.ts"
import { System } from "./System.ts"

/**
 * - `intensity`, `period`, `backoff`: as for a `Supervisor`, over all children.
 * - `maxChildren`: restarting ones count. No bound unless given.
 *
 * @since 0.1.0
 * @category models
 */
export interface DynamicSpec {
  readonly name: string
  readonly intensity?: number
  readonly period?: Duration.Input
  readonly backoff?: Schedule.Schedule<unknown, ExitReason.DownReason>
  readonly maxChildren?: number
}

/**
 * - `startChild`: starts a child and returns its ref, or none if its init ignored; refused with `max_children` when full.
 * - `terminateChild`: stops the child and forgets it; `not_found` if this incarnation is not its child.
 * - `stop`: all children at once, each with its own shutdown time.
 *
 * @since 0.1.0
 * @category models
 */
export interface DynamicSupervisor {
  readonly name: string
  readonly ref: ActorRef<Request>
  readonly startChild: <Msg, S, E, R>(
    behavior: Behavior<Msg, S, E, R>,
    options?: Options<Msg>
  ) => Effect.Effect<Option.Option<ActorRef<Msg>>, StartError | ChildRefused | InvalidSpec | SupervisorDown, R>
  readonly terminateChild: (ref: ActorRef<never>) => Effect.Effect<void, ChildRefused | SupervisorDown>
  readonly whichChildren: Effect.Effect<ReadonlyArray<ChildInfo>, SupervisorDown>
  readonly countChildren: Effect.Effect<ChildCount, SupervisorDown>
  readonly stop: Effect.Effect<void>
  readonly await: Effect.Effect<ExitReason.DownReason>
}

/**
 * As a child of a supervisor: type `supervisor`, permanent, `infinity` to stop. Give it a `key` to reach it with `via`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const nested = (
  spec: DynamicSpec,
  options: Omit<Options<Request>, "onRestart" | "type"> = {}
): ChildSpec<never> =>
  erasedSpec(Core.supervisorBehavior(coreOptions(spec)), {
    ...options,
    type: "supervisor"
  }) as unknown as ChildSpec<never>

/** @since 0.1.0 @category constructors */
export const key = (name: string): RegistryKey<Request> => ({ key: name }) as unknown as RegistryKey<Request>

/** The handle of whichever incarnation holds the name when it is used. @since 0.1.0 */
export const via = (key: RegistryKey<Request>): Effect.Effect<DynamicSupervisor, never, System> =>
  Effect.map(System, (system) => handle(addressOf(viaUnsafe(system, key)), key.key))

/** Stopped when the Scope closes. @since 0.1.0 @category running */
export const start = (
  spec: DynamicSpec,
  options: { readonly key?: RegistryKey<Request> } = {}
): Effect.Effect<DynamicSupervisor, InvalidSpec | NameTaken, Scope.Scope | System> =>
  Effect.map(spawnProcess(Core.supervisorBehavior(coreOptions(spec)), options.key?.key, "infinity"), (process) =>
    handle(process, process.name)
  ) as Effect.Effect<DynamicSupervisor, InvalidSpec | NameTaken, Scope.Scope | System>

const coreOptions = (spec: DynamicSpec): Supervision.Options =>
  optionsOf(spec.name, spec, {
    strategy: "one_for_one",
    autoShutdown: "never",
    dynamic: { maxChildren: spec.maxChildren ?? Number.POSITIVE_INFINITY },
    children: []
  })

const handle = (address: Address, name: string): DynamicSupervisor => ({
  name,
  ref: address as unknown as ActorRef<Request>,
  startChild: <Msg, S, E, R>(behavior: Behavior<Msg, S, E, R>, options: Options<Msg> = {}) =>
    Effect.flatMap(contextOf<R>(), (context) =>
      Core.call(address, (self) => Core.startChecked(self, specOf(behavior, options), context))
    ) as unknown as Effect.Effect<
      Option.Option<ActorRef<Msg>>,
      StartError | ChildRefused | InvalidSpec | SupervisorDown,
      R
    >,
  terminateChild: (ref) => Core.call(address, (self) => Core.terminateRef(self, addressOf(ref))),
  whichChildren: Core.call(address, (self) => Effect.sync(() => [...self.children.values()].toReversed().map(infoOf))),
  countChildren: Core.call(address, (self) => Effect.sync(() => counted(self.children.values()))),
  stop: Effect.suspend(() => {
    const process = address.resolveProcess()
    return process === undefined ? Effect.void : Effect.asVoid(stopProcess(process, "infinity"))
  }),
  await: awaitEnd(address)
})

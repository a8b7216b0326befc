/**
 * Supervisors: they start children in order, watch them, restart them by a strategy, and give up when that happens too
 * often. The rules are OTP's (supervisor(3) of OTP 25; Design Principles, "Supervisor Behaviour").
 *
 * Deviations: time is counted in milliseconds and the edge of the restart window is inclusive; a child that cannot be
 * killed is abandoned, reported and counted, since no fiber can be forced to end; a restart may wait for a backoff, off by
 * default.
 *
 * Services that children need are taken from the context of `start` (of `startChild` for a child added later), once, and
 * given to every incarnation.
 *
 * @since 0.1.0
 */
import type * as Context from "effect/Context"
import * as Data from "effect/Data"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import type { ActorRef, Behavior, NameTaken } from "./Actor.ts"
import type * as ExitReason from "./ExitReason.ts"
import { contextOf } from "./internal/context.ts"
import {
  addressOf,
  awaitEnd,
  type ChildOptions,
  counted,
  erasedSpec,
  infoOf,
  optionsOf,
  refOf,
  specOf
} from "./internal/handle.ts"
import type { Address } from "./internal/model.ts"
import type { Process } from "./internal/process.ts"
import { spawnProcess } from "./internal/spawn.ts"
import { stopProcess } from "./internal/stopping.ts"
import * as Supervision from "./internal/supervision.ts"
import * as Core from "./internal/supervisor.ts"
import { type RegistryKey, viaUnsafe } from "./Registry.ts"
import { System } from "./System.ts"

/**
 * Which children a restart concerns: the one that ended; all; that one and those started after it. Those that still live
 * are stopped first, in reverse order.
 *
 * @since 0.1.0
 * @category models
 */
export type Strategy = Supervision.Strategy

/**
 * - `permanent`: always restarted.
 * - `transient`: only after `Failed` or `Killed`; otherwise the spec is kept and the child is `stopped`.
 * - `temporary`: never; its spec goes with it.
 *
 * @since 0.1.0
 * @category models
 */
export type Restart = Supervision.Restart

/** @since 0.1.0 @category models */
export type ChildState = Supervision.ChildState

/**
 * How a child is described. Defaults are OTP's: permanent, a worker, 5 s to stop (`infinity` for a supervisor), not
 * significant, and the mailbox dies with the incarnation.
 *
 * - `id`: unique under its supervisor; the behaviour's name unless given. It is the child's segment in paths.
 * - `key`: the name under which every incarnation is registered.
 * - `shutdown`: `brutal` kills without asking; a duration is the time to end in order before the kill.
 * - `significant`: see `autoShutdown`.
 * - `onRestart`: `keep` lets the mailbox, and the name, outlive the incarnation for as long as the supervisor would restart
 *   the child. They go when the child is stopped for good, or with the supervisor.
 * - `startTimeout`: an init that takes longer is killed and counts as one that failed (`StartTimeout` is the reason). None
 *   by default, as in OTP: the supervisor waits, and hears of nothing but its own end meanwhile.
 *
 * @since 0.1.0
 * @category models
 */
export type Options<Msg> = ChildOptions<Msg>

/** @since 0.1.0 @category models */
export interface ChildSpec<out R> {
  readonly id: string
  readonly restart: Restart
  readonly type: "worker" | "supervisor"
  readonly "~starling/actor/ChildSpec": { readonly _R: () => R }
}

/**
 * - `intensity`, `period`: how many restarts in any period are allowed, over all children; one more and the supervisor
 *   stops everything and exits with `Shutdown`. OTP's defaults: 1 in 5 s. Intensity 0: the first crash is the end.
 * - `autoShutdown`: whether the supervisor ends, with `Shutdown`, when one (`any_significant`) or the last
 *   (`all_significant`) of its significant children has ended by itself and is not restarted.
 * - `backoff`: how long a restart waits; a waiting child is `restarting`. It begins anew once a child has lived for a
 *   period. Off by default.
 *
 * @since 0.1.0
 * @category models
 */
export interface SupervisorSpec<out R> {
  readonly name: string
  readonly strategy?: Strategy
  readonly intensity?: number
  readonly period?: Duration.Input
  readonly autoShutdown?: Supervision.AutoShutdown
  readonly backoff?: Schedule.Schedule<unknown, ExitReason.DownReason>
  readonly children: ReadonlyArray<ChildSpec<R>>
}

/** @since 0.1.0 @category models */
export interface ChildInfo {
  readonly id: string
  readonly state: ChildState
  readonly ref: Option.Option<ActorRef<never>>
  readonly type: "worker" | "supervisor"
}

/** Specs, those that live, and by type, living or not. @since 0.1.0 @category models */
export interface ChildCount {
  readonly specs: number
  readonly active: number
  readonly supervisors: number
  readonly workers: number
}

/** A child's init failed, or its name was taken. @since 0.1.0 @category errors */
export const StartError = Supervision.StartError
/** @since 0.1.0 @category errors */
export type StartError = Supervision.StartError

/** No supervisor can run this spec; no child was started. @since 0.1.0 @category errors */
export const InvalidSpec = Core.InvalidSpec
/** @since 0.1.0 @category errors */
export type InvalidSpec = Core.InvalidSpec

/** A management call that the child's state forbids. @since 0.1.0 @category errors */
export const ChildRefused = Supervision.ChildRefused
/** @since 0.1.0 @category errors */
export type ChildRefused = Supervision.ChildRefused

/** The supervisor has ended. @since 0.1.0 @category errors */
export const SupervisorDown = Core.SupervisorDown
/** @since 0.1.0 @category errors */
export type SupervisorDown = Core.SupervisorDown

/** What `run` fails with: the supervisor gave up, was killed or failed. @since 0.1.0 @category errors */
export class SupervisorExit extends Data.TaggedError("SupervisorExit")<{
  readonly supervisor: string
  readonly reason: ExitReason.DownReason
}> {}

/** What is sent to a supervisor; only this module makes it. @since 0.1.0 @category models */
export interface Request {
  readonly "~starling/actor/Supervisor/Request": never
}

/**
 * A supervisor that runs. Calls are carried out one at a time, and wait while it starts or stops a child.
 *
 * - `startChild`: adds a child and starts it; none if its init ignored. A child that does not start is not kept.
 * - `terminateChild`: stops it and keeps its spec (not a temporary one's); no effect on siblings, not counted.
 * - `restartChild`: starts a child that is stopped; not counted.
 * - `deleteChild`: forgets the spec of a stopped child.
 * - `whichChildren`: last started first.
 * - `stop`: stops all children in reverse order and ends with `Shutdown`.
 * - `await`: the exit reason, when it has ended.
 *
 * @since 0.1.0
 * @category models
 */
export interface Supervisor {
  readonly name: string
  readonly ref: ActorRef<Request>
  readonly startChild: <R>(
    spec: ChildSpec<R>
  ) => Effect.Effect<Option.Option<ActorRef<never>>, StartError | ChildRefused | InvalidSpec | SupervisorDown, R>
  readonly terminateChild: (id: string) => Effect.Effect<void, ChildRefused | SupervisorDown>
  readonly restartChild: (
    id: string
  ) => Effect.Effect<Option.Option<ActorRef<never>>, StartError | ChildRefused | SupervisorDown>
  readonly deleteChild: (id: string) => Effect.Effect<void, ChildRefused | SupervisorDown>
  readonly whichChildren: Effect.Effect<ReadonlyArray<ChildInfo>, SupervisorDown>
  readonly countChildren: Effect.Effect<ChildCount, SupervisorDown>
  readonly stop: Effect.Effect<void>
  readonly await: Effect.Effect<ExitReason.DownReason>
}

/** @since 0.1.0 @category constructors */
export const childSpec = <Msg, S, E, R>(behavior: Behavior<Msg, S, E, R>, options: Options<Msg> = {}): ChildSpec<R> =>
  specOf(behavior, options) as unknown as ChildSpec<R>

/**
 * A supervisor as a child of another: type `supervisor`, permanent, `infinity` to stop. A transient one that gives up is
 * not restarted, because it exits with `Shutdown`; that is reported as a warning when it starts.
 *
 * @since 0.1.0
 * @category constructors
 */
export const nested = <R = never>(
  spec: SupervisorSpec<R>,
  options: Omit<Options<Request>, "onRestart" | "type"> = {}
): ChildSpec<R> =>
  erasedSpec(Core.supervisorBehavior(coreOptions(spec)), { ...options, type: "supervisor" }) as unknown as ChildSpec<R>

/** A name for a nested supervisor, to be given to `nested` and to `via`. @since 0.1.0 @category constructors */
export const key = (name: string): RegistryKey<Request> => ({ key: name }) as unknown as RegistryKey<Request>

/** The handle of whichever incarnation holds the name when it is used. @since 0.1.0 */
export const via = (key: RegistryKey<Request>): Effect.Effect<Supervisor, never, System> =>
  Effect.map(System, (system) => handle(addressOf(viaUnsafe(system, key)), key.key))

/**
 * Starts the supervisor and its children, in order; returns when all their inits have. If one fails, those before it are
 * stopped in reverse order. The Scope's end stops the supervisor.
 *
 * @since 0.1.0
 * @category running
 */
export const start = <R = never>(
  spec: SupervisorSpec<R>,
  options: { readonly key?: RegistryKey<Request> } = {}
): Effect.Effect<Supervisor, StartError | InvalidSpec | NameTaken, R | Scope.Scope | System> =>
  Effect.map(spawnProcess(Core.supervisorBehavior(coreOptions(spec)), options.key?.key, "infinity"), (process) =>
    handle(process, process.name)
  ) as Effect.Effect<Supervisor, StartError | InvalidSpec | NameTaken, R | Scope.Scope | System>

/**
 * Runs the supervisor in the foreground until it ends. Fails with `SupervisorExit` if it gave up, was killed or failed;
 * succeeds after `stop` and after an auto-shutdown.
 *
 * @since 0.1.0
 * @category running
 */
export const run = <R = never>(
  spec: SupervisorSpec<R>,
  options: { readonly key?: RegistryKey<Request> } = {}
): Effect.Effect<void, StartError | InvalidSpec | NameTaken | SupervisorExit, Exclude<R, Scope.Scope> | System> =>
  Effect.scoped(
    Effect.gen(function* () {
      const supervisor = yield* start(spec, options)
      const process = supervisor.ref as unknown as Process
      const reason = yield* supervisor.await
      if (process.gaveUp || reason._tag === "Killed" || reason._tag === "Failed") {
        return yield* new SupervisorExit({ supervisor: spec.name, reason })
      }
    })
  )

/**
 * The supervisor as a service: built when all children have started, stopped in reverse order when the layer is released.
 * A supervisor that gives up later does not end the layer; watch `await`, or use `run`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <Id, R = never>(
  tag: Context.Service<Id, Supervisor>,
  spec: SupervisorSpec<R>
): Layer.Layer<Id, StartError | InvalidSpec | NameTaken, Exclude<R, Scope.Scope> | System> =>
  Layer.effect(tag, start(spec))

const coreOptions = <R>(spec: SupervisorSpec<R>): Supervision.Options =>
  optionsOf(spec.name, spec, {
    strategy: spec.strategy ?? "one_for_one",
    autoShutdown: spec.autoShutdown ?? "never",
    dynamic: undefined,
    children: spec.children as unknown as ReadonlyArray<Supervision.Spec>
  })

const handle = (address: Address, name: string): Supervisor => {
  const found = (process: Option.Option<Process>) => Option.map(process, refOf)
  return {
    name,
    ref: address as unknown as ActorRef<Request>,
    startChild: <R>(spec: ChildSpec<R>) =>
      Effect.flatMap(contextOf<R>(), (context) =>
        Effect.map(
          Core.call(address, (self) => Core.startChecked(self, spec as unknown as Supervision.Spec, context)),
          found
        )
      ),
    terminateChild: (id) => Core.call(address, (self) => self.terminateChild(id)),
    restartChild: (id) =>
      Effect.map(
        Core.call(address, (self) => self.restartChild(id)),
        found
      ),
    deleteChild: (id) => Core.call(address, (self) => self.deleteChild(id)),
    whichChildren: Core.call(address, (self) =>
      Effect.sync(() => [...self.children.values()].toReversed().map(infoOf))
    ),
    countChildren: Core.call(address, (self) => Effect.sync(() => counted(self.children.values()))),
    stop: Effect.suspend(() => {
      const process = address.resolveProcess()
      return process === undefined ? Effect.void : Effect.asVoid(stopProcess(process, "infinity"))
    }),
    await: awaitEnd(address)
  }
}

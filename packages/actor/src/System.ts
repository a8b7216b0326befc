/**
 * The home of a set of actors: their names, their run queue, their reports, their counters.
 *
 * One process can have several systems (several agents in one test, for instance), and nothing is shared between them.
 * Actors are made and watched through the modules `Actor`, `Supervisor`, `Registry` and so on, which find the system in
 * the context.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as PubSub from "effect/PubSub"
import type * as Instrumented from "./internal/instruments.ts"
import * as Runtime from "./internal/runtime.ts"
import type { DeadLetter, Report } from "./Report.ts"

/**
 * Counted since the system was made.
 *
 * @since 0.1.0
 * @category models
 */
export interface Counters {
  readonly started: number
  readonly restarts: number
  readonly crashes: number
  readonly handled: number
  /** Messages that a full mailbox dropped; each is a dead letter too. */
  readonly dropped: number
  readonly deadLetters: number
  readonly gaveUp: number
  readonly abandoned: number
  /** Abandoned actors whose fiber still runs. */
  readonly abandonedNow: number
}

/**
 * - `reports`: every report is published here; a slow subscriber loses the oldest.
 * - `onReport`: calls back with each report on the stack of who reports it, before the log line; returns the removal. The
 *   callback must not throw; if it does, the exception is dropped.
 * - `onDeadLetter`: calls back with each dead letter, on the stack of who lost it; as `onReport` otherwise.
 * - `counters`, `recentReports`, `deadLetters`: read now. The two lists are bounded at 256, oldest first.
 * - `alive`: how many actors, supervisors included, have not ended.
 *
 * @since 0.1.0
 * @category services
 */
export class System extends Context.Service<
  System,
  {
    readonly reports: PubSub.PubSub<Report>
    readonly onReport: (hook: (report: Report) => void) => () => void
    readonly onDeadLetter: (hook: (letter: DeadLetter) => void) => () => void
    readonly recentReports: () => ReadonlyArray<Report>
    readonly deadLetters: () => ReadonlyArray<DeadLetter>
    readonly counters: () => Counters
    readonly alive: () => number
  }
>()("@starling/actor/System") {}

/** @since 0.1.0 @category constructors */
export const make: Effect.Effect<System["Service"]> = Runtime.makeRuntime

/**
 * Whether systems made in this context hand each message to the `Scheduler` as a task of its own. A scheduler that picks
 * its tasks by a seed then chooses which actor goes next, message by message: how `ActorTest` explores interleavings.
 * Default false: the run queue keeps its order, and is many times faster.
 *
 * @since 0.1.0
 * @category references
 */
export const Stepped: Context.Reference<boolean> = Runtime.Stepped

/** A new system. @since 0.1.0 @category layers */
export const layer: Layer.Layer<System> = Layer.effect(System, make)

/**
 * What looks on from outside of the runtime, for tests of it.
 *
 * - `system`: is given each system that is made in this context.
 * - `init`: comes before the init of each incarnation, supervisors included, as a part of it: it has its Scope, and may
 *   wait or fail. `self.ref` is the incarnation.
 * - `handling`: is called before each handler. To throw is to crash it.
 *
 * @since 0.1.0
 * @category models
 */
export type Instruments = Instrumented.Instruments

/**
 * Put into every actor of the systems that are made in this context. None by default, which costs nothing.
 *
 * @since 0.1.0
 * @category references
 */
export const Instrument: Context.Reference<Instruments | undefined> = Runtime.Instrument

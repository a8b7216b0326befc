/**
 * Effect programs in virtual time, by a seed: real fibers, real actors, real queues, and no real clock.
 *
 * Whenever several tasks could run, the seed picks the next one; actors are stepped one message at a time, so the seed
 * chooses among them too. When nothing can run, time jumps to the next timer. The same seed gives the same history, of
 * which the digest is kept. A program that waits for something that no timer will bring is a deadlock, and a deadlock is
 * a result, not a hang.
 *
 * Promises are the hole: what settles outside looks like a deadlock. So nothing that runs here may use one.
 *
 * @since 0.1.0
 */
import { System } from "@starling/actor"
import { Rng } from "@starling/machine"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import * as Random from "effect/Random"
import * as Scheduler from "effect/Scheduler"
import * as Timers from "./internal/timers.ts"

/** @since 0.1.0 @category models */
export interface Options {
  readonly seed: number | string
  /** Tasks and timers before a run is given up. Default fifty million: minutes of a processor. */
  readonly stepsMax?: number
}

/**
 * How a run ended.
 *
 * - `Done`: with the program's exit. What was left running is run on until nothing moves without a timer.
 * - `Deadlock`: nothing could run and no timer was set.
 * - `Endless`: `stepsMax` was reached.
 *
 * @since 0.1.0
 * @category models
 */
export type Outcome<A, E> = Run &
  (
    | { readonly _tag: "Done"; readonly exit: Exit.Exit<A, E> }
    | { readonly _tag: "Deadlock" }
    | { readonly _tag: "Endless" }
  )

/** @since 0.1.0 @category models */
export interface Run {
  /** Tasks and timers that ran. */
  readonly steps: number
  readonly virtualMs: number
  /** Digest over what ran when, and over all that was noted. */
  readonly history: string
  /** Timers still set when the program had ended: somebody sleeps whom nobody waits for. */
  readonly sleepers: number
}

/**
 * Adds to the history of the run it is called in; elsewhere it does nothing.
 *
 * @since 0.1.0
 */
export const Note: Context.Reference<(text: string) => void> = Context.Reference<(text: string) => void>(
  "@starling/testing/SimRuntime/Note",
  { defaultValue: () => () => {} }
)

/** @since 0.1.0 @category running */
export const run = <A, E>(program: Effect.Effect<A, E>, { seed, stepsMax = 50_000_000 }: Options): Outcome<A, E> => {
  const world = new World(seed)
  const context = Context.empty().pipe(
    Context.add(Scheduler.Scheduler, world),
    Context.add(Clock.Clock, world.clock),
    Context.add(System.Stepped, true),
    Context.add(Note, world.note)
  )
  const silent = program.pipe(Random.withSeed(String(seed)), Effect.provide(Logger.layer([])))
  const fiber = Effect.runForkWith(context)(silent)
  const report = (): Run => ({
    steps: world.steps,
    virtualMs: world.now - startMs,
    history: world.history(),
    sleepers: world.timers.heap.length
  })
  while (fiber.pollUnsafe() === undefined) {
    if (world.steps >= stepsMax) return { _tag: "Endless", ...report() }
    if (!world.runTask() && !world.runTimer()) return { _tag: "Deadlock", ...report() }
  }
  while (world.runTask()) if (world.steps >= stepsMax) return { _tag: "Endless", ...report() }
  return { _tag: "Done", exit: fiber.pollUnsafe() as Exit.Exit<A, E>, ...report() }
}

/** Any instant will do, as long as it is always the same. */
const startMs = 1_700_000_000_000

/** Operations of a fiber before another may go on. Few, so that interleavings are many; our choice. */
const operationsMax = 256

class World implements Scheduler.Scheduler {
  readonly executionMode = "async"
  readonly timers = Timers.make()
  now = startMs
  steps = 0
  readonly clock: Clock.Clock
  private readonly tasks: Array<() => void> = []
  private rng: Rng.Rng
  private left = 0x811c9dc5
  private right = 0x9e3779b9
  private readonly dispatcher: Scheduler.SchedulerDispatcher = {
    scheduleTask: (task) => void this.tasks.push(task),
    // Whoever would flush is itself a task, and the others keep their turn.
    flush: () => {}
  }

  constructor(seed: number | string) {
    this.rng = Rng.make(`${seed}/tasks`)
    const millis = (): number => this.now
    const nanos = (): bigint => BigInt(this.now) * 1_000_000n
    this.clock = {
      currentTimeMillisUnsafe: millis,
      currentTimeMillis: Effect.sync(millis),
      currentTimeNanosUnsafe: nanos,
      currentTimeNanos: Effect.sync(nanos),
      monotonicTimeNanosUnsafe: nanos,
      monotonicTimeNanos: Effect.sync(nanos),
      sleep: (duration) => this.sleep(duration)
    }
  }

  shouldYield(fiber: Fiber.Fiber<unknown, unknown>): boolean {
    return fiber.currentOpCount >= operationsMax
  }

  makeDispatcher(): Scheduler.SchedulerDispatcher {
    return this.dispatcher
  }

  /** False if nothing can run now. */
  runTask(): boolean {
    const { tasks } = this
    if (tasks.length === 0) return false
    const [index, rng] = Rng.nextInt(this.rng, tasks.length)
    this.rng = rng
    const task = tasks[index] as () => void
    const last = tasks.pop() as () => void
    if (index < tasks.length) tasks[index] = last
    this.word(index)
    this.steps++
    task()
    return true
  }

  /** Moves time to the next timer; false if there is none. */
  runTimer(): boolean {
    const timer = Timers.take(this.timers)
    if (timer === undefined) return false
    this.now = Math.max(this.now, timer.at)
    this.word(this.now - startMs)
    this.steps++
    timer.fire()
    return true
  }

  readonly note = (text: string): void => {
    this.word(text.length)
    for (let i = 0; i < text.length; i++) this.word(text.charCodeAt(i))
  }

  /** Sixteen hexadecimal digits. */
  history(): string {
    return [this.left, this.right].map((lane) => (lane >>> 0).toString(16).padStart(8, "0")).join("")
  }

  private sleep(duration: Duration.Duration): Effect.Effect<void> {
    const ms = Duration.toMillis(duration)
    if (!Number.isFinite(ms)) return Effect.never
    if (ms <= 0) return Effect.yieldNow
    return Effect.callback<void>((resume) => {
      const timer = Timers.add(this.timers, this.now + Math.ceil(ms), () => resume(Effect.void))
      return Effect.sync(() => Timers.remove(this.timers, timer))
    })
  }

  private word(value: number): void {
    const lane = Math.imul(this.left ^ value, 0x01000193)
    this.left = lane ^ (lane >>> 15)
    this.right = Math.imul((this.right ^ (this.right >>> 13)) + value, 0x85ebca6b)
  }
}

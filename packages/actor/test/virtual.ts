/**
 * Real fibers and real actors without a real clock, on the stack of who drives them: tasks, of which the seed picks the
 * next, and sleeps.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as References from "effect/References"
import * as Scheduler from "effect/Scheduler"

/** More tasks in one instant than this is a loop that waits for nothing. */
const tasksMax = 100_000

interface Sleep {
  readonly at: number
  readonly wake: () => void
}

export class Virtual implements Scheduler.Scheduler {
  readonly executionMode = "async"
  now = 0
  /** Tasks that ran. */
  turns = 0
  readonly context: Context.Context<never>
  private readonly tasks: Array<() => void> = []
  private state: number
  private sleeps: Array<Sleep> = []
  private readonly dispatcher: Scheduler.SchedulerDispatcher = {
    scheduleTask: (task) => void this.tasks.push(task),
    flush: () => {}
  }

  constructor(seed: number = 1) {
    this.state = seed >>> 0
    const millis = (): number => this.now
    const nanos = (): bigint => BigInt(this.now) * 1_000_000n
    const clock: Clock.Clock = {
      currentTimeMillisUnsafe: millis,
      currentTimeMillis: Effect.sync(millis),
      currentTimeNanosUnsafe: nanos,
      currentTimeNanos: Effect.sync(nanos),
      monotonicTimeNanosUnsafe: nanos,
      monotonicTimeNanos: Effect.sync(nanos),
      sleep: (duration) => this.sleep(Duration.toMillis(duration))
    }
    this.context = Context.make(Scheduler.Scheduler, this).pipe(
      Context.add(Clock.Clock, clock),
      Context.add(References.MinimumLogLevel, "None")
    )
  }

  shouldYield(): boolean {
    return false
  }

  makeDispatcher(): Scheduler.SchedulerDispatcher {
    return this.dispatcher
  }

  /** Fibers that sleep. */
  get sleepers(): number {
    return this.sleeps.length
  }

  /** Runs until nothing can go on; the exit, if that was its end. */
  fork<A, E>(effect: Effect.Effect<A, E>): () => Exit.Exit<A, E> | undefined {
    const fiber = Effect.runForkWith(this.context)(effect)
    this.drain()
    return () => fiber.pollUnsafe()
  }

  /** Runs all that happens up to that instant, and then stands there. */
  advance(to: number): void {
    this.drain()
    while (true) {
      const next = this.sleeps[0]
      if (next === undefined || next.at > to) break
      this.sleeps.shift()
      this.now = next.at
      next.wake()
      this.drain()
    }
    this.now = to
  }

  drain(): void {
    let done = 0
    while (this.tasks.length > 0) {
      this.takeTask()()
      this.turns++
      if (++done > tasksMax) throw new Error(`more than ${tasksMax} tasks at ${this.now} ms`)
    }
  }

  private takeTask(): () => void {
    this.state = (Math.imul(this.state, 1_664_525) + 1_013_904_223) >>> 0
    const index = Math.floor((this.state / 2 ** 32) * this.tasks.length)
    const task = this.tasks[index] as () => void
    const last = this.tasks.pop() as () => void
    if (index < this.tasks.length) this.tasks[index] = last
    return task
  }

  private sleep(ms: number): Effect.Effect<void> {
    if (ms <= 0) return Effect.yieldNow
    return Effect.callback<void>((resume) => {
      const sleep = { at: this.now + ms, wake: () => resume(Effect.void) }
      const index = this.sleeps.findIndex(({ at }) => at > sleep.at)
      this.sleeps.splice(index < 0 ? this.sleeps.length : index, 0, sleep)
      return Effect.sync(() => {
        this.sleeps = this.sleeps.filter((other) => other !== sleep)
      })
    })
  }
}

/**
 * Where the fibers of one process can be held: a scheduler and a clock that let nothing through while the gate is shut.
 *
 * A process that is stopped (SIGSTOP) takes no turn; time goes on, so that timers are late when it goes on.
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Scheduler from "effect/Scheduler"

export class Gate {
  private waiting: Array<() => void> | undefined

  get isShut(): boolean {
    return this.waiting !== undefined
  }

  shut(): void {
    this.waiting ??= []
  }

  /** What waited goes through, in order. */
  open(): void {
    const { waiting = [] } = this
    this.waiting = undefined
    for (const pass of waiting) pass()
  }

  /** Tasks of fibers that want to run. */
  scheduler(inner: Scheduler.Scheduler): Scheduler.Scheduler {
    return {
      executionMode: inner.executionMode,
      shouldYield: (fiber) => inner.shouldYield(fiber),
      makeDispatcher: () => {
        const dispatcher = inner.makeDispatcher()
        return {
          scheduleTask: (task, priority) => {
            if (this.waiting === undefined) dispatcher.scheduleTask(task, priority)
            else this.waiting.push(() => dispatcher.scheduleTask(task, priority))
          },
          flush: () => dispatcher.flush()
        }
      }
    }
  }

  /** Timers: the system's clock goes on, and who slept hears of it when it goes on itself. */
  clock(inner: Clock.Clock): Clock.Clock {
    const passed: Effect.Effect<void> = Effect.suspend(() =>
      this.waiting === undefined
        ? Effect.void
        : Effect.callback<void>((resume) => void this.waiting?.push(() => resume(Effect.void)))
    )
    return { ...inner, sleep: (duration) => Effect.andThen(inner.sleep(duration), passed) }
  }
}

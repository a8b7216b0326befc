/**
 * All timers and deadlines of a system: one binary heap, and one fiber that sleeps until the nearest.
 *
 * Setting costs a sift that ends at once where deadlines come in order, as those of asks do; cancelling takes the timer
 * out, so that nothing is kept for what no longer matters. Time is that of the system's Clock, so a test clock and a
 * virtual one drive it as they drive a sleep; deadlines are on its monotonic side.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Scheduler from "effect/Scheduler"
import * as Heap from "./heap.ts"

/** Fires at most once, and never after `cancelUnsafe`. */
export class Timer {
  readonly at: number
  readonly order: number
  /** Its place in the heap; -1 when it has none. */
  index = -1
  readonly fire: () => void
  /** Who has to be told when it is cancelled. */
  group: Set<Timer> | undefined = undefined
  private readonly timers: Timers

  constructor(timers: Timers, at: number, order: number, fire: () => void) {
    this.timers = timers
    this.at = at
    this.order = order
    this.fire = fire
  }

  /** True if it had not fired. */
  cancelUnsafe(): boolean {
    return this.timers.cancel(this)
  }

  get cancel(): Effect.Effect<boolean> {
    return Effect.sync(() => this.cancelUnsafe())
  }
}

export class Timers {
  private readonly heap: Array<Timer> = []
  private readonly clock: Clock.Clock
  private readonly context: Context.Context<never>
  private readonly later: (task: () => void) => void
  private sleeper: Fiber.Fiber<void> | undefined = undefined
  private wakesAt = Number.POSITIVE_INFINITY
  private checking = false
  private lastOrder = 0

  /** `later` runs a task soon, on nobody's stack. */
  constructor(clock: Clock.Clock, scheduler: Scheduler.Scheduler, later: (task: () => void) => void) {
    this.clock = clock
    this.later = later
    this.context = Context.add(Context.make(Clock.Clock, clock), Scheduler.Scheduler, scheduler)
  }

  get size(): number {
    return this.heap.length
  }

  /**
   * Milliseconds that never go back, with fractions. Nanoseconds since 1970, as clocks of tests have them, are more than a
   * number holds: an edge would be missed by a fraction.
   */
  now(): number {
    return Number(this.clock.monotonicTimeNanosUnsafe() / 1000n) / 1000
  }

  /** A delay without an end is a timer that never fires; it is not kept. `fire` must not throw, nor run for long. */
  set(delayMs: number, fire: () => void): Timer {
    const delay = delayMs > 0 ? delayMs : 0
    const timer = new Timer(this, this.now() + delay, ++this.lastOrder, fire)
    if (!Number.isFinite(delay)) return timer
    Heap.add(this.heap, timer)
    if (timer.index === 0 && timer.at < this.wakesAt) this.arm(timer.at, delay)
    return timer
  }

  cancel(timer: Timer): boolean {
    if (!Heap.remove(this.heap, timer)) return false
    timer.group?.delete(timer)
    // One question after another sets and cancels one timer: whether to end the sleep is decided later, once.
    if (this.heap.length === 0 && !this.checking) {
      this.checking = true
      this.later(this.check)
    }
    return true
  }

  private readonly check = (): void => {
    this.checking = false
    if (this.heap.length === 0) this.disarm()
  }

  private readonly fireDue = (): void => {
    const now = this.now()
    const last = this.lastOrder
    while (true) {
      const timer = this.heap[0]
      if (timer === undefined || timer.at > now || timer.order > last) break
      Heap.remove(this.heap, timer)
      timer.fire()
    }
    const next = this.heap[0]
    if (next !== undefined && next.at < this.wakesAt) this.arm(next.at, next.at - now)
  }

  private arm(wakesAt: number, delay: number): void {
    this.disarm()
    this.wakesAt = wakesAt
    const wake = (): void => {
      // Replaced meanwhile by an earlier one.
      if (this.wakesAt !== wakesAt) return
      this.sleeper = undefined
      this.wakesAt = Number.POSITIVE_INFINITY
      this.fireDue()
    }
    if (delay <= 0) return this.later(wake)
    const fiber = Effect.runForkWith(this.context)(Effect.sleep(Math.ceil(delay)))
    this.sleeper = fiber
    fiber.addObserver((exit) => {
      if (Exit.isSuccess(exit) && this.sleeper === fiber) wake()
    })
  }

  private disarm(): void {
    const { sleeper } = this
    this.sleeper = undefined
    this.wakesAt = Number.POSITIVE_INFINITY
    sleeper?.interruptUnsafe()
  }
}

/** Messages to oneself, later: timers, named timers, and the time without a message. None outlives the incarnation. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { Alarms } from "./alarms.ts"
import type { Box } from "./box.ts"
import type { Timer } from "./timers.ts"
import { Watched } from "./watched.ts"

export abstract class Timed extends Watched {
  protected alarms: Alarms | undefined = undefined
  private timers: Set<Timer> | undefined = undefined

  abstract get box(): Box

  /** Cannot fire after the incarnation has ended. */
  sendAfterUnsafe(delay: Duration.Input, message: unknown): Timer {
    return this.afterUnsafe(delay, () => this.box.offer(message))
  }

  afterUnsafe(delay: Duration.Input, fire: () => void): Timer {
    const delayMs = this.isDead ? Number.POSITIVE_INFINITY : Duration.toMillis(delay)
    const timer: Timer = this.runtime.timers.set(delayMs, () => {
      this.timers?.delete(timer)
      fire()
    })
    if (timer.index >= 0) (this.timers ??= new Set()).add(timer)
    timer.group = this.timers
    return timer
  }

  sendAfter(delay: Duration.Input, message: unknown): Effect.Effect<Timer> {
    return Effect.sync(() => this.sendAfterUnsafe(delay, message))
  }

  private get alarm(): Alarms {
    return (this.alarms ??= new Alarms(this.runtime.timers, () => this.wake()))
  }

  setTimerUnsafe(name: string, delay: Duration.Input, message: unknown): void {
    if (!this.isDead) this.alarm.set(name, Duration.toMillis(delay), message)
  }

  cancelTimerUnsafe(name: string): boolean {
    return this.alarms?.cancel(name) ?? false
  }

  setReceiveTimeoutUnsafe(delay: Duration.Input, message: unknown): void {
    if (!this.isDead) this.alarm.setIdle(Duration.toMillis(delay), message)
  }

  cancelReceiveTimeoutUnsafe(): void {
    this.alarms?.cancelIdle()
  }

  setTimer(name: string, delay: Duration.Input, message: unknown): Effect.Effect<void> {
    return Effect.sync(() => this.setTimerUnsafe(name, delay, message))
  }

  cancelTimer(name: string): Effect.Effect<boolean> {
    return Effect.sync(() => this.cancelTimerUnsafe(name))
  }

  setReceiveTimeout(delay: Duration.Input, message: unknown): Effect.Effect<void> {
    return Effect.sync(() => this.setReceiveTimeoutUnsafe(delay, message))
  }

  get cancelReceiveTimeout(): Effect.Effect<void> {
    return Effect.sync(() => this.cancelReceiveTimeoutUnsafe())
  }

  protected dropTimers(): void {
    if (this.timers !== undefined) for (const timer of this.timers) timer.cancelUnsafe()
    this.alarms?.clear()
    this.timers = this.alarms = undefined
  }
}

/** A message to oneself, later. */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"

/** Cannot fire after its actor has ended. */
export class Timer {
  private fiber: Fiber.Fiber<void> | undefined = undefined
  private readonly timers: Set<Timer>
  private live = true

  constructor(timers: Set<Timer>) {
    this.timers = timers
  }

  start(fiber: Fiber.Fiber<void>, fire: () => void): void {
    this.fiber = fiber
    fiber.addObserver((exit) => {
      if (!this.live) return
      this.end()
      if (Exit.isSuccess(exit)) fire()
    })
  }

  /** True if it had not fired. */
  cancelUnsafe(): boolean {
    if (!this.live) return false
    const { fiber } = this
    this.end()
    fiber?.interruptUnsafe()
    return true
  }

  get cancel(): Effect.Effect<boolean> {
    return Effect.sync(() => this.cancelUnsafe())
  }

  private end(): void {
    this.live = false
    this.fiber = undefined
    this.timers.delete(this)
  }
}

/**
 * The named timers of an actor, and its time without a message.
 *
 * What has fired waits here and not in the mailbox: a timer that is replaced or cancelled before its message was handled
 * is gone, and none is dropped by a full mailbox. There is one entry for each name, so the bound is the actor's own.
 * OTP: gen_statem's generic timeouts and event timeout, of which the same is promised.
 */
import type { Timer, Timers } from "./timers.ts"

interface Alarm {
  readonly message: unknown
  timer: Timer | undefined
}

export class Alarms {
  private readonly timers: Timers
  private readonly wake: () => void
  private readonly named = new Map<string, Alarm>()
  /** Names that have fired, in that order. */
  private due: Array<string> = []
  private idle: { readonly delayMs: number; readonly message: unknown } | undefined = undefined
  private idleTimer: Timer | undefined = undefined
  private idleDue = false

  constructor(timers: Timers, wake: () => void) {
    this.timers = timers
    this.wake = wake
  }

  /** Named timers that have fired. */
  get size(): number {
    return this.due.length
  }

  get ready(): boolean {
    return this.idleDue || this.due.length > 0
  }

  set(name: string, delayMs: number, message: unknown): void {
    this.cancel(name)
    const alarm: Alarm = { message, timer: undefined }
    this.named.set(name, alarm)
    if (!(delayMs > 0)) return this.fire(name)
    alarm.timer = this.timers.set(delayMs, () => {
      alarm.timer = undefined
      this.fire(name)
    })
  }

  private fire(name: string): void {
    this.due.push(name)
    this.wake()
  }

  /** True if its message had not been handled. */
  cancel(name: string): boolean {
    const alarm = this.named.get(name)
    if (alarm === undefined) return false
    this.named.delete(name)
    if (alarm.timer === undefined) this.due = this.due.filter((other) => other !== name)
    else alarm.timer.cancelUnsafe()
    return true
  }

  setIdle(delayMs: number, message: unknown): void {
    this.idle = { delayMs, message }
    this.touch()
  }

  cancelIdle(): void {
    this.idleTimer?.cancelUnsafe()
    this.idle = this.idleTimer = undefined
    this.idleDue = false
  }

  /** Something was handled: the wait begins anew. */
  touch(): void {
    const { idle } = this
    if (idle === undefined) return
    this.idleTimer?.cancelUnsafe()
    this.idleDue = false
    this.idleTimer = this.timers.set(idle.delayMs, () => {
      this.idleDue = true
      this.wake()
    })
  }

  /** The message of what has fired first; the idle one last. Only when `ready`. */
  take(): unknown {
    const name = this.due.shift()
    if (name === undefined) {
      this.idleDue = false
      return this.idle?.message
    }
    const alarm = this.named.get(name)
    this.named.delete(name)
    return alarm?.message
  }

  clear(): void {
    for (const alarm of this.named.values()) alarm.timer?.cancelUnsafe()
    this.named.clear()
    this.due = []
    this.cancelIdle()
  }
}

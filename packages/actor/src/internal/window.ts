/**
 * The restart window of a supervisor: at most `intensity` restarts in any `period`.
 *
 * Milliseconds with an inclusive edge: a restart exactly one period ago still counts. OTP measures in whole seconds, so
 * its window is longer by up to a second, depending on the phase.
 */
export class Window {
  private times: Array<number> = []
  private head = 0
  private readonly intensity: number
  private readonly periodMs: number

  constructor(intensity: number, periodMs: number) {
    this.intensity = intensity
    this.periodMs = periodMs
  }

  /** Counts one more; false when that is too many. */
  allows(now: number): boolean {
    while (this.head < this.times.length && (this.times[this.head] as number) < now - this.periodMs) this.head++
    if (this.head > 64 && this.head * 2 > this.times.length) {
      this.times = this.times.slice(this.head)
      this.head = 0
    }
    this.times.push(now)
    return this.times.length - this.head <= this.intensity
  }
}

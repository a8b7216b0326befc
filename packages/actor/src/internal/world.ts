/**
 * The seeded scheduler and its clock: of all tasks that could run, the seed picks the next one; when none can, time jumps
 * to the next timer.
 *
 * The generator is SplitMix32 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", OOPSLA 2014, in its
 * 32-bit form), of its own: one word that is drawn from for each task. Effect's seeded `Random` is the program's, and what
 * the program draws must not depend on how many tasks ran.
 */
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type * as Scheduler from "effect/Scheduler"
import * as Heap from "./heap.ts"

/** Any instant will do, as long as it is always the same. */
const startMs = 1_700_000_000_000

/** Operations of a fiber before another may go on. Few, so that interleavings are many; our choice. */
const operationsMax = 256

interface Timer extends Heap.Entry {
  readonly fire: () => void
}

export class World implements Scheduler.Scheduler {
  readonly executionMode = "async"
  readonly timers: Array<Timer> = []
  /** Tasks and timers that ran. */
  steps = 0
  /** Those since time last moved. */
  stepsAtInstant = 0
  readonly clock: Clock.Clock
  private now = startMs
  private readonly tasks: Array<() => void> = []
  private random: number
  private order = 0
  private left = 0x811c9dc5
  private right = 0x9e3779b9
  private readonly dispatcher: Scheduler.SchedulerDispatcher = {
    scheduleTask: (task) => void this.tasks.push(task),
    // Whoever would flush is itself a task, and the others keep their turn.
    flush: () => {}
  }

  constructor(seed: number | string) {
    this.random = hash(`${seed}/tasks`)
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

  get virtualMs(): number {
    return this.now - startMs
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
    const index = this.draw(tasks.length)
    const task = tasks[index] as () => void
    const last = tasks.pop() as () => void
    if (index < tasks.length) tasks[index] = last
    this.word(index)
    this.steps++
    this.stepsAtInstant++
    task()
    return true
  }

  /** Moves time to the next timer; false if there is none. */
  runTimer(): boolean {
    const timer = Heap.take(this.timers)
    if (timer === undefined) return false
    if (timer.at > this.now) {
      this.now = timer.at
      this.stepsAtInstant = 0
    }
    this.word(this.virtualMs)
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
      const at = this.now + Math.ceil(ms)
      const timer: Timer = { at, order: this.order++, index: -1, fire: () => resume(Effect.void) }
      Heap.add(this.timers, timer)
      return Effect.sync(() => Heap.remove(this.timers, timer))
    })
  }

  /** A whole number in 0..bound-1. */
  private draw(bound: number): number {
    this.random = (this.random + 0x9e3779b9) >>> 0
    return Math.floor((mix(this.random) / 4294967296) * bound)
  }

  private word(value: number): void {
    const lane = Math.imul(this.left ^ value, 0x01000193)
    this.left = lane ^ (lane >>> 15)
    this.right = Math.imul((this.right ^ (this.right >>> 13)) + value, 0x85ebca6b)
  }
}

const hash = (text: string): number => {
  let word = 0x811c9dc5
  for (let i = 0; i < text.length; i++) word = Math.imul(word ^ text.charCodeAt(i), 0x01000193)
  return mix(word >>> 0)
}

const mix = (word: number): number => {
  let x = word
  x = Math.imul(x ^ (x >>> 16), 0x21f0aaad)
  x = Math.imul(x ^ (x >>> 15), 0x735a2d97)
  return (x ^ (x >>> 15)) >>> 0
}

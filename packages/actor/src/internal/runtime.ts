/**
 * The run queue of one system, and what its actors share: names, reports, dead letters, counters.
 *
 * `tell` puts a message into a mailbox and the receiver on the run queue; one pump takes actors off it and lets each
 * handle a batch of messages, as plain calls where the handler is plain. Between two actors it carries out what was
 * deferred: answers, ends, what must not run on a handler's stack. The loop is given back after 5 ms, or after so many
 * messages where the clock stands still, as it does in tests.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as PubSub from "effect/PubSub"
import * as Scheduler from "effect/Scheduler"
import type { DeadLetter, Report } from "../Report.ts"
import type { System } from "../System.ts"
import { after } from "./after.ts"
import type { Token } from "./ask.ts"
import type { Instruments } from "./instruments.ts"
import type { Box } from "./box.ts"
import { Fifo } from "./fifo.ts"
import { Log } from "./log.ts"
import type { Process } from "./process.ts"
import { Ring } from "./ring.ts"
import { Timers } from "./timers.ts"
import { Noted, type Waits } from "./waits.ts"

/** Our choice: the longest that actors keep the loop from timers and sockets. */
const sliceMs = 5
/** Our choice: messages between two looks at the clock, and after which the loop is given back anyway. */
const stepMax = 64
const messagesMax = 16_384
const keptReports = 256
const keptDeadLetters = 256
const bufferedReports = 1024

/** See `System.Stepped`. */
export const Stepped: Context.Reference<boolean> = Context.Reference<boolean>("@starling/actor/System/Stepped", {
  defaultValue: () => false
})

/** A question that waits. */
interface Limited {
  readonly done: boolean
  readonly startTimer: () => void
}

/** See `System.Instrument`. */
export const Instrument: Context.Reference<Instruments | undefined> = Context.Reference<Instruments | undefined>(
  "@starling/actor/System/Instrument",
  { defaultValue: () => undefined }
)

export class Runtime {
  readonly names = new Map<string, Box>()
  readonly roots = new Set<Process>()
  readonly reports: PubSub.PubSub<Report>
  readonly counts = {
    started: 0,
    restarts: 0,
    crashes: 0,
    handled: 0,
    dropped: 0,
    deadLetters: 0,
    gaveUp: 0,
    abandoned: 0,
    abandonedNow: 0
  }
  living = 0
  readonly clock: Clock.Clock
  readonly timers: Timers
  readonly instruments: Instruments | undefined
  /** Only where actors are stepped. */
  readonly noted: Waits | undefined
  private readonly dispatcher: Scheduler.SchedulerDispatcher
  private readonly stepped: boolean
  private readonly log: Log
  private readonly kept = new Ring<Report>(keptReports)
  private readonly lost = new Ring<DeadLetter>(keptDeadLetters)
  private readonly hooks = new Set<(report: Report) => void>()
  private readonly letterHooks = new Set<(letter: DeadLetter) => void>()
  private readonly ready = new Fifo<Process>()
  private readonly later = new Fifo<Token | (() => void)>()
  /** Questions of this slice. */
  private readonly open = new Fifo<Limited>()
  private armed = false
  private deadline = 0
  private lookedAt = 0
  private step = 1
  private untilLook = 0
  private left = 0
  private lastId = 0

  constructor(
    clock: Clock.Clock,
    scheduler: Scheduler.Scheduler,
    reports: PubSub.PubSub<Report>,
    stepped: boolean = false,
    instruments?: Instruments,
    noted?: Waits
  ) {
    this.clock = clock
    this.instruments = instruments
    this.stepped = stepped
    this.noted = noted
    this.dispatcher = scheduler.makeDispatcher()
    this.reports = reports
    this.log = new Log(this.now)
    this.timers = new Timers(clock, scheduler, (task) => this.defer(task))
  }

  readonly onReport = (hook: (report: Report) => void): (() => void) => {
    this.hooks.add(hook)
    return () => {
      this.hooks.delete(hook)
    }
  }

  readonly onDeadLetter = (hook: (letter: DeadLetter) => void): (() => void) => {
    this.letterHooks.add(hook)
    return () => {
      this.letterHooks.delete(hook)
    }
  }

  readonly recentReports = (): ReadonlyArray<Report> => this.kept.toArray()
  readonly deadLetters = (): ReadonlyArray<DeadLetter> => this.lost.toArray()
  readonly counters = (): Runtime["counts"] => ({ ...this.counts })
  readonly alive = (): number => this.living

  nextId(): number {
    return ++this.lastId
  }

  readonly now = (): number => this.clock.currentTimeMillisUnsafe()

  /** Milliseconds that never go back, with fractions: for restart windows and uptimes. */
  monotonic(): number {
    return this.timers.now()
  }

  enqueue(process: Process): void {
    if (this.stepped) return this.dispatcher.scheduleTask(() => this.stepOne(process), 0)
    this.ready.put(process)
    this.arm()
  }

  /** Runs after the handler at hand has returned and its state is stored, never on its stack. */
  defer(task: () => void): void {
    this.later.put(task)
    this.arm()
  }

  settleLater(token: Token): void {
    this.later.put(token)
    this.arm()
  }

  /**
   * Limits how long it may stay open. Few questions outlive the slice in which they are asked, or the next one: only those
   * get a timer, at its end, so that their time begins up to a slice later and is never cut short.
   */
  limit(question: Limited): void {
    const { open } = this
    if (this.stepped) return question.startTimer()
    while (open.size > 0 && open.first.done) open.take()
    open.put(question)
    this.arm()
  }

  deadLetter(to: string, message: unknown, cause: DeadLetter["cause"]): void {
    this.counts.deadLetters++
    const letter = { to, message, cause }
    this.lost.push(letter)
    for (const hook of this.letterHooks) {
      try {
        hook(letter)
      } catch {
        // It is called on the stack of a sender, who must not hear of it.
      }
    }
  }

  /** Done at once, unless somebody has to read of it in the log, or has fallen behind with reading. */
  report(report: Report, context: Context.Context<never>): Effect.Effect<void> {
    return after(this.announce(report), () => this.log.write(report, context))
  }

  private announce(report: Report): Effect.Effect<void> {
    this.kept.push(report)
    for (const hook of this.hooks) {
      try {
        hook(report)
      } catch {
        // An observer's mistake must not change what it observes.
      }
    }
    // Full: only the Effect makes room, by dropping the oldest.
    return PubSub.publishUnsafe(this.reports, report) ? Exit.void : Effect.asVoid(PubSub.publish(this.reports, report))
  }

  private arm(): void {
    if (this.armed) return
    this.armed = true
    this.dispatcher.scheduleTask(this.pump, 0)
  }

  /** Counts one message; whether the slice is over. It looks at the clock the more often the longer messages take. */
  isOver(): boolean {
    if (--this.untilLook > 0) return false
    const now = this.now()
    this.step = now === this.lookedAt ? Math.min(this.step * 2, stepMax) : Math.max(this.step >> 3, 1)
    this.lookedAt = now
    this.left -= this.step
    const over = now >= this.deadline || this.left <= 0
    this.untilLook = over ? 1 : this.step
    return over
  }

  private begin(): void {
    this.lookedAt = this.now()
    this.deadline = this.lookedAt + sliceMs
    this.left = messagesMax
    this.untilLook = this.step
  }

  private stepOne(process: Process): void {
    this.begin()
    try {
      process.runBatch(1)
    } finally {
      this.carryOut()
    }
  }

  private readonly pump = (): void => {
    const { later, open, ready } = this
    this.begin()
    try {
      this.carryOut()
      while ((ready.size > 0 || later.size > 0) && !this.isOver()) {
        if (ready.size > 0) ready.take().runBatch()
        this.carryOut()
      }
    } finally {
      this.armed = false
      while (open.size > 0) {
        const question = open.take()
        if (!question.done) question.startTimer()
      }
      if (ready.size > 0 || later.size > 0) this.arm()
    }
  }

  /** What was deferred until now. What that defers comes after the next actor, so that nobody can keep the queue. */
  private carryOut(): void {
    const { later } = this
    for (let left = later.size; left > 0; left--) {
      const task = later.take()
      if (typeof task === "function") task()
      else task.settleAnswer()
      if (this.isOver()) return
    }
  }
}

export const makeRuntime: Effect.Effect<Runtime> = Effect.gen(function* () {
  const clock = yield* Clock.Clock
  const scheduler = yield* Scheduler.Scheduler
  const stepped = yield* Stepped
  const noted = yield* Noted
  const reports = yield* PubSub.sliding<Report>(bufferedReports)
  const instruments = yield* Instrument
  const runtime = new Runtime(clock, scheduler, reports, stepped, instruments, noted)
  instruments?.system(runtime)
  return runtime
})

/** The service is always made by `makeRuntime`; this is the one place that knows. */
export const runtimeOf = (system: System["Service"]): Runtime => system as Runtime

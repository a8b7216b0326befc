/**
 * One incarnation of an actor: a fiber that runs `init`, then parks. While it is parked the run queue carries out the
 * handlers that are plain functions; the fiber is resumed only for a handler that is an Effect, and for the end.
 *
 * The fiber's end is the actor's end: `terminate`, the Scope, the reports, and last, in one synchronous turn, the name,
 * the mailbox, the asks and the monitors.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as ExitReason from "../ExitReason.ts"
import { defaultMailbox, type Mailbox } from "../Mailbox.ts"
import { Asked, type Holder, type Token } from "./ask.ts"
import { Box } from "./box.ts"
import { InvalidMailbox, NameTaken } from "./errors.ts"
import { NextState } from "./next.ts"
import { failedInit, type Outcome, worse } from "./outcome.ts"
import type { Runtime } from "./runtime.ts"
import type { Supervision } from "./supervision.ts"
import { describe } from "./text.ts"
import type { Timer } from "./timers.ts"

/** A behaviour with its types forgotten; made by `Actor.behavior`, which knew them. */
export interface ErasedBehavior {
  readonly name: string
  readonly mailbox?: Mailbox
  /** What it is sent is the runtime's own, and no dead letter when it ends. */
  readonly quiet?: boolean
  readonly init: (self: Process) => Effect.Effect<unknown, unknown>
  readonly receive: (state: unknown, message: unknown, self: Process) => unknown
  readonly signal?: (state: unknown, signal: Signal, self: Process) => unknown
  readonly terminate?: (state: unknown, reason: ExitReason.ExitReason) => Effect.Effect<void>
}

export interface Signal {
  readonly _tag: "Down"
  readonly monitor: number
  readonly ref: Address
  readonly reason: ExitReason.DownReason
}

/** What a reference is inside: one incarnation, or a name that is looked up for each send. */
export interface Address {
  readonly id: number
  readonly name: string
  readonly runtime: Runtime
  /** Where a message goes now; nowhere: undefined. */
  readonly resolveBox: () => Box | undefined
  readonly resolveProcess: () => Process | undefined
}

export interface LaunchOptions {
  readonly runtime: Runtime
  readonly context: Context.Context<never>
  readonly parent?: Process | undefined
  readonly id?: string
  readonly key?: string | undefined
  /** The kept mailbox of the address; else each incarnation makes its own. */
  readonly box?: Box | undefined
  readonly incarnation?: number
}

/** What a parked fiber is resumed with. */
type Work =
  | { readonly _tag: "Run"; readonly effect: Effect.Effect<unknown, unknown> }
  | { readonly _tag: "End"; readonly reason: ExitReason.ExitReason }

type Watcher = (reason: ExitReason.DownReason) => void

/** Between two looks at whether it is somebody else's turn. */
const batchMax = 200

export class Process implements Holder, Address {
  readonly id: number
  readonly name: string
  readonly path: ReadonlyArray<string>
  readonly runtime: Runtime
  readonly parent: Process | undefined
  readonly incarnation: number
  readonly startedAt: number
  readonly context: Context.Context<never>
  readonly asked = new Set<Token>()
  readonly postponed: Array<() => void> = []
  phase: "starting" | "running" | "stopping" | "dead" = "starting"
  busy = false
  handled = 0
  supervision: Supervision | undefined = undefined
  ended: ExitReason.ExitReason | undefined = undefined
  abandoned = false
  /** A supervisor that passed its intensity; it ends with `shutdown`, like one that was asked to. */
  gaveUp = false
  readonly box: Box
  private readonly behavior: ErasedBehavior
  private readonly key: string | undefined
  private readonly keep: boolean
  private state: unknown = undefined
  private message: unknown = nothing
  private fiber: Fiber.Fiber<void> | undefined = undefined
  private resume: ((work: Effect.Effect<Work>) => void) | undefined = undefined
  private queued = false
  private stopReason: ExitReason.ExitReason | undefined = undefined
  private readonly stopListeners: Array<() => void> = []
  private signals: Array<Signal> = []
  private outcome: Outcome | undefined = undefined
  private readonly starters: Array<(outcome: Outcome) => void> = []
  private readonly watchers = new Map<number, Watcher>()
  private readonly watching = new Map<number, Process>()
  private readonly timers = new Set<Timer>()

  constructor(behavior: ErasedBehavior, options: LaunchOptions) {
    const { runtime } = options
    const id = options.id ?? behavior.name
    this.id = runtime.nextId()
    this.name = behavior.name
    this.path = options.parent === undefined ? [id] : [...options.parent.path, id]
    this.runtime = runtime
    this.parent = options.parent
    this.incarnation = options.incarnation ?? 1
    this.startedAt = runtime.now()
    this.behavior = behavior
    this.key = options.key
    this.keep = options.box !== undefined
    this.box =
      options.box ?? new Box(runtime, options.key ?? this.pathText, behavior.mailbox ?? defaultMailbox, behavior.quiet)
    this.context = options.context
  }

  /** The actor as its own handlers see it is the actor. */
  get ref(): this {
    return this
  }

  get pathText(): string {
    return this.path.join("/")
  }

  /** A property, so that a handler can pass it on alone. */
  readonly now = (): number => this.runtime.now()

  defer(task: () => void): void {
    this.runtime.defer(task)
  }

  /** System and user lane together. */
  get waiting(): number {
    return this.box.size + this.signals.length + (this.stopReason === undefined ? 0 : 1)
  }

  // ---- life

  launch(): void {
    const { key, runtime, box } = this
    const refusal = this.refusal()
    if (refusal !== undefined) {
      this.phase = "dead"
      this.ended = ExitReason.failure(refusal)
      this.settle({ _tag: "Failed", reason: this.ended, cause: Cause.fail(refusal) })
      return
    }
    box.owner = this
    if (key !== undefined) runtime.names.set(key, box)
    if (this.parent === undefined) runtime.roots.add(this)
    runtime.living++
    runtime.counts.started++
    const scope = Scope.makeUnsafe()
    const fiber = Effect.runForkWith(Context.add(this.context, Scope.Scope, scope))(this.program(scope))
    if (!this.isDead) this.fiber = fiber
  }

  /** Called back once: when init has returned, or with why it did not. */
  onStarted(starter: (outcome: Outcome) => void): void {
    if (this.outcome === undefined) this.starters.push(starter)
    else starter(this.outcome)
  }

  get started(): Effect.Effect<Outcome> {
    return Effect.callback<Outcome>((resume) =>
      this.onStarted((outcome) => this.runtime.defer(() => resume(Effect.succeed(outcome))))
    )
  }

  /** At the next message boundary; an init that still runs has no state to tear and is interrupted. The first request counts. */
  stop(reason: ExitReason.ExitReason): void {
    if (this.isDead || this.stopReason !== undefined) return
    this.stopReason = reason
    if (this.phase === "starting") this.fiber?.interruptUnsafe(undefined, Context.make(ExitReason.Annotation, reason))
    else this.wake()
    for (const listener of this.stopListeners.splice(0)) listener()
  }

  /** For an Effect that waits inside a handler and should not keep a stop waiting. */
  onStop(listener: () => void): () => void {
    if (this.stopReason !== undefined) listener()
    else this.stopListeners.push(listener)
    return () => {
      const index = this.stopListeners.indexOf(listener)
      if (index >= 0) this.stopListeners.splice(index, 1)
    }
  }

  get isKilled(): boolean {
    return this.stopReason?._tag === "Killed"
  }

  /** At once, wherever the fiber can be interrupted. */
  kill(): void {
    if (this.isDead) return
    this.stopReason = ExitReason.killed
    // A fiber that is still on the stack of `launch` has no handle yet; it reads the mark when it parks.
    this.fiber?.interruptUnsafe(undefined, Context.make(ExitReason.Annotation, ExitReason.killed))
  }

  exit(reason: ExitReason.ExitReason): void {
    if (reason._tag === "Killed") this.kill()
    else this.stop(reason)
  }

  get isDead(): boolean {
    return this.phase === "dead"
  }

  get awaitEnd(): Effect.Effect<ExitReason.DownReason> {
    return Effect.callback<ExitReason.DownReason>((resume) => {
      const monitor = this.watch((reason) => this.runtime.defer(() => resume(Effect.succeed(reason))))
      return Effect.sync(() => this.unwatch(monitor))
    })
  }

  /** Nobody waits for it any longer; its fiber may still run. */
  abandon(): void {
    if (this.isDead) return
    this.abandoned = true
    this.runtime.counts.abandoned++
    this.runtime.counts.abandonedNow++
    this.finish(ExitReason.killed)
  }

  // ---- monitors

  watch(watcher: Watcher): number {
    const id = this.runtime.nextId()
    if (this.ended !== undefined) watcher(this.ended)
    else this.watchers.set(id, watcher)
    return id
  }

  unwatch(id: number): void {
    this.watchers.delete(id)
  }

  monitorUnsafe(target: Address): number {
    const process = target.resolveProcess()
    if (process === undefined || process.isDead) {
      const monitor = this.runtime.nextId()
      this.push({ _tag: "Down", monitor, ref: target, reason: ExitReason.noProc })
      return monitor
    }
    const monitor = process.watch((reason) => {
      this.watching.delete(monitor)
      this.push({ _tag: "Down", monitor, ref: process, reason })
    })
    this.watching.set(monitor, process)
    return monitor
  }

  /** The end of a monitor takes a Down with it that is still waiting. */
  demonitorUnsafe(monitor: number): void {
    this.watching.get(monitor)?.unwatch(monitor)
    this.watching.delete(monitor)
    this.signals = this.signals.filter((signal) => signal.monitor !== monitor)
  }

  monitor(target: Address): Effect.Effect<number> {
    return Effect.sync(() => this.monitorUnsafe(target))
  }

  demonitor(monitor: number): Effect.Effect<void> {
    return Effect.sync(() => this.demonitorUnsafe(monitor))
  }

  push(signal: Signal): void {
    if (this.isDead) return
    this.signals.push(signal)
    this.wake()
  }

  // ---- timers

  /** Cannot fire after the incarnation has ended. */
  sendAfterUnsafe(delay: Duration.Input, message: unknown): Timer {
    return this.afterUnsafe(delay, () => this.box.offer(message))
  }

  afterUnsafe(delay: Duration.Input, fire: () => void): Timer {
    const timer: Timer = this.runtime.timers.set(
      this.isDead ? Number.POSITIVE_INFINITY : Duration.toMillis(delay),
      () => {
        this.timers.delete(timer)
        fire()
      }
    )
    if (timer.index >= 0) this.timers.add(timer)
    return timer
  }

  sendAfter(delay: Duration.Input, message: unknown): Effect.Effect<Timer> {
    return Effect.sync(() => this.sendAfterUnsafe(delay, message))
  }

  // ---- messages

  /** Something waits; the run queue will come by. */
  wake(): void {
    if (this.queued || this.resume === undefined) return
    this.queued = true
    this.runtime.enqueue(this)
  }

  runBatch(limit: number = batchMax): void {
    this.queued = false
    const { behavior, box, runtime } = this
    for (let left = limit; left > 0; left--) {
      if (this.resume === undefined || this.phase !== "running") return
      if (this.stopReason !== undefined) return this.unpark({ _tag: "End", reason: this.stopReason })
      let result: unknown
      try {
        if (this.signals.length > 0) {
          const signal = this.signals.shift() as Signal
          if (behavior.signal === undefined) continue
          this.message = signal
          this.busy = true
          result = behavior.signal(this.state, signal, this)
        } else if (box.size > 0) {
          const message = this.open(box.shift())
          if (message === nothing) continue
          this.message = message
          this.busy = true
          this.handled++
          runtime.counts.handled++
          result = behavior.receive(this.state, message, this)
        } else return
      } catch (error) {
        return this.crash(Cause.die(error))
      }
      if (!this.apply(result)) return
      if ((left & 15) === 0 && runtime.now() >= runtime.deadline) break
    }
    if (this.waiting > 0) this.wake()
  }

  /** Takes the message out of its envelope; nobody asks any longer: nothing. */
  private open(message: unknown): unknown {
    if (!(message instanceof Asked)) return message
    if (message.token.done) return nothing
    message.token.holder = this
    this.asked.add(message.token)
    return message.message
  }

  /** Stores what a handler returned; false when the fiber has to go on with it. */
  private apply(result: unknown): boolean {
    if (Effect.isEffect(result)) {
      if (!Exit.isExit(result)) {
        this.unpark({ _tag: "Run", effect: result as Effect.Effect<unknown, unknown> })
        return false
      }
      if (Exit.isFailure(result)) {
        this.crash(result.cause)
        return false
      }
      return this.store(result.value)
    }
    return this.store(result)
  }

  private store(value: unknown): boolean {
    if (value instanceof NextState) {
      if (value.reason !== undefined) {
        this.unpark({ _tag: "End", reason: value.reason })
        return false
      }
      this.state = value.state
    } else this.state = value
    this.release()
    return true
  }

  /** The handler is done: what it held back may go. */
  private release(): void {
    this.message = nothing
    this.busy = false
    if (this.postponed.length > 0) for (const task of this.postponed.splice(0)) this.runtime.defer(task)
  }

  private crash(cause: Cause.Cause<unknown>): void {
    this.unpark({ _tag: "End", reason: ExitReason.fromCause(cause) })
  }

  private unpark(work: Work): void {
    const { resume } = this
    this.resume = undefined
    resume?.(Effect.succeed(work))
  }

  // ---- the fiber

  private readonly park: Effect.Effect<Work> = Effect.callback<Work>((resume) => {
    this.resume = resume
    if (this.waiting > 0) this.wake()
    return Effect.sync(() => {
      this.resume = undefined
    })
  })

  private program(scope: Scope.Closeable): Effect.Effect<void> {
    const { behavior } = this
    const live = this.loop()
    return Effect.uninterruptibleMask((restore) =>
      Effect.gen({ self: this }, function* () {
        const init = yield* Effect.exit(restore(Effect.suspend(() => behavior.init(this))))
        let reason: ExitReason.ExitReason
        if (Exit.isFailure(init)) {
          const outcome = failedInit(init.cause)
          reason = outcome._tag === "Failed" ? outcome.reason : ExitReason.normal
          yield* this.close(scope, reason)
          yield* this.reportCrash(reason)
          if (!this.abandoned) this.finish(reason)
          else this.runtime.counts.abandonedNow--
          this.settle(outcome)
          return
        }
        this.state = init.value
        this.phase = "running"
        this.settle({ _tag: "Running" })
        const exit = yield* Effect.exit(restore(live))
        this.phase = this.isDead ? "dead" : "stopping"
        reason = Exit.isSuccess(exit) ? exit.value : ExitReason.fromCause(exit.cause)
        const { terminate } = behavior
        if (terminate !== undefined && reason._tag !== "Killed") {
          // Interrupted, but told to end in order: the interruption must not cut off the end as well.
          const mask = Exit.isSuccess(exit) ? restore : identity
          const { state } = this
          const last = yield* Effect.exit(mask(Effect.suspend(() => terminate(state, reason))))
          if (Exit.isFailure(last)) reason = worse(reason, ExitReason.fromCause(last.cause))
        }
        const closed = yield* this.close(scope, reason)
        if (closed !== undefined) reason = worse(reason, closed)
        yield* this.reportCrash(reason)
        if (this.abandoned) this.runtime.counts.abandonedNow--
        else this.finish(reason)
      })
    )
  }

  private loop(): Effect.Effect<ExitReason.ExitReason> {
    return Effect.gen({ self: this }, function* () {
      while (true) {
        const work = yield* this.park
        if (work._tag === "End") return work.reason
        const exit = yield* Effect.exit(work.effect)
        const result: unknown = Exit.isSuccess(exit) ? exit.value : undefined
        if (Exit.isFailure(exit)) return ExitReason.fromCause(exit.cause)
        if (result instanceof NextState && result.reason !== undefined) return result.reason
        this.store(result)
      }
    })
  }

  private close(
    scope: Scope.Closeable,
    reason: ExitReason.ExitReason
  ): Effect.Effect<ExitReason.ExitReason | undefined> {
    const exit = reason._tag === "Failed" ? Exit.failCause(reason.cause) : Exit.void
    return Effect.map(Effect.exit(Scope.close(scope, exit)), (result) =>
      Exit.isFailure(result) ? ExitReason.fromCause(result.cause) : undefined
    )
  }

  private reportCrash(reason: ExitReason.ExitReason): Effect.Effect<void> {
    if (reason._tag !== "Failed" || this.abandoned) return Effect.void
    const { runtime } = this
    runtime.counts.crashes++
    const shared = {
      at: runtime.now(),
      actor: this.pathText,
      message: this.message === nothing ? null : describe(this.message),
      state: this.outcome === undefined ? null : describe(this.state),
      reason: ExitReason.toText(reason)
    }
    return Effect.andThen(
      runtime.report({ _tag: "Terminated", ...shared }),
      runtime.report({
        _tag: "Crashed",
        ...shared,
        cause: Cause.pretty(reason.cause).slice(0, 8000),
        ancestors: this.ancestors(),
        waiting: this.waiting
      })
    )
  }

  private ancestors(): ReadonlyArray<string> {
    const names: Array<string> = []
    for (let at = this.parent; at !== undefined; at = at.parent) names.push(at.pathText)
    return names
  }

  private settle(outcome: Outcome): void {
    if (this.outcome !== undefined) return
    this.outcome = outcome
    for (const starter of this.starters.splice(0)) starter(outcome)
  }

  /** One turn: the name is free before anybody hears of the end. */
  private finish(reason: ExitReason.ExitReason): void {
    const { box, key, runtime } = this
    this.phase = "dead"
    this.ended = reason
    this.resume = undefined
    this.fiber = undefined
    runtime.living--
    runtime.roots.delete(this)
    for (const timer of this.timers) timer.cancelUnsafe()
    if (this.keep) {
      if (box.owner === this) box.owner = undefined
    } else {
      if (key !== undefined && runtime.names.get(key) === box) runtime.names.delete(key)
      box.close(reason)
    }
    this.release()
    for (const token of this.asked) runtime.defer(() => token.finish({ _tag: "Down", reason }))
    for (const [monitor, target] of this.watching) target.unwatch(monitor)
    this.watching.clear()
    this.signals = []
    this.state = undefined
    this.supervision = undefined
    const watchers = [...this.watchers.values()]
    this.watchers.clear()
    for (const watcher of watchers) watcher(reason)
  }

  private refusal(): NameTaken | InvalidMailbox | undefined {
    const { box, key, runtime } = this
    if (!(box.capacity >= 1)) return new InvalidMailbox({ actor: this.pathText, capacity: box.capacity })
    const holder = key === undefined ? undefined : runtime.names.get(key)
    if (key !== undefined && holder !== undefined && holder !== box) return new NameTaken({ key })
    return undefined
  }

  // ---- as an address

  resolveBox(): Box | undefined {
    return this.isDead ? undefined : this.box
  }

  resolveProcess(): Process | undefined {
    return this
  }
}

const nothing = Symbol("nothing")

const identity = <A>(value: A): A => value

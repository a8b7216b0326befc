/**
 * One incarnation of an actor. The run queue carries out its handlers; a fiber exists while there is an Effect to run:
 * `init`, a handler, the end. All of them run in the services of the start and in the Scope of the incarnation, and are
 * interrupted by a kill, so that in the eyes of Effect the actor is one Scope with at most one fiber at a time; an actor
 * that waits costs no fiber.
 *
 * The end is one fiber, or none if there is nothing to do: `terminate`, the Scope, the reports, and last, in one
 * synchronous turn, the name, the mailbox, the asks and the monitors.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as ExitReason from "../ExitReason.ts"
import { defaultMailbox } from "../Mailbox.ts"
import { after } from "./after.ts"
import { Asked, type Holder, type Token } from "./ask.ts"
import { Box } from "./box.ts"
import type { CellState } from "./cell.ts"
import { reportCrash } from "./crash.ts"
import { InvalidMailbox, NameTaken } from "./errors.ts"
import { exitOf, isEffect } from "./exitOf.ts"
import { nothing, opened, Signalled } from "./handled.ts"
import { instrumented } from "./instruments.ts"
import type { Address, ErasedBehavior, LaunchOptions, Signal } from "./model.ts"
import { NextState } from "./next.ts"
import { failedInit, type Outcome, worse } from "./outcome.ts"
import { stopProcess } from "./stopping.ts"
import type { Supervision } from "./supervision.ts"
import { Timed } from "./timed.ts"

/** Between two looks at whether it is somebody else's turn. */
const batchMax = 200

export class Process extends Timed implements Holder, Address {
  readonly id: number
  readonly name: string
  /** Its id under its supervisor; of a root, its name. */
  readonly segment: string
  readonly parent: Process | undefined
  readonly incarnation: number
  readonly startedAt: number
  readonly context: Context.Context<never>
  busy = false
  handled = 0
  supervision: Supervision | undefined = undefined
  abandoned = false
  /** A supervisor that passed its intensity; it ends with `shutdown`, like one that was asked to. */
  gaveUp = false
  state: unknown = undefined
  outcome: Outcome | undefined = undefined
  private readonly behavior: ErasedBehavior
  private readonly cell: CellState | undefined
  private readonly key: string | undefined
  private readonly keep: boolean
  private mailbox: Box | undefined
  /** What is handled, for the report of a crash: known while a fiber handles it, and once it has crashed. */
  private handling: unknown = nothing
  private fiber: Fiber.Fiber<unknown, unknown> | undefined = undefined
  private scope: Scope.Closeable | undefined = undefined
  private runFork: ((effect: Effect.Effect<unknown, unknown>) => Fiber.Fiber<unknown, unknown>) | undefined = undefined
  private queued = false
  private active = false
  private stopReason: ExitReason.ExitReason | undefined = undefined
  // Made when they are needed: an actor that waits should cost little.
  private asked: Token | undefined = undefined
  private answers: Array<Token> | undefined = undefined
  private stopListeners: Array<() => void> | undefined = undefined
  private starters: Array<(outcome: Outcome) => void> | undefined = undefined

  constructor(behavior: ErasedBehavior, options: LaunchOptions) {
    const { runtime } = options
    super(runtime)
    this.id = runtime.nextId()
    this.name = behavior.name
    this.segment = options.id ?? behavior.name
    this.parent = options.parent
    this.incarnation = options.incarnation ?? 1
    this.startedAt = runtime.now()
    this.behavior = runtime.instruments === undefined ? behavior : instrumented(behavior, runtime.instruments)
    this.cell = behavior.cell
    this.key = options.key
    this.keep = options.box !== undefined
    this.mailbox = options.box
    this.context = options.context
  }

  /** The actor as its own handlers see it is the actor. */
  get ref(): this {
    return this
  }

  get path(): ReadonlyArray<string> {
    return this.parent === undefined ? [this.segment] : [...this.parent.path, this.segment]
  }

  get pathText(): string {
    return this.parent === undefined ? this.segment : `${this.parent.pathText}/${this.segment}`
  }

  get box(): Box {
    return (this.mailbox ??= this.makeBox())
  }

  private makeBox(): Box {
    const { behavior, runtime } = this
    const box = new Box(runtime, this.key ?? this, behavior.mailbox ?? defaultMailbox, behavior.quiet)
    box.owner = this
    return box
  }

  /** A property, so that a handler can pass it on alone. */
  get now(): () => number {
    return this.runtime.now
  }

  defer(task: () => void): void {
    this.runtime.defer(task)
  }

  /** System and user lane together, what is postponed included. */
  get waiting(): number {
    const lanes = (this.mailbox?.count ?? 0) + (this.signals?.length ?? 0) + (this.alarms?.size ?? 0)
    return lanes + (this.stopReason === undefined ? 0 : 1)
  }

  /** The message or signal whose handler has not ended. */
  get atHand(): { readonly value: unknown } | undefined {
    return opened(this.handling)
  }

  /** Something could be handled now. */
  private get ready(): boolean {
    if (this.stopReason !== undefined || (this.mailbox !== undefined && this.mailbox.size > 0)) return true
    return (this.signals !== undefined && this.signals.length > 0) || this.alarms?.ready === true
  }

  // ---- life

  launch(): void {
    const { key, runtime } = this
    const refusal = this.refusal()
    if (refusal !== undefined) {
      this.phase = "dead"
      this.ended = ExitReason.fromCause(refusal)
      this.settle({ _tag: "Failed", reason: this.ended, cause: refusal })
      return
    }
    if (this.mailbox !== undefined) this.mailbox.owner = this
    if (key !== undefined) runtime.names.set(key, this.box)
    if (this.parent === undefined) runtime.roots.add(this)
    this.cell?.enter(this)
    runtime.living++
    runtime.counts.started++
    const exit = this.start(this.initial(), nothing)
    if (exit !== undefined) this.onInit(exit)
  }

  private initial(): Effect.Effect<unknown, unknown> {
    const { behavior } = this
    try {
      const init = behavior.init(this)
      return behavior.cell === undefined ? init : Effect.map(init, (fresh) => this.resumed(fresh))
    } catch (error) {
      return Exit.die(error)
    }
  }

  /** The state to begin with: what the cell has kept, unless it holds nothing. */
  private resumed(fresh: unknown): unknown {
    const { cell, resume } = this.behavior
    if (cell === undefined || !cell.full) return fresh
    return resume === undefined ? cell.state : resume(cell.state, fresh)
  }

  private onInit(exit: Exit.Exit<unknown, unknown>): void {
    if (this.isDead) return this.endLate()
    if (Exit.isFailure(exit)) {
      const outcome = failedInit(exit.cause)
      return this.end(outcome._tag === "Failed" ? outcome.reason : ExitReason.normal, outcome)
    }
    this.phase = "running"
    this.keepState(exit.value)
    this.settle({ _tag: "Running" })
    if (this.ready) this.wake()
  }

  /** Called back once: when init has returned, or with why it did not. */
  onStarted(starter: (outcome: Outcome) => void): void {
    if (this.outcome !== undefined) starter(this.outcome)
    else if (this.starters === undefined) this.starters = [starter]
    else this.starters.push(starter)
  }

  get started(): Effect.Effect<Outcome> {
    return Effect.callback<Outcome>((resume) =>
      this.onStarted((outcome) => this.runtime.defer(() => resume(Effect.succeed(outcome))))
    )
  }

  /** By what the handler did, too. */
  private get isSuspended(): boolean {
    return this.phase === "suspended"
  }

  /** At the next message boundary; an init that still runs has no state to tear and is interrupted. The first request counts. */
  stop(reason: ExitReason.ExitReason): void {
    if (this.isDead || this.stopReason !== undefined) return
    this.resume()
    this.stopReason = reason
    const listeners = this.stopListeners
    this.stopListeners = undefined
    if (this.phase === "starting") this.interrupt(reason)
    else if (this.endsQuietly && reason._tag !== "Failed") this.end(reason)
    else this.wake()
    if (listeners !== undefined) for (const listener of listeners) listener()
  }

  /** Between two messages, with nothing to clean up: its end runs no code but ours, and so needs no turn of its own. */
  private get endsQuietly(): boolean {
    return (
      this.phase === "running" &&
      !this.active &&
      this.fiber === undefined &&
      this.behavior.terminate === undefined &&
      this.isUnscoped
    )
  }

  private get isUnscoped(): boolean {
    return this.scope === undefined || this.scope.state._tag === "Empty"
  }

  /** For an Effect that waits inside a handler and should not keep a stop waiting. */
  onStop(listener: () => void): () => void {
    if (this.stopReason !== undefined) listener()
    else (this.stopListeners ??= []).push(listener)
    return () => {
      const index = this.stopListeners?.indexOf(listener) ?? -1
      if (index >= 0) this.stopListeners?.splice(index, 1)
    }
  }

  get isKilled(): boolean {
    return this.stopReason?._tag === "Killed"
  }

  /** At once, wherever its fiber can be interrupted. */
  kill(): void {
    if (this.isDead) return
    this.resume()
    this.stopReason = ExitReason.killed
    if (this.fiber === undefined) this.wake()
    else this.interrupt(ExitReason.killed)
  }

  private interrupt(reason: ExitReason.ExitReason): void {
    this.fiber?.interruptUnsafe(undefined, Context.make(ExitReason.Annotation, reason))
  }

  exit(reason: ExitReason.ExitReason): void {
    if (reason._tag !== "Killed") return this.stop(reason)
    this.kill()
    // It may be where no fiber can be interrupted. A supervisor kills its children first, each with a time of its own.
    if (this.fiber === undefined || this.supervision !== undefined) return
    Effect.runForkWith(this.context)(stopProcess(this, "brutal"))
  }

  /** From the next message boundary on it handles nothing, until it is resumed; what ends it still does. */
  suspend(): void {
    if (this.phase === "running") this.phase = "suspended"
    else if (this.phase === "starting") this.onStarted(() => this.suspend())
  }

  resume(): void {
    if (this.phase !== "suspended") return
    this.phase = "running"
    if (this.ready) this.wake()
  }

  /** Nobody waits for it any longer; its fiber may still run. */
  abandon(): void {
    if (this.isDead) return
    this.abandoned = true
    this.runtime.counts.abandoned++
    this.runtime.counts.abandonedNow++
    this.finish(ExitReason.killed)
    // In its init: who waits for the start would wait for ever.
    this.settle(failedInit(Cause.interrupt()))
  }

  // ---- messages

  /** Something waits; the run queue will come by. */
  wake(): void {
    if (this.queued || this.active || this.fiber !== undefined || this.phase !== "running") return
    this.queued = true
    this.runtime.enqueue(this)
  }

  unstashUnsafe(): number {
    return this.isDead ? 0 : (this.mailbox?.unstash() ?? 0)
  }

  get unstash(): Effect.Effect<number> {
    return Effect.sync(() => this.unstashUnsafe())
  }

  runBatch(limit: number = batchMax): void {
    this.queued = false
    if (this.fiber !== undefined || this.phase !== "running") return
    this.active = true
    let more = false
    try {
      more = this.drain(limit)
    } finally {
      this.active = false
    }
    if (more) this.wake()
  }

  /** Whether something is left for another turn. */
  private drain(limit: number): boolean {
    const { runtime } = this
    for (let left = limit; left > 0; left--) {
      if (this.stopReason !== undefined) {
        this.end(this.stopReason)
        return false
      }
      if (!this.handleNext()) return false
      if (!this.ready || this.isSuspended) return false
      if (runtime.isOver()) return true
    }
    return true
  }

  /** Signals first, then what a named timer or the mailbox holds; false when there is more to do than to go on. */
  private handleNext(): boolean {
    const { alarms, mailbox, signals } = this
    if (signals !== undefined && signals.length > 0) return this.handleSignal(signals.shift() as Signal)
    if (alarms?.ready === true && (alarms.size > 0 || mailbox === undefined || mailbox.size === 0)) {
      return this.handle(alarms.take())
    }
    return mailbox === undefined || mailbox.size === 0 || this.handle(mailbox.shift())
  }

  private handleSignal(signal: Signal): boolean {
    const { behavior } = this
    if (behavior.signal === undefined) return true
    let result: unknown
    this.busy = true
    try {
      result = behavior.signal(this.state, signal, this)
    } catch (error) {
      result = Exit.die(error)
    }
    return this.apply(result, new Signalled(signal))
  }

  /** `raw`: the message as it lies in the mailbox. */
  private handle(raw: unknown): boolean {
    let message = raw
    if (raw instanceof Asked) {
      // Nobody asks any longer.
      if (raw.token.done) return true
      this.hold(raw.token)
      message = raw.message
    }
    let result: unknown
    this.busy = true
    this.handled++
    this.runtime.counts.handled++
    try {
      result = this.behavior.receive(this.state, message, this)
    } catch (error) {
      result = Exit.die(error)
    }
    return this.apply(result, raw)
  }

  private apply(result: unknown, handled: unknown): boolean {
    if (!isEffect(result)) return this.store(result, handled)
    const exit = this.start(result, handled)
    return exit !== undefined && this.onExit(exit, handled)
  }

  private onExit(exit: Exit.Exit<unknown, unknown>, handled: unknown): boolean {
    if (Exit.isSuccess(exit)) return this.store(exit.value, handled)
    this.handling = handled
    this.end(ExitReason.fromCause(exit.cause))
    return false
  }

  private onHandled(exit: Exit.Exit<unknown, unknown>): void {
    if (this.isDead) return this.endLate()
    const { handling } = this
    this.handling = nothing
    if (this.onExit(exit, handling) && this.ready) this.wake()
  }

  private store(value: unknown, handled: unknown): boolean {
    if (value instanceof NextState) {
      if (value.reason !== undefined) {
        this.handling = handled
        this.end(value.reason)
        return false
      }
      if (value.postpones && !this.postpone(handled)) return false
      this.keepState(value.state)
    } else this.keepState(value)
    this.release()
    if (this.alarms !== undefined) this.alarms.touch()
    return true
  }

  private keepState(state: unknown): void {
    this.state = state
    if (this.cell !== undefined) this.cell.store(this, state)
  }

  private postpone(handled: unknown): boolean {
    if (handled instanceof Signalled) {
      this.handling = handled
      this.end(ExitReason.failed(Cause.die(new Error("only a message can be postponed, no signal"))))
      return false
    }
    // The question belongs to the mailbox again; who asked may still give up on it.
    if (handled instanceof Asked) handled.token.leave()
    this.box.postpone(handled)
    return true
  }

  /** The handler is done: its answers may go. */
  private release(): void {
    const { answers } = this
    this.busy = false
    if (answers === undefined) return
    this.answers = undefined
    for (const token of answers) this.runtime.settleLater(token)
  }

  /** Until the handler at hand has returned and its state is stored. */
  answered(token: Token): void {
    if (!this.busy) this.runtime.settleLater(token)
    else if (this.answers === undefined) this.answers = [token]
    else this.answers.push(token)
  }

  hold(token: Token): void {
    token.heldBy(this)
    token.after = this.asked
    if (this.asked !== undefined) this.asked.before = token
    this.asked = token
  }

  drop(token: Token): void {
    const { after, before } = token
    if (before === undefined) this.asked = after
    else before.after = after
    if (after !== undefined) after.before = before
    token.after = token.before = undefined
  }

  // ---- fibers

  /** Runs an Effect of the behaviour; its exit if it needed no fiber, or its fiber did not wait for anything. */
  private start(effect: Effect.Effect<unknown, unknown>, handling: unknown): Exit.Exit<unknown, unknown> | undefined {
    const done = exitOf(effect)
    if (done !== undefined) return done
    const { phase } = this
    const fiber = this.fork(effect)
    const exit = fiber.pollUnsafe()
    if (exit !== undefined) return exit
    this.fiber = fiber
    this.handling = handling
    fiber.addObserver((exit) => {
      if (this.fiber === fiber) this.fiber = undefined
      if (phase === "starting") this.onInit(exit)
      else this.onHandled(exit)
    })
    // Asked to end by itself, before its fiber had a handle: by what the handler did before it returned the Effect, too.
    const asked = this.stopReason
    if (asked !== undefined && (phase === "starting" || asked._tag === "Killed")) this.interrupt(asked)
    return undefined
  }

  /** In the services of the start and the Scope of the incarnation, which is made when it is needed. */
  private fork(effect: Effect.Effect<unknown, unknown>): Fiber.Fiber<unknown, unknown> {
    const { noted } = this.runtime
    return this.runner()(noted === undefined ? effect : noted.of(this, effect))
  }

  private runner(): NonNullable<Process["runFork"]> {
    const { runFork } = this
    if (runFork !== undefined) return runFork
    this.scope = Scope.makeUnsafe()
    return (this.runFork = Effect.runForkWith(Context.add(this.context, Scope.Scope, this.scope)))
  }

  /** `terminate`, the Scope, the reports; without any of them, without a fiber. */
  private end(reason: ExitReason.ExitReason, outcome?: Outcome): void {
    this.phase = "stopping"
    const terminate = outcome === undefined && reason._tag !== "Killed" ? this.behavior.terminate : undefined
    const ending =
      terminate === undefined && this.isUnscoped
        ? this.closed(reason, outcome)
        : this.ending(reason, terminate, outcome)
    if (exitOf(ending) !== undefined) return
    const { stopReason } = this
    const fiber = this.fork(Effect.uninterruptible(ending))
    if (this.isDead || fiber.pollUnsafe() !== undefined) return
    this.fiber = fiber
    if (this.isKilled && this.stopReason !== stopReason) this.interrupt(ExitReason.killed)
  }

  private ending(
    first: ExitReason.ExitReason,
    terminate: ErasedBehavior["terminate"],
    outcome: Outcome | undefined
  ): Effect.Effect<void> {
    return Effect.gen({ self: this }, function* () {
      let reason = first
      if (terminate !== undefined) {
        const { state } = this
        const last = yield* Effect.exit(Effect.interruptible(Effect.suspend(() => terminate(state, first))))
        if (Exit.isFailure(last)) reason = worse(reason, ExitReason.fromCause(last.cause))
      }
      const closed = yield* this.close(reason)
      if (closed !== undefined) reason = worse(reason, closed)
      yield* this.closed(reason, outcome)
    })
  }

  /** Nothing of the behaviour is left to run. */
  private closed(reason: ExitReason.ExitReason, outcome: Outcome | undefined): Effect.Effect<void> {
    if (reason._tag !== "Failed" || this.abandoned) return Exit.succeed(this.over(reason, outcome))
    this.runtime.counts.crashes++
    return after(reportCrash(this, this.atHand, reason.cause), () => Exit.succeed(this.over(reason, outcome)))
  }

  private over(reason: ExitReason.ExitReason, outcome: Outcome | undefined): void {
    if (this.abandoned) this.runtime.counts.abandonedNow--
    else this.finish(reason)
    if (outcome !== undefined) this.settle(outcome)
  }

  /** It was abandoned in its init or in a handler, and that has ended after all. */
  private endLate(): void {
    const fiber = Effect.runForkWith(this.context)(this.close(ExitReason.killed))
    fiber.addObserver(() => this.runtime.counts.abandonedNow--)
  }

  private close(reason: ExitReason.ExitReason): Effect.Effect<ExitReason.ExitReason | undefined> {
    const { scope } = this
    if (scope === undefined) return Effect.succeed(undefined)
    const exit = reason._tag === "Failed" ? Exit.failCause(reason.cause) : Exit.void
    return Effect.map(Effect.exit(Scope.close(scope, exit)), (result) =>
      Exit.isFailure(result) ? ExitReason.fromCause(result.cause) : undefined
    )
  }

  private settle(outcome: Outcome): void {
    if (this.outcome !== undefined) return
    this.outcome = outcome
    const { starters } = this
    this.starters = undefined
    if (starters !== undefined) for (const starter of starters) starter(outcome)
  }

  /** One turn: the name is free before anybody hears of the end. */
  private finish(reason: ExitReason.ExitReason): void {
    const { key, mailbox, runtime } = this
    this.phase = "dead"
    this.ended = reason
    this.fiber = undefined
    runtime.living--
    if (this.parent === undefined) runtime.roots.delete(this)
    this.dropTimers()
    if (mailbox !== undefined) {
      if (this.keep) {
        if (mailbox.owner === this) {
          mailbox.owner = undefined
          mailbox.unstash()
        }
      } else {
        if (key !== undefined && runtime.names.get(key) === mailbox) runtime.names.delete(key)
        mailbox.close(reason)
      }
    }
    this.cell?.leave(this, reason, runtime.monotonic())
    this.release()
    for (let token = this.asked; token !== undefined; token = token.after) {
      const asked = token
      runtime.defer(() => asked.finish({ _tag: "Down", reason }))
    }
    this.state = this.supervision = this.runFork = undefined
    this.endMonitors(reason)
  }

  private refusal(): Cause.Cause<unknown> | undefined {
    const { behavior, key, runtime } = this
    const { capacity } = behavior.mailbox ?? defaultMailbox
    if (!(capacity >= 1)) return Cause.fail(new InvalidMailbox({ actor: this.pathText, capacity }))
    const holder = key === undefined ? undefined : runtime.names.get(key)
    if (key !== undefined && holder !== undefined && holder !== this.mailbox) return Cause.fail(new NameTaken({ key }))
    if (behavior.cell?.held === true)
      return Cause.die(new Error(`the cell of ${this.pathText} is held by another actor`))
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

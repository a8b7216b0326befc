/**
 * The inside of every supervisor: its children, and OTP's rules for starting, stopping and restarting them.
 *
 * A supervisor is an actor. Ends of children reach it as calls on its system lane; management calls and the retries of
 * failed restarts come through its mailbox, one at a time.
 */
import type * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as ExitReason from "../ExitReason.ts"
import type { OnRestart } from "../Mailbox.ts"
import { defaultMailbox } from "../Mailbox.ts"
import type { Report } from "../Report.ts"
import { after, enough, goOn, inOrder } from "./after.ts"
import { Box } from "./box.ts"
import { NameTaken } from "./errors.ts"
import { NextState } from "./next.ts"
import type { ErasedBehavior, LaunchOptions } from "./model.ts"
import type { Outcome } from "./outcome.ts"
import { Process } from "./process.ts"
import type { Runtime } from "./runtime.ts"
import { type Shutdown, startWithin, stopProcess } from "./stopping.ts"
import { Window } from "./window.ts"

export type Strategy = "one_for_one" | "one_for_all" | "rest_for_one"
export type Restart = "permanent" | "transient" | "temporary"
export type AutoShutdown = "never" | "any_significant" | "all_significant"

export type Backoff = Schedule.Schedule<unknown, ExitReason.DownReason>

/** One step of a schedule: what comes out, and how long to wait; it fails when the schedule has run out. */
type Step = (now: number, reason: ExitReason.DownReason) => Effect.Effect<[unknown, Duration.Duration], unknown>

export interface Spec {
  readonly id: string
  readonly behavior: ErasedBehavior
  readonly key: string | undefined
  readonly restart: Restart
  readonly shutdown: Shutdown
  readonly type: "worker" | "supervisor"
  readonly significant: boolean
  readonly onRestart: OnRestart
  readonly startTimeoutMs: number
}

export interface Options {
  readonly name: string
  readonly strategy: Strategy
  readonly intensity: number
  readonly periodMs: number
  readonly autoShutdown: AutoShutdown
  readonly backoff: Backoff | undefined
  /** Dynamic: children are made as alike strangers: no order, stopped in parallel, at most so many. */
  readonly dynamic: { readonly maxChildren: number } | undefined
  readonly children: ReadonlyArray<Spec>
}

/** A child did not start: its init failed, or its name was taken. */
export class StartError extends Data.TaggedError("StartError")<{
  readonly supervisor: string
  readonly childId: string
  readonly reason: ExitReason.ExitReason
}> {
  override get message(): string {
    return `${this.childId} of ${this.supervisor} did not start: ${ExitReason.toText(this.reason)}`
  }
}

/** A management call that OTP answers with `{error, Reason}`. */
export class ChildRefused extends Data.TaggedError("ChildRefused")<{
  readonly supervisor: string
  readonly childId: string
  readonly reason: "running" | "restarting" | "not_found" | "already_started" | "already_present" | "max_children"
}> {
  override get message(): string {
    return `${this.childId} of ${this.supervisor}: ${this.reason}`
  }
}

export type ChildState = "running" | "restarting" | "stopped"

/** One child: what it is, and how it fares. */
export class Child {
  readonly spec: Spec
  readonly context: Context.Context<never>
  state: ChildState = "stopped"
  process: Process | undefined = undefined
  box: Box | undefined = undefined
  incarnation = 0
  restarts = 0
  handledBefore = 0
  lastReason: ExitReason.DownReason | undefined = undefined
  /** Tells a live retry from a stale one. */
  attempt = 0
  runningSince = 0
  backoff: Step | undefined = undefined

  constructor(spec: Spec, context: Context.Context<never>) {
    this.spec = spec
    this.context = context
  }
}

/** What a supervisor is sent. */
export type Request =
  | { readonly _tag: "Call"; readonly run: (self: Supervision) => Effect.Effect<void> }
  | { readonly _tag: "Ended"; readonly child: Child; readonly process: Process; readonly reason: ExitReason.DownReason }
  | { readonly _tag: "Retry" | "Due"; readonly child: Child; readonly attempt: number }

type Started = { readonly _tag: "Started" | "Ignored" } | { readonly _tag: "Failed"; readonly error: StartError }

type StartOutcome = Outcome | ReturnType<typeof failedOutcome>

type Verdict = Supervision | NextState

export class Supervision {
  readonly options: Options
  readonly process: Process
  readonly runtime: Runtime
  /** In start order; the dynamic ones too. */
  readonly children = new Map<string, Child>()
  private readonly window: Window

  constructor(options: Options, process: Process) {
    this.options = options
    this.process = process
    this.runtime = process.runtime
    this.window = new Window(options.intensity, options.periodMs)
  }

  get name(): string {
    return this.process.pathText
  }

  // ---- start

  readonly startAll = Effect.fnUntraced(function* (this: Supervision, specs: ReadonlyArray<Spec>) {
    for (const spec of specs) {
      const child = this.adopt(spec, this.process.context)
      if (isTrap(spec)) yield* this.warn(spec)
      const started = yield* this.start(child)
      if (started._tag === "Failed") {
        yield* this.reportStart(child, started.error.reason)
        yield* this.stopAll()
        return yield* started.error
      }
    }
  })

  /** One try; the child is `running`, or `stopped`, or, if it is temporary and was ignored, gone. */
  start(child: Child): Effect.Effect<Started> {
    const { process: parent, runtime } = this
    const { spec } = child
    child.incarnation++
    child.attempt++
    const taken = this.openBox(child)
    const launch: LaunchOptions = {
      runtime,
      context: child.context,
      parent,
      id: spec.id,
      key: spec.key,
      box: child.box,
      incarnation: child.incarnation
    }
    const process = new Process(spec.behavior, launch)
    child.process = process
    if (taken === undefined) process.launch()
    const outcome = taken === undefined ? process.outcome : failedOutcome(taken)
    return outcome === undefined ? this.awaitStart(child, process) : this.started(child, process, outcome)
  }

  private readonly awaitStart = Effect.fnUntraced(function* (this: Supervision, child: Child, process: Process) {
    // An init that never ends must not keep this supervisor from its own end: it has the child's time to end, as one that runs.
    const ended = stopProcess(process, child.spec.shutdown)
    const forget = this.process.onStop(() => void Effect.runForkWith(this.process.context)(ended))
    const outcome = yield* startWithin(process, child.spec.startTimeoutMs)
    forget()
    return yield* this.started(child, process, outcome)
  })

  private started(child: Child, process: Process, outcome: StartOutcome): Effect.Effect<Started> {
    const { runtime } = this
    const { spec } = child
    switch (outcome._tag) {
      case "Running": {
        child.state = "running"
        if (this.options.backoff !== undefined) child.runningSince = runtime.monotonic()
        process.watch((reason) => this.tell({ _tag: "Ended", child, process, reason }))
        const { incarnation } = child
        const report = { at: runtime.now(), supervisor: this.name, child: spec.id, incarnation }
        return after(runtime.report({ _tag: "Progress", ...report }, this.process.context), () => began)
      }
      case "Ignored":
        this.settle(child, "stopped")
        if (spec.restart === "temporary" || this.options.dynamic !== undefined) this.remove(child)
        return Exit.succeed({ _tag: "Ignored" })
      case "Failed": {
        child.process = undefined
        const error = new StartError({ supervisor: this.name, childId: spec.id, reason: outcome.reason })
        return Exit.succeed({ _tag: "Failed", error })
      }
    }
  }

  // ---- the end of a child

  onEnded(child: Child, process: Process, reason: ExitReason.DownReason): Effect.Effect<Verdict> {
    if (child.process !== process) return Exit.succeed(this)
    const { restart } = child.spec
    this.gone(child, reason)
    if (restart !== "permanent" && !ExitReason.isAbnormal(reason)) return Exit.succeed(this.left(child))
    const report = { ...this.about(child, reason), restart }
    return after(this.report({ _tag: "ChildTerminated", ...report }), () =>
      restart === "temporary" ? Exit.succeed(this.left(child)) : this.restart(child, reason)
    )
  }

  /** It will not come back. */
  private left(child: Child): Verdict {
    this.settle(child, "stopped")
    if (child.spec.restart === "temporary" || this.options.dynamic !== undefined) this.remove(child)
    return this.autoShutdown(child)
  }

  /** Counts, then gives up or restarts what the strategy says. */
  private restart(child: Child, reason: ExitReason.DownReason): Effect.Effect<Verdict> {
    if (!this.window.allows(this.runtime.monotonic())) {
      this.settle(child, "stopped")
      this.runtime.counts.gaveUp++
      return after(this.report({ _tag: "GaveUp", ...this.about(child, reason) }), () => {
        this.process.gaveUp = true
        return Exit.succeed(new NextState(undefined, ExitReason.shutdown))
      })
    }
    this.runtime.counts.restarts++
    child.state = "restarting"
    const { backoff } = this.options
    const started = after(this.stopGroup(child), () =>
      backoff === undefined ? this.startGroup(child) : this.postpone(child, backoff, reason)
    )
    return after(started, () => Exit.succeed(this))
  }

  private stopGroup(child: Child): Effect.Effect<void> {
    const others = this.group(child).filter((other) => other !== child)
    return inOrder(others.toReversed(), (other) =>
      after(this.stop(other, "keep"), () => {
        if (other.spec.restart === "temporary") this.remove(other)
        return goOn
      })
    )
  }

  private startGroup(child: Child): Effect.Effect<void> {
    return inOrder(this.group(child), (other) => {
      other.restarts++
      return after(this.start(other), (started) => {
        if (started._tag !== "Failed") return goOn
        return after(this.reportStart(other, started.error.reason), () => {
          if (child !== other && child.state === "restarting") child.state = "stopped"
          other.state = "restarting"
          other.lastReason = started.error.reason
          this.tell({ _tag: "Retry", child: other, attempt: other.attempt })
          return enough
        })
      })
    })
  }

  /** A restart whose delay is over. */
  onDue(child: Child, attempt: number): Effect.Effect<Verdict> {
    if (!this.waits(child, attempt)) return Exit.succeed(this)
    // Somebody may have started another of the group meanwhile.
    const started = after(this.stopGroup(child), () => this.startGroup(child))
    return after(started, () => Exit.succeed(this))
  }

  /** A restart that failed comes back here, after whatever else was waiting. */
  onRetry(child: Child, attempt: number): Effect.Effect<Verdict> {
    if (!this.waits(child, attempt)) return Exit.succeed(this)
    return this.restart(child, child.lastReason ?? ExitReason.killed)
  }

  // ---- stop

  /** Ends one child, if it lives; an end for another reason is reported and never raised. */
  stop(child: Child, mailbox: "keep" | "close" = "close"): Effect.Effect<void> {
    const { process, spec } = child
    if (process === undefined) return this.laidDown(child, mailbox)
    // Often that is all it takes.
    if (spec.shutdown !== "brutal") process.stop(ExitReason.shutdown)
    return process.ended === undefined
      ? Effect.flatMap(stopProcess(process, spec.shutdown), (reason) => this.stopped(child, reason, mailbox))
      : this.stopped(child, process.ended, mailbox)
  }

  private stopped(child: Child, reason: ExitReason.DownReason, mailbox: "keep" | "close"): Effect.Effect<void> {
    const { spec } = child
    this.gone(child, reason)
    const expected =
      reason._tag === "Shutdown" ||
      (reason._tag === "Killed" && spec.shutdown === "brutal") ||
      (reason._tag === "Normal" && spec.restart !== "permanent")
    if (expected) return this.laidDown(child, mailbox)
    return after(this.report({ _tag: "ShutdownFailed", ...this.about(child, reason) }), () =>
      this.laidDown(child, mailbox)
    )
  }

  private laidDown(child: Child, mailbox: "keep" | "close"): Effect.Effect<void> {
    if (mailbox === "keep") child.state = "stopped"
    else this.settle(child, "stopped")
    return Exit.void
  }

  /** In reverse order, one after another; dynamic children all at once. */
  readonly stopAll: () => Effect.Effect<void> = Effect.fnUntraced(function* (this: Supervision) {
    const children = [...this.children.values()].toReversed()
    yield* Effect.forEach(children, (child) => this.stop(child), {
      discard: true,
      concurrency: this.options.dynamic === undefined ? 1 : "unbounded"
    })
  })

  /** When the supervisor itself was killed: nobody is left to stop its children in order. */
  readonly killAll: () => Effect.Effect<void> = Effect.fnUntraced(function* (this: Supervision) {
    const living = [...this.children.values()].filter((child) => child.process !== undefined)
    yield* Effect.forEach(living, (child) => stopProcess(child.process as Process, "brutal"), {
      discard: true,
      concurrency: "unbounded"
    })
    for (const child of this.children.values()) this.settle(child, "stopped")
  })

  // ---- management

  startChild(
    spec: Spec,
    context: Context.Context<never>
  ): Effect.Effect<Option.Option<Process>, StartError | ChildRefused> {
    const { dynamic } = this.options
    const known = this.children.get(spec.id)
    if (known !== undefined) {
      return Effect.fail(this.refused(spec.id, known.process === undefined ? "already_present" : "already_started"))
    }
    if (dynamic !== undefined && this.children.size >= dynamic.maxChildren) {
      return Effect.fail(this.refused(spec.id, "max_children"))
    }
    const child = this.adopt(spec, context)
    const begin = () => after(this.start(child), (started) => this.firstStart(child, started))
    return isTrap(spec) ? Effect.andThen(this.warn(spec), Effect.suspend(begin)) : begin()
  }

  private firstStart(child: Child, started: Started): Effect.Effect<Option.Option<Process>, StartError> {
    if (started._tag === "Failed") {
      this.remove(child)
      return Effect.andThen(this.reportStart(child, started.error.reason), Effect.fail(started.error))
    }
    return Exit.succeed(Option.fromUndefinedOr(child.process))
  }

  terminateChild(id: string): Effect.Effect<void, ChildRefused> {
    const child = this.children.get(id)
    if (child === undefined) return Effect.fail(this.refused(id, "not_found"))
    const waited = child.state === "restarting"
    return after(this.stop(child), () => {
      // Nobody starts the rest of its group any longer.
      if (waited) for (const other of this.group(child)) if (other.state === "stopped") this.settle(other, "stopped")
      if (child.spec.restart === "temporary" || this.options.dynamic !== undefined) this.remove(child)
      return Exit.void
    })
  }

  readonly restartChild = Effect.fnUntraced(function* (this: Supervision, id: string) {
    const child = this.children.get(id)
    if (child === undefined) return yield* this.refused(id, "not_found")
    if (child.state !== "stopped") return yield* this.refused(id, child.state)
    const started = yield* this.start(child)
    if (started._tag === "Failed") {
      this.settle(child, "stopped")
      yield* this.reportStart(child, started.error.reason)
      return yield* started.error
    }
    return Option.fromUndefinedOr(child.process)
  })

  readonly deleteChild = Effect.fnUntraced(function* (this: Supervision, id: string) {
    const child = this.children.get(id)
    if (child === undefined) return yield* this.refused(id, "not_found")
    if (child.state !== "stopped") return yield* this.refused(id, child.state)
    this.remove(child)
  })

  childOf(process: Process): Child | undefined {
    const child = this.children.get(process.segment)
    return child?.process === process ? child : undefined
  }

  freeId(id: string): string {
    if (!this.children.has(id)) return id
    let free: string
    do free = `${id}#${++this.lastNumber}`
    while (this.children.has(free))
    return free
  }

  // ---- private

  private lastNumber = 1

  private tell(request: Request): void {
    this.process.box.force(request)
  }

  /** Not stopped, removed or started by somebody else meanwhile. */
  private waits(child: Child, attempt: number): boolean {
    return child.state === "restarting" && child.attempt === attempt && this.children.get(child.spec.id) === child
  }

  private group(child: Child): ReadonlyArray<Child> {
    if (this.options.strategy === "one_for_one") return [child]
    const all = [...this.children.values()]
    return this.options.strategy === "one_for_all" ? all : all.slice(all.indexOf(child))
  }

  /** Waits for the schedule's delay as a `restarting` child; a schedule that has run out does not wait. */
  private readonly postpone = Effect.fnUntraced(function* (
    this: Supervision,
    child: Child,
    backoff: Backoff,
    reason: ExitReason.DownReason
  ) {
    const { process, runtime } = this
    child.backoff ??= yield* Schedule.toStep(backoff)
    const step = yield* Effect.exit(child.backoff(runtime.monotonic(), reason))
    const attempt = ++child.attempt
    const delay = Exit.isSuccess(step) ? step.value[1] : Duration.zero
    process.afterUnsafe(delay, () => this.tell({ _tag: "Due", child, attempt }))
  })

  /** With `keep` the mailbox and the name are the child's, from its first start until it is stopped for good. */
  private openBox(child: Child): NameTaken | undefined {
    const { spec } = child
    if (spec.onRestart !== "keep" || child.box !== undefined) return undefined
    const { names } = this.runtime
    if (spec.key !== undefined && names.has(spec.key)) return new NameTaken({ key: spec.key })
    const name = spec.key ?? `${this.name}/${spec.id}`
    child.box = new Box(this.runtime, name, spec.behavior.mailbox ?? defaultMailbox)
    if (spec.key !== undefined) names.set(spec.key, child.box)
    return undefined
  }

  /** The process is no more; the child is still to be judged. */
  private gone(child: Child, reason: ExitReason.DownReason): void {
    // It has lived: its backoff begins anew. The time that it waited to be started is no life.
    if (this.runtime.monotonic() - child.runningSince > this.options.periodMs) child.backoff = undefined
    child.lastReason = reason
    child.handledBefore += child.process?.handled ?? 0
    child.process = undefined
  }

  /** It will not be restarted by itself: a kept mailbox and its name go. */
  private settle(child: Child, state: ChildState): void {
    child.state = state
    child.process = undefined
    if (state !== "stopped" || child.box === undefined) return
    const { names } = this.runtime
    const { box, spec } = child
    child.box = undefined
    if (spec.key !== undefined && names.get(spec.key) === box) names.delete(spec.key)
    box.close(child.lastReason ?? ExitReason.shutdown)
  }

  private remove(child: Child): void {
    this.settle(child, "stopped")
    this.children.delete(child.spec.id)
  }

  /** Only after a significant child has ended by itself and will not come back. */
  private autoShutdown(child: Child): Verdict {
    const { autoShutdown } = this.options
    if (!child.spec.significant || autoShutdown === "never") return this
    const others = [...this.children.values()].some((other) => other.spec.significant && other.state !== "stopped")
    return autoShutdown === "all_significant" && others ? this : new NextState(undefined, ExitReason.shutdown)
  }

  refused(childId: string, reason: ChildRefused["reason"]): ChildRefused {
    return new ChildRefused({ supervisor: this.name, childId, reason })
  }

  private adopt(spec: Spec, context: Context.Context<never>): Child {
    const child = new Child(spec, context)
    this.children.set(spec.id, child)
    return child
  }

  private warn(spec: Spec): Effect.Effect<void> {
    return this.report({
      _tag: "Warning",
      at: this.runtime.now(),
      supervisor: this.name,
      message: `${spec.id} is a transient supervisor: when it gives up it exits with shutdown and is not restarted`
    })
  }

  private reportStart(child: Child, reason: ExitReason.ExitReason): Effect.Effect<void> {
    return this.report({ _tag: "StartFailed", ...this.about(child, reason) })
  }

  private about(child: Child, reason: ExitReason.DownReason) {
    return { at: this.runtime.now(), supervisor: this.name, child: child.spec.id, reason: ExitReason.toText(reason) }
  }

  private report(report: Report): Effect.Effect<void> {
    return this.runtime.report(report, this.process.context)
  }
}

/** A trap of OTP's rules: a supervisor that gives up ends with `shutdown`, which is no failure. */
const isTrap = (spec: Spec): boolean => spec.type === "supervisor" && spec.restart === "transient"

const began: Effect.Effect<Started> = Exit.succeed({ _tag: "Started" })

const failedOutcome = (error: NameTaken) => ({ _tag: "Failed" as const, reason: ExitReason.failure(error) })

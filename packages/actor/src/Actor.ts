/**
 * Actors: a state, a mailbox, and a handler that turns a message into the next state.
 *
 * An actor is a Scope, a mailbox and a place in a tree. Its handler may be a plain function, which a shared run queue
 * carries out, or may return an Effect, which runs as a fiber in that Scope, with the services of the start; a kill
 * interrupts it. An actor that waits has no fiber, so a fiber that a handler leaves behind belongs into the Scope
 * (`Effect.forkScoped`): a child of the handler's own fiber ends with the handler. Handlers of one actor never overlap.
 * `tell` never runs the receiver on the sender's stack and never throws into the sender. Messages of one sender to one
 * receiver arrive in the order in which they were sent.
 *
 * A state that is itself an Effect, or a value made by `next` or `stop`, has to be wrapped with `next`.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as ExitReason from "./ExitReason.ts"
import { Asked, isAnswer, type Refusal, type Result, Token } from "./internal/ask.ts"
import { CellState } from "./internal/cell.ts"
import { erase } from "./internal/erase.ts"
import {
  Ignore as IgnoreError,
  InvalidMailbox as InvalidMailboxError,
  NameTaken as NameTakenError,
  StartTimeout as StartTimeoutError,
  withoutStack
} from "./internal/errors.ts"
import { NextState } from "./internal/next.ts"
import type { Address } from "./internal/model.ts"
import { spawnProcess } from "./internal/spawn.ts"
import type { Timer } from "./internal/timers.ts"
import { tracedBehavior } from "./internal/traced.ts"
import { noting } from "./internal/waits.ts"
import type { Mailbox } from "./Mailbox.ts"
import type { RegistryKey } from "./Registry.ts"
import type { System } from "./System.ts"

/**
 * Where messages of type `Msg` can be sent: one incarnation of an actor, or, from `Registry.via`, a name. Contravariant:
 * an `ActorRef<A | B>` is an `ActorRef<A>`.
 *
 * @since 0.1.0
 * @category models
 */
export interface ActorRef<in Msg> {
  readonly id: number
  readonly name: string
  readonly "~starling/actor/ActorRef": (_: Msg) => void
}

/** The token that an `ask` puts into its message; it takes one answer. @since 0.1.0 @category models */
export interface ReplyTo<in A, in E = never> {
  readonly "~starling/actor/ReplyTo": { readonly _A: (_: A) => void; readonly _E: (_: E) => void }
}

/** No answer in time. A late one is dropped. @since 0.1.0 @category errors */
export class AskTimeout extends Data.TaggedError("AskTimeout")<{ readonly to: string; readonly timeoutMs: number }> {}

/** The actor ended before it answered, or there was none. @since 0.1.0 @category errors */
export class ActorDown extends Data.TaggedError("ActorDown")<{
  readonly to: string
  readonly reason: ExitReason.DownReason
}> {}

/** The question was dropped by a full mailbox. @since 0.1.0 @category errors */
export class MailboxFull extends Data.TaggedError("MailboxFull")<{ readonly to: string }> {}

/** @since 0.1.0 @category errors */
export const NameTaken = NameTakenError
/** The key is held by a living actor. @since 0.1.0 @category errors */
export type NameTaken = NameTakenError

/** @since 0.1.0 @category errors */
export const InvalidMailbox = InvalidMailboxError
/** A mailbox needs a capacity of at least 1. @since 0.1.0 @category errors */
export type InvalidMailbox = InvalidMailboxError

/** @since 0.1.0 @category errors */
export const StartTimeout = StartTimeoutError
/** `init` had not returned in time; it was killed. @since 0.1.0 @category errors */
export type StartTimeout = StartTimeoutError

/** What `init` fails with to say: not now, and this is no error. See `ignore`. @since 0.1.0 @category errors */
export type Ignore = IgnoreError

/** @since 0.1.0 @category models */
export type MonitorId = number

/** What comes over the system lane, before any message. @since 0.1.0 @category models */
export interface Signal {
  readonly _tag: "Down"
  readonly monitor: MonitorId
  readonly ref: ActorRef<never>
  readonly reason: ExitReason.DownReason
}

/** @since 0.1.0 @category models */
export interface TimerRef {
  /** True if it had not fired. */
  readonly cancel: Effect.Effect<boolean>
  readonly cancelUnsafe: () => boolean
}

/**
 * The actor, for its own handlers. The `Unsafe` twins are for handlers that are plain functions.
 *
 * @since 0.1.0
 * @category models
 */
export interface Self<in Msg> {
  readonly ref: ActorRef<Msg>
  readonly name: string
  /** From the root of the supervision tree down to this actor. */
  readonly path: ReadonlyArray<string>
  /** 1 for the first start under this supervisor, then one more for each start. */
  readonly incarnation: number
  /** Milliseconds of Effect's Clock. */
  readonly now: () => number
  /** Exactly one Down follows; at once with `NoProc` if the actor has ended. */
  readonly monitor: (ref: ActorRef<never>) => Effect.Effect<MonitorId>
  readonly monitorUnsafe: (ref: ActorRef<never>) => MonitorId
  /** No Down of this monitor follows. */
  readonly demonitor: (monitor: MonitorId) => Effect.Effect<void>
  readonly demonitorUnsafe: (monitor: MonitorId) => void
  /** Into the own mailbox, after the delay, unless the incarnation has ended. */
  readonly sendAfter: (delay: Duration.Input, message: Msg) => Effect.Effect<TimerRef>
  readonly sendAfterUnsafe: (delay: Duration.Input, message: Msg) => TimerRef
  /**
   * Sets the timer of this name, in place of the one before. Its message comes before those in the mailbox, is not
   * dropped by a full one, and never comes once the timer was replaced or cancelled, or the incarnation has ended. Without
   * a delay it is the next thing that is handled: set in `init`, it is OTP's `continue`.
   */
  readonly setTimer: (name: string, delay: Duration.Input, message: Msg) => Effect.Effect<void>
  readonly setTimerUnsafe: (name: string, delay: Duration.Input, message: Msg) => void
  /** True if its message had not been handled. */
  readonly cancelTimer: (name: string) => Effect.Effect<boolean>
  readonly cancelTimerUnsafe: (name: string) => boolean
  /** Whenever nothing was handled for so long, and nothing waits: this message. Until cancelled, or set anew. */
  readonly setReceiveTimeout: (delay: Duration.Input, message: Msg) => Effect.Effect<void>
  readonly setReceiveTimeoutUnsafe: (delay: Duration.Input, message: Msg) => void
  readonly cancelReceiveTimeout: Effect.Effect<void>
  readonly cancelReceiveTimeoutUnsafe: () => void
  /** What was postponed comes before what waits, in its old order; how many there were. See `postpone`. */
  readonly unstash: Effect.Effect<number>
  readonly unstashUnsafe: () => number
}

/** @since 0.1.0 @category models */
export interface Next<out S> {
  readonly "~starling/actor/Next": () => S
}

/** What a handler returns: the next state, as it is or from an Effect. @since 0.1.0 @category models */
export type Handled<S, E, R> = S | Next<S> | Effect.Effect<S | Next<S>, E, R>

/**
 * - `init`: the state to begin with; its return is the acknowledgement that the starter waits for. Its Scope is that of
 *   the incarnation: what it opens is closed when the actor ends, however it ends.
 * - `receive`: one message at a time. To throw is to fail with that defect.
 * - `signal`: the Down of a monitor; without it they are dropped.
 * - `terminate`: before the Scope closes, with the last state; not after a kill.
 *
 * A failure of `receive`, `signal` or `terminate` ends the actor with `Failed`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Behavior<in Msg, in out S, out E, out R> {
  readonly name: string
  readonly mailbox: Mailbox | undefined
  readonly "~starling/actor/Behavior": {
    readonly _Msg: (_: Msg) => void
    readonly _S: (_: S) => S
    readonly _E: () => E
    readonly _R: () => R
  }
}

/**
 * @since 0.1.0
 * @category constructors
 */
export const behavior =
  <Msg>() =>
  <S, E = never, R = never, E2 = never, R2 = never, E3 = never, R3 = never, R4 = never>(definition: {
    readonly name: string
    readonly mailbox?: Mailbox
    readonly init: (self: Self<Msg>) => Effect.Effect<S, E, R>
    readonly receive: (state: S, message: Msg, self: Self<Msg>) => Handled<NoInfer<S>, E2, R2>
    readonly signal?: (state: S, signal: Signal, self: Self<Msg>) => Handled<NoInfer<S>, E3, R3>
    readonly terminate?: (state: S, reason: ExitReason.ExitReason) => Effect.Effect<void, never, R4>
  }): Behavior<Msg, S, E | E2 | E3, Exclude<R | R2 | R3 | R4, Scope.Scope>> =>
    definition as unknown as Behavior<Msg, S, E | E2 | E3, Exclude<R | R2 | R3 | R4, Scope.Scope>>

/** Go on with this state. @since 0.1.0 @category constructors */
export const next = <S>(state: S): Next<S> => new NextState(state, undefined) as unknown as Next<S>

/**
 * Go on with this state, and put the message at hand aside until `self.unstash` (Akka's stash; gen_statem's postpone,
 * which comes back by itself when the state changes). Postponed messages count against the capacity of the mailbox, are
 * dead letters when the incarnation ends, and with `onRestart: "keep"` are the next one's first. Only for `receive`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const postpone = <S>(state: S): Next<S> => new NextState(state, undefined, true) as unknown as Next<S>

/** End, `Normal` unless said otherwise; `terminate` sees the state before this message. @since 0.1.0 @category constructors */
export const stop = (reason: ExitReason.ExitReason = ExitReason.normal): Next<never> =>
  new NextState(undefined, reason) as unknown as Next<never>

/** For `init`: do not start, and do not try again; the supervisor keeps the spec. @since 0.1.0 @category constructors */
export const ignore: Effect.Effect<never, Ignore> = Effect.fail(new IgnoreError())

/**
 * A place for the state of one actor at a time, which outlives its incarnations: an ETS table with an heir. Whoever made
 * it can read it, while the actor lives and after its end.
 *
 * @since 0.1.0
 * @category models
 */
export interface Cell<in out S> {
  /** The last state that a handler returned; none before the first, and after `clear`. */
  readonly get: Effect.Effect<Option.Option<S>>
  readonly getUnsafe: () => Option.Option<S>
  /** The next incarnation begins anew; the one that lives stores its next state as always. */
  readonly clear: Effect.Effect<void>
  readonly "~starling/actor/Cell": (_: S) => S
}

/**
 * `trust`: a second abnormal end within this time clears the cell, since it may be the state that crashes; `0` keeps it
 * through any two crashes at different instants. Default 5 s, OTP's restart period.
 *
 * @since 0.1.0
 * @category constructors
 */
export const cell = <S>(options: { readonly trust?: Duration.Input } = {}): Cell<S> =>
  new CellState(Duration.toMillis(options.trust ?? "5 seconds")) as unknown as Cell<S>

/**
 * The behaviour with its state in the cell: each state that a handler returns is stored before the next message, and an
 * incarnation goes on from the last one. `init` still runs, to open what the Scope holds; `resume` joins what it returned
 * with what was kept, by default the kept one alone. One actor at a time: another that starts meanwhile fails with a
 * defect.
 *
 * @since 0.1.0
 * @category combinators
 */
export const withCell = <Msg, S, E, R>(
  behavior: Behavior<Msg, S, E, R>,
  cell: Cell<S>,
  resume?: (kept: S, fresh: S) => S
): Behavior<Msg, S, E, R> =>
  ({ ...behavior, cell: cell as unknown as CellState, resume }) as unknown as Behavior<Msg, S, E, R>

/**
 * The behaviour with a span around each handler, named after the actor and the message's `_tag`: off unless asked for,
 * because a span for each message is many times the price of the message. `sample` says for which.
 *
 * @since 0.1.0
 * @category combinators
 */
export const traced = <Msg, S, E, R>(
  behavior: Behavior<Msg, S, E, R>,
  options: { readonly sample?: (message: Msg) => boolean } = {}
): Behavior<Msg, S, E, R> =>
  tracedBehavior(erase(behavior), options.sample as ((message: unknown) => boolean) | undefined) as unknown as Behavior<
    Msg,
    S,
    E,
    R
  >

/**
 * Starts an actor without a supervisor: stopped when the Scope closes (5 s for its end, OTP's default, then killed), and
 * not restarted. An `init` that takes longer than `startTimeout` is killed; without one it may take for ever, as in OTP.
 *
 * @since 0.1.0
 * @category running
 */
export const spawn = <Msg, S, E, R>(
  behavior: Behavior<Msg, S, E, R>,
  options: { readonly key?: RegistryKey<Msg>; readonly startTimeout?: Duration.Input } = {}
): Effect.Effect<ActorRef<Msg>, E | Ignore | NameTaken | InvalidMailbox | StartTimeout, R | Scope.Scope | System> =>
  spawnProcess(
    erase(behavior),
    options.key?.key,
    "5 seconds",
    Duration.toMillis(options.startTimeout ?? Duration.infinity)
  ) as unknown as Effect.Effect<
    ActorRef<Msg>,
    E | Ignore | NameTaken | InvalidMailbox | StartTimeout,
    R | Scope.Scope | System
  >

/**
 * Sends; waits for room if the mailbox is full and its policy is `backpressure`. False: the message was dropped, and is a
 * dead letter.
 *
 * @since 0.1.0
 * @category messages
 */
export const tell = <Msg>(ref: ActorRef<Msg>, message: NoInfer<Msg>): Effect.Effect<boolean> =>
  Effect.suspend(() => {
    const address = addressOf(ref)
    const box = address.resolveBox()
    if (box === undefined) return told(lost(address, message))
    if (!box.full || box.policy !== "backpressure") return told(box.offer(message))
    const room = Effect.callback<boolean>((resume) => {
      // Others may have run since: who waits for room that is there already, or for an actor that ended, is never told.
      if (!box.full || box.closed !== undefined) return resume(told(box.offer(message)))
      const forget = box.wait(message, (delivered) => resume(told(delivered)))
      return Effect.sync(forget)
    })
    return noting("room", address, room)
  })

/**
 * Sends now or never: false if the message was dropped. Never waits, never throws.
 *
 * @since 0.1.0
 * @category messages
 */
export const tellUnsafe = <Msg>(ref: ActorRef<Msg>, message: NoInfer<Msg>): boolean => {
  const address = addressOf(ref)
  const box = address.resolveBox()
  return box === undefined ? lost(address, message) : box.offer(message)
}

/**
 * Sends a question and waits for the answer: 5 s at most, OTP's default, unless said otherwise. Waiting for room in the
 * mailbox counts. The time begins when the actors give the loop back, so it can last up to 5 ms longer, never less.
 *
 * @since 0.1.0
 * @category messages
 */
export const ask = <Msg, A, E = never>(
  ref: ActorRef<Msg>,
  make: (replyTo: ReplyTo<A, E>) => NoInfer<Msg>,
  timeout: Duration.Input = 5000
): Effect.Effect<A, E | AskTimeout | ActorDown | MailboxFull> =>
  noting(
    "answer",
    addressOf(ref),
    Effect.callback((resume) => {
      const question = new Question(addressOf(ref), timeout, resume as Question["resume"])
      question.ask(make(question as unknown as ReplyTo<A, E>))
      return Effect.sync(() => question.cancel())
    }),
    timeout
  )

/** Answers; a second answer, or one that comes late, is dropped. @since 0.1.0 @category messages */
export const reply = <A, E>(to: ReplyTo<A, E>, value: A): Effect.Effect<void> =>
  Effect.sync(() => replyUnsafe(to, value))

/** Answers with a failure. @since 0.1.0 @category messages */
export const replyFail = <A, E>(to: ReplyTo<A, E>, error: E): Effect.Effect<void> =>
  Effect.sync(() => replyFailUnsafe(to, error))

/** For handlers that are plain functions. The asker goes on after the handler has returned. @since 0.1.0 @category messages */
export const replyUnsafe = <A, E>(to: ReplyTo<A, E>, value: A): void => replyExitUnsafe(to, Exit.succeed(value))

/** @since 0.1.0 @category messages */
export const replyFailUnsafe = <A, E>(to: ReplyTo<A, E>, error: E): void => replyExitUnsafe(to, Exit.fail(error))

/** @since 0.1.0 @category messages */
export const replyExitUnsafe = <A, E>(to: ReplyTo<A, E>, exit: Exit.Exit<A, E>): void =>
  (to as unknown as Token).reply(exit)

/**
 * Ends an actor from outside, as OTP's `exit(Pid, Reason)`: `Killed` interrupts it at once, any other reason ends it at
 * the next message boundary; `Failed` is a crash. Returns without waiting.
 *
 * @since 0.1.0
 * @category running
 */
export const exit = (ref: ActorRef<never>, reason: ExitReason.ExitReason): Effect.Effect<void> =>
  Effect.sync(() => exitUnsafe(ref, reason))

/** @since 0.1.0 @category running */
export const exitUnsafe = (ref: ActorRef<never>, reason: ExitReason.ExitReason): void =>
  addressOf(ref).resolveProcess()?.exit(reason)

/**
 * Waits for the end: of this incarnation, even if it has ended already; behind a name, of the one that lives now, and
 * `NoProc` if there is none.
 *
 * @since 0.1.0
 * @category running
 */
export const awaitExit = (ref: ActorRef<never>): Effect.Effect<ExitReason.DownReason> =>
  Effect.suspend(() => {
    const process = addressOf(ref).resolveProcess()
    return process === undefined ? Effect.succeed(ExitReason.noProc) : noting("end", process, process.awaitEnd)
  })

/** @since 0.1.0 @category running */
export const isAlive = (ref: ActorRef<never>): boolean => addressOf(ref).resolveProcess()?.isDead === false

const addressOf = (ref: ActorRef<never>): Address => ref as unknown as Address

const sent: Effect.Effect<boolean> = Exit.succeed(true)

const dropped: Effect.Effect<boolean> = Exit.succeed(false)

const told = (delivered: boolean): Effect.Effect<boolean> => (delivered ? sent : dropped)

const lost = (address: Address, message: unknown): false => {
  address.runtime.deadLetter(address.name, message, "noproc")
  return false
}

/** An `ask` that waits. */
class Question extends Token {
  readonly resume: (exit: Exit.Exit<unknown, unknown>) => void
  private readonly to: Address
  private readonly timeoutMs: number
  private timer: Timer | undefined = undefined
  /** While it waits for room. */
  private forget: (() => void) | undefined = undefined

  constructor(to: Address, timeout: Duration.Input, resume: (exit: Exit.Exit<unknown, unknown>) => void) {
    super(to.runtime)
    this.to = to
    this.timeoutMs = typeof timeout === "number" ? timeout : Duration.toMillis(timeout)
    this.resume = resume
  }

  ask(message: unknown): void {
    const box = this.to.resolveBox()
    if (box === undefined) return this.finish({ _tag: "Down", reason: ExitReason.noProc })
    const asked = new Asked(message, this)
    if (box.full && box.policy === "backpressure" && box.closed === undefined) this.forget = box.wait(asked, () => {})
    else box.offer(asked)
    if (!this.done) this.runtime.limit(this)
  }

  startTimer(): void {
    this.timer = this.runtime.timers.set(this.timeoutMs, () => this.finish({ _tag: "Timeout" }))
  }

  override cancel(): void {
    super.cancel()
    this.timer?.cancelUnsafe()
    this.forget?.()
    this.timer = this.forget = undefined
  }

  protected settle(result: Result): void {
    if (isAnswer(result)) this.resume(result)
    else this.resume(Exit.fail(withoutStack(() => this.errorOf(result))))
  }

  private errorOf(refusal: Refusal): ActorDown | MailboxFull | AskTimeout {
    const to = this.to.name
    switch (refusal._tag) {
      case "Down":
        return new ActorDown({ to, reason: refusal.reason })
      case "Full":
        return new MailboxFull({ to })
      case "Timeout":
        return new AskTimeout({ to, timeoutMs: this.timeoutMs })
    }
  }
}

/**
 * A test kit for actors: probes, dead letters, virtual time, and a seeded scheduler that explores interleavings.
 *
 * `run` carries out a program with real actors, in virtual time, by a seed. Whenever several tasks could run, the seed
 * picks the next one; actors are stepped one message at a time (`System.Stepped`), so it chooses among them too. When
 * nothing can run, time jumps to the next timer: an hour of sleep takes no time. The same seed gives the same history.
 * `explore` tries many seeds, and says which one breaks the program.
 *
 * A program that does not end is an outcome, not a hang: **deadlock**, when nothing can run and no timer is set, and also,
 * whatever timers still run elsewhere, when actors wait for each other in a ring; **livelock**, when steps go on and on
 * at one instant.
 *
 * Two things the seed does not choose: timers of one instant fire in the order in which they were set, each before the
 * next; and an asker goes on in the same step in which its answer is settled, as it does outside of tests.
 *
 * Promises are the hole: what settles outside looks like a deadlock, so nothing that runs here may use one. State that a
 * program shares between its runs makes them differ; make all of it inside the program. No test runner is needed, nor
 * assumed.
 *
 * @since 0.1.0
 */
import type * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Actor from "./Actor.ts"
import * as ExitReason from "./ExitReason.ts"
import * as Simulate from "./internal/simulate.ts"
import * as Standstill from "./internal/standstill.ts"
import { describe } from "./internal/text.ts"
import { unbounded } from "./Mailbox.ts"
import type { RegistryKey } from "./Registry.ts"
import type { DeadLetter, Report } from "./Report.ts"
import * as System from "./System.ts"

// ---- running

/** @since 0.1.0 @category models */
export interface Options {
  readonly seed: number | string
  /** Tasks and timers before a run is given up as endless. Default a million: a second of a processor. */
  readonly stepsMax?: number
  /** Those at one instant of virtual time before it is a livelock. Default 100,000. */
  readonly stepsAtInstantMax?: number
}

/** @since 0.1.0 @category models */
export interface Run {
  readonly seed: number | string
  /** Tasks and timers that ran. */
  readonly steps: number
  readonly virtualMs: number
  /** Digest over what ran when, and over all that was noted. */
  readonly history: string
  /** Timers still set at the end: after `Done`, somebody sleeps whom nobody waits for. */
  readonly sleepers: number
}

/**
 * How a run ended.
 *
 * - `Done`: with the program's exit. What was left running is run on until nothing moves without a timer.
 * - `Deadlock`: nothing could run and no timer was set; or actors wait for each other in a ring.
 * - `Livelock`: `stepsAtInstantMax` was reached.
 * - `Endless`: `stepsMax` was reached, though time went on.
 *
 * @since 0.1.0
 * @category models
 */
export type Outcome<A, E> = Run &
  (
    | { readonly _tag: "Done"; readonly exit: Exit.Exit<A, E> }
    | ({ readonly _tag: "Deadlock" | "Livelock" | "Endless" } & Stuck)
  )

/**
 * - `ring`: of a deadlock, the actors that wait for each other, as `a → b → a`; null if none do.
 * - `waiting`: everybody who is in a handler that has not returned, and who else waits for an actor.
 *
 * @since 0.1.0
 * @category models
 */
export interface Stuck {
  readonly ring: string | null
  readonly waiting: ReadonlyArray<Waiting>
}

/**
 * Who waits for whom.
 *
 * - `actor`: its path; null for a fiber that belongs to no actor.
 * - `doing`, `message`: the actor's own Effect that has not returned, and what it handles; null for a fiber that a handler
 *   has forked.
 * - `on`, `to`: for `room` in a mailbox (`tell`), for the `answer` to an `ask` or to a call of a supervisor, for the `start`
 *   or the `end` of an actor; null: for something that is no actor.
 * - `timeoutMs`: after which it waits no longer; null: for ever.
 *
 * @since 0.1.0
 * @category models
 */
export interface Waiting {
  readonly actor: string | null
  readonly doing: "init" | "handler" | "end" | null
  readonly message: string | null
  readonly on: "room" | "answer" | "start" | "end" | null
  readonly to: string | null
  readonly timeoutMs: number | null
}

/**
 * Adds to the history of the run it is called in; elsewhere it does nothing.
 *
 * @since 0.1.0
 * @category references
 */
export const Note: Context.Reference<(text: string) => void> = Simulate.Note

/**
 * Carries out the program by the seed, to its end; blocks meanwhile. Its actors live in a System of its own, unless it
 * makes others.
 *
 * A ring of actors each of which waits for the next one, in its handler and without a timeout, is a deadlock as soon as
 * nothing else can run at that instant, even if a supervisor would end one of them later. What a handler has forked, as
 * `Effect.timeout` does, closes no ring: the handler may go on without it.
 *
 * @since 0.1.0
 * @category running
 */
export const run = <A, E>(
  program: Effect.Effect<A, E, System.System | Scope.Scope>,
  { seed, stepsAtInstantMax = 100_000, stepsMax = 1_000_000 }: Options
): Outcome<A, E> =>
  Simulate.simulate(program.pipe(Effect.scoped, Effect.provide(System.layer)), seed, { stepsAtInstantMax, stepsMax })

// ---- exploring

/** @since 0.1.0 @category models */
export interface ExploreOptions extends Omit<Options, "seed"> {
  /** Seeds 1 to `runs`; default 100. The same ones each time, so that what passes once passes again. */
  readonly runs?: number
  /** These instead, one after the other; for instance others each night. */
  readonly seeds?: Iterable<number | string>
}

/** @since 0.1.0 @category models */
export interface Exploration<A, E> {
  readonly runs: number
  /** How many different histories there were: with one, nothing was explored. */
  readonly histories: number
  /** Of the first run that did not succeed; no seed is tried after it. */
  readonly failure: Option.Option<Outcome<A, E>>
}

/** Thrown by `check`. `message` has the seed in its first line. @since 0.1.0 @category errors */
export class ExplorationFailed extends Data.TaggedError("ExplorationFailed")<{
  readonly message: string
  readonly seed: number | string
  readonly outcome: Outcome<unknown, unknown>
}> {}

/**
 * Runs the program by one seed after the other until one fails: a deadlock, a livelock, no end, or an exit that is a
 * failure. `toText` says how to replay it.
 *
 * @since 0.1.0
 * @category running
 */
export const explore = <A, E>(
  program: Effect.Effect<A, E, System.System | Scope.Scope>,
  { runs = 100, seeds = Array.from({ length: runs }, (_, index) => index + 1), ...limits }: ExploreOptions = {}
): Exploration<A, E> => {
  const histories = new Set<string>()
  let done = 0
  for (const seed of seeds) {
    const outcome = run(program, { seed, ...limits })
    done++
    histories.add(outcome.history)
    if (isFailure(outcome)) return { runs: done, histories: histories.size, failure: Option.some(outcome) }
  }
  return { runs: done, histories: histories.size, failure: Option.none() }
}

/** As `explore`; throws `ExplorationFailed`, which any test runner prints. @since 0.1.0 @category running */
export const check = <A, E>(
  program: Effect.Effect<A, E, System.System | Scope.Scope>,
  options: ExploreOptions = {}
): Exploration<A, E> => {
  const exploration = explore(program, options)
  if (Option.isSome(exploration.failure)) {
    const outcome = exploration.failure.value
    throw new ExplorationFailed({ message: toText(outcome), seed: outcome.seed, outcome })
  }
  return exploration
}

/** Anything but a success. @since 0.1.0 @category guards */
export const isFailure = <A, E>(outcome: Outcome<A, E>): boolean =>
  outcome._tag !== "Done" || Exit.isFailure(outcome.exit)

/** One line, with the seed that replays it; then, if it did not end, a line for each who waits. @since 0.1.0 */
export const toText = <A, E>(outcome: Outcome<A, E>): string => {
  const { seed, steps, virtualMs } = outcome
  const after = `after ${steps} steps, at ${virtualMs} ms`
  const replay = `replay: ActorTest.run(program, { seed: ${JSON.stringify(seed)} })`
  if (outcome._tag === "Done") {
    const how = Exit.isSuccess(outcome.exit) ? "succeeded" : `failed: ${causeText(outcome.exit)}`
    return `seed ${seed} ${how}; ${after}; ${replay}`
  }
  const ring = outcome.ring === null ? "" : `: ${outcome.ring}`
  const lines = outcome.waiting.map((waiting) => `  ${Standstill.waitingText(waiting)}`)
  return [`seed ${seed} ended in ${names[outcome._tag]}${ring}; ${after}; ${replay}`, ...lines].join("\n")
}

const names = { Deadlock: "a deadlock", Livelock: "a livelock", Endless: "no end" } as const

const causeText = ({ cause }: Exit.Failure<unknown, unknown>): string =>
  ExitReason.toText(ExitReason.fromCause(cause)).replace(/^failed: /, "")

// ---- expectations

/** Something else came, or nothing did. @since 0.1.0 @category errors */
export class Unexpected extends Data.TaggedError("Unexpected")<{ readonly message: string }> {}

/**
 * What came in, one after the other; each is taken once. Times are of Effect's Clock: virtual under `run`, those of a test
 * clock elsewhere.
 *
 * - `receive`: the next one; waits for it, 3 s unless said otherwise (our choice, as Akka's probes do).
 * - `expectMessage`: the next one, which must equal this one (`Equal.equals`: by value).
 * - `expectTag`: the next one, which must have this `_tag`.
 * - `expectNone`: lets the time pass, 100 ms unless said otherwise, in which nothing may come.
 * - `all`: everything so far, taken or not.
 *
 * @since 0.1.0
 * @category models
 */
export interface Inbox<A> {
  readonly receive: (within?: Duration.Input) => Effect.Effect<A, Unexpected>
  readonly expectMessage: (message: A, within?: Duration.Input) => Effect.Effect<A, Unexpected>
  readonly expectTag: <const Tag extends Tags<A>>(
    tag: Tag,
    within?: Duration.Input
  ) => Effect.Effect<Extract<A, { readonly _tag: Tag }>, Unexpected>
  readonly expectNone: (during?: Duration.Input) => Effect.Effect<void, Unexpected>
  readonly all: Effect.Effect<ReadonlyArray<A>>
}

/** @since 0.1.0 @category models */
export type Tags<A> = A extends { readonly _tag: infer Tag extends string } ? Tag : never

/**
 * An actor that records what it is sent, to stand in for another; what it is asked is answered by who takes the message.
 * `expectDown`: waits for the end of an actor, of this incarnation even if it has ended already; 3 s unless said otherwise.
 *
 * @since 0.1.0
 * @category models
 */
export interface Probe<Msg> extends Inbox<Msg> {
  readonly ref: Actor.ActorRef<Msg>
  readonly expectDown: (
    ref: Actor.ActorRef<never>,
    within?: Duration.Input
  ) => Effect.Effect<ExitReason.DownReason, Unexpected>
}

/**
 * Starts a probe; with a `key`, under that name. It ends with the Scope.
 *
 * @since 0.1.0
 * @category constructors
 */
export const probe: <Msg>(
  name?: string,
  options?: { readonly key?: RegistryKey<Msg> }
) => Effect.Effect<Probe<Msg>, Actor.NameTaken, Scope.Scope | System.System> = Effect.fnUntraced(function* <Msg>(
  name: string = "probe",
  options: { readonly key?: RegistryKey<Msg> } = {}
) {
  const [inbox, put] = yield* inboxOf<Msg>(name)
  const behavior = Actor.behavior<Msg>()({
    name,
    mailbox: unbounded,
    init: () => Effect.void,
    receive: (_, message) => put(message)
  })
  const ref = yield* Actor.spawn(behavior, options).pipe(
    // No init that can be ignored or take its time, and a mailbox without a bound.
    Effect.catchTags({ Ignore: Effect.die, InvalidMailbox: Effect.die, StartTimeout: Effect.die })
  )
  return {
    ...inbox,
    ref,
    expectDown: (target, within = defaultWithin) =>
      orUnexpected(Actor.awaitExit(target), within, `${name}: ${target.name} did not end`)
  }
})

/** The dead letters of the system from now on, as they come. @since 0.1.0 @category constructors */
export const deadLetters: Effect.Effect<Inbox<DeadLetter>, never, Scope.Scope | System.System> = Effect.gen(
  function* () {
    const [inbox, put] = yield* inboxOf<DeadLetter>("dead letters")
    const system = yield* System.System
    const forget = system.onDeadLetter(put)
    yield* Effect.addFinalizer(() => Effect.sync(forget))
    return inbox
  }
)

/** The reports of the system from now on, as they come. @since 0.1.0 @category constructors */
export const reports: Effect.Effect<Inbox<Report>, never, Scope.Scope | System.System> = Effect.gen(function* () {
  const [inbox, put] = yield* inboxOf<Report>("reports")
  const system = yield* System.System
  const forget = system.onReport(put)
  yield* Effect.addFinalizer(() => Effect.sync(forget))
  return inbox
})

const defaultWithin: Duration.Input = "3 seconds"

const inboxOf = <A>(name: string): Effect.Effect<readonly [Inbox<A>, (item: A) => void]> =>
  Effect.map(Queue.unbounded<A>(), (queue) => {
    const all: Array<A> = []
    const put = (item: A): void => {
      all.push(item)
      Queue.offerUnsafe(queue, item)
    }
    const receive = (within: Duration.Input = defaultWithin) =>
      orUnexpected(Queue.take(queue), within, `${name}: nothing came`)
    const expect = (within: Duration.Input | undefined, wanted: string, fits: (item: A) => boolean) =>
      Effect.filterOrFail(
        receive(within),
        fits,
        (item) => new Unexpected({ message: `${name}: ${describe(item)} came, not ${wanted}` })
      )
    const inbox: Inbox<A> = {
      receive,
      expectMessage: (message, within) => expect(within, describe(message), (item) => Equal.equals(item, message)),
      expectTag: (tag, within) =>
        expect(within, tag, (item) => Predicate.isTagged(item, tag)) as Effect.Effect<never, Unexpected>,
      expectNone: (during = "100 millis") =>
        Effect.flatMap(Effect.timeoutOption(Queue.take(queue), during), (item) =>
          Option.isNone(item)
            ? Effect.void
            : Effect.fail(new Unexpected({ message: `${name}: ${describe(item.value)} came, where nothing should` }))
        ),
      all: Effect.sync(() => [...all])
    }
    return [inbox, put]
  })

const orUnexpected = <A>(
  effect: Effect.Effect<A>,
  within: Duration.Input,
  message: string
): Effect.Effect<A, Unexpected> =>
  Effect.timeoutOrElse(effect, {
    duration: within,
    orElse: () => Effect.fail(new Unexpected({ message: `${message} within ${Duration.toMillis(within)} ms` }))
  })

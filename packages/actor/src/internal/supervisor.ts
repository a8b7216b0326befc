/** A supervisor as a behaviour, and the calls that reach it. */
import type * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Option from "effect/Option"
import * as ExitReason from "../ExitReason.ts"
import { unbounded } from "../Mailbox.ts"
import { after } from "./after.ts"
import { Asked, isAnswer, type Result, Token } from "./ask.ts"
import { exitOf } from "./exitOf.ts"
import type { Address, ErasedBehavior } from "./model.ts"
import type { Process } from "./process.ts"
import {
  type ChildRefused,
  type Options,
  type Request,
  type StartError,
  type Spec,
  Supervision
} from "./supervision.ts"
import { noting } from "./waits.ts"

/** A spec that no supervisor can run; refused before any child starts (OTP's `start_spec`). */
export class InvalidSpec extends Data.TaggedError("InvalidSpec")<{
  readonly supervisor: string
  /** None when it is the supervisor's own option. */
  readonly childId?: string
  readonly reason: "duplicate_id" | "significant_never" | "significant_permanent" | "out_of_range"
  readonly message: string
}> {}

/** The supervisor ended before it answered, or there was none. */
export class SupervisorDown extends Data.TaggedError("SupervisorDown")<{
  readonly supervisor: string
  readonly reason: ExitReason.DownReason
}> {}

/**
 * Its mailbox has no bound of its own: it holds one message for each child that ended, one for each retry, and the calls
 * of those who wait for an answer.
 */
export const supervisorBehavior = (options: Options): ErasedBehavior => ({
  name: options.name,
  mailbox: unbounded,
  quiet: true,
  init: (self) =>
    Effect.gen(function* () {
      const invalid = validate(options)
      if (invalid !== undefined) return yield* invalid
      const supervision = new Supervision(options, self)
      self.supervision = supervision
      // Nothing is left to do after an orderly end; a kill, or a stop during the start, leaves children.
      yield* Effect.addFinalizer(() => (self.isKilled ? supervision.killAll() : supervision.stopAll()))
      yield* supervision.startAll(options.children)
      return supervision
    }) as Effect.Effect<unknown, unknown>,
  receive: (state, message) => onRequest(state as Supervision, message as Request),
  terminate: (state) => (state as Supervision).stopAll()
})

const onRequest = (state: Supervision, request: Request): Effect.Effect<unknown> => {
  switch (request._tag) {
    case "Call":
      return after(request.run(state), () => Exit.succeed(state))
    case "Ended":
      return state.onEnded(request.child, request.process, request.reason)
    case "Retry":
      return state.onRetry(request.child, request.attempt)
    case "Due":
      return state.onDue(request.child, request.attempt)
  }
}

/** Carried out by the supervisor between two other requests; waits without a limit, as OTP's calls do. */
export const call = <A, E>(
  address: Address,
  run: (self: Supervision) => Effect.Effect<A, E>
): Effect.Effect<A, E | SupervisorDown> => noting("answer", address, calling(address, run))

const calling = <A, E>(
  address: Address,
  run: (self: Supervision) => Effect.Effect<A, E>
): Effect.Effect<A, E | SupervisorDown> =>
  Effect.callback<A, E | SupervisorDown>((resume) => {
    const token = new Call(address, resume as Call["resume"])
    const box = address.resolveBox()
    if (box === undefined) token.finish({ _tag: "Down", reason: ExitReason.noProc })
    else {
      const answer = (exit: Exit.Exit<A, E>): void => token.reply(exit)
      const request: Request = {
        _tag: "Call",
        run: (self) => {
          const asked = attempt(() => run(self))
          const exit = exitOf(asked)
          // What is done already needs no fiber.
          return exit === undefined ? Effect.map(Effect.exit(asked), answer) : Exit.succeed(answer(exit))
        }
      }
      box.offer(new Asked(request, token))
    }
    return Effect.sync(() => token.cancel())
  })

class Call extends Token {
  readonly resume: (exit: Exit.Exit<unknown, unknown>) => void
  private readonly supervisor: string

  constructor(supervisor: Address, resume: (exit: Exit.Exit<unknown, unknown>) => void) {
    super(supervisor.runtime)
    this.supervisor = supervisor.name
    this.resume = resume
  }

  protected settle(result: Result): void {
    if (isAnswer(result)) return this.resume(result)
    const { supervisor } = this
    const reason = result._tag === "Down" ? result.reason : ExitReason.noProc
    this.resume(Exit.fail(new SupervisorDown({ supervisor, reason })))
  }
}

const attempt = <A, E>(run: () => Effect.Effect<A, E>): Effect.Effect<A, E> => {
  try {
    return run()
  } catch (error) {
    return Exit.die(error)
  }
}

/** Dynamic children have ids for people only: one that is in use gets a number. */
export const startChecked = (
  self: Supervision,
  spec: Spec,
  context: Context.Context<never>
): Effect.Effect<Option.Option<Process>, StartError | ChildRefused | InvalidSpec> => {
  const invalid = validateChild(self.options, spec)
  if (invalid !== undefined) return Effect.fail(invalid)
  if (self.options.dynamic === undefined) return self.startChild(spec, context)
  return self.startChild({ ...spec, id: self.freeId(spec.id) }, context)
}

/** The incarnation, or the one that holds the name now. */
export const terminateRef = (self: Supervision, address: Address): Effect.Effect<void, ChildRefused> => {
  const process = address.resolveProcess()
  const child = process === undefined ? undefined : self.childOf(process)
  return child === undefined ? Effect.fail(self.refused(address.name, "not_found")) : self.terminateChild(child.spec.id)
}

const validate = (options: Options): InvalidSpec | undefined => {
  const { children, name: supervisor } = options
  const { intensity, periodMs, dynamic } = options
  if (!(intensity >= 0)) return outOfRange(supervisor, `intensity is ${intensity}; 0 or more is right`)
  if (!(periodMs > 0)) return outOfRange(supervisor, `period is ${periodMs} ms; more than 0 is right`)
  if (dynamic !== undefined && !(dynamic.maxChildren >= 0)) {
    return outOfRange(supervisor, `maxChildren is ${dynamic.maxChildren}; 0 or more is right`)
  }
  const ids = new Set<string>()
  for (const spec of children) {
    if (ids.has(spec.id)) {
      const message = `two children with the id ${spec.id}`
      return new InvalidSpec({ supervisor, childId: spec.id, reason: "duplicate_id", message })
    }
    ids.add(spec.id)
    const invalid = validateChild(options, spec)
    if (invalid !== undefined) return invalid
  }
  return undefined
}

/** What can be said about one child alone; `startChild` asks it too. */
export const validateChild = (options: Options, spec: Spec): InvalidSpec | undefined => {
  const supervisor = options.name
  const { shutdown } = spec
  const shutdownMs = typeof shutdown === "number" ? shutdown : named(shutdown) ? 0 : Duration.toMillis(shutdown)
  if (!(shutdownMs >= 0)) {
    return outOfRange(supervisor, `the shutdown of ${spec.id} is negative`)
  }
  if (!(spec.startTimeoutMs > 0)) {
    return outOfRange(supervisor, `the startTimeout of ${spec.id} is ${spec.startTimeoutMs} ms; more than 0 is right`)
  }
  if (!spec.significant) return undefined
  if (options.autoShutdown === "never") {
    const message = `${spec.id} is significant, but ${supervisor} has autoShutdown "never"`
    return new InvalidSpec({ supervisor, childId: spec.id, reason: "significant_never", message })
  }
  if (spec.restart === "permanent") {
    const message = `${spec.id} is significant and permanent; transient or temporary is right`
    return new InvalidSpec({ supervisor, childId: spec.id, reason: "significant_permanent", message })
  }
  return undefined
}

const named = (shutdown: Spec["shutdown"]): shutdown is "brutal" | "infinity" =>
  shutdown === "brutal" || shutdown === "infinity"

const outOfRange = (supervisor: string, message: string): InvalidSpec =>
  new InvalidSpec({ supervisor, reason: "out_of_range", message: `${supervisor}: ${message}` })

/** The recorder's worker and collector (`generator/w.erl`) on our actors. */
import { Actor, ExitReason, Registry, Supervisor } from "@starling/actor"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import { type Term, tuple } from "./Terms.ts"

/** An Erlang term as the error of an actor. */
export class Raised extends Data.TaggedError("Raised")<{ readonly term: Term }> {}

export type Message =
  | { readonly _tag: "Stop"; readonly reason: ExitReason.ExitReason; readonly replyTo: Actor.ReplyTo<string> }
  | { readonly _tag: "Slow"; readonly ms: number; readonly replyTo: Actor.ReplyTo<string> }
  | { readonly _tag: "Crash"; readonly replyTo: Actor.ReplyTo<string> }
  | { readonly _tag: "Ping"; readonly replyTo: Actor.ReplyTo<string> }

export interface WorkerOptions {
  readonly init?:
    | "ok"
    | "fail"
    | "ignore"
    | { readonly failOnly: ReadonlyArray<number> }
    | { readonly ignoreOnly: ReadonlyArray<number> }
  readonly stopDelayMs?: number
}

export class Collector {
  readonly events: Array<Term> = []
  private readonly generations = new Map<string, number>()

  push(...event: ReadonlyArray<Term>): void {
    this.events.push(tuple(...event))
  }

  next(id: string): number {
    const generation = (this.generations.get(id) ?? 0) + 1
    this.generations.set(id, generation)
    return generation
  }
}

export const keyOf = (id: string): Registry.RegistryKey<Message> => Registry.key<Message>(id)

export const worker = (collector: Collector, id: string, options: WorkerOptions = {}) =>
  Actor.behavior<Message>()({
    name: id,
    init: () =>
      Effect.suspend((): Effect.Effect<string, Raised | Actor.Ignore> => {
        const generation = collector.next(id)
        const { init = "ok" } = options
        if (
          init === "ignore" ||
          (typeof init === "object" && "ignoreOnly" in init && init.ignoreOnly.includes(generation))
        ) {
          collector.push("ignore", id, generation)
          return Actor.ignore
        }
        if (init === "fail" || (typeof init === "object" && "failOnly" in init && init.failOnly.includes(generation))) {
          collector.push("init_fail", id, generation)
          return Effect.fail(new Raised({ term: init === "fail" ? "boom" : tuple("boom", generation) }))
        }
        collector.push("start", id, generation)
        return Effect.succeed(id)
      }),
    receive: (state, message) => {
      switch (message._tag) {
        case "Stop":
          Actor.replyUnsafe(message.replyTo, "ok")
          return Actor.stop(message.reason)
        case "Ping":
          Actor.replyUnsafe(message.replyTo, "pong")
          return state
        case "Slow":
          return Effect.andThen(
            Effect.sleep(message.ms),
            Effect.sync(() => {
              Actor.replyUnsafe(message.replyTo, "late")
              return state
            })
          )
        case "Crash":
          throw new Raised({ term: "crash" })
      }
    },
    terminate: (_, reason) =>
      Effect.andThen(
        options.stopDelayMs === undefined ? Effect.void : Effect.sleep(options.stopDelayMs),
        Effect.sync(() => collector.push("terminate", id, termOf(reason)))
      )
  })

/** The recorder's `spec(Id, WorkerOptions, Overrides)`: registered under its id, OTP's defaults. */
export const spec = (
  collector: Collector,
  id: string,
  options: WorkerOptions = {},
  overrides: Omit<Supervisor.Options<Message>, "id" | "key"> = {}
): Supervisor.ChildSpec<never> => Supervisor.childSpec(worker(collector, id, options), { ...overrides, key: keyOf(id) })

/** Reasons by the table of the README. */
export const termOf = (reason: ExitReason.DownReason): Term => {
  switch (reason._tag) {
    case "Normal":
      return "normal"
    case "Shutdown":
      return reason.detail === undefined ? "shutdown" : tuple("shutdown", detailOf(reason.detail))
    case "Killed":
      return "killed"
    case "NoProc":
      return "noproc"
    case "Failed": {
      const first = reason.cause.reasons[0]
      const error = first?._tag === "Fail" ? first.error : first?._tag === "Die" ? first.defect : undefined
      return error instanceof Raised ? error.term : "unknown"
    }
  }
}

const detailOf = (detail: unknown): Term => {
  if (detail instanceof Supervisor.StartError)
    return tuple("failed_to_start_child", detail.childId, termOf(detail.reason))
  return String(detail)
}

export const reasonOf = (text: string): ExitReason.ExitReason => {
  const detail = /^\{shutdown,(.*)\}$/.exec(text)?.[1]
  if (detail !== undefined) return ExitReason.shutdownWith(detail)
  if (text === "normal") return ExitReason.normal
  return text === "shutdown" ? ExitReason.shutdown : ExitReason.failure(new Raised({ term: text }))
}

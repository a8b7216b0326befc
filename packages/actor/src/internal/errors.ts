/** Typed failures that more than one public module shares. */
import * as Data from "effect/Data"

export class Ignore extends Data.TaggedError("Ignore")<{}> {}

export class NameTaken extends Data.TaggedError("NameTaken")<{ readonly key: string }> {
  override get message(): string {
    return `the name ${this.key} is taken by a living actor`
  }
}

export class InvalidMailbox extends Data.TaggedError("InvalidMailbox")<{
  readonly actor: string
  readonly capacity: number
}> {
  override get message(): string {
    return `the mailbox of ${this.actor} has a capacity of ${this.capacity}; at least 1 is right`
  }
}

export class StartTimeout extends Data.TaggedError("StartTimeout")<{
  readonly actor: string
  readonly timeoutMs: number
}> {
  override get message(): string {
    return `init of ${this.actor} had not returned after ${this.timeoutMs} ms`
  }
}

/**
 * For errors that answer a question: their stack would show the run queue and nobody's code, and to capture it costs more
 * than the question does.
 */
export const withoutStack = <E>(make: () => E): E => {
  const limited = Error as unknown as { stackTraceLimit: number }
  const { stackTraceLimit } = limited
  limited.stackTraceLimit = 0
  try {
    return make()
  } finally {
    limited.stackTraceLimit = stackTraceLimit
  }
}

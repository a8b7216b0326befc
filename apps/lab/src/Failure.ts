/**
 * How a command fails: what is wrong, what would be right, and the exit code that scripts read.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"
import * as Runtime from "effect/Runtime"

/** @since 0.1.0 */
export const exitCodes = {
  /** Something that was promised is broken. */
  findings: 1,
  usage: 5
} as const

/**
 * `message` "" prints nothing: the answer itself said it. `next` says what would be right.
 *
 * @since 0.1.0
 * @category errors
 */
export class Failure extends Data.TaggedError("Failure")<{
  readonly code: (typeof exitCodes)[keyof typeof exitCodes]
  readonly message: string
  readonly next?: string
}> {
  override readonly [Runtime.errorReported] = false
  override get [Runtime.errorExitCode](): number {
    return this.code
  }
}

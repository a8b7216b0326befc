/**
 * How a command fails: what is wrong, what to do about it, and the exit code that scripts read.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"
import * as Runtime from "effect/Runtime"

/** @since 0.1.0 */
export const exitCodes = {
  error: 1,
  /** A node failed or rejected the change. */
  failed: 2,
  /** Nodes are pending when time is up, or nothing more can happen. */
  pending: 3,
  /** A target is unreachable, or a data centre stale. */
  incomplete: 4,
  usage: 5,
  notAllowed: 6,
  /** No agent answers. */
  noAgent: 7
} as const

/**
 * `message` says what and where; "" prints nothing, because the answer itself said it. `next` says what would be right.
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

/**
 * How a command fails: what is wrong, what would be right, and the exit code that scripts read.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"
import * as Runtime from "effect/Runtime"
import process from "node:process"

/** @since 0.1.0 */
export const exitCodes = {
  /** Something that was promised is broken. */
  findings: 1,
  usage: 5,
  interrupted: 130
} as const

/** From here on an interruption does not hide that something is broken: it ends with that code. @since 0.1.0 */
export const foundBroken = (): void => void (process.exitCode = exitCodes.findings)

/** Of a process that was interrupted. @since 0.1.0 */
export const interruptedCode = (): number =>
  process.exitCode === exitCodes.findings ? exitCodes.findings : exitCodes.interrupted

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

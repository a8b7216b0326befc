/**
 * The log lines of reports. A storm of crashes must not drown the log, nor the process that writes it: the lines of each
 * kind are limited, so that many of one kind never hide another, and what was left out is counted in the next line. OTP's
 * logger does the same to all lines together (logger_std_h, burst limit: 500 events in a second).
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as LogLevel from "effect/LogLevel"
import * as References from "effect/References"
import type { Report } from "../Report.ts"

/** Of one kind. Our choice: a person reads no more; a hundredth of what a system can crash in a second. */
const linesPerSecond = 100

export class Log {
  private readonly now: () => number
  private second = Number.NEGATIVE_INFINITY
  private readonly lines = new Map<Report["_tag"], number>()
  private leftOut = 0

  constructor(now: () => number) {
    this.now = now
  }

  /** Nothing to wait for if the context logs no such line. */
  write(report: Report, context: Context.Context<never>): Effect.Effect<void> {
    const level = levelOf[report._tag]
    if (level === undefined || LogLevel.isGreaterThan(Context.get(context, References.MinimumLogLevel), level)) {
      return Exit.void
    }
    const now = this.now()
    // A clock that was set back begins anew, too.
    if (Math.abs(now - this.second) >= 1000) {
      this.second = now
      this.lines.clear()
    }
    const lines = this.lines.get(report._tag) ?? 0
    if (lines === linesPerSecond) {
      this.leftOut++
      return Exit.void
    }
    this.lines.set(report._tag, lines + 1)
    const { leftOut } = this
    this.leftOut = 0
    if (leftOut === 0) return written(report, level)
    const missing = `${leftOut} reports were not logged: more than ${linesPerSecond} of a kind in a second`
    return Effect.andThen(Effect.annotateLogs(Effect.logWarning(missing), { leftOut }), written(report, level))
  }
}

const levelOf: { readonly [Tag in Report["_tag"]]: LogLevel.Severity | undefined } = {
  Progress: "Debug",
  // Said by the crash report that follows.
  Terminated: undefined,
  Crashed: "Error",
  ChildTerminated: "Warn",
  StartFailed: "Error",
  ShutdownFailed: "Warn",
  GaveUp: "Error",
  Abandoned: "Error",
  Warning: "Warn"
}

const written = (report: Report, level: LogLevel.Severity): Effect.Effect<void> => {
  const { _tag, ...rest } = report
  return Effect.annotateLogs(Effect.logWithLevel(level)(textOf(report)), { report: _tag, ...rest })
}

const textOf = (report: Report): string => {
  switch (report._tag) {
    case "Progress":
      return `${report.child} started`
    case "Terminated":
    case "Crashed":
      return `${report.actor} crashed: ${report.reason}`
    case "ChildTerminated":
      return `${report.child} ended: ${report.reason}`
    case "StartFailed":
      return `${report.child} did not start: ${report.reason}`
    case "ShutdownFailed":
      return `${report.child} did not stop in order: ${report.reason}`
    case "GaveUp":
      return `${report.supervisor} gives up: ${report.child} ${report.reason}`
    case "Abandoned":
      return `${report.actor} cannot be killed, abandoned`
    case "Warning":
      return report.message
  }
}

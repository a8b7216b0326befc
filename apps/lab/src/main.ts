#!/usr/bin/env node
/**
 * Where the laboratory begins: `lab list`, `lab run`, `lab soak`. Standard output carries answers, standard error what
 * is under way and what is wrong. Exit codes: 0 nothing is broken, 1 something is, 5 usage, 130 interrupted.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Cause from "effect/Cause"
import * as CliConfig from "effect/cli/CliConfig"
import * as CliError from "effect/cli/CliError"
import * as CliOutput from "effect/cli/CliOutput"
import * as Command from "effect/cli/Command"
import * as GlobalFlag from "effect/cli/GlobalFlag"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Runtime from "effect/Runtime"
import { list } from "./commands/list.ts"
import { run } from "./commands/run.ts"
import { soak } from "./commands/soak.ts"
import { exitCodes, Failure } from "./Failure.ts"

const lab = Command.make("lab").pipe(
  Command.withDescription("Runs the scenarios of @starling/testing: whole fleets in virtual time, by a seed."),
  Command.withSubcommands([list, run, soak])
)

/** A command that needs another word prints its help, an invalid one what is wrong; both on standard error. */
const presenter = CliOutput.layerPresenter({
  present: (event) => {
    if (event._tag === "Help" && event.reason === "Implicit") {
      return Effect.flatMap(CliOutput.Formatter, (formatter) => Console.error(formatter.formatHelpDoc(event.helpDoc)))
    }
    if (event._tag !== "InvalidInvocation") return CliOutput.defaultPresenter.present(event)
    const lines = event.errors.map((error) => `lab: ${error.message}`)
    return Console.error([...lines, `  see \`${event.commandPath.join(" ")} --help\``].join("\n"))
  }
})

const report = (cause: Cause.Cause<unknown>): string => {
  if (Cause.hasInterruptsOnly(cause)) return ""
  const error = Cause.squash(cause)
  if (CliError.isCliError(error)) return ""
  if (error instanceof Failure) {
    if (error.message === "") return ""
    return [`lab: ${error.message}`, ...(error.next === undefined ? [] : [`  ${error.next}`])].join("\n")
  }
  return `lab: this is a fault of the lab itself, please report it\n${Cause.pretty(cause)}`
}

const program = Command.run(lab, { version: "0.1.0" }).pipe(
  Effect.tapCause((cause) => {
    const text = report(cause)
    return text === "" ? Effect.void : Console.error(text)
  }),
  Effect.provide(
    Layer.mergeAll(NodeServices.layer, presenter, CliConfig.layer({ builtIns: [GlobalFlag.Help, GlobalFlag.Version] }))
  )
)

NodeRuntime.runMain(program, {
  disableErrorReporting: true,
  teardown: (exit, done) => {
    if (Exit.isSuccess(exit)) return done(0)
    if (Cause.hasInterruptsOnly(exit.cause)) return done(130)
    if (CliError.isCliError(Cause.squash(exit.cause))) return done(exitCodes.usage)
    return Runtime.defaultTeardown(exit, done)
  }
})

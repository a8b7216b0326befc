/**
 * Runs a program of commands as the whole process. Standard output carries answers, standard error what is under way and
 * what is wrong. Exit codes: 0 nothing is broken, 1 something is (also if interrupted after that was found), 5 usage,
 * 130 interrupted.
 *
 * @since 0.1.0
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
import { exitCodes, Failure, interruptedCode } from "./Failure.ts"

/** @since 0.1.0 */
export const runMain = <Name extends string, Input, Context, E>(
  command: Command.Command<Name, Input, Context, E, NodeServices.NodeServices>
): void => {
  const { name } = command
  const program = Command.run(command, { version: "0.2.0" }).pipe(
    Effect.tapCause((cause) => {
      const text = report(name, cause)
      return text === "" ? Effect.void : Console.error(text)
    }),
    Effect.provide(
      Layer.mergeAll(
        NodeServices.layer,
        presenter(name),
        CliConfig.layer({ builtIns: [GlobalFlag.Help, GlobalFlag.Version] })
      )
    )
  )
  NodeRuntime.runMain(program, {
    disableErrorReporting: true,
    teardown: (exit, done) => {
      if (Exit.isSuccess(exit)) return done(0)
      if (Cause.hasInterruptsOnly(exit.cause)) return done(interruptedCode())
      if (CliError.isCliError(Cause.squash(exit.cause))) return done(exitCodes.usage)
      return Runtime.defaultTeardown(exit, done)
    }
  })
}

/** A command that needs another word prints its help, an invalid one what is wrong; both on standard error. */
const presenter = (name: string) =>
  CliOutput.layerPresenter({
    present: (event) => {
      if (event._tag === "Help" && event.reason === "Implicit") {
        return Effect.flatMap(CliOutput.Formatter, (formatter) => Console.error(formatter.formatHelpDoc(event.helpDoc)))
      }
      if (event._tag !== "InvalidInvocation") return CliOutput.defaultPresenter.present(event)
      const lines = event.errors.map((error) => `${name}: ${error.message}`)
      return Console.error([...lines, `  see \`${event.commandPath.join(" ")} --help\``].join("\n"))
    }
  })

const report = (name: string, cause: Cause.Cause<unknown>): string => {
  if (Cause.hasInterruptsOnly(cause)) return ""
  const error = Cause.squash(cause)
  if (CliError.isCliError(error)) return ""
  if (error instanceof Failure) {
    if (error.message === "") return ""
    return [`${name}: ${error.message}`, ...(error.next === undefined ? [] : [`  ${error.next}`])].join("\n")
  }
  return `${name}: this is a fault of the ${name} itself, please report it\n${Cause.pretty(cause)}`
}

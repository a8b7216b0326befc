/**
 * The command line. Standard output carries answers and nothing else; errors go to standard error and say what is wrong,
 * where, and what would be right; exit codes are those of `Failure.ts`.
 *
 * Every module that is imported here is paid for by every command, so the agent, the client and the demo are loaded by
 * the handlers that need them.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeStdio from "@effect/platform-node/NodeStdio"
import * as NodeTerminal from "@effect/platform-node/NodeTerminal"
import * as Cause from "effect/Cause"
import * as CliConfig from "effect/cli/CliConfig"
import * as CliError from "effect/cli/CliError"
import * as CliOutput from "effect/cli/CliOutput"
import * as Command from "effect/cli/Command"
import * as GlobalFlag from "effect/cli/GlobalFlag"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Path from "effect/Path"
import * as ChildProcessSpawner from "effect/process/ChildProcessSpawner"
import * as Runtime from "effect/Runtime"
import { agent } from "./commands/agent.ts"
import { clock } from "./commands/clock.ts"
import * as Completion from "./commands/completion.ts"
import { config } from "./commands/config.ts"
import { demo } from "./commands/demo.ts"
import { event, events } from "./commands/events.ts"
import { nodes, offline, publishers, status } from "./commands/fleet.ts"
import { debug, peers, tree } from "./commands/inner.ts"
import { exitCodes, Failure } from "./Failure.ts"
import * as Interrupted from "./interrupted.ts"
import * as Closed from "./output/Closed.ts"
import { root } from "./root.ts"
import { version } from "./version.ts"

/** The annotations break the circle: `completion` describes the command that contains it. */
const all = (): Command.Command.Any => main
const completion: Command.Command<"completion", { readonly shell: "bash" | "zsh" | "fish" }> = Completion.make(all)

const main = root.pipe(
  Command.withSubcommands([
    { group: "Run", commands: [agent, demo] },
    { group: "Ask", commands: [status, nodes, publishers, offline, events, peers, tree, clock] },
    { group: "Change", commands: [config, event] },
    { group: "Tools", commands: [debug, completion] }
  ])
)

/** A command that needs another word prints its help, an invalid one what is wrong; both on standard error. */
const presenter = CliOutput.layerPresenter({
  present: (event) => {
    if (event._tag === "Help" && event.reason === "Implicit") {
      return Effect.flatMap(CliOutput.Formatter, (formatter) => Console.error(formatter.formatHelpDoc(event.helpDoc)))
    }
    if (event._tag !== "InvalidInvocation") return CliOutput.defaultPresenter.present(event)
    const lines = event.errors.map((error) => `starling: ${error.message}`)
    return Console.error([...lines, `  see \`${event.commandPath.join(" ")} --help\``].join("\n"))
  }
})

/** What went wrong, for people; `""` when the command has said it all. */
const report = (cause: Cause.Cause<unknown>): string => {
  if (Cause.hasInterruptsOnly(cause)) return ""
  const error = Cause.squash(cause)
  if (CliError.isCliError(error)) return ""
  if (error instanceof Failure) {
    if (error.message === "") return ""
    const lines = error.message.split("\n").map((line) => `starling: ${line}`)
    return [...lines, ...(error.next === undefined ? [] : [`  ${error.next}`])].join("\n")
  }
  // Errors that say which exit code they want are meant for people.
  if (error instanceof Error && Runtime.errorExitCode in error) return `starling: ${error.message}`
  return `starling: this is a fault of starling itself, please report it\n${Cause.pretty(cause)}`
}

/**
 * What a question needs of Node. The command line's own use of files and processes is for flags that there are none of
 * here; who really needs them brings them: the agent reads a file, the demo starts processes.
 */
const services = Layer.mergeAll(
  NodeStdio.layer,
  NodeTerminal.layer,
  Path.layer,
  FileSystem.layerNoop({}),
  Layer.succeed(
    ChildProcessSpawner.ChildProcessSpawner,
    ChildProcessSpawner.make(() => Effect.die(new Error("no command starts processes by itself")))
  )
)

const program = Command.run(main, { version }).pipe(
  Effect.tapCause((cause) => {
    const text = report(cause)
    return text === "" ? Effect.void : Console.error(text)
  }),
  Effect.provide(
    Layer.mergeAll(services, presenter, CliConfig.layer({ builtIns: [GlobalFlag.Help, GlobalFlag.Version] }))
  )
)

Closed.listen()
NodeRuntime.runMain(program, {
  disableErrorReporting: true,
  teardown: (exit, done) => {
    if (Exit.isSuccess(exit)) return done(0)
    if (Cause.hasInterruptsOnly(exit.cause)) return done(Interrupted.exitCode.onInterrupt)
    if (CliError.isCliError(Cause.squash(exit.cause))) return done(exitCodes.usage)
    return Runtime.defaultTeardown(exit, done)
  }
})

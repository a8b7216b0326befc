/**
 * Removes a demo's temporary data after the demo is gone. It waits for the end of its input, which is the demo's end;
 * then the agents, which wait for the same, need a moment to close their files.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Schedule from "effect/Schedule"
import * as Stdio from "effect/Stdio"
import * as Stream from "effect/Stream"
import process from "node:process"

const program = Effect.gen(function* () {
  const directory = process.argv[2]
  if (directory === undefined || !directory.includes("starling-demo-")) return
  const { stdin } = yield* Stdio.Stdio
  yield* Effect.ignore(Stream.runDrain(stdin))
  const files = yield* FileSystem.FileSystem
  yield* files
    .remove(directory, { recursive: true, force: true })
    .pipe(Effect.ignore, Effect.repeat(Schedule.both(Schedule.spaced("500 millis"), Schedule.recurs(8))))
})

// A Ctrl-C in the terminal is meant for the demo; the janitor ends after it.
process.on("SIGINT", () => undefined)

program.pipe(Effect.provide(NodeServices.layer), NodeRuntime.runMain({ disableErrorReporting: true }))

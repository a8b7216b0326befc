/**
 * Ends what a demo started and removes its temporary data, after the demo is gone and however it ended.
 *
 * Its input tells which processes there are, a line each: `+PID` when one begins, `-PID` when one has ended. The end of
 * its input is the end of the demo. Who is still there then has nobody to say goodbye to, so it is killed at once.
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeStdio from "@effect/platform-node/NodeStdio"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as Stdio from "effect/Stdio"
import * as Stream from "effect/Stream"
import process from "node:process"

/** A process that is just being killed, or that was not told of, may write once more; soon nobody does. Our choice. */
const attempts = { schedule: Schedule.spaced("100 millis"), times: 100 }

const program = Effect.gen(function* () {
  const directory = process.argv[2]
  if (directory === undefined || !directory.includes("starling-demo-")) return
  const { stdin } = yield* Stdio.Stdio
  const left = new Set<number>()
  yield* stdin.pipe(
    Stream.decodeText,
    Stream.splitLines,
    Stream.runForEach((line) =>
      Effect.sync(() => {
        const pid = Number(line.slice(1))
        if (!Number.isSafeInteger(pid) || pid <= 1) return
        if (line.startsWith("+")) left.add(pid)
        else left.delete(pid)
      })
    ),
    Effect.ignore
  )
  for (const pid of left) kill(pid)
  const files = yield* FileSystem.FileSystem
  yield* Effect.retry(files.remove(directory, { recursive: true, force: true }), attempts)
})

/** Each process leads a group of its own. One that has ended by itself is not there any more, which is fine. */
const kill = (pid: number): void => {
  try {
    process.kill(process.platform === "win32" ? pid : -pid, "SIGKILL")
  } catch {
    return
  }
}

// A Ctrl-C in the terminal is meant for the demo; the janitor ends after it.
process.on("SIGINT", () => undefined)

program.pipe(
  Effect.ignore,
  Effect.provide(Layer.merge(NodeFileSystem.layer, NodeStdio.layer)),
  NodeRuntime.runMain({ disableErrorReporting: true })
)

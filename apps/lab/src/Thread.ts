/**
 * A long computation in a thread of its own, so that the one who asked can tell how far it is, and be interrupted. The
 * module that runs there calls `serve` with what it computes from `workerData`.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import process from "node:process"
import { parentPort, Worker } from "node:worker_threads"
import { exitCodes, Failure } from "./Failure.ts"
import * as Options from "./options.ts"

/** @since 0.1.0 @category models */
export interface Answer<Result> {
  /** Plain data: it is copied between threads. */
  readonly result: Result
  /** Of this thread alone, without what the engine does beside it. */
  readonly processorSeconds: number
}

type Report<Result> =
  | { readonly _tag: "Progress"; readonly text: string }
  | { readonly _tag: "Done"; readonly answer: Answer<Result> }

/** Heap of a thread, in MiB, where nothing else is said. Our choice: a fleet of 10,000 takes about half. */
const heapMibDefault = 3400

/**
 * Runs a module that calls `serve`. Fails if the thread ends without an answer. The engine lets a heap grow up to `heapMib`
 * before it takes the trouble to clear it.
 *
 * @since 0.1.0
 * @category running
 */
export const run = <Result>(
  module: URL,
  workerData: unknown,
  progress: (text: string) => void,
  heapMib = heapMibDefault
): Effect.Effect<Answer<Result>, Failure> =>
  Effect.callback((resume) => {
    const resourceLimits = { ...Options.resourceLimits, maxOldGenerationSizeMb: heapMib }
    const worker = new Worker(module, { workerData, resourceLimits })
    const failed = (what: string) =>
      resume(Effect.fail(new Failure({ code: exitCodes.findings, message: `the thread ended: ${what}` })))
    worker.on("message", (report: Report<Result>) => {
      if (report._tag === "Progress") progress(report.text)
      else resume(Effect.succeed(report.answer))
    })
    worker.on("error", (error) => failed(error instanceof Error ? (error.stack ?? error.message) : String(error)))
    worker.on("exit", (code) => failed(`code ${code}`))
    return Effect.sync(() => void worker.terminate())
  })

/** Inside the thread. @since 0.1.0 @category running */
export const serve = <Result>(compute: (progress: (text: string) => void) => Result): void => {
  const report = (one: Report<Result>): void => parentPort?.postMessage(one)
  const result = compute((text) => report({ _tag: "Progress", text }))
  const { system, user } = process.threadCpuUsage()
  report({ _tag: "Done", answer: { result, processorSeconds: (system + user) / 1_000_000 } })
}

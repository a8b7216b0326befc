/** A process at the root of a tree: it lives as long as a Scope. */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import { System } from "../System.ts"
import { Ignore } from "./errors.ts"
import type { ErasedBehavior } from "./model.ts"
import { Process } from "./process.ts"
import { runtimeOf } from "./runtime.ts"
import { type Shutdown, startWithin, stopProcess } from "./stopping.ts"
import { contextOf } from "./context.ts"

/** Fails with what `init` failed with. */
export const spawnProcess: (
  behavior: ErasedBehavior,
  key: string | undefined,
  shutdown: Shutdown,
  startTimeoutMs?: number
) => Effect.Effect<Process, unknown, Scope.Scope | System> = Effect.fnUntraced(function* (
  behavior: ErasedBehavior,
  key: string | undefined,
  shutdown: Shutdown,
  startTimeoutMs: number = Number.POSITIVE_INFINITY
) {
  const runtime = runtimeOf(yield* System)
  const context = yield* contextOf()
  const link = yield* Scope.fork(yield* Scope.Scope)
  const process = new Process(behavior, { runtime, context, key })
  yield* Scope.addFinalizer(link, stopProcess(process, shutdown))
  process.launch()
  // The Scope forgets an actor that has ended.
  process.watch(() => runtime.defer(() => void Effect.runForkWith(context)(Scope.close(link, Exit.void))))
  const outcome = yield* startWithin(process, startTimeoutMs)
  switch (outcome._tag) {
    case "Running":
      return process
    case "Ignored":
      return yield* new Ignore()
    case "Failed":
      return yield* Effect.failCause(outcome.cause)
  }
})

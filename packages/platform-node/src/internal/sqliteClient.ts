/**
 * The store's thread as the rest of the process sees it: requests with answers, until it is closed or dies.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { Worker } from "node:worker_threads"
import type { Answer, Failure, Request } from "./sqliteProtocol.ts"

export interface Client {
  readonly ask: (request: Request) => Effect.Effect<unknown, Failure>
}

/** Starts the thread; it ends with the scope. */
export const make: Effect.Effect<Client, never, Scope.Scope> = Effect.gen(function* () {
  const waiting = new Map<number, (reply: Effect.Effect<unknown, Failure>) => void>()
  let dead: Failure | undefined
  let last = 0

  const die = (message: string): void => {
    dead ??= { errcode: 0, message }
    const failed = [...waiting.values()]
    waiting.clear()
    for (const resume of failed) resume(Effect.fail(dead))
  }

  const worker = yield* Effect.acquireRelease(
    Effect.sync(() => new Worker(location)),
    (worker) => Effect.promise(() => worker.terminate())
  )
  worker.on("message", (answer: Answer) => {
    const resume = waiting.get(answer.id)
    waiting.delete(answer.id)
    resume?.(answer.ok ? Effect.succeed(answer.value) : Effect.fail(answer.failure))
  })
  worker.on("error", (error) => die(`the thread of the store died: ${error instanceof Error ? error.message : "?"}`))
  worker.on("exit", () => die("the store is closed"))

  return {
    ask: (request) =>
      Effect.callback((resume) => {
        if (dead !== undefined) return resume(Effect.fail(dead))
        const id = ++last
        waiting.set(id, resume)
        worker.postMessage({ id, request }, [])
      })
  }
})

/** Beside this file, as a source or as it was compiled. */
const location = new URL(import.meta.url.endsWith(".ts") ? "./sqliteWorker.ts" : "./sqliteWorker.js", import.meta.url)

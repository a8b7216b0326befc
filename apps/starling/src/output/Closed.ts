/**
 * Whether anybody still reads what is printed. `starling nodes | head` closes the pipe before everything is written; the
 * answer was given all the same, so the rest is dropped without a word and the exit code stays what the answer says.
 * What would print for ever ends instead.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import process from "node:process"

let isClosed = false
const waiting = new Set<() => void>()

const onError = (): void => {
  isClosed = true
  for (const resume of waiting) resume()
}

/** Takes over the errors of both outputs, for as long as the process lives. @since 0.1.0 @category running */
export const listen = (): void => {
  process.stdout.on("error", onError)
  // Nobody is left to whom an error about standard error could be told.
  process.stderr.on("error", () => {})
}

/** Returns once something was printed that nobody reads. @since 0.1.0 */
export const closed: Effect.Effect<void> = Effect.callback((resume) => {
  const done = (): void => resume(Effect.void)
  if (isClosed) return done()
  waiting.add(done)
  return Effect.sync(() => waiting.delete(done))
})

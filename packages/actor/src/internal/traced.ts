/** A span around each handler of a behaviour. */
import * as Effect from "effect/Effect"
import type { ErasedBehavior } from "./model.ts"
import type { Process } from "./process.ts"

export const tracedBehavior = (
  behavior: ErasedBehavior,
  sample: ((message: unknown) => boolean) | undefined
): ErasedBehavior => ({
  ...behavior,
  receive: (state, message, self) =>
    sample !== undefined && !sample(message)
      ? behavior.receive(state, message, self)
      : spanned(self, tagOf(message), () => behavior.receive(state, message, self)),
  ...(behavior.signal === undefined
    ? {}
    : {
        signal: (state, signal, self) => spanned(self, signal._tag, () => behavior.signal?.(state, signal, self))
      })
})

const spanned = (self: Process, tag: string, handle: () => unknown): Effect.Effect<unknown, unknown> =>
  Effect.suspend(() => {
    const result = handle()
    return Effect.isEffect(result) ? (result as Effect.Effect<unknown, unknown>) : Effect.succeed(result)
  }).pipe(
    Effect.withSpan(`${self.name} ${tag}`, {
      attributes: {
        "actor.path": self.pathText,
        "actor.incarnation": self.incarnation,
        "actor.message": tag,
        "actor.mailbox": self.waiting
      }
    })
  )

const tagOf = (message: unknown): string => {
  if (typeof message === "string") return message.slice(0, 64)
  const tag = typeof message === "object" && message !== null && "_tag" in message ? message._tag : undefined
  return typeof tag === "string" ? tag : typeof message
}

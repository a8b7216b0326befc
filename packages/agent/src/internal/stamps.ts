/**
 * Stamps for what the application itself says and hears: drawn from the node's clock, and merged into it.
 */
import { Guard, Stamp } from "@starling/clock"
import * as Effect from "effect/Effect"
import { StampRefused, Unavailable } from "../Agent.ts"
import * as Host from "./host.ts"

/** How many may wait for the time at once; one more is refused. Our choice, as of requests to components. */
const waitingMax = 4096

/** As long as other requests wait for an answer. */
const within = "10 seconds"

export const draw = (host: Host.Host): Effect.Effect<Stamp.Stamp, Unavailable> =>
  timed(host, () => Effect.succeed(Host.stampNow(host)))

export const observe = (host: Host.Host, received: Stamp.Stamp): Effect.Effect<void, StampRefused | Unavailable> =>
  timed(host, () => {
    const verdict = Host.observe(host, received)
    switch (verdict._tag) {
      case "Follow":
        return Effect.void
      case "Hold":
        return Effect.fail(new StampRefused({ stamp: received, message: clockless(received) }))
      case "TimestampAhead":
        return Effect.fail(new StampRefused({ stamp: received, message: Guard.message(verdict) }))
    }
  })

const clockless = (received: Stamp.Stamp): string =>
  `stamp ${Stamp.toText(received)} is not followed: this node has neither a clock nor a fleet to judge it by`

/** Waits, first, for the node to know what time it is: a stamp cannot be taken back. */
const timed = <A, E>(host: Host.Host, use: () => Effect.Effect<A, E>): Effect.Effect<A, E | Unavailable> => {
  // Looking and using are one turn.
  const attempt: Effect.Effect<A, E | Unavailable> = Effect.suspend(() =>
    isOpen(host) ? use() : Effect.andThen(opened(host), attempt)
  )
  return Effect.suspend(() =>
    isOpen(host)
      ? use()
      : Effect.timeoutOrElse(attempt, {
          duration: within,
          orElse: () => Effect.fail(new Unavailable({ message: unknown }))
        })
  )
}

const isOpen = ({ clock }: Host.Host): boolean => clock.phase === "open"

const opened = (host: Host.Host): Effect.Effect<void, Unavailable> =>
  Effect.callback<void, Unavailable>((resume) => {
    if (isOpen(host)) return resume(Effect.void)
    if (host.onOpen.size >= waitingMax) return resume(Effect.fail(new Unavailable({ message: crowded })))
    // It is called back within a component's turn, and goes on after it.
    const open = (): void => resume(Effect.yieldNow)
    host.onOpen.add(open)
    return Effect.sync(() => void host.onOpen.delete(open))
  })

const crowded = `this node does not know yet what time it is, and ${waitingMax} wait for that already; try again in some seconds`

const unknown = "this node does not know yet what time it is, and did not learn it within 10 s; try again"

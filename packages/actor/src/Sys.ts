/**
 * A look into a running actor, and a halt, for tests and for whoever debugs: OTP's `sys`, without what changes the state.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { ActorRef } from "./Actor.ts"
import type { Address } from "./internal/model.ts"

/**
 * The last state that `init` or a handler returned, as it is now: no message is sent, and nobody waits. None for who has
 * not started or has ended, and for a supervisor, of which `Tree` tells. OTP: `sys:get_state`.
 *
 * @since 0.1.0
 */
export const getState = (ref: ActorRef<never>): Effect.Effect<Option.Option<unknown>> =>
  Effect.sync(() => {
    const process = (ref as unknown as Address).resolveProcess()
    const isUp = process !== undefined && process.phase !== "starting" && !process.isDead
    return isUp && process.supervision === undefined ? Option.some(process.state) : Option.none()
  })

/**
 * From the next message boundary on the actor handles neither messages nor signals nor timers; they wait, as many as its
 * mailbox has room for, until `resume`. A stop and a kill end it as always. One that starts is suspended once it has.
 * OTP: `sys:suspend`.
 *
 * @since 0.1.0
 */
export const suspend = (ref: ActorRef<never>): Effect.Effect<void> =>
  Effect.sync(() => (ref as unknown as Address).resolveProcess()?.suspend())

/** OTP: `sys:resume`. @since 0.1.0 */
export const resume = (ref: ActorRef<never>): Effect.Effect<void> =>
  Effect.sync(() => (ref as unknown as Address).resolveProcess()?.resume())

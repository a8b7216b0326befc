/**
 * Names of actors, and the stable addresses behind which incarnations come and go.
 *
 * A name belongs to one system. A child spec or `spawn` with a `key` registers the actor before its init runs; the name
 * is free again before anybody hears of its end. With `onRestart: "keep"` the name and its mailbox stay while the
 * supervisor restarts the actor, and what is sent meanwhile waits.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { ActorRef } from "./Actor.ts"
import type { Address } from "./internal/model.ts"
import { type Runtime, runtimeOf } from "./internal/runtime.ts"
import { System } from "./System.ts"

/** @since 0.1.0 @category models */
export interface RegistryKey<in out Msg> {
  readonly key: string
  readonly "~starling/actor/RegistryKey": (_: Msg) => Msg
}

/** @since 0.1.0 @category constructors */
export const key = <Msg>(name: string): RegistryKey<Msg> => ({ key: name }) as unknown as RegistryKey<Msg>

/** The incarnation that holds the name now; none while it restarts. @since 0.1.0 */
export const whereIs = <Msg>(key: RegistryKey<Msg>): Effect.Effect<Option.Option<ActorRef<Msg>>, never, System> =>
  Effect.map(System, (system) => whereIsUnsafe(system, key))

/** @since 0.1.0 */
export const whereIsUnsafe = <Msg>(system: System["Service"], key: RegistryKey<Msg>): Option.Option<ActorRef<Msg>> =>
  Option.fromUndefinedOr(runtimeOf(system).names.get(key.key)?.owner as unknown as ActorRef<Msg> | undefined)

/**
 * The address of the name, looked up anew for each message: it can be made before the actor is, and outlives it.
 *
 * @since 0.1.0
 */
export const via = <Msg>(key: RegistryKey<Msg>): Effect.Effect<ActorRef<Msg>, never, System> =>
  Effect.map(System, (system) => viaUnsafe(system, key))

/** @since 0.1.0 */
export const viaUnsafe = <Msg>(system: System["Service"], key: RegistryKey<Msg>): ActorRef<Msg> =>
  new Via(runtimeOf(system), key.key) as unknown as ActorRef<Msg>

/** Every name that is held, sorted. @since 0.1.0 */
export const names: Effect.Effect<ReadonlyArray<string>, never, System> = Effect.map(System, (system) =>
  [...runtimeOf(system).names.keys()].toSorted()
)

class Via implements Address {
  readonly id: number
  readonly name: string
  readonly runtime: Runtime

  constructor(runtime: Runtime, name: string) {
    this.id = runtime.nextId()
    this.name = name
    this.runtime = runtime
  }

  resolveBox() {
    return this.runtime.names.get(this.name)
  }

  resolveProcess() {
    return this.runtime.names.get(this.name)?.owner
  }
}

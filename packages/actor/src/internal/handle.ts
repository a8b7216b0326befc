/** What the two supervisor modules share: specs with their types forgotten, and the calls of a handle. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { ActorRef, Behavior } from "../Actor.ts"
import type * as ExitReason from "../ExitReason.ts"
import type { OnRestart } from "../Mailbox.ts"
import type { RegistryKey } from "../Registry.ts"
import { erase } from "./erase.ts"
import type { Address, ErasedBehavior } from "./model.ts"
import type { Process } from "./process.ts"
import type { Shutdown } from "./stopping.ts"
import type { AutoShutdown, Backoff, Child, Options, Restart, Spec, Strategy } from "./supervision.ts"

export interface ChildOptions<in out Msg> {
  readonly id?: string
  readonly key?: RegistryKey<Msg>
  readonly restart?: Restart
  readonly shutdown?: Shutdown
  readonly type?: "worker" | "supervisor"
  readonly significant?: boolean
  readonly onRestart?: OnRestart
  readonly startTimeout?: Duration.Input
}

export const specOf = <Msg, S, E, R>(behavior: Behavior<Msg, S, E, R>, options: ChildOptions<Msg>): Spec =>
  erasedSpec(erase(behavior), options)

export const erasedSpec = <Msg>(behavior: ErasedBehavior, options: ChildOptions<Msg>): Spec => {
  const type = options.type ?? "worker"
  return {
    id: options.id ?? behavior.name,
    behavior,
    key: options.key?.key,
    restart: options.restart ?? "permanent",
    shutdown: options.shutdown ?? (type === "supervisor" ? "infinity" : 5000),
    type,
    significant: options.significant ?? false,
    onRestart: options.onRestart ?? "drop",
    startTimeoutMs:
      options.startTimeout === undefined ? Number.POSITIVE_INFINITY : Duration.toMillis(options.startTimeout)
  }
}

export interface Limits {
  readonly intensity?: number
  readonly period?: Duration.Input
  readonly backoff?: Backoff
}

/** OTP's defaults: one restart in five seconds. */
export const optionsOf = (
  name: string,
  limits: Limits,
  rest: {
    readonly strategy: Strategy
    readonly autoShutdown: AutoShutdown
    readonly dynamic: Options["dynamic"]
    readonly children: ReadonlyArray<Spec>
  }
): Options => ({
  name,
  intensity: limits.intensity ?? 1,
  periodMs: Duration.toMillis(limits.period ?? "5 seconds"),
  backoff: limits.backoff,
  ...rest
})

export const refOf = (process: Process): ActorRef<never> => process as unknown as ActorRef<never>

export const addressOf = (ref: ActorRef<never>): Address => ref as unknown as Address

export const counted = (children: Iterable<Child>) => {
  const count = { specs: 0, active: 0, supervisors: 0, workers: 0 }
  for (const child of children) {
    count.specs++
    if (child.process !== undefined) count.active++
    if (child.spec.type === "supervisor") count.supervisors++
    else count.workers++
  }
  return count
}

/** Waits for the end of who holds the address now. */
export const awaitEnd = (address: Address): Effect.Effect<ExitReason.DownReason> =>
  Effect.suspend(() => address.resolveProcess()?.awaitEnd ?? Effect.succeed({ _tag: "NoProc" } as const))

export const infoOf = (child: Child) => ({
  id: child.spec.id,
  state: child.state,
  ref: Option.map(Option.fromUndefinedOr(child.process), refOf),
  type: child.spec.type
})

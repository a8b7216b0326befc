/**
 * What the actors of a system do, as Effect metrics: opt-in, and read only when somebody takes a snapshot, so that no
 * message pays for it.
 *
 * Counters: `actor_started`, `actor_restarts`, `actor_crashes`, `actor_gave_up`, `actor_abandoned`, `actor_handled`,
 * `actor_dropped`, `actor_dead_letters`. Gauges: `actor_alive`, `actor_abandoned_now`, `actor_mailbox_depth` (messages
 * that wait, over all actors), `actor_mailbox_depth_max` (in the fullest mailbox).
 *
 * @since 0.1.0
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import { System } from "./System.ts"
import * as Tree from "./Tree.ts"

/**
 * Registers the metrics of the system for as long as the layer lives. `attributes` tell two systems of one registry
 * apart.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  options: { readonly attributes?: Readonly<Record<string, string>> } = {}
): Layer.Layer<never, never, System> =>
  Layer.effectDiscard(
    Effect.gen(function* () {
      const system = yield* System
      const context: Context.Context<never> = yield* Effect.context<never>()
      const attributes = options.attributes ?? {}
      const nothing = (): void => {}
      const registrations = [
        ...counters(system).map(([name, description, read]) =>
          Metric.registerUnsafe(Metric.counter(name, { description, attributes, incremental: true }), context, {
            get: () => ({ count: read(), incremental: true }),
            update: nothing,
            modify: nothing
          })
        ),
        ...gauges(system).map(([name, description, read]) =>
          Metric.registerUnsafe(Metric.gauge(name, { description, attributes }), context, {
            get: () => ({ value: read() }),
            update: nothing,
            modify: nothing
          })
        )
      ]
      yield* Effect.addFinalizer(() =>
        Effect.sync(() => {
          for (const registration of registrations) registration.remove()
        })
      )
    })
  )

type Reading = readonly [name: string, description: string, read: () => number]

const counters = (system: System["Service"]): ReadonlyArray<Reading> => [
  ["actor_started", "actors that were started, restarts included", () => system.counters().started],
  ["actor_restarts", "restarts by supervisors; a group counts as one", () => system.counters().restarts],
  ["actor_crashes", "actors that ended with a failure or a defect", () => system.counters().crashes],
  ["actor_gave_up", "supervisors that passed their intensity", () => system.counters().gaveUp],
  ["actor_abandoned", "actors that could not be killed", () => system.counters().abandoned],
  ["actor_handled", "messages that were handled", () => system.counters().handled],
  ["actor_dropped", "messages that a full mailbox dropped", () => system.counters().dropped],
  ["actor_dead_letters", "messages that reached nobody", () => system.counters().deadLetters]
]

const gauges = (system: System["Service"]): ReadonlyArray<Reading> => [
  ["actor_alive", "actors that have not ended, supervisors included", () => system.alive()],
  ["actor_abandoned_now", "abandoned actors whose fiber still runs", () => system.counters().abandonedNow],
  ["actor_mailbox_depth", "messages that wait, over all actors", () => sum(depths(system))],
  ["actor_mailbox_depth_max", "messages that wait in the fullest mailbox", () => most(depths(system))]
]

const depths = (system: System["Service"]): ReadonlyArray<number> =>
  Tree.flatten(Tree.snapshotUnsafe(system)).map((node) => node.mailbox)

const sum = (numbers: ReadonlyArray<number>): number => numbers.reduce((total, number) => total + number, 0)

const most = (numbers: ReadonlyArray<number>): number => numbers.reduce((most, number) => Math.max(most, number), 0)

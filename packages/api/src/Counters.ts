/**
 * How often the edges of an agent refused, dropped or failed something, by name; shown at `/metrics`.
 *
 * The API and the OTLP intake of one agent share one instance. A program with several agents provides one to each:
 * `Layer.succeed(Counters.Counters, Counters.make())`.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"

/** Every name that is counted: the set is closed, so that nothing a client sends can make it grow. @since 0.1.0 */
export type Name =
  | "api_requests"
  | "api_refused_origin"
  | "api_refused_host"
  | "api_refused_media_type"
  | "api_refused_too_large"
  | "api_refused_input"
  | "api_refused_path"
  | "api_refused_not_allowed"
  | "api_unavailable"
  | "api_failed"
  | "api_watches"
  | "otlp_requests"
  | "otlp_refused_malformed"
  | "otlp_refused_media_type"
  | "otlp_refused_too_large"
  | "otlp_refused_origin"
  | "otlp_refused_path"
  | "otlp_unavailable"
  | "otlp_failed"
  | "otlp_rejected_items"
  | "otlp_data_points"
  | "otlp_log_records"
  | "otlp_spans"
  | "otlp_events"
  | "otlp_events_lost"

/** @since 0.1.0 @category models */
export interface Registry {
  readonly add: (name: Name, count?: number) => void
  readonly read: () => Readonly<Record<string, number>>
}

/** All zero. @since 0.1.0 @category constructors */
export const make = (): Registry => {
  const counts = new Map<Name, number>()
  return {
    add: (name, count = 1) => {
      counts.set(name, (counts.get(name) ?? 0) + count)
    },
    read: () => Object.fromEntries(counts)
  }
}

/** @since 0.1.0 @category services */
export const Counters = Context.Reference<Registry>("@starling/api/Counters", { defaultValue: make })

/**
 * The store port: where a node's durable state lives.
 *
 * Rows are keyed text with plain data as values, in a few named tables (listed in `member`). The port is narrow on
 * purpose: everything is read once, at the start, and written in batches that are all or nothing.
 *
 * @since 0.1.0
 */
import type { Machine } from "@starling/machine"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"

/**
 * The store could not be opened, read or written. `reason` says which; `next` what an operator can do about it.
 *
 * @since 0.1.0
 * @category errors
 */
export class StoreError extends Data.TaggedError("StoreError")<{
  readonly reason: "damaged" | "locked" | "read-only" | "full" | "missing" | "unknown"
  readonly where: string
  readonly message: string
  readonly next: string
}> {}

/** Every table with its rows, by key. @since 0.1.0 */
export type Stored = ReadonlyMap<string, ReadonlyMap<string, unknown>>

/**
 * - `load`: everything that is durable. Called once, before the first write.
 * - `write`: returns when the rows are durable, all or none; calls may overlap and become durable in the order in which
 *   they were made. A failed call wrote nothing.
 * - `where`: for people: the file, or `memory`.
 *
 * @since 0.1.0
 * @category services
 */
export class Store extends Context.Service<
  Store,
  {
    readonly load: Effect.Effect<Stored, StoreError>
    readonly write: (rows: ReadonlyArray<Machine.StoreRow>) => Effect.Effect<void, StoreError>
    readonly where: string
  }
>()("@starling/agent/Store") {}

/**
 * Rows kept in `tables`, which outlive the layer when they are given: a restart in a test keeps its disk.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerMemory = (tables: Map<string, Map<string, unknown>> = new Map()): Layer.Layer<Store> =>
  Layer.succeed(Store, {
    where: "memory",
    load: Effect.sync(() => new Map([...tables].map(([table, rows]) => [table, new Map(rows)]))),
    write: (rows) =>
      Effect.sync(() => {
        for (const { table, key, value } of rows) {
          let target = tables.get(table)
          if (target === undefined) tables.set(table, (target = new Map()))
          if (value === null) target.delete(key)
          else target.set(key, value)
        }
      })
  })

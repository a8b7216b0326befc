/**
 * What waits to become durable. Whatever comes while one write is under way is written together by the next one (group
 * commit), in order, all or none; so a slow disk delays what waits for it and nothing else.
 *
 * A write that fails is kept and tried again; meanwhile the failure is shown. The bound is on rows: beyond it a request
 * is refused and counted, and whoever waits for it is told that the agent is overloaded.
 */
import type { Machine } from "@starling/machine"
import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"
import type { Stored, StoreError } from "../Store.ts"

/** Our choice: some hundred megabytes at the largest values, seconds of work for a healthy disk. */
const rowsMax = 20_000

interface Request {
  readonly rows: ReadonlyArray<Machine.StoreRow>
  readonly written: () => void
}

export interface StoreWriter {
  waiting: Array<Request>
  rowsWaiting: number
  /** Why the last write failed; undefined while writes succeed. */
  failure: StoreError | undefined
  readonly counters: { rowsWrittenTotal: number; writesTotal: number; failuresTotal: number; refusedTotal: number }
  /** Called when there is something to write. */
  readonly wake: () => void
  /** One batch at a time: a component that is rebuilt flushes too, and two would write and then forget each other's rows. */
  readonly turn: Semaphore.Semaphore
}

export const make = (wake: () => void): StoreWriter => ({
  turn: Semaphore.makeUnsafe(1),
  waiting: [],
  rowsWaiting: 0,
  failure: undefined,
  counters: { rowsWrittenTotal: 0, writesTotal: 0, failuresTotal: 0, refusedTotal: 0 },
  wake
})

/** Never waits. False if the bound is reached; `written` is then never called. */
export const offer = (writer: StoreWriter, rows: ReadonlyArray<Machine.StoreRow>, written: () => void): boolean => {
  if (writer.rowsWaiting + rows.length > rowsMax) {
    writer.counters.refusedTotal++
    return false
  }
  writer.waiting.push({ rows, written })
  writer.rowsWaiting += rows.length
  if (writer.waiting.length === 1) writer.wake()
  return true
}

/** Writes all that waits, as one batch. What arrives meanwhile stays for the next call. */
export const flush = (
  writer: StoreWriter,
  store: { readonly write: (rows: ReadonlyArray<Machine.StoreRow>) => Effect.Effect<void, StoreError> }
): Effect.Effect<void, StoreError> =>
  Effect.suspend(() => {
    const batch = writer.waiting.slice()
    const rows = batch.flatMap((request) => request.rows)
    if (batch.length === 0) return Effect.void
    return Effect.matchEffect(store.write(rows), {
      onSuccess: () =>
        Effect.sync(() => {
          writer.waiting.splice(0, batch.length)
          writer.rowsWaiting -= rows.length
          writer.failure = undefined
          writer.counters.writesTotal++
          writer.counters.rowsWrittenTotal += rows.length
          for (const request of batch) request.written()
        }),
      onFailure: (error) =>
        Effect.suspend(() => {
          writer.failure = error
          writer.counters.failuresTotal++
          return Effect.fail(error)
        })
    })
  }).pipe(Semaphore.withPermit(writer.turn))

/** Rows of one table. */
export const rowsOf = (stored: Stored, table: string): ReadonlyMap<string, unknown> => stored.get(table) ?? new Map()

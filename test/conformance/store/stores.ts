import { assert, describe, it } from "@effect/vitest"
import { Store } from "@starling/agent"
import type { Machine } from "@starling/machine"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import * as fc from "fast-check"
import type { Implementation } from "./implementation.ts"

const row = (table: string, key: string, value: unknown): Machine.StoreRow => ({ table, key, value })

/** As plain records, without tables that hold nothing: a store may remember that there was one. */
const plainOf = (stored: Store.Stored): Record<string, Record<string, unknown>> =>
  Object.fromEntries(
    [...stored]
      .filter(([, rows]) => rows.size > 0)
      .map(([table, rows]) => [table, Object.fromEntries([...rows].toSorted(([a], [b]) => (a < b ? -1 : 1)))])
  )

/** What any store promises. */
export const stores = (implementation: Implementation): void => {
  const run = <A, E>(
    body: (
      open: <A, E>(
        session: (store: Store.Store["Service"]) => Effect.Effect<A, E, Scope.Scope>
      ) => Effect.Effect<A, E | Store.StoreError>
    ) => Effect.Effect<A, E, Scope.Scope>
  ) =>
    Effect.scoped(
      Effect.flatMap(implementation.disk, (disk) =>
        body((session) => Effect.scoped(Effect.flatMap(Store.Store, session)).pipe(Effect.provide(disk)))
      )
    )

  const loaded = (store: Store.Store["Service"]) => Effect.map(store.load, plainOf)

  describe(`${implementation.name}: store`, () => {
    it.live("a new store holds nothing, and says where it is", () =>
      run((open) =>
        open(
          Effect.fnUntraced(function* (store) {
            assert.deepStrictEqual(yield* loaded(store), {})
            assert.isAbove(store.where.length, 0)
          })
        )
      )
    )

    it.live("what was written is there after a restart; null removes, the newest wins", () =>
      run((open) =>
        Effect.gen(function* () {
          yield* open(
            Effect.fnUntraced(function* (store) {
              yield* store.write([
                row("meta", "sequence", [1, 2]),
                row("peers", "a", { name: "x" }),
                row("peers", "b", 1)
              ])
              yield* store.write([row("peers", "a", null), row("meta", "sequence", [1, 3])])
              yield* store.write([row("meta", "twice", 1), row("meta", "twice", 2)])
              yield* store.write([])
            })
          )
          const expected = { meta: { sequence: [1, 3], twice: 2 }, peers: { b: 1 } }
          assert.deepStrictEqual(yield* open(loaded), expected)
          assert.deepStrictEqual(yield* open(loaded), expected)
        })
      )
    )

    it.live("plain data of any shape comes back as it was", () =>
      run((open) =>
        Effect.gen(function* () {
          const values = {
            nested: [[], {}, [1, [2, { a: [null, true] }]]],
            text: "äöü 雀 🐦",
            "a key / with \" and '": "quotes",
            large: Number.MAX_SAFE_INTEGER,
            negative: -1,
            float: 0.1,
            falsy: false,
            empty: "",
            long: "x".repeat(200_000)
          }
          yield* open((store) => store.write(Object.entries(values).map(([key, value]) => row("meta", key, value))))
          const { meta } = yield* open(loaded)
          assert.deepStrictEqual(meta, plainOf(new Map([["meta", new Map(Object.entries(values))]]))["meta"])
        })
      )
    )

    it.live("overlapping writes become durable in the order in which they were made", () =>
      run((open) =>
        Effect.gen(function* () {
          yield* open(
            Effect.fnUntraced(function* (store) {
              const done: Array<number> = []
              const writes = Array.from({ length: 500 }, (_, i) =>
                Effect.tap(store.write([row("meta", "last", i), row("events", String(i), i)]), () =>
                  Effect.sync(() => done.push(i))
                )
              )
              yield* Effect.all(writes, { concurrency: "unbounded" })
              assert.deepStrictEqual(
                done,
                writes.map((_, i) => i)
              )
            })
          )
          const stored = yield* open(loaded)
          assert.deepStrictEqual(stored["meta"], { last: 499 })
          assert.strictEqual(Object.keys(stored["events"] ?? {}).length, 500)
        })
      )
    )

    it.live("a writer that is interrupted does not take the writes of others with it", () =>
      run((open) =>
        Effect.gen(function* () {
          yield* open(
            Effect.fnUntraced(function* (store) {
              const first = yield* Effect.forkChild(store.write([row("meta", "a", 1)]))
              const second = yield* Effect.forkChild(store.write([row("meta", "b", 2)]))
              yield* Effect.yieldNow
              yield* Fiber.interrupt(first)
              yield* Fiber.join(second)
            })
          )
          assert.strictEqual((yield* open(loaded))["meta"]?.["b"], 2)
        })
      )
    )

    it.live("a store that is closed while writes wait finishes them", () =>
      run((open) =>
        Effect.gen(function* () {
          yield* open(
            Effect.fnUntraced(function* (store) {
              for (let i = 0; i < 50; i++) yield* Effect.forkDetach(store.write([row("events", String(i), i)]))
              yield* Effect.yieldNow
            })
          )
          assert.strictEqual(Object.keys((yield* open(loaded))["events"] ?? {}).length, 50)
        })
      )
    )

    it("after any sequence of writes and restarts the store holds what a map would", () => {
      const change = fc.record({
        table: fc.constantFrom("meta", "config", "events"),
        key: fc.constantFrom("a", "b", "c", "d"),
        value: fc.oneof(fc.constant(null), fc.integer(), fc.string(), fc.array(fc.integer(), { maxLength: 3 }))
      })
      /** Sessions of writes of changes. */
      const history = fc.array(fc.array(fc.array(change, { maxLength: 4 }), { maxLength: 4 }), { maxLength: 3 })
      const apply = (model: Map<string, Map<string, unknown>>, { key, table, value }: Machine.StoreRow): void => {
        const rows = model.get(table) ?? new Map<string, unknown>()
        model.set(table, rows)
        if (value === null) rows.delete(key)
        else rows.set(key, value)
      }
      const check = (sessions: ReadonlyArray<ReadonlyArray<ReadonlyArray<Machine.StoreRow>>>) =>
        run((open) =>
          Effect.gen(function* () {
            const model = new Map<string, Map<string, unknown>>()
            for (const session of sessions) {
              yield* open((store) => Effect.forEach(session, (rows) => store.write(rows), { concurrency: "unbounded" }))
              for (const rows of session) for (const row of rows) apply(model, row)
              assert.deepStrictEqual(yield* open(loaded), plainOf(model))
            }
          })
        )
      // Every session opens files: fewer runs than a property in memory would have.
      return fc.assert(
        fc.asyncProperty(history, (sessions) => Effect.runPromise(check(sessions))),
        { numRuns: 6 }
      )
    })
  })
}

import { assert, describe, it } from "@effect/vitest"
import { Store } from "@starling/agent"
import type { Machine } from "@starling/machine"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as fc from "fast-check"
import * as StoreWriter from "../src/internal/storeWriter.ts"

const row = (key: string, value: unknown = key): Machine.StoreRow => ({ table: "t", key, value })

const full = new Store.StoreError({ reason: "full", where: "disk", message: "no space left", next: "make room" })

/** A disk that takes its time: a batch is durable when `finish` is called. */
const slowDisk = () => {
  const batches: Array<ReadonlyArray<string>> = []
  const durable: Array<string> = []
  const under: Array<(result: Effect.Effect<void, Store.StoreError>) => void> = []
  return {
    batches,
    durable,
    underWay: () => under.length,
    finish: (result: Effect.Effect<void, Store.StoreError> = Effect.void) => under.shift()?.(result),
    write: (rows: ReadonlyArray<Machine.StoreRow>) => {
      const keys = rows.map(({ key }) => key)
      batches.push(keys)
      return Effect.tap(
        Effect.callback<void, Store.StoreError>((resume) => void under.push(resume)),
        Effect.sync(() => void durable.push(...keys))
      )
    }
  }
}

const turns = Effect.repeat(Effect.yieldNow, { times: 10 })

describe("the store writer", () => {
  it.effect("what comes while a batch is written goes together into the next one, in order", () =>
    Effect.gen(function* () {
      const disk = slowDisk()
      const writer = StoreWriter.make(() => {})
      const written: Array<string> = []
      const offer = (...keys: ReadonlyArray<string>): void => {
        StoreWriter.offer(
          writer,
          keys.map((key) => row(key)),
          () => written.push(keys.join())
        )
      }
      offer("a")
      const first = yield* Effect.forkChild(StoreWriter.flush(writer, disk))
      yield* turns
      offer("b", "c")
      offer("d")
      assert.deepStrictEqual(written, [])
      disk.finish()
      yield* Fiber.join(first)
      assert.deepStrictEqual(written, ["a"])
      const second = yield* Effect.forkChild(StoreWriter.flush(writer, disk))
      yield* turns
      disk.finish()
      yield* Fiber.join(second)
      assert.deepStrictEqual(disk.batches, [["a"], ["b", "c", "d"]])
      assert.deepStrictEqual(written, ["a", "b,c", "d"])
      assert.strictEqual(writer.rowsWaiting, 0)
    })
  )

  it.effect("two flushes at once write each row once, and answer each request once", () =>
    Effect.gen(function* () {
      const disk = slowDisk()
      const writer = StoreWriter.make(() => {})
      const written: Array<string> = []
      StoreWriter.offer(writer, [row("a")], () => written.push("a"))
      const one = yield* Effect.forkChild(StoreWriter.flush(writer, disk))
      const two = yield* Effect.forkChild(StoreWriter.flush(writer, disk))
      yield* turns
      assert.strictEqual(disk.underWay(), 1)
      // It is no part of the first batch, and must not be forgotten with it.
      StoreWriter.offer(writer, [row("b")], () => written.push("b"))
      disk.finish()
      yield* turns
      disk.finish()
      yield* Fiber.join(one)
      yield* Fiber.join(two)
      assert.deepStrictEqual(disk.durable, ["a", "b"])
      assert.deepStrictEqual(written, ["a", "b"])
      assert.deepStrictEqual([writer.waiting.length, writer.rowsWaiting], [0, 0])
    })
  )

  it.effect("a batch that fails is kept whole, shown, and written by the next try; nobody is answered before", () =>
    Effect.gen(function* () {
      const disk = slowDisk()
      const writer = StoreWriter.make(() => {})
      const written: Array<string> = []
      for (const key of ["a", "b"]) StoreWriter.offer(writer, [row(key)], () => written.push(key))
      const first = yield* Effect.forkChild(Effect.flip(StoreWriter.flush(writer, disk)))
      yield* turns
      disk.finish(Effect.fail(full))
      assert.strictEqual(yield* Fiber.join(first), full)
      assert.deepStrictEqual([written, disk.durable], [[], []])
      assert.strictEqual(writer.failure, full)
      assert.strictEqual(writer.counters.failuresTotal, 1)
      StoreWriter.offer(writer, [row("c")], () => written.push("c"))
      const second = yield* Effect.forkChild(StoreWriter.flush(writer, disk))
      yield* turns
      disk.finish()
      yield* Fiber.join(second)
      assert.deepStrictEqual(disk.durable, ["a", "b", "c"])
      assert.deepStrictEqual(written, ["a", "b", "c"])
      assert.isUndefined(writer.failure)
    })
  )

  it.effect("beyond 20,000 rows a request is refused and counted, and what waits is not touched", () =>
    Effect.gen(function* () {
      const writer = StoreWriter.make(() => {})
      const rows = Array.from({ length: 20_000 }, (_, index) => row(`${index}`))
      assert.isTrue(StoreWriter.offer(writer, rows, () => {}))
      assert.isFalse(StoreWriter.offer(writer, [row("one more")], () => assert.fail("it was never written")))
      assert.strictEqual(writer.counters.refusedTotal, 1)
      const tables = new Map<string, Map<string, unknown>>()
      yield* Effect.provide(
        Effect.flatMap(Store.Store, (store) => StoreWriter.flush(writer, store)),
        Store.layerMemory(tables)
      )
      assert.strictEqual(tables.get("t")?.size, 20_000)
      assert.isFalse(tables.get("t")?.has("one more"))
      assert.isTrue(StoreWriter.offer(writer, [row("now")], () => {}))
    })
  )

  it("whoever sleeps is woken for the first that waits, and for no other", () => {
    let woken = 0
    const writer = StoreWriter.make(() => woken++)
    for (const key of ["a", "b", "c"]) StoreWriter.offer(writer, [row(key)], () => {})
    assert.strictEqual(woken, 1)
  })

  it.effect(
    "whatever fails and whatever overlaps, rows become durable in order and every request is answered once",
    () =>
      Effect.promise(() =>
        fc.assert(
          fc.asyncProperty(fc.array(fc.constantFrom("offer", "flush", "finish", "fail"), { maxLength: 60 }), (steps) =>
            Effect.runPromise(
              Effect.gen(function* () {
                const disk = slowDisk()
                const writer = StoreWriter.make(() => {})
                const offered: Array<string> = []
                const written: Array<string> = []
                for (const [index, step] of steps.entries()) {
                  const key = `${index}`
                  if (step === "offer") {
                    offered.push(key)
                    StoreWriter.offer(writer, [row(key)], () => written.push(key))
                  } else if (step === "flush") yield* Effect.forkChild(Effect.ignore(StoreWriter.flush(writer, disk)))
                  else disk.finish(step === "fail" ? Effect.fail(full) : Effect.void)
                  yield* turns
                  assert.isAtMost(disk.underWay(), 1)
                  assert.deepStrictEqual(written, offered.slice(0, written.length))
                  assert.deepStrictEqual(disk.durable, written)
                  assert.strictEqual(writer.rowsWaiting, offered.length - written.length)
                }
              })
            )
          ),
          { numRuns: 50 }
        )
      )
  )
})

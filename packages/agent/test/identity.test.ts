import { assert, describe, it } from "@effect/vitest"
import { Store } from "@starling/agent"
import { NodeId } from "@starling/machine"
import * as Effect from "effect/Effect"
import * as fc from "fast-check"
import * as Identity from "../src/internal/identity.ts"

type Tables = Map<string, Map<string, unknown>>

const begin = (tables: Tables) =>
  Effect.gen(function* () {
    const store = yield* Store.Store
    return yield* Identity.begin(store, yield* store.load)
  }).pipe(Effect.provide(Store.layerMemory(tables)))

describe("identity", () => {
  it.effect("the first run draws an id and is run 1; both are in the store when it begins", () =>
    Effect.gen(function* () {
      const tables: Tables = new Map()
      const { id, incarnation } = yield* begin(tables)
      assert.isTrue(NodeId.isNodeId(id))
      assert.strictEqual(incarnation, 1)
      assert.deepStrictEqual(
        [...(tables.get("meta") ?? [])],
        [
          ["id", id],
          ["incarnation", 1]
        ]
      )
    })
  )

  it.effect("each run has the id of the one before, the next number, and a boot number of its own", () =>
    Effect.gen(function* () {
      const tables: Tables = new Map()
      const runs = [yield* begin(tables), yield* begin(tables), yield* begin(tables)]
      assert.strictEqual(new Set(runs.map(({ id }) => id)).size, 1)
      assert.deepStrictEqual(
        runs.map(({ incarnation }) => incarnation),
        [1, 2, 3]
      )
      assert.strictEqual(new Set(runs.map(({ boot }) => boot)).size, 3)
    })
  )

  it.effect("a number that cannot be stored is no number: the run does not begin", () =>
    Effect.gen(function* () {
      const error = new Store.StoreError({ reason: "read-only", where: "disk", message: "read-only", next: "mount it" })
      const store = { where: "disk", load: Effect.succeed(new Map()), write: () => Effect.fail(error) }
      assert.strictEqual(yield* Effect.flip(Identity.begin(store, new Map())), error)
    })
  )

  it.effect("whatever stands in the store, a run has a valid id and a number of at least 1", () =>
    Effect.promise(() =>
      fc.assert(
        fc.asyncProperty(fc.anything(), fc.anything(), (id, before) =>
          Effect.runPromise(
            Effect.gen(function* () {
              const run = yield* begin(
                new Map([
                  [
                    "meta",
                    new Map([
                      ["id", id],
                      ["incarnation", before]
                    ])
                  ]
                ])
              )
              assert.isTrue(NodeId.isNodeId(run.id))
              assert.isTrue(Number.isSafeInteger(run.incarnation) && run.incarnation >= 1)
            })
          )
        )
      )
    )
  )

  it("hearing of a later run moves the number up, and never back", () => {
    const run: Identity.Identity = { id: "aaaaaaaaaaaa", incarnation: 4, boot: 1 }
    assert.deepStrictEqual(Identity.rowsAfter(run, 7), [{ table: "meta", key: "incarnation", value: 7 }])
    assert.deepStrictEqual(Identity.rowsAfter(run, 0), [{ table: "meta", key: "incarnation", value: 4 }])
  })
})

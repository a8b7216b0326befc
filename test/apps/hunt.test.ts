/** What a hunt tries, and what it leaves behind. */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, describe, it } from "@effect/vitest"
import { Regression, Scenarios } from "@starling/testing"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Result from "effect/Result"
import * as Keep from "../../apps/lab/src/hunt/Keep.ts"
import * as Prey from "../../apps/lab/src/hunt/Prey.ts"
import * as Thread from "../../apps/lab/src/hunt/Thread.ts"
import type * as Runs from "../../apps/lab/src/Runs.ts"

describe("a seed of a hunt", () => {
  it("stands for one scenario with one size, the same each time", () => {
    for (let seed = 0; seed < 100; seed++) assert.deepStrictEqual(Prey.of(seed), Prey.of(seed))
    assert.strictEqual(Prey.of(7).seed, 7)
  })

  it("stands for any of all scenarios, most often for that of all faults, and for sizes that they can have", () => {
    const orders = Array.from({ length: 2000 }, (_, seed) => Prey.of(seed))
    const tried = Map.groupBy(orders, ({ scenario }) => scenario)
    assert.sameMembers(
      [...tried.keys()],
      Scenarios.all.map(({ name }) => name)
    )
    assert.isAbove(tried.get("faults")?.length ?? 0, 1000)
    for (const { size } of orders) assert.isTrue(size >= 2 && size <= 1000)
  })

  it("stands for a scenario that was added since, too", () => {
    const added: Scenarios.Scenario = { ...Scenarios.members, name: "added", size: 17 }
    assert.deepStrictEqual(Prey.of(3, [added]), { scenario: "added", seed: 3, size: 17 })
  })
})

describe("what is found", () => {
  /** A second of faults is too short for an event or a setting: of whole agents what is quickest to break. */
  const order = { scenario: "fleet", seed: 1, size: 4, minutes: 0.01 }

  it.live("is told at once, made small in a thread, and kept as a file that replays it", () =>
    Effect.gen(function* () {
      const thread = yield* Thread.make
      const ran: Array<Runs.Run> = []
      const small = yield* thread.run(order, { runMs: Infinity, shrinkMs: 20_000 }, (run) => void ran.push(run))
      assert.strictEqual(ran.length, 1)
      assert.deepInclude(ran[0], { ...order, broken: ["neither an event nor a setting was stored"] })
      assert.isDefined(small)
      assert.isBelow(small.size, order.size)
      const files = yield* FileSystem.FileSystem
      const directory = `${yield* files.makeTempDirectoryScoped()}/`
      const kept = yield* Keep.keep(directory, "lab run", order, small)
      assert.include(kept.text, "lab replay test/regressions/fleet-1.json")
      const read = Result.getOrThrow(Regression.parse(yield* files.readFileString(`${directory}${kept.name}`)))
      assert.include(read.found, "lab run fleet --seed 1 --size 4 --minutes 0.01")
      assert.deepStrictEqual(Regression.run(read).broken, read.broken)
      // The same again takes its place, and what another run found does not.
      const names = []
      for (const other of [order, { ...order, size: 3 }, { ...order, size: 3 }]) {
        names.push((yield* Keep.keep(directory, "lab run", other, small)).name)
      }
      assert.deepStrictEqual(names, ["fleet-1.json", "fleet-1-2.json", "fleet-1-2.json"])
    }).pipe(Effect.scoped, Effect.provide(NodeFileSystem.layer))
  )

  it.live("in a run that hangs, or that no thread can run, is that; and the next one is run all the same", () =>
    Effect.gen(function* () {
      const thread = yield* Thread.make
      const ran: Array<Runs.Run> = []
      const lostIn = (order: Runs.Order, runMs: number) =>
        Effect.map(
          thread.run(order, { runMs, shrinkMs: 0 }, (run) => void ran.push(run)),
          (lost) => lost?.broken[0]
        )
      // A hundred agents take minutes.
      assert.strictEqual(yield* lostIn({ ...order, size: 100, minutes: 2 }, 300), "did not end within 0.3 s")
      assert.include(yield* lostIn({ ...order, scenario: "none" }, Infinity), "there is no scenario none")
      assert.strictEqual(yield* lostIn({ ...order, size: 2 }, Infinity), "nothing was broadcast")
      assert.deepStrictEqual(
        ran.map(({ scenario, size }) => [scenario, size]),
        [
          ["fleet", 100],
          ["none", 4],
          ["fleet", 2]
        ]
      )
    }).pipe(Effect.scoped)
  )
})

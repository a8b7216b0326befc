/** What a hunt tries, and what it leaves behind. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it, vi } from "@effect/vitest"
import { Regression, Scenarios } from "@starling/testing"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FileSystem from "effect/FileSystem"
import * as Result from "effect/Result"
import * as Keep from "../../apps/lab/src/hunt/Keep.ts"
import * as Prey from "../../apps/lab/src/hunt/Prey.ts"
import * as Runner from "../../apps/lab/src/hunt/Runner.ts"
import * as Runs from "../../apps/lab/src/Runs.ts"
import process from "node:process"

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

/** Plays the part of a thread: what it does when it hears a task. */
const threadThat = (does: string): URL =>
  new URL(
    `data:text/javascript,${encodeURIComponent(`
      import { parentPort } from "node:worker_threads"
      const report = (one) => parentPort.postMessage(one)
      const ran = ({ order }) =>
        report({ _tag: "Ran", run: { ...order, broken: [], virtualMs: 1, history: "", measured: {}, realMs: 1, memoryMib: 1 } })
      parentPort.on("message", (task) => { ${does} })
    `)}`
  )

/** A second of faults is too short for an event or a setting: of whole agents what is quickest to break. */
const order = { scenario: "fleet", seed: 1, size: 4, minutes: 0.01 }
const brokenOfTwo = ["nothing was broadcast", "neither an event nor a setting was stored"]

const failing: Runs.Run = {
  ...order,
  broken: ["first", "second"],
  virtualMs: 1,
  history: "",
  measured: {},
  realMs: 1,
  memoryMib: 1
}

describe("a runner", () => {
  it.live("runs what it is given and makes it small in a thread", () =>
    Effect.gen(function* () {
      const runner = yield* Runner.make()
      const run = yield* runner.run(order)
      assert.deepInclude(run, { ...order, broken: ["neither an event nor a setting was stored"] })
      assert.notProperty(run, "lost")
      const sizes: Array<number> = []
      yield* runner.shrink(Regression.of(run), 20_000, ({ size }) => void sizes.push(size))
      assert.isNotEmpty(sizes)
      assert.isBelow(sizes.at(-1) ?? order.size, order.size)
    }).pipe(Effect.scoped)
  )

  it.live("loses a run that hangs, or that no thread can run, and runs the next one all the same", () =>
    Effect.gen(function* () {
      const runner = yield* Runner.make()
      // A hundred agents take minutes.
      const hung = yield* runner.run({ ...order, size: 100, minutes: 2 }, 300)
      assert.deepInclude(hung, { size: 100, lost: true, broken: ["did not end within 0.3 s"] })
      const none = yield* runner.run({ ...order, scenario: "none" })
      assert.deepInclude(none, { scenario: "none", lost: true, broken: ["there is no scenario none"] })
      const next = yield* runner.run({ ...order, size: 2 })
      assert.deepInclude(next, { size: 2, broken: brokenOfTwo })
      assert.notProperty(next, "lost")
    }).pipe(Effect.scoped)
  )

  it.live("loses a run whose thread dies of it, and says of what", () =>
    Effect.gen(function* () {
      for (const [does, why] of [
        [`process.exit(3)`, "the thread ended with code 3"],
        [`throw new Error("no more")`, "the thread ended: no more"]
      ] as const) {
        const runner = yield* Runner.make(threadThat(does))
        assert.deepInclude(yield* runner.run(order), { lost: true, broken: [why] })
      }
    }).pipe(Effect.scoped)
  )

  it.live("survives a thread that dies while nothing is asked of it", () =>
    Effect.gen(function* () {
      const runner = yield* Runner.make(threadThat(`ran(task); setTimeout(() => { throw new Error("late") }, 20)`))
      for (const seed of [1, 2]) {
        const mourned = vi.spyOn(process.stderr, "write").mockReturnValue(true)
        assert.deepInclude(yield* runner.run({ ...order, seed }), { seed, broken: [] })
        const isMourned = () => mourned.mock.calls.some(([text]) => String(text).includes("between two runs"))
        while (!isMourned()) yield* Effect.sleep(10)
        mourned.mockRestore()
      }
    }).pipe(Effect.scoped)
  )
})

describe("what is found", () => {
  const tempDirectory = Effect.flatMap(FileSystem.FileSystem, (files) => files.makeTempDirectoryScoped())

  const read = Effect.fnUntraced(function* (directory: string, name: string) {
    const files = yield* FileSystem.FileSystem
    return Result.getOrThrow(Regression.parse(yield* files.readFileString(`${directory}/${name}`)))
  })

  /** Shrinks in such a thread, for as long as `until`; what was kept. */
  const keptBy = Effect.fnUntraced(function* (
    directory: string,
    module: URL,
    until: (smaller: Effect.Effect<void>) => Effect.Effect<void>,
    run = failing
  ) {
    const runner = yield* Runner.make(module)
    const kept: Array<Keep.Kept> = []
    const smaller = yield* Deferred.make<void>()
    const shrinking = Keep.shrunk({ directory, by: "lab run" }, runner, run, {
      forMs: 60_000,
      onSmaller: () => Deferred.doneUnsafe(smaller, Exit.void),
      onKept: (one) => Effect.sync(() => void kept.push(one))
    })
    const fiber = yield* Effect.forkChild(shrinking)
    yield* Effect.raceFirst(Fiber.await(fiber), until(Deferred.await(smaller)))
    yield* Fiber.interrupt(fiber)
    return kept
  })

  const saySmaller = `report({ _tag: "Smaller", regression: { ...task.failing, size: 3 } })`

  it.live("is kept as a file that replays it", () =>
    Effect.gen(function* () {
      const directory = yield* tempDirectory
      const small = { ...Regression.of(failing), broken: brokenOfTwo, size: 2 }
      const kept = yield* Keep.keep({ directory, by: "lab run" }, order, small)
      assert.include(kept.text, `kept: 2 members in ${directory}/fleet-1.json\n`)
      assert.include(kept.replay, `lab replay ${directory}/fleet-1.json`)
      const regression = yield* read(directory, kept.name)
      assert.include(regression.found, "lab run fleet --seed 1 --size 4 --minutes 0.01")
      assert.deepStrictEqual(Regression.run(regression).broken, regression.broken)
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer))
  )

  it.live("takes the place of the same again, and not of what another run or other code showed", () =>
    Effect.gen(function* () {
      const directory = yield* tempDirectory
      const small = Regression.of(failing)
      const names = []
      for (const [other, broken] of [
        [order, ["no broadcast reached n7"]],
        [order, ["no broadcast reached n8", "another thing"]],
        [{ ...order, size: 3 }, ["no broadcast reached n7"]],
        [order, ["configuration differs"]],
        [order, ["configuration differs"]]
      ] as const) {
        names.push((yield* Keep.keep({ directory, by: "lab run" }, other, { ...small, broken })).name)
      }
      assert.deepStrictEqual(names, [
        "fleet-1.json",
        "fleet-1.json",
        "fleet-1-2.json",
        "fleet-1-3.json",
        "fleet-1-3.json"
      ])
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer))
  )

  it.live("is kept as small as it was when the thread died, or as it was found", () =>
    Effect.gen(function* () {
      const directory = yield* tempDirectory
      for (const [does, size] of [
        [`${saySmaller}; process.exit(3)`, 3],
        [`${saySmaller}; throw new Error("no more")`, 3],
        [`process.exit(3)`, 4]
      ] as const) {
        const [kept] = yield* keptBy(directory, threadThat(does), () => Effect.never)
        assert.strictEqual((yield* read(directory, kept?.name ?? "")).size, size)
      }
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer))
  )

  it.live("is not kept if the run has no outcome: it would take the memory of a test, or its time", () =>
    Effect.gen(function* () {
      const lost = Runs.lost(order, "the thread ended: out of memory", 1)
      const kept = yield* keptBy(
        yield* tempDirectory,
        threadThat(`${saySmaller}; process.exit(3)`),
        () => Effect.never,
        lost
      )
      assert.isEmpty(kept)
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer))
  )

  it.live("is kept as small as it was when somebody interrupted it, but not before it was smaller", () =>
    Effect.gen(function* () {
      const directory = yield* tempDirectory
      const [kept] = yield* keptBy(directory, threadThat(`${saySmaller}; for (;;);`), (smaller) => smaller)
      assert.strictEqual((yield* read(directory, kept?.name ?? "")).size, 3)
      assert.isEmpty(yield* keptBy(directory, threadThat("for (;;);"), () => Effect.sleep(100)))
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer))
  )
})

/** What the model test has found, each as it was; see `Model.test.ts`. */
import { Actor, DynamicSupervisor, ExitReason, Registry, Supervisor, System } from "@starling/actor"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as TestClock from "effect/testing/TestClock"
import { settle } from "./settle.ts"

const keyOf = (id: string): Registry.RegistryKey<never> => Registry.key<never>(id)

const worker = (id: string, init: (incarnation: number) => Effect.Effect<number, "no" | Actor.Ignore>) =>
  Actor.behavior<never>()({ name: id, init: (self) => init(self.incarnation), receive: (n) => n })

const fine = (id: string, options: Supervisor.Options<never> = {}) =>
  Supervisor.childSpec(
    worker(id, () => Effect.succeed(0)),
    { key: keyOf(id), ...options }
  )

const crash = Effect.fnUntraced(function* (id: string) {
  yield* Actor.exit(yield* Registry.via(keyOf(id)), ExitReason.failure("oops"))
  yield* settle
})

const states = (supervisor: Pick<Supervisor.Supervisor, "whichChildren">) =>
  Effect.map(supervisor.whichChildren, (children) => children.toReversed().map(({ id, state }) => `${id} ${state}`))

const quiet = [Effect.provide(System.layer), Effect.provide(Logger.layer([]))] as const

describe("found by the model", () => {
  it.effect("a backoff grows on while the child does not start, and begins anew once it has lived for a period", () =>
    Effect.gen(function* () {
      const tries: Array<number> = []
      const system = yield* System.System
      let works = true
      const child = worker("a", () =>
        Effect.clockWith((clock) => {
          tries.push(clock.currentTimeMillisUnsafe())
          return works ? Effect.succeed(0) : Effect.fail("no" as const)
        })
      )
      yield* Supervisor.start({
        name: "top",
        intensity: 10,
        period: "1 second",
        backoff: Schedule.exponential("1 second"),
        children: [Supervisor.childSpec(child, { key: keyOf("a") })]
      })
      works = false
      yield* crash("a")
      for (let i = 0; i < 20; i++) {
        yield* TestClock.adjust("1 second")
        yield* settle
      }
      assert.deepStrictEqual(tries, [0, 1000, 3000, 7000, 15_000])
      works = true
      yield* TestClock.adjust("11 seconds")
      yield* settle
      yield* TestClock.adjust("2 seconds")
      yield* crash("a")
      yield* TestClock.adjust("1 second")
      yield* settle
      assert.deepStrictEqual(tries.slice(5), [31_000, 34_000])
      assert.strictEqual(system.alive(), 2)
    }).pipe(...quiet)
  )

  it.effect("a group whose restart waits is stopped once more before it starts: somebody may have started one", () =>
    Effect.gen(function* () {
      const top = yield* Supervisor.start({
        name: "top",
        strategy: "one_for_all",
        backoff: Schedule.spaced("1 second"),
        children: [fine("a"), fine("b")]
      })
      yield* crash("a")
      yield* top.restartChild("b")
      const b = Option.getOrThrow(yield* Registry.whereIs(keyOf("b")))
      yield* TestClock.adjust("1 second")
      yield* settle
      assert.deepStrictEqual(yield* states(top), ["a running", "b running"])
      assert.isFalse(Actor.isAlive(b))
      assert.strictEqual((yield* System.System).alive(), 3)
      assert.strictEqual((yield* System.System).counters().restarts, 1)
    }).pipe(...quiet)
  )

  it.effect("when a waiting child is stopped by a call, the kept names of the rest of its group go too", () =>
    Effect.gen(function* () {
      const top = yield* Supervisor.start({
        name: "top",
        strategy: "rest_for_one",
        backoff: Schedule.spaced("1 second"),
        children: [fine("a"), fine("b", { onRestart: "keep" })]
      })
      yield* crash("a")
      assert.deepStrictEqual(yield* Registry.names, ["b"])
      yield* top.terminateChild("a")
      assert.deepStrictEqual(yield* states(top), ["a stopped", "b stopped"])
      assert.deepStrictEqual(yield* Registry.names, [])
    }).pipe(...quiet)
  )

  it.effect("a dynamic child whose restart is ignored is forgotten, and makes room", () =>
    Effect.gen(function* () {
      const top = yield* DynamicSupervisor.start({ name: "top", maxChildren: 1 })
      const once = worker("once", (incarnation) => (incarnation > 1 ? Actor.ignore : Effect.succeed(0)))
      yield* top.startChild(once, { key: keyOf("once") })
      yield* crash("once")
      assert.deepStrictEqual(yield* states(top), [])
      yield* top.startChild(once)
      assert.strictEqual((yield* top.countChildren).active, 1)
    }).pipe(...quiet)
  )

  it.effect("a dynamic child may be stopped by its name, and a name that nobody has is not found", () =>
    Effect.gen(function* () {
      const top = yield* DynamicSupervisor.start({ name: "top" })
      yield* top.startChild(
        worker("a", () => Effect.succeed(0)),
        { key: keyOf("a") }
      )
      const nobody = yield* Effect.flip(top.terminateChild(yield* Registry.via(keyOf("b"))))
      assert.ok(nobody._tag === "ChildRefused")
      assert.strictEqual(nobody.reason, "not_found")
      yield* top.terminateChild(yield* Registry.via(keyOf("a")))
      assert.strictEqual((yield* top.countChildren).specs, 0)
    }).pipe(...quiet)
  )
})

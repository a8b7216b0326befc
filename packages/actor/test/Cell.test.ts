import { Actor, ExitReason, Registry, Supervisor, System } from "@starling/actor"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as TestClock from "effect/testing/TestClock"
import { settle } from "./settle.ts"

type Msg = number | "crash" | "hang"

const adder = Actor.behavior<Msg>()({
  name: "adder",
  init: () => Effect.succeed(0),
  receive: (sum, msg) => {
    if (msg === "crash") throw new Error("crash")
    if (msg === "hang") return Effect.uninterruptible(Effect.as(Effect.sleep("1 hour"), 1_000_000))
    return sum + msg
  }
})

const key = Registry.key<Msg>("adder")

const supervised = (behavior: typeof adder, options: Supervisor.Options<Msg> = {}) =>
  Supervisor.start({
    name: "top",
    intensity: 10,
    children: [Supervisor.childSpec(behavior, { key, ...options })]
  })

const send = Effect.fnUntraced(function* (...messages: ReadonlyArray<Msg>) {
  const ref = yield* Registry.via(key)
  for (const message of messages) {
    Actor.tellUnsafe(ref, message)
    yield* settle
  }
})

describe("Cell", () => {
  it.effect("an incarnation goes on from the state before the crash; without a cell it begins anew", () =>
    Effect.gen(function* () {
      const cell = Actor.cell<number>()
      assert.deepStrictEqual(cell.getUnsafe(), Option.none())
      const top = yield* supervised(Actor.withCell(adder, cell))
      yield* send(1, 2, "crash", 4)
      assert.deepStrictEqual(yield* cell.get, Option.some(7))
      yield* top.stop
      assert.deepStrictEqual(yield* cell.get, Option.some(7))
    }).pipe(Effect.provide(System.layer))
  )

  it.effect("a second crash within the time clears it; one after that does not", () =>
    Effect.gen(function* () {
      const cell = Actor.cell<number>({ trust: "1 second" })
      yield* supervised(Actor.withCell(adder, cell))
      yield* send(5, "crash", 1)
      assert.deepStrictEqual(cell.getUnsafe(), Option.some(6))
      yield* TestClock.adjust("2 seconds")
      yield* send("crash", 1)
      assert.deepStrictEqual(cell.getUnsafe(), Option.some(7))
      yield* TestClock.adjust("1 second")
      yield* send("crash", 1)
      assert.deepStrictEqual(cell.getUnsafe(), Option.some(1))
    }).pipe(Effect.provide(System.layer))
  )

  it.effect("resume joins what was kept with what init returned, and a failing resume is a failing init", () =>
    Effect.gen(function* () {
      const cell = Actor.cell<number>()
      const fresh = Actor.behavior<Msg>()({
        name: "adder",
        init: (self) => Effect.succeed(self.incarnation * 1000),
        receive: (sum, msg) => {
          if (typeof msg !== "number") throw new Error("crash")
          return sum + msg
        }
      })
      const joined = Actor.withCell(fresh, cell, (kept, fresh) => {
        if (kept > 5000) throw new Error("too much")
        return fresh + (kept % 1000)
      })
      const top = yield* supervised(joined)
      yield* send(3, "crash", 4)
      assert.deepStrictEqual(cell.getUnsafe(), Option.some(2007))
      yield* send(9000)
      yield* top.terminateChild("adder")
      assert.strictEqual((yield* Effect.flip(top.restartChild("adder")))._tag, "StartError")
      yield* cell.clear
      yield* top.restartChild("adder")
      assert.deepStrictEqual(cell.getUnsafe(), Option.some(4000))
    }).pipe(Effect.provide(System.layer))
  )

  it.effect("it belongs to one living actor at a time, and an abandoned one writes no more", () =>
    Effect.gen(function* () {
      const cell = Actor.cell<number>()
      const kept = Actor.withCell(adder, cell)
      const top = yield* supervised(kept, { shutdown: "brutal" })
      const refused = yield* Effect.exit(Actor.spawn(kept))
      assert.strictEqual(refused._tag, "Failure")
      yield* send(3, "hang")
      const ref = Option.getOrThrow(yield* Registry.whereIs(key))
      const stopping = yield* Effect.forkChild(top.terminateChild("adder"))
      yield* settle
      yield* TestClock.adjust("2 seconds")
      yield* settle
      assert.isDefined(stopping.pollUnsafe())
      assert.deepStrictEqual(yield* Actor.awaitExit(ref), ExitReason.killed)
      yield* top.restartChild("adder")
      yield* send(4)
      yield* TestClock.adjust("2 hours")
      yield* settle
      assert.deepStrictEqual(cell.getUnsafe(), Option.some(7))
      assert.strictEqual((yield* System.System).counters().abandonedNow, 0)
    }).pipe(Effect.provide(System.layer))
  )
})

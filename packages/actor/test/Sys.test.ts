import { Actor, ExitReason, Monitor, Registry, Report, Supervisor, Sys, System } from "@starling/actor"
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as TestClock from "effect/testing/TestClock"
import { settle } from "./settle.ts"

type Msg = number | Deferred.Deferred<void> | Actor.ReplyTo<number>

const adding = (init: Effect.Effect<number> = Effect.succeed(0)) =>
  Actor.behavior<Msg>()({
    name: "adding",
    init: (self) => Effect.tap(init, () => self.setTimer("later", "1 second", 1000)),
    receive: (sum, msg) => {
      if (typeof msg === "number") return sum + msg
      if (Deferred.isDeferred(msg)) return Effect.as(Deferred.await(msg as Deferred.Deferred<void>), sum + 100)
      Actor.replyUnsafe(msg as Actor.ReplyTo<number>, sum)
      return sum
    },
    signal: (sum) => sum + 10_000
  })

const ask = (ref: Actor.ActorRef<Msg>) => Actor.ask(ref, (to: Actor.ReplyTo<number>) => to)

describe("Sys", () => {
  it.effect("the state of an actor is the last that a handler returned; none before its start and after its end", () =>
    Effect.gen(function* () {
      const key = Registry.key<Msg>("adding")
      const address = yield* Registry.via(key)
      assert.deepStrictEqual(yield* Sys.getState(address), Option.none())
      const ref = yield* Actor.spawn(adding(), { key })
      Actor.tellUnsafe(ref, 7)
      assert.deepStrictEqual(yield* Sys.getState(ref), Option.some(0))
      yield* settle
      assert.deepStrictEqual(yield* Sys.getState(address), Option.some(7))
      const top = yield* Supervisor.start({ name: "top", children: [] })
      assert.deepStrictEqual(yield* Sys.getState(top.ref), Option.none())
      yield* Actor.exit(ref, ExitReason.shutdown)
      yield* Actor.awaitExit(ref)
      assert.deepStrictEqual(yield* Sys.getState(ref), Option.none())
    }).pipe(Effect.provide(System.layer))
  )

  it.effect("a suspended actor handles no message, no signal and no timer until it is resumed, and loses none", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const other = yield* Actor.spawn(adding())
      const ref = yield* Actor.spawn(
        Actor.behavior<Msg>()({
          name: "watching",
          init: (self) => Effect.as(Effect.andThen(self.monitor(other), self.setTimer("later", "1 second", 1000)), 0),
          receive: (sum, msg) => {
            if (typeof msg === "number") return sum + msg
            if (Deferred.isDeferred(msg)) return Effect.as(Deferred.await(msg as Deferred.Deferred<void>), sum + 100)
            Actor.replyUnsafe(msg as Actor.ReplyTo<number>, sum)
            return sum
          },
          signal: (sum) => sum + 10_000
        })
      )
      Actor.tellUnsafe(ref, gate)
      yield* settle
      yield* Sys.suspend(ref)
      Actor.tellUnsafe(ref, 1)
      // The handler at hand is finished.
      yield* Deferred.succeed(gate, undefined)
      yield* Actor.exit(other, ExitReason.normal)
      yield* settle
      yield* TestClock.adjust("2 seconds")
      const asking = yield* Effect.forkChild(ask(ref))
      yield* settle
      assert.deepStrictEqual(yield* Sys.getState(ref), Option.some(100))
      assert.isUndefined(asking.pollUnsafe())
      yield* Sys.resume(ref)
      assert.strictEqual(yield* Fiber.join(asking), 11_101)
    }).pipe(Effect.provide(System.layer))
  )

  it.effect("a suspended actor can be stopped and killed, and one that starts is suspended once it has", () =>
    Effect.gen(function* () {
      for (const reason of [ExitReason.shutdown, ExitReason.killed]) {
        const ref = yield* Actor.spawn(adding())
        const down = yield* Monitor.on(ref)
        yield* Sys.suspend(ref)
        Actor.tellUnsafe(ref, 1)
        yield* Actor.exit(ref, reason)
        assert.deepStrictEqual(yield* down, reason)
      }
      assert.deepStrictEqual(
        (yield* Report.deadLetters).map(({ message }) => message),
        [1, 1]
      )
      const key = Registry.key<Msg>("starting")
      const address = yield* Registry.via(key)
      const gate = yield* Deferred.make<void>()
      const spawning = yield* Effect.forkChild(Actor.spawn(adding(Effect.as(Deferred.await(gate), 5)), { key }))
      yield* settle
      assert.deepStrictEqual(yield* Sys.getState(address), Option.none())
      yield* Sys.suspend(address)
      Actor.tellUnsafe(address, 1)
      yield* Deferred.succeed(gate, undefined)
      yield* settle
      assert.deepStrictEqual(yield* Sys.getState(address), Option.some(5))
      yield* Sys.resume(address)
      yield* settle
      assert.deepStrictEqual(yield* Sys.getState(address), Option.some(6))
      yield* Fiber.join(spawning)
    }).pipe(Effect.provide(System.layer))
  )

  it.effect("an actor that suspends itself handles nothing more after the message at hand", () =>
    Effect.gen(function* () {
      const ref = yield* Actor.spawn(
        Actor.behavior<"pause" | "count">()({
          name: "pausing",
          init: () => Effect.succeed(0),
          receive: (n, message, self) => {
            if (message === "pause") Effect.runSync(Sys.suspend(self.ref))
            return n + 1
          }
        })
      )
      for (const message of ["count", "pause", "count", "count"] as const) Actor.tellUnsafe(ref, message)
      yield* settle
      assert.deepStrictEqual(yield* Sys.getState(ref), Option.some(2))
      yield* Sys.resume(ref)
      yield* settle
      assert.deepStrictEqual(yield* Sys.getState(ref), Option.some(4))
    }).pipe(Effect.provide(System.layer))
  )
})

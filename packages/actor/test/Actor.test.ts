import { Actor, ExitReason, type Mailbox, Monitor, Registry, Report, System } from "@starling/actor"
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import { settle } from "./settle.ts"

type Msg =
  | { readonly _tag: "Add"; readonly by: number }
  | { readonly _tag: "Get"; readonly replyTo: Actor.ReplyTo<number> }
  | { readonly _tag: "Slow"; readonly gate: Deferred.Deferred<void> }
  | { readonly _tag: "Throw" }
  | { readonly _tag: "Fail" }
  | { readonly _tag: "Quit"; readonly reason: ExitReason.ExitReason }

const get = (replyTo: Actor.ReplyTo<number>): Msg => ({ _tag: "Get", replyTo })

class Start extends Context.Service<Start, number>()("test/Start") {}

const counter = (mailbox?: Mailbox.Mailbox) =>
  Actor.behavior<Msg>()({
    name: "counter",
    ...(mailbox === undefined ? {} : { mailbox }),
    init: () => Effect.succeed(0),
    receive: (n, msg) => {
      switch (msg._tag) {
        case "Add":
          return n + msg.by
        case "Get":
          Actor.replyUnsafe(msg.replyTo, n)
          return n
        case "Slow":
          return Effect.as(Deferred.await(msg.gate), n + 100)
        case "Throw":
          throw new Error("thrown")
        case "Fail":
          return Effect.fail("failed" as const)
        case "Quit":
          return Actor.stop(msg.reason)
      }
    }
  })

describe("Actor", () => {
  it.effect("a plain handler and an effectful one change one state, in the order of the messages", () =>
    Effect.gen(function* () {
      const ref = yield* Actor.spawn(counter())
      const gate = yield* Deferred.make<void>()
      Actor.tellUnsafe(ref, { _tag: "Add", by: 1 })
      Actor.tellUnsafe(ref, { _tag: "Slow", gate })
      Actor.tellUnsafe(ref, { _tag: "Add", by: 10 })
      const asking = yield* Effect.forkChild(Actor.ask(ref, get))
      yield* settle
      assert.strictEqual(asking.pollUnsafe(), undefined)
      yield* Deferred.succeed(gate, undefined)
      assert.strictEqual(yield* Fiber.join(asking), 111)
    }).pipe(Effect.provide(System.layer))
  )

  it.effect("the receiver never runs on the sender's stack", () =>
    Effect.gen(function* () {
      const seen: Array<number> = []
      const ref = yield* Actor.spawn(
        Actor.behavior<number>()({
          name: "seen",
          init: () => Effect.succeed(0),
          receive: (_, n) => {
            seen.push(n)
            return n
          }
        })
      )
      Actor.tellUnsafe(ref, 1)
      assert.deepStrictEqual(seen, [])
      yield* settle
      assert.deepStrictEqual(seen, [1])
    }).pipe(Effect.provide(System.layer))
  )

  it.effect("a handler that throws ends the actor with the defect, and its state and message are in the report", () =>
    Effect.gen(function* () {
      const ref = yield* Actor.spawn(counter())
      const down = yield* Monitor.on(ref)
      Actor.tellUnsafe(ref, { _tag: "Add", by: 7 })
      Actor.tellUnsafe(ref, { _tag: "Throw" })
      Actor.tellUnsafe(ref, { _tag: "Add", by: 8 })
      const reason = yield* down
      assert.strictEqual(reason._tag, "Failed")
      const reports = yield* Report.recent
      assert.deepStrictEqual(
        reports.map((report) => report._tag),
        ["Terminated", "Crashed"]
      )
      const crash = reports[1]
      assert.ok(crash?._tag === "Crashed")
      assert.strictEqual(crash.message, `{ _tag: "Throw" }`)
      assert.strictEqual(crash.state, "7")
      assert.strictEqual(crash.waiting, 1)
      assert.include(crash.cause, "thrown")
      assert.deepStrictEqual(yield* Report.deadLetters, [
        { to: "counter", message: { _tag: "Add", by: 8 }, cause: "down" }
      ])
    }).pipe(Effect.provide(System.layer))
  )

  it.effect("a handler that fails ends the actor with that failure", () =>
    Effect.gen(function* () {
      const ref = yield* Actor.spawn(counter())
      Actor.tellUnsafe(ref, { _tag: "Fail" })
      const reason = yield* Actor.awaitExit(ref)
      assert.ok(reason._tag === "Failed")
      assert.deepStrictEqual(Cause.findErrorOption(reason.cause), Option.some("failed"))
    }).pipe(Effect.provide(System.layer))
  )

  it.effect("a handler that stops normally leaves no report", () =>
    Effect.gen(function* () {
      const ref = yield* Actor.spawn(counter())
      Actor.tellUnsafe(ref, { _tag: "Quit", reason: ExitReason.normal })
      assert.deepStrictEqual(yield* Actor.awaitExit(ref), ExitReason.normal)
      assert.deepStrictEqual(yield* Report.recent, [])
    }).pipe(Effect.provide(System.layer))
  )

  it.effect(
    "a kill by the handler itself, before it returns an Effect that waits for ever, ends it; in an init too",
    () =>
      Effect.gen(function* () {
        const waits = Actor.behavior<"Work">()({
          name: "waits",
          init: () => Effect.void,
          receive: (_, _message, self) => {
            Actor.exitUnsafe(self.ref, ExitReason.killed)
            return Effect.never
          }
        })
        const ref = yield* Actor.spawn(waits)
        const down = yield* Monitor.on(ref)
        Actor.tellUnsafe(ref, "Work")
        yield* settle
        assert.isFalse(Actor.isAlive(ref))
        assert.deepStrictEqual(yield* down, ExitReason.killed)
        const begins = Actor.behavior<"Work">()({
          name: "begins",
          init: (self): Effect.Effect<void> => {
            Actor.exitUnsafe(self.ref, ExitReason.shutdown)
            return Effect.never
          },
          receive: (state) => state
        })
        const starting = yield* Effect.forkChild(Effect.exit(Actor.spawn(begins)))
        yield* settle
        assert.isDefined(starting.pollUnsafe())
        assert.strictEqual((yield* System.System).alive(), 0)
      }).pipe(Effect.provide(System.layer))
  )

  it.effect("a kill interrupts the running handler at once, and terminate is not called", () =>
    Effect.gen(function* () {
      const calls: Array<string> = []
      const ref = yield* Actor.spawn(
        Actor.behavior<"hang">()({
          name: "hanging",
          init: () =>
            Effect.as(
              Effect.addFinalizer(() => Effect.sync(() => calls.push("finalizer"))),
              0
            ),
          receive: () => Effect.onInterrupt(Effect.never, () => Effect.sync(() => calls.push("interrupted"))),
          terminate: () => Effect.sync(() => calls.push("terminate"))
        })
      )
      Actor.tellUnsafe(ref, "hang")
      yield* settle
      yield* Actor.exit(ref, ExitReason.killed)
      assert.deepStrictEqual(yield* Actor.awaitExit(ref), ExitReason.killed)
      assert.deepStrictEqual(calls, ["interrupted", "finalizer"])
    }).pipe(Effect.provide(System.layer))
  )

  it.effect("a stop lets the running handler finish, then terminates before the Scope closes", () =>
    Effect.gen(function* () {
      const calls: Array<string> = []
      const gate = yield* Deferred.make<void>()
      const ref = yield* Actor.spawn(
        Actor.behavior<"work">()({
          name: "worker",
          init: () =>
            Effect.as(
              Effect.addFinalizer(() => Effect.sync(() => calls.push("closed"))),
              0
            ),
          receive: (n) =>
            Effect.map(Deferred.await(gate), () => {
              calls.push("finished")
              return n + 1
            }),
          terminate: (n, reason) => Effect.sync(() => calls.push(`terminate ${n} ${reason._tag}`))
        })
      )
      Actor.tellUnsafe(ref, "work")
      Actor.tellUnsafe(ref, "work")
      yield* settle
      yield* Actor.exit(ref, ExitReason.shutdown)
      yield* settle
      assert.deepStrictEqual(calls, [])
      yield* Deferred.succeed(gate, undefined)
      assert.deepStrictEqual(yield* Actor.awaitExit(ref), ExitReason.shutdown)
      assert.deepStrictEqual(calls, ["finished", "terminate 1 Shutdown", "closed"])
    }).pipe(Effect.provide(System.layer))
  )

  it.effect("an init that fails fails the spawn with its error and leaves nothing behind", () =>
    Effect.gen(function* () {
      const system = yield* System.System
      const key = Registry.key<never>("broken")
      const exit = yield* Effect.exit(
        Actor.spawn(
          Actor.behavior<never>()({
            name: "broken",
            init: () => Effect.fail("no" as const),
            receive: (state) => state
          }),
          { key }
        )
      )
      assert.deepStrictEqual(exit, Exit.fail("no" as const))
      assert.strictEqual(system.alive(), 0)
      assert.deepStrictEqual(yield* Registry.names, [])
    }).pipe(Effect.provide(System.layer))
  )

  it.effect("init takes its services from the context of the spawn", () =>
    Effect.gen(function* () {
      const ref = yield* Actor.spawn(
        Actor.behavior<Actor.ReplyTo<number>>()({
          name: "served",
          init: () => Effect.map(Start, (start) => start),
          receive: (n, to) => Effect.as(Actor.reply(to, n), n)
        })
      )
      assert.strictEqual(yield* Actor.ask(ref, (to: Actor.ReplyTo<number>) => to), 42)
    }).pipe(Effect.provideService(Start, 42), Effect.provide(System.layer))
  )

  it.effect("a late answer is dropped, and the asker gets a timeout", () =>
    Effect.gen(function* () {
      const ref = yield* Actor.spawn(counter())
      const gate = yield* Deferred.make<void>()
      Actor.tellUnsafe(ref, { _tag: "Slow", gate })
      const asking = yield* Effect.forkChild(Effect.flip(Actor.ask(ref, get, "1 second")))
      yield* settle
      yield* TestClock.adjust("1 second")
      const error = yield* Fiber.join(asking)
      assert.strictEqual(error._tag, "AskTimeout")
      yield* Deferred.succeed(gate, undefined)
      yield* settle
      assert.strictEqual(yield* Actor.ask(ref, get), 100)
    }).pipe(Effect.provide(System.layer))
  )

  it.effect("an ask of an actor that ends fails with ActorDown and the exit reason", () =>
    Effect.gen(function* () {
      const ref = yield* Actor.spawn(counter())
      const gate = yield* Deferred.make<void>()
      Actor.tellUnsafe(ref, { _tag: "Slow", gate })
      const asking = yield* Effect.forkChild(Effect.flip(Actor.ask(ref, get)))
      yield* settle
      yield* Actor.exit(ref, ExitReason.killed)
      const down = yield* Fiber.join(asking)
      assert.ok(down._tag === "ActorDown")
      assert.deepStrictEqual(down.reason, ExitReason.killed)
      const dead = yield* Effect.flip(Actor.ask(ref, get))
      assert.ok(dead._tag === "ActorDown")
      assert.deepStrictEqual(dead.reason, ExitReason.noProc)
    }).pipe(Effect.provide(System.layer))
  )

  it.effect("the asker goes on after the handler has returned and its state is stored", () =>
    Effect.gen(function* () {
      const ref = yield* Actor.spawn(
        Actor.behavior<Actor.ReplyTo<number>>()({
          name: "replies-first",
          init: () => Effect.succeed(0),
          receive: (n, to) => {
            Actor.replyUnsafe(to, n)
            return n + 1
          }
        })
      )
      for (let i = 0; i < 100; i++) {
        assert.strictEqual(yield* Actor.ask(ref, (to: Actor.ReplyTo<number>) => to), i)
      }
    }).pipe(Effect.provide(System.layer))
  )

  it.effect("an answer that another actor gives leaves when the handler of who took the question has returned", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const deputy = yield* Actor.spawn(
        Actor.behavior<Actor.ReplyTo<string>>()({
          name: "deputy",
          init: () => Effect.void,
          receive: (_, replyTo) => Actor.replyUnsafe(replyTo, "by the deputy")
        })
      )
      const front = yield* Actor.spawn(
        Actor.behavior<Actor.ReplyTo<string>>()({
          name: "front",
          init: () => Effect.void,
          receive: (_, replyTo) => Effect.andThen(Actor.tell(deputy, replyTo), Deferred.await(gate))
        })
      )
      const asking = yield* Effect.forkChild(Actor.ask(front, (replyTo: Actor.ReplyTo<string>) => replyTo))
      yield* settle
      assert.isUndefined(asking.pollUnsafe())
      yield* Deferred.succeed(gate, undefined)
      assert.strictEqual(yield* Fiber.join(asking), "by the deputy")
    }).pipe(Effect.provide(System.layer))
  )

  it.effect("a timer does not fire after its actor has ended", () =>
    Effect.gen(function* () {
      const ref = yield* Actor.spawn(
        Actor.behavior<string>()({
          name: "timed",
          init: (self) => Effect.as(self.sendAfter("1 minute", "tick"), 0),
          receive: (n) => n + 1
        })
      )
      yield* Actor.exit(ref, ExitReason.normal)
      yield* Actor.awaitExit(ref)
      yield* TestClock.adjust("2 minutes")
      assert.deepStrictEqual(yield* Report.deadLetters, [])
    }).pipe(Effect.provide(System.layer))
  )

  it.effect("a monitor of an actor gives one Down on the system lane, and NoProc at once for the dead", () =>
    Effect.gen(function* () {
      const target = yield* Actor.spawn(counter())
      const downs: Array<string> = []
      yield* Actor.spawn(
        Actor.behavior<never>()({
          name: "watcher",
          init: (self) => Effect.all([self.monitor(target), self.monitor(target)]),
          receive: (state) => state,
          signal: (state, signal, self) => {
            downs.push(`${state.indexOf(signal.monitor)} ${signal.reason._tag}`)
            if (downs.length === 2) self.monitorUnsafe(signal.ref)
            return state
          }
        })
      )
      yield* Actor.exit(target, ExitReason.shutdown)
      yield* settle
      assert.deepStrictEqual(downs, ["0 Shutdown", "1 Shutdown", "-1 NoProc"])
    }).pipe(Effect.provide(System.layer))
  )

  it.effect("monitors on actors of two systems are told apart", () =>
    Effect.gen(function* () {
      const elsewhere = Effect.flatMap(System.make, (system) =>
        Effect.provideService(Actor.spawn(counter()), System.System, system)
      )
      const targets = [yield* elsewhere, yield* elsewhere] as const
      const downs: Array<number> = []
      let ids: ReadonlyArray<Actor.MonitorId> = []
      yield* Actor.spawn(
        Actor.behavior<never>()({
          name: "watcher",
          init: (self) =>
            Effect.sync(() => {
              ids = targets.map((target) => self.monitorUnsafe(target))
              self.demonitorUnsafe(ids[0] ?? 0)
            }),
          receive: (state) => state,
          signal: (state, { monitor }) => {
            downs.push(monitor)
            return state
          }
        })
      )
      for (const target of targets) yield* Actor.exit(target, ExitReason.shutdown)
      yield* settle
      assert.notStrictEqual(ids[0], ids[1])
      assert.deepStrictEqual(downs, [ids[1]])
    }).pipe(Effect.provide(System.layer))
  )

  it.effect("an address resolves anew for each message, and a name in use is refused", () =>
    Effect.gen(function* () {
      const key = Registry.key<Msg>("counter")
      const address = yield* Registry.via(key)
      assert.isFalse(Actor.tellUnsafe(address, { _tag: "Add", by: 1 }))
      const first = yield* Actor.spawn(counter(), { key })
      assert.isTrue(Actor.tellUnsafe(address, { _tag: "Add", by: 1 }))
      const taken = yield* Effect.flip(Actor.spawn(counter(), { key }))
      assert.ok(typeof taken === "object" && taken._tag === "NameTaken")
      yield* Actor.exit(first, ExitReason.shutdown)
      yield* Actor.awaitExit(first)
      assert.deepStrictEqual(yield* Registry.whereIs(key), Option.none())
      yield* Actor.spawn(counter(), { key })
      assert.strictEqual(yield* Actor.ask(address, get), 0)
    }).pipe(Effect.provide(System.layer))
  )

  it.effect("a spawn whose Scope closes meanwhile ends, even if the init cannot be interrupted", () =>
    Effect.gen(function* () {
      const stuck = Actor.behavior<never>()({
        name: "stuck",
        init: () => Effect.uninterruptible(Effect.never),
        receive: (n) => n
      })
      const scope = yield* Scope.make()
      const spawning = yield* Effect.forkChild(Actor.spawn(stuck).pipe(Scope.provide(scope)))
      yield* settle
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
      yield* settle
      yield* TestClock.adjust("6 seconds")
      yield* settle
      yield* Fiber.join(closing)
      const exit = spawning.pollUnsafe()
      assert.ok(exit !== undefined && Exit.isFailure(exit))
      assert.isTrue(Cause.hasInterruptsOnly(exit.cause))
    }).pipe(Effect.provide([System.layer, Logger.layer([])]))
  )
})

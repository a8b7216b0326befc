import { Actor, ExitReason, Mailbox, Registry, Report, System } from "@starling/actor"
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Scheduler from "effect/Scheduler"
import * as TestClock from "effect/testing/TestClock"
import * as fc from "fast-check"
import { settle } from "./settle.ts"

const recording = (mailbox: Mailbox.Mailbox, seen: Array<number>) =>
  Actor.behavior<number>()({
    name: "recording",
    mailbox,
    init: () => Effect.succeed(0),
    receive: (state, n) => {
      seen.push(n)
      return state
    }
  })

const gated = (mailbox: Mailbox.Mailbox, gate: Deferred.Deferred<void>) =>
  Actor.behavior<"wait" | Actor.ReplyTo<string>>()({
    name: "gated",
    mailbox,
    init: () => Effect.succeed(0),
    receive: (n, msg) => (msg === "wait" ? Effect.as(Deferred.await(gate), n) : Effect.as(Actor.reply(msg, "here"), n))
  })

const policies: ReadonlyArray<Mailbox.Policy> = ["backpressure", "dropNew", "dropOld", "fail"]

describe("Mailbox", () => {
  it("bursts of any size: what is kept is the oldest, or the newest under dropOld, in order; the rest is counted and dead", () =>
    fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...policies),
        fc.integer({ min: 1, max: 9 }),
        fc.array(fc.integer({ min: 0, max: 20 }), { maxLength: 5 }),
        (onFull, capacity, bursts) =>
          Effect.gen(function* () {
            const seen: Array<number> = []
            const ref = yield* Actor.spawn(recording(Mailbox.bounded(capacity, onFull), seen))
            const kept: Array<number> = []
            const lost: Array<number> = []
            let next = 0
            for (const size of bursts) {
              const burst = Array.from({ length: size }, () => next++)
              const accepted = burst.map((n) => Actor.tellUnsafe(ref, n))
              const from = onFull === "dropOld" ? Math.max(0, size - capacity) : 0
              const stays = (index: number): boolean => index >= from && index < from + capacity
              assert.deepStrictEqual(
                accepted,
                burst.map((_, index) => onFull === "dropOld" || stays(index))
              )
              kept.push(...burst.filter((_, index) => stays(index)))
              lost.push(...burst.filter((_, index) => !stays(index)))
              yield* settle
            }
            assert.deepStrictEqual(seen, kept)
            const letters = yield* Report.deadLetters
            assert.deepStrictEqual(
              letters.map(({ message }) => message),
              lost
            )
            const { dropped, deadLetters } = (yield* System.System).counters()
            assert.deepStrictEqual([dropped, deadLetters], [lost.length, lost.length])
          }).pipe(Effect.scoped, Effect.provide(System.layer), Effect.runPromise)
      )
    ))

  it.effect("a stop goes before all messages that wait, and no policy drops it", () =>
    Effect.gen(function* () {
      const seen: Array<number> = []
      const ref = yield* Actor.spawn(recording(Mailbox.bounded(3, "dropOld"), seen))
      for (let n = 0; n < 10; n++) Actor.tellUnsafe(ref, n)
      yield* Actor.exit(ref, ExitReason.shutdown)
      for (let n = 10; n < 20; n++) Actor.tellUnsafe(ref, n)
      assert.deepStrictEqual(yield* Actor.awaitExit(ref), ExitReason.shutdown)
      assert.deepStrictEqual(seen, [])
    }).pipe(Effect.provide(System.layer))
  )

  for (const onFull of ["dropNew", "dropOld", "fail"] as const) {
    it.effect(`an ask whose question is dropped by ${onFull} fails with MailboxFull`, () =>
      Effect.gen(function* () {
        const gate = yield* Deferred.make<void>()
        const ref = yield* Actor.spawn(gated(Mailbox.bounded(1, onFull), gate))
        Actor.tellUnsafe(ref, "wait")
        yield* settle
        const here = (to: Actor.ReplyTo<string>) => to
        const first = yield* Effect.forkChild(Effect.result(Actor.ask(ref, here)))
        yield* settle
        const second = yield* Effect.forkChild(Effect.result(Actor.ask(ref, here)))
        yield* settle
        yield* Deferred.succeed(gate, undefined)
        const results = [yield* Fiber.join(first), yield* Fiber.join(second)].map((result) =>
          result._tag === "Success" ? result.success : result.failure._tag
        )
        assert.deepStrictEqual(results, onFull === "dropOld" ? ["MailboxFull", "here"] : ["here", "MailboxFull"])
      }).pipe(Effect.provide(System.layer))
    )
  }

  it.effect("a question that waits for room until its time is over never reaches the actor", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const ref = yield* Actor.spawn(gated(Mailbox.bounded(1), gate))
      Actor.tellUnsafe(ref, "wait")
      yield* settle
      Actor.tellUnsafe(ref, "wait")
      const asking = yield* Effect.forkChild(Effect.flip(Actor.ask(ref, (to: Actor.ReplyTo<string>) => to, "1 second")))
      yield* settle
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.join(asking))._tag, "AskTimeout")
      yield* Deferred.succeed(gate, undefined)
      yield* settle
      assert.strictEqual((yield* System.System).counters().handled, 2)
    }).pipe(Effect.provide(System.layer))
  )

  it.effect("senders that wait for room in an actor that ends are told, and their messages are dead letters", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const ref = yield* Actor.spawn(gated(Mailbox.bounded(1), gate))
      Actor.tellUnsafe(ref, "wait")
      yield* settle
      Actor.tellUnsafe(ref, "wait")
      const telling = yield* Effect.forkChild(Actor.tell(ref, "wait"))
      yield* settle
      yield* Actor.exit(ref, ExitReason.killed)
      assert.isFalse(yield* Fiber.join(telling))
      assert.strictEqual((yield* Report.deadLetters).length, 2)
    }).pipe(Effect.provide(System.layer))
  )

  it.effect("a mailbox without room for one message is refused before init", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(Actor.spawn(recording(Mailbox.bounded(0), [])))
      assert.ok(error._tag === "InvalidMailbox")
      assert.strictEqual((yield* System.System).alive(), 0)
    }).pipe(Effect.provide(System.layer))
  )

  it.effect("a tell never throws into the sender, whatever the target's state", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const ref = yield* Actor.spawn(gated(Mailbox.bounded(1), gate))
      const nobody = yield* Registry.via(Registry.key<"wait">("nobody"))
      const told: Array<boolean> = [Actor.tellUnsafe(nobody, "wait"), Actor.tellUnsafe(ref, "wait")]
      told.push(Actor.tellUnsafe(ref, "wait"))
      yield* settle
      yield* Actor.exit(ref, ExitReason.shutdown)
      told.push(Actor.tellUnsafe(ref, "wait"))
      yield* Actor.exit(ref, ExitReason.killed)
      yield* Actor.awaitExit(ref)
      told.push(Actor.tellUnsafe(ref, "wait"), yield* Actor.tell(ref, "wait"))
      assert.deepStrictEqual(told, [false, true, false, true, false, false])
    }).pipe(Effect.provide(System.layer))
  )

  it("who tells while others may run in between is never left waiting: for room that came meanwhile, or for an end", () =>
    fc.assert(
      fc.asyncProperty(fc.integer({ min: 5, max: 60 }), fc.boolean(), (opsBeforeYield, ends) =>
        Effect.gen(function* () {
          const seen: Array<number> = []
          const sink = yield* Actor.spawn(recording(Mailbox.bounded(1), seen))
          const tellers = yield* Effect.forEach([0, 10, 20, 30], (from) =>
            Effect.forkChild(
              Effect.forEach([1, 2, 3, 4, 5], (n) => Actor.tell(sink, from + n), { discard: true }).pipe(
                Effect.provideService(Scheduler.MaxOpsBeforeYield, opsBeforeYield)
              )
            )
          )
          if (ends) yield* Actor.exit(sink, ExitReason.shutdown)
          for (let turn = 0; turn < 200; turn++) yield* Effect.yieldNow
          assert.deepStrictEqual(
            tellers.map((teller) => teller.pollUnsafe()?._tag),
            tellers.map(() => "Success" as const)
          )
          if (!ends) assert.strictEqual(seen.length, 20)
        }).pipe(Effect.scoped, Effect.provide(System.layer), Effect.runPromise)
      )
    ))

  it.effect(
    "who asks a full mailbox again and again keeps neither the other actors nor the other fibers from theirs",
    () =>
      Effect.gen(function* () {
        const gate = yield* Deferred.make<void>()
        const full = yield* Actor.spawn(gated(Mailbox.bounded(1, "fail"), gate))
        Actor.tellUnsafe(full, "wait")
        yield* settle
        Actor.tellUnsafe(full, "wait")
        const seen: Array<number> = []
        const other = yield* Actor.spawn(recording(Mailbox.unbounded, seen))
        const fiber = yield* Effect.forkChild(Effect.void)
        Actor.tellUnsafe(other, 1)
        const asks = (count: number, done: () => boolean) =>
          Effect.gen(function* () {
            let tries = 0
            while (!done() && tries < count) {
              tries++
              assert.strictEqual(
                (yield* Effect.flip(Actor.ask(full, (to: Actor.ReplyTo<string>) => to)))._tag,
                "MailboxFull"
              )
            }
            return tries
          })
        assert.isBelow(yield* asks(100, () => seen.length === 1), 100)
        assert.isBelow(yield* asks(200_000, () => fiber.pollUnsafe() !== undefined), 200_000)
        yield* Deferred.succeed(gate, undefined)
      }).pipe(Effect.provide(System.layer))
  )
})

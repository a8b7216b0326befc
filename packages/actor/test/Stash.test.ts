import { Actor, ExitReason, Mailbox, Registry, Report, Supervisor, System } from "@starling/actor"
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as fc from "fast-check"
import { settle } from "./settle.ts"

/** Closed, it puts numbers aside; opened, it takes them. */
type Msg = number | "open" | "close" | "crash" | Actor.ReplyTo<number>

const door = (seen: Array<number>, mailbox: Mailbox.Mailbox = Mailbox.defaultMailbox) =>
  Actor.behavior<Msg>()({
    name: "door",
    mailbox,
    init: () => Effect.succeed(false),
    receive: (open, msg, self) => {
      if (msg === "open") {
        self.unstashUnsafe()
        return true
      }
      if (msg === "close") return false
      if (msg === "crash") throw new Error("crash")
      if (!open) return Actor.postpone(open)
      if (typeof msg === "number") seen.push(msg)
      else Actor.replyUnsafe(msg, seen.length)
      return open
    }
  })

const count = (to: Actor.ReplyTo<number>): Msg => to

describe("postponed messages", () => {
  it("whatever is opened, closed and sent: every number is seen once, in its order, or still waits", () =>
    fc.assert(
      fc.asyncProperty(fc.array(fc.constantFrom("open", "close", "send", "run"), { maxLength: 40 }), (ops) =>
        Effect.runPromise(
          Effect.gen(function* () {
            const seen: Array<number> = []
            const ref = yield* Actor.spawn(door(seen))
            let sent = 0
            for (const op of ops) {
              if (op === "run") yield* settle
              else Actor.tellUnsafe(ref, op === "send" ? sent++ : op)
            }
            const all = Array.from({ length: sent }, (_, index) => index)
            yield* settle
            assert.deepStrictEqual(seen, all.slice(0, seen.length))
            Actor.tellUnsafe(ref, "open")
            yield* settle
            assert.deepStrictEqual(seen, all)
          }).pipe(Effect.scoped, Effect.provide(System.layer))
        )
      )
    ))

  it.effect("they count against the capacity: what is sent past it is dropped, and counted", () =>
    Effect.gen(function* () {
      const seen: Array<number> = []
      const ref = yield* Actor.spawn(door(seen, Mailbox.bounded(3, "fail")))
      const accepted: Array<boolean> = []
      for (let n = 0; n < 5; n++) {
        accepted.push(Actor.tellUnsafe(ref, n))
        yield* settle
      }
      assert.deepStrictEqual(accepted, [true, true, true, false, false])
      assert.strictEqual((yield* System.System).counters().dropped, 2)
      assert.strictEqual((yield* Effect.flip(Actor.ask(ref, count)))._tag, "MailboxFull")
    }).pipe(Effect.provide(System.layer))
  )

  it.effect("under backpressure at most one more than the capacity is ever held", () =>
    Effect.gen(function* () {
      const seen: Array<number> = []
      const ref = yield* Actor.spawn(door(seen, Mailbox.bounded(2)))
      const sending = yield* Effect.forEach([0, 1, 2, 3, 4, 5], (n) => Effect.forkChild(Actor.tell(ref, n)))
      yield* settle
      assert.isAtMost(sending.filter((fiber) => fiber.pollUnsafe() !== undefined).length, 3)
      yield* Actor.exit(ref, ExitReason.shutdown)
      yield* settle
      for (const fiber of sending) yield* Fiber.join(fiber)
      assert.strictEqual((yield* Report.deadLetters).length, 6)
    }).pipe(Effect.provide(System.layer))
  )

  it.effect("under dropOld the oldest goes first, and the postponed when nothing else waits", () =>
    Effect.gen(function* () {
      const seen: Array<number> = []
      const ref = yield* Actor.spawn(door(seen, Mailbox.bounded(3, "dropOld")))
      for (const n of [0, 1, 2]) Actor.tellUnsafe(ref, n)
      yield* settle
      for (const n of [3, 4]) Actor.tellUnsafe(ref, n)
      Actor.tellUnsafe(ref, "open")
      yield* settle
      assert.deepStrictEqual(
        (yield* Report.deadLetters).map(({ message }) => message),
        [0, 3, 4]
      )
      assert.deepStrictEqual(seen, [1, 2])
    }).pipe(Effect.provide(System.layer))
  )

  it.effect("a postponed question is answered later, and fails with its actor", () =>
    Effect.gen(function* () {
      const ref = yield* Actor.spawn(door([]))
      const answered = yield* Effect.forkChild(Actor.ask(ref, count))
      yield* settle
      Actor.tellUnsafe(ref, "open")
      assert.strictEqual(yield* Fiber.join(answered), 0)
      Actor.tellUnsafe(ref, "close")
      const failed = yield* Effect.forkChild(Effect.flip(Actor.ask(ref, count)))
      yield* settle
      Actor.tellUnsafe(ref, "crash")
      const down = yield* Fiber.join(failed)
      assert.ok(down._tag === "ActorDown")
      assert.strictEqual(down.reason._tag, "Failed")
    }).pipe(Effect.provide(System.layer))
  )

  it.effect("with a kept mailbox they are the first of the next incarnation, before what came later", () =>
    Effect.gen(function* () {
      const seen: Array<number> = []
      const key = Registry.key<Msg>("door")
      yield* Supervisor.start({
        name: "top",
        children: [Supervisor.childSpec(door(seen), { key, onRestart: "keep" })]
      })
      const ref = yield* Registry.via(key)
      for (const msg of [1, 2, "crash", 3, "open", 4] as const) Actor.tellUnsafe(ref, msg)
      const asking = yield* Effect.forkChild(Actor.ask(ref, count))
      assert.strictEqual(yield* Fiber.join(asking), 4)
      assert.deepStrictEqual(seen, [1, 2, 3, 4])
    }).pipe(Effect.provide(System.layer))
  )

  it.effect("an actor whose messages are all postponed waits without a turn", () =>
    Effect.gen(function* () {
      const ref = yield* Actor.spawn(door([]))
      for (const n of [0, 1, 2]) Actor.tellUnsafe(ref, n)
      yield* settle
      const { handled } = (yield* System.System).counters()
      for (let i = 0; i < 10; i++) yield* settle
      assert.strictEqual((yield* System.System).counters().handled, handled)
    }).pipe(Effect.provide(System.layer))
  )

  it.effect("a Down cannot be postponed: that is a defect of the actor", () =>
    Effect.gen(function* () {
      const target = yield* Actor.spawn(door([]))
      const gate = yield* Deferred.make<ExitReason.DownReason>()
      const ref = yield* Actor.spawn(
        Actor.behavior<never>()({
          name: "watcher",
          init: (self) => Effect.as(self.monitor(target), 0),
          receive: (state) => state,
          signal: (state) => Actor.postpone(state)
        })
      )
      yield* Effect.forkChild(Effect.flatMap(Actor.awaitExit(ref), (reason) => Deferred.succeed(gate, reason)))
      yield* Actor.exit(target, ExitReason.normal)
      assert.strictEqual((yield* Deferred.await(gate))._tag, "Failed")
    }).pipe(Effect.provide(System.layer))
  )
})

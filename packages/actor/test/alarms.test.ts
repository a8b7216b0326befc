import { Actor, ExitReason, Mailbox, Registry, Report, Supervisor, System } from "@starling/actor"
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as TestClock from "effect/testing/TestClock"
import { settle } from "./settle.ts"

type Msg =
  | { readonly _tag: "Do"; readonly what: (self: Actor.Self<Msg>) => void }
  | { readonly _tag: "Note"; readonly text: string }
  | { readonly _tag: "Wait"; readonly gate: Deferred.Deferred<void> }
  | { readonly _tag: "Crash" }

const note = (text: string): Msg => ({ _tag: "Note", text })
const does = (what: (self: Actor.Self<Msg>) => void): Msg => ({ _tag: "Do", what })

const noting = (notes: Array<string>, mailbox: Mailbox.Mailbox = Mailbox.defaultMailbox) =>
  Actor.behavior<Msg>()({
    name: "noting",
    mailbox,
    init: () => Effect.succeed(0),
    receive: (n, msg, self) => {
      switch (msg._tag) {
        case "Do":
          msg.what(self)
          return n + 1
        case "Note":
          notes.push(msg.text)
          return n + 1
        case "Wait":
          return Effect.as(Deferred.await(msg.gate), n + 1)
        case "Crash":
          throw new Error("crash")
      }
    }
  })

describe("named timers", () => {
  it.effect("a timer that is set again fires once, as it was set last", () =>
    Effect.gen(function* () {
      const notes: Array<string> = []
      const ref = yield* Actor.spawn(noting(notes))
      Actor.tellUnsafe(
        ref,
        does((self) => self.setTimerUnsafe("beat", "1 second", note("first")))
      )
      yield* settle
      yield* TestClock.adjust(900)
      Actor.tellUnsafe(
        ref,
        does((self) => self.setTimerUnsafe("beat", "1 second", note("second")))
      )
      yield* settle
      yield* TestClock.adjust(900)
      assert.deepStrictEqual(notes, [])
      yield* TestClock.adjust("1 minute")
      yield* settle
      assert.deepStrictEqual(notes, ["second"])
    }).pipe(Effect.provide(System.layer))
  )

  it.effect("one that has fired while a handler ran is gone if that handler's successor replaces or cancels it", () =>
    Effect.gen(function* () {
      const notes: Array<string> = []
      const ref = yield* Actor.spawn(
        Actor.behavior<Deferred.Deferred<void> | string>()({
          name: "busy",
          init: (self) =>
            Effect.sync(() => {
              self.setTimerUnsafe("a", "1 second", "a, stale")
              self.setTimerUnsafe("b", "2 seconds", "b, stale")
              self.setTimerUnsafe("c", "2 seconds", "c")
              return 0
            }),
          receive: (n, msg, self) => {
            if (typeof msg === "string") {
              notes.push(msg)
              return n + 1
            }
            return Effect.map(Deferred.await(msg), () => {
              self.setTimerUnsafe("a", "1 minute", "a, new")
              notes.push(`cancelled ${self.cancelTimerUnsafe("b")} ${self.cancelTimerUnsafe("nobody")}`)
              return n + 1
            })
          }
        })
      )
      const gate = yield* Deferred.make<void>()
      Actor.tellUnsafe(ref, gate)
      yield* settle
      yield* TestClock.adjust("10 seconds")
      yield* Deferred.succeed(gate, undefined)
      yield* settle
      assert.deepStrictEqual(notes, ["cancelled true false", "c"])
      yield* TestClock.adjust("1 hour")
      yield* settle
      assert.deepStrictEqual(notes, ["cancelled true false", "c", "a, new"])
    }).pipe(Effect.provide(System.layer))
  )

  it.effect("one of an incarnation that has ended never fires, and leaves nobody asleep", () =>
    Effect.gen(function* () {
      const notes: Array<string> = []
      const key = Registry.key<Msg>("noting")
      yield* Supervisor.start({
        name: "top",
        children: [Supervisor.childSpec(noting(notes), { key, onRestart: "keep" })]
      })
      const ref = yield* Registry.via(key)
      Actor.tellUnsafe(
        ref,
        does((self) => {
          self.setTimerUnsafe("late", "1 second", note("of the dead"))
          self.setReceiveTimeoutUnsafe("1 second", note("idle of the dead"))
        })
      )
      Actor.tellUnsafe(ref, { _tag: "Crash" })
      yield* settle
      assert.strictEqual(Option.getOrThrow(yield* Registry.whereIs(key)).name, "noting")
      yield* TestClock.adjust("1 minute")
      yield* settle
      assert.deepStrictEqual(notes, [])
      assert.deepStrictEqual(yield* Report.deadLetters, [])
    }).pipe(Effect.provide(System.layer))
  )

  it.effect("a full mailbox drops no timer, and the timer's message comes before what waits", () =>
    Effect.gen(function* () {
      const notes: Array<string> = []
      const ref = yield* Actor.spawn(noting(notes, Mailbox.bounded(1, "dropNew")))
      const gate = yield* Deferred.make<void>()
      Actor.tellUnsafe(
        ref,
        does((self) => self.setTimerUnsafe("beat", "1 second", note("beat")))
      )
      yield* settle
      Actor.tellUnsafe(ref, { _tag: "Wait", gate })
      yield* settle
      Actor.tellUnsafe(ref, note("waits"))
      assert.isFalse(Actor.tellUnsafe(ref, note("dropped")))
      yield* TestClock.adjust("1 second")
      yield* Deferred.succeed(gate, undefined)
      yield* settle
      assert.deepStrictEqual(notes, ["beat", "waits"])
    }).pipe(Effect.provide(System.layer))
  )
})

describe("the receive timeout", () => {
  it.effect("comes after each silence of its length, and never when a message is there", () =>
    Effect.gen(function* () {
      const notes: Array<string> = []
      const ref = yield* Actor.spawn(noting(notes))
      Actor.tellUnsafe(
        ref,
        does((self) => self.setReceiveTimeoutUnsafe("1 second", note("silence")))
      )
      yield* settle
      for (let i = 0; i < 3; i++) {
        yield* TestClock.adjust(999)
        Actor.tellUnsafe(ref, note("message"))
        yield* settle
      }
      assert.deepStrictEqual(notes, ["message", "message", "message"])
      yield* TestClock.adjust("1 second")
      yield* settle
      yield* TestClock.adjust("1 second")
      yield* settle
      assert.deepStrictEqual(notes.slice(3), ["silence", "silence"])
      const gate = yield* Deferred.make<void>()
      Actor.tellUnsafe(ref, { _tag: "Wait", gate })
      yield* settle
      yield* TestClock.adjust("5 seconds")
      Actor.tellUnsafe(ref, note("came meanwhile"))
      Actor.tellUnsafe(
        ref,
        does((self) => self.cancelReceiveTimeoutUnsafe())
      )
      yield* Deferred.succeed(gate, undefined)
      yield* settle
      yield* TestClock.adjust("1 hour")
      yield* settle
      assert.deepStrictEqual(notes.slice(5), ["came meanwhile"])
      yield* Actor.exit(ref, ExitReason.normal)
    }).pipe(Effect.provide(System.layer))
  )
})

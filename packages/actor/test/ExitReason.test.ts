import { ExitReason } from "@starling/actor"
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"

const causeOf = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<Cause.Cause<E>> =>
  Effect.map(Effect.exit(effect), (exit) => (Exit.isFailure(exit) ? exit.cause : Cause.empty))

describe("ExitReason", () => {
  it.effect("an interruption is the reason that it brings along, and a kill without one", () =>
    Effect.gen(function* () {
      for (const reason of [ExitReason.normal, ExitReason.shutdown, ExitReason.shutdownWith("x")]) {
        const fiber = yield* Effect.forkChild(Effect.never, { startImmediately: true })
        yield* Fiber.interruptAs(fiber, 0, Context.make(ExitReason.Annotation, reason))
        assert.deepStrictEqual(ExitReason.fromCause(yield* causeOf(Fiber.join(fiber))), reason)
      }
      assert.deepStrictEqual(ExitReason.fromCause(yield* causeOf(Effect.interrupt)), ExitReason.killed)
    })
  )

  it.effect("a failure or a defect is a failure, whatever else the cause holds", () =>
    Effect.gen(function* () {
      for (const effect of [Effect.fail("no"), Effect.die("no"), Effect.ensuring(Effect.interrupt, Effect.die("no"))]) {
        const cause = yield* causeOf(effect)
        assert.deepStrictEqual(ExitReason.fromCause(cause), ExitReason.failed(cause))
      }
    })
  )

  it("only failures and kills are abnormal", () => {
    const { failure, isAbnormal, killed, noProc, normal, shutdown, shutdownWith } = ExitReason
    assert.deepStrictEqual([normal, shutdown, shutdownWith(1), noProc].map(isAbnormal), [false, false, false, false])
    assert.deepStrictEqual([killed, failure("no")].map(isAbnormal), [true, true])
  })

  it("each is a bounded line of text, whatever it holds", () => {
    const ring: { self?: unknown } = {}
    ring.self = ring
    const { failure, killed, noProc, normal, shutdown, shutdownWith, toText } = ExitReason
    assert.deepStrictEqual(
      [normal, shutdown, shutdownWith({ by: "me" }), killed, noProc, failure(new TypeError("no")), failure(ring)].map(
        toText
      ),
      [
        "normal",
        "shutdown",
        `shutdown ({"by":"me"})`,
        "killed",
        "no such actor",
        "failed: TypeError: no",
        "failed: <not printable: object>"
      ]
    )
    assert.isAtMost(toText(failure("x".repeat(10_000))).length, 250)
  })
})

import { Actor, Report, System } from "@starling/actor"
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as TestClock from "effect/testing/TestClock"
import * as fc from "fast-check"
import { settle } from "./settle.ts"

type Op =
  | { readonly _tag: "Set"; readonly delayMs: number }
  | { readonly _tag: "Cancel"; readonly which: number }
  | { readonly _tag: "Wait"; readonly ms: number }

const op: fc.Arbitrary<Op> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ _tag: fc.constant("Set"), delayMs: fc.integer({ min: -1, max: 40 }) }) },
  { weight: 2, arbitrary: fc.record({ _tag: fc.constant("Cancel"), which: fc.nat(20) }) },
  { weight: 2, arbitrary: fc.record({ _tag: fc.constant("Wait"), ms: fc.integer({ min: 0, max: 30 }) }) }
) as fc.Arbitrary<Op>

const world = System.layer.pipe(Layer.provideMerge(TestClock.layer()))

/** An actor that says when it got what, and gives its Self away. */
const open = (seen: Array<readonly [at: number, message: number]>) =>
  Effect.gen(function* () {
    let held: Actor.Self<number> | undefined
    yield* Actor.spawn(
      Actor.behavior<number>()({
        name: "timed",
        init: (self) => Effect.sync(() => (held = self)),
        receive: (state, message, self) => {
          seen.push([self.now(), message])
          return state
        }
      })
    )
    return held as Actor.Self<number>
  })

/** A Clock that counts who sleeps; `settle` only yields. */
const counting = (clock: Clock.Clock, sleeping: { now: number; most: number }): Clock.Clock => ({
  currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe(),
  currentTimeMillis: clock.currentTimeMillis,
  currentTimeNanosUnsafe: () => clock.currentTimeNanosUnsafe(),
  currentTimeNanos: clock.currentTimeNanos,
  monotonicTimeNanosUnsafe: () => clock.monotonicTimeNanosUnsafe(),
  monotonicTimeNanos: clock.monotonicTimeNanos,
  sleep: (duration: Duration.Duration) =>
    Effect.suspend(() => {
      if (Duration.isZero(duration)) return clock.sleep(duration)
      sleeping.most = Math.max(sleeping.most, ++sleeping.now)
      return Effect.ensuring(
        clock.sleep(duration),
        Effect.sync(() => sleeping.now--)
      )
    })
})

describe("timers of a system", () => {
  it("any timers, set and cancelled at any time: those that were not cancelled fire once, in order, at their instant", () =>
    fc.assert(
      fc.asyncProperty(fc.array(op, { maxLength: 40 }), (ops) =>
        Effect.runPromise(
          Effect.gen(function* () {
            const seen: Array<readonly [at: number, message: number]> = []
            const self = yield* open(seen)
            const startedAt = self.now()
            const set: Array<{ readonly at: number; readonly ref: Actor.TimerRef; cancelled: boolean }> = []
            for (const op of ops) {
              const now = self.now() - startedAt
              if (op._tag === "Set") {
                const ref = self.sendAfterUnsafe(op.delayMs, set.length)
                set.push({ at: now + Math.max(0, op.delayMs), ref, cancelled: false })
              } else if (op._tag === "Wait") yield* Effect.andThen(TestClock.adjust(op.ms), settle)
              else {
                const timer = set[op.which]
                if (timer === undefined) continue
                const pending = !timer.cancelled && !seen.some(([, message]) => message === op.which)
                const cancelled = timer.ref.cancelUnsafe()
                // Between its instant and the next turn it is either; what it said holds.
                if (timer.at > now) assert.strictEqual(cancelled, pending)
                timer.cancelled ||= cancelled
              }
            }
            yield* Effect.andThen(TestClock.adjust(1000), settle)
            const due = set.map(({ at, cancelled }, index) => ({ at, cancelled, index })).filter((t) => !t.cancelled)
            assert.deepStrictEqual(
              seen.map(([at, message]) => [at - startedAt, message]),
              due.toSorted((a, b) => a.at - b.at || a.index - b.index).map(({ at, index }) => [at, index])
            )
          }).pipe(Effect.scoped, Effect.provide(world))
        )
      )
    ))

  it.effect("a thousand questions under way are one sleeping fiber, and none is left when they are answered", () =>
    Effect.gen(function* () {
      const clock = yield* Clock.Clock
      const sleeping = { now: 0, most: 0 }
      yield* Effect.gen(function* () {
        const waiting: Array<Actor.ReplyTo<number>> = []
        const ref = yield* Actor.spawn(
          Actor.behavior<Actor.ReplyTo<number>>()({
            name: "late",
            init: () => Effect.succeed(0),
            receive: (n, to) => {
              waiting.push(to)
              return n + 1
            }
          })
        )
        const ask = Actor.ask(ref, (to: Actor.ReplyTo<number>) => to, "1 minute")
        const asking = yield* Effect.forEach(Array.from({ length: 1000 }), () => Effect.forkChild(ask))
        yield* settle
        assert.strictEqual(waiting.length, 1000)
        assert.deepStrictEqual(sleeping, { now: 1, most: 1 })
        for (const to of waiting) Actor.replyUnsafe(to, 7)
        for (const fiber of asking) assert.strictEqual(yield* Fiber.join(fiber), 7)
        yield* settle
        assert.strictEqual(sleeping.now, 0)
      }).pipe(
        Effect.scoped,
        Effect.provide(System.layer),
        Effect.provideService(Clock.Clock, counting(clock, sleeping))
      )
    })
  )

  it.effect("a timer that is set while another fires comes in its turn, and one without an end never", () =>
    Effect.gen(function* () {
      const seen: Array<readonly [at: number, message: number]> = []
      const self = yield* open(seen)
      const startedAt = self.now()
      self.sendAfterUnsafe("1 minute", 1)
      self.sendAfterUnsafe(Duration.infinity, 2)
      yield* TestClock.adjust("1 minute")
      self.sendAfterUnsafe("1 second", 3)
      self.sendAfterUnsafe(0, 4)
      yield* settle
      yield* TestClock.adjust("1 hour")
      yield* settle
      assert.deepStrictEqual(
        seen.map(([at, message]) => [at - startedAt, message]),
        [
          [60_000, 1],
          [60_000, 4],
          [61_000, 3]
        ]
      )
      assert.deepStrictEqual(yield* Report.deadLetters, [])
    }).pipe(Effect.provide(System.layer))
  )
})

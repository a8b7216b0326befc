/** The seeded runtime that whole agents run in. */
import { assert, describe, it } from "@effect/vitest"
import { SimRuntime } from "@starling/testing"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Random from "effect/Random"
import * as fc from "fast-check"

/** Many fibers that sleep at random; the order in which they end. */
const race = Effect.gen(function* () {
  const order: Array<number> = []
  yield* Effect.forEach(
    Array.from({ length: 20 }, (_, index) => index),
    (index) =>
      Effect.gen(function* () {
        for (let nap = 0; nap < 5; nap++) yield* Effect.sleep(yield* Random.nextIntBetween(0, 10))
        order.push(index)
      }),
    { concurrency: "unbounded", discard: true }
  )
  return order
})

describe("the seeded runtime", () => {
  it("the same seed gives the same history and the same end, another seed another", () => {
    const [one, same, other] = [1, 1, 2].map((seed) => SimRuntime.run(race, { seed }))
    assert.deepStrictEqual(one, same)
    assert.notStrictEqual(one?.history, other?.history)
  })

  it("an hour of sleep takes no time, and timers come by instant, whatever the order in which they were set", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 3_600_000 }), { maxLength: 50 }), fc.nat(), (naps, seed) => {
        const outcome = SimRuntime.run(
          Effect.gen(function* () {
            const start = yield* Clock.currentTimeMillis
            const woken: Array<number> = []
            yield* Effect.forEach(
              naps,
              (ms) =>
                Effect.andThen(
                  Effect.sleep(ms),
                  Effect.map(Clock.currentTimeMillis, (now) => void woken.push(now - start))
                ),
              { concurrency: "unbounded", discard: true }
            )
            return woken
          }),
          { seed }
        )
        if (outcome._tag !== "Done") return assert.fail(outcome._tag)
        assert.deepStrictEqual(outcome.exit, Exit.succeed(naps.toSorted((a, b) => a - b)))
      })
    )
  })

  it("a program that waits for what no timer brings is a deadlock, and one that never ends is endless", () => {
    const waits = Effect.flatMap(Deferred.make<void>(), Deferred.await)
    assert.strictEqual(SimRuntime.run(waits, { seed: 1 })._tag, "Deadlock")
    const spins = Effect.forever(Effect.yieldNow)
    assert.strictEqual(SimRuntime.run(spins, { seed: 1, stepsMax: 1000 })._tag, "Endless")
  })

  it("a fiber that sleeps on when the program has ended is counted, an interrupted one is not", () => {
    const left = SimRuntime.run(Effect.asVoid(Effect.forkDetach(Effect.sleep(1000))), { seed: 1 })
    assert.strictEqual(left.sleepers, 1)
    const interrupted = SimRuntime.run(Effect.timeoutOption(Effect.sleep(1000), 10), { seed: 1 })
    assert.deepStrictEqual([interrupted.sleepers, interrupted.virtualMs], [0, 10])
  })
})

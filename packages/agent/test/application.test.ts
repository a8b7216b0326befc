import { assert, describe, it } from "@effect/vitest"
import { Wiring } from "@starling/member"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import type { Delivery } from "../src/Agent.ts"
import * as Application from "../src/internal/application.ts"

const nobody = { apply: () => {}, outdated: () => {} }

const deliver = (application: Application.Application, seq: number): void =>
  Application.onOutput(
    application,
    {
      _tag: "Delivered",
      id: { origin: "aaaaaaaaaaaa", incarnation: 1, seq },
      topic: 1,
      payload: seq,
      round: 0
    },
    nobody
  )

const broadcast = (token: number): Wiring.Delivery => ({
  to: "broadcast-tree",
  event: { _tag: "Broadcast", token, topic: 1, payload: token }
})

const nothingHeld = () => false

const event = (token: number): Wiring.Delivery => ({
  to: "facts",
  event: { _tag: "RecordEvent", token, app: "shop", severity: "info", body: "hi", attributes: {} }
})

describe("the application's side", () => {
  it.effect("a subscriber that falls behind loses the oldest, counted; the sender never waits", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const application = yield* Application.make
        const deliveries = yield* Application.subscribe(application)
        for (let seq = 1; seq <= 10_005; seq++) deliver(application, seq)
        assert.strictEqual(application.counters.lagged, 5)
        assert.strictEqual(application.counters.delivered, 10_005)
        assert.strictEqual(application.byOrigin.get("aaaaaaaaaaaa"), 10_005)
        const first = yield* Stream.runCollect(Stream.take(deliveries, 1))
        assert.deepStrictEqual([...first], [{ id: "aaaaaaaaaaaa.1.6", payload: 6, lagged: 5 }])
      })
    )
  )

  it.effect("each subscriber is told how many it lost itself, where it lost them", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const application = yield* Application.make
        deliver(application, 1)
        const [slow, quick] = [yield* Application.subscribe(application), yield* Application.subscribe(application)]
        const taken = { slow: new Array<Delivery>(), quick: new Array<Delivery>() }
        const take = (who: "slow" | "quick", count: number) =>
          Stream.runForEach(Stream.take(who === "slow" ? slow : quick, count), (delivery) =>
            Effect.sync(() => void taken[who].push(delivery))
          )
        for (let seq = 2; seq <= 6001; seq++) deliver(application, seq)
        yield* take("quick", 6000)
        for (let seq = 6002; seq <= 10_101; seq++) deliver(application, seq)
        yield* take("quick", 4100)
        yield* take("slow", 10_000)
        deliver(application, 10_102)
        yield* take("slow", 1)
        assert.isTrue(taken.quick.every(({ lagged }) => lagged === 0))
        assert.strictEqual(taken.quick.length, 10_100)
        assert.deepStrictEqual(
          taken.slow.filter(({ lagged }) => lagged > 0),
          [{ id: "aaaaaaaaaaaa.1.102", payload: 102, lagged: 100 }]
        )
        assert.strictEqual(taken.slow.at(-1)?.payload, 10_102)
        assert.strictEqual(application.counters.lagged, 100)
      })
    )
  )

  it.effect("without a subscriber nothing lags", () =>
    Effect.gen(function* () {
      const application = yield* Application.make
      for (let seq = 1; seq <= 10_005; seq++) deliver(application, seq)
      assert.strictEqual(application.counters.lagged, 0)
    })
  )

  it.effect("a broadcast that is handed over twice counts as a duplicate", () =>
    Effect.gen(function* () {
      const application = yield* Application.make
      for (const seq of [1, 2, 3, 2]) deliver(application, seq)
      assert.strictEqual(application.counters.duplicates, 1)
    })
  )

  it.effect("a request whose step crashed before it began is made again, and answered", () =>
    Effect.gen(function* () {
      const application = yield* Application.make
      const told: Array<Wiring.Delivery> = []
      const tell = (delivery: Wiring.Delivery): boolean => told.push(delivery) > 0
      const asking = yield* Effect.forkChild(Application.ask(application, broadcast, tell, nothingHeld))
      yield* Effect.yieldNow
      Application.onLost(application, told[0]!, tell)
      yield* Effect.yieldNow
      assert.strictEqual(told.length, 2)
      const second = told[1]!.event
      if (second._tag !== "Broadcast") return assert.fail("the same request")
      Application.onOutput(
        application,
        { _tag: "Accepted", token: second.token, id: { origin: "aaaaaaaaaaaa", incarnation: 1, seq: 1 } },
        nobody
      )
      assert.deepStrictEqual(yield* Fiber.join(asking), { _tag: "Accepted", id: "aaaaaaaaaaaa.1.1" })
      assert.strictEqual(application.waiting.size, 0)
    })
  )

  it.effect("a request that crashes its component again and again is given up", () =>
    Effect.gen(function* () {
      const application = yield* Application.make
      let made = 0
      const tell = (delivery: Wiring.Delivery): boolean => {
        made++
        queueMicrotask(() => Application.onLost(application, delivery, tell))
        return true
      }
      const error = yield* Effect.flip(Application.ask(application, broadcast, tell, nothingHeld))
      assert.include(error.message, "again and again")
      assert.strictEqual(made, 6)
    })
  )

  it.effect("a request that nobody answers ends after 10 s, and is not waited for any longer", () =>
    Effect.gen(function* () {
      const application = yield* Application.make
      const asking = yield* Effect.forkChild(
        Effect.flip(Application.ask(application, broadcast, () => true, nothingHeld))
      )
      yield* Effect.yieldNow
      assert.strictEqual(application.waiting.size, 1)
      yield* TestClock.adjust("10 seconds")
      assert.include((yield* Fiber.join(asking)).message, "stored or not")
      assert.strictEqual(application.waiting.size, 0)
    })
  )

  it.effect("a request that still waits for the time when its caller gives up is taken back, and says so", () =>
    Effect.gen(function* () {
      const application = yield* Application.make
      const held = new Set<number>()
      const tell = ({ event }: Wiring.Delivery): boolean => "token" in event && held.add(event.token).size > 0
      const withdraw = (token: number): boolean => held.delete(token)
      const asking = yield* Effect.forkChild(Effect.flip(Application.ask(application, event, tell, withdraw)))
      yield* Effect.yieldNow
      assert.strictEqual(held.size, 1)
      yield* TestClock.adjust("10 seconds")
      const { message } = yield* Fiber.join(asking)
      assert.include(message, "does not know yet what time it is")
      assert.include(message, "nothing was stored")
      assert.deepStrictEqual([held.size, application.waiting.size], [0, 0])

      const leaving = yield* Effect.forkChild(Application.ask(application, event, tell, withdraw))
      yield* Effect.yieldNow
      assert.strictEqual(held.size, 1)
      yield* Fiber.interrupt(leaving)
      assert.deepStrictEqual([held.size, application.waiting.size], [0, 0])
    })
  )

  it.effect("a request that had to wait and whose step crashed is made again as of when it came", () =>
    Effect.gen(function* () {
      const application = yield* Application.make
      const told: Array<Wiring.Delivery> = []
      const tell = (delivery: Wiring.Delivery): boolean => told.push(delivery) > 0
      yield* Effect.forkChild(Application.ask(application, event, tell, nothingHeld))
      yield* Effect.yieldNow
      Application.onLost(application, Wiring.occurredAt(told[0]!, 500), tell)
      yield* Effect.yieldNow
      // Held once more, and lost once more, it keeps its moment.
      Application.onLost(application, Wiring.occurredAt(told[1]!, 900), tell)
      yield* Effect.yieldNow
      assert.deepStrictEqual(
        told.map(({ event }) => ("at" in event ? event.at : undefined)),
        [undefined, 500, 500]
      )
    })
  )

  it.effect("a full mailbox refuses a request at once", () =>
    Effect.gen(function* () {
      const application = yield* Application.make
      const error = yield* Effect.flip(Application.ask(application, broadcast, () => false, nothingHeld))
      assert.strictEqual(error._tag, "Unavailable")
      assert.strictEqual(application.waiting.size, 0)
    })
  )

  it.effect("what an application says without waiting is told once more after a crash, and only once", () =>
    Effect.gen(function* () {
      const application = yield* Application.make
      const told: Array<Wiring.Delivery> = []
      const tell = (delivery: Wiring.Delivery): boolean => told.push(delivery) > 0
      const handles: Wiring.Delivery = { to: "facts", event: { _tag: "Handles", patterns: ["**"] } }
      Application.onLost(application, handles, tell)
      Application.onLost(application, handles, tell)
      assert.deepStrictEqual(told, [handles])
      Application.onLost(application, { to: "clock", event: { _tag: "Started" } }, tell)
      assert.strictEqual(told.length, 1)
    })
  )
})

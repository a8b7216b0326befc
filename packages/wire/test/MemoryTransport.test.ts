import { assert, describe, it } from "@effect/vitest"
import { MemoryTransport, Transport } from "@starling/wire"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/testing/TestClock"

const latencyMs = 20

const connected = Effect.fnUntraced(function* (config: Partial<MemoryTransport.Config> = {}) {
  const network = MemoryTransport.makeNetwork(config)
  const transport = (host: string) =>
    Effect.provide(Effect.service(Transport.Transport), MemoryTransport.layer(network, host))
  const bob = yield* transport("bob")
  const alice = yield* transport("alice")
  const listener = yield* bob.listen("bob:7740")
  const dialing = yield* Effect.forkChild(alice.dial("bob:7740"))
  yield* TestClock.adjust(2 * latencyMs)
  return { network, alice, near: yield* Fiber.join(dialing), far: yield* listener.accept }
})

const slow = { latencyMs: () => latencyMs }

const bytes = (...values: ReadonlyArray<number>) => Uint8Array.from(values)

const read = (connection: Transport.Connection) =>
  Effect.forkChild(
    Effect.match(connection.pull, {
      onSuccess: (chunks) => chunks.map((chunk) => [...chunk]),
      onFailure: ({ reason }) => reason
    })
  )

describe("latency", () => {
  it.effect("what is written arrives after the latency, within four milliseconds, and in order", () =>
    Effect.gen(function* () {
      const { far, near } = yield* connected(slow)
      const reading = yield* read(far)
      yield* near.write(bytes(1))
      yield* TestClock.adjust(latencyMs - 1)
      assert.isUndefined(reading.pollUnsafe())
      yield* near.write(bytes(2))
      yield* TestClock.adjust(5)
      assert.deepStrictEqual(yield* Fiber.join(reading), [[1]])
      yield* TestClock.adjust(latencyMs)
      assert.deepStrictEqual(yield* Fiber.join(yield* read(far)), [[2]])
    })
  )

  it.effect("an end comes after the bytes before it", () =>
    Effect.gen(function* () {
      const { far, near } = yield* connected(slow)
      yield* near.write(bytes(1))
      yield* near.end
      const reading = yield* read(far)
      yield* TestClock.adjust(latencyMs + 4)
      assert.deepStrictEqual(yield* Fiber.join(reading), [[1]])
      assert.strictEqual(yield* Fiber.join(yield* read(far)), "eof")
    })
  )
})

describe("weather", () => {
  it.effect("makes what is written later, draws anew for each write, and nothing overtakes", () =>
    Effect.gen(function* () {
      const { far, near, network } = yield* connected()
      yield* near.write(bytes(1))
      const lates = [50, 10, 0]
      network.setWeather("alice", "bob", () => lates.shift() ?? 0)
      yield* near.write(bytes(2))
      yield* near.write(bytes(3))
      network.setWeather("alice", "bob", undefined)
      yield* near.write(bytes(4))
      // What was there before, at once.
      assert.deepStrictEqual(yield* Fiber.join(yield* read(far)), [[1]])
      const reading = yield* read(far)
      yield* TestClock.adjust(49)
      assert.isUndefined(reading.pollUnsafe())
      yield* TestClock.adjust(4)
      assert.deepStrictEqual(yield* Fiber.join(reading), [[2], [3], [4]])
      yield* near.write(bytes(5))
      yield* near.end
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(yield* Fiber.join(yield* read(far)), [[5]])
      assert.strictEqual(yield* Fiber.join(yield* read(far)), "eof")
    })
  )

  it.effect("blows one way, until it is cleared", () =>
    Effect.gen(function* () {
      const { far, near, network } = yield* connected(slow)
      network.setWeather("alice", "bob", () => 100)
      const [there, back] = [yield* read(far), yield* read(near)]
      yield* near.write(bytes(1))
      yield* far.write(bytes(2))
      yield* TestClock.adjust(latencyMs + 4)
      assert.deepStrictEqual(yield* Fiber.join(back), [[2]])
      assert.isUndefined(there.pollUnsafe())
      yield* TestClock.adjust(100)
      assert.deepStrictEqual(yield* Fiber.join(there), [[1]])
      network.clearWeather()
      yield* near.write(bytes(3))
      yield* TestClock.adjust(latencyMs + 4)
      assert.deepStrictEqual(yield* Fiber.join(yield* read(far)), [[3]])
    })
  )
})

describe("a cut", () => {
  it.effect("one way holds back what goes that way, lets pass what comes the other, and no dial is answered", () =>
    Effect.gen(function* () {
      const { alice, far, near, network } = yield* connected()
      network.cut("alice", "bob", "there")
      const [there, back] = [yield* read(far), yield* read(near)]
      yield* near.write(bytes(1))
      yield* far.write(bytes(2))
      assert.deepStrictEqual(yield* Fiber.join(back), [[2]])
      const dialing = yield* Effect.forkChild(Effect.flip(alice.dial("bob:7740")))
      yield* TestClock.adjust(MemoryTransport.defaults.connectTimeoutMs)
      assert.strictEqual((yield* Fiber.join(dialing)).reason, "Unreachable")
      assert.isUndefined(there.pollUnsafe())
      network.heal("alice", "bob")
      assert.deepStrictEqual(yield* Fiber.join(there), [[1]])
    })
  )

  it.effect("over a cut a reset is heard of when it is healed", () =>
    Effect.gen(function* () {
      const { far, near, network } = yield* connected()
      network.cut("alice", "bob")
      const [there, back] = [yield* read(far), yield* read(near)]
      network.reset("alice")
      yield* TestClock.adjust(1000)
      assert.deepStrictEqual([there.pollUnsafe(), back.pollUnsafe()], [undefined, undefined])
      network.healAll()
      for (const reading of [there, back]) assert.strictEqual(yield* Fiber.join(reading), "reset")
    })
  )
})

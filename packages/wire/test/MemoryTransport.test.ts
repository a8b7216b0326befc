import { assert, describe, it } from "@effect/vitest"
import { MemoryTransport, Transport } from "@starling/wire"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
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
  return { network, alice, listener, near: yield* Fiber.join(dialing), far: yield* listener.accept }
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

describe("the clock of who dials", () => {
  it.effect("may stop: what is under way arrives by that of the network", () =>
    Effect.gen(function* () {
      const network = MemoryTransport.makeNetwork(slow)
      const transport = (host: string) =>
        Effect.provide(Effect.service(Transport.Transport), MemoryTransport.layer(network, host))
      const [alice, bob] = [yield* transport("alice"), yield* transport("bob")]
      const listener = yield* bob.listen("bob:7740")
      const clock = yield* Clock.Clock
      let isStopped = false
      const own: Clock.Clock = { ...clock, sleep: (ms) => (isStopped ? Effect.never : clock.sleep(ms)) }
      const dialing = yield* Effect.forkChild(Effect.provideService(alice.dial("bob:7740"), Clock.Clock, own))
      yield* TestClock.adjust(2 * latencyMs)
      const [near, far] = [yield* Fiber.join(dialing), yield* listener.accept]
      isStopped = true
      const [there, back] = [yield* read(far), yield* read(near)]
      yield* near.write(bytes(1))
      yield* far.write(bytes(2))
      yield* TestClock.adjust(latencyMs + 4)
      assert.deepStrictEqual(yield* Fiber.join(there), [[1]])
      assert.deepStrictEqual(yield* Fiber.join(back), [[2]])
    })
  )
})

describe("weather", () => {
  it.effect("makes what is written later, draws anew for each write, and nothing overtakes", () =>
    Effect.gen(function* () {
      const { far, near, network } = yield* connected()
      yield* near.write(bytes(1))
      const lates = [50, 10, 0]
      network.setWeather("alice", "bob", { lateMs: () => lates.shift() ?? 0 })
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
      network.setWeather("alice", "bob", { lateMs: () => 100 })
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

describe("torn by weather", () => {
  it.effect("at its first byte: both ends find it reset, and what was written is gone", () =>
    Effect.gen(function* () {
      const { far, near, network } = yield* connected()
      const torn = [undefined, 0]
      network.setWeather("alice", "bob", { lateMs: () => 0, tornAt: () => torn.shift() })
      yield* near.write(bytes(1))
      assert.deepStrictEqual(yield* Fiber.join(yield* read(far)), [[1]])
      assert.strictEqual((yield* Effect.flip(near.write(bytes(2)))).reason, "reset")
      assert.strictEqual(yield* Fiber.join(yield* read(far)), "reset")
    })
  )

  for (const [name, config] of [
    ["at once", {}],
    ["after the latency", slow]
  ] as const) {
    it.effect(
      `in the middle of a write: what was written before and its first part are read, then the reset, ${name}`,
      () =>
        Effect.gen(function* () {
          const { far, near, network } = yield* connected(config)
          const torn = [undefined, 0.5]
          network.setWeather("alice", "bob", { lateMs: () => 0, tornAt: () => torn.shift() })
          yield* near.write(bytes(1))
          const writing = yield* Effect.forkChild(Effect.flip(near.write(bytes(2, 3, 4, 5, 6))))
          yield* TestClock.adjust(latencyMs + 4)
          assert.strictEqual((yield* Fiber.join(writing)).reason, "reset")
          // Nobody was reading meanwhile.
          assert.deepStrictEqual(yield* Fiber.join(yield* read(far)), [[1], [2, 3]])
          assert.strictEqual(yield* Fiber.join(yield* read(far)), "reset")
          assert.strictEqual(yield* Fiber.join(yield* read(near)), "reset")
        })
    )
  }
})

describe("bytes that nobody wrote", () => {
  it.effect("arrive in order behind what is under way, on the oldest connection, and cost its writer nothing", () =>
    Effect.gen(function* () {
      const { alice, far, listener, near, network } = yield* connected(slow)
      const dialing = yield* Effect.forkChild(alice.dial("bob:7740"))
      yield* TestClock.adjust(2 * latencyMs)
      yield* Fiber.join(dialing)
      const later = yield* read(yield* listener.accept)
      assert.deepStrictEqual([network.connected("alice"), network.connected("bob")], [["bob"], ["alice"]])
      yield* near.write(bytes(1))
      assert.isTrue(network.inject("alice", "bob", bytes(2, 3)))
      yield* near.write(bytes(4))
      yield* TestClock.adjust(latencyMs + 4)
      assert.deepStrictEqual(yield* Fiber.join(yield* read(far)), [[1], [2, 3], [4]])
      assert.isUndefined(later.pollUnsafe())
    })
  )

  it.effect("are none without an open connection, over one that is forgotten, and beyond the bound", () =>
    Effect.gen(function* () {
      const { far, near, network } = yield* connected({ bufferBytes: 3 })
      assert.isFalse(network.inject("alice", "carol", bytes(1)))
      assert.isTrue(network.inject("bob", "alice", bytes(1, 2)))
      assert.isFalse(network.inject("bob", "alice", bytes(3, 4)))
      assert.deepStrictEqual(yield* Fiber.join(yield* read(near)), [[1, 2]])
      network.halfOpen("alice", "bob", "nobody")
      assert.isFalse(network.inject("bob", "alice", bytes(1)))
      assert.deepStrictEqual(network.connected("bob"), [])
      yield* near.close
      yield* far.close
      assert.isFalse(network.inject("alice", "bob", bytes(1)))
    })
  )
})

describe("half-open", () => {
  it.effect("told: one end finds it reset, the other writes on and hears nothing, and a new connection is whole", () =>
    Effect.gen(function* () {
      const { alice, far, near, network } = yield* connected()
      const [there, back] = [yield* read(near), yield* read(far)]
      network.halfOpen("alice", "bob", "told")
      assert.strictEqual(yield* Fiber.join(there), "reset")
      assert.strictEqual((yield* Effect.flip(near.write(bytes(1)))).reason, "reset")
      yield* far.write(bytes(2))
      yield* near.close
      yield* TestClock.adjust(60_000)
      yield* far.write(bytes(3))
      assert.isUndefined(back.pollUnsafe())
      yield* alice.dial("bob:7740")
    })
  )

  it.effect("nobody: both write on, up to the bound, and neither hears of the other's end", () =>
    Effect.gen(function* () {
      const { far, near, network } = yield* connected({ bufferBytes: 2 })
      network.halfOpen("bob", undefined, "nobody")
      const [there, back] = [yield* read(near), yield* read(far)]
      yield* near.write(bytes(1, 2))
      const stalled = yield* Effect.forkChild(near.write(bytes(3)))
      yield* TestClock.adjust(1)
      assert.isUndefined(stalled.pollUnsafe())
      yield* far.close
      yield* TestClock.adjust(60_000)
      assert.isUndefined(there.pollUnsafe())
      assert.isUndefined(stalled.pollUnsafe())
      assert.strictEqual(yield* Fiber.join(back), "local")
      yield* near.close
      assert.strictEqual(yield* Fiber.join(there), "local")
    })
  )
})

describe("a connection that a router forgets", () => {
  it.effect("still has what had arrived, and nothing of what was under way", () =>
    Effect.gen(function* () {
      const { far, near, network } = yield* connected(slow)
      yield* near.write(bytes(1))
      yield* TestClock.adjust(latencyMs + 4)
      yield* near.write(bytes(2))
      network.halfOpen("alice", "bob", "nobody")
      yield* near.end
      assert.deepStrictEqual(yield* Fiber.join(yield* read(far)), [[1]])
      const reading = yield* read(far)
      yield* TestClock.adjust(60_000)
      assert.isUndefined(reading.pollUnsafe())
    })
  )

  it.effect("still has the end, if that had arrived", () =>
    Effect.gen(function* () {
      const { far, near, network } = yield* connected(slow)
      yield* near.end
      yield* TestClock.adjust(latencyMs + 4)
      network.halfOpen("alice", "bob", "nobody")
      assert.strictEqual(yield* Fiber.join(yield* read(far)), "eof")
    })
  )
})

describe("hosts that change places", () => {
  it.effect("take along what is cut and late", () =>
    Effect.gen(function* () {
      const network = MemoryTransport.makeNetwork()
      network.cut("alice", "carol", "there")
      network.exchange("alice", "bob")
      assert.deepStrictEqual(
        [network.isCut("alice", "carol"), network.isCut("bob", "carol"), network.isCut("carol", "bob")],
        [false, true, false]
      )
      const stormy = { lateMs: () => 5 }
      network.setWeather("carol", "bob", stormy)
      network.exchange("alice", "bob")
      assert.strictEqual(network.state.weather.get("carol alice"), stormy)
      assert.isTrue(network.isCut("alice", "carol"))
    })
  )
})

describe("a host whose process is gone, but still ends", () => {
  it.effect("refuses dials; who listens there next stays when the former has ended", () =>
    Effect.gen(function* () {
      const { alice, network } = yield* connected()
      const next = yield* Effect.provide(Effect.service(Transport.Transport), MemoryTransport.layer(network, "bob"))
      network.vacate("bob")
      assert.strictEqual((yield* Effect.flip(alice.dial("bob:7740"))).reason, "Refused")
      const former = yield* Scope.make()
      yield* Scope.provide(next.listen("bob:7740"), former)
      network.vacate("bob")
      yield* next.listen("bob:7740")
      yield* Scope.close(former, Exit.void)
      yield* alice.dial("bob:7740")
    })
  )
})

describe("a full backlog", () => {
  it.effect("refuses dials, and nothing is left of them", () =>
    Effect.gen(function* () {
      const { alice, listener, network } = yield* connected()
      for (let n = 0; n < Transport.backlogMax; n++) yield* alice.dial("bob:7740")
      const lines = network.state.lines.size
      assert.strictEqual(lines, Transport.backlogMax + 1)
      assert.strictEqual((yield* Effect.flip(alice.dial("bob:7740"))).reason, "Refused")
      assert.strictEqual(network.state.lines.size, lines)
      assert.strictEqual(listener.dropped(), 1)
      // There is room again.
      yield* listener.accept
      yield* alice.dial("bob:7740")
    })
  )
})

describe("a process that stands still", () => {
  it.effect("that is interrupted while it accepts closes what it would have accepted", () =>
    Effect.gen(function* () {
      const { alice, listener, network } = yield* connected()
      network.pause("bob")
      const accepting = yield* Effect.forkChild(listener.accept)
      const near = yield* alice.dial("bob:7740")
      yield* TestClock.adjust(1)
      yield* Fiber.interrupt(accepting)
      assert.strictEqual(yield* Fiber.join(yield* read(near)), "eof")
    })
  )

  it.effect("reads, writes and accepts nothing; its system takes what fits, and it finds that when it goes on", () =>
    Effect.gen(function* () {
      const { alice, far, listener, near, network } = yield* connected({ bufferBytes: 2 })
      const reading = yield* read(far)
      network.pause("bob")
      yield* near.write(bytes(1))
      yield* near.write(bytes(2))
      const stalled = yield* Effect.forkChild(near.write(bytes(3)))
      const accepting = yield* Effect.forkChild(listener.accept)
      yield* alice.dial("bob:7740")
      yield* TestClock.adjust(60_000)
      for (const fiber of [reading, stalled, accepting]) assert.isUndefined(fiber.pollUnsafe())
      network.resume("bob")
      assert.deepStrictEqual(yield* Fiber.join(reading), [[1], [2], [3]])
      yield* Fiber.join(stalled)
      yield* Fiber.join(accepting)
    })
  )

  it.effect("leaves dials beyond its backlog unanswered", () =>
    Effect.gen(function* () {
      const { alice, listener, network } = yield* connected(slow)
      network.pause("bob")
      const dialing = yield* Effect.forkChild(
        Effect.forEach(Array.from({ length: Transport.backlogMax }), () => alice.dial("bob:7740"), {
          concurrency: "unbounded"
        })
      )
      yield* TestClock.adjust(2 * latencyMs)
      yield* Fiber.join(dialing)
      const beyond = yield* Effect.forkChild(Effect.flip(alice.dial("bob:7740")))
      yield* TestClock.adjust(MemoryTransport.defaults.connectTimeoutMs - 1)
      assert.isUndefined(beyond.pollUnsafe())
      yield* TestClock.adjust(1)
      assert.strictEqual((yield* Fiber.join(beyond)).reason, "Unreachable")
      assert.strictEqual(listener.dropped(), 1)
      network.resume("bob")
      const refused = yield* Effect.forkChild(Effect.flip(alice.dial("bob:7740")))
      yield* TestClock.adjust(2 * latencyMs)
      assert.strictEqual((yield* Fiber.join(refused)).reason, "Refused")
    })
  )

  it.effect("hears of a reset when it goes on", () =>
    Effect.gen(function* () {
      const { far, near, network } = yield* connected()
      const reading = yield* read(far)
      network.pause("bob")
      network.reset("alice", "bob")
      assert.strictEqual(yield* Fiber.join(yield* read(near)), "reset")
      assert.isUndefined(reading.pollUnsafe())
      network.resume("bob")
      assert.strictEqual(yield* Fiber.join(reading), "reset")
    })
  )
})

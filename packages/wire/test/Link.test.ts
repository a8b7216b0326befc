import { assert, describe, it } from "@effect/vitest"
import { type Handshake, Link, MemoryTransport, Transport } from "@starling/wire"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/testing/TestClock"

const hello = (name: string, id: string): Handshake.Hello => ({
  fleet: "test",
  versions: [1, 1],
  node: { id, incarnation: 1, boot: 7, name, datacenter: "fra", address: `${name}:7740` }
})

const alice = { hello: hello("alice", "aaaaaaaaaaaa"), channelMax: 6 }
const bob = { hello: hello("bob", "bbbbbbbbbbbb"), channelMax: 6 }

/** A network on which `bob` listens, and a dialer on the host `alice`. */
const world = Effect.gen(function* () {
  const network = MemoryTransport.makeNetwork()
  const listener = yield* Effect.flatMap(Transport.Transport, (transport) => transport.listen("bob:7740")).pipe(
    Effect.provide(MemoryTransport.layer(network, "bob"))
  )
  const dial = Link.dial("bob:7740", alice).pipe(Effect.provide(MemoryTransport.layer(network, "alice")))
  return { network, listener, dial }
})

const linked = Effect.gen(function* () {
  const { dial, listener, network } = yield* world
  const dialing = yield* Effect.forkChild(dial)
  const b = yield* Link.accept(yield* listener.accept, bob)
  return { network, listener, a: yield* Fiber.join(dialing), b }
})

describe("Link, in virtual time", () => {
  it.effect("a handshake is given up after three seconds, not before, at both ends", () =>
    Effect.gen(function* () {
      const { dial, listener } = yield* world
      const dialing = yield* Effect.forkChild(Effect.flip(dial))
      const connection = yield* listener.accept
      yield* TestClock.adjust(2999)
      assert.isUndefined(dialing.pollUnsafe())
      yield* TestClock.adjust(1)
      const message = "what listens at bob:7740 said nothing for 3000 ms; is it the gossip address?"
      assert.deepStrictEqual(yield* Fiber.join(dialing), { _tag: "Unreachable", message })
      yield* connection.close

      // The other way round: somebody connects and says nothing.
      yield* Effect.forkChild(dial)
      const silent = { ...(yield* listener.accept), pull: Effect.never }
      const accepting = yield* Effect.forkChild(Effect.flip(Link.accept(silent, bob)))
      yield* TestClock.adjust(2999)
      assert.isUndefined(accepting.pollUnsafe())
      yield* TestClock.adjust(1)
      assert.strictEqual((yield* Fiber.join(accepting)).code, "timeout")
    })
  )

  it.effect("a dial over a cut network is unreachable after three seconds", () =>
    Effect.gen(function* () {
      const { dial, network } = yield* world
      network.cut("alice", "bob")
      const dialing = yield* Effect.forkChild(Effect.flip(dial))
      yield* TestClock.adjust(2999)
      assert.isUndefined(dialing.pollUnsafe())
      yield* TestClock.adjust(1)
      assert.strictEqual((yield* Fiber.join(dialing))._tag, "Unreachable")
    })
  )

  it.effect("what is sent over a cut arrives when it heals, in order, and once", () =>
    Effect.gen(function* () {
      const { a, b, network } = yield* linked
      a.send(1, "before")
      assert.deepStrictEqual(yield* b.receive, [{ channel: 1, payload: "before" }])
      network.cut("alice", "bob")
      for (let i = 0; i < 5; i++) a.send(1, i)
      const receiving = yield* Effect.forkChild(b.receive)
      yield* TestClock.adjust(60_000)
      assert.isUndefined(receiving.pollUnsafe())
      network.heal("bob", "alice")
      const frames = yield* Fiber.join(receiving)
      assert.deepStrictEqual(
        frames.map(({ payload }) => payload),
        [0, 1, 2, 3, 4]
      )
    })
  )

  it.effect("a write without progress ends the link after ten seconds, within a second", () =>
    Effect.gen(function* () {
      const { a, network } = yield* linked
      network.cut("alice", "bob")
      for (let i = 0; i < 5; i++) a.send(1, "x".repeat(400_000))
      const down = yield* Effect.forkChild(a.closed)
      yield* TestClock.adjust(9900)
      assert.isUndefined(down.pollUnsafe())
      yield* TestClock.adjust(1200)
      assert.deepStrictEqual(yield* Fiber.join(down), { _tag: "Timeout" })
    })
  )

  it.effect("an idle link stays up", () =>
    Effect.gen(function* () {
      const { a, b } = yield* linked
      yield* TestClock.adjust("1 hour")
      a.send(2, "still there")
      assert.deepStrictEqual(yield* b.receive, [{ channel: 2, payload: "still there" }])
    })
  )

  it.effect("a close over a cut ends in bounded time, and the peer learns of it when the cut heals", () =>
    Effect.gen(function* () {
      const { a, b, network } = yield* linked
      network.cut("alice", "bob")
      const closing = yield* Effect.forkChild(a.close("left"))
      yield* TestClock.adjust(2000)
      yield* Fiber.join(closing)
      assert.deepStrictEqual(yield* a.closed, { _tag: "Local", reason: "left" })
      network.heal("alice", "bob")
      assert.deepStrictEqual(yield* Effect.flip(b.receive), { _tag: "ClosedByPeer", reason: "left" })
    })
  )

  it.effect("a connection that breaks is a reset at both ends", () =>
    Effect.gen(function* () {
      const { a, b, network } = yield* linked
      network.reset("alice", "bob")
      for (const link of [a, b]) assert.deepStrictEqual(yield* Effect.flip(link.receive), { _tag: "Reset" })
    })
  )

  it.effect("of two closes the first reason counts, and nothing is sent after it", () =>
    Effect.gen(function* () {
      const { a, b } = yield* linked
      const down = yield* Effect.forkChild(Effect.flip(b.receive))
      a.closeUnsafe("evicted")
      a.closeUnsafe("left")
      assert.isFalse(a.send(1, "late"))
      assert.deepStrictEqual(yield* Fiber.join(down), { _tag: "ClosedByPeer", reason: "evicted" })
    })
  )
})

import { assert, describe, it } from "@effect/vitest"
import { Transport } from "@starling/wire"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import type { Implementation } from "./implementation.ts"

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

/** Everything until the connection ends, and how it ended. */
const readAll = Effect.fnUntraced(function* (connection: Transport.Connection) {
  const chunks: Array<Uint8Array> = []
  while (true) {
    const pulled = yield* Effect.result(connection.pull)
    if (pulled._tag === "Failure") return { bytes: Buffer.concat(chunks), end: pulled.failure.reason }
    assert.isAbove(pulled.success.length, 0)
    chunks.push(...pulled.success)
  }
})

/** At least `count` bytes. */
const readSome = Effect.fnUntraced(function* (connection: Transport.Connection, count: number) {
  const chunks: Array<Uint8Array> = []
  for (let size = 0; size < count;) {
    for (const chunk of yield* connection.pull) {
      chunks.push(chunk)
      size += chunk.length
    }
  }
  return Buffer.concat(chunks)
})

/** What any transport promises of connections. */
export const connections = (implementation: Implementation): void => {
  const anyPort = `${implementation.host}:0`
  const run = <A, E>(effect: Effect.Effect<A, E, Transport.Transport | Scope.Scope>) =>
    Effect.scoped(effect).pipe(Effect.provide(implementation.layer))

  const pair = Effect.gen(function* () {
    const transport = yield* Transport.Transport
    const listener = yield* transport.listen(anyPort)
    const near = yield* transport.dial(listener.address)
    const far = yield* listener.accept
    return { transport, listener, near, far }
  })

  describe(`${implementation.name}: connections`, () => {
    it.live("bytes arrive complete and in order, then the end", () =>
      run(
        Effect.gen(function* () {
          const { far, near } = yield* pair
          const sent = Array.from({ length: 300 }, (_, i) => new Uint8Array((i * 37) % 5000).fill(i))
          const reading = yield* Effect.forkChild(readAll(far))
          for (const chunk of sent) yield* near.write(chunk)
          yield* near.end
          const received = yield* Fiber.join(reading)
          assert.strictEqual(received.end, "eof")
          assert.isTrue(Buffer.concat(sent).equals(received.bytes))
        })
      )
    )

    it.live("who ends its side still reads what the other one had written", () =>
      run(
        Effect.gen(function* () {
          const { far, near } = yield* pair
          yield* near.write(bytes("question"))
          yield* readSome(far, 8)
          yield* far.write(bytes("answer"))
          yield* near.end
          assert.strictEqual((yield* readAll(far)).end, "eof")
          assert.strictEqual(String(yield* readSome(near, 6)), "answer")
        })
      )
    )

    it.live("a close wakes the own pull with local, and ends the other end", () =>
      run(
        Effect.gen(function* () {
          const { far, near } = yield* pair
          const own = yield* Effect.forkChild(Effect.flip(near.pull))
          const other = yield* Effect.forkChild(Effect.flip(far.pull))
          yield* Effect.sleep(20)
          yield* near.close
          assert.strictEqual((yield* Fiber.join(own)).reason, "local")
          assert.include(["eof", "reset"], (yield* Fiber.join(other)).reason)
          assert.strictEqual((yield* Effect.flip(near.write(bytes("late")))).reason, "local")
          assert.strictEqual((yield* Effect.flip(near.pull)).reason, "local")
        })
      )
    )

    it.live("a connection ends with the scope it was dialed in", () =>
      run(
        Effect.gen(function* () {
          const transport = yield* Transport.Transport
          const listener = yield* transport.listen(anyPort)
          const scope = yield* Scope.make()
          yield* Scope.provide(transport.dial(listener.address), scope)
          const far = yield* listener.accept
          const end = yield* Effect.forkChild(Effect.flip(far.pull))
          yield* Scope.close(scope, Exit.void)
          assert.include(["eof", "reset"], (yield* Fiber.join(end)).reason)
        })
      )
    )

    it.live("a reader that stops stops the writer, and nothing is lost when it goes on", () =>
      run(
        Effect.gen(function* () {
          const { far, near } = yield* pair
          const chunk = new Uint8Array(64 * 1024).fill(7)
          let written = 0
          const writing = yield* Effect.forkChild(
            Effect.gen(function* () {
              while (written < 32 * 1024 * 1024) {
                yield* near.write(chunk)
                written += chunk.length
              }
              yield* near.end
            })
          )
          let before = -1
          while (before !== written) {
            before = written
            yield* Effect.sleep(100)
          }
          assert.isBelow(written, 32 * 1024 * 1024)
          const received = yield* readAll(far)
          yield* Fiber.join(writing)
          assert.deepStrictEqual([received.end, received.bytes.length], ["eof", written])
        })
      )
    )

    it.live("a close frees a writer whose peer never reads", () =>
      run(
        Effect.gen(function* () {
          const { near } = yield* pair
          const chunk = new Uint8Array(1024 * 1024)
          const writing = yield* Effect.forkChild(Effect.flip(Effect.forever(near.write(chunk))))
          yield* Effect.sleep(100)
          yield* near.close
          assert.strictEqual((yield* Fiber.join(writing)).reason, "local")
        })
      )
    )

    it.live("a pull that is interrupted loses nothing", () =>
      run(
        Effect.gen(function* () {
          const { far, near } = yield* pair
          const reading = yield* Effect.forkChild(far.pull)
          yield* Effect.sleep(10)
          yield* Fiber.interrupt(reading)
          yield* near.write(bytes("still here"))
          assert.strictEqual(String(yield* readSome(far, 10)), "still here")
        })
      )
    )

    it.live("a dial that nobody listens for is refused", () =>
      run(
        Effect.gen(function* () {
          const transport = yield* Transport.Transport
          const scope = yield* Scope.make()
          const { address } = yield* Scope.provide(transport.listen(anyPort), scope)
          yield* Scope.close(scope, Exit.void)
          const error = yield* Effect.flip(transport.dial(address))
          assert.strictEqual(error.reason, "Refused")
          assert.include(error.message, address)
        })
      )
    )

    it.live("a dial that is never answered ends as unreachable, in bounded time", () =>
      run(
        Effect.gen(function* () {
          const transport = yield* Transport.Transport
          const address = yield* implementation.silent
          const error = yield* Effect.flip(transport.dial(address)).pipe(Effect.timeout(2000))
          assert.deepInclude(error, { reason: "Unreachable", address })
        })
      )
    )

    it.live("a name that nobody knows is unreachable", () =>
      run(
        Effect.gen(function* () {
          const transport = yield* Transport.Transport
          const error = yield* Effect.flip(transport.dial("no-such-host.invalid:7740"))
          assert.strictEqual(error.reason, "Unreachable")
        })
      )
    )

    it.live("what is no address is refused at both ends, with what would be right", () =>
      run(
        Effect.gen(function* () {
          const transport = yield* Transport.Transport
          for (const address of ["", "host", "::1:80", "host:99999"]) {
            const dialed = yield* Effect.flip(transport.dial(address))
            const listened = yield* Effect.flip(transport.listen(address))
            assert.deepStrictEqual([dialed.reason, listened.reason], ["InvalidAddress", "InvalidAddress"])
            assert.match(listened.next, /host:port/)
          }
        })
      )
    )

    it.live("an address in use is refused by name, with what to do", () =>
      run(
        Effect.gen(function* () {
          const { listener, transport } = yield* pair
          const error = yield* Effect.flip(transport.listen(listener.address))
          assert.strictEqual(error.reason, "InUse")
          assert.include(error.message, listener.address)
          assert.match(error.next, /another port/)
        })
      )
    )

    it.live("an address of another host cannot be listened on", () =>
      run(
        Effect.gen(function* () {
          const transport = yield* Transport.Transport
          const error = yield* Effect.flip(transport.listen("192.0.2.1:7740"))
          assert.strictEqual(error.reason, "NotLocal")
        })
      )
    )

    it.live("when the listener's scope closes its connections end, and the address is free again", () =>
      run(
        Effect.gen(function* () {
          const transport = yield* Transport.Transport
          const scope = yield* Scope.make()
          const listener = yield* Scope.provide(transport.listen(anyPort), scope)
          const accepted = yield* transport.dial(listener.address)
          yield* listener.accept
          const waiting = yield* transport.dial(listener.address)
          yield* Scope.close(scope, Exit.void).pipe(Effect.timeout(2000))
          for (const near of [accepted, waiting]) assert.include(["eof", "reset"], (yield* readAll(near)).end)
          yield* transport.listen(listener.address)
        })
      )
    )

    it.live("connections beyond the bound are closed and counted, the others can still be accepted", () =>
      run(
        Effect.gen(function* () {
          const transport = yield* Transport.Transport
          const listener = yield* transport.listen(anyPort)
          const dials = Array.from({ length: Transport.backlogMax + 20 }, () =>
            Effect.result(transport.dial(listener.address))
          )
          yield* Effect.all(dials, { concurrency: 8 })
          while (listener.dropped() < 20) yield* Effect.sleep(5)
          for (let i = 0; i < Transport.backlogMax; i++) yield* listener.accept
          assert.strictEqual(listener.dropped(), 20)
          yield* transport.dial(listener.address)
          yield* listener.accept
        })
      )
    )
  })
}

import { assert, describe, it } from "@effect/vitest"
import * as TcpTransport from "@starling/platform-node/TcpTransport"
import { Transport } from "@starling/wire"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { networkInterfaces } from "node:os"

const run = <A, E>(body: (transport: Transport.Transport["Service"]) => Effect.Effect<A, E, Scope.Scope>) =>
  Effect.scoped(Effect.flatMap(Transport.Transport, body)).pipe(Effect.provide(TcpTransport.layer()))

const greet = Effect.fnUntraced(function* (
  transport: Transport.Transport["Service"],
  listener: Transport.Listener,
  address: string
) {
  const near = yield* transport.dial(address)
  const far = yield* listener.accept
  yield* near.write(new TextEncoder().encode("hello"))
  assert.strictEqual(String(Buffer.concat([...(yield* far.pull)])), "hello")
  return { near, far }
})

// What only TCP has; everything else is held by the suite that all transports share.
describe("TcpTransport", () => {
  it.live("every address of a name is tried: localhost reaches a listener on 127.0.0.1", () =>
    run(
      Effect.fnUntraced(function* (transport) {
        const listener = yield* transport.listen("127.0.0.1:0")
        yield* greet(transport, listener, `localhost:${listener.address.split(":").at(-1)}`)
      })
    )
  )

  it.live("an IPv6 address in brackets is listened on and dialed, where there is IPv6", () =>
    run(
      Effect.fnUntraced(function* (transport) {
        const has = Object.values(networkInterfaces()).some((list) => list?.some(({ address }) => address === "::1"))
        if (!has) {
          assert.strictEqual((yield* Effect.flip(transport.listen("[::1]:0"))).reason, "NotLocal")
          return
        }
        const listener = yield* transport.listen("[::1]:0")
        assert.match(listener.address, /^\[::1\]:[1-9][0-9]*$/)
        const { far } = yield* greet(transport, listener, listener.address)
        assert.match(far.remote, /^\[::1\]:[1-9][0-9]*$/)
      })
    )
  )

  it.live("a listener on a wildcard says the port it was given", () =>
    run(
      Effect.fnUntraced(function* (transport) {
        const listener = yield* transport.listen("0.0.0.0:0")
        assert.match(listener.address, /^0\.0\.0\.0:[1-9][0-9]*$/)
        yield* greet(transport, listener, `127.0.0.1:${listener.address.split(":").at(-1)}`)
      })
    )
  )

  it.live("the error of a port in use names the address and says what to do", () =>
    run(
      Effect.fnUntraced(function* (transport) {
        const { address } = yield* transport.listen("127.0.0.1:0")
        const { message, next } = yield* Effect.flip(transport.listen(address))
        assert.strictEqual(message, `cannot listen on ${address}: another process listens there`)
        assert.strictEqual(next, `Choose another port, or end what listens on port ${address.split(":").at(-1)}.`)
      })
    )
  )
})

import { assert, describe, it } from "@effect/vitest"
import type { Machine } from "@starling/machine"
import { Frame, Handshake, Link, Transport } from "@starling/wire"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import type { Implementation } from "./implementation.ts"

const hello = (name: string, id: string, rest: Partial<Handshake.Hello> = {}): Handshake.Hello => ({
  fleet: "test",
  versions: [1, 2],
  node: { id, incarnation: 1, boot: 7, name, datacenter: "fra", address: `${name}:7740` },
  ...rest
})

const alice = hello("alice", "aaaaaaaaaaaa")
const bob = hello("bob", "bbbbbbbbbbbb")

const frame = (channel: number, payload: unknown): Uint8Array => {
  const encoded = Frame.encode(channel, payload)
  if (!encoded.ok) throw new Error(encoded.reason)
  return encoded.value
}

/** Frames until the link is down, and why it is. */
const receiveAll = Effect.fnUntraced(function* (link: Link.Link) {
  const frames: Array<Frame.Frame> = []
  while (true) {
    const received = yield* Effect.result(link.receive)
    if (received._tag === "Failure") return { frames, down: received.failure }
    frames.push(...received.success)
  }
})

const tagged = (down: Machine.DownReason): string => ("reason" in down ? `${down._tag} ${down.reason}` : down._tag)

/** What any transport promises of links. */
export const links = (implementation: Implementation): void => {
  const run = <A, E>(effect: Effect.Effect<A, E, Transport.Transport | Scope.Scope>) =>
    Effect.scoped(effect).pipe(Effect.provide(implementation.layer))

  const listen = Effect.gen(function* () {
    const transport = yield* Transport.Transport
    return { transport, listener: yield* transport.listen(`${implementation.host}:0`) }
  })

  /** A dialer and an acceptor; either may have options of its own. */
  const meet = Effect.fnUntraced(function* (dialer: Partial<Link.Options> = {}, acceptor: Partial<Link.Options> = {}) {
    const { listener } = yield* listen
    const counters = Link.makeCounters()
    const config = { handshakeMs: 300, closeMs: 300 }
    const dialing = yield* Effect.forkChild(
      Effect.result(Link.dial(listener.address, { hello: alice, channelMax: 6, config, ...dialer }))
    )
    const connection = yield* listener.accept
    const accepted = yield* Effect.result(
      Link.accept(connection, { hello: bob, channelMax: 6, counters, config, ...acceptor })
    )
    return { dialed: yield* Fiber.join(dialing), accepted, counters, connection }
  })

  const linked = Effect.fnUntraced(function* (
    dialer: Partial<Link.Options> = {},
    acceptor: Partial<Link.Options> = {}
  ) {
    const { accepted, counters, dialed } = yield* meet(dialer, acceptor)
    if (dialed._tag === "Failure" || accepted._tag === "Failure") throw new Error("no handshake")
    return { a: dialed.success, b: accepted.success, counters }
  })

  /** A dialer that shook hands and from then on writes what it likes. */
  const impostor = Effect.fnUntraced(function* (config: Partial<Link.Config> = {}) {
    const { listener, transport } = yield* listen
    const counters = Link.makeCounters()
    const raw = yield* transport.dial(listener.address)
    yield* raw.write(frame(0, Handshake.encode({ _tag: "Hello", hello: alice })))
    const connection = yield* listener.accept
    const link = yield* Link.accept(connection, {
      hello: bob,
      channelMax: 6,
      counters,
      config: { closeMs: 300, ...config }
    })
    return { raw, link, counters }
  })

  /** All that a raw connection hears until its end, as control words. */
  const overhear = Effect.fnUntraced(function* (raw: Transport.Connection) {
    const splitter = Frame.makeSplitter()
    while (true) {
      const pulled = yield* Effect.result(raw.pull)
      if (pulled._tag === "Failure") break
      for (const chunk of pulled.success) splitter.push(chunk)
    }
    const heard: Array<unknown> = []
    for (let next = splitter.next(); next?.ok === true; next = splitter.next()) {
      const decoded = Frame.decode(next.value)
      if (decoded.ok) heard.push(decoded.value.payload)
    }
    return heard
  })

  describe(`${implementation.name}: links`, () => {
    it.live("after the handshake each side knows the other and speaks the highest common version", () =>
      run(
        Effect.gen(function* () {
          const newer = { ...bob, versions: [2, 9] as const }
          const { a, b } = yield* linked({}, { hello: newer })
          assert.deepStrictEqual([a.hello, b.hello], [newer, alice])
          assert.deepStrictEqual([a.version, b.version], [2, 2])
          assert.deepStrictEqual([a.direction, b.direction], ["dialed", "accepted"])
          const { address, datacenter, id, incarnation } = bob.node
          assert.deepStrictEqual(Handshake.peerOf(a.hello), { id, incarnation, address, datacenter })
        })
      )
    )

    it.live("10,000 frames each way arrive in order, before the reason of the close", () =>
      run(
        Effect.gen(function* () {
          const { a, b } = yield* linked()
          const count = 10_000
          const received = yield* Effect.forkChild(Effect.all([receiveAll(a), receiveAll(b)], { concurrency: 2 }))
          for (let i = 0; i < count; i++) {
            assert.isTrue(a.send((i % 6) + 1, ["a", i]))
            assert.isTrue(b.send((i % 6) + 1, { b: i }))
            if (i % 1000 === 0) yield* Effect.yieldNow
          }
          while (b.queueBytes() > 0) yield* Effect.sleep(1)
          yield* a.close("left")
          const [atA, atB] = yield* Fiber.join(received)
          assert.strictEqual(tagged(atA.down), "Local left")
          assert.strictEqual(tagged(atB.down), "ClosedByPeer left")
          assert.deepStrictEqual(
            atB.frames,
            Array.from({ length: count }, (_, i) => ({ channel: (i % 6) + 1, payload: ["a", i] }))
          )
          // The closing side drops what arrives after it closed, and only that.
          atA.frames.forEach((frame, i) => assert.deepStrictEqual(frame.payload, { b: i }))
        })
      )
    )

    it.live("a close says its reason even to a peer that was sending all the time", () =>
      run(
        Effect.gen(function* () {
          const { a, b } = yield* linked({}, { config: { queueBytesMax: 64 * 1024 * 1024 } })
          const atB = yield* Effect.forkChild(receiveAll(b))
          for (let i = 0; i < 200; i++) b.send(1, "x".repeat(50_000))
          yield* a.close("evicted")
          assert.strictEqual(tagged((yield* Fiber.join(atB)).down), "ClosedByPeer evicted")
          assert.strictEqual(tagged(yield* b.closed), "ClosedByPeer evicted")
          assert.strictEqual(tagged(yield* a.closed), "Local evicted")
        })
      )
    )

    it.live("when both close at once both say Local", () =>
      run(
        Effect.gen(function* () {
          const { a, b } = yield* linked()
          yield* Effect.all([a.close("done"), b.close("left")], { concurrency: 2 })
          assert.deepStrictEqual([tagged(yield* a.closed), tagged(yield* b.closed)], ["Local done", "Local left"])
        })
      )
    )

    it.live("a connection that ends without a word is a reset", () =>
      run(
        Effect.gen(function* () {
          const { link, raw } = yield* impostor()
          yield* raw.write(frame(3, "last"))
          yield* raw.end
          const { down, frames } = yield* receiveAll(link)
          assert.deepStrictEqual([frames, tagged(down)], [[{ channel: 3, payload: "last" }], "Reset"])
          assert.strictEqual(tagged(yield* Effect.flip(link.receive)), "Reset")
        })
      )
    )

    it.live("when the scope closes the link is down at both ends", () =>
      run(
        Effect.gen(function* () {
          const scope = yield* Scope.make()
          const { link, raw } = yield* Scope.provide(impostor(), scope)
          const end = yield* Effect.forkChild(overhear(raw))
          yield* Scope.close(scope, Exit.void)
          yield* Fiber.join(end)
          assert.strictEqual(tagged(yield* link.closed), "Local done")
          assert.isFalse(link.send(1, "late"))
        })
      )
    )

    const refusals: ReadonlyArray<readonly [what: string, code: string, theirs: Handshake.Hello]> = [
      ["another fleet", "fleet", { ...alice, fleet: "prod" }],
      ["no common version", "version", { ...alice, versions: [3, 5] }],
      ["this very node", "self", bob],
      ["a second process of this node", "duplicate", { ...bob, node: { ...bob.node, boot: 8 } }],
      ["an older run of this node", "outdated", { ...bob, node: { ...bob.node, incarnation: 0 } }]
    ]
    for (const [what, code, theirs] of refusals) {
      it.live(`${what} is refused at both ends, in words that name both sides`, () =>
        run(
          Effect.gen(function* () {
            const { accepted, counters, dialed } = yield* meet({ hello: theirs })
            if (dialed._tag === "Success" || dialed.failure._tag !== "Rejected") throw new Error("not rejected")
            assert.strictEqual(dialed.failure.code, code)
            for (const side of [theirs, bob]) assert.include(dialed.failure.message, Handshake.describe(side))
            if (code === "outdated") assert.strictEqual(dialed.failure.incarnation, 1)
            assert.isTrue(accepted._tag === "Failure" && accepted.failure.code === code)
            assert.strictEqual(counters.refused, 1)
          })
        )
      )
    }

    it.live("who is asked to admit may refuse, at the accepting end", () =>
      run(
        Effect.gen(function* () {
          const refusal = { code: "name", message: "alice is taken", incarnation: 4 } as const
          const { accepted, dialed } = yield* meet({}, { admit: () => Effect.succeed(refusal) })
          assert.deepStrictEqual(dialed._tag === "Failure" && dialed.failure, { _tag: "Rejected", ...refusal })
          assert.isTrue(accepted._tag === "Failure" && accepted.failure.code === "name")
        })
      )
    )

    it.live("who is asked to admit may refuse, at the dialing end", () =>
      run(
        Effect.gen(function* () {
          const refusal = { code: "busy", message: "too many links" } as const
          const { accepted, dialed } = yield* meet({ admit: () => Effect.succeed(refusal) })
          assert.isTrue(dialed._tag === "Failure" && dialed.failure._tag === "Rejected")
          if (accepted._tag === "Failure") throw new Error("the acceptor cannot know yet")
          assert.strictEqual(tagged((yield* receiveAll(accepted.success)).down), "ClosedByPeer refused")
        })
      )
    )

    it.live("bytes that are no hello are refused as garbage, counted, and cost other links nothing", () =>
      run(
        Effect.gen(function* () {
          const { a, b, counters } = yield* linked()
          const { listener, transport } = yield* listen
          const rubbish = [
            new TextEncoder().encode("GET / HTTP/1.1\r\n\r\n"),
            Uint8Array.of(0, 0, 0, 1, 0xc1),
            frame(0, ["not", "a", "hello"]),
            frame(1, "too early"),
            frame(0, Handshake.encode({ _tag: "Hello", hello: bob }).with(1, "sparrow")),
            Uint8Array.of(0, 0, 0x10, 1)
          ]
          for (const bytes of rubbish) {
            const raw = yield* transport.dial(listener.address)
            yield* raw.write(bytes)
            const heard = yield* Effect.forkChild(overhear(raw))
            const failure = yield* Effect.flip(
              Link.accept(yield* listener.accept, { hello: bob, channelMax: 6, counters, config: { closeMs: 50 } })
            )
            assert.strictEqual(failure.code, "garbage")
            const [refusal] = yield* Fiber.join(heard)
            assert.deepInclude(Handshake.decode(refusal), { ok: true })
          }
          assert.strictEqual(counters.refused, rubbish.length)
          a.send(1, "unharmed")
          assert.deepStrictEqual(yield* b.receive, [{ channel: 1, payload: "unharmed" }])
        })
      )
    )

    it.live("what answers as no node is rejected as garbage, with its address", () =>
      run(
        Effect.gen(function* () {
          const { listener } = yield* listen
          const dialing = yield* Effect.forkChild(
            Effect.flip(Link.dial(listener.address, { hello: alice, channelMax: 6 }))
          )
          const far = yield* listener.accept
          yield* Effect.ignore(far.write(new TextEncoder().encode("HTTP/1.1 400 Bad Request\r\n\r\n")))
          const failure = yield* Fiber.join(dialing)
          assert.isTrue(
            failure._tag === "Rejected" && failure.code === "garbage" && failure.message.includes(listener.address)
          )
        })
      )
    )

    it.live("silence in the handshake ends at both ends in bounded time", () =>
      run(
        Effect.gen(function* () {
          const { listener, transport } = yield* listen
          const options = { hello: alice, channelMax: 6, config: { handshakeMs: 100 } }
          const dialed = yield* Effect.flip(Link.dial(listener.address, options))
          assert.deepStrictEqual(dialed, {
            _tag: "Unreachable",
            message: `what listens at ${listener.address} said nothing for 100 ms; is it the gossip address?`
          })
          yield* listener.accept
          yield* transport.dial(listener.address)
          const accepted = yield* Effect.flip(Link.accept(yield* listener.accept, options))
          assert.strictEqual(accepted.code, "timeout")
        })
      )
    )

    it.live("a peer that goes away in the handshake is unreachable to the dialer, closed to the acceptor", () =>
      run(
        Effect.gen(function* () {
          const { listener, transport } = yield* listen
          const options = { hello: alice, channelMax: 6 }
          const dialing = yield* Effect.forkChild(Effect.flip(Link.dial(listener.address, options)))
          yield* (yield* listener.accept).close
          assert.deepStrictEqual(yield* Fiber.join(dialing), {
            _tag: "Unreachable",
            message: `what listens at ${listener.address} went away during the handshake; is it the gossip address?`
          })
          const raw = yield* transport.dial(listener.address)
          const connection = yield* listener.accept
          yield* raw.close
          assert.strictEqual((yield* Effect.flip(Link.accept(connection, options))).code, "closed")
        })
      )
    )

    it.live("nobody there is refused, no address is rejected", () =>
      run(
        Effect.gen(function* () {
          const options = { hello: alice, channelMax: 6 }
          const refused = yield* Effect.flip(Link.dial(`${implementation.host}:1`, options))
          assert.strictEqual(refused._tag, "Refused")
          assert.include(refused.message, `${implementation.host}:1`)
          const failure = yield* Effect.flip(Link.dial("nowhere", options))
          assert.deepInclude(failure, { _tag: "Rejected", code: "address" })
        })
      )
    )

    const violations: ReadonlyArray<readonly [what: string, counter: keyof Link.Counters, bytes: Uint8Array]> = [
      ["a frame that is no MessagePack", "garbage", Uint8Array.of(0, 0, 0, 2, 0xc1, 0xc1)],
      ["a frame without a channel", "garbage", Uint8Array.of(0, 0, 0, 1, 0x01)],
      ["a frame over the limit", "oversize", Uint8Array.of(0, 0x10, 0, 1)],
      ["a frame on a channel that does not exist", "unknownChannel", frame(7, "x")]
    ]
    for (const [what, counter, bytes] of violations) {
      it.live(`${what} closes its link with a violation, after the frames before it`, () =>
        run(
          Effect.gen(function* () {
            const { counters, link, raw } = yield* impostor()
            yield* raw.write(Buffer.concat([frame(2, "good"), bytes, frame(2, "after")]))
            const heard = yield* Effect.forkChild(overhear(raw))
            const { down, frames } = yield* receiveAll(link)
            assert.deepStrictEqual([frames, tagged(down)], [[{ channel: 2, payload: "good" }], "Local violation"])
            assert.strictEqual(counters[counter], 1)
            assert.deepStrictEqual((yield* Fiber.join(heard)).at(-1), [4, "violation"])
          })
        )
      )
    }

    it.live("a frame that breaks off is counted, and the link was reset", () =>
      run(
        Effect.gen(function* () {
          const { counters, link, raw } = yield* impostor()
          yield* raw.write(frame(2, "a message that breaks off").slice(0, 12))
          yield* raw.end
          const { down, frames } = yield* receiveAll(link)
          assert.deepStrictEqual([frames, tagged(down), counters.truncated], [[], "Reset", 1])
        })
      )
    )

    it.live("words of the link that a later version may bring are dropped and counted", () =>
      run(
        Effect.gen(function* () {
          const { counters, link, raw } = yield* impostor()
          yield* raw.write(
            Buffer.concat([frame(0, [99, "new"]), frame(0, "odd"), frame(1, "x"), frame(0, [4, "bored"])])
          )
          const { down, frames } = yield* receiveAll(link)
          assert.deepStrictEqual([frames.length, tagged(down), counters.unknownControl], [1, "ClosedByPeer done", 2])
        })
      )
    )

    it.live("a peer that reads nothing costs its own link: the queue is bounded, then Overflow", () =>
      run(
        Effect.gen(function* () {
          const { counters, link } = yield* impostor({ queueBytesMax: 1024 * 1024 })
          const payload = "x".repeat(10_000)
          let accepted = 0
          while (link.send(1, payload)) {
            accepted++
            assert.isAtMost(link.queueBytes(), 1024 * 1024 + 8)
            if (accepted % 50 === 0) yield* Effect.sleep(1)
          }
          assert.deepStrictEqual([tagged(yield* link.closed), counters.overflows], ["Overflow", 1])
          assert.strictEqual(tagged(yield* Effect.flip(link.receive)), "Overflow")
        })
      )
    )

    it.live("a write that makes no progress ends the link with Timeout", () =>
      run(
        Effect.gen(function* () {
          const { counters, link } = yield* impostor({ writeStallMs: 200, queueBytesMax: 64 * 1024 * 1024 })
          for (let i = 0; i < 40; i++) link.send(1, "x".repeat(500_000))
          assert.deepStrictEqual([tagged(yield* link.closed), counters.stalls], ["Timeout", 1])
        })
      )
    )

    it.live("a reader that is only slow loses nothing and times nobody out", () =>
      run(
        Effect.gen(function* () {
          const { a, b } = yield* linked({ config: { writeStallMs: 400 } })
          for (let i = 0; i < 60; i++) a.send(1, [i, "x".repeat(100_000)])
          let next = 0
          while (next < 60) {
            for (const { payload } of yield* b.receive) assert.strictEqual((payload as Array<unknown>)[0], next++)
            yield* Effect.sleep(10)
          }
          assert.strictEqual(a.queueBytes(), 0)
        })
      )
    )

    it.live("what no frame can carry is not sent, and the link lives on", () =>
      run(
        Effect.gen(function* () {
          const counters = Link.makeCounters()
          const { a, b } = yield* linked({ counters })
          assert.isFalse(a.send(1, 1n))
          assert.isFalse(a.send(1, "x".repeat(Frame.frameBytesMax)))
          assert.isTrue(a.send(1, "fine"))
          assert.deepStrictEqual(yield* b.receive, [{ channel: 1, payload: "fine" }])
          assert.strictEqual(counters.unsendable, 2)
        })
      )
    )

    it.live("frames that come with the last word of the handshake are received", () =>
      run(
        Effect.gen(function* () {
          const { listener } = yield* listen
          const dialing = yield* Effect.forkChild(Link.dial(listener.address, { hello: alice, channelMax: 6 }))
          const far = yield* listener.accept
          const welcome = frame(0, Handshake.encode({ _tag: "Welcome", version: 2, hello: bob }))
          yield* far.write(Buffer.concat([welcome, frame(1, "early"), frame(2, "bird")]))
          const link = yield* Fiber.join(dialing)
          const frames = yield* link.receive
          assert.deepStrictEqual(frames, [
            { channel: 1, payload: "early" },
            { channel: 2, payload: "bird" }
          ])
        })
      )
    )

    it.live("who stops receiving stops the peer", () =>
      run(
        Effect.gen(function* () {
          const { a, b } = yield* linked({ config: { queueBytesMax: 64 * 1024 * 1024 } })
          for (let i = 0; i < 60; i++) a.send(1, "x".repeat(500_000))
          let before = -1
          while (before !== a.queueBytes()) {
            before = a.queueBytes()
            yield* Effect.sleep(100)
          }
          assert.isAbove(before, 0)
          let received = 0
          while (received < 60) received += (yield* b.receive).length
          assert.strictEqual(a.queueBytes(), 0)
        })
      )
    )
  })
}

import { assert, describe, it } from "@effect/vitest"
import { Stamp } from "@starling/clock"
import type { Parts } from "@starling/member"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/testing/TestClock"
import * as Host from "../src/internal/host.ts"
import * as Stamps from "../src/internal/stamps.ts"

const base = 1_700_000_000_000

/** Who has contacts waits for the fleet's time; who has none goes by its own clock. */
const settings = (contacts: ReadonlyArray<string>, source: "own" | "fleet"): Parts.Settings => ({
  self: { id: "aaaaaaaaaaaa", incarnation: 1, address: "h:1" },
  name: "a",
  datacenter: "dc",
  labels: {},
  contacts,
  clock: { source }
})

/** A host whose writes are durable at once, and whose monotonic clock is in the test's hand. */
const make = (contacts: ReadonlyArray<string>, source: "own" | "fleet" = "fleet") => {
  const nothing = () => {}
  const host: Host.Host = Host.make(
    settings(contacts, source),
    new Map(),
    {
      monotonic: () => 0,
      wall: () => base,
      tell: ({ event, to }) => Host.handle(host, to, event as never),
      open: nothing,
      send: nothing,
      isCongested: () => false,
      close: nothing,
      setTimer: nothing,
      write: (_, written) => written(),
      application: nothing,
      lost: nothing,
      links: () => []
    },
    1
  )
  return host
}

/** The clock tells that the node stamps by its own clock, and the facts begin. */
const begin = (host: Host.Host): void => {
  Host.handle(host, "clock", { _tag: "Started" })
  Host.handle(host, "facts", { _tag: "Started" })
}

const ahead = (ms: number): Stamp.Stamp => ({ epoch: 0, wall: base + ms, counter: 0, node: "bbbbbbbbbbbb" })

describe("stamps of the application", () => {
  it.effect("whoever asks early is answered when the time is known, and then in order", () =>
    Effect.gen(function* () {
      const host = make([])
      const early = yield* Effect.forkChild(Stamps.draw(host), { startImmediately: true })
      assert.isUndefined(early.pollUnsafe())
      begin(host)
      const first = yield* Fiber.join(early)
      assert.isAtLeast(first.wall, base)
      assert.isBelow(Stamp.compare(first, yield* Stamps.draw(host)), 0)
      assert.strictEqual(host.onOpen.size, 0)
    })
  )

  it.effect("what was observed lies before what is stamped then", () =>
    Effect.gen(function* () {
      const host = make([])
      begin(host)
      yield* Stamps.observe(host, ahead(3000))
      assert.isAbove(Stamp.compare(yield* Stamps.draw(host), ahead(3000)), 0)
    })
  )

  it.effect("a stamp that nobody can vouch for is refused, and not followed", () =>
    Effect.gen(function* () {
      const host = make([])
      begin(host)
      const refused = yield* Effect.flip(Stamps.observe(host, ahead(3_600_000)))
      assert.strictEqual(refused._tag, "StampRefused")
      assert.isBelow((yield* Stamps.draw(host)).wall, base + 60_000)
    })
  )

  it.effect("nor whatever the policy, and neither epoch nor anything else of it is followed", () =>
    Effect.gen(function* () {
      for (const source of ["own", "fleet"] as const) {
        const host = make([], source)
        begin(host)
        const { clock } = host
        for (const stamp of [ahead(3_600_000), { ...ahead(0), epoch: 1 }, { ...ahead(3_600_000), epoch: 1 }]) {
          const refused = yield* Effect.flip(Stamps.observe(host, stamp))
          assert.strictEqual(refused._tag, "StampRefused", `${source} ${Stamp.toText(stamp)}`)
          assert.strictEqual(host.clock, clock)
        }
      }
    })
  )

  it.effect("what was followed beyond the durable mark is covered at once", () =>
    Effect.gen(function* () {
      const host = make([])
      begin(host)
      yield* Stamps.observe(host, ahead(4900))
      assert.isAtLeast(host.clock.reading.limit, base + 4900)
    })
  )

  it.effect("after ten seconds without the time it says so, and waits for it no longer", () =>
    Effect.gen(function* () {
      const host = make(["h:2"])
      const asked = yield* Effect.forkChild(Effect.flip(Stamps.draw(host)), { startImmediately: true })
      yield* TestClock.adjust("10 seconds")
      assert.include((yield* Fiber.join(asked)).message, "what time it is")
      assert.strictEqual(host.onOpen.size, 0)
    })
  )

  it.effect("only so many wait", () =>
    Effect.gen(function* () {
      const host = make(["h:2"])
      for (let i = 0; i < 4096; i++) host.onOpen.add(() => i)
      assert.include((yield* Effect.flip(Stamps.draw(host))).message, "4096 wait")
    })
  )
})

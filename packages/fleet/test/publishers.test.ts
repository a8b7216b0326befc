import { assert, describe, it } from "@effect/vitest"
import { Publishers } from "@starling/fleet"
import * as fc from "fast-check"
import * as HashMap from "effect/HashMap"

const { defaults } = Publishers

const feed = (
  arrivals: ReadonlyArray<number>,
  signal: "metrics" | "logs" | "traces" = "metrics",
  from: Publishers.Publishers = Publishers.empty
): Publishers.Publishers =>
  arrivals.reduce(
    (publishers, at) =>
      Publishers.published(publishers, { app: "a", instance: "1", signal, labels: {} }, at, at, defaults).publishers,
    from
  )

const one = (publishers: Publishers.Publishers): Publishers.Publisher => {
  const [first] = HashMap.values(publishers.byName)
  if (first === undefined) throw new Error("nobody publishes")
  return first
}

const stateAfter = (publishers: Publishers.Publishers, now: number) => {
  const { publishers: after, told } = Publishers.expire(publishers, now, defaults)
  return { state: HashMap.size(after.byName) === 0 ? "forgotten" : one(after).state, told: told.length }
}

describe("Publishers", () => {
  it("live for 180 s until their interval is known", () => {
    assert.strictEqual(Publishers.ttlOf(one(feed([0])), defaults), 180_000)
    assert.deepStrictEqual(stateAfter(feed([0]), 180_000), { state: "fresh", told: 0 })
    assert.deepStrictEqual(stateAfter(feed([0]), 180_001), { state: "stale", told: 1 })
  })

  it("then for three intervals, at least 15 s", () => {
    assert.strictEqual(Publishers.ttlOf(one(feed([0, 1000, 2000])), defaults), 15_000)
    assert.strictEqual(Publishers.ttlOf(one(feed([0, 60_000, 120_000])), defaults), 180_000)
    assert.strictEqual(Publishers.ttlOf(one(feed([0, 3_600_000])), defaults), defaults.ttlMaxMs)
  })

  it("steady metrics decide, however often logs come", () => {
    const publishers = feed([100, 200, 300], "logs", feed([0, 30_000, 60_000]))
    assert.strictEqual(Publishers.ttlOf(one(publishers), defaults), 90_000)
  })

  it("are fresh again with the next arrival, which is told at once", () => {
    const stale = Publishers.expire(feed([0, 1000]), 20_000, defaults).publishers
    assert.strictEqual(one(stale).state, "stale")
    const { publishers, told } = Publishers.published(
      stale,
      { app: "a", instance: "1", signal: "metrics", labels: {} },
      21_000,
      21_000,
      defaults
    )
    assert.strictEqual(one(publishers).state, "fresh")
    assert.deepStrictEqual(
      told.map(({ record }) => record?.state),
      ["fresh"]
    )
  })

  it("steady arrivals are told at most every 30 s", () => {
    let publishers = Publishers.empty
    let told = 0
    for (let at = 0; at < 300_000; at += 1000) {
      const changed = Publishers.published(
        publishers,
        { app: "a", instance: "1", signal: "metrics", labels: {} },
        at,
        at,
        defaults
      )
      publishers = changed.publishers
      told += changed.told.length
    }
    assert.strictEqual(told, 10)
  })

  it("use their slots again: never two in one, never more than there are, the longest stale gives way", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(400), fc.nat(60_000)), { maxLength: 600 }), (list) => {
        let publishers = Publishers.empty
        let now = 0
        for (const [instance, gap] of list) {
          now += gap
          publishers = Publishers.expire(publishers, now, defaults).publishers
          publishers = Publishers.published(
            publishers,
            { app: "a", instance: `${instance}`, signal: "logs", labels: {} },
            now,
            now,
            defaults
          ).publishers
          const slots = [...HashMap.values(publishers.byName)].map(({ slot }) => slot)
          assert.strictEqual(new Set([...slots, ...publishers.free]).size, Publishers.publishersMax)
          assert.strictEqual(slots.length + publishers.free.length, Publishers.publishersMax)
        }
      }),
      { numRuns: 10 }
    )
  })

  it("are refused when every slot is fresh", () => {
    let publishers = Publishers.empty
    let refused = 0
    for (let i = 0; i < Publishers.publishersMax + 3; i++) {
      const changed = Publishers.published(
        publishers,
        { app: "a", instance: `${i}`, signal: "logs", labels: {} },
        i,
        i,
        defaults
      )
      publishers = changed.publishers
      refused += changed.refused ? 1 : 0
    }
    assert.strictEqual(refused, 3)
  })

  it("are forgotten after a day of silence", () => {
    assert.deepStrictEqual(stateAfter(feed([0]), defaults.forgetMs + 1), { state: "forgotten", told: 1 })
  })
})

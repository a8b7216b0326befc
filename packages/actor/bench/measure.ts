/**
 * What the runtime costs, row by row, in one process: `node --expose-gc packages/actor/bench/measure.ts [ROW…]`.
 *
 * Each row checks that its work was done. Medians of five rounds after one to warm up; memory is one reading after
 * collection. For comparisons pin it to one core and leave the machine alone.
 */
import { Actor, DynamicSupervisor, Mailbox, System } from "@starling/actor"
import * as Clock from "effect/Clock"
import * as Console from "effect/Console"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as References from "effect/References"
import type * as Scope from "effect/Scope"

type Row = Effect.Effect<number, unknown, System.System | Scope.Scope>

interface Ping {
  readonly left: number
  readonly from: Actor.ActorRef<Ping>
}

const rounds = 5

const echo = Actor.behavior<Actor.ReplyTo<number>>()({
  name: "echo",
  init: () => Effect.succeed(0),
  receive: (n, to) => {
    Actor.replyUnsafe(to, n)
    return n + 1
  }
})

const self = (to: Actor.ReplyTo<number>): Actor.ReplyTo<number> => to

const check = (ok: boolean, what: string): Effect.Effect<void> => (ok ? Effect.void : Effect.die(new Error(what)))

/** Per second. */
const rate = <E, R>(count: number, work: Effect.Effect<void, E, R>): Effect.Effect<number, E, R> =>
  Effect.gen(function* () {
    const from = yield* Clock.monotonicTimeNanos
    yield* work
    const nanos = (yield* Clock.monotonicTimeNanos) - from
    return (count * 1e9) / Number(nanos)
  })

/** With a credit of a thousand: the mailbox is bounded, as everywhere. */
const mailbox: Row = Effect.gen(function* () {
  const count = 1_000_000
  const done = yield* Deferred.make<void>()
  const sink = yield* Actor.spawn(
    Actor.behavior<Actor.ActorRef<"More">>()({
      name: "sink",
      init: () => Effect.succeed(0),
      receive: (n, source) => {
        if (n + 1 === count) Deferred.doneUnsafe(done, Effect.void)
        if ((n + 1) % 1000 === 0) Actor.tellUnsafe(source, "More")
        return n + 1
      }
    })
  )
  const source = yield* Actor.spawn(
    Actor.behavior<"More">()({
      name: "source",
      init: () => Effect.succeed(0),
      receive: (sent, _, self) => {
        const credit = Math.min(1000, count - sent)
        for (let i = 0; i < credit; i++) Actor.tellUnsafe(sink, self.ref)
        return sent + credit
      }
    })
  )
  return yield* rate(
    count,
    Effect.suspend(() => {
      Actor.tellUnsafe(source, "More")
      return Deferred.await(done)
    })
  )
})

const pingPong: Row = Effect.gen(function* () {
  const count = 500_000
  const done = yield* Deferred.make<void>()
  const player = (name: string) =>
    Actor.behavior<Ping>()({
      name,
      init: () => Effect.succeed(0),
      receive: (n, { from, left }, self) => {
        if (left === 0) Deferred.doneUnsafe(done, Effect.void)
        else Actor.tellUnsafe(from, { left: left - 1, from: self.ref })
        return n + 1
      }
    })
  const a = yield* Actor.spawn(player("a"))
  const b = yield* Actor.spawn(player("b"))
  return yield* rate(
    count,
    Effect.suspend(() => {
      Actor.tellUnsafe(a, { left: 2 * count, from: b })
      return Deferred.await(done)
    })
  )
})

const askOne: Row = Effect.gen(function* () {
  const count = 100_000
  const ref = yield* Actor.spawn(echo)
  const work = Effect.gen(function* () {
    for (let i = 0; i < count; i++) yield* check((yield* Actor.ask(ref, self)) === i, "answers are in order")
  })
  return yield* rate(count, work)
})

const askMany: Row = Effect.gen(function* () {
  const count = 100_000
  const ref = yield* Actor.spawn(echo)
  const one = Effect.gen(function* () {
    for (let i = 0; i < count / 1000; i++) yield* Actor.ask(ref, self)
  })
  const result = yield* rate(
    count,
    Effect.forEach(
      Array.from({ length: 1000 }, () => one),
      (asking) => asking,
      { concurrency: "unbounded", discard: true }
    )
  )
  yield* check((yield* Actor.ask(ref, self)) === count, "every question was answered")
  return result
})

const timers: Row = Effect.gen(function* () {
  const count = 100_000
  const done = yield* Deferred.make<void>()
  const ref = yield* Actor.spawn(
    Actor.behavior<number>()({
      name: "timed",
      init: () => Effect.succeed(0),
      receive: (n, _, self) => {
        const set = Array.from({ length: 1000 }, (_, i) => self.sendAfterUnsafe(1000 + i, 0))
        for (const timer of set) timer.cancelUnsafe()
        if (n + 1 === count / 1000) Deferred.doneUnsafe(done, Effect.void)
        else Actor.tellUnsafe(self.ref, 0)
        return n + 1
      }
    })
  )
  return yield* rate(
    count,
    Effect.suspend(() => {
      Actor.tellUnsafe(ref, 0)
      return Deferred.await(done)
    })
  )
})

const spawnStop: Row = Effect.gen(function* () {
  const count = 20_000
  const supervisor = yield* DynamicSupervisor.start({ name: "spawning" })
  const work = Effect.gen(function* () {
    for (let i = 0; i < count; i++) {
      const ref = Option.getOrThrow(yield* supervisor.startChild(echo))
      yield* supervisor.terminateChild(ref)
    }
  })
  const result = yield* rate(count, work)
  const { specs } = yield* supervisor.countChildren
  yield* check(specs === 0, "none is left")
  return result
})

const restart: Row = Effect.gen(function* () {
  const count = 5000
  const supervisor = yield* DynamicSupervisor.start({ name: "crashing", intensity: count * 2 })
  const system = yield* System.System
  const before = system.counters().restarts
  yield* supervisor.startChild(
    Actor.behavior<number>()({
      name: "crashing",
      mailbox: Mailbox.bounded(16),
      init: (self) =>
        Effect.sync(() => {
          if (self.incarnation <= count) Actor.tellUnsafe(self.ref, 0)
          return 0
        }),
      receive: () => Effect.fail("again" as const)
    })
  )
  const over = Effect.suspend(() => Effect.succeed(system.counters().restarts - before === count))
  return yield* rate(
    count,
    Effect.asVoid(Effect.repeat(Effect.yieldNow.pipe(Effect.andThen(over)), { until: (x) => x }))
  )
})

/** Bytes of an actor that waits for its first message, or its second. */
const idle = (touched: boolean): Row =>
  Effect.gen(function* () {
    const count = 100_000
    const supervisor = yield* DynamicSupervisor.start({ name: "idle" })
    const collect = (globalThis as { readonly gc?: () => void }).gc
    if (collect === undefined) return yield* Effect.die(new Error("run node with --expose-gc"))
    const used = Effect.gen(function* () {
      for (let i = 0; i < 4; i++) {
        yield* Effect.sleep(20)
        collect()
      }
      return process.memoryUsage().heapUsed
    })
    const before = yield* used
    for (let i = 0; i < count; i++) {
      const ref = Option.getOrThrow(yield* supervisor.startChild(echo))
      if (touched) yield* Actor.ask(ref, self)
    }
    const after = yield* used
    const { active } = yield* supervisor.countChildren
    yield* check(active === count, "all live")
    return (after - before) / count
  })

const rows: ReadonlyArray<readonly [name: string, rounds: number, row: Row]> = [
  ["mailbox 1->1, messages/s", rounds, mailbox],
  ["ping-pong, round trips/s", rounds, pingPong],
  ["ask, one at a time/s", rounds, askOne],
  ["ask, 1,000 in flight/s", rounds, askMany],
  ["timer set + cancel/s", rounds, timers],
  ["spawn + stop, dynamic supervisor/s", rounds, spawnStop],
  ["crash + restart/s", rounds, restart],
  ["idle, bytes", 0, idle(false)],
  ["idle after one ask, bytes", 0, idle(true)]
]

const main = Effect.gen(function* () {
  const wanted = process.argv.slice(2)
  for (const [name, rounds, row] of rows) {
    if (wanted.length > 0 && !wanted.some((word) => name.startsWith(word))) continue
    const results: Array<number> = []
    for (let i = 0; i <= rounds; i++) {
      const result = yield* Effect.scoped(row).pipe(Effect.provide(System.layer))
      if (i > 0 || rounds === 0) results.push(result)
    }
    const sorted = results.toSorted((a, b) => a - b).map((value) => Math.round(value).toLocaleString("en"))
    yield* Console.log(
      `${name.padEnd(38)} ${sorted[sorted.length >> 1]?.padStart(12)}  (${sorted[0]} to ${sorted.at(-1)})`
    )
  }
})

await Effect.runPromise(main.pipe(Effect.provideService(References.MinimumLogLevel, "None")))

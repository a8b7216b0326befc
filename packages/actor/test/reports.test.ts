import { Actor, ExitReason, Registry, Report, Supervisor, System, Tree } from "@starling/actor"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import * as References from "effect/References"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { settle } from "./settle.ts"

type Msg = { readonly _tag: "Add"; readonly by: number } | { readonly _tag: "Divide"; readonly by: number }

const key = Registry.key<Msg>("counter")

const counter = Actor.behavior<Msg>()({
  name: "counter",
  init: () => Effect.succeed({ total: 1 }),
  receive: ({ total }, msg) => {
    if (msg._tag === "Add") return { total: total + msg.by }
    if (msg.by === 0) throw new RangeError("nothing divides by nothing")
    return { total: total / msg.by }
  }
})

const shop = (options: Supervisor.Options<Msg> = {}) =>
  Supervisor.start({
    name: "shop",
    intensity: 5,
    children: [
      Supervisor.nested({ name: "till", children: [Supervisor.childSpec(counter, { key, ...options })] }),
      Supervisor.nested({ name: "late", children: [] }, { restart: "transient" })
    ]
  })

const crash = Effect.gen(function* () {
  const ref = yield* Registry.via(key)
  Actor.tellUnsafe(ref, { _tag: "Add", by: 2 })
  Actor.tellUnsafe(ref, { _tag: "Divide", by: 0 })
  Actor.tellUnsafe(ref, { _tag: "Add", by: 5 })
  Actor.tellUnsafe(ref, { _tag: "Add", by: 6 })
  yield* settle
})

describe("reports", () => {
  it.effect(
    "a crash report says who, at which message, in which state, why with the stack, under whom, and what waited",
    () =>
      Effect.gen(function* () {
        yield* shop()
        yield* TestClock.adjust("3 seconds")
        yield* crash
        const crashed = (yield* Report.recent).find((report) => report._tag === "Crashed")
        assert.ok(crashed?._tag === "Crashed")
        const { cause, ...rest } = crashed
        assert.deepStrictEqual(rest, {
          _tag: "Crashed",
          at: 3000,
          actor: "shop/till/counter",
          message: `{ _tag: "Divide", by: 0 }`,
          state: "{ total: 3 }",
          reason: "failed: RangeError: nothing divides by nothing",
          ancestors: ["shop/till", "shop"],
          waiting: 2
        })
        assert.match(cause, /RangeError: nothing divides by nothing\n\s+at .*reports\.test\.ts/)
      }).pipe(Effect.provide([System.layer, Logger.layer([])]))
  )

  it.effect.each([
    ["an error without a name", () => Object.assign(new Error(""), { name: undefined })],
    ["an error whose message is a symbol", () => Object.assign(new Error("x"), { message: Symbol("message") })],
    ["an object without a prototype", () => Object.create(null) as unknown],
    [
      "an error whose stack throws",
      () =>
        Object.defineProperty(new Error("x"), "stack", {
          get: (): never => {
            throw new Error("no stack")
          }
        })
    ],
    [
      "a proxy that refuses everything",
      () =>
        new Proxy(
          {},
          {
            get: (): never => {
              throw new Error("no")
            }
          }
        )
    ]
  ] as const)("what cannot be printed is a crash like any other, thrown or in the state: %s", ([, make]) =>
    Effect.gen(function* () {
      const key = Registry.key<"crash">("hostile")
      const state = {
        get field(): never {
          throw make()
        }
      }
      const hostile = Actor.behavior<"crash">()({
        name: "hostile",
        init: () => Effect.succeed(state),
        receive: () => {
          throw make()
        }
      })
      const top = yield* Supervisor.start({ name: "top", children: [Supervisor.childSpec(hostile, { key })] })
      Actor.tellUnsafe(yield* Registry.via(key), "crash")
      yield* settle
      const crashed = (yield* Report.recent).find((report) => report._tag === "Crashed")
      assert.ok(crashed?._tag === "Crashed")
      assert.isString(crashed.cause)
      assert.match(crashed.state ?? "", /not printable/)
      assert.strictEqual((yield* top.countChildren).active, 1)
    }).pipe(Effect.provide(System.layer))
  )

  it.effect("a picture of a wide and deep state stops where it would be cut", () =>
    Effect.gen(function* () {
      let looks = 0
      const leaf = {
        get looked(): number {
          return ++looks
        }
      }
      const wide = (depth: number): unknown =>
        depth === 0 ? [leaf, "x".repeat(100)] : Array.from({ length: 16 }, () => wide(depth - 1))
      const ref = yield* Actor.spawn(
        Actor.behavior<"crash">()({
          name: "wide",
          init: () => Effect.succeed(wide(2)),
          receive: () => {
            throw new Error("oops")
          }
        })
      )
      Actor.tellUnsafe(ref, "crash")
      yield* Actor.awaitExit(ref)
      assert.isBelow(looks, 20)
      const crashed = (yield* Report.recent).find((report) => report._tag === "Crashed")
      assert.ok(crashed?._tag === "Crashed")
      assert.strictEqual(crashed.state?.length, 1001)
    }).pipe(Effect.provide([System.layer, Logger.layer([])]))
  )

  it.effect("each is a log line at its level, with the report as annotations, and an element of the stream", () =>
    Effect.gen(function* () {
      const lines: Array<readonly [level: string, report: unknown, child: unknown]> = []
      const log = Logger.make<unknown, void>(({ fiber, logLevel }) => {
        const annotations = fiber.getRef(References.CurrentLogAnnotations)
        lines.push([logLevel, annotations["report"], annotations["child"] ?? annotations["actor"]])
      })
      yield* Effect.gen(function* () {
        const reading = yield* Effect.forkChild(Stream.runCollect(Stream.take(Report.stream, 7)))
        yield* settle
        yield* shop()
        yield* crash
        const streamed = yield* Fiber.join(reading)
        assert.deepStrictEqual(
          streamed.map((report) => report._tag),
          ["Progress", "Progress", "Warning", "Progress", "Terminated", "Crashed", "ChildTerminated"]
        )
        assert.deepStrictEqual(
          (yield* Report.recent).map(({ _tag }) => _tag).slice(0, 7),
          streamed.map(({ _tag }) => _tag)
        )
      }).pipe(
        Effect.provide([System.layer, Logger.layer([log])]),
        Effect.provideService(References.MinimumLogLevel, "All")
      )
      assert.deepStrictEqual(lines, [
        ["Debug", "Progress", "counter"],
        ["Debug", "Progress", "till"],
        ["Warn", "Warning", undefined],
        ["Debug", "Progress", "late"],
        ["Error", "Crashed", "shop/till/counter"],
        ["Warn", "ChildTerminated", "counter"],
        ["Debug", "Progress", "counter"]
      ])
    })
  )

  it.effect("the tree tells since when each incarnation lives and why the last one ended, as data and as text", () =>
    Effect.gen(function* () {
      yield* shop()
      yield* TestClock.adjust("1 minute")
      yield* crash
      const ref = yield* Registry.via(key)
      yield* Actor.exit(ref, ExitReason.killed)
      yield* settle
      const nodes = Tree.flatten(yield* Tree.snapshot)
      assert.deepStrictEqual(
        nodes.map(({ id, lastReason, restarts, startedAt }) => [id, startedAt, restarts, lastReason]),
        [
          ["shop", 0, 0, null],
          ["till", 60_000, 1, "shutdown"],
          ["counter", 60_000, 0, null],
          ["late", 0, 0, null]
        ]
      )
      assert.strictEqual(
        Tree.render(yield* Tree.snapshot, 90_500),
        [
          "shop (one_for_one) running · restarts 0, mailbox 0, handled 1, up 1m 30s",
          "  till (one_for_one) running · restarts 1, mailbox 0, handled 2, up 30s, last: shutdown",
          "    counter running · restarts 0, mailbox 0, handled 0, up 30s",
          "  late (one_for_one) running · restarts 0, mailbox 0, handled 0, up 1m 30s"
        ].join("\n")
      )
    }).pipe(Effect.provide([System.layer, Logger.layer([])]))
  )

  it.effect("a reader of the stream that falls behind loses the oldest, and nobody waits for it", () =>
    Effect.gen(function* () {
      const system = yield* System.System
      let reported = 0
      system.onReport(() => reported++)
      // An observer that throws changes nothing.
      const forget = system.onReport(() => {
        throw new Error("an observer's")
      })
      const reading = yield* Effect.forkChild(
        Stream.runCollect(
          Stream.take(
            Stream.tap(Report.stream, () => Effect.sleep("1 hour")),
            2
          )
        )
      )
      yield* settle
      const top = yield* Supervisor.start({ name: "top", children: [] })
      const idle = Actor.behavior<never>()({ name: "idle", init: () => Effect.succeed(0), receive: (n) => n })
      for (let n = 0; n < 3000; n++) yield* top.startChild(Supervisor.childSpec(idle, { id: `idle ${n}` }))
      assert.strictEqual(reported, 3000)
      assert.strictEqual((yield* Report.recent).length, 256)
      forget()
      yield* TestClock.adjust("2 hours")
      const [, second] = yield* Fiber.join(reading)
      assert.ok(second?._tag === "Progress")
      assert.isAbove(Number(second.child.slice(5)), 1)
    }).pipe(Effect.provide([System.layer, Logger.layer([])]))
  )
})

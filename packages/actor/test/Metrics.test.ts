import { Actor, Mailbox, Metrics, Report, Supervisor, System, Tree } from "@starling/actor"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Tracer from "effect/Tracer"
import { settle } from "./settle.ts"

type Msg = { readonly _tag: "Add" } | { readonly _tag: "Crash" } | { readonly _tag: "Later" }

const counter = Actor.behavior<Msg>()({
  name: "counter",
  mailbox: Mailbox.bounded(3, "dropNew"),
  init: () => Effect.succeed(0),
  receive: (n, msg) => {
    if (msg._tag === "Crash") throw new Error("crash")
    return msg._tag === "Later" ? Effect.as(Effect.yieldNow, n + 1) : n + 1
  }
})

describe("Metrics", () => {
  it.effect("a snapshot shows what the system has counted, and nothing of a system that is gone", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const registry = new Map()
      const read = Effect.map(Effect.provideService(Metric.snapshot, Metric.MetricRegistry, registry), (all) =>
        Object.fromEntries(
          all.map(({ id, state }) => [id, "count" in state ? state.count : (state as { value: number }).value])
        )
      )
      const context = yield* Layer.buildWithScope(
        Metrics.layer({ attributes: { system: "test" } }).pipe(Layer.provideMerge(System.layer)),
        scope
      ).pipe(Effect.provideService(Metric.MetricRegistry, registry))
      yield* Effect.gen(function* () {
        const top = yield* Supervisor.start({ name: "top", children: [Supervisor.childSpec(counter)] })
        const [child] = yield* top.whichChildren
        const ref = child?.ref as unknown as { readonly value: Actor.ActorRef<Msg> }
        for (const _tag of ["Add", "Add", "Crash", "Add"] as const) Actor.tellUnsafe(ref.value, { _tag })
        assert.strictEqual((yield* read)["actor_mailbox_depth"], 3)
        assert.strictEqual((yield* read)["actor_mailbox_depth_max"], 3)
        yield* settle
        const now = yield* read
        assert.deepInclude(now, { actor_restarts: 1, actor_crashes: 1, actor_dropped: 1, actor_dead_letters: 1 })
        // Three messages; and the supervisor's: a call, and the end of its child.
        assert.deepInclude(now, { actor_handled: 5, actor_gave_up: 0, actor_abandoned_now: 0 })
        assert.deepInclude(now, { actor_alive: 2, actor_started: 3, actor_abandoned: 0, actor_mailbox_depth: 0 })
        assert.strictEqual(Tree.flatten(yield* Tree.snapshot)[1]?.handled, 3)
      }).pipe(Effect.scoped, Effect.provide(context))
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual(yield* read, {})
    })
  )
})

describe("traced", () => {
  it.effect("there is a span for each message that is sampled, with its tag, and none unless asked for", () =>
    Effect.gen(function* () {
      const spans: Array<string> = []
      const tracer = Tracer.make({
        span: (options) => {
          spans.push(options.name)
          return new Tracer.NativeSpan(options)
        }
      })
      yield* Effect.gen(function* () {
        const plain = yield* Actor.spawn(counter)
        const traced = yield* Actor.spawn(Actor.traced(counter, { sample: (message) => message._tag !== "Add" }))
        for (const ref of [plain, traced]) {
          for (const _tag of ["Add", "Later", "Crash"] as const) Actor.tellUnsafe(ref, { _tag })
        }
        assert.strictEqual((yield* Actor.awaitExit(traced))._tag, "Failed")
      }).pipe(Effect.scoped, Effect.provideService(Tracer.Tracer, tracer))
      assert.deepStrictEqual(spans, ["counter Later", "counter Crash"])
    }).pipe(Effect.provide(System.layer))
  )
})

describe("dead letters", () => {
  it.effect("all of them come through the stream: full, down, and to nobody", () =>
    Effect.gen(function* () {
      const reading = yield* Effect.forkChild(
        Stream.runCollect(Stream.take(Report.deadLetterStream({ bufferSize: 600 }), 500))
      )
      yield* settle
      const ref = yield* Actor.spawn(counter)
      for (let i = 0; i < 100; i++) Actor.tellUnsafe(ref, { _tag: "Add" })
      Actor.tellUnsafe(ref, { _tag: "Crash" })
      yield* settle
      for (const _tag of ["Crash", "Add", "Add"] as const) Actor.tellUnsafe(ref, { _tag })
      yield* settle
      for (let i = 0; i < 400; i++) Actor.tellUnsafe(ref, { _tag: "Add" })
      const letters = yield* Fiber.join(reading)
      const count = (cause: Report.DeadLetter["cause"]) => letters.filter((letter) => letter.cause === cause).length
      assert.deepStrictEqual([count("full"), count("down"), count("noproc")], [98, 2, 400])
      assert.isAtMost((yield* Report.deadLetters).length, 256)
    }).pipe(Effect.provide(System.layer))
  )
})

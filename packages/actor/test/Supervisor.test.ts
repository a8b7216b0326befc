import {
  Actor,
  DynamicSupervisor,
  ExitReason,
  Mailbox,
  Registry,
  Report,
  Supervisor,
  Sys,
  System,
  Tree
} from "@starling/actor"
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import { settle } from "./settle.ts"

type Msg =
  | { readonly _tag: "Crash" }
  | { readonly _tag: "Note"; readonly text: string }
  | { readonly _tag: "Count"; readonly replyTo: Actor.ReplyTo<number> }

const count = (replyTo: Actor.ReplyTo<number>): Msg => ({ _tag: "Count", replyTo })
const crash: Msg = { _tag: "Crash" }

const noting = (name: string, notes: Array<string> = []) =>
  Actor.behavior<Msg>()({
    name,
    init: (self) =>
      Effect.sync(() => {
        notes.push(`${name} ${self.incarnation}`)
        return 0
      }),
    receive: (n, msg) => {
      switch (msg._tag) {
        case "Crash":
          throw new Error("oops")
        case "Note":
          notes.push(msg.text)
          return n + 1
        case "Count":
          Actor.replyUnsafe(msg.replyTo, n)
          return n
      }
    },
    terminate: (_, reason) => Effect.sync(() => notes.push(`${name} ${reason._tag}`))
  })

describe("Supervisor", () => {
  it.effect(
    "a kept mailbox outlives the crash: the crashing message is gone, the rest and what is sent meanwhile stay",
    () =>
      Effect.gen(function* () {
        const notes: Array<string> = []
        const key = Registry.key<Msg>("kept")
        yield* Supervisor.start({
          name: "top",
          children: [Supervisor.childSpec(noting("kept", notes), { key, onRestart: "keep" })]
        })
        const address = yield* Registry.via(key)
        const first = Option.getOrThrow(yield* Registry.whereIs(key))
        Actor.tellUnsafe(address, { _tag: "Note", text: "before" })
        Actor.tellUnsafe(address, crash)
        Actor.tellUnsafe(address, { _tag: "Note", text: "after" })
        const asking = yield* Effect.forkChild(Actor.ask(address, count))
        yield* settle
        assert.strictEqual(yield* Fiber.join(asking), 1)
        assert.deepStrictEqual(notes, ["kept 1", "before", "kept Failed", "kept 2", "after"])
        assert.isFalse(Actor.isAlive(first))
        assert.isFalse(Actor.tellUnsafe(first, crash))
      }).pipe(Effect.provide(System.layer))
  )

  it.effect("a dropped mailbox dies with the incarnation: asks fail, the rest are dead letters", () =>
    Effect.gen(function* () {
      const key = Registry.key<Msg>("dropped")
      yield* Supervisor.start({ name: "top", children: [Supervisor.childSpec(noting("dropped"), { key })] })
      const address = yield* Registry.via(key)
      Actor.tellUnsafe(address, crash)
      Actor.tellUnsafe(address, { _tag: "Note", text: "lost" })
      const error = yield* Effect.flip(Actor.ask(address, count))
      assert.strictEqual(error._tag, "ActorDown")
      yield* settle
      assert.strictEqual((yield* Report.deadLetters).length, 1)
      assert.strictEqual(yield* Actor.ask(address, count), 0)
    }).pipe(Effect.provide(System.layer))
  )

  it.effect("services of the children come from the context of the start, in every incarnation", () =>
    Effect.gen(function* () {
      class Base extends Context.Service<Base, number>()("test/Base") {}
      const key = Registry.key<Msg>("served")
      const served = Actor.behavior<Msg>()({
        name: "served",
        init: () => Effect.map(Base, (base) => base),
        receive: (n, msg) => {
          if (msg._tag === "Crash") throw new Error("oops")
          if (msg._tag === "Count") Actor.replyUnsafe(msg.replyTo, n)
          return n
        }
      })
      yield* Effect.provideService(
        Supervisor.start({ name: "top", children: [Supervisor.childSpec(served, { key })] }),
        Base,
        7
      )
      const address = yield* Registry.via(key)
      assert.strictEqual(yield* Actor.ask(address, count), 7)
      Actor.tellUnsafe(address, crash)
      yield* settle
      assert.strictEqual(yield* Actor.ask(address, count), 7)
    }).pipe(Effect.provide(System.layer))
  )

  it.effect("the Scope of the start stops the children in reverse order and leaves nothing alive", () =>
    Effect.gen(function* () {
      const notes: Array<string> = []
      const system = yield* System.System
      const scope = yield* Scope.make()
      yield* Supervisor.start({
        name: "top",
        children: [
          Supervisor.childSpec(noting("a", notes), { key: Registry.key("a") }),
          Supervisor.childSpec(noting("b", notes), { key: Registry.key("b"), onRestart: "keep" }),
          Supervisor.nested({ name: "sub", children: [Supervisor.childSpec(noting("c", notes))] })
        ]
      }).pipe(Scope.provide(scope))
      assert.strictEqual(system.alive(), 5)
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual(notes, ["a 1", "b 1", "c 1", "c Shutdown", "b Shutdown", "a Shutdown"])
      assert.strictEqual(system.alive(), 0)
      assert.deepStrictEqual(yield* Registry.names, [])
      assert.deepStrictEqual(yield* Tree.snapshot, [])
    }).pipe(Effect.provide(System.layer))
  )

  it.effect("a killed supervisor takes its children with it, and its parent starts all anew", () =>
    Effect.gen(function* () {
      const notes: Array<string> = []
      const system = yield* System.System
      const sub = Supervisor.key("sub")
      yield* Supervisor.start({
        name: "top",
        children: [
          Supervisor.nested({ name: "sub", children: [Supervisor.childSpec(noting("c", notes))] }, { key: sub })
        ]
      })
      const ref = Option.getOrThrow(yield* Registry.whereIs(sub))
      yield* Actor.exit(ref, ExitReason.killed)
      yield* settle
      assert.deepStrictEqual(notes, ["c 1", "c 1"])
      assert.strictEqual(system.alive(), 3)
    }).pipe(Effect.provide(System.layer))
  )

  it.effect("run fails when the supervisor gives up", () =>
    Effect.gen(function* () {
      const key = Registry.key<Msg>("a")
      const top = { name: "top", intensity: 0, children: [Supervisor.childSpec(noting("a"), { key })] }
      const address = yield* Registry.via(key)
      const giving = yield* Effect.forkChild(Effect.flip(Supervisor.run(top)))
      yield* settle
      Actor.tellUnsafe(address, crash)
      const error = yield* Fiber.join(giving)
      assert.strictEqual(error._tag, "SupervisorExit")
    }).pipe(Effect.provide(System.layer))
  )

  it.effect(
    "run succeeds when the supervisor is stopped and after an auto-shutdown, and stops it when interrupted",
    () =>
      Effect.gen(function* () {
        const top = Supervisor.key("top")
        const key = Registry.key<Msg>("a")
        const notes: Array<string> = []
        const options = { key, restart: "transient", significant: true } as const
        const children = [Supervisor.childSpec(noting("a", notes), options)]
        const ends = [
          Effect.flatMap(Supervisor.via(top), (supervisor) => supervisor.stop),
          Effect.flatMap(Registry.via(key), (ref) => Actor.exit(ref, ExitReason.normal))
        ]
        for (const end of ends) {
          const running = yield* Effect.forkChild(
            Supervisor.run({ name: "top", autoShutdown: "any_significant", children }, { key: top })
          )
          yield* settle
          assert.isUndefined(running.pollUnsafe())
          yield* end
          yield* Fiber.join(running)
        }
        const running = yield* Effect.forkChild(
          Supervisor.run({ name: "top", autoShutdown: "any_significant", children })
        )
        yield* settle
        yield* Fiber.interrupt(running)
        assert.deepStrictEqual(notes, ["a 1", "a Shutdown", "a 1", "a Normal", "a 1", "a Shutdown"])
        assert.strictEqual((yield* System.System).alive(), 0)
      }).pipe(Effect.provide(System.layer))
  )

  it.effect("a layer is built when all children have started, and stops them when it is released", () =>
    Effect.gen(function* () {
      class Top extends Context.Service<Top, Supervisor.Supervisor>()("test/Top") {}
      const notes: Array<string> = []
      const live = Supervisor.layer(Top, { name: "top", children: [Supervisor.childSpec(noting("a", notes))] })
      const used = Effect.flatMap(Top, (top) => top.countChildren)
      const counts = yield* used.pipe(Effect.provide(live.pipe(Layer.provide(System.layer))))
      assert.deepStrictEqual(counts, { specs: 1, active: 1, supervisors: 0, workers: 1 })
      assert.deepStrictEqual(notes, ["a 1", "a Shutdown"])
    })
  )

  it.effect("what cannot be killed is abandoned after its time, reported and counted", () =>
    Effect.gen(function* () {
      const system = yield* System.System
      const stuck = Actor.behavior<"go">()({
        name: "stuck",
        init: () => Effect.succeed(0),
        receive: (n) => Effect.as(Effect.uninterruptible(Effect.sleep("1 hour")), n)
      })
      const key = Registry.key<"go">("stuck")
      const top = yield* Supervisor.start({
        name: "top",
        children: [Supervisor.childSpec(stuck, { key, shutdown: "100 millis" })]
      })
      Actor.tellUnsafe(yield* Registry.via(key), "go")
      yield* settle
      const stopping = yield* Effect.forkChild(top.terminateChild("stuck"))
      yield* settle
      yield* TestClock.adjust("100 millis")
      yield* settle
      assert.strictEqual(stopping.pollUnsafe(), undefined)
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(stopping)
      assert.strictEqual(system.counters().abandonedNow, 1)
      assert.isTrue((yield* Report.recent).some((report) => report._tag === "Abandoned"))
      assert.deepStrictEqual(yield* Registry.names, [])
      yield* TestClock.adjust("1 hour")
      yield* settle
      assert.strictEqual(system.counters().abandonedNow, 0)
      assert.strictEqual(system.counters().abandoned, 1)
    }).pipe(Effect.provide(System.layer))
  )

  it.effect("a kill from anybody that no fiber hears is given up after a second, and the child is restarted", () =>
    Effect.gen(function* () {
      const system = yield* System.System
      const stuck = Actor.behavior<"go">()({
        name: "stuck",
        init: (self) => Effect.succeed(self.incarnation),
        receive: (n) => Effect.as(Effect.uninterruptible(Effect.sleep("1 hour")), n)
      })
      const key = Registry.key<"go">("stuck")
      yield* Supervisor.start({ name: "top", children: [Supervisor.childSpec(stuck, { key })] })
      Actor.tellUnsafe(yield* Registry.via(key), "go")
      yield* settle
      yield* Actor.exit(yield* Registry.via(key), ExitReason.killed)
      yield* TestClock.adjust(999)
      yield* settle
      assert.strictEqual(system.counters().abandoned, 0)
      yield* TestClock.adjust(1)
      yield* settle
      assert.deepStrictEqual([system.counters().abandoned, system.counters().restarts], [1, 1])
      assert.isTrue((yield* Report.recent).some((report) => report._tag === "Abandoned"))
      const next = Option.getOrThrow(yield* Registry.whereIs(key))
      assert.deepStrictEqual(yield* Sys.getState(next), Option.some(2))
      yield* TestClock.adjust("1 hour")
      yield* settle
      assert.strictEqual(system.counters().abandonedNow, 0)
    }).pipe(Effect.provide(System.layer))
  )

  it.effect("a backoff delays the restart, and the child is restarting meanwhile", () =>
    Effect.gen(function* () {
      const notes: Array<string> = []
      const key = Registry.key<Msg>("a")
      const top = yield* Supervisor.start({
        name: "top",
        intensity: 5,
        backoff: Schedule.exponential("1 second"),
        children: [Supervisor.childSpec(noting("a", notes), { key })]
      })
      const address = yield* Registry.via(key)
      const stateOf = Effect.map(top.whichChildren, (children) => children[0]?.state)
      Actor.tellUnsafe(address, crash)
      yield* settle
      assert.strictEqual(yield* stateOf, "restarting")
      assert.strictEqual((yield* Effect.flip(top.restartChild("a")))._tag, "ChildRefused")
      yield* TestClock.adjust("1 second")
      yield* settle
      assert.strictEqual(yield* stateOf, "running")
      Actor.tellUnsafe(address, crash)
      yield* settle
      yield* TestClock.adjust("1999 millis")
      yield* settle
      assert.strictEqual(yield* stateOf, "restarting")
      yield* TestClock.adjust("1 millis")
      yield* settle
      assert.strictEqual(yield* stateOf, "running")
      assert.deepStrictEqual(notes, ["a 1", "a Failed", "a 2", "a Failed", "a 3"])
    }).pipe(Effect.provide(System.layer))
  )

  it.effect("a crash is reported in OTP's order: terminated, crashed, child terminated, progress", () =>
    Effect.gen(function* () {
      const key = Registry.key<Msg>("a")
      yield* Supervisor.start({ name: "top", children: [Supervisor.childSpec(noting("a"), { key })] })
      const address = yield* Registry.via(key)
      Actor.tellUnsafe(address, crash)
      yield* settle
      Actor.tellUnsafe(address, crash)
      yield* settle
      assert.deepStrictEqual(
        (yield* Report.recent).map((report) => report._tag),
        [
          "Progress",
          "Terminated",
          "Crashed",
          "ChildTerminated",
          "Progress",
          "Terminated",
          "Crashed",
          "ChildTerminated",
          "GaveUp"
        ]
      )
    }).pipe(Effect.provide(System.layer))
  )

  it.effect("the tree shows every child with its state, its restarts, its reason and its counts", () =>
    Effect.gen(function* () {
      const key = Registry.key<Msg>("a")
      const links = DynamicSupervisor.key("links")
      yield* Supervisor.start({
        name: "node",
        strategy: "rest_for_one",
        children: [
          Supervisor.nested({
            name: "components",
            intensity: 3,
            children: [Supervisor.childSpec(noting("a"), { key, onRestart: "keep" })]
          }),
          DynamicSupervisor.nested({ name: "links" }, { key: links })
        ]
      })
      const dynamic = yield* DynamicSupervisor.via(links)
      yield* dynamic.startChild(noting("link"), { restart: "temporary" })
      yield* dynamic.startChild(noting("link"), { restart: "temporary" })
      const address = yield* Registry.via(key)
      Actor.tellUnsafe(address, { _tag: "Note", text: "x" })
      Actor.tellUnsafe(address, crash)
      yield* settle
      Actor.tellUnsafe(address, { _tag: "Note", text: "y" })
      const nodes = Tree.flatten(yield* Tree.snapshot)
      assert.deepStrictEqual(
        nodes.map((node) => [node.path.join("/"), node.strategy, node.state, node.restarts, node.mailbox]),
        [
          ["node", "rest_for_one", "running", 0, 0],
          ["node/components", "one_for_one", "running", 0, 0],
          ["node/components/a", null, "running", 1, 1],
          ["node/links", "dynamic", "running", 0, 0],
          ["node/links/link", null, "running", 0, 0],
          ["node/links/link#2", null, "running", 0, 0]
        ]
      )
      const a = nodes[2]
      assert.strictEqual(a?.lastReason, "failed: Error: oops")
      assert.strictEqual(a?.handled, 2)
    }).pipe(Effect.provide(System.layer))
  )

  it.effect("an init that never ends does not keep its supervisor from stopping, at the start and at a restart", () =>
    Effect.gen(function* () {
      const system = yield* System.System
      const notes: Array<string> = []
      const key = Registry.key<Msg>("b")
      const hanging = (from: number) =>
        Actor.behavior<Msg>()({
          name: "b",
          init: (self) => (self.incarnation >= from ? Effect.never : Effect.succeed(0)),
          receive: () => {
            throw new Error("oops")
          }
        })
      const top = (from: number) => ({
        name: "top",
        children: [Supervisor.childSpec(noting("a", notes)), Supervisor.childSpec(hanging(from), { key })]
      })
      for (const from of [1, 2]) {
        const scope = yield* Scope.make()
        const starting = yield* Effect.forkChild(Scope.provide(Effect.exit(Supervisor.start(top(from))), scope))
        yield* settle
        Actor.tellUnsafe(yield* Registry.via(key), crash)
        yield* settle
        assert.strictEqual(starting.pollUnsafe() === undefined, from === 1)
        yield* Scope.close(scope, Exit.void)
        yield* settle
        assert.strictEqual(system.alive(), 0)
      }
      assert.deepStrictEqual(notes, ["a 1", "a Shutdown", "a 1", "a Shutdown"])
    }).pipe(Effect.provide(System.layer))
  )

  it.effect("a thousand crashes leave no actor, no name and no message behind, and each is reported", () =>
    Effect.gen(function* () {
      const system = yield* System.System
      const key = Registry.key<Msg>("a")
      const scope = yield* Scope.make()
      yield* Supervisor.start({
        name: "top",
        intensity: 1000,
        children: [Supervisor.childSpec(noting("a"), { key, onRestart: "keep" })]
      }).pipe(Scope.provide(scope))
      const address = yield* Registry.via(key)
      let crashes = 0
      const forget = system.onReport((report) => {
        if (report._tag === "Crashed") crashes++
      })
      for (let round = 0; round < 10; round++) {
        for (let i = 0; i < 100; i++) Actor.tellUnsafe(address, crash)
        assert.strictEqual(yield* Actor.ask(address, count), 0)
      }
      forget()
      assert.strictEqual(crashes, 1000)
      assert.strictEqual(system.counters().restarts, 1000)
      assert.strictEqual(system.alive(), 2)
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(system.alive(), 0)
      assert.deepStrictEqual(yield* Report.deadLetters, [])
    }).pipe(Effect.provide(System.layer), Effect.provide(Logger.layer([])))
  )

  it.effect("a transient supervisor is a warning at the start", () =>
    Effect.gen(function* () {
      yield* Supervisor.start({
        name: "top",
        children: [Supervisor.nested({ name: "sub", children: [] }, { restart: "transient" })]
      })
      assert.isTrue((yield* Report.recent).some((report) => report._tag === "Warning"))
    }).pipe(Effect.provide(System.layer))
  )

  it.effect("two systems do not see each other's names", () =>
    Effect.gen(function* () {
      const key = Registry.key<Msg>("a")
      const start = Supervisor.start({ name: "top", children: [Supervisor.childSpec(noting("a"), { key })] })
      const first = yield* System.make
      const second = yield* System.make
      for (const system of [first, second]) yield* Effect.provideService(start, System.System, system)
      Actor.tellUnsafe(Registry.viaUnsafe(first, key), { _tag: "Note", text: "x" })
      assert.strictEqual(yield* Actor.ask(Registry.viaUnsafe(first, key), count), 1)
      assert.strictEqual(yield* Actor.ask(Registry.viaUnsafe(second, key), count), 0)
    })
  )

  it.effect("tells wait for room under backpressure, in their order, and none is lost", () =>
    Effect.gen(function* () {
      const seen: Array<number> = []
      const ref = yield* Actor.spawn(
        Actor.behavior<number>()({
          name: "slow",
          mailbox: Mailbox.bounded(2),
          init: () => Effect.succeed(0),
          receive: (state, n) =>
            Effect.as(
              Effect.sync(() => seen.push(n)),
              state
            )
        })
      )
      yield* Effect.forEach([1, 2, 3, 4, 5, 6, 7], (n) => Actor.tell(ref, n), { concurrency: "unbounded" })
      yield* settle
      assert.deepStrictEqual(seen, [1, 2, 3, 4, 5, 6, 7])
    }).pipe(Effect.provide(System.layer))
  )
})

describe("DynamicSupervisor", () => {
  it.effect("a child past maxChildren is refused, and an ended one makes room", () =>
    Effect.gen(function* () {
      const dynamic = yield* DynamicSupervisor.start({ name: "links", maxChildren: 1 })
      const first = Option.getOrThrow(yield* dynamic.startChild(noting("link"), { restart: "temporary" }))
      const refused = yield* Effect.flip(dynamic.startChild(noting("link"), { restart: "temporary" }))
      assert.ok(refused._tag === "ChildRefused")
      assert.strictEqual(refused.reason, "max_children")
      Actor.tellUnsafe(first, crash)
      yield* settle
      assert.isTrue(Option.isSome(yield* dynamic.startChild(noting("link"), { restart: "temporary" })))
    }).pipe(Effect.provide(System.layer))
  )

  it.effect("children stop in parallel, each with its own time", () =>
    Effect.gen(function* () {
      const dynamic = yield* DynamicSupervisor.start({ name: "links" })
      const slow = Actor.behavior<never>()({
        name: "slow",
        init: () => Effect.succeed(0),
        receive: (state) => state,
        terminate: () => Effect.sleep("100 millis")
      })
      yield* Effect.forEach([1, 2, 3], () => dynamic.startChild(slow))
      const stopping = yield* Effect.forkChild(dynamic.stop)
      yield* settle
      yield* TestClock.adjust("100 millis")
      yield* settle
      assert.isDefined(stopping.pollUnsafe())
    }).pipe(Effect.provide(System.layer))
  )

  it.effect("a child is stopped by its ref, and a ref of an earlier incarnation is nobody's child", () =>
    Effect.gen(function* () {
      const dynamic = yield* DynamicSupervisor.start({ name: "links" })
      const key = Registry.key<Msg>("link")
      const first = Option.getOrThrow(yield* dynamic.startChild(noting("link"), { key }))
      Actor.tellUnsafe(first, crash)
      yield* settle
      const refused = yield* Effect.flip(dynamic.terminateChild(first))
      assert.ok(refused._tag === "ChildRefused")
      assert.strictEqual(refused.reason, "not_found")
      yield* dynamic.terminateChild(Option.getOrThrow(yield* Registry.whereIs(key)))
      assert.strictEqual((yield* dynamic.countChildren).specs, 0)
      assert.deepStrictEqual(yield* Registry.names, [])
    }).pipe(Effect.provide(System.layer))
  )

  it.effect("a fiber opened by init in the Scope of the incarnation reaches its actor, and ends with it", () =>
    Effect.gen(function* () {
      const dynamic = yield* DynamicSupervisor.start({ name: "links" })
      const seen: Array<string> = []
      const reader = Actor.behavior<string>()({
        name: "reader",
        init: (self) =>
          Effect.as(
            Effect.forkScoped(
              Effect.onInterrupt(
                Effect.forever(Effect.andThen(Effect.sleep("1 second"), () => Actor.tell(self.ref, "frame"))),
                () => Effect.sync(() => seen.push("interrupted"))
              )
            ),
            0
          ),
        receive: (n, frame) => {
          seen.push(frame)
          return n + 1
        }
      })
      const ref = Option.getOrThrow(yield* dynamic.startChild(reader, { restart: "temporary" }))
      yield* settle
      yield* TestClock.adjust("2 seconds")
      yield* settle
      yield* Actor.exit(ref, ExitReason.killed)
      yield* Actor.awaitExit(ref)
      yield* TestClock.adjust("2 seconds")
      yield* settle
      assert.deepStrictEqual(seen, ["frame", "frame", "interrupted"])
    }).pipe(Effect.provide(System.layer))
  )
})

/** Everything that is wrong has an answer: a typed error where the caller can act, a report where only an operator can. */
import { Actor, DynamicSupervisor, ExitReason, Mailbox, Registry, Report, Supervisor, System } from "@starling/actor"
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import { settle } from "./settle.ts"

type Msg = "throw" | "die" | "fail" | "never" | "reject" | "interrupt" | "throw null" | "loop" | Actor.ReplyTo<string>

const worst = (name: string = "worst", mailbox: Mailbox.Mailbox = Mailbox.defaultMailbox) =>
  Actor.behavior<Msg>()({
    name,
    mailbox,
    init: () => Effect.succeed(0),
    receive: (n, msg): Actor.Handled<number, "failed", never> => {
      switch (msg) {
        case "throw":
          throw new Error("thrown")
        case "throw null":
          throw null
        case "die":
          return Effect.die("died")
        case "fail":
          return Effect.fail("failed" as const)
        case "never":
          return Effect.never
        case "reject":
          return Effect.promise(() => Promise.reject(new Error("rejected")))
        case "interrupt":
          return Effect.interrupt
        case "loop":
          return Effect.forever(Effect.yieldNow)
        default:
          Actor.replyUnsafe(msg, "here")
          return n + 1
      }
    }
  })

const here = (to: Actor.ReplyTo<string>): Msg => to

const invalid = Effect.fnUntraced(function* (
  spec: Omit<Supervisor.SupervisorSpec<never>, "name" | "children">,
  ...children: ReadonlyArray<Supervisor.Options<Msg>>
) {
  const system = yield* System.System
  const before = system.counters().started
  const exit = yield* Effect.exit(
    Supervisor.start({
      name: "top",
      ...spec,
      children: children.map((options) => Supervisor.childSpec(worst(), options))
    })
  )
  // The supervisor itself was begun; none of its children was.
  assert.strictEqual(system.counters().started, before + 1)
  assert.strictEqual(system.alive(), 0)
  const error = Exit.isFailure(exit) ? Option.getOrUndefined(Cause.findErrorOption(exit.cause)) : undefined
  assert.ok(error?._tag === "InvalidSpec")
  assert.include(error.message, error.childId ?? "top")
  return error.reason
})

const quiet = [Effect.provide(System.layer), Effect.provide(Logger.layer([]))] as const

describe("bad specs", () => {
  it.effect("each is refused with what is wrong, before any child starts", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* invalid({}, { id: "a" }, { id: "a" }), "duplicate_id")
      assert.strictEqual(yield* invalid({}, { significant: true, restart: "transient" }), "significant_never")
      assert.strictEqual(
        yield* invalid({ autoShutdown: "any_significant" }, { significant: true }),
        "significant_permanent"
      )
      assert.strictEqual(yield* invalid({ intensity: -1 }), "out_of_range")
      assert.strictEqual(yield* invalid({ intensity: Number.NaN }), "out_of_range")
      assert.strictEqual(yield* invalid({ period: 0 }), "out_of_range")
      assert.strictEqual(yield* invalid({}, { startTimeout: 0 }), "out_of_range")
      assert.strictEqual(yield* invalid({}, { shutdown: -1 }), "out_of_range")
      assert.strictEqual(yield* invalid({}, { shutdown: Number.NaN }), "out_of_range")
      const dynamic = yield* Effect.flip(DynamicSupervisor.start({ name: "top", maxChildren: -1 }))
      assert.ok(dynamic._tag === "InvalidSpec")
      assert.strictEqual(dynamic.reason, "out_of_range")
    }).pipe(...quiet)
  )

  it.effect("a bad spec given to a running supervisor is refused, and the supervisor goes on", () =>
    Effect.gen(function* () {
      const top = yield* Supervisor.start({ name: "top", children: [Supervisor.childSpec(worst("a"))] })
      const refused = yield* Effect.flip(
        top.startChild(Supervisor.childSpec(worst("b"), { significant: true, restart: "temporary" }))
      )
      assert.strictEqual(refused._tag, "InvalidSpec")
      const again = yield* Effect.flip(top.startChild(Supervisor.childSpec(worst("a"))))
      assert.ok(again._tag === "ChildRefused")
      assert.strictEqual(again.reason, "already_started")
      assert.strictEqual((yield* top.countChildren).active, 1)
    }).pipe(...quiet)
  )

  it.effect("a mailbox without room for one message is refused at the spawn, and under a supervisor at the start", () =>
    Effect.gen(function* () {
      for (const capacity of [0, -1, Number.NaN]) {
        const error = yield* Effect.flip(Actor.spawn(worst("tiny", Mailbox.bounded(capacity))))
        assert.ok(error instanceof Actor.InvalidMailbox)
        const start = Supervisor.start({
          name: "top",
          children: [Supervisor.childSpec(worst("tiny", Mailbox.bounded(capacity)))]
        })
        assert.strictEqual((yield* Effect.flip(start))._tag, "StartError")
      }
      assert.strictEqual((yield* System.System).alive(), 0)
    }).pipe(...quiet)
  )

  it.effect("a name that is taken fails the start of the second, and leaves the first its name", () =>
    Effect.gen(function* () {
      const key = Registry.key<Msg>("one")
      const first = yield* Actor.spawn(worst(), { key })
      for (const onRestart of ["drop", "keep"] as const) {
        const children = [Supervisor.childSpec(worst(), { key, onRestart })]
        const error = yield* Effect.flip(Supervisor.start({ name: "top", children }))
        assert.ok(error._tag === "StartError")
        assert.include(error.message, "the name one is taken")
      }
      assert.strictEqual(Option.getOrThrow(yield* Registry.whereIs(key)).id, first.id)
    }).pipe(...quiet)
  )
})

describe("bad inits", () => {
  const stuck = (init: Effect.Effect<number>) =>
    Actor.behavior<Msg>()({ name: "stuck", init: () => init, receive: (n) => n })

  it.effect("one that never ends is killed after its startTimeout, and a later child may start", () =>
    Effect.gen(function* () {
      const calls: Array<string> = []
      const init = Effect.onInterrupt(Effect.never, () => Effect.sync(() => calls.push("interrupted")))
      const top = yield* Supervisor.start({ name: "top", children: [] })
      const starting = yield* Effect.forkChild(
        Effect.flip(top.startChild(Supervisor.childSpec(stuck(init), { startTimeout: "2 seconds" })))
      )
      yield* settle
      yield* TestClock.adjust(1999)
      assert.isUndefined(starting.pollUnsafe())
      yield* TestClock.adjust(1)
      const error = yield* Fiber.join(starting)
      assert.ok(error._tag === "StartError" && error.reason._tag === "Failed")
      assert.include(error.message, "had not returned after 2000 ms")
      assert.deepStrictEqual(calls, ["interrupted"])
      yield* top.startChild(Supervisor.childSpec(worst()))
      assert.strictEqual((yield* System.System).alive(), 2)
      const spawned = yield* Effect.forkChild(Effect.flip(Actor.spawn(stuck(init), { startTimeout: "1 second" })))
      yield* settle
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.join(spawned))._tag, "StartTimeout")
    }).pipe(...quiet)
  )

  it.effect("one that cannot even be interrupted is abandoned, reported and counted, until it ends after all", () =>
    Effect.gen(function* () {
      const system = yield* System.System
      const init = Effect.uninterruptible(Effect.as(Effect.sleep("1 minute"), 0))
      const starting = yield* Effect.forkChild(
        Effect.flip(
          Supervisor.start({
            name: "top",
            children: [Supervisor.childSpec(stuck(init), { startTimeout: "1 second" })]
          })
        )
      )
      yield* settle
      yield* TestClock.adjust("2 seconds")
      yield* settle
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.join(starting))._tag, "StartError")
      assert.strictEqual(system.counters().abandonedNow, 1)
      assert.isTrue((yield* Report.recent).some((report) => report._tag === "Abandoned"))
      yield* TestClock.adjust("1 hour")
      yield* settle
      assert.strictEqual(system.counters().abandonedNow, 0)
      assert.strictEqual(system.alive(), 0)
    }).pipe(...quiet)
  )

  it.effect("one that throws, dies or fails leaves no name, no scope and no actor", () =>
    Effect.gen(function* () {
      const closed: Array<string> = []
      const opening = Effect.addFinalizer(() => Effect.sync(() => closed.push("closed")))
      const bad = (init: () => Effect.Effect<number, string, Scope.Scope>) =>
        Actor.behavior<Msg>()({ name: "bad", init, receive: (n) => n })
      const key = Registry.key<Msg>("bad")
      for (const init of [
        () => Effect.andThen(opening, Effect.fail("failed")),
        () => Effect.andThen(opening, Effect.die("died")),
        (): never => {
          throw new Error("thrown")
        }
      ]) {
        assert.isTrue(Exit.isFailure(yield* Effect.exit(Actor.spawn(bad(init), { key }))))
      }
      assert.deepStrictEqual(closed, ["closed", "closed"])
      assert.deepStrictEqual(yield* Registry.names, [])
      assert.strictEqual((yield* System.System).alive(), 0)
    }).pipe(...quiet)
  )
})

describe("bad handlers", () => {
  it.effect("each way to fail ends its actor, is reported once, and is never raised into who sent the message", () =>
    Effect.gen(function* () {
      const system = yield* System.System
      for (const msg of ["throw", "throw null", "die", "fail", "reject"] as const) {
        const before = system.counters().crashes
        const ref = yield* Actor.spawn(worst())
        assert.isTrue(Actor.tellUnsafe(ref, msg))
        assert.strictEqual((yield* Actor.awaitExit(ref))._tag, "Failed", msg)
        assert.strictEqual(system.counters().crashes, before + 1, msg)
        assert.isFalse(Actor.tellUnsafe(ref, msg))
      }
      const ref = yield* Actor.spawn(worst())
      Actor.tellUnsafe(ref, "interrupt")
      assert.deepStrictEqual(yield* Actor.awaitExit(ref), ExitReason.killed)
    }).pipe(...quiet)
  )

  it.effect("one that never returns, or loops through yields, is killed after its shutdown time", () =>
    Effect.gen(function* () {
      for (const msg of ["never", "loop"] as const) {
        const top = yield* Supervisor.start({
          name: "top",
          children: [Supervisor.childSpec(worst(), { shutdown: "3 seconds", key: Registry.key<Msg>("worst") })]
        })
        Actor.tellUnsafe(yield* Registry.via(Registry.key<Msg>("worst")), msg)
        yield* settle
        const stopping = yield* Effect.forkChild(top.stop)
        yield* settle
        yield* TestClock.adjust(2999)
        assert.isUndefined(stopping.pollUnsafe())
        yield* TestClock.adjust(1)
        yield* Fiber.join(stopping)
        assert.isTrue((yield* Report.recent).some((report) => report._tag === "ShutdownFailed"))
      }
      assert.strictEqual((yield* System.System).alive(), 0)
    }).pipe(...quiet)
  )

  it.effect("a terminate that fails, dies or hangs is reported, and its siblings are still stopped in order", () =>
    Effect.gen(function* () {
      const stopped: Array<string> = []
      const ending = (name: string, terminate: Effect.Effect<void>) =>
        Supervisor.childSpec(
          Actor.behavior<Msg>()({
            name,
            init: () => Effect.succeed(0),
            receive: (n) => n,
            terminate: () =>
              Effect.andThen(
                Effect.sync(() => stopped.push(name)),
                terminate
              )
          })
        )
      const top = yield* Supervisor.start({
        name: "top",
        children: [
          ending("fine", Effect.void),
          ending("dies", Effect.die(new Error("terminate died"))),
          ending("hangs", Effect.never)
        ]
      })
      const stopping = yield* Effect.forkChild(top.stop)
      yield* settle
      assert.deepStrictEqual(stopped, ["hangs"])
      yield* TestClock.adjust("5 seconds")
      yield* Fiber.join(stopping)
      assert.deepStrictEqual(stopped, ["hangs", "dies", "fine"])
      const failed = (yield* Report.recent).filter((report) => report._tag === "ShutdownFailed")
      assert.deepStrictEqual(
        failed.map((report) => `${report.child} ${report.reason}`),
        ["hangs killed", "dies failed: Error: terminate died"]
      )
    }).pipe(...quiet)
  )

  it.effect("one that cannot be killed keeps no supervisor above it waiting for more than a second, and no name", () =>
    Effect.gen(function* () {
      const system = yield* System.System
      const clinging = Actor.behavior<never>()({
        name: "clinging",
        init: () => Effect.succeed(0),
        receive: (n) => n,
        terminate: () => Effect.uninterruptible(Effect.sleep("1 hour"))
      })
      const child = Supervisor.childSpec(clinging, { key: Registry.key<never>("clinging") })
      const inner = Supervisor.nested({ name: "inner", children: [child] }, { key: Supervisor.key("inner") })
      const top = yield* Supervisor.start({
        name: "top",
        children: [Supervisor.nested({ name: "outer", children: [inner] }, { shutdown: "100 millis" })]
      })
      const stopping = yield* Effect.forkChild(top.stop)
      yield* settle
      yield* TestClock.adjust(1099)
      yield* settle
      assert.isUndefined(stopping.pollUnsafe())
      yield* TestClock.adjust(1)
      yield* settle
      assert.isDefined(stopping.pollUnsafe())
      assert.strictEqual(system.alive(), 0)
      assert.deepStrictEqual(yield* Registry.names, [])
      assert.isTrue((yield* Report.recent).some(({ _tag }) => _tag === "Abandoned"))
      assert.isAtLeast(system.counters().abandonedNow, 1)
      yield* TestClock.adjust("1 hour")
      yield* settle
      assert.strictEqual(system.counters().abandonedNow, 0)
    }).pipe(...quiet)
  )
})

describe("bad times to ask", () => {
  it.effect("a dead actor, one that stops and one that restarts: ActorDown with the reason, and no exception", () =>
    Effect.gen(function* () {
      const ask = (ref: Actor.ActorRef<Msg>) => Effect.flip(Actor.ask(ref, here))
      const dead = yield* Actor.spawn(worst())
      yield* Actor.exit(dead, ExitReason.normal)
      yield* Actor.awaitExit(dead)
      const noproc = yield* ask(dead)
      assert.ok(noproc._tag === "ActorDown" && noproc.reason._tag === "NoProc")

      const stopping = yield* Actor.spawn(worst())
      Actor.tellUnsafe(stopping, "never")
      yield* settle
      yield* Actor.exit(stopping, ExitReason.shutdown)
      const asking = yield* Effect.forkChild(ask(stopping))
      yield* settle
      assert.isUndefined(asking.pollUnsafe())
      yield* Actor.exit(stopping, ExitReason.killed)
      const killed = yield* Fiber.join(asking)
      assert.ok(killed._tag === "ActorDown")
      assert.deepStrictEqual(killed.reason, ExitReason.killed)
    }).pipe(...quiet)
  )

  it.effect(
    "one that waits to be restarted: down at once, or answered by the next incarnation if the mailbox is kept",
    () =>
      Effect.gen(function* () {
        for (const onRestart of ["drop", "keep"] as const) {
          const key = Registry.key<Msg>(`restarting ${onRestart}`)
          yield* Supervisor.start({
            name: "top",
            backoff: Schedule.spaced("1 second"),
            children: [Supervisor.childSpec(worst(), { key, onRestart })]
          })
          const ref = yield* Registry.via(key)
          Actor.tellUnsafe(ref, "throw")
          yield* settle
          const asking = yield* Effect.forkChild(Effect.result(Actor.ask(ref, here)))
          yield* settle
          assert.strictEqual(asking.pollUnsafe() === undefined, onRestart === "keep")
          yield* TestClock.adjust("1 second")
          yield* settle
          const result = yield* Fiber.join(asking)
          if (onRestart === "keep") assert.deepStrictEqual(result, Result.succeed("here"))
          else assert.ok(Result.isFailure(result) && result.failure._tag === "ActorDown")
        }
      }).pipe(...quiet)
  )

  it.effect("a message and a question sent from a finalizer: delivered to the living, refused by the dead", () =>
    Effect.gen(function* () {
      const heard: Array<string> = []
      const living = yield* Actor.spawn(
        Actor.behavior<string>()({
          name: "living",
          init: () => Effect.succeed(0),
          receive: (n, text) => {
            heard.push(text)
            return n
          }
        })
      )
      const ending = yield* Actor.spawn(
        Actor.behavior<Msg>()({
          name: "ending",
          init: (self) =>
            Effect.as(
              Effect.addFinalizer(() =>
                Effect.gen(function* () {
                  yield* Actor.tell(living, "from a finalizer")
                  heard.push(`to itself ${yield* Actor.tell(self.ref, "never")}`)
                  const error = yield* Effect.flip(Actor.ask(self.ref, here, "1 second"))
                  heard.push(`asked itself ${error._tag}`)
                }).pipe(Effect.orDie)
              ),
              0
            ),
          receive: (n) => n
        })
      )
      yield* Actor.exit(ending, ExitReason.shutdown)
      yield* settle
      yield* TestClock.adjust("1 second")
      yield* Actor.awaitExit(ending)
      // It has not ended yet: its mailbox still takes what it will lose.
      assert.deepStrictEqual(heard, ["to itself true", "from a finalizer", "asked itself AskTimeout"])
      assert.deepStrictEqual(
        (yield* Report.deadLetters).map(({ to, message }) => `${to} ${String(message)}`),
        ["ending never"]
      )
    }).pipe(...quiet)
  )
})

describe("too many crashes", () => {
  it.effect("ten thousand in one second of the clock: each is restarted and counted, and nothing is left behind", () =>
    Effect.gen(function* () {
      const system = yield* System.System
      const crashes = 10_000
      const top = yield* DynamicSupervisor.start({ name: "top", intensity: crashes, period: "1 second" })
      const crashing = Actor.behavior<"go">()({
        name: "crashing",
        init: (self) =>
          Effect.sync(() => {
            if (self.incarnation <= crashes / 10) Actor.tellUnsafe(self.ref, "go")
            return 0
          }),
        receive: () => {
          throw "again"
        }
      })
      for (let i = 0; i < 10; i++) yield* top.startChild(crashing)
      while (system.counters().restarts < crashes) yield* Effect.yieldNow
      yield* settle
      assert.strictEqual(system.counters().crashes, crashes)
      assert.strictEqual(system.counters().gaveUp, 0)
      assert.strictEqual(system.alive(), 11)
      assert.strictEqual((yield* Report.recent).length, 256)
      // One more is too many.
      const [child] = yield* top.whichChildren
      Actor.exitUnsafe(Option.getOrThrow(child?.ref ?? Option.none()), ExitReason.failure("one more"))
      assert.deepStrictEqual(yield* top.await, ExitReason.shutdown)
      assert.strictEqual(system.alive(), 0)
    }).pipe(...quiet)
  )

  it.effect(
    "a thousand in one second of the clock leave a hundred lines of a kind in the log, and the next line counts the rest",
    () => {
      const lines: Array<string> = []
      const logger = Logger.make<unknown, void>(({ message }) => void lines.push(String(message)))
      return Effect.gen(function* () {
        const system = yield* System.System
        const crashes = 1000
        const top = yield* DynamicSupervisor.start({ name: "top", intensity: crashes })
        const crashing = Actor.behavior<"go">()({
          name: "crashing",
          init: (self) =>
            Effect.sync(() => {
              if (self.incarnation < crashes) Actor.tellUnsafe(self.ref, "go")
              return 0
            }),
          receive: () => {
            throw "again"
          }
        })
        const first = Option.getOrThrow(yield* top.startChild(crashing, { key: Registry.key<"go">("crashing") }))
        while (system.counters().restarts < crashes - 1) yield* Effect.yieldNow
        yield* settle
        assert.isFalse(Actor.isAlive(first))
        // A hundred of each of two kinds: a crash, and what its supervisor says of it.
        assert.strictEqual(lines.length, 200)
        yield* TestClock.adjust("1 second")
        Actor.tellUnsafe(yield* Registry.via(Registry.key<"go">("crashing")), "go")
        yield* settle
        assert.deepStrictEqual(lines.slice(200), [
          `${2 * (crashes - 1) - 200} reports were not logged: more than 100 of a kind in a second`,
          "top/crashing crashed: failed: again",
          "crashing ended: failed: again"
        ])
      }).pipe(Effect.provide(Layer.merge(System.layer, Logger.layer([logger]))))
    }
  )
})

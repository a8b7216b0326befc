/** OTP's rules that no recorded trace shows; docs/actor/rules.md names them. */
import {
  Actor,
  DynamicSupervisor,
  ExitReason,
  Mailbox,
  Registry,
  Report,
  Supervisor,
  System,
  Tree
} from "@starling/actor"
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as TestClock from "effect/testing/TestClock"
import { settle } from "./settle.ts"

const keyOf = (id: string): Registry.RegistryKey<never> => Registry.key<never>(id)

const child = (id: string, options: Supervisor.Options<never> = {}, ignoreFrom: number = Number.POSITIVE_INFINITY) =>
  Supervisor.childSpec(
    Actor.behavior<never>()({
      name: id,
      init: (self) => (self.incarnation >= ignoreFrom ? Actor.ignore : Effect.succeed(0)),
      receive: (n) => n
    }),
    { key: keyOf(id), ...options }
  )

const ends = Effect.fnUntraced(function* (id: string, reason: ExitReason.ExitReason) {
  yield* Actor.exit(yield* Registry.via(keyOf(id)), reason)
  yield* settle
})

const states = (supervisor: Pick<Supervisor.Supervisor, "whichChildren">) =>
  Effect.map(supervisor.whichChildren, (children) => children.toReversed().map(({ id, state }) => `${id} ${state}`))

const reasonOf = <A, R>(call: Effect.Effect<A, unknown, R>) =>
  Effect.map(Effect.flip(call), (error) => (error instanceof Supervisor.ChildRefused ? error.reason : String(error)))

const crash = ExitReason.failure("oops")

describe("OTP's rules", () => {
  it.effect(
    "all_significant: the supervisor ends with the last significant child, not before, and not by a management call",
    () =>
      Effect.gen(function* () {
        const significant = { significant: true, restart: "transient" } as const
        const top = yield* Supervisor.start({
          name: "top",
          autoShutdown: "all_significant",
          children: [child("plain"), child("a", significant), child("b", significant), child("c", significant)]
        })
        yield* ends("a", ExitReason.normal)
        yield* top.terminateChild("b")
        assert.deepStrictEqual(yield* states(top), ["plain running", "a stopped", "b stopped", "c running"])
        yield* ends("c", ExitReason.shutdown)
        assert.deepStrictEqual(yield* top.await, ExitReason.shutdown)
        assert.strictEqual((yield* System.System).alive(), 0)
      }).pipe(Effect.provide(System.layer))
  )

  it.effect("any_significant: a management call on a significant child ends nothing", () =>
    Effect.gen(function* () {
      const top = yield* Supervisor.start({
        name: "top",
        autoShutdown: "any_significant",
        children: [child("a", { significant: true, restart: "transient" })]
      })
      yield* top.terminateChild("a")
      yield* settle
      assert.deepStrictEqual(yield* states(top), ["a stopped"])
    }).pipe(Effect.provide(System.layer))
  )

  it.effect("management of a restarting child: terminate ok, restart and delete refused, start already present", () =>
    Effect.gen(function* () {
      const top = yield* Supervisor.start({
        name: "top",
        backoff: Schedule.spaced("1 minute"),
        children: [child("a")]
      })
      yield* ends("a", crash)
      assert.deepStrictEqual(yield* states(top), ["a restarting"])
      assert.strictEqual(yield* reasonOf(top.restartChild("a")), "restarting")
      assert.strictEqual(yield* reasonOf(top.deleteChild("a")), "restarting")
      assert.strictEqual(yield* reasonOf(top.startChild(child("a"))), "already_present")
      yield* top.terminateChild("a")
      assert.deepStrictEqual(yield* states(top), ["a stopped"])
      // The restart that waited is stale.
      yield* TestClock.adjust("1 hour")
      yield* settle
      assert.deepStrictEqual(yield* states(top), ["a stopped"])
    }).pipe(Effect.provide(System.layer))
  )

  it.effect(
    "a permanent child supervisor that gives up is restarted, a transient one is not, a temporary one is forgotten",
    () =>
      Effect.gen(function* () {
        const sub = (restart: Supervisor.Restart) =>
          Supervisor.nested({ name: restart, intensity: 0, children: [child(`in ${restart}`)] }, { restart })
        const top = yield* Supervisor.start({
          name: "top",
          intensity: 1,
          children: [sub("permanent"), sub("transient"), sub("temporary")]
        })
        for (const restart of ["permanent", "transient", "temporary"]) yield* ends(`in ${restart}`, crash)
        assert.deepStrictEqual(yield* states(top), ["permanent running", "transient stopped"])
        assert.isTrue(Option.isSome(yield* Registry.whereIs(keyOf("in permanent"))))
      }).pipe(Effect.provide(System.layer))
  )

  it.effect("ignore on a restart leaves the child stopped, and nothing tries again", () =>
    Effect.gen(function* () {
      const top = yield* Supervisor.start({ name: "top", children: [child("a", {}, 2)] })
      yield* ends("a", crash)
      yield* TestClock.adjust("1 hour")
      yield* settle
      assert.deepStrictEqual(yield* states(top), ["a stopped"])
      assert.strictEqual(Tree.flatten(yield* Tree.snapshot)[1]?.restarts, 1)
    }).pipe(Effect.provide(System.layer))
  )

  it.effect("a transient sibling that had ended normally comes back with the group", () =>
    Effect.gen(function* () {
      const top = yield* Supervisor.start({
        name: "top",
        strategy: "one_for_all",
        children: [child("a", { restart: "transient" }), child("b"), child("c", { restart: "temporary" })]
      })
      yield* ends("a", ExitReason.normal)
      assert.deepStrictEqual(yield* states(top), ["a stopped", "b running", "c running"])
      yield* ends("b", crash)
      assert.deepStrictEqual(yield* states(top), ["a running", "b running"])
    }).pipe(Effect.provide(System.layer))
  )

  it.effect("a restarting dynamic child still takes a place", () =>
    Effect.gen(function* () {
      const top = yield* DynamicSupervisor.start({ name: "top", maxChildren: 1, backoff: Schedule.spaced("1 minute") })
      const behavior = Actor.behavior<never>()({ name: "one", init: () => Effect.succeed(0), receive: (n) => n })
      const ref = Option.getOrThrow(yield* top.startChild(behavior))
      yield* Actor.exit(ref, crash)
      yield* settle
      assert.strictEqual(yield* reasonOf(top.startChild(behavior)), "max_children")
      yield* TestClock.adjust("1 minute")
      yield* settle
      assert.strictEqual((yield* top.countChildren).active, 1)
    }).pipe(Effect.provide(System.layer))
  )

  it.effect("a window of one period, its edge included: a restart exactly one period ago still counts", () =>
    Effect.gen(function* () {
      for (const [gapMs, gaveUp] of [
        [1000, true],
        [1001, false]
      ] as const) {
        const top = yield* Supervisor.start({ name: "top", intensity: 1, period: 1000, children: [child("a")] })
        yield* ends("a", crash)
        yield* TestClock.adjust(gapMs)
        yield* ends("a", crash)
        assert.strictEqual(Actor.isAlive(top.ref), !gaveUp)
        yield* top.stop
      }
    }).pipe(Effect.provide(System.layer))
  )

  it.effect("the defaults are OTP's: permanent, one_for_one, one restart in five seconds, five seconds to stop", () =>
    Effect.gen(function* () {
      const hanging = (options: Supervisor.Options<never> = {}) =>
        Supervisor.childSpec(
          Actor.behavior<never>()({
            name: "a",
            init: () => Effect.succeed(0),
            receive: (n) => n,
            terminate: () => Effect.never
          }),
          { key: keyOf("a"), ...options }
        )
      const top = yield* Supervisor.start({ name: "top", children: [child("a"), child("b")] })
      const b = yield* Registry.whereIs(keyOf("b"))
      yield* ends("a", ExitReason.normal)
      assert.deepStrictEqual(yield* states(top), ["a running", "b running"])
      assert.deepStrictEqual(yield* Registry.whereIs(keyOf("b")), b)
      yield* TestClock.adjust(5000)
      yield* ends("a", ExitReason.normal)
      assert.isFalse(Actor.isAlive(top.ref))
      // A worker has five seconds to end, a supervisor as long as it takes.
      const patient = yield* Supervisor.start({
        name: "patient",
        children: [Supervisor.nested({ name: "sub", children: [hanging({ shutdown: "1 minute" })] })]
      })
      for (const [supervisor, ms] of [
        [yield* Supervisor.start({ name: "quick", children: [hanging({ key: keyOf("quick") })] }), 5000],
        [patient, 60_000]
      ] as const) {
        const stopping = yield* Effect.forkChild(supervisor.stop)
        yield* settle
        yield* TestClock.adjust(ms - 1)
        yield* settle
        assert.isUndefined(stopping.pollUnsafe())
        yield* TestClock.adjust(1)
        yield* Fiber.join(stopping)
      }
      assert.strictEqual((yield* System.System).alive(), 0)
    }).pipe(Effect.provide(System.layer))
  )

  it.effect("rest_for_one: a restart that fails is tried again from the one that failed", () =>
    Effect.gen(function* () {
      const starts: Array<string> = []
      const counting = (id: string, failing: ReadonlyArray<number> = []) =>
        Supervisor.childSpec(
          Actor.behavior<never>()({
            name: id,
            init: (self) => {
              starts.push(`${id} ${self.incarnation}`)
              return failing.includes(self.incarnation) ? Effect.fail("no") : Effect.succeed(0)
            },
            receive: (n) => n
          }),
          { key: keyOf(id) }
        )
      yield* Supervisor.start({
        name: "top",
        strategy: "rest_for_one",
        intensity: 3,
        children: [counting("a"), counting("b"), counting("c", [2, 3]), counting("d")]
      })
      yield* ends("b", crash)
      assert.deepStrictEqual(starts.slice(4), ["b 2", "c 2", "c 3", "c 4", "d 2"])
    }).pipe(Effect.provide(System.layer))
  )

  it.effect("an auto-shutdown supervisor that is a permanent child is started again, until its parent gives up", () =>
    Effect.gen(function* () {
      const significant = { significant: true, restart: "temporary" } as const
      const sub = Supervisor.nested({
        name: "sub",
        autoShutdown: "any_significant",
        children: [child("a", significant)]
      })
      const top = yield* Supervisor.start({ name: "top", intensity: 1, children: [sub] })
      yield* ends("a", ExitReason.normal)
      assert.deepStrictEqual(yield* states(top), ["sub running"])
      yield* ends("a", ExitReason.normal)
      assert.deepStrictEqual(yield* top.await, ExitReason.shutdown)
    }).pipe(Effect.provide(System.layer))
  )

  it.effect("a question waits five seconds unless told otherwise", () =>
    Effect.gen(function* () {
      const deaf = Actor.behavior<Actor.ReplyTo<number>>()({
        name: "deaf",
        init: () => Effect.succeed(0),
        receive: (n) => n
      })
      const ref = yield* Actor.spawn(deaf)
      const asking = yield* Effect.forkChild(Effect.flip(Actor.ask(ref, (to: Actor.ReplyTo<number>) => to)))
      yield* settle
      yield* TestClock.adjust(4999)
      assert.isUndefined(asking.pollUnsafe())
      yield* TestClock.adjust(1)
      assert.strictEqual((yield* Fiber.join(asking))._tag, "AskTimeout")
    }).pipe(Effect.provide(System.layer))
  )

  it.effect("what init sets without a delay is handled before any message: OTP's continue", () =>
    Effect.gen(function* () {
      const seen: Array<string> = []
      const key = Registry.key<string>("continuing")
      const address = yield* Registry.via(key)
      yield* Actor.spawn(
        Actor.behavior<string>()({
          name: "continuing",
          mailbox: Mailbox.bounded(1, "dropNew"),
          init: (self) =>
            Effect.sync(() => {
              Actor.tellUnsafe(address, "message")
              self.setTimerUnsafe("continue", 0, "continue")
              self.setTimerUnsafe("cancelled", 0, "cancelled")
              self.cancelTimerUnsafe("cancelled")
              return 0
            }),
          receive: (n, text, self) => {
            seen.push(text)
            if (text === "continue") self.setTimerUnsafe("continue", 0, "continued")
            return n
          }
        }),
        { key }
      )
      yield* settle
      assert.deepStrictEqual(seen, ["continue", "continued", "message"])
      assert.deepStrictEqual(yield* Report.deadLetters, [])
    }).pipe(Effect.provide(System.layer))
  )

  it.effect("a child that is added later has the services of who added it, in every incarnation", () =>
    Effect.gen(function* () {
      class Base extends Context.Service<Base, number>()("test/Base") {}
      const seen: Array<number> = []
      const served = Actor.behavior<never>()({
        name: "served",
        init: () => Effect.map(Base, (base) => seen.push(base)),
        receive: (n) => n
      })
      const top = yield* Supervisor.start({ name: "top", children: [] })
      const adding = top.startChild(Supervisor.childSpec(served, { key: keyOf("served") }))
      yield* Effect.provideService(adding, Base, 7)
      yield* ends("served", crash)
      assert.deepStrictEqual(seen, [7, 7])
    }).pipe(Effect.provide(System.layer))
  )
})

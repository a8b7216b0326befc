/** OTP's rules that no recorded trace shows; docs/actor/rules.md names them. */
import { Actor, DynamicSupervisor, ExitReason, Registry, Supervisor, System, Tree } from "@starling/actor"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
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
})

/**
 * The traps that a sibling of ours found in itself (pathosDev/actor-ts#913), and what holds here instead. Those that
 * other files hold are named in docs/actor/rules.md.
 */
import { Actor, ExitReason, Mailbox, Monitor, Registry, Report, Supervisor, System, Tree } from "@starling/actor"
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Logger from "effect/Logger"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import * as fc from "fast-check"
import { settle } from "./settle.ts"
import { Virtual } from "./virtual.ts"

const quiet = [Effect.provide(System.layer), Effect.provide(Logger.layer([]))] as const

/** Runs in virtual time; how many turns of the scheduler it took until nothing moved. */
const turnsOf = (program: Effect.Effect<unknown, unknown, System.System | Scope.Scope>): number => {
  const virtual = new Virtual()
  const system = virtual.fork(System.make)()
  if (system === undefined || !Exit.isSuccess(system)) throw new Error("a system is made at once")
  const services = Context.make(System.System, system.value).pipe(Context.add(Scope.Scope, Scope.makeUnsafe()))
  const before = virtual.turns
  const exit = virtual.fork(Effect.provide(program, services))()
  assert.ok(exit !== undefined && Exit.isSuccess(exit), String(exit))
  return virtual.turns - before
}

const plain = Actor.behavior<number>()({ name: "plain", init: () => Effect.succeed(0), receive: (sum, n) => sum + n })

type Doing = "throw" | "stop" | "hang" | "cling" | number

/** Ends in any way that an actor can end. */
const doing = (mailbox?: Mailbox.Mailbox) =>
  Actor.behavior<Doing>()({
    name: "doing",
    ...(mailbox === undefined ? {} : { mailbox }),
    init: () => Effect.succeed(0),
    receive: (n, msg): Actor.Handled<number, never, never> => {
      switch (msg) {
        case "throw":
          throw new Error("thrown")
        case "stop":
          return Actor.stop()
        case "hang":
          return Effect.never
        case "cling":
          return Effect.uninterruptible(Effect.as(Effect.sleep("1 hour"), n))
        default:
          return n + msg
      }
    }
  })

const endings = ["throw", "stop", "kill", "kill while it hangs", "shutdown", "abandon", "with its supervisor"] as const

const end = Effect.fnUntraced(function* (
  how: (typeof endings)[number],
  ref: Actor.ActorRef<Doing>,
  top: Supervisor.Supervisor
) {
  if (how === "throw" || how === "stop") Actor.tellUnsafe(ref, how)
  if (how === "kill") yield* Actor.exit(ref, ExitReason.killed)
  if (how === "shutdown") yield* Actor.exit(ref, ExitReason.shutdown)
  if (how === "kill while it hangs") {
    Actor.tellUnsafe(ref, "hang")
    yield* settle
    yield* Actor.exit(ref, ExitReason.killed)
  }
  if (how === "abandon") Actor.tellUnsafe(ref, "cling")
  yield* settle
  if (how === "abandon" || how === "with its supervisor") yield* Effect.forkChild(top.stop)
  yield* settle
  yield* TestClock.adjust("10 seconds")
  yield* settle
})

describe("traps", () => {
  it("who stops waits without a turn, however much waits for it (#915)", () => {
    const turns = turnsOf(
      Effect.gen(function* () {
        const ref = yield* Actor.spawn(doing())
        Actor.tellUnsafe(ref, "hang")
        for (let n = 0; n < 1000; n++) Actor.tellUnsafe(ref, n)
        yield* Effect.yieldNow
        yield* Actor.exit(ref, ExitReason.shutdown)
        for (let n = 0; n < 1000; n++) Actor.tellUnsafe(ref, n)
      })
    )
    assert.isAtMost(turns, 20)
  })

  it("a thousand messages of a plain handler are a few turns and no fiber; a handler that waits is one or more for each", () => {
    const plainTurns = turnsOf(
      Effect.gen(function* () {
        const ref = yield* Actor.spawn(plain)
        for (let n = 0; n < 1000; n++) Actor.tellUnsafe(ref, n)
        yield* Effect.yieldNow
        assert.strictEqual((yield* System.System).counters().handled, 1000)
      })
    )
    assert.isAtMost(plainTurns, 20)
    const waiting = Actor.behavior<number>()({
      name: "waiting",
      init: () => Effect.succeed(0),
      receive: (sum, n) => Effect.as(Effect.yieldNow, sum + n)
    })
    const waitingTurns = turnsOf(
      Effect.gen(function* () {
        const ref = yield* Actor.spawn(waiting)
        for (let n = 0; n < 1000; n++) Actor.tellUnsafe(ref, n)
      })
    )
    assert.isAtLeast(waitingTurns, 1000)
  })

  it("a monitor gives exactly one Down, whenever it is made and however its actor ends (#918)", () =>
    fc.assert(
      fc.asyncProperty(fc.constantFrom(...endings), fc.boolean(), (how, isFull) =>
        Effect.gen(function* () {
          const key = Registry.key<Doing>("doing")
          const top = yield* Supervisor.start({
            name: "top",
            children: [Supervisor.childSpec(doing(), { key, restart: "temporary", shutdown: 1000 })]
          })
          const ref = (yield* top.whichChildren)[0]?.ref
          assert.ok(ref?._tag === "Some")
          const target = ref.value as Actor.ActorRef<Doing>
          const downs = new Map<string, Array<string>>([
            ["before", []],
            ["given up", []],
            ["after", []]
          ])
          const watcher = yield* Actor.spawn(
            Actor.behavior<"after">()({
              name: "watcher",
              mailbox: Mailbox.bounded(1, "dropNew"),
              init: (self) =>
                Effect.gen(function* () {
                  const before = yield* self.monitor(target)
                  yield* self.demonitor(yield* self.monitor(target))
                  return new Map([[before, "before"]])
                }),
              receive: (names, _, self) => new Map([...names, [self.monitorUnsafe(target), "after"]]),
              signal: (names, { monitor, reason }) => {
                downs.get(names.get(monitor) ?? "given up")?.push(reason._tag)
                return names
              }
            })
          )
          const outside = yield* Monitor.on(target)
          yield* end(how, target, top)
          const reason = yield* outside
          Actor.tellUnsafe(watcher, "after")
          // A mailbox without room takes no Down away.
          if (isFull) for (let n = 0; n < 5; n++) Actor.tellUnsafe(watcher, "after")
          yield* settle
          assert.deepStrictEqual(downs.get("before"), [reason._tag])
          assert.deepStrictEqual(downs.get("after"), ["NoProc"])
          assert.deepStrictEqual(downs.get("given up"), [])
          assert.deepStrictEqual(yield* yield* Monitor.on(target), ExitReason.noProc)
          yield* TestClock.adjust("2 hours")
          yield* settle
          assert.deepStrictEqual(downs.get("before"), [reason._tag])
        }).pipe(Effect.scoped, ...quiet, Effect.provide(TestClock.layer()), Effect.runPromise)
      ),
      { numRuns: 40 }
    ))

  it.effect("the system lane is bounded by nature, and its length can be seen (#794)", () =>
    Effect.gen(function* () {
      const target = yield* Actor.spawn(doing())
      const ref = yield* Actor.spawn(
        Actor.behavior<Doing>()({
          name: "busy",
          init: (self) =>
            Effect.as(
              Effect.forEach([1, 2, 3], () => self.monitor(target)),
              0
            ),
          receive: (n) => Effect.as(Effect.never, n)
        })
      )
      const waiting = Effect.map(Tree.snapshot, (nodes) => nodes.find(({ id }) => id === "busy")?.mailbox)
      Actor.tellUnsafe(ref, "hang")
      yield* settle
      for (let n = 0; n < 10_000; n++) Actor.exitUnsafe(target, ExitReason.normal)
      yield* settle
      assert.strictEqual(yield* waiting, 3)
      for (let n = 0; n < 10_000; n++) Actor.exitUnsafe(ref, ExitReason.shutdown)
      assert.strictEqual(yield* waiting, 4)
      yield* Actor.exit(ref, ExitReason.killed)
      assert.deepStrictEqual(yield* Actor.awaitExit(ref), ExitReason.killed)
    }).pipe(...quiet)
  )

  it("of what several tell at once, each one's messages come in the order in which they were sent, under any policy", () =>
    fc.assert(
      fc.asyncProperty(
        fc.constantFrom<Mailbox.Policy>("backpressure", "dropNew", "dropOld", "fail"),
        fc.integer({ min: 1, max: 5 }),
        fc.array(fc.array(fc.constantFrom("tell", "tellUnsafe", "yield"), { maxLength: 12 }), {
          minLength: 2,
          maxLength: 5
        }),
        (onFull, capacity, senders) =>
          Effect.gen(function* () {
            const seen: Array<readonly [number, number]> = []
            const ref = yield* Actor.spawn(
              Actor.behavior<readonly [number, number]>()({
                name: "sink",
                mailbox: Mailbox.bounded(capacity, onFull),
                init: () => Effect.succeed(0),
                receive: (n, message) => {
                  seen.push(message)
                  return n % 2 === 0 ? n + 1 : Effect.as(Effect.yieldNow, n + 1)
                }
              })
            )
            const accepted: Array<string> = []
            yield* Effect.forEach(
              senders,
              Effect.fnUntraced(function* (steps, sender) {
                for (const [n, step] of steps.entries()) {
                  if (step === "yield") yield* Effect.yieldNow
                  else {
                    const told =
                      step === "tell" ? yield* Actor.tell(ref, [sender, n]) : Actor.tellUnsafe(ref, [sender, n])
                    if (told) accepted.push(`${sender} ${n}`)
                  }
                }
              }),
              { concurrency: "unbounded", discard: true }
            )
            for (let turn = 0; turn < 5; turn++) yield* settle
            for (const sender of senders.keys()) {
              const own = seen.filter(([from]) => from === sender).map(([, n]) => n)
              assert.deepStrictEqual(
                own,
                own.toSorted((a, b) => a - b)
              )
            }
            const { deadLetters } = (yield* System.System).counters()
            const told = senders.flat().filter((step) => step !== "yield").length
            assert.strictEqual(seen.length + deadLetters, told)
            if (onFull !== "dropOld") {
              assert.deepStrictEqual(seen.map((message) => message.join(" ")).toSorted(), accepted.toSorted())
            }
          }).pipe(Effect.scoped, ...quiet, Effect.runPromise)
      )
    ))
})

describe("an init that neither ends nor can be interrupted", () => {
  const stuck = (from: number) =>
    Actor.behavior<"crash">()({
      name: "stuck",
      init: (self) => (self.incarnation < from ? Effect.succeed(0) : Effect.uninterruptible(Effect.never)),
      receive: () => {
        throw new Error("oops")
      }
    })

  it.effect.each([1, 2])("keeps its supervisor no longer than a running child would: at start %i", (from) =>
    Effect.gen(function* () {
      const key = Registry.key<"crash">("stuck")
      const scope = yield* Scope.make()
      const children = [Supervisor.childSpec(stuck(from), { key, shutdown: "1 second" })]
      yield* Effect.forkChild(Supervisor.start({ name: "top", children }).pipe(Scope.provide(scope)))
      yield* settle
      Actor.tellUnsafe(yield* Registry.via(key), "crash")
      yield* settle
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
      yield* settle
      yield* TestClock.adjust("2 seconds")
      yield* settle
      assert.isDefined(closing.pollUnsafe())
      const system = yield* System.System
      assert.deepStrictEqual([system.counters().abandoned, system.alive()], [1, 0])
      assert.strictEqual((yield* Report.recent).filter((report) => report._tag === "Abandoned").length, 1)
    }).pipe(...quiet)
  )
})

/**
 * What each scenario does (`generator/gold.erl`), on our supervisors: found by title, families of titles by pattern, so
 * that one more restart type, reason, strategy or window needs no new code.
 */
import { Actor, DynamicSupervisor, ExitReason, Registry, Report, Supervisor, type System } from "@starling/actor"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import { type Term, tuple } from "./Terms.ts"
import { Collector, keyOf, reasonOf, spec, termOf, worker, type WorkerOptions } from "./Worker.ts"

type Run = Effect.Effect<Term, unknown, System.System | Scope.Scope>

interface Scenario {
  readonly title: string | RegExp
  readonly run: (world: World, match: ReadonlyArray<string>) => Run
}

/** Not run, with the reason. */
export const notApplicable: ReadonlyMap<string, string> = new Map([
  [
    "link: [{reason, receiver traps exits, outcome}]",
    "there are no bidirectional links and no trapping of exits: a monitor and a supervisor say the same in one direction"
  ]
])

/** The one intended deviation: these window scenarios end as the recorded one of 700 ms. */
export const deviations: ReadonlyMap<string, string> = new Map(
  [100, 300].map((phase) => [edge(phase), edge(700)] as const)
)

function edge(phase: number): string {
  return `window edge: intensity 1 period 1, first crash ${phase} ms after a second tick, gap 1500 ms`
}

/** Children that stop in parallel: the last run of terminate events is compared as a set. */
export const parallelStop: ReadonlySet<string> = new Set(["simple_one_for_one API"])

/** What the id-based calls answer that a DynamicSupervisor refuses by not having them. */
const refusedById = tuple("error", "simple_one_for_one")

export class World {
  readonly collector = new Collector()

  /** Everything that can happen without the clock moving; then the clock. */
  pause(ms: number): Effect.Effect<void> {
    return Effect.gen(function* () {
      yield* settle
      yield* TestClock.adjust(ms)
      yield* settle
    })
  }

  spec(id: string, options: WorkerOptions = {}, overrides: Parameters<typeof spec>[3] = {}) {
    return spec(this.collector, id, options, overrides)
  }

  get abc() {
    return [this.spec("a"), this.spec("b"), this.spec("c")]
  }

  /** `catch gen_server:call(Id, {stop, Reason})`. */
  die(id: string, reason: string) {
    return Effect.flatMap(Registry.via(keyOf(id)), (ref) =>
      Effect.exit(
        Actor.ask(ref, (replyTo: Actor.ReplyTo<"ok">) => ({ _tag: "Stop" as const, reason: reasonOf(reason), replyTo }))
      )
    )
  }

  exitof(supervisor: { readonly ref: Actor.ActorRef<never> }) {
    return Effect.gen({ self: this }, function* () {
      const waiting = yield* Effect.forkChild(Actor.awaitExit(supervisor.ref))
      yield* this.pause(400)
      const ended = waiting.pollUnsafe()
      yield* Fiber.interrupt(waiting)
      if (ended === undefined || !Exit.isSuccess(ended)) return "alive"
      return tuple("supervisor_exit", termOf(ended.value))
    })
  }

  bye(supervisor: { readonly ref: Actor.ActorRef<never> }) {
    return Effect.andThen(Actor.exit(supervisor.ref, ExitReason.shutdown), this.exitof(supervisor))
  }

  start(
    strategy: Supervisor.Strategy,
    intensity: number,
    periodSeconds: number,
    children: ReadonlyArray<Supervisor.ChildSpec<never>>,
    autoShutdown?: Supervisor.SupervisorSpec<never>["autoShutdown"]
  ) {
    return Effect.gen({ self: this }, function* () {
      const supervisor = yield* Supervisor.start({
        name: "sup",
        strategy,
        intensity,
        period: periodSeconds * 1000,
        ...(autoShutdown === undefined ? {} : { autoShutdown }),
        children
      })
      yield* settle
      return supervisor
    })
  }
}

const settle: Effect.Effect<void> = Effect.asVoid(Effect.repeat(Effect.yieldNow, { times: 40 }))

const wc = (supervisor: Pick<Supervisor.Supervisor, "whichChildren">) =>
  Effect.map(supervisor.whichChildren, (children): Term =>
    children.map((child) => tuple(child.id, Option.isSome(child.ref) ? "pid" : "undefined", child.type))
  )

const count = (supervisor: Pick<Supervisor.Supervisor, "countChildren">) =>
  Effect.map(supervisor.countChildren, ({ specs, active, supervisors, workers }): Term => [
    tuple("specs", specs),
    tuple("active", active),
    tuple("supervisors", supervisors),
    tuple("workers", workers)
  ])

/** `ok`, or `{error, Reason}`. */
const outcome = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<Term, never, R> =>
  Effect.map(Effect.result(effect), (result): Term => {
    if (Result.isSuccess(result)) return "ok"
    const error: unknown = result.failure
    return tuple("error", error instanceof Supervisor.ChildRefused ? error.reason : "unknown")
  })

const strategies = "(one_for_one|one_for_all|rest_for_one)"
const restarts = "(permanent|transient|temporary)"

const restartOf = (text: string | undefined): Supervisor.Restart => text as Supervisor.Restart

/** b crashes, a look, the stop. */
const crashOfB = (world: World, children: ReadonlyArray<Supervisor.ChildSpec<never>>, strategy: Supervisor.Strategy) =>
  Effect.gen(function* () {
    const sup = yield* world.start(strategy, 1, 5, children)
    yield* world.die("b", "oops")
    yield* world.pause(30)
    const after = yield* wc(sup)
    return tuple(after, yield* world.bye(sup))
  })

export const scenarios: ReadonlyArray<Scenario> = [
  {
    title: "start order, reverse stop order; which_children lists last started first",
    run: (world) =>
      Effect.gen(function* () {
        const sup = yield* world.start("one_for_one", 1, 5, world.abc)
        const children = yield* wc(sup)
        return tuple(children, yield* world.bye(sup))
      })
  },
  {
    title: new RegExp(`^${strategies}: b crashes$`),
    run: (world, [strategy]) => crashOfB(world, world.abc, strategy as Supervisor.Strategy)
  },
  {
    title: new RegExp(`^${strategies}, c ${restarts}: b crashes \\(c stopped, spec removed, not restarted\\)$`),
    run: (world, [strategy, restart]) =>
      crashOfB(
        world,
        [world.spec("a"), world.spec("b"), world.spec("c", {}, { restart: restartOf(restart) })],
        strategy as Supervisor.Strategy
      )
  },
  {
    title: "one_for_all, c stopped by terminate_child: b crashes (c comes back)",
    run: (world) =>
      Effect.gen(function* () {
        const sup = yield* world.start("one_for_all", 1, 5, world.abc)
        yield* sup.terminateChild("c")
        yield* world.die("b", "oops")
        yield* world.pause(30)
        const children = yield* wc(sup)
        return tuple(children, yield* world.bye(sup))
      })
  },
  {
    title: "one_for_all, b transient exits normal: siblings untouched",
    run: (world) =>
      Effect.gen(function* () {
        const b = world.spec("b", {}, { restart: "transient" })
        const sup = yield* world.start("one_for_all", 1, 5, [world.spec("a"), b, world.spec("c")])
        yield* world.die("b", "normal")
        yield* world.pause(30)
        const children = yield* wc(sup)
        return tuple(children, yield* world.bye(sup))
      })
  },
  {
    title: new RegExp(`^restart ${restarts}, exit reason (.+)$`),
    run: (world, [restart, reason = ""]) =>
      Effect.gen(function* () {
        const sup = yield* world.start("one_for_one", 3, 5, [world.spec("a", {}, { restart: restartOf(restart) })])
        yield* world.die("a", reason)
        yield* world.pause(30)
        const children = yield* wc(sup)
        const counts = yield* count(sup)
        yield* world.bye(sup)
        return tuple(children, counts)
      })
  },
  {
    title: new RegExp(`^restart ${restarts}, exit\\(Pid,kill\\)$`),
    run: (world, [restart]) =>
      Effect.gen(function* () {
        const sup = yield* world.start("one_for_one", 3, 5, [world.spec("a", {}, { restart: restartOf(restart) })])
        yield* Actor.exit(yield* Registry.via(keyOf("a")), ExitReason.killed)
        yield* world.pause(30)
        const children = yield* wc(sup)
        yield* world.bye(sup)
        return children
      })
  },
  {
    title: "intensity 0: first crash ends the supervisor",
    run: (world) =>
      Effect.gen(function* () {
        const sup = yield* world.start("one_for_one", 0, 5, world.abc)
        yield* world.die("b", "oops")
        return yield* world.exitof(sup)
      })
  },
  {
    title: "intensity is per supervisor, over all children (intensity 1: a then b)",
    run: (world) =>
      Effect.gen(function* () {
        const sup = yield* world.start("one_for_one", 1, 5, world.abc)
        yield* world.die("a", "oops")
        yield* world.pause(20)
        yield* world.die("b", "oops")
        return yield* world.exitof(sup)
      })
  },
  {
    title: "one group restart counts one (one_for_all, intensity 1)",
    run: (world) =>
      Effect.gen(function* () {
        const sup = yield* world.start("one_for_all", 1, 5, world.abc)
        yield* world.die("b", "oops")
        const first = yield* world.exitof(sup)
        yield* world.die("b", "oops")
        return tuple(first, yield* world.exitof(sup))
      })
  },
  {
    title: /^window: intensity (\d+) period (\d+), crashes ([\d.]+) s apart$/,
    run: (world, [intensity, period, gap]) =>
      Effect.gen(function* () {
        const sup = yield* world.start("one_for_one", Number(intensity), Number(period), [world.spec("a")])
        yield* world.die("a", "oops")
        yield* world.pause(Number(gap) * 1000)
        yield* world.die("a", "oops")
        const end = yield* world.exitof(sup)
        yield* world.bye(sup)
        return end
      })
  },
  {
    title: /^window edge: intensity (\d+) period (\d+), first crash (\d+) ms after a second tick, gap (\d+) ms$/,
    run: (world, [intensity, period, phase, gap]) =>
      Effect.gen(function* () {
        const sup = yield* world.start("one_for_one", Number(intensity), Number(period), [world.spec("a")])
        yield* world.pause(Number(phase))
        yield* world.die("a", "oops")
        yield* world.pause(Number(gap))
        yield* world.die("a", "oops")
        const end = yield* world.exitof(sup)
        yield* world.bye(sup)
        return end
      })
  },
  {
    title: "init: c fails: start_link error, b then a stopped, no retry",
    run: (world) =>
      Effect.gen(function* () {
        const children = [world.spec("a"), world.spec("b"), world.spec("c", { init: "fail" })]
        const error = yield* Effect.flip(world.start("one_for_one", 5, 5, children))
        return tuple("error", termOf(ExitReason.shutdownWith(error)))
      })
  },
  {
    title: "init: b returns ignore: kept as undefined",
    run: (world) =>
      Effect.gen(function* () {
        const children = [world.spec("a"), world.spec("b", { init: "ignore" }), world.spec("c")]
        const sup = yield* world.start("one_for_one", 5, 5, children)
        const before = yield* wc(sup)
        const counts = yield* count(sup)
        const again = yield* outcome(sup.restartChild("b"))
        yield* world.bye(sup)
        return tuple(before, counts, again)
      })
  },
  {
    title: "restart fails twice then works (intensity 3): every try counts, no delay",
    run: (world) =>
      Effect.gen(function* () {
        const children = [world.spec("a", { init: { failOnly: [2, 3] } }), world.spec("b")]
        const sup = yield* world.start("one_for_one", 3, 5, children)
        yield* world.die("a", "oops")
        yield* world.pause(50)
        const after = yield* wc(sup)
        yield* world.bye(sup)
        return after
      })
  },
  {
    title: "restart fails twice, intensity 2: gives up",
    run: (world) =>
      Effect.gen(function* () {
        const children = [world.spec("a", { init: { failOnly: [2, 3] } }), world.spec("b")]
        const sup = yield* world.start("one_for_one", 2, 5, children)
        yield* world.die("a", "oops")
        return yield* world.exitof(sup)
      })
  },
  {
    title: "one_for_all, b crashes, c fails to restart once: whole group again",
    run: (world) =>
      Effect.gen(function* () {
        const children = [world.spec("a"), world.spec("b"), world.spec("c", { init: { failOnly: [2] } })]
        const sup = yield* world.start("one_for_all", 5, 5, children)
        yield* world.die("b", "oops")
        yield* world.pause(50)
        const after = yield* wc(sup)
        yield* world.bye(sup)
        return after
      })
  },
  {
    title: "terminate_child, restart_child, delete_child return values",
    run: (world) =>
      Effect.gen(function* () {
        const sup = yield* world.start("one_for_one", 1, 5, world.abc)
        const looked = Effect.map(wc(sup), (children): Term => tuple("wc", children))
        const results = yield* Effect.all([
          outcome(sup.deleteChild("b")),
          outcome(sup.restartChild("b")),
          outcome(sup.terminateChild("b")),
          outcome(sup.terminateChild("b")),
          looked,
          outcome(sup.restartChild("b")),
          outcome(sup.terminateChild("b")),
          outcome(sup.deleteChild("b")),
          outcome(sup.deleteChild("b")),
          outcome(sup.restartChild("b")),
          outcome(sup.terminateChild("b")),
          looked
        ])
        yield* world.bye(sup)
        return results
      })
  },
  {
    title: "one_for_all: terminate_child leaves siblings alone",
    run: (world) =>
      Effect.gen(function* () {
        const sup = yield* world.start("one_for_all", 0, 5, world.abc)
        yield* sup.terminateChild("b")
        const after = yield* wc(sup)
        yield* world.bye(sup)
        return after
      })
  },
  {
    title: "shutdown brutal_kill: terminate not called",
    run: (world) =>
      Effect.flatMap(world.start("one_for_one", 1, 5, [world.spec("a", {}, { shutdown: "brutal" })]), (sup) =>
        world.bye(sup)
      )
  },
  {
    title: /^static children stop one after another: (\d+) x (\d+) ms$/,
    run: (world, [, delay]) =>
      Effect.gen(function* () {
        const stopDelayMs = Number(delay)
        const children = ["a", "b", "c"].map((id) => world.spec(id, { stopDelayMs }))
        const sup = yield* world.start("one_for_one", 1, 5, children)
        const before = yield* Clock.currentTimeMillis
        yield* Actor.exit(sup.ref, ExitReason.shutdown)
        while (Actor.isAlive(sup.ref)) yield* world.pause(10)
        const passed = (yield* Clock.currentTimeMillis) - before
        return tuple("at_least_300ms", String(passed >= 300))
      })
  },
  {
    title: "any_significant: transient significant exits normal",
    run: (world) =>
      Effect.gen(function* () {
        const significant = { restart: "transient", significant: true } as const
        const children = [world.spec("a"), world.spec("b", {}, significant), world.spec("c", {}, significant)]
        const sup = yield* world.start("one_for_one", 3, 5, children, "any_significant")
        yield* world.die("b", "normal")
        return yield* world.exitof(sup)
      })
  },
  {
    title: /^any_significant: (transient|temporary) significant crashes: (?:restarted|supervisor ends)$/,
    run: (world, [restart]) =>
      Effect.gen(function* () {
        const b = world.spec("b", {}, { restart: restartOf(restart), significant: true })
        const sup = yield* world.start("one_for_one", 3, 5, [world.spec("a"), b], "any_significant")
        yield* world.die("b", "oops")
        const end = yield* world.exitof(sup)
        yield* world.bye(sup)
        return end
      })
  },
  {
    title: "refused: significant with never; significant permanent; duplicate id",
    run: (world) =>
      Effect.gen(function* () {
        const significant = (restart: Supervisor.Restart) => world.spec("b", {}, { restart, significant: true })
        const errors = yield* Effect.all([
          Effect.flip(world.start("one_for_one", 1, 5, [significant("transient")])),
          Effect.flip(world.start("one_for_one", 1, 5, [significant("permanent")], "any_significant")),
          Effect.flip(world.start("one_for_one", 1, 5, [world.spec("a"), world.spec("a")]))
        ])
        return errors.map(specTerm)
      })
  },
  {
    title: new RegExp(`^escalation: ${restarts} child supervisor passes its intensity, parent intensity 1$`),
    run: (world, [restart]) =>
      Effect.gen(function* () {
        const sub = Supervisor.nested(
          { name: "sub", intensity: 0, period: 5000, children: [world.spec("a"), world.spec("b")] },
          { restart: restartOf(restart) }
        )
        const sup = yield* world.start("one_for_one", 1, 5, [world.spec("z"), sub])
        yield* world.die("a", "oops")
        const end = yield* world.exitof(sup)
        const children = yield* wc(sup)
        yield* world.bye(sup)
        return tuple(end, children)
      })
  },
  {
    title: "simple_one_for_one API",
    run: (world) =>
      Effect.gen(function* () {
        const sup = yield* DynamicSupervisor.start({ name: "sup", intensity: 3, period: "5 seconds" })
        const start = (id: string) =>
          Effect.map(
            sup.startChild(worker(world.collector, id), { key: keyOf(id), restart: "transient" }),
            Option.getOrThrow
          )
        const a = yield* start("a")
        yield* start("b")
        const refused = [refusedById, refusedById, refusedById]
        const stopped = yield* outcome(sup.terminateChild(a))
        const counts = yield* count(sup)
        const children = yield* Effect.map(sup.whichChildren, (children): Term =>
          children.map((child) => tuple("undefined", Option.isSome(child.ref) ? "pid" : "undefined", child.type))
        )
        yield* world.die("b", "oops")
        yield* world.pause(30)
        const after = yield* count(sup)
        yield* world.bye(sup)
        return tuple([...refused, stopped, counts, children], after)
      })
  },
  {
    title: "call: no such name; server crashes; timeout; late reply",
    run: (world) =>
      Effect.gen(function* () {
        const ping = (replyTo: Actor.ReplyTo<"pong">) => ({ _tag: "Ping" as const, replyTo })
        yield* Actor.spawn(worker(world.collector, "a"), { key: keyOf("a") })
        const a = yield* Registry.via(keyOf("a"))
        const nobody = yield* Registry.via(keyOf("nosuch"))
        const none = yield* Effect.flip(Actor.ask(nobody, ping))
        const crashed = yield* Effect.flip(
          Actor.ask(a, (replyTo: Actor.ReplyTo<never>) => ({ _tag: "Crash" as const, replyTo }))
        )
        const b = yield* Actor.spawn(worker(world.collector, "b"), { key: keyOf("b") })
        const slow = yield* Effect.forkChild(
          Effect.flip(
            Actor.ask(b, (replyTo: Actor.ReplyTo<"late">) => ({ _tag: "Slow" as const, ms: 100, replyTo }), 20)
          )
        )
        yield* world.pause(20)
        const late = yield* Fiber.join(slow)
        yield* world.pause(300)
        const lost = yield* Report.deadLetters
        // The recorder's server ends because its parent ended, normally.
        yield* Actor.exit(b, ExitReason.normal)
        yield* world.pause(30)
        return tuple(askTerm(none), askTerm(crashed), askTerm(late), lost.length === 0 ? "no_late_reply" : "late_reply")
      })
  },
  {
    title: "log reports: start, crash, restart, crash past intensity 1",
    run: (world) =>
      Effect.gen(function* () {
        yield* world.start("one_for_one", 1, 5, [world.spec("a")])
        const a = yield* Registry.via(keyOf("a"))
        const crash = Effect.exit(
          Actor.ask(a, (replyTo: Actor.ReplyTo<never>) => ({ _tag: "Crash" as const, replyTo }))
        )
        yield* crash
        yield* world.pause(60)
        yield* crash
        yield* world.pause(60)
        return []
      })
  }
]

/** Our reports by the names of OTP's. */
export const reportName = (report: Report.Report): string => {
  switch (report._tag) {
    case "Progress":
      return "info {supervisor,progress}"
    case "Terminated":
      return "error {gen_server,terminate}"
    case "Crashed":
      return "error {proc_lib,crash}"
    case "ChildTerminated":
      return "error {supervisor,child_terminated}"
    case "StartFailed":
      return "error {supervisor,start_error}"
    case "ShutdownFailed":
      return "error {supervisor,shutdown_error}"
    case "GaveUp":
      return "error {supervisor,shutdown}"
    default:
      return report._tag
  }
}

const askTerm = (error: Actor.AskTimeout | Actor.ActorDown | Actor.MailboxFull): Term => {
  switch (error._tag) {
    case "AskTimeout":
      return "timeout"
    case "MailboxFull":
      return "full"
    case "ActorDown":
      return termOf(error.reason)
  }
}

const specTerm = (error: unknown): Term => {
  if (!(error instanceof Supervisor.InvalidSpec)) return "unknown"
  const combination = (...pairs: ReadonlyArray<Term>): Term =>
    tuple("start_spec", tuple("bad_combination", [...pairs, tuple("significant", "true")]))
  switch (error.reason) {
    case "significant_never":
      return combination(tuple("auto_shutdown", "never"))
    case "significant_permanent":
      return combination(tuple("restart", "permanent"))
    case "duplicate_id":
      return tuple("start_spec", tuple("duplicate_child_name", error.childId ?? "unknown"))
    case "out_of_range":
      return "out_of_range"
  }
}

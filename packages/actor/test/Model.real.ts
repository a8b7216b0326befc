/** The same trees on the real supervisors, in virtual time. */
import { Actor, DynamicSupervisor, ExitReason, Registry, type Report, Supervisor, System, Tree } from "@starling/actor"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import { type Answer, stamp } from "./Model.ts"
import {
  type Ending,
  type Plan,
  startTimeoutMs,
  type SupervisorPlan,
  type Verb,
  type WorkerPlan
} from "./Model.plans.ts"
import { Virtual } from "./virtual.ts"

type StaticPlan = SupervisorPlan & { readonly kind: "static" }

const reasons: Readonly<Record<Ending, ExitReason.ExitReason>> = {
  normal: ExitReason.normal,
  shutdown: ExitReason.shutdown,
  "shutdown x": ExitReason.shutdownWith("x"),
  "shutdown start": ExitReason.shutdown,
  failed: ExitReason.failure("oops"),
  killed: ExitReason.killed
}

const textOf = (reason: ExitReason.DownReason): string => endingOf(ExitReason.toText(reason))

const endingOf = (text: string): string => {
  if (text.startsWith("failed:")) return "failed"
  if (text === "shutdown (x)") return "shutdown x"
  return text.startsWith("shutdown (") ? "shutdown start" : text
}

const keyOf = (id: string): Registry.RegistryKey<Ending> => Registry.key<Ending>(id)

/** Longer than any scenario. */
export const stubbornMs = 10_000_000

export class Real {
  readonly events: Array<string> = []
  readonly reports: Array<string> = []
  readonly answers: Array<string> = []
  readonly open = new Set<string>()
  readonly virtual: Virtual
  readonly system: System.System["Service"]
  private readonly scope = Scope.makeUnsafe()
  private readonly generations = new Map<string, number>()
  /** The last incarnation that had the name: whom a call to a dynamic supervisor means. */
  private readonly lastRef = new Map<string, Actor.ActorRef<never>>()

  constructor(seed: number) {
    this.virtual = new Virtual(seed)
    const made = this.virtual.fork(System.make)()
    if (made === undefined || !Exit.isSuccess(made)) throw new Error("a system is made at once")
    this.system = made.value
    this.system.onReport((report) => this.reports.push(`${stamp(report.at)} ${this.lineOf(report)}`))
  }

  start(plan: StaticPlan): () => Supervisor.Supervisor | undefined {
    const started = this.run(Effect.result(Supervisor.start(this.specOf(plan), { key: Supervisor.key(plan.id) })))
    return () => {
      const exit = started()
      if (exit === undefined) throw new Error("the start has not returned")
      if (Exit.isFailure(exit)) throw new Error(`the start: ${String(exit.cause)}`)
      return Result.isSuccess(exit.value) ? exit.value.success : undefined
    }
  }

  /** By a message to itself, or from outside. */
  exit(id: string, ending: Ending, bySelf: boolean): void {
    const ref = Registry.viaUnsafe(this.system, keyOf(id))
    if (bySelf) Actor.tellUnsafe(ref, ending)
    else Actor.exitUnsafe(ref, reasons[ending])
  }

  call(plan: SupervisorPlan, verb: Verb, id: string): () => Answer | "no answer" {
    return this.answerOf(
      plan.kind === "static"
        ? Effect.flatMap(Supervisor.via(Supervisor.key(plan.id)), (sup) => carryOut(sup, verb, id))
        : Effect.flatMap(DynamicSupervisor.via(DynamicSupervisor.key(plan.id)), (sup) =>
            sup.terminateChild(this.refOf(id))
          )
    )
  }

  startChild(plan: SupervisorPlan, child: Plan): () => Answer | "no answer" {
    if (plan.kind === "static") {
      const spec = this.childOf(child)
      return this.answerOf(Effect.flatMap(Supervisor.via(Supervisor.key(plan.id)), (sup) => sup.startChild(spec)))
    }
    if (child.kind !== "worker") throw new Error("a dynamic supervisor has workers only")
    return this.answerOf(
      Effect.flatMap(DynamicSupervisor.via(DynamicSupervisor.key(plan.id)), (sup) =>
        sup.startChild(this.behavior(child), optionsOf(child))
      )
    )
  }

  lines(): ReadonlyArray<string> {
    const [top, ...others] = Tree.snapshotUnsafe(this.system)
    if (others.length > 0) return ["more than one root"]
    return Tree.flatten(top?.children ?? []).map(({ lastReason, path, restarts, state }) => {
      const reason = lastReason === null ? "-" : endingOf(lastReason)
      return `${path.join("/")} ${state} ${restarts} ${reason}`
    })
  }

  /** What the supervisor itself says of its children, last started first, and how it counts them. */
  children(plan: SupervisorPlan): () => string {
    const asked = this.run<string, Supervisor.SupervisorDown>(
      Effect.gen(function* () {
        const sup =
          plan.kind === "static"
            ? yield* Supervisor.via(Supervisor.key(plan.id))
            : yield* DynamicSupervisor.via(DynamicSupervisor.key(plan.id))
        const children = yield* sup.whichChildren
        const { active, specs, supervisors, workers } = yield* sup.countChildren
        const lines = children.map(({ id, ref, state, type }) => `${id} ${state} ${type} ${Option.isSome(ref)}`)
        return [...lines, `${specs} ${active} ${supervisors} ${workers}`].join(", ")
      })
    )
    return () => {
      const exit = asked()
      return exit === undefined ? "no answer" : Exit.isSuccess(exit) ? exit.value : "down"
    }
  }

  names(): ReadonlyArray<string> {
    const exit = this.run(Registry.names)()
    return exit !== undefined && Exit.isSuccess(exit) ? exit.value : ["no answer"]
  }

  /** The end of whoever started it all. */
  close(): void {
    this.run(Scope.close(this.scope, Exit.void))
  }

  exitOf(sup: Supervisor.Supervisor): string {
    const exit = this.run(sup.await)()
    return exit !== undefined && Exit.isSuccess(exit) ? textOf(exit.value) : "alive"
  }

  private run<A, E>(effect: Effect.Effect<A, E, System.System | Scope.Scope>): () => Exit.Exit<A, E> | undefined {
    const services = Context.make(System.System, this.system).pipe(Context.add(Scope.Scope, this.scope))
    return this.virtual.fork(Effect.provide(effect, services))
  }

  private answerOf<A, E>(effect: Effect.Effect<A, E, System.System>): () => Answer | "no answer" {
    const asked = this.run(answered(effect))
    return () => {
      const exit = asked()
      return exit !== undefined && Exit.isSuccess(exit) ? exit.value : "no answer"
    }
  }

  private refOf(id: string): Actor.ActorRef<never> {
    const now = Option.getOrUndefined(Registry.whereIsUnsafe(this.system, keyOf(id)))
    if (now !== undefined) this.lastRef.set(id, now)
    return now ?? this.lastRef.get(id) ?? Registry.viaUnsafe(this.system, keyOf(id))
  }

  private specOf(plan: StaticPlan): Supervisor.SupervisorSpec<System.System> {
    const { autoShutdown, children, strategy } = plan
    return { ...limitsOf(plan), autoShutdown, strategy, children: children.map((child) => this.childOf(child)) }
  }

  private childOf(plan: Plan): Supervisor.ChildSpec<System.System> {
    const { restart, shutdown, significant } = plan
    if (plan.kind === "worker") return Supervisor.childSpec(this.behavior(plan), optionsOf(plan))
    const options = { restart, shutdown, significant, key: Supervisor.key(plan.id) }
    if (plan.kind === "static") return Supervisor.nested(this.specOf(plan), options)
    return DynamicSupervisor.nested({ ...limitsOf(plan), maxChildren: plan.maxChildren }, options)
  }

  private behavior(plan: WorkerPlan): Actor.Behavior<Ending, number, "init" | "oops" | Actor.Ignore, System.System> {
    const { cleanup, id } = plan
    const note = (text: string) => Effect.sync(() => this.events.push(`${stamp(this.virtual.now)} ${text}`))
    const init = (self: Actor.Self<Ending>) =>
      Effect.gen({ self: this }, function* () {
        const generation = (this.generations.get(id) ?? 0) + 1
        this.generations.set(id, generation)
        if (plan.scoped) {
          this.open.add(`${id} ${generation}`)
          yield* Effect.addFinalizer(() => Effect.sync(() => this.open.delete(`${id} ${generation}`)))
        }
        const what = plan.inits[generation - 1] ?? "ok"
        yield* note(`${what} ${id} ${generation}`)
        switch (what) {
          case "ok":
            return generation
          case "ignore":
            return yield* Actor.ignore
          case "hang":
            return yield* Effect.never
          case "fail":
            yield* this.fire(plan, self.path.at(-2) ?? "")
            return yield* Effect.fail("init" as const)
        }
      })
    const ends = cleanup.ms === 0 ? Effect.void : Effect.sleep(cleanup.ms)
    const receive = (_: number, ending: Ending): Actor.Handled<number, "oops", never> => {
      if (ending === "failed") return Effect.fail("oops")
      return ending === "killed" ? Effect.interrupt : Actor.stop(reasons[ending])
    }
    if (cleanup.outcome === "none") return Actor.behavior<Ending>()({ name: id, init, receive })
    return Actor.behavior<Ending>()({
      name: id,
      init,
      receive,
      terminate: (_, reason) => {
        if (cleanup.outcome === "hangs") return Effect.never
        if (cleanup.outcome === "stubborn") return Effect.uninterruptible(Effect.sleep(stubbornMs))
        const ended = Effect.andThen(ends, note(`terminate ${id} ${textOf(reason)}`))
        return cleanup.outcome === "fails" ? Effect.andThen(ended, Effect.die("terminate")) : Effect.asVoid(ended)
      }
    })
  }

  /** Before the init has failed: the supervisor hears of this first. */
  private readonly fire = Effect.fnUntraced(function* (this: Real, { fires, id }: WorkerPlan, parent: string) {
    const siblings = this.siblings(parent)
    if (fires === undefined || siblings === undefined) return
    const sibling = siblings[fires.sibling % siblings.length] ?? "nobody"
    const sup = yield* Supervisor.via(Supervisor.key(parent))
    const asking = Effect.map(answered(carryOut(sup, fires.verb, sibling)), (answer) => {
      this.answers.push(`${id} ${answer}`)
    })
    yield* Effect.forkDetach(asking, { startImmediately: true })
  })

  /** In start order; undefined if they are no static supervisor's. */
  private siblings(parent: string): ReadonlyArray<string> | undefined {
    const home = Tree.flatten(Tree.snapshotUnsafe(this.system)).find(({ id }) => id === parent)
    return home === undefined || home.strategy === "dynamic" ? undefined : home.children.map(({ id }) => id)
  }

  private lineOf(report: Report.Report): string {
    switch (report._tag) {
      case "Progress":
        return `Progress ${last(report.supervisor)} ${report.child} ${report.incarnation}`
      case "Terminated":
      case "Crashed":
      case "Abandoned":
        return `${report._tag} ${last(report.actor)}`
      case "ChildTerminated":
        return `ChildTerminated ${last(report.supervisor)} ${report.child} ${endingOf(report.reason)} ${report.restart}`
      case "StartFailed":
        return `StartFailed ${last(report.supervisor)} ${report.child}`
      case "ShutdownFailed":
      case "GaveUp":
        return `${report._tag} ${last(report.supervisor)} ${report.child} ${endingOf(report.reason)}`
      case "Warning":
        return `Warning ${last(report.supervisor)}`
    }
  }
}

const last = (path: string): string => path.split("/").at(-1) ?? path

const limitsOf = ({ backoffMs, id, intensity, periodMs }: SupervisorPlan) => ({
  name: id,
  intensity,
  period: periodMs,
  ...(backoffMs === undefined ? {} : { backoff: Schedule.exponential(backoffMs) })
})

const optionsOf = (plan: WorkerPlan): Supervisor.Options<Ending> => ({
  id: plan.id,
  key: keyOf(plan.id),
  restart: plan.restart,
  shutdown: plan.shutdown,
  significant: plan.significant,
  onRestart: plan.keep ? "keep" : "drop",
  startTimeout: startTimeoutMs
})

const carryOut = (sup: Supervisor.Supervisor, verb: Verb, id: string) => {
  switch (verb) {
    case "terminate":
      return sup.terminateChild(id)
    case "restart":
      return sup.restartChild(id)
    case "delete":
      return sup.deleteChild(id)
  }
}

const answered = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<Answer, never, R> =>
  Effect.map(Effect.result(effect), (result) => {
    if (Result.isSuccess(result))
      return Option.isOption(result.success) && Option.isNone(result.success) ? "ignored" : "ok"
    const error: unknown = result.failure
    if (error instanceof Supervisor.ChildRefused) return error.reason
    if (error instanceof Supervisor.InvalidSpec) return "invalid"
    return error instanceof Supervisor.SupervisorDown ? "down" : "failed"
  })

/** What the model test can be asked to try: trees of supervisors and workers, how they behave, and what befalls them. */
import * as fc from "fast-check"

export type Restart = "permanent" | "transient" | "temporary"
export type Strategy = "one_for_one" | "one_for_all" | "rest_for_one"
export type AutoShutdown = "never" | "any_significant" | "all_significant"
/** `start`: a supervisor that could not start a child. */
export type Ending = "normal" | "shutdown" | "shutdown x" | "shutdown start" | "failed" | "killed"
export type Verb = "terminate" | "restart" | "delete"

interface Common {
  readonly id: string
  readonly restart: Restart
  readonly shutdown: "brutal" | "infinity" | number
  readonly significant: boolean
}

/**
 * - `inits`: what the calls of init come to, over the life of the id; later ones succeed. A hanging one is killed after
 *   `startTimeoutMs`.
 * - `fires`: what a failing init asks of its own supervisor, which will hear of it before it tries again.
 * - `cleanup`: how long terminate takes, and what comes of it; a stubborn one cannot even be killed. `none`: there is no
 *   terminate.
 * - `keep`: the mailbox and the name outlive the incarnation. `scoped`: init opens something that must be closed.
 */
export interface WorkerPlan extends Common {
  readonly kind: "worker"
  readonly inits: ReadonlyArray<"ok" | "fail" | "ignore" | "hang">
  readonly fires: { readonly verb: Verb; readonly sibling: number } | undefined
  readonly cleanup: { readonly ms: number; readonly outcome: "ends" | "none" | "fails" | "hangs" | "stubborn" }
  readonly keep: boolean
  readonly scoped: boolean
}

interface SupervisorCommon extends Common {
  readonly intensity: number
  readonly periodMs: number
  /** The first delay; each next one is twice as long. */
  readonly backoffMs: number | undefined
}

export interface StaticPlan extends SupervisorCommon {
  readonly kind: "static"
  readonly strategy: Strategy
  readonly autoShutdown: AutoShutdown
  readonly children: ReadonlyArray<Plan>
}

export interface DynamicPlan extends SupervisorCommon {
  readonly kind: "dynamic"
  readonly maxChildren: number
}

export type SupervisorPlan = StaticPlan | DynamicPlan
export type Plan = WorkerPlan | SupervisorPlan

/**
 * Numbers stand for whom there is when it happens: the supervisors so far (or those of them that are dynamic), and the
 * children of the one that is meant.
 */
export type Op =
  | {
      readonly _tag: "Exit"
      readonly sup: number
      readonly child: number
      readonly ending: Ending
      readonly self: boolean
    }
  | { readonly _tag: "KillSome"; readonly sup: number; readonly mask: number }
  | { readonly _tag: "End"; readonly sup: number; readonly ending: "shutdown" | "failed" | "killed" }
  | { readonly _tag: "Call"; readonly sup: number; readonly verb: Verb; readonly child: number }
  | {
      readonly _tag: "Start"
      readonly sup: number
      readonly dynamic: boolean
      readonly plan: Plan
      readonly copies: number
      /** Significant even where that is refused. */
      readonly bold: boolean
      readonly reuse: number | undefined
    }
  | { readonly _tag: "Wait"; readonly ms: number }

/** `seed`: which of the tasks that could run goes next. */
export interface Scenario {
  readonly seed: number
  readonly top: StaticPlan
  readonly ops: ReadonlyArray<Op>
}

export const startTimeoutMs = 100

/** No two sums of these are the same instant, so that it is never chance what comes first. */
const cleanupMs = [30, 70, 150] as const
const workerShutdownMs = [50, 100, 5000] as const
const supervisorShutdownMs = [113, 258] as const

const restart = fc.constantFrom<Restart>("permanent", "permanent", "transient", "temporary")
const often = <A>(usual: A, ...others: ReadonlyArray<A>): fc.Arbitrary<A> =>
  fc.oneof({ weight: 4, arbitrary: fc.constant(usual) }, { weight: 1, arbitrary: fc.constantFrom(usual, ...others) })

const inits: fc.Arbitrary<WorkerPlan["inits"]> = fc
  .tuple(
    fc.oneof(
      { weight: 12, arbitrary: fc.constant("ok" as const) },
      { weight: 1, arbitrary: fc.constantFrom("fail" as const, "ignore" as const, "hang" as const) }
    ),
    fc.array(fc.constantFrom("ok", "ok", "fail", "fail", "ignore", "hang"), { maxLength: 5 })
  )
  .map(([first, later]) => (first === "ok" && later.length === 0 ? [] : [first].concat(later)))

const worker: fc.Arbitrary<WorkerPlan> = fc.record({
  kind: fc.constant("worker" as const),
  id: fc.constant("w"),
  restart,
  shutdown: often<WorkerPlan["shutdown"]>(5000, "brutal", "infinity", ...workerShutdownMs),
  significant: fc.boolean(),
  inits,
  fires: fc.option(
    fc.record({ verb: fc.constantFrom<Verb>("terminate", "restart", "delete"), sibling: fc.nat({ max: 5 }) }),
    { nil: undefined, freq: 3 }
  ),
  cleanup: fc.record({
    ms: often(0, ...cleanupMs),
    outcome: often<WorkerPlan["cleanup"]["outcome"]>("ends", "none", "none", "fails", "hangs", "stubborn")
  }),
  keep: often(false, true),
  scoped: often(false, true)
})

const supervisorOf = {
  id: fc.constant("s"),
  restart,
  shutdown: often<SupervisorPlan["shutdown"]>("infinity", "brutal", ...supervisorShutdownMs),
  significant: fc.boolean(),
  intensity: fc.integer({ min: 0, max: 4 }),
  periodMs: fc.constantFrom(500, 3000),
  backoffMs: fc.constantFrom(undefined, undefined, undefined, 1000)
}

const dynamic: fc.Arbitrary<DynamicPlan> = fc.record({
  ...supervisorOf,
  kind: fc.constant("dynamic" as const),
  // Full soon, and with children that wait.
  backoffMs: fc.constantFrom(undefined, 1000),
  maxChildren: fc.constantFrom(1, 2, 3)
})

const tree = (depth: number, childrenMin: number = 0, intensity = supervisorOf.intensity): fc.Arbitrary<StaticPlan> =>
  fc.record({
    ...supervisorOf,
    intensity,
    kind: fc.constant("static" as const),
    strategy: fc.constantFrom<Strategy>("one_for_one", "one_for_all", "rest_for_one"),
    autoShutdown: fc.constantFrom<AutoShutdown>(
      "never",
      "never",
      "any_significant",
      "all_significant",
      "all_significant"
    ),
    children: fc.array(anyPlan(depth), { minLength: childrenMin, maxLength: 4 })
  })

const anyPlan = (depth: number): fc.Arbitrary<Plan> =>
  depth === 0
    ? worker
    : fc.oneof(
        { weight: 5, arbitrary: worker },
        { weight: 2, arbitrary: tree(depth - 1, 1) },
        { weight: 2, arbitrary: dynamic }
      )

const sup = fc.nat({ max: 7 })
const child = fc.nat({ max: 6 })
const ending = fc.constantFrom<Ending>("normal", "shutdown", "shutdown x", "failed", "failed", "killed")
const ops: fc.Arbitrary<Op> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({ _tag: fc.constant("Exit" as const), sup, child, ending, self: fc.boolean() })
  },
  { weight: 2, arbitrary: fc.record({ _tag: fc.constant("KillSome" as const), sup, mask: fc.nat({ max: 15 }) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      _tag: fc.constant("End" as const),
      sup,
      ending: fc.constantFrom("shutdown" as const, "failed" as const, "killed" as const)
    })
  },
  {
    weight: 5,
    arbitrary: fc.record({
      _tag: fc.constant("Call" as const),
      sup,
      verb: fc.constantFrom<Verb>("terminate", "restart", "delete"),
      child
    })
  },
  {
    weight: 4,
    arbitrary: fc.record({
      _tag: fc.constant("Start" as const),
      sup,
      dynamic: fc.boolean(),
      plan: anyPlan(1),
      copies: fc.constantFrom(1, 1, 3),
      bold: often(false, true),
      reuse: fc.option(fc.nat({ max: 9 }), { nil: undefined, freq: 2 })
    })
  },
  {
    weight: 3,
    arbitrary: fc.record({
      _tag: fc.constant("Wait" as const),
      ms: fc.constantFrom(1, 499, 500, 501, 999, 1000, 1001, 2999, 3000, 3001, 8000)
    })
  }
)

/** Every scenario: a top supervisor with anything below it, and up to thirty things that befall it. */
export const scenario: fc.Arbitrary<Scenario> = fc.record({
  seed: fc.nat(),
  // It should not give up before much has happened.
  top: tree(3, 1, fc.constantFrom(0, 1, 3, 6, 9)),
  ops: fc.array(ops, { maxLength: 30, size: "max" })
})

export const mayBeSignificant = (plan: Plan, parent: AutoShutdown): boolean =>
  plan.significant && parent !== "never" && plan.restart !== "permanent"

/** Gives each its own id, and takes out what no supervisor would start or could end. */
export class Naming {
  private last = 0

  /** `timed`: how many of the supervisors above are given a time to end in. */
  legal<P extends Plan>(plan: P, parent: AutoShutdown, timed: number): P
  legal(plan: Plan, parent: AutoShutdown, timed: number): Plan {
    const id = `${plan.kind === "worker" ? "w" : plan.kind === "static" ? "s" : "d"}${++this.last}`
    const significant = mayBeSignificant(plan, parent)
    return { ...this.bounded(plan, timed), id, significant }
  }

  /** For a child that is asked for at run time, which may be refused. */
  asked<P extends Plan>(plan: P, significant: boolean, timed: number, prefix: string): P
  asked(plan: Plan, significant: boolean, timed: number, prefix: string): Plan {
    return { ...this.bounded(plan, timed), id: `${prefix}${++this.last}`, significant }
  }

  private bounded(plan: Plan, timed: number): Plan {
    if (plan.kind !== "worker") {
      // Never at the same instant as that of one above.
      const shutdown = typeof plan.shutdown === "number" ? plan.shutdown + 2 * timed : plan.shutdown
      if (plan.kind === "dynamic") return { ...plan, shutdown }
      const below = timed + (typeof shutdown === "number" ? 1 : 0)
      const children = plan.children.map((child) => this.legal(child, plan.autoShutdown, below))
      return { ...plan, shutdown, children }
    }
    const { cleanup } = plan
    const endless = cleanup.outcome === "hangs" || cleanup.outcome === "stubborn"
    if (endless && plan.shutdown === "infinity") return { ...plan, cleanup: { ...cleanup, outcome: "ends" } }
    // It would be given up at the same instant as its supervisor.
    if (timed > 0 && cleanup.outcome === "stubborn") return { ...plan, cleanup: { ...cleanup, outcome: "hangs" } }
    return plan
  }
}

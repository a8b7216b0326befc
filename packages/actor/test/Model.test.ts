/**
 * Any tree, whose children behave in any way, managed and crashed at will: the real supervisors do what the plain model
 * of OTP's rules does.
 */
import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { Model, type Sup } from "./Model.ts"
import {
  type Ending,
  mayBeSignificant,
  Naming,
  type Op,
  type Plan,
  type Scenario,
  scenario,
  type SupervisorPlan
} from "./Model.plans.ts"
import { Real, stubbornMs } from "./Model.real.ts"

/** One scenario, on both. */
class Comparison {
  private readonly model: Model
  private readonly real: Real
  private readonly naming = new Naming()
  private readonly scenario: Scenario
  /** Whatever was planned to be a supervisor, in the order in which it was heard of. */
  private readonly supervisors: Array<SupervisorPlan> = []
  private readonly log: Array<string> = []
  private compared = { events: 0, reports: 0, answers: 0 }

  constructor(scenario: Scenario) {
    this.scenario = scenario
    this.real = new Real(scenario.seed)
    const top = this.naming.legal(scenario.top, "never", 0)
    this.model = new Model(top)
    this.note(top)
    this.log.push(`start ${JSON.stringify(top)}`)
  }

  run(): void {
    const { model, real } = this
    const started = real.start(model.top.plan as SupervisorPlan & { readonly kind: "static" })
    const begun = model.begin()
    real.virtual.advance(model.now)
    const handle = started()
    this.check(() => assert.strictEqual(handle !== undefined, begun))
    if (handle === undefined) return this.over()
    this.compare()
    for (const op of this.scenario.ops) {
      this.befall(op)
      if (model.ambiguous) break
      this.compare()
    }
    if (model.ambiguous) return this.over()
    if (model.top.phase === "running") model.ends(model.top, "shutdown")
    real.close()
    real.virtual.advance(model.now)
    if (model.ambiguous) return this.over()
    this.compare()
    this.check(() => assert.strictEqual(real.exitOf(handle), model.top.ended))
    this.over()
  }

  // ---- what befalls them

  private befall(op: Op): void {
    const { model, real } = this
    if (op._tag === "Wait") {
      this.log.push(`wait ${op.ms}`)
      model.wait(op.ms)
      return real.virtual.advance(model.now)
    }
    const isAsked = op._tag === "Call" || op._tag === "Start"
    const plans = this.supervisors.filter(({ id }) => isAsked || (model.supervisor(id)?.children.length ?? 0) > 0)
    const plan = plans[op.sup % plans.length]
    if (plan === undefined) return
    const sup = model.supervisor(plan.id)
    switch (op._tag) {
      case "Exit":
        return this.exit(op, sup)
      case "KillSome":
        return this.killSome(op, sup)
      case "End": {
        if (sup === undefined) return
        this.log.push(`end ${plan.id} ${op.ending}`)
        real.exit(plan.id, op.ending, false)
        model.ends(sup, op.ending)
        return real.virtual.advance(model.now)
      }
      case "Call":
        return this.call(op, plan, sup)
      case "Start": {
        const dynamic = this.supervisors.filter(
          ({ id, kind }) => kind === "dynamic" && model.supervisor(id) !== undefined
        )
        const home = op.dynamic && dynamic.length > 0 ? (dynamic[op.sup % dynamic.length] as SupervisorPlan) : plan
        const copies = op.reuse === undefined ? op.copies : 1
        for (let n = 0; n < copies && !model.ambiguous; n++) this.startChild(op, home, model.supervisor(home.id))
      }
    }
  }

  private exit(op: Op & { readonly _tag: "Exit" }, sup: Sup | undefined): void {
    const living = (sup?.children ?? []).filter(({ process }) => process !== undefined)
    const child = living[op.child % Math.max(1, living.length)]
    if (sup === undefined || child === undefined) return
    const { plan } = child
    const isWorker = plan.kind === "worker"
    const isEndless = isWorker && (plan.cleanup.outcome === "hangs" || plan.cleanup.outcome === "stubborn")
    const ending: Ending = isEndless ? "killed" : op.ending
    this.log.push(`exit ${plan.id} ${ending} ${op.self && isWorker ? "by itself" : "from outside"}`)
    this.real.exit(plan.id, ending, op.self && isWorker)
    this.model.exits(sup, child, ending)
    this.real.virtual.advance(this.model.now)
  }

  private killSome(op: Op & { readonly _tag: "KillSome" }, sup: Sup | undefined): void {
    const workers = (sup?.children ?? []).filter(({ plan, process }) => plan.kind === "worker" && process !== undefined)
    const chosen = workers.filter((_, n) => ((op.mask >> n) & 1) === 1)
    if (sup === undefined || chosen.length === 0) return
    this.log.push(`kill ${chosen.map(({ plan }) => plan.id).join(" ")}`)
    for (const { plan } of chosen) this.real.exit(plan.id, "killed", false)
    this.model.killSome(sup, chosen)
    this.real.virtual.advance(this.model.now)
  }

  private call(op: Op & { readonly _tag: "Call" }, plan: SupervisorPlan, sup: Sup | undefined): void {
    const ids = sup?.children.map((child) => child.plan.id) ?? []
    const id = ids[op.child % (ids.length + 1)] ?? "nobody"
    const verb = plan.kind === "dynamic" ? "terminate" : op.verb
    this.log.push(`${verb} ${id} of ${plan.id}`)
    const answer = this.real.call(plan, verb, id)
    const expected = this.model.call(sup, verb, id)
    this.real.virtual.advance(this.model.now)
    if (!this.model.ambiguous) this.check(() => assert.strictEqual(answer(), expected))
  }

  private startChild(op: Op & { readonly _tag: "Start" }, home: SupervisorPlan, sup: Sup | undefined): void {
    if (home.kind === "dynamic" && op.plan.kind !== "worker") return
    const asked = op.plan
    const parent = home.kind === "dynamic" ? "never" : home.autoShutdown
    const significant = op.bold ? asked.significant : mayBeSignificant(asked, parent)
    const named = this.naming.asked(asked, significant, timedAbove(sup), home.kind === "dynamic" ? "y" : "n")
    const ids = this.model.lines().map((line) => /([^/ ]+) /.exec(line)?.[1] ?? "")
    const reused = op.reuse === undefined || home.kind === "dynamic" ? undefined : ids[op.reuse % ids.length]
    // A name that some other kind of child has is another kind of address.
    const plan: Plan =
      reused === undefined || !reused.startsWith("w") || named.kind !== "worker" ? named : { ...named, id: reused }
    this.note(plan)
    this.log.push(`start in ${home.id} ${JSON.stringify(plan)}`)
    const answer = this.real.startChild(home, plan)
    const expected = this.model.startChild(sup, plan)
    this.real.virtual.advance(this.model.now)
    if (!this.model.ambiguous) this.check(() => assert.strictEqual(answer(), expected))
  }

  private note(plan: Plan): void {
    if (plan.kind === "worker") return
    this.supervisors.push(plan)
    if (plan.kind === "static") for (const child of plan.children) this.note(child)
  }

  // ---- what can be seen

  private compare(): void {
    const { model, real } = this
    this.check(() => {
      assert.deepStrictEqual(
        unordered(real.events.slice(this.compared.events)),
        unordered(model.events.slice(this.compared.events))
      )
      assert.deepStrictEqual(
        unordered(real.reports.slice(this.compared.reports)),
        unordered(model.reports.slice(this.compared.reports))
      )
      assert.deepStrictEqual(real.answers.slice(this.compared.answers), model.answers.slice(this.compared.answers))
      assert.strictEqual(real.system.alive(), model.alive)
      assert.deepStrictEqual(real.names(), [...model.names].toSorted())
      const { abandoned, crashes, gaveUp, restarts, started } = real.system.counters()
      assert.deepStrictEqual({ started, restarts, crashes, gaveUp, abandoned }, model.counts)
      assert.deepStrictEqual([...real.open].toSorted(), [...model.open].toSorted())
      if (model.top.phase === "running") assert.deepStrictEqual(real.lines(), model.lines())
      for (const plan of this.supervisors) this.compareChildren(plan)
    })
    const { answers, events, reports } = model
    this.compared = { events: events.length, reports: reports.length, answers: answers.length }
  }

  private compareChildren(plan: SupervisorPlan): void {
    const sup = this.model.supervisor(plan.id)
    assert.strictEqual(this.real.children(plan)(), sup === undefined ? "down" : childrenText(sup))
  }

  /** Nothing is left. */
  private over(): void {
    const { real } = this
    real.close()
    // Beyond every time that anything may take to stop, one after another; what was abandoned ends after all.
    real.virtual.advance(real.virtual.now + 2 * stubbornMs)
    this.check(() => {
      assert.strictEqual(real.system.alive(), 0)
      assert.deepStrictEqual(real.names(), [])
      assert.deepStrictEqual(real.lines(), [])
      assert.deepStrictEqual([...real.open], [])
      assert.strictEqual(real.system.counters().abandonedNow, 0)
      assert.strictEqual(real.virtual.sleepers, 0)
    })
  }

  /** With the story before it. */
  private check(claim: () => void): void {
    try {
      claim()
    } catch (error) {
      if (error instanceof Error) error.message = `${this.log.join("\n")}\n\n${error.message}`
      throw error
    }
  }
}

const childrenText = (sup: Sup): string => {
  const { children } = sup
  const lines = children
    .toReversed()
    .map(({ plan, process, state }) => `${plan.id} ${state} ${typeOf(plan)} ${process !== undefined}`)
  const active = children.filter(({ process }) => process !== undefined).length
  const workers = children.filter(({ plan }) => plan.kind === "worker").length
  return [...lines, `${children.length} ${active} ${children.length - workers} ${workers}`].join(", ")
}

const typeOf = (plan: Plan): string => (plan.kind === "worker" ? "worker" : "supervisor")

const timedAbove = (sup: Sup | undefined): number =>
  sup === undefined ? 0 : (typeof sup.plan.shutdown === "number" ? 1 : 0) + timedAbove(sup.parent?.sup)

/** Dynamic children end side by side: what follows on each other and is said of them has no order. */
const unordered = (texts: ReadonlyArray<string>): ReadonlyArray<string> => {
  const result: Array<string> = []
  let run: Array<string> = []
  for (const text of texts) {
    const parallel = /^\d+ (?:terminate|Terminated|Crashed|ShutdownFailed|Abandoned)\b.* y\d+/.test(text)
    if (parallel) run.push(text)
    else {
      result.push(...run.toSorted(), text)
      run = []
    }
  }
  return [...result, ...run.toSorted()]
}

describe("Supervisor, against a plain model of the rules", () => {
  it(
    "any tree, managed and crashed at will, does what the model does, and leaves nothing",
    () => fc.assert(fc.property(scenario, (input) => new Comparison(input).run())),
    600_000
  )
})

/**
 * OTP's supervisor rules once more, as plainly as they can be said: what the model test compares with.
 *
 * There are no fibers and no queues of tasks here. What befalls the tree is carried out at once, by recursion; where
 * something takes its time, `now` moves. What a supervisor has to do next waits in its `inbox`, as in OTP.
 */
import type { Ending, Plan, StaticPlan, SupervisorPlan, Verb, WorkerPlan } from "./Model.plans.ts"
import { startTimeoutMs } from "./Model.plans.ts"

const abandonAfterMs = 1000

export type Answer =
  | "ok"
  | "ignored"
  | "failed"
  | "invalid"
  | "down"
  | "running"
  | "restarting"
  | "not_found"
  | "already_started"
  | "already_present"
  | "max_children"

interface Worker {
  readonly plan: WorkerPlan
  readonly generation: number
  ended: Ending | undefined
}

class Child {
  readonly plan: Plan
  state: "running" | "restarting" | "stopped" = "stopped"
  process: Worker | Sup | undefined = undefined
  /** It holds its name, alive or not. */
  kept = false
  incarnation = 0
  restarts = 0
  attempt = 0
  lastReason: Ending | undefined = undefined
  runningSince = 0
  delays = 0

  constructor(plan: Plan) {
    this.plan = plan
  }
}

type Message =
  | { readonly _tag: "Ended"; readonly child: Child; readonly process: Worker | Sup; readonly reason: Ending }
  | { readonly _tag: "Retry" | "Due"; readonly child: Child; readonly attempt: number }
  | { readonly _tag: "Fired"; readonly verb: Verb; readonly id: string; readonly by: string }

export class Sup {
  readonly plan: SupervisorPlan
  readonly parent: { readonly sup: Sup; readonly child: Child } | undefined
  children: Array<Child> = []
  restarts: Array<number> = []
  inbox: Array<Message> = []
  phase: "starting" | "running" | "ended" = "starting"
  ended: Ending | undefined = undefined

  constructor(plan: SupervisorPlan, parent: { readonly sup: Sup; readonly child: Child } | undefined) {
    this.plan = plan
    this.parent = parent
  }

  find(id: string): Child | undefined {
    return this.children.find(({ plan }) => plan.id === id)
  }
}

interface Due {
  readonly at: number
  readonly sup: Sup
  readonly child: Child
  readonly attempt: number
}

export class Model {
  readonly events: Array<string> = []
  readonly reports: Array<string> = []
  /** To what was asked from inside of a failing init. */
  readonly answers: Array<string> = []
  readonly names = new Set<string>()
  readonly open = new Set<string>()
  readonly counts = { started: 0, restarts: 0, crashes: 0, gaveUp: 0, abandoned: 0 }
  readonly top: Sup
  alive = 0
  now = 0
  /** Two supervisors had something to do at one instant: the rules do not say who is first. */
  ambiguous = false
  private readonly generations = new Map<string, number>()
  /** Those that live, by name. */
  private readonly supervisors = new Map<string, Sup>()
  private dues: Array<Due> = []
  /** Why the last start failed. */
  private failure: Ending = "failed"

  constructor(plan: StaticPlan) {
    this.top = new Sup(plan, undefined)
  }

  // ---- what befalls the tree

  begin(): boolean {
    const started = this.startSupervisor(this.top)
    if (started) this.pump()
    return started
  }

  supervisor(id: string): Sup | undefined {
    return this.supervisors.get(id)
  }

  /** A child ends by itself, or is made to from outside. */
  exits(sup: Sup, child: Child, ending: Ending): void {
    const { process } = child
    if (process === undefined) return
    if (process instanceof Sup) return this.ends(process, ending)
    this.endWorker(sup, child, process, ending)
    this.pump()
  }

  /** All at one instant. */
  killSome(sup: Sup, children: ReadonlyArray<Child>): void {
    for (const child of children) this.endWorker(sup, child, child.process as Worker, "killed")
    this.pump()
  }

  /** A supervisor is made to end. */
  ends(sup: Sup, ending: Ending): void {
    if (ending === "killed") this.killAll(sup)
    else this.stopAll(sup, Number.POSITIVE_INFINITY)
    this.leaveSupervisor(sup, ending)
    this.pump()
  }

  call(sup: Sup | undefined, verb: Verb, id: string): Answer {
    if (sup === undefined) return "down"
    const answer = this.carryOut(sup, verb, id)
    this.pump()
    return answer
  }

  startChild(sup: Sup | undefined, plan: Plan): Answer {
    if (sup === undefined) return "down"
    const answer = this.addChild(sup, plan)
    this.pump()
    return answer
  }

  wait(ms: number): void {
    const target = this.now + ms
    while (true) {
      this.dues = this.dues.filter((due) => this.isLive(due)).toSorted((a, b) => a.at - b.at)
      const due = this.dues[0]
      if (due === undefined || due.at > target || this.ambiguous) break
      this.now = Math.max(this.now, due.at)
      const together = this.dues.filter(({ at }) => at === due.at)
      if (together.some(({ sup }) => sup !== due.sup)) this.ambiguous = true
      this.dues = this.dues.slice(together.length)
      for (const { attempt, child } of together) due.sup.inbox.push({ _tag: "Due", child, attempt })
      this.pump()
    }
    this.now = Math.max(this.now, target)
  }

  /** Each child of the tree as a line: where, how it fares, how often it was restarted, why it ended last. */
  lines(sup: Sup = this.top, path: string = this.top.plan.id): ReadonlyArray<string> {
    return sup.children.flatMap((child) => {
      const { lastReason, plan, process, restarts, state } = child
      const at = `${path}/${plan.id}`
      const line = `${at} ${state} ${restarts} ${lastReason ?? "-"}`
      return process instanceof Sup ? [line, ...this.lines(process, at)] : [line]
    })
  }

  // ---- the supervisor's own turn

  private pump(): void {
    while (true) {
      const sup = [...this.supervisors.values()].find(({ inbox, phase }) => phase === "running" && inbox.length > 0)
      if (sup === undefined) return
      this.handle(sup, sup.inbox.shift() as Message)
    }
  }

  private handle(sup: Sup, message: Message): void {
    switch (message._tag) {
      case "Ended":
        if (message.child.process === message.process) this.judge(sup, message.child, message.reason)
        return
      case "Retry":
        if (this.waits(sup, message.child, message.attempt)) {
          this.restart(sup, message.child, message.child.lastReason ?? "killed")
        }
        return
      case "Due":
        if (!this.waits(sup, message.child, message.attempt)) return
        this.stopGroup(sup, message.child)
        return this.startGroup(sup, message.child)
      case "Fired":
        this.answers.push(`${message.by} ${this.carryOut(sup, message.verb, message.id)}`)
    }
  }

  private judge(sup: Sup, child: Child, reason: Ending): void {
    const { id, restart } = child.plan
    this.gone(sup, child, reason)
    const abnormal = reason === "failed" || reason === "killed"
    if (restart === "permanent" || abnormal) this.report("ChildTerminated", sup, `${id} ${reason} ${restart}`)
    if (restart === "permanent" || (restart === "transient" && abnormal)) return this.restart(sup, child, reason)
    this.layDown(child)
    if (restart === "temporary" || sup.plan.kind === "dynamic") this.remove(sup, child)
    if (this.isOver(sup, child)) this.leaveInOrder(sup)
  }

  /** Auto-shutdown: a significant child has ended by itself and will not come back. */
  private isOver(sup: Sup, child: Child): boolean {
    if (sup.plan.kind === "dynamic" || !child.plan.significant) return false
    if (sup.plan.autoShutdown === "any_significant") return true
    return !sup.children.some((other) => other.plan.significant && other.state !== "stopped")
  }

  private restart(sup: Sup, child: Child, reason: Ending): void {
    sup.restarts = [...sup.restarts.filter((at) => at >= this.now - sup.plan.periodMs), this.now]
    if (sup.restarts.length > sup.plan.intensity) {
      this.layDown(child)
      this.counts.gaveUp++
      this.report("GaveUp", sup, `${child.plan.id} ${reason}`)
      return this.leaveInOrder(sup)
    }
    this.counts.restarts++
    child.state = "restarting"
    this.stopGroup(sup, child)
    const { backoffMs } = sup.plan
    if (backoffMs === undefined) return this.startGroup(sup, child)
    const at = this.now + backoffMs * 2 ** child.delays++
    this.dues.push({ at, sup, child, attempt: ++child.attempt })
  }

  private stopGroup(sup: Sup, child: Child): void {
    for (const other of this.group(sup, child).toReversed()) {
      if (other === child) continue
      this.stop(sup, other, Number.POSITIVE_INFINITY, "keep")
      if (other.plan.restart === "temporary") this.remove(sup, other)
    }
  }

  private startGroup(sup: Sup, child: Child): void {
    for (const other of this.group(sup, child)) {
      other.restarts++
      const started = this.start(sup, other)
      if (started !== "failed") continue
      this.report("StartFailed", sup, other.plan.id)
      if (child !== other && child.state === "restarting") child.state = "stopped"
      other.state = "restarting"
      other.lastReason = this.failure
      sup.inbox.push({ _tag: "Retry", child: other, attempt: other.attempt })
      return
    }
  }

  private group(sup: Sup, child: Child): ReadonlyArray<Child> {
    const { children, plan } = sup
    if (plan.kind === "dynamic" || plan.strategy === "one_for_one") return [child]
    return plan.strategy === "one_for_all" ? children : children.slice(children.indexOf(child))
  }

  private waits(sup: Sup, child: Child, attempt: number): boolean {
    return child.state === "restarting" && child.attempt === attempt && sup.children.includes(child)
  }

  private isLive({ attempt, child, sup }: Due): boolean {
    return sup.phase === "running" && this.waits(sup, child, attempt)
  }

  // ---- management

  private carryOut(sup: Sup, verb: Verb, id: string): Answer {
    const child = sup.find(id)
    if (child === undefined) return "not_found"
    if (sup.plan.kind === "dynamic") {
      // Addressed by its incarnation: one that waits to be restarted has none.
      if (child.process === undefined || verb !== "terminate") return "not_found"
    }
    if (verb === "terminate") {
      const wasRestarting = child.state === "restarting"
      this.stop(sup, child, Number.POSITIVE_INFINITY, "close")
      // Nobody starts the rest of its group any longer.
      if (wasRestarting) for (const other of this.group(sup, child)) if (other.state === "stopped") this.layDown(other)
      if (child.plan.restart === "temporary" || sup.plan.kind === "dynamic") this.remove(sup, child)
      return "ok"
    }
    if (child.state !== "stopped") return child.state
    if (verb === "delete") {
      this.remove(sup, child)
      return "ok"
    }
    const started = this.start(sup, child)
    if (started === "failed") {
      this.layDown(child)
      this.report("StartFailed", sup, id)
    }
    return started
  }

  private addChild(sup: Sup, plan: Plan): Answer {
    const mayBeSignificant = sup.plan.kind === "static" && sup.plan.autoShutdown !== "never"
    if (plan.significant && (!mayBeSignificant || plan.restart === "permanent")) return "invalid"
    const known = sup.find(plan.id)
    if (known !== undefined) return known.process === undefined ? "already_present" : "already_started"
    if (sup.plan.kind === "dynamic" && sup.children.length >= sup.plan.maxChildren) return "max_children"
    const child = new Child(plan)
    sup.children.push(child)
    this.warnOfTrap(sup, plan)
    const started = this.start(sup, child)
    if (started === "failed") {
      this.remove(sup, child)
      this.report("StartFailed", sup, plan.id)
    }
    return started
  }

  // ---- starts

  private start(sup: Sup, child: Child): "ok" | "ignored" | "failed" {
    const { plan } = child
    child.incarnation++
    child.attempt++
    child.process = undefined
    if (!child.kept && this.names.has(plan.id)) {
      this.failure = "failed"
      return "failed"
    }
    this.names.add(plan.id)
    child.kept ||= plan.kind === "worker" && plan.keep
    const started = plan.kind === "worker" ? this.startWorker(sup, child, plan) : this.startNested(sup, child, plan)
    if (started === "ok") {
      child.state = "running"
      child.runningSince = this.now
      this.report("Progress", sup, `${plan.id} ${child.incarnation}`)
    } else {
      if (!child.kept) this.names.delete(plan.id)
      if (started === "ignored") {
        this.layDown(child)
        if (plan.restart === "temporary" || sup.plan.kind === "dynamic") this.remove(sup, child)
      }
    }
    return started
  }

  private startWorker(sup: Sup, child: Child, plan: WorkerPlan): "ok" | "ignored" | "failed" {
    const generation = (this.generations.get(plan.id) ?? 0) + 1
    this.generations.set(plan.id, generation)
    this.counts.started++
    const init = plan.inits[generation - 1] ?? "ok"
    this.event(`${init} ${plan.id} ${generation}`)
    switch (init) {
      case "ok":
        this.alive++
        if (plan.scoped) this.open.add(`${plan.id} ${generation}`)
        child.process = { plan, generation, ended: undefined }
        return "ok"
      case "ignore":
        return "ignored"
      case "fail":
        if (plan.fires !== undefined && sup.plan.kind === "static") {
          const { sibling, verb } = plan.fires
          const id = sup.children[sibling % sup.children.length]?.plan.id ?? "nobody"
          sup.inbox.push({ _tag: "Fired", verb, id, by: plan.id })
        }
        this.crash(plan.id)
        this.failure = "failed"
        return "failed"
      case "hang":
        this.spend(startTimeoutMs)
        this.failure = "failed"
        return "failed"
    }
  }

  private startNested(sup: Sup, child: Child, plan: SupervisorPlan): "ok" | "failed" {
    const nested = new Sup(plan, { sup, child })
    child.process = nested
    if (this.startSupervisor(nested)) return "ok"
    child.process = undefined
    this.failure = "shutdown start"
    return "failed"
  }

  private startSupervisor(sup: Sup): boolean {
    const { id } = sup.plan
    this.names.add(id)
    this.supervisors.set(id, sup)
    this.alive++
    this.counts.started++
    for (const plan of sup.plan.kind === "static" ? sup.plan.children : []) {
      const child = new Child(plan)
      sup.children.push(child)
      this.warnOfTrap(sup, plan)
      if (this.start(sup, child) !== "failed") continue
      this.report("StartFailed", sup, plan.id)
      this.stopAll(sup, Number.POSITIVE_INFINITY)
      this.forget(sup)
      return false
    }
    sup.phase = "running"
    return true
  }

  private warnOfTrap(sup: Sup, { kind, restart }: Plan): void {
    if (kind !== "worker" && restart === "transient") this.report("Warning", sup, "")
  }

  // ---- ends

  /** By itself, or from outside: its supervisor will hear of it. */
  private endWorker(sup: Sup, child: Child, process: Worker, ending: Ending): void {
    const { plan } = process
    let reason = ending
    if (ending !== "killed" && plan.cleanup.outcome !== "none") {
      this.spend(plan.cleanup.ms)
      this.event(`terminate ${plan.id} ${ending}`)
      if (plan.cleanup.outcome === "fails") reason = "failed"
    }
    this.leave(child, process, reason)
    sup.inbox.push({ _tag: "Ended", child, process, reason })
  }

  /** It gave up, or its significant children are gone. */
  private leaveInOrder(sup: Sup): void {
    this.stopAll(sup, Number.POSITIVE_INFINITY)
    this.leaveSupervisor(sup, "shutdown")
  }

  private leaveSupervisor(sup: Sup, reason: Ending): void {
    this.forget(sup)
    sup.ended = reason
    if (reason === "failed") this.crash(sup.plan.id)
    const { parent } = sup
    parent?.sup.inbox.push({ _tag: "Ended", child: parent.child, process: sup, reason })
  }

  private forget(sup: Sup): void {
    sup.phase = "ended"
    this.alive--
    this.names.delete(sup.plan.id)
    this.supervisors.delete(sup.plan.id)
    for (const message of sup.inbox) if (message._tag === "Fired") this.answers.push(`${message.by} down`)
    sup.inbox = []
  }

  /** What an abandoned one has opened is closed when its fiber ends, if it ever does. */
  private leave(child: Child, process: Worker, reason: Ending, closes: boolean = true): void {
    const { id } = process.plan
    process.ended = reason
    this.alive--
    if (closes) this.open.delete(`${id} ${process.generation}`)
    if (!child.kept) this.names.delete(id)
    if (reason === "failed") this.crash(id)
  }

  /** In reverse order, or dynamic ones all at once; false if the time of the supervisor was over first. */
  private stopAll(sup: Sup, deadline: number): boolean {
    const begun = this.now
    let ended = begun
    let inTime = true
    for (const child of sup.children.toReversed()) {
      if (sup.plan.kind === "dynamic") this.now = begun
      inTime = this.stop(sup, child, deadline, "close") && inTime
      if (!inTime && sup.plan.kind === "static") return false
      ended = Math.max(ended, this.now)
    }
    this.now = ended
    return inTime
  }

  private stop(sup: Sup, child: Child, deadline: number, mailbox: "keep" | "close"): boolean {
    const { plan, process } = child
    if (process !== undefined) {
      if (process.ended === undefined) {
        const inTime =
          process instanceof Sup ? this.stopNested(process, deadline) : this.stopWorker(child, process, deadline)
        if (!inTime) return false
      }
      const reason = process.ended as Ending
      this.gone(sup, child, reason)
      const expected =
        reason.startsWith("shutdown") ||
        (reason === "killed" && plan.shutdown === "brutal") ||
        (reason === "normal" && plan.restart !== "permanent")
      if (!expected) this.report("ShutdownFailed", sup, `${plan.id} ${reason}`)
    }
    if (mailbox === "keep") child.state = "stopped"
    else this.layDown(child)
    return true
  }

  private stopWorker(child: Child, process: Worker, deadline: number): boolean {
    const { cleanup, id, shutdown } = process.plan
    const limit = shutdown === "brutal" ? 0 : shutdown === "infinity" ? Number.POSITIVE_INFINITY : shutdown
    const { outcome } = cleanup
    const ms =
      outcome === "none" ? 0 : outcome === "ends" || outcome === "fails" ? cleanup.ms : Number.POSITIVE_INFINITY
    const inTime = shutdown !== "brutal" && ms < limit
    const stubborn = shutdown !== "brutal" && outcome === "stubborn"
    const takes = inTime ? ms : limit + (stubborn ? abandonAfterMs : 0)
    if (this.now + takes > deadline) {
      this.spend(deadline - this.now)
      return false
    }
    this.spend(takes)
    if (inTime && outcome !== "none") this.event(`terminate ${id} shutdown`)
    if (stubborn) {
      this.counts.abandoned++
      this.reports.push(`${stamp(this.now)} Abandoned ${id}`)
    }
    this.leave(child, process, !inTime ? "killed" : outcome === "fails" ? "failed" : "shutdown", !stubborn)
    return true
  }

  private stopNested(process: Sup, deadline: number): boolean {
    const { shutdown } = process.plan
    const own =
      shutdown === "brutal" ? this.now : shutdown === "infinity" ? Number.POSITIVE_INFINITY : this.now + shutdown
    const inTime = shutdown !== "brutal" && this.stopAll(process, Math.min(own, deadline))
    if (!inTime && own > deadline) return false
    if (!inTime) this.killAll(process)
    this.forget(process)
    process.ended = inTime ? "shutdown" : "killed"
    return true
  }

  /** The supervisor was killed: nobody is left to stop its children in order. */
  private killAll(sup: Sup): void {
    for (const child of sup.children) {
      const { process } = child
      if (process !== undefined && process.ended === undefined) {
        if (process instanceof Sup) {
          this.killAll(process)
          this.forget(process)
        } else this.leave(child, process, "killed")
      }
      this.layDown(child)
    }
  }

  private gone(sup: Sup, child: Child, reason: Ending): void {
    // It has lived: the next delay is the first again.
    if (this.now - child.runningSince > sup.plan.periodMs) child.delays = 0
    child.lastReason = reason
    child.process = undefined
  }

  /** It will not be started by itself: its name is free. */
  private layDown(child: Child): void {
    child.state = "stopped"
    child.process = undefined
    if (!child.kept) return
    child.kept = false
    this.names.delete(child.plan.id)
  }

  private remove(sup: Sup, child: Child): void {
    this.layDown(child)
    sup.children = sup.children.filter((other) => other !== child)
  }

  // ---- the record

  private spend(ms: number): void {
    const before = this.now
    this.now += ms
    if (ms > 0 && this.dues.some((due) => due.at >= before && due.at <= this.now && this.isLive(due))) {
      this.ambiguous = true
    }
  }

  private event(text: string): void {
    this.events.push(`${stamp(this.now)} ${text}`)
  }

  private crash(id: string): void {
    this.counts.crashes++
    this.reports.push(`${stamp(this.now)} Terminated ${id}`, `${stamp(this.now)} Crashed ${id}`)
  }

  private report(tag: string, sup: Sup, text: string): void {
    this.reports.push(`${stamp(this.now)} ${tag} ${sup.plan.id} ${text}`.trimEnd())
  }
}

/** Sorts as it reads. */
export const stamp = (now: number): string => String(now).padStart(7, "0")

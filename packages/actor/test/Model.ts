/** OTP's supervisor rules once more, as plainly as they can be said: what the model test compares with. */

export type Restart = "permanent" | "transient" | "temporary"
export type Strategy = "one_for_one" | "one_for_all" | "rest_for_one"

export interface ChildPlan {
  readonly id: string
  readonly restart: Restart
  /** Calls of init, counted from 1 over the life of the id, that fail. */
  readonly failOn: ReadonlyArray<number>
}

interface ModelChild extends ChildPlan {
  state: "running" | "restarting" | "stopped"
}

export type Reply = "ok" | "running" | "restarting" | "not_found" | "already_started" | "already_present" | "failed"

export class Model {
  readonly events: Array<string> = []
  children: Array<ModelChild> = []
  ended = false
  now = 0
  private readonly generations = new Map<string, number>()
  private restarts: Array<number> = []
  private readonly strategy: Strategy
  private readonly intensity: number
  private readonly periodMs: number

  constructor(strategy: Strategy, intensity: number, periodMs: number) {
    this.strategy = strategy
    this.intensity = intensity
    this.periodMs = periodMs
  }

  /** Whether all children started. */
  begin(plans: ReadonlyArray<ChildPlan>): boolean {
    for (const plan of plans) {
      const child: ModelChild = { ...plan, state: "stopped" }
      this.children.push(child)
      if (this.start(child)) continue
      this.end()
      return false
    }
    return true
  }

  /** The child ends by itself, or is killed: then it says nothing. */
  exits(id: string, reason: "normal" | "failed" | "killed"): void {
    const child = this.find(id)
    if (child?.state !== "running") return
    child.state = "stopped"
    if (reason !== "killed") this.events.push(`terminate ${id} ${reason}`)
    if (child.restart === "temporary") this.remove(child)
    else if (child.restart === "permanent" || reason !== "normal") this.restart(child)
  }

  terminateChild(id: string): Reply {
    const child = this.find(id)
    if (child === undefined) return "not_found"
    this.stop(child)
    if (child.restart === "temporary") this.remove(child)
    return "ok"
  }

  restartChild(id: string): Reply {
    const child = this.find(id)
    if (child === undefined) return "not_found"
    if (child.state !== "stopped") return child.state
    return this.start(child) ? "ok" : "failed"
  }

  deleteChild(id: string): Reply {
    const child = this.find(id)
    if (child === undefined) return "not_found"
    if (child.state !== "stopped") return child.state
    this.remove(child)
    return "ok"
  }

  startChild(plan: ChildPlan): Reply {
    const known = this.find(plan.id)
    if (known !== undefined) return known.state === "running" ? "already_started" : "already_present"
    const child: ModelChild = { ...plan, state: "stopped" }
    this.children.push(child)
    if (this.start(child)) return "ok"
    this.remove(child)
    return "failed"
  }

  end(): void {
    this.ended = true
    for (const child of this.children.toReversed()) this.stop(child)
  }

  private restart(child: ModelChild): void {
    this.restarts = [...this.restarts.filter((at) => at >= this.now - this.periodMs), this.now]
    if (this.restarts.length > this.intensity) return this.end()
    for (const other of this.group(child).toReversed()) {
      if (other === child) continue
      this.stop(other)
      if (other.restart === "temporary") this.remove(other)
    }
    for (const other of this.group(child)) {
      if (this.start(other)) continue
      other.state = "restarting"
      return this.restart(other)
    }
  }

  private group(child: ModelChild): ReadonlyArray<ModelChild> {
    if (this.strategy === "one_for_one") return [child]
    return this.strategy === "one_for_all" ? this.children : this.children.slice(this.children.indexOf(child))
  }

  private start(child: ModelChild): boolean {
    const generation = (this.generations.get(child.id) ?? 0) + 1
    this.generations.set(child.id, generation)
    if (child.failOn.includes(generation)) {
      this.events.push(`init_fail ${child.id} ${generation}`)
      return false
    }
    this.events.push(`start ${child.id} ${generation}`)
    child.state = "running"
    return true
  }

  private stop(child: ModelChild): void {
    if (child.state === "running") this.events.push(`terminate ${child.id} shutdown`)
    child.state = "stopped"
  }

  private remove(child: ModelChild): void {
    this.children = this.children.filter((other) => other !== child)
  }

  private find(id: string): ModelChild | undefined {
    return this.children.find((child) => child.id === id)
  }
}

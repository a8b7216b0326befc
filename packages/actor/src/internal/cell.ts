/** A state that outlives the incarnations that work on it, as an ETS table outlives its owner through its heir. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as ExitReason from "../ExitReason.ts"
import type { Process } from "./process.ts"

export class CellState {
  state: unknown = undefined
  full = false
  private owner: Process | undefined = undefined
  private crashedAt: number | undefined = undefined
  private readonly trustMs: number

  constructor(trustMs: number) {
    this.trustMs = trustMs
  }

  getUnsafe(): Option.Option<unknown> {
    return this.full ? Option.some(this.state) : Option.none()
  }

  get get(): Effect.Effect<Option.Option<unknown>> {
    return Effect.sync(() => this.getUnsafe())
  }

  get clear(): Effect.Effect<void> {
    return Effect.sync(() => this.forget())
  }

  get held(): boolean {
    return this.owner !== undefined && !this.owner.isDead
  }

  enter(process: Process): void {
    this.owner = process
  }

  /** An abandoned incarnation that still runs has lost the right to write. */
  store(process: Process, state: unknown): void {
    if (process !== this.owner) return
    this.state = state
    this.full = true
  }

  /** The second crash within the time: it may be the state that crashes. */
  leave(process: Process, reason: ExitReason.ExitReason, now: number): void {
    if (process !== this.owner) return
    this.owner = undefined
    if (!ExitReason.isAbnormal(reason)) return
    if (this.crashedAt !== undefined && now - this.crashedAt <= this.trustMs) this.forget()
    this.crashedAt = now
  }

  forget(): void {
    this.state = undefined
    this.full = false
  }
}

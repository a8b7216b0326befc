/** What a handler returns instead of a plain state when it wants the actor to stop, or to be explicit. */
import type { ExitReason } from "../ExitReason.ts"

export class NextState {
  readonly state: unknown
  readonly reason: ExitReason | undefined

  constructor(state: unknown, reason: ExitReason | undefined) {
    this.state = state
    this.reason = reason
  }
}

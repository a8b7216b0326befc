/** What a handler returns instead of a plain state when it wants the actor to stop, or to be explicit. */
import type { ExitReason } from "../ExitReason.ts"

export class NextState {
  readonly state: unknown
  readonly reason: ExitReason | undefined
  /** The message at hand goes back, to wait for `unstash`. */
  readonly postpones: boolean

  constructor(state: unknown, reason: ExitReason | undefined, postpones: boolean = false) {
    this.postpones = postpones
    this.state = state
    this.reason = reason
  }
}

/** A question under way: the token that the receiver answers, and the envelope that carries it through a mailbox. */
import type * as Exit from "effect/Exit"
import type { DownReason } from "../ExitReason.ts"

/** Who may hold a token: the incarnation that took the message out of its mailbox. */
export interface Holder {
  /** When the handler at hand has returned; soon, if there is none. */
  readonly afterHandler: (task: () => void) => void
  readonly drop: (token: Token) => void
}

export type Refusal =
  | { readonly _tag: "Down"; readonly reason: DownReason }
  | { readonly _tag: "Full" }
  | { readonly _tag: "Timeout" }

/** Settles once; whatever comes later is dropped, so there are no late replies. */
export class Token {
  holder: Holder | undefined = undefined
  /** The holder's list of what it has been asked. */
  before: Token | undefined = undefined
  after: Token | undefined = undefined
  private settle: ((outcome: Exit.Exit<unknown, unknown> | Refusal) => void) | undefined

  constructor(settle: (outcome: Exit.Exit<unknown, unknown> | Refusal) => void) {
    this.settle = settle
  }

  get done(): boolean {
    return this.settle === undefined
  }

  finish(outcome: Exit.Exit<unknown, unknown> | Refusal): void {
    const settle = this.settle
    this.cancel()
    settle?.(outcome)
  }

  cancel(): void {
    this.settle = undefined
    this.leave()
  }

  /** Back into a mailbox, or done. */
  leave(): void {
    this.holder?.drop(this)
    this.holder = undefined
  }
}

export class Asked {
  readonly message: unknown
  readonly token: Token

  constructor(message: unknown, token: Token) {
    this.message = message
    this.token = token
  }
}

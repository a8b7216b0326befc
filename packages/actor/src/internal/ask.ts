/** A question under way: the token that the receiver answers, and the envelope that carries it through a mailbox. */
import type * as Exit from "effect/Exit"
import type { DownReason } from "../ExitReason.ts"
import type { Runtime } from "./runtime.ts"

/** Who may hold a token: the incarnation that took the message out of its mailbox. */
export interface Holder {
  /** Settles the answer when the handler at hand has returned; soon, if there is none. */
  readonly answered: (token: Token) => void
  readonly drop: (token: Token) => void
}

export type Refusal =
  | { readonly _tag: "Down"; readonly reason: DownReason }
  | { readonly _tag: "Full" }
  | { readonly _tag: "Timeout" }

export type Result = Exit.Exit<unknown, unknown> | Refusal

export const isAnswer = (result: Result): result is Exit.Exit<unknown, unknown> =>
  result._tag === "Success" || result._tag === "Failure"

/** Settles once; whatever comes later is dropped, so there are no late replies. */
export abstract class Token {
  done = false
  /** The holder's list of what it has been asked. */
  before: Token | undefined = undefined
  after: Token | undefined = undefined
  private holder: Holder | undefined = undefined
  private answer: Result | undefined = undefined
  protected readonly runtime: Runtime

  constructor(runtime: Runtime) {
    this.runtime = runtime
  }

  /** Called once, never on the stack of who answers. */
  protected abstract settle(result: Result): void

  heldBy(holder: Holder): void {
    this.holder = holder
  }

  /** The first answer counts. */
  reply(exit: Exit.Exit<unknown, unknown>): void {
    if (this.done || this.answer !== undefined) return
    this.answer = exit
    // Without a holder it is in a mailbox, and was answered by who made it or by somebody it was passed on to.
    if (this.holder === undefined) this.runtime.settleLater(this)
    else this.holder.answered(this)
  }

  settleAnswer(): void {
    if (this.answer !== undefined) this.finish(this.answer)
  }

  finish(result: Result): void {
    if (this.done) return
    this.cancel()
    this.settle(result)
  }

  cancel(): void {
    this.done = true
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

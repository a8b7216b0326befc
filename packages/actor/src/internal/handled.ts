/** What an actor handles, as it lay in the mailbox: kept for the report of a crash. */
import { Asked } from "./ask.ts"
import type { Signal } from "./model.ts"

export const nothing = Symbol("nothing")

/** A signal that is handled; a message can be a signal too, which somebody passed on. */
export class Signalled {
  readonly signal: Signal

  constructor(signal: Signal) {
    this.signal = signal
  }
}

/** Out of its envelope; undefined if it was nothing. */
export const opened = (handled: unknown): { readonly value: unknown } | undefined => {
  if (handled === nothing) return undefined
  if (handled instanceof Signalled) return { value: handled.signal }
  return { value: handled instanceof Asked ? handled.message : handled }
}

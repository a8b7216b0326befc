/** The user lane of a mailbox: a queue that grows to its bound, and the senders that wait for room. */
import type { DownReason } from "../ExitReason.ts"
import type { Mailbox } from "../Mailbox.ts"
import { Asked } from "./ask.ts"
import { Fifo } from "./fifo.ts"
import type { Process } from "./process.ts"
import type { Runtime } from "./runtime.ts"

interface Sender {
  readonly message: unknown
  readonly resume: (delivered: boolean) => void
}

/** Its `size` counts what can be taken; messages that were postponed are not among them. */
export class Box extends Fifo<unknown> {
  readonly capacity: number
  readonly policy: Mailbox["onFull"]
  readonly runtime: Runtime
  /** The incarnation that takes from it; none while the address is restarting. */
  owner: Process | undefined = undefined
  closed: DownReason | undefined = undefined
  dropped = 0
  private senders: Array<Sender> | undefined = undefined
  private stash: Array<unknown> | undefined = undefined
  private readonly home: string | Process
  private readonly quiet: boolean

  /** `home`: its name, or whose it is. */
  constructor(runtime: Runtime, home: string | Process, mailbox: Mailbox, quiet: boolean = false) {
    super()
    this.quiet = quiet
    this.runtime = runtime
    this.home = home
    this.capacity = mailbox.capacity
    this.policy = mailbox.onFull
  }

  get name(): string {
    return typeof this.home === "string" ? this.home : this.home.pathText
  }

  /** All that the capacity counts: what can be taken, and what was postponed. */
  get count(): number {
    return this.stash === undefined ? this.size : this.size + this.stash.length
  }

  get full(): boolean {
    return this.count >= this.capacity
  }

  /** Puts the message in, or drops it: false. Never waits, never throws. */
  offer(message: unknown): boolean {
    if (this.closed !== undefined) {
      this.lose(message, "down")
      return false
    }
    if (this.count >= this.capacity) {
      this.dropped++
      this.runtime.counts.dropped++
      if (this.policy !== "dropOld") {
        this.lose(message, "full")
        return false
      }
      this.lose(this.size > 0 ? this.take() : this.stash?.shift(), "full")
    }
    this.force(message)
    return true
  }

  /** Past the bound: for the few messages that the runtime itself sends, at most one for each child. */
  force(message: unknown): void {
    this.put(message)
    this.owner?.wake()
  }

  /** Waits for room; the removal forgets the wait. Only under backpressure, when full. */
  wait(message: unknown, resume: (delivered: boolean) => void): () => void {
    const sender = { message, resume }
    this.senders ??= []
    this.senders.push(sender)
    return () => {
      const index = this.senders?.indexOf(sender) ?? -1
      if (index >= 0) this.senders?.splice(index, 1)
    }
  }

  /** The oldest message, still in its envelope; only when `size` is not 0. */
  shift(): unknown {
    const message = this.take()
    if (this.senders !== undefined && this.senders.length > 0 && !this.full) this.admit()
    return message
  }

  /** Puts the message that was just taken aside, until `unstash`. It has its room already: that of the handler. */
  postpone(message: unknown): void {
    if (this.closed !== undefined) this.lose(message, "down")
    else (this.stash ??= []).push(message)
  }

  /** What was postponed comes first again, in its order; how many. */
  unstash(): number {
    const { stash } = this
    if (stash === undefined) return 0
    this.stash = undefined
    for (const message of stash.toReversed()) this.putFirst(message)
    this.owner?.wake()
    return stash.length
  }

  close(reason: DownReason): void {
    if (this.closed !== undefined) return
    this.closed = reason
    this.owner = undefined
    const { stash } = this
    this.stash = undefined
    if (stash !== undefined) for (const message of stash) this.lose(message, "down")
    while (this.size > 0) this.lose(this.take(), "down")
    const senders = this.senders
    this.senders = undefined
    this.free()
    if (senders === undefined) return
    for (const { message, resume } of senders) {
      this.lose(message, "down")
      this.runtime.defer(() => resume(false))
    }
  }

  private lose(message: unknown, cause: "full" | "down"): void {
    if (message instanceof Asked) {
      const { token } = message
      const refusal =
        cause === "full"
          ? ({ _tag: "Full" } as const)
          : ({ _tag: "Down", reason: this.closed ?? { _tag: "NoProc" } } as const)
      this.runtime.defer(() => token.finish(refusal))
    } else if (!this.quiet) this.runtime.deadLetter(this.name, message, cause)
  }

  private admit(): void {
    const sender = this.senders?.shift()
    if (sender === undefined) return
    this.force(sender.message)
    this.runtime.defer(() => sender.resume(true))
  }
}

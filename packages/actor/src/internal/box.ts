/** The user lane of a mailbox: a ring that grows to its bound, and the senders that wait for room. */
import type { DownReason } from "../ExitReason.ts"
import type { Mailbox } from "../Mailbox.ts"
import { Asked } from "./ask.ts"
import type { Process } from "./process.ts"
import type { Runtime } from "./runtime.ts"

interface Sender {
  readonly message: unknown
  readonly resume: (delivered: boolean) => void
}

export class Box {
  readonly name: string
  readonly capacity: number
  readonly policy: Mailbox["onFull"]
  readonly runtime: Runtime
  /** The incarnation that takes from it; none while the address is restarting. */
  owner: Process | undefined = undefined
  closed: DownReason | undefined = undefined
  size = 0
  dropped = 0
  private items: Array<unknown> | undefined = undefined
  private head = 0
  private senders: Array<Sender> | undefined = undefined

  private readonly quiet: boolean

  constructor(runtime: Runtime, name: string, mailbox: Mailbox, quiet: boolean = false) {
    this.quiet = quiet
    this.runtime = runtime
    this.name = name
    this.capacity = mailbox.capacity
    this.policy = mailbox.onFull
  }

  get full(): boolean {
    return this.size >= this.capacity
  }

  /** Puts the message in, or drops it: false. Never waits, never throws. */
  offer(message: unknown): boolean {
    if (this.closed !== undefined) {
      this.lose(message, "down")
      return false
    }
    if (this.size >= this.capacity) {
      this.dropped++
      this.runtime.counts.dropped++
      if (this.policy !== "dropOld") {
        this.lose(message, "full")
        return false
      }
      this.lose(this.take(), "full")
    }
    this.force(message)
    return true
  }

  /** Past the bound: for the few messages that the runtime itself sends, at most one for each child. */
  force(message: unknown): void {
    let items = this.items
    if (items === undefined) items = this.items = Array.from({ length: 4 })
    else if (this.size === items.length) items = this.grow(items)
    items[(this.head + this.size++) & (items.length - 1)] = message
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
    if (this.senders !== undefined && this.senders.length > 0) this.admit()
    return message
  }

  close(reason: DownReason): void {
    if (this.closed !== undefined) return
    this.closed = reason
    this.owner = undefined
    while (this.size > 0) this.lose(this.take(), "down")
    const senders = this.senders
    this.senders = undefined
    this.items = undefined
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

  private take(): unknown {
    const items = this.items as Array<unknown>
    const message = items[this.head]
    items[this.head] = undefined
    this.head = (this.head + 1) & (items.length - 1)
    this.size--
    return message
  }

  private admit(): void {
    const sender = this.senders?.shift()
    if (sender === undefined) return
    this.force(sender.message)
    this.runtime.defer(() => sender.resume(true))
  }

  private grow(items: Array<unknown>): Array<unknown> {
    const next: Array<unknown> = Array.from({ length: items.length * 2 })
    for (let i = 0; i < this.size; i++) next[i] = items[(this.head + i) & (items.length - 1)]
    this.head = 0
    return (this.items = next)
  }
}

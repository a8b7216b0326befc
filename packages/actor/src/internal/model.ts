/** The shapes that the parts of the runtime share, with the types of messages and states forgotten. */
import type * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as ExitReason from "../ExitReason.ts"
import type { Mailbox } from "../Mailbox.ts"
import type { Box } from "./box.ts"
import type { CellState } from "./cell.ts"
import type { Process } from "./process.ts"
import type { Runtime } from "./runtime.ts"

/** A behaviour with its types forgotten; made by `Actor.behavior`, which knew them. */
export interface ErasedBehavior {
  readonly name: string
  readonly mailbox?: Mailbox
  /** What it is sent is the runtime's own, and no dead letter when it ends. */
  readonly quiet?: boolean
  readonly init: (self: Process) => Effect.Effect<unknown, unknown>
  readonly receive: (state: unknown, message: unknown, self: Process) => unknown
  readonly signal?: (state: unknown, signal: Signal, self: Process) => unknown
  readonly terminate?: (state: unknown, reason: ExitReason.ExitReason) => Effect.Effect<void>
  /** Where the state is kept, and what becomes of a kept one beside a fresh one. */
  readonly cell?: CellState
  readonly resume?: (kept: unknown, fresh: unknown) => unknown
}

export interface Signal {
  readonly _tag: "Down"
  readonly monitor: number
  readonly ref: Address
  readonly reason: ExitReason.DownReason
}

/** What a reference is inside: one incarnation, or a name that is looked up for each send. */
export interface Address {
  readonly id: number
  readonly name: string
  readonly runtime: Runtime
  /** Where a message goes now; nowhere: undefined. */
  readonly resolveBox: () => Box | undefined
  readonly resolveProcess: () => Process | undefined
}

export interface LaunchOptions {
  readonly runtime: Runtime
  readonly context: Context.Context<never>
  readonly parent?: Process | undefined
  readonly id?: string
  readonly key?: string | undefined
  /** The kept mailbox of the address; else each incarnation makes its own. */
  readonly box?: Box | undefined
  readonly incarnation?: number
}

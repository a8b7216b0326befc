/**
 * What every actor of a system does at this instant, and for whom it waits: the answer to "why does nothing move?".
 *
 * A reading takes no message and waits for nobody, like one of `Tree`. Who waits for whom is noted only in a system whose
 * actors are stepped (`System.Stepped`), which is where a standstill can be told from a pause; elsewhere `waits` is empty.
 *
 * @since 0.1.0
 */
import { describe } from "./internal/text.ts"
import type { Process } from "./internal/process.ts"
import { runtimeOf } from "./internal/runtime.ts"
import type { Wait as InternalWait } from "./internal/waits.ts"
import type { System } from "./System.ts"

/**
 * - `id`: that of the incarnation's `ActorRef`. `path`: from the root of its tree, ids joined by `/`.
 * - `handling`: the message or signal whose handler has not ended, as a bounded text; null between messages.
 * - `mailbox`: messages waiting, system lane included; `capacity`: of the user lane.
 * - `waits`: the `tell`s and `ask`s of its handler, and of the fibers that handler forked, which have not returned.
 *
 * @since 0.1.0
 * @category models
 */
export interface Activity {
  readonly id: number
  readonly path: string
  readonly phase: "starting" | "running" | "stopping"
  readonly handling: string | null
  readonly mailbox: number
  readonly capacity: number
  readonly waits: ReadonlyArray<Wait>
}

/**
 * A `tell` that waits for room in a mailbox, or an `ask` that waits for its answer. `id` is null, and `to` the name, where
 * nobody holds the name that was sent to.
 *
 * @since 0.1.0
 * @category models
 */
export interface Wait {
  readonly kind: "tell" | "ask"
  readonly to: string
  readonly id: number | null
}

/** `outside`: what fibers that belong to no actor wait for. @since 0.1.0 @category models */
export interface Snapshot {
  readonly actors: ReadonlyArray<Activity>
  readonly outside: ReadonlyArray<Wait>
}

/** Every actor that has not ended, parents before their children. @since 0.1.0 */
export const snapshotUnsafe = (system: System["Service"]): Snapshot => {
  const { roots, waits } = runtimeOf(system)
  const all = [...(waits ?? [])]
  const by = (process: Process | undefined): ReadonlyArray<Wait> => all.filter((wait) => wait.by === process).map(shown)
  return {
    actors: [...roots].flatMap(withChildren).map((process) => ({
      id: process.id,
      path: process.pathText,
      phase: process.phase === "dead" ? "stopping" : process.phase,
      handling: process.atHand === undefined ? null : describe(process.atHand.value),
      mailbox: process.waiting,
      capacity: process.capacity,
      waits: by(process)
    })),
    outside: by(undefined)
  }
}

const withChildren = (process: Process): ReadonlyArray<Process> => [
  process,
  ...[...(process.supervision?.children.values() ?? [])].flatMap((child) =>
    child.process === undefined ? [] : withChildren(child.process)
  )
]

const shown = ({ kind, to }: InternalWait): Wait => {
  const process = to.resolveProcess()
  return { kind, to: process?.pathText ?? to.name, id: process?.id ?? null }
}

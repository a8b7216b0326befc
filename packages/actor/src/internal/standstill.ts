/** Why nothing moves: who waits for whom, and whether they wait in a ring. */
import type { Process } from "./process.ts"
import { describe } from "./text.ts"
import type { Task, Wait, Waits } from "./waits.ts"

/** See `ActorTest.Waiting`. */
export interface Waiting {
  readonly actor: string | null
  readonly doing: "init" | "handler" | "end" | null
  readonly message: string | null
  readonly on: Wait["kind"] | null
  readonly to: string | null
  readonly timeoutMs: number | null
}

/**
 * A ring of actors, first to last, each of which is in a handler, or in its init, that waits for the next one, and for
 * nothing that ends by itself. None of them can go on: room is made, and a question taken, between two handlers only, and
 * an answer, whoever gives it, leaves when the handler of the actor that took the question has returned. An actor that
 * ends closes no ring: whoever stopped it waits only so long.
 *
 * To be asked when no task can run: only then has everybody who was told something heard of it.
 */
export const findRing = (waits: Waits): ReadonlyArray<Process> | undefined => {
  const next = new Map<Process, Wait>()
  for (const wait of waits.all) {
    const { by } = wait
    if (by === undefined || by.phase === "stopping" || Number.isFinite(wait.timeoutMs)) continue
    if (waits.tasks.get(by)?.fiber === wait.fiber) next.set(by, wait)
  }
  const seen = new Set<Process>()
  for (const first of next.keys()) {
    const path: Array<Process> = []
    let at: Process | undefined = first
    while (at !== undefined && !seen.has(at)) {
      seen.add(at)
      path.push(at)
      at = next.get(at)?.to.resolveProcess()
    }
    // What was seen on another way leads to no ring.
    const from = at === undefined ? -1 : path.indexOf(at)
    if (from >= 0) return path.slice(from)
  }
  return undefined
}

/** Everybody who is in something that has not returned, and all waits of fibers that belong to no actor. */
export const waitingNow = (waits: Waits): ReadonlyArray<Waiting> => {
  const all = [...waits.all]
  const actors = [...waits.tasks.values()].flatMap((task) => {
    const own = all.filter(({ by }) => by === task.process)
    return own.length === 0 ? [shown(task, undefined)] : own.map((wait) => shown(task, wait))
  })
  const forked = all.filter(({ by }) => by === undefined || !waits.tasks.has(by)).map((wait) => shown(undefined, wait))
  return [...actors, ...forked]
}

const shown = (task: Task | undefined, wait: Wait | undefined): Waiting => {
  const process = task?.process ?? wait?.by
  const message = task === undefined ? undefined : process?.atHand
  const timeoutMs = wait?.timeoutMs ?? Number.POSITIVE_INFINITY
  return {
    actor: process?.pathText ?? null,
    doing: task === undefined ? null : doing(task.process),
    message: message === undefined ? null : describe(message.value),
    on: wait?.kind ?? null,
    to: wait === undefined ? null : (wait.to.resolveProcess()?.pathText ?? wait.to.name),
    timeoutMs: Number.isFinite(timeoutMs) ? timeoutMs : null
  }
}

const doing = (process: Process): NonNullable<Waiting["doing"]> => {
  if (process.phase === "starting") return "init"
  return process.phase === "running" ? "handler" : "end"
}

/** One line for people. */
export const waitingText = ({ actor, doing, message, on, timeoutMs, to }: Waiting): string => {
  const who = actor ?? "the program"
  const where =
    doing === "init"
      ? ", in its init,"
      : doing === "end"
        ? ", at its end,"
        : doing === "handler"
          ? `, handling ${message ?? "nothing"},`
          : actor === null
            ? ""
            : ", in a fiber it has forked,"
  const limit = timeoutMs === null ? "" : `, for at most ${timeoutMs} ms`
  return `${who}${where} waits for ${what(on, to)}${limit}`
}

const what = (on: Waiting["on"], to: string | null): string => {
  switch (on) {
    case "room":
      return `room in the full mailbox of ${to}`
    case "answer":
      return `an answer of ${to}`
    case "start":
      return `the init of ${to} to return`
    case "end":
      return `${to} to end`
    case null:
      return "something that is no actor"
  }
}

/** `a → b → a`. */
export const ringText = (ring: ReadonlyArray<Process>): string =>
  [...ring, ...ring.slice(0, 1)].map((process) => process.pathText).join(" → ")

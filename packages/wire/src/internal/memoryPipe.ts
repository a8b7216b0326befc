/**
 * One direction of a connection in memory: bytes that arrive after a while, in order, and the end behind them.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"

/** One direction. `wakeReader` and `wakeWriter` try again what waits. */
export interface Pipe {
  readonly way: string
  readonly latencyMs: number
  /** False where everything has arrived as soon as it is written. */
  timed: boolean
  chunks: Array<Uint8Array>
  /** When each of them arrives; in order. */
  dues: Array<number>
  bytes: number
  /** What is written here goes nowhere. */
  lost: boolean
  state: "open" | "ended" | "broken"
  /** It broke behind what had been written: that is read before the break is seen, as it is before an end. */
  torn: boolean
  /** When the other side can see the state; undefined if never. */
  stateDue: number | undefined
  wakeReader: () => void
  wakeWriter: () => void
}

/** Nobody waits. */
export const nobody = (): void => {}

export const make = (way: string, latencyMs: number): Pipe => ({
  way,
  latencyMs,
  timed: latencyMs > 0,
  chunks: [],
  dues: [],
  bytes: 0,
  lost: false,
  state: "open",
  torn: false,
  stateDue: 0,
  wakeReader: nobody,
  wakeWriter: nobody
})

/** What brings things to readers when it is time. */
export interface Post {
  readonly now: () => number
  /** Wakes the reader of a pipe at that time. */
  readonly deliver: (pipe: Pipe, due: number) => void
}

/** Arrivals are gathered over so many milliseconds, since timers cost more than what they wait for. */
const grainMs = 4

/** By the clock of the context. `arrivals`: of one network, by the time at which something arrives. */
export const postOf = Effect.fnUntraced(function* (arrivals: Map<number, Array<Pipe>>) {
  const context = yield* Effect.context<never>()
  const clock = yield* Clock.Clock
  // Only differences count, and nobody sets this clock.
  const now = (): number => Number(clock.monotonicTimeNanosUnsafe() / 1000n) / 1000
  const post: Post = {
    now,
    deliver: (pipe, due) => {
      if (!pipe.timed) return pipe.wakeReader()
      const at = Math.ceil(due / grainMs) * grainMs
      const others = arrivals.get(at)
      if (others !== undefined) return void others.push(pipe)
      const pipes = [pipe]
      arrivals.set(at, pipes)
      const arrive = Effect.sync(() => {
        arrivals.delete(at)
        for (const { wakeReader } of pipes) wakeReader()
      })
      Effect.runForkWith(context)(Effect.andThen(Effect.sleep(Math.max(1, Math.ceil(at - now()))), arrive))
    }
  }
  return post
})

/** It ends, or breaks, behind what is under way. */
export const change = (pipe: Pipe, state: "ended" | "broken", { deliver, now }: Post): void => {
  if (pipe.lost) return
  pipe.state = state
  // Not before what is ahead of it.
  pipe.stateDue = Math.max(now() + pipe.latencyMs, pipe.dues.at(-1) ?? 0)
  deliver(pipe, pipe.stateDue)
}

/**
 * What has not arrived by then never will, and neither will anything else. Undefined: the way is cut, and when it was is not
 * known here; nothing has arrived that was not read.
 */
export const lose = (pipe: Pipe, time: number | undefined): void => {
  const hasArrived = (due: number): boolean => time !== undefined && (!pipe.timed || due <= time)
  const late = pipe.chunks.findIndex((_, index) => !hasArrived(pipe.dues[index] ?? 0))
  if (late >= 0) {
    pipe.chunks = pipe.chunks.slice(0, late)
    pipe.dues = pipe.dues.slice(0, late)
  }
  if (pipe.stateDue !== undefined && !hasArrived(pipe.stateDue)) pipe.stateDue = undefined
  pipe.lost = true
}

/** When it arrives. */
export const enqueue = (pipe: Pipe, bytes: Uint8Array, lateMs: number, now: () => number): number => {
  if (lateMs > 0 && !pipe.timed) {
    pipe.timed = true
    pipe.dues = pipe.chunks.map(() => 0)
  }
  pipe.chunks.push(bytes)
  pipe.bytes += bytes.length
  if (!pipe.timed) return 0
  const due = Math.max(now() + pipe.latencyMs + lateMs, pipe.dues.at(-1) ?? 0)
  pipe.dues.push(due)
  return due
}

/** Takes what has arrived by then. */
export const arrived = (pipe: Pipe, time: number): ReadonlyArray<Uint8Array> => {
  const late = pipe.dues.findIndex((due) => due > time)
  if (late === 0) return []
  const chunks = late === -1 ? pipe.chunks : pipe.chunks.slice(0, late)
  pipe.chunks = late === -1 ? [] : pipe.chunks.slice(late)
  pipe.dues = late === -1 ? [] : pipe.dues.slice(late)
  // What went nowhere stays in the buffer of who wrote it, as what nobody acknowledges.
  const isAll = late === -1 && !pipe.lost
  pipe.bytes = isAll ? 0 : pipe.bytes - chunks.reduce((sum, { length }) => sum + length, 0)
  return chunks
}

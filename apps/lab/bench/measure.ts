/**
 * Nanoseconds of the thread's processor time, and bytes, for each call: a thread that waits for its turn is not slow. All arms of a row take turns, round by round in one process, so that what else the
 * machine does meets all of them; of the rounds the median stands, with the least and the greatest.
 */
import { threadCpuUsage } from "node:process"
import { getHeapStatistics } from "node:v8"

/** The same work done by several, or several kinds of work of one. */
export interface Row {
  readonly name: string
  readonly arms: ReadonlyArray<Arm>
}

/** `start` makes whatever is needed; what it returns does the work `times` times over. */
export interface Arm {
  readonly name: string
  readonly start: () => (times: number) => number
}

export interface Settings {
  readonly rounds: number
  /** How long a round of one arm takes about. */
  readonly roundMs: number
}

export const defaults: Settings = { rounds: 7, roundMs: 100 }

export interface Figure {
  readonly name: string
  readonly median: number
  readonly least: number
  readonly greatest: number
  /** Allocated by one call. */
  readonly bytes: number
}

export interface Measured {
  readonly name: string
  readonly figures: ReadonlyArray<Figure>
}

export const measure = (rows: ReadonlyArray<Row>, settings: Settings): ReadonlyArray<Measured> =>
  rows.map((row) => ({ name: row.name, figures: measureRow(row, settings) }))

const measureRow = ({ arms }: Row, { roundMs, rounds }: Settings): ReadonlyArray<Figure> => {
  const running = arms.map((arm) => start(arm, roundMs))
  for (let round = 0; round < rounds; round++) {
    for (const { run, times, values } of running) values.push(nanoseconds(run, times) / times)
  }
  return running.map(({ name, run, times, values }) => {
    const sorted = values.toSorted((a, b) => a - b)
    return {
      name,
      median: sorted[(sorted.length - 1) >> 1] as number,
      least: sorted[0] as number,
      greatest: sorted.at(-1) as number,
      bytes: allocated(run, times)
    }
  })
}

/** Warm, and with as many calls as fill a round. */
const start = ({ name, start }: Arm, roundMs: number) => {
  const run = start()
  let times = 1024
  while (nanoseconds(run, times) < roundMs * 1e6) times *= 2
  const values: Array<number> = []
  return { name, run, times, values }
}

let kept = 0

const nanoseconds = (run: (times: number) => number, times: number): number => {
  const from = threadCpuUsage()
  // What was computed is used, so that computing it is not left out.
  kept += run(times)
  const { system, user } = threadCpuUsage(from)
  return 1000 * (system + user)
}

const allocated = (run: (times: number) => number, times: number): number => {
  const before = allocatedBytes()
  kept += run(times)
  return (allocatedBytes() - before) / times
}

/** All that was ever allocated in this process. In the types of later versions of Node only. */
export const allocatedBytes = (): number => {
  const { total_allocated_bytes: bytes } = getHeapStatistics() as { readonly total_allocated_bytes?: number }
  return bytes ?? Number.NaN
}

/** The sum of all that was computed: shown by nobody, but it could be. */
export const checksum = (): number => kept

/** Of 1,024 different values, so that nothing is hoisted out of the loop; what comes out is kept. */
export const over =
  <A, B>(values: ReadonlyArray<A>, one: (value: A) => B) =>
  (times: number): number => {
    const kept: Array<B | undefined> = Array.from({ length: 1024 }, () => undefined)
    for (let i = 0; i < times; i++) kept[i & 1023] = one(values[i & 1023] as A)
    return kept.length
  }

/** A whole number from 1 on, of the command line. */
export const countOf = (text: string, name: string): number => {
  const value = Number(text)
  if (!Number.isSafeInteger(value) || value < 1)
    throw new Error(`--${name}: expected a whole number from 1, got ${text}`)
  return value
}

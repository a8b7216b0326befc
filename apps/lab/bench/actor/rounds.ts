/** How arms in JavaScript measure a round. */
import process from "node:process"

/** For so many milliseconds. */
export type Round = (ms: number) => Promise<object>

/** Milliseconds that never go back. */
export const millis = (): number => Number(process.hrtime.bigint()) / 1e6

export const micros = (): number => Number(process.hrtime.bigint()) / 1e3

/** `batch` does its work and says how much; `counted` is how much was done in all, said by those who did it. */
export const rate =
  (batch: () => Promise<number>, counted: () => number): Round =>
  async (ms) => {
    const before = counted()
    const from = millis()
    let work = 0
    do {
      work += await batch()
    } while (millis() < from + ms)
    const seconds = (millis() - from) / 1000
    const done = counted() - before
    if (done !== work) throw new Error(`${work} were to be done, ${done} were`)
    return { work, seconds }
  }

/** `batch` gives microseconds. */
export const latencies =
  (batch: () => Promise<ReadonlyArray<number>>): Round =>
  async (ms) => {
    const end = millis() + ms
    const times: Array<number> = []
    do {
      for (const time of await batch()) times.push(time)
    } while (millis() < end)
    const { p50, p99, samples } = quantiles(times)
    return { p50, p99, samples }
  }

export const quantiles = (times: ReadonlyArray<number>) => {
  const sorted = times.toSorted((a, b) => a - b)
  const at = (share: number) => sorted[Math.max(1, Math.ceil(share * sorted.length)) - 1] ?? Number.NaN
  return { p50: at(0.5), p99: at(0.99), max: at(1), samples: sorted.length }
}

/** Bytes in use, after collection. */
export const used = async (): Promise<number> => {
  for (let i = 0; i < 3; i++) {
    await new Promise((resolve) => setTimeout(resolve, 20))
    collect()
  }
  return usedNow()
}

export const usedNow = (): number => {
  const { arrayBuffers, heapUsed } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

export const collect = (): void => {
  const { gc } = globalThis as { readonly gc?: () => void }
  if (gc === undefined) throw new Error("run node with --expose-gc")
  gc()
}

/** Told by actors that they are finished, awaited by who measures them. */
export class Finished {
  private left = 0
  private resolve: (() => void) | undefined

  /** `begin` sets them going. */
  all(count: number, begin: () => void): Promise<void> {
    return new Promise((resolve) => {
      this.left = count
      this.resolve = resolve
      begin()
    })
  }

  one(): void {
    if (--this.left === 0) this.resolve?.()
  }
}

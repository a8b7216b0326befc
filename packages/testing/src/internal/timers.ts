/** Timers in virtual time: a binary heap by instant, then by the order in which they were set. */

export interface Timer {
  readonly at: number
  readonly order: number
  readonly fire: () => void
  /** Where it is in the heap; -1 once it has left. */
  index: number
}

export interface Timers {
  readonly heap: Array<Timer>
  orders: number
}

export const make = (): Timers => ({ heap: [], orders: 0 })

export const add = (timers: Timers, at: number, fire: () => void): Timer => {
  const { heap } = timers
  const timer: Timer = { at, order: timers.orders++, fire, index: heap.length }
  heap.push(timer)
  up(heap, timer)
  return timer
}

/** Takes the earliest; undefined when there is none. */
export const take = (timers: Timers): Timer | undefined => {
  const first = timers.heap[0]
  if (first !== undefined) remove(timers, first)
  return first
}

export const remove = ({ heap }: Timers, timer: Timer): void => {
  const { index } = timer
  if (index < 0) return
  timer.index = -1
  const last = heap.pop() as Timer
  if (last === timer) return
  last.index = index
  heap[index] = last
  up(heap, last)
  down(heap, last)
}

const isBefore = (a: Timer, b: Timer): boolean => a.at < b.at || (a.at === b.at && a.order < b.order)

const up = (heap: Array<Timer>, timer: Timer): void => {
  while (timer.index > 0) {
    const parent = heap[(timer.index - 1) >> 1] as Timer
    if (!isBefore(timer, parent)) return
    swap(heap, timer, parent)
  }
}

const down = (heap: Array<Timer>, timer: Timer): void => {
  while (true) {
    const left = heap[2 * timer.index + 1]
    const right = heap[2 * timer.index + 2]
    const child = left !== undefined && right !== undefined && isBefore(right, left) ? right : left
    if (child === undefined || !isBefore(child, timer)) return
    swap(heap, timer, child)
  }
}

const swap = (heap: Array<Timer>, a: Timer, b: Timer): void => {
  const { index } = a
  heap[b.index] = a
  heap[index] = b
  a.index = b.index
  b.index = index
}

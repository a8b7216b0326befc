/** A binary heap of what is due: by instant, then by the order in which it was set. Each entry knows its own place. */

export interface Entry {
  readonly at: number
  readonly order: number
  /** Its place in the heap; -1 when it has none. */
  index: number
}

export const add = <A extends Entry>(heap: Array<A>, entry: A): void => {
  heap.push(entry)
  up(heap, entry, heap.length - 1)
}

/** Takes the earliest out; undefined when there is none. */
export const take = <A extends Entry>(heap: Array<A>): A | undefined => {
  const first = heap[0]
  if (first !== undefined) remove(heap, first)
  return first
}

/** False if it was not in the heap. */
export const remove = <A extends Entry>(heap: Array<A>, entry: A): boolean => {
  const { index } = entry
  if (index < 0) return false
  entry.index = -1
  const last = heap.pop() as A
  if (last === entry) return true
  if (index > 0 && before(last, heap[(index - 1) >> 1] as A)) up(heap, last, index)
  else down(heap, last, index)
  return true
}

const up = <A extends Entry>(heap: Array<A>, entry: A, from: number): void => {
  let index = from
  while (index > 0) {
    const parent = heap[(index - 1) >> 1] as A
    if (!before(entry, parent)) break
    put(heap, parent, index)
    index = (index - 1) >> 1
  }
  put(heap, entry, index)
}

const down = <A extends Entry>(heap: Array<A>, entry: A, from: number): void => {
  let index = from
  while (true) {
    const left = 2 * index + 1
    if (left >= heap.length) break
    const right = left + 1
    const child = right < heap.length && before(heap[right] as A, heap[left] as A) ? right : left
    const least = heap[child] as A
    if (!before(least, entry)) break
    put(heap, least, index)
    index = child
  }
  put(heap, entry, index)
}

const put = <A extends Entry>(heap: Array<A>, entry: A, index: number): void => {
  heap[index] = entry
  entry.index = index
}

const before = (a: Entry, b: Entry): boolean => a.at < b.at || (a.at === b.at && a.order < b.order)

/**
 * What is going to happen, earliest first; what falls on one instant happens in the order in which it was entered.
 *
 * A binary heap (Williams, "Algorithm 232: Heapsort", CACM 1964), since a world of a thousand nodes has tens of
 * thousands of timers pending.
 */

interface Entry<Task> {
  readonly at: number
  readonly order: number
  readonly task: Task
}

/** Mutable: it belongs to one world. */
export interface Agenda<Task> {
  readonly heap: Array<Entry<Task>>
  entered: number
}

export const make = <Task>(): Agenda<Task> => ({ heap: [], entered: 0 })

/** When the next task is due; Infinity if there is none. */
export const nextAt = <Task>(agenda: Agenda<Task>): number => agenda.heap[0]?.at ?? Infinity

export const push = <Task>(agenda: Agenda<Task>, at: number, task: Task): void => {
  const { heap } = agenda
  const entry: Entry<Task> = { at, order: agenda.entered++, task }
  let index = heap.length
  heap.push(entry)
  while (index > 0) {
    const above = (index - 1) >> 1
    const parent = heap[above] as Entry<Task>
    if (isBefore(parent, entry)) break
    heap[index] = parent
    index = above
  }
  heap[index] = entry
}

export const pop = <Task>(agenda: Agenda<Task>): Task | undefined => {
  const { heap } = agenda
  const first = heap[0]
  const last = heap.pop()
  if (first === undefined || last === undefined || first === last) return first?.task
  const size = heap.length
  let index = 0
  for (;;) {
    let below = 2 * index + 1
    if (below >= size) break
    if (below + 1 < size && isBefore(heap[below + 1] as Entry<Task>, heap[below] as Entry<Task>)) below++
    const child = heap[below] as Entry<Task>
    if (isBefore(last, child)) break
    heap[index] = child
    index = below
  }
  heap[index] = last
  return first.task
}

const isBefore = <Task>(a: Entry<Task>, b: Entry<Task>): boolean => (a.at === b.at ? a.order < b.order : a.at < b.at)

/**
 * What is going to happen, earliest first; what falls on one instant happens in the order in which it was entered.
 *
 * A heap (Williams, "Algorithm 232: Heapsort", CACM 1964), since a world of a thousand nodes has ten thousand timers
 * pending. It is four-ary and its keys stand side by side in typed arrays, so that the children of a node share a line
 * of the cache (LaMarca, Ladner: "The influence of caches on the performance of heaps", JEA 1996): on the way down
 * nothing of the tasks themselves is touched.
 */

/** Mutable: it belongs to one world. */
export interface Agenda<Task> {
  at: Float64Array
  order: Float64Array
  readonly tasks: Array<Task | undefined>
  size: number
  entered: number
}

export const make = <Task>(): Agenda<Task> => ({
  at: new Float64Array(1024),
  order: new Float64Array(1024),
  tasks: [],
  size: 0,
  entered: 0
})

/** When the next task is due; Infinity if there is none. */
export const nextAt = <Task>(agenda: Agenda<Task>): number => (agenda.size === 0 ? Infinity : (agenda.at[0] as number))

export const push = <Task>(agenda: Agenda<Task>, at: number, task: Task): void => {
  if (agenda.size === agenda.at.length) grow(agenda)
  const { at: times, order, tasks } = agenda
  let index = agenda.size++
  while (index > 0) {
    const above = (index - 1) >> 2
    // The newest goes after everything that falls on its instant.
    if ((times[above] as number) <= at) break
    times[index] = times[above] as number
    order[index] = order[above] as number
    tasks[index] = tasks[above]
    index = above
  }
  times[index] = at
  order[index] = agenda.entered++
  tasks[index] = task
}

export const pop = <Task>(agenda: Agenda<Task>): Task | undefined => {
  if (agenda.size === 0) return undefined
  const { at: times, order, tasks } = agenda
  const first = tasks[0]
  const size = --agenda.size
  const at = times[size] as number
  const number = order[size] as number
  const task = tasks[size]
  tasks[size] = undefined
  let index = 0
  for (;;) {
    const below = 4 * index + 1
    if (below >= size) break
    const end = Math.min(below + 4, size)
    let least = below
    for (let child = below + 1; child < end; child++) if (isBefore(agenda, child, least)) least = child
    const time = times[least] as number
    if (at < time || (at === time && number < (order[least] as number))) break
    times[index] = time
    order[index] = order[least] as number
    tasks[index] = tasks[least]
    index = least
  }
  if (size > 0) {
    times[index] = at
    order[index] = number
    tasks[index] = task
  }
  return first
}

const isBefore = <Task>({ at, order }: Agenda<Task>, a: number, b: number): boolean => {
  const one = at[a] as number
  const other = at[b] as number
  return one === other ? (order[a] as number) < (order[b] as number) : one < other
}

const grow = <Task>(agenda: Agenda<Task>): void => {
  const { at, order } = agenda
  agenda.at = new Float64Array(2 * at.length)
  agenda.at.set(at)
  agenda.order = new Float64Array(2 * order.length)
  agenda.order.set(order)
}

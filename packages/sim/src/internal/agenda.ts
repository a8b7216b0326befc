/**
 * What is going to happen, earliest first; what falls on one instant happens in the order in which it was entered.
 *
 * A world of ten thousand nodes has fifty thousand timers and frames pending, and enters and takes two million in a
 * virtual second: far too many for a heap that holds them all, since each step down its levels misses the cache. So what
 * is due soon stands in a small heap, the **front**, and the rest in a hierarchical timing wheel (Varghese, Lauck:
 * "Hashed and hierarchical timing wheels", SOSP 1987), which needs no order: time is cut into ticks, and a bucket holds,
 * as they came, the tasks of one tick, of a block of 1,024 ticks, or of 1,024 blocks. When the front is empty the next
 * bucket that is not is emptied, into finer ones or into the front. A bucket keeps the order of entering and is emptied
 * before anything of its time can go elsewhere, hence the order within an instant is that of entering.
 *
 * All numbers stand in typed arrays, by slot; a slot is given again when its task has happened.
 */

/** Mutable: it belongs to one world. */
export interface Agenda<Task> {
  size: number
  // Slots.
  at: Float64Array
  /** The slot behind this one, in its bucket or among the free ones; -1 at the end. */
  next: Int32Array
  readonly tasks: Array<Task | undefined>
  free: number
  // The front: a heap of what falls on `tick` or before.
  frontAt: Float64Array
  /** Which was entered first. */
  frontOrder: Float64Array
  frontSlot: Int32Array
  frontSize: number
  entered: number
  // The wheel: buckets of ticks, blocks and eras, and one for all that is later.
  tick: number
  readonly heads: Int32Array
  readonly tails: Int32Array
  /** One bit for each bucket that is not empty. */
  readonly filled: Int32Array
}

/** A power of two, so that no tick is rounded. Our choice: ten events in a tick of ten thousand nodes. */
const ticksInMs = 16

/** Buckets of a level: 64 ms of ticks, 66 s of blocks, 19 h of eras. */
const width = 1024

const words = width / 32

const levels = 3

/** The bucket of what is later than all levels. */
const later = levels * width

const none = -1

export const make = <Task>(): Agenda<Task> => ({
  size: 0,
  at: new Float64Array(0),
  next: new Int32Array(0),
  tasks: [],
  free: none,
  frontAt: new Float64Array(256),
  frontOrder: new Float64Array(256),
  frontSlot: new Int32Array(256),
  frontSize: 0,
  entered: 0,
  tick: 0,
  heads: new Int32Array(later + 1).fill(none),
  tails: new Int32Array(later + 1).fill(none),
  filled: new Int32Array(levels * words)
})

/** The same, with a task made of each. */
export const copy = <Task>(agenda: Agenda<Task>, taskOf: (task: Task) => Task): Agenda<Task> => ({
  ...agenda,
  at: agenda.at.slice(),
  next: agenda.next.slice(),
  tasks: agenda.tasks.map((task) => (task === undefined ? undefined : taskOf(task))),
  frontAt: agenda.frontAt.slice(),
  frontOrder: agenda.frontOrder.slice(),
  frontSlot: agenda.frontSlot.slice(),
  heads: agenda.heads.slice(),
  tails: agenda.tails.slice(),
  filled: agenda.filled.slice()
})

/** When the next task is due; Infinity if there is none. */
export const nextAt = <Task>(agenda: Agenda<Task>): number => {
  while (agenda.frontSize === 0) if (!advance(agenda)) return Infinity
  return agenda.frontAt[0] as number
}

export const push = <Task>(agenda: Agenda<Task>, at: number, task: Task): void => {
  if (agenda.free === none) grow(agenda)
  const slot = agenda.free
  agenda.free = agenda.next[slot] as number
  agenda.at[slot] = at
  agenda.tasks[slot] = task
  agenda.size++
  place(agenda, slot, at)
}

export const pop = <Task>(agenda: Agenda<Task>): Task | undefined => {
  while (agenda.frontSize === 0) if (!advance(agenda)) return undefined
  const slot = takeFront(agenda)
  const task = agenda.tasks[slot]
  agenda.tasks[slot] = undefined
  agenda.next[slot] = agenda.free
  agenda.free = slot
  agenda.size--
  return task
}

// --- the wheel -------------------------------------------------------------------------------------------------------

/** Puts a slot where its time belongs, seen from the present tick. */
const place = <Task>(agenda: Agenda<Task>, slot: number, at: number): void => {
  const now = agenda.tick
  const tick = Math.floor(at * ticksInMs)
  if (tick <= now) return putFront(agenda, slot, at)
  const block = Math.floor(tick / width)
  const blockNow = Math.floor(now / width)
  if (block === blockNow) return append(agenda, tick - block * width, slot)
  const era = Math.floor(block / width)
  const eraNow = Math.floor(blockNow / width)
  if (era === eraNow) return append(agenda, width + block - era * width, slot)
  const age = Math.floor(era / width)
  append(agenda, age === Math.floor(eraNow / width) ? 2 * width + era - age * width : later, slot)
}

const append = <Task>({ filled, heads, next, tails }: Agenda<Task>, bucket: number, slot: number): void => {
  next[slot] = none
  const last = tails[bucket] as number
  tails[bucket] = slot
  if (last !== none) {
    next[last] = slot
    return
  }
  heads[bucket] = slot
  if (bucket !== later) filled[bucket >> 5] = (filled[bucket >> 5] as number) | (1 << (bucket & 31))
}

/** Goes on to the next bucket that is not empty, and empties it; false if there is nothing left. */
const advance = <Task>(agenda: Agenda<Task>): boolean => {
  for (let level = 0; level < levels; level++) {
    const at = firstFilled(agenda, level)
    if (at === none) continue
    // What the finer levels had is over: this bucket begins now.
    const span = width ** level
    agenda.tick = (Math.floor(agenda.tick / (span * width)) * width + at) * span
    const bucket = level * width + at
    agenda.filled[bucket >> 5] = (agenda.filled[bucket >> 5] as number) & ~(1 << (bucket & 31))
    empty(agenda, bucket)
    return true
  }
  return advanceFar(agenda)
}

const firstFilled = <Task>({ filled }: Agenda<Task>, level: number): number => {
  for (let word = 0; word < words; word++) {
    const bits = filled[level * words + word] as number
    if (bits !== 0) return 32 * word + 31 - Math.clz32(bits & -bits)
  }
  return none
}

/** Nothing is left on any level: the wheel begins anew at the first of what was too far away. */
const advanceFar = <Task>(agenda: Agenda<Task>): boolean => {
  let first = Infinity
  for (let slot = agenda.heads[later] as number; slot !== none; slot = agenda.next[slot] as number)
    first = Math.min(first, agenda.at[slot] as number)
  if (first === Infinity) return false
  agenda.tick = Math.floor(first * ticksInMs)
  empty(agenda, later)
  return true
}

const empty = <Task>(agenda: Agenda<Task>, bucket: number): void => {
  let slot = agenda.heads[bucket] as number
  agenda.heads[bucket] = none
  agenda.tails[bucket] = none
  while (slot !== none) {
    const behind = agenda.next[slot] as number
    place(agenda, slot, agenda.at[slot] as number)
    slot = behind
  }
}

const grow = <Task>(agenda: Agenda<Task>): void => {
  const { at, next } = agenda
  const size = Math.max(1024, 2 * at.length)
  agenda.at = new Float64Array(size)
  agenda.at.set(at)
  agenda.next = new Int32Array(size)
  agenda.next.set(next)
  for (let slot = size - 1; slot >= at.length; slot--) {
    agenda.next[slot] = agenda.free
    agenda.free = slot
  }
  // From the first to the last: an array that is written far behind its end becomes a hash table for a while. A million
  // tasks took five times as long to enter.
  for (let slot = at.length; slot < size; slot++) agenda.tasks.push(undefined)
}

// --- the front -------------------------------------------------------------------------------------------------------

/** Four-ary (LaMarca, Ladner: "The influence of caches on the performance of heaps", JEA 1996). */
const putFront = <Task>(agenda: Agenda<Task>, slot: number, at: number): void => {
  if (agenda.frontSize === agenda.frontAt.length) growFront(agenda)
  const { frontAt, frontOrder, frontSlot } = agenda
  let index = agenda.frontSize++
  while (index > 0) {
    const above = (index - 1) >> 2
    // The newest goes after everything that falls on its instant.
    if ((frontAt[above] as number) <= at) break
    frontAt[index] = frontAt[above] as number
    frontOrder[index] = frontOrder[above] as number
    frontSlot[index] = frontSlot[above] as number
    index = above
  }
  frontAt[index] = at
  frontOrder[index] = agenda.entered++
  frontSlot[index] = slot
}

const takeFront = <Task>(agenda: Agenda<Task>): number => {
  const { frontAt, frontOrder, frontSlot } = agenda
  const first = frontSlot[0] as number
  const size = --agenda.frontSize
  if (size === 0) return first
  const at = frontAt[size] as number
  const order = frontOrder[size] as number
  let index = 0
  for (;;) {
    const below = 4 * index + 1
    if (below >= size) break
    const end = Math.min(below + 4, size)
    let least = below
    for (let child = below + 1; child < end; child++) if (isBefore(agenda, child, least)) least = child
    const time = frontAt[least] as number
    if (at < time || (at === time && order < (frontOrder[least] as number))) break
    frontAt[index] = time
    frontOrder[index] = frontOrder[least] as number
    frontSlot[index] = frontSlot[least] as number
    index = least
  }
  frontAt[index] = at
  frontOrder[index] = order
  frontSlot[index] = frontSlot[size] as number
  return first
}

const isBefore = <Task>({ frontAt, frontOrder }: Agenda<Task>, a: number, b: number): boolean => {
  const one = frontAt[a] as number
  const other = frontAt[b] as number
  return one === other ? (frontOrder[a] as number) < (frontOrder[b] as number) : one < other
}

const growFront = <Task>(agenda: Agenda<Task>): void => {
  const { frontAt, frontOrder, frontSlot } = agenda
  agenda.frontAt = new Float64Array(2 * frontAt.length)
  agenda.frontAt.set(frontAt)
  agenda.frontOrder = new Float64Array(2 * frontOrder.length)
  agenda.frontOrder.set(frontOrder)
  agenda.frontSlot = new Int32Array(2 * frontSlot.length)
  agenda.frontSlot.set(frontSlot)
}

/**
 * A first-in-first-out queue as a value: the oldest items as a list, and the newest as a list the other way round, which is
 * turned over when the first one is used up (Okasaki: "Purely Functional Data Structures", CUP 1998, §5.2). So an operation
 * takes constant time over many, and an item one small object.
 */

interface Cell<A> {
  readonly item: A
  readonly next: Cell<A> | undefined
}

export interface Queue<A> {
  /** Oldest first; undefined only of an empty queue. */
  readonly front: Cell<A> | undefined
  /** What came after that, newest first. */
  readonly back: Cell<A> | undefined
  readonly size: number
}

export const empty: Queue<never> = { front: undefined, back: undefined, size: 0 }

export const size = <A>(queue: Queue<A>): number => queue.size

export const push = <A>({ back, front, size }: Queue<A>, item: A): Queue<A> =>
  front === undefined
    ? { front: { item, next: undefined }, back: undefined, size: 1 }
    : { front, back: { item, next: back }, size: size + 1 }

export const peek = <A>(queue: Queue<A>): A | undefined => queue.front?.item

/** Without its oldest item. */
export const drop = <A>(queue: Queue<A>): Queue<A> => {
  const { back, front, size } = queue
  if (front === undefined) return queue
  return front.next === undefined
    ? { front: turned(back), back: undefined, size: size - 1 }
    : { front: front.next, back, size: size - 1 }
}

/** Oldest first. */
export const toArray = <A>({ back, front }: Queue<A>): ReadonlyArray<A> => {
  const out: Array<A> = []
  for (let cell = front; cell !== undefined; cell = cell.next) out.push(cell.item)
  for (let cell = turned(back); cell !== undefined; cell = cell.next) out.push(cell.item)
  return out
}

const turned = <A>(cells: Cell<A> | undefined): Cell<A> | undefined => {
  let out: Cell<A> | undefined
  for (let cell = cells; cell !== undefined; cell = cell.next) out = { item: cell.item, next: out }
  return out
}

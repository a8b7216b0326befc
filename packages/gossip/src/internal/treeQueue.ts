/** A first-in-first-out queue as a value: each operation costs one `HashMap` operation, however long the queue is. */
import * as HashMap from "effect/HashMap"
import * as Option from "effect/Option"

export interface Queue<A> {
  readonly items: HashMap.HashMap<number, A>
  /** Number of the oldest item. */
  readonly head: number
  /** Number of the next item to come. */
  readonly tail: number
}

export const empty: Queue<never> = { items: HashMap.empty(), head: 0, tail: 0 }

export const size = <A>(queue: Queue<A>): number => queue.tail - queue.head

export const push = <A>(queue: Queue<A>, item: A): Queue<A> => ({
  items: HashMap.set(queue.items, queue.tail, item),
  head: queue.head,
  tail: queue.tail + 1
})

export const peek = <A>(queue: Queue<A>): A | undefined =>
  queue.head === queue.tail ? undefined : Option.getOrUndefined(HashMap.get(queue.items, queue.head))

/** Without its oldest item. */
export const drop = <A>(queue: Queue<A>): Queue<A> =>
  queue.head === queue.tail
    ? queue
    : { items: HashMap.remove(queue.items, queue.head), head: queue.head + 1, tail: queue.tail }

/** Oldest first. */
export const toArray = <A>(queue: Queue<A>): ReadonlyArray<A> => {
  const out: Array<A> = []
  for (let number = queue.head; number < queue.tail; number++) {
    const item = HashMap.get(queue.items, number)
    if (Option.isSome(item)) out.push(item.value)
  }
  return out
}

/**
 * A persistent sorted list in chunks: an insert copies one chunk and the list of chunks, not the whole.
 */

export interface Sorted<A> {
  readonly chunks: ReadonlyArray<ReadonlyArray<A>>
  readonly size: number
}

type Compare<A> = (a: A, b: A) => number

/** 128: an insert copies at most one chunk and, at 20,000 elements, about 300 references to chunks. */
const chunkMax = 128

const emptySorted: Sorted<never> = { chunks: [], size: 0 }

export const empty = <A>(): Sorted<A> => emptySorted

/** Adds an element; an equal one stays and the list is returned as it is. */
export const insert = <A>(list: Sorted<A>, item: A, compare: Compare<A>): Sorted<A> => {
  if (list.chunks.length === 0) return { chunks: [[item]], size: 1 }
  const index = chunkOf(list, item, compare)
  const chunk = list.chunks[index] as ReadonlyArray<A>
  const at = lowerBound(chunk, item, compare)
  const here = chunk[at]
  if (here !== undefined && compare(here, item) === 0) return list
  const grown = [...chunk.slice(0, at), item, ...chunk.slice(at)]
  const chunks = list.chunks.slice()
  if (grown.length <= chunkMax) chunks[index] = grown
  // At the end of the list a full chunk stays full: what comes in order fills chunk after chunk.
  else if (index === chunks.length - 1 && at === chunk.length) chunks.push([item])
  else chunks.splice(index, 1, grown.slice(0, chunkMax / 2), grown.slice(chunkMax / 2))
  return { chunks, size: list.size + 1 }
}

/** Removes the element equal to `item`, if there is one. */
export const remove = <A>(list: Sorted<A>, item: A, compare: Compare<A>): Sorted<A> => {
  if (list.chunks.length === 0) return list
  const index = chunkOf(list, item, compare)
  const chunk = list.chunks[index] as ReadonlyArray<A>
  const at = lowerBound(chunk, item, compare)
  const here = chunk[at]
  if (here === undefined || compare(here, item) !== 0) return list
  const chunks = list.chunks.slice()
  if (chunk.length === 1) chunks.splice(index, 1)
  else chunks[index] = [...chunk.slice(0, at), ...chunk.slice(at + 1)]
  return { chunks, size: list.size - 1 }
}

export const has = <A>(list: Sorted<A>, item: A, compare: Compare<A>): boolean => {
  if (list.chunks.length === 0) return false
  const chunk = list.chunks[chunkOf(list, item, compare)] as ReadonlyArray<A>
  const here = chunk[lowerBound(chunk, item, compare)]
  return here !== undefined && compare(here, item) === 0
}

export const first = <A>(list: Sorted<A>): A | undefined => list.chunks[0]?.[0]

/** Newest first, until `take` says that it has enough. */
export const backwards = <A>(list: Sorted<A>, take: (item: A) => boolean): void => {
  for (let c = list.chunks.length - 1; c >= 0; c--) {
    const chunk = list.chunks[c] as ReadonlyArray<A>
    for (let i = chunk.length - 1; i >= 0; i--) if (!take(chunk[i] as A)) return
  }
}

export const toArray = <A>(list: Sorted<A>): ReadonlyArray<A> => list.chunks.flat()

/** The chunk in which `item` is or belongs: the first whose last element is not less, else the last. */
const chunkOf = <A>(list: Sorted<A>, item: A, compare: Compare<A>): number => {
  let low = 0
  let high = list.chunks.length - 1
  while (low < high) {
    const middle = (low + high) >> 1
    const chunk = list.chunks[middle] as ReadonlyArray<A>
    if (compare(chunk[chunk.length - 1] as A, item) < 0) low = middle + 1
    else high = middle
  }
  return low
}

const lowerBound = <A>(chunk: ReadonlyArray<A>, item: A, compare: Compare<A>): number => {
  let low = 0
  let high = chunk.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (compare(chunk[middle] as A, item) < 0) low = middle + 1
    else high = middle
  }
  return low
}

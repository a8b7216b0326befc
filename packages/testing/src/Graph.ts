/**
 * What an overlay looks like as a graph: degrees, clustering, paths, components. Nodes are numbers from 0 on, links lead
 * both ways.
 *
 * @since 0.1.0
 */

/** The neighbours of each node. @since 0.1.0 @category models */
export type Graph = ReadonlyArray<ReadonlyArray<number>>

/**
 * Nodes named as in `neighbors`, and the links between those that both have; who is not named is not there.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (neighbors: ReadonlyMap<string, ReadonlyArray<string>>): Graph => {
  const numbers = new Map([...neighbors.keys()].map((id, index) => [id, index]))
  return [...neighbors].map(([id, others]) =>
    others.flatMap((other) => {
      const number = numbers.get(other)
      return number !== undefined && neighbors.get(other)?.includes(id) === true ? [number] : []
    })
  )
}

/** How many links there are. @since 0.1.0 */
export const linkCount = (graph: Graph): number => graph.reduce((sum, { length }) => sum + length, 0) / 2

/**
 * The mean over all nodes of the share of their pairs of neighbours that are neighbours; a node with fewer than two
 * neighbours counts as 0 (Watts, Strogatz, Nature 393, 1998).
 *
 * @since 0.1.0
 */
export const clustering = (graph: Graph): number => {
  let sum = 0
  for (const neighbors of graph) {
    const pairs = (neighbors.length * (neighbors.length - 1)) / 2
    if (pairs === 0) continue
    let closed = 0
    for (const [at, one] of neighbors.entries()) {
      for (let i = at + 1; i < neighbors.length; i++) {
        if (graph[one]?.includes(neighbors[i] as number) === true) closed++
      }
    }
    sum += closed / pairs
  }
  return sum / Math.max(1, graph.length)
}

/**
 * From each of `sources` to every node it reaches: the mean number of hops, and the mean over the sources of the hops to
 * the node that is farthest away.
 *
 * @since 0.1.0
 */
export const paths = (
  graph: Graph,
  sources: Iterable<number>
): { readonly mean: number; readonly farthest: number } => {
  const hops = new Int32Array(graph.length)
  const queue = new Int32Array(graph.length)
  let [sum, pairs, farthest, starts] = [0, 0, 0, 0]
  for (const source of sources) {
    hops.fill(-1)
    hops[source] = 0
    queue[0] = source
    let size = 1
    for (let at = 0; at < size; at++) {
      const one = queue[at] as number
      const distance = (hops[one] as number) + 1
      for (const other of graph[one] ?? []) {
        if (hops[other] !== -1) continue
        hops[other] = distance
        queue[size++] = other
        sum += distance
      }
    }
    pairs += size - 1
    farthest += hops[queue[size - 1] as number] as number
    starts++
  }
  return { mean: sum / Math.max(1, pairs), farthest: farthest / Math.max(1, starts) }
}

/** Sizes of the components, the largest first. @since 0.1.0 */
export const components = (graph: Graph): ReadonlyArray<number> => {
  const seen = new Uint8Array(graph.length)
  const sizes: Array<number> = []
  for (let start = 0; start < graph.length; start++) {
    if (seen[start] === 1) continue
    seen[start] = 1
    const stack = [start]
    let size = 0
    for (let one = stack.pop(); one !== undefined; one = stack.pop()) {
      size++
      for (const other of graph[one] ?? []) {
        if (seen[other] === 1) continue
        seen[other] = 1
        stack.push(other)
      }
    }
    sizes.push(size)
  }
  return sizes.toSorted((a, b) => b - a)
}

/**
 * The share of all nodes that a flood from a node reaches, the mean over all nodes as its source: what the papers call the
 * average reliability.
 *
 * @since 0.1.0
 */
export const reach = (graph: Graph): number =>
  graph.length === 0 ? 0 : components(graph).reduce((sum, size) => sum + size * size, 0) / graph.length ** 2

/** Figures of graphs that can be told by hand, and of any graph by a slower way. */
import { assert, describe, it } from "@effect/vitest"
import { Graph } from "@starling/testing"
import * as fc from "fast-check"

const ring = (size: number): Graph.Graph =>
  Array.from({ length: size }, (_, n) => [(n + 1) % size, (n + size - 1) % size])

const complete = (size: number): Graph.Graph =>
  Array.from({ length: size }, (_, n) =>
    Array.from({ length: size }, (_, other) => other).filter((other) => other !== n)
  )

const every = (graph: Graph.Graph): ReadonlyArray<number> => graph.map((_, n) => n)

const graphs: fc.Arbitrary<Graph.Graph> = fc
  .tuple(fc.integer({ min: 1, max: 9 }), fc.array(fc.tuple(fc.nat(8), fc.nat(8)), { maxLength: 14 }))
  .map(([size, pairs]) => {
    const links = Array.from({ length: size }, () => new Set<number>())
    for (const [a, b] of pairs) {
      if (a === b || a >= size || b >= size) continue
      links[a]?.add(b)
      links[b]?.add(a)
    }
    return links.map((others) => Array.from(others))
  })

/** Hops between all pairs (Floyd, Warshall); Infinity where there is no way. */
const distances = (graph: Graph.Graph): ReadonlyArray<ReadonlyArray<number>> => {
  const hops = graph.map((neighbors, a) => graph.map((_, b) => (a === b ? 0 : neighbors.includes(b) ? 1 : Infinity)))
  for (const k of every(graph))
    for (const a of every(graph))
      for (const b of every(graph)) {
        const row = hops[a] as Array<number>
        row[b] = Math.min(row[b] ?? Infinity, (row[k] ?? Infinity) + (hops[k]?.[b] ?? Infinity))
      }
  return hops
}

describe("A graph", () => {
  it("has the links that both ends have, between nodes that are there", () => {
    const neighbors = new Map([
      ["a", ["b", "c", "gone"]],
      ["b", ["a"]],
      ["c", []]
    ])
    assert.deepStrictEqual(Graph.make(neighbors), [[1], [0], []])
    assert.strictEqual(Graph.linkCount(Graph.make(neighbors)), 1)
  })

  it("of a ring does not cluster; the complete one does entirely", () => {
    assert.strictEqual(Graph.clustering(ring(10)), 0)
    assert.strictEqual(Graph.clustering(complete(6)), 1)
    assert.strictEqual(Graph.linkCount(complete(6)), 15)
  })

  it("has the shortest paths that all pairs have, and the farthest of each source", () => {
    assert.deepStrictEqual(Graph.paths(ring(10), [0]), { mean: 25 / 9, farthest: 5 })
    fc.assert(
      fc.property(graphs, (graph) => {
        const rows = distances(graph).map((row) => row.filter((hops) => hops < Infinity))
        const sum = rows.flat().reduce((total, hops) => total + hops, 0)
        const pairs = rows.flat().length - graph.length
        const { farthest, mean } = Graph.paths(graph, every(graph))
        assert.closeTo(mean, pairs === 0 ? 0 : sum / pairs, 1e-9)
        assert.closeTo(farthest, rows.reduce((total, row) => total + Math.max(...row), 0) / graph.length, 1e-9)
      })
    )
  })

  it("falls into components, and a flood reaches the source's own", () => {
    fc.assert(
      fc.property(graphs, (graph) => {
        const sizes = distances(graph).map((row) => row.filter((hops) => hops < Infinity).length)
        const components = Graph.components(graph)
        assert.strictEqual(
          components.reduce((sum, size) => sum + size, 0),
          graph.length
        )
        assert.strictEqual(components[0], Math.max(...sizes))
        const mean = sizes.reduce((sum, size) => sum + size / graph.length, 0) / graph.length
        assert.closeTo(Graph.reach(graph), mean, 1e-9)
      })
    )
  })
})

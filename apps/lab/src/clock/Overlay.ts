/**
 * Graphs to measure on: random regular ones, and what HyParView's view managers make of themselves when nodes join one
 * after the other (the machines that ship, in the simulator).
 *
 * @since 0.1.0
 */
import { ViewManager } from "@starling/gossip"
import { type Machine, type Peer, Rng } from "@starling/machine"
import { World } from "@starling/sim"

/** The neighbours of each node; symmetric. @since 0.1.0 @category models */
export type Graph = ReadonlyArray<ReadonlyArray<number>>

/**
 * Every node has `degree` neighbours, drawn at random: half-edges are paired, and a pair that is a loop or exists already
 * trades ends with an edge that stands. `size * degree` must be even.
 *
 * @since 0.1.0
 */
export const regular = (size: number, degree: number, seed: number): Graph => {
  if (size <= degree + 1) return complete(size)
  const ends = Array.from({ length: size * degree }, (_, i) => i % size)
  let [mixed, rng] = Rng.sample(Rng.split(Rng.make(seed), "graph"), ends, ends.length)
  const graph = Array.from({ length: size }, () => new Set<number>())
  const edges: Array<readonly [number, number]> = []
  const isFree = (a: number, b: number): boolean => a !== b && graph[a]?.has(b) === false
  const join = (a: number, b: number): void => {
    graph[a]?.add(b)
    graph[b]?.add(a)
    edges.push([a, b])
  }
  const left: Array<readonly [number, number]> = []
  for (let i = 0; i + 1 < mixed.length; i += 2) {
    const [a, b] = [mixed[i] as number, mixed[i + 1] as number]
    if (isFree(a, b)) join(a, b)
    else left.push([a, b])
  }
  for (const [a, b] of left) {
    for (;;) {
      let at: number
      ;[at, rng] = Rng.nextInt(rng, edges.length)
      const [c, d] = edges[at] as readonly [number, number]
      if (!isFree(a, c) || !isFree(b, d) || (a === b && c === d)) continue
      graph[c]?.delete(d)
      graph[d]?.delete(c)
      edges.splice(at, 1)
      join(a, c)
      join(b, d)
      break
    }
  }
  return graph.map((neighbors) => Array.from(neighbors))
}

const complete = (size: number): Graph =>
  Array.from({ length: size }, (_, a) => Array.from({ length: size }, (_, b) => b).filter((b) => b !== a))

interface Views extends World.Protocol {
  readonly state: ViewManager.State
  readonly message: ViewManager.Message
  readonly timer: ViewManager.Timer
  readonly output: ViewManager.Output
  readonly command: { readonly _tag: "Started" }
}

/** The active views of `size` nodes after all have joined, and 10 s. @since 0.1.0 */
export const hyparview = (size: number, seed: number): Graph => {
  const views = new Map<string, ReadonlyArray<Machine.Neighbor>>()
  const world = World.make<Views>({
    seed,
    digestLeavesMax: 0,
    observer: {
      output: ({ peer }, output) => {
        if (output._tag === "Views") views.set(peer.id, output.active)
      }
    }
  })
  const peers = Array.from({ length: size }, (_, i): Peer.Peer => {
    const id = (i + 1).toString(16).padStart(12, "0")
    return { id, incarnation: 1, address: `${id}:1` }
  })
  const contacts = peers.slice(0, 3).map(({ address }) => address)
  const everyMs = Math.max(1, Math.min(5, 10_000 / size))
  let now = 0
  for (const peer of peers) {
    const program: World.Program<Views> = (boot) => ({
      initial: ViewManager.make({ ...ViewManager.defaults, self: boot.peer, contacts }, Rng.make(boot.seed)),
      step: ViewManager.step
    })
    World.join(world, peer, program, { started: [{ _tag: "Started" }] })
    now += everyMs
    World.run(world, now)
  }
  World.run(world, now + 10_000)
  const indexOf = new Map(peers.map(({ id }, i) => [id, i]))
  const near = peers.map(({ id }) => new Set((views.get(id) ?? []).map(({ peer }) => indexOf.get(peer.id) as number)))
  return near.map((others, i) => [...others].filter((other) => near[other]?.has(i) === true))
}

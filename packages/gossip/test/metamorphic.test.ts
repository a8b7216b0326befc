/** What must not change what is delivered: the order in which links bring frames, frames that come twice, a restart. */
import { assert, describe, it } from "@effect/vitest"
import { ViewManager } from "@starling/gossip"
import { type Peer, Rng } from "@starling/machine"
import * as fc from "fast-check"
import { Network } from "./plumtreeNetwork.ts"
import { messages } from "./viewArbitraries.ts"

/** What each node of a small overlay was handed, in sorted order, when these nodes broadcast at these times. */
const delivered = (
  seed: number,
  sends: ReadonlyArray<{ readonly at: number; readonly node: number }>,
  weather: { readonly jitterMs: number; readonly duplicates: number }
): ReadonlyArray<ReadonlyArray<readonly [id: string, times: number]>> => {
  const network = new Network({ nodes: 8, degree: 4, seed, ...weather })
  network.run(200)
  for (const { at, node } of sends) network.later(at, () => network.broadcast(node))
  network.run(6000)
  return network.nodes.map(({ delivered: handed }) => [...handed].toSorted(([a], [b]) => (a < b ? -1 : 1)))
}

const sends = fc.array(fc.record({ at: fc.nat(300), node: fc.nat(7) }), { minLength: 1, maxLength: 12 })

describe("Broadcasts", () => {
  it("reach whom they reach in whatever order different links bring their frames", () => {
    fc.assert(
      fc.property(fc.integer(), sends, fc.integer({ min: 1, max: 200 }), (seed, schedule, jitterMs) => {
        const calm = delivered(seed, schedule, { jitterMs: 0, duplicates: 0 })
        assert.deepStrictEqual(delivered(seed, schedule, { jitterMs, duplicates: 0 }), calm)
        assert.isTrue(calm.every((handed) => handed.length === schedule.length))
      }),
      { numRuns: 25 }
    )
  })

  it("reach whom they reach, once, though every frame comes twice", () => {
    fc.assert(
      fc.property(fc.integer(), sends, fc.constantFrom(0, 50), (seed, schedule, jitterMs) => {
        const calm = delivered(seed, schedule, { jitterMs: 0, duplicates: 0 })
        assert.deepStrictEqual(delivered(seed, schedule, { jitterMs, duplicates: 1 }), calm)
      }),
      { numRuns: 25 }
    )
  })

  it("with the same content are two broadcasts, and both are delivered", () => {
    const network = new Network({ nodes: 8, degree: 4, seed: 1 })
    network.run(200)
    network.broadcast(0, "the same")
    network.broadcast(0, "the same")
    network.run(3000)
    network.assertComplete()
    assert.isTrue(network.nodes.every(({ delivered: handed }) => handed.size === 2))
  })

  it("cost what they cost when a neighbour is new: no tree begins anew", () => {
    const network = new Network({ nodes: 40, degree: 5, seed: 2 })
    network.run(200)
    const cost = (): number => {
      const before = network.sent.payloads
      network.broadcast(0)
      network.run(2000)
      return network.sent.payloads - before
    }
    for (let i = 0; i < 3; i++) cost()
    const links = network.edges.length
    network.connect(11, 27)
    network.connect(13, 31)
    network.run(200)
    assert.isAbove(network.edges.length, links)
    const added = network.edges.length - links
    // Over a new link the payload goes once or twice more, and the prune takes it out again; a tree that began anew floods.
    assert.isAtMost(cost() - (network.nodes.length - 1), 2 * added)
    assert.strictEqual(cost(), network.nodes.length - 1)
    assert.strictEqual(network.sent.grafted, 0)
    network.assertComplete()
  })
})

const peer = (n: number, incarnation = 1): Peer.Peer => ({
  id: n.toString(16).padStart(12, "0"),
  incarnation,
  address: `10.0.0.${n}:7000`
})
const self = peer(50)

const run = (state: ViewManager.State, events: ReadonlyArray<ViewManager.Event>): ViewManager.State =>
  events.reduce((current, event) => ViewManager.step(current, { now: 0, event })[0], state)

const asks = (link: number, other: Peer.Peer): ReadonlyArray<ViewManager.Event> => [
  { _tag: "LinkUp", link, peer: other },
  { _tag: "Received", link, message: { _tag: "Neighbor", peer: other, priority: "low" } }
]

const withNeighbors = (count: number): ViewManager.State =>
  run(ViewManager.make({ ...ViewManager.defaults, self, contacts: [] }, Rng.make(1)), [
    { _tag: "Started" },
    ...Array.from({ length: count }, (_, i) => asks(i + 1, peer(i + 1))).flat()
  ])

/** What of a state others can see, and what it will do next; not what it has counted. */
const standing = ({ active, attempts, hints, links, lost, passive }: ViewManager.State) => ({
  active,
  attempts,
  hints,
  lost,
  passive: passive.toSorted((a, b) => (a.id < b.id ? -1 : 1)),
  roles: links.map(({ link, role }) => [link, role])
})

describe("Membership", () => {
  it("a frame that comes twice leaves the views as they were after the first", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 5 }), fc.nat(6), messages, (count, which, message) => {
        // One link more than there are neighbours: of a stranger.
        const known = run(withNeighbors(count), [{ _tag: "LinkUp", link: count + 1, peer: peer(count + 1) }])
        const link = (which % (count + 1)) + 1
        const spoken = "peer" in message && message._tag !== "ForwardJoin" ? { ...message, peer: peer(link) } : message
        // Each walk has its own way, and each refusal its own sample: a second one is another one, and may dial or keep more.
        fc.pre(spoken._tag !== "ForwardJoin")
        const received: ViewManager.Event = { _tag: "Received", link, message: spoken }
        const once = run(known, [received])
        assert.deepStrictEqual(standing(run(once, [received])), standing(once))
      })
    )
  })

  it("a restart with a higher incarnation is a goodbye and a join", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 5 }),
        fc.nat(4),
        fc.integer({ min: 2, max: 9 }),
        (count, who, incarnation) => {
          const known = withNeighbors(count)
          const restarted = peer((who % count) + 1, incarnation)
          const link = (who % count) + 1
          const goodbye: ViewManager.Event = {
            _tag: "Received",
            link,
            message: { _tag: "Disconnect", reason: "left", sample: [] }
          }
          const anew = run(known, asks(9, restarted))
          assert.deepStrictEqual(standing(anew), standing(run(known, [goodbye, ...asks(9, restarted)])))
          assert.deepStrictEqual(anew.active.at(-1), { peer: restarted, link: 9 })
          // Nothing of the run before comes back, whichever way it went.
          const late = run(anew, [{ _tag: "Integrate", received: [peer(link)], sent: [] }])
          assert.deepStrictEqual(standing(late), standing(anew))
        }
      )
    )
  })
})

/** After a partition: not only one component again, but one that hangs together as before. */
import { assert, describe, it } from "@effect/vitest"
import { idOf, Network } from "./viewNetwork.ts"

const nodes = 24

/** Links between the two halves; each is seen from both its ends. */
const across = (network: Network, halfOf: ReadonlyMap<string, number>): number =>
  network
    .live()
    .flatMap(({ peer, view }) => view.active.filter((other) => halfOf.get(other.peer.id) !== halfOf.get(peer.id)))
    .length / 2

describe("ViewManager, after a partition of two minutes", () => {
  it("has nine tenths of the links across back within thirty shuffles of the mending", () => {
    const network = new Network({ seed: 1, latencyMs: [5, 20] })
    const halfOf = new Map(Array.from({ length: nodes }, (_, index) => [idOf(index), index % 2]))
    for (let index = 0; index < nodes; index++) {
      network.start(index, index === 0 ? [] : [0])
      network.advance(20)
    }
    network.advance(30_000)
    const before = across(network, halfOf)
    for (const [id, half] of halfOf) network.group.set(id, half)
    network.advance(120_000)
    assert.strictEqual(across(network, halfOf), 0)
    for (const id of halfOf.keys()) network.group.set(id, 0)
    const mended = network.now
    while (across(network, halfOf) < 0.9 * before && network.now < mended + 300_000) network.advance(5000)
    assert.isAtLeast(across(network, halfOf), 0.9 * before)
  })
})

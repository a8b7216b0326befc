/** What the components of a member are made with. */
import { assert, describe, it } from "@effect/vitest"
import { BroadcastTree } from "@starling/gossip"
import { Rng } from "@starling/machine"
import { Parts } from "@starling/member"

/** As an agent gives them: the data centre stands beside the peer, not in it. */
const settings: Parts.Settings = {
  self: { id: "00000000000a", incarnation: 1, address: "10.0.0.1:7740" },
  name: "n1",
  datacenter: "fra",
  labels: {},
  contacts: []
}

describe("Parts", () => {
  it("every part that asks who is near knows its own data centre", () => {
    const [states] = Parts.boot(settings, new Map(), Rng.make(1), 0)
    for (const part of ["view-manager", "shuffler", "broadcast-tree", "lazy-push-repair"] as const) {
      assert.strictEqual(states[part].config.self.datacenter, "fra", part)
    }
  })

  it("and when it is made anew", () => {
    const [states, clock] = Parts.boot(settings, new Map(), Rng.make(1), 0)
    const repair = Parts.rebuild("lazy-push-repair", {
      settings,
      stored: new Map(),
      rng: Rng.make(2),
      wall: 0,
      links: [],
      ledger: states["broadcast-tree"].windows,
      clock
    })
    assert.strictEqual(repair.config.self.datacenter, "fra")
  })

  it("repair knows of as many origins as the broadcast tree, or more", () => {
    const repairOf = (tree: number | undefined, repair: number | undefined): number => {
      const bounded: Parts.Settings = {
        ...settings,
        ...(tree !== undefined && { broadcastTree: { originsMax: tree } }),
        ...(repair !== undefined && { lazyPushRepair: { originsMax: repair } })
      }
      const [states] = Parts.boot(bounded, new Map(), Rng.make(1), 0)
      assert.strictEqual(states["broadcast-tree"].config.originsMax, tree ?? BroadcastTree.defaults.originsMax)
      return states["lazy-push-repair"].config.originsMax
    }
    assert.strictEqual(repairOf(undefined, 7), BroadcastTree.defaults.originsMax)
    assert.strictEqual(repairOf(100_000, undefined), 100_000)
    assert.strictEqual(repairOf(7, 100_000), 100_000)
  })
})

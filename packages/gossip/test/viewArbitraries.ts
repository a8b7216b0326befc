import type { ViewManager } from "@starling/gossip"
import { Peer } from "@starling/machine"
import * as fc from "fast-check"

/** Few nodes, few runs: so that they meet. They are in two data centres, or in none. */
export const peers: fc.Arbitrary<Peer.Peer> = fc
  .tuple(fc.integer({ min: 48, max: 58 }), fc.integer({ min: 1, max: 3 }))
  .map(([n, incarnation]) => {
    const datacenter = ["", "a", "b", "a"][n % 4] ?? ""
    return Peer.within({ id: n.toString(16).padStart(12, "0"), incarnation, address: `10.0.0.${n}:7000` }, datacenter)
  })

export const wishes: fc.Arbitrary<NonNullable<Extract<ViewManager.Message, { readonly _tag: "Neighbor" }>["wish"]>> =
  fc.oneof(
    fc.record({
      _tag: fc.constant("Near" as const),
      rttMs: fc.option(fc.double({ min: 0, max: 1000, noNaN: true }))
    }),
    fc.record({ _tag: fc.constant("Swap" as const), gives: peers, cross: fc.boolean() })
  )

const sample = fc.array(peers, { maxLength: 8 })
const label = fc.record({
  leader: peers.map((peer) => peer.id),
  incarnation: fc.nat(),
  beat: fc.nat(),
  stable: fc.boolean()
})

export const messages: fc.Arbitrary<ViewManager.Message> = fc.oneof(
  fc.record({ _tag: fc.constant("Join" as const), peer: peers }),
  fc.record({ _tag: fc.constant("ForwardJoin" as const), peer: peers, ttl: fc.nat({ max: 64 }) }),
  fc.record({ _tag: fc.constant("Neighbor" as const), peer: peers, priority: fc.constantFrom("high", "low", "split") }),
  fc.record({ _tag: fc.constant("Neighbor" as const), peer: peers, priority: fc.constant("low"), wish: wishes }),
  fc.record({ _tag: fc.constant("NeighborReply" as const), accepted: fc.boolean(), sample, hinted: fc.boolean() }),
  fc.record({
    _tag: fc.constant("NeighborReply" as const),
    accepted: fc.constant(false),
    sample,
    hinted: fc.constant(false),
    slow: fc.constant(true as const)
  }),
  fc.record({
    _tag: fc.constant("Disconnect" as const),
    reason: fc.constantFrom("evicted", "replaced", "left", "asymmetric"),
    sample
  }),
  fc.record({ _tag: fc.constantFrom("Ping" as const, "Pong" as const), seq: fc.nat(), claim: fc.boolean(), label }),
  fc.record({ _tag: fc.constant("Probe" as const), peer: peers, label, sample }),
  fc.record({ _tag: fc.constant("ProbeReply" as const), label, sample })
)

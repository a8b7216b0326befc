/** What the tests of both Plumtree machines draw from. */
import { BroadcastTree, LazyPushRepair, type MessageId } from "@starling/gossip"
import { type Machine, Peer, SeqSet } from "@starling/machine"
import * as fc from "fast-check"

export const anyNodeId = fc.integer({ min: 0, max: 0xffffffff }).map((n) => n.toString(16).padStart(12, "0"))

const count = (min: number, max: number): fc.Arbitrary<number> => fc.integer({ min, max }).map((n) => (n === 0 ? 0 : n))

export const anyId: fc.Arbitrary<MessageId.MessageId> = fc.record({
  origin: anyNodeId,
  incarnation: count(0, Peer.incarnationMax),
  seq: count(1, Number.MAX_SAFE_INTEGER)
})

export const anySeqSet: fc.Arbitrary<SeqSet.SeqSet> = fc
  .array(fc.integer({ min: 1, max: 500 }), { maxLength: 20 })
  .map((seqs) => seqs.reduce(SeqSet.add, SeqSet.empty))

export const anyTreeMessage: fc.Arbitrary<BroadcastTree.Message> = fc.oneof(
  fc.record(
    {
      _tag: fc.constant("Gossip" as const),
      id: anyId,
      round: count(0, BroadcastTree.roundMax),
      topic: count(0, 255),
      payload: fc.jsonValue(),
      along: anyNodeId,
      entry: anyNodeId,
      mended: fc.constant(true as const),
      after: count(0, Number.MAX_SAFE_INTEGER)
    },
    { requiredKeys: ["_tag", "id", "round", "topic", "payload"], noNullPrototype: true }
  ),
  fc.record(
    { _tag: fc.constant("Prune" as const), root: anyNodeId, unlessParent: fc.constant(true as const) },
    { requiredKeys: ["_tag", "root"], noNullPrototype: true }
  ),
  fc.record({ _tag: fc.constant("Adopt" as const), root: anyNodeId }),
  fc.record({ _tag: fc.constant("Entry" as const), id: anyId, entry: anyNodeId }),
  fc.record({
    _tag: fc.constantFrom("Graft" as const, "GraftMiss" as const),
    ids: fc.array(anyId, { maxLength: BroadcastTree.graftIdsMax })
  })
)

export const anyRepairMessage: fc.Arbitrary<LazyPushRepair.Message> = fc.oneof(
  fc.record({
    _tag: fc.constant("IHave" as const),
    items: fc.array(
      fc.oneof(
        fc.tuple(anyId, count(0, BroadcastTree.roundMax)),
        fc.tuple(anyId, count(0, BroadcastTree.roundMax), count(0, 0xffff))
      ),
      { maxLength: LazyPushRepair.itemsMax }
    )
  }),
  fc.record({
    _tag: fc.constant("Summary" as const),
    windows: fc.array(fc.tuple(anyNodeId, count(0, 9), anySeqSet), { maxLength: LazyPushRepair.summaryWindowsMax })
  })
)

// A universe small enough that everything happens to the same few links, roots and numbers.

const hex = (n: number): string => n.toString(16).padStart(12, "0")

export const self: Peer.Peer = { id: hex(0xaa), incarnation: 3, address: "10.0.0.1:7000" }

export const peer = (n: number): Peer.Peer => ({ id: hex(n), incarnation: 1, address: `10.0.0.${n}:7000` })

export const neighbor = (link: number): Machine.Neighbor => ({ link, peer: peer(link) })

/** Root 1 is neighbour 1 too. */
export const id = (seq: number, origin: string = hex(1), incarnation: number = 1): MessageId.MessageId => ({
  origin,
  incarnation,
  seq
})

export const smallLink = fc.integer({ min: 1, max: 4 })

export const smallRoot = fc.constantFrom(hex(1), hex(9), self.id)

export const smallId: fc.Arbitrary<MessageId.MessageId> = fc.record({
  origin: smallRoot,
  incarnation: fc.integer({ min: 1, max: 4 }),
  seq: fc.integer({ min: 1, max: 6 })
})

export const smallNeighbors: fc.Arbitrary<ReadonlyArray<Machine.Neighbor>> = fc
  .uniqueArray(smallLink, { maxLength: 4 })
  .map((links) => links.map(neighbor))

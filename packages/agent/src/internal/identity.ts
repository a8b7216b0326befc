/**
 * Who this run of the node is: the id is drawn once and kept with the data; the incarnation is one more than the stored
 * one, and durable before the first frame leaves.
 */
import { type Machine, NodeId, type Peer, Rng } from "@starling/machine"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import type { Store, Stored, StoreError } from "../Store.ts"
import { rowsOf } from "./storeWriter.ts"

export interface Identity {
  readonly id: NodeId.NodeId
  readonly incarnation: number
  /** Drawn by each process: two of them for one id and incarnation mean that a data directory was copied. */
  readonly boot: number
}

export const begin = Effect.fnUntraced(function* (
  store: Store["Service"],
  stored: Stored
): Effect.fn.Return<Identity, StoreError> {
  const meta = rowsOf(stored, "meta")
  const known = meta.get("id")
  const seed = yield* Random.nextInt
  const id = NodeId.isNodeId(known) ? known : NodeId.random(Rng.make(`${seed}/${yield* Random.nextInt}`))[0]
  const before = meta.get("incarnation")
  const incarnation = (typeof before === "number" && Number.isSafeInteger(before) && before >= 0 ? before : 0) + 1
  const boot = Math.abs(yield* Random.nextInt) % 0x1_0000_0000
  yield* store.write([
    { table: "meta", key: "id", value: id },
    { table: "meta", key: "incarnation", value: incarnation }
  ])
  return { id, incarnation, boot }
})

/** A peer has seen a later run of this node: the next start must come after it. Never moves back. */
export const rowsAfter = (identity: Identity, seen: number): ReadonlyArray<Machine.StoreRow> => [
  { table: "meta", key: "incarnation", value: Math.max(identity.incarnation, seen) }
]

/**
 * Takes the number after the latest run that the fleet knows; durable when it returns. What was stored is older than the
 * node, and so is its sequence of configuration entries: it goes on in another generation before the first one is
 * written, or a new entry would bear the dot of one that the fleet has.
 */
export const beginAfter = (
  store: Store["Service"],
  stored: Stored,
  identity: Identity,
  later: number
): Effect.Effect<Identity, StoreError> => {
  const incarnation = later + 1
  const row = rowsOf(stored, "meta").get("generation")
  const before: unknown = Array.isArray(row) ? row[0] : undefined
  const generation = Math.max(
    incarnation,
    (typeof before === "number" && Number.isSafeInteger(before) ? before : 0) + 1
  )
  const rows: ReadonlyArray<Machine.StoreRow> = [
    { table: "meta", key: "incarnation", value: incarnation },
    { table: "meta", key: "generation", value: [generation] }
  ]
  return Effect.as(store.write(rows), { ...identity, incarnation })
}

export const peerOf = (identity: Identity, address: string): Peer.Peer => ({
  id: identity.id,
  incarnation: identity.incarnation,
  address
})

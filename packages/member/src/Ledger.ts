/**
 * Which broadcasts have been handed over by the broadcast tree: the receiver's side of exactly-once.
 *
 * Written in the same synchronous turn as the delivery, outside the component. When a broadcast tree has to be rebuilt
 * instead of trusted, it starts from here and never delivers twice.
 *
 * @since 0.1.0
 */
import { BroadcastTree, type MessageId } from "@starling/gossip"
import { type NodeId, SeqSet } from "@starling/machine"
import * as HashMap from "effect/HashMap"
import * as Option from "effect/Option"

/** By origin, the windows of its newest incarnations, newest first. @since 0.1.0 @category models */
export type Ledger = HashMap.HashMap<NodeId.NodeId, ReadonlyArray<readonly [incarnation: number, SeqSet.SeqSet]>>

/** An origin's run before the one before is over; nothing of it travels any more (our choice). */
const incarnationsMax = 2

/**
 * Origins that are remembered; above, any other gives way. Our choice: twice as many as the broadcast tree remembers, so that
 * most that it knows are here too.
 *
 * @since 0.1.0
 */
export const originsMax = 131_072

/**
 * Intervals of a run of an origin; above, the lowest gaps close. Our choice: the 64 that the tree remembers, and for each of the
 * ordered broadcasts that may wait for their turn by default one more. What waits is no gap in the tree, but one
 * here: if it closed, what is handed out in the end would be taken for handed over.
 *
 * @since 0.2.0
 */
export const intervalsMax = 64 + BroadcastTree.defaults.orderCountMax

/** @since 0.1.0 @category constructors */
export const empty: Ledger = HashMap.empty()

/** @since 0.1.0 */
export const has = (ledger: Ledger, id: MessageId.MessageId): boolean =>
  windows(ledger, id.origin).some(([incarnation, set]) => incarnation === id.incarnation && SeqSet.has(set, id.seq))

/** @since 0.1.0 */
export const record = (ledger: Ledger, id: MessageId.MessageId): Ledger => {
  const before = windows(ledger, id.origin)
  const known = before.find(([incarnation]) => incarnation === id.incarnation)
  const set = SeqSet.compact(SeqSet.add(known?.[1] ?? SeqSet.empty, id.seq), intervalsMax)
  const rest = before.filter(([incarnation]) => incarnation !== id.incarnation)
  const after = [[id.incarnation, set] as const, ...rest].toSorted((a, b) => b[0] - a[0]).slice(0, incarnationsMax)
  const isFull = before.length === 0 && HashMap.size(ledger) >= originsMax
  return HashMap.set(isFull ? withoutOne(ledger) : ledger, id.origin, after)
}

const windows = (ledger: Ledger, origin: NodeId.NodeId) => Option.getOrElse(HashMap.get(ledger, origin), () => [])

const withoutOne = (ledger: Ledger): Ledger => {
  for (const origin of HashMap.keys(ledger)) return HashMap.remove(ledger, origin)
  return ledger
}

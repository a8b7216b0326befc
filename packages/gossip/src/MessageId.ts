/**
 * Which broadcast is meant: the node that sent it, the run of that node, and a number that counts from 1 in that run.
 *
 * Not a hash of the content: equal contents are different broadcasts, and numbers in a row compact to one interval
 * (`SeqSet`), so that a node can remember for ever what it has delivered.
 *
 * @since 0.1.0
 */
import { Codec, NodeId, Peer } from "@starling/machine"

/** @since 0.1.0 @category models */
export interface MessageId {
  readonly origin: NodeId.NodeId
  readonly incarnation: number
  /** Counts from 1 within the incarnation. */
  readonly seq: number
}

/** `origin.incarnation.seq`: a key, and what logs show. @since 0.1.0 */
export const toText = (id: MessageId): string => `${id.origin}.${id.incarnation}.${id.seq}`

/** @since 0.1.0 */
export const same = (a: MessageId, b: MessageId): boolean =>
  a.seq === b.seq && a.origin === b.origin && a.incarnation === b.incarnation

/** @since 0.1.0 @category codec */
export const encode = (id: MessageId): ReadonlyArray<unknown> => [id.origin, id.incarnation, id.seq]

/** @since 0.1.0 @category codec */
export const decode: Codec.Decoder<MessageId> = (input) => {
  const fields = Codec.tuple(input, 3, "message id")
  if (!fields.ok) return fields
  const [origin, incarnation, seq] = fields.value
  if (!NodeId.isNodeId(origin)) return Codec.refuse("message id: origin is not twelve hexadecimal digits")
  if (!Codec.isCount(incarnation, Peer.incarnationMax)) return Codec.refuse("message id: incarnation is not a count")
  if (!Codec.isCount(seq) || seq < 1) return Codec.refuse("message id: sequence is not a count from 1")
  return Codec.accept({ origin, incarnation, seq })
}

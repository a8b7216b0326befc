/**
 * A node as other nodes know it: which node, which run of it, and where it listens.
 *
 * @since 0.1.0
 */
import { isNodeId, type NodeId } from "./NodeId.ts"
import * as Codec from "./Codec.ts"

/**
 * `incarnation` counts the runs of a node, is durable before the first frame leaves, and fences older runs: of two
 * peers with one id the one with the higher incarnation is meant. `address` is `host:port`, what others dial.
 *
 * @since 0.1.0
 * @category models
 */
export interface Peer {
  readonly id: NodeId
  readonly incarnation: number
  readonly address: string
}

/** The largest incarnation that travels. @since 0.1.0 */
export const incarnationMax = Number.MAX_SAFE_INTEGER

/** The longest address that travels, in characters. @since 0.1.0 */
export const addressLengthMax = 255

/** The same run of the same node. @since 0.1.0 */
export const same = (a: Peer, b: Peer): boolean => a.id === b.id && a.incarnation === b.incarnation

/** @since 0.1.0 @category codec */
export const encode = (peer: Peer): ReadonlyArray<unknown> => [peer.id, peer.incarnation, peer.address]

/** @since 0.1.0 @category codec */
export const decode: Codec.Decoder<Peer> = (input) => {
  const fields = Codec.tuple(input, 3, "peer")
  if (!fields.ok) return fields
  const [id, incarnation, address] = fields.value
  if (!isNodeId(id)) return Codec.refuse("peer: id is not twelve hexadecimal digits")
  if (!Codec.isCount(incarnation, incarnationMax)) return Codec.refuse("peer: incarnation is not a count")
  if (!Codec.isText(address, addressLengthMax))
    return Codec.refuse("peer: address is not a text of at most 255 characters")
  return Codec.accept({ id, incarnation, address })
}

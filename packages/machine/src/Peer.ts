/**
 * A node as other nodes know it: which node, which run of it, where it listens, and in which data centre.
 *
 * @since 0.1.0
 */
import { isNodeId, type NodeId } from "./NodeId.ts"
import * as Codec from "./Codec.ts"

/**
 * `incarnation` counts the runs of a node, is durable before the first frame leaves, and fences older runs: of two
 * peers with one id the one with the higher incarnation is meant. `address` is `host:port`, what others dial.
 * `datacenter` is absent where it is not known: of a node without one, and of what an older node handed on.
 *
 * @since 0.1.0
 * @category models
 */
export interface Peer {
  readonly id: NodeId
  readonly incarnation: number
  readonly address: string
  readonly datacenter?: string
}

/** The longest name of a data centre that travels, in characters. @since 0.1.0 */
export const datacenterLengthMax = 255

/** The largest incarnation that travels. @since 0.1.0 */
export const incarnationMax = Number.MAX_SAFE_INTEGER

/** The longest address that travels, in characters. @since 0.1.0 */
export const addressLengthMax = 255

/** The same run of the same node. @since 0.1.0 */
export const same = (a: Peer, b: Peer): boolean => a.id === b.id && a.incarnation === b.incarnation

/** Both are known to be in one data centre. @since 0.1.0 */
export const isNear = (a: Peer, b: Peer): boolean => a.datacenter !== undefined && a.datacenter === b.datacenter

/** Both are known to be in different data centres. @since 0.1.0 */
export const isFar = (a: Peer, b: Peer): boolean =>
  a.datacenter !== undefined && b.datacenter !== undefined && a.datacenter !== b.datacenter

/** A peer with the data centre it is in; a name that is empty says nothing. @since 0.1.0 @category constructors */
export const within = (peer: Peer, datacenter: string): Peer => (datacenter === "" ? peer : { ...peer, datacenter })

/** The data centre is a field that older readers skip. @since 0.1.0 @category codec */
export const encode = (peer: Peer): ReadonlyArray<unknown> =>
  peer.datacenter === undefined
    ? [peer.id, peer.incarnation, peer.address]
    : [peer.id, peer.incarnation, peer.address, peer.datacenter]

/** @since 0.1.0 @category codec */
export const decode: Codec.Decoder<Peer> = (input) => {
  const fields = Codec.tuple(input, 3, "peer")
  if (!fields.ok) return fields
  const [id, incarnation, address, datacenter] = fields.value
  if (!isNodeId(id)) return Codec.refuse("peer: id is not twelve hexadecimal digits")
  if (!Codec.isCount(incarnation, incarnationMax)) return Codec.refuse("peer: incarnation is not a count")
  if (!Codec.isText(address, addressLengthMax))
    return Codec.refuse("peer: address is not a text of at most 255 characters")
  if (datacenter === undefined || datacenter === null) return Codec.accept({ id, incarnation, address })
  if (!Codec.isText(datacenter, datacenterLengthMax))
    return Codec.refuse("peer: data centre is not a text of at most 255 characters")
  return Codec.accept(within({ id, incarnation, address }, datacenter))
}

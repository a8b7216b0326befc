/**
 * The first words on a connection: who is there, of which fleet, speaking which versions.
 *
 * The dialer says `Hello`; the acceptor answers `Welcome`, with the version both will speak, or `Refusal`, with a code
 * and a sentence that names both sides, and closes. Both ends give up after three seconds. Until the handshake is done
 * a stranger can make this node keep at most one small frame.
 *
 * The magic word and the shape of these messages never change; later versions append fields.
 *
 * @since 0.1.0
 */
import { Codec, NodeId, Peer } from "@starling/machine"

/**
 * One run of a node. `boot` is drawn anew by each process: two of them for one id and incarnation mean that a data
 * directory was copied.
 *
 * @since 0.1.0
 * @category models
 */
export interface NodeInfo {
  readonly id: NodeId.NodeId
  readonly incarnation: number
  readonly boot: number
  readonly name: string
  readonly datacenter: string
  /** What others dial, host:port. */
  readonly address: string
}

/** What one side says of itself. `versions` are the lowest and the highest it speaks. @since 0.1.0 @category models */
export interface Hello {
  readonly fleet: string
  readonly versions: readonly [lowest: number, highest: number]
  readonly node: NodeInfo
}

/**
 * Why a side is not welcome.
 *
 * - `fleet`: it belongs to another fleet. `version`: no version both speak. `self`: it is this very process.
 * - `duplicate`: the same node id and incarnation, another process. `outdated`: a later run of that node is known, with
 *   `incarnation`. `name`: another node of that name is alive. `busy`: no room for another link.
 * - `garbage`: what it said is no hello.
 *
 * @since 0.1.0
 * @category models
 */
export type RefusalCode = "fleet" | "version" | "self" | "duplicate" | "outdated" | "name" | "busy" | "garbage"

/** @since 0.1.0 @category models */
export interface Refusal {
  readonly code: RefusalCode
  /** One sentence that names both sides and what would be right. */
  readonly message: string
  /** Of `outdated`: the highest incarnation that is known. */
  readonly incarnation?: number
}

/** @since 0.1.0 @category models */
export type Message =
  | { readonly _tag: "Hello"; readonly hello: Hello }
  | { readonly _tag: "Welcome"; readonly version: number; readonly hello: Hello }
  | { readonly _tag: "Refusal"; readonly refusal: Refusal }

/** The protocol versions this release speaks. @since 0.1.0 */
export const versions: readonly [lowest: number, highest: number] = [1, 1]

/** Said first by everybody; anything else is no node. @since 0.1.0 */
export const magic = "starling"

/** The peer that machines know. @since 0.1.0 */
export const peerOf = (hello: Hello): Peer.Peer => ({
  id: hello.node.id,
  incarnation: hello.node.incarnation,
  address: hello.node.address
})

/**
 * Who a node is: 48 random bits, written as twelve lower-case hexadecimal digits.
 *
 * A node keeps its id for as long as it keeps its data directory. Which run of the node is meant is said by the
 * incarnation beside it (see `Peer`).
 *
 * @since 0.1.0
 */
import * as Rng from "./Rng.ts"

/**
 * Twelve lower-case hexadecimal digits. Plain strings, so that ids compare, hash and travel without conversion.
 *
 * @since 0.1.0
 * @category models
 */
export type NodeId = string

/** @since 0.1.0 */
export const isNodeId = (value: unknown): value is NodeId => typeof value === "string" && /^[0-9a-f]{12}$/.test(value)

/**
 * Draws an id. 48 bits: among 10,000 nodes two share an id with a probability of about 2e-7.
 *
 * @since 0.1.0
 * @category constructors
 */
export const random = (rng: Rng.Rng): readonly [NodeId, Rng.Rng] => {
  const [high, next] = Rng.nextInt(rng, 0x1000000)
  const [low, last] = Rng.nextInt(next, 0x1000000)
  return [high.toString(16).padStart(6, "0") + low.toString(16).padStart(6, "0"), last]
}

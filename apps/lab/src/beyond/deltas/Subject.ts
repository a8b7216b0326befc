/**
 * What the experiment needs of a fleet, whatever its nodes are made of. Nodes are named by their number.
 *
 * @since 0.1.0
 */

/** Hears that a node has the last change of another; more than once does no harm. @since 0.1.0 @category models */
export type Seen = (node: number, origin: number, now: number) => void

/** What a node has counted since it began. @since 0.1.0 @category models */
export interface Cost {
  /** Deltas that came, */
  readonly received: number
  /** and of these, those that brought nothing new. */
  readonly repeated: number
  /** Documents that the node had to ask for. */
  readonly pulled: number
}

/** @since 0.1.0 @category models */
export interface Subject {
  readonly pass: (ms: number) => void
  readonly now: () => number
  readonly at: (ms: number, run: () => void) => void
  readonly alive: () => ReadonlyArray<number>
  /** Those that beat. */
  readonly relays: () => ReadonlyArray<number>
  /** The node changes its document; false if it does not run. */
  readonly emit: (node: number, round: number) => boolean
  readonly kill: (node: number) => void
  readonly cost: () => ReadonlyMap<number, Cost>
  readonly frames: () => number
}

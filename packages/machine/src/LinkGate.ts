/**
 * Holds what arrives on a link before the component has heard that the link's peer is a neighbour.
 *
 * The view manager and the links are other actors, so a neighbour's first frames may overtake the news that it is one.
 * They wait here, bounded, until the neighbour set names the link or the link goes down.
 *
 * @since 0.1.0
 */
import type { LinkId, Neighbor } from "./Machine.ts"

/** @since 0.1.0 @category models */
export interface LinkGate<Message> {
  /** Number of the newest neighbour set heard of; an older one changes nothing. */
  readonly version: number
  readonly neighbors: ReadonlyArray<Neighbor>
  readonly held: ReadonlyArray<{ readonly link: LinkId; readonly message: Message }>
  /** Frames dropped because `heldMax` was reached. */
  readonly overflowed: number
}

/** Our choice: a neighbour's frames of one round trip, and a bound on what a stranger can make us keep. @since 0.1.0 */
export const heldMax = 256

/** @since 0.1.0 @category constructors */
export const empty: LinkGate<never> = { version: 0, neighbors: [], held: [], overflowed: 0 }

/** @since 0.1.0 */
export const neighborOf = <Message>(gate: LinkGate<Message>, link: LinkId): Neighbor | undefined =>
  gate.neighbors.find((neighbor) => neighbor.link === link)

/** Keeps a frame of a link that is not a neighbour's, or counts it as dropped. @since 0.1.0 */
export const hold = <Message>(gate: LinkGate<Message>, link: LinkId, message: Message): LinkGate<Message> =>
  gate.held.length >= heldMax
    ? { ...gate, overflowed: gate.overflowed + 1 }
    : { ...gate, held: [...gate.held, { link, message }] }

/** Forgets what is held of a link that went down. @since 0.1.0 */
export const close = <Message>(gate: LinkGate<Message>, link: LinkId): LinkGate<Message> =>
  gate.held.some((frame) => frame.link === link)
    ? { ...gate, held: gate.held.filter((frame) => frame.link !== link) }
    : gate

/** @since 0.1.0 @category models */
export interface Change<Message> {
  readonly gate: LinkGate<Message>
  readonly up: ReadonlyArray<Neighbor>
  readonly down: ReadonlyArray<Neighbor>
  /** Frames that were waiting for one of `up`, in order of arrival. */
  readonly released: ReadonlyArray<{ readonly link: LinkId; readonly message: Message }>
}

const none: ReadonlyArray<never> = []

/** Takes a numbered neighbour set; undefined if it is not newer than the last. @since 0.1.0 */
export const accept = <Message>(
  gate: LinkGate<Message>,
  version: number,
  neighbors: ReadonlyArray<Neighbor>
): Change<Message> | undefined => {
  if (version <= gate.version) return undefined
  // Most news is of other things: the set is the one that is known, and no frame waits for a member of it.
  if (neighbors === gate.neighbors) return { gate: { ...gate, version }, up: none, down: none, released: none }
  const before = new Set(gate.neighbors.map((neighbor) => neighbor.link))
  const after = new Set(neighbors.map((neighbor) => neighbor.link))
  return {
    gate: { ...gate, version, neighbors, held: gate.held.filter((frame) => !after.has(frame.link)) },
    up: neighbors.filter((neighbor) => !before.has(neighbor.link)),
    down: gate.neighbors.filter((neighbor) => !after.has(neighbor.link)),
    released: gate.held.filter((frame) => after.has(frame.link))
  }
}

/**
 * Relay trees: the ways along which changes of documents travel.
 *
 * Every node emits changes, and a tree for each node would be as many trees as nodes. So a few nodes, the **relays**, keep
 * one tree each, and a change travels along the edges of one of these trees, in both directions from where it began.
 * Nothing passes through the relay itself unless it lies on the way.
 *
 * - Every `beatMs` a relay numbers a **beat**, and all nodes pass it on over all their links. The neighbour that brings the
 *   newest beat first is the **parent** (Dalal, Metcalfe: "Reverse path forwarding of broadcast packets", CACM 21(12),
 *   1978). Whoever brings a beat first had it before, so parents make no circle, also while some nodes have the new beat and
 *   some do not (numbers never fall on the way to the root: Perkins, Bhagwat: "Highly dynamic destination-sequenced
 *   distance-vector routing (DSDV)", SIGCOMM 1994).
 * - A node **claims** its parent, so both ends know the edge. The parent before is claimed for `settleMs` more: of the old
 *   tree and the new one, one is whole.
 * - A node that lost its parent takes the neighbour that brought the newest beat next: that one had it from somebody else, so
 *   it mostly is no descendant; where it is one all the same, the next beat mends it. If nobody is left who brought it, the
 *   node claims all its neighbours until somebody does.
 * - New neighbours tell each other the newest beats at once: who knows none yet, or lost its parent, has one then.
 * - A relay of which nothing is known, or little yet, has all links for edges: then a change is flooded.
 *
 * Who is a relay nobody decides: each node looks whether it is one. Which relay a change takes is chosen where it begins,
 * among those that still beat. If nodes disagree, changes come twice or late; none is lost for good, since neighbours
 * announce to each other what they have.
 *
 * @since 0.1.0
 */
import type { Machine, NodeId } from "@starling/machine"
import * as HashMap from "effect/HashMap"
import * as Option from "effect/Option"
import { compareKnown, type Known } from "./NodeDoc.ts"

/** @since 0.1.0 @category models */
export interface Config {
  /**
   * Relays at once. Our choice: enough that the death of one concerns few, and few enough that beats cost an idle node some
   * frames a second. With 0 this node never is one.
   */
  readonly relaysMax: number
  /** Time between two beats of a relay. Our choice: a tree that broke is whole again after it; until then neighbours pull. */
  readonly beatMs: number
  /** How long old edges stay beside new ones. Our choice: longer than a beat takes through the fleet. */
  readonly settleMs: number
}

/** @since 0.1.0 */
export const defaults: Config = { relaysMax: 16, beatMs: 10_000, settleMs: 1000 }

/**
 * One relay's tree, as far as this node is part of it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Branch {
  /** The newest beat: run of the relay's document, and number within the run. */
  readonly beat: Known
  readonly hash: number
  /** When the relay was first heard of. */
  readonly since: Machine.Instant
  readonly heardAt: Machine.Instant
  /** The link to the parent; null at the root, and where the parent was lost and nobody could take its place. */
  readonly up: Machine.LinkId | null
  /** Links that brought the newest beat after the parent's, in that order: the next parents, should this one be lost. */
  readonly next: ReadonlyArray<Machine.LinkId>
  readonly switchedAt: Machine.Instant
  /** Links that are still claimed beside the parent's. */
  readonly former: ReadonlyArray<Machine.LinkId>
  /** Links whose other ends have claimed this node, and when they did last. */
  readonly down: ReadonlyArray<{ readonly link: Machine.LinkId; readonly at: Machine.Instant }>
}

/** @since 0.1.0 @category models */
export type Relays = HashMap.HashMap<NodeId.NodeId, Branch>

/** @since 0.1.0 @category constructors */
export const empty: Relays = HashMap.empty()

/** Trees that are kept: those of nodes that disagree about who is a relay, too. Our choice. @since 0.1.0 */
export const knownMax = 64

/** A relay is chosen until it has missed two beats and a half. */
const freshBeats = 2.5

/** After so many missed beats its tree is forgotten. */
const keptBeats = 3.5

/** @since 0.1.0 */
export const branchOf = (relays: Relays, relay: NodeId.NodeId): Branch | undefined =>
  Option.getOrUndefined(HashMap.get(relays, relay))

/** @since 0.1.0 @category models */
export type Heard =
  | { readonly _tag: "Old" }
  /** There are `knownMax` trees already. */
  | { readonly _tag: "Full" }
  /** The newest beat once more: this link may lead to the next parent. */
  | { readonly _tag: "Again"; readonly relays: Relays }
  /** Nobody was the parent any more, and who brings the newest beat is; the link has to be claimed. */
  | { readonly _tag: "Adopted"; readonly relays: Relays }
  /** It has to be passed on, and the link to be claimed. */
  | { readonly _tag: "Newer"; readonly relays: Relays }

/** A beat came on this link, or is this node's own (`link` null). @since 0.1.0 @category running */
export const heard = (
  relays: Relays,
  relay: NodeId.NodeId,
  beat: Known,
  link: Machine.LinkId | null,
  now: Machine.Instant
): Heard => {
  const before = branchOf(relays, relay)
  if (before === undefined) {
    if (HashMap.size(relays) >= knownMax) return { _tag: "Full" }
    const branch: Branch = {
      beat,
      hash: hashOf(relay),
      since: now,
      heardAt: now,
      up: link,
      next: [],
      switchedAt: now,
      former: [],
      down: []
    }
    return { _tag: "Newer", relays: HashMap.set(relays, relay, branch) }
  }
  const age = compareKnown(beat, before.beat)
  if (age < 0 || (age === 0 && link === null)) return { _tag: "Old" }
  if (age === 0) return again(relays, relay, before, link as Machine.LinkId, now)
  const { up } = before
  const isSame = up === link
  const others = before.former.filter((other) => other !== link && other !== up)
  const branch: Branch = {
    ...before,
    beat,
    heardAt: now,
    up: link,
    next: [],
    switchedAt: isSame ? before.switchedAt : now,
    former: isSame || up === null ? others : [...others, up]
  }
  return { _tag: "Newer", relays: HashMap.set(relays, relay, branch) }
}

const again = (
  relays: Relays,
  relay: NodeId.NodeId,
  branch: Branch,
  link: Machine.LinkId,
  now: Machine.Instant
): Heard => {
  const { former, next, up } = branch
  if (up === link || next.includes(link)) return { _tag: "Old" }
  if (up !== null) return { _tag: "Again", relays: HashMap.set(relays, relay, { ...branch, next: [...next, link] }) }
  const adopted = { ...branch, up: link, switchedAt: now, former: former.filter((other) => other !== link) }
  return { _tag: "Adopted", relays: HashMap.set(relays, relay, adopted) }
}

/** The other end of a link says whether this node is its parent. @since 0.1.0 @category running */
export const claimed = (
  relays: Relays,
  relay: NodeId.NodeId,
  link: Machine.LinkId,
  isParent: boolean,
  now: Machine.Instant
): Relays => {
  const branch = branchOf(relays, relay)
  if (branch === undefined) return relays
  const others = branch.down.filter((child) => child.link !== link)
  return HashMap.set(relays, relay, { ...branch, down: isParent ? [...others, { link, at: now }] : others })
}

/**
 * Links are gone. `left` are those that remain. For each relay whose parent was lost, `orphaned` names the links that have to
 * be claimed: the next parent's, or all.
 *
 * @since 0.1.0
 * @category running
 */
export const without = (
  relays: Relays,
  gone: ReadonlyArray<Machine.LinkId>,
  left: ReadonlyArray<Machine.LinkId>,
  now: Machine.Instant
): {
  readonly relays: Relays
  readonly orphaned: ReadonlyArray<{ readonly relay: NodeId.NodeId; readonly links: ReadonlyArray<Machine.LinkId> }>
} => {
  let rest = relays
  const orphaned: Array<{ readonly relay: NodeId.NodeId; readonly links: ReadonlyArray<Machine.LinkId> }> = []
  const isLeft = (link: Machine.LinkId) => !gone.includes(link)
  for (const [relay, branch] of relays) {
    const isOrphan = branch.up !== null && !isLeft(branch.up)
    const touched = [...branch.former, ...branch.next, ...branch.down.map(({ link }) => link)]
    if (!isOrphan && touched.every(isLeft)) continue
    const next = branch.next.filter(isLeft)
    const kept = { ...branch, next, former: branch.former.filter(isLeft), down: branch.down.filter(({ link }) => isLeft(link)) }
    if (!isOrphan) {
      rest = HashMap.set(rest, relay, kept)
      continue
    }
    // Not a child: what it hears, it hears from this node.
    const up = next.find((link) => kept.down.every((child) => child.link !== link)) ?? null
    orphaned.push({ relay, links: up === null ? left : [up] })
    rest = HashMap.set(rest, relay, {
      ...kept,
      up,
      next: next.filter((link) => link !== up),
      switchedAt: now,
      former: up === null ? left : kept.former.filter((link) => link !== up)
    })
  }
  return { relays: rest, orphaned }
}

/**
 * What has to end: `released` links are claimed no longer, and the other ends must hear it. Relays that fell silent are
 * forgotten, and children that did not claim again.
 *
 * @since 0.1.0
 * @category running
 */
export const tended = (
  relays: Relays,
  config: Config,
  now: Machine.Instant
): {
  readonly relays: Relays
  readonly released: ReadonlyArray<{ readonly relay: NodeId.NodeId; readonly links: ReadonlyArray<Machine.LinkId> }>
} => {
  let next = relays
  const released: Array<{ readonly relay: NodeId.NodeId; readonly links: ReadonlyArray<Machine.LinkId> }> = []
  for (const [relay, branch] of relays) {
    if (now - branch.heardAt > keptBeats * config.beatMs) {
      next = HashMap.remove(next, relay)
      continue
    }
    const isOver = branch.former.length > 0 && branch.up !== null && now - branch.switchedAt >= config.settleMs
    const isFresh = (child: { readonly at: Machine.Instant }) => now - child.at <= freshBeats * config.beatMs
    if (!isOver && branch.down.every(isFresh)) continue
    if (isOver) released.push({ relay, links: branch.former })
    next = HashMap.set(next, relay, {
      ...branch,
      former: isOver ? [] : branch.former,
      down: branch.down.filter(isFresh)
    })
  }
  return { relays: next, released }
}

/** True if the tree is known, and for long enough that its edges are. @since 0.1.0 */
export const isGrown = (branch: Branch | undefined, config: Config, now: Machine.Instant): branch is Branch =>
  branch !== undefined && now - branch.since >= config.settleMs

/** True if this link is an edge of the tree. @since 0.1.0 */
export const isEdge = (
  branch: Branch | undefined,
  link: Machine.LinkId,
  config: Config,
  now: Machine.Instant
): boolean => {
  if (!isGrown(branch, config, now)) return true
  if (branch.up === link || branch.former.includes(link)) return true
  for (const child of branch.down) if (child.link === link) return true
  return false
}

/**
 * The relay for what this node emits: of those that beat, the one that goes with it best. So nodes spread over the relays,
 * and when one ends, only those that had it choose anew (Thaler, Ravishankar: "Using name-based mappings to increase hit
 * rates", IEEE/ACM ToN 6(1), 1998: rendezvous hashing). Null while no relay is known.
 *
 * @since 0.1.0
 */
export const choose = (
  relays: Relays,
  origin: NodeId.NodeId,
  config: Config,
  now: Machine.Instant
): NodeId.NodeId | null => {
  const own = hashOf(origin)
  let best: NodeId.NodeId | null = null
  let most = -1
  for (const [relay, branch] of relays) {
    if (now - branch.heardAt > freshBeats * config.beatMs || now - branch.since < config.settleMs) continue
    const weight = mix(own ^ Math.imul(branch.hash, 0x9e3779b1))
    if (weight > most || (weight === most && best !== null && relay < best)) {
      best = relay
      most = weight
    }
  }
  return best
}

/** By this number nodes are relays: the `relaysMax` greatest of those present. @since 0.1.0 */
export const rankOf = (id: NodeId.NodeId): number => mix(hashOf(id))

const hashOf = (id: NodeId.NodeId): number => {
  let hash = 0x811c9dc5
  for (let i = 0; i < id.length; i++) hash = Math.imul(hash ^ id.charCodeAt(i), 0x01000193)
  return hash >>> 0
}

const mix = (hash: number): number => {
  let mixed = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35)
  return (mixed ^ (mixed >>> 16)) >>> 0
}

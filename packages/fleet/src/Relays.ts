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
 *   it mostly is no descendant; where it is one all the same, the next beat mends it, or its claim of this node does: of two
 *   that take each other, neither has a way to the others.
 * - If nobody is left who brought it, or the parent was the relay itself, whose beats may have ended, the node claims all its
 *   neighbours until somebody brings a beat.
 * - New neighbours tell each other the newest beats at once: who knows none yet, or lost its parent, has one then. Beats of a
 *   relay that fell silent are not told, and known again where they come: no relay beats on after its end.
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
  /** The link that brought the newest beat first; null at the root. The parent is another one once that was lost. */
  readonly bringer: Machine.LinkId | null
  /** Links that brought the newest beat after the parent's, in that order: the next parents, should this one be lost. */
  readonly next: ReadonlyArray<Machine.LinkId>
  readonly switchedAt: Machine.Instant
  /** Links that are still claimed beside the parent's. */
  readonly former: ReadonlyArray<Machine.LinkId>
  /** Links whose other ends have claimed this node, and when they did last. */
  readonly down: ReadonlyArray<{ readonly link: Machine.LinkId; readonly at: Machine.Instant }>
  /** It fell silent and has no tree any more; only its last beat is kept, so that nobody takes it for news. */
  readonly silent: boolean
}

/** @since 0.1.0 @category models */
export type Relays = HashMap.HashMap<NodeId.NodeId, Branch>

/** @since 0.1.0 @category constructors */
export const empty: Relays = HashMap.empty()

/** Relays that are known, silent ones included: those of nodes that disagree about who is one, too. Our choice. @since 0.1.0 */
export const knownMax = 64

/** A relay is chosen until it has missed two beats and a half. */
const freshBeats = 2.5

/** After so many missed beats it is silent. */
const keptBeats = 3.5

/** After so many, nobody tells of it any more, and it is forgotten. */
const rememberedBeats = 60

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
    const rest = withRoom(relays)
    if (rest === undefined) return { _tag: "Full" }
    return { _tag: "Newer", relays: HashMap.set(rest, relay, begun(relay, beat, link, now)) }
  }
  const age = compareKnown(beat, before.beat)
  if (age < 0 || (age === 0 && (link === null || before.silent))) return { _tag: "Old" }
  if (age === 0) return again(relays, relay, before, link as Machine.LinkId, now)
  if (before.silent) return { _tag: "Newer", relays: HashMap.set(relays, relay, begun(relay, beat, link, now)) }
  const { up } = before
  const isSame = up === link
  const others = before.former.filter((other) => other !== link && other !== up)
  const branch: Branch = {
    ...before,
    beat,
    heardAt: now,
    up: link,
    bringer: link,
    next: [],
    switchedAt: isSame ? before.switchedAt : now,
    former: isSame || up === null ? others : [...others, up]
  }
  return { _tag: "Newer", relays: HashMap.set(relays, relay, branch) }
}

/** The first beat of a relay, or the first since it fell silent. */
const begun = (relay: NodeId.NodeId, beat: Known, link: Machine.LinkId | null, now: Machine.Instant): Branch => ({
  beat,
  hash: hashOf(relay),
  since: now,
  heardAt: now,
  up: link,
  bringer: link,
  next: [],
  switchedAt: now,
  former: [],
  down: [],
  silent: false
})

/** The longest silent makes room for one more; undefined if none is. */
const withRoom = (relays: Relays): Relays | undefined => {
  if (HashMap.size(relays) < knownMax) return relays
  let oldest: NodeId.NodeId | undefined
  let heardAt = Number.POSITIVE_INFINITY
  for (const [relay, branch] of relays) {
    if (branch.silent && branch.heardAt < heardAt) [oldest, heardAt] = [relay, branch.heardAt]
  }
  return oldest === undefined ? undefined : HashMap.remove(relays, oldest)
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

/**
 * The other end of a link says whether this node is its parent. If it is this node's own, in the place of one that was
 * lost, `orphaned` names what has to be claimed in its stead.
 *
 * @since 0.1.0
 * @category running
 */
export const claimed = (
  relays: Relays,
  relay: NodeId.NodeId,
  link: Machine.LinkId,
  isParent: boolean,
  left: ReadonlyArray<Machine.LinkId>,
  now: Machine.Instant
): { readonly relays: Relays; readonly orphaned: ReadonlyArray<Orphaned> } => {
  const branch = branchOf(relays, relay)
  if (branch === undefined || branch.silent) return { relays, orphaned: [] }
  const others = branch.down.filter((child) => child.link !== link)
  const told = { ...branch, down: isParent ? [...others, { link, at: now }] : others }
  if (!isParent || branch.up !== link || branch.up === branch.bringer) {
    return { relays: HashMap.set(relays, relay, told), orphaned: [] }
  }
  const next = succeeded({ ...told, former: [...told.former, link] }, left, false, now)
  return {
    relays: HashMap.set(relays, relay, next.branch),
    orphaned: [{ relay, links: next.claims }]
  }
}

/** Links that have to be claimed because a parent was lost. @since 0.1.0 @category models */
export interface Orphaned {
  readonly relay: NodeId.NodeId
  readonly links: ReadonlyArray<Machine.LinkId>
}

/** Another parent in the place of a lost one; if it was the relay, or nobody could be one, every link. */
const succeeded = (
  branch: Branch,
  left: ReadonlyArray<Machine.LinkId>,
  wasRelay: boolean,
  now: Machine.Instant
): { readonly branch: Branch; readonly claims: ReadonlyArray<Machine.LinkId> } => {
  // Not a child: what it hears, it hears from this node.
  const isChild = (link: Machine.LinkId) => branch.down.some((child) => child.link === link)
  const up = wasRelay ? null : (branch.next.find((link) => !isChild(link)) ?? null)
  return {
    branch: {
      ...branch,
      up,
      next: branch.next.filter((link) => link !== up),
      switchedAt: now,
      former: up === null ? left : branch.former.filter((link) => link !== up)
    },
    claims: up === null ? left : [up]
  }
}

/**
 * Links to these nodes are gone. `left` are the links that remain. For each relay whose parent was lost, `orphaned` names
 * the links that have to be claimed: the next parent's, or all.
 *
 * @since 0.1.0
 * @category running
 */
export const without = (
  relays: Relays,
  gone: ReadonlyArray<{ readonly link: Machine.LinkId; readonly id: NodeId.NodeId }>,
  left: ReadonlyArray<Machine.LinkId>,
  now: Machine.Instant
): { readonly relays: Relays; readonly orphaned: ReadonlyArray<Orphaned> } => {
  let rest = relays
  const orphaned: Array<Orphaned> = []
  const isLeft = (link: Machine.LinkId) => gone.every((lost) => lost.link !== link)
  for (const [relay, branch] of relays) {
    const { up } = branch
    const isOrphan = up !== null && !isLeft(up)
    const touched = [...branch.former, ...branch.next, ...branch.down.map(({ link }) => link)]
    if (!isOrphan && touched.every(isLeft)) continue
    const kept = {
      ...branch,
      next: branch.next.filter(isLeft),
      former: branch.former.filter(isLeft),
      down: branch.down.filter(({ link }) => isLeft(link))
    }
    if (!isOrphan) {
      rest = HashMap.set(rest, relay, kept)
      continue
    }
    const wasRelay = gone.some(({ id, link }) => link === up && id === relay)
    const next = succeeded(kept, left, wasRelay, now)
    orphaned.push({ relay, links: next.claims })
    rest = HashMap.set(rest, relay, next.branch)
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
    if (now - branch.heardAt > rememberedBeats * config.beatMs) {
      next = HashMap.remove(next, relay)
      continue
    }
    if (branch.silent) continue
    if (now - branch.heardAt > keptBeats * config.beatMs) {
      next = HashMap.set(next, relay, {
        ...branch,
        up: null,
        bringer: null,
        next: [],
        former: [],
        down: [],
        silent: true
      })
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
  branch !== undefined && !branch.silent && now - branch.since >= config.settleMs

/** Beats that a new neighbour is told: of relays that still beat. @since 0.1.0 */
export const told = (
  relays: Relays,
  config: Config,
  now: Machine.Instant
): ReadonlyArray<readonly [NodeId.NodeId, Known]> =>
  [...relays].flatMap(([relay, { beat, heardAt }]) =>
    now - heardAt <= freshBeats * config.beatMs ? [[relay, beat] as const] : []
  )

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
 * The relay for what this node emits: of those that beat and are not known to be gone, the one that goes with it best. So
 * nodes spread over the relays, and when one ends, only those that had it choose anew (Thaler, Ravishankar: "Using
 * name-based mappings to increase hit rates", IEEE/ACM ToN 6(1), 1998: rendezvous hashing). Null while no relay is known.
 *
 * @since 0.1.0
 */
export const choose = (
  relays: Relays,
  origin: NodeId.NodeId,
  config: Config,
  now: Machine.Instant,
  isGone: (relay: NodeId.NodeId) => boolean = () => false
): NodeId.NodeId | null => {
  const own = hashOf(origin)
  let best: NodeId.NodeId | null = null
  let most = -1
  for (const [relay, branch] of relays) {
    if (now - branch.heardAt > freshBeats * config.beatMs || now - branch.since < config.settleMs) continue
    const weight = mix(own ^ Math.imul(branch.hash, 0x9e3779b1))
    if ((weight > most || (weight === most && best !== null && relay < best)) && !isGone(relay)) {
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

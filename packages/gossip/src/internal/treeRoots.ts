/**
 * One spanning tree for each root, for a bounded number of roots: which neighbours are lazy in it, and which one serves
 * this node. Every other neighbour is eager, so the two sets are a partition of the neighbours by construction.
 *
 * Which roots have a place when there are too many must not depend on who asks: a tree is of use only where all nodes
 * have it. So a root that was not used for long gives way first, and among the others those with the smallest ids stay.
 */
import { type Machine, type NodeId, Rng } from "@starling/machine"
import * as HashMap from "effect/HashMap"
import * as Option from "effect/Option"

export interface Tree {
  readonly lazy: ReadonlyArray<Machine.LinkId>
  /** The eager neighbour through which this root's broadcasts come; null at the root, and while nobody is known. */
  readonly parent: Machine.LinkId | null
  /** The parent was told that it is: a prune of it was on its way before. */
  readonly isTold: boolean
  /** When this root's last broadcast came. */
  readonly usedAt: Machine.Instant
}

export type Roots = HashMap.HashMap<NodeId.NodeId, Tree>

export interface Limits {
  readonly rootsMax: number
  readonly rootIdleMs: number
}

export const empty: Roots = HashMap.empty()

/** All eager: where the paper starts (Alg. 1). */
const fresh: Tree = { lazy: [], parent: null, isTold: false, usedAt: 0 }

export const get = (roots: Roots, root: NodeId.NodeId): Tree => Option.getOrElse(HashMap.get(roots, root), () => fresh)

export const isLazy = (tree: Tree, link: Machine.LinkId): boolean => tree.lazy.includes(link)

export const withLazy = (tree: Tree, link: Machine.LinkId): Tree => ({
  ...tree,
  lazy: isLazy(tree, link) ? tree.lazy : [...tree.lazy, link],
  parent: tree.parent === link ? null : tree.parent
})

export const withEager = (tree: Tree, link: Machine.LinkId): Tree =>
  isLazy(tree, link) ? { ...tree, lazy: tree.lazy.filter((other) => other !== link) } : tree

export const withParent = (tree: Tree, link: Machine.LinkId | null, isTold: boolean = false): Tree => ({
  ...(link === null ? tree : withEager(tree, link)),
  parent: link,
  isTold
})

/** The root whose place a new one takes; null if there is a free place, undefined if the new one gets none. */
const rival = (
  roots: Roots,
  root: NodeId.NodeId,
  now: Machine.Instant,
  { rootIdleMs, rootsMax }: Limits
): NodeId.NodeId | null | undefined => {
  if (HashMap.size(roots) < rootsMax) return null
  let idle: NodeId.NodeId | undefined
  let idleSince = now - rootIdleMs
  let last = root
  for (const [other, { usedAt }] of roots) {
    if (usedAt < idleSince || (usedAt === idleSince && (idle === undefined || other > idle))) {
      idle = other
      idleSince = usedAt
    }
    if (other > last) last = other
  }
  return idle ?? (last === root ? undefined : last)
}

/** What became of a tree that was to be kept. */
export type Outcome = "kept" | "displaced" | "refused"

/** Keeps a tree, if its root has a place or gets one. */
export const set = (
  roots: Roots,
  root: NodeId.NodeId,
  tree: Tree,
  now: Machine.Instant,
  limits: Limits
): readonly [Roots, Outcome] => {
  if (HashMap.has(roots, root)) return [HashMap.set(roots, root, tree), "kept"]
  const placed = { ...tree, usedAt: now }
  const victim = rival(roots, root, now, limits)
  if (victim === undefined) return [roots, "refused"]
  if (victim === null) return [HashMap.set(roots, root, placed), "kept"]
  return [HashMap.set(HashMap.remove(roots, victim), root, placed), "displaced"]
}

/** A broadcast of the root came. */
export const used = (tree: Tree, now: Machine.Instant): Tree => ({ ...tree, usedAt: now })

/** A tree whose root was silent for longer may have links too many: only its own broadcasts cut them all. Our choice. */
const freshMs = 60_000

/**
 * The root along whose tree this one's broadcasts travel: itself while it has a place or gets one, else one of those that
 * have and that spoke of late. Each of these is drawn a number for this root, and the highest wins, so that a change of
 * one moves few.
 */
export const carrier = (roots: Roots, root: NodeId.NodeId, now: Machine.Instant, limits: Limits): NodeId.NodeId => {
  if (HashMap.has(roots, root) || rival(roots, root, now, limits) !== undefined) return root
  let best = root
  let most = -1
  for (const [other, { usedAt }] of roots) {
    const [unit] = Rng.nextFloat(Rng.make(`${root}/${other}`))
    const drawn = now - usedAt <= freshMs ? 1 + unit : unit
    if (drawn > most || (drawn === most && other < best)) {
      best = other
      most = drawn
    }
  }
  return best
}

/** Forgets links that are no neighbours' any more. Few trees have one of them: the others stay as they are. */
export const without = (roots: Roots, links: ReadonlyArray<Machine.LinkId>): Roots => {
  let left = roots
  if (links.length === 0) return left
  for (const [root, tree] of roots) {
    const isOrphan = tree.parent !== null && links.includes(tree.parent)
    const lazy = tree.lazy.filter((link) => !links.includes(link))
    if (!isOrphan && lazy.length === tree.lazy.length) continue
    left = HashMap.set(left, root, { ...tree, lazy, parent: isOrphan ? null : tree.parent })
  }
  return left
}

/**
 * One spanning tree for each root: which neighbours are lazy in it, and which one serves this node. Every other
 * neighbour is eager, so the two sets are a partition of the neighbours by construction.
 */
import type { Machine, NodeId } from "@starling/machine"
import * as HashMap from "effect/HashMap"
import * as Option from "effect/Option"

export interface Tree {
  readonly lazy: ReadonlyArray<Machine.LinkId>
  /** The eager neighbour through which this root's broadcasts come; null at the root, and while nobody is known. */
  readonly parent: Machine.LinkId | null
  /** `uses` of the roots when this tree was last used. */
  readonly usedAt: number
}

export interface Roots {
  readonly trees: HashMap.HashMap<NodeId.NodeId, Tree>
  readonly uses: number
}

export const empty: Roots = { trees: HashMap.empty(), uses: 0 }

/** All eager: where the paper starts (Alg. 1). */
const fresh: Tree = { lazy: [], parent: null, usedAt: 0 }

export const get = (roots: Roots, root: NodeId.NodeId): Tree =>
  Option.getOrElse(HashMap.get(roots.trees, root), () => fresh)

export const isLazy = (tree: Tree, link: Machine.LinkId): boolean => tree.lazy.includes(link)

export const withLazy = (tree: Tree, link: Machine.LinkId): Tree => ({
  ...tree,
  lazy: isLazy(tree, link) ? tree.lazy : [...tree.lazy, link],
  parent: tree.parent === link ? null : tree.parent
})

export const withEager = (tree: Tree, link: Machine.LinkId): Tree =>
  isLazy(tree, link) ? { ...tree, lazy: tree.lazy.filter((other) => other !== link) } : tree

export const withParent = (tree: Tree, link: Machine.LinkId | null): Tree => ({
  ...(link === null ? tree : withEager(tree, link)),
  parent: link
})

/** Stores a tree as the one used last; the one unused for longest makes room. */
export const set = (
  roots: Roots,
  root: NodeId.NodeId,
  tree: Tree,
  rootsMax: number
): readonly [Roots, evicted: boolean] => {
  const uses = roots.uses + 1
  const used = { ...tree, usedAt: uses }
  if (HashMap.has(roots.trees, root) || HashMap.size(roots.trees) < rootsMax) {
    return [{ trees: HashMap.set(roots.trees, root, used), uses }, false]
  }
  let victim = root
  let least = Number.POSITIVE_INFINITY
  for (const [other, { usedAt }] of roots.trees) {
    if (usedAt < least) {
      victim = other
      least = usedAt
    }
  }
  return [{ trees: HashMap.set(HashMap.remove(roots.trees, victim), root, used), uses }, true]
}

/** Forgets links that are no neighbours' any more. */
export const without = (roots: Roots, links: ReadonlyArray<Machine.LinkId>): Roots => {
  if (links.length === 0) return roots
  const trees = HashMap.map(roots.trees, (tree) =>
    tree.lazy.some((link) => links.includes(link)) || (tree.parent !== null && links.includes(tree.parent))
      ? {
          ...tree,
          lazy: tree.lazy.filter((link) => !links.includes(link)),
          parent: tree.parent !== null && links.includes(tree.parent) ? null : tree.parent
        }
      : tree
  )
  return { trees, uses: roots.uses }
}

/**
 * How a tree gets its shape and keeps it: who is pruned, who serves this node, who is served.
 *
 * A tree has its shape from the broadcasts of its root: each node's parent is the neighbour that gave it the first of
 * them, and parents cannot form a cycle. Broadcasts of roots without a place travel along the same links in whatever
 * direction. They cut what is surplus, but never a link between a node and its parent.
 */
import type { Machine, NodeId } from "@starling/machine"
import type * as LazyPushRepair from "../LazyPushRepair.ts"
import type * as MessageId from "../MessageId.ts"
import type * as Cache from "./treeCache.ts"
import type { Gossip, Message } from "./treeModel.ts"
import * as Roots from "./treeRoots.ts"
import {
  cached,
  count,
  emit,
  isFar,
  isNear,
  isNeighbor,
  recache,
  send,
  setTree,
  type Turn,
  treeOf
} from "./treeTurn.ts"

/** One of the two senders is too many. */
export const onDuplicate = (turn: Turn, link: Machine.LinkId, message: Gossip): void => {
  count(turn, "duplicates")
  const entry = cached(turn, message.id)
  // One sender, two copies: an answer to a graft that crossed the push, or a frame that came twice.
  if (entry?.from === link) return
  // The tree would have given it after all: whoever asked was too quick.
  if (entry?.mended === true && message.mended !== true) emit(turn, { _tag: "Late" })
  const giver = entry?.from ?? null
  const along = message.along ?? message.id.origin
  if (along !== message.id.origin) return cutSurplus(turn, along, link, giver)
  if (entry !== undefined && enterThrough(turn, link, entry, message.entry)) return
  cutOther(turn, along, link, giver)
}

/** Of a root's own broadcast: the one that is not the parent is too many. */
const cutOther = (turn: Turn, root: NodeId.NodeId, link: Machine.LinkId, giver: Machine.LinkId | null): void => {
  const { parent } = treeOf(turn, root)
  if (root === turn.state.config.self.id) return prune(turn, root, link)
  if (parent === link) {
    if (giver !== null && isNeighbor(turn, giver)) prune(turn, root, giver)
    return
  }
  if (parent !== null) return prune(turn, root, link)
  // The parent is gone. The giver of the first copy takes its place if it is still eager, else this sender.
  if (giver === null || !isNeighbor(turn, giver) || Roots.isLazy(treeOf(turn, root), giver)) {
    return adopt(turn, root, link)
  }
  adopt(turn, root, giver)
  prune(turn, root, link)
}

/**
 * Of a broadcast along the tree of another root: the link is cut unless one end is the other's parent. This end knows only
 * of its own, so it asks the other, and does not cut before the answer: what comes meanwhile still passes.
 */
const cutSurplus = (turn: Turn, along: NodeId.NodeId, link: Machine.LinkId, giver: Machine.LinkId | null): void => {
  const { parent } = treeOf(turn, along)
  const surplus = parent !== link ? link : giver
  if (surplus === null || !isNeighbor(turn, surplus)) return
  count(turn, "prunesSent")
  send(turn, surplus, { _tag: "Prune", root: along, unlessParent: true })
}

export const onPrune = (
  turn: Turn,
  link: Machine.LinkId,
  message: Extract<Message, { readonly _tag: "Prune" }>
): void => {
  const { root, unlessParent } = message
  count(turn, "prunesReceived")
  const tree = treeOf(turn, root)
  // It had a copy of ours that was on its way when we chose it, and has since heard that we did.
  if (tree.parent === link && (tree.isTold || unlessParent === true)) return
  if (unlessParent === true) prune(turn, root, link)
  else setTree(turn, root, Roots.withLazy(tree, link))
}

/** A new broadcast came from this neighbour. */
export const onGiver = (turn: Turn, link: Machine.LinkId, id: MessageId.MessageId, along: NodeId.NodeId): void => {
  const tree = treeOf(turn, along)
  if (along === id.origin) {
    if (tree.parent === null) adopt(turn, along, link)
    // It answers our graft, so it serves us from now on.
  } else if (Roots.isLazy(tree, link)) setTree(turn, along, Roots.withEager(tree, link))
}

/**
 * Makes a neighbour eager at its request. A parent that asks for a broadcast of the root is cut off itself: whoever gave
 * that broadcast serves us.
 */
export const serve = (turn: Turn, link: Machine.LinkId, root: NodeId.NodeId, entry: Cache.Entry | undefined): void => {
  const along = entry?.along ?? root
  const tree = Roots.withEager(treeOf(turn, along), link)
  if (tree.parent !== link || along !== root) return setTree(turn, along, tree)
  setTree(turn, root, Roots.withParent(tree, null))
  const giver = entry?.from ?? null
  if (giver !== null && giver !== link && isNeighbor(turn, giver)) adopt(turn, root, giver)
}

export const prune = (turn: Turn, root: NodeId.NodeId, link: Machine.LinkId): void => {
  setTree(turn, root, Roots.withLazy(treeOf(turn, root), link))
  count(turn, "prunesSent")
  send(turn, link, { _tag: "Prune", root })
}

/** Takes a neighbour as parent; if it was lazy, it is told, so that both ends agree. */
export const adopt = (turn: Turn, root: NodeId.NodeId, link: Machine.LinkId): void => {
  const isLazy = Roots.isLazy(treeOf(turn, root), link)
  if (root === turn.state.config.self.id) return
  setTree(turn, root, Roots.withParent(treeOf(turn, root), link, isLazy))
  if (isLazy) tellAdopted(turn, root, link)
}

/** The same, of a neighbour that may just be pruning this node: it is told in any case. */
const changeParent = (turn: Turn, root: NodeId.NodeId, link: Machine.LinkId): void => {
  setTree(turn, root, Roots.withParent(treeOf(turn, root), link, true))
  tellAdopted(turn, root, link)
}

const tellAdopted = (turn: Turn, root: NodeId.NodeId, link: Machine.LinkId): void => {
  count(turn, "adoptsSent")
  send(turn, link, { _tag: "Adopt", root })
}

// ---------------------------------------------------------------------------------------------------------------------
// Shorter ways
// ---------------------------------------------------------------------------------------------------------------------

/**
 * Takes a neighbour as parent whose announcement says that the way through it has fewer hops (paper, §3.8), and would not
 * have brought the broadcast later.
 *
 * The paper prunes the old parent at once, and a broadcast that is on its way falls between the two. Here the old one
 * stays eager: the next broadcast comes twice, and then it is pruned as any other.
 *
 * Only hops of the tree count, on both sides: where a copy came another way, that is about to be pruned, and a shorter
 * one may lead through this node. So along every link from a node to its parent the hops of one broadcast become fewer,
 * and no cycle can arise of it. Of two that found different trees one can; it ends as every cycle does, when an
 * announcement from outside runs out of time.
 */
export const shorten = (
  turn: Turn,
  { id, link, round, since }: Extract<LazyPushRepair.Output, { readonly _tag: "Shorter" }>
): void => {
  const { config } = turn.state
  const root = id.origin
  const entry = cached(turn, id)
  if (entry === undefined || entry.along !== root || !isNeighbor(turn, link)) return
  if (round >= entry.round || since > entry.at) return
  const { parent } = treeOf(turn, root)
  if (parent === null || parent === link || root === config.self.id) return
  if (!entry.isSettled || entry.from !== parent || entry.moved.includes(link)) return
  // Which links lead to other data centres is a matter of entries, not of hops.
  if (isFar(turn, parent) || isFar(turn, link)) return
  count(turn, "optimized")
  // Its entry was the old parent's.
  recache(turn, { ...entry, round, from: link, entry: undefined })
  changeParent(turn, root, link)
}

// ---------------------------------------------------------------------------------------------------------------------
// One entry for each region
// ---------------------------------------------------------------------------------------------------------------------

/**
 * The entry of a copy from this neighbour; undefined where nobody says, or another than the parent gave it, and in the
 * root's own data centre, which needs none.
 */
export const entryOf = (
  turn: Turn,
  link: Machine.LinkId | null,
  { along, entry, id }: Gossip
): NodeId.NodeId | undefined => {
  const { self } = turn.state.config
  if (link === null || self.datacenter === undefined || (along !== undefined && along !== id.origin)) return undefined
  if (treeOf(turn, id.origin).parent !== link) return undefined
  return isNear(turn, link) ? entry : self.id
}

/**
 * A neighbour of the same region has the broadcast through another entry. Of two entries the one with the smaller id is
 * kept, if the way through it costs little time: so the nodes of a region come to share few long links for each root.
 *
 * No cycle can arise of one broadcast: a node's entry only becomes smaller, and it had its parent's when it chose it.
 * Whoever chooses says so to its neighbours in the region, so that the choice reaches the node that was the entry.
 */
const enterThrough = (
  turn: Turn,
  link: Machine.LinkId,
  entry: Cache.Entry,
  said: NodeId.NodeId | undefined
): boolean => {
  const { config, gate } = turn.state
  const root = entry.id.origin
  if (said === undefined || entry.entry === undefined || said >= entry.entry) return false
  if (entry.along !== root || root === config.self.id || turn.now - entry.at > config.entryMs) return false
  if (!isNear(turn, link)) return false
  const { parent } = treeOf(turn, root)
  // Its own entry is that of its parent, or there is nothing to compare.
  if (parent !== null && (parent === link || parent !== entry.from)) return false
  recache(turn, { ...entry, entry: said, from: link, isSettled: false })
  if (entry.entry === config.self.id) count(turn, "entriesLeft")
  changeParent(turn, root, link)
  if (parent !== null) prune(turn, root, parent)
  for (const neighbor of gate.neighbors) {
    if (neighbor.link === link || !isNear(turn, neighbor.link)) continue
    count(turn, "entriesSent")
    send(turn, neighbor.link, { _tag: "Entry", id: entry.id, entry: said })
  }
  return true
}

/** A neighbour chose another entry for a broadcast that this node has too, or has yet to get. */
export const onEntry = (
  turn: Turn,
  link: Machine.LinkId,
  message: Extract<Message, { readonly _tag: "Entry" }>
): void => {
  count(turn, "entriesReceived")
  const entry = cached(turn, message.id)
  if (entry === undefined || enterThrough(turn, link, entry, message.entry)) return
  // Of neighbours only, so there are never more than these.
  const others = entry.moved.filter((other) => other !== link && isNeighbor(turn, other))
  recache(turn, { ...entry, moved: [...others, link] })
}

/**
 * Who is alive, offline or unreachable: every viewer decides for itself, from the neighbours that node documents name.
 *
 * No node sends heartbeats through the fleet. Neighbours watch each other over their links, and say in their documents
 * whom they have and whom they lost, and how. A node is **alive** if a path of such neighbours leads to it from the
 * viewer (as in Lashup, dcos/lashup, whose global membership is reachability over gossiped adjacency lists). A node that
 * no path leads to is judged in this order:
 *
 * 1. its host closed or refused a link, or it said goodbye, seen from the viewer's side and not outdated by a newer
 *    document: **offline** or **left**;
 * 2. it is lost together with its whole data centre, or with at least two more nodes linked to it: **unreachable** - its
 *    side of a partition, whatever its border neighbours accuse it of;
 * 3. else **offline**, cause timeout.
 *
 * A node of which nobody says anything (its last neighbour evicted it, say) is **suspect** for `graceMs`, then offline.
 *
 * @since 0.1.0
 */
import { Stamp } from "@starling/clock"
import type { Machine, NodeId } from "@starling/machine"
import * as HashMap from "effect/HashMap"
import * as Option from "effect/Option"
import type { Adjacency, Lost, NodeDoc } from "./NodeDoc.ts"
import { valueOf } from "./NodeDoc.ts"

/** Somebody on the viewer's side lost the node. @since 0.1.0 @category models */
export interface Accusation extends Lost {
  readonly by: NodeId.NodeId
}

/** @since 0.1.0 @category models */
export interface Verdict {
  readonly state: "alive" | "suspect" | "offline" | "unreachable" | "left"
  /** Empty for the living; else the oldest first. */
  readonly evidence: ReadonlyArray<Accusation>
}

/** What the viewer knows. @since 0.1.0 @category models */
export interface Seen {
  readonly self: NodeId.NodeId
  readonly docs: HashMap.HashMap<NodeId.NodeId, NodeDoc>
  /** When each document last changed here. */
  readonly heard: HashMap.HashMap<NodeId.NodeId, Machine.Instant>
  /** Nodes known only from the store, with their data centre. */
  readonly remembered: HashMap.HashMap<NodeId.NodeId, { readonly datacenter: string }>
}

/** Our choice: as long as a timeout may take to show. @since 0.1.0 */
export const graceMs = 15_000

/** True while a node heard of then is only suspect. @since 0.1.0 */
export const isInGrace = (heard: Machine.Instant, now: Machine.Instant): boolean => now - heard < graceMs

/** Lost nodes that must hang together to be called a partition: the node and two more. @since 0.1.0 */
export const partitionMin = 3

/**
 * Judges every node, the viewer included. Linear in nodes and neighbours.
 *
 * @since 0.1.0
 * @category running
 */
export const judge = (seen: Seen, now: Machine.Instant): ReadonlyMap<NodeId.NodeId, Verdict> => {
  const known = read(seen)
  const alive = reachable(seen.self, known)
  const accusations = accusationsOf(known, alive)
  const verdicts = new Map<NodeId.NodeId, Verdict>()
  const silent = new Set<NodeId.NodeId>()
  for (const [id, node] of known) {
    if (alive.has(id)) {
      verdicts.set(id, { state: "alive", evidence: [] })
      continue
    }
    const first = ofHost(node, accusations.get(id) ?? [])
    if (first === undefined) silent.add(id)
    else verdicts.set(id, first)
  }
  const partitioned = partitions(seen, known, alive, silent)
  for (const id of silent) {
    const evidence = accusations.get(id) ?? []
    if (partitioned.has(id)) verdicts.set(id, { state: "unreachable", evidence })
    else if (evidence.length === 0 && isInGrace(heardAt(seen, id), now))
      verdicts.set(id, { state: "suspect", evidence })
    else verdicts.set(id, { state: "offline", evidence })
  }
  // Known from an earlier run of this node, and never heard of since.
  for (const id of HashMap.keys(seen.remembered)) {
    if (verdicts.has(id)) continue
    verdicts.set(id, { state: alive.has(id) ? "alive" : "offline", evidence: [] })
  }
  return verdicts
}

/** What the judgement needs of a document, looked up once. */
interface Known {
  readonly doc: NodeDoc
  readonly adjacency: Adjacency | undefined
  readonly datacenter: string | undefined
  readonly left: boolean
}

const read = (seen: Seen): ReadonlyMap<NodeId.NodeId, Known> => {
  const known = new Map<NodeId.NodeId, Known>()
  for (const [id, doc] of seen.docs) {
    const profile = valueOf(doc, "profile", "Profile")
    known.set(id, {
      doc,
      adjacency: valueOf(doc, "adjacency", "Adjacency"),
      datacenter: profile?.datacenter,
      left: (profile?.left ?? null) !== null
    })
  }
  return known
}

/** Everybody whom a path of neighbours leads to from the viewer. */
const reachable = (self: NodeId.NodeId, known: ReadonlyMap<NodeId.NodeId, Known>): ReadonlySet<NodeId.NodeId> => {
  const found = new Set<NodeId.NodeId>([self])
  const queue: Array<NodeId.NodeId> = [self]
  for (let at = 0; at < queue.length; at++) {
    for (const neighbor of known.get(queue[at] as NodeId.NodeId)?.adjacency?.neighbors ?? []) {
      if (found.has(neighbor.id)) continue
      const other = known.get(neighbor.id)
      // A neighbour of an earlier run, or one that has said goodbye, is none.
      if (other !== undefined && (neighbor.incarnation < other.doc.incarnation || other.left)) continue
      found.add(neighbor.id)
      queue.push(neighbor.id)
    }
  }
  return found
}

/** Everything that the living say against the others, oldest first. */
const accusationsOf = (
  known: ReadonlyMap<NodeId.NodeId, Known>,
  alive: ReadonlySet<NodeId.NodeId>
): ReadonlyMap<NodeId.NodeId, ReadonlyArray<Accusation>> => {
  const out = new Map<NodeId.NodeId, Array<Accusation>>()
  for (const by of alive) {
    for (const lost of known.get(by)?.adjacency?.lost ?? []) {
      if (alive.has(lost.id)) continue
      const accused = known.get(lost.id)
      if (accused !== undefined && isOutdated(lost, accused.doc)) continue
      const list = out.get(lost.id)
      if (list === undefined) out.set(lost.id, [{ ...lost, by }])
      else list.push({ ...lost, by })
    }
  }
  for (const list of out.values()) list.sort((a, b) => Stamp.compare(a.at, b.at))
  return out
}

/**
 * True if the accused has spoken since: as a later incarnation, or by a later list of neighbours.
 *
 * @since 0.1.0
 */
export const isOutdated = (lost: Lost, accused: NodeDoc): boolean => {
  if (lost.incarnation !== accused.incarnation) return lost.incarnation < accused.incarnation
  const adjacency = valueOf(accused, "adjacency", "Adjacency")
  return adjacency !== undefined && Stamp.compare(adjacency.at, lost.at) > 0
}

/** Rule 1: what the node or its host said itself. */
const ofHost = (node: Known, evidence: ReadonlyArray<Accusation>): Verdict | undefined => {
  if (node.left || evidence.some(({ cause }) => cause === "left")) return { state: "left", evidence }
  return evidence.some(({ cause }) => cause === "closed" || cause === "refused")
    ? { state: "offline", evidence }
    : undefined
}

/** Rule 2: the silent nodes that are lost with their data centre, or with two more that hang together with them. */
const partitions = (
  seen: Seen,
  known: ReadonlyMap<NodeId.NodeId, Known>,
  alive: ReadonlySet<NodeId.NodeId>,
  silent: ReadonlySet<NodeId.NodeId>
): ReadonlySet<NodeId.NodeId> => {
  const out = new Set<NodeId.NodeId>()
  if (silent.size === 0) return out
  const inhabited = new Set<string>()
  for (const id of alive) {
    const datacenter = datacenterOf(seen, known, id)
    if (datacenter !== undefined) inhabited.add(datacenter)
  }
  const links = new Map<NodeId.NodeId, Set<NodeId.NodeId>>()
  const link = (a: NodeId.NodeId, b: NodeId.NodeId) => {
    const list = links.get(a)
    if (list === undefined) links.set(a, new Set([b]))
    else list.add(b)
  }
  for (const id of silent) {
    if (!inhabited.has(datacenterOf(seen, known, id) ?? "")) out.add(id)
    // Whom it had when it was last heard; among the silent, one side's word is enough.
    for (const { id: other } of known.get(id)?.adjacency?.neighbors ?? []) {
      if (!silent.has(other)) continue
      link(id, other)
      link(other, id)
    }
  }
  const visited = new Set<NodeId.NodeId>()
  for (const start of silent) {
    if (visited.has(start)) continue
    visited.add(start)
    const group = [start]
    for (let at = 0; at < group.length; at++) {
      for (const other of links.get(group[at] as NodeId.NodeId) ?? []) {
        if (visited.has(other)) continue
        visited.add(other)
        group.push(other)
      }
    }
    if (group.length >= partitionMin) for (const id of group) out.add(id)
  }
  return out
}

const datacenterOf = (seen: Seen, known: ReadonlyMap<NodeId.NodeId, Known>, id: NodeId.NodeId): string | undefined =>
  known.get(id)?.datacenter ?? Option.getOrUndefined(HashMap.get(seen.remembered, id))?.datacenter

/** When a node's document last changed here; minus infinity if it never did. @since 0.1.0 */
export const heardAt = (seen: Pick<Seen, "heard">, id: NodeId.NodeId): Machine.Instant =>
  Option.getOrElse(HashMap.get(seen.heard, id), () => Number.NEGATIVE_INFINITY)

/** Beats and claims: what keeps the relay trees, and makes this node a relay. */
import type { Machine, NodeId } from "@starling/machine"
import * as HashMap from "effect/HashMap"
import type { Message } from "../Facts.ts"
import * as NodeDoc from "../NodeDoc.ts"
import * as Relays from "../Relays.ts"
import { count, docOf, ownDoc, send, type Turn, update } from "./turn.ts"

/** This node beats if it is a relay. */
export const beat = (turn: Turn): void => {
  const { beats, config } = turn.state
  if (HashMap.isEmpty(turn.state.links) || !isRelay(turn)) return
  const { built, incarnation } = ownDoc(turn.state)
  const own: NodeDoc.Known = { incarnation, built, version: beats + 1 }
  const heard = Relays.heard(turn.state.relays, config.self.id, own, null, turn.now)
  if (heard._tag !== "Newer") return
  update(turn, { beats: beats + 1, relays: heard.relays })
  passOn(turn, undefined, [[config.self.id, own]])
}

/** True if fewer than `relaysMax` of the nodes that are present rank before this one. */
const isRelay = (turn: Turn): boolean => {
  const { config, docs } = turn.state
  const { id: self } = config.self
  const own = Relays.rankOf(self)
  let before = 0
  for (const [id, doc] of docs) {
    if (before >= config.relays.relaysMax) return false
    if (id !== self && Relays.rankOf(id) > own && isPresent(turn, doc)) before += 1
  }
  return before < config.relays.relaysMax
}

/** One of its neighbours still names it: cheaper than a judgement, and good enough for a choice that may be wrong. */
const isPresent = (turn: Turn, doc: NodeDoc.NodeDoc): boolean => {
  if (NodeDoc.valueOf(doc, "profile", "Profile")?.left !== null) return false
  const adjacency = NodeDoc.valueOf(doc, "adjacency", "Adjacency")
  return (adjacency?.neighbors ?? []).some(({ id }) => {
    const other = docOf(turn.state, id)
    const its = other === undefined ? undefined : NodeDoc.valueOf(other, "adjacency", "Adjacency")
    return its?.neighbors.some((neighbor) => neighbor.id === doc.id) ?? false
  })
}

export const onBeats = (turn: Turn, link: Machine.LinkId, { beats }: Extract<Message, { _tag: "Beats" }>): void => {
  const newer: Array<readonly [NodeId.NodeId, NodeDoc.Known]> = []
  const parents: Array<NodeId.NodeId> = []
  for (const [relay, told] of beats) {
    if (relay === turn.state.config.self.id) continue
    const heard = Relays.heard(turn.state.relays, relay, told, link, turn.now)
    if (heard._tag === "Full") count(turn, "relaysRefused")
    if (heard._tag === "Full" || heard._tag === "Old") continue
    update(turn, { relays: heard.relays })
    if (heard._tag === "Newer") newer.push([relay, told])
    if (heard._tag !== "Again") parents.push(relay)
  }
  if (newer.length > 0) passOn(turn, link, newer)
  if (parents.length > 0) send(turn, link, { _tag: "Claims", parents, released: [] })
}

/** A new neighbour takes part in the trees at once. */
export const greet = (turn: Turn, link: Machine.LinkId): void => {
  const beats = [...turn.state.relays].map(([relay, { beat }]) => [relay, beat] as const)
  if (beats.length > 0) send(turn, link, { _tag: "Beats", beats })
}

const passOn = (
  turn: Turn,
  from: Machine.LinkId | undefined,
  beats: ReadonlyArray<readonly [NodeId.NodeId, NodeDoc.Known]>
): void => {
  for (const [link, { speaks }] of turn.state.links)
    if (speaks && link !== from) send(turn, link, { _tag: "Beats", beats })
}

export const onClaims = (
  turn: Turn,
  link: Machine.LinkId,
  { parents, released }: Extract<Message, { _tag: "Claims" }>
): void => {
  let { relays } = turn.state
  for (const relay of parents) relays = Relays.claimed(relays, relay, link, true, turn.now)
  for (const relay of released) relays = Relays.claimed(relays, relay, link, false, turn.now)
  update(turn, { relays })
}

/** Links are gone: where one led to a parent, another one is claimed. */
export const lostLinks = (turn: Turn, gone: ReadonlyArray<Machine.LinkId>): void => {
  if (gone.length === 0) return
  const left = [...turn.state.links].flatMap(([link, { speaks }]) => (speaks && !gone.includes(link) ? [link] : []))
  const { orphaned, relays } = Relays.without(turn.state.relays, gone, left, turn.now)
  update(turn, { relays })
  for (const [link, parents] of byLink(orphaned)) send(turn, link, { _tag: "Claims", parents, released: [] })
}

/** Ends what has to end, and tells the other ends. */
export const tend = (turn: Turn): void => {
  const { relays, released } = Relays.tended(turn.state.relays, turn.state.config.relays, turn.now)
  update(turn, { relays })
  for (const [link, list] of byLink(released)) send(turn, link, { _tag: "Claims", parents: [], released: list })
}

const byLink = (
  told: ReadonlyArray<{ readonly relay: NodeId.NodeId; readonly links: ReadonlyArray<Machine.LinkId> }>
): ReadonlyMap<Machine.LinkId, ReadonlyArray<NodeId.NodeId>> => {
  const out = new Map<Machine.LinkId, Array<NodeId.NodeId>>()
  for (const { links, relay } of told) {
    for (const link of links) {
      const list = out.get(link)
      if (list === undefined) out.set(link, [relay])
      else list.push(relay)
    }
  }
  return out
}

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
  for (const [relay, told] of beats) {
    if (relay === turn.state.config.self.id) continue
    const heard = Relays.heard(turn.state.relays, relay, told, link, turn.now)
    if (heard._tag === "Full") count(turn, "relaysRefused")
    if (heard._tag !== "Newer") continue
    update(turn, { relays: heard.relays })
    newer.push([relay, told])
  }
  if (newer.length === 0) return
  passOn(turn, link, newer)
  send(turn, link, { _tag: "Claims", parents: newer.map(([relay]) => relay), released: [] })
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

/** Links are gone: where one led to a parent, everybody who is left may be the way. */
export const lostLinks = (turn: Turn, gone: ReadonlyArray<Machine.LinkId>): void => {
  if (gone.length === 0) return
  const left = [...turn.state.links].flatMap(([link, { speaks }]) => (speaks && !gone.includes(link) ? [link] : []))
  const { orphaned, relays } = Relays.without(turn.state.relays, gone, left)
  update(turn, { relays })
  if (orphaned.length === 0) return
  for (const link of left) send(turn, link, { _tag: "Claims", parents: orphaned, released: [] })
}

/** Ends what has to end, and tells the other ends. */
export const tend = (turn: Turn): void => {
  const { relays, released } = Relays.tended(turn.state.relays, turn.state.config.relays, turn.now)
  update(turn, { relays })
  const byLink = new Map<Machine.LinkId, Array<NodeId.NodeId>>()
  for (const { links, relay } of released) {
    for (const link of links) {
      const list = byLink.get(link)
      if (list === undefined) byLink.set(link, [relay])
      else list.push(relay)
    }
  }
  for (const [link, list] of byLink) send(turn, link, { _tag: "Claims", parents: [], released: list })
}

/** Beats and claims: what keeps the relay trees, and makes this node a relay. */
import type { Machine, NodeId } from "@starling/machine"
import * as HashMap from "effect/HashMap"
import type { Message } from "../Facts.ts"
import type * as NodeDoc from "../NodeDoc.ts"
import * as Relays from "../Relays.ts"
import { isPresent } from "./present.ts"
import { count, ownDoc, send, type Turn, update } from "./turn.ts"

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
  const beats = Relays.told(turn.state.relays, turn.state.config.relays, turn.now)
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
  const left = speaking(turn)
  let { relays } = turn.state
  const orphans: Array<Relays.Orphaned> = []
  const told = [...parents.map((relay) => [relay, true] as const), ...released.map((relay) => [relay, false] as const)]
  for (const [relay, isParent] of told) {
    const claimed = Relays.claimed(relays, relay, link, isParent, left, turn.now)
    relays = claimed.relays
    orphans.push(...claimed.orphaned)
  }
  update(turn, { relays })
  claim(turn, orphans)
}

/** Links whose other ends know relays. */
const speaking = (turn: Turn): ReadonlyArray<Machine.LinkId> =>
  [...turn.state.links].flatMap(([link, { speaks }]) => (speaks ? [link] : []))

const claim = (turn: Turn, orphaned: ReadonlyArray<Relays.Orphaned>): void => {
  for (const [link, parents] of byLink(orphaned)) send(turn, link, { _tag: "Claims", parents, released: [] })
}

/** Links are gone: where one led to a parent, another one is claimed. */
export const lostLinks = (
  turn: Turn,
  gone: ReadonlyArray<{ readonly link: Machine.LinkId; readonly id: NodeId.NodeId }>
): void => {
  if (gone.length === 0) return
  const { orphaned, relays } = Relays.without(turn.state.relays, gone, speaking(turn), turn.now)
  update(turn, { relays })
  claim(turn, orphaned)
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

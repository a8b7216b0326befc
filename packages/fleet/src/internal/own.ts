/** This node's own document: who it is, whom it has and lost, what publishes to it. */
import { type Machine, Peer, Rng } from "@starling/machine"
import * as HashMap from "effect/HashMap"
import * as Option from "effect/Option"
import type { DownCause, Event, State } from "../Facts.ts"
import { isOutdated } from "../Liveness.ts"
import * as NodeDoc from "../NodeDoc.ts"
import * as Publishers from "../Publishers.ts"
import * as Selector from "../Selector.ts"
import { encodeLabels, type Lost, lostMax, nameLengthMax, neighborsMax, type Profile } from "./records.ts"
import { flush } from "./flush.ts"
import { spread } from "./spread.ts"
import { compareText } from "./text.ts"
import { count, docOf, emit, ownDoc, putOwn, type Turn, update, writeOwn, writeRows } from "./turn.ts"

export const profileOf = (config: State["config"], left: Profile["left"]): Profile => ({
  _tag: "Profile",
  name: config.self.name,
  datacenter: config.self.datacenter,
  address: config.self.address,
  labels: config.self.labels,
  since: config.startedAt,
  left
})

/**
 * The neighbour set changed: evidence against those who are back is withdrawn. Nobody waits to hear that neighbours were
 * exchanged; of one that nobody may know yet the fleet is told soon.
 */
export const adjacent = (turn: Turn, up: ReadonlyArray<Machine.Neighbor>): void => {
  const back = new Set(up.map(({ peer }) => peer.id))
  const isAcquitted = turn.state.lost.some(({ id }) => back.has(id))
  if (isAcquitted)
    setLost(
      turn,
      turn.state.lost.filter(({ id }) => !back.has(id)),
      turn.state.early
    )
  const isNew = up.some(({ peer }) => (docOf(turn.state, peer.id)?.incarnation ?? 0) < peer.incarnation)
  tellAdjacency(turn, isAcquitted || isNew ? "soon" : "calm")
}

/** A neighbour was lost. Eviction and replacement are no accusation. */
export const neighborDown = (turn: Turn, peer: Peer.Peer, cause: DownCause, isEarly: boolean): void => {
  if (cause === "evicted" || cause === "replaced") return
  const others = turn.state.lost.filter(({ id }) => id !== peer.id)
  const lost: Lost = { id: peer.id, incarnation: peer.incarnation, cause, at: turn.stamp }
  const early = turn.state.early.filter((id) => id !== peer.id)
  setLost(turn, [...others, lost].slice(-lostMax), isEarly ? [...early, peer.id] : early)
  tellAdjacency(turn)
}

/** The accused has spoken since: what was said against it is outdated. */
export const refute = (turn: Turn, doc: NodeDoc.NodeDoc): void => {
  const lost = turn.state.lost.filter((one) => one.id !== doc.id || !isOutdated(one, doc))
  if (lost.length === turn.state.lost.length) return
  setLost(turn, lost, turn.state.early)
  tellAdjacency(turn)
}

const setLost = (turn: Turn, lost: State["lost"], early: State["early"]): void =>
  update(turn, { lost, early: early.filter((accused) => lost.some(({ id }) => id === accused)) })

/**
 * Stamps of an unknown time, and of an earlier epoch, sort before everything: neighbours and such accusations are said again
 * with one that counts. What was said in its true place stays there: it tells people how long ago it was, and a word that the
 * accused spoke since refutes it.
 */
export const restamp = (turn: Turn): void => {
  const { early, lost } = turn.state
  const counts = ({ at, id }: Lost) => at.epoch >= turn.stamp.epoch && !early.includes(id)
  const again = (one: Lost): Lost => ({ ...one, at: turn.stamp })
  if (!lost.every(counts))
    setLost(
      turn,
      Array.from(lost, (one) => (counts(one) ? one : again(one))),
      []
    )
  writeAdjacency(turn, adjacentTo(turn.state))
}

const adjacentTo = ({ gate, lost }: State): ReadonlyArray<{ readonly id: string; readonly incarnation: number }> => {
  const gone = new Set(lost.map(({ id, incarnation }) => `${id}.${incarnation}`))
  return gate.neighbors
    .map(({ peer }) => ({ id: peer.id, incarnation: peer.incarnation }))
    .filter(({ id, incarnation }) => !gone.has(`${id}.${incarnation}`))
    .slice(0, neighborsMax)
}

const tellAdjacency = (turn: Turn, when: "calm" | "soon" = "soon"): void => {
  const { lost } = turn.state
  const neighbors = adjacentTo(turn.state)
  const before = NodeDoc.valueOf(ownDoc(turn.state), "adjacency", "Adjacency")
  if (
    before !== undefined &&
    before.lost === lost &&
    before.neighbors.length === neighbors.length &&
    before.neighbors.every(
      ({ id, incarnation }, at) => neighbors[at]?.id === id && neighbors[at].incarnation === incarnation
    )
  ) {
    return
  }
  writeAdjacency(turn, neighbors, when)
}

const writeAdjacency = (turn: Turn, neighbors: ReturnType<typeof adjacentTo>, when: "calm" | "soon" = "soon"): void => {
  writeOwn(turn, "adjacency", { _tag: "Adjacency", at: turn.stamp, neighbors, lost: turn.state.lost }, when)
  turn.changed = true
}

/**
 * Somebody knows this node's own document. If it is one of a later incarnation, this process is outdated; if it is a
 * later state than this node's (its facts were rebuilt, and the wall clock went back), this node's becomes later still.
 */
export const challenged = (turn: Turn, known: NodeDoc.Known): void => {
  const doc = ownDoc(turn.state)
  if (known.incarnation > doc.incarnation) {
    if (known.incarnation <= turn.state.outdated) return
    update(turn, { outdated: known.incarnation })
    return emit(turn, { _tag: "Outdated", incarnation: known.incarnation })
  }
  if (NodeDoc.compareKnown(known, NodeDoc.knownOf(doc)) <= 0) return
  putOwn(turn, NodeDoc.renew(doc, { incarnation: doc.incarnation, built: known.built + 1 }))
}

/** Says goodbye at once, to all neighbours: there may be no next flush, and nobody could ask. */
export const leave = (turn: Turn): void => {
  if (turn.state.leaving !== null) return
  update(turn, { leaving: turn.stamp })
  writeOwn(turn, "profile", profileOf(turn.state.config, turn.stamp))
  turn.changed = true
  spread(turn, [[turn.state.config.self.id, null]], undefined)
  flush(turn)
}

export const published = (turn: Turn, event: Extract<Event, { _tag: "Published" }>): void => {
  const { app, instance, labels } = event
  if (app === "" || app.length > nameLengthMax || instance.length > nameLengthMax) {
    return count(turn, "publishersMalformed")
  }
  if (Selector.refusalOfLabels(labels) !== undefined) return count(turn, "publishersMalformed")
  const { config, publishers } = turn.state
  told(turn, Publishers.published(publishers, event, turn.now, turn.wall, config.publishers))
}

export const expirePublishers = (turn: Turn): void => {
  const { config, publishers } = turn.state
  told(turn, Publishers.expire(publishers, turn.now, config.publishers))
}

const told = (turn: Turn, changed: Publishers.Changed): void => {
  if (changed.refused) count(turn, "publishersRefused")
  if (changed.publishers !== turn.state.publishers) update(turn, { publishers: changed.publishers })
  for (const { record, slot } of changed.told) {
    writeOwn(turn, `publisher/${slot}`, record)
    turn.changed = true
  }
}

/** Shows that this data centre is heard from. */
export const pulse = (turn: Turn): void => writeOwn(turn, "pulse", { _tag: "Pulse", wall: turn.wall })

/** Rows of nodes heard of since the last time. A node that left is forgotten: nobody should dial it. */
export const save = (turn: Turn): void => {
  if (HashMap.isEmpty(turn.state.unsaved)) return
  const rows: Array<Machine.StoreRow> = []
  const heard = Math.max(0, Math.floor(turn.wall))
  let { remembered } = turn.state
  for (const id of HashMap.keys(turn.state.unsaved)) {
    const doc = docOf(turn.state, id)
    const profile = doc === undefined ? undefined : NodeDoc.valueOf(doc, "profile", "Profile")
    if (doc === undefined || profile === undefined) continue
    const { address, datacenter, labels, left, name } = profile
    if (left !== null) remembered = HashMap.remove(remembered, id)
    const value = left === null ? [doc.incarnation, address, name, datacenter, encodeLabels(labels), heard] : null
    rows.push({ table: "peers", key: id, value })
  }
  update(turn, { unsaved: HashMap.empty(), remembered })
  for (const id of surplusOf(turn.state)) {
    rows.push({ table: "peers", key: id, value: null })
    update(turn, { remembered: HashMap.remove(turn.state.remembered, id) })
    count(turn, "peersForgotten")
  }
  writeRows(turn, rows)
}

/** Nodes of earlier runs that have to make room for those heard of in this one: the longest unheard of first. */
const surplusOf = ({ config, docs, remembered }: State): ReadonlyArray<string> => {
  if (HashMap.size(docs) + HashMap.size(remembered) <= config.docsMax) return []
  const unheard = [...remembered].filter(([id]) => !HashMap.has(docs, id))
  const surplus = HashMap.size(docs) + unheard.length - config.docsMax
  if (surplus <= 0) return []
  return unheard
    .toSorted(([a, one], [b, other]) => one.heard - other.heard || compareText(a, b))
    .slice(0, surplus)
    .map(([id]) => id)
}

/** Tells the view manager whom it could dial. */
export const remember = (turn: Turn): void => {
  const { config, docs, remembered, rememberDue } = turn.state
  if (!rememberDue) return
  const peers: Array<Peer.Peer> = []
  for (const [id, doc] of docs) {
    const profile = NodeDoc.valueOf(doc, "profile", "Profile")
    if (id === config.self.id || profile === undefined || profile.left !== null) continue
    const peer = { id, incarnation: doc.incarnation, address: profile.address }
    peers.push(Peer.within(peer, profile.datacenter))
  }
  for (const [id, { datacenter, peer }] of remembered)
    if (!HashMap.has(docs, id)) peers.push(Peer.within(peer, datacenter))
  const [chosen, rng] = Rng.sample(turn.state.rng, peers, config.rememberMax)
  update(turn, { rememberDue: false, rng })
  emit(turn, { _tag: "Remember", peers: chosen })
}

/** Name and data centre of a node, as far as this one knows. */
export const aboutOf = (
  state: State,
  id: string
): { readonly name: string; readonly datacenter: string; readonly labels: Selector.Labels } | undefined => {
  const doc = docOf(state, id)
  return (
    (doc === undefined ? undefined : NodeDoc.valueOf(doc, "profile", "Profile")) ??
    Option.getOrUndefined(HashMap.get(state.remembered, id))
  )
}

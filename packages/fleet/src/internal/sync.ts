/** Documents and configuration between neighbours: digests, deltas, what each neighbour is known to have. */
import { LinkGate, type Machine, type NodeId, Rng } from "@starling/machine"
import * as HashMap from "effect/HashMap"
import * as Option from "effect/Option"
import * as Config from "../Config.ts"
import type { LinkState, Message } from "../Facts.ts"
import * as NodeDoc from "../NodeDoc.ts"
import * as aside from "./aside.ts"
import * as entries from "./entries.ts"
import * as events from "./events.ts"
import { hashVector } from "./messages.ts"
import * as own from "./own.ts"
import * as relaying from "./relaying.ts"
import * as spreading from "./spread.ts"
import { linkOf, setLink } from "./flush.ts"
import { arm, count, docOf, isArmed, keepDoc, send, type Turn, update, want } from "./turn.ts"

export const neighbors = (turn: Turn, version: number, list: ReadonlyArray<Machine.Neighbor>): void => {
  const { gate } = turn.state
  const change = LinkGate.accept(gate, version, list)
  if (change === undefined) return
  // The snapshot of a set that is known.
  if (list === gate.neighbors) return update(turn, { gate: change.gate })
  let { links } = turn.state
  const down = change.down.map(({ link, peer }) => ({ link, id: peer.id }))
  for (const { link } of down) links = HashMap.remove(links, link)
  for (const { link, peer } of change.up) {
    links = HashMap.set(links, link, {
      peer,
      speaks: false,
      known: undefined,
      arriving: HashMap.empty(),
      dirty: HashMap.empty(),
      spent: { since: Number.NEGATIVE_INFINITY, bytes: 0 },
      config: undefined,
      askedAt: turn.now
    })
  }
  update(turn, { gate: change.gate, links })
  relaying.lostLinks(turn, down)
  for (const { link } of change.up) sendDigest(turn, link, false)
  own.adjacent(turn, change.up)
  for (const { link, message } of change.released) onMessage(turn, link, message)
}

export const linkDown = (turn: Turn, link: Machine.LinkId): void => {
  const { gate, links } = turn.state
  const lost = linkOf(turn, link)
  update(turn, { gate: LinkGate.close(gate, link), links: HashMap.remove(links, link) })
  if (lost !== undefined) relaying.lostLinks(turn, [{ link, id: lost.peer.id }])
}

export const received = (turn: Turn, link: Machine.LinkId, message: Message): void => {
  if (HashMap.has(turn.state.links, link)) return onMessage(turn, link, message)
  // The view manager has not said yet that this is a neighbour.
  update(turn, { gate: LinkGate.hold(turn.state.gate, link, message) })
}

const onMessage = (turn: Turn, link: Machine.LinkId, message: Message): void => {
  switch (message._tag) {
    case "Digest":
      return onDigest(turn, link, message)
    case "Delta":
      return onDelta(turn, link, message)
    case "Entries":
      if (message.aside !== undefined) aside.putEntries(turn, message.aside)
      return entries.receive(turn, message.entries, message.skipped)
    case "Summary":
      return onSummary(turn, link, message)
    case "Pull":
      return offer(turn, link, message.config)
    case "Have":
      return spreading.onHave(turn, link, message)
    case "Want":
      return spreading.onWant(turn, link, message)
    case "Beats":
      return relaying.onBeats(turn, link, message)
    case "Claims":
      return relaying.onClaims(turn, link, message)
  }
}

export const sendDigest = (turn: Turn, link: Machine.LinkId, reply: boolean): void => {
  const { config, docs } = turn.state
  const vector = aside.vectorOf(turn.state)
  const rows: Array<readonly [NodeId.NodeId, NodeDoc.Known]> = []
  for (const [id, doc] of docs) rows.push([id, NodeDoc.knownOf(doc)])
  for (let at = 0; at < rows.length; at += config.digestRowsMax) {
    const last = at + config.digestRowsMax >= rows.length
    send(turn, link, {
      _tag: "Digest",
      reply: reply && last,
      first: at === 0,
      last,
      docs: rows.slice(at, at + config.digestRowsMax),
      config: last ? vector : null,
      relays: true
    })
  }
  setLink(turn, link, { askedAt: turn.now })
}

const onDigest = (turn: Turn, link: Machine.LinkId, digest: Extract<Message, { _tag: "Digest" }>): void => {
  const before = linkOf(turn, link)
  if (before === undefined) return
  let arriving = digest.first ? HashMap.empty<NodeId.NodeId, NodeDoc.Known>() : before.arriving
  // No node keeps more documents than this: whoever names more is not one of us, or is broken.
  if (namesOf(arriving, digest.docs) > turn.state.config.docsMax) {
    count(turn, "digestsRefused")
    setLink(turn, link, { arriving: HashMap.empty() })
    turn.actions.push({ _tag: "Close", link, reason: "violation" })
    return
  }
  for (const [id, known] of digest.docs) {
    if (id === turn.state.config.self.id) own.challenged(turn, known)
    arriving = HashMap.set(arriving, id, known)
  }
  if (!digest.last) return setLink(turn, link, { arriving })
  const lacking: Array<NodeId.NodeId> = []
  for (const [id, doc] of turn.state.docs) {
    const known = Option.getOrElse(HashMap.get(arriving, id), () => NodeDoc.unknown)
    if (NodeDoc.compareKnown(NodeDoc.knownOf(doc), known) > 0) lacking.push(id)
  }
  setLink(turn, link, { known: arriving, arriving: HashMap.empty(), speaks: digest.relays })
  const isNew = before.known === undefined
  if (isNew && digest.relays) relaying.greet(turn, link)
  spreading.onDigest(turn, link, lacking, isNew)
  if (digest.config !== null) offer(turn, link, digest.config)
  if (digest.reply) sendDigest(turn, link, false)
}

/** How many nodes the parts of a digest name, the new part included. */
const namesOf = (
  arriving: HashMap.HashMap<NodeId.NodeId, NodeDoc.Known>,
  rows: ReadonlyArray<readonly [NodeId.NodeId, NodeDoc.Known]>
): number => {
  const added = new Set<NodeId.NodeId>()
  for (const [id] of rows) if (!HashMap.has(arriving, id)) added.add(id)
  return HashMap.size(arriving) + added.size
}

/** The neighbour has these dots: what it lacks is sent with the next flush. */
const offer = (turn: Turn, link: Machine.LinkId, vector: Config.Vector): void => {
  entries.guardSequence(turn, vector)
  if (Config.covers(vector, turn.state.registers.vector)) return
  setLink(turn, link, { config: vector })
  want(turn, "Flush", turn.now + turn.state.config.leadingMs)
}

const onDelta = (turn: Turn, link: Machine.LinkId, { docs, via }: Extract<Message, { _tag: "Delta" }>): void => {
  let gap = false
  const from = linkOf(turn, link)
  let known = from?.known
  const changed: Array<spreading.Changed> = []
  const announced: Array<readonly [NodeId.NodeId, NodeDoc.Known]> = []
  let [run, left] = [0, via[0]?.[1] ?? docs.length]
  count(turn, "deltasReceived", docs.length)
  for (const delta of docs) {
    while (left === 0 && run < via.length) left = via[++run]?.[1] ?? docs.length
    left -= 1
    if (delta.id === turn.state.config.self.id) {
      count(turn, "deltasRepeated")
      own.challenged(turn, { incarnation: delta.incarnation, built: delta.built, version: delta.to })
      continue
    }
    const copy = docOf(turn.state, delta.id)
    if (copy === undefined && HashMap.size(turn.state.docs) >= turn.state.config.docsMax) {
      count(turn, "documentsRefused")
      continue
    }
    // The sender has what it sends.
    const told: NodeDoc.Known = { incarnation: delta.incarnation, built: delta.built, version: delta.to }
    if (known !== undefined) known = spreading.learned(turn, known, delta.id, told)
    if (delta.isAside === true && (copy === undefined || NodeDoc.compareKnown(copy, told) < 0)) {
      aside.putDoc(turn, delta.id, told)
      continue
    }
    const applied = NodeDoc.apply(copy, delta)
    if (applied._tag === "Gap") {
      // Nothing was lost: the sender only thinks that this node took what it put aside.
      if (from?.speaks === true && aside.isAside(turn.state, delta)) announced.push([delta.id, told])
      else gap = true
    }
    if (applied._tag === "Old") count(turn, "deltasRepeated")
    if (applied._tag !== "Newer") continue
    count(turn, "recordsRefused", applied.refused)
    keepDoc(turn, applied.doc)
    // A node that knows no relays, or nothing of them, names none: whoever does puts it on its way.
    changed.push([delta.id, via[run]?.[0] ?? spreading.relayOf(turn, delta.id)])
    for (const record of applied.changed) learn(turn, applied.doc, record)
  }
  if (known !== undefined) setLink(turn, link, { known })
  if (changed.length > 0) spreading.spread(turn, changed, link)
  if (announced.length > 0) spreading.onHave(turn, link, { _tag: "Have", docs: announced })
  if (!gap) return
  count(turn, "deltaGaps")
  askOnce(turn, link)
}

/** What another node's record means here. */
const learn = (turn: Turn, doc: NodeDoc.NodeDoc, record: NodeDoc.Record): void => {
  switch (record.value?._tag) {
    case "Event":
      return events.learn(turn, record.value)
    case "Profile":
      turn.changed = true
      own.refute(turn, doc)
      return update(turn, { unsaved: HashMap.set(turn.state.unsaved, doc.id, true), rememberDue: true })
    case "Adjacency":
      turn.changed = true
      return own.refute(turn, doc)
    case "ConfigStatus":
      turn.changed = true
      entries.guardSequence(turn, record.value.received)
      if (!isArmed(turn, "Pull") && !hasAll(turn, record.value.received)) arm(turn, "Pull", turn.state.config.pullMs)
      return
    case "Pulse":
      return
    default:
      turn.changed = true
  }
}

const hasAll = (turn: Turn, told: Config.Vector): boolean => {
  const { registers, writing } = turn.state
  const received = Config.takeable(registers.vector, told)
  return (
    Config.covers(registers.vector, received) ||
    Config.covers(Config.joinVectors(aside.vectorOf(turn.state), writing), received)
  )
}

/** Asks a neighbour for configuration that it has received and this node has not: the tree was too slow, or broken. */
export const pull = (turn: Turn): void => {
  const ahead: Array<Machine.LinkId> = []
  for (const [link, { peer }] of turn.state.links) {
    const doc = docOf(turn.state, peer.id)
    const status = doc === undefined ? undefined : NodeDoc.valueOf(doc, "config", "ConfigStatus")
    if (status !== undefined && !hasAll(turn, status.received)) ahead.push(link)
  }
  const [link, rng] = Rng.pick(turn.state.rng, ahead)
  update(turn, { rng })
  if (link === undefined) return
  send(turn, link, { _tag: "Pull", config: Config.joinVectors(aside.vectorOf(turn.state), turn.state.writing) })
  arm(turn, "Pull", 4 * turn.state.config.pullMs)
}

/** Compares with one neighbour, by hashes first. */
export const compare = (turn: Turn): void => {
  const [link, rng] = Rng.pick(turn.state.rng, [...HashMap.keys(turn.state.links)])
  update(turn, { rng })
  const state = link === undefined ? undefined : linkOf(turn, link)
  if (link !== undefined && state !== undefined) send(turn, link, summaryFor(turn, state))
}

const summaryFor = ({ state }: Turn, link: LinkState): Extract<Message, { _tag: "Summary" }> => ({
  _tag: "Summary",
  docs: aside.docsHashFor(state, link),
  config: hashVector(aside.vectorFor(state, link))
})

const onSummary = (turn: Turn, link: Machine.LinkId, summary: Extract<Message, { _tag: "Summary" }>): void => {
  const state = linkOf(turn, link)
  if (state === undefined) return
  const { config, docs } = summaryFor(turn, state)
  if (summary.docs !== docs || summary.config !== config) askOnce(turn, link)
}

/** A digest for a digest, at most one a second and link. */
const askOnce = (turn: Turn, link: Machine.LinkId): void => {
  const state = linkOf(turn, link)
  if (state !== undefined && turn.now - state.askedAt >= askMs) sendDigest(turn, link, true)
}

const askMs = 1000

/** A neighbour whose digest never came (the step that handled it crashed) is asked again. */
export const askAgain = (turn: Turn): void => {
  for (const [link, { askedAt, known }] of turn.state.links) {
    if (known === undefined && turn.now - askedAt >= 2 * askMs) sendDigest(turn, link, true)
  }
}

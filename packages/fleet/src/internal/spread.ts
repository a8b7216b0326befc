/**
 * How a changed document gets to everybody: along one relay's tree at once, and as an announcement to the neighbours that
 * are not on the tree, who ask if it did not reach them.
 */
import { type Machine, type NodeId, Rng } from "@starling/machine"
import * as HashMap from "effect/HashMap"
import * as Option from "effect/Option"
import type { LinkState, Message, State } from "../Facts.ts"
import * as NodeDoc from "../NodeDoc.ts"
import * as Relays from "../Relays.ts"
import { flush, hasAlready, linkOf, setLink } from "./flush.ts"
import { isPresent } from "./present.ts"
import { arm, count, docOf, gatherMs, isArmed, send, type Turn, update, want } from "./turn.ts"

type Rows = ReadonlyArray<readonly [NodeId.NodeId, NodeDoc.Known]>

/** A document that changed, and the relay whose tree it takes; without one it goes to all neighbours. */
export type Changed = readonly [origin: NodeId.NodeId, via: NodeId.NodeId | null]

/** Marks documents for the neighbours that may lack them. `from` is the link they came by. */
export const spread = (turn: Turn, changed: ReadonlyArray<Changed>, from: Machine.LinkId | undefined): void => {
  const { relays } = turn.state
  const ways = changed.map(([origin, via]) => {
    return { origin, via, branch: via === null ? undefined : Relays.branchOf(relays, via) }
  })
  const aside = new Set<NodeId.NodeId>()
  let isFlood = false
  for (const [id, link] of turn.state.links) {
    if (id === from) continue
    let { dirty } = link
    for (const { branch, origin, via } of ways) {
      if (isOnTheWay(turn, id, link, branch)) {
        dirty = HashMap.set(dirty, origin, via)
        if (!Relays.isGrown(branch, turn.state.config.relays, turn.now)) isFlood = true
        else turn.urgent = true
      } else aside.add(origin)
    }
    if (dirty !== link.dirty) setLink(turn, id, { dirty })
  }
  // A flood is many copies of each change, and the fewer frames the better.
  if (isFlood) want(turn, "Flush", Math.max(turn.now, turn.state.lastFlush + gatherMs(turn.state)))
  if (aside.size > 0) toAnnounce(turn, aside)
}

/** A neighbour of an earlier release is no part of any tree. */
const isOnTheWay = (turn: Turn, id: Machine.LinkId, link: LinkState, branch: Relays.Branch | undefined): boolean =>
  !link.speaks || Relays.isEdge(branch, id, turn.state.config.relays, turn.now)

/**
 * What a neighbour's digest lacks. To a new neighbour it is sent; another one may have it from elsewhere by now, or at any
 * moment, since documents change while digests are compared: it is told.
 */
export const onDigest = (
  turn: Turn,
  link: Machine.LinkId,
  lacking: ReadonlyArray<NodeId.NodeId>,
  isNew: boolean
): void => {
  const state = linkOf(turn, link)
  if (state === undefined) return
  if (isNew || !state.speaks) {
    setLink(turn, link, { dirty: HashMap.fromIterable(lacking.map((id) => [id, null])) })
    if (lacking.length > 0) want(turn, "Flush", turn.now + turn.state.config.leadingMs)
  } else if (lacking.length > 0) toAnnounce(turn, lacking)
}

/** The relay for changes of this document, where its origin named none. */
export const relayOf = (turn: Turn, origin: NodeId.NodeId): NodeId.NodeId | null =>
  Relays.choose(turn.state.relays, origin, turn.state.config.relays, turn.now, (relay) => {
    const doc = docOf(turn.state, relay)
    return doc !== undefined && !isPresent(turn, doc)
  })

/** What this node changed in its own document has been gathered long enough. */
export const releaseOwn = (turn: Turn): void => {
  update(turn, { lastOwn: turn.now })
  const { id } = turn.state.config.self
  spread(turn, [[id, relayOf(turn, id)]], undefined)
}

/**
 * After every step: what is on its way goes on at once, unless something went less than `hopMs` ago; then it goes together
 * with what comes until then.
 */
export const settle = (turn: Turn): void => {
  if (!turn.urgent) return
  const next = turn.state.lastFlush + turn.state.config.hopMs
  if (turn.now >= next) flush(turn)
  else want(turn, "Flush", next)
}

// ---------------------------------------------------------------------------------------------------------------------
// Announcements
// ---------------------------------------------------------------------------------------------------------------------

/**
 * A document waits for one to two periods before it is announced: by then most neighbours have it, and those that announced
 * it themselves need not be told. Our choice: four times what changes are gathered for, so small fleets wait for less.
 */
const armAnnounce = (turn: Turn): void => {
  const [delay, rng] = Rng.jitter(turn.state.rng, Math.min(turn.state.config.announceMs, 4 * gatherMs(turn.state)), 0.3)
  update(turn, { rng })
  arm(turn, "Announce", delay)
}

const toAnnounce = (turn: Turn, ids: Iterable<NodeId.NodeId>): void => {
  let { fresh } = turn.state
  for (const id of ids) fresh = HashMap.set(fresh, id, true)
  update(turn, { fresh })
  if (!isArmed(turn, "Announce")) armAnnounce(turn)
}

/**
 * Tells each neighbour what it may lack. From then on it counts as having it: if it lacks it, it says what it has.
 */
export const announce = (turn: Turn): void => {
  const { due, fresh } = turn.state
  const docs = [...HashMap.keys(due)].flatMap((id) => docOf(turn.state, id) ?? [])
  for (const [id, link] of turn.state.links) {
    let { known } = link
    // An earlier release does not understand, and before its digest a neighbour is told nothing.
    if (known === undefined || !link.speaks) continue
    const rows: Array<readonly [NodeId.NodeId, NodeDoc.Known]> = []
    for (const doc of docs) {
      // What is about to be sent need not be announced.
      if (hasAlready(link, doc) || HashMap.has(link.dirty, doc.id)) continue
      const row = [doc.id, NodeDoc.knownOf(doc)] as const
      rows.push(row)
      known = HashMap.set(known, doc.id, row[1])
    }
    if (rows.length === 0) continue
    sendRows(turn, id, "Have", rows)
    setLink(turn, id, { known })
  }
  update(turn, { due: fresh, fresh: HashMap.empty() })
  if (!HashMap.isEmpty(fresh)) armAnnounce(turn)
}

const sendRows = (turn: Turn, link: Machine.LinkId, tag: "Have" | "Want", rows: Rows): void => {
  const { digestRowsMax } = turn.state.config
  for (let at = 0; at < rows.length; at += digestRowsMax) {
    send(turn, link, { _tag: tag, docs: rows.slice(at, at + digestRowsMax) })
  }
}

/** A neighbour has these: what is newer than here is asked for, once. */
export const onHave = (turn: Turn, link: Machine.LinkId, { docs }: Extract<Message, { _tag: "Have" }>): void => {
  let known = linkOf(turn, link)?.known
  if (known === undefined) return
  const wanted: Array<readonly [NodeId.NodeId, NodeDoc.Known]> = []
  for (const [id, told] of docs) {
    const copy = docOf(turn.state, id)
    if (copy === undefined && HashMap.size(turn.state.docs) >= turn.state.config.docsMax) {
      count(turn, "documentsRefused")
      continue
    }
    known = learned(turn, known, id, told)
    if (copy !== undefined && NodeDoc.compareKnown(copy, told) >= 0) continue
    const asked = Option.getOrUndefined(HashMap.get(turn.state.asked, id))
    if (asked !== undefined && NodeDoc.compareKnown(asked.told, told) >= 0 && turn.now - asked.at < answerMs) continue
    if (asked === undefined && HashMap.size(turn.state.asked) >= turn.state.config.docsMax) continue
    update(turn, { asked: HashMap.set(turn.state.asked, id, { told, at: turn.now }) })
    wanted.push([id, copy === undefined ? NodeDoc.unknown : NodeDoc.knownOf(copy)])
  }
  setLink(turn, link, { known })
  ask(turn, link, wanted)
}

const ask = (turn: Turn, link: Machine.LinkId, rows: Rows): void => {
  count(turn, "documentsPulled", rows.length)
  sendRows(turn, link, "Want", rows)
}

/** A neighbour lacks these, and says what it has of them. */
export const onWant = (turn: Turn, link: Machine.LinkId, { docs }: Extract<Message, { _tag: "Want" }>): void => {
  const state = linkOf(turn, link)
  if (state?.known === undefined) return
  let { dirty, known } = state
  for (const [id, told] of docs) {
    const doc = docOf(turn.state, id)
    if (doc === undefined || NodeDoc.compareKnown(doc, told) <= 0) continue
    known = HashMap.set(known, id, told)
    dirty = HashMap.set(dirty, id, null)
    turn.urgent = true
  }
  setLink(turn, link, { known, dirty })
}

/** After this long somebody else is asked. Our choice: a round trip and a busy neighbour. */
const answerMs = 1000

/** What was asked for and did not come: another neighbour that has it is asked. */
export const askAgain = (turn: Turn): void => {
  const wanted = new Map<Machine.LinkId, Array<readonly [NodeId.NodeId, NodeDoc.Known]>>()
  for (const [id, { at, told }] of turn.state.asked) {
    const copy = docOf(turn.state, id)
    const isHere = copy !== undefined && NodeDoc.compareKnown(copy, told) >= 0
    if (!isHere && turn.now - at < answerMs) continue
    const [link, rng] = isHere ? [undefined, turn.state.rng] : Rng.pick(turn.state.rng, holdersOf(turn.state, id, told))
    const { asked } = turn.state
    update(turn, {
      rng,
      asked: link === undefined ? HashMap.remove(asked, id) : HashMap.set(asked, id, { told, at: turn.now })
    })
    if (link === undefined) continue
    const row = [id, copy === undefined ? NodeDoc.unknown : NodeDoc.knownOf(copy)] as const
    const rows = wanted.get(link)
    if (rows === undefined) wanted.set(link, [row])
    else rows.push(row)
  }
  for (const [link, rows] of wanted) ask(turn, link, rows)
}

/** Neighbours that have said that they have this, or something newer. */
const holdersOf = (state: State, id: NodeId.NodeId, told: NodeDoc.Known): ReadonlyArray<Machine.LinkId> => {
  const out: Array<Machine.LinkId> = []
  for (const [link, { known }] of state.links) {
    const its = known === undefined ? undefined : Option.getOrUndefined(HashMap.get(known, id))
    if (its !== undefined && NodeDoc.compareKnown(its, told) >= 0) out.push(link)
  }
  return out
}

/**
 * What the other end is known to have, with what it says now. More names than there can be documents are made up, and not
 * noted.
 */
export const learned = (
  turn: Turn,
  known: HashMap.HashMap<NodeId.NodeId, NodeDoc.Known>,
  id: NodeId.NodeId,
  told: NodeDoc.Known
): HashMap.HashMap<NodeId.NodeId, NodeDoc.Known> => {
  const before = Option.getOrUndefined(HashMap.get(known, id))
  if (before === undefined && HashMap.size(known) >= 2 * turn.state.config.docsMax) return known
  return before !== undefined && NodeDoc.compareKnown(told, before) <= 0 ? known : HashMap.set(known, id, told)
}

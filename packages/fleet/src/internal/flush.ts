/** What is sent to each neighbour, and what it is then known to have. */
import { Codec, type Machine, type NodeId } from "@starling/machine"
import * as HashMap from "effect/HashMap"
import * as Option from "effect/Option"
import * as Config from "../Config.ts"
import type { LinkState } from "../Facts.ts"
import * as NodeDoc from "../NodeDoc.ts"
import { emptyVector } from "./messages.ts"
import { docOf, gatherMs, send, type Turn, update, want } from "./turn.ts"

export const linkOf = (turn: Turn, link: Machine.LinkId): LinkState | undefined =>
  Option.getOrUndefined(HashMap.get(turn.state.links, link))

export const setLink = (turn: Turn, link: Machine.LinkId, change: Partial<LinkState>): void => {
  const before = linkOf(turn, link)
  if (before !== undefined) update(turn, { links: HashMap.set(turn.state.links, link, { ...before, ...change }) })
}

/** True if the neighbour has this version of a document, or a later one. */
export const hasAlready = (link: LinkState, doc: NodeDoc.NodeDoc): boolean => {
  const known = link.known === undefined ? undefined : Option.getOrUndefined(HashMap.get(link.known, doc.id))
  return known !== undefined && NodeDoc.compareKnown(known, doc) >= 0
}

/** Sends every neighbour what it lacks, up to a budget; what is left goes with a later flush. */
export const flush = (turn: Turn): void => {
  turn.urgent = false
  update(turn, { lastFlush: turn.now })
  const memo = new Map<string, ReturnType<typeof NodeDoc.since>>()
  let more = false
  for (const [link, state] of turn.state.links) {
    if (state.known === undefined) continue
    const budget = budgetOf(turn, state)
    const { left } = budget
    if (left > 0) {
      flushConfig(turn, link, budget)
      flushDocs(turn, link, budget, memo)
    }
    if (budget.left !== left) spend(turn, link, left - budget.left)
    const after = linkOf(turn, link)
    if (after !== undefined && (after.config !== undefined || !HashMap.isEmpty(after.dirty))) more = true
  }
  if (more) want(turn, "Flush", turn.now + gatherMs(turn.state))
}

/** What may still be sent to a neighbour. A budget lasts for the time in which changes are gathered. */
const budgetOf = (turn: Turn, { spent }: LinkState): { left: number } => ({
  left: turn.state.config.flushBytesMax - (turn.now - spent.since < gatherMs(turn.state) ? spent.bytes : 0)
})

const spend = (turn: Turn, link: Machine.LinkId, bytes: number): void => {
  const spent = linkOf(turn, link)?.spent
  if (spent === undefined) return
  const isOver = turn.now - spent.since >= gatherMs(turn.state)
  setLink(turn, link, {
    spent: isOver ? { since: turn.now, bytes } : { since: spent.since, bytes: spent.bytes + bytes }
  })
}

const flushDocs = (
  turn: Turn,
  link: Machine.LinkId,
  budget: { left: number },
  memo: Map<string, ReturnType<typeof NodeDoc.since>>
): void => {
  const state = linkOf(turn, link)
  if (state?.known === undefined || HashMap.isEmpty(state.dirty)) return
  const { frameBytesMax } = turn.state.config
  let known = state.known
  let { dirty } = state
  let frame: Array<NodeDoc.DocDelta> = []
  let via: Array<readonly [NodeId.NodeId | null, number]> = []
  let bytes = 0
  const sendFrame = () => {
    if (frame.length > 0) send(turn, link, { _tag: "Delta", docs: frame, via })
    frame = []
    via = []
    bytes = 0
  }
  for (const [id, relay] of inOrder(state.known, dirty)) {
    if (budget.left <= 0) break
    const doc = docOf(turn.state, id)
    const before = Option.getOrElse(HashMap.get(known, id), () => NodeDoc.unknown)
    const part = doc === undefined ? undefined : memoized(memo, doc, before, frameBytesMax)
    if (doc === undefined || part === undefined) {
      dirty = HashMap.remove(dirty, id)
      continue
    }
    if (bytes + part.bytes > frameBytesMax) sendFrame()
    frame.push(part.delta)
    const run = via.at(-1)
    if (run !== undefined && run[0] === relay) via[via.length - 1] = [relay, run[1] + 1]
    else via.push([relay, 1])
    bytes += part.bytes
    budget.left -= part.bytes
    known = HashMap.set(known, id, { incarnation: doc.incarnation, built: doc.built, version: part.delta.to })
    if (part.delta.to === doc.version) dirty = HashMap.remove(dirty, id)
  }
  sendFrame()
  setLink(turn, link, { known, dirty })
}

/** Neighbours mostly lack the same: one delta is made for all of them. */
const memoized = (
  memo: Map<string, ReturnType<typeof NodeDoc.since>>,
  doc: NodeDoc.NodeDoc,
  known: NodeDoc.Known,
  bytesMax: number
): ReturnType<typeof NodeDoc.since> => {
  const key = `${doc.id}.${known.incarnation}.${known.built}.${known.version}`
  if (!memo.has(key)) memo.set(key, NodeDoc.since(doc, known, bytesMax))
  return memo.get(key)
}

/** Nodes that the neighbour has never heard of come first: they must not starve behind those that change often (chitchat#119). */
const inOrder = (
  known: HashMap.HashMap<NodeId.NodeId, NodeDoc.Known>,
  dirty: LinkState["dirty"]
): ReadonlyArray<readonly [NodeId.NodeId, NodeId.NodeId | null]> => {
  const strangers: Array<readonly [NodeId.NodeId, NodeId.NodeId | null]> = []
  const others: Array<readonly [NodeId.NodeId, NodeId.NodeId | null]> = []
  for (const entry of dirty) (HashMap.has(known, entry[0]) ? others : strangers).push(entry)
  return strangers.concat(others)
}

/** Dots looked at in one flush. Our choice. */
const dotsMax = 2000

const flushConfig = (turn: Turn, link: Machine.LinkId, budget: { left: number }): void => {
  const vector = linkOf(turn, link)?.config
  if (vector === undefined) return
  const { config, registers } = turn.state
  const missing = Config.missingDots(registers.vector, vector, dotsMax)
  let has = vector
  let skipped: Config.Vector = emptyVector
  let frame: Array<Config.Entry> = []
  let bytes = 0
  const sendFrame = () => {
    if (frame.length > 0 || !HashMap.isEmpty(skipped)) send(turn, link, { _tag: "Entries", entries: frame, skipped })
    frame = []
    skipped = emptyVector
    bytes = 0
  }
  let sent = 0
  for (const dot of missing) {
    if (budget.left <= 0) break
    // This node has no room for it: others do, and send it.
    if (Config.hasDot(registers.refused, dot)) {
      has = Config.addDot(has, dot)
      sent += 1
      continue
    }
    const entry = Option.getOrUndefined(HashMap.get(registers.entries, Config.dotText(dot)))
    const size = entry === undefined ? 8 : Codec.sizeOf(entry.raw)
    if (bytes + size > config.frameBytesMax) sendFrame()
    if (entry === undefined) skipped = Config.addDot(skipped, dot)
    else frame.push(entry)
    bytes += size
    budget.left -= size
    has = Config.addDot(has, dot)
    sent += 1
  }
  sendFrame()
  const done = sent === missing.length && missing.length < dotsMax
  setLink(turn, link, { config: done ? undefined : has })
}

/** What is sent to each neighbour, and what it is then known to have. */
import { Codec, type Machine, type NodeId } from "@starling/machine"
import * as HashMap from "effect/HashMap"
import * as Option from "effect/Option"
import * as Config from "../Config.ts"
import type { LinkState } from "../Facts.ts"
import * as NodeDoc from "../NodeDoc.ts"
import { emptyVector } from "./messages.ts"
import { docOf, scheduleFlush, send, type Turn, update } from "./turn.ts"

export const linkOf = (turn: Turn, link: Machine.LinkId): LinkState | undefined =>
  Option.getOrUndefined(HashMap.get(turn.state.links, link))

export const setLink = (turn: Turn, link: Machine.LinkId, change: Partial<LinkState>): void => {
  const before = linkOf(turn, link)
  if (before !== undefined) update(turn, { links: HashMap.set(turn.state.links, link, { ...before, ...change }) })
}

/** Sends every neighbour what it lacks, up to a budget; what is left goes with the next flush. */
export const flush = (turn: Turn): void => {
  update(turn, { lastFlush: turn.now })
  const memo = new Map<string, ReturnType<typeof NodeDoc.since>>()
  let more = false
  for (const [link, state] of turn.state.links) {
    if (state.known === undefined) continue
    const budget = { left: turn.state.config.flushBytesMax }
    flushConfig(turn, link, budget)
    flushDocs(turn, link, budget, memo)
    const after = linkOf(turn, link)
    if (after !== undefined && (after.config !== undefined || !HashMap.isEmpty(after.dirty))) more = true
  }
  if (more) scheduleFlush(turn)
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
  let bytes = 0
  const sendFrame = () => {
    if (frame.length > 0) send(turn, link, { _tag: "Delta", docs: frame })
    frame = []
    bytes = 0
  }
  for (const id of inOrder(state.known, dirty)) {
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
  dirty: HashMap.HashMap<NodeId.NodeId, true>
): ReadonlyArray<NodeId.NodeId> => {
  const strangers: Array<NodeId.NodeId> = []
  const others: Array<NodeId.NodeId> = []
  for (const id of HashMap.keys(dirty)) (HashMap.has(known, id) ? others : strangers).push(id)
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

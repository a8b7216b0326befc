/**
 * One step in the making: a transient that handlers write to, thrown away if one of them throws. The state it began with
 * is never touched.
 */
import { type Stamp } from "@starling/clock"
import type { Machine, NodeId } from "@starling/machine"
import * as HashMap from "effect/HashMap"
import * as Option from "effect/Option"
import type { Action, Counter, Input, Output, State, Timer } from "../Facts.ts"
import * as NodeDoc from "../NodeDoc.ts"
import type { RecordValue } from "./records.ts"

export interface Turn {
  /** A copy of the state that the step began with. Only `update` writes to it. */
  readonly state: State
  readonly actions: Array<Action>
  readonly now: Machine.Instant
  readonly wall: number
  readonly stamp: Stamp.Stamp
  /** An answer may differ from before. */
  changed: boolean
  /**
   * This node's own document changed, and has to reach the neighbours together with what changes `soon`; `calm` is what
   * nobody waits for.
   */
  ownChanged: "no" | "calm" | "soon"
  /** Neighbours are to be sent something at the next opportunity. */
  urgent: boolean
  /** What this node says about configuration changed. */
  statusDirty: boolean
  /** Event rows to be saved with the next batch. */
  readonly eventRows: Array<Machine.StoreRow>
}

export const begin = (state: State, input: Input): Turn => ({
  state: { ...state },
  actions: [],
  now: input.now,
  wall: input.wall,
  stamp: input.stamp,
  changed: false,
  ownChanged: "no",
  urgent: false,
  statusDirty: false,
  eventRows: []
})

export const end = (turn: Turn): Machine.Step<State, Action> => {
  if (turn.eventRows.length > 0) keepRows(turn)
  if (turn.ownChanged !== "no") {
    const { config, lastOwn } = turn.state
    const gathering = gatherMs(turn.state) * (turn.ownChanged === "calm" ? calmGathers : 1)
    want(turn, "Own", Math.max(turn.now + config.leadingMs, lastOwn + gathering))
  }
  if (turn.changed) emit(turn, { _tag: "Changed" })
  if (HashMap.size(turn.state.docs) !== turn.state.toldSize) tellSize(turn)
  return [turn.state, turn.actions]
}

/**
 * All documents count, also those of nodes that are gone: who is young then asks for more clocks than there are, and stops
 * asking when it is no longer young.
 */
export const tellSize = (turn: Turn): void => {
  update(turn, { toldSize: HashMap.size(turn.state.docs) })
  emit(turn, { _tag: "Fleet", size: turn.state.toldSize })
}

/** Event rows that may wait for the next batch: as many as there are events. */
const unsavedMax = 20_000

const keepRows = (turn: Turn): void => {
  const rows = [...turn.state.unsavedRows, ...turn.eventRows]
  count(turn, "eventRowsOverflow", Math.max(0, rows.length - unsavedMax))
  update(turn, { unsavedRows: rows.slice(-unsavedMax) })
}

/** Writes rows that nobody waits for. */
export const writeRows = (turn: Turn, rows: ReadonlyArray<Machine.StoreRow>): void => {
  if (rows.length === 0) return
  turn.actions.push({ _tag: "Write", token: turn.state.nextToken, rows })
  update(turn, { nextToken: turn.state.nextToken + 1 })
}

export const update = (turn: Turn, change: Partial<State>): void => {
  Object.assign(turn.state, change)
}

export const emit = (turn: Turn, output: Output): void => {
  turn.actions.push({ _tag: "Emit", output })
}

export const send = (turn: Turn, link: Machine.LinkId, message: Extract<Action, { _tag: "Send" }>["message"]): void => {
  turn.actions.push({ _tag: "Send", link, message })
}

export const count = (turn: Turn, counter: Counter, by: number = 1): void => {
  if (by === 0) return
  update(turn, { counters: { ...turn.state.counters, [counter]: turn.state.counters[counter] + by } })
}

/** Arms a timer: the one before it with this tag is stale from now on. */
export const arm = (turn: Turn, tag: Timer["_tag"], delayMs: number): void => {
  const round = turn.state.timers[tag].round + 1
  update(turn, { timers: { ...turn.state.timers, [tag]: { round, due: turn.now + delayMs } } })
  turn.actions.push({ _tag: "SetTimer", delayMs, timer: { _tag: tag, round } })
}

/** Arms a timer unless it is armed for then, or earlier. */
export const want = (turn: Turn, tag: Timer["_tag"], at: Machine.Instant): void => {
  const { due } = turn.state.timers[tag]
  if (due === undefined || due > at) arm(turn, tag, Math.max(0, Math.ceil(at - turn.now)))
}

export const isArmed = (turn: Turn, tag: Timer["_tag"]): boolean => turn.state.timers[tag].due !== undefined

/**
 * How long a node gathers its own changes after it sent some. A small fleet needs no batches and wants answers; a large one
 * is better served by one frame than by many. Our choice: the leading edge plus a tenth of it for each node, up to
 * `coalesceMs`.
 */
export const gatherMs = (state: State): number =>
  Math.min(state.config.coalesceMs, state.config.leadingMs * (1 + HashMap.size(state.docs) / 10))

/**
 * What nobody waits for is gathered for so many times longer. Our choice: neighbours come and go several times a second
 * while many nodes join, and each change is a frame to everybody.
 */
const calmGathers = 4

export const docOf = (state: State, id: NodeId.NodeId): NodeDoc.NodeDoc | undefined =>
  Option.getOrUndefined(HashMap.get(state.docs, id))

/** Puts a document in its place, with its hash and when it was heard. Whom to tell is for the caller to say. */
export const keepDoc = (turn: Turn, doc: NodeDoc.NodeDoc): void => {
  const { state } = turn
  const before = docOf(state, doc.id)
  update(turn, {
    docs: HashMap.set(state.docs, doc.id, doc),
    docsHash: (state.docsHash ^ (before === undefined ? 0 : hashOf(before)) ^ hashOf(doc)) >>> 0,
    heard: HashMap.set(state.heard, doc.id, turn.now)
  })
}

/** This node's own document. */
export const ownDoc = (state: State): NodeDoc.NodeDoc => HashMap.getUnsafe(state.docs, state.config.self.id)

/** This node's own document becomes this one; the fleet hears of it. */
export const putOwn = (turn: Turn, doc: NodeDoc.NodeDoc, when: "calm" | "soon" = "soon"): void => {
  keepDoc(turn, doc)
  if (turn.ownChanged !== "soon") turn.ownChanged = when
}

/** Writes one record of this node's own document. */
export const writeOwn = (turn: Turn, key: string, value: RecordValue | null, when: "calm" | "soon" = "soon"): void =>
  putOwn(turn, NodeDoc.write(ownDoc(turn.state), key, value), when)

/** 32 bits of which document at which version; a set of documents hashes to their exclusive or, in any order. */
export const hashOf = (doc: NodeDoc.Known & { readonly id: NodeId.NodeId }): number => {
  let hash = 0x811c9dc5
  const text = `${doc.id}.${doc.incarnation}.${doc.built}.${doc.version}`
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 15), 0x735a2d97)
  return (hash ^ (hash >>> 13)) >>> 0
}

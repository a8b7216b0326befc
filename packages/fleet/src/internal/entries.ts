/** Configuration: written here, received from others, acted upon. */
import { Stamp } from "@starling/clock"
import type { Machine } from "@starling/machine"
import * as HashMap from "effect/HashMap"
import * as Option from "effect/Option"
import * as Config from "../Config.ts"
import type { Acting, Event, Pending, State } from "../Facts.ts"
import * as Selector from "../Selector.ts"
import * as events from "./events.ts"
import { emptyVector } from "./messages.ts"
import * as pattern from "./pattern.ts"
import * as pendings from "./pending.ts"
import { patternsMax, reasonLengthMax } from "./records.ts"
import { count, emit, type Turn, update, writeOwn, writeRows } from "./turn.ts"

export const rewrite: (turn: Turn) => void = pendings.rewrite

/** An operator's change. It is durable before it is answered, and answered before it travels. */
export const set = (turn: Turn, command: Extract<Event, { _tag: "SetConfig" }>): void => {
  const { generation, nextSeq } = turn.state
  const dot = { writer: turn.state.config.self.id, generation, seq: nextSeq }
  const refusal = Config.refusalOf(command) ?? refusalHere(turn.state, { ...command, dot }, turn.stamp)
  if (refusal !== undefined) {
    return emit(turn, { _tag: "Answer", token: command.token, answer: { _tag: "Invalid", ...refusal } })
  }
  const entry = Config.entry({
    key: command.key,
    value: command.value,
    revision: turn.stamp,
    selector: command.selector,
    author: command.author,
    note: command.note,
    wall: turn.wall,
    operation: command.value === null ? "delete" : (command.operation ?? "set"),
    dot
  })
  const rows = [rowOf(entry), generationRow(generation)]
  const what = { entries: [entry], skipped: emptyVector, event: undefined, token: command.token }
  if (pendings.add(turn, rows, what)) update(turn, { nextSeq: nextSeq + 1 })
}

const refusalHere = (
  state: State,
  command: { readonly key: string; readonly value: string | null; readonly dot: Config.Dot },
  stamp: Stamp.Stamp
): { readonly where: string; readonly message: string } | undefined => {
  const head = Config.head(state.registers, command.key)
  const isSet = head !== undefined && head.value !== null
  if (command.value === null && !isSet) return { where: "key", message: `nothing is stored under ${command.key}` }
  if (command.value !== null && !isSet && state.liveKeys >= Config.keysMax) {
    return { where: "key", message: `${Config.keysMax} keys are stored already; delete one first` }
  }
  const limit = Config.limitOf(state.registers, command)
  if (limit !== undefined) return noRoom(limit)
  return head !== undefined && Stamp.compare(head.revision, stamp) >= 0
    ? { where: "revision", message: `a newer revision of ${command.key} is stored: ${Stamp.toText(head.revision)}` }
    : undefined
}

const noRoom = (limit: Config.Limit): { readonly where: string; readonly message: string } =>
  limit === "keys"
    ? {
        where: "key",
        message: `${Config.keysStoredMax} keys are stored, deleted ones included, and a deleted key is not forgotten; use a key that was set before`
      }
    : {
        where: "store",
        message: `configuration of ${Config.writersMax} writers is stored already; make this change at a node that has written before`
      }

/** An entry from the broadcast tree, this node's own included. */
export const delivered = (turn: Turn, payload: unknown): void => {
  const entry = decoded(turn, payload)
  if (entry !== undefined) receive(turn, [entry], emptyVector)
}

export const decoded = (turn: Turn, payload: unknown): Config.Entry | undefined => {
  const entry = Config.decodeEntry(payload)
  if (entry.ok) return entry.value
  count(turn, "entriesMalformed")
  return undefined
}

/** Entries from anywhere: what is new is written, and counts when it is durable. */
export const receive = (turn: Turn, entries: ReadonlyArray<Config.Entry>, skipped: Config.Vector): void => {
  const { registers, writing } = turn.state
  const news = entries.filter(({ dot }) => !Config.hasDot(registers.vector, dot) && !Config.hasDot(writing, dot))
  const takeable = Config.takeable(registers.vector, skipped)
  const skips = Config.covers(registers.vector, takeable) ? emptyVector : takeable
  if (news.length === 0 && HashMap.isEmpty(skips)) return
  guardSequence(
    turn,
    news.reduce((vector, { dot }) => Config.addDot(vector, dot), skips)
  )
  const fresh = news.filter((entry) => Config.limitOf(registers, entry) === undefined)
  const refused = refuse(turn, registers, news)
  if (refused !== registers) {
    update(turn, { registers: refused })
    writeRows(turn, [refusedRow(refused)])
    turn.statusDirty = true
  }
  if (fresh.length === 0 && HashMap.isEmpty(skips)) return
  const rows: Array<Machine.StoreRow> = fresh.map(rowOf)
  if (!HashMap.isEmpty(skips)) rows.push(prunedRow(Config.skip(refused, skips)))
  pendings.add(turn, rows, { entries: fresh, skipped: skips, event: undefined, token: undefined })
}

/** Counts those of the entries for which there is no room, and notes their dots, so that they are not asked for again. */
const refuse = (turn: Turn, registers: Config.Registers, entries: ReadonlyArray<Config.Entry>): Config.Registers => {
  let out = registers
  for (const entry of entries) {
    const limit = Config.limitOf(registers, entry)
    if (limit === undefined) continue
    count(turn, limit === "keys" ? "keysRefused" : "writersRefused")
    out = Config.refuse(out, entry.dot)
  }
  return out
}

/**
 * Somebody has dots of this node that it never wrote: its durable sequence was restored from a copy. It goes on in
 * another generation, so that no dot is given twice.
 */
export const guardSequence = (turn: Turn, vector: Config.Vector): void => {
  const { config, generation, nextSeq } = turn.state
  const seqs = Config.seqsOf(vector, Config.writerOf({ writer: config.self.id, generation, seq: 0 }))
  const greatest = seqs[seqs.length - 1]?.[1] ?? 0
  if (greatest < nextSeq) return
  const next = Math.max(config.self.incarnation, generation + 1)
  update(turn, { generation: next, nextSeq: 1 })
  writeRows(turn, [generationRow(next)])
}

/** Writes up to this one are durable. */
export const written = (turn: Turn, token: number): void => {
  for (const done of pendings.take(turn, token)) {
    if (done.event !== undefined) events.durable(turn, done.event, done.token)
    else merge(turn, done)
  }
}

const merge = (turn: Turn, done: Pending): void => {
  const rows: Array<Machine.StoreRow> = []
  let registers = Config.skip(turn.state.registers, done.skipped)
  let { liveKeys } = turn.state
  // Where there was room when the write began, others may have taken it since.
  const refused: Array<Config.Entry> = []
  for (const entry of done.entries) {
    const before = Config.head(registers, entry.key)
    const merged = Config.merge(registers, entry)
    registers = merged.registers
    if (merged.refused !== undefined) {
      refused.push(entry)
      registers = refuse(turn, registers, [entry])
      rows.push({ table: "config", key: Config.dotText(entry.dot), value: null })
    }
    liveKeys += isLive(Config.head(registers, entry.key)) - isLive(before)
    for (const old of merged.dropped) rows.push({ table: "config", key: Config.dotText(old.dot), value: null })
  }
  if (refused.length > 0) rows.push(refusedRow(registers))
  if (rows.length > 0) writeRows(turn, [...rows, prunedRow(registers)])
  update(turn, { registers, liveKeys })
  turn.changed = true
  turn.statusDirty = true
  for (const key of new Set(done.entries.map((entry) => entry.key))) consider(turn, key)
  const [entry] = done.entries
  if (done.token === undefined || entry === undefined) return
  if (refused.includes(entry)) {
    const answer = {
      _tag: "Invalid",
      ...noRoom(Config.hasDot(registers.vector, entry.dot) ? "keys" : "writers")
    } as const
    return emit(turn, { _tag: "Answer", token: done.token, answer })
  }
  emit(turn, { _tag: "Answer", token: done.token, answer: { _tag: "Config", document: Config.documentOf(entry) } })
  emit(turn, { _tag: "Broadcast", token: 0, topic: 0, payload: entry.raw })
}

const isLive = (head: Config.Entry | undefined): number => (head === undefined || head.value === null ? 0 : 1)

/** What something on this node acts on; it replaces what was said before. */
export const handles = (turn: Turn, patterns: ReadonlyArray<string>): void => {
  update(turn, { patterns: patterns.filter(pattern.isPattern).slice(0, patternsMax) })
  turn.statusDirty = true
  turn.changed = true
  for (const key of HashMap.keys(turn.state.registers.keys)) consider(turn, key)
}

type Handling = "handler" | "reporter" | "nobody"

const handlingOf = (state: State, key: string): Handling =>
  state.patterns.some((one) => pattern.matches(one, key))
    ? "handler"
    : state.reported.includes(key)
      ? "reporter"
      : "nobody"

/** Makes of the newest entry of a key what it asks of this node. */
const consider = (turn: Turn, key: string): void => {
  const { acting, applied, config, running } = turn.state
  const head = Config.head(turn.state.registers, key)
  const handling = handlingOf(turn.state, key)
  if (head === undefined || handling === "nobody" || !targets(head, config.self)) {
    if (HashMap.has(acting, key)) setActing(turn, key, undefined)
    if (handling === "nobody" && HashMap.has(running, key)) update(turn, { running: HashMap.remove(running, key) })
    return
  }
  if (HashMap.has(running, key)) return
  const revision = Stamp.toText(head.revision)
  if (Option.getOrUndefined(HashMap.get(acting, key))?.revision === revision) return
  setActing(turn, key, { revision, status: "applying", reason: "", since: turn.wall, slot: null })
  // A local application that only reports has seen the entry by itself.
  if (handling === "reporter") return
  update(turn, { running: HashMap.set(running, key, revision) })
  emit(turn, {
    _tag: "Apply",
    entry: Config.documentOf(head),
    previous: Option.getOrNull(HashMap.get(applied, key))
  })
}

const targets = (entry: Config.Entry, self: State["config"]["self"]): boolean =>
  entry.target !== undefined && Selector.matches(entry.target, self.labels, self)

/** The answer to an `Apply`, or the report of a local application. */
export const applied = (turn: Turn, event: Extract<Event, { _tag: "Applied" }>): void => {
  const { key, revision, status } = event
  const head = Config.head(turn.state.registers, key)
  const isNewest = head !== undefined && Stamp.toText(head.revision) === revision
  const isRunning = Option.getOrUndefined(HashMap.get(turn.state.running, key)) === revision
  if (!isNewest && !isRunning) return count(turn, "appliedStale")
  if (isRunning && status !== "applying") update(turn, { running: HashMap.remove(turn.state.running, key) })
  if (isNewest && handlingOf(turn.state, key) === "nobody") {
    update(turn, { reported: [...turn.state.reported, key].slice(-patternsMax) })
  }
  if (isNewest) {
    const reason = event.reason.slice(0, reasonLengthMax)
    setActing(turn, key, { revision, status, reason, since: turn.wall, slot: null })
    if (status === "applied") {
      update(turn, { applied: HashMap.set(turn.state.applied, key, Config.documentOf(head)) })
    }
  }
  turn.changed = true
  consider(turn, key)
}

/** Where this node stands with a key; failures are listed in a record of their own while there is one free. */
const setActing = (turn: Turn, key: string, next: Acting | undefined): void => {
  const before = Option.getOrUndefined(HashMap.get(turn.state.acting, key))
  const failed = next?.status === "failed" || next?.status === "rejected"
  turn.statusDirty = true
  if (before !== undefined && isFailed(before) && before.slot === null) {
    update(turn, { unlisted: turn.state.unlisted - 1 })
  }
  if (next === undefined || !failed) {
    freeSlot(turn, before?.slot ?? null)
    return update(turn, {
      acting:
        next === undefined
          ? HashMap.remove(turn.state.acting, key)
          : HashMap.set(turn.state.acting, key, { ...next, slot: null })
    })
  }
  const slot = before?.slot ?? turn.state.freeSlots[0] ?? null
  update(turn, {
    acting: HashMap.set(turn.state.acting, key, { ...next, slot }),
    freeSlots: turn.state.freeSlots.filter((free) => free !== slot),
    unlisted: turn.state.unlisted + (slot === null ? 1 : 0)
  })
  if (slot === null) return
  writeOwn(turn, `exception/${slot}`, {
    _tag: "Exception",
    key,
    revision: next.revision,
    status: next.status === "failed" ? "failed" : "rejected",
    reason: next.reason,
    since: next.since
  })
}

const isFailed = (acting: Acting): boolean => acting.status === "failed" || acting.status === "rejected"

const freeSlot = (turn: Turn, slot: number | null): void => {
  if (slot === null) return
  update(turn, { freeSlots: [...turn.state.freeSlots, slot].toSorted((a, b) => a - b) })
  writeOwn(turn, `exception/${slot}`, null)
}

/** Exceptions that have a record of their own; the rest is counted. */
export const exceptionsMax = 1000

/** What this node says about configuration, once in a step: after the exceptions it counts on. */
export const tellStatus = (turn: Turn): void => {
  if (!turn.statusDirty) return
  const { acting, freeSlots, patterns, registers, reported, unlisted } = turn.state
  const open: Array<Config.Dot> = []
  for (const [key, one] of acting) {
    const head = Config.head(registers, key)
    if (head !== undefined && (one.status === "applying" || (isFailed(one) && one.slot === null))) open.push(head.dot)
  }
  const received = Config.receivedOf(registers)
  writeOwn(turn, "config", {
    _tag: "ConfigStatus",
    received,
    settled: Config.without(received, open),
    patterns: [...patterns, ...reported].slice(0, patternsMax),
    listed: exceptionsMax - freeSlots.length,
    unlisted
  })
}

const rowOf = (entry: Config.Entry): Machine.StoreRow => ({
  table: "config",
  key: Config.dotText(entry.dot),
  value: entry.raw
})

const generationRow = (generation: number): Machine.StoreRow => ({
  table: "meta",
  key: "generation",
  value: [generation]
})

const prunedRow = (registers: Config.Registers): Machine.StoreRow => ({
  table: "meta",
  key: "pruned",
  value: Config.encodeVector(registers.pruned)
})

const refusedRow = (registers: Config.Registers): Machine.StoreRow => ({
  table: "meta",
  key: "refused",
  value: Config.encodeVector(registers.refused)
})

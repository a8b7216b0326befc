/** Events: recorded here once they are durable, learned from others' documents, saved in batches. */
import type { Machine } from "@starling/machine"
import * as EventLog from "../EventLog.ts"
import type { Event } from "../Facts.ts"
import { severities } from "../Document.ts"
import * as NodeDoc from "../NodeDoc.ts"
import * as pendings from "./pending.ts"
import {
  attributeKeyLengthMax,
  attributesMax,
  attributeValueLengthMax,
  bodyLengthMax,
  encodeEvent,
  type EventRecord,
  nameLengthMax
} from "./records.ts"
import { docOf, emit, ownDoc, putOwn, type Turn, update, writeRows, count } from "./turn.ts"
import * as HashMap from "effect/HashMap"
import { emptyVector } from "./messages.ts"

export const record = (turn: Turn, command: Extract<Event, { _tag: "RecordEvent" }>): void => {
  const refusal = refusalOf(command)
  if (refusal !== undefined) {
    return emit(turn, { _tag: "Answer", token: command.token, answer: { _tag: "Invalid", ...refusal } })
  }
  const { self } = turn.state.config
  const fields = {
    origin: self.id,
    incarnation: self.incarnation,
    seq: turn.state.nextEvent,
    stamp: turn.stamp,
    wall: turn.wall,
    name: self.name,
    datacenter: self.datacenter,
    app: command.app,
    severity: command.severity,
    body: command.body,
    attributes: command.attributes
  }
  const event: EventRecord = { _tag: "Event", ...fields, raw: encodeEvent(fields) }
  const waits = pendings.add(turn, [rowOf(event)], {
    entries: [],
    skipped: emptyVector,
    event,
    token: command.token
  })
  if (waits) update(turn, { nextEvent: turn.state.nextEvent + 1 })
}

/** The event is durable: from now on the fleet may know. */
export const durable = (turn: Turn, event: EventRecord, token: number | undefined): void => {
  keep(turn, event)
  putOwn(turn, NodeDoc.writeRaw(ownDoc(turn.state), NodeDoc.eventKey(event.incarnation, event.seq), event.raw))
  turn.changed = true
  if (token === undefined) return
  const document = EventLog.documentOf(event, undefined, turn.state.config.self.name)
  emit(turn, { _tag: "Answer", token, answer: { _tag: "Event", document } })
}

/** Another node's event. */
export const learn = (turn: Turn, event: EventRecord): void => {
  if (!keep(turn, event)) return
  turn.eventRows.push(rowOf(event))
  turn.changed = true
}

const keep = (turn: Turn, event: EventRecord): boolean => {
  const { added, dropped, log } = EventLog.add(turn.state.events, event)
  if (!added) return false
  update(turn, { events: log })
  for (const old of dropped) {
    turn.eventRows.push({ table: "events", key: EventLog.idOf(old), value: null })
    const doc = docOf(turn.state, old.origin)
    if (doc === undefined) continue
    const shorter = NodeDoc.dropEvent(doc, NodeDoc.eventKey(old.incarnation, old.seq))
    update(turn, { docs: HashMap.set(turn.state.docs, doc.id, shorter) })
  }
  count(turn, "eventsDropped", dropped.length)
  return true
}

/** Rows of one write. Our choice: a transaction of some milliseconds. */
const batchMax = 1000

export const save = (turn: Turn): void => {
  const rows = turn.state.unsavedRows
  if (rows.length === 0) return
  update(turn, { unsavedRows: [] })
  for (let at = 0; at < rows.length; at += batchMax) writeRows(turn, rows.slice(at, at + batchMax))
}

const rowOf = (event: EventRecord): Machine.StoreRow => ({
  table: "events",
  key: EventLog.idOf(event),
  value: event.raw
})

const refusalOf = (
  command: Extract<Event, { _tag: "RecordEvent" }>
): { readonly where: string; readonly message: string } | undefined => {
  if (command.app.length > nameLengthMax) return tooLong("app", command.app.length, nameLengthMax)
  if (!severities.includes(command.severity)) {
    return { where: "severity", message: `expected one of ${severities.join(", ")}` }
  }
  if (command.body.length > bodyLengthMax) return tooLong("body", command.body.length, bodyLengthMax)
  const attributes = Object.entries(command.attributes)
  if (attributes.length > attributesMax) {
    return { where: "attributes", message: `${attributes.length} attributes, at most ${attributesMax} are accepted` }
  }
  for (const [key, value] of attributes) {
    if (key.length > attributeKeyLengthMax) return tooLong("attributes", key.length, attributeKeyLengthMax)
    if (typeof value === "string" && value.length > attributeValueLengthMax) {
      return tooLong(`attributes.${key}`, value.length, attributeValueLengthMax)
    }
  }
  return undefined
}

const tooLong = (where: string, length: number, max: number) => ({
  where,
  message: `${length} characters, at most ${max} are accepted`
})

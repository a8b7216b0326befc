/**
 * What one node says about itself, as a map of versioned records that only that node writes.
 *
 * The owner numbers every change of its document; a record carries the number of the change that wrote it. So "all you
 * have missed since version v" is the records with a greater number, in order, and a document needs no merge rule beyond
 * "the greater version of a record wins" (van Renesse, Dumitriu, Gough, Thomas: "Efficient Reconciliation and Flow
 * Control for Anti-Entropy Protocols", LADIS 2008; Quickwit's chitchat follows it too).
 *
 * A document belongs to one **run**: the incarnation of the node, and the moment at which its facts were last built. A
 * later run replaces all records of the earlier one at once. Within a run no record key is ever given up: the key space
 * is small and its slots are used again, so no tombstones have to be collected. Events are the exception: of them every
 * copy keeps the newest `eventsMax`, by the same rule everywhere.
 *
 * @since 0.1.0
 */
import { Codec, NodeId, Peer } from "@starling/machine"
import * as HashMap from "effect/HashMap"
import * as Option from "effect/Option"
import { decodeValue, encodeValue, type Exception, type PublisherRecord, type RecordValue } from "./internal/records.ts"

export type {
  Adjacency,
  ConfigStatus,
  Exception,
  Lost,
  LostCause,
  Profile,
  PublisherRecord
} from "./internal/records.ts"
export type { RecordValue } from "./internal/records.ts"

/**
 * `raw` is plain data, kept and forwarded as it came, unknown fields included; null says that the slot is empty. `value`
 * is what this version reads in it; undefined if it cannot.
 *
 * @since 0.1.0
 * @category models
 */
export interface Record {
  readonly key: string
  readonly version: number
  readonly raw: unknown
  readonly value: RecordValue | undefined
}

/** Which run of a document: compared lexicographically. @since 0.1.0 @category models */
export interface Run {
  readonly incarnation: number
  /** Milliseconds since 1970 when the owner's facts were built. */
  readonly built: number
}

/** @since 0.1.0 @category models */
export interface NodeDoc extends Run {
  readonly id: NodeId.NodeId
  readonly version: number
  readonly records: HashMap.HashMap<string, Record>
  /** Keys of the event records, oldest first. */
  readonly events: ReadonlyArray<string>
}

/** How much of a document somebody knows. @since 0.1.0 @category models */
export interface Known extends Run {
  readonly version: number
}

/**
 * The records of a document with a version in (from, to], all of them. `isAside`: it bears a stamp that must not be
 * followed, and its records were taken out; never so on the wire.
 *
 * @since 0.1.0
 * @category models
 */
export interface DocDelta extends Run {
  readonly id: NodeId.NodeId
  readonly from: number
  readonly to: number
  readonly records: ReadonlyArray<Record>
  readonly isAside?: true
}

/** Events kept in one document. Our choice. @since 0.1.0 */
export const eventsMax = 2000

/** Records of one document, events included: what another node can make this one keep. Our choice. @since 0.1.0 */
export const recordsMax = 5000

/** The longest record key. @since 0.1.0 */
export const keyLengthMax = 128

/** @since 0.1.0 @category constructors */
export const empty = (id: NodeId.NodeId, run: Run): NodeDoc => ({
  id,
  incarnation: run.incarnation,
  built: run.built,
  version: 0,
  records: HashMap.empty(),
  events: []
})

/** Negative if `a` is the earlier run. @since 0.1.0 */
export const compareRuns = (a: Run, b: Run): number => a.incarnation - b.incarnation || a.built - b.built

/** Negative if `a` knows less. @since 0.1.0 */
export const compareKnown = (a: Known, b: Known): number => compareRuns(a, b) || a.version - b.version

/** Nothing is known. @since 0.1.0 */
export const unknown: Known = { incarnation: 0, built: 0, version: 0 }

/** @since 0.1.0 */
export const knownOf = (doc: NodeDoc): Known => ({
  incarnation: doc.incarnation,
  built: doc.built,
  version: doc.version
})

/** The value of a record if it is of this kind. @since 0.1.0 */
export const valueOf = <Tag extends RecordValue["_tag"]>(
  doc: NodeDoc,
  key: string,
  tag: Tag
): Extract<RecordValue, { readonly _tag: Tag }> | undefined => {
  const value = Option.getOrUndefined(HashMap.get(doc.records, key))?.value
  return value?._tag === tag ? (value as Extract<RecordValue, { readonly _tag: Tag }>) : undefined
}

/** What publishes to the node. @since 0.1.0 */
export const publishersOf = (doc: NodeDoc): ReadonlyArray<PublisherRecord> => {
  const out: Array<PublisherRecord> = []
  for (const { value } of HashMap.values(doc.records)) if (value?._tag === "Publisher") out.push(value)
  return out
}

/** Where the node stands with a key, if it is listed otherwise than as applied. @since 0.1.0 */
export const exceptionOf = (doc: NodeDoc, key: string): Exception | undefined => {
  for (const { value } of HashMap.values(doc.records)) {
    if (value?._tag === "Exception" && value.key === key) return value
  }
  return undefined
}

/** The owner writes a record: one change, one version. @since 0.1.0 @category running */
export const write = (doc: NodeDoc, key: string, value: RecordValue | null): NodeDoc => {
  const version = doc.version + 1
  const raw = value === null ? null : encodeValue(value)
  return { ...put(doc, { key, version, raw, value: value ?? undefined }), version }
}

/** Writes a record that already has its wire form (an event read from the store). @since 0.1.0 @category running */
export const writeRaw = (doc: NodeDoc, key: string, raw: unknown): NodeDoc => {
  const version = doc.version + 1
  return { ...put(doc, { key, version, raw, value: decodeValue(doc.id, key, raw) }), version }
}

/** The same document as another, later run: its records keep their versions. @since 0.1.0 */
export const renew = (doc: NodeDoc, run: Run): NodeDoc => ({ ...doc, incarnation: run.incarnation, built: run.built })

/**
 * What somebody who knows `known` has not seen yet, or undefined if nothing. Records run in the order of their versions,
 * and stop at about `bytesMax`; then `to` is the version reached.
 *
 * @since 0.1.0
 */
export const since = (
  doc: NodeDoc,
  known: Known,
  bytesMax: number
): { readonly delta: DocDelta; readonly bytes: number } | undefined => {
  const order = compareRuns(known, doc)
  if (order > 0 || (order === 0 && known.version >= doc.version)) return undefined
  const from = order === 0 ? known.version : 0
  const missing: Array<Record> = []
  for (const record of HashMap.values(doc.records)) if (record.version > from) missing.push(record)
  missing.sort((a, b) => a.version - b.version)
  let bytes = headBytes
  let count = 0
  for (const record of missing) {
    const size = record.key.length + 12 + Codec.sizeOf(record.raw)
    if (count > 0 && bytes + size > bytesMax) break
    bytes += size
    count += 1
  }
  const all = count === missing.length
  const records = all ? missing : missing.slice(0, count)
  const to = all ? doc.version : (records[records.length - 1] as Record).version
  return { delta: { id: doc.id, incarnation: doc.incarnation, built: doc.built, from, to, records }, bytes }
}

/** Id, run, versions and list heads of one delta on the wire, about. */
const headBytes = 48

/** @since 0.1.0 @category models */
export type Applied =
  /** Nothing new. */
  | { readonly _tag: "Old" }
  /** The delta begins after a version that this copy has not reached. */
  | { readonly _tag: "Gap" }
  | { readonly _tag: "Newer"; readonly doc: NodeDoc; readonly changed: ReadonlyArray<Record>; readonly refused: number }

/**
 * Merges a delta into a copy. Old and repeated deltas change nothing; deltas of one document may arrive in any order, as
 * long as a gap is asked for again.
 *
 * @since 0.1.0
 * @category running
 */
export const apply = (copy: NodeDoc | undefined, delta: DocDelta): Applied => {
  const order = copy === undefined ? -1 : compareRuns(copy, delta)
  if (order > 0) return { _tag: "Old" }
  const base = copy === undefined || order < 0 ? empty(delta.id, delta) : copy
  if (order === 0 && delta.to <= base.version) return { _tag: "Old" }
  if (delta.from > base.version) return { _tag: "Gap" }
  let doc = base
  let refused = 0
  const changed: Array<Record> = []
  for (const record of delta.records) {
    const held = Option.getOrUndefined(HashMap.get(doc.records, record.key))
    if (held !== undefined && held.version >= record.version) continue
    if (held === undefined && HashMap.size(doc.records) >= recordsMax) {
      refused += 1
      continue
    }
    doc = put(doc, record)
    changed.push(record)
  }
  return { _tag: "Newer", doc: { ...doc, version: Math.max(base.version, delta.to) }, changed, refused }
}

const put = (doc: NodeDoc, record: Record): NodeDoc => {
  const records = HashMap.set(doc.records, record.key, record)
  if (!isEvent(record.key) || HashMap.has(doc.records, record.key)) return { ...doc, records }
  const events = insert(doc.events, record.key)
  const oldest = events[0]
  return events.length > eventsMax && oldest !== undefined
    ? { ...doc, records: HashMap.remove(records, oldest), events: events.slice(1) }
    : { ...doc, records, events }
}

/** Without an event that fell out of the log; no change that anybody has to hear of. @since 0.1.0 */
export const dropEvent = (doc: NodeDoc, key: string): NodeDoc =>
  HashMap.has(doc.records, key)
    ? { ...doc, records: HashMap.remove(doc.records, key), events: doc.events.filter((other) => other !== key) }
    : doc

/** True of the key of an event record. @since 0.1.0 */
export const isEvent = (key: string): boolean => key.startsWith("event/")

/** Key of an event record: sorts by incarnation and sequence. @since 0.1.0 */
export const eventKey = (incarnation: number, seq: number): string =>
  `event/${String(incarnation).padStart(16, "0")}.${String(seq).padStart(16, "0")}`

const insert = (keys: ReadonlyArray<string>, key: string): ReadonlyArray<string> => {
  let at = keys.length
  while (at > 0 && (keys[at - 1] as string) > key) at--
  return at === keys.length ? [...keys, key] : [...keys.slice(0, at), key, ...keys.slice(at)]
}

/** @since 0.1.0 @category codec */
export const encodeDelta = (delta: DocDelta): ReadonlyArray<unknown> => [
  delta.id,
  delta.incarnation,
  delta.built,
  delta.from,
  delta.to,
  delta.records.map((record) => [record.key, record.version, record.raw])
]

/** @since 0.1.0 @category codec */
export const decodeDelta: Codec.Decoder<DocDelta> = (input) => {
  const fields = Codec.tuple(input, 6, "document")
  if (!fields.ok) return fields
  const [id, incarnation, built, from, to, list] = fields.value
  if (!NodeId.isNodeId(id)) return Codec.refuse("document: id is not a node id")
  if (!Codec.isCount(incarnation, Peer.incarnationMax)) return Codec.refuse("document: incarnation is not a count")
  if (!Codec.isCount(built)) return Codec.refuse("document: run is not a count")
  if (!Codec.isCount(from) || !Codec.isCount(to) || to < from) return Codec.refuse("document: versions are not a range")
  const records = Codec.list(list, decodeRecord(id, from, to), recordsMax, "document records")
  return records.ok ? Codec.accept({ id, incarnation, built, from, to, records: records.value }) : records
}

const decodeRecord =
  (id: NodeId.NodeId, from: number, to: number): Codec.Decoder<Record> =>
  (input) => {
    const fields = Codec.tuple(input, 3, "record")
    if (!fields.ok) return fields
    const [key, version, raw] = fields.value
    if (!Codec.isText(key, keyLengthMax) || key === "") return Codec.refuse("record: key is not a short text")
    if (!Codec.isCount(version) || version <= from || version > to) return Codec.refuse("record: version out of range")
    return Codec.accept({ key, version, raw, value: raw === null ? undefined : decodeValue(id, key, raw) })
  }

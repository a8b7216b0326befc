/**
 * The kinds of records of a node document, and their plain forms.
 *
 * A plain form is an array that later versions may append to; what cannot be read is kept as it came.
 */
import { Stamp } from "@starling/clock"
import { Codec, NodeId, Peer } from "@starling/machine"
import * as Config from "../Config.ts"
import type { RolloutStatus, Severity, Signal } from "../Document.ts"
import { severities } from "../Document.ts"
import * as Selector from "../Selector.ts"

/** Who the node is. `left` is when it said goodbye. */
export interface Profile {
  readonly _tag: "Profile"
  readonly name: string
  readonly datacenter: string
  readonly address: string
  readonly labels: Selector.Labels
  /** Start of this incarnation, milliseconds since 1970. */
  readonly since: number
  readonly left: Stamp.Stamp | null
}

export type LostCause = "closed" | "refused" | "timeout" | "left"

/** A neighbour that the node lost, and how. */
export interface Lost {
  readonly id: NodeId.NodeId
  readonly incarnation: number
  readonly cause: LostCause
  readonly at: Stamp.Stamp
}

/** The node's neighbours in the overlay, and the evidence about those it lost. */
export interface Adjacency {
  readonly _tag: "Adjacency"
  /** When it was written: what is said about the node before that is outdated. */
  readonly at: Stamp.Stamp
  readonly neighbors: ReadonlyArray<{ readonly id: NodeId.NodeId; readonly incarnation: number }>
  readonly lost: ReadonlyArray<Lost>
}

/** What the node knows and does about configuration. */
export interface ConfigStatus {
  readonly _tag: "ConfigStatus"
  /** Dots that are durable at the node. */
  readonly received: Config.Vector
  /** Of these, the ones on which nothing is left to be done: applied, superseded, not for it, or listed. */
  readonly settled: Config.Vector
  /** Keys that something on the node acts on. */
  readonly patterns: ReadonlyArray<string>
  /** Exceptions that have a record of their own. */
  readonly listed: number
  /** Exceptions that found no slot. */
  readonly unlisted: number
}

/** A key at which the node stands otherwise than "applied". */
export interface Exception {
  readonly _tag: "Exception"
  readonly key: string
  readonly revision: string
  readonly status: Extract<RolloutStatus, "applying" | "failed" | "rejected" | "held" | "drifted">
  readonly reason: string
  /** Milliseconds since 1970. */
  readonly since: number
}

/** Something that publishes to the node. */
export interface PublisherRecord {
  readonly _tag: "Publisher"
  readonly app: string
  readonly instance: string
  readonly signals: ReadonlyArray<Signal>
  readonly state: "fresh" | "stale" | "stopped"
  /** Milliseconds since 1970, coarse. */
  readonly lastPublish: number
  readonly ttlSeconds: number
  readonly labels: Selector.Labels
}

/** An event as its origin recorded it. */
export interface EventRecord {
  readonly _tag: "Event"
  readonly origin: NodeId.NodeId
  readonly incarnation: number
  readonly seq: number
  readonly stamp: Stamp.Stamp
  /** Milliseconds since 1970, by the origin's own clock. */
  readonly wall: number
  readonly name: string
  readonly datacenter: string
  readonly app: string
  readonly severity: Severity
  readonly body: string
  readonly attributes: Readonly<Record<string, string | number | boolean>>
  readonly raw: unknown
}

/** Shows that the node's data centre is heard from. */
export interface Pulse {
  readonly _tag: "Pulse"
  readonly wall: number
}

export type RecordValue = Profile | Adjacency | ConfigStatus | Exception | PublisherRecord | EventRecord | Pulse

/** Neighbours named in one adjacency record: the largest active view, generously. */
export const neighborsMax = 64

/** Evidence kept in one adjacency record, the newest. Our choice. */
export const lostMax = 32

/** Patterns that one node acts on. Our choice. */
export const patternsMax = 256

/** The longest reason that travels. */
export const reasonLengthMax = 512

/** The longest app, instance, node or data centre name. */
export const nameLengthMax = 255

/** Of an event. Our choice. */
export const bodyLengthMax = 4096
export const attributesMax = 64
export const attributeKeyLengthMax = 128
export const attributeValueLengthMax = 1024

const causes: ReadonlyArray<LostCause> = ["closed", "refused", "timeout", "left"]
const signals: ReadonlyArray<Signal> = ["metrics", "logs", "traces"]
const publisherStates = ["fresh", "stale", "stopped"] as const
const exceptionStatuses = ["applying", "failed", "rejected", "held", "drifted"] as const

/** Pairs in the order of their keys, so that equal labels have one form. */
export const encodeLabels = (labels: Selector.Labels): ReadonlyArray<unknown> =>
  Object.keys(labels)
    .toSorted()
    .flatMap((key) => [key, labels[key]])

export const decodeLabels: Codec.Decoder<Selector.Labels> = (input) => {
  if (!Array.isArray(input) || input.length % 2 !== 0 || input.length > 2 * Selector.labelsMax) {
    return Codec.refuse(`labels: expected at most ${Selector.labelsMax} pairs`)
  }
  const labels: Array<readonly [string, string]> = []
  for (let i = 0; i < input.length; i += 2) {
    const key: unknown = input[i]
    const value: unknown = input[i + 1]
    if (typeof key !== "string" || !Selector.isKey(key)) return Codec.refuse("labels: not a key")
    if (!Codec.isText(value, Selector.valueLengthMax)) return Codec.refuse("labels: not a value")
    labels.push([key, value])
  }
  return Codec.accept(Object.fromEntries(labels))
}

export const encodeValue = (value: RecordValue): unknown => {
  switch (value._tag) {
    case "Profile":
      return [
        value.name,
        value.datacenter,
        value.address,
        encodeLabels(value.labels),
        value.since,
        value.left === null ? null : Stamp.encode(value.left)
      ]
    case "Adjacency":
      return [
        Stamp.encode(value.at),
        value.neighbors.map(({ id, incarnation }) => [id, incarnation]),
        value.lost.map((lost) => [lost.id, lost.incarnation, causes.indexOf(lost.cause), Stamp.encode(lost.at)])
      ]
    case "ConfigStatus":
      return [
        Config.encodeVector(value.received),
        Config.encodeVector(value.settled),
        value.patterns,
        value.listed,
        value.unlisted
      ]
    case "Exception":
      return [value.key, value.revision, exceptionStatuses.indexOf(value.status), value.reason, value.since]
    case "Publisher":
      return [
        value.app,
        value.instance,
        value.signals.map((signal) => signals.indexOf(signal)),
        publisherStates.indexOf(value.state),
        value.lastPublish,
        value.ttlSeconds,
        encodeLabels(value.labels)
      ]
    case "Event":
      return value.raw
    case "Pulse":
      return [value.wall]
  }
}

/** Undefined for what this version does not know or cannot read. */
export const decodeValue = (id: NodeId.NodeId, key: string, raw: unknown): RecordValue | undefined => {
  if (!Array.isArray(raw)) return undefined
  const slash = key.indexOf("/")
  const kind = slash === -1 ? key : key.slice(0, slash)
  switch (kind) {
    case "profile":
      return decodeProfile(raw)
    case "adjacency":
      return decodeAdjacency(raw)
    case "config":
      return decodeConfigStatus(raw)
    case "exception":
      return decodeException(raw)
    case "publisher":
      return decodePublisher(raw)
    case "pulse":
      return Codec.isCount(raw[0]) ? { _tag: "Pulse", wall: raw[0] } : undefined
    case "event": {
      const [incarnation, seq] = key
        .slice(slash + 1)
        .split(".")
        .map(Number)
      return decodeEvent(id, incarnation, seq, raw)
    }
    default:
      return undefined
  }
}

type Plain = ReadonlyArray<unknown>

const decodeProfile = ([name, datacenter, address, rawLabels, since, rawLeft]: Plain): Profile | undefined => {
  const labels = decodeLabels(rawLabels)
  const left = rawLeft === null ? null : Stamp.decode(rawLeft)
  if (!Codec.isText(name, nameLengthMax) || !Codec.isText(datacenter, nameLengthMax)) return undefined
  if (!Codec.isText(address, Peer.addressLengthMax) || !labels.ok || !Codec.isCount(since)) return undefined
  if (left !== null && !left.ok) return undefined
  return { _tag: "Profile", name, datacenter, address, labels: labels.value, since, left: left?.value ?? null }
}

const decodeAdjacency = ([rawAt, rawNeighbors, rawLost]: Plain): Adjacency | undefined => {
  const at = Stamp.decode(rawAt)
  const neighbors = Codec.list(rawNeighbors, decodeNeighbor, neighborsMax, "neighbours")
  const lost = Codec.list(rawLost, decodeLost, lostMax, "evidence")
  return at.ok && neighbors.ok && lost.ok
    ? { _tag: "Adjacency", at: at.value, neighbors: neighbors.value, lost: lost.value }
    : undefined
}

const decodeNeighbor: Codec.Decoder<Adjacency["neighbors"][number]> = (input) => {
  const fields = Codec.tuple(input, 2, "neighbour")
  if (!fields.ok) return fields
  const [id, incarnation] = fields.value
  return NodeId.isNodeId(id) && Codec.isCount(incarnation, Peer.incarnationMax)
    ? Codec.accept({ id, incarnation })
    : Codec.refuse("neighbour: not an id with its incarnation")
}

const decodeLost: Codec.Decoder<Lost> = (input) => {
  const fields = Codec.tuple(input, 4, "evidence")
  if (!fields.ok) return fields
  const peer = decodeNeighbor(fields.value)
  if (!peer.ok) return peer
  const at = Stamp.decode(fields.value[3])
  if (!at.ok) return at
  const cause = causes[fields.value[2] as number]
  return cause === undefined
    ? Codec.refuse("evidence: unknown cause")
    : Codec.accept({ ...peer.value, cause, at: at.value })
}

const decodeConfigStatus = ([rawReceived, rawSettled, rawPatterns, listed, unlisted]: Plain):
  | ConfigStatus
  | undefined => {
  const received = Config.decodeVector(rawReceived)
  const settled = Config.decodeVector(rawSettled)
  const patterns = Codec.list(rawPatterns, decodeShort, patternsMax, "patterns")
  return received.ok && settled.ok && patterns.ok && Codec.isCount(listed) && Codec.isCount(unlisted)
    ? {
        _tag: "ConfigStatus",
        received: received.value,
        settled: settled.value,
        patterns: patterns.value,
        listed,
        unlisted
      }
    : undefined
}

const decodeShort: Codec.Decoder<string> = (input) =>
  Codec.isText(input, nameLengthMax) ? Codec.accept(input) : Codec.refuse("not a short text")

const decodeException = ([key, revision, status, reason, since]: Plain): Exception | undefined => {
  const known = exceptionStatuses[status as number]
  return Codec.isText(key, Config.keyLengthMax) &&
    Codec.isText(revision, 64) &&
    Codec.isText(reason, reasonLengthMax) &&
    Codec.isCount(since) &&
    known !== undefined
    ? { _tag: "Exception", key, revision, status: known, reason, since }
    : undefined
}

const decodePublisher = (raw: Plain): PublisherRecord | undefined => {
  const [app, instance, rawSignals, rawState, lastPublish, ttlSeconds, rawLabels] = raw
  const labels = decodeLabels(rawLabels)
  const list = Codec.list(rawSignals, decodeSignal, signals.length, "signals")
  const state = publisherStates[rawState as number]
  return Codec.isText(app, nameLengthMax) &&
    Codec.isText(instance, nameLengthMax) &&
    list.ok &&
    state !== undefined &&
    Codec.isCount(lastPublish) &&
    Codec.isCount(ttlSeconds) &&
    labels.ok
    ? { _tag: "Publisher", app, instance, signals: list.value, state, lastPublish, ttlSeconds, labels: labels.value }
    : undefined
}

const decodeSignal: Codec.Decoder<Signal> = (input) => {
  const signal = signals[input as number]
  return signal === undefined ? Codec.refuse("unknown signal") : Codec.accept(signal)
}

/** The plain form of an event's record and of its row in the store. */
export const encodeEvent = (event: Omit<EventRecord, "raw" | "_tag">): ReadonlyArray<unknown> => [
  Stamp.encode(event.stamp),
  event.wall,
  event.name,
  event.datacenter,
  event.app,
  severities.indexOf(event.severity),
  event.body,
  Object.entries(event.attributes).flat()
]

export const decodeEvent = (
  origin: NodeId.NodeId,
  incarnation: number | undefined,
  seq: number | undefined,
  raw: Plain
): EventRecord | undefined => {
  const [rawStamp, wall, name, datacenter, app, rawSeverity, body, pairs] = raw
  const stamp = Stamp.decode(rawStamp)
  const severity = severities[rawSeverity as number]
  const attributes = decodeAttributes(pairs)
  if (!Codec.isCount(incarnation, Peer.incarnationMax) || !Codec.isCount(seq) || !stamp.ok) return undefined
  if (severity === undefined || attributes === undefined || !Codec.isCount(wall)) return undefined
  if (!Codec.isText(name, nameLengthMax) || !Codec.isText(datacenter, nameLengthMax)) return undefined
  if (!Codec.isText(app, nameLengthMax) || !Codec.isText(body, bodyLengthMax)) return undefined
  return {
    _tag: "Event",
    origin,
    incarnation,
    seq,
    stamp: stamp.value,
    wall,
    name,
    datacenter,
    app,
    severity,
    body,
    attributes,
    raw
  }
}

const decodeAttributes = (input: unknown): EventRecord["attributes"] | undefined => {
  if (!Array.isArray(input) || input.length % 2 !== 0 || input.length > 2 * attributesMax) return undefined
  const pairs: Array<readonly [string, string | number | boolean]> = []
  for (let i = 0; i < input.length; i += 2) {
    const key: unknown = input[i]
    const value: unknown = input[i + 1]
    if (!Codec.isText(key, attributeKeyLengthMax)) return undefined
    if (typeof value !== "number" && typeof value !== "boolean" && !Codec.isText(value, attributeValueLengthMax)) {
      return undefined
    }
    pairs.push([key, value])
  }
  return Object.fromEntries(pairs)
}

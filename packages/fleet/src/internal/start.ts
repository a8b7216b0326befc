/** The facts as the store has them, and what must always be true of them. */
import { Codec, LinkGate, type NodeId, Peer, Rng } from "@starling/machine"
import * as HashMap from "effect/HashMap"
import * as Config from "../Config.ts"
import * as EventLog from "../EventLog.ts"
import type { Config as FactsConfig, Remembered, State, Stored } from "../Facts.ts"
import * as NodeDoc from "../NodeDoc.ts"
import * as Publishers from "../Publishers.ts"
import * as Relays from "../Relays.ts"
import { entriesMax as entriesAsideMax } from "./aside.ts"
import { exceptionsMax } from "./entries.ts"
import { emptyVector } from "./messages.ts"
import { profileOf } from "./own.ts"
import { decodeEvent, decodeLabels, type EventRecord, nameLengthMax } from "./records.ts"
import { compareText } from "./text.ts"
import { hashOf, ownDoc } from "./turn.ts"

export const make = (config: FactsConfig, stored: Stored, rng: Rng.Rng, wall: number): State => {
  const { registers, surplus: surplusEntries } = readConfig(stored)
  const generation = readGeneration(stored) ?? Math.max(1, config.self.incarnation)
  const { events, surplus } = readEvents(stored)
  const peers = readPeers(stored, config.self.id, config.docsMax)
  const own = EventLog.eventsOf(events, config.self.id)
  const doc = ownDocument(config, registers, own, wall)
  // Writes of a former state may still be answered: a random range of tokens tells them apart, also under the same seed.
  const [range] = Rng.nextInt(Rng.split(rng, `tokens/${wall}`), 2 ** 20)
  const firstToken = range * 2 ** 32 + 1
  const idle = { round: 0, due: undefined }
  return {
    config,
    rng,
    timers: {
      Flush: idle,
      Own: idle,
      Announce: idle,
      Tick: idle,
      AntiEntropy: idle,
      Pulse: idle,
      Pull: idle,
      Beat: idle
    },
    madeAt: 0,
    lastFlush: Number.NEGATIVE_INFINITY,
    lastOwn: Number.NEGATIVE_INFINITY,
    gate: LinkGate.empty,
    links: HashMap.empty(),
    relays: Relays.empty,
    beats: 0,
    fresh: HashMap.empty(),
    due: HashMap.empty(),
    asked: HashMap.empty(),
    aside: { until: HashMap.empty(), vector: emptyVector },
    docs: HashMap.make([doc.id, doc]),
    docsHash: hashOf(doc),
    heard: HashMap.empty(),
    remembered: peers.kept,
    unsaved: HashMap.empty(),
    unsavedRows: [
      ...surplus.map((event) => ({ table: "events", key: EventLog.idOf(event), value: null })),
      ...surplusEntries.map((entry) => ({ table: "config", key: Config.dotText(entry.dot), value: null })),
      ...peers.surplus.map((id) => ({ table: "peers", key: id, value: null }))
    ],
    rememberDue: false,
    toldSize: 0,
    lost: [],
    early: [],
    leaving: null,
    registers,
    generation,
    nextSeq: lastSeq(registers.vector, config.self.id, generation) + 1,
    liveKeys: [...HashMap.values(registers.keys)].filter(([head]) => head !== undefined && head.value !== null).length,
    firstToken,
    nextToken: firstToken,
    pending: HashMap.empty(),
    writing: emptyVector,
    patterns: [],
    reported: [],
    acting: HashMap.empty(),
    running: HashMap.empty(),
    applied: HashMap.empty(),
    freeSlots: Array.from({ length: exceptionsMax }, (_, slot) => slot),
    unlisted: 0,
    publishers: Publishers.empty,
    events,
    nextEvent: own.reduce((next, { incarnation, seq }) => {
      return incarnation === config.self.incarnation ? Math.max(next, seq + 1) : next
    }, 1),
    outdated: config.self.incarnation,
    counters: {
      documentsRefused: 0,
      digestsRefused: 0,
      peersForgotten: peers.surplus.length,
      recordsRefused: 0,
      keysRefused: surplusEntries.length,
      writersRefused: 0,
      entriesMalformed: 0,
      pendingOverflow: 0,
      publishersRefused: 0,
      publishersMalformed: 0,
      eventsDropped: 0,
      eventRowsOverflow: 0,
      deltaGaps: 0,
      deltasReceived: 0,
      deltasRepeated: 0,
      documentsPulled: 0,
      documentsAside: 0,
      entriesAside: 0,
      asideOverflow: 0,
      relaysRefused: 0,
      appliedStale: 0,
      rewritten: 0
    }
  }
}

const ownDocument = (
  config: FactsConfig,
  registers: Config.Registers,
  own: ReadonlyArray<EventRecord>,
  wall: number
): NodeDoc.NodeDoc => {
  let doc = NodeDoc.empty(config.self.id, {
    incarnation: config.self.incarnation,
    built: Math.max(0, Math.floor(wall))
  })
  doc = NodeDoc.write(doc, "profile", profileOf(config, null))
  doc = NodeDoc.write(doc, "config", {
    _tag: "ConfigStatus",
    received: Config.receivedOf(registers),
    settled: Config.receivedOf(registers),
    patterns: [],
    listed: 0,
    unlisted: 0
  })
  for (const event of own) doc = NodeDoc.writeRaw(doc, NodeDoc.eventKey(event.incarnation, event.seq), event.raw)
  return doc
}

const lastSeq = (vector: Config.Vector, writer: NodeId.NodeId, generation: number): number => {
  const seqs = Config.seqsOf(vector, Config.writerOf({ writer, generation, seq: 0 }))
  return seqs[seqs.length - 1]?.[1] ?? 0
}

const rowsOf = (stored: Stored, table: string): Iterable<readonly [string, unknown]> => stored.get(table) ?? []

/** A row that cannot be read (a later version wrote it) is left where it is. */
const readConfig = (
  stored: Stored
): { readonly registers: Config.Registers; readonly surplus: ReadonlyArray<Config.Entry> } => {
  const meta = stored.get("meta")
  const refused = Config.decodeVector(meta?.get("refused"))
  let registers = Config.empty
  if (refused.ok) registers = { ...registers, vector: refused.value, refused: refused.value }
  const surplus: Array<Config.Entry> = []
  for (const [, row] of rowsOf(stored, "config")) {
    const entry = Config.decodeEntry(row)
    if (!entry.ok) continue
    const merged = Config.merge(registers, entry.value)
    registers = merged.registers
    if (merged.refused !== "keys") continue
    surplus.push(entry.value)
    registers = Config.refuse(registers, entry.value.dot)
  }
  const pruned = Config.decodeVector(meta?.get("pruned"))
  return { registers: pruned.ok ? Config.skip(registers, pruned.value) : registers, surplus }
}

const readGeneration = (stored: Stored): number | undefined => {
  const row = stored.get("meta")?.get("generation")
  return Array.isArray(row) && Codec.isCount(row[0]) ? row[0] : undefined
}

const readEvents = (
  stored: Stored
): { readonly events: EventLog.EventLog; readonly surplus: ReadonlyArray<EventRecord> } => {
  let events = EventLog.empty
  const surplus: Array<EventRecord> = []
  for (const [key, row] of rowsOf(stored, "events")) {
    const id = EventLog.parseId(key)
    if (id === undefined || !Array.isArray(row)) continue
    const event = decodeEvent(id.origin, id.incarnation, id.seq, row)
    if (event === undefined) continue
    const added = EventLog.add(events, event)
    events = added.log
    surplus.push(...(added.added ? added.dropped : [event]))
  }
  return { events, surplus }
}

/** Nodes in the store, at most `max`: the longest unheard of have to go. */
const readPeers = (
  stored: Stored,
  self: NodeId.NodeId,
  max: number
): { readonly kept: State["remembered"]; readonly surplus: ReadonlyArray<NodeId.NodeId> } => {
  const found: Array<readonly [NodeId.NodeId, Remembered]> = []
  for (const [id, row] of rowsOf(stored, "peers")) {
    if (id === self || !Array.isArray(row)) continue
    const [incarnation, address, name, datacenter, rawLabels, heard]: ReadonlyArray<unknown> = row
    const peer = Peer.decode([id, incarnation, address])
    const labels = decodeLabels(rawLabels)
    if (!peer.ok || !labels.ok || !Codec.isText(name, nameLengthMax) || !Codec.isText(datacenter, nameLengthMax)) {
      continue
    }
    const known = { peer: peer.value, name, datacenter, labels: labels.value, heard: Codec.isCount(heard) ? heard : 0 }
    found.push([id, known])
  }
  const newestFirst =
    found.length <= max ? found : found.toSorted(([a, one], [b, other]) => other.heard - one.heard || compareText(a, b))
  return {
    kept: HashMap.fromIterable(newestFirst.slice(0, max)),
    surplus: newestFirst.slice(max).map(([id]) => id)
  }
}

const hashedMax = 64

export const invariants = (state: State): ReadonlyArray<string> => {
  const broken: Array<string> = []
  const check = (holds: boolean, name: string) => {
    if (!holds) broken.push(name)
  }
  const own = ownDoc(state)
  const status = NodeDoc.valueOf(own, "config", "ConfigStatus")
  check(own.incarnation === state.config.self.incarnation, "the own document is of the own incarnation")
  check(
    status !== undefined && Config.covers(state.registers.vector, status.received),
    "received claims only what is durable"
  )
  check(status !== undefined && Config.covers(status.received, status.settled), "settled is within received")
  check(
    HashMap.size(state.registers.entries) ===
      [...HashMap.values(state.registers.keys)].reduce((sum, history) => sum + history.length, 0),
    "every entry of a history is found by its dot"
  )
  const { docsMax } = state.config
  const links = [...HashMap.values(state.links)]
  check(HashMap.size(state.docs) <= docsMax + 1, "documents are within their bound")
  check(HashMap.size(state.remembered) <= docsMax, "nodes remembered from the store are within their bound")
  check(
    links.every(({ arriving }) => HashMap.size(arriving) <= docsMax),
    "digests that are still coming are within their bound"
  )
  // What the neighbour named, and what it was sent or sent since: documents that this node has.
  check(
    links.every(({ known }) => known === undefined || HashMap.size(known) <= 2 * docsMax + 1),
    "what neighbours are known to have is within its bound"
  )
  check(
    state.early.every((id) => state.lost.some((one) => one.id === id)),
    "evidence of an unknown time is evidence"
  )
  check(HashMap.size(state.asked) <= docsMax, "what neighbours are asked for is within its bound")
  check(HashMap.size(state.aside.until) <= entriesAsideMax, "entries put aside are within their bound")
  check(HashMap.size(state.relays) <= Relays.knownMax, "relay trees are within their bound")
  check(
    [...HashMap.values(state.relays)].every(({ down, former, next, up }) =>
      [...former, ...next, ...down.map(({ link }) => link), ...(up === null ? [] : [up])].every((link) =>
        HashMap.has(state.links, link)
      )
    ),
    "edges of relay trees are links to neighbours"
  )
  check(
    [...HashMap.values(state.relays)].every(
      ({ former, next, up }) => up === null || !(former.includes(up) || next.includes(up))
    ),
    "a parent is claimed once, and does not follow itself"
  )
  check(HashMap.size(state.registers.keys) <= Config.keysStoredMax, "keys are within their bound")
  check(HashMap.size(state.registers.vector) <= Config.writersMax, "writers of configuration are within their bound")
  check(Config.covers(state.registers.vector, state.registers.refused), "what was refused is known")
  check(HashMap.size(state.pending) <= state.config.pendingMax, "pending writes are within their bound")
  check(EventLog.size(state.events) <= EventLog.logMax, "events are within their bound")
  // Invariants run after every step of a simulation: with many documents this one would be most of its time.
  check(
    HashMap.size(state.docs) > hashedMax ||
      [...HashMap.values(state.docs)].reduce((hash, doc) => (hash ^ hashOf(doc)) >>> 0, 0) === state.docsHash,
    "the hash of the documents is that of the documents"
  )
  check(
    lastSeq(state.registers.vector, state.config.self.id, state.generation) < state.nextSeq,
    "no dot of this node is given twice"
  )
  return broken
}

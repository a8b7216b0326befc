/** How facts travel: plain arrays, the first field says which message. */
import { Stamp } from "@starling/clock"
import { Codec, NodeId, Peer } from "@starling/machine"
import * as HashMap from "effect/HashMap"
import * as Config from "../Config.ts"
import type { Message } from "../Facts.ts"
import * as NodeDoc from "../NodeDoc.ts"

const kinds = { Digest: 0, Delta: 1, Entries: 2, Summary: 3, Pull: 4, Have: 5, Want: 6, Beats: 7, Claims: 8 } as const

/** Rows of one digest part that are accepted: more than any sender puts in. */
const digestRowsMax = 10_000

/** Relays named in one frame that are accepted: more than any sender knows. */
const relaysAcceptedMax = 1000

/** Documents or entries of one frame that are accepted. The frame's own limit comes first. */
const itemsMax = 20_000

export const encode = (message: Message): ReadonlyArray<unknown> => {
  switch (message._tag) {
    case "Digest":
      return [
        kinds.Digest,
        (message.reply ? 1 : 0) + (message.first ? 2 : 0) + (message.last ? 4 : 0) + (message.relays ? 8 : 0),
        message.docs.map(encodeKnown),
        message.config === null ? null : Config.encodeVector(message.config)
      ]
    case "Delta":
      return [kinds.Delta, message.docs.map(NodeDoc.encodeDelta), message.via]
    case "Entries":
      return [kinds.Entries, message.entries.map(Config.encodeEntry), Config.encodeVector(message.skipped)]
    case "Summary":
      return [kinds.Summary, message.docs, message.config]
    case "Pull":
      return [kinds.Pull, Config.encodeVector(message.config)]
    case "Have":
    case "Want":
      return [kinds[message._tag], message.docs.map(encodeKnown)]
    case "Beats":
      return [kinds.Beats, message.beats.map(encodeKnown)]
    case "Claims":
      return [kinds.Claims, message.parents, message.released]
  }
}

const encodeKnown = ([id, known]: readonly [NodeId.NodeId, NodeDoc.Known]): ReadonlyArray<unknown> => [
  id,
  known.incarnation,
  known.built,
  known.version
]

export const decode: Codec.Decoder<Message> = (input) => {
  if (!Array.isArray(input)) return Codec.refuse("facts: expected a list")
  switch (input[0]) {
    case kinds.Digest:
      return decodeDigest(input)
    case kinds.Delta: {
      const docs = Codec.list(input[1], NodeDoc.decodeDelta, itemsMax, "facts delta")
      if (!docs.ok) return docs
      // Earlier releases end here.
      if (input[2] === undefined) return Codec.accept({ _tag: "Delta", docs: docs.value, via: [] })
      const via = Codec.list(input[2], decodeRun, itemsMax, "facts delta relays")
      return via.ok ? Codec.accept({ _tag: "Delta", docs: docs.value, via: via.value }) : via
    }
    case kinds.Entries: {
      const entries = Codec.list(input[1], Config.decodeEntry, itemsMax, "facts entries")
      if (!entries.ok) return entries
      const skipped = Config.decodeVector(input[2])
      return skipped.ok ? Codec.accept({ _tag: "Entries", entries: entries.value, skipped: skipped.value }) : skipped
    }
    case kinds.Summary: {
      const [, docs, config]: ReadonlyArray<unknown> = input
      return Codec.isCount(docs, 0xffffffff) && Codec.isCount(config, 0xffffffff)
        ? Codec.accept({ _tag: "Summary", docs, config })
        : Codec.refuse("facts summary: expected two hashes")
    }
    case kinds.Pull: {
      const config = Config.decodeVector(input[1])
      return config.ok ? Codec.accept({ _tag: "Pull", config: config.value }) : config
    }
    case kinds.Have: {
      const docs = Codec.list(input[1], decodeKnown, digestRowsMax, "facts have")
      return docs.ok ? Codec.accept({ _tag: "Have", docs: docs.value }) : docs
    }
    case kinds.Want: {
      const docs = Codec.list(input[1], decodeKnown, digestRowsMax, "facts want")
      return docs.ok ? Codec.accept({ _tag: "Want", docs: docs.value }) : docs
    }
    case kinds.Beats: {
      const beats = Codec.list(input[1], decodeKnown, relaysAcceptedMax, "facts beats")
      return beats.ok ? Codec.accept({ _tag: "Beats", beats: beats.value }) : beats
    }
    case kinds.Claims: {
      const parents = Codec.list(input[1], decodeRelay, relaysAcceptedMax, "facts claims")
      if (!parents.ok) return parents
      const released = Codec.list(input[2], decodeRelay, relaysAcceptedMax, "facts claims")
      return released.ok ? Codec.accept({ _tag: "Claims", parents: parents.value, released: released.value }) : released
    }
    default:
      return Codec.refuse(`unknown kind ${String(input[0]).slice(0, 20)} of facts message`)
  }
}

const decodeDigest = (input: ReadonlyArray<unknown>): Codec.Decoded<Message> => {
  const flags = input[1]
  if (!Codec.isCount(flags, 0xff)) return Codec.refuse("facts digest: flags are not a count")
  const docs = Codec.list(input[2], decodeKnown, digestRowsMax, "facts digest")
  if (!docs.ok) return docs
  const config = input[3] === null ? null : Config.decodeVector(input[3])
  if (config !== null && !config.ok) return config
  return Codec.accept({
    _tag: "Digest",
    reply: (flags & 1) !== 0,
    first: (flags & 2) !== 0,
    last: (flags & 4) !== 0,
    docs: docs.value,
    config: config?.value ?? null,
    relays: (flags & 8) !== 0
  })
}

const decodeRelay: Codec.Decoder<NodeId.NodeId> = (input) =>
  NodeId.isNodeId(input) ? Codec.accept(input) : Codec.refuse("facts: relay is not a node id")

const decodeRun: Codec.Decoder<readonly [NodeId.NodeId | null, number]> = (input) => {
  const fields = Codec.tuple(input, 2, "facts delta relay")
  if (!fields.ok) return fields
  const [relay, length] = fields.value
  if (relay !== null && !NodeId.isNodeId(relay)) return Codec.refuse("facts delta: relay is not a node id")
  return Codec.isCount(length, itemsMax)
    ? Codec.accept([relay, length] as const)
    : Codec.refuse(`facts delta: length of a run is not in 0..${itemsMax}`)
}

const decodeKnown: Codec.Decoder<readonly [NodeId.NodeId, NodeDoc.Known]> = (input) => {
  const fields = Codec.tuple(input, 4, "facts digest")
  if (!fields.ok) return fields
  const [id, incarnation, built, version] = fields.value
  if (!NodeId.isNodeId(id)) return Codec.refuse("facts digest: id is not a node id")
  return Codec.isCount(incarnation, Peer.incarnationMax) && Codec.isCount(built) && Codec.isCount(version)
    ? Codec.accept([id, { incarnation, built, version }] as const)
    : Codec.refuse("facts digest: versions are not counts")
}

export const stampsOf = (message: Message): Stamp.Stamp | undefined => {
  let greatest: Stamp.Stamp | undefined
  const take = (stamp: Stamp.Stamp) => {
    greatest = greatest === undefined ? stamp : Stamp.max(greatest, stamp)
  }
  if (message._tag === "Entries") for (const entry of message.entries) take(entry.revision)
  if (message._tag === "Delta") {
    for (const { records } of message.docs) for (const { value } of records) takeFrom(value, take)
  }
  return greatest
}

export const sift = (
  message: Message,
  isRefused: (stamp: Stamp.Stamp) => boolean
): { readonly message: Message; readonly refused: ReadonlyArray<Stamp.Stamp> } => {
  const refused: Array<Stamp.Stamp> = []
  if (message._tag === "Entries") {
    const entries: Array<Config.Entry> = []
    const aside: Array<Config.Dot> = []
    for (const entry of message.entries) {
      if (!isRefused(entry.revision)) entries.push(entry)
      else {
        aside.push(entry.dot)
        refused.push(entry.revision)
      }
    }
    return refused.length === 0 ? { message, refused } : { message: { ...message, entries, aside }, refused }
  }
  if (message._tag === "Delta") {
    const docs = message.docs.map((delta): NodeDoc.DocDelta => {
      const stamp = stampsOf({ _tag: "Delta", docs: [delta], via: [] })
      if (stamp === undefined || !isRefused(stamp)) return delta
      refused.push(stamp)
      // It keeps its place: the relays are named by runs of documents.
      return { ...delta, records: [], isAside: true }
    })
    return refused.length === 0 ? { message, refused } : { message: { ...message, docs }, refused }
  }
  return { message, refused }
}

const takeFrom = (value: NodeDoc.RecordValue | undefined, take: (stamp: Stamp.Stamp) => void): void => {
  switch (value?._tag) {
    case "Event":
      return take(value.stamp)
    case "Adjacency":
      take(value.at)
      for (const lost of value.lost) take(lost.at)
      return
    case "Profile":
      return value.left === null ? undefined : take(value.left)
    default:
      return undefined
  }
}

export const stampOfPayload = (payload: unknown): Stamp.Stamp | undefined => {
  const entry = Config.decodeEntry(payload)
  return entry.ok ? entry.value.revision : undefined
}

/** 32 bits of a vector, whatever the order of its writers. */
export const hashVector = (vector: Config.Vector): number => {
  let sum = 0
  for (const [writer, seqs] of vector) {
    let hash = 0x811c9dc5
    const text = `${writer}:${seqs.join(";")}`
    for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
    sum = (sum ^ Math.imul(hash ^ (hash >>> 15), 0x735a2d97)) >>> 0
  }
  return sum
}

export const emptyVector: Config.Vector = HashMap.empty()

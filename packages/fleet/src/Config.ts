/**
 * Configuration as a CRDT: for each key a register in which the last writer wins by clock stamp, with a short history.
 *
 * An entry is its own delta. The state of a key is the newest ten entries of it ever merged, so merging is the union of
 * sets cut to the greatest ten of a total order: idempotent, commutative, associative.
 *
 * Every entry carries a **dot**: the node that wrote it, a generation of that node's durable sequence, and a number that
 * is contiguous per writer and generation. A node that has stored the dots of a writer up to n says so with one interval,
 * which makes "who has received it?" exact and cheap (Almeida, Shoker, Baquero: "Delta State Replicated Data Types",
 * J. Parallel Distrib. Comput. 111, 2018, section 7; dotted version vectors: Preguiça et al., 2010). Dots of entries that
 * fell out of the history stay in the vector: they are superseded for good.
 *
 * @since 0.1.0
 */
import { Stamp } from "@starling/clock"
import { Codec, NodeId, SeqSet } from "@starling/machine"
import * as HashMap from "effect/HashMap"
import * as Option from "effect/Option"
import type { ConfigDocument } from "./Document.ts"
import { byteLength } from "./internal/text.ts"
import * as Selector from "./Selector.ts"

/** Which write of which writer. @since 0.1.0 @category models */
export interface Dot {
  readonly writer: NodeId.NodeId
  /** Changes only when the writer's durable sequence was lost or restored from a copy. */
  readonly generation: number
  readonly seq: number
}

/**
 * One change of one key. `raw` is what travels and is stored: fields that a later version added are in it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Entry {
  readonly key: string
  /** Null removes the key. */
  readonly value: string | null
  readonly revision: Stamp.Stamp
  /** As it was written. */
  readonly selector: string
  /** Undefined if this version cannot read the selector: the entry then targets nobody here. */
  readonly target: Selector.Selector | undefined
  readonly author: string
  readonly note: string
  /** When it was written, by the writer's clock: milliseconds since 1970. */
  readonly wall: number
  readonly operation: "set" | "delete" | "revert"
  readonly dot: Dot
  readonly raw: ReadonlyArray<unknown>
}

/** Received dots of each writer and generation, by `writerOf`. @since 0.1.0 @category models */
export type Vector = HashMap.HashMap<string, SeqSet.SeqSet>

/** @since 0.1.0 @category models */
export interface Registers {
  /** Of each key the newest `historyMax` entries, newest first. Deleted keys stay, with a deletion as their newest. */
  readonly keys: HashMap.HashMap<string, ReadonlyArray<Entry>>
  /** The same entries by `dotText`. */
  readonly entries: HashMap.HashMap<string, Entry>
  /** Every dot merged. */
  readonly vector: Vector
  /** The dots merged whose entries fell out of the history. */
  readonly pruned: Vector
  /** The dots of `vector` that found no room here: known, so that they are not asked for again, but neither held nor superseded. */
  readonly refused: Vector
}

/** Entries kept of one key. Our choice. @since 0.1.0 */
export const historyMax = 10

/** Keys that hold a value: one more is refused where it is written. Our choice. @since 0.1.0 */
export const keysMax = 10_000

/** Keys stored, deleted ones included: what other nodes can make this one keep. Our choice. @since 0.1.0 */
export const keysStoredMax = 20_000

/** @since 0.1.0 */
export const keyLengthMax = 255

/** Bytes of UTF-8. Our choice. @since 0.1.0 */
export const valueBytesMax = 64 * 1024

/** @since 0.1.0 */
export const authorLengthMax = 256

/** @since 0.1.0 */
export const noteLengthMax = 1024

/**
 * Writers and generations in one vector: dots of one more are not taken. Our choice: far more than people who change
 * configuration.
 *
 * @since 0.1.0
 */
export const writersMax = 4096

/** Writers of a vector that is read: what is held and what is being written, each at its bound. @since 0.1.0 */
export const writersReadMax = 2 * writersMax

/** Intervals of one writer in a vector that travels; a reader of the vector learns of the rest later. @since 0.1.0 */
export const intervalsMax = 512

/** @since 0.1.0 @category constructors */
export const empty: Registers = {
  keys: HashMap.empty(),
  entries: HashMap.empty(),
  vector: HashMap.empty(),
  pruned: HashMap.empty(),
  refused: HashMap.empty()
}

/** @since 0.1.0 @category guards */
export const isKey = (key: string): boolean =>
  key.length <= keyLengthMax && /^[a-z0-9][a-z0-9._-]*(?:\/[a-z0-9][a-z0-9._-]*)*$/.test(key)

/**
 * Why a change is not accepted, or undefined: which field, and what would be right.
 *
 * @since 0.1.0
 */
export const refusalOf = (change: {
  readonly key: string
  readonly value: string | null
  readonly selector: string
  readonly author: string
  readonly note: string
}): { readonly where: string; readonly message: string } | undefined => {
  if (!isKey(change.key)) {
    return {
      where: "key",
      message: `${JSON.stringify(change.key.slice(0, 80))} is no key: expected at most ${keyLengthMax} of a-z 0-9 . _ -, in segments separated by / that begin with a letter or digit`
    }
  }
  if (change.value !== null) {
    const bytes = byteLength(change.value)
    if (bytes > valueBytesMax)
      return { where: "value", message: `${bytes} bytes, at most ${valueBytesMax} are accepted` }
  }
  const selector = Selector.parse(change.selector)
  if (!selector.ok) return { where: "selector", message: selector.reason }
  if (change.author.length > authorLengthMax) {
    return { where: "author", message: `${change.author.length} characters, at most ${authorLengthMax} are accepted` }
  }
  if (change.note.length > noteLengthMax) {
    return { where: "note", message: `${change.note.length} characters, at most ${noteLengthMax} are accepted` }
  }
  return undefined
}

/** @since 0.1.0 @category constructors */
export const entry = (fields: Omit<Entry, "raw" | "target">): Entry => {
  const target = Selector.parse(fields.selector)
  return { ...fields, target: target.ok ? target.value : undefined, raw: rawOf(fields) }
}

/** What a vector is keyed by: the writer and generation of a dot. @since 0.1.0 */
export const writerOf = (dot: Dot): string => `${dot.writer}.${dot.generation}`

/** Key of an entry's row in the store. @since 0.1.0 */
export const dotText = (dot: Dot): string => `${dot.writer}.${dot.generation}.${dot.seq}`

/** @since 0.1.0 */
export const hasDot = (vector: Vector, dot: Dot): boolean => SeqSet.has(seqsOf(vector, writerOf(dot)), dot.seq)

/** @since 0.1.0 */
export const seqsOf = (vector: Vector, writer: string): SeqSet.SeqSet =>
  Option.getOrElse(HashMap.get(vector, writer), () => SeqSet.empty)

/** @since 0.1.0 @category combinators */
export const addDot = (vector: Vector, dot: Dot): Vector => {
  const writer = writerOf(dot)
  return HashMap.set(vector, writer, SeqSet.add(seqsOf(vector, writer), dot.seq))
}

/** The union of two vectors. @since 0.1.0 @category combinators */
export const joinVectors = (a: Vector, b: Vector): Vector => {
  let out = a
  for (const [writer, seqs] of b) {
    let joined = seqsOf(out, writer)
    for (const [from, to] of seqs) joined = SeqSet.addRange(joined, from, to)
    out = HashMap.set(out, writer, joined)
  }
  return out
}

/** True if every dot of `a` is in `b`. @since 0.1.0 */
export const covers = (b: Vector, a: Vector): boolean => {
  for (const [writer, seqs] of a) if (SeqSet.missing(seqs, seqsOf(b, writer), 1).length > 0) return false
  return true
}

/** At most `limit` dots of `a` that are not in `b`. @since 0.1.0 */
export const missingDots = (a: Vector, b: Vector, limit: number): ReadonlyArray<Dot> => {
  const out: Array<Dot> = []
  for (const [writer, seqs] of a) {
    if (out.length >= limit) break
    const id = splitWriter(writer)
    for (const seq of SeqSet.missing(seqs, seqsOf(b, writer), limit - out.length)) out.push({ ...id, seq })
  }
  return out
}

/** Without these dots. @since 0.1.0 @category combinators */
export const without = (vector: Vector, dots: ReadonlyArray<Dot>): Vector => {
  let out = vector
  for (const dot of dots) {
    const writer = writerOf(dot)
    const left = seqsOf(out, writer).flatMap(([from, to]) =>
      dot.seq < from || dot.seq > to ? [[from, to] as const] : around(from, to, dot.seq)
    )
    out = left.length === 0 ? HashMap.remove(out, writer) : HashMap.set(out, writer, left)
  }
  return out
}

const around = (from: number, to: number, seq: number): ReadonlyArray<readonly [number, number]> => {
  const out: Array<readonly [number, number]> = []
  if (seq > from) out.push([from, seq - 1])
  if (seq < to) out.push([seq + 1, to])
  return out
}

/** Writer and generation of a vector's key. @since 0.1.0 */
export const splitWriter = (writer: string): { readonly writer: NodeId.NodeId; readonly generation: number } => ({
  writer: writer.slice(0, 12),
  generation: Number(writer.slice(13))
})

/**
 * The total order of entries: by stamp, then by dot, so that even a stamp given twice has one winner everywhere.
 *
 * @since 0.1.0
 */
export const compare = (a: Entry, b: Entry): number => {
  const stamps = Stamp.compare(a.revision, b.revision)
  if (stamps !== 0) return stamps
  const left = dotText(a.dot)
  const right = dotText(b.dot)
  return left < right ? -1 : left > right ? 1 : 0
}

/** Which bound leaves no room for a dot of a key. @since 0.1.0 @category models */
export type Limit = "keys" | "writers"

/**
 * The bound that this entry would break, if it is merged now.
 *
 * @since 0.1.0
 */
export const limitOf = (registers: Registers, { dot, key }: Pick<Entry, "dot" | "key">): Limit | undefined => {
  if (!hasRoom(registers.vector, writerOf(dot))) return "writers"
  return HashMap.size(registers.keys) >= keysStoredMax && !HashMap.has(registers.keys, key) ? "keys" : undefined
}

const hasRoom = (vector: Vector, writer: string): boolean =>
  HashMap.size(vector) < writersMax || HashMap.has(vector, writer)

/**
 * The part of `told` that this vector can take: at its bound, dots of other writers are of no use to it.
 *
 * @since 0.1.0
 */
export const takeable = (vector: Vector, told: Vector): Vector =>
  HashMap.size(vector) < writersMax ? told : HashMap.filter(told, (_, writer) => HashMap.has(vector, writer))

/** Notes a dot for whose entry there is no room: it is known, and not held. @since 0.1.0 @category combinators */
export const refuse = (registers: Registers, dot: Dot): Registers =>
  hasDot(registers.vector, dot) || !hasRoom(registers.vector, writerOf(dot))
    ? registers
    : { ...registers, vector: addDot(registers.vector, dot), refused: addDot(registers.refused, dot) }

/** The dots whose entries are held or superseded: what a node may call received. @since 0.1.0 */
export const receivedOf = ({ refused, vector }: Registers): Vector => {
  let out = vector
  for (const [writer, seqs] of refused) {
    const left = seqsOf(vector, writer).flatMap(([from, to]) => gaps(seqs, from, to))
    out = left.length === 0 ? HashMap.remove(out, writer) : HashMap.set(out, writer, left)
  }
  return out
}

/**
 * Merges one entry. `dropped` is what fell out of the history (perhaps the entry itself); `refused` names the bound that
 * left no room, and nothing changed.
 *
 * @since 0.1.0
 * @category running
 */
export const merge = (
  registers: Registers,
  added: Entry
): {
  readonly registers: Registers
  readonly dropped: ReadonlyArray<Entry>
  readonly refused: Limit | undefined
} => {
  if (hasDot(registers.vector, added.dot)) return { registers, dropped: [], refused: undefined }
  const refused = limitOf(registers, added)
  if (refused !== undefined) return { registers, dropped: [], refused }
  const history = Option.getOrElse(HashMap.get(registers.keys, added.key), (): ReadonlyArray<Entry> => [])
  const index = history.findIndex((other) => compare(added, other) > 0)
  const at = index === -1 ? history.length : index
  const merged = [...history.slice(0, at), added, ...history.slice(at)]
  const dropped = merged.slice(historyMax)
  return {
    registers: {
      ...registers,
      keys: HashMap.set(registers.keys, added.key, merged.slice(0, historyMax)),
      entries: dropped.reduce(
        (entries, old) => HashMap.remove(entries, dotText(old.dot)),
        HashMap.set(registers.entries, dotText(added.dot), added)
      ),
      vector: addDot(registers.vector, added.dot),
      pruned: dropped.reduce((pruned, old) => addDot(pruned, old.dot), registers.pruned)
    },
    dropped,
    refused: undefined
  }
}

/** Takes over dots whose entries the peer has dropped from its history, as far as there is room for their writers. @since 0.1.0 @category combinators */
export const skip = (registers: Registers, dots: Vector): Registers => {
  let { vector, pruned } = registers
  for (const [writer, seqs] of dots) {
    if (!hasRoom(vector, writer)) continue
    for (const [from, to] of seqs) {
      // Only what is new here is pruned: an entry that this node still holds stays in its history.
      for (const gap of gaps(seqsOf(vector, writer), from, to)) {
        pruned = HashMap.set(pruned, writer, SeqSet.addRange(seqsOf(pruned, writer), gap[0], gap[1]))
      }
      vector = HashMap.set(vector, writer, SeqSet.addRange(seqsOf(vector, writer), from, to))
    }
  }
  return { ...registers, vector, pruned }
}

const gaps = (set: SeqSet.SeqSet, from: number, to: number): ReadonlyArray<readonly [number, number]> => {
  const out: Array<readonly [number, number]> = []
  let low = from
  for (const [a, b] of set) {
    if (b < low) continue
    if (a > to) break
    if (a > low) out.push([low, a - 1])
    low = b + 1
  }
  if (low <= to) out.push([low, to])
  return out
}

/** The entry that counts, a deletion included. @since 0.1.0 */
export const head = (registers: Registers, key: string): Entry | undefined =>
  Option.getOrUndefined(HashMap.get(registers.keys, key))?.[0]

/** The shape of the answer. A deletion reads as an empty value. @since 0.1.0 */
export const documentOf = (entry: Entry): ConfigDocument => ({
  key: entry.key,
  value: entry.value ?? "",
  revision: Stamp.toText(entry.revision),
  selector: entry.selector,
  author: entry.author,
  note: entry.note,
  writtenAt: Stamp.isoOf(entry.wall),
  operation: entry.operation
})

const operations = ["set", "delete", "revert"] as const

const rawOf = (fields: Omit<Entry, "raw" | "target">): ReadonlyArray<unknown> => [
  fields.dot.writer,
  fields.dot.generation,
  fields.dot.seq,
  Stamp.encode(fields.revision),
  fields.key,
  fields.value,
  fields.selector,
  fields.author,
  fields.note,
  fields.wall,
  operations.indexOf(fields.operation)
]

/** What travels and is stored; the same as `entry.raw`. @since 0.1.0 @category codec */
export const encodeEntry = (entry: Entry): ReadonlyArray<unknown> => entry.raw

/** @since 0.1.0 @category codec */
export const decodeEntry: Codec.Decoder<Entry> = (input) => {
  const fields = Codec.tuple(input, 11, "configuration entry")
  if (!fields.ok) return fields
  const [writer, generation, seq, stamp, key, value, selector, author, note, wall, operation] = fields.value
  if (!NodeId.isNodeId(writer)) return Codec.refuse("configuration entry: writer is not a node id")
  if (!Codec.isCount(generation)) return Codec.refuse("configuration entry: generation is not a count")
  if (!Codec.isCount(seq) || seq < 1) return Codec.refuse("configuration entry: sequence is not a positive count")
  const revision = Stamp.decode(stamp)
  if (!revision.ok) return revision
  if (typeof key !== "string" || !isKey(key)) return Codec.refuse("configuration entry: not a key")
  if (
    value !== null &&
    (typeof value !== "string" || value.length > valueBytesMax || byteLength(value) > valueBytesMax)
  ) {
    return Codec.refuse(`configuration entry ${key}: value is not a text of at most ${valueBytesMax} bytes`)
  }
  if (!Codec.isText(selector, Selector.lengthMax)) return Codec.refuse(`configuration entry ${key}: selector too long`)
  if (!Codec.isText(author, authorLengthMax)) return Codec.refuse(`configuration entry ${key}: author too long`)
  if (!Codec.isText(note, noteLengthMax)) return Codec.refuse(`configuration entry ${key}: note too long`)
  if (!Codec.isCount(wall)) return Codec.refuse(`configuration entry ${key}: time is not a count of milliseconds`)
  const target = Selector.parse(selector)
  return Codec.accept({
    key,
    value,
    revision: revision.value,
    selector,
    target: target.ok ? target.value : undefined,
    author,
    note,
    wall,
    operation:
      (typeof operation === "number" ? operations[operation] : undefined) ?? (value === null ? "delete" : "set"),
    dot: { writer, generation, seq },
    raw: fields.value
  })
}

/** `[writer, generation, [from, to, ...]]` for at most `writersReadMax` writers; at most `intervalsMax` intervals of each. @since 0.1.0 @category codec */
export const encodeVector = (vector: Vector): ReadonlyArray<unknown> => {
  const out: Array<ReadonlyArray<unknown>> = []
  for (const [key, seqs] of vector) {
    // More than what is held comes only of writes that are under way: what is left out is at worst sent once more.
    if (out.length >= writersReadMax) break
    const { generation, writer } = splitWriter(key)
    out.push([writer, generation, SeqSet.encode(seqs.slice(0, intervalsMax))])
  }
  return out
}

/** @since 0.1.0 @category codec */
export const decodeVector: Codec.Decoder<Vector> = (input) => {
  const rows = Codec.list(input, decodeVectorRow, writersReadMax, "configuration vector")
  if (!rows.ok) return rows
  let out: Vector = HashMap.empty()
  for (const [writer, seqs] of rows.value) out = HashMap.set(out, writer, seqs)
  return Codec.accept(out)
}

const decodeVectorRow: Codec.Decoder<readonly [string, SeqSet.SeqSet]> = (input) => {
  const fields = Codec.tuple(input, 3, "configuration vector")
  if (!fields.ok) return fields
  const [writer, generation, seqs] = fields.value
  if (!NodeId.isNodeId(writer)) return Codec.refuse("configuration vector: writer is not a node id")
  if (!Codec.isCount(generation)) return Codec.refuse("configuration vector: generation is not a count")
  const decoded = SeqSet.decode(seqs)
  return decoded.ok ? Codec.accept([`${writer}.${generation}`, decoded.value] as const) : decoded
}

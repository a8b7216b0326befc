/**
 * Which broadcasts have been seen, however long ago, in a few numbers per origin: for each of its newest incarnations the
 * intervals of sequence numbers. An id that is not in a window and not older than all of them is new, exactly once.
 *
 * (Partisan keeps one interval record for each node too, commit 999d4c9; iroh-gossip's and others' timed caches of ids
 * deliver twice what comes back after the time, and never shrink if the time is long: n0-computer/iroh-gossip#127.)
 */
import { Codec, type NodeId, Peer, SeqSet } from "@starling/machine"
import * as HashMap from "effect/HashMap"
import * as HashSet from "effect/HashSet"
import * as Option from "effect/Option"
import type { MessageId } from "../MessageId.ts"

/** Newest incarnation first. */
export type Window = ReadonlyArray<readonly [incarnation: number, seen: SeqSet.SeqSet]>

export type Windows = HashMap.HashMap<NodeId.NodeId, Window>

/** Our choice: the run before the last may still have broadcasts in flight; what is older counts as seen. */
export const incarnationsMax = 2

/** Our choice: gaps that are remembered for each incarnation; above, the lowest close and count as seen. */
export const intervalsMax = 64

export const empty: Windows = HashMap.empty()

const none: Window = []

export const of = (windows: Windows, origin: NodeId.NodeId): Window =>
  Option.getOrElse(HashMap.get(windows, origin), () => none)

/** What is seen of one incarnation; undefined if the incarnation is so old that everything of it counts as seen. */
export const seenOf = (windows: Windows, origin: NodeId.NodeId, incarnation: number): SeqSet.SeqSet | undefined => {
  const window = of(windows, origin)
  for (const [known, seen] of window) if (known === incarnation) return seen
  const oldest = window[incarnationsMax - 1]
  return oldest !== undefined && incarnation < oldest[0] ? undefined : SeqSet.empty
}

/** Seen, or too old to be told from seen. */
export const has = (windows: Windows, id: MessageId): boolean => {
  const seen = seenOf(windows, id.origin, id.incarnation)
  return seen === undefined || SeqSet.has(seen, id.seq)
}

/** Also how many unseen numbers now count as seen because the gaps became too many. */
export const add = (windows: Windows, id: MessageId): readonly [Windows, closed: number] => {
  const before = seenOf(windows, id.origin, id.incarnation)
  if (before === undefined) return [windows, 0]
  const full = SeqSet.add(before, id.seq)
  const seen = SeqSet.compact(full, intervalsMax)
  const closed = seen === full ? 0 : SeqSet.size(seen) - SeqSet.size(full)
  return [HashMap.set(windows, id.origin, placed(of(windows, id.origin), id.incarnation, seen)), closed]
}

const placed = (window: Window, incarnation: number, seen: SeqSet.SeqSet): Window => {
  if (window.length === 1 && window[0]?.[0] === incarnation) return [[incarnation, seen]]
  const rest = window.filter(([known]) => known !== incarnation)
  const at = rest.findIndex(([known]) => known < incarnation)
  const place = at === -1 ? rest.length : at
  return [...rest.slice(0, place), [incarnation, seen] as const, ...rest.slice(place)].slice(0, incarnationsMax)
}

/**
 * Room for what one more origin sends: where there are `max` beside `self`, one that is not busy leaves. Undefined if none
 * may. There always is room for `self`, which never leaves.
 *
 * Whoever refused a new origin would neither deliver nor hand on what it sends, and cut off all that hear of it through this
 * node. Of an origin that is not busy, nothing is cached: what it sent is soon out of the other caches as well, and hardly comes
 * again; what it sends next is new.
 */
export const withRoom = (
  windows: Windows,
  origin: NodeId.NodeId,
  max: number,
  self: NodeId.NodeId,
  isBusy: (origin: NodeId.NodeId) => boolean
): readonly [Windows, left: NodeId.NodeId | undefined] | undefined => {
  const hasRoom = origin === self || HashMap.has(windows, origin) || countBeside(windows, self) < max
  if (hasRoom) return [windows, undefined]
  for (const other of HashMap.keys(windows)) {
    if (other !== self && !isBusy(other)) return [HashMap.remove(windows, other), other]
  }
  return undefined
}

/** How many origins there are beside this one. */
export const countBeside = (windows: Windows, self: NodeId.NodeId): number =>
  HashMap.size(windows) - (HashMap.has(windows, self) ? 1 : 0)

/** Everything that either has seen, of `max` origins beside `self`: those of `a` first. */
export const mergeWithin = (a: Windows, b: Windows, max: number, self: NodeId.NodeId): Windows => {
  let windows = a
  for (const [origin, window] of b) {
    const hasRoom = origin === self || HashMap.has(windows, origin) || countBeside(windows, self) < max
    if (!hasRoom) continue
    for (const [incarnation, seen] of window) windows = addAll(windows, origin, incarnation, seen)
  }
  return windows
}

/** Those of these origins of which not the same has been seen here and there. */
export const differing = (a: Windows, b: Windows, origins: Iterable<NodeId.NodeId>): HashSet.HashSet<NodeId.NodeId> =>
  HashSet.fromIterable([...origins].filter((origin) => !isSame(of(a, origin), of(b, origin))))

const isSame = (one: Window, other: Window): boolean =>
  one === other ||
  (one.length === other.length &&
    one.every(([incarnation, seen], i) => {
      const run = other[i]
      return run !== undefined && incarnation === run[0] && SeqSet.isSame(seen, run[1])
    }))

/** Whole intervals at once. */
export const addAll = (
  windows: Windows,
  origin: NodeId.NodeId,
  incarnation: number,
  intervals: SeqSet.SeqSet
): Windows => {
  const before = seenOf(windows, origin, incarnation)
  if (before === undefined) return windows
  const seen = intervals.reduce((set, [from, to]) => SeqSet.addRange(set, from, to), before)
  return HashMap.set(windows, origin, placed(of(windows, origin), incarnation, SeqSet.compact(seen, intervalsMax)))
}

/** The row of an origin in the store: `[[incarnation, from, to, from, to, …], …]`. */
export const encode = (window: Window): ReadonlyArray<unknown> =>
  window.map(([incarnation, seen]) => [incarnation, ...SeqSet.encode(seen)])

export const decode: Codec.Decoder<Window> = (input) => Codec.list(input, decodeRun, incarnationsMax, "window")

const decodeRun: Codec.Decoder<readonly [number, SeqSet.SeqSet]> = (input) => {
  const fields = Codec.tuple(input, 1, "window")
  if (!fields.ok) return fields
  const [incarnation, ...intervals] = fields.value
  if (!Codec.isCount(incarnation, Peer.incarnationMax)) return Codec.refuse("window: incarnation is not a count")
  const seen = SeqSet.decode(intervals)
  return seen.ok ? Codec.accept([incarnation, seen.value] as const) : seen
}

/** Every table with its rows, by key, as the store holds them. */
export type Stored = ReadonlyMap<string, ReadonlyMap<string, unknown>>

export interface Restored {
  readonly windows: Windows
  /** What `meta/sequence` says: the run that wrote it, and the last number it gave out. */
  readonly sequence: readonly [incarnation: number, seq: number] | undefined
  /** What `meta/ordered` says: the last of this run that others come after, or 0; undefined if it cannot be read. */
  readonly ordered: number | undefined
  /** Rows that could not be read, or not whole. What was not read is lost; everything else holds. */
  readonly refused: number
}

/** Reads the windows from the store. A node has seen every broadcast of its own that it ever numbered. */
export const restore = (stored: Stored, self: Peer.Peer): Restored => {
  let windows = empty
  let refused = 0
  for (const [origin, value] of stored.get("windows") ?? []) {
    const window = decode(value)
    if (window.ok) for (const [run, seen] of window.value) windows = addAll(windows, origin, run, seen)
    else refused++
  }
  const ordered = orderedOf(stored.get("meta")?.get("ordered"), self.incarnation)
  if (ordered === undefined) refused++
  const row = stored.get("meta")?.get("sequence")
  if (row === undefined) return { windows, sequence: undefined, ordered, refused }
  const sequence = decodeSequence(row)
  if (!sequence.ok) return { windows, sequence: undefined, ordered, refused: refused + 1 }
  const { former, incarnation, isWhole, seq } = sequence.value
  // With this run in the window, too, what is older than the one that wrote the row counts as seen: it was sent from here.
  const runs = [[incarnation, SeqSet.upTo(seq)] as const, [self.incarnation, SeqSet.empty] as const, ...former]
  for (const [run, seen] of runs) windows = addAll(windows, self.id, run, seen)
  return { windows, sequence: [incarnation, seq], ordered, refused: isWhole ? refused : refused + 1 }
}

/** The row `meta/sequence`: `[incarnation, sequence, …window of the run before]`; release 0.1.0 stops after the second. */
export const encodeSequence = (own: Window, incarnation: number, seq: number): ReadonlyArray<unknown> => [
  incarnation,
  seq,
  ...encode(own.filter(([run]) => run < incarnation))
]

/** The row `meta/ordered`: `[incarnation, sequence]`. It is written with `meta/sequence` once there is one. */
export const encodeOrdered = (incarnation: number, seq: number): ReadonlyArray<unknown> => [incarnation, seq]

const orderedOf = (row: unknown, current: number): number | undefined => {
  if (row === undefined) return 0
  const fields = Codec.tuple(row, 2, "ordered")
  if (!fields.ok) return undefined
  const [incarnation, seq] = fields.value
  if (!Codec.isCount(incarnation, Peer.incarnationMax) || !Codec.isCount(seq)) return undefined
  return incarnation === current ? seq : 0
}

/** Of the runs before only the last is kept, and what a later release may append behind it is not read. */
const decodeSequence: Codec.Decoder<{
  readonly incarnation: number
  readonly seq: number
  readonly former: Window
  /** False if there is a run before that cannot be read: what it sent may be new to this node again. */
  readonly isWhole: boolean
}> = (input) => {
  const fields = Codec.tuple(input, 2, "sequence")
  if (!fields.ok) return fields
  const [incarnation, seq, ...tail] = fields.value
  if (!Codec.isCount(incarnation, Peer.incarnationMax) || !Codec.isCount(seq))
    return Codec.refuse("sequence: expected two counts")
  if (tail.length === 0) return Codec.accept({ incarnation, seq, former: none, isWhole: true })
  const run = decodeRun(tail[0])
  const isSound = run.ok && run.value[0] < incarnation
  return Codec.accept({ incarnation, seq, former: isSound ? [run.value] : none, isWhole: isSound })
}

/**
 * The broadcasts that were announced and have not arrived: who announced them, whom we asked, and when to ask (again).
 *
 * There is no timer for each: when the next one is due follows from the table (a flag that says "a timer runs" was
 * never cleared in n0-computer/iroh-gossip b65cdce, and nothing was grafted any more).
 */
import type { Machine } from "@starling/machine"
import * as HashMap from "effect/HashMap"
import * as Option from "effect/Option"
import * as MessageId from "../MessageId.ts"
import * as Queue from "./treeQueue.ts"

export interface Announcer {
  readonly link: Machine.LinkId
  readonly round: number
}

export interface Wanted {
  readonly id: MessageId.MessageId
  /** Who can still be asked, in the order of announcement. */
  readonly announcers: ReadonlyArray<Announcer>
  /** Who was asked, each once: whoever was asked last is the last. */
  readonly asked: ReadonlyArray<Machine.LinkId>
  /** What the wait counts from: when it was announced first, or when its neighbour was asked. */
  readonly since: Machine.Instant
  /** When it was asked for last, also of the same neighbour once more. */
  readonly askedAt: Machine.Instant
}

interface Place {
  readonly key: string
  readonly since: Machine.Instant
}

/** T1 and T2 of the paper as they are now: what waits long enough by them is due. */
export interface Waits {
  readonly firstMs: number
  readonly againMs: number
}

export interface Missing {
  readonly entries: HashMap.HashMap<string, Wanted>
  /** Not asked for yet, in the order of announcement, so that the first is due first; an answered one stays, stale. */
  readonly waiting: Queue.Queue<Place>
  /** Asked for; the same. */
  readonly asked: Queue.Queue<Place>
}

export const empty: Missing = { entries: HashMap.empty(), waiting: Queue.empty, asked: Queue.empty }

/** Our choice: more than a node has neighbours. */
export const announcersMax = 16

/** Our choice: four for each broadcast that may be missing by default. */
const placesMax = 40_000

export const size = (missing: Missing): number => HashMap.size(missing.entries)

export const get = (missing: Missing, id: MessageId.MessageId): Wanted | undefined =>
  Option.getOrUndefined(HashMap.get(missing.entries, MessageId.toText(id)))

export const askedLast = ({ asked }: Wanted): Machine.LinkId | undefined => asked.at(-1)

/** True if nothing more may be added: of entries, and of stale times that wait to be skipped. */
export const isFull = (missing: Missing, max: number): boolean =>
  size(missing) >= max || Queue.size(missing.waiting) >= 4 * max

/**
 * How many more may be asked for out of turn: who is answered, or announced to, at once and without end would fill the queue
 * with stale times. What is due takes the place that it had.
 */
export const placesLeft = ({ asked }: Missing): number => Math.max(0, placesMax - Queue.size(asked))

/** A new entry, announced now. */
export const add = (missing: Missing, id: MessageId.MessageId, announcer: Announcer, now: Machine.Instant): Missing => {
  const key = MessageId.toText(id)
  return {
    entries: HashMap.set(missing.entries, key, { id, announcers: [announcer], asked: [], since: now, askedAt: now }),
    waiting: Queue.push(missing.waiting, { key, since: now }),
    asked: missing.asked
  }
}

/** One more who has it. */
export const announce = (missing: Missing, wanted: Wanted, announcer: Announcer): Missing =>
  wanted.announcers.length >= announcersMax || wanted.announcers.some(({ link }) => link === announcer.link)
    ? missing
    : withEntry(missing, { ...wanted, announcers: [...wanted.announcers, announcer] })

/** Arrived, or given up. */
export const remove = (missing: Missing, id: MessageId.MessageId): Missing => {
  const key = MessageId.toText(id)
  if (!HashMap.has(missing.entries, key)) return missing
  const entries = HashMap.remove(missing.entries, key)
  return HashMap.size(entries) === 0 ? empty : { ...missing, entries }
}

/** `announcers` are those left after the one that is asked now. It must be due, or there must be a place. */
export const ask = (
  missing: Missing,
  wanted: Wanted,
  link: Machine.LinkId,
  announcers: ReadonlyArray<Announcer>,
  now: Machine.Instant
): Missing => {
  const asked = [...wanted.asked.filter((other) => other !== link), link].slice(-announcersMax)
  return placed(missing, { ...wanted, announcers, asked, since: now, askedAt: now })
}

/**
 * Asked of the same neighbour once more. The wait runs on; the second place is for `later`, and is made here because only so
 * are places in order. There must be one.
 */
export const askAgain = (missing: Missing, wanted: Wanted, now: Machine.Instant): Missing =>
  placed(missing, { ...wanted, askedAt: now })

/** The wait counts from when the same neighbour was asked once more, for which there is a place. */
export const later = (missing: Missing, wanted: Wanted): Missing =>
  withEntry(missing, { ...wanted, since: wanted.askedAt })

/** When the next entry is due, or earlier if a stale time comes first; undefined if nothing is missing. */
export const nextDueAt = (missing: Missing, { againMs, firstMs }: Waits): Machine.Instant | undefined => {
  if (size(missing) === 0) return undefined
  const [waiting, asked] = [Queue.peek(missing.waiting), Queue.peek(missing.asked)]
  if (waiting === undefined) return asked === undefined ? undefined : asked.since + againMs
  return asked === undefined ? waiting.since + firstMs : Math.min(waiting.since + firstMs, asked.since + againMs)
}

/** At most `limit` entries that are due, taken off their queues; they must be asked for again, put off by `later`, or removed. */
export const due = (
  missing: Missing,
  now: Machine.Instant,
  { againMs, firstMs }: Waits,
  limit: number
): readonly [Missing, ReadonlyArray<Wanted>] => {
  const found: Array<Wanted> = []
  // Asked of two announcers within a millisecond, an entry has two equal places in the queue.
  const known = new Set<Wanted>()
  const take = (queue: Queue.Queue<Place>, waitMs: number, isAsked: boolean): Queue.Queue<Place> => {
    let rest = queue
    for (let head = Queue.peek(rest); head !== undefined && found.length < limit; head = Queue.peek(rest)) {
      if (head.since + waitMs > now) break
      rest = Queue.drop(rest)
      const wanted = Option.getOrUndefined(HashMap.get(missing.entries, head.key))
      if (wanted?.since !== head.since || wanted.asked.length > 0 !== isAsked || known.has(wanted)) continue
      known.add(wanted)
      found.push(wanted)
    }
    return rest
  }
  const asked = take(missing.asked, againMs, true)
  const waiting = take(missing.waiting, firstMs, false)
  return [{ entries: missing.entries, waiting, asked }, found]
}

/** The same broadcast, with other announcers. */
export const replace = (missing: Missing, wanted: Wanted): Missing => withEntry(missing, wanted)

/** With a place for when it was asked for last. */
const placed = (missing: Missing, wanted: Wanted): Missing => ({
  ...withEntry(missing, wanted),
  asked: Queue.push(missing.asked, { key: MessageId.toText(wanted.id), since: wanted.askedAt })
})

const withEntry = (missing: Missing, wanted: Wanted): Missing => ({
  ...missing,
  entries: HashMap.set(missing.entries, MessageId.toText(wanted.id), wanted)
})

/**
 * Plumtree's lazy part: announces to lazy neighbours what the tree did not push to them, and notices what is missing.
 *
 * What arrives by the tree is announced over every other link, in batches. A node that hears of a broadcast it has not
 * seen waits a while for the tree (T1); then it asks the first announcer for it, then the next (T2). The asking itself
 * is the tree's (`Graft`), since it also mends the tree. (Leitão, Pereira, Rodrigues: "Epidemic broadcast trees", SRDS
 * 2007, TR DI-FCUL 07-14, Alg. 2.)
 *
 * Announcements alone lose broadcasts: queues have bounds, links break with frames in flight, and a step may crash. So
 * there are three more sources of what is missing:
 *
 * - **Summaries**: what a node could send, per origin, goes to every new neighbour and now and then to a random one.
 * - **Gaps**: whoever hands on number n of an origin had everything we lack below it (to within the last broadcasts).
 * - **Misses**: a neighbour that cannot answer says so, and the next announcer is asked at once.
 *
 * What no announcer can give is given up and counted; the next summary brings it back.
 *
 * @since 0.1.0
 */
import { type Codec, LinkGate, type Machine, type NodeId, Peer, Rng, SeqSet } from "@starling/machine"
import * as HashMap from "effect/HashMap"
import * as Option from "effect/Option"
import type * as BroadcastTree from "./BroadcastTree.ts"
import * as Wire from "./internal/repairCodec.ts"
import * as Held from "./internal/repairHeld.ts"
import * as Missing from "./internal/repairMissing.ts"
import {
  type Action,
  type Announcement,
  type Config,
  type Counters,
  type Event,
  itemsMax,
  type Message,
  type Queued,
  type Spread,
  type State,
  summaryFramesMax,
  summaryWindowsMax,
  type Timer
} from "./internal/repairModel.ts"
import * as Alarm from "./internal/treeAlarm.ts"
import * as Queue from "./internal/treeQueue.ts"
import * as Win from "./internal/treeWindows.ts"
import * as MessageId from "./MessageId.ts"

export { defaults, itemsMax, summaryFramesMax, summaryWindowsMax } from "./internal/repairModel.ts"
export type {
  Action,
  Announcement,
  Config,
  Counters,
  Event,
  Message,
  Output,
  Settings,
  State,
  SummaryWindow,
  Timer
} from "./internal/repairModel.ts"
/** @since 0.1.0 @category constructors */
export const make = (config: Config, stored: BroadcastTree.Stored, rng: Rng.Rng): State => {
  const { refused, windows } = Win.restore(stored, config.self)
  const state = rebuild(config, windows, rng)
  return { ...state, counters: { ...zero, storedRefused: refused } }
}

/**
 * Repair that trusts nothing of the former state but what was delivered. It advertises what is seen from now on.
 *
 * @since 0.1.0
 * @category constructors
 */
export const rebuild = (config: Config, delivered: BroadcastTree.Windows, rng: Rng.Rng): State => ({
  config,
  rng,
  gate: LinkGate.empty,
  seen: Win.mergeWithin(Win.empty, delivered, config.originsMax, config.self.id),
  held: Held.empty,
  summaryFrom: 0,
  queues: [],
  missing: Missing.empty,
  spread: { begun: 0, longestMs: config.graftMs / 2, formerMs: config.graftMs / 2 },
  depths: HashMap.empty(),
  alarms: { Dispatch: Alarm.off, Repair: Alarm.off, Summarize: Alarm.off },
  counters: zero
})

/** How many broadcasts are known to be missing. @since 0.1.0 */
export const missingSize = (state: State): number => Missing.size(state.missing)

/** T1 and T2 as they are now, in milliseconds. @since 0.1.0 */
export const waits = ({ config, spread }: State): { readonly firstMs: number; readonly againMs: number } => {
  const measuredMs = 2 * Math.max(spread.longestMs, spread.formerMs)
  const firstMs = Math.min(config.graftMaxMs, Math.max(config.graftMinMs, measuredMs))
  return { firstMs, againMs: Math.max(config.regraftMs, firstMs / 2) }
}

const lengthened = ({ begun, formerMs, longestMs }: Spread, now: Machine.Instant, ms: number): Spread =>
  now - begun < spreadMs
    ? { begun, formerMs, longestMs: Math.max(longestMs, ms) }
    : { begun: now, formerMs: longestMs, longestMs: ms }

/** Announced, and not arrived. @since 0.1.0 */
export const isMissing = (state: State, id: MessageId.MessageId): boolean =>
  Missing.get(state.missing, id) !== undefined

/**
 * @since 0.1.0
 * @category running
 */
export const step = (state: State, { event, now }: Machine.Input<Event>): Machine.Step<State, Action> => {
  const turn: Turn = { state, now, actions: [], counters: undefined }
  switch (event._tag) {
    case "Received":
      if (LinkGate.neighborOf(state.gate, event.link) === undefined) {
        turn.state = { ...state, gate: LinkGate.hold(state.gate, event.link, event.message) }
      } else onMessage(turn, event.link, event.message)
      break
    case "Neighbors":
      onNeighbors(turn, event.version, event.neighbors)
      break
    case "LinkDown": {
      const gate = LinkGate.close(state.gate, event.link)
      if (gate !== state.gate) turn.state = { ...state, gate }
      break
    }
    case "Seen":
      onSeen(turn, event)
      break
    case "Known":
      onKnown(turn, event)
      break
    case "Late":
      count(turn, "late")
      turn.state = { ...state, spread: lengthened(state.spread, now, waits(state).firstMs * lateTimes) }
      break
    case "Announce":
      onAnnounce(turn, event.id, event.round, event.links)
      break
    case "Forgotten":
      turn.state = { ...state, held: event.ids.reduce(Held.remove, state.held) }
      break
    case "Missed":
      onMissed(turn, event.link, event.ids)
      break
    case "TimerFired":
      onTimer(turn, event.timer)
      break
    case "Started":
    case "LinkUp":
    case "LinkRefused":
    case "Written":
      break
  }
  settle(turn)
  return [turn.counters === undefined ? turn.state : { ...turn.state, counters: turn.counters }, turn.actions]
}

/** @since 0.1.0 @category codec */
export const encode: (message: Message) => ReadonlyArray<unknown> = Wire.encode

/** @since 0.1.0 @category codec */
export const decode: Codec.Decoder<Message> = Wire.decode

/**
 * What must hold after every step; the names of what does not.
 *
 * @since 0.1.0
 */
export const invariants = (state: State): ReadonlyArray<string> => {
  const { alarms, config, gate, held, missing, queues, seen } = state
  const links = new Set(gate.neighbors.map(({ link }) => link))
  const wanted = [...HashMap.values(missing.entries)]
  const laws: ReadonlyArray<readonly [string, boolean]> = [
    ["what is seen is not missing", wanted.every(({ id }) => !Win.has(seen, id))],
    ["missing within missingMax", wanted.length <= config.missingMax],
    ["origins, beside this node, within originsMax", Win.countBeside(seen, config.self.id) <= config.originsMax],
    ["announcers within announcersMax", wanted.every(({ announcers }) => announcers.length <= Missing.announcersMax)],
    ["asked ones within announcersMax", wanted.every(({ asked }) => asked.length <= Missing.announcersMax)],
    ["own broadcasts are not missing", wanted.every(({ id }) => id.origin !== config.self.id)],
    ["what is missing waits for a timer", wanted.length === 0 || alarms.Repair.dueAt !== null],
    ["queues belong to neighbours", queues.every(({ link }) => links.has(link))],
    ["a neighbour has one queue", new Set(queues.map(({ link }) => link)).size === queues.length],
    ["queues within queueMax", queues.every(({ items }) => Queue.size(items) <= config.queueMax)],
    ["what is queued waits for a timer", queues.length === 0 || alarms.Dispatch.dueAt !== null],
    ["held within heldMax", gate.held.length <= LinkGate.heldMax],
    ["frames of neighbours are not held", gate.held.every(({ link }) => !links.has(link))],
    [
      "what is advertised was seen",
      [...HashMap.entries(held)].every(([origin, runs]) =>
        runs.every(([incarnation, seqs]) => {
          const known = Win.seenOf(seen, origin, incarnation)
          return known === undefined || SeqSet.missing(seqs, known, 1).length === 0
        })
      )
    ],
    ["advertised intervals are few", [...HashMap.values(held)].every(isShort)]
  ]
  return laws.filter(([, holds]) => !holds).map(([law]) => law)
}

// ---------------------------------------------------------------------------------------------------------------------
// Steps. A turn is a transient: it holds the next state while one step makes it, and never changes a state.
// ---------------------------------------------------------------------------------------------------------------------

interface Turn {
  state: State
  readonly now: Machine.Instant
  readonly actions: Array<Action>
  /** Copied from the state when the first thing is counted. */
  counters: { -readonly [what in keyof Counters]: number } | undefined
}

const onMessage = (turn: Turn, link: Machine.LinkId, message: Message): void => {
  if (message._tag === "IHave") {
    count(turn, "ihavesReceived", message.items.length)
    const again = new Map<string, MessageId.MessageId>()
    for (const [id, round, heldMs = 0] of message.items) {
      if (Win.has(turn.state.seen, id)) compare(turn, link, id, round, turn.now - heldMs)
      else {
        const wanted = Missing.get(turn.state.missing, id)
        if (wanted !== undefined && Missing.askedLast(wanted) === link) again.set(MessageId.toText(id), id)
        want(turn, id, { link, round })
      }
    }
    return askAgain(turn, link, [...again.values()])
  }
  count(turn, "summariesReceived")
  let left = turn.state.config.wantedMax
  for (const [origin, incarnation, seqs] of message.windows) {
    const known = Win.seenOf(turn.state.seen, origin, incarnation)
    if (known === undefined) continue
    const missing = SeqSet.missing(seqs, known, left + 1)
    for (const seq of missing.slice(0, left)) want(turn, { origin, incarnation, seq }, { link, round: unknownRound })
    if (missing.length > left) return count(turn, "wantedCut")
    left -= missing.length
  }
}

/** Something unseen that `announcer` says it has. Nobody has broadcasts of this node that it has not. */
const want = (turn: Turn, id: MessageId.MessageId, announcer: Missing.Announcer): void => {
  const { config, missing } = turn.state
  if (id.origin === config.self.id) return
  const wanted = Missing.get(missing, id)
  if (wanted !== undefined) {
    turn.state = { ...turn.state, missing: Missing.announce(missing, wanted, announcer) }
  } else if (Missing.isFull(missing, config.missingMax)) count(turn, "missingShed")
  else turn.state = { ...turn.state, missing: Missing.add(missing, id, announcer, turn.now) }
}

/** An announcement of what has arrived: another way may have fewer hops. */
const compare = (
  turn: Turn,
  link: Machine.LinkId,
  id: MessageId.MessageId,
  round: number,
  since: Machine.Instant
): void => {
  const { config, depths } = turn.state
  const depth = Option.getOrUndefined(HashMap.get(depths, id.origin))
  if (depth === undefined || depth - round < config.optimizeHops) return
  // What comes next must save as many again.
  turn.state = { ...turn.state, depths: HashMap.set(depths, id.origin, round) }
  count(turn, "shorter")
  turn.actions.push({ _tag: "Emit", output: { _tag: "Shorter", link, id, round, since } })
}

/** How long the tree took after the first announcement, and by how many hops. */
const measure = (
  turn: Turn,
  { id, mended, round }: Extract<Event, { readonly _tag: "Seen" }>,
  wanted: Missing.Wanted | undefined
): void => {
  const { config, depths, spread } = turn.state
  // What somebody had to ask for says nothing of the tree.
  const sampleMs = wanted !== undefined && wanted.asked.length === 0 ? turn.now - wanted.since : 0
  // Beyond the bound it is not remembered how long the way is, and no shorter one is looked for.
  const hasRoom = HashMap.size(depths) < config.originsMax || HashMap.has(depths, id.origin)
  const isDeep = round > config.optimizeHops && hasRoom
  turn.state = {
    ...turn.state,
    spread: mended ? spread : lengthened(spread, turn.now, sampleMs),
    depths: isDeep
      ? HashMap.set(depths, id.origin, round)
      : HashMap.has(depths, id.origin)
        ? HashMap.remove(depths, id.origin)
        : depths
  }
  if (wanted === undefined) return
  for (const { link, round } of wanted.announcers) compare(turn, link, id, round, wanted.since)
}

const onSeen = (turn: Turn, event: Extract<Event, { readonly _tag: "Seen" }>): void => {
  const { id, link } = event
  if (link !== null && !Win.has(turn.state.seen, id)) measure(turn, event, Missing.get(turn.state.missing, id))
  const { config, held, missing } = turn.state
  turn.state = { ...turn.state, missing: Missing.remove(missing, id) }
  const isBusy = (origin: NodeId.NodeId): boolean => HashMap.has(held, origin)
  const [known] = Win.withRoom(turn.state.seen, id.origin, config.originsMax, config.self.id, isBusy) ?? []
  if (known === undefined) return count(turn, "originsRefused")
  const before = Win.seenOf(known, id.origin, id.incarnation) ?? SeqSet.empty
  const newest = SeqSet.max(before)
  const [seen, closed] = Win.add(known, id)
  const [advertised, cut] = Held.add(held, id)
  turn.state = { ...turn.state, seen, held: advertised }
  count(turn, "heldCut", cut)
  // Gaps have closed, or a new run may have ended an older one: what was missing there counts as seen.
  const isNewRun = newest === 0 && Win.of(seen, id.origin).length === Win.incarnationsMax
  if (closed > 0 || isNewRun) giveUpSeen(turn, id.origin)
  // Before the first broadcast of an origin nothing is a gap: it was not meant for us.
  if (link === null || newest === 0 || id.seq <= newest + 1) return
  if (id.seq - config.gapMax > newest + 1) count(turn, "gapsCut")
  for (let seq = Math.max(newest + 1, id.seq - config.gapMax); seq < id.seq; seq++) {
    const gap = { origin: id.origin, incarnation: id.incarnation, seq }
    if (Win.has(seen, gap)) continue
    count(turn, "gaps")
    want(turn, gap, { link, round: unknownRound })
  }
}

/**
 * What the tree knows, and what of it it can send: what it does not know has to come again. If the tree remembers more
 * origins, those go first of which there is something to send; what of the others is announced, the tree says it has seen.
 */
const onKnown = (turn: Turn, { held, windows }: Extract<Event, { readonly _tag: "Known" }>): void => {
  const { config, missing } = turn.state
  const first = HashMap.fromIterable(held.map(({ origin }) => [origin, Win.of(windows, origin)] as const))
  const within = (a: Win.Windows, b: Win.Windows) => Win.mergeWithin(a, b, config.originsMax, config.self.id)
  const seen = within(within(Win.empty, first), windows)
  const sendable = held.filter((id) => Win.has(seen, id))
  count(turn, "originsRefused", held.length - sendable.length)
  const over = [...HashMap.values(missing.entries)].filter(({ id }) => Win.has(seen, id))
  let advertised = Held.empty
  for (const id of sendable) {
    const [more, cut] = Held.add(advertised, id)
    advertised = more
    count(turn, "heldCut", cut)
  }
  turn.state = {
    ...turn.state,
    seen,
    held: advertised,
    missing: over.reduce((left, { id }) => Missing.remove(left, id), missing)
  }
}

const giveUpSeen = (turn: Turn, origin: NodeId.NodeId): void => {
  const { missing, seen } = turn.state
  const over = [...HashMap.values(missing.entries)].filter(({ id }) => id.origin === origin && Win.has(seen, id))
  turn.state = { ...turn.state, missing: over.reduce((left, { id }) => Missing.remove(left, id), missing) }
}

const onAnnounce = (turn: Turn, id: MessageId.MessageId, round: number, links: ReadonlyArray<Machine.LinkId>): void => {
  const { config, gate } = turn.state
  let { queues } = turn.state
  for (const link of links) {
    if (LinkGate.neighborOf(gate, link) === undefined) continue
    const at = queues.findIndex((queue) => queue.link === link)
    let items: Queue.Queue<Queued> = queues[at]?.items ?? Queue.empty
    if (Queue.size(items) >= config.queueMax) {
      items = Queue.drop(items)
      count(turn, "shed")
    }
    const queue = { link, items: Queue.push(items, { id, round, at: turn.now }) }
    queues = at === -1 ? [...queues, queue] : queues.with(at, queue)
  }
  turn.state = { ...turn.state, queues }
}

const onMissed = (turn: Turn, link: Machine.LinkId, ids: ReadonlyArray<MessageId.MessageId>): void => {
  // By name: what a frame names twice is asked for once.
  const next = new Map<string, Missing.Wanted>()
  for (const id of ids) {
    const wanted = Missing.get(turn.state.missing, id)
    if (wanted === undefined) continue
    const without = { ...wanted, announcers: wanted.announcers.filter((announcer) => announcer.link !== link) }
    const isAsked = Missing.askedLast(wanted) === link
    if (isAsked && next.size < Missing.placesLeft(turn.state.missing)) next.set(MessageId.toText(id), without)
    // Another one is asked already, or it is one too many for now and waits for T2: only remember that this one cannot help.
    else if (isAsked || without.announcers.length > 0) {
      if (isAsked) count(turn, "asksShed")
      turn.state = { ...turn.state, missing: Missing.replace(turn.state.missing, without) }
    }
  }
  ask(turn, [...next.values()])
}

/**
 * Who was asked announces these once more: they did not fit into the answer, or too much waited on the link. T2 runs on, so
 * that one who does so again and again does not keep the others from being asked. Where there is no other, it counts from
 * here once it is over, so that what is on its way does not come twice; but from before where there is no place for one more,
 * so that whoever announces the same without end does not make this node keep ever more.
 */
const askAgain = (turn: Turn, link: Machine.LinkId, ids: ReadonlyArray<MessageId.MessageId>): void => {
  if (ids.length === 0) return
  let { missing } = turn.state
  for (const id of ids) {
    const wanted = Missing.get(missing, id)
    if (wanted === undefined) continue
    if (Missing.placesLeft(missing) > 0) missing = Missing.askAgain(missing, wanted, turn.now)
    else count(turn, "asksShed")
  }
  turn.state = { ...turn.state, missing }
  count(turn, "grafts", ids.length)
  turn.actions.push({ _tag: "Emit", output: { _tag: "Graft", link, ids } })
}

/**
 * Who is asked next: who was not asked yet, those of this data centre first; then whoever was asked longest ago and
 * announced it since. So nobody is asked twice in a row while there is another, and nobody waits for ever.
 */
const nextOf = (
  turn: Turn,
  announcers: ReadonlyArray<Missing.Announcer>,
  asked: ReadonlyArray<Machine.LinkId>
): Missing.Announcer | undefined => {
  const fresh = announcers.filter(({ link }) => !asked.includes(link))
  if (fresh.length > 0) return fresh.find(({ link }) => isNear(turn, link)) ?? fresh[0]
  const longestAgo = asked.find((link) => announcers.some((announcer) => announcer.link === link))
  return announcers.find(({ link }) => link === longestAgo)
}

/** Asks the next announcer of each that is still a neighbour, or gives up. */
const ask = (turn: Turn, due: ReadonlyArray<Missing.Wanted>): void => {
  const { gate } = turn.state
  const { againMs } = waits(turn.state)
  const byLink = new Map<Machine.LinkId, Array<MessageId.MessageId>>()
  for (const wanted of due) {
    const announcers = wanted.announcers.filter(({ link }) => LinkGate.neighborOf(gate, link) !== undefined)
    const announcer = nextOf(turn, announcers, wanted.asked)
    if (announcer === undefined) {
      count(turn, "exhausted")
      turn.state = { ...turn.state, missing: Missing.remove(turn.state.missing, wanted.id) }
      continue
    }
    // There is no other, and it may still be answering what it was asked once more.
    if (announcer.link === Missing.askedLast(wanted) && turn.now < wanted.askedAt + againMs) {
      turn.state = { ...turn.state, missing: Missing.later(turn.state.missing, wanted) }
      continue
    }
    const rest = announcers.filter((other) => other !== announcer)
    turn.state = { ...turn.state, missing: Missing.ask(turn.state.missing, wanted, announcer.link, rest, turn.now) }
    const ids = byLink.get(announcer.link)
    if (ids === undefined) byLink.set(announcer.link, [wanted.id])
    else ids.push(wanted.id)
  }
  for (const [link, ids] of byLink) {
    count(turn, "grafts", ids.length)
    turn.actions.push({ _tag: "Emit", output: { _tag: "Graft", link, ids } })
  }
}

const onNeighbors = (turn: Turn, version: number, neighbors: ReadonlyArray<Machine.Neighbor>): void => {
  const change = LinkGate.accept(turn.state.gate, version, neighbors)
  if (change === undefined) return
  const queues = turn.state.queues.filter(({ link }) => LinkGate.neighborOf(change.gate, link) !== undefined)
  turn.state = { ...turn.state, gate: change.gate, queues }
  for (const { link } of change.up) summarize(turn, link)
  for (const { link, message } of change.released) onMessage(turn, link, message)
}

const onTimer = (turn: Turn, timer: Timer): void => {
  const alarm = turn.state.alarms[timer._tag]
  if (!Alarm.isCurrent(alarm, timer.number)) return
  turn.state = { ...turn.state, alarms: { ...turn.state.alarms, [timer._tag]: Alarm.fired(alarm) } }
  switch (timer._tag) {
    case "Dispatch":
      return dispatch(turn)
    case "Repair": {
      const [missing, due] = Missing.due(turn.state.missing, turn.now, waits(turn.state), dueMax)
      turn.state = { ...turn.state, missing }
      return ask(turn, due)
    }
    case "Summarize": {
      const [neighbor, rng] = Rng.pick(turn.state.rng, turn.state.gate.neighbors)
      turn.state = { ...turn.state, rng }
      if (neighbor !== undefined) summarize(turn, neighbor.link)
    }
  }
}

const dispatch = (turn: Turn): void => {
  const { held, queues } = turn.state
  turn.state = { ...turn.state, queues: [] }
  for (const { items, link } of queues) {
    const all = Queue.toArray(items)
    const current = all
      .filter(({ id }) => Held.has(held, id))
      .map(({ at, id, round }): Announcement => [id, round, Math.min(Wire.heldMsMax, Math.round(turn.now - at))])
    count(turn, "stale", all.length - current.length)
    count(turn, "announced", current.length)
    for (let i = 0; i < current.length; i += itemsMax) {
      send(turn, link, { _tag: "IHave", items: current.slice(i, i + itemsMax) })
    }
  }
}

const summarize = (turn: Turn, link: Machine.LinkId): void => {
  const { held, summaryFrom } = turn.state
  const [windows, next, isCut] = Held.part(held, summaryFrom, summaryWindowsMax * summaryFramesMax)
  if (windows.length === 0) return
  turn.state = { ...turn.state, summaryFrom: next }
  count(turn, "summariesSent")
  if (isCut) count(turn, "summariesCut")
  for (let i = 0; i < windows.length; i += summaryWindowsMax) {
    send(turn, link, { _tag: "Summary", windows: windows.slice(i, i + summaryWindowsMax) })
  }
}

/** After every step: each timer follows from what waits for it. */
const settle = (turn: Turn): void => {
  const { config, missing, queues } = turn.state
  if (queues.length > 0) arm(turn, "Dispatch", turn.now + config.dispatchMs)
  const dueAt = Missing.nextDueAt(missing, waits(turn.state))
  if (dueAt !== undefined) arm(turn, "Repair", Math.max(dueAt, turn.now + pauseMs))
  if (isArmed(turn.state.alarms.Summarize, turn.now)) return
  const [delayMs, rng] = Rng.jitter(turn.state.rng, config.summaryMs, 0.2)
  turn.state = { ...turn.state, rng }
  arm(turn, "Summarize", turn.now + delayMs)
}

// ---------------------------------------------------------------------------------------------------------------------
// Small parts
// ---------------------------------------------------------------------------------------------------------------------

/** Broadcasts asked for in one step because it is time (our choice): more are due again after `pauseMs`, so that answers do not pile up. */
const dueMax = 500

/** Our choice. */
const pauseMs = 20

/** What the longest time is taken of, and then as long again. Our choice: long enough to have seen a slow one. */
const spreadMs = 60_000

/** T1 grows by half when it proved too short (our choice); it is twice the spread. */
const lateTimes = 1.5 / 2

/** Of what summaries and gaps tell of: more hops than any way has. */
const unknownRound = 0xffff

const zero: Counters = {
  announced: 0,
  shed: 0,
  stale: 0,
  ihavesReceived: 0,
  missingShed: 0,
  gaps: 0,
  grafts: 0,
  exhausted: 0,
  late: 0,
  shorter: 0,
  summariesSent: 0,
  summariesReceived: 0,
  summariesCut: 0,
  wantedCut: 0,
  gapsCut: 0,
  heldCut: 0,
  asksShed: 0,
  originsRefused: 0,
  storedRefused: 0
}

const count = (turn: Turn, what: keyof Counters, by: number = 1): void => {
  if (by === 0) return
  turn.counters ??= { ...turn.state.counters }
  turn.counters[what] += by
}

const isNear = (turn: Turn, link: Machine.LinkId): boolean => {
  const neighbor = LinkGate.neighborOf(turn.state.gate, link)
  return neighbor !== undefined && Peer.isNear(neighbor.peer, turn.state.config.self)
}

const send = (turn: Turn, link: Machine.LinkId, message: Message): void => {
  turn.actions.push({ _tag: "Send", link, message })
}

const isArmed = (alarm: Alarm.Alarm, now: Machine.Instant): boolean =>
  alarm.dueAt !== null && Alarm.want(alarm, now, Number.POSITIVE_INFINITY) === alarm

const arm = (turn: Turn, what: Timer["_tag"], dueAt: Machine.Instant): void => {
  const alarm = Alarm.want(turn.state.alarms[what], turn.now, dueAt)
  if (alarm === turn.state.alarms[what]) return
  turn.state = { ...turn.state, alarms: { ...turn.state.alarms, [what]: alarm } }
  const delayMs = (alarm.dueAt ?? turn.now) - turn.now
  turn.actions.push({ _tag: "SetTimer", delayMs, timer: { _tag: what, number: alarm.number } })
}

const isShort = (window: Win.Window): boolean =>
  window.length <= Win.incarnationsMax && window.every(([, seqs]) => seqs.length <= Win.intervalsMax)

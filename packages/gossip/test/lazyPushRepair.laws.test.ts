/**
 * Lazy-push repair alone, against a model of sets and lists: any events in any order, also those that no honest fleet
 * sends. The model keeps every broadcast ever seen by name, knows nothing of intervals or queues, and predicts what is
 * sent, what is asked for, of whom and when, and every counter.
 */
import { assert, describe, it } from "@effect/vitest"
import { LazyPushRepair, MessageId } from "@starling/gossip"
import { LinkGate, type Machine, SeqSet } from "@starling/machine"
import * as HashMap from "effect/HashMap"
import * as fc from "fast-check"
import { command, downReasons, Outbox, pauses } from "./lawCommands.ts"
import { neighbor, self, smallId, smallLink, smallNeighbors, smallRoot } from "./plumtreeArbitraries.ts"

type Event = LazyPushRepair.Event
type Kind = LazyPushRepair.Timer["_tag"]
type Actions = Outbox<LazyPushRepair.Action>

interface Wanted {
  readonly id: MessageId.MessageId
  readonly announcers: ReadonlyArray<{ readonly link: Machine.LinkId; readonly round: number }>
  /** Everybody who was asked, each time. */
  readonly asked: ReadonlyArray<Machine.LinkId>
  /** What the wait counts from. */
  readonly since: Machine.Instant
  /** Asked for last, also of the same neighbour once more. */
  readonly askedAt: Machine.Instant
}

/** Numbers of broadcasts by origin and run. */
type Runs = Map<string, Map<number, Set<number>>>

/** What is known from outside: what the machine was told, and what it did. */
class Model {
  version = 0
  neighbors: ReadonlyArray<number> = []
  held: Array<{ readonly link: number; readonly message: LazyPushRepair.Message }> = []
  overflowed = 0
  seen: Runs = new Map()
  /** Seen, and the payload not forgotten. */
  sendable: Runs = new Map()
  queues = new Map<number, Array<{ readonly id: MessageId.MessageId; readonly round: number; readonly at: number }>>()
  missing = new Map<string, Wanted>()
  /** The longest wait for the tree in this minute, and in the one before: half of T1. */
  longest: [begun: number, now: number, before: number] = [0, config.graftMs / 2, config.graftMs / 2]
  /** By root: hops of the last broadcast, or fewer that were announced since. */
  depths = new Map<string, number>()
  /** Shorter ways that this step must tell of. */
  shorter: Array<LazyPushRepair.Output> = []
  /** Entries made since nothing was missing: the machine may refuse more of them early. */
  added = 0
  timers: Record<Kind, { number: number; dueAt: number | null }> = {
    Dispatch: { number: 0, dueAt: null },
    Repair: { number: 0, dueAt: null },
    Summarize: { number: 0, dueAt: null }
  }
  counters: Record<keyof LazyPushRepair.Counters, number> = {
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
}

interface Real {
  state: LazyPushRepair.State
  now: number
}

type Command = fc.Command<Model, Real>

const config: LazyPushRepair.Config = {
  ...LazyPushRepair.defaults,
  self: { ...self, datacenter: "here" },
  missingMax: 5,
  queueMax: 2,
  wantedMax: 3,
  gapMax: 2,
  graftMinMs: 200,
  graftMaxMs: 1500
}

/** T1 and T2 as they are now. */
const firstMs = ({ longest: [, now, before] }: Model): number =>
  Math.min(config.graftMaxMs, Math.max(config.graftMinMs, 2 * Math.max(now, before)))

const lengthen = (model: Model, at: number, ms: number): void => {
  const [begun, now, before] = model.longest
  model.longest = at - begun < 60_000 ? [begun, Math.max(now, ms), before] : [at, ms, now]
}

const againMs = (model: Model): number => Math.max(config.regraftMs, firstMs(model) / 2)

const dueAt = (model: Model, { asked, since }: Wanted): number =>
  since + (asked.length === 0 ? firstMs(model) : againMs(model))

const makeReal = (): Real => ({ state: LazyPushRepair.make(config, new Map(), 1), now: 0 })

// --- what a step must do ---------------------------------------------------------------------------------------------

const act = (model: Model, real: Real, afterMs: number, event: Event): void => {
  real.now += afterMs
  Object.freeze(real.state)
  Object.freeze(real.state.queues)
  const [state, actions] = LazyPushRepair.step(real.state, { now: real.now, event })
  real.state = state
  const outbox = new Outbox(actions)
  const armed = outbox.takeAll("SetTimer")
  expect(model, real, event, outbox)
  const shorter = outbox.takeAll("Emit").map(({ output }) => output)
  assert.deepStrictEqual(
    shorter,
    model.shorter.splice(0),
    "told is of every way that saves enough hops, and of no other"
  )
  outbox.assertEmpty()
  for (const { delayMs, timer } of armed) expectTimer(model, real.now, delayMs, timer)
  assertTimers(model, real.now)
  assertAgrees(model, state)
}

const assertAgrees = (model: Model, state: LazyPushRepair.State): void => {
  assert.deepStrictEqual(LazyPushRepair.invariants(state), [])
  assert.deepStrictEqual({ ...state.counters }, model.counters, "everything is counted, once")
  assert.strictEqual(LazyPushRepair.missingSize(state), model.missing.size)
  assert.isAtMost(model.missing.size, config.missingMax)
  for (const { id } of model.missing.values()) assert.isTrue(LazyPushRepair.isMissing(state, id), "is missing")
  assert.strictEqual(state.gate.held.length, model.held.length, "frames that wait for their neighbour")
  assert.strictEqual(state.gate.overflowed, model.overflowed, "every frame dropped is counted")
}

const expect = (model: Model, real: Real, event: Event, outbox: Actions): void => {
  switch (event._tag) {
    case "Received":
      if (model.neighbors.includes(event.link))
        return expectGrafts(expectMessage(model, real, event.link, event.message), outbox)
      if (model.held.length === LinkGate.heldMax) model.overflowed++
      else model.held.push({ link: event.link, message: event.message })
      return
    case "LinkDown":
      model.held = model.held.filter((frame) => frame.link !== event.link)
      return
    case "Neighbors":
      return expectNeighbors(model, real, event.version, event.neighbors, outbox)
    case "Seen":
      return expectSeen(model, real, event)
    case "Known":
      model.seen = new Map()
      model.sendable = new Map()
      for (const [origin, runs] of event.windows) {
        for (const [incarnation, seqs] of runs) {
          for (const [from, to] of seqs) {
            for (let seq = from; seq <= to; seq++) remember(model.seen, { origin, incarnation, seq })
          }
        }
      }
      for (const id of event.held) model.counters.heldCut += remember(model.sendable, id)
      for (const { id } of model.missing.values()) if (isSeen(model, id)) giveUp(model, id)
      return
    case "Late":
      model.counters.late++
      lengthen(model, real.now, firstMs(model) * 0.75)
      return
    case "Announce":
      for (const link of event.links)
        if (model.neighbors.includes(link)) queue(model, link, { id: event.id, round: event.round, at: real.now })
      return
    case "Forgotten":
      for (const id of event.ids) forget(model.sendable, id)
      return
    case "Missed":
      return expectMissed(model, real.now, event.link, event.ids, outbox)
    case "TimerFired": {
      const timer = model.timers[event.timer._tag]
      if (timer.dueAt === null || timer.number !== event.timer.number) return
      timer.dueAt = null
      if (event.timer._tag === "Dispatch") return expectDispatch(model, real.now, outbox)
      if (event.timer._tag === "Summarize") return expectSummary(model, model.neighbors, outbox)
      const due = [...model.missing.values()].filter((wanted) => dueAt(model, wanted) <= real.now)
      return expectGrafts(asked(model, real.now, due), outbox)
    }
    case "Started":
    case "LinkUp":
    case "LinkRefused":
    case "Written":
      return
  }
}

// --- what is missing -------------------------------------------------------------------------------------------------

const expectMessage = (model: Model, real: Real, link: number, message: LazyPushRepair.Message): Grafts => {
  if (message._tag === "IHave") {
    model.counters.ihavesReceived += message.items.length
    // Announced once more by who was asked: left out of the answer, and asked for again at once. T2 runs on while others wait.
    const again = new Set<string>()
    for (const [id, round, heldMs = 0] of message.items) {
      const key = MessageId.toText(id)
      if (isSeen(model, id)) compare(model, link, id, round, real.now - heldMs)
      else {
        if (model.missing.get(key)?.asked.at(-1) === link) again.add(key)
        want(model, real, id, link, round)
      }
    }
    for (const key of again) {
      const wanted = model.missing.get(key)
      if (wanted !== undefined) model.missing.set(key, { ...wanted, askedAt: real.now })
    }
    model.counters.grafts += again.size
    return again.size === 0 ? [] : [[link, [...again].toSorted()]]
  }
  model.counters.summariesReceived++
  let left = config.wantedMax
  for (const [origin, incarnation, seqs] of message.windows) {
    for (const [from, to] of seqs) {
      for (let seq = from; seq <= to; seq++) {
        const id = { origin, incarnation, seq }
        if (isOver(model.seen, id)) break
        if (isSeen(model, id)) continue
        if (left === 0) {
          model.counters.wantedCut++
          return []
        }
        want(model, real, id, link, Infinity)
        left--
      }
    }
  }
  return []
}

/** Another way to the root of what has arrived: told of if it saves `optimizeHops` of the fewest hops that are known. */
const compare = (model: Model, link: number, id: MessageId.MessageId, round: number, since: number): void => {
  const depth = model.depths.get(id.origin)
  if (depth === undefined || depth - round < config.optimizeHops) return
  model.depths.set(id.origin, round)
  model.counters.shorter++
  model.shorter.push({ _tag: "Shorter", link, id, round, since })
}

/** Only what is unseen and of another node, and only while there is room; what finds none is counted. */
const want = (model: Model, real: Real, id: MessageId.MessageId, link: number, round: number): void => {
  if (id.origin === self.id) return
  const key = MessageId.toText(id)
  const wanted = model.missing.get(key)
  if (wanted !== undefined) {
    const known = wanted.announcers.some((other) => other.link === link)
    model.missing.set(key, known ? wanted : { ...wanted, announcers: [...wanted.announcers, { link, round }] })
    return
  }
  if (model.missing.size >= config.missingMax || model.added >= 4 * config.missingMax) {
    // Times of what has arrived wait to be skipped and take room too: near that bound either answer is right.
    const isTaken = model.missing.size < config.missingMax && LazyPushRepair.isMissing(real.state, id)
    if (!isTaken) {
      model.counters.missingShed++
      return
    }
  }
  model.added++
  model.missing.set(key, { id, announcers: [{ link, round }], asked: [], since: real.now, askedAt: real.now })
}

const expectSeen = (
  model: Model,
  real: Real,
  { id, link, mended, round }: Extract<Event, { readonly _tag: "Seen" }>
): void => {
  const wanted = model.missing.get(MessageId.toText(id))
  if (link !== null && !isSeen(model, id)) {
    // What was asked for, here or on its way, does not say how long the tree takes.
    const sampleMs = wanted?.asked.length === 0 ? real.now - wanted.since : 0
    if (!mended) lengthen(model, real.now, sampleMs)
    model.depths.delete(id.origin)
    if (round > config.optimizeHops) model.depths.set(id.origin, round)
    for (const other of wanted?.announcers ?? []) compare(model, other.link, id, other.round, wanted?.since ?? 0)
  }
  const newest = Math.max(0, ...(model.seen.get(id.origin)?.get(id.incarnation) ?? []))
  if (!isOver(model.seen, id)) remember(model.seen, id)
  model.counters.heldCut += remember(model.sendable, id)
  for (const { id: other } of model.missing.values()) if (isSeen(model, other)) giveUp(model, other)
  if (link === null || newest === 0) return
  if (id.seq - newest - 1 > config.gapMax) model.counters.gapsCut++
  for (let seq = Math.max(newest + 1, id.seq - config.gapMax); seq < id.seq; seq++) {
    const gap = { ...id, seq }
    if (isSeen(model, gap)) continue
    model.counters.gaps++
    want(model, real, gap, link, Infinity)
  }
}

const expectMissed = (
  model: Model,
  now: number,
  link: number,
  ids: ReadonlyArray<MessageId.MessageId>,
  outbox: Actions
): void => {
  const next: Array<Wanted> = []
  // To say twice that something is missed is to say it once.
  for (const [key, id] of new Map(ids.map((id) => [MessageId.toText(id), id]))) {
    const wanted = model.missing.get(key)
    if (wanted === undefined) continue
    const without = { ...wanted, announcers: wanted.announcers.filter((other) => other.link !== link) }
    if (wanted.asked.at(-1) === link) next.push(without)
    // The only one left to ask is asked all the same.
    else if (without.announcers.length > 0) model.missing.set(MessageId.toText(id), without)
  }
  expectGrafts(asked(model, now, next), outbox)
}

/** By neighbour, what is asked of it. */
type Grafts = ReadonlyArray<readonly [link: number, ids: ReadonlyArray<string>]>

/**
 * Of the neighbours that announced it, who comes next: whoever was never asked before who was, and of those whoever is of
 * this data centre; else whoever was asked longest ago.
 */
const nextOf = (announcers: ReadonlyArray<number>, asked: ReadonlyArray<number>): number | undefined => {
  const rank = (link: number): number => (asked.includes(link) ? 2 + asked.lastIndexOf(link) : isNear(link) ? 0 : 1)
  return announcers.toSorted((a, b) => rank(a) - rank(b))[0]
}

/**
 * Each is asked of the announcer that comes next, all of one neighbour together, or given up and counted. Nobody is asked twice
 * in a row within T2: then it waits until that is over.
 */
const asked = (model: Model, now: number, due: ReadonlyArray<Wanted>): Grafts => {
  const grafts = new Map<number, Array<string>>()
  for (const wanted of due) {
    const { asked, askedAt, id } = wanted
    const left = wanted.announcers.filter(({ link }) => model.neighbors.includes(link))
    const next = nextOf(
      left.map(({ link }) => link),
      asked
    )
    if (next === undefined) {
      model.counters.exhausted++
      giveUp(model, id)
      continue
    }
    if (next === asked.at(-1) && now < askedAt + againMs(model)) {
      model.missing.set(MessageId.toText(id), { ...wanted, since: askedAt })
      continue
    }
    model.counters.grafts++
    grafts.set(next, [...(grafts.get(next) ?? []), MessageId.toText(id)])
    const announcers = left.filter(({ link }) => link !== next)
    model.missing.set(MessageId.toText(id), { id, announcers, asked: [...asked, next], since: now, askedAt: now })
  }
  return [...grafts].map(([link, ids]) => [link, ids.toSorted()] as const)
}

const expectGrafts = (grafts: Grafts, outbox: Actions): void => {
  const told = outbox
    .takeAll("Emit", ({ output }) => output._tag === "Graft")
    .flatMap(({ output }) =>
      output._tag === "Graft" ? [[output.link, output.ids.map(MessageId.toText).toSorted()] as const] : []
    )
  assert.sameDeepMembers([...told], [...grafts], "asked is who announced it, for what is missing and due")
}

const giveUp = (model: Model, id: MessageId.MessageId): void => {
  model.missing.delete(MessageId.toText(id))
  if (model.missing.size === 0) model.added = 0
}

// --- what is told ----------------------------------------------------------------------------------------------------

const queue = (
  model: Model,
  link: number,
  item: { readonly id: MessageId.MessageId; readonly round: number; readonly at: number }
): void => {
  const items = [...(model.queues.get(link) ?? []), item]
  if (items.length > config.queueMax) model.counters.shed++
  model.queues.set(link, items.slice(-config.queueMax))
}

const expectDispatch = (model: Model, now: number, outbox: Actions): void => {
  const expected = new Map<number, ReadonlyArray<LazyPushRepair.Announcement>>()
  for (const [link, items] of model.queues) {
    const current = items
      .filter(({ id }) => model.sendable.get(id.origin)?.get(id.incarnation)?.has(id.seq) === true)
      .map(({ at, id, round }): LazyPushRepair.Announcement => [id, round, Math.min(0xffff, Math.round(now - at))])
    model.counters.announced += current.length
    model.counters.stale += items.length - current.length
    if (current.length > 0) expected.set(link, current)
  }
  model.queues.clear()
  const told = outbox.takeAll("Send").map(({ link, message }) => [link, message] as const)
  const frames = [...expected].map(([link, items]) => [link, { _tag: "IHave" as const, items }] as const)
  assert.sameDeepMembers([...told], frames, "announced is what was queued and is not forgotten, to neighbours only")
}

/** An older or equal snapshot changes nothing. A new neighbour hears of everything that could be sent. */
const expectNeighbors = (
  model: Model,
  real: Real,
  version: number,
  neighbors: ReadonlyArray<Machine.Neighbor>,
  outbox: Actions
): void => {
  if (version <= model.version) return
  const before = model.neighbors
  model.version = version
  model.neighbors = neighbors.map(({ link }) => link)
  for (const link of model.queues.keys()) if (!model.neighbors.includes(link)) model.queues.delete(link)
  for (const link of model.neighbors) if (!before.includes(link)) expectSummary(model, [link], outbox)
  const isIn = ({ link }: { readonly link: number }) => model.neighbors.includes(link)
  const released = model.held.filter(isIn)
  model.held = model.held.filter((frame) => !isIn(frame))
  expectGrafts(
    released.flatMap(({ link, message }) => expectMessage(model, real, link, message)),
    outbox
  )
}

/** To one of these links: exactly what was seen and is not forgotten. */
const expectSummary = (model: Model, links: ReadonlyArray<number>, outbox: Actions): void => {
  if (links.length === 0 || model.sendable.size === 0) return
  const { link, message } = outbox.take("Send", "a summary is sent if there is anything to say")
  assert.include([...links], link)
  const windows: Array<LazyPushRepair.SummaryWindow> = []
  for (const [origin, runs] of model.sendable)
    for (const [incarnation, seqs] of runs)
      windows.push([origin, incarnation, [...seqs].reduce(SeqSet.add, SeqSet.empty)])
  assert.isTrue(message._tag === "Summary")
  if (message._tag === "Summary") assert.sameDeepMembers([...message.windows], windows)
  model.counters.summariesSent++
}

// --- timers ----------------------------------------------------------------------------------------------------------

/** How late a timer may be before it is given up for lost. */
const graceMs = 1000

/** A timer is armed only if none is, or that is too late, or it was lost. */
const expectTimer = (model: Model, now: number, delayMs: number, { _tag, number }: LazyPushRepair.Timer): void => {
  const timer = model.timers[_tag]
  assert.isAtLeast(delayMs, 0)
  assert.strictEqual(number, timer.number + 1, "each arming has the next number, so all earlier ones are stale")
  const isSooner = timer.dueAt === null || now + delayMs < timer.dueAt || now > timer.dueAt + graceMs
  assert.isTrue(isSooner, "one timer of a kind is enough")
  model.timers[_tag] = { number, dueAt: now + delayMs }
}

/** Whatever waits for a timer has one, that fires in time. */
const assertTimers = (model: Model, now: number): void => {
  const within = (kind: Kind, latest: number) => {
    const { dueAt } = model.timers[kind]
    assert.isNotNull(dueAt, `${kind} has a timer`)
    assert.isAtMost(dueAt ?? Infinity, latest, `${kind} is in time`)
    assert.isAtLeast((dueAt ?? 0) + graceMs, now, `${kind} is not believed for ever`)
  }
  within("Summarize", now + 1.2 * config.summaryMs)
  if (model.queues.size > 0) within("Dispatch", now + config.dispatchMs)
  const due = [...model.missing.values()].map((wanted) => dueAt(model, wanted))
  if (due.length > 0) within("Repair", Math.max(Math.min(...due), now + 20))
}

// --- sets of broadcasts ----------------------------------------------------------------------------------------------

/** Two later runs of the origin are known: whatever this one sent counts as seen. */
const isOver = (runs: Runs, id: MessageId.MessageId): boolean => {
  const known = [...(runs.get(id.origin)?.keys() ?? [])]
  return known.length === 2 && !known.includes(id.incarnation) && id.incarnation < Math.min(...known)
}

const isSeen = (model: Model, id: MessageId.MessageId): boolean =>
  isOver(model.seen, id) || model.seen.get(id.origin)?.get(id.incarnation)?.has(id.seq) === true

/** Adds a broadcast; of each origin the two newest runs stay. How many broadcasts went with a third. */
const remember = (runs: Runs, id: MessageId.MessageId): number => {
  const known = runs.get(id.origin) ?? new Map<number, Set<number>>()
  runs.set(id.origin, known)
  known.set(id.incarnation, (known.get(id.incarnation) ?? new Set()).add(id.seq))
  if (known.size <= 2) return 0
  const oldest = Math.min(...known.keys())
  const gone = known.get(oldest)?.size ?? 0
  known.delete(oldest)
  return gone
}

const forget = (runs: Runs, id: MessageId.MessageId): void => {
  const known = runs.get(id.origin)
  const seqs = known?.get(id.incarnation)
  seqs?.delete(id.seq)
  if (seqs?.size === 0) known?.delete(id.incarnation)
  if (known?.size === 0) runs.delete(id.origin)
}

// --- what may happen -------------------------------------------------------------------------------------------------

const ids = fc.uniqueArray(smallId, { maxLength: 4, selector: MessageId.toText })

const announced = fc.uniqueArray(fc.tuple(smallId, fc.nat(9), fc.option(fc.nat(99))), {
  maxLength: 4,
  selector: ([id]) => MessageId.toText(id)
})

const timers = fc
  .tuple(pauses, fc.constantFrom<Kind>("Dispatch", "Repair", "Repair", "Summarize"), fc.constantFrom(0, 0, 0, 1, 3))
  .map(([ms, _tag, back]): Command =>
    command(`${ms} ms, ${_tag} armed ${back} before the last`, (model, real) =>
      act(model, real, ms, { _tag: "TimerFired", timer: { _tag, number: model.timers[_tag].number - back } })
    )
  )

/** Links 3 and 4 lead to this node's data centre. */
const isNear = (link: number): boolean => link >= 3

const placed = smallNeighbors.map((all) =>
  all.map((one) => (isNear(one.link) ? { ...one, peer: { ...one.peer, datacenter: "here" } } : one))
)

const neighbors = fc
  .tuple(pauses, fc.constantFrom(-1, 0, 1, 1, 1, 3), placed)
  .map(([ms, ahead, neighbors]): Command =>
    command(`${ms} ms, neighbours ${ahead} ahead: [${neighbors.map(({ link }) => link)}]`, (model, real) =>
      act(model, real, ms, { _tag: "Neighbors", version: model.version + ahead, neighbors })
    )
  )

/** A neighbour that was asked, or any other, does not have some of these, and may say so twice. */
const missed = fc.tuple(pauses, smallLink, fc.array(smallId, { maxLength: 4 })).map(([ms, link, ids]): Command =>
  command(`${ms} ms, ${link} misses ${ids.map(MessageId.toText)} and, twice, what it was asked for`, (model, real) => {
    const asked = askedOf(model, link)
    act(model, real, ms, { _tag: "Missed", link, ids: [...ids, ...asked, ...asked] })
  })
)

/** One neighbour after the other misses what it is asked for, all within a millisecond. */
const missedByAll = fc.tuple(pauses, fc.shuffledSubarray([1, 2, 3, 4])).map(([ms, links]): Command =>
  command(`${ms} ms, each in turn misses what it is asked for: ${links}`, (model, real) => {
    act(model, real, ms, { _tag: "Written", token: 1 })
    for (const link of links) act(model, real, 0, { _tag: "Missed", link, ids: askedOf(model, link) })
  })
)

/** A neighbour announces once more what it was asked for; the time of T2 may pass after it, or not. */
const announcedAgain = fc
  .tuple(pauses, smallLink, fc.boolean(), fc.constantFrom(0, 100, 250, 400))
  .map(([ms, link, alsoOthers, then]): Command =>
    command(`${ms} ms, ${link} announces what it was asked for, and ${then} ms later it is time`, (model, real) => {
      const ids = alsoOthers ? [...model.missing.values()].map(({ id }) => id) : askedOf(model, link)
      const items = ids.map((id): LazyPushRepair.Announcement => [id, 2])
      act(model, real, ms, { _tag: "Received", link, message: { _tag: "IHave", items } })
      act(model, real, then, { _tag: "TimerFired", timer: { _tag: "Repair", number: model.timers.Repair.number } })
    })
  )

const askedOf = (model: Model, link: number): ReadonlyArray<MessageId.MessageId> =>
  [...model.missing.values()].filter(({ asked }) => asked.at(-1) === link).map(({ id }) => id)

/** What a neighbour says it has of one run of one origin, honest or not. */
const window = fc
  .tuple(smallRoot, fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 6 }), fc.oneof(fc.nat(3), fc.nat(1e15)))
  .map(([origin, incarnation, from, more]): LazyPushRepair.SummaryWindow => [
    origin,
    incarnation,
    [[from, from + more]]
  ])

const plainEvents: fc.Arbitrary<Event> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.tuple(smallLink, announced).map(([link, ids]): Event => {
      const items = ids.map(([id, round, heldMs]): LazyPushRepair.Announcement =>
        heldMs === null ? [id, round] : [id, round, heldMs]
      )
      return { _tag: "Received", link, message: { _tag: "IHave", items } }
    })
  },
  {
    weight: 2,
    arbitrary: fc
      .tuple(smallLink, fc.array(window, { minLength: 1, maxLength: 3 }))
      .map(([link, windows]): Event => ({ _tag: "Received", link, message: { _tag: "Summary", windows } }))
  },
  {
    weight: 4,
    arbitrary: fc.record({
      _tag: fc.constant("Seen" as const),
      id: smallId,
      link: fc.option(smallLink),
      round: fc.nat(9),
      mended: fc.boolean()
    })
  },
  {
    weight: 3,
    arbitrary: fc.record({
      _tag: fc.constant("Announce" as const),
      id: smallId,
      round: fc.nat(9),
      links: fc.uniqueArray(smallLink)
    })
  },
  fc.record({ _tag: fc.constant("Forgotten" as const), ids }),
  fc.constant<Event>({ _tag: "Late" }),
  fc.uniqueArray(smallId, { maxLength: 6, selector: ({ origin }) => origin }).map((known): Event => ({
    _tag: "Known",
    held: known.filter(({ seq }) => seq % 2 === 0),
    windows: HashMap.fromIterable(
      known.map(({ incarnation, origin, seq }) => [origin, [[incarnation, [[1, seq]]]]] as const)
    )
  })),
  fc.record({ _tag: fc.constant("LinkDown" as const), link: smallLink, reason: downReasons }),
  fc.record({ _tag: fc.constant("LinkUp" as const), link: smallLink, peer: fc.constant(neighbor(1).peer) }),
  fc.constantFrom<Event>({ _tag: "Started" }, { _tag: "Written", token: 1 })
)

const plain = fc
  .tuple(pauses, plainEvents)
  .map(([ms, event]): Command =>
    command(`${ms} ms, ${JSON.stringify(event)}`, (model, real) => act(model, real, ms, event))
  )

/** More frames of a stranger than may wait. */
const flood = fc.tuple(smallLink, fc.nat(300), smallId).map(([link, size, id]): Command =>
  command(`${size} announcements on link ${link}`, (model, real) => {
    const message: LazyPushRepair.Message = { _tag: "IHave", items: [[id, 1]] }
    if (model.neighbors.includes(link)) return
    act(model, real, 0, { _tag: "Written", token: 0 })
    for (let i = 0; i < size; i++) {
      const event = { _tag: "Received", link, message } as const
      real.state = LazyPushRepair.step(real.state, { now: real.now, event })[0]
      expect(model, real, event, new Outbox([]))
    }
    act(model, real, 0, { _tag: "Written", token: 0 })
  })
)

/** Nothing of the former state is trusted but what was delivered. */
const rebuilt = pauses.map((ms): Command =>
  command(`${ms} ms, rebuilt`, (model, real) => {
    real.now += ms
    real.state = LazyPushRepair.rebuild(config, real.state.seen, real.now)
    Object.assign(model, new Model(), { seen: model.seen })
  })
)

const anyCommands = fc.commands(
  [
    plain,
    plain,
    plain,
    plain,
    plain,
    plain,
    timers,
    timers,
    timers,
    neighbors,
    missed,
    missedByAll,
    announcedAgain,
    announcedAgain,
    flood,
    rebuilt
  ],
  { maxCommands: 60, size: "max" }
)

describe("Lazy-push repair, any events in any order", () => {
  it("does what the model predicts, step by step: tells, asks, waits and counts no more and no less", () => {
    fc.assert(
      fc.property(anyCommands, (commands) => {
        fc.modelRun(() => ({ model: new Model(), real: makeReal() }), commands)
      })
    )
  })

  it("left alone with its timers, it has nothing missing and nothing queued", () => {
    fc.assert(
      fc.property(anyCommands, (commands) => {
        const model = new Model()
        const real = makeReal()
        fc.modelRun(() => ({ model, real }), commands)
        for (let i = 0; i < 100 && model.missing.size + model.queues.size > 0; i++) {
          const _tag = model.missing.size > 0 ? "Repair" : "Dispatch"
          const { dueAt, number } = model.timers[_tag]
          act(model, real, Math.max(0, (dueAt ?? 0) - real.now), { _tag: "TimerFired", timer: { _tag, number } })
        }
        assert.deepStrictEqual([real.state.queues, LazyPushRepair.missingSize(real.state)], [[], 0])
      })
    )
  })
})

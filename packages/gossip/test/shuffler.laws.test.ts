/**
 * The shuffler alone, against a model of lists: any events in any order, also those that no honest fleet sends. The model
 * leaves open whom chance picks and predicts everything else: each step's whole outbox, and the counters.
 */
import { assert, describe, it } from "@effect/vitest"
import { Shuffler } from "@starling/gossip"
import { LinkGate, type Machine, Peer, Rng } from "@starling/machine"
import * as fc from "fast-check"
import { at, command, downReasons, Outbox, pauses } from "./lawCommands.ts"
import { neighbor, peer, self } from "./plumtreeArbitraries.ts"

type Shuffle = Extract<Shuffler.Message, { readonly _tag: "Shuffle" }>

interface Flight {
  readonly id: number
  readonly sent: ReadonlyArray<Peer.Peer>
  readonly at: Machine.Instant
}

interface Answer {
  readonly attempt: number
  readonly origin: Peer.Peer
  readonly message: Shuffler.Message
  readonly at: Machine.Instant
}

/** What is known from outside: what the machine was told, and what it did. */
class Model {
  version = 0
  active: ReadonlyArray<Machine.Neighbor> = []
  passive: ReadonlyArray<Peer.Peer> = []
  held: Array<{ readonly link: number; readonly message: Shuffle }> = []
  overflowed = 0
  /** The timer armed last: its number, 0 if none was, and when it fires. */
  round = 0
  due = 0
  inFlight: ReadonlyArray<Flight> = []
  answers: ReadonlyArray<Answer> = []
  counters = { started: 0, answered: 0, forwarded: 0, accepted: 0, unexpected: 0, expired: 0 }
  /** Answers that were never sent. */
  dropped = 0

  // For ever, also over a rebuild:
  readonly shuffles: Array<number> = []
  readonly attempts: Array<number> = []
  rebuiltAt = -1
}

interface Real {
  state: Shuffler.State
  now: number
}

type Command = fc.Command<Model, Real>

const config: Shuffler.Config = {
  ...Shuffler.defaults,
  self,
  intervalMs: 1000,
  firstMs: 250,
  ttl: 4,
  ka: 2,
  kp: 2,
  inFlightMax: 2,
  repliesMax: 2,
  replyMs: 3000
}

const makeReal = (): Real => ({ state: Shuffler.make(config, Rng.make(1)), now: 0 })

// --- what a step must do ---------------------------------------------------------------------------------------------

const act = (model: Model, real: Real, afterMs: number, event: Shuffler.Event): void => {
  real.now += afterMs
  Object.freeze(real.state)
  Object.freeze(real.state.inFlight)
  Object.freeze(real.state.replies)
  const [state, actions] = Shuffler.step(real.state, { now: real.now, event })
  real.state = state
  const outbox = new Outbox(actions)
  const isOverdue = real.now - model.due > config.intervalMs
  if (model.round === 0 || isOverdue || event._tag === "Started") expectTimer(model, real.now, outbox)
  expect(model, real.now, event, outbox)
  outbox.assertEmpty()
  assertAgrees(model, state)
}

const assertAgrees = (model: Model, state: Shuffler.State): void => {
  assert.deepStrictEqual(Shuffler.invariants(state), [])
  assert.deepStrictEqual(state.inFlight, model.inFlight, "shuffles under way")
  assert.deepStrictEqual(state.replies, model.answers, "answers that wait for a link")
  assert.strictEqual(state.gate.held.length, model.held.length, "frames that wait for their neighbour")
  assert.strictEqual(state.gate.overflowed, model.overflowed, "every frame dropped is counted")
  assert.deepStrictEqual(state.counters, { ...model.counters, repliesDropped: model.dropped })
}

const expect = (model: Model, now: number, event: Shuffler.Event, outbox: Outbox<Shuffler.Action>): void => {
  switch (event._tag) {
    case "Started":
    case "Written":
      return
    case "Views":
      return expectViews(model, now, event, outbox)
    case "LinkDown":
      model.held = model.held.filter((frame) => frame.link !== event.link)
      return
    case "LinkUp":
      return expectLinkUp(model, event.link, event.peer, event.attempt, outbox)
    case "LinkRefused":
      return expectLinkRefused(model, event.attempt)
    case "Received":
      if (event.message._tag === "ShuffleReply") return expectReply(model, event.message, outbox)
      if (model.active.some(({ link }) => link === event.link))
        return expectWalk(model, now, event.link, event.message, outbox)
      if (model.held.length === LinkGate.heldMax) model.overflowed++
      else model.held.push({ link: event.link, message: event.message })
      return
    case "TimerFired":
      return event.timer.round === model.round ? expectRound(model, now, outbox) : undefined
  }
}

/** One timer at a time: a new number makes all earlier ones stale. */
const expectTimer = (model: Model, now: number, outbox: Outbox<Shuffler.Action>): void => {
  const { delayMs, timer } = outbox.take("SetTimer", "the clockwork goes on")
  const mean = Math.min(config.intervalMs, config.firstMs * 2 ** model.counters.started)
  assert.isAtLeast(delayMs, Math.floor(mean * 0.75))
  assert.isAtMost(delayMs, Math.ceil(mean * 1.25))
  assert.isAbove(timer.round, model.round, "the number of a timer is not used again")
  model.round = timer.round
  model.due = now + delayMs
}

/** An older or equal snapshot changes nothing; a newer one lets in the frames that waited for it. */
const expectViews = (
  model: Model,
  now: number,
  event: Extract<Shuffler.Event, { readonly _tag: "Views" }>,
  outbox: Outbox<Shuffler.Action>
): void => {
  if (event.version <= model.version) return
  const isIn = ({ link }: { readonly link: number }) => event.active.some((neighbor) => neighbor.link === link)
  const released = model.held.filter(isIn)
  model.version = event.version
  model.active = event.active
  model.passive = event.passive
  model.held = model.held.filter((frame) => !isIn(frame))
  for (const { link, message } of released) expectWalk(model, now, link, message, outbox)
}

const expectRound = (model: Model, now: number, outbox: Outbox<Shuffler.Action>): void => {
  const isLive = (entry: { readonly at: number }) => now - entry.at < config.replyMs
  model.counters.expired += model.inFlight.filter((entry) => !isLive(entry)).length
  model.dropped += model.answers.filter((entry) => !isLive(entry)).length
  model.inFlight = model.inFlight.filter(isLive)
  model.answers = model.answers.filter(isLive)
  if (model.active.length > 0 && model.inFlight.length < config.inFlightMax) {
    const { link, message } = outbox.take("Send", "a shuffle is begun if one may be")
    const target = model.active.find((neighbor) => neighbor.link === link)
    assert.isDefined(target, "a shuffle goes to a neighbour")
    assert.isTrue(message._tag === "Shuffle")
    if (message._tag !== "Shuffle") return
    assertList(model, message.list, link)
    assert.deepStrictEqual([message.origin, message.ttl], [self, config.ttl])
    assert.notInclude(model.shuffles, message.id, "a shuffle has a number of its own")
    model.shuffles.push(message.id)
    model.inFlight = [...model.inFlight, { id: message.id, sent: message.list, at: now }]
    model.counters.started++
  }
  expectTimer(model, now, outbox)
}

/** Paper, §4.5: the node itself, ka of its other neighbours, kp of its passive peers. */
const assertList = (model: Model, list: ReadonlyArray<Peer.Peer>, target: Machine.LinkId): void => {
  const others = model.active.filter(({ link }) => link !== target).map((neighbor) => neighbor.peer)
  const near = list.filter((one) => others.includes(one))
  const far = list.filter((one) => model.passive.includes(one))
  assert.isAtMost(list.length, 1 + config.ka + config.kp)
  assert.deepStrictEqual(list[0], self)
  assert.strictEqual(near.length, Math.min(config.ka, others.length), "ka neighbours, not the one it is sent to")
  assert.strictEqual(far.length, Math.min(config.kp, model.passive.length), "kp passive peers")
  assert.strictEqual(list.length, 1 + near.length + far.length, "and nobody else")
  assert.strictEqual(new Set(list.map(({ id }) => id)).size, list.length, "each once")
}

/** A walk of another node: it goes on, one hop shorter and to one neighbour, or it ends here and is answered. */
const expectWalk = (
  model: Model,
  now: number,
  from: Machine.LinkId,
  message: Shuffle,
  outbox: Outbox<Shuffler.Action>
): void => {
  const { id, list, origin } = message
  if (origin.id === self.id) return
  const ttl = Math.min(message.ttl, config.ttl) - 1
  const hops = model.active.filter((other) => other.link !== from && other.peer.id !== origin.id)
  if (ttl > 0 && hops.length > 0) {
    const sent = outbox.take("Send", "a walk goes on while it may")
    assert.include(
      hops.map(({ link }) => link),
      sent.link,
      "to a neighbour that is neither its sender nor its origin"
    )
    assert.deepStrictEqual(sent.message, { ...message, ttl }, "unchanged, but one hop shorter")
    model.counters.forwarded++
    return
  }
  model.counters.accepted++
  const { output } = outbox.take("Emit", "a walk that ends is taken in")
  const mine = model.passive.filter((one) => one.id !== origin.id)
  assert.deepStrictEqual(output.received, list)
  assert.includeMembers([...mine], [...output.sent], "only passive peers are told, and not the origin to itself")
  assert.strictEqual(new Set(output.sent).size, output.sent.length, "each once")
  assert.strictEqual(output.sent.length, Math.min(list.length, mine.length), "as many as came")
  if (output.sent.length > 0) expectAnswer(model, now, origin, { _tag: "ShuffleReply", id, list: output.sent }, outbox)
}

/** To the origin, never to the last hop: over its own link, or over a temporary one, of which there are few. */
const expectAnswer = (
  model: Model,
  now: number,
  origin: Peer.Peer,
  message: Shuffler.Message,
  outbox: Outbox<Shuffler.Action>
): void => {
  const direct = model.active.find((other) => Peer.same(other.peer, origin))
  if (direct !== undefined) {
    const sent = outbox.take("Send", "a neighbour is answered at once")
    assert.deepStrictEqual(sent, { _tag: "Send", link: direct.link, message })
    return
  }
  if (model.answers.length === config.repliesMax) {
    model.dropped++
    return
  }
  const { address, attempt } = outbox.take("Open", "a stranger is answered over a link of its own")
  assert.strictEqual(address, origin.address)
  assert.isAbove(attempt, Math.max(0, ...model.attempts), "the number of an attempt is not used again")
  model.attempts.push(attempt)
  model.answers = [...model.answers, { attempt, origin, message, at: now }]
}

/** Every link that the shuffler asked for is closed in the step that brings it, whoever is at its other end. */
const expectLinkUp = (
  model: Model,
  link: Machine.LinkId,
  other: Peer.Peer,
  attempt: number | undefined,
  outbox: Outbox<Shuffler.Action>
): void => {
  if (attempt === undefined) return
  const answer = model.answers.find((entry) => entry.attempt === attempt)
  model.answers = model.answers.filter((entry) => entry !== answer)
  if (answer !== undefined && Peer.same(answer.origin, other)) {
    const sent = outbox.take("Send", "the answer leaves on its link")
    assert.deepStrictEqual(sent, { _tag: "Send", link, message: answer.message })
  } else if (answer !== undefined) model.dropped++
  assert.deepStrictEqual(outbox.take("Close", "a temporary link is closed"), { _tag: "Close", link, reason: "done" })
}

const expectLinkRefused = (model: Model, attempt: number): void => {
  const left = model.answers.filter((entry) => entry.attempt !== attempt)
  model.dropped += model.answers.length - left.length
  model.answers = left
}

/** Believed once, and only if it names a shuffle that is under way. */
const expectReply = (
  model: Model,
  message: Extract<Shuffler.Message, { readonly _tag: "ShuffleReply" }>,
  outbox: Outbox<Shuffler.Action>
): void => {
  const flight = model.inFlight.find((entry) => entry.id === message.id)
  if (flight === undefined) {
    model.counters.unexpected++
    return
  }
  model.inFlight = model.inFlight.filter((entry) => entry !== flight)
  model.counters.answered++
  assert.deepStrictEqual(outbox.take("Emit", "an answer that was waited for is taken in").output, {
    _tag: "Integrate",
    received: message.list,
    sent: flight.sent
  })
}

// --- what may happen -------------------------------------------------------------------------------------------------

const number = fc.nat(1000)
/** Links 1..5 are neighbours' now and then, 6 and 7 never. */
const links = fc.integer({ min: 1, max: 7 })
/** Neighbours, one of them also in a later run, passive peers, strangers, and the node itself. */
const anybody = fc.constantFrom(
  ...[1, 2, 3, 4, 5, 11, 12, 13, 14, 21, 22, 23].map(peer),
  { ...peer(1), incarnation: 2 },
  self
)
const lists = fc.array(anybody, { maxLength: 6 })

const started = pauses.map((ms): Command =>
  command(`${ms} ms, started`, (model, real) => act(model, real, ms, { _tag: "Started" }))
)

const views = fc
  .record({
    ms: pauses,
    ahead: fc.constantFrom(-1, 0, 1, 1, 1, 4),
    active: fc.subarray([1, 2, 3, 4, 5]),
    passive: fc.subarray([11, 12, 13, 14])
  })
  .map(({ active, ahead, ms, passive }): Command =>
    command(`${ms} ms, views ${ahead} ahead: [${active}] [${passive}]`, (model, real) =>
      act(model, real, ms, {
        _tag: "Views",
        version: model.version + ahead,
        active: active.map(neighbor),
        passive: passive.map(peer)
      })
    )
  )

/** The timer that was armed last, or any earlier one, fired late or again. */
const timer = fc
  .tuple(pauses, fc.constantFrom(0, 0, 0, 1, 2, 5))
  .map(([ms, back]): Command =>
    command(`${ms} ms, the timer armed ${back} before the last`, (model, real) =>
      act(model, real, ms, { _tag: "TimerFired", timer: { _tag: "Round", round: Math.max(0, model.round - back) } })
    )
  )

const shuffle = fc
  .record({
    _tag: fc.constant("Shuffle" as const),
    id: number,
    origin: anybody,
    list: lists,
    ttl: fc.constantFrom(0, 1, 1, 2, 3, 64)
  })
  .chain((message) => fc.tuple(pauses, links, fc.constant(message)))
  .map(([ms, link, message]): Command =>
    command(`${ms} ms, on link ${link} ${JSON.stringify(message)}`, (model, real) =>
      act(model, real, ms, { _tag: "Received", link, message })
    )
  )

/** More frames of a stranger than may wait, with nothing in them. */
const flood = fc.tuple(links, fc.nat(300)).map(([link, size]): Command =>
  command(`${size} shuffles on link ${link}`, (model, real) => {
    const message: Shuffle = { _tag: "Shuffle", id: 0, origin: peer(1), list: [], ttl: 1 }
    if (model.active.some((other) => other.link === link)) return
    act(model, real, 0, { _tag: "Written", token: 0 })
    for (let i = 0; i < size; i++) {
      const event = { _tag: "Received", link, message } as const
      real.state = Shuffler.step(real.state, { now: real.now, event })[0]
      expect(model, real.now, event, new Outbox([]))
    }
    act(model, real, 0, { _tag: "Written", token: 0 })
  })
)

/** An answer to a shuffle under way, to one that was answered or expired, or to one that nobody sent. */
const reply = fc
  .record({
    ms: pauses,
    link: links,
    which: fc.constantFrom("underWay", "underWay", "any", "none"),
    number,
    list: lists
  })
  .map(({ link, list, ms, number, which }): Command =>
    command(
      `${ms} ms, on link ${link} an answer (${which}, ${number}) [${list.map(({ id }) => id)}]`,
      (model, real) => {
        const known = which === "underWay" ? model.inFlight.map((flight) => flight.id) : model.shuffles
        const id = (which === "none" ? undefined : at(known, number)) ?? number
        act(model, real, ms, { _tag: "Received", link, message: { _tag: "ShuffleReply", id, list } })
      }
    )
  )

/** What became of a dial: of one that waits, of one that is settled, or of one that nobody made. */
const dialled = fc
  .record({
    ms: pauses,
    which: fc.constantFrom("waiting", "waiting", "any", "none"),
    number,
    found: fc.constantFrom("origin", "origin", "another", "nobody"),
    another: anybody
  })
  .map(({ another, found, ms, number, which }): Command =>
    command(`${ms} ms, dial (${which}, ${number}) finds ${found} ${another.id}`, (model, real) => {
      const waiting = model.answers.map((answer) => answer.attempt)
      const attempt =
        (which === "none" ? undefined : at(which === "waiting" ? waiting : model.attempts, number)) ?? number
      const origin = model.answers.find((answer) => answer.attempt === attempt)?.origin ?? another
      const failure: Machine.OpenFailure = { _tag: "Unreachable" }
      if (found === "nobody") act(model, real, ms, { _tag: "LinkRefused", attempt, address: origin.address, failure })
      else act(model, real, ms, { _tag: "LinkUp", link: 70, peer: found === "origin" ? origin : another, attempt })
    })
  )

const incoming = fc
  .tuple(pauses, links, anybody)
  .map(([ms, link, other]): Command =>
    command(`${ms} ms, link ${link} from ${other.id}`, (model, real) =>
      act(model, real, ms, { _tag: "LinkUp", link, peer: other })
    )
  )

const down = fc
  .tuple(pauses, links, downReasons)
  .map(([ms, link, reason]): Command =>
    command(`${ms} ms, link ${link} down`, (model, real) => act(model, real, ms, { _tag: "LinkDown", link, reason }))
  )

/** The state is thrown away, once within a millisecond: the numbers of dials hold the time. */
const rebuilt = fc.tuple(fc.integer({ min: 0, max: 5000 }), number).map(([ms, seed]): Command =>
  command(`${ms} ms, rebuilt`, (model, real) => {
    real.now = Math.max(real.now + ms, model.rebuiltAt + 1)
    real.state = Shuffler.rebuild(config, Rng.make(`rebuilt/${seed}/${real.now}`))
    const { attempts, shuffles } = model
    Object.assign(model, new Model(), { attempts, shuffles, rebuiltAt: real.now })
  })
)

const anyCommands = fc.commands(
  [
    started,
    views,
    views,
    timer,
    timer,
    timer,
    shuffle,
    shuffle,
    shuffle,
    reply,
    reply,
    dialled,
    dialled,
    incoming,
    down
  ].concat([flood, rebuilt]),
  { maxCommands: 60, size: "max" }
)

describe("Shuffler, any events in any order", () => {
  it("does what the model predicts, step by step: no more, no less, nothing twice", () => {
    fc.assert(
      fc.property(anyCommands, (commands) => {
        fc.modelRun(() => ({ model: new Model(), real: makeReal() }), commands)
      })
    )
  })

  it("left alone with its timer, it forgets every shuffle and every answer, and goes on waiting", () => {
    fc.assert(
      fc.property(anyCommands, (commands) => {
        const model = new Model()
        const real = makeReal()
        fc.modelRun(() => ({ model, real }), commands)
        act(model, real, 0, { _tag: "Views", version: model.version + 1, active: [], passive: [] })
        for (const end = real.now + config.replyMs + 2 * config.intervalMs; real.now <= end;) {
          const wait = Math.max(0, model.due - real.now)
          act(model, real, wait, { _tag: "TimerFired", timer: { _tag: "Round", round: model.round } })
        }
        assert.deepStrictEqual([real.state.inFlight, real.state.replies], [[], []])
      })
    )
  })
})

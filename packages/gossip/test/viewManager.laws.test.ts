/**
 * The view manager alone, against what its shell and its listeners know: any events in any order, also those that no
 * honest fleet sends. The model holds which links are open, who was told to be a neighbour, and what was asked of whom.
 */
import { assert, describe, it } from "@effect/vitest"
import { ViewManager } from "@starling/gossip"
import { type Machine, Peer, Rng } from "@starling/machine"
import * as fc from "fast-check"
import { at, command, downReasons, pauses } from "./lawCommands.ts"
import { messages, peers, wishes } from "./viewArbitraries.ts"

type Event = ViewManager.Event
type Kind = ViewManager.Timer["_tag"]
type Views = Extract<ViewManager.Output, { readonly _tag: "Views" }>

const self: Peer.Peer = { id: "000000000032", incarnation: 1, address: "10.0.0.50:7000", datacenter: "a" }
const contact = "10.0.0.1:7000"

class Model {
  readonly config: ViewManager.Config
  now = 0
  /** Open as far as the machine knows: it was told of them, and has neither closed them nor heard that they are down. */
  readonly live = new Map<Machine.LinkId, Peer.Peer>()
  lastLink = 0
  /** Links on which the machine asked or probed. */
  readonly asked = new Set<Machine.LinkId>()
  /** Those of them on which it asked for a near slot or a swap. */
  readonly wished = new Set<Machine.LinkId>()
  /** Neighbours by the link that counts. */
  readonly told = new Map<Machine.LinkId, Peer.Peer>()
  readonly dials: Array<{ readonly attempt: number; readonly address: string }> = []
  readonly timers: Record<Kind, { number: number; dueAt: number }> = {
    Tick: { number: 0, dueAt: 0 },
    Repair: { number: 0, dueAt: 0 }
  }
  views: Views | undefined
  /** Runs of a node below `incarnation` said goodbye. */
  readonly left = new Map<string, { readonly incarnation: number; readonly until: number }>()
  /** Nothing has happened yet to this state. */
  isFresh = true
  isLeaving = false
  /** Evictions that may be forced now, as a bucket that fills evenly. */
  forced: number
  forcedAt = 0

  constructor(config: ViewManager.Config) {
    this.config = config
    this.forced = config.forcedBurst
  }
}

interface Real {
  state: ViewManager.State
}

type Command = fc.Command<Model, Real>

// --- what a step must do, and must not -------------------------------------------------------------------------------

const act = (model: Model, real: Real, afterMs: number, event: Event): void => {
  model.now += afterMs
  for (const part of [real.state, real.state.active, real.state.passive, real.state.attempts]) Object.freeze(part)
  if (event._tag === "LinkUp") model.live.set(event.link, event.peer)
  const link = event._tag === "Received" || event._tag === "LinkDown" ? event.link : -1
  const peer = model.live.get(link)
  const before = { peer, asked: model.asked.has(link), active: model.told.has(link) }
  // The first event of a rebuilt state comes after its links were listed, so it may name one that is down by now.
  if (event._tag === "LinkDown" && !model.isFresh) model.live.delete(link)
  if (peer !== undefined && saysGoodbye(event)) {
    const incarnation = Math.max(peer.incarnation + 1, model.left.get(peer.id)?.incarnation ?? 0)
    model.left.set(peer.id, { incarnation, until: model.now + model.config.tombstoneMs })
  }
  if (event._tag === "Leave") model.isLeaving = true
  const isStale = event._tag === "TimerFired" && event.timer.round !== model.timers[event.timer._tag].number

  const [state, actions] = ViewManager.step(real.state, { now: model.now, event })
  real.state = state
  for (const [i, action] of actions.entries()) assertAction(model, event, actions.slice(0, i), action)
  if (isStale && !model.isFresh)
    for (const { _tag } of actions) assert.strictEqual(_tag, "SetTimer", "a stale timer is harmless")
  if (event._tag === "LinkDown") model.live.delete(link)
  if (event._tag === "Received" && !model.isFresh) assertAnswered(event, before, actions)
  assertAgrees(model, state)
  model.isFresh = false
}

const saysGoodbye = (event: Event): boolean =>
  event._tag === "Received"
    ? event.message._tag === "Disconnect" && event.message.reason === "left"
    : event._tag === "LinkDown" && event.reason._tag === "ClosedByPeer" && event.reason.reason === "left"

const assertAgrees = (model: Model, state: ViewManager.State): void => {
  const { config, now, timers, told, views } = model
  assert.deepStrictEqual(ViewManager.invariants(state), [])
  const neighbors = state.active.map(({ link, peer }): [number, Peer.Peer] => [link, peer])
  assert.sameDeepMembers([...told], neighbors, "whoever is a neighbour was announced, and nobody else")
  assert.deepStrictEqual(views?.active, state.active, "every change of the active view is told in its step")
  assert.deepStrictEqual(views?.passive, state.passive, "every change of the passive view is told in its step")
  assert.isAtMost(now - timers.Tick.dueAt, config.keepaliveMs, "a keepalive timer is under way, or armed again")
  for (const { id, incarnation } of [...state.passive, ...state.active.map(({ peer }) => peer)]) {
    const bar = model.left.get(id)
    if (bar !== undefined && now < bar.until) assert.isAtLeast(incarnation, bar.incarnation, "who left stays away")
  }
  if (model.isLeaving) assert.deepStrictEqual([told.size, model.live.size], [0, 0], "who leaves keeps no link")
}

/** One action, given those before it in its step. */
const assertAction = (
  model: Model,
  event: Event,
  earlier: ReadonlyArray<ViewManager.Action>,
  action: ViewManager.Action
): void => {
  switch (action._tag) {
    case "Open": {
      assert.isAbove(
        action.attempt,
        Math.max(0, ...model.dials.map((dial) => dial.attempt)),
        "no attempt is used again"
      )
      assert.notStrictEqual(action.address, self.address, "a node does not dial itself")
      assert.isFalse(model.isLeaving, "who leaves dials nobody")
      model.dials.push(action)
      return
    }
    case "Send":
      assert.isTrue(model.live.has(action.link), "nothing is sent on a link that is closed or down")
      return assertSent(model, event, action.link, action.message)
    case "Close":
      assert.isTrue(model.live.delete(action.link), "a link is closed once")
      assert.isFalse(model.told.has(action.link), "a neighbour's link is not closed while it is a neighbour")
      return
    case "SetTimer": {
      const timer = model.timers[action.timer._tag]
      assert.isAtLeast(action.delayMs, 0)
      if (action.timer._tag === "Tick") assert.isAtMost(action.delayMs, 1.1 * model.config.keepaliveMs)
      assert.isAbove(action.timer.round, timer.number, "the number of a timer is not used again")
      model.timers[action.timer._tag] = { number: action.timer.round, dueAt: model.now + action.delayMs }
      return
    }
    case "Emit":
      assert.isFalse(
        earlier.some((other) => other._tag === "Emit" && other.output._tag === "Views"),
        "the views come last"
      )
      return assertOutput(model, event, earlier, action.output)
    case "Write":
      assert.fail("the view manager stores nothing")
  }
}

const assertOutput = (
  model: Model,
  event: Event,
  earlier: ReadonlyArray<ViewManager.Action>,
  output: ViewManager.Output
): void => {
  switch (output._tag) {
    case "Views":
      assert.isAbove(output.version, model.views?.version ?? 0, "versions rise, also over a rebuild")
      if (output.news === "passive")
        assert.deepStrictEqual(output.active, model.views?.active, "the active view is the one told last")
      model.views = output
      return
    case "NeighborUp": {
      const { link, peer } = output.neighbor
      assert.deepStrictEqual(model.live.get(link), peer, "a neighbour has an open link")
      assert.isFalse(
        [...model.told.values()].some((other) => other.id === peer.id),
        "up and down alternate"
      )
      const isOutdated = [...model.live.values()].some(
        (one) => one.id === peer.id && one.incarnation > peer.incarnation
      )
      assert.isTrue(model.isFresh || !isOutdated, "no run of a node counts while a later one has a link")
      assert.isTrue(model.isFresh || hasShakenHands(model, event, earlier, link), "a neighbour has shaken hands")
      model.told.set(link, peer)
      assert.isAtMost(model.told.size, model.config.activeMax + model.config.nearMax + 1)
      return
    }
    case "NeighborDown":
      assert.deepStrictEqual(model.told.get(output.link), output.peer, "up and down alternate")
      model.told.delete(output.link)
      return
    case "NeighborRefused":
      assert.isFalse(
        [...model.told.values()].some(({ id }) => id === output.peer.id),
        "a neighbour refuses nobody"
      )
  }
}

/** Both ends know: it accepted our request or claims us after it, or we accept its request in this very step. */
const hasShakenHands = (
  model: Model,
  event: Event,
  earlier: ReadonlyArray<ViewManager.Action>,
  link: Machine.LinkId
): boolean => {
  if (event._tag !== "Received" || event.link !== link) return false
  const { message } = event
  if (message._tag === "NeighborReply") return message.accepted && model.asked.has(link)
  if (message._tag === "Ping") return message.claim && model.asked.has(link)
  const isAccepted = earlier.some(
    (action) =>
      action._tag === "Send" &&
      action.link === link &&
      action.message._tag === "NeighborReply" &&
      action.message.accepted
  )
  return (message._tag === "Join" || message._tag === "Neighbor") && isAccepted
}

const assertSent = (model: Model, event: Event, link: Machine.LinkId, message: ViewManager.Message): void => {
  const cause = event._tag === "Received" ? event.message : undefined
  if ("sample" in message) {
    // The newcomer heads the sample that goes with an eviction.
    const most = model.config.sampleMax + (message._tag === "Disconnect" ? 1 : 0)
    const ids = message.sample.map(({ id }) => id)
    assert.isAtMost(ids.length, most)
    assert.notInclude(ids, self.id, "a sample does not name the node itself")
    assert.notInclude(ids, model.live.get(link)?.id, "nor its receiver")
    assert.strictEqual(new Set(ids).size, ids.length, "nor anybody twice")
  }
  switch (message._tag) {
    case "Join":
      assert.isTrue(model.told.size === 0 || cause?._tag === "ProbeReply", "only the isolated join, and bridges")
      model.asked.add(link)
      return
    case "Neighbor":
      if (message.priority === "high") assert.strictEqual(model.told.size, 0, "high priority only without a neighbour")
      if (message.wish !== undefined) model.wished.add(link)
      model.asked.add(link)
      return
    case "Probe":
      model.asked.add(link)
      return
    case "ForwardJoin": {
      assert.isTrue(cause?._tag === "Join" || cause?._tag === "ForwardJoin", "walks have a beginning")
      if (cause?._tag !== "Join" && cause?._tag !== "ForwardJoin") return
      const { arwl } = model.config
      const ttl = cause._tag === "Join" ? arwl : Math.min(cause.ttl, arwl) - 1
      assert.isAtLeast(message.ttl, 0)
      assert.deepStrictEqual([message.peer, message.ttl], [cause.peer, ttl], "a walk gets one hop shorter")
      assert.isTrue(model.told.has(link), "a walk goes to a neighbour")
      assert.notStrictEqual(model.told.get(link)?.id, cause.peer.id, "that is not the newcomer")
      if (event._tag === "Received") assert.notStrictEqual(link, event.link, "nor the sender")
      return
    }
    case "Disconnect":
      if (message.reason !== "evicted" || !model.told.has(link)) return
      // Who wished for a near slot or a swap gives up what it named when that is granted.
      if (event._tag === "Received" && model.wished.has(event.link)) return
      assert.isFalse(
        cause?._tag === "Neighbor" && cause.priority === "low" && cause.wish === undefined,
        "low priority evicts nobody"
      )
      if (cause?._tag !== "Neighbor" || cause.priority !== "high") takeForced(model)
  }
}

/** An eviction for the sake of a Join, a split, a walk's end or a merge. */
const takeForced = (model: Model): void => {
  const { forcedBurst, forcedMs } = model.config
  model.forced = Math.min(forcedBurst, model.forced + (model.now - model.forcedAt) / forcedMs)
  model.forcedAt = model.now
  assert.isAtLeast(model.forced, 1, "forced evictions are rate-limited")
  model.forced--
}

/** Requests and claims are answered; a walk has one next hop. */
const assertAnswered = (
  { link, message }: Extract<Event, { readonly _tag: "Received" }>,
  before: { readonly peer: Peer.Peer | undefined; readonly asked: boolean; readonly active: boolean },
  actions: ReadonlyArray<ViewManager.Action>
): void => {
  const isClosed = actions.some((action) => action._tag === "Close" && action.link === link)
  const sent = actions.filter((action) => action._tag === "Send")
  const answers = sent.filter((action) => action.link === link).map((action) => action.message._tag)
  if (message._tag === "ForwardJoin") {
    const moves = sent.filter((action) => action.message._tag === "ForwardJoin").length
    const dials = actions.filter((action) => action._tag === "Open").length
    assert.isAtMost(moves + dials, before.active ? 1 : 0, "a walk goes on or ends, and strangers begin none")
  }
  if (before.peer === undefined) return
  const isIdle = !before.asked && !before.active
  if (message._tag === "Join" || message._tag === "Neighbor") {
    if (!Peer.same(message.peer, before.peer)) assert.isTrue(isClosed, "who speaks for another is shut out")
    else if (isIdle) assert.isTrue(isClosed || answers.includes("NeighborReply"), "every request is answered")
    else assert.notInclude(answers, "NeighborReply", "a request comes on a fresh link")
  }
  if (message._tag === "Ping" && before.active) assert.include(answers, "Pong", "a neighbour's ping is answered")
  if (message._tag === "Ping" && message.claim && isIdle)
    assert.include(answers, "Disconnect", "a claim that is not agreed to is refused")
}

// --- what may happen -------------------------------------------------------------------------------------------------

const number = fc.nat(1000)

const plain = fc
  .tuple(
    pauses,
    fc.oneof(
      fc.record({ _tag: fc.constant("Remembered" as const), peers: fc.array(peers, { maxLength: 6 }) }),
      fc.record({
        _tag: fc.constant("Integrate" as const),
        received: fc.array(peers, { maxLength: 9 }),
        sent: fc.array(peers, { maxLength: 9 })
      }),
      fc.record({ _tag: fc.constant("Written" as const), token: number })
    )
  )
  .map(([ms, event]): Command =>
    command(`${ms} ms, ${JSON.stringify(event)}`, (model, real) => act(model, real, ms, event))
  )

/** Once, or again as after a restart. */
const started = pauses.map((ms): Command =>
  command(`${ms} ms, started`, (model, real) => act(model, real, ms, { _tag: "Started" }))
)

const timer = fc
  .tuple(pauses, fc.constantFrom<Kind>("Tick", "Tick", "Repair"), fc.constantFrom(0, 0, 0, 1, 3))
  .map(([ms, _tag, back]): Command =>
    command(`${ms} ms, ${_tag} armed ${back} before the last`, (model, real) => {
      const round = Math.max(0, model.timers[_tag].number - back)
      act(model, real, ms, { _tag: "TimerFired", timer: { _tag, round } })
    })
  )

const incoming = fc
  .tuple(pauses, peers)
  .map(([ms, peer]): Command =>
    command(`${ms} ms, a link from ${JSON.stringify(peer)}`, (model, real) =>
      act(model, real, ms, { _tag: "LinkUp", link: ++model.lastLink, peer })
    )
  )

/** A link comes up, and its peer asks on it. */
const asking = fc
  .tuple(peers, fc.constantFrom("high" as const, "low" as const, "split" as const, undefined), fc.option(wishes))
  .map(([peer, priority, wish]): Command =>
    command(`${JSON.stringify(peer)} asks: ${priority ?? "join"} ${JSON.stringify(wish)}`, (model, real) => {
      const link = ++model.lastLink
      act(model, real, 0, { _tag: "LinkUp", link, peer })
      const message: ViewManager.Message =
        priority === undefined
          ? { _tag: "Join", peer }
          : { _tag: "Neighbor", peer, priority, ...(wish === null ? {} : { wish }) }
      act(model, real, 1, { _tag: "Received", link, message })
    })
  )

/** Several nodes join at once. */
const joining = fc.uniqueArray(peers, { maxLength: 7, selector: ({ id }) => id }).map((all): Command =>
  command(`join at once: ${JSON.stringify(all)}`, (model, real) => {
    for (const peer of all) {
      const link = ++model.lastLink
      act(model, real, 0, { _tag: "LinkUp", link, peer })
      act(model, real, 0, { _tag: "Received", link, message: { _tag: "Join", peer } })
    }
  })
)

/** The answer to a dial, in time or late; each is answered once. Or one to a dial that nobody made. */
const dialled = fc
  .record({
    ms: pauses,
    number,
    found: fc.constantFrom("right", "right", "right", "other", "nobody", "self"),
    known: fc.boolean(),
    other: peers
  })
  .map(({ found, known, ms, number, other }): Command =>
    command(`${ms} ms, dial ${number} finds ${found} ${JSON.stringify(other)}`, (model, real) => {
      const dial = at(model.dials.slice(-8), number)
      const attempt = dial?.attempt ?? number
      const address = dial?.address ?? contact
      const expected = real.state.attempts.find((one) => one.attempt === attempt)?.peer
      const peer = found === "right" && expected !== undefined ? expected : { ...other, address }
      const failure: Machine.OpenFailure =
        found === "self"
          ? { _tag: "Rejected", code: "self", message: "this is you" }
          : { _tag: known ? "Refused" : "Unreachable" }
      if (found === "nobody" || found === "self")
        act(model, real, ms, { _tag: "LinkRefused", attempt, address, failure })
      else act(model, real, ms, { _tag: "LinkUp", link: ++model.lastLink, peer, attempt })
    })
  )

/** A frame of any kind on an open link, or on one that is not open; half of those with a peer name the right one. */
const frame = fc.tuple(pauses, number, messages, fc.nat(9)).map(([ms, which, message, odd]): Command =>
  command(`${ms} ms, on link ${which} ${odd} ${JSON.stringify(message)}`, (model, real) => {
    const link = odd === 0 ? which : (at([...model.live.keys()], which) ?? which)
    const peer = model.live.get(link)
    const isNamed = (message._tag === "Join" || message._tag === "Neighbor") && peer !== undefined && odd < 5
    act(model, real, ms, { _tag: "Received", link, message: isNamed ? { ...message, peer } : message })
  })
)

/** What the other end says to a request under way. */
const answered = fc
  .tuple(pauses, number, fc.boolean(), fc.array(peers, { maxLength: 3 }))
  .map(([ms, which, accepted, sample]): Command =>
    command(`${ms} ms, request ${which} is answered: ${accepted}`, (model, real) => {
      const link =
        at(
          [...model.asked].filter((one) => model.live.has(one)),
          which
        ) ?? which
      const message: ViewManager.Message = { _tag: "NeighborReply", accepted, sample, hinted: sample.length > 1 }
      act(model, real, ms, { _tag: "Received", link, message })
    })
  )

const down = fc
  .tuple(pauses, number, downReasons)
  .map(([ms, which, reason]): Command =>
    command(`${ms} ms, link ${which} down: ${JSON.stringify(reason)}`, (model, real) =>
      act(model, real, ms, { _tag: "LinkDown", link: at([...model.live.keys()], which) ?? which, reason })
    )
  )

const leaving = fc.tuple(pauses, fc.nat(3)).map(([ms, odds]): Command =>
  command(`${ms} ms, leave (${odds})`, (model, real) => {
    if (odds === 0) act(model, real, ms, { _tag: "Leave" })
  })
)

/** A state from nothing but the open links; its numbers stay clear of its predecessor's. */
const rebuilt = fc.tuple(fc.integer({ min: 1, max: 3000 }), number).map(([ms, seed]): Command =>
  command(`${ms} ms, rebuilt`, (model, real) => {
    if (model.isLeaving) return
    const links = [...model.live].map(([link, peer]) => ({ link, peer }))
    model.now += ms
    real.state = ViewManager.rebuild(model.config, links, [], Rng.make(seed))
    for (const known of [model.told, model.asked, model.wished, model.left]) known.clear()
    model.timers.Tick = { number: 0, dueAt: 0 }
    model.timers.Repair = { number: 0, dueAt: 0 }
    model.isFresh = true
    model.forced = model.config.forcedBurst
    model.forcedAt = model.now
  })
)

const anyCommands = fc.commands(
  [started, plain, plain, timer, timer, timer, incoming, asking, asking, asking, dialled, dialled, dialled].concat([
    frame,
    frame,
    frame,
    frame,
    answered,
    answered,
    down,
    joining,
    leaving,
    rebuilt
  ]),
  { maxCommands: 60, size: "max" }
)

const begin = (activeMax: number): { model: Model; real: Real } => {
  const config = {
    ...ViewManager.defaults,
    self,
    contacts: [contact],
    activeMax,
    passiveMax: 4,
    sampleMax: 3,
    splitAfter: 2
  }
  return { model: new Model(config), real: { state: ViewManager.make(config, Rng.make(1)) } }
}

const sizes = fc.constantFrom(1, 2, 3, 5)

describe("ViewManager, any events in any order", () => {
  it("sends on open links only, answers every request, counts nobody without a handshake, and tells every change", () => {
    fc.assert(fc.property(anyCommands, sizes, (commands, size) => fc.modelRun(() => begin(size), commands)))
  })

  it("left alone with its timers, it closes every link that nobody uses and gives up every dial", () => {
    fc.assert(
      fc.property(anyCommands, sizes, (commands, size) => {
        const { model, real } = begin(size)
        fc.modelRun(() => ({ model, real }), commands)
        if (model.isFresh) act(model, real, 0, { _tag: "Started" })
        for (const end = model.now + 15_000; model.now < end;) {
          const { dueAt, number: round } = model.timers.Tick
          const wait = Math.max(0, dueAt - model.now)
          act(model, real, wait, { _tag: "TimerFired", timer: { _tag: "Tick", round } })
        }
        assert.strictEqual(model.live.size, 0, "every link is closed")
        const oldest = model.now - model.config.handshakeMs - 1.1 * model.config.keepaliveMs
        for (const attempt of real.state.attempts) assert.isAtLeast(attempt.at, oldest, "every dial ends")
      })
    )
  })
})

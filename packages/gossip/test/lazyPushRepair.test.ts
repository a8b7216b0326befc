import { assert, describe, it } from "@effect/vitest"
import { type BroadcastTree, LazyPushRepair, type MessageId } from "@starling/gossip"
import { LinkGate, SeqSet } from "@starling/machine"
import * as HashMap from "effect/HashMap"
import * as fc from "fast-check"
import { anyRepairMessage, id, neighbor, self, smallId, smallLink, smallNeighbors } from "./plumtreeArbitraries.ts"

type Event = LazyPushRepair.Event
type Action = LazyPushRepair.Action
type State = LazyPushRepair.State

const root = id(1).origin

const config: LazyPushRepair.Config = { ...LazyPushRepair.defaults, self }

const feed = (state: State, events: ReadonlyArray<Event>, now: number = 0): readonly [State, ReadonlyArray<Action>] => {
  let current = state
  let actions: ReadonlyArray<Action> = []
  for (const event of events) {
    ;[current, actions] = LazyPushRepair.step(current, { now, event })
    assert.deepStrictEqual(LazyPushRepair.invariants(current), [], event._tag)
  }
  return [current, actions]
}

const neighbors = (version: number, ...links: ReadonlyArray<number>): Event => ({
  _tag: "Neighbors",
  version,
  neighbors: links.map(neighbor)
})

const withNeighbors = (...links: ReadonlyArray<number>): State => withConfig({}, ...links)

const withConfig = (settings: Partial<LazyPushRepair.Settings>, ...links: ReadonlyArray<number>): State =>
  feed(LazyPushRepair.make({ ...config, ...settings }, new Map(), 1), [{ _tag: "Started" }, neighbors(1, ...links)])[0]

const ihave = (link: number, ...ids: ReadonlyArray<MessageId.MessageId>): Event => ({
  _tag: "Received",
  link,
  message: { _tag: "IHave", items: ids.map((id) => [id, 2] as const) }
})

const summary = (link: number, ...windows: ReadonlyArray<LazyPushRepair.SummaryWindow>): Event => ({
  _tag: "Received",
  link,
  message: { _tag: "Summary", windows }
})

const seen = (of: MessageId.MessageId = id(1), link: number | null = 1, round: number = 1): Event => ({
  _tag: "Seen",
  id: of,
  link,
  round,
  mended: false
})

const announce = (of: MessageId.MessageId, ...links: ReadonlyArray<number>): Event => ({
  _tag: "Announce",
  id: of,
  round: 2,
  links
})

const send = (link: number, message: LazyPushRepair.Message): Action => ({ _tag: "Send", link, message })

const graft = (link: number, ...ids: ReadonlyArray<MessageId.MessageId>): Action => ({
  _tag: "Emit",
  output: { _tag: "Graft", link, ids }
})

/** The armed timer of this kind, fired. */
const fired = (state: State, _tag: LazyPushRepair.Timer["_tag"]): Event => ({
  _tag: "TimerFired",
  timer: { _tag, number: state.alarms[_tag].number }
})

const dueIn = (state: State, _tag: LazyPushRepair.Timer["_tag"], now: number = 0): number | null => {
  const { dueAt } = state.alarms[_tag]
  return dueAt === null ? null : dueAt - now
}

const withoutTimers = (actions: ReadonlyArray<Action>): ReadonlyArray<Action> =>
  actions.filter(({ _tag }) => _tag !== "SetTimer")

/** Fires a timer when it is due; returns what was done beside setting timers. */
const fire = (
  state: State,
  what: LazyPushRepair.Timer["_tag"],
  now: number
): readonly [State, ReadonlyArray<Action>] => {
  const [next, actions] = feed(state, [fired(state, what)], now)
  return [next, withoutTimers(actions)]
}

const missing = (state: State, ...ids: ReadonlyArray<MessageId.MessageId>): ReadonlyArray<boolean> =>
  ids.map((id) => LazyPushRepair.isMissing(state, id))

describe("Announcements", () => {
  it("wait 50 ms for company, say so, and leave in one frame for each neighbour", () => {
    const [state, actions] = feed(withNeighbors(1, 2, 3), [
      seen(id(1)),
      announce(id(1), 2, 3),
      seen(id(2)),
      announce(id(2), 2)
    ])
    assert.deepStrictEqual(actions, [])
    assert.strictEqual(dueIn(state, "Dispatch"), 50)
    const [after, sent] = fire(state, "Dispatch", 50)
    const item = (seq: number) => [id(seq), 2, 50] as const
    assert.deepStrictEqual(sent, [
      send(2, { _tag: "IHave", items: [item(1), item(2)] }),
      send(3, { _tag: "IHave", items: [item(1)] })
    ])
    assert.deepStrictEqual([after.queues, dueIn(after, "Dispatch", 50)], [[], null])
  })

  it("leave in frames of at most 500", () => {
    const events = Array.from({ length: 1200 }, (_, i) => [seen(id(i + 1)), announce(id(i + 1), 2)]).flat()
    const [, sent] = fire(feed(withNeighbors(1, 2), events)[0], "Dispatch", 50)
    const sizes = sent.map((action) =>
      action._tag === "Send" && action.message._tag === "IHave" ? action.message.items.length : 0
    )
    assert.deepStrictEqual(sizes, [500, 500, 200])
  })

  it("of a full queue the oldest is shed and counted", () => {
    const events = [1, 2, 3].flatMap((seq) => [seen(id(seq)), announce(id(seq), 2)])
    const [state] = feed(withConfig({ queueMax: 2 }, 1, 2), events)
    assert.deepStrictEqual(fire(state, "Dispatch", 50)[1], [
      send(2, {
        _tag: "IHave",
        items: [
          [id(2), 2, 50],
          [id(3), 2, 50]
        ]
      })
    ])
    assert.strictEqual(state.counters.shed, 1)
  })

  it("of forgotten payloads do not leave", () => {
    const [state] = feed(withNeighbors(1, 2), [
      seen(id(1)),
      announce(id(1), 2),
      seen(id(2)),
      announce(id(2), 2),
      { _tag: "Forgotten", ids: [id(1)] }
    ])
    const [after, sent] = fire(state, "Dispatch", 50)
    assert.deepStrictEqual(sent, [send(2, { _tag: "IHave", items: [[id(2), 2, 50]] })])
    assert.strictEqual(after.counters.stale, 1)
  })

  it("for a link that is no neighbour's are dropped, and so is the queue of a neighbour that goes", () => {
    const [state] = feed(withNeighbors(1, 2), [seen(), announce(id(1), 2, 7), neighbors(2, 1)])
    assert.deepStrictEqual(state.queues, [])
    assert.deepStrictEqual(fire(state, "Dispatch", 50)[1], [])
  })
})

describe("What was announced and is missing", () => {
  it("is asked for after 500 ms, not before", () => {
    const [state, actions] = feed(withNeighbors(1, 2), [ihave(1, id(1))])
    assert.deepStrictEqual(withoutTimers(actions), [])
    assert.strictEqual(dueIn(state, "Repair"), 500)
    assert.deepStrictEqual(fire(state, "Repair", 499)[1], [])
    assert.deepStrictEqual(fire(state, "Repair", 500)[1], [graft(1, id(1))])
  })

  it("is not asked for once it has arrived, and the stale timer is harmless", () => {
    const [state] = feed(withNeighbors(1, 2), [ihave(1, id(1)), seen(id(1), 2)])
    assert.strictEqual(LazyPushRepair.missingSize(state), 0)
    assert.deepStrictEqual(fire(state, "Repair", 500)[1], [])
  })

  it("is asked of the second announcer if the first is silent for 250 ms, then given up and counted", () => {
    const [announced] = feed(withNeighbors(1, 2), [ihave(1, id(1)), ihave(2, id(1))])
    const [asked, first] = fire(announced, "Repair", 500)
    assert.deepStrictEqual(first, [graft(1, id(1))])
    assert.strictEqual(dueIn(asked, "Repair", 500), 250)
    const [again, second] = fire(asked, "Repair", 750)
    assert.deepStrictEqual(second, [graft(2, id(1))])
    const [end, third] = fire(again, "Repair", 1000)
    assert.deepStrictEqual([third, LazyPushRepair.missingSize(end), end.counters.exhausted], [[], 0, 1])
  })

  it("is asked of the next announcer at once when the asked one does not have it", () => {
    const [announced] = feed(withNeighbors(1, 2), [ihave(1, id(1), id(2)), ihave(2, id(1))])
    const [asked] = fire(announced, "Repair", 500)
    const [state, actions] = feed(asked, [{ _tag: "Missed", link: 1, ids: [id(1), id(2)] }], 510)
    assert.deepStrictEqual(withoutTimers(actions), [graft(2, id(1))])
    assert.deepStrictEqual(missing(state, id(1), id(2)), [true, false])
    assert.strictEqual(state.counters.exhausted, 1)
  })

  it("is asked of the asked one again at once when it announces it once more", () => {
    const [announced] = feed(withNeighbors(1, 2), [ihave(1, id(1), id(2)), ihave(2, id(1))])
    const [asked] = fire(announced, "Repair", 500)
    const [again, actions] = feed(asked, [ihave(1, id(1), id(2), id(2))], 510)
    assert.deepStrictEqual(withoutTimers(actions), [graft(1, id(1), id(2))])
    // Another one is asked as soon as it would have been, and where there is none the same, T2 after it was asked last.
    const [after, next] = fire(again, "Repair", 750)
    assert.deepStrictEqual(withoutTimers(next), [graft(2, id(1))])
    assert.deepStrictEqual(fire(after, "Repair", 760)[1], [graft(1, id(2))])
    // What another announces is for later.
    assert.deepStrictEqual(withoutTimers(feed(asked, [ihave(2, id(2))], 510)[1]), [])
  })

  it("is asked of the far ones too, however often a near one that was asked announces it once more", () => {
    const near = { link: 2, peer: { ...neighbor(2).peer, datacenter: "here" } }
    const [announced] = feed(LazyPushRepair.make({ ...config, self: { ...self, datacenter: "here" } }, new Map(), 1), [
      { _tag: "Neighbors", version: 1, neighbors: [neighbor(1), near, neighbor(3)] },
      ...[1, 2, 3].map((link) => ihave(link, id(1)))
    ])
    let [state, asked] = fire(announced, "Repair", 500)
    assert.deepStrictEqual(asked, [graft(2, id(1))])
    for (const [now, link] of [
      [750, 1],
      [1000, 3],
      // Everybody was asked: now whoever was so longest ago, and announced it since.
      [1250, 2]
    ] as const) {
      state = feed(state, [ihave(2, id(1))], now - 50)[0]
      ;[state, asked] = fire(state, "Repair", now)
      assert.deepStrictEqual(asked, [graft(link, id(1))])
    }
  })

  it("is not asked of one alone again while it may be answering, but T2 after it was asked last, and then given up", () => {
    const [asked] = fire(feed(withNeighbors(1), [ihave(1, id(1))])[0], "Repair", 500)
    const [again, actions] = feed(asked, [ihave(1, id(1))], 700)
    assert.deepStrictEqual(withoutTimers(actions), [graft(1, id(1))])
    const [waits, none] = fire(again, "Repair", 750)
    assert.deepStrictEqual([none, dueIn(waits, "Repair", 750), waits.counters.grafts], [[], 200, 2])
    assert.deepStrictEqual(fire(waits, "Repair", 949)[1], [])
    const [last, once] = fire(waits, "Repair", 950)
    assert.deepStrictEqual(once, [graft(1, id(1))])
    const [end] = fire(last, "Repair", 1200)
    assert.deepStrictEqual([LazyPushRepair.missingSize(end), end.counters.exhausted], [0, 1])
  })

  it("is asked of another as soon as T2 is over, also if the only one before was asked once more", () => {
    const [asked] = fire(feed(withNeighbors(1, 2), [ihave(1, id(1))])[0], "Repair", 500)
    const [waits] = fire(feed(asked, [ihave(1, id(1))], 700)[0], "Repair", 750)
    const [both] = feed(waits, [ihave(2, id(1)), ihave(1, id(1))], 900)
    assert.deepStrictEqual(fire(both, "Repair", 950)[1], [graft(2, id(1))])
  })

  it("of one that announces it once more without end only 40,000 times are remembered: then T2 counts from before", () => {
    const ids = Array.from({ length: 500 }, (_, i) => id(i + 1))
    let [state] = fire(feed(withNeighbors(1), [ihave(1, ...ids)])[0], "Repair", 500)
    for (let i = 0; i < 79; i++) state = LazyPushRepair.step(state, { now: 501, event: ihave(1, ...ids) })[0]
    const [again, actions] = feed(state, [ihave(1, ...ids)], 600)
    assert.deepStrictEqual(withoutTimers(actions), [graft(1, ...ids)])
    const [waits, none] = fire(again, "Repair", 750)
    assert.deepStrictEqual(none, [])
    assert.strictEqual(again.counters.asksShed, 500)
    assert.deepStrictEqual(fire(waits, "Repair", 751)[1], [graft(1, ...ids)])
  })

  it("of neighbours that miss and announce it in turn, without end, only 40,000 times are remembered: then it waits for T2", () => {
    const ids = Array.from({ length: 100 }, (_, i) => id(i + 1))
    let [state] = fire(feed(withNeighbors(1, 2), [ihave(1, ...ids), ihave(2, ...ids)])[0], "Repair", 500)
    const turn: ReadonlyArray<Event> = [1, 2].flatMap((link) => [{ _tag: "Missed", link, ids }, ihave(link, ...ids)])
    for (let i = 0; i < 1000; i++) for (const event of turn) state = LazyPushRepair.step(state, { now: 500, event })[0]
    assert.isAtMost(state.missing.asked.size, 40_000)
    assert.isAbove(state.counters.asksShed, 0)
    assert.deepStrictEqual(LazyPushRepair.invariants(state), [])
    assert.strictEqual(LazyPushRepair.missingSize(state), 100)
    // Who missed it last is not asked at once, and the other one once its time has come.
    const last = LazyPushRepair.step(state, { now: 501, event: { _tag: "Missed", link: 1, ids } })
    assert.deepStrictEqual(withoutTimers(last[1]), [])
    const [after, asked] = fire(last[0], "Repair", 750)
    assert.deepStrictEqual(asked, [graft(2, ...ids)])
    assert.isAtMost(after.missing.asked.size, 200)
    // From then on a miss is answered at once again.
    const [, next] = feed(after, [ihave(1, ...ids), { _tag: "Missed", link: 2, ids }], 760)
    assert.deepStrictEqual(withoutTimers(next), [graft(1, ...ids)])
  })

  it("is not asked again because somebody else misses it", () => {
    const [announced] = feed(withNeighbors(1, 2, 3), [ihave(1, id(1)), ihave(2, id(1)), ihave(3, id(1))])
    const [asked] = fire(announced, "Repair", 500)
    const [state, actions] = feed(asked, [{ _tag: "Missed", link: 2, ids: [id(1)] }], 510)
    assert.deepStrictEqual(withoutTimers(actions), [])
    assert.deepStrictEqual(fire(state, "Repair", 750)[1], [graft(3, id(1))])
  })

  it("is asked of no neighbour that has gone", () => {
    const [state] = feed(withNeighbors(1, 2), [ihave(1, id(1)), ihave(2, id(1)), neighbors(2, 2, 3)])
    assert.deepStrictEqual(fire(state, "Repair", 500)[1], [graft(2, id(1))])
  })

  it("is asked for together, by neighbour", () => {
    const [state] = feed(withNeighbors(1, 2), [ihave(1, id(1), id(2)), ihave(2, id(3))])
    assert.deepStrictEqual(fire(state, "Repair", 500)[1], [graft(1, id(1), id(2)), graft(2, id(3))])
  })

  it("is asked for at most 500 at a time, the rest a moment later", () => {
    const ids = Array.from({ length: 700 }, (_, i) => id(i + 1))
    const [state] = feed(withNeighbors(1), [ihave(1, ...ids)])
    const [after, actions] = fire(state, "Repair", 500)
    assert.deepStrictEqual(actions, [graft(1, ...ids.slice(0, 500))])
    assert.strictEqual(dueIn(after, "Repair", 500), 20)
    assert.deepStrictEqual(fire(after, "Repair", 520)[1], [graft(1, ...ids.slice(500))])
  })

  it("is bounded; what does not fit is counted", () => {
    const [state] = feed(withConfig({ missingMax: 2 }, 1), [ihave(1, id(1), id(2), id(3))])
    assert.deepStrictEqual(missing(state, id(1), id(2), id(3)), [true, true, false])
    assert.strictEqual(state.counters.missingShed, 1)
  })

  it("is never what was seen, nor a broadcast of this node", () => {
    const own = { origin: self.id, incarnation: 3, seq: 9 }
    const [state] = feed(withNeighbors(1, 2), [seen(id(1)), ihave(2, id(1), own)])
    assert.deepStrictEqual(missing(state, id(1), own), [false, false])
  })

  it("is never what the store says was delivered", () => {
    const stored = new Map([["windows", new Map([[root, [[1, 1, 5]]]])]])
    const [state] = feed(LazyPushRepair.make(config, stored, 1), [neighbors(1, 1), ihave(1, id(5), id(6))])
    assert.deepStrictEqual(missing(state, id(5), id(6)), [false, true])
  })

  it("of one origin too many is asked for in the place of one of which nothing is advertised", () => {
    const other = { ...id(1), origin: "000000000009" }
    const full = feed(withConfig({ originsMax: 1 }, 1), [seen()])[0]
    // What is advertised must be known to be seen: there is no room.
    const [refused] = feed(full, [seen(other)])
    assert.strictEqual(refused.counters.originsRefused, 1)
    const [state] = feed(full, [{ _tag: "Forgotten", ids: [id(1)] }, seen(other), ihave(1, { ...other, seq: 2 })])
    assert.deepStrictEqual([state.counters.originsRefused, LazyPushRepair.missingSize(state)], [0, 1])
    assert.strictEqual(LazyPushRepair.missingSize(feed(state, [ihave(1, other)])[0]), 1)
  })

  it("broadcasts of this node are remembered and announced beside as many origins as may be, and never give way", () => {
    const own = { origin: self.id, incarnation: 1, seq: 1 }
    const other = { ...id(1), origin: "000000000009" }
    const told = (events: ReadonlyArray<Event>): State => feed(withConfig({ originsMax: 1 }, 1, 2), events)[0]
    const full = told([seen(), seen(own, null), announce(own, 2)])
    assert.deepStrictEqual([full.counters.originsRefused, HashMap.size(full.seen)], [0, 2])
    assert.deepStrictEqual(fire(full, "Dispatch", 50)[1], [send(2, { _tag: "IHave", items: [[own, 2, 50]] })])
    // It takes nobody's place,
    const idle = told([seen(), { _tag: "Forgotten", ids: [id(1)] }, seen(own, null)])
    assert.isTrue(HashMap.has(idle.seen, root))
    // and nobody takes its place.
    const later = told([seen(own, null), { _tag: "Forgotten", ids: [own] }, seen(), seen(other)])
    assert.isTrue(HashMap.has(later.seen, self.id))
    assert.strictEqual(later.counters.originsRefused, 1)
  })

  it("origins that the tree knows are remembered as far as there is room, first those of which it can send something", () => {
    const origins = Array.from({ length: 20 }, (_, n) => (n + 16).toString(16).padStart(12, "0"))
    const windows: BroadcastTree.Windows = HashMap.fromIterable(
      [...origins, self.id].map((origin) => [origin, [[1, [[1, 3]]]]] as const)
    )
    for (const origin of origins) {
      const known: Event = { _tag: "Known", windows, held: [id(2, origin)] }
      const [state] = feed(withConfig({ originsMax: 2 }, 1), [known])
      assert.deepStrictEqual([HashMap.size(state.seen), state.counters.originsRefused], [3, 0])
      assert.isTrue(HashMap.has(state.seen, origin))
      const [, actions] = feed(state, [neighbors(2, 1, 2)])
      const window = [origin, 1, [[2, 2]]] as const
      assert.deepStrictEqual(withoutTimers(actions), [send(2, { _tag: "Summary", windows: [window] })])
    }
    const [full] = feed(withConfig({ originsMax: 2 }, 1), [
      { _tag: "Known", windows, held: origins.map((origin) => id(2, origin)) }
    ])
    assert.strictEqual(full.counters.originsRefused, origins.length - 2)
  })

  it("is given up when its run is over, or its gap has closed", () => {
    const runs = [2, 3].map((run) => seen(id(1, root, run)))
    const [over] = feed(withNeighbors(1), [ihave(1, id(1), id(1, root, 2)), ...runs])
    assert.strictEqual(LazyPushRepair.missingSize(over), 0)
    const gaps = Array.from({ length: 65 }, (_, i) => seen(id(2 * i + 1), null))
    const [closed] = feed(withNeighbors(1), [ihave(1, id(2), id(4)), ...gaps])
    assert.deepStrictEqual(missing(closed, id(2), id(4)), [false, true])
  })

  it("waits for a timer even after one was lost: whatever comes a second late arms it again", () => {
    const [state] = feed(withNeighbors(1), [ihave(1, id(1))])
    const [after, actions] = feed(state, [{ _tag: "Started" }], 1501)
    assert.deepInclude(actions, { _tag: "SetTimer", delayMs: 20, timer: { _tag: "Repair", number: 2 } })
    assert.deepStrictEqual(fire(after, "Repair", 1521)[1], [graft(1, id(1))])
  })

  it("is what lies between the newest broadcast of an origin and the next that comes", () => {
    const [state] = feed(withNeighbors(1, 2), [seen(id(3)), seen(id(6), 2)])
    assert.deepStrictEqual(missing(state, id(2), id(4), id(5), id(7)), [false, true, true, false])
    assert.deepStrictEqual(fire(state, "Repair", 500)[1], [graft(2, id(4), id(5))])
    assert.strictEqual(state.counters.gaps, 2)
  })

  it("is no gap before the first broadcast of an origin, nor below own ones, and at most 100 wide", () => {
    assert.strictEqual(LazyPushRepair.missingSize(feed(withNeighbors(1), [seen(id(50))])[0]), 0)
    assert.strictEqual(LazyPushRepair.missingSize(feed(withNeighbors(1), [seen(id(1)), seen(id(9), null)])[0]), 0)
    const [wide] = feed(withNeighbors(1), [seen(id(1)), seen(id(1001))])
    assert.deepStrictEqual([LazyPushRepair.missingSize(wide), wide.counters.gapsCut], [100, 1])
    assert.strictEqual(feed(withNeighbors(1), [seen(id(1)), seen(id(102))])[0].counters.gapsCut, 0)
    assert.deepStrictEqual(missing(wide, id(900), id(901), id(1000)), [false, true, true])
  })
})

describe("Summaries", () => {
  const held = (from: number, to: number): LazyPushRepair.SummaryWindow => [root, 1, [[from, to]]]

  it("of what is held go to every new neighbour, and to no old one", () => {
    const [state] = feed(withNeighbors(1), [seen(id(1)), seen(id(2)), { _tag: "Forgotten", ids: [id(1)] }])
    const [, actions] = feed(state, [neighbors(2, 1, 2)])
    assert.deepStrictEqual(withoutTimers(actions), [send(2, { _tag: "Summary", windows: [held(2, 2)] })])
  })

  it("are not sent while nothing is held", () => {
    const [, actions] = feed(withNeighbors(1), [seen(id(1)), { _tag: "Forgotten", ids: [id(1)] }, neighbors(2, 1, 2)])
    assert.deepStrictEqual(withoutTimers(actions), [])
  })

  it("go to one neighbour every 5 s, give or take a second", () => {
    const [state] = feed(withNeighbors(1, 2, 3), [seen(id(1))])
    const due = dueIn(state, "Summarize") ?? 0
    assert.isTrue(due >= 4000 && due <= 6000)
    const [after, sent] = fire(state, "Summarize", due)
    assert.strictEqual(sent.length, 1)
    assert.deepStrictEqual(sent[0]?._tag === "Send" ? sent[0].message : undefined, {
      _tag: "Summary",
      windows: [held(1, 1)]
    })
    const next = dueIn(after, "Summarize", due) ?? 0
    assert.isTrue(next >= 4000 && next <= 6000)
  })

  it("of many origins go in frames of at most 100", () => {
    const origin = (n: number): string => n.toString(16).padStart(12, "0")
    const events = Array.from({ length: 250 }, (_, n) => seen(id(1, origin(n + 0x100))))
    const [, actions] = feed(feed(withNeighbors(), events)[0], [neighbors(2, 1)])
    const sizes = withoutTimers(actions).map((action) =>
      action._tag === "Send" && action.message._tag === "Summary" ? action.message.windows.length : 0
    )
    assert.deepStrictEqual(sizes, [100, 100, 50])
  })

  it("take at most 40 frames, also where two runs of an origin meet the bound", () => {
    const many = LazyPushRepair.summaryWindowsMax * LazyPushRepair.summaryFramesMax
    const origins = Array.from({ length: many / 2 + 1 }, (_, n) => (n + 16).toString(16).padStart(12, "0"))
    const ids = origins.flatMap((origin, n) => (n === 0 ? [id(1, origin)] : [id(1, origin), id(1, origin, 2)]))
    const [full] = ids.reduce(
      ([state], of): readonly [State, ReadonlyArray<Action>] => LazyPushRepair.step(state, { now: 0, event: seen(of) }),
      feed(withNeighbors(1), [])
    )
    const [, actions] = feed(full, [neighbors(2, 1, 2)])
    const frames = actions.filter((action) => action._tag === "Send")
    assert.isAtMost(frames.length, LazyPushRepair.summaryFramesMax)
    assert.isAtLeast(frames.length, LazyPushRepair.summaryFramesMax - 1)
  })

  /** The names of what the frames of one step tell of. */
  const toldOf = (actions: ReadonlyArray<Action>): ReadonlyArray<string> =>
    actions.flatMap((action) =>
      action._tag === "Send" && action.message._tag === "Summary"
        ? action.message.windows.map(([origin, incarnation]) => `${origin}.${incarnation}`)
        : []
    )

  const originAt = (n: number): string => (n + 16).toString(16).padStart(12, "0")

  const holding = (ids: ReadonlyArray<MessageId.MessageId>): State =>
    ids.reduce((state, of) => LazyPushRepair.step(state, { now: 0, event: seen(of) })[0], withNeighbors())

  it("that do not fit are told in turn, to whoever is next: with 5,000 origins, two tell of all", () => {
    const full = holding(Array.from({ length: 5000 }, (_, n) => id(1, originAt(n))))
    let state = full
    const told: Array<ReadonlyArray<string>> = []
    for (let version = 2; version < 7; version++) {
      const [next, actions] = feed(state, [neighbors(version, version)])
      state = next
      told.push(toldOf(actions))
    }
    for (const one of told) assert.strictEqual(new Set(one).size, 4000)
    for (let i = 1; i < told.length; i++)
      assert.strictEqual(new Set([...(told[i - 1] ?? []), ...(told[i] ?? [])]).size, 5000)
    assert.deepStrictEqual([state.counters.summariesSent, state.counters.summariesCut], [5, 5])
    // So it is where origins come and go meanwhile, and where two runs of one meet the bound.
    const seenBy = new Set<string>()
    let moving = holding(Array.from({ length: 3000 }, (_, n) => [id(1, originAt(n)), id(1, originAt(n), 2)]).flat())
    for (let version = 2; version < 12; version++) {
      const gone = id(1, originAt(version))
      const [next, actions] = feed(moving, [
        { _tag: "Forgotten", ids: [gone, { ...gone, incarnation: 2 }] },
        seen(id(1, originAt(3000 + version))),
        neighbors(version, version)
      ])
      moving = next
      for (const one of toldOf(actions)) seenBy.add(one)
    }
    for (let n = 12; n < 3000; n++)
      for (const run of [1, 2]) assert.isTrue(seenBy.has(`${originAt(n)}.${run}`), `${n}.${run}`)
  })

  it("that fit whole always begin with the same, and are not counted as cut", () => {
    const state = holding(Array.from({ length: 4000 }, (_, n) => id(1, originAt(n))))
    const [once, first] = feed(state, [neighbors(2, 1)])
    const [twice, second] = feed(once, [neighbors(3, 2)])
    assert.lengthOf(toldOf(first), 4000)
    assert.deepStrictEqual(toldOf(second), toldOf(first))
    assert.deepStrictEqual([twice.counters.summariesCut, twice.summaryFrom], [0, 0])
  })

  it("tell of the newest 64 intervals and the newest two runs; the rest is counted", () => {
    const odd = Array.from({ length: 66 }, (_, i) => seen(id(2 * i + 1)))
    const [gaps] = feed(withNeighbors(1), odd)
    assert.strictEqual(gaps.counters.heldCut, 2)
    const [runs] = feed(withNeighbors(1), [seen(id(1)), seen(id(2)), seen(id(1, root, 2)), seen(id(1, root, 3))])
    assert.strictEqual(runs.counters.heldCut, 2)
    assert.strictEqual(feed(runs, [seen(id(3))])[0].counters.heldCut, 3)
    const held = [...odd, seen(id(1, root, 2))].flatMap((event) => (event._tag === "Seen" ? [event.id] : []))
    const [known] = feed(withNeighbors(1), [{ _tag: "Known", windows: gaps.seen, held }])
    assert.strictEqual(known.counters.heldCut, 2)
  })

  it("make missing what is neither seen nor missing yet, asked of the sender like an announcement", () => {
    const [state] = feed(withNeighbors(1, 2), [seen(id(2)), ihave(2, id(3)), summary(1, held(1, 4))])
    assert.deepStrictEqual(missing(state, id(1), id(2), id(3), id(4)), [true, false, true, true])
    const [, asked] = fire(state, "Repair", 500)
    assert.deepStrictEqual(asked, [graft(2, id(3)), graft(1, id(1), id(4))])
  })

  it("make at most 1,000 broadcasts missing, however much they claim", () => {
    const [state] = feed(withNeighbors(1), [summary(1, held(1, 2 ** 52), [root, 2, [[1, 2 ** 52]]])])
    assert.deepStrictEqual([LazyPushRepair.missingSize(state), state.counters.wantedCut], [1000, 1])
    const [whole] = feed(withNeighbors(1), [summary(1, held(1, 1000)), summary(1, held(1, 1000), [root, 2, []])])
    assert.deepStrictEqual([LazyPushRepair.missingSize(whole), whole.counters.wantedCut], [1000, 0])
    const [more] = feed(withNeighbors(1), [summary(1, held(1, 1000), [root, 2, [[1, 1]]])])
    assert.deepStrictEqual([LazyPushRepair.missingSize(more), more.counters.wantedCut], [1000, 1])
  })

  it("say nothing new of runs that are over", () => {
    const runs = [2, 3].map((run) => seen(id(1, root, run)))
    const [state] = feed(withNeighbors(1), [...runs, summary(1, [root, 1, [[1, 9]]])])
    assert.strictEqual(LazyPushRepair.missingSize(state), 0)
  })
})

describe("Links and restarts", () => {
  it("frames of a stranger make nothing missing until it is a neighbour", () => {
    const [state] = feed(withNeighbors(1), [ihave(9, id(1)), summary(9, [root, 1, [[2, 3]]])])
    assert.strictEqual(LazyPushRepair.missingSize(state), 0)
    const [after] = feed(state, [neighbors(2, 1, 9)])
    assert.strictEqual(LazyPushRepair.missingSize(after), 3)
    const [closed] = feed(state, [{ _tag: "LinkDown", link: 9, reason: { _tag: "Reset" } }, neighbors(2, 1, 9)])
    assert.strictEqual(LazyPushRepair.missingSize(closed), 0)
    const flood = Array.from({ length: LinkGate.heldMax + 2 }, () => ihave(9, id(1)))
    assert.strictEqual(feed(withNeighbors(1), flood)[0].gate.overflowed, 2)
  })

  it("an older snapshot and a timer of another number change nothing", () => {
    const [state] = feed(withNeighbors(1, 2), [ihave(1, id(1))])
    assert.deepStrictEqual(feed(state, [neighbors(1, 1)]), [state, []])
    for (const _tag of ["Dispatch", "Repair", "Summarize"] as const) {
      for (const number of [0, 7]) {
        assert.deepStrictEqual(feed(state, [{ _tag: "TimerFired", timer: { _tag, number } }]), [state, []])
      }
    }
  })

  it("a rebuilt one asks for nothing that was delivered, and advertises what it sees from now on", () => {
    const delivered: BroadcastTree.Windows = HashMap.make([root, [[1, [[1, 3]]]]] as const)
    const [state] = feed(LazyPushRepair.rebuild(config, delivered, 1), [neighbors(1, 1), ihave(1, id(3), id(4))])
    assert.deepStrictEqual(missing(state, id(3), id(4)), [false, true])
    const [, actions] = feed(feed(state, [seen(id(4))])[0], [neighbors(2, 1, 2)])
    assert.deepStrictEqual(withoutTimers(actions), [send(2, { _tag: "Summary", windows: [[root, 1, [[4, 4]]]] })])
  })
})

describe("Any sequence of events", () => {
  const ids = fc.array(smallId, { maxLength: 3 })
  const event: fc.Arbitrary<Event> = fc.oneof(
    {
      weight: 4,
      arbitrary: fc.tuple(smallLink, ids).map(([link, ids]) => ihave(link, ...ids))
    },
    { weight: 3, arbitrary: fc.tuple(smallId, smallLink).map(([id, link]) => seen(id, link)) },
    fc.tuple(smallLink, smallId).map(([link, id]) => summary(link, [id.origin, id.incarnation, SeqSet.upTo(id.seq)])),
    fc.tuple(smallId, fc.array(smallLink)).map(([id, links]) => announce(id, ...links)),
    fc.record({ _tag: fc.constant("Forgotten" as const), ids }),
    fc.record({ _tag: fc.constant("Missed" as const), link: smallLink, ids }),
    fc
      .tuple(fc.integer({ min: 1, max: 20 }), smallNeighbors)
      .map(([version, neighbors]) => ({ _tag: "Neighbors", version, neighbors }) as const),
    {
      weight: 3,
      arbitrary: fc.record({
        _tag: fc.constant("TimerFired" as const),
        timer: fc.record({
          _tag: fc.constantFrom("Dispatch" as const, "Repair" as const, "Summarize" as const),
          number: fc.nat(8)
        })
      })
    }
  )

  it("keeps every invariant, asks neighbours only, and only for what was announced and not seen", () => {
    const tight = { ...config, missingMax: 5, queueMax: 2, wantedMax: 3, gapMax: 2 }
    const schedule = fc.array(fc.tuple(event, fc.constantFrom(0, 20, 250, 500)), { maxLength: 120 })
    fc.assert(
      fc.property(schedule, (schedule) => {
        let state = LazyPushRepair.make(tight, new Map(), 1)
        let now = 0
        const arrived = new Set<string>()
        for (const [event, afterMs] of schedule) {
          now += afterMs
          if (event._tag === "Seen") arrived.add(JSON.stringify(event.id))
          const [next, actions] = feed(state, [event], now)
          state = next
          for (const action of actions) {
            if (action._tag === "SetTimer") assert.isAtLeast(action.delayMs, 0)
            if (action._tag === "Send") assert.isDefined(LinkGate.neighborOf(state.gate, action.link))
            if (action._tag !== "Emit") continue
            assert.isDefined(LinkGate.neighborOf(state.gate, action.output.link))
            if (action.output._tag !== "Graft") continue
            for (const id of action.output.ids) assert.isFalse(arrived.has(JSON.stringify(id)))
          }
        }
        // Left alone, and asked by its own timers only, the table drains.
        for (let i = 0; i < 200 && LazyPushRepair.missingSize(state) > 0; i++) {
          now += 250
          state = feed(state, [fired(state, "Repair")], now)[0]
        }
        assert.strictEqual(LazyPushRepair.missingSize(state), 0)
      })
    )
  })
})

describe("Any events with room for one origin", () => {
  it("break no invariant, whatever the tree says it knows or has seen", () => {
    const ids = fc.uniqueArray(smallId, { maxLength: 4, selector: ({ origin }) => origin })
    const event: fc.Arbitrary<Event> = fc.oneof(
      fc.tuple(smallId, smallLink).map(([of, link]) => seen(of, link)),
      fc.tuple(smallLink, smallId).map(([link, of]) => ihave(link, of)),
      fc.record({ _tag: fc.constant("Forgotten" as const), ids }),
      fc.tuple(ids, ids).map(([known, held]): Event => ({
        _tag: "Known",
        windows: HashMap.fromIterable(known.map((of) => [of.origin, [[of.incarnation, [[1, of.seq]]]]] as const)),
        held
      }))
    )
    fc.assert(
      fc.property(fc.array(event, { maxLength: 40 }), (events) => {
        feed(withConfig({ originsMax: 1 }, 1, 2), events)
      })
    )
  })
})

describe("Codec", () => {
  it("every message survives, with fields that a later version appends", () => {
    fc.assert(
      fc.property(anyRepairMessage, (message) => {
        const decoded = { ok: true, value: message } as const
        assert.deepStrictEqual(LazyPushRepair.decode(LazyPushRepair.encode(message)), decoded)
        assert.deepStrictEqual(LazyPushRepair.decode([...LazyPushRepair.encode(message), "later"]), decoded)
      }),
      { numRuns: 50 }
    )
  })

  it("nothing makes it throw", () => {
    const almost = fc
      .tuple(fc.integer({ min: -1, max: 3 }), fc.oneof(fc.anything(), fc.array(fc.array(fc.anything()))))
      .map(([kind, body]) => [kind, body])
    fc.assert(
      fc.property(fc.oneof(fc.anything(), almost), (input) => {
        const decoded = LazyPushRepair.decode(input)
        assert.isTrue(decoded.ok || decoded.reason.length > 0)
      })
    )
  })

  it("what is out of bounds is refused, with a reason", () => {
    const refused = (input: unknown): string => {
      const decoded = LazyPushRepair.decode(input)
      return decoded.ok ? "accepted" : decoded.reason
    }
    const origin = "0123456789ab"
    assert.strictEqual(refused([2, []]), "unknown kind 2")
    assert.strictEqual(refused([0]), "lazy-push repair: expected 2 fields")
    assert.strictEqual(refused([0, [[origin, 1, 1, 65_536]]]), "announcement: round is not in 0..65535")
    assert.strictEqual(
      refused([0, Array.from({ length: 2001 }, () => [origin, 1, 1, 1])]),
      "announcements: 2001 items, at most 2000 are accepted"
    )
    assert.strictEqual(refused([1, [["me", 1, [1, 2]]]]), "summary: origin is not twelve hexadecimal digits")
    assert.strictEqual(refused([1, [[origin, 1, [3, 2]]]]), "sequence set: intervals must ascend and not touch")
  })
})

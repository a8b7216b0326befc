import { assert, describe, it } from "@effect/vitest"
import { ViewManager } from "@starling/gossip"
import { type Machine, type Peer, Rng } from "@starling/machine"
import * as fc from "fast-check"
import { messages, peers } from "./viewArbitraries.ts"

const peer = (n: number, incarnation = 1): Peer.Peer => ({
  id: n.toString(16).padStart(12, "0"),
  incarnation,
  address: `10.0.0.${n}:7000`
})
/** In the middle, so that there are lower and higher ids. */
const self = peer(50)
const contact = "10.0.0.1:7000"

const node = (options: Partial<ViewManager.Config> = {}, remembered: ReadonlyArray<Peer.Peer> = []) =>
  ViewManager.make({ ...ViewManager.defaults, self, contacts: [], ...options }, Rng.make(1), remembered)

type Outbox = ReadonlyArray<unknown>

/** Feeds events, the last at `now`, and returns the actions of the last step; when a timer fires is left to chance. */
const drive = (
  state: ViewManager.State,
  events: ReadonlyArray<ViewManager.Event>,
  now = 0
): readonly [ViewManager.State, Outbox] => {
  let current = state
  let outbox: Outbox = []
  for (const event of events) {
    const [next, actions] = ViewManager.step(current, { now, event })
    assert.deepStrictEqual(ViewManager.invariants(next), [])
    current = next
    outbox = actions.map((action) => (action._tag === "SetTimer" ? action.timer._tag : action))
  }
  return [current, outbox]
}

const started: ViewManager.Event = { _tag: "Started" }
const up = (link: number, other: Peer.Peer, attempt?: number): ViewManager.Event =>
  attempt === undefined ? { _tag: "LinkUp", link, peer: other } : { _tag: "LinkUp", link, peer: other, attempt }
const got = (link: number, message: ViewManager.Message): ViewManager.Event => ({ _tag: "Received", link, message })
const down = (link: number, reason: Machine.DownReason): ViewManager.Event => ({ _tag: "LinkDown", link, reason })
const label = { leader: self.id, incarnation: 1, beat: 0, stable: false }
const send = (link: number, message: ViewManager.Message) => ({ _tag: "Send", link, message })
const ping = (link: number) => send(link, { _tag: "Ping", seq: 1, claim: true, label })
const emit = (output: ViewManager.Output) => ({ _tag: "Emit", output })
const views = (
  version: number,
  active: ReadonlyArray<Machine.Neighbor>,
  passive: ReadonlyArray<Peer.Peer>,
  news: "both" | "passive" = "both"
) => emit({ _tag: "Views", version, active, passive, news })
const neighborUp = (link: number, other: Peer.Peer) => emit({ _tag: "NeighborUp", neighbor: { peer: other, link } })

const joined = (link: number, other: Peer.Peer): ReadonlyArray<ViewManager.Event> => [
  up(link, other),
  got(link, { _tag: "Neighbor", peer: other, priority: "low" })
]

/** Neighbours 1..count on links of the same number. */
const withNeighbors = (count: number, options: Partial<ViewManager.Config> = {}): ViewManager.State =>
  drive(node(options), [started, ...Array.from({ length: count }, (_, i) => joined(i + 1, peer(i + 1))).flat()])[0]

describe("ViewManager, joining", () => {
  it("a node dials its contact in the step that starts it", () => {
    const [, outbox] = drive(node({ contacts: [contact] }), [started])
    assert.deepStrictEqual(outbox, ["Tick", { _tag: "Open", attempt: 1, address: contact }, views(1, [], [])])
  })

  it("a node dials as many remembered peers at once as it has slots", () => {
    const [, outbox] = drive(
      node(
        {},
        [1, 2, 3, 4, 5, 6, 7].map((n) => peer(n))
      ),
      [started]
    )
    assert.strictEqual(outbox.filter((action) => typeof action === "object").length, 5 + 1)
  })

  it("an isolated node that reached its contact joins, and counts it only when it has accepted", () => {
    const [asked, first] = drive(node({ contacts: [contact] }), [started, up(7, peer(1), 1)])
    assert.deepStrictEqual(first, [send(7, { _tag: "Join", peer: self })])
    const sample = [peer(2)]
    const [, second] = drive(asked, [got(7, { _tag: "NeighborReply", accepted: true, sample, hinted: false })])
    assert.deepStrictEqual(second, [
      neighborUp(7, peer(1)),
      ping(7),
      "Repair",
      views(2, [{ peer: peer(1), link: 7 }], sample)
    ])
  })

  it("a contact accepts a Join, and starts a walk at every other neighbour", () => {
    const [, outbox] = drive(withNeighbors(2), [up(9, peer(9)), got(9, { _tag: "Join", peer: peer(9) })])
    assert.deepStrictEqual(outbox.slice(1), [
      neighborUp(9, peer(9)),
      ping(9),
      send(1, { _tag: "ForwardJoin", peer: peer(9), ttl: 6 }),
      send(2, { _tag: "ForwardJoin", peer: peer(9), ttl: 6 }),
      views(
        4,
        [1, 2, 9].map((n) => ({ peer: peer(n), link: n })),
        []
      )
    ])
  })

  it("a full contact evicts for the first two Joins of a burst, and answers the third with a sample and the walks", () => {
    let state = withNeighbors(5)
    const accepted: Array<boolean> = []
    for (const n of [11, 12, 13]) {
      const [next, outbox] = drive(state, [up(n, peer(n)), got(n, { _tag: "Join", peer: peer(n) })])
      state = next
      accepted.push(state.active.some((neighbor) => neighbor.link === n))
      if (n === 13)
        assert.strictEqual(outbox.filter((action) => JSON.stringify(action).includes("ForwardJoin")).length, 5)
    }
    assert.deepStrictEqual(accepted, [true, true, false])
  })

  it("the evicted hears of the newcomer first, and nobody is told that it failed", () => {
    const [, outbox] = drive(withNeighbors(1, { activeMax: 1 }), [
      up(2, peer(2)),
      got(2, { _tag: "Neighbor", peer: peer(2), priority: "high" })
    ])
    assert.deepStrictEqual(outbox, [
      send(1, { _tag: "Disconnect", reason: "evicted", sample: [peer(2)] }),
      emit({ _tag: "NeighborDown", peer: peer(1), link: 1, cause: "evicted" }),
      { _tag: "Close", link: 1, reason: "evicted" },
      send(2, { _tag: "NeighborReply", accepted: true, sample: [peer(1)], hinted: false }),
      neighborUp(2, peer(2)),
      ping(2),
      views(3, [{ peer: peer(2), link: 2 }], [peer(1)])
    ])
  })

  it("a full node refuses low priority with a sample, and keeps its neighbours", () => {
    const [state, outbox] = drive(withNeighbors(1, { activeMax: 1 }), joined(2, peer(2)))
    assert.deepStrictEqual(outbox, [
      send(2, { _tag: "NeighborReply", accepted: false, sample: [peer(1)], hinted: false }),
      views(3, [{ peer: peer(1), link: 1 }], [peer(2)], "passive")
    ])
    const [, next] = drive(state, joined(3, peer(3)))
    // The one refused before has a free slot too: it leads the sample.
    assert.deepInclude(
      next as Array<unknown>,
      send(3, { _tag: "NeighborReply", accepted: false, sample: [peer(2), peer(1)], hinted: true })
    )
  })

  it("a walk goes to one neighbour that is neither its sender nor the newcomer, one hop shorter", () => {
    const [, outbox] = drive(withNeighbors(2), [got(1, { _tag: "ForwardJoin", peer: peer(9), ttl: 5 })])
    assert.deepStrictEqual(outbox, [send(2, { _tag: "ForwardJoin", peer: peer(9), ttl: 4 })])
  })

  it("a walk with three hops left leaves the newcomer in the passive view and goes on", () => {
    const [state, outbox] = drive(withNeighbors(2), [got(1, { _tag: "ForwardJoin", peer: peer(9), ttl: 3 })])
    assert.deepStrictEqual(state.passive, [peer(9)])
    assert.deepInclude(outbox as Array<unknown>, send(2, { _tag: "ForwardJoin", peer: peer(9), ttl: 2 }))
  })

  it("a walk that has nowhere to go ends here: the newcomer is dialled and not yet counted", () => {
    const [state, outbox] = drive(withNeighbors(1), [got(1, { _tag: "ForwardJoin", peer: peer(9), ttl: 5 })])
    assert.deepStrictEqual(outbox, [{ _tag: "Open", attempt: 1, address: peer(9).address }])
    assert.strictEqual(state.active.length, 1)
  })

  it("a request in another node's name ends the link", () => {
    const [, outbox] = drive(withNeighbors(0), [up(3, peer(3)), got(3, { _tag: "Join", peer: peer(4) })])
    assert.deepStrictEqual(outbox, [{ _tag: "Close", link: 3, reason: "violation" }])
  })
})

describe("ViewManager, two links to one node", () => {
  const asked = (other: Peer.Peer) => drive(node({}, [other]), [started, up(1, other, 1), up(2, other)])[0]

  it("of two that dialled each other, the lower id's link stays at the node with the higher id", () => {
    const [state, outbox] = drive(asked(peer(1)), [got(2, { _tag: "Neighbor", peer: peer(1), priority: "high" })])
    assert.deepStrictEqual(outbox, [
      { _tag: "Close", link: 1, reason: "replaced" },
      send(2, { _tag: "NeighborReply", accepted: true, sample: [], hinted: false }),
      neighborUp(2, peer(1)),
      ping(2),
      views(2, [{ peer: peer(1), link: 2 }], [])
    ])
    assert.strictEqual(state.active.length, 1)
  })

  it("of two that dialled each other, the lower id's link stays at the node with the lower id", () => {
    const [, outbox] = drive(asked(peer(99)), [got(2, { _tag: "Neighbor", peer: peer(99), priority: "high" })])
    assert.deepStrictEqual(outbox, [{ _tag: "Close", link: 2, reason: "replaced" }])
  })

  it("a neighbour that asks anew on a newer link has given up the old one", () => {
    const [, outbox] = drive(withNeighbors(1), joined(5, peer(1)))
    assert.deepStrictEqual(outbox, [
      emit({ _tag: "NeighborDown", peer: peer(1), link: 1, cause: "replaced" }),
      { _tag: "Close", link: 1, reason: "replaced" },
      send(5, { _tag: "NeighborReply", accepted: true, sample: [], hinted: false }),
      neighborUp(5, peer(1)),
      ping(5),
      views(3, [{ peer: peer(1), link: 5 }], [])
    ])
  })

  it("a higher incarnation ends the lower one's link at once, and the lower one never comes back", () => {
    const [state, outbox] = drive(withNeighbors(1), [up(5, peer(1, 2))])
    assert.deepStrictEqual(outbox, [
      emit({ _tag: "NeighborDown", peer: peer(1), link: 1, cause: "replaced" }),
      { _tag: "Close", link: 1, reason: "replaced" },
      views(3, [], [])
    ])
    const [, late] = drive(state, [{ _tag: "Integrate", received: [peer(1)], sent: [] }, up(6, peer(1))])
    assert.deepStrictEqual(late, [{ _tag: "Close", link: 6, reason: "refused" }])
  })
})

describe("ViewManager, losing a neighbour", () => {
  const reasons: ReadonlyArray<readonly [Machine.DownReason, ViewManager.Cause]> = [
    [{ _tag: "Reset" }, "closed"],
    [{ _tag: "Timeout" }, "timeout"],
    [{ _tag: "Overflow" }, "timeout"],
    [{ _tag: "ClosedByPeer", reason: "left" }, "left"],
    [{ _tag: "ClosedByPeer", reason: "evicted" }, "evicted"],
    [{ _tag: "ClosedByPeer", reason: "replaced" }, "replaced"],
    [{ _tag: "ClosedByPeer", reason: "silent" }, "timeout"]
  ]

  it("says why", () => {
    for (const [reason, cause] of reasons) {
      const [, outbox] = drive(withNeighbors(1), [down(1, reason)])
      assert.deepInclude(
        outbox as Array<unknown>,
        emit({ _tag: "NeighborDown", peer: peer(1), link: 1, cause } as ViewManager.Output)
      )
    }
  })

  it("a neighbour that left is barred, and is neither dialled nor taken back in that run", () => {
    const [state, outbox] = drive(withNeighbors(1), [got(1, { _tag: "Disconnect", reason: "left", sample: [] })])
    assert.deepStrictEqual(outbox, [
      emit({ _tag: "NeighborDown", peer: peer(1), link: 1, cause: "left" }),
      { _tag: "Close", link: 1, reason: "done" },
      views(3, [], [])
    ])
    const [after] = drive(state, [{ _tag: "Integrate", received: [peer(1), peer(1, 2)], sent: [] }])
    assert.deepStrictEqual(after.passive, [peer(1, 2)])
  })

  it("who evicted us is kept in mind and left alone while there is somebody else", () => {
    const state = drive(withNeighbors(2), [
      got(1, { _tag: "Disconnect", reason: "evicted", sample: [] }),
      { _tag: "TimerFired", timer: { _tag: "Repair", round: 1 } }
    ])[0]
    assert.deepStrictEqual(state.passive, [peer(1)])
    assert.deepStrictEqual(state.attempts, [])
  })

  it("a peer that cannot be connected to leaves the passive view; one that refuses stays", () => {
    const one = drive(withNeighbors(1), [{ _tag: "Integrate", received: [peer(7)], sent: [] }])[0]
    const dialled = drive(one, [{ _tag: "TimerFired", timer: { _tag: "Repair", round: 1 } }])[0]
    const attempt = dialled.attempts[0]?.attempt ?? -1
    const [dead] = drive(dialled, [
      { _tag: "LinkRefused", attempt, address: peer(7).address, failure: { _tag: "Refused" } }
    ])
    assert.deepStrictEqual(dead.passive, [])
    const [refused] = drive(dialled, [
      up(7, peer(7), attempt),
      got(7, { _tag: "NeighborReply", accepted: false, sample: [], hinted: false })
    ])
    assert.deepStrictEqual(refused.passive, [peer(7)])
  })

  it("the pauses between rounds through a lone dead contact grow from 250 ms to 10 s and no further", () => {
    const waits: Array<number> = []
    let now = 0
    let [state, actions] = ViewManager.step(node({ contacts: [contact] }), { now, event: started })
    for (let round = 0; round < 9; round++) {
      const open = actions.find((action) => action._tag === "Open")
      assert.isDefined(open)
      const { attempt } = open
      ;[state, actions] = ViewManager.step(state, {
        now,
        event: { _tag: "LinkRefused", attempt, address: contact, failure: { _tag: "Refused" } }
      })
      const timer = actions.find((action) => action._tag === "SetTimer")
      assert.isDefined(timer)
      waits.push(timer.delayMs)
      now += timer.delayMs
      ;[state, actions] = ViewManager.step(state, { now, event: { _tag: "TimerFired", timer: timer.timer } })
    }
    const means = [250, 500, 1000, 2000, 4000, 8000, 10_000, 10_000, 10_000]
    waits.forEach((wait, i) => {
      assert.isAtLeast(wait, (means[i] as number) * 0.75)
      // A uniform draw of up to twice `repairMs` may be longer than the first pause.
      assert.isAtMost(wait, (means[i] as number) * 1.25 + 100)
    })
  })

  it("a leaving node says goodbye, tells nobody that its neighbours failed, and takes no more links", () => {
    const [state, outbox] = drive(withNeighbors(1), [{ _tag: "Leave" }])
    assert.deepStrictEqual(outbox, [
      send(1, { _tag: "Disconnect", reason: "left", sample: [] }),
      emit({ _tag: "NeighborDown", peer: peer(1), link: 1, cause: "evicted" }),
      { _tag: "Close", link: 1, reason: "left" },
      views(3, [], [])
    ])
    assert.deepStrictEqual(drive(state, [up(4, peer(4))])[1], [{ _tag: "Close", link: 4, reason: "left" }])
  })
})

describe("ViewManager, keepalive", () => {
  const tick: ViewManager.Event = { _tag: "TimerFired", timer: { _tag: "Tick", round: 1 } }

  it("a claim of a node that is no neighbour is answered with a goodbye", () => {
    const [, outbox] = drive(withNeighbors(0), [up(3, peer(3)), got(3, { _tag: "Ping", seq: 1, claim: true, label })])
    assert.deepStrictEqual(outbox, [send(3, { _tag: "Disconnect", reason: "asymmetric", sample: [] })])
  })

  it("a claim on a link that we asked on stands for the answer that was lost", () => {
    const [state] = drive(node({}, [peer(1)]), [
      started,
      up(1, peer(1), 1),
      got(1, { _tag: "Ping", seq: 1, claim: true, label })
    ])
    assert.deepStrictEqual(state.active, [{ peer: peer(1), link: 1 }])
  })

  it("the round trip is measured from ping to pong", () => {
    const state = withNeighbors(1)
    assert.isNull(ViewManager.rtt(state, 1))
    const [after] = drive(state, [got(1, { _tag: "Pong", seq: 1, claim: true, label })], 12)
    assert.strictEqual(ViewManager.rtt(after, 1), 12)
  })

  it("five seconds of silence end a link; any frame within them keeps it", () => {
    const beat = (state: ViewManager.State, now: number) =>
      drive(state, [{ _tag: "TimerFired", timer: { _tag: "Tick", round: state.tick.round } }], now)
    const frames: ReadonlyArray<ViewManager.Message> = [
      { _tag: "Pong", seq: 0, claim: true, label },
      { _tag: "Ping", seq: 1, claim: true, label },
      { _tag: "ForwardJoin", peer: peer(1), ttl: 5 },
      // A stray one, which changes nothing else.
      { _tag: "ProbeReply", label, sample: [] }
    ]
    for (const frame of frames) {
      let state = withNeighbors(2)
      for (let now = 1000; now <= 5000; now += 1000) {
        ;[state] = beat(state, now)
        ;[state] = drive(state, [got(2, frame)], now)
      }
      const [last, outbox] = beat(state, 5001)
      assert.deepInclude(
        outbox as Array<unknown>,
        emit({ _tag: "NeighborDown", peer: peer(1), link: 1, cause: "timeout" })
      )
      assert.deepInclude(outbox as Array<unknown>, { _tag: "Close", link: 1, reason: "silent" })
      assert.deepStrictEqual(last.active, [{ peer: peer(2), link: 2 }], frame._tag)
    }
  })

  it("a process that stood still for a minute does not take its neighbours for dead", () => {
    const [state] = drive(withNeighbors(3), [tick], 60_000)
    assert.strictEqual(state.active.length, 3)
    assert.strictEqual(state.counters.stalls, 1)
  })

  it("a timer of another round changes nothing", () => {
    const state = withNeighbors(3)
    fc.assert(
      fc.property(fc.constantFrom("Tick" as const, "Repair" as const), fc.integer({ min: 100 }), (_tag, round) => {
        const [next, actions] = ViewManager.step(state, {
          now: 10,
          event: { _tag: "TimerFired", timer: { _tag, round } }
        })
        assert.deepStrictEqual(next, state)
        assert.deepStrictEqual(actions, [])
      })
    )
  })

  it("a lost timer is armed again by whatever comes next", () => {
    const [, outbox] = drive(withNeighbors(5), [got(1, { _tag: "Pong", seq: 9, claim: true, label })], 2500)
    assert.deepStrictEqual(outbox, ["Tick"])
  })

  it("a state rebuilt from live links claims them, tells higher versions, and uses no attempt again", () => {
    const before = drive(withNeighbors(2), [got(1, { _tag: "Ping", seq: 4, claim: true, label })], 3)[0]
    const config = { ...ViewManager.defaults, self, contacts: [] }
    const rebuilt = ViewManager.rebuild(config, before.active, [], Rng.make(2))
    const [state, outbox] = drive(rebuilt, [started], 3)
    const claim = (link: number) => send(link, { _tag: "Ping", seq: 1, claim: true, label: { ...label, beat: 3 } })
    assert.deepStrictEqual(state.active, before.active)
    assert.deepStrictEqual(outbox.slice(0, 5), [
      neighborUp(1, peer(1)),
      neighborUp(2, peer(2)),
      claim(1),
      claim(2),
      "Tick"
    ])
    assert.isAbove(state.version, before.version)
  })
})

describe("ViewManager, probes", () => {
  it("a full node asks a stranger for a sample, and bridges to it only if both are sure of different components", () => {
    const full = withNeighbors(5, { contacts: [contact.replace(".1:", ".77:")] })
    const [probing] = drive({ ...full, probeAt: 0 }, [{ _tag: "TimerFired", timer: { _tag: "Tick", round: 1 } }], 1000)
    const attempt = probing.attempts[0]?.attempt ?? -1
    const sure = { ...probing, label: { ...probing.label, stable: true } }
    const [asked] = drive(sure, [up(77, peer(77), attempt)], 1000)
    const reply = (stable: boolean, leader: string): ViewManager.Event =>
      got(77, { _tag: "ProbeReply", label: { leader, incarnation: 1, beat: 1, stable }, sample: [peer(78)] })
    for (const same of [reply(true, self.id), reply(false, peer(70).id)]) {
      const [state, outbox] = drive(asked, [same], 1000)
      assert.deepStrictEqual(outbox[0], { _tag: "Close", link: 77, reason: "done" })
      assert.sameDeepMembers([...state.passive], [peer(77), peer(78)])
    }
    const [, bridged] = drive(asked, [reply(true, peer(70).id)], 1000)
    assert.deepInclude(bridged as Array<unknown>, send(77, { _tag: "Join", peer: self }))
  })
})

describe("ViewManager, any input", () => {
  it("every message survives the codec, and what a later version appends is ignored", () => {
    fc.assert(
      fc.property(messages, fc.array(fc.anything(), { maxLength: 2 }), (message, appended) => {
        assert.deepStrictEqual(ViewManager.decode(ViewManager.encode(message)), { ok: true, value: message })
        assert.deepStrictEqual(ViewManager.decode([...ViewManager.encode(message), ...appended]), {
          ok: true,
          value: message
        })
      })
    )
  })

  it("nothing that arrives makes the decoder throw, and a refusal says why", () => {
    const shaped = fc.tuple(fc.nat({ max: 12 }), fc.anything(), fc.anything(), fc.anything())
    fc.assert(
      fc.property(fc.oneof(fc.anything(), shaped, fc.array(fc.anything())), (input) => {
        const decoded = ViewManager.decode(input)
        if (!decoded.ok) assert.isAbove(decoded.reason.length, 0)
      })
    )
    const unknown = ViewManager.decode([9])
    assert.isFalse(unknown.ok)
    if (!unknown.ok) assert.match(unknown.reason, /^unknown kind/)
  })

  it("a walk longer than 64 hops and a sample of more than 64 peers are refused", () => {
    assert.isFalse(ViewManager.decode([1, ["000000000001", 1, "a:1"], 65]).ok)
    const sample = Array.from({ length: 65 }, (_, i) => [i.toString(16).padStart(12, "0"), 1, "a:1"])
    assert.isFalse(ViewManager.decode([3, 0, sample, 0]).ok)
  })

  it("any sequence of events, however absurd, keeps the invariants and never mutates the state", () => {
    const link = fc.nat({ max: 12 })
    const reason: fc.Arbitrary<Machine.DownReason> = fc.oneof(
      fc.constantFrom<Machine.DownReason>({ _tag: "Reset" }, { _tag: "Timeout" }, { _tag: "Overflow" }),
      fc.constantFrom("left", "evicted", "done", "silent").map((r): Machine.DownReason => ({
        _tag: "ClosedByPeer",
        reason: r as Machine.CloseReason
      }))
    )
    const event: fc.Arbitrary<ViewManager.Event> = fc.oneof(
      { weight: 4, arbitrary: fc.record({ _tag: fc.constant("LinkUp" as const), link, peer: peers }) },
      {
        weight: 4,
        arbitrary: fc.record({ _tag: fc.constant("LinkUp" as const), link, peer: peers, attempt: fc.nat({ max: 20 }) })
      },
      { weight: 3, arbitrary: fc.record({ _tag: fc.constant("LinkDown" as const), link, reason }) },
      { weight: 12, arbitrary: fc.record({ _tag: fc.constant("Received" as const), link, message: messages }) },
      {
        weight: 4,
        arbitrary: fc.record({
          _tag: fc.constant("TimerFired" as const),
          timer: fc.record({ _tag: fc.constantFrom("Tick" as const, "Repair" as const), round: fc.nat({ max: 15 }) })
        })
      },
      fc.record({ _tag: fc.constant("Remembered" as const), peers: fc.array(peers, { maxLength: 6 }) }),
      fc.record({
        _tag: fc.constant("Integrate" as const),
        received: fc.array(peers, { maxLength: 9 }),
        sent: fc.array(peers, { maxLength: 9 })
      }),
      fc.record({
        _tag: fc.constant("LinkRefused" as const),
        attempt: fc.nat({ max: 20 }),
        address: fc.constant(contact),
        failure: fc.constantFrom<Machine.OpenFailure>({ _tag: "Refused" }, { _tag: "Unreachable" })
      })
    )
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat({ max: 2000 }), event), { maxLength: 60 }),
        fc.constantFrom(1, 2, 5),
        (schedule, activeMax) => {
          let state = node({ activeMax, passiveMax: 4, contacts: [contact] })
          const told = new Set<string>()
          let now = 0
          for (const [wait, one] of schedule) {
            now += wait
            Object.freeze(state)
            Object.freeze(state.active)
            Object.freeze(state.passive)
            const [next, actions] = ViewManager.step(state, { now, event: one })
            assert.deepStrictEqual(ViewManager.invariants(next), [])
            for (const action of actions) {
              if (action._tag !== "Emit") continue
              if (action.output._tag === "NeighborUp") {
                assert.isFalse(told.has(action.output.neighbor.peer.id))
                told.add(action.output.neighbor.peer.id)
              } else if (action.output._tag === "NeighborDown") assert.isTrue(told.delete(action.output.peer.id))
            }
            state = next
          }
        }
      )
    )
  })
})

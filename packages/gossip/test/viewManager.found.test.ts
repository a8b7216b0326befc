/** What went wrong in other implementations of HyParView; docs/protocols/pitfalls.md names each with its source. */
import { assert, describe, it } from "@effect/vitest"
import { Shuffler, ViewManager } from "@starling/gossip"
import { type Machine, type Peer, Rng } from "@starling/machine"
import * as fc from "fast-check"

const peer = (n: number, incarnation = 1): Peer.Peer => ({
  id: n.toString(16).padStart(12, "0"),
  incarnation,
  address: `10.0.0.${n}:7000`
})
const self = peer(50)

const node = (options: Partial<ViewManager.Config> = {}): ViewManager.State =>
  ViewManager.make({ ...ViewManager.defaults, self, contacts: [], ...options }, Rng.make(1))

/** The same node with other luck from now on. */
const lucky = (state: ViewManager.State, seed: number): ViewManager.State => ({ ...state, rng: Rng.make(seed) })

interface Driven {
  readonly state: ViewManager.State
  /** Of the last step. */
  readonly actions: ReadonlyArray<ViewManager.Action>
}

const drive = (state: ViewManager.State, events: ReadonlyArray<ViewManager.Event>, now = 0): Driven => {
  let driven: Driven = { state, actions: [] }
  for (const event of events) {
    const [next, actions] = ViewManager.step(driven.state, { now, event })
    assert.deepStrictEqual(ViewManager.invariants(next), [])
    driven = { state: next, actions }
  }
  return driven
}

const started: ViewManager.Event = { _tag: "Started" }
const up = (link: number, other: Peer.Peer, attempt?: number): ViewManager.Event =>
  attempt === undefined ? { _tag: "LinkUp", link, peer: other } : { _tag: "LinkUp", link, peer: other, attempt }
const down = (link: number, reason: Machine.DownReason): ViewManager.Event => ({ _tag: "LinkDown", link, reason })
const got = (link: number, message: ViewManager.Message): ViewManager.Event => ({ _tag: "Received", link, message })
const goodbye = (link: number, reason: "left" | "evicted"): ViewManager.Event =>
  got(link, { _tag: "Disconnect", reason, sample: [] })
const reply = (link: number, accepted: boolean): ViewManager.Event =>
  got(link, { _tag: "NeighborReply", accepted, sample: [], hinted: false })
const integrate = (...received: ReadonlyArray<Peer.Peer>): ViewManager.Event => ({
  _tag: "Integrate",
  received,
  sent: []
})
const asks = (link: number, other: Peer.Peer): ReadonlyArray<ViewManager.Event> => [
  up(link, other),
  got(link, { _tag: "Neighbor", peer: other, priority: "low" })
]

/** Neighbours 1..count on links of the same number. */
const withNeighbors = (count: number): ViewManager.State =>
  drive(node(), [started, ...Array.from({ length: count }, (_, i) => asks(i + 1, peer(i + 1))).flat()]).state

const linksOf = ({ active }: ViewManager.State): ReadonlyArray<number> => active.map(({ link }) => link)

const tick = (state: ViewManager.State, now: number): Driven =>
  drive(state, [{ _tag: "TimerFired", timer: { _tag: "Tick", round: state.tick.round } }], now)

/** A keepalive timer every second, up to and with `until`. */
const ticks = (state: ViewManager.State, until: number): Driven => {
  let driven: Driven = { state, actions: [] }
  for (let now = 1000; now <= until; now += 1000) driven = tick(driven.state, now)
  return driven
}

const repair = (state: ViewManager.State, now = 0): Driven =>
  drive(state, [{ _tag: "TimerFired", timer: { _tag: "Repair", round: state.repair.round } }], now)

/** A free slot, and a dial to peer 7 under way. */
const dialling = (now = 0): { readonly state: ViewManager.State; readonly attempt: number } => {
  const { state } = repair(drive(withNeighbors(1), [integrate(peer(7))], now).state, now)
  const [dial] = state.attempts
  assert.strictEqual(dial?.peer?.id, peer(7).id)
  return { state, attempt: dial?.attempt ?? -1 }
}

/**
 * The chi-square statistic of counts that should all be the same; over ten cells it is above 27.9 by chance once in a
 * thousand seeds, and these seeds are fixed.
 */
const chiSquare = (counts: ReadonlyArray<number>): number => {
  const mean = counts.reduce((sum, count) => sum + count, 0) / counts.length
  return counts.reduce((sum, count) => sum + (count - mean) ** 2 / mean, 0)
}

const chiSquareMax = 27.9

describe("ViewManager, links and what comes late", () => {
  it("an answer that comes when its link is down, or was given up, makes no neighbour", () => {
    const { attempt, state } = dialling()
    const asked = drive(state, [up(7, peer(7), attempt)]).state
    const broken = drive(asked, [down(7, { _tag: "Reset" }), reply(7, true)])
    assert.deepStrictEqual([linksOf(broken.state), broken.actions], [[1], []])
    const late = drive(ticks(asked, 3000).state, [reply(7, true)], 3001)
    assert.deepStrictEqual([linksOf(late.state), late.actions], [[1], []])
  })

  it("a request without an answer for three seconds gives its slot back, and the peer stays known", () => {
    const { attempt, state } = dialling()
    const asked = drive(state, [up(7, peer(7), attempt)]).state
    assert.notInclude(JSON.stringify(ticks(asked, 2000).actions), '"Close"')
    const { actions, state: after } = ticks(asked, 3000)
    assert.deepInclude([...actions], { _tag: "Close", link: 7, reason: "done" })
    assert.deepStrictEqual(after.passive, [peer(7)])
    assert.deepStrictEqual(after.attempts, [])
    assert.isFalse(after.links.some(({ role }) => role === "asked"))
  })

  it("a goodbye on a link that was replaced ends nothing and bars nobody", () => {
    const replaced = drive(withNeighbors(1), asks(5, peer(1))).state
    for (const reason of ["left", "evicted"] as const) {
      const { actions, state } = drive(replaced, [goodbye(1, reason)])
      assert.deepStrictEqual([linksOf(state), actions], [[5], []])
    }
  })

  it("a node that left is taken back in its next run", () => {
    const { state } = drive(withNeighbors(1), [goodbye(1, "left"), ...asks(6, peer(1, 2))])
    assert.deepStrictEqual(state.active, [{ peer: peer(1, 2), link: 6 }])
  })

  it("a neighbour whose link broke without a word is taken back when it asks again, in the same run", () => {
    const { state } = drive(withNeighbors(1), [down(1, { _tag: "Reset" }), ...asks(2, peer(1))])
    assert.deepStrictEqual(state.active, [{ peer: peer(1), link: 2 }])
    assert.deepStrictEqual(state.lost, [])
  })

  it("a second link of a neighbour that goes down takes nothing with it", () => {
    const { actions, state } = drive(withNeighbors(1), [up(9, peer(1)), down(9, { _tag: "Reset" })])
    assert.deepStrictEqual([linksOf(state), actions], [[1], []])
  })

  it("another node behind a known address counts under its own name, and the one that was expected is forgotten", () => {
    const { attempt, state } = dialling()
    const other = { ...peer(8), address: peer(7).address }
    const found = drive(state, [up(8, other, attempt)])
    assert.deepStrictEqual(found.state.passive, [])
    const accepted = drive(found.state, [reply(8, true)])
    assert.deepStrictEqual(accepted.state.active.at(-1), { peer: other, link: 8 })
  })

  it("the walks of a Join that evicts go to the neighbours that stay, to each one", () => {
    const { actions, state } = drive(withNeighbors(5), [up(11, peer(11)), got(11, { _tag: "Join", peer: peer(11) })])
    const walks = actions.flatMap((action) =>
      action._tag === "Send" && action.message._tag === "ForwardJoin" ? [action.link] : []
    )
    assert.deepStrictEqual(
      walks,
      linksOf(state).filter((link) => link !== 11)
    )
    assert.strictEqual(walks.length, 4)
  })

  it("views are told again every five seconds, though nothing changed", () => {
    let state = withNeighbors(2)
    const told: Array<number> = []
    for (let now = 1000; now <= 20_000; now += 1000) {
      for (const link of [1, 2]) {
        const label = { leader: self.id, incarnation: 1, beat: 0, stable: false }
        ;({ state } = drive(state, [got(link, { _tag: "Pong", seq: 0, claim: true, label })], now))
      }
      const ticked = tick(state, now)
      state = ticked.state
      if (ticked.actions.some((action) => action._tag === "Emit" && action.output._tag === "Views")) told.push(now)
    }
    assert.deepStrictEqual(told, [5000, 10_000, 15_000, 20_000])
  })
})

describe("ViewManager, the passive view", () => {
  it("that is full makes room among those that were told in exchange, before all others", () => {
    const ids = fc.uniqueArray(fc.integer({ min: 100, max: 160 }), { minLength: 6, maxLength: 6 })
    const fresh = fc.uniqueArray(fc.integer({ min: 200, max: 240 }), { minLength: 1, maxLength: 6 })
    fc.assert(
      fc.property(ids, fc.subarray([0, 1, 2, 3, 4, 5]), fresh, fc.integer(), (held, told, received, seed) => {
        const full = drive(node({ passiveMax: 6 }), [started, integrate(...held.map((n) => peer(n)))]).state
        const sent = told.map((index) => peer(held[index] ?? 0))
        const { state } = drive(lucky(full, seed), [
          { _tag: "Integrate", received: received.map((n) => peer(n)), sent }
        ])
        const stayed = new Set(state.passive.map(({ id }) => id))
        const gone = held.filter((n) => !stayed.has(peer(n).id))
        const isTold = (n: number) => sent.some(({ id }) => id === peer(n).id)
        // What was just received may have to go again; of the old ones, all that were told go before any other.
        if (gone.some((n) => !isTold(n))) assert.isTrue(held.filter(isTold).every((n) => gone.includes(n)))
        assert.isAtLeast(gone.filter(isTold).length, Math.min(sent.length, received.length))
      })
    )
  })

  it("is asked as soon as a shuffle brings somebody, while a slot is free", () => {
    const brought = drive(withNeighbors(1), [integrate(peer(7))])
    assert.isTrue(brought.actions.some((action) => action._tag === "SetTimer" && action.timer._tag === "Repair"))
    assert.deepInclude([...repair(brought.state).actions], { _tag: "Open", attempt: 1, address: peer(7).address })
  })

  it("does not take back for two minutes whom a dial did not reach, unless a link shows that it lives", () => {
    const { attempt, state } = dialling(1000)
    const failure = { _tag: "Refused" } as const
    const dead = drive(state, [{ _tag: "LinkRefused", attempt, address: peer(7).address, failure }], 1000).state
    const told = (now: number, from = dead) => drive(from, [integrate(peer(7))], now).state.passive
    assert.deepStrictEqual([told(1001), told(120_999), told(121_000)], [[], [], [peer(7)]])
    assert.deepStrictEqual(told(1002, drive(dead, [up(7, peer(7))], 1001).state), [peer(7)])
  })

  it("keeps 64 out who were found dead at once, and counts whom it has to let in before the two minutes are over", () => {
    const dead = (first: number, count: number) => Array.from({ length: count }, (_, i) => peer(first + i))
    /** Told of each, dials it in vain; a tenth of a second for each. */
    const found = (from: ViewManager.State, all: ReadonlyArray<Peer.Peer>, at: number): ViewManager.State => {
      let state = from
      for (const [i, other] of all.entries()) {
        const now = at + 100 * i
        state = repair(drive(state, [integrate(other)], now).state, now).state
        const dial = state.attempts.find((attempt) => attempt.peer?.id === other.id)
        if (dial === undefined) return assert.fail(`${other.id} was not dialled`)
        const { address, attempt } = dial
        state = drive(state, [{ _tag: "LinkRefused", attempt, address, failure: { _tag: "Refused" } }], now).state
      }
      return state
    }
    const taken = (state: ViewManager.State, all: ReadonlyArray<Peer.Peer>, now: number) =>
      all.filter((other) => drive(state, [integrate(other)], now).state.passive.length > 0)

    const all = found(withNeighbors(1), dead(1000, 64), 1000)
    assert.deepStrictEqual(taken(all, dead(1000, 64), 27_000), [])
    assert.strictEqual(all.counters.pausesDropped, 0)
    const more = found(all, dead(2000, 3), 27_000)
    assert.deepStrictEqual(taken(more, [...dead(1000, 64), ...dead(2000, 3)], 28_000), dead(1000, 3))
    assert.strictEqual(more.counters.pausesDropped, 3)
    // Who was kept out for the two minutes makes room first, and is not missed.
    const later = found(all, dead(2000, 3), 121_200)
    assert.deepStrictEqual(taken(later, [...dead(1003, 61), ...dead(2000, 3)], 121_299), [])
    assert.strictEqual(later.counters.pausesDropped, 0)
  })

  it("lets go of a pause that ends in seconds before one of who was found dead", () => {
    const asked = dialling(500)
    const refused = drive(asked.state, [up(7, peer(7), asked.attempt), reply(7, false)], 500).state
    const filled: ReadonlyArray<ViewManager.State["pauses"][number]> = Array.from({ length: 63 }, (_, i) => ({
      id: peer(1000 + i).id,
      incarnation: 1,
      kind: "dead",
      strikes: 0,
      until: 120_000 + i
    }))
    const full = { ...refused, pauses: [...filled, ...refused.pauses] }
    assert.deepStrictEqual([full.pauses.length, full.pauses.at(-1)?.kind], [64, "refused"])
    const { state } = drive(full, [goodbye(1, "evicted")], 600)
    assert.deepStrictEqual(state.pauses.slice(0, 63), filled)
    assert.deepStrictEqual([state.pauses.length, state.pauses.at(-1)?.kind], [64, "cooling"])
    assert.strictEqual(state.counters.pausesDropped, 1)
  })

  it("is drawn from evenly", () => {
    const counts = Array.from({ length: 10 }, () => 0)
    const passive = counts.map((_, i) => peer(100 + i))
    const known = drive(withNeighbors(4), [integrate(...passive)]).state
    for (let seed = 0; seed < 2000; seed++) {
      const { state } = repair(lucky(known, seed))
      const index = passive.findIndex(({ id }) => id === state.attempts[0]?.peer?.id)
      counts[index] = (counts[index] ?? 0) + 1
    }
    assert.isBelow(chiSquare(counts), chiSquareMax, counts.join(" "))
  })

  it("is told of in shuffles evenly", () => {
    const counts = Array.from({ length: 10 }, () => 0)
    const passive = counts.map((_, i) => peer(100 + i))
    for (let seed = 0; seed < 1500; seed++) {
      const config = { ...Shuffler.defaults, self }
      const active = [{ peer: peer(1), link: 1 }]
      const views = { _tag: "Views", version: 1, active, passive } as const
      const [before] = Shuffler.step(Shuffler.make(config, Rng.make(seed)), { now: 0, event: views })
      const timer = { _tag: "Round", round: before.timer.round } as const
      const [, actions] = Shuffler.step(before, { now: 1000, event: { _tag: "TimerFired", timer } })
      const sent = actions.find((action) => action._tag === "Send")
      if (sent?._tag !== "Send" || sent.message._tag !== "Shuffle") return assert.fail("no shuffle was sent")
      for (const [index, { id }] of passive.entries()) {
        if (sent.message.list.some((told) => told.id === id)) counts[index] = (counts[index] ?? 0) + 1
      }
    }
    assert.isBelow(chiSquare(counts), chiSquareMax, counts.join(" "))
  })
})

describe("ViewManager, a crowd", () => {
  it("the neighbours of a dead node do not ask in step: their pauses are spread evenly over a tenth of a second", () => {
    const counts = Array.from({ length: 10 }, () => 0)
    const known = drive(withNeighbors(5), [integrate(peer(7), peer(8))]).state
    for (let seed = 0; seed < 1000; seed++) {
      const { actions } = drive(lucky(known, seed), [down(1, { _tag: "Reset" })])
      const timer = actions.find((action) => action._tag === "SetTimer" && action.timer._tag === "Repair")
      assert.isTrue(timer?._tag === "SetTimer" && timer.delayMs >= 0 && timer.delayMs <= 100)
      if (timer?._tag !== "SetTimer") continue
      const cell = Math.min(9, Math.floor(timer.delayMs / 10))
      counts[cell] = (counts[cell] ?? 0) + 1
    }
    assert.isBelow(chiSquare(counts), chiSquareMax, counts.join(" "))
  })
})

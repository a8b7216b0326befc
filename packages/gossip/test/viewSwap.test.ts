import { assert, describe, it } from "@effect/vitest"
import { ViewManager } from "@starling/gossip"
import { type Machine, type Peer, Rng } from "@starling/machine"
import { components, Network, overlayFaults, type Run } from "./viewNetwork.ts"
import { drive } from "./viewDrive.ts"

const peer = (n: number): Peer.Peer => ({
  id: n.toString(16).padStart(12, "0"),
  incarnation: 1,
  address: `10.0.0.${n}:7000`
})

const self = peer(50)

const joined = (n: number): ReadonlyArray<ViewManager.Event> => [
  { _tag: "LinkUp", link: n, peer: peer(n) },
  { _tag: "Received", link: n, message: { _tag: "Neighbor", peer: peer(n), priority: "low" } }
]

const full = (options: Partial<ViewManager.Config> = {}): ViewManager.State =>
  drive(
    ViewManager.make({ ...ViewManager.defaults, self, contacts: [], ...options }, Rng.make(1)),
    [1, 2, 3, 4, 5].flatMap(joined),
    0
  )[0]

const down = (link: number, reason: Machine.DownReason): ViewManager.Event => ({ _tag: "LinkDown", link, reason })

const sent = (actions: ReadonlyArray<ViewManager.Action>) =>
  actions.flatMap((action) => (action._tag === "Send" ? [[action.link, action.message] as const] : []))

/** Neighbour 1 is lost after 1 s and 6 takes its place after 2 s; after 20 s a link to 1 is up that was dialled. */
const found = (reason: Machine.DownReason, options: Partial<ViewManager.Config> = {}) => {
  const [lost] = drive(full(options), [down(1, reason)], 1000)
  const [replaced] = drive(lost, joined(6), 2000)
  const [dialled] = drive(replaced, [tickOf(replaced)], 2000)
  const attempt = dialled.attempts.find((other) => other.purpose === "verify")?.attempt ?? -1
  return drive(dialled, [{ _tag: "LinkUp", link: 20, peer: peer(1), attempt }], 3000)
}

const tickOf = ({ tick }: ViewManager.State): ViewManager.Event => ({
  _tag: "TimerFired",
  timer: { _tag: "Tick", round: tick.round }
})

const wishOn = (link: number, actions: ReadonlyArray<ViewManager.Action>) =>
  sent(actions).flatMap(([on, message]) => (on === link && message._tag === "Neighbor" ? [message.wish] : []))[0]

describe("ViewManager, swaps", () => {
  it("a neighbour that fell silent and lives is asked for a swap, against the link that took its place", () => {
    const [state, actions] = found({ _tag: "Timeout" })
    assert.deepStrictEqual(wishOn(20, actions), { _tag: "Swap", gives: peer(6), cross: false })
    assert.lengthOf(state.active, 5, "nothing is given up before the answer")
    const partner = peer(70)
    const reply: ViewManager.Message = { _tag: "NeighborReply", accepted: true, sample: [partner], hinted: true }
    const [after, swapped] = drive(state, [{ _tag: "Received", link: 20, message: reply }], 3001)
    const goodbye = sent(swapped).find(([link]) => link === 6)?.[1]
    assert.strictEqual(goodbye?._tag, "Disconnect")
    if (goodbye?._tag === "Disconnect") assert.deepStrictEqual(goodbye.sample[0], partner, "told whom to turn to")
    assert.sameMembers(
      after.active.map(({ link }) => link),
      [2, 3, 4, 5, 20]
    )
    assert.isEmpty(after.lost)
    assert.isAbove(after.remix.left, 0, "the net was cut: more will have to be mixed")
  })

  it("a partner that is none is not passed on: who goes is told of the new neighbour", () => {
    const [state] = found({ _tag: "Timeout" })
    for (const partner of [state.config.self, peer(6)]) {
      const reply: ViewManager.Message = { _tag: "NeighborReply", accepted: true, sample: [partner], hinted: true }
      const [, swapped] = drive(state, [{ _tag: "Received", link: 20, message: reply }], 3001)
      const goodbye = sent(swapped).find(([link]) => link === 6)?.[1]
      const ids = goodbye?._tag === "Disconnect" ? goodbye.sample.map(({ id }) => id) : []
      assert.strictEqual(ids[0], peer(1).id)
      assert.notInclude(ids, partner.id)
    }
  })

  it("refused, the swap costs nobody a link, and the lost one is not forgotten", () => {
    const [state] = found({ _tag: "Timeout" })
    const reply: ViewManager.Message = { _tag: "NeighborReply", accepted: false, sample: [], hinted: false }
    const [after] = drive(state, [{ _tag: "Received", link: 20, message: reply }], 3001)
    assert.lengthOf(after.active, 5)
    assert.deepStrictEqual(
      after.lost.map((entry) => entry.peer),
      [peer(1)]
    )
  })

  it("a neighbour whose connection was reset and who lives is left where it is", () => {
    const [state, actions] = found({ _tag: "Reset" })
    assert.deepInclude(actions, { _tag: "Close", link: 20, reason: "done" })
    assert.isEmpty(state.lost)
    assert.strictEqual(state.remix.left, 0)
  })

  it("with remixSwaps 0 nobody swaps", () => {
    const [state, actions] = found({ _tag: "Timeout" }, { remixSwaps: 0 })
    assert.isUndefined(wishOn(20, actions))
    assert.strictEqual(state.remix.left, 0)
  })

  it("an accepted swap whose place is gone is called off", () => {
    const [state] = found({ _tag: "Timeout" })
    // The link that would have gone is down, and somebody else has taken the slot.
    const [taken] = drive(state, [down(6, { _tag: "ClosedByPeer", reason: "evicted" }), ...joined(7)], 3001)
    const reply: ViewManager.Message = { _tag: "NeighborReply", accepted: true, sample: [], hinted: false }
    const [after, actions] = drive(taken, [{ _tag: "Received", link: 20, message: reply }], 3002)
    assert.deepInclude(sent(actions), [20, { _tag: "Disconnect", reason: "evicted", sample: [] }])
    assert.lengthOf(after.active, 5)
  })

  it("forced evictions for swaps are rate-limited like all others", () => {
    const swap = (n: number): ReadonlyArray<ViewManager.Event> => [
      { _tag: "LinkUp", link: n, peer: peer(n) },
      {
        _tag: "Received",
        link: n,
        message: {
          _tag: "Neighbor",
          peer: peer(n),
          priority: "low",
          wish: { _tag: "Swap", gives: peer(n + 100), cross: false }
        }
      }
    ]
    const [state] = drive(full(), [11, 12, 13, 14, 15].flatMap(swap), 1000)
    assert.strictEqual(state.counters.evictions, ViewManager.defaults.forcedBurst)
  })

  it("a label that gives way to another stable one says so, and one that meets a newcomer's does not", () => {
    const label = (stable: boolean, merged?: true): ViewManager.Message => {
      const heard = { leader: peer(1).id, incarnation: 1, beat: 5, stable, ...(merged === undefined ? {} : { merged }) }
      return { _tag: "Ping", seq: 1, claim: true, label: heard }
    }
    const hear = (message: ViewManager.Message) => {
      // Stable after a while of ticks.
      let state = full({ silenceMs: 100_000 })
      for (let now = 1000; now <= 20_000; now += 1000) [state] = drive(state, [tickOf(state)], now)
      return drive(state, [{ _tag: "Received", link: 2, message }], 20_000)[0]
    }
    assert.isTrue(hear(label(true)).label.merged)
    assert.isAbove(hear(label(true)).remix.left, 0)
    assert.isTrue(hear(label(false, true)).label.merged, "the news goes on")
    assert.strictEqual(hear(label(false)).remix.left, 0)
    assert.isUndefined(hear(label(false)).label.merged)
  })
})

describe("ViewManager, two halves that were apart", () => {
  const sideOf = ({ id }: Peer.Peer) => Number.parseInt(id.slice(-1), 16) % 2
  const isCross = (run: Run, other: Peer.Peer) => sideOf(run.peer) !== sideOf(other)
  const crossOf = (network: Network): number =>
    network.live().reduce((sum, run) => sum + run.view.active.filter(({ peer }) => isCross(run, peer)).length, 0) / 2

  for (const [what, apartMs, forget] of [
    ["a quarter of a minute", 15_000, false],
    ["a minute, and forgot whom they lost,", 60_000, true]
  ] as const) {
    it(`for ${what} are one within half a minute, and hang together by four fifths of the links of before within five`, () => {
      const network = new Network({ seed: 11, settings: { passiveMax: 12 } })
      for (let n = 0; n < 30; n++) {
        network.start(n, n === 0 ? [] : [0])
        network.advance(50)
      }
      network.advance(20_000)
      const before = crossOf(network)
      for (const run of network.live()) network.group.set(run.peer.id, isCross(run, self) ? 1 : 2)
      network.advance(apartMs)
      assert.isAbove(components(network), 1)
      if (forget) for (const run of network.live()) run.view = { ...run.view, lost: [] }
      network.group.clear()
      network.advance(30_000)
      assert.strictEqual(components(network), 1)
      network.advance(270_000)
      assert.isAtLeast(crossOf(network), 0.8 * before)
      assert.deepStrictEqual(overlayFaults(network), [])
    })
  }
})

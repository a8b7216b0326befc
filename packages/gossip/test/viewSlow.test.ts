import { assert, describe, it } from "@effect/vitest"
import { ViewManager } from "@starling/gossip"
import { type Peer, Rng } from "@starling/machine"
import { drive } from "./viewDrive.ts"

const peer = (n: number): Peer.Peer => ({
  id: n.toString(16).padStart(12, "0"),
  incarnation: 1,
  address: `10.0.0.${n}:7000`
})

const asks = (link: number, n: number, priority: "low" | "high" = "low"): ReadonlyArray<ViewManager.Event> => [
  { _tag: "LinkUp", link, peer: peer(n) },
  { _tag: "Received", link, message: { _tag: "Neighbor", peer: peer(n), priority } }
]

/** Neighbours 1 and 2, of which 1 is expelled after a second because it took no more frames. */
const expelled = (): ViewManager.State => {
  const state = ViewManager.make({ ...ViewManager.defaults, self: peer(50), contacts: [] }, Rng.make(1))
  const [linked] = drive(state, [...asks(1, 1), ...asks(2, 2)], 0)
  return drive(linked, [{ _tag: "LinkDown", link: 1, reason: { _tag: "Overflow" } }], 1000)[0]
}

const replyOn = (link: number, actions: ReadonlyArray<ViewManager.Action>) =>
  actions.flatMap((action) =>
    action._tag === "Send" && action.link === link && action.message._tag === "NeighborReply" ? [action.message] : []
  )[0]

describe("ViewManager, a neighbour that takes no more frames", () => {
  it("is expelled, not dialled again, and told why when it comes back", () => {
    const state = expelled()
    assert.strictEqual(state.counters.slow, 1)
    assert.isEmpty(state.attempts)
    const [after, actions] = drive(state, asks(3, 1), 2000)
    assert.isFalse(replyOn(3, actions)?.accepted)
    assert.isTrue(replyOn(3, actions)?.slow)
    assert.strictEqual(after.counters.slowRefused, 1)
  })

  it("is taken back if it has nobody else, and after a while in any case", () => {
    assert.isTrue(replyOn(3, drive(expelled(), asks(3, 1, "high"), 2000)[1])?.accepted)
    const later = 1000 + ViewManager.defaults.slowMs
    assert.isTrue(replyOn(3, drive(expelled(), asks(3, 1), later)[1])?.accepted)
  })

  it("told so, a node leaves the other alone for as long", () => {
    const state = ViewManager.make({ ...ViewManager.defaults, self: peer(50), contacts: [] }, Rng.make(1), [peer(7)])
    const [linked] = drive(state, asks(2, 2), 0)
    const [knows] = drive(linked, [{ _tag: "Integrate", received: [peer(7)], sent: [] }], 10)
    const dialled = drive(knows, [{ _tag: "TimerFired", timer: { _tag: "Repair", round: knows.repair.round } }], 200)[0]
    const attempt = dialled.attempts.find((other) => other.peer?.id === peer(7).id)?.attempt ?? -1
    const [asked] = drive(dialled, [{ _tag: "LinkUp", link: 9, peer: peer(7), attempt }], 201)
    const notice: ViewManager.Message = {
      _tag: "NeighborReply",
      accepted: false,
      sample: [],
      hinted: false,
      slow: true
    }
    const [told] = drive(asked, [{ _tag: "Received", link: 9, message: notice }], 202)
    const pause = told.pauses.find((entry) => entry.id === peer(7).id)
    assert.deepInclude(pause, { kind: "slow", until: 202 + ViewManager.defaults.slowMs })
    assert.strictEqual(told.passive.find((other) => other.id === peer(7).id)?.id, peer(7).id, "it stays known")
    // Whoever expelled it asks when it may: if it were refused in its turn, and so on, they would stay apart for good.
    assert.isTrue(replyOn(11, drive(told, asks(11, 7), 5000)[1])?.accepted)
  })

  it("is asked for nothing meanwhile, though a slot is free and it was found alive, unless there is nobody else", () => {
    const found = (attempt: number): ViewManager.Event => ({ _tag: "LinkUp", link: 9, peer: peer(1), attempt })
    const dialling = (purpose: "verify" | "probe" | "fill", at = 1500): ViewManager.State => ({
      ...expelled(),
      attempts: [{ attempt: 1000, address: peer(1).address, peer: peer(1), purpose, lastResort: false, at }]
    })
    const sent = (actions: ReadonlyArray<ViewManager.Action>) =>
      actions.flatMap((action) => (action._tag === "Send" ? [action.message._tag] : []))
    for (const purpose of ["verify", "fill"] as const) {
      const [after, actions] = drive(dialling(purpose), [found(1000)], 2000)
      assert.deepStrictEqual(sent(actions), [], purpose)
      assert.deepInclude(actions, { _tag: "Close", link: 9, reason: "done" })
      assert.isTrue(
        after.passive.some(({ id }) => id === peer(1).id),
        "it stays known"
      )
    }
    assert.deepStrictEqual(sent(drive(dialling("probe"), [found(1000)], 2000)[1]), ["Probe"])
    const later = 1000 + ViewManager.defaults.slowMs
    assert.deepStrictEqual(sent(drive(dialling("fill", later), [found(1000)], later)[1]), ["Neighbor"])
    const [alone] = drive(dialling("fill"), [{ _tag: "LinkDown", link: 2, reason: { _tag: "Reset" } }], 1900)
    assert.deepStrictEqual(sent(drive(alone, [found(1000)], 2000)[1]), ["Neighbor"])
  })

  it("stays expelled, though it refuses a request that crossed that", () => {
    const state = expelled()
    const asked: ViewManager.State = {
      ...state,
      links: [
        ...state.links,
        { link: 9, peer: peer(1), role: "asked", since: 1000, heardAt: 1000, pingSeq: 0, pingAt: null, rttMs: null }
      ]
    }
    for (const slow of [{}, { slow: true }] as const) {
      const refusal: ViewManager.Message = {
        _tag: "NeighborReply",
        accepted: false,
        sample: [],
        hinted: false,
        ...slow
      }
      const [after] = drive(asked, [{ _tag: "Received", link: 9, message: refusal }], 2000)
      assert.isTrue(replyOn(3, drive(after, asks(3, 1), 3000)[1])?.slow)
    }
  })
})

import { assert, describe, it } from "@effect/vitest"
import { Shuffler } from "@starling/gossip"
import { type Machine, type Peer, Rng } from "@starling/machine"
import * as fc from "fast-check"
import { peers } from "./viewArbitraries.ts"
import { Network } from "./viewNetwork.ts"

const peer = (n: number): Peer.Peer => ({
  id: n.toString(16).padStart(12, "0"),
  incarnation: 1,
  address: `10.0.0.${n}:7000`
})
const self = peer(50)
const neighbors = (...numbers: ReadonlyArray<number>): ReadonlyArray<Machine.Neighbor> =>
  numbers.map((n) => ({ peer: peer(n), link: n }))
const views = (
  version: number,
  active: ReadonlyArray<number>,
  passive: ReadonlyArray<number> = []
): Shuffler.Event => ({ _tag: "Views", version, active: neighbors(...active), passive: passive.map(peer) })
const round = (state: Shuffler.State): Shuffler.Event => ({
  _tag: "TimerFired",
  timer: { _tag: "Round", round: state.timer.round }
})
const got = (link: number, message: Shuffler.Message): Shuffler.Event => ({ _tag: "Received", link, message })
const shuffle = (ttl: number, origin = 9, list: ReadonlyArray<number> = [9, 21, 22]): Shuffler.Message => ({
  _tag: "Shuffle",
  id: 7,
  origin: peer(origin),
  list: list.map(peer),
  ttl
})

const drive = (
  state: Shuffler.State,
  events: ReadonlyArray<Shuffler.Event>,
  now = 0
): readonly [Shuffler.State, ReadonlyArray<Shuffler.Action>] => {
  let current = state
  let actions: ReadonlyArray<Shuffler.Action> = []
  for (const event of events) {
    ;[current, actions] = Shuffler.step(current, { now, event })
    assert.deepStrictEqual(Shuffler.invariants(current), [])
  }
  return [current, actions]
}

const node = (...events: ReadonlyArray<Shuffler.Event>): Shuffler.State =>
  drive(Shuffler.make({ ...Shuffler.defaults, self }, Rng.make(1)), [{ _tag: "Started" }, ...events])[0]

describe("Shuffler, sending", () => {
  it("a list holds the node itself, three neighbours that it is not sent to, and four passive peers", () => {
    const state = node(views(1, [1, 2, 3, 4, 5], [11, 12, 13, 14, 15, 16]))
    const [after, actions] = drive(state, [round(state)], 1000)
    const [first, timer, ...rest] = actions
    assert.deepStrictEqual(rest, [])
    assert.strictEqual(timer?._tag, "SetTimer")
    assert.isTrue(first?._tag === "Send" && first.message._tag === "Shuffle")
    if (first?._tag !== "Send" || first.message._tag !== "Shuffle") return
    const { list, ttl } = first.message
    const numbers = list.map((entry) => Number.parseInt(entry.id, 16))
    assert.strictEqual(ttl, 6)
    assert.strictEqual(numbers[0], 50)
    assert.strictEqual(numbers.filter((n) => n < 10).length, 3)
    assert.notInclude(numbers, first.link)
    assert.strictEqual(numbers.filter((n) => n > 10 && n < 20).length, 4)
    assert.deepStrictEqual(after.inFlight[0]?.sent, list)
  })

  it("the pause between shuffles doubles from the first second to ten", () => {
    let state = node(views(1, [1]))
    const waits: Array<number> = []
    let now = 0
    for (let i = 0; i < 6; i++) {
      const [next, actions] = drive(state, [round(state)], now)
      const timer = actions.find((action) => action._tag === "SetTimer")
      waits.push(timer?._tag === "SetTimer" ? timer.delayMs : 0)
      now += waits.at(-1) ?? 0
      state = next
    }
    const means = [2000, 4000, 8000, 10_000, 10_000, 10_000]
    waits.forEach((wait, i) => assert.closeTo(wait, means[i] as number, (means[i] as number) / 4 + 1))
  })

  it("a node without neighbours sends nothing and goes on waiting", () => {
    const state = node(views(1, [], [11]))
    const [, actions] = drive(state, [round(state)], 1000)
    assert.deepStrictEqual(
      actions.map((action) => action._tag),
      ["SetTimer"]
    )
  })

  it("a timer of another round changes nothing", () => {
    const state = node(views(1, [1]))
    const [next, actions] = drive(state, [{ _tag: "TimerFired", timer: { _tag: "Round", round: 99 } }])
    assert.deepStrictEqual(next, state)
    assert.deepStrictEqual(actions, [])
  })

  it("a lost timer is armed again by whatever comes next", () => {
    const [, actions] = drive(node(views(1, [1])), [views(2, [1, 2])], 60_000)
    assert.deepStrictEqual(
      actions.map((action) => action._tag),
      ["SetTimer"]
    )
  })
})

describe("Shuffler, walking", () => {
  it("a walk goes on to a neighbour that is neither its sender nor its origin, one hop shorter", () => {
    const [, actions] = drive(node(views(1, [1, 2, 9])), [got(1, shuffle(4))])
    assert.deepStrictEqual(actions, [{ _tag: "Send", link: 2, message: shuffle(3) }])
  })

  it("a walk longer than our own walks is cut down to them", () => {
    const [, actions] = drive(node(views(1, [1, 2])), [got(1, shuffle(64))])
    assert.deepStrictEqual(actions, [{ _tag: "Send", link: 2, message: shuffle(5) }])
  })

  it("a walk with nowhere to go ends here instead of vanishing", () => {
    const [, actions] = drive(node(views(1, [1])), [got(1, shuffle(4))])
    assert.deepStrictEqual(actions, [
      { _tag: "Emit", output: { _tag: "Integrate", received: [9, 21, 22].map(peer), sent: [] } }
    ])
  })

  it("the answer has as many peers as came, and goes to an origin that is a neighbour over that link", () => {
    const state = node(views(1, [1, 9], [31, 32, 33, 34, 35]))
    const [, actions] = drive(state, [got(1, shuffle(1))])
    const [integrated, answer, ...rest] = actions
    assert.deepStrictEqual(rest, [])
    assert.isTrue(integrated?._tag === "Emit")
    assert.isTrue(answer?._tag === "Send" && answer.link === 9 && answer.message._tag === "ShuffleReply")
    if (answer?._tag === "Send") assert.strictEqual(answer.message.list.length, 3)
  })

  it("the answer to a stranger goes over a link of its own, which is closed behind it", () => {
    const state = node(views(1, [1], [31]))
    const [asked, actions] = drive(state, [got(1, shuffle(1))])
    assert.deepStrictEqual(actions.at(-1), { _tag: "Open", attempt: 1, address: peer(9).address })
    const [, answered] = drive(asked, [{ _tag: "LinkUp", link: 70, peer: peer(9), attempt: 1 }])
    assert.deepStrictEqual(answered, [
      { _tag: "Send", link: 70, message: { _tag: "ShuffleReply", id: 7, list: [peer(31)] } },
      { _tag: "Close", link: 70, reason: "done" }
    ])
  })

  it("a node of another id behind the origin's address is told nothing", () => {
    const [asked] = drive(node(views(1, [1], [31])), [got(1, shuffle(1))])
    const [, actions] = drive(asked, [{ _tag: "LinkUp", link: 70, peer: peer(8), attempt: 1 }])
    assert.deepStrictEqual(actions, [{ _tag: "Close", link: 70, reason: "done" }])
  })

  it("at most eight answers wait for a link; the others are dropped and counted", () => {
    let state = node(views(1, [1], [31]))
    for (let n = 0; n < 10; n++) [state] = drive(state, [got(1, shuffle(1, 60 + n, [60 + n]))])
    assert.strictEqual(state.replies.length, 8)
    assert.strictEqual(state.counters.repliesDropped, 2)
  })

  it("a shuffle that overtakes the news of its neighbour waits for it", () => {
    const [held, nothing] = drive(node(views(1, [1])), [got(3, shuffle(1))])
    assert.deepStrictEqual(nothing, [])
    const [, actions] = drive(held, [views(2, [1, 3])])
    assert.deepStrictEqual(actions, [
      { _tag: "Emit", output: { _tag: "Integrate", received: [9, 21, 22].map(peer), sent: [] } }
    ])
  })
})

describe("Shuffler, answers", () => {
  it("an answer counts once, from any link, and names what was sent as the first to forget", () => {
    const waiting = node(views(1, [1], [31]))
    const [state] = drive(waiting, [round(waiting)])
    const flight = state.inFlight[0]
    assert.isDefined(flight)
    const reply = got(99, { _tag: "ShuffleReply", id: flight.id, list: [peer(40)] })
    const [after, actions] = drive(state, [reply])
    assert.deepStrictEqual(actions, [
      { _tag: "Emit", output: { _tag: "Integrate", received: [peer(40)], sent: flight.sent } }
    ])
    assert.deepStrictEqual(drive(after, [reply])[1], [])
  })

  it("an answer to a shuffle that nobody sent is not believed", () => {
    const [state, actions] = drive(node(views(1, [1])), [got(1, { _tag: "ShuffleReply", id: 3, list: [peer(40)] })])
    assert.deepStrictEqual(actions, [])
    assert.strictEqual(state.counters.unexpected, 1)
  })
})

describe("Shuffler, any input", () => {
  const messages: fc.Arbitrary<Shuffler.Message> = fc.oneof(
    fc.record({
      _tag: fc.constant("Shuffle" as const),
      id: fc.nat(),
      origin: peers,
      list: fc.array(peers, { maxLength: 12 }),
      ttl: fc.nat({ max: 64 })
    }),
    fc.record({ _tag: fc.constant("ShuffleReply" as const), id: fc.nat(), list: fc.array(peers, { maxLength: 12 }) })
  )

  it("every message survives the codec, and what a later version appends is ignored", () => {
    fc.assert(
      fc.property(messages, fc.array(fc.anything(), { maxLength: 2 }), (message, appended) => {
        assert.deepStrictEqual(Shuffler.decode([...Shuffler.encode(message), ...appended]), {
          ok: true,
          value: message
        })
      })
    )
  })

  it("nothing that arrives makes the decoder throw, and a refusal says why", () => {
    const shaped = fc.tuple(fc.nat({ max: 3 }), fc.anything(), fc.anything(), fc.anything(), fc.anything())
    fc.assert(
      fc.property(fc.oneof(fc.anything(), shaped), (input) => {
        const decoded = Shuffler.decode(input)
        if (!decoded.ok) assert.isAbove(decoded.reason.length, 0)
      })
    )
    const unknown = Shuffler.decode([2])
    assert.isTrue(!unknown.ok && unknown.reason.startsWith("unknown kind"))
  })

  it("a flood of shuffles over any links leaves every bound in place", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat({ max: 4 }), messages), { maxLength: 80 }), (flood) => {
        let state = node(views(1, [1, 2], [31, 32]))
        for (const [link, message] of flood) [state] = drive(state, [got(link, message)])
      })
    )
  })
})

describe("Shuffler, a fleet", () => {
  it("after half a minute every node of forty is known to at least five others in reserve", () => {
    const network = new Network({ seed: 5 })
    network.start(0, [])
    for (let i = 1; i < 40; i++) network.at(network.chance() * 1000, () => network.start(i, [0]))
    network.advance(30_000)
    const known = new Map<string, number>()
    for (const run of network.live())
      for (const entry of run.view.passive) known.set(entry.id, (known.get(entry.id) ?? 0) + 1)
    for (const run of network.live()) assert.isAtLeast(known.get(run.peer.id) ?? 0, 5)
    assert.isAtLeast(Math.min(...network.live().map((run) => run.view.passive.length)), 15)
    assert.isAbove(
      network.live().reduce((sum, run) => sum + run.shuffle.counters.answered, 0),
      0
    )
  })
})

import { assert, describe, it } from "@effect/vitest"
import { BroadcastTree, type MessageId } from "@starling/gossip"
import { LinkGate, Rng, SeqSet } from "@starling/machine"
import * as HashMap from "effect/HashMap"
import * as fc from "fast-check"
import { id, neighbor, self } from "./plumtreeArbitraries.ts"

type Event = BroadcastTree.Event
type Action = BroadcastTree.Action

const root = id(1).origin

const config: BroadcastTree.Config = { ...BroadcastTree.defaults, self }

const none: BroadcastTree.Stored = new Map()

const run = (
  state: BroadcastTree.State,
  events: ReadonlyArray<Event>,
  now: number = 0
): readonly [BroadcastTree.State, ReadonlyArray<Action>] => {
  let current = state
  let actions: ReadonlyArray<Action> = []
  for (const event of events) {
    ;[current, actions] = BroadcastTree.step(current, { now, event })
    assert.deepStrictEqual(BroadcastTree.invariants(current), [], event._tag)
  }
  return [current, actions]
}

/** The actions of the last event, without timers: those have tests of their own. */
const last = (state: BroadcastTree.State, events: ReadonlyArray<Event>, now: number = 0): ReadonlyArray<Action> =>
  run(state, events, now)[1].filter(({ _tag }) => _tag !== "SetTimer")

const neighbors = (version: number, ...links: ReadonlyArray<number>): Event => ({
  _tag: "Neighbors",
  version,
  neighbors: links.map(neighbor)
})

const received = (link: number, message: BroadcastTree.Message): Event => ({ _tag: "Received", link, message })

const gossip = (link: number, of: MessageId.MessageId = id(1), round: number = 1): Event =>
  received(link, { _tag: "Gossip", id: of, round, topic: 1, payload: "hello" })

const send = (link: number, message: BroadcastTree.Message): Action => ({ _tag: "Send", link, message })

/** Of a broadcast that came from another than a parent that was there already, as the first of a root does. */
const push = (link: number, of: MessageId.MessageId = id(1), round: number = 2): Action =>
  send(link, { _tag: "Gossip", id: of, round, topic: 1, payload: "hello", loose: true })

/** Of one that came along the tree. */
const pushAlong = (link: number, of: MessageId.MessageId, round: number = 2): Action =>
  send(link, { _tag: "Gossip", id: of, round, topic: 1, payload: "hello" })

const emit = (output: BroadcastTree.Output): Action => ({ _tag: "Emit", output })

const delivered = (of: MessageId.MessageId = id(1), round: number = 1): Action =>
  emit({ _tag: "Delivered", id: of, topic: 1, payload: "hello", round })

const seen = (link: number | null, of: MessageId.MessageId = id(1), round: number = link === null ? 0 : 1): Action =>
  emit({ _tag: "Seen", id: of, link, round, mended: false })

const announced = (of: MessageId.MessageId, links: ReadonlyArray<number>, round: number): Action =>
  emit({ _tag: "Announce", id: of, round, links })

/** What repair hears of a broadcast that it asked for although it had been seen. */
const confirmed = (link: number | null, of: MessageId.MessageId = id(1)): Action =>
  emit({ _tag: "Seen", id: of, link, round: 1, mended: true })

/** An answer to a graft. */
const mended = (link: number, of: MessageId.MessageId = id(1)): Action =>
  send(link, { _tag: "Gossip", id: of, round: 2, topic: 1, payload: "hello", mended: true, loose: true })

const prune: BroadcastTree.Message = { _tag: "Prune", root }

const adopt: BroadcastTree.Message = { _tag: "Adopt", root }

const withNeighbors = (...links: ReadonlyArray<number>): BroadcastTree.State =>
  run(BroadcastTree.make(config, none, 1), [{ _tag: "Started" }, neighbors(1, ...links)])[0]

const own = (seq: number): MessageId.MessageId => ({ origin: self.id, incarnation: self.incarnation, seq })

const broadcast = (token: number, payload: unknown = "hello"): Event => ({
  _tag: "Broadcast",
  token,
  topic: 1,
  payload
})

const tokenOf = (actions: ReadonlyArray<Action>): number => {
  for (const action of actions) if (action._tag === "Write") return action.token
  return assert.fail("nothing is written")
}

describe("A new broadcast", () => {
  it("is delivered, and pushed to every neighbour but the sender", () => {
    assert.deepStrictEqual(last(withNeighbors(1, 2, 3), [gossip(1)]), [delivered(), seen(1), push(2), push(3)])
  })

  it("is announced, not pushed, to lazy neighbours", () => {
    assert.deepStrictEqual(last(withNeighbors(1, 2, 3), [received(3, prune), gossip(1)]), [
      delivered(),
      seen(1),
      push(2),
      announced(id(1), [3], BroadcastTree.roundMax)
    ])
  })

  it("says so when it came another way than the tree's, and so do those that have it from there", () => {
    const [first] = run(withNeighbors(1, 2, 3), [gossip(1)])
    const along = received(1, { _tag: "Gossip", id: id(2), round: 1, topic: 1, payload: "hello", loose: true })
    assert.deepInclude(last(first, [gossip(1, id(2))]), pushAlong(2, id(2)))
    assert.deepInclude(last(first, [gossip(2, id(2))]), push(3, id(2)))
    assert.deepInclude(last(first, [along]), push(2, id(2)))
  })

  it("is announced with the hops of the tree only when it came along it, since other ways are about to be pruned", () => {
    const first = run(withNeighbors(1, 2, 3), [received(3, prune), gossip(1)])[0]
    assert.deepInclude(last(first, [gossip(1, id(2), 4)]), announced(id(2), [3], 5))
    assert.deepInclude(last(first, [gossip(2, id(2), 4)]), announced(id(2), [1, 3], BroadcastTree.roundMax))
  })

  it("does not go back to a second link of the peer it came from", () => {
    const twice: Event = {
      _tag: "Neighbors",
      version: 2,
      neighbors: [neighbor(1), { link: 5, peer: neighbor(1).peer }, neighbor(2)]
    }
    assert.deepStrictEqual(last(withNeighbors(), [twice, gossip(1)]), [delivered(), seen(1), push(2)])
  })

  it("makes its first sender the parent, and a later one does not replace it", () => {
    const [state] = run(withNeighbors(1, 2, 3), [gossip(1), gossip(2, id(2))])
    assert.strictEqual(BroadcastTree.parent(state, root), 1)
    assert.deepStrictEqual(BroadcastTree.lazy(state, root), [])
  })

  it("is announced to the parent when another neighbour gave it, so that two nodes never feed each other", () => {
    assert.deepStrictEqual(last(withNeighbors(1, 2, 3), [gossip(1), gossip(2, id(2))]), [
      delivered(id(2)),
      seen(2, id(2)),
      push(3, id(2)),
      announced(id(2), [1], BroadcastTree.roundMax)
    ])
  })

  it("of a lazy neighbour is taken, and the neighbour stays lazy while the parent is there", () => {
    const [state, actions] = run(withNeighbors(1, 2), [gossip(1), gossip(2), gossip(2, id(2))])
    assert.deepStrictEqual(
      actions.filter(({ _tag }) => _tag === "Send"),
      []
    )
    assert.deepStrictEqual(BroadcastTree.lazy(state, root), [2])
  })

  it("of a lazy neighbour makes it the parent if there is none, and tells it so", () => {
    const state = withNeighbors(1, 2)
    const actions = last(state, [received(2, prune), gossip(2)])
    assert.deepStrictEqual(actions, [send(2, adopt), delivered(), seen(2), push(1)])
  })

  it("counts hops up to 65,535 and not further", () => {
    const far = 0xffff
    assert.deepStrictEqual(last(withNeighbors(1, 2), [gossip(1, id(1), far)]), [
      delivered(id(1), far),
      seen(1, id(1), far),
      push(2, id(1), far)
    ])
  })

  it("under this node's own name that it never numbered is dropped and counted", () => {
    for (const forged of [own(1), { ...own(1), incarnation: 9 }]) {
      const [state, actions] = run(withNeighbors(1, 2), [gossip(1, forged)])
      assert.deepStrictEqual(actions, [])
      assert.strictEqual(state.counters.impostors, 1)
    }
  })

  it("of one origin too many takes the place of one of which nothing is cached, whose row is deleted", () => {
    const other = "000000000009"
    const small = run(BroadcastTree.make({ ...config, originsMax: 1 }, none, 1), [neighbors(1, 1, 2), gossip(1)])[0]
    const late = BroadcastTree.defaults.cacheAgeMs + 1
    const [aged] = run(small, [{ _tag: "TimerFired", timer: { _tag: "Tick", number: small.tick.number } }], late)
    const [state, actions] = run(aged, [gossip(1, id(1, other))], late)
    assert.deepInclude(actions, delivered(id(1, other)))
    const rows = actions.flatMap((action) => (action._tag === "Write" ? action.rows : []))
    assert.deepStrictEqual(rows, [{ table: "windows", key: root, value: null }])
    assert.deepStrictEqual([state.counters.originsForgotten, state.counters.originsRefused], [1, 0])
    assert.deepStrictEqual(
      [BroadcastTree.hasSeen(state, id(1)), BroadcastTree.hasSeen(state, id(1, other))],
      [false, true]
    )
  })

  it("a tree that is rebuilt remembers no more origins either, what is stored first", () => {
    const [stored, ...others] = ["000000000007", "000000000008", "000000000009"] as const
    const rows = new Map([["windows", new Map([[stored, [[1, 1, 3]]]])]])
    const delivered = run(BroadcastTree.make(config, none, 1), [
      neighbors(1, 1),
      ...others.map((origin) => gossip(1, id(1, origin)))
    ])[0].windows
    const state = BroadcastTree.rebuild({ ...config, originsMax: 2 }, rows, delivered, Rng.make(1))
    assert.deepStrictEqual(BroadcastTree.invariants(state), [])
    assert.isTrue(BroadcastTree.hasSeen(state, id(3, stored)))
    assert.lengthOf(
      others.filter((origin) => BroadcastTree.hasSeen(state, id(1, origin))),
      1
    )
  })

  it("of one origin too many is refused and counted while all others are cached; known origins go on", () => {
    const small = run(BroadcastTree.make({ ...config, originsMax: 1 }, none, 1), [neighbors(1, 1, 2), gossip(1)])[0]
    const [state, actions] = run(small, [gossip(1, id(1, "000000000009"))])
    assert.deepStrictEqual([actions, state.counters.originsRefused], [[], 1])
    assert.deepStrictEqual(last(small, [gossip(1, id(2))]).slice(0, 1), [delivered(id(2))])
  })

  it("of another origin has its room beside this node's own", () => {
    const small = BroadcastTree.make({ ...config, originsMax: 1 }, none, 1)
    const [state, written] = run(small, [neighbors(1, 1, 2), broadcast(7)])
    const [sent] = run(state, [{ _tag: "Written", token: tokenOf(written) }])
    assert.isTrue(BroadcastTree.hasSeen(sent, own(1)))
    assert.deepInclude(last(sent, [gossip(1)]), delivered(id(1)))
  })
})

describe("A second copy", () => {
  it("is not delivered; its sender is pruned, and nobody else", () => {
    const [state, actions] = run(withNeighbors(1, 2, 3), [gossip(1), gossip(2)])
    assert.deepStrictEqual(actions, [send(2, prune)])
    assert.deepStrictEqual(BroadcastTree.lazy(state, root), [2])
    assert.deepStrictEqual(BroadcastTree.eager(state, root), [1, 3])
  })

  it("of the parent prunes the neighbour that was faster this time", () => {
    const [state, actions] = run(withNeighbors(1, 2), [gossip(1), gossip(2, id(2)), gossip(1, id(2))])
    assert.deepStrictEqual(actions, [send(2, prune)])
    assert.deepStrictEqual([BroadcastTree.parent(state, root), BroadcastTree.eager(state, root)], [1, [1]])
  })

  it("never leaves a node without a parent: two broadcasts that take two paths keep one of them", () => {
    // The paper's rule prunes 2 for the first broadcast and 1 for the second, and no path is left.
    const [state] = run(withNeighbors(1, 2), [gossip(1), gossip(2, id(2)), gossip(2), gossip(1, id(2))])
    assert.strictEqual(BroadcastTree.parent(state, root), 1)
    assert.deepStrictEqual(BroadcastTree.eager(state, root), [1])
  })

  it("keeps its sender if the parent is gone and the first sender is lazy", () => {
    const gone = [gossip(3), received(1, prune), gossip(1, id(2)), neighbors(2, 1, 2)]
    const state = run(withNeighbors(1, 2, 3), gone)[0]
    assert.strictEqual(BroadcastTree.parent(state, root), null)
    const [after, actions] = run(state, [gossip(2, id(2))])
    assert.deepStrictEqual(actions, [])
    assert.strictEqual(BroadcastTree.parent(after, root), 2)
  })

  it("prunes its sender if the parent is gone and the first sender is still eager", () => {
    const state = run(withNeighbors(1, 2, 3), [gossip(3), gossip(1, id(2)), neighbors(2, 1, 2)])[0]
    const [after, actions] = run(state, [gossip(2, id(2))])
    assert.deepStrictEqual(actions, [send(2, prune)])
    assert.strictEqual(BroadcastTree.parent(after, root), 1)
  })

  it("on the same link changes nothing", () => {
    const [state] = run(withNeighbors(1, 2), [gossip(1)])
    const [after, actions] = run(state, [gossip(1)])
    assert.deepStrictEqual(actions, [])
    assert.deepStrictEqual(after.roots, state.roots)
  })

  it("of an own broadcast is always pruned", () => {
    const [state, written] = run(withNeighbors(1, 2), [broadcast(7)])
    const actions = last(state, [{ _tag: "Written", token: tokenOf(written) }, gossip(1, own(1))])
    assert.deepStrictEqual(actions, [send(1, { _tag: "Prune", root: self.id })])
  })

  it("whose payload is long forgotten is known by its number all the same", () => {
    const [state] = run(withNeighbors(1, 2), [gossip(1)])
    const [late, forgotten] = run(state, [neighbors(2, 1, 2)], 60_000)
    assert.deepInclude(forgotten, emit({ _tag: "Forgotten", ids: [id(1)] }))
    assert.deepStrictEqual(last(late, [gossip(2)], 60_001), [send(2, prune)])
  })
})

describe("An own broadcast", () => {
  it("is numbered and stored first; nothing else leaves before that is durable", () => {
    assert.deepStrictEqual(last(withNeighbors(1, 2), [broadcast(7)]), [
      {
        _tag: "Write",
        token: withNeighbors(1).tokens[0] + 1,
        rows: [{ table: "meta", key: "sequence", value: [3, 1] }]
      }
    ])
  })

  it("is delivered here, accepted and pushed once its number is durable", () => {
    const [state, written] = run(withNeighbors(1, 2), [broadcast(7)])
    const durable: Event = { _tag: "Written", token: tokenOf(written) }
    assert.deepStrictEqual(last(state, [durable]), [
      delivered(own(1), 0),
      seen(null, own(1)),
      pushAlong(1, own(1), 1),
      pushAlong(2, own(1), 1),
      emit({ _tag: "Accepted", token: 7, id: own(1) })
    ])
    assert.deepStrictEqual(last(state, [durable, durable]), [])
  })

  it("waits for its own number: an older answer of the store releases only what is older", () => {
    const [one, first] = run(withNeighbors(), [broadcast(1)])
    const [two, second] = run(one, [broadcast(2)])
    const accepted = (events: ReadonlyArray<Event>): ReadonlyArray<number> =>
      last(two, events).flatMap((action) =>
        action._tag === "Emit" && action.output._tag === "Accepted" ? [action.output.token] : []
      )
    assert.deepStrictEqual(accepted([{ _tag: "Written", token: tokenOf(first) }]), [1])
    assert.deepStrictEqual(accepted([{ _tag: "Written", token: tokenOf(second) }]), [1, 2])
    assert.deepStrictEqual(accepted([{ _tag: "Written", token: tokenOf(second) + 1 }]), [])
  })

  it("is asked for again if the store's answer was lost with a crashed step", () => {
    const [state, first] = run(withNeighbors(), [broadcast(1)])
    const timer = first.flatMap((action) => (action._tag === "SetTimer" ? [action.timer] : []))[0]
    const fired: Event = { _tag: "TimerFired", timer: timer ?? assert.fail("no timer") }
    const [late, again] = run(state, [fired], 2000)
    const actions = last(late, [{ _tag: "Written", token: tokenOf(again) }], 2001)
    assert.deepInclude(actions, emit({ _tag: "Accepted", token: 1, id: own(1) }))
  })

  it("is rejected when 1,024 wait, when it is too large, and when the topic is none", () => {
    const full = run(
      withNeighbors(),
      Array.from({ length: 1024 }, (_, token) => broadcast(token))
    )[0]
    const rejected = (reason: BroadcastTree.Rejection): ReadonlyArray<Action> => [
      emit({ _tag: "Rejected", token: 9, reason })
    ]
    assert.deepStrictEqual(last(full, [broadcast(9)]), rejected("busy"))
    const idle = withNeighbors(1)
    assert.deepStrictEqual(last(idle, [broadcast(9, "x".repeat(512 * 1024))]), rejected("too-large"))
    assert.deepStrictEqual(last(idle, [broadcast(9, "\u{4e2d}".repeat(200 * 1024))]), rejected("too-large"))
    for (const topic of [-1, 256, 0.5]) {
      assert.deepStrictEqual(last(idle, [{ _tag: "Broadcast", token: 9, topic, payload: "" }]), rejected("bad-topic"))
    }
  })
})

describe("Prune, Graft, Adopt", () => {
  it("a prune makes its sender lazy in that root's tree only, and is not answered", () => {
    const [state, actions] = run(withNeighbors(1, 2), [received(2, prune)])
    assert.deepStrictEqual(actions, [])
    assert.deepStrictEqual(BroadcastTree.lazy(state, root), [2])
    assert.deepStrictEqual(BroadcastTree.lazy(state, "000000000009"), [])
  })

  it("a prune of the parent leaves none, and the next sender takes its place", () => {
    const [state] = run(withNeighbors(1, 2), [gossip(1), received(1, prune), gossip(2, id(2))])
    assert.strictEqual(BroadcastTree.parent(state, root), 2)
  })

  it("a prune of a parent that was told so crossed the word: it stays, and serves this node", () => {
    const told = [received(1, prune), gossip(1), received(1, prune)]
    const [state, actions] = run(withNeighbors(1, 2), told)
    assert.deepStrictEqual(actions, [])
    assert.deepStrictEqual([BroadcastTree.parent(state, root), BroadcastTree.lazy(state, root)], [1, []])
  })

  it("a graft makes its sender eager and is answered with the payload, one hop further", () => {
    const [state] = run(withNeighbors(1, 2), [received(2, prune), gossip(1, id(1), 4)])
    const [after, actions] = run(state, [received(2, { _tag: "Graft", ids: [id(1)] })])
    const answer = { _tag: "Gossip", id: id(1), round: 5, topic: 1, payload: "hello", mended: true } as const
    assert.deepStrictEqual(actions, [send(2, { ...answer, loose: true })])
    assert.deepStrictEqual(BroadcastTree.eager(after, root), [1, 2])
  })

  it("a graft of an unknown broadcast is answered by a miss, and repair hears that it cannot be had", () => {
    const ids = [id(1), id(2)]
    assert.deepStrictEqual(last(withNeighbors(1, 2), [gossip(1), received(2, { _tag: "Graft", ids })]), [
      mended(2),
      send(2, { _tag: "GraftMiss", ids: [id(2)] }),
      emit({ _tag: "Forgotten", ids: [id(2)] })
    ])
  })

  it("a graft that names a broadcast twice is answered once", () => {
    const graft = received(2, { _tag: "Graft", ids: [id(1), id(1)] })
    assert.deepStrictEqual(last(withNeighbors(1, 2), [gossip(1), graft]), [mended(2)])
  })

  it("a graft is answered with at most 256 KiB, but always with one payload, and the rest is announced again", () => {
    const payload = "x".repeat(200 * 1024)
    const big = (seq: number): Event => received(1, { _tag: "Gossip", id: id(seq), round: 1, topic: 1, payload })
    const graft = received(2, { _tag: "Graft", ids: [id(1), id(2), id(3)] })
    const [before] = run(withNeighbors(1, 2), [big(1), big(2), big(3)])
    const [state, actions] = run(before, [graft])
    assert.deepStrictEqual(
      actions.filter(({ _tag }) => _tag === "Emit"),
      [2, 3].map((seq) => emit({ _tag: "Announce", id: id(seq), round: 2, links: [2] }))
    )
    assert.strictEqual(actions.filter(({ _tag }) => _tag === "Send").length, 1)
    assert.strictEqual(state.counters.graftsShed, 2)
  })

  it("a graft of the parent is answered, and whoever gave the broadcast becomes the parent", () => {
    const [state] = run(withNeighbors(1, 2, 3), [gossip(1), gossip(2), gossip(2, id(2))])
    assert.deepStrictEqual([BroadcastTree.parent(state, root), BroadcastTree.lazy(state, root)], [1, [2]])
    const [after, actions] = run(state, [received(1, { _tag: "Graft", ids: [id(2)] })])
    assert.deepStrictEqual(actions, [send(2, adopt), mended(1, id(2))])
    assert.strictEqual(BroadcastTree.parent(after, root), 2)
  })

  it("an adoption makes its sender eager without a payload", () => {
    const [state, actions] = run(withNeighbors(1, 2), [gossip(1), received(2, prune), received(2, adopt)])
    assert.deepStrictEqual(actions, [])
    assert.deepStrictEqual(BroadcastTree.eager(state, root), [1, 2])
  })

  it("repair's wish becomes a graft, for the unseen only, and the neighbour becomes the parent", () => {
    const wish: Event = { _tag: "Graft", link: 2, ids: [id(1), id(2)] }
    const [state, actions] = run(withNeighbors(1, 2), [gossip(1), received(2, prune), wish])
    assert.deepStrictEqual(actions, [confirmed(1), send(2, { _tag: "Graft", ids: [id(2)] })])
    assert.strictEqual(BroadcastTree.parent(state, root), 2)
    assert.deepStrictEqual(BroadcastTree.eager(state, root), [1, 2])
  })

  it("repair's wish is not sent for what is seen, nor to a link that is no neighbour's", () => {
    const state = run(withNeighbors(1, 2), [gossip(1)])[0]
    assert.deepStrictEqual(last(state, [{ _tag: "Graft", link: 2, ids: [id(1)] }]), [confirmed(1)])
    assert.deepStrictEqual(last(state, [{ _tag: "Graft", link: 8, ids: [id(2)] }]), [
      emit({ _tag: "Missed", link: 8, ids: [id(2)] })
    ])
  })

  it("a graft of more than 100 broadcasts goes in several frames", () => {
    const ids = Array.from({ length: 250 }, (_, i) => id(i + 1))
    const sizes = last(withNeighbors(1), [{ _tag: "Graft", link: 1, ids }]).map((action) =>
      action._tag === "Send" && action.message._tag === "Graft" ? action.message.ids.length : 0
    )
    assert.deepStrictEqual(sizes, [100, 100, 50])
  })

  it("a miss is handed to repair and changes nothing else", () => {
    const state = withNeighbors(1, 2)
    const [after, actions] = run(state, [received(2, { _tag: "GraftMiss", ids: [id(1)] })])
    assert.deepStrictEqual(actions, [emit({ _tag: "Missed", link: 2, ids: [id(1)] })])
    assert.deepStrictEqual({ ...after, counters: state.counters }, state)
  })
})

describe("Broadcasts along another root's tree", () => {
  const other = "0000000000ff"

  const along = (link: number, seq: number, of: string = other): Event =>
    received(link, { _tag: "Gossip", id: id(seq, of), round: 1, topic: 1, payload: "hello", along: root })

  const soft: BroadcastTree.Message = { _tag: "Prune", root, unlessParent: true }

  it("go to the parent too, and keep their way", () => {
    const state = run(withNeighbors(1, 2, 3), [gossip(1)])[0]
    const onward = { _tag: "Gossip", id: id(1, other), round: 2, topic: 1, payload: "hello", along: root } as const
    assert.deepStrictEqual(last(state, [along(2, 1)]).slice(2), [send(1, onward), send(3, onward)])
    assert.strictEqual(BroadcastTree.parent(run(state, [along(2, 1)])[0], root), 1)
  })

  it("ask for a cut of a surplus link, and cut it when the other end agrees", () => {
    const state = run(withNeighbors(1, 2, 3), [gossip(1), along(2, 1)])[0]
    const [asked, actions] = run(state, [along(3, 1)])
    assert.deepStrictEqual(actions, [send(3, soft)])
    assert.deepStrictEqual(BroadcastTree.lazy(asked, root), [])
    assert.deepStrictEqual(BroadcastTree.lazy(run(asked, [received(3, prune)])[0], root), [3])
    // The second copy is the parent's: it is the first giver's link that is too many.
    assert.deepStrictEqual(last(state, [along(1, 1)]), [send(2, soft)])
  })

  it("whoever is asked to cut its parent does not, and any other link it does", () => {
    const state = run(withNeighbors(1, 2), [gossip(1)])[0]
    assert.deepStrictEqual(last(state, [received(1, soft)]), [])
    const [after, actions] = run(state, [received(2, soft)])
    assert.deepStrictEqual(actions, [send(2, prune)])
    assert.deepStrictEqual([BroadcastTree.parent(after, root), BroadcastTree.lazy(after, root)], [1, [2]])
  })

  it("one that was grafted makes the link eager in that tree, and no parent", () => {
    const state = run(withNeighbors(1, 2, 3), [gossip(1), gossip(2), along(2, 1)])[0]
    assert.deepStrictEqual([BroadcastTree.lazy(state, root), BroadcastTree.parent(state, root)], [[], 1])
    const asked = received(3, { _tag: "Graft", ids: [id(1, other)] })
    const pruned = run(state, [received(3, prune), asked])[0]
    assert.deepStrictEqual(BroadcastTree.lazy(pruned, root), [])
  })
})

describe("The entry of a data centre", () => {
  const here: BroadcastTree.Config = { ...config, self: { ...self, datacenter: "here" } }

  /** Links 1 and 2 lead elsewhere, 3 and 4 to this data centre. */
  const apart: Event = {
    _tag: "Neighbors",
    version: 1,
    neighbors: [1, 2, 3, 4].map((link) => ({
      link,
      peer: { ...neighbor(link).peer, datacenter: link <= 2 ? "there" : "here" }
    }))
  }

  const before = "000000000005"
  const after = "ffffffffffff"

  const copy = (link: number, entry?: string, seq: number = 1): Event =>
    received(link, {
      _tag: "Gossip",
      id: id(seq),
      round: 1,
      topic: 1,
      payload: "hello",
      ...(entry !== undefined && { entry })
    })

  const state = (): BroadcastTree.State => run(BroadcastTree.make(here, none, 1), [apart])[0]

  const entriesIn = (actions: ReadonlyArray<Action>): ReadonlyArray<string | undefined> =>
    actions.flatMap((action) =>
      action._tag === "Send" && action.message._tag === "Gossip" ? [action.message.entry] : []
    )

  const word = (entry: string): BroadcastTree.Message => ({ _tag: "Entry", id: id(1), entry })

  it("is who got the broadcast from elsewhere, and travels within the data centre", () => {
    assert.deepStrictEqual(entriesIn(last(state(), [copy(1, before)])), [self.id, self.id, self.id])
    assert.deepStrictEqual(entriesIn(last(state(), [copy(3, before)])), [before, before, before])
    assert.deepStrictEqual(entriesIn(last(state(), [copy(3)])), [undefined, undefined, undefined])
  })

  it("gives way to one with a smaller id that costs little time, and the neighbours here are told", () => {
    const [left, actions] = run(state(), [copy(1), copy(3, before)])
    assert.deepStrictEqual(actions, [send(3, adopt), send(1, prune), send(4, word(before))])
    assert.deepStrictEqual([BroadcastTree.parent(left, root), left.counters.entriesLeft], [3, 1])
    assert.deepStrictEqual(last(state(), [copy(1), received(4, word(before))]), [
      send(4, adopt),
      send(1, prune),
      send(3, word(before))
    ])
  })

  it("is chosen also by who has no parent any more", () => {
    const withoutOne: Event = { ...apart, version: 2, neighbors: apart.neighbors.slice(1) }
    const [left, actions] = run(state(), [copy(1), withoutOne, copy(3, before)])
    assert.deepStrictEqual(actions, [send(3, adopt), send(4, word(before))])
    assert.strictEqual(BroadcastTree.parent(left, root), 3)
  })

  it("stays for one with a greater id, from elsewhere, that is told of late, or by the parent itself", () => {
    assert.deepStrictEqual(last(state(), [copy(1), copy(3, after)]), [send(3, prune)])
    assert.deepStrictEqual(last(state(), [copy(1), copy(2, before)]), [send(2, prune)])
    assert.deepStrictEqual(last(run(state(), [copy(1)])[0], [copy(3, before)], 31), [send(3, prune)])
    assert.deepStrictEqual(last(state(), [copy(3, after), received(3, word(before))]), [])
    assert.deepStrictEqual(last(state(), [received(3, word(before))]), [])
  })

  it("is not chosen by hops: only between neighbours here is a shorter way taken", () => {
    const shorter = (link: number): Event => ({ _tag: "Shorter", link, id: id(1), round: 0, since: 0 })
    for (const link of [2, 3]) assert.deepStrictEqual(last(state(), [copy(1), shorter(link)]), [])
    const [within] = run(state(), [copy(3, undefined, 2), copy(3)])
    assert.deepStrictEqual(last(within, [shorter(2)]), [])
    assert.deepStrictEqual(last(within, [shorter(4)]), [send(4, adopt)])
  })

  it("has a neighbour's announcement count no more: the hops were those of the way that it left", () => {
    const shorter: Event = { _tag: "Shorter", link: 4, id: id(1), round: 0, since: 0 }
    const [within] = run(state(), [copy(3, undefined, 2), copy(3, before)])
    assert.deepStrictEqual(last(within, [shorter]), [send(4, adopt)])
    assert.deepStrictEqual(last(within, [received(4, word(after)), shorter]), [])
  })

  it("is not compared for a broadcast that another than the parent gave", () => {
    const [second] = run(state(), [copy(1), copy(2, undefined, 2)])
    assert.deepStrictEqual(last(second, [copy(3, before, 2)]), [send(3, prune)])
  })
})

describe("A shorter way", () => {
  const shorter = (link: number, round: number, since: number = 0): Event => ({
    _tag: "Shorter",
    link,
    id: id(1),
    round,
    since
  })

  const deep = (): BroadcastTree.State =>
    run(withNeighbors(1, 2, 3), [gossip(1, id(4)), received(2, prune), received(3, prune), gossip(1, id(1), 9)])[0]

  it("changes the parent, says so, and keeps the old one until the next duplicate", () => {
    const [state, actions] = run(deep(), [shorter(2, 4)], 50)
    assert.deepStrictEqual(actions, [send(2, adopt)])
    assert.deepStrictEqual([BroadcastTree.parent(state, root), BroadcastTree.eager(state, root)], [2, [1, 2]])
    assert.deepStrictEqual(last(state, [gossip(2, id(2)), gossip(1, id(2))], 60).slice(-1), [send(1, prune)])
    assert.deepStrictEqual(last(state, [gossip(1, id(2)), gossip(2, id(2))], 60).slice(-1), [send(1, prune)])
  })

  it("is not taken by a broadcast that came another way than the tree's: its hops are not those of the tree", () => {
    const first = run(withNeighbors(1, 2), [received(2, prune), gossip(1, id(1), 9)])[0]
    assert.deepStrictEqual(last(first, [shorter(2, 4)]), [])
    const other = run(withNeighbors(1, 2, 3), [gossip(3, id(4)), received(2, prune), gossip(1, id(1), 9)])[0]
    assert.deepStrictEqual(last(other, [shorter(2, 4)]), [])
  })

  it("counts from the shortest that is known", () => {
    const [state] = run(deep(), [shorter(2, 4)])
    assert.deepStrictEqual(last(state, [shorter(3, 4)]), [])
    assert.deepStrictEqual(last(state, [shorter(3, 3)]), [send(3, adopt)])
  })

  it("is not taken if it takes longer, of what is unknown, or this node's own, nor through the parent or a stranger", () => {
    const state = deep()
    assert.deepStrictEqual(last(state, [shorter(2, 4, 1)], 1), [])
    for (const link of [1, 8]) assert.deepStrictEqual(last(state, [shorter(link, 4)]), [])
    assert.deepStrictEqual(last(state, [{ _tag: "Shorter", link: 2, id: id(2), round: 1, since: 0 }]), [])
    assert.deepStrictEqual(last(state, [{ _tag: "Shorter", link: 2, id: own(1), round: 0, since: 0 }]), [])
  })
})

describe("Broadcasts of a sender that asked for order", () => {
  const follows = (seq: number, after: number, link: number = 1): Event =>
    received(link, { _tag: "Gossip", id: id(seq), round: 1, topic: 1, payload: "hello", after })

  const handedOut = (actions: ReadonlyArray<Action>): ReadonlyArray<number> =>
    actions.flatMap((action) =>
      action._tag === "Emit" && action.output._tag === "Delivered" ? [action.output.id.seq] : []
    )

  it("wait for the one before and for nothing else, and travel on meanwhile", () => {
    const [state, actions] = run(withNeighbors(1, 2), [gossip(1), follows(5, 3)])
    assert.deepStrictEqual(handedOut(actions), [])
    assert.deepInclude(actions, seen(1, id(5)))
    const onward = { _tag: "Gossip", id: id(5), round: 2, topic: 1, payload: "hello", after: 3 } as const
    assert.deepInclude(actions, send(2, onward))
    assert.deepStrictEqual(handedOut(last(state, [gossip(1, id(4))])), [4])
    assert.deepStrictEqual(handedOut(last(state, [gossip(1, id(3))])), [3, 5])
    assert.deepStrictEqual(handedOut(last(state, [follows(7, 5), follows(3, 1)])), [3, 5, 7])
  })

  it("of a run that is new do not wait: what came before was not meant for this node", () => {
    assert.deepStrictEqual(handedOut(last(withNeighbors(1), [follows(5, 3)])), [5])
  })

  it("are handed out after ten seconds without the one before, counted, and that one when it comes", () => {
    const [state] = run(withNeighbors(1, 2), [gossip(1), follows(5, 3), follows(7, 5)])
    const [early, before] = run(state, [{ _tag: "Started" }], 9999)
    assert.deepStrictEqual(handedOut(before), [])
    const [late, after] = run(early, [{ _tag: "Started" }], 10_000)
    assert.deepStrictEqual([handedOut(after), late.counters.orderGivenUp], [[5, 7], 1])
    assert.deepStrictEqual(handedOut(last(late, [gossip(1, id(3))], 10_001)), [3])
  })

  it("of those that wait, what is over a bound is handed out, the oldest first", () => {
    const tight = BroadcastTree.make({ ...config, orderCountMax: 2 }, none, 1)
    const [state, actions] = run(tight, [neighbors(1, 1), gossip(1), follows(3, 2), follows(5, 4), follows(7, 6)])
    assert.deepStrictEqual([handedOut(actions), state.counters.orderGivenUp], [[3], 1])
  })

  it("that wait are not stored as delivered", () => {
    const [state] = run(withNeighbors(1), [gossip(1), follows(5, 3)])
    const [, actions] = run(state, [{ _tag: "TimerFired", timer: { _tag: "Tick", number: state.tick.number } }], 1000)
    assert.isFalse(actions.some(({ _tag }) => _tag === "Write"))
  })

  it("name the last one that asked for it, also in a state made anew; the last of all if that cannot be read or never left", () => {
    const ordered: Event = { _tag: "Broadcast", token: 1, topic: 1, payload: "hello", ordered: true }
    const [state] = run(withNeighbors(1), [ordered, broadcast(2), ordered])
    const [, actions] = run(state, [{ _tag: "Written", token: state.tokens[1] }])
    const after = (of: ReadonlyArray<Action>): ReadonlyArray<number | undefined> =>
      of.flatMap((action) => (action._tag === "Send" && action.message._tag === "Gossip" ? [action.message.after] : []))
    assert.deepStrictEqual(after(actions), [0, undefined, 1])
    for (const [row, before] of [
      [[3, 7], 7],
      [[3, 7, "later"], 7],
      [[3, 9], 8],
      [[3, 12], 8],
      [[2, 7], 0],
      [undefined, 0],
      [[3], 8],
      [[3, "7"], 8],
      ["7", 8]
    ] as const) {
      const meta = new Map<string, unknown>([["sequence", [3, 9]]])
      if (row !== undefined) meta.set("ordered", row)
      const sent: BroadcastTree.Windows = HashMap.make([self.id, [[3, [[1, 8]]]]] as const)
      const anew = BroadcastTree.rebuild(config, new Map([["meta", meta]]), sent, 1)
      const isUnread = row !== undefined && (row.length < 2 || typeof row[1] !== "number")
      assert.strictEqual(anew.counters.storedRefused, isUnread ? 1 : 0, JSON.stringify(row))
      const [begun] = run(anew, [neighbors(1, 1), ordered])
      assert.deepStrictEqual(after(run(begun, [{ _tag: "Written", token: begun.tokens[1] }])[1]), [before])
    }
  })

  it("are stored with their number, in one write, so that a state made anew goes on after them", () => {
    const ordered: Event = { _tag: "Broadcast", token: 1, topic: 1, payload: "hello", ordered: true }
    const stored = new Map<string, unknown>()
    let state = withNeighbors(1)
    for (const [event, keys] of [
      [broadcast(1), ["sequence"]],
      [ordered, ["sequence", "ordered"]],
      [broadcast(2), ["sequence", "ordered"]]
    ] as const) {
      const [next, written] = run(state, [event])
      state = next
      const writes = written.flatMap((action) => (action._tag === "Write" ? [action.rows] : []))
      assert.deepStrictEqual(
        writes.map((rows) => rows.map(({ key }) => key)),
        [[...keys]]
      )
      for (const row of writes.flat()) stored.set(row.key, row.value)
    }
    const sent: BroadcastTree.Windows = HashMap.make([self.id, [[3, [[1, 3]]]]] as const)
    const anew = BroadcastTree.rebuild(config, new Map([["meta", stored]]), sent, 1)
    assert.deepStrictEqual([anew.sequence, anew.ordered], [state.sequence, state.ordered])
    assert.deepStrictEqual([anew.sequence, anew.ordered], [3, 2])
  })

  it("come in order, whatever order they arrive in, and the others at once", () => {
    const schedule = fc.array(fc.boolean(), { minLength: 1, maxLength: 12 }).chain((flags) =>
      fc.tuple(
        fc.constant(flags),
        fc.shuffledSubarray(
          flags.map((_, i) => i),
          { minLength: flags.length }
        )
      )
    )
    fc.assert(
      fc.property(schedule, ([flags, arrivals]) => {
        let state = run(withNeighbors(1, 2), [gossip(1)])[0]
        const out: Array<number> = []
        for (const index of arrivals) {
          const before = flags.slice(0, index).lastIndexOf(true)
          const seq = index + 2
          const event = flags[index] === true ? follows(seq, before === -1 ? 1 : before + 2) : gossip(1, id(seq))
          const [next, actions] = run(state, [event])
          state = next
          if (flags[index] !== true)
            assert.strictEqual(handedOut(actions)[0], seq, "who asked for nothing waits for nothing")
          out.push(...handedOut(actions))
        }
        const ordered = out.filter((seq) => flags[seq - 2] === true)
        assert.deepStrictEqual(
          ordered,
          ordered.toSorted((a, b) => a - b)
        )
        assert.strictEqual(new Set(out).size, flags.length)
        assert.strictEqual(state.counters.orderGivenUp, 0)
      })
    )
  })
})

describe("A payload that was left out on a long queue", () => {
  const shed = (link: number, of: MessageId.MessageId = id(1)): Event => ({ _tag: "Shed", link, id: of })

  it("is announced there instead, and the link stays eager", () => {
    const [state, actions] = run(withNeighbors(1, 2), [gossip(1), shed(2)])
    assert.deepStrictEqual(actions, [announced(id(1), [2], BroadcastTree.roundMax)])
    assert.deepStrictEqual(last(state, [gossip(1, id(2)), shed(2, id(2))]), [announced(id(2), [2], 2)])
    assert.deepStrictEqual([BroadcastTree.eager(state, root), state.counters.payloadsShed], [[1, 2], 1])
  })

  it("is not announced to who is no neighbour any more, nor if it cannot be had", () => {
    assert.deepStrictEqual(last(withNeighbors(1, 2), [gossip(1), shed(8)]), [])
    assert.deepStrictEqual(last(withNeighbors(1, 2), [gossip(1), shed(2, id(2))]), [])
  })
})

describe("Neighbours", () => {
  it("a new one is eager in every tree; one that goes leaves every tree", () => {
    const [state] = run(withNeighbors(1, 2), [gossip(1), gossip(2), neighbors(2, 2, 3)])
    assert.deepStrictEqual(
      [BroadcastTree.eager(state, root), BroadcastTree.lazy(state, root), BroadcastTree.parent(state, root)],
      [[3], [2], null]
    )
  })

  it("an older snapshot changes nothing", () => {
    const state = run(withNeighbors(1, 2), [neighbors(3, 1, 2, 3)])[0]
    assert.deepStrictEqual(run(state, [neighbors(2, 1)]), [state, []])
    assert.deepStrictEqual(run(state, [neighbors(3, 1)]), [state, []])
  })

  it("frames of a stranger change no set, deliver nothing, and are not answered", () => {
    const state = withNeighbors(1, 2)
    const strange = [gossip(9), received(9, prune), received(9, adopt), received(9, { _tag: "Graft", ids: [id(1)] })]
    const [after, actions] = run(state, strange)
    assert.deepStrictEqual(actions, [])
    assert.deepStrictEqual({ ...after, gate: state.gate }, state)
    assert.strictEqual(after.gate.held.length, 4)
  })

  it("frames that overtook the news of their neighbour are processed, in order, when it comes", () => {
    const [state] = run(withNeighbors(1), [gossip(9), received(9, prune)])
    const [after, actions] = run(state, [neighbors(2, 1, 9)])
    assert.deepStrictEqual(
      actions.filter(({ _tag }) => _tag !== "SetTimer"),
      [delivered(), seen(9), push(1)]
    )
    assert.deepStrictEqual([after.gate.held, BroadcastTree.lazy(after, root)], [[], [9]])
  })

  it("frames of a link that closed before are forgotten, and above 256 they are dropped and counted", () => {
    const down: Event = { _tag: "LinkDown", link: 9, reason: { _tag: "Reset" } }
    assert.deepStrictEqual(last(withNeighbors(1), [gossip(9), down, neighbors(2, 1, 9)]), [])
    const flood = Array.from({ length: LinkGate.heldMax + 3 }, (_, i) => gossip(9, id(i + 1)))
    assert.strictEqual(run(withNeighbors(1), flood)[0].gate.overflowed, 3)
  })
})

describe("Windows, payloads, roots", () => {
  const tick = (actions: ReadonlyArray<Action>): Event => {
    for (const action of actions) if (action._tag === "SetTimer") return { _tag: "TimerFired", timer: action.timer }
    return assert.fail("no timer is set")
  }

  it("changed windows are written after a second, changed origins only, own ones never", () => {
    const [one, set] = run(withNeighbors(1), [gossip(1)])
    assert.deepStrictEqual(set.at(-1), { _tag: "SetTimer", delayMs: 1000, timer: { _tag: "Tick", number: 1 } })
    const [two, written] = run(one, [tick(set)], 1000)
    assert.deepStrictEqual(
      written.flatMap((action) => (action._tag === "Write" ? action.rows : [])),
      [{ table: "windows", key: root, value: [[1, 1, 1]] }]
    )
    const own = run(two, [broadcast(1)], 1001)
    const [three] = run(own[0], [{ _tag: "Written", token: tokenOf(own[1]) }], 1002)
    assert.deepStrictEqual(last(three, [tick(own[1])], 2001), [])
  })

  it("changed windows are written at once when the node leaves, and only then", () => {
    const rows = (actions: ReadonlyArray<Action>) =>
      actions.flatMap((action) => (action._tag === "Write" ? action.rows : []))
    const [one] = run(withNeighbors(1), [gossip(1)])
    const [two, written] = run(one, [{ _tag: "Leave" }], 10)
    assert.deepStrictEqual(rows(written), [{ table: "windows", key: root, value: [[1, 1, 1]] }])
    assert.deepStrictEqual(rows(run(two, [{ _tag: "Leave" }], 11)[1]), [])
  })

  it("a timer of another number changes nothing", () => {
    const [state] = run(withNeighbors(1), [gossip(1)])
    assert.deepStrictEqual(run(state, [{ _tag: "TimerFired", timer: { _tag: "Tick", number: 0 } }], 10), [state, []])
    assert.deepStrictEqual(run(state, [{ _tag: "TimerFired", timer: { _tag: "Tick", number: 2 } }], 10), [state, []])
  })

  it("a timer that was lost is armed again by whatever comes a second after", () => {
    const [state] = run(withNeighbors(1), [gossip(1)])
    assert.deepStrictEqual(run(state, [{ _tag: "Started" }], 2000)[1], [])
    assert.deepStrictEqual(run(state, [{ _tag: "Started" }], 2001)[1], [
      { _tag: "SetTimer", delayMs: 1000, timer: { _tag: "Tick", number: 2 } }
    ])
  })

  it("payloads leave by age, by bytes and by number, and repair hears of it", () => {
    const ids = (actions: ReadonlyArray<Action>): ReadonlyArray<number> =>
      actions.flatMap((action) =>
        action._tag === "Emit" && action.output._tag === "Forgotten" ? action.output.ids.map(({ seq }) => seq) : []
      )
    const make = (settings: Partial<BroadcastTree.Settings>): BroadcastTree.State =>
      run(BroadcastTree.make({ ...config, ...settings }, none, 1), [neighbors(1, 1)])[0]
    const three = [gossip(1), gossip(1, id(2)), gossip(1, id(3))]
    assert.deepStrictEqual(ids(run(make({ cacheCountMax: 2 }), three)[1]), [1])
    assert.deepStrictEqual(ids(run(make({ cacheBytesMax: 10 }), three)[1]), [2])
    const [state] = run(make({}), three)
    assert.deepStrictEqual(ids(run(state, [{ _tag: "Started" }], 59_999)[1]), [])
    assert.deepStrictEqual(ids(run(state, [{ _tag: "Started" }], 60_000)[1]), [1, 2, 3])
  })

  const origin = (n: number): string => n.toString(16).padStart(12, "0")

  const crowd = (...roots: ReadonlyArray<number>): ReadonlyArray<Event> => roots.map((n) => gossip(1, id(1, origin(n))))

  const from = (first: number, count: number): ReadonlyArray<number> =>
    Array.from({ length: count }, (_, n) => first + n)

  it("at most 64 roots have a tree: those with the smallest ids, in whatever order they came", () => {
    for (const order of [from(0x100, 70), from(0x100, 70).toReversed()]) {
      const [state] = run(withNeighbors(1, 2), crowd(...order))
      assert.sameMembers([...BroadcastTree.rootsOf(state)], from(0x100, 64).map(origin))
      assert.deepStrictEqual(state.counters.rootsRefused + state.counters.rootsEvicted, 6)
    }
  })

  it("a root that was silent for ten minutes gives its place to a new one, the longest silent first", () => {
    const [young] = run(withNeighbors(1, 2), crowd(...from(0x100, 63)))
    const [full] = run(young, crowd(0x50), 1000)
    const [refused] = run(full, crowd(0x200), 599_999)
    assert.notInclude(BroadcastTree.rootsOf(refused), origin(0x200))
    const [taken] = run(full, crowd(0x200, 0x201), 600_000)
    const left = BroadcastTree.rootsOf(taken)
    assert.includeMembers([...left], [origin(0x200), origin(0x201), origin(0x50)])
    assert.deepStrictEqual([left.length, taken.counters.rootsEvicted], [64, 2])
  })

  it("of a root without a place nothing is remembered: it is pushed to all, every time", () => {
    const [state] = run(withNeighbors(1, 2, 3), crowd(...from(0x100, 64)))
    const late = origin(0x200)
    const [after] = run(state, [received(2, { _tag: "Prune", root: late }), gossip(1, id(1, late))])
    assert.deepStrictEqual(last(after, [gossip(1, id(2, late))]).slice(2), [push(2, id(2, late)), push(3, id(2, late))])
  })

  it("an own broadcast without a place travels along one of the 64, to eager neighbours and the parent", () => {
    const [state] = run(withNeighbors(1, 2, 3), crowd(...from(1, 64)))
    const [lazy] = run(
      state,
      from(1, 64).map((n) => received(3, { _tag: "Prune", root: origin(n) }))
    )
    const [numbered, written] = run(lazy, [broadcast(1)])
    const actions = last(numbered, [{ _tag: "Written", token: tokenOf(written) }])
    const pushed = actions.flatMap((action) =>
      action._tag === "Send" && action.message._tag === "Gossip" ? [[action.link, action.message.along] as const] : []
    )
    const along = pushed[0]?.[1] ?? ""
    assert.include(from(1, 64).map(origin), along)
    assert.deepStrictEqual(pushed, [
      [1, along],
      [2, along]
    ])
    assert.deepInclude(actions, emit({ _tag: "Announce", id: own(1), round: 1, links: [3] }))
    const [again] = run(numbered, [{ _tag: "Written", token: tokenOf(written) }])
    assert.strictEqual(again.counters.shared, 1)
  })

  it("of an origin's runs the two newest are kept; what is older counts as delivered", () => {
    const state = run(
      withNeighbors(1),
      [1, 2, 3].map((run) => gossip(1, id(1, root, run)))
    )[0]
    assert.isTrue(BroadcastTree.hasSeen(state, id(9, root, 1)))
    assert.isFalse(BroadcastTree.hasSeen(state, id(9, root, 2)))
    assert.deepStrictEqual(last(state, [gossip(1, id(2, root, 1))]), [])
  })

  it("more than 64 gaps close from below, counted, and nothing is delivered twice", () => {
    const [state] = run(
      withNeighbors(1),
      Array.from({ length: 66 }, (_, i) => gossip(1, id(2 * i + 1)))
    )
    assert.strictEqual(state.counters.gapsClosed, 2)
    assert.deepStrictEqual(last(state, [gossip(1, id(2))]), [])
  })
})

describe("After a restart", () => {
  const stored = (sequence: unknown, windows: ReadonlyArray<readonly [string, unknown]> = []): BroadcastTree.Stored =>
    new Map([
      ["meta", new Map([["sequence", sequence]])],
      ["windows", new Map(windows)]
    ])

  const nextSeq = (state: BroadcastTree.State): unknown => {
    const rows = last(state, [broadcast(1)]).flatMap((action) => (action._tag === "Write" ? action.rows : []))
    return rows[0]?.value
  }

  it("the sequence goes on within an incarnation and starts anew in the next", () => {
    assert.deepStrictEqual(nextSeq(BroadcastTree.rebuild(config, stored([3, 41]), HashMap.empty(), 1)), [3, 42])
    assert.deepStrictEqual(nextSeq(BroadcastTree.make(config, stored([2, 41]), 1)), [3, 1, [2, 1, 41]])
    assert.deepStrictEqual(nextSeq(BroadcastTree.make(config, none, 1)), [3, 1])
  })

  it("the sequence is never below what was delivered of this node's own broadcasts", () => {
    const delivered: BroadcastTree.Windows = HashMap.make([self.id, [[3, [[1, 44]]]]] as const)
    assert.deepStrictEqual(nextSeq(BroadcastTree.rebuild(config, stored([3, 41]), delivered, 1)), [3, 45])
  })

  it("nothing is delivered again that the store or the shell's record knows; the rest is", () => {
    const delivered: BroadcastTree.Windows = HashMap.make([root, [[1, [[5, 5]]]]] as const)
    const [state] = run(BroadcastTree.rebuild(config, stored([3, 1], [[root, [[1, 1, 3]]]]), delivered, 1), [
      neighbors(1, 1, 2)
    ])
    for (const seq of [1, 2, 3, 5]) {
      assert.notDeepInclude(last(state, [gossip(1, id(seq))]), delivered_(seq), `seq ${seq}`)
    }
    for (const seq of [4, 6]) assert.deepInclude(last(state, [gossip(1, id(seq))]), delivered_(seq), `seq ${seq}`)
  })

  it("nothing that this node sent is new to it: two runs later, or when the tree is rebuilt after it has sent in this one", () => {
    for (const sequence of [
      [2, 41],
      [3, 7, [2, 1, 41]]
    ]) {
      const [state] = run(BroadcastTree.rebuild(config, stored(sequence), HashMap.empty(), 1), [neighbors(1, 1, 2)])
      for (const [seq, incarnation] of [
        [41, 2],
        [1, 1],
        [99, 1]
      ] as const) {
        const actions = last(state, [gossip(1, id(seq, self.id, incarnation))])
        const isNew = actions.some((action) => action._tag === "Emit" && action.output._tag === "Delivered")
        assert.isFalse(isNew, `${incarnation}.${seq} after ${JSON.stringify(sequence)}`)
      }
    }
  })

  const formerRuns = [
    [[3, 7], 0, false],
    [[3, 7, [2, 1, 41]], 0, true],
    [[3, 7, [2, 1, 41], "later"], 0, true],
    [[3, 7, [2, 1, 41], [1, 1, 9]], 0, true],
    [[3, 7, "later"], 1, false],
    [[3, 7, []], 1, false],
    [[3, 7, [2, 41, 1]], 1, false],
    [[3, 7, [3, 8, 41]], 1, false],
    [[3, 7, "later", [2, 1, 41]], 1, false]
  ] as const
  for (const [sequence, refused, isFormerKnown] of formerRuns) {
    it(`what this node has sent holds, whatever stands behind it: ${JSON.stringify(sequence)}`, () => {
      const state = BroadcastTree.rebuild(config, stored(sequence), HashMap.empty(), 1)
      assert.strictEqual(state.counters.storedRefused, refused)
      assert.deepStrictEqual(BroadcastTree.invariants(state), [])
      assert.strictEqual(state.sequence, 7)
      assert.isTrue(BroadcastTree.hasSeen(state, id(7, self.id, 3)))
      assert.isFalse(BroadcastTree.hasSeen(state, id(8, self.id, 3)))
      assert.strictEqual(BroadcastTree.hasSeen(state, id(41, self.id, 2)), isFormerKnown)
    })
  }

  it("what does not begin with two counts is refused whole", () => {
    for (const sequence of [[3], [3, "7", [2, 1, 41]], ["3", 7], "3.7", [-1, 7]]) {
      const state = BroadcastTree.rebuild(config, stored(sequence), HashMap.empty(), 1)
      assert.deepStrictEqual([state.counters.storedRefused, state.sequence], [1, 0], JSON.stringify(sequence))
    }
  })

  const rowsOf = (actions: ReadonlyArray<Action>) =>
    actions.flatMap((action) => (action._tag === "Write" ? action.rows : []))

  const leave: Event = { _tag: "Leave" }

  it("what only the shell's record knows is written a second after it began, or when the node leaves; the rest is not", () => {
    const [other, older] = ["000000000007", "000000000008"]
    const delivered: BroadcastTree.Windows = HashMap.make(
      [root, [[1, [[5, 5]]]]] as const,
      [other, [[2, [[1, 3]]]]] as const,
      [self.id, [[3, [[1, 1]]]]] as const
    )
    const known = [
      [root, [[1, 1, 3]]],
      [other, [[2, 1, 4]]],
      [older, [[1, 1, 1]]]
    ] as const
    const anew = BroadcastTree.rebuild(config, stored([3, 1], known), delivered, 1)
    assert.deepStrictEqual(BroadcastTree.invariants(anew), [])
    const row = { table: "windows", key: root, value: [[1, 1, 3, 5, 5]] }
    const [started, begun] = run(anew, [{ _tag: "Started" }], 600)
    const timer = { _tag: "Tick", number: 1 } as const
    assert.deepStrictEqual(begun.at(-1), { _tag: "SetTimer", delayMs: 1000, timer })
    const [flushed, written] = run(started, [{ _tag: "TimerFired", timer }], 1600)
    assert.deepStrictEqual(rowsOf(written), [row])
    assert.deepStrictEqual(rowsOf(run(flushed, [leave], 10_000)[1]), [])
    for (const state of [anew, started]) assert.deepStrictEqual(rowsOf(run(state, [leave], 601)[1]), [row])
    // Whatever its first step was, it waits for a timer from then on.
    const [heard] = run(anew, [neighbors(1, 1)], 600)
    assert.deepStrictEqual([heard.isKnown, heard.tick.dueAt], [false, 1600])
    const spoilt = { ...heard, tick: { ...heard.tick, dueAt: null } }
    assert.deepStrictEqual(BroadcastTree.invariants(spoilt), ["changed windows wait for a timer"])
  })

  it("a tree that was rebuilt and leaves has stored what it knows, and nothing else", () => {
    const origin = fc.constantFrom(...["01", "02", "03", "04"].map((end) => end.padStart(12, "0")))
    const seqs = fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 1, maxLength: 6 })
    const ids = fc
      .array(fc.tuple(origin, fc.integer({ min: 1, max: 3 }), seqs), { maxLength: 6 })
      .map((all) => all.flatMap(([from, incarnation, some]) => some.map((seq) => id(seq, from, incarnation))))
    const windowsOf = (some: ReadonlyArray<MessageId.MessageId>, begun: BroadcastTree.State) =>
      run(begun, [neighbors(1, 1), ...some.map((one) => gossip(1, one))])[0].windows
    const tableOf = (windows: BroadcastTree.Windows): ReadonlyMap<string, unknown> =>
      new Map(
        [...windows].map(
          ([from, window]) => [from, window.map(([run, seen]) => [run, ...SeqSet.encode(seen)])] as const
        )
      )
    fc.assert(
      fc.property(ids, ids, fc.integer({ min: 1, max: 5 }), (before, since, originsMax) => {
        const begun = BroadcastTree.make(config, none, 1)
        const table = tableOf(windowsOf(before, begun))
        const small = { ...config, originsMax }
        const state = BroadcastTree.rebuild(small, new Map([["windows", table]]), windowsOf(since, begun), 1)
        const rows = rowsOf(run(state, [leave])[1])
        for (const { key, value } of rows) assert.notDeepEqual(value, table.get(key), "a row that says nothing new")
        const after = new Map([...table, ...rows.map(({ key, value }) => [key, value] as const)])
        const next = BroadcastTree.make(small, new Map([["windows", after]]), 1)
        assert.deepStrictEqual(tableOf(next.windows), tableOf(state.windows))
      })
    )
  })

  it("what a tree that is rebuilt has no room for is not written either", () => {
    const [stored_, ...others] = ["000000000007", "000000000008", "000000000009"] as const
    const delivered: BroadcastTree.Windows = HashMap.fromIterable(
      others.map((origin) => [origin, [[1, [[1, 1]]]]] as const)
    )
    const write = (originsMax: number): ReadonlyArray<string> => {
      const rows = stored([3, 1], [[stored_, [[1, 1, 3]]]])
      const state = BroadcastTree.rebuild({ ...config, originsMax }, rows, delivered, 1)
      const keys = rowsOf(run(state, [leave])[1]).map(({ key }) => key)
      for (const key of keys) assert.isTrue(BroadcastTree.hasSeen(state, id(1, key)))
      return keys
    }
    assert.deepStrictEqual(
      [1, 2, 3].map((max) => write(max).length),
      [0, 1, 2]
    )
  })

  it("a node's broadcasts of the run before are not delivered to itself", () => {
    const [state] = run(BroadcastTree.make(config, stored([2, 4]), 1), [neighbors(1, 1)])
    assert.deepStrictEqual(last(state, [gossip(1, { ...own(4), incarnation: 2 })]), [
      send(1, { _tag: "Prune", root: self.id })
    ])
  })

  it("an answer of the store to the state before is not taken for one of this state", () => {
    const [, written] = run(BroadcastTree.make(config, none, 1), [broadcast(1)])
    const [state] = run(BroadcastTree.rebuild(config, none, HashMap.empty(), 2), [broadcast(2)])
    assert.deepStrictEqual(last(state, [{ _tag: "Written", token: tokenOf(written) }]), [])
  })

  it("rows that cannot be read are counted and do not stop it", () => {
    const state = BroadcastTree.make(config, stored("?", [[root, [[1, 3, 2]]]]), 1)
    assert.deepStrictEqual([state.counters.storedRefused, BroadcastTree.invariants(state)], [2, []])
  })

  const delivered_ = (seq: number): Action => delivered(id(seq))
})

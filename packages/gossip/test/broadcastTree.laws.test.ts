import { assert, describe, it } from "@effect/vitest"
import { BroadcastTree, type MessageId } from "@starling/gossip"
import { LinkGate, type Machine } from "@starling/machine"
import * as fc from "fast-check"
import { anyTreeMessage, self, smallId, smallLink, smallNeighbors, smallRoot } from "./plumtreeArbitraries.ts"

type Event = BroadcastTree.Event

describe("Any sequence of events", () => {
  const message: fc.Arbitrary<BroadcastTree.Message> = fc.oneof(
    smallId.map((id) => ({ _tag: "Gossip", id, round: 1, topic: 1, payload: "p" }) as const),
    // Along other roots' trees, through entries, mended, as any mixture of nodes may send them.
    fc.record(
      {
        _tag: fc.constant("Gossip" as const),
        id: smallId,
        round: fc.nat(9),
        topic: fc.constant(1),
        payload: fc.constant("p"),
        along: smallRoot,
        entry: smallRoot,
        mended: fc.constant(true as const),
        after: fc.nat(6)
      },
      { requiredKeys: ["_tag", "id", "round", "topic", "payload"] }
    ),
    smallRoot.map((root) => ({ _tag: "Prune", root }) as const),
    smallRoot.map((root) => ({ _tag: "Prune", root, unlessParent: true }) as const),
    fc.tuple(smallId, smallRoot).map(([id, entry]) => ({ _tag: "Entry", id, entry }) as const),
    smallRoot.map((root) => ({ _tag: "Adopt", root }) as const),
    fc.array(smallId, { maxLength: 3 }).map((ids) => ({ _tag: "Graft", ids }) as const),
    fc.array(smallId, { maxLength: 3 }).map((ids) => ({ _tag: "GraftMiss", ids }) as const)
  )
  const event: fc.Arbitrary<Event> = fc.oneof(
    { weight: 6, arbitrary: fc.record({ _tag: fc.constant("Received" as const), link: smallLink, message }) },
    {
      weight: 1,
      arbitrary: fc.record({
        _tag: fc.constant("Neighbors" as const),
        version: fc.integer({ min: 1, max: 20 }),
        // Half of them in this node's data centre.
        neighbors: smallNeighbors.map((all) =>
          all.map((one) => (one.link <= 2 ? { ...one, peer: { ...one.peer, datacenter: "here" } } : one))
        )
      })
    },
    fc.record({ _tag: fc.constant("Graft" as const), link: smallLink, ids: fc.array(smallId, { maxLength: 3 }) }),
    fc.record({
      _tag: fc.constant("Shorter" as const),
      link: smallLink,
      id: smallId,
      round: fc.nat(9),
      since: fc.nat(9)
    }),
    fc.record({ _tag: fc.constant("Shed" as const), link: smallLink, id: smallId }),
    fc.constant({ _tag: "Broadcast", token: 1, topic: 1, payload: "p" } as const),
    fc.constant({ _tag: "Leave" } as const),
    fc.record({ _tag: fc.constant("Written" as const), token: fc.integer({ min: 0, max: 9 }) }),
    fc.record({
      _tag: fc.constant("LinkDown" as const),
      link: smallLink,
      reason: fc.constant({ _tag: "Reset" } as const)
    }),
    fc.record({
      _tag: fc.constant("TimerFired" as const),
      timer: fc.record({ _tag: fc.constant("Tick" as const), number: fc.nat(5) })
    })
  )

  /** What is known from outside: which broadcasts must never come again. */
  interface Model {
    readonly delivered: Set<string>
  }

  interface Real {
    state: BroadcastTree.State
    now: number
  }

  const key = (of: MessageId.MessageId): string => JSON.stringify(of)

  /** A broadcast that is new goes to each neighbour but the one it came from, in full or as an announcement, never both. */
  const assertEachNeighborServedOnce = (
    actions: ReadonlyArray<BroadcastTree.Action>,
    neighbors: ReadonlyArray<number>,
    event: Event,
    before: BroadcastTree.State
  ): void => {
    const { held } = before.gate
    for (const seen of actions) {
      if (seen._tag !== "Emit" || seen.output._tag !== "Seen") continue
      if (BroadcastTree.hasSeen(before, seen.output.id)) continue
      const id = key(seen.output.id)
      const served = actions.flatMap((action): ReadonlyArray<number> => {
        if (action._tag === "Send" && action.message._tag === "Gossip")
          return key(action.message.id) === id ? [action.link] : []
        if (action._tag === "Emit" && action.output._tag === "Announce")
          return key(action.output.id) === id ? action.output.links : []
        return []
      })
      // Of the frames that waited for their neighbour, one may bring a broadcast and another ask for it.
      const grafts = event._tag === "Neighbors" ? held.filter(({ message }) => asksFor(message, id)) : []
      const once = new Set(served)
      assert.isAtMost(served.length, once.size + grafts.length, "in full or announced, never both")
      assert.includeMembers([...neighbors], [...served], "only neighbours are served")
      const left = neighbors.filter((link) => !served.includes(link))
      // What a new neighbour sent before it was one came from a link that this event does not name.
      if (event._tag === "Neighbors") assert.isAtMost(left.length, 1, "all but the one it came from")
      else assert.deepStrictEqual(left, event._tag === "Received" ? [event.link] : [], "all but the one it came from")
    }
  }

  const asksFor = (message: BroadcastTree.Message, id: string): boolean =>
    message._tag === "Graft" && message.ids.some((one) => key(one) === id)

  /** Of an origin that gave way to another, what comes again is new. */
  const forget = ({ delivered }: Model, rows: ReadonlyArray<Machine.StoreRow>): void => {
    for (const { key: origin, value } of rows) {
      if (value !== null) continue
      for (const one of delivered) if (one.includes(origin)) delivered.delete(one)
    }
  }

  class Step implements fc.Command<Model, Real> {
    private readonly event: Event
    private readonly afterMs: number
    constructor(event: Event, afterMs: number) {
      this.event = event
      this.afterMs = afterMs
    }
    check(): boolean {
      return true
    }
    run(model: Model, real: Real): void {
      real.now += this.afterMs
      // Written answers what was asked: tokens of the model are small, those of the machine start anywhere.
      const event =
        this.event._tag === "Written" ? { ...this.event, token: this.event.token + real.state.tokens[0] } : this.event
      const before = real.state
      const [state, actions] = BroadcastTree.step(before, { now: real.now, event })
      real.state = state
      assert.deepStrictEqual(BroadcastTree.invariants(state), [])
      for (const action of actions) {
        if (action._tag === "Write") forget(model, action.rows)
        if (action._tag === "Emit" && action.output._tag === "Delivered") {
          assert.isFalse(model.delivered.has(key(action.output.id)), "delivered once")
          model.delivered.add(key(action.output.id))
          assert.isTrue(BroadcastTree.hasSeen(state, action.output.id))
        }
        if (action._tag === "Send") {
          assert.isDefined(LinkGate.neighborOf(state.gate, action.link), "frames go to neighbours only")
        }
        if (action._tag === "SetTimer") assert.isAtLeast(action.delayMs, 0)
      }
      const neighbors = state.gate.neighbors.map(({ link }) => link)
      for (const root of BroadcastTree.rootsOf(state)) {
        const lazy = BroadcastTree.lazy(state, root)
        assert.strictEqual(new Set(lazy).size, lazy.length, "no link is lazy twice")
        assert.includeMembers(neighbors, [...lazy], "only a neighbour is lazy: a link that is gone leaves no trace")
        const parent = BroadcastTree.parent(state, root)
        if (parent !== null) {
          assert.include(neighbors, parent, "only a neighbour serves this node")
          assert.notInclude(lazy, parent, "who serves this node is eager")
        }
      }
      assertEachNeighborServedOnce(actions, neighbors, event, before)
    }
    toString(): string {
      return `${this.afterMs} ms, ${JSON.stringify(this.event)}`
    }
  }

  it("keeps every invariant, delivers nothing twice, and sends to neighbours only", () => {
    const afterMs = fc.constantFrom(0, 1, 700, 70_000)
    const commands = fc.commands([fc.tuple(event, afterMs).map(([event, afterMs]) => new Step(event, afterMs))], {
      maxCommands: 120,
      size: "max"
    })
    const here = { ...self, datacenter: "here" }
    const tight = {
      ...BroadcastTree.defaults,
      self: here,
      rootsMax: 2,
      rootIdleMs: 1000,
      pendingMax: 2,
      cacheCountMax: 3,
      orderCountMax: 2,
      orderMs: 1000,
      originsMax: 3
    }
    fc.assert(
      fc.property(commands, (commands) => {
        fc.modelRun(
          () => ({
            model: { delivered: new Set<string>() },
            real: { state: BroadcastTree.make(tight, new Map(), 1), now: 0 }
          }),
          commands
        )
      })
    )
  })
})

describe("Codec", () => {
  it("every message survives", () => {
    fc.assert(
      fc.property(anyTreeMessage, (message) => {
        assert.deepStrictEqual(BroadcastTree.decode(BroadcastTree.encode(message)), { ok: true, value: message })
      })
    )
  })

  it("fields that a later version appends are ignored", () => {
    fc.assert(
      fc.property(anyTreeMessage, (message) => {
        const longer = [...BroadcastTree.encode(message), { later: true }]
        assert.deepStrictEqual(BroadcastTree.decode(longer), { ok: true, value: message })
      })
    )
  })

  it("nothing makes it throw", () => {
    const almost = fc
      .tuple(fc.integer({ min: -1, max: 7 }), fc.anything())
      .chain(([kind, first]) => fc.array(fc.anything(), { maxLength: 4 }).map((rest) => [kind, first].concat(rest)))
    fc.assert(
      fc.property(fc.oneof(fc.anything(), almost), (input) => {
        const decoded = BroadcastTree.decode(input)
        assert.isTrue(decoded.ok || decoded.reason.length > 0)
      })
    )
  })

  it("what is out of bounds is refused, with a reason", () => {
    const raw = ["0123456789ab", 1, 1]
    const refused = (input: unknown): string => {
      const decoded = BroadcastTree.decode(input)
      return decoded.ok ? "accepted" : decoded.reason
    }
    assert.strictEqual(refused([7, 0]), "unknown kind 7")
    assert.strictEqual(refused(["7", 0]), "unknown kind string")
    assert.strictEqual(refused([0, raw, 65_536, 1, null]), "gossip: round is not in 0..65535")
    assert.strictEqual(refused([0, raw, 1, 256, null]), "gossip: topic is not in 0..255")
    assert.strictEqual(refused([0, raw, 1, 1]), "gossip: expected 5 fields")
    assert.strictEqual(refused([0, raw, 1, 1, "x".repeat(600_000)]), "gossip: payload is over 524288 bytes")
    assert.strictEqual(
      refused([2, Array.from({ length: 1001 }, () => raw)]),
      "ids: 1001 items, at most 1000 are accepted"
    )
    assert.strictEqual(refused([1, "me"]), "prune: root is not a node id")
  })
})

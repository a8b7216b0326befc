/**
 * Components of a member that disagree are found out: a sound state, spoilt by hand in one place.
 */
import { assert, describe, it } from "@effect/vitest"
import { NodeDoc } from "@starling/fleet"
import type { Peer } from "@starling/machine"
import { Component, Ledger, Member, type Wiring } from "@starling/member"
import * as fc from "fast-check"
import * as HashMap from "effect/HashMap"
import * as HashSet from "effect/HashSet"
import { config, play, self, wall } from "./alone.ts"

const neighbor: Peer.Peer = { id: "00000000000b", incarnation: 3, address: "b:1" }

const send = (token: number): Member.Event => ({
  _tag: "Command",
  delivery: { to: "broadcast-tree", event: { _tag: "Broadcast", token, topic: 1, payload: `payload ${token}` } }
})

const joined: ReadonlyArray<Member.Event> = [
  { _tag: "LinkUp", link: 1, peer: neighbor },
  { _tag: "Received", link: 1, message: { channel: "view-manager", message: { _tag: "Join", peer: neighbor } } }
]

/** One neighbour, and three broadcasts that were handed over. */
const sound = play(1, "run-to-completion", [...joined, send(1), send(2), send(3)]).state

type Of<C extends Component.Component> = Component.StateOf<C>

const spoiltOf = <C extends Component.Component>(
  state: Member.State,
  component: C,
  patch: (state: Of<C>) => Partial<Of<C>>
): Member.State => {
  const cell = state.cells[component]
  return {
    ...state,
    cells: { ...state.cells, [component]: { ...cell, state: { ...cell.state, ...patch(cell.state as Of<C>) } } }
  }
}

const spoilt = <C extends Component.Component>(component: C, patch: (state: Of<C>) => Partial<Of<C>>): Member.State =>
  spoiltOf(sound, component, patch)

type Population = NonNullable<Of<"clock">["population"]>

const spoiltClocks = (patch: (population: Population) => Partial<Population>): Member.State =>
  spoilt("clock", ({ population }) => ({
    population: { ...(population as Population), ...patch(population as Population) }
  }))

const noNeighbors = { neighbors: [] }
const held = [{ link: 7, message: { _tag: "Prune" as const, root: self.id } }]
const later = { epoch: 0, wall: wall + 3_600_000, counter: 0, node: self.id }
const id = { origin: self.id, incarnation: self.incarnation, seq: 9 }
const windows = (seq: number): Ledger.Ledger => HashMap.make([self.id, [[1, [[1, seq]] as const] as const]] as const)
const without = (component: string): RegExp => new RegExp(`^${component}: .*, 00000000000b\\.3 on link 1 missing$`)

/** What is spoilt, and what is said of it first. */
const spoils: ReadonlyArray<readonly [what: string, state: Member.State, said: RegExp]> = [
  [
    "the tree lost a neighbour",
    spoilt("broadcast-tree", ({ gate }) => ({ gate: { ...gate, ...noNeighbors } })),
    without("broadcast-tree")
  ],
  [
    "repair lost a neighbour",
    spoilt("lazy-push-repair", ({ gate }) => ({ gate: { ...gate, ...noNeighbors } })),
    without("lazy-push-repair")
  ],
  [
    "the shuffler lost a neighbour",
    spoilt("shuffler", ({ gate }) => ({ gate: { ...gate, ...noNeighbors } })),
    without("shuffler")
  ],
  ["the clock lost a neighbour", spoiltClocks(({ gate }) => ({ gate: { ...gate, ...noNeighbors } })), without("clock")],
  ["the clock asks one less", spoiltClocks(() => noNeighbors), without("clock")],
  [
    "the clock believes one less",
    spoiltClocks(({ estimator }) => ({ estimator: { ...estimator, ...noNeighbors } })),
    without("clock")
  ],
  ["facts lost a neighbour", spoilt("facts", ({ gate }) => ({ gate: { ...gate, ...noNeighbors } })), without("facts")],
  ["facts send to one less", spoilt("facts", () => ({ links: HashMap.empty() })), without("facts")],
  [
    "the tree goes by an older set",
    spoilt("broadcast-tree", ({ gate }) => ({ gate: { ...gate, version: gate.version - 1 } })),
    /^broadcast-tree: goes by neighbours \d+, and was told \d+$/
  ],
  [
    "the view manager told nobody of a neighbour",
    spoilt("view-manager", () => ({ active: [] })),
    /^shuffler: was told views \d+, and the view manager is at \d+$/
  ],
  [
    "repair was told of nobody",
    { ...sound, told: { ...sound.told, "lazy-push-repair": undefined as never } },
    /^lazy-push-repair: was never told/
  ],
  [
    "the tree was told of others",
    {
      ...sound,
      told: {
        ...sound.told,
        "broadcast-tree": { to: "broadcast-tree", event: { _tag: "Neighbors", version: 1, neighbors: [] } }
      }
    },
    without("broadcast-tree: was told of other neighbours than the view manager has")
  ],
  [
    "the shuffler has passive peers of its own",
    spoilt("shuffler", () => ({ passive: [neighbor] })),
    /^shuffler: its passive peers are not those it was told$/
  ],
  ["a neighbour's link is down", { ...sound, links: [] }, /^view-manager: link 1 is active, and is down$/],
  [
    "a frame of a link that is down is kept",
    spoilt("broadcast-tree", ({ gate }) => ({ gate: { ...gate, held } })),
    /^broadcast-tree: keeps a frame of link 7, which is down$/
  ],
  [
    "a neighbour is taken for lost",
    spoilt("facts", () => ({ lost: [{ ...neighbor, cause: "closed" as const, at: { ...later, wall: 0 } }] })),
    /^facts: 00000000000b\.3 on link 1 is a neighbour, and taken for lost$/
  ],
  [
    "the document names nobody",
    spoilt("facts", ({ docs }) => ({
      docs: HashMap.modify(docs, self.id, (doc) => NodeDoc.write(doc, "adjacency", null))
    })),
    /^facts: the document names \[\] as neighbours, of \[00000000000b\.3\]$/
  ],
  [
    "the cell has another offset than the clock found",
    { ...sound, clock: { ...sound.clock, offset: 5 } },
    /^clock: found offset undefined, alone true; the cell has 5, alone true$/
  ],
  [
    "the cell follows the time beyond what is durable",
    { ...sound, clock: { ...sound.clock, reading: { ...sound.clock.reading, limit: wall + 60_000 } } },
    /^clock: the cell follows the time up to \d+ of epoch 0, durable is \d+ of 0$/
  ],
  [
    "the clock reckons with another fleet",
    spoiltClocks(() => ({ size: 12 })),
    /^clock: reckons with a fleet of 12, facts told it 1$/
  ],
  [
    "a fact is stamped beyond the cell",
    spoilt("facts", () => ({ leaving: later })),
    /^facts: its goodbye bears .*, and the clock cell is at /
  ],
  [
    "the tree forgot what was handed over",
    { ...sound, ledger: Ledger.record(sound.ledger, id) },
    /^broadcast-tree: has not seen 00000000000a\.1\.9, which was handed over$/
  ],
  [
    "what arrived was not handed over",
    { ...sound, ledger: Ledger.empty },
    /^broadcast-tree: \S+ arrived and was not handed over$/
  ],
  [
    "repair has seen nothing",
    spoilt("lazy-push-repair", () => ({ seen: HashMap.empty() })),
    /^lazy-push-repair: has seen broadcasts of 0 origins, the tree of 1$/
  ],
  [
    "repair has seen less",
    spoilt("lazy-push-repair", () => ({ seen: windows(2) })),
    /^lazy-push-repair: has seen 1: 1\.\.2 of 00000000000a, the tree 1: 1\.\.3$/
  ],
  [
    "repair advertises less than the tree could send",
    spoilt("lazy-push-repair", () => ({ held: HashMap.empty() })),
    /^lazy-push-repair: does not advertise \S+, which the tree could send$/
  ],
  [
    "repair advertises more than the tree could send",
    spoilt("lazy-push-repair", () => ({ held: windows(4) })),
    /^lazy-push-repair: advertises 4 broadcasts, of which the tree could send 3$/
  ]
]

describe("Member.disagreements", () => {
  it("are none of a sound member", () => {
    assert.isTrue(Member.isQuiet(sound))
    assert.deepStrictEqual(Member.invariants(sound), [])
    assert.lengthOf(sound.cells["view-manager"].state.active, 1)
  })

  for (const [what, state, said] of spoils) {
    it(`are found where ${what}`, () => {
      assert.match(Member.disagreements(state)[0] ?? "nothing", said)
      assert.match(Member.disagreements(state, sound)[0] ?? "nothing", said)
    })
  }

  it("are not held against who lost the news in a crash, until it comes again", () => {
    const [, stale] = spoils[8] ?? assert.fail("the tree that goes by an older set")
    const news = sound.told["broadcast-tree"] ?? assert.fail("the tree was told")
    assert.lengthOf(Member.disagreements(stale), 1)
    assert.deepStrictEqual(Member.disagreements({ ...stale, lost: [news] }), [])
    const down = { to: "view-manager", event: { _tag: "LinkDown", link: 1, reason: { _tag: "Reset" } } } as const
    assert.deepStrictEqual(Member.disagreements({ ...sound, links: [], lost: [down] }), [])
  })

  it("are none whichever two components lose an event one right after the other", () => {
    const components = fc.constantFrom(...Component.components)
    fc.assert(
      fc.property(fc.integer(), components, components, fc.nat({ max: 30 }), (seed, first, second, after) => {
        let steps = 0
        const { state } = play(
          seed,
          "interleaved",
          [...joined, send(1), send(2), send(3), send(4)],
          ({ counters, crash }) => {
            const component =
              ++steps === after ? first : counters.eventsLost === 1 && crash === undefined ? second : undefined
            return component === undefined ? [] : [{ _tag: "Crash", component, at: "before" }]
          }
        )
        assert.isTrue(Member.isQuiet(state))
        assert.deepStrictEqual(Member.invariants(state), [])
      }),
      { numRuns: 300 }
    )
  })

  it("are none when the tree loses what repair, which lost word of a broadcast, asks of it", () => {
    let struck = 0
    fc.assert(
      fc.property(fc.integer(), (seed) => {
        const { state } = play(seed, "interleaved", [send(1)], ({ counters, crash, queues }) => {
          const next = (component: Component.Component) => queues[component][0]?.delivery.event._tag
          if (crash !== undefined) return []
          if (counters.eventsLost === 0 && next("lazy-push-repair") === "Seen")
            return [{ _tag: "Crash", component: "lazy-push-repair", at: "before" }]
          if (counters.eventsLost === 1 && next("broadcast-tree") === "Recount")
            return [{ _tag: "Crash", component: "broadcast-tree", at: "before" }]
          return []
        })
        struck += state.lost.some(({ event }) => event._tag === "Recount") ? 1 : 0
        assert.deepStrictEqual(Member.invariants(state), [])
      })
    )
    assert.isAbove(struck, 10)
  })
})

describe("a member that was sent ordered broadcasts", () => {
  const nameOf = (seq: number) => ({ origin: "0000000000a1", incarnation: 1, seq })
  const gossip = (seq: number, after?: number): Member.Event => {
    const message = { _tag: "Gossip" as const, id: nameOf(seq), round: 1, topic: 1, payload: `payload ${seq}` }
    return {
      _tag: "Received",
      link: 1,
      message: { channel: "broadcast-tree", message: after === undefined ? message : { ...message, after } }
    }
  }
  const heard = (...events: ReadonlyArray<Member.Event>): Member.State =>
    play(1, "run-to-completion", [...joined, ...events]).state

  const waiting = heard(gossip(1), gossip(3, 2))

  it("disagrees on nothing while one waits for the one before it, nor when that has come", () => {
    assert.isTrue(Member.isQuiet(waiting))
    assert.isFalse(Ledger.has(waiting.ledger, nameOf(3)))
    assert.deepStrictEqual(Member.disagreements(waiting), [])
    const come = heard(gossip(1), gossip(3, 2), gossip(2))
    assert.isTrue([1, 2, 3].every((seq) => Ledger.has(come.ledger, nameOf(seq))))
    assert.deepStrictEqual(Member.disagreements(come), [])
  })

  it("is given all of them once the first has come, however many waited with others in between", () => {
    const many = Array.from({ length: 1000 }, (_, n) => [gossip(2 * n + 3, n === 0 ? 2 : 2 * n + 1), gossip(2 * n + 4)])
    const waits = heard(gossip(1), ...many.flat())
    assert.deepStrictEqual(Member.disagreements(waits), [])
    const { actions, state } = play(1, "run-to-completion", [...joined, gossip(1), ...many.flat(), gossip(2)])
    assert.strictEqual(state.counters.redelivered, 0)
    assert.deepStrictEqual(Member.disagreements(state), [])
    const given = actions.flatMap((action) =>
      action._tag === "Emit" && action.output._tag === "Delivered" ? [action.output.id.seq] : []
    )
    assert.deepStrictEqual(
      given.toSorted((a, b) => a - b),
      Array.from({ length: 2002 }, (_, n) => n + 1)
    )
    assert.deepStrictEqual(
      given.filter((seq) => seq > 2 && seq % 2 === 1),
      Array.from({ length: 1000 }, (_, n) => 2 * n + 3)
    )
  })

  it("disagrees on one that waits and was handed over", () => {
    const both = { ...waiting, ledger: Ledger.record(waiting.ledger, nameOf(3)) }
    assert.deepStrictEqual(Member.disagreements(both, waiting), [
      "broadcast-tree: 0000000000a1.1.3 waits for its turn and was handed over"
    ])
  })

  it("disagrees on one that neither waits nor was handed over", () => {
    const gone = spoiltOf(waiting, "broadcast-tree", ({ order }) => ({ order: { ...order, names: HashSet.empty() } }))
    assert.deepStrictEqual(Member.disagreements(gone, waiting), [
      "broadcast-tree: 0000000000a1.1.3 arrived and was not handed over"
    ])
  })
})

describe("a member that knows more origins than it has room for", () => {
  /** Long enough that nothing of an origin is cached any more. */
  const idleMs = 61_000
  const [p, q, r] = ["0000000000a1", "0000000000a2", "0000000000a3"] as const

  /** Broadcasts that come one after the other, and null for a while in which no payload is kept. */
  const heard = (
    broadcasts: ReadonlyArray<readonly [origin: string, seq: number] | null>,
    settings: Partial<Member.Config>
  ): Member.State => {
    const machine = Member.make({ ...config("run-to-completion"), ...settings }, new Map(), 1, wall)
    let state = machine.initial
    let now = 0
    let due: Array<readonly [at: number, Member.Timer]> = []
    const feed = (event: Member.Event): void => {
      const [next, actions] = machine.step(state, { now, wall: wall + now, event })
      state = next
      for (const action of actions) {
        if (action._tag === "Write") feed({ _tag: "Written", token: action.token })
        // Nobody else's: with time the neighbour, who says nothing, would be given up.
        else if (
          action._tag === "SetTimer" &&
          action.timer._tag === "Component" &&
          action.timer.component === "broadcast-tree"
        )
          due.push([now + action.delayMs, action.timer])
      }
    }
    const pass = (ms: number): void => {
      const end = now + ms
      for (;;) {
        const [next] = due.filter(([at]) => at <= end).toSorted(([a], [b]) => a - b)
        if (next === undefined) break
        due = due.filter((one) => one !== next)
        now = Math.max(now, next[0])
        feed({ _tag: "TimerFired", timer: next[1] })
      }
      now = end
    }
    for (const event of [{ _tag: "Started" } as const, ...joined]) feed(event)
    for (const broadcast of broadcasts) {
      if (broadcast === null) {
        pass(idleMs)
        continue
      }
      const [origin, seq] = broadcast
      const id = { origin, incarnation: 1, seq }
      const message = { _tag: "Gossip" as const, id, round: 1, topic: 1, payload: `${origin} ${seq}` }
      feed({ _tag: "Received", link: 1, message: { channel: "broadcast-tree", message } })
      pass(100)
    }
    assert.isTrue(Member.isQuiet(state))
    return state
  }

  const both = (originsMax: number): Partial<Member.Config> => ({
    broadcastTree: { originsMax },
    lazyPushRepair: { originsMax }
  })

  it("disagrees on nothing for what the tree has forgotten", () => {
    const state = heard([[p, 1], null, [q, 1]], both(1))
    assert.strictEqual(state.cells["broadcast-tree"].state.counters.originsForgotten, 1)
    assert.deepStrictEqual([...HashMap.keys(state.ledger)].toSorted(), [p, q])
    assert.deepStrictEqual(Member.disagreements(state), [])
  })

  it("nor when who was forgotten is heard again", () => {
    const state = heard([[p, 1], [p, 2], null, [q, 1], null, [p, 3], [p, 5]], both(1))
    assert.strictEqual(state.cells["broadcast-tree"].state.counters.originsForgotten, 2)
    assert.deepStrictEqual(Member.disagreements(state), [])
  })

  it("nor when a copy comes late, of an origin that was forgotten", () => {
    for (const repair of [1, 65_536]) {
      const settings = { broadcastTree: { originsMax: 1 }, lazyPushRepair: { originsMax: repair } }
      const state = heard([[p, 1], [p, 2], null, [q, 1], null, [p, 1]], settings)
      assert.strictEqual(state.cells["broadcast-tree"].state.counters.originsForgotten, 2)
      assert.deepStrictEqual(Member.disagreements(state), [], `${repair}`)
    }
  })

  it("nor when its tree is rebuilt, and has no room for all that was handed over", () => {
    const machine = Member.make({ ...config("run-to-completion"), ...both(1) }, new Map(), 1, wall)
    let state = heard([[p, 1], null, [q, 1]], both(1))
    const step = (event: Member.Event): void => {
      const [next, actions] = machine.step(state, { now: 70_000, wall: wall + 70_000, event })
      state = next
      for (const action of actions) if (action._tag === "Write") step({ _tag: "Written", token: action.token })
    }
    for (const token of [1, 2]) {
      step({ _tag: "Crash", component: "broadcast-tree", at: "committed" })
      step(send(token))
    }
    const { cells, counters } = state
    assert.strictEqual(counters.rebuilds, 1)
    assert.strictEqual(cells["broadcast-tree"].state.counters.originsForgotten, 0)
    assert.isBelow(HashMap.size(cells["broadcast-tree"].state.windows), HashMap.size(state.ledger))
    assert.isTrue(Member.isQuiet(state))
    assert.deepStrictEqual(Member.disagreements(state), [])
  })

  it("nor when tree and repair have room for unequally many", () => {
    const broadcasts = [[p, 1], [r, 1], null, [q, 1], null, [p, 2], [r, 2], [q, 2]] as const
    for (const [tree, repair] of [
      [1, 65_536],
      [65_536, 1],
      [2, 3],
      [3, 2]
    ] as const) {
      const state = heard(broadcasts, {
        broadcastTree: { originsMax: tree },
        lazyPushRepair: { originsMax: repair }
      })
      assert.deepStrictEqual(Member.disagreements(state), [], `${tree} and ${repair}`)
    }
  })

  it("still disagrees on what it does not explain", () => {
    const forgetful = heard([[p, 1], null, [q, 1], [q, 2]], both(1))
    const said = (state: Member.State) => Member.disagreements(state)[0] ?? "nothing"
    const recorded = (origin: string) => ({
      ...forgetful,
      ledger: Ledger.record(forgetful.ledger, { origin, incarnation: 1, seq: 9 })
    })
    assert.match(said(recorded(self.id)), /^broadcast-tree: has not seen 00000000000a\.1\.9, which was handed over$/)
    assert.match(
      said(spoiltOf(forgetful, "lazy-push-repair", () => ({ held: HashMap.empty() }))),
      /^lazy-push-repair: does not advertise 0000000000a2\.1\.2, which the tree could send$/
    )
    // Two origins where there is room for many: nothing can have been forgotten.
    const roomy = heard([[p, 1], null, [q, 1]], {})
    assert.deepStrictEqual(Member.disagreements(roomy), [])
    const forgot = spoiltOf(roomy, "broadcast-tree", ({ windows }) => ({ windows: HashMap.remove(windows, p) }))
    assert.match(said(forgot), /^broadcast-tree: has not seen 0000000000a1\.1\.1, which was handed over$/)
  })
})

describe("what a crash has lost", () => {
  const newcomer: Peer.Peer = { id: "00000000000c", incarnation: 1, address: "c:1" }

  const comes: ReadonlyArray<Member.Event> = [
    { _tag: "LinkUp", link: 2, peer: newcomer },
    { _tag: "Received", link: 2, message: { channel: "view-manager", message: { _tag: "Join", peer: newcomer } } }
  ]

  const tell = (size: number): Member.Event => ({
    _tag: "Command",
    delivery: { to: "clock", event: { _tag: "Fleet", size } }
  })

  const losing = (component: Component.Component, events: ReadonlyArray<Member.Event>, further: typeof events) =>
    play(1, "run-to-completion", [
      ...events.slice(0, -1),
      { _tag: "Crash", component, at: "before" },
      ...events.slice(-1),
      ...further
    ]).state

  const kinds = ({ lost }: Member.State) => lost.map(({ event, to }) => `${event._tag} to ${to}`)

  it("excuses no neighbour that is taken for lost once facts were told newer neighbours", () => {
    const accusing = (state: Member.State) =>
      spoiltOf(state, "facts", () => ({
        lost: [{ ...neighbor, cause: "closed" as const, at: { ...later, wall: 0 } }]
      }))
    const lost = losing("facts", joined, [])
    assert.deepStrictEqual(kinds(lost), ["Neighbors to facts"])
    const made = losing("facts", joined, comes)
    assert.deepStrictEqual(kinds(made), [])
    assert.deepStrictEqual(Member.invariants(made), [])
    const accused = /^facts: 00000000000b\.3 on link 1 is a neighbour, and taken for lost$/
    assert.match(Member.disagreements(accusing(made))[0] ?? "nothing", accused)
    // Also if it was excused when this was asked last.
    const excused = { ...accusing(made), lost: lost.lost }
    assert.notMatch(Member.disagreements(excused).join("\n"), /taken for lost/)
    assert.match(Member.disagreements({ ...excused, lost: [] }, excused)[0] ?? "nothing", accused)
  })

  it("excuses no other size of the fleet once the clock was told one again", () => {
    const lost = losing("clock", [tell(1)], [])
    assert.deepStrictEqual(kinds(lost), ["Fleet to clock"])
    const made = losing("clock", [tell(1)], [tell(12)])
    assert.deepStrictEqual(kinds(made), [])
    assert.match(Member.disagreements(made)[0] ?? "nothing", /^clock: reckons with a fleet of 12, facts told it 1$/)
  })

  it("is not made up for by older neighbours, nor by what another component is told", () => {
    const news = sound.told["broadcast-tree"] ?? assert.fail("the tree was told")
    if (news.event._tag !== "Neighbors") return assert.fail("of neighbours")
    const { event } = news
    const machine = Member.make(config("run-to-completion"), new Map(), 1, wall)
    const after = (delivery: Wiring.Delivery) =>
      kinds(
        machine.step(
          { ...sound, lost: [news] },
          { now: 100, wall: wall + 100, event: { _tag: "Command", delivery } }
        )[0]
      )
    assert.deepStrictEqual(after({ to: "broadcast-tree", event: { ...event, version: event.version - 1 } }), [
      "Neighbors to broadcast-tree"
    ])
    assert.deepStrictEqual(after({ to: "facts", event }), ["Neighbors to broadcast-tree"])
    assert.deepStrictEqual(after({ to: "broadcast-tree", event }), [])
  })
})

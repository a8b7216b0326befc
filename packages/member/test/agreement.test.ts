/**
 * Components of a member that disagree are found out: a sound state, spoilt by hand in one place.
 */
import { assert, describe, it } from "@effect/vitest"
import { NodeDoc } from "@starling/fleet"
import type { Peer } from "@starling/machine"
import { Component, Ledger, Member } from "@starling/member"
import * as fc from "fast-check"
import * as HashMap from "effect/HashMap"
import { play, self, wall } from "./alone.ts"

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

const spoilt = <C extends Component.Component>(component: C, patch: (state: Of<C>) => Partial<Of<C>>): Member.State => {
  const cell = sound.cells[component]
  return {
    ...sound,
    cells: { ...sound.cells, [component]: { ...cell, state: { ...cell.state, ...patch(cell.state as Of<C>) } } }
  }
}

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

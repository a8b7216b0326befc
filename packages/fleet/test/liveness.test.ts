import { assert, describe, it } from "@effect/vitest"
import { Hlc, Stamp } from "@starling/clock"
import { Liveness, NodeDoc, Query } from "@starling/fleet"
import * as fc from "fast-check"
import * as HashMap from "effect/HashMap"
import { Network, record, set } from "./network.ts"

const stateOf = (network: Network, viewer: number, index: number): string | undefined =>
  Query.nodes(network.at(viewer).state, network.context(viewer), { forgotten: true }).items.find(
    ({ id }) => id === network.at(index).id
  )?.state

const evidenceOf = (network: Network, viewer: number, index: number) =>
  Query.nodes(network.at(viewer).state, network.context(viewer)).items.find(({ id }) => id === network.at(index).id)
    ?.evidence ?? []

/** Three data centres of three, every node with about four neighbours. */
const nine = (seed: number = 1): Network => {
  const network = new Network({ nodes: 9, seed, datacenter: (i) => `dc${Math.floor(i / 3)}` })
  for (let i = 0; i < 9; i++) for (const step of [1, 3]) network.connect(i, (i + step) % 9)
  network.run(3000)
  return network
}

describe("liveness", () => {
  it("sees everybody alive once documents have spread", () => {
    const network = nine()
    for (let viewer = 0; viewer < 9; viewer++) {
      for (let index = 0; index < 9; index++) assert.strictEqual(stateOf(network, viewer, index), "alive")
      const view = Query.view(network.at(viewer).state, network.context(viewer))
      assert.isTrue(view.complete)
      assert.deepStrictEqual(
        view.datacenters.map(({ alive, datacenter, nodes, state }) => [datacenter, nodes, alive, state]),
        [
          ["dc0", 3, 3, "healthy"],
          ["dc1", 3, 3, "healthy"],
          ["dc2", 3, 3, "healthy"]
        ]
      )
    }
  })

  it("a killed node is offline, closed, by the evidence of its neighbours, at every viewer within a second", () => {
    const network = nine()
    network.kill(4)
    network.run(1000)
    for (const viewer of [0, 1, 2, 3, 5, 6, 7, 8]) {
      assert.strictEqual(stateOf(network, viewer, 4), "offline")
      const evidence = evidenceOf(network, viewer, 4)
      assert.deepStrictEqual(evidence.map(({ by }) => by).toSorted(), ["n1", "n3", "n5", "n7"])
      assert.isTrue(evidence.every(({ cause }) => cause === "closed"))
    }
    const { items } = Query.offline(network.at(0).state, network.context(0))
    assert.deepStrictEqual(
      items.map((item) => item.kind === "node" && item.name),
      ["n4"]
    )
  })

  it("what was said in its true place keeps its stamp when stamps count again, and a word of the accused outdates it", () => {
    const network = nine()
    network.kill(4)
    network.run(10_000)
    const accuser = network.at(3)
    const said = evidenceOf(network, 0, 4)
    const spoken = network.context(4).stamp
    network.run(10_000)
    network.event(accuser, { _tag: "Restamp" })
    network.run(1000)
    assert.deepStrictEqual(evidenceOf(network, 0, 4), said)
    const doc = NodeDoc.write(NodeDoc.empty(network.at(4).id, { incarnation: 1, built: 1 }), "adjacency", {
      _tag: "Adjacency",
      at: spoken,
      neighbors: [],
      lost: []
    })
    assert.isTrue(accuser.state.lost.every((one) => Liveness.isOutdated(one, doc)))
  })

  it("what was said while nobody knew the time, or in an earlier epoch, is said again, once", () => {
    fc.assert(
      fc.property(fc.array(fc.boolean(), { minLength: 1, maxLength: 4 }), fc.boolean(), (early, isReset) => {
        const network = nine()
        const accuser = network.at(0)
        const [peers, isEarly] = [early.map((_, index) => network.peer(index + 4)), { isEarly: true } as const]
        early.forEach((one, index) => {
          const peer = peers[index] ?? assert.fail("no such peer")
          network.event(accuser, { _tag: "NeighborDown", peer, cause: "closed", ...(one ? isEarly : {}) })
          network.run(10)
        })
        const before = accuser.state.lost
        network.run(5000)
        network.event(accuser, { _tag: "Restamp", isEarly: true })
        assert.strictEqual(accuser.state.lost, before)
        if (isReset) {
          const wall = network.wall(0)
          accuser.reading = Hlc.reset(accuser.reading, 0, wall) ?? assert.fail("the epoch is 0")
        }
        network.event(accuser, { _tag: "Restamp" })
        const after = accuser.state.lost
        after.forEach((one, index) => {
          const isSaidAgain = isReset || early[index] === true
          assert.strictEqual(Stamp.compare(one.at, before[index]?.at ?? Stamp.zero) > 0, isSaidAgain)
        })
        network.run(5000)
        network.event(accuser, { _tag: "Restamp" })
        assert.deepStrictEqual(accuser.state.lost, after)
        assert.deepStrictEqual(network.problems, [])
      })
    )
  })

  it("a whole data centre lost by timeout is unreachable, and each side says so of the other", () => {
    const network = nine()
    for (let a = 0; a < 3; a++) for (let b = 3; b < 9; b++) network.cut(a, b, "timeout", 500)
    network.run(3000)
    for (const viewer of [3, 5, 8]) {
      for (const index of [0, 1, 2]) assert.strictEqual(stateOf(network, viewer, index), "unreachable")
      for (const index of [3, 4, 5, 6, 7, 8]) assert.strictEqual(stateOf(network, viewer, index), "alive")
      const view = Query.view(network.at(viewer).state, network.context(viewer))
      assert.isFalse(view.complete)
      assert.strictEqual(view.datacenters[0]?.state, "unreachable")
    }
    for (const index of [3, 4, 5, 6, 7, 8]) assert.strictEqual(stateOf(network, 0, index), "unreachable")
  })

  it("a data centre that was cut off is alive again when it is back", () => {
    const network = nine()
    for (let a = 0; a < 3; a++) for (let b = 3; b < 9; b++) network.cut(a, b, "timeout", 500)
    network.run(3000)
    network.connect(1, 4)
    network.run(3000)
    for (let viewer = 0; viewer < 9; viewer++) {
      for (let index = 0; index < 9; index++) assert.strictEqual(stateOf(network, viewer, index), "alive")
    }
  })

  it("a node that closed its links is offline even when its whole data centre is lost", () => {
    const network = nine()
    for (const index of [0, 1, 2]) network.kill(index, index === 0 ? "closed" : "timeout", 500)
    network.run(3000)
    assert.strictEqual(stateOf(network, 7, 0), "offline")
    assert.strictEqual(stateOf(network, 7, 1), "unreachable")
    assert.strictEqual(stateOf(network, 7, 2), "unreachable")
  })

  it("three linked nodes lost by timeout are unreachable, two are offline", () => {
    for (const lost of [
      [1, 2, 3],
      [2, 3]
    ]) {
      const network = new Network({ nodes: 8, seed: 2 })
      for (let i = 0; i < 8; i++) for (const step of [1, 2]) network.connect(i, (i + step) % 8)
      network.run(3000)
      for (const index of lost) network.kill(index, "timeout", 500)
      network.run(3000)
      for (const index of lost) {
        assert.strictEqual(stateOf(network, 6, index), lost.length === 3 ? "unreachable" : "offline")
      }
    }
  })

  it("three nodes lost by timeout that were not linked are offline each for itself", () => {
    const network = new Network({ nodes: 9, seed: 2 })
    for (let i = 0; i < 9; i++) for (const step of [1, 2]) network.connect(i, (i + step) % 9)
    network.run(3000)
    for (const index of [0, 3, 6]) network.kill(index, "timeout", 500)
    network.run(3000)
    for (const index of [0, 3, 6]) assert.strictEqual(stateOf(network, 1, index), "offline")
  })

  it("a single timeout is offline, cause timeout", () => {
    const network = nine()
    network.kill(4, "timeout", 4000)
    network.run(6000)
    assert.strictEqual(stateOf(network, 0, 4), "offline")
    assert.deepStrictEqual([...new Set(evidenceOf(network, 0, 4).map(({ cause }) => cause))], ["timeout"])
  })

  it("a node that says goodbye has left", () => {
    const network = nine()
    network.event(network.at(4), { _tag: "Leave" })
    network.run(100)
    network.kill(4, "left")
    network.run(1000)
    for (const viewer of [0, 3, 8]) assert.strictEqual(stateOf(network, viewer, 4), "left")
    assert.strictEqual(Query.offline(network.at(0).state, network.context(0)).items.length, 0)
  })

  it("a goodbye that only the neighbours heard is a goodbye", () => {
    const network = nine()
    network.kill(4, "left")
    network.run(1000)
    assert.strictEqual(stateOf(network, 0, 4), "left")
  })

  it("a node restarted with a higher incarnation is alive, and the evidence is gone", () => {
    const network = nine()
    network.kill(4)
    network.run(1000)
    assert.strictEqual(stateOf(network, 0, 4), "offline")
    network.restart(4)
    network.connect(4, 8)
    network.run(1500)
    for (const viewer of [0, 3, 8]) {
      assert.strictEqual(stateOf(network, viewer, 4), "alive")
      assert.deepStrictEqual(evidenceOf(network, viewer, 4), [])
      assert.deepStrictEqual(network.at(viewer).state.lost, [])
    }
  })

  it("eviction and replacement accuse nobody, and who is linked elsewhere stays alive", () => {
    const network = nine()
    network.cut(4, 5, "evicted")
    network.cut(4, 1, "replaced")
    network.run(1000)
    for (const viewer of [0, 1, 5]) assert.strictEqual(stateOf(network, viewer, 4), "alive")
    assert.deepStrictEqual(network.at(5).state.lost, [])
  })

  it("a node accused by one neighbour and linked to another is alive, and refutes the accusation", () => {
    const network = nine()
    network.cut(4, 5, "closed")
    network.run(1000)
    assert.strictEqual(stateOf(network, 0, 4), "alive")
    assert.deepStrictEqual(evidenceOf(network, 0, 4), [])
  })

  it("an evicted node without neighbours is suspect for the grace, then offline without evidence", () => {
    const network = new Network({ nodes: 5, seed: 3 })
    for (let i = 0; i < 4; i++) network.connect(i, (i + 1) % 4)
    network.connect(4, 0)
    network.run(2000)
    network.cut(4, 0, "evicted")
    network.run(500)
    assert.strictEqual(stateOf(network, 2, 4), "suspect")
    network.run(Liveness.graceMs + 2000)
    assert.strictEqual(stateOf(network, 2, 4), "offline")
    assert.deepStrictEqual(evidenceOf(network, 2, 4), [])
  })

  it("a node known only from the store is offline until it is heard of", () => {
    const network = new Network({ nodes: 3, seed: 4 })
    network.overlay(2)
    network.run(3000)
    for (const index of [0, 1, 2]) network.kill(index)
    network.run(100)
    network.restart(0)
    network.run(100)
    assert.strictEqual(stateOf(network, 0, 0), "alive")
    assert.strictEqual(stateOf(network, 0, 1), "offline")
    const remembered = network.at(0).outputs.flatMap(({ output }) => (output._tag === "Remember" ? output.peers : []))
    assert.deepStrictEqual(remembered.map(({ address }) => address).toSorted(), ["10.0.0.1:7740", "10.0.0.2:7740"])
    network.restart(1)
    network.connect(0, 1)
    network.run(1000)
    assert.strictEqual(stateOf(network, 0, 1), "alive")
  })

  it("an offline node whose name lives on under another id is forgotten", () => {
    const network = new Network({ nodes: 3, seed: 5, name: (i) => (i === 2 ? "n1" : `n${i}`) })
    network.connect(0, 1)
    network.run(1000)
    network.kill(1)
    network.connect(0, 2)
    network.run(1000)
    assert.strictEqual(stateOf(network, 0, 1), "forgotten")
    const { items } = Query.nodes(network.at(0).state, network.context(0))
    assert.deepStrictEqual(
      items.map(({ name, state }) => [name, state]),
      [
        ["n0", "alive"],
        ["n1", "alive"]
      ]
    )
  })

  it("so is one of which nobody says anything, without being a suspect first", () => {
    const network = new Network({ nodes: 3, seed: 5, name: (i) => (i === 2 ? "n1" : `n${i}`) })
    network.connect(0, 1)
    network.run(1000)
    network.cut(1, 0, "evicted")
    network.run(500)
    assert.strictEqual(stateOf(network, 0, 1), "suspect")
    network.connect(0, 2)
    network.run(500)
    assert.strictEqual(stateOf(network, 0, 1), "forgotten")
  })

  it("two living nodes with one name are shown with their ids, and as a problem", () => {
    const network = new Network({ nodes: 3, seed: 6, name: (i) => (i === 2 ? "n1" : `n${i}`) })
    network.connect(0, 1)
    network.connect(0, 2)
    network.run(1000)
    const { items } = Query.nodes(network.at(0).state, network.context(0))
    assert.deepStrictEqual(
      items.map(({ name }) => name),
      ["n0", `n1#${network.at(1).id}`, `n1#${network.at(2).id}`]
    )
    const [problem] = Query.problems(network.at(0).state, network.context(0))
    assert.include(problem?.what, "2 living nodes have the name n1")
    assert.deepStrictEqual(Query.aliveUnder(network.at(0).state, network.now, "n1").length, 2)
  })

  it("an accusation older than the accused's last word counts for nothing", () => {
    const at = (wall: number) => ({ epoch: 0, wall, counter: 0, node: "aaaaaaaaaaaa" })
    const docOf = (id: string, adjacency: Omit<NodeDoc.Adjacency, "_tag">) =>
      NodeDoc.write(NodeDoc.empty(id, { incarnation: 1, built: 1 }), "adjacency", { _tag: "Adjacency", ...adjacency })
    const viewer = docOf("aaaaaaaaaaaa", {
      at: at(1),
      neighbors: [],
      lost: [{ id: "bbbbbbbbbbbb", incarnation: 1, cause: "closed", at: at(50) }]
    })
    for (const [spoke, state] of [
      [49, "offline"],
      [51, "suspect"]
    ] as const) {
      const accused = docOf("bbbbbbbbbbbb", { at: at(spoke), neighbors: [], lost: [] })
      const other = docOf("cccccccccccc", { at: at(1), neighbors: [], lost: [] })
      const verdicts = Liveness.judge(
        {
          self: viewer.id,
          docs: HashMap.make([viewer.id, viewer], [accused.id, accused], [other.id, other]),
          heard: HashMap.make([accused.id, 1000]),
          remembered: HashMap.make([viewer.id, { datacenter: "x" }], [accused.id, { datacenter: "x" }])
        },
        2000
      )
      assert.strictEqual(verdicts.get(accused.id)?.state, state)
    }
  })

  it("a later incarnation of this very node is reported once", () => {
    const network = new Network({ nodes: 2, seed: 7 })
    network.connect(0, 1)
    network.run(500)
    const known = { incarnation: 9, built: 1, version: 1 }
    const link = [...network.at(0).links.keys()][0] as number
    for (let i = 0; i < 2; i++) {
      network.event(network.at(0), {
        _tag: "Received",
        link,
        message: {
          _tag: "Digest",
          reply: false,
          first: true,
          last: true,
          docs: [[network.at(0).id, known]],
          config: null,
          relays: true
        }
      })
    }
    const outdated = network.at(0).outputs.filter(({ output }) => output._tag === "Outdated")
    assert.deepStrictEqual(
      outdated.map(({ output }) => output),
      [{ _tag: "Outdated", incarnation: 9 }]
    )
  })
})

describe("publishers in the fleet", () => {
  it("are unknown when their node is offline, stopped when it left, and come back with it", () => {
    const network = nine()
    network.event(network.at(4), { _tag: "Published", app: "shop/cart", instance: "1", signal: "metrics", labels: {} })
    network.run(1000)
    const stateAt = (viewer: number) =>
      Query.publishers(network.at(viewer).state, network.context(viewer)).items.map(({ state }) => state)
    assert.deepStrictEqual(stateAt(0), ["fresh"])
    network.kill(4)
    network.run(1000)
    assert.deepStrictEqual(stateAt(0), ["unknown"])
    assert.deepStrictEqual(Query.counts(network.at(0).state, network.context(0)).publishers, {
      fresh: 0,
      stale: 0,
      stopped: 0,
      unknown: 1
    })
  })
})

describe("events in the fleet", () => {
  it("three events, each recorded after the former was seen, come in that order from all nine, whatever the clocks say", () => {
    const network = new Network({ nodes: 9, seed: 8, skew: (i) => [0, -4000, 2500][i % 3] as number })
    network.overlay(4)
    network.run(2000)
    for (const index of [2, 7, 4]) {
      network.event(network.at(index), record(`from ${index}`))
      network.run(1000)
    }
    for (let viewer = 0; viewer < 9; viewer++) {
      const { items } = Query.events(network.at(viewer).state, network.context(viewer))
      assert.deepStrictEqual(
        items.map(({ body }) => body),
        ["from 2", "from 7", "from 4"]
      )
      assert.isTrue(items.every((item, i) => i === 0 || item.at > (items[i - 1]?.at ?? "")))
    }
  })

  it("outlive the document that brought them", () => {
    const network = nine()
    network.event(network.at(4), record("last words"))
    network.run(1000)
    network.kill(4)
    network.at(4).disk.clear()
    network.run(500)
    network.restart(4)
    network.connect(4, 0)
    network.run(2000)
    assert.strictEqual(Query.events(network.at(8).state, network.context(8)).items[0]?.body, "last words")
  })

  it("are filtered by severity, app, node and age, and the newest are kept by a limit", () => {
    const network = new Network({ nodes: 2, seed: 9 })
    network.connect(0, 1)
    network.run(200)
    for (let i = 0; i < 5; i++) {
      network.event(network.at(i % 2), record(`e${i}`))
      network.run(1000)
    }
    const ask = (filter: Query.EventFilter) =>
      Query.events(network.at(0).state, network.context(0), filter).items.map(({ body }) => body)
    assert.deepStrictEqual(ask({ limit: 2 }), ["e3", "e4"])
    assert.deepStrictEqual(ask({ limit: 0 }), [])
    assert.deepStrictEqual(ask({ severity: "fatal" }), [])
    assert.deepStrictEqual(ask({ severity: "error", node: "n1" }), ["e1", "e3"])
    assert.deepStrictEqual(ask({ app: "other" }), [])
    assert.deepStrictEqual(ask({ sinceMs: 2500 }), ["e3", "e4"])
  })
})

describe("status", () => {
  it("counts every node once", () => {
    const network = nine()
    network.event(network.at(0), set("k", "v"))
    network.kill(4)
    network.run(2000)
    const counts = Query.counts(network.at(0).state, network.context(0))
    assert.strictEqual(
      Object.values(counts.nodes).reduce((a, b) => a + b),
      9
    )
    assert.strictEqual(counts.nodes.offline, 1)
    assert.strictEqual(counts.configKeys, 1)
    const [problem] = Query.problems(network.at(0).state, network.context(0))
    assert.deepStrictEqual(problem, { what: "offline: closed", where: "node n4", next: "starling offline" })
  })
})

import { Hlc } from "@starling/clock"
import { Facts, NodeDoc, Query } from "@starling/fleet"
import { Rng } from "@starling/machine"
import { test } from "vitest"

/** One step of facts that know 10,000 nodes, with five neighbours. */
const nodes = 10_000

const idOf = (index: number): string => (0xa00000000000 + index).toString(16)
const stamp = { epoch: 0, wall: 1_750_000_000_000, counter: 0, node: idOf(0) }
const peer = (index: number) => ({ id: idOf(index), incarnation: 1, address: "10.0.0.1:7740" })

const docOf = (index: number): NodeDoc.NodeDoc => {
  let doc = NodeDoc.empty(idOf(index), { incarnation: 1, built: 1 })
  doc = NodeDoc.write(doc, "profile", {
    _tag: "Profile",
    name: `n${index}`,
    datacenter: `dc${index % 30}`,
    address: "10.0.0.1:7740",
    labels: { role: "edge", env: "prod" },
    since: 1,
    left: null
  })
  return NodeDoc.write(doc, "adjacency", {
    _tag: "Adjacency",
    at: stamp,
    neighbors: [1, 7, 50, 333, 4096].map((step) => ({ id: idOf((index + step) % nodes), incarnation: 1 })),
    lost: []
  })
}

const docs = Array.from({ length: nodes }, (_, index) => docOf(index))

const step = (state: Facts.State, now: number, event: Facts.Event): Facts.State =>
  Facts.step(state, { now, event, stamp: { ...stamp, wall: stamp.wall + now }, wall: stamp.wall + now })[0]

const delta = (list: ReadonlyArray<NodeDoc.NodeDoc>, known: NodeDoc.Known): Facts.Message => ({
  _tag: "Delta",
  docs: list.flatMap((doc) => NodeDoc.since(doc, known, 1_000_000)?.delta ?? []),
  via: []
})

const self = { id: idOf(0), incarnation: 1, address: "a:1", name: "n0", datacenter: "dc0", labels: {} }

let full = Facts.make({ ...Facts.defaults, self, startedAt: 0 }, new Map(), Rng.make(1), stamp.wall)
full = step(full, 0, { _tag: "Started" })
full = step(full, 1, {
  _tag: "Neighbors",
  version: 1,
  neighbors: [1, 7, 50, 333, 4096].map((index, link) => ({ link, peer: peer(index) }))
})
const digest = (list: ReadonlyArray<NodeDoc.NodeDoc>): Facts.Message => ({
  _tag: "Digest",
  reply: false,
  first: true,
  last: true,
  docs: list.map((doc) => [doc.id, NodeDoc.knownOf(doc)] as const),
  config: null,
  relays: true
})
for (let link = 0; link < 5; link++) full = step(full, 2, { _tag: "Received", link, message: digest(docs) })
full = step(full, 3, { _tag: "Received", link: 0, message: delta(docs.slice(1), NodeDoc.unknown) })
// What is left from the start is sent: from here on there is one document to send at a time.
for (let at = 1; at < 50; at++) {
  full = step(full, 300 * at, { _tag: "TimerFired", timer: { _tag: "Flush", round: full.timers.Flush.round } })
}

const changed = NodeDoc.write(docs[77] as NodeDoc.NodeDoc, "pulse", { _tag: "Pulse", wall: 1 })
const one = delta([changed], NodeDoc.knownOf(docs[77] as NodeDoc.NodeDoc))
const thousand = delta(
  docs.slice(1, 1001).map((doc) => NodeDoc.write(doc, "pulse", { _tag: "Pulse", wall: 1 })),
  NodeDoc.knownOf(docs[77] as NodeDoc.NodeDoc)
)

let now = 10_000

test("facts of 10,000 nodes", async ({ bench }) => {
  await bench("a delta of one document, passed on to four neighbours", () => {
    step(full, 20_000, { _tag: "Received", link: 0, message: one })
  }).run()
  await bench("a delta of a thousand documents, passed on to four neighbours", () => {
    step(full, 20_000, { _tag: "Received", link: 0, message: thousand })
  }).run()
  await bench("telemetry arrives", () => {
    step(full, 20_000, { _tag: "Published", app: "a", instance: "1", signal: "metrics", labels: {} })
  }).run()
  await bench("a full digest of a neighbour", () => {
    step(full, 20_000, { _tag: "Received", link: 1, message: digest(docs) })
  }).run()
  await bench("a judgement on everybody", () => {
    now += 2000
    Query.counts(full, { now, wall: now, stamp: Hlc.last(Hlc.make(0), idOf(0)) })
  }).run()
})

import { BroadcastTree, LazyPushRepair, type MessageId } from "@starling/gossip"
import { test } from "vitest"

const origins = 10_000
const self = { id: "ffffffffffff", incarnation: 1, address: "10.0.0.1:7000" }
const peer = (i: number) => ({ id: i.toString(16).padStart(12, "0"), incarnation: 1, address: "10.0.0.2:7000" })
const neighbors = [1, 2, 3, 4, 5].map((link) => ({ link, peer: peer(0xffff00 + link) }))
const id = (n: number): MessageId.MessageId => ({
  origin: peer(n % origins).id,
  incarnation: 1,
  seq: 1 + Math.floor(n / origins)
})
const up = { now: 0, event: { _tag: "Neighbors", version: 1, neighbors } } as const

const gossip = (n: number, link: number): BroadcastTree.Event => ({
  _tag: "Received",
  link,
  message: { _tag: "Gossip", id: id(n), round: 3, topic: 1, payload: "a small payload" }
})

const tree = () => {
  let [state] = BroadcastTree.step(BroadcastTree.make({ ...BroadcastTree.defaults, self }, new Map(), 1), up)
  let next = 0
  const feed = (event: BroadcastTree.Event, now: number): void => {
    const [after] = BroadcastTree.step(state, { now, event })
    state = after
  }
  for (; next < origins; next++) feed(gossip(next, 1), next / 100)
  return { feed, next: () => next++ }
}

const repair = () => {
  let [state] = LazyPushRepair.step(LazyPushRepair.make({ ...LazyPushRepair.defaults, self }, new Map(), 1), up)
  let next = 0
  const feed = (event: LazyPushRepair.Event, now: number): void => {
    const [after] = LazyPushRepair.step(state, { now, event })
    state = after
  }
  for (; next < origins; next++) feed({ _tag: "Seen", id: id(next), link: 1, round: 2, mended: false }, next / 100)
  return { feed, next: () => next++ }
}

test(`BroadcastTree.step with ${origins} origins`, async ({ bench }) => {
  const all = tree()
  await bench("a new broadcast, of any origin", () => {
    const n = all.next()
    all.feed(gossip(n, 1), n / 100)
  }).run()
  const one = tree()
  let seq = 1
  await bench("a new broadcast, of one origin", () => {
    seq++
    const message = { _tag: "Gossip", id: { ...id(7), seq }, round: 3, topic: 1, payload: "a small payload" } as const
    one.feed({ _tag: "Received", link: 1, message }, 100 + seq / 100)
  }).run()
  const twice = tree()
  await bench("a second copy", () => {
    twice.feed(gossip(9999, 2), 100)
  }).run()
})

test(`LazyPushRepair.step with ${origins} origins`, async ({ bench }) => {
  const seen = repair()
  await bench("a broadcast is seen, announced to four, and an old one forgotten", () => {
    const n = seen.next()
    seen.feed({ _tag: "Seen", id: id(n), link: 1, round: 2, mended: false }, n / 100)
    seen.feed({ _tag: "Announce", id: id(n), round: 4, links: [2, 3, 4, 5] }, n / 100)
    seen.feed({ _tag: "Forgotten", ids: [id(n - origins)] }, n / 100)
  }).run()
  const known = repair()
  const items = Array.from({ length: 100 }, (_, n) => [id(n), 4] as const)
  await bench("an announcement of 100 broadcasts that are seen", () => {
    known.feed({ _tag: "Received", link: 2, message: { _tag: "IHave", items } }, 100)
  }).run()
})

/**
 * What is measured of gossip's machines: one call of `step` each, on 1,024 pairs of a state and an event. A step leaves the
 * state it is given as it is, so every call of a row finds a node that is as far as the others.
 */
import { BroadcastTree, LazyPushRepair, Shuffler, ViewManager } from "@starling/gossip"
import type { Machine } from "@starling/machine"
import { type Arm, over, type Row } from "../measure.ts"
import * as States from "./states.ts"

type Pair<State, Event> = readonly [state: State, event: Event]

const pairsMax = 1024

const now = States.nowMs

const arm = <State, Event>(
  name: string,
  step: (state: State, input: Machine.Input<Event>) => unknown,
  pairs: ReadonlyArray<Pair<State, Event>>
): Arm => ({ name, start: () => over(pairs, ([state, event]) => step(state, { now, event })) })

/** Every pair of a state and an event, up to `pairsMax`. */
const pairs = <State, Event>(
  states: ReadonlyArray<State>,
  eventOf: (state: State, n: number) => Event
): ReadonlyArray<Pair<State, Event>> =>
  Array.from({ length: pairsMax }, (_, n) => {
    const state = states[n % states.length] as State
    return [state, eventOf(state, n)]
  })

/** Machines of `nodes` nodes each; of those that remember broadcasts, as many as `heavy`. */
export interface Sizes {
  readonly fleet: number
  readonly nodes: number
  readonly heavy: number
}

export const sizes: Sizes = { fleet: 10_000, nodes: 1024, heavy: 16 }

export const rows = ({ fleet: size, heavy, nodes }: Sizes): ReadonlyArray<Row> => {
  const fleet = States.makeFleet(size)
  const each = <A>(count: number, of: (node: number) => A): ReadonlyArray<A> =>
    Array.from({ length: count }, (_, n) => of(Math.floor((n * size) / count)))
  const views = each(nodes, (node) => States.view(fleet, node))
  const shufflers = each(nodes, (node) => States.shuffler(fleet, node))
  const trees = each(heavy, (node) => States.tree(fleet, node, size - 1))
  const repairs = each(heavy, (node) => States.repair(fleet, node, size - 1))
  const linkOf = (n: number): Machine.LinkId => 1 + (n % ViewManager.defaults.activeMax)
  const peerOf = (n: number) => fleet.peers[n % size]
  const stranger = { id: "ffffffffff01", incarnation: 1, address: "192.0.2.1:7740" }
  const strangersLink = 99
  const met = views.map((state) => {
    const event = { _tag: "LinkUp", link: strangersLink, peer: stranger } as const
    return ViewManager.step(state, { now, event })[0]
  })
  const list = fleet.peers.slice(0, 8)
  const shuffle = (n: number, ttl: number): Shuffler.Event => {
    const origin = fleet.peers[(n * 31 + 7) % size] ?? stranger
    return { _tag: "Received", link: linkOf(n), message: { _tag: "Shuffle", id: n, origin, list, ttl } }
  }
  const announced = repairs.map((state) => {
    const event = { _tag: "Announce", id: lastOf(fleet, size), round: 4, links: [2, 3, 4, 5] } as const
    return LazyPushRepair.step(LazyPushRepair.step(state, { now, event: States.seen(event.id) })[0], { now, event })[0]
  })
  return [
    {
      name: "view manager",
      arms: [
        arm("a ping, answered", ViewManager.step, pairs(views, ping(linkOf))),
        arm(
          "a pong",
          ViewManager.step,
          pairs(views, (state, n) => States.pong(state, linkOf(n)))
        ),
        arm("the tick of every second: five pings", ViewManager.step, pairs(views, tick)),
        arm("a newcomer's walk passes", ViewManager.step, pairs(views, walk(linkOf, stranger))),
        arm("a join at a full node", ViewManager.step, pairs(met, join(strangersLink, stranger))),
        arm("a neighbour's link breaks", ViewManager.step, pairs(views, down(linkOf))),
        arm(
          "a shuffle brought eight peers",
          ViewManager.step,
          pairs(views, () => {
            return { _tag: "Integrate", received: list, sent: [] } as const
          })
        )
      ]
    },
    {
      name: "shuffler",
      arms: [
        arm(
          "a shuffle passes",
          Shuffler.step,
          pairs(shufflers, (_, n) => shuffle(n, 4))
        ),
        arm(
          "a shuffle ends here, and is answered",
          Shuffler.step,
          pairs(shufflers, (_, n) => shuffle(n, 1))
        ),
        arm(
          "the round of every ten seconds",
          Shuffler.step,
          pairs(shufflers, ({ timer }) => {
            return { _tag: "TimerFired", timer: { _tag: "Round", round: timer.round } } as const
          })
        )
      ]
    },
    {
      name: "broadcast tree",
      arms: [
        arm(
          "a broadcast: delivered, pushed and announced",
          BroadcastTree.step,
          pairs(trees, (_, n) => {
            return States.gossip(States.idOf(fleet, n * 7 + 3, 2), 1)
          })
        ),
        arm(
          "a second copy, pruned",
          BroadcastTree.step,
          pairs(trees, (state, n) => {
            return States.gossip(States.idOf(fleet, indexOf(fleet, state.config.self.id) + size - 1, 1), 2 + (n % 4))
          })
        ),
        arm(
          "a prune",
          BroadcastTree.step,
          pairs(trees, (_, n) => {
            return { _tag: "Received", link: linkOf(n), message: { _tag: "Prune", root: peerOf(n)?.id ?? "" } } as const
          })
        ),
        arm(
          "a broadcast of this node's own is numbered",
          BroadcastTree.step,
          pairs(trees, (_, n) => {
            return { _tag: "Broadcast", token: n, topic: 1, payload: States.payload } as const
          })
        )
      ]
    },
    {
      name: "lazy-push repair",
      arms: [
        arm(
          "a broadcast was seen",
          LazyPushRepair.step,
          pairs(repairs, (_, n) => {
            return States.seen(States.idOf(fleet, n * 7 + 3, 2))
          })
        ),
        arm(
          "it is to be announced to four",
          LazyPushRepair.step,
          pairs(repairs, (_, n) => {
            return { _tag: "Announce", id: States.idOf(fleet, n * 7 + 3, 1), round: 4, links: [2, 3, 4, 5] } as const
          })
        ),
        arm(
          "four announcements leave",
          LazyPushRepair.step,
          pairs(announced, ({ alarms }) => {
            return { _tag: "TimerFired", timer: { _tag: "Dispatch", number: alarms.Dispatch.number } } as const
          })
        ),
        arm(
          "an announcement of what was seen",
          LazyPushRepair.step,
          pairs(repairs, (_, n) => ihave(fleet, n, 1))
        ),
        arm(
          "an announcement of what was not",
          LazyPushRepair.step,
          pairs(repairs, (_, n) => ihave(fleet, n, 2))
        )
      ]
    }
  ]
}

const lastOf = (fleet: States.Fleet, size: number) => States.idOf(fleet, size - 1, 2)

const indexOf = ({ peers }: States.Fleet, id: string): number => peers.findIndex((peer) => peer.id === id)

const ping =
  (linkOf: (n: number) => Machine.LinkId) =>
  (state: ViewManager.State, n: number): ViewManager.Event => ({
    _tag: "Received",
    link: linkOf(n),
    message: { _tag: "Ping", seq: n, claim: true, label: States.labelOf(state) }
  })

const tick = ({ tick }: ViewManager.State): ViewManager.Event => ({
  _tag: "TimerFired",
  timer: { _tag: "Tick", round: tick.round }
})

const walk =
  (linkOf: (n: number) => Machine.LinkId, peer: ViewManager.Config["self"]) =>
  (_: ViewManager.State, n: number): ViewManager.Event => ({
    _tag: "Received",
    link: linkOf(n),
    message: { _tag: "ForwardJoin", peer, ttl: 4 }
  })

const join = (link: Machine.LinkId, peer: ViewManager.Config["self"]) => (): ViewManager.Event => ({
  _tag: "Received",
  link,
  message: { _tag: "Join", peer }
})

const down =
  (linkOf: (n: number) => Machine.LinkId) =>
  (_: ViewManager.State, n: number): ViewManager.Event => ({
    _tag: "LinkDown",
    link: linkOf(n),
    reason: { _tag: "Reset" }
  })

const ihave = (fleet: States.Fleet, n: number, seq: number): LazyPushRepair.Event => ({
  _tag: "Received",
  link: 2,
  message: { _tag: "IHave", items: [[States.idOf(fleet, n * 7 + 3, seq), 4]] }
})

/** What a machine keeps, beside what all nodes share. */
export interface Weight {
  readonly name: string
  readonly bytes: number
}

/** `collect` takes garbage away; `heap` tells what is left. */
export const weights = (
  { fleet: size, heavy, nodes }: Sizes,
  collect: () => void,
  heap: () => number
): ReadonlyArray<Weight> => {
  const fleet = States.makeFleet(size)
  const weigh = (name: string, count: number, of: (node: number) => unknown): Weight => {
    // The first ones make what all share.
    const first = [of(0), of(1)]
    collect()
    const before = heap()
    const kept = Array.from({ length: count }, (_, n) => of(2 + n))
    collect()
    const bytes = (heap() - before) / count
    if (first.length + kept.length !== 2 + count) throw new Error("states were lost while they were weighed")
    return { name, bytes }
  }
  return [
    weigh("view manager", nodes, (node) => States.view(fleet, node)),
    weigh("shuffler", nodes, (node) => States.shuffler(fleet, node)),
    weigh("broadcast tree, nothing delivered yet", nodes, (node) => States.tree(fleet, node, 0)),
    weigh("broadcast tree, one broadcast of every node", heavy, (node) => States.tree(fleet, node, size - 1)),
    weigh("lazy-push repair, nothing delivered yet", nodes, (node) => States.repair(fleet, node, 0)),
    weigh("lazy-push repair, one broadcast of every node", heavy, (node) => States.repair(fleet, node, size - 1))
  ]
}

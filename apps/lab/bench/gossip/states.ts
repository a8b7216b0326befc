/**
 * Machines of nodes in a fleet of `fleet`, at rest: five neighbours, thirty passive peers, and one broadcast delivered of
 * every other node. Each is brought there by the events that bring a node there.
 */
import { BroadcastTree, LazyPushRepair, type MessageId, Shuffler, ViewManager } from "@starling/gossip"
import { type Machine, type Peer, Rng } from "@starling/machine"

/** Events are fed at this time, long after the first: cooldowns and bounds on what comes at once are over. */
export const nowMs = 100_000

export interface Fleet {
  readonly peers: ReadonlyArray<Peer.Peer>
}

export const makeFleet = (size: number): Fleet => ({
  peers: Array.from({ length: size }, (_, n) => ({
    id: (0x5a0000000000 + n * 0x9e3779).toString(16).padStart(12, "0").slice(-12),
    incarnation: 1,
    address: `10.${n >> 16}.${(n >> 8) & 255}.${n & 255}:7740`
  }))
})

/** Draws `count` peers for a node, itself not among them. */
const peersFor = ({ peers }: Fleet, node: number, count: number): ReadonlyArray<Peer.Peer> => {
  const others = Array.from({ length: 2 * count }, (_, n) => (node * 7919 + (n + 1) * 104_729) % peers.length)
  return [...new Set(others)].flatMap((other) => (other === node ? [] : (peers[other] ?? []))).slice(0, count)
}

const selfOf = ({ peers }: Fleet, node: number): Peer.Peer => {
  const self = peers[node % peers.length]
  if (self === undefined) throw new Error("a fleet has at least one node")
  return self
}

const neighborsMax = ViewManager.defaults.activeMax

const play = <State, Event>(
  step: (state: State, input: Machine.Input<Event>) => Machine.Step<State, unknown>,
  state: State,
  events: ReadonlyArray<readonly [now: number, event: Event]>
): State => events.reduce((current, [now, event]) => step(current, { now, event })[0], state)

export const view = (fleet: Fleet, node: number): ViewManager.State => {
  const self = selfOf(fleet, node)
  const known = peersFor(fleet, node, neighborsMax + ViewManager.defaults.passiveMax)
  const events: Array<readonly [number, ViewManager.Event]> = [[0, { _tag: "Started" }]]
  for (const [n, peer] of known.slice(0, neighborsMax).entries()) {
    const link = n + 1
    events.push([1, { _tag: "LinkUp", link, peer }])
    events.push([2, { _tag: "Received", link, message: { _tag: "Neighbor", peer, priority: "low" } }])
  }
  events.push([3, { _tag: "Integrate", received: known.slice(neighborsMax), sent: [] }])
  const contacts = known.slice(0, 3).map(({ address }) => address)
  const made = ViewManager.make({ ...ViewManager.defaults, self, contacts }, Rng.make(node))
  // A tick close to the time of what is measured, or it would count as one that was lost.
  let state = play(ViewManager.step, made, events)
  for (let now = 1000; now < nowMs; now = state.tick.due)
    state = play(ViewManager.step, state, [
      ...state.active.map(({ link }) => [now, pong(state, link)] as const),
      [now, { _tag: "TimerFired", timer: { _tag: "Tick", round: state.tick.round } }]
    ])
  return state
}

/** The answer to the last ping on a link. */
export const pong = (state: ViewManager.State, link: Machine.LinkId): ViewManager.Event => {
  const seq = state.links.find((other) => other.link === link)?.pingSeq ?? 0
  return { _tag: "Received", link, message: { _tag: "Pong", seq, claim: true, label: labelOf(state) } }
}

export const labelOf = ({ label }: ViewManager.State) => ({
  leader: label.leader,
  incarnation: label.incarnation,
  beat: label.beat,
  stable: label.stable
})

const neighborsOf = (fleet: Fleet, node: number): ReadonlyArray<Machine.Neighbor> =>
  peersFor(fleet, node, neighborsMax).map((peer, n) => ({ peer, link: n + 1 }))

export const shuffler = (fleet: Fleet, node: number): Shuffler.State => {
  const self = selfOf(fleet, node)
  const active = neighborsOf(fleet, node)
  const passive = peersFor(fleet, node, neighborsMax + ViewManager.defaults.passiveMax).slice(neighborsMax)
  return play(Shuffler.step, Shuffler.make({ ...Shuffler.defaults, self }, Rng.make(node)), [
    [nowMs - 1000, { _tag: "Started" }],
    [nowMs - 1000, { _tag: "Views", version: 1, active, passive }]
  ])
}

/** The `seq`-th broadcast of a node of the fleet. */
export const idOf = ({ peers }: Fleet, origin: number, seq: number): MessageId.MessageId => ({
  origin: peers[origin % peers.length]?.id ?? "",
  incarnation: 1,
  seq
})

export const payload = "a small payload"

export const gossip = (id: MessageId.MessageId, link: Machine.LinkId): BroadcastTree.Event => ({
  _tag: "Received",
  link,
  message: { _tag: "Gossip", id, round: 3, topic: 1, payload }
})

/** `origins`: how many nodes have sent a broadcast; the last ones are still cached. */
export const tree = (fleet: Fleet, node: number, origins: number): BroadcastTree.State => {
  const self = selfOf(fleet, node)
  const neighbors = neighborsOf(fleet, node)
  let state = play(
    BroadcastTree.step,
    BroadcastTree.make({ ...BroadcastTree.defaults, self }, new Map(), Rng.make(node)),
    [
      [0, { _tag: "Started" }],
      [0, { _tag: "Neighbors", version: 1, neighbors }]
    ]
  )
  for (let n = 1; n <= origins; n++) {
    const id = idOf(fleet, node + n, 1)
    const now = Math.round((nowMs * n) / origins)
    state = play(BroadcastTree.step, state, [[now, gossip(id, 1 + (n % neighborsMax))]])
  }
  // What was delivered is stored, and payloads too old are dropped.
  return play(BroadcastTree.step, state, [
    [nowMs, { _tag: "TimerFired", timer: { _tag: "Tick", number: state.tick.number } }]
  ])
}

export const repair = (fleet: Fleet, node: number, origins: number): LazyPushRepair.State => {
  const self = selfOf(fleet, node)
  const neighbors = neighborsOf(fleet, node)
  const made = LazyPushRepair.make({ ...LazyPushRepair.defaults, self }, new Map(), Rng.make(node))
  let state = play(LazyPushRepair.step, made, [[0, { _tag: "Neighbors", version: 1, neighbors }]])
  for (let n = 1; n <= origins; n++) {
    const id = idOf(fleet, node + n, 1)
    const now = Math.round((nowMs * n) / origins)
    const gone = n - cached
    state = play(LazyPushRepair.step, state, [
      [now, seen(id)],
      ...(gone > 0 ? [[now, { _tag: "Forgotten", ids: [idOf(fleet, node + gone, 1)] }] as const] : [])
    ])
  }
  return state
}

/** Broadcasts whose payload a node still has. */
export const cached = 1000

export const seen = (id: MessageId.MessageId): LazyPushRepair.Event => ({
  _tag: "Seen",
  id,
  link: 1,
  round: 3,
  mended: false
})

/**
 * Nodes that keep of each document only which change of it they have: ten thousand whole facts would be a hundred million
 * documents. They send along the same relay trees (`Relays`) by the same times, and announce, ask and compare as facts do.
 * What they leave out: documents of several records, budgets, persistence, what each neighbour is known to have.
 *
 * Their states change in place, so such a fleet cannot be forked.
 *
 * @since 0.1.0
 */
import { Facts, Relays } from "@starling/fleet"
import { LinkGate, type Machine, type NodeId, Rng } from "@starling/machine"
import { World } from "@starling/sim"
import * as Hosts from "./Hosts.ts"
import type { Seen, Subject } from "./Subject.ts"

interface Link {
  readonly link: Machine.LinkId
  readonly id: NodeId.NodeId
  /** What waits to be sent: origins, and the relay of each (-1: none). */
  origins: Array<number>
  vias: Array<number>
}

interface State {
  readonly rng: { value: Rng.Rng }
  readonly number: number
  gate: LinkGate.LinkGate<Message>
  links: Array<Link>
  relays: Relays.Relays
  beats: number
  /** By origin: the number of the last change that is here. */
  readonly has: Uint16Array
  /** How many changes are here, of all origins. */
  total: number
  /** Edges by relay, good until the trees change or the second is over. */
  edges: {
    readonly of: Relays.Relays
    readonly until: Machine.Instant
    readonly links: Map<number, ReadonlyArray<Link>>
  }
  lastFlush: Machine.Instant
  isFlushArmed: boolean
  fresh: Array<number>
  due: Array<number>
  /** Neighbours that had less than this node, with what it had then: not to be announced the next time, */
  behind: ReadonlyArray<readonly [Machine.LinkId, Uint16Array]>
  /** and the next time. */
  lagging: ReadonlyArray<readonly [Machine.LinkId, Uint16Array]>
  isAnnounceArmed: boolean
  /** By origin: which change was asked for, and when. */
  readonly asked: Map<number, { readonly change: number; readonly at: Machine.Instant }>
  received: number
  repeated: number
  pulled: number
}

/** Changes are sent as pairs of origin and number in two lists of one length. */
type Message =
  | {
      readonly _tag: "Delta"
      readonly origins: ReadonlyArray<number>
      readonly changes: ReadonlyArray<number>
      readonly vias: ReadonlyArray<number>
    }
  | { readonly _tag: "Have"; readonly origins: ReadonlyArray<number>; readonly changes: ReadonlyArray<number> }
  | { readonly _tag: "Want"; readonly origins: ReadonlyArray<number>; readonly changes: ReadonlyArray<number> }
  | { readonly _tag: "Summary"; readonly total: number }
  | { readonly _tag: "Beat"; readonly relay: number; readonly number: number }
  | { readonly _tag: "Claims"; readonly relays: ReadonlyArray<number>; readonly isParent: boolean }

type Timer = "Flush" | "Own" | "Announce" | "Tick" | "Compare" | "Beat"

interface Guest extends Hosts.Guest {
  readonly state: State
  readonly message: Message
  readonly timer: Timer
  /** Origins of the changes that came. */
  readonly output: ReadonlyArray<number>
  readonly command: { readonly _tag: "Begin" } | { readonly _tag: "Emit" }
}

type Action = Hosts.GuestAction<Guest>

/** @since 0.1.0 @category constructors */
export const make = (
  order: { readonly size: number; readonly seed: number; readonly jitterMs: number },
  settings: Partial<Facts.Config>,
  seen: Seen,
  progress: (text: string) => void
): Subject => {
  const { jitterMs, seed, size } = order
  const index = new Map<NodeId.NodeId, number>()
  const ids: Array<NodeId.NodeId> = []
  const observer: World.Observer<Hosts.Protocol<Guest>> = {
    output: ({ now, peer }, origins) => {
      const node = index.get(peer.id) ?? 0
      for (const origin of origins) seen(node, origin, now)
    }
  }
  const config = { ...Facts.defaults, ...settings }
  const fleet: Fleet = { config, ids, index, relays: new Set() }
  const world = Hosts.make<Guest>(
    { size, seed, network: { latencyMs: [10, 50], jitterMs } },
    (state, at, event) => {
      if (event._tag === "Begin") return begin(fleet, at.self.id, at.now, at.view.active)
      if (state === undefined) return [undefined, []]
      const turn: Turn = { fleet, state, now: at.now, actions: [] }
      handle(turn, event)
      return [state, turn.actions]
    },
    observer,
    progress
  )
  for (const [at, id] of World.ids(world).entries()) {
    index.set(id, at)
    ids.push(id)
  }
  // Everybody knows everybody, and agrees who is a relay.
  const ranked = ids.toSorted((a, b) => Relays.rankOf(b) - Relays.rankOf(a))
  for (const id of ranked.slice(0, config.relays.relaysMax)) fleet.relays.add(index.get(id) ?? 0)
  for (const id of ids) World.inject(world, id, { _tag: "Ask", command: { _tag: "Begin" } })
  const idOf = (node: number): NodeId.NodeId => ids[node] ?? ""
  return {
    pass: (ms) => World.pass(world, ms),
    now: () => World.now(world),
    at: (ms, run) => World.at(world, ms, run),
    alive: () => Hosts.idsOf(world).map((id) => index.get(id) ?? 0),
    relays: () => [...fleet.relays].filter((node) => World.state(world, idOf(node)) !== undefined),
    emit: (node) => World.inject(world, idOf(node), { _tag: "Ask", command: { _tag: "Emit" } }),
    kill: (node) => World.crash(world, idOf(node)),
    cost: () =>
      new Map(
        World.running(world).map(({ peer, state: { guest } }) => {
          const { pulled, received, repeated } = guest ?? { pulled: 0, received: 0, repeated: 0 }
          return [index.get(peer.id) ?? 0, { pulled, received, repeated }]
        })
      ),
    frames: () => World.counters(world).frames
  }
}

/** What all nodes share: their settings, and numbers for names. */
interface Fleet {
  readonly config: Omit<Facts.Config, "self" | "startedAt">
  readonly ids: ReadonlyArray<NodeId.NodeId>
  readonly index: ReadonlyMap<NodeId.NodeId, number>
  readonly relays: Set<number>
}

interface Turn {
  readonly fleet: Fleet
  readonly state: State
  readonly now: Machine.Instant
  readonly actions: Array<Action>
}

const begin = (
  fleet: Fleet,
  id: NodeId.NodeId,
  now: Machine.Instant,
  neighbors: ReadonlyArray<Machine.Neighbor>
): readonly [State, ReadonlyArray<Action>] => {
  const state: State = {
    rng: { value: Rng.make(`${id}/lean`) },
    number: fleet.index.get(id) ?? 0,
    // Beside what the view manager says, which begins with 1.
    gate: LinkGate.accept<Message>(LinkGate.empty, 0.5, neighbors)?.gate ?? LinkGate.empty,
    links: neighbors.map(({ link, peer }) => ({ link, id: peer.id, origins: [], vias: [] })),
    relays: Relays.empty,
    beats: 0,
    has: new Uint16Array(fleet.ids.length),
    total: 0,
    edges: { of: Relays.empty, until: now, links: new Map() },
    lastFlush: Number.NEGATIVE_INFINITY,
    isFlushArmed: false,
    fresh: [],
    due: [],
    behind: [],
    lagging: [],
    isAnnounceArmed: false,
    asked: new Map(),
    received: 0,
    repeated: 0,
    pulled: 0
  }
  const turn: Turn = { fleet, state, now, actions: [] }
  arm(turn, "Tick", jitter(turn, fleet.config.tickMs, 0.5))
  arm(turn, "Compare", jitter(turn, fleet.config.antiEntropyMs, 0.3))
  if (fleet.relays.has(state.number)) arm(turn, "Beat", jitter(turn, fleet.config.relays.beatMs, 0.1))
  return [state, turn.actions]
}

const handle = (turn: Turn, event: Hosts.GuestEvent<Guest>): void => {
  const { fleet, now, state } = turn
  switch (event._tag) {
    case "Neighbors": {
      const change = LinkGate.accept(state.gate, event.version, event.neighbors)
      if (change === undefined) return
      state.gate = change.gate
      loseLinks(
        turn,
        change.down.map(({ link }) => link)
      )
      for (const { link, peer } of change.up) {
        state.links = [...state.links, { link, id: peer.id, origins: [], vias: [] }]
        // In the place of a digest.
        send(turn, link, { _tag: "Summary", total: state.total })
        for (const [relay, beat] of Relays.told(state.relays, fleet.config.relays, now)) {
          send(turn, link, { _tag: "Beat", relay: fleet.index.get(relay) ?? 0, number: beat.version })
        }
      }
      state.edges = { of: state.relays, until: now, links: new Map() }
      for (const { link, message } of change.released) receive(turn, link, message)
      return
    }
    case "LinkDown":
      state.gate = LinkGate.close(state.gate, event.link)
      return loseLinks(turn, [event.link])
    case "Received":
      if (state.links.some(({ link }) => link === event.link)) return receive(turn, event.link, event.message)
      state.gate = LinkGate.hold(state.gate, event.link, event.message)
      return
    case "Emit":
      arm(turn, "Own", fleet.config.leadingMs)
      state.has[state.number] = (state.has[state.number] ?? 0) + 1
      state.total++
      return
    case "TimerFired":
      return fired(turn, event.timer)
    default:
      return
  }
}

const fired = (turn: Turn, timer: Timer): void => {
  const { fleet, now, state } = turn
  switch (timer) {
    case "Flush":
      state.isFlushArmed = false
      return flush(turn)
    case "Own": {
      spread(turn, [state.number], [chooseFor(turn, state.number)], undefined)
      return settle(turn)
    }
    case "Announce":
      return announce(turn)
    case "Tick": {
      arm(turn, "Tick", fleet.config.tickMs)
      const { relays, released } = Relays.tended(state.relays, fleet.config.relays, now)
      state.relays = relays
      for (const { links, relay } of released) {
        for (const link of links) {
          send(turn, link, { _tag: "Claims", relays: [fleet.index.get(relay) ?? 0], isParent: false })
        }
      }
      return
    }
    case "Compare": {
      arm(turn, "Compare", jitter(turn, fleet.config.antiEntropyMs, 0.3))
      const [other, rng] = Rng.pick(state.rng.value, state.links)
      state.rng.value = rng
      if (other !== undefined) send(turn, other.link, { _tag: "Summary", total: state.total })
      return
    }
    case "Beat": {
      arm(turn, "Beat", jitter(turn, fleet.config.relays.beatMs, 0.1))
      hearBeat(turn, state.number, ++state.beats, null)
    }
  }
}

const receive = (turn: Turn, link: Machine.LinkId, message: Message): void => {
  const { fleet, now, state } = turn
  switch (message._tag) {
    case "Delta":
      return onDelta(turn, link, message)
    case "Have":
      return onHave(turn, link, message)
    case "Want": {
      const to = state.links.find((one) => one.link === link)
      for (const [at, origin] of message.origins.entries()) {
        if ((state.has[origin] ?? 0) <= (message.changes[at] ?? 0)) continue
        to?.origins.push(origin)
        to?.vias.push(-1)
      }
      return settle(turn)
    }
    case "Summary": {
      if (message.total > state.total) send(turn, link, { _tag: "Summary", total: state.total })
      if (message.total >= state.total || state.behind.some(([other]) => other === link)) return
      // What is lacking may be on its way.
      state.behind = [...state.behind, [link, state.has.slice()]]
      if (!state.isAnnounceArmed) armAnnounce(turn)
      return
    }
    case "Beat":
      return hearBeat(turn, message.relay, message.number, link)
    case "Claims":
      for (const relay of message.relays) {
        const left = state.links.map((one) => one.link)
        const id = fleet.ids[relay] ?? ""
        const { orphaned, relays } = Relays.claimed(state.relays, id, link, message.isParent, left, now)
        state.relays = relays
        claim(turn, orphaned)
      }
  }
}

const onDelta = (turn: Turn, link: Machine.LinkId, message: Extract<Message, { readonly _tag: "Delta" }>): void => {
  const { state } = turn
  const { changes, origins, vias } = message
  const fresh: Array<number> = []
  const ways: Array<number> = []
  state.received += origins.length
  for (let i = 0; i < origins.length; i++) {
    const origin = origins[i] as number
    const change = changes[i] as number
    const before = state.has[origin] as number
    if (before >= change) {
      state.repeated++
      continue
    }
    state.has[origin] = change
    state.total += change - before
    fresh.push(origin)
    ways.push((vias[i] as number) < 0 ? chooseFor(turn, origin) : (vias[i] as number))
  }
  if (fresh.length === 0) return
  turn.actions.push({ _tag: "Emit", output: fresh })
  spread(turn, fresh, ways, link)
  settle(turn)
}

const spread = (
  turn: Turn,
  origins: ReadonlyArray<number>,
  vias: ReadonlyArray<number>,
  from: Machine.LinkId | undefined
): void => {
  const { state } = turn
  for (let i = 0; i < origins.length; i++) {
    const via = vias[i] as number
    const origin = origins[i] as number
    const edges = edgesOf(turn, via)
    for (const to of edges) {
      if (to.link === from) continue
      to.origins.push(origin)
      to.vias.push(via)
    }
    if (edges.length < state.links.length) state.fresh.push(origin)
  }
  if (state.fresh.length > 0 && !state.isAnnounceArmed) armAnnounce(turn)
}

/** Facts look for every change; the answer holds for a while. */
const edgesOf = (turn: Turn, via: number): ReadonlyArray<Link> => {
  const { fleet, now, state } = turn
  const { relays } = fleet.config
  if (state.edges.of !== state.relays || now >= state.edges.until) {
    state.edges = { of: state.relays, until: now + 100, links: new Map() }
  }
  const known = state.edges.links.get(via)
  if (known !== undefined) return known
  const branch = via < 0 ? undefined : Relays.branchOf(state.relays, fleet.ids[via] ?? "")
  const edges = state.links.filter(({ link }) => Relays.isEdge(branch, link, relays, now))
  state.edges.links.set(via, edges)
  return edges
}

const chooseFor = ({ fleet, now, state }: Turn, origin: number): number => {
  const relay = Relays.choose(state.relays, fleet.ids[origin] ?? "", fleet.config.relays, now)
  return relay === null ? -1 : (fleet.index.get(relay) ?? -1)
}

const settle = (turn: Turn): void => {
  const { fleet, now, state } = turn
  if (state.isFlushArmed) return
  const next = state.lastFlush + fleet.config.hopMs
  if (now >= next) return flush(turn)
  state.isFlushArmed = true
  arm(turn, "Flush", next - now)
}

const flush = (turn: Turn): void => {
  const { now, state } = turn
  state.lastFlush = now
  for (const to of state.links) {
    const { origins, vias } = to
    if (origins.length === 0) continue
    to.origins = []
    to.vias = []
    send(turn, to.link, { _tag: "Delta", origins, changes: changesOf(state, origins), vias })
  }
}

const changesOf = ({ has }: State, origins: ReadonlyArray<number>): ReadonlyArray<number> =>
  origins.map((origin) => has[origin] ?? 0)

const armAnnounce = (turn: Turn): void => {
  const { config } = turn.fleet
  turn.state.isAnnounceArmed = true
  arm(turn, "Announce", jitter(turn, Math.min(config.announceMs, 4 * config.coalesceMs), 0.3))
}

const announce = (turn: Turn): void => {
  const { behind, due, fresh, lagging, links } = turn.state
  Object.assign(turn.state, { due: fresh, fresh: [], lagging: behind, behind: [], isAnnounceArmed: false })
  if (fresh.length > 0 || behind.length > 0) armAnnounce(turn)
  const changes = changesOf(turn.state, due)
  for (const { link } of links) {
    if (due.length > 0) send(turn, link, { _tag: "Have", origins: due, changes })
    for (const [other, had] of lagging) {
      if (other === link) send(turn, link, { _tag: "Have", origins: [...had.keys()], changes: [...had] })
    }
  }
}

const onHave = (turn: Turn, link: Machine.LinkId, { changes, origins }: Extract<Message, { _tag: "Have" }>): void => {
  const { now, state } = turn
  const wanted: Array<number> = []
  for (let i = 0; i < origins.length; i++) {
    const origin = origins[i] as number
    const change = changes[i] as number
    if ((state.has[origin] as number) >= change) continue
    const asked = state.asked.get(origin)
    if (asked !== undefined && asked.change >= change && now - asked.at < 1000) continue
    state.asked.set(origin, { change, at: now })
    wanted.push(origin)
  }
  if (wanted.length === 0) return
  state.pulled += wanted.length
  send(turn, link, { _tag: "Want", origins: wanted, changes: changesOf(state, wanted) })
}

const hearBeat = (turn: Turn, relay: number, number: number, from: Machine.LinkId | null): void => {
  const { fleet, now, state } = turn
  if (relay === state.number && from !== null) return
  const beat = { incarnation: 1, built: 1, version: number }
  const heard = Relays.heard(state.relays, fleet.ids[relay] ?? "", beat, from, now)
  if (heard._tag === "Old" || heard._tag === "Full") return
  state.relays = heard.relays
  if (heard._tag === "Again") return
  if (heard._tag === "Newer") {
    for (const { link } of state.links) if (link !== from) send(turn, link, { _tag: "Beat", relay, number })
  }
  if (from !== null) send(turn, from, { _tag: "Claims", relays: [relay], isParent: true })
}

const loseLinks = (turn: Turn, gone: ReadonlyArray<Machine.LinkId>): void => {
  const { state } = turn
  if (gone.length === 0) return
  const lost = state.links.filter(({ link }) => gone.includes(link))
  state.links = state.links.filter(({ link }) => !gone.includes(link))
  const left = state.links.map(({ link }) => link)
  const { orphaned, relays } = Relays.without(state.relays, lost, left, turn.now)
  state.relays = relays
  state.edges = { of: relays, until: turn.now, links: new Map() }
  claim(turn, orphaned)
}

const claim = (turn: Turn, orphaned: ReadonlyArray<Relays.Orphaned>): void => {
  for (const { links, relay } of orphaned) {
    const relays = [turn.fleet.index.get(relay) ?? 0]
    for (const link of links) send(turn, link, { _tag: "Claims", relays, isParent: true })
  }
}

const send = (turn: Turn, link: Machine.LinkId, message: Message): void => {
  turn.actions.push({ _tag: "Send", link, message })
}

const arm = (turn: Turn, timer: Timer, delayMs: number): void => {
  turn.actions.push({ _tag: "SetTimer", delayMs: Math.max(0, Math.ceil(delayMs)), timer })
}

const jitter = ({ state }: Turn, value: number, share: number): number => {
  const [delay, rng] = Rng.jitter(state.rng.value, value, share)
  state.rng.value = rng
  return delay
}

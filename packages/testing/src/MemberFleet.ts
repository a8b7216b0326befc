/**
 * Fleets of members in the simulator, and what must be true of them.
 *
 * A fleet is a `World` of `Member` machines with stable ids, staggered joins and a record of what was delivered where.
 * The checks return what is broken, in words; an empty list is a pass. Everything follows from the seed.
 *
 * @since 0.1.0
 */
import { Lease, Stamp } from "@starling/clock"
import { MessageId, ViewManager } from "@starling/gossip"
import { type NodeId, Peer, Rng } from "@starling/machine"
import { Component, Member, type Parts, Wiring } from "@starling/member"
import { World } from "@starling/sim"
import * as HashMap from "effect/HashMap"
import * as InOrder from "./internal/inOrder.ts"
import { peerOf } from "./internal/peers.ts"

/** What the world is told of a member. @since 0.1.0 @category models */
export interface Protocol extends World.Protocol {
  readonly state: Member.State
  readonly message: Wiring.Frame
  readonly timer: Member.Timer
  readonly output: Wiring.ToApplication
  readonly command: Extract<Member.Event, { readonly _tag: "Started" | "Command" | "Crash" }>
}

/** @since 0.1.0 @category models */
export interface Options {
  readonly seed: number | string
  readonly size: number
  readonly mode: Member.Config["mode"]
  /** Milliseconds between two joins. Default 5. */
  readonly joinEveryMs?: number
  /** When each member joins instead, by its number; undefined: never. */
  readonly joinAtMs?: (index: number) => number | undefined
  /** How many of the first members the others join at. Default 3. */
  readonly contacts?: number
  readonly datacenters?: number
  readonly settings?: Partial<Parts.Settings>
  readonly network?: Partial<World.Network<Protocol>>
  /** How much of each event goes into the digest of the history; less is faster. */
  readonly digestLeavesMax?: number
  /** Ask for the invariants of what has changed after every step, and now and then what components agree on. Default: in fleets of up to 64. */
  readonly checkSteps?: boolean
  /** Looks on, too. */
  readonly observer?: World.Observer<Protocol>
}

/** @since 0.1.0 @category models */
export interface MemberFleet {
  readonly options: Options
  readonly world: World.World<Protocol>
  readonly peers: ReadonlyArray<Peer.Peer>
  /** Broadcast id to how often each member was given it, by node id. */
  readonly delivered: Map<string, Map<NodeId.NodeId, number>>
  /** Ids under which broadcasts were accepted, by the token they were sent with. */
  readonly accepted: Map<number, string>
  /** Broken invariants, of components and across them, found after a step; the first few. */
  readonly broken: Array<string>
  /** Stamps of a member that were not later than the one before. */
  readonly stampsBack: Array<string>
  /** Who must not be taken for lost by any other member, from now on. */
  watched: NodeId.NodeId | undefined
  /** Members that took the watched one for lost, once each per way in which they did; the first few. */
  readonly accused: Set<string>
  nextToken: number
  /** Who was told to send it, by the token of a broadcast. */
  readonly senders: Map<number, NodeId.NodeId>
  /** Tokens that a broadcast tree had taken, and perhaps not answered, when it was rebuilt: it may never answer them. */
  readonly forgotten: Set<number>
  /** What is known of ordered broadcasts. */
  readonly ordered: InOrder.Books
}

/** How many findings are kept of a kind: the first say enough. */
const findingsMax = 20

/** One in so many quiet moments the components are held side by side: what they disagree on stays. Our choice. */
const agreementEvery = 8

/** In larger fleets the invariants of every step cost more than the steps; our choice. */
const checkedSizeMax = 64

/** @since 0.1.0 @category constructors */
export const make = (options: Options): MemberFleet => {
  const datacenterOf = (index: number): string => `dc${index % (options.datacenters ?? 3)}`
  const peers = Array.from({ length: options.size }, (_, index) =>
    Peer.within(peerOf(options.seed, index), datacenterOf(index))
  )
  const contacts = peers.slice(0, options.contacts ?? 3).map(({ address }) => address)
  const last = new Map<NodeId.NodeId, Member.State>()
  /** Of each member, the last that was asked what its components agree on: nothing was on its way between them. */
  const quiet = new Map<NodeId.NodeId, Member.State>()
  let quietMoments = 0
  const checkSteps = options.checkSteps ?? options.size <= checkedSizeMax
  const fleet: Omit<MemberFleet, "world"> = {
    options,
    peers,
    delivered: new Map(),
    accepted: new Map(),
    broken: [],
    stampsBack: [],
    watched: undefined,
    accused: new Set(),
    nextToken: 1,
    senders: new Map(),
    forgotten: new Set(),
    ordered: InOrder.make()
  }
  const world = World.make<Protocol>({
    seed: options.seed,
    network: options.network ?? {},
    ...(options.digestLeavesMax === undefined ? {} : { digestLeavesMax: options.digestLeavesMax }),
    observer: {
      output: (at, output) => {
        if (output._tag === "Accepted") {
          fleet.accepted.set(output.token, MessageId.toText(output.id))
          InOrder.accept(fleet.ordered, output.token, output.id)
        }
        if (output._tag === "Delivered") {
          record(fleet.delivered, MessageId.toText(output.id), at.node)
          InOrder.give(fleet.ordered, at, output.id)
        }
        options.observer?.output?.(at, output)
      },
      step: (occasion, event, state, actions) => {
        const { node, now, peer } = occasion
        const before = last.get(node)
        last.set(node, state)
        const at = `${node} at ${now} ms`
        if (before !== undefined) note(fleet.stampsBack, stampsBack(before, state, peer.id), at)
        if (before !== undefined && isTreeRebuilt(before, state)) forget(fleet, node, state)
        InOrder.look(fleet.ordered, occasion, before, state)
        if (checkSteps) {
          note(fleet.broken, Member.invariantsSince(before, state), at)
          if (Member.isQuiet(state) && ++quietMoments % agreementEvery === 0) {
            note(fleet.broken, Member.disagreements(state, quiet.get(node)), at)
            quiet.set(node, state)
          }
        }
        if (fleet.watched !== undefined && fleet.watched !== peer.id && fleet.accused.size < findingsMax) {
          for (const way of accusations(state, fleet.watched)) fleet.accused.add(`${peer.id}: ${way}`)
        }
        options.observer?.step?.(occasion, event, state, actions)
      }
    }
  })
  const program: World.Program<Protocol> = (boot) => {
    const index = peers.findIndex((peer) => peer.id === boot.peer.id)
    const config: Member.Config = {
      ...options.settings,
      mode: options.mode,
      self: boot.peer,
      name: `n${index}`,
      datacenter: datacenterOf(index),
      labels: {},
      contacts: contacts.filter((address) => address !== boot.peer.address)
    }
    return Member.make(config, boot.stored, boot.seed, boot.wall)
  }
  const { joinAtMs = (index) => index * (options.joinEveryMs ?? 5) } = options
  for (const [index, peer] of peers.entries()) {
    const atMs = joinAtMs(index)
    if (atMs === undefined) continue
    World.at(world, atMs, () => World.join(world, peer, program, { started: [{ _tag: "Started" }] }))
  }
  return Object.assign(fleet, { world })
}

/**
 * A frame as it arrives: encoded and decoded as on a real link. Undefined if what was sent is no frame of any component.
 *
 * @since 0.1.0
 */
export const throughCodec = (frame: Wiring.Frame): Wiring.Frame | undefined => {
  const { encode } = Component.specs[frame.channel] as Component.Spec<Component.Component>
  return decoded(frame.channel, encode(frame.message as never))
}

/** The frame that these plain data are on a channel, or undefined: what a receiver makes of garbage. @since 0.1.0 */
export const decoded = (channel: Component.Component, data: unknown): Wiring.Frame | undefined => {
  const message = Component.specs[channel].decode(data)
  return message.ok ? ({ channel, message: message.value } as Wiring.Frame) : undefined
}

const note = (findings: Array<string>, found: ReadonlyArray<string>, at: string): void => {
  for (const one of found) if (findings.length < findingsMax) findings.push(`${at}: ${one}`)
}

const isTreeRebuilt = (before: Member.State, after: Member.State): boolean =>
  before.config.self.incarnation === after.config.self.incarnation &&
  before.generations["broadcast-tree"] !== after.generations["broadcast-tree"]

const forget = (
  { accepted, forgotten, senders }: Omit<MemberFleet, "world">,
  node: NodeId.NodeId,
  { queues }: Member.State
): void => {
  const queued = new Set<number>()
  for (const { delivery } of queues["broadcast-tree"]) {
    if (delivery.to === "broadcast-tree" && delivery.event._tag === "Broadcast") queued.add(delivery.event.token)
  }
  for (const [token, sender] of senders) {
    if (sender === node && !accepted.has(token) && !queued.has(token)) forgotten.add(token)
  }
}

/**
 * The reading is that of the newest stamp drawn or followed. It stays as it is over a step that draws none, so equal
 * readings are sound there; each step of facts draws one, and after such a step the reading must be strictly later.
 */
const stampsBack = (before: Member.State, after: Member.State, node: NodeId.NodeId): ReadonlyArray<string> => {
  if (before.config.self.incarnation !== after.config.self.incarnation && !isKept(before, after)) return []
  const drawn = after.cells.facts.steps > before.cells.facts.steps
  if (after.clock.reading === before.clock.reading && !drawn) return []
  const [old, fresh] = [stampOf(before, node), stampOf(after, node)]
  const order = Stamp.compare(fresh, old)
  return order > 0 || (order === 0 && !drawn) ? [] : [`${Stamp.toText(fresh)} after ${Stamp.toText(old)}`]
}

/**
 * A restart begins above what was stamped, unless its disk was lost, or it had followed a stamp beyond its mark, which a crash
 * may forget (`Lease`).
 */
const isKept = ({ clock: { reading } }: Member.State, after: Member.State): boolean =>
  !HashMap.isEmpty(after.durable) && reading.wall < reading.limit + Lease.restartGapMs

const stampOf = (
  {
    clock: {
      reading: { counter, epoch, wall }
    }
  }: Member.State,
  node: NodeId.NodeId
): Stamp.Stamp => ({
  epoch,
  wall,
  counter,
  node
})

/** How a member takes another one for lost: facts hold evidence of it, or are about to be told of it. */
const accusations = ({ cells, queues }: Member.State, id: NodeId.NodeId): ReadonlyArray<string> => {
  const out: Array<string> = []
  for (const lost of cells.facts.state.lost) if (lost.id === id) out.push(`facts hold it for lost, ${lost.cause}`)
  for (const { delivery } of queues.facts) {
    if (delivery.to !== "facts" || delivery.event._tag !== "NeighborDown") continue
    const { cause, peer } = delivery.event
    // Eviction and replacement are the overlay's own choice and accuse nobody.
    if (peer.id === id && cause !== "evicted" && cause !== "replaced") out.push(`its view manager lost it, ${cause}`)
  }
  return out
}

/** The n-th member of a fleet with this seed. @since 0.1.0 */
export const peer: (seed: number | string, index: number) => Peer.Peer = peerOf

/**
 * Sends an application broadcast at a member; returns the token under which its id will be accepted. Every third of a member
 * is ordered.
 *
 * @since 0.1.0
 */
export const broadcast = (fleet: MemberFleet, id: NodeId.NodeId, payload: unknown): number => {
  const token = fleet.nextToken++
  fleet.senders.set(token, id)
  const ordered = InOrder.tell(fleet.ordered, id, token)
  command(fleet, id, {
    to: "broadcast-tree",
    event: { _tag: "Broadcast", token, topic: Wiring.topicApplication, payload, ordered }
  })
  return token
}

/** Asks something of a component, as the application of a member would. @since 0.1.0 */
export const command = (fleet: MemberFleet, id: NodeId.NodeId, delivery: Wiring.Delivery): boolean =>
  World.inject(fleet.world, id, { _tag: "Command", delivery })

/** Crashes a component of a member the next time it gets to the point. @since 0.1.0 */
export const crash = (
  fleet: MemberFleet,
  id: NodeId.NodeId,
  component: Component.Component,
  at: Member.CrashPoint
): boolean => World.inject(fleet.world, id, { _tag: "Crash", component, at })

/** Every running member has neighbours, and following them one reaches every other. @since 0.1.0 */
export const isOneComponent = (fleet: MemberFleet): boolean =>
  World.running(fleet.world).length === fleet.options.size - down(fleet) && islands(fleet).length === 1

/** Running members in sets, within which every one is reached from another by following neighbours. @since 0.1.0 */
export const islands = ({ world }: MemberFleet): ReadonlyArray<ReadonlySet<NodeId.NodeId>> => {
  const running = World.running(world)
  const neighbors = new Map(running.map(({ peer, state }) => [peer.id, viewsOf(state).active.map((n) => n.peer.id)]))
  const seen = new Set<NodeId.NodeId>()
  const out: Array<ReadonlySet<NodeId.NodeId>> = []
  for (const { peer } of running) {
    if (seen.has(peer.id)) continue
    const island = new Set([peer.id])
    for (const member of island)
      for (const next of neighbors.get(member) ?? []) if (neighbors.has(next)) island.add(next)
    for (const member of island) seen.add(member)
    out.push(island)
  }
  return out
}

/**
 * Broken promises of the overlay, once faults have ended: views within bounds, no member in its own view, one component,
 * symmetric active views.
 *
 * @since 0.1.0
 */
export const brokenOverlay = (fleet: MemberFleet): ReadonlyArray<string> => {
  const running = World.running(fleet.world)
  const out: Array<string> = []
  for (const { peer, state } of running) {
    const { active, passive, config } = viewsOf(state)
    if (active.length === 0) out.push(`${peer.id} has no neighbour`)
    const slots = config.activeMax + (config.nearMax === 0 ? 0 : config.nearMax + 1)
    if (active.length > slots) out.push(`${peer.id} has ${active.length} neighbours of ${slots}`)
    if (passive.length > config.passiveMax)
      out.push(`${peer.id} has ${passive.length} passive peers of ${config.passiveMax}`)
    if (active.some((neighbor) => neighbor.peer.id === peer.id)) out.push(`${peer.id} is its own neighbour`)
    for (const broken of Member.invariants(state)) out.push(`${peer.id}: ${broken}`)
  }
  const parts = islands(fleet)
  if (parts.length > 1) out.push(`${parts.length} components of ${parts.map((part) => part.size).join(", ")} members`)
  for (const pair of lastingAsymmetry(fleet)) out.push(`asymmetric: ${pair}`)
  return out.concat(
    fleet.broken,
    fleet.stampsBack,
    [...fleet.accused].map((accused) => `${fleet.watched} is taken for lost by ${accused}`)
  )
}

/**
 * Ordered broadcasts that a run of a member was given before the ordered one before them, though nothing excuses it; `inOrder`:
 * how many were given after it.
 *
 * @since 0.2.0
 */
export const order = ({
  ordered
}: MemberFleet): { readonly inOrder: number; readonly broken: ReadonlyArray<string> } => {
  const [inOrder, broken] = InOrder.judge(ordered)
  return { inOrder, broken: broken.slice(0, findingsMax) }
}

/** Broadcasts that some of these members did not get, or got more than once, or out of order. @since 0.1.0 */
export const brokenDelivery = (
  fleet: MemberFleet,
  tokens: ReadonlyArray<number>,
  members: ReadonlyArray<NodeId.NodeId> = World.running(fleet.world).map(({ peer }) => peer.id)
): ReadonlyArray<string> => {
  const out = [...order(fleet).broken]
  for (const token of tokens) {
    const id = fleet.accepted.get(token)
    if (id === undefined) {
      out.push(`broadcast ${token} was never accepted`)
      continue
    }
    const counts = fleet.delivered.get(id) ?? new Map<NodeId.NodeId, number>()
    for (const member of members) {
      const count = counts.get(member) ?? 0
      if (count !== 1 && out.length < findingsMax) out.push(`${member} got ${id} ${count} times`)
    }
  }
  return out
}

/** Members chosen by a seed of their own, for faults and senders. @since 0.1.0 */
export const choose = (fleet: MemberFleet, label: string, count: number): ReadonlyArray<NodeId.NodeId> =>
  Rng.sample(
    Rng.make(`${fleet.options.seed}/${label}`),
    World.running(fleet.world).map(({ peer }) => peer.id),
    count
  )[0]

const record = (delivered: MemberFleet["delivered"], id: string, member: NodeId.NodeId): void => {
  const counts = delivered.get(id) ?? new Map<NodeId.NodeId, number>()
  counts.set(member, (counts.get(member) ?? 0) + 1)
  delivered.set(id, counts)
}

const viewsOf = (state: Member.State): ViewManager.State => state.cells["view-manager"].state

const down = (fleet: MemberFleet): number => World.ids(fleet.world).length - World.running(fleet.world).length

/**
 * Asymmetric pairs that are still there three keepalive periods later, which pass if there are any: between two answers of
 * a handshake every new link is asymmetric for half a round trip, and views go on changing when nothing is wrong.
 */
const lastingAsymmetry = (fleet: MemberFleet): ReadonlyArray<string> => {
  const now = asymmetric(fleet)
  if (now.length === 0) return now
  World.pass(fleet.world, 3 * ViewManager.defaults.keepaliveMs)
  const later = new Set(asymmetric(fleet))
  return now.filter((pair) => later.has(pair))
}

/**
 * Pairs of running members that both have a free slot and are no neighbours. Near slots do not count: in a small data
 * centre not all of them can be filled.
 *
 * @since 0.2.0
 */
export const unpaired = ({ world }: MemberFleet): ReadonlyArray<string> => {
  const open = World.running(world).filter(({ state }) => hasFreeSlot(viewsOf(state)))
  return open.flatMap(({ peer, state }, at) =>
    open
      .slice(at + 1)
      .filter((other) => !isNeighbor(state, other.peer) && !isNeighbor(other.state, peer))
      .map((other) => `${peer.id} and ${other.peer.id}`)
  )
}

const hasFreeSlot = ({ active, config, leaving }: ViewManager.State): boolean =>
  !leaving && active.filter(({ near }) => near !== true).length < config.activeMax

const isNeighbor = (state: Member.State, peer: Peer.Peer): boolean =>
  viewsOf(state).active.some((neighbor) => neighbor.peer.id === peer.id)

/** Pairs of which the first has the second for a neighbour, and the second not the first. @since 0.1.0 */
export const asymmetric = (fleet: MemberFleet): ReadonlyArray<string> => {
  const running = World.running(fleet.world)
  const active = new Map(
    running.map(({ peer, state }) => [peer.id, new Set(viewsOf(state).active.map((n) => n.peer.id))])
  )
  return running.flatMap(({ peer }) =>
    [...(active.get(peer.id) ?? [])]
      .filter((neighbor) => active.get(neighbor)?.has(peer.id) !== true)
      .map((neighbor) => `${peer.id} -> ${neighbor}`)
  )
}

/**
 * HyParView's view manager: which few peers this node holds links to, and which it keeps in reserve.
 *
 * The **active view** is small and symmetric: one open link for each member, and broadcasts flow over nothing else. It
 * is maintained by reaction: a link that breaks is replaced by a peer of the **passive view**, which is larger, needs no
 * links, and is kept fresh by the shuffler. (Leitão, Pereira, Rodrigues: "HyParView: a membership protocol for reliable
 * gossip-based broadcast", TR DI-FCUL 07-13, 2007.) Deviations from the paper, each with its reason, are listed in
 * `docs/protocols/hyparview.md`; the ones that matter most:
 *
 * - A peer is a neighbour only after a handshake that both ends know of. Every request is answered.
 * - Nodes are told apart by id and incarnation. A higher incarnation replaces a lower one at once.
 * - A request has high priority only if the active view is empty. Who closed the link on us is left alone for a while.
 * - Neighbours ping each other and claim each other; a claim that is not agreed to ends the link at both ends.
 * - Forced evictions and repairs are jittered and rate-limited. Everything has a bound.
 * - A node never gives up: lost neighbours, remembered peers and contacts are tried for ever, with growing pauses.
 * - Two components that meet again are told apart by their labels and bridged (`internal/viewLabel.ts`).
 *
 * The shell delivers `LinkUp` of the links this machine opened and of those that peers opened, and `LinkDown` of all.
 * An event that is lost in a crash is healed: any event re-arms an overdue timer, keepalives repair a lost reply.
 *
 * @since 0.1.0
 */
import { type Codec, type Machine, Peer, Rng } from "@starling/machine"
import * as HashMap from "effect/HashMap"
import * as Wire from "./internal/viewCodec.ts"
import * as Invariants from "./internal/viewInvariants.ts"
import * as Label from "./internal/viewLabel.ts"
import * as Links from "./internal/viewLinks.ts"
import * as Swap from "./internal/viewSwap.ts"
import type * as Model from "./internal/viewModel.ts"
import * as Near from "./internal/viewNear.ts"
import * as Repair from "./internal/viewRepair.ts"
import {
  addPassive,
  begin,
  close,
  count,
  dropActive,
  isAcceptable,
  linkOf,
  linksWith,
  notice,
  numberAfter,
  ping,
  putLink,
  rememberedMax,
  send,
  type Turn
} from "./internal/viewTurn.ts"

/**
 * What the shell and the other components tell the view manager.
 *
 * - `Started`: once. Any other event before it starts the machine too; once more, it re-arms the timers.
 * - `Remembered`: replaces the list of known peers to dial when nothing better is left; the first 256 are kept.
 * - `Integrate`: the result of a shuffle; `sent` are the first to make room for `received`.
 * - `Leave`: says goodbye to all neighbours and takes no new ones.
 *
 * @since 0.1.0
 * @category models
 */
export type Event = Model.Event

/**
 * - `Views`: both views, with every change and every `snapshotMs`; `version` strictly increases, also over a rebuild.
 *   `news` is `passive` if the active view is the one that was told last: who needs the neighbours only may skip it.
 * - `NeighborUp`, `NeighborDown`: alternate for each peer, and come before the `Views` of the same step.
 * - `NeighborRefused`: the host of a neighbour whose link broke answered a new dial: nobody listens there any more.
 *
 * @since 0.1.0
 * @category models
 */
export type Output = Model.Output

/**
 * Why a neighbour is one no more. `closed`: its process or host ended the connection without a word. `timeout`: silence,
 * or it took no more frames. `left`: a goodbye. `evicted`, `replaced`: a change of views that accuses nobody; also our
 * own leaving. `refused` comes with `NeighborRefused` only.
 *
 * @since 0.1.0
 * @category models
 */
export type Cause = Model.Cause

/** @since 0.1.0 @category models */
export type Action = Model.Action

/**
 * `Join`, `ForwardJoin`, `Neighbor`, `Disconnect` are the paper's. `NeighborReply` answers `Join` and `Neighbor`. `Ping`
 * and `Pong` keep a link alive, measure it, and claim symmetry. `Probe` and `ProbeReply` look for other components.
 *
 * @since 0.1.0
 * @category models
 */
export type Message = Model.Message

/** What a request may ask for beside a free slot. @since 0.1.0 @category models */
export type Wish = Model.Wish

/** Numbered: one of an earlier round changes nothing. @since 0.1.0 @category models */
export type Timer = Model.Timer

/** @since 0.1.0 @category models */
export type Settings = Model.Settings

/** @since 0.1.0 @category models */
export type Config = Model.Config

/** @since 0.1.0 @category models */
export type State = Model.State

/** Provenance stands with each field of `Settings`. @since 0.1.0 */
export const defaults: Settings = {
  activeMax: 5,
  nearMax: 2,
  farMin: 2,
  upkeepMs: 10_000,
  nearGain: 0.7,
  nearSettledMs: 8000,
  passiveMax: 30,
  arwl: 6,
  prwl: 3,
  sampleMax: 8,
  keepaliveMs: 1000,
  silenceMs: 5000,
  handshakeMs: 3000,
  idleMs: 5000,
  snapshotMs: 5000,
  repairMs: 50,
  refusedMs: 1000,
  splitAfter: 6,
  rejoinMinMs: 250,
  rejoinMaxMs: 10_000,
  cooldownMs: 3000,
  slowMs: 30_000,
  deadMs: 120_000,
  tombstoneMs: 600_000,
  probeMs: 15_000,
  forcedMs: 250,
  forcedBurst: 2,
  remixSwaps: 5,
  remixMs: 15_000,
  labelMs: 20_000,
  labelStableMs: 15_000
}

/**
 * A node that knows `remembered` peers and its contacts, and has no link yet.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (config: Config, rng: Rng.Rng, remembered: ReadonlyArray<Peer.Peer> = []): State => ({
  config,
  rng,
  started: false,
  leaving: false,
  rebuilt: false,
  version: 0,
  viewsAt: 0,
  active: [],
  passive: [],
  links: [],
  attempts: [],
  lastAttempt: 0,
  remembered: remembered.filter((peer) => peer.id !== config.self.id).slice(0, rememberedMax),
  lost: [],
  hints: [],
  seekers: [],
  pauses: [],
  floors: HashMap.empty(),
  contactIds: [],
  tick: { round: 0, due: 0 },
  repair: { round: 0, due: 0, armed: false, refusals: 0 },
  resort: { tried: [], failures: 0, notBefore: 0 },
  probeAt: 0,
  remix: { left: 0, at: 0 },
  isApart: false,
  nearby: [],
  upkeepAt: 0,
  cross: { notBefore: 0, failures: 0 },
  forced: { tokens: config.forcedBurst, at: 0 },
  label: Label.initial(config, 0),
  deadLabel: undefined,
  counters: {
    joins: 0,
    accepted: 0,
    refusedOthers: 0,
    refusedByOthers: 0,
    evictions: 0,
    dials: 0,
    dialFailures: 0,
    handshakeTimeouts: 0,
    silent: 0,
    asymmetric: 0,
    violations: 0,
    strayFrames: 0,
    barred: 0,
    linksRefused: 0,
    stalls: 0,
    merges: 0,
    floorsDropped: 0,
    pausesDropped: 0,
    swaps: 0,
    nearer: 0,
    slow: 0,
    slowRefused: 0
  }
})

/**
 * A state from nothing but the live links, after a state could not be trusted. Up to `activeMax` of them count as
 * neighbours; a peer that sees it otherwise answers the first claim with a goodbye, and the link ends.
 *
 * @since 0.1.0
 * @category constructors
 */
export const rebuild = (
  config: Config,
  links: ReadonlyArray<Machine.Neighbor>,
  remembered: ReadonlyArray<Peer.Peer>,
  rng: Rng.Rng
): State => {
  const newest = new Map<string, Machine.Neighbor>()
  for (const neighbor of links) {
    const known = newest.get(neighbor.peer.id)
    if (neighbor.peer.id !== config.self.id && !(known !== undefined && isOlder(neighbor, known)))
      newest.set(neighbor.peer.id, neighbor)
  }
  const active = seated(config, [...newest.values()])
  const records = links.map(({ link, peer }): Model.Link => {
    const role = active.some((neighbor) => neighbor.link === link) ? "active" : "idle"
    return { link, peer, role, since: 0, heardAt: 0, pingSeq: 0, pingAt: null, rttMs: null }
  })
  return { ...make(config, rng, remembered), rebuilt: true, active, links: records.toSorted((a, b) => a.link - b.link) }
}

/** As many neighbours as there are slots: the unbiased first, then those of this data centre in the near ones. */
const seated = (config: Config, known: ReadonlyArray<Machine.Neighbor>): ReadonlyArray<Machine.Neighbor> => {
  const near = known.slice(config.activeMax).filter(({ peer }) => Peer.isNear(peer, config.self))
  const beside = near.slice(0, config.nearMax).map(({ link, peer }): Machine.Neighbor => ({ peer, link, near: true }))
  return [...known.slice(0, config.activeMax), ...beside]
}

const isOlder = (a: Machine.Neighbor, b: Machine.Neighbor): boolean =>
  a.peer.incarnation < b.peer.incarnation || (a.peer.incarnation === b.peer.incarnation && a.link < b.link)

/**
 * @since 0.1.0
 * @category running
 */
export const step = (state: State, input: Machine.Input<Event>): Machine.Step<State, Action> => {
  const turn = begin(state, input.now)
  const fresh = !state.started
  rearm(turn)
  handle(turn, input.event, fresh)
  Repair.arm(turn)
  if (turn.news !== "none") tellViews(turn, turn.news)
  return [turn.state, turn.actions]
}

/** Round trip to the neighbour at the other end of a link, smoothed, in milliseconds; null before the first answer. @since 0.1.0 */
export const rtt = (state: State, link: Machine.LinkId): number | null => linkOf(state, link)?.rttMs ?? null

/** @since 0.1.0 @category codec */
export const encode: (message: Message) => ReadonlyArray<unknown> = Wire.encode

/** @since 0.1.0 @category codec */
export const decode: Codec.Decoder<Message> = Wire.decode

/** Names of the safety invariants that this state breaks; empty if it is sound. @since 0.1.0 */
export const invariants: (state: State) => ReadonlyArray<string> = Invariants.invariants

const handle = (turn: Turn, event: Event, fresh: boolean): void => {
  switch (event._tag) {
    case "Started":
      return onStarted(turn, fresh)
    case "Remembered":
      return onRemembered(turn, event.peers)
    case "Integrate":
      for (const peer of event.received) addPassive(turn, peer, event.sent)
      return
    case "Leave":
      return onLeave(turn)
    case "LinkUp":
      return Repair.onLinkUp(turn, event.link, event.peer, event.attempt)
    case "LinkDown":
      return Links.onLinkDown(turn, event.link, event.reason)
    case "LinkRefused":
      return Repair.onLinkRefused(turn, event.attempt, event.failure)
    case "Received":
      return Links.onReceived(turn, event.link, event.message)
    case "TimerFired":
      return event.timer._tag === "Tick" ? onTick(turn, event.timer.round) : onRepair(turn, event.timer.round)
    case "Written":
      return
  }
}

// --- time ------------------------------------------------------------------------------------------------------------

/**
 * Starts the clockwork with the first event, and again when a timer is long overdue: its event was lost in a crash, or
 * this process stood still. Silence while we stood still is nobody's fault, so it is forgiven.
 */
const rearm = (turn: Turn): void => {
  const { config, repair, started, tick } = turn.state
  if (!started) return startClockwork(turn)
  const late = turn.now - tick.due
  if (late > config.keepaliveMs) {
    count(turn, "stalls")
    turn.state.links = turn.state.links.map((link) => ({
      ...link,
      heardAt: Math.min(turn.now, link.heardAt + late)
    }))
    armTick(turn, config.keepaliveMs)
  }
  if (repair.armed && turn.now - repair.due > config.keepaliveMs)
    turn.state.repair = { ...repair, armed: false, round: repair.round + 1 }
}

const startClockwork = (turn: Turn): void => {
  const { now } = turn
  const { config, links } = turn.state
  const [wait, rng] = Rng.jitter(turn.state.rng, config.probeMs, 0.5)
  turn.state.rng = rng
  turn.state.started = true
  for (const link of links) putLink(turn, { ...link, since: now, heardAt: now })
  turn.state.label = Label.initial(config, now)
  turn.state.forced = { tokens: config.forcedBurst, at: now }
  turn.state.resort = { tried: [], failures: 0, notBefore: now }
  turn.state.probeAt = now + wait
  for (const peer of turn.state.remembered) notice(turn, peer)
  for (const neighbor of turn.state.active)
    turn.actions.push({ _tag: "Emit", output: { _tag: "NeighborUp", neighbor } })
  for (const link of linksWith(turn.state, "active")) ping(turn, link)
  turn.news = "both"
  armTick(turn, config.keepaliveMs)
}

const armTick = (turn: Turn, meanMs: number): void => {
  const [delayMs, rng] = Rng.jitter(turn.state.rng, meanMs, 0.1)
  const round = turn.state.tick.round + 1
  turn.state.rng = rng
  turn.state.tick = { round, due: turn.now + delayMs }
  turn.actions.push({ _tag: "SetTimer", delayMs, timer: { _tag: "Tick", round } })
}

const tellViews = (turn: Turn, news: "both" | "passive"): void => {
  const version = numberAfter(turn, turn.state.version)
  const { active, passive } = turn.state
  turn.state.version = version
  if (news === "both") turn.state.viewsAt = turn.now
  turn.actions.push({ _tag: "Emit", output: { _tag: "Views", version, active, passive, news } })
}

const onStarted = (turn: Turn, fresh: boolean): void => {
  // A second start: the shell lost its timers with the incarnation before.
  if (!fresh) {
    armTick(turn, turn.state.config.keepaliveMs)
    const { repair } = turn.state
    turn.state.repair = { ...repair, armed: false, round: repair.round + 1 }
  }
  if (!turn.state.leaving) Repair.fill(turn)
}

const onRepair = (turn: Turn, round: number): void => {
  const { leaving, repair } = turn.state
  if (!repair.armed || round !== repair.round) return
  turn.state.repair = { ...repair, armed: false }
  if (!leaving) Repair.fill(turn)
}

const onTick = (turn: Turn, round: number): void => {
  const { config, leaving, tick } = turn.state
  if (round !== tick.round) return
  armTick(turn, config.keepaliveMs)
  Label.beat(turn)
  for (const link of linksWith(turn.state, "active")) {
    if (turn.now - link.heardAt > config.silenceMs) onSilent(turn, link)
    else ping(turn, link)
  }
  Repair.expireAttempts(turn)
  expireLinks(turn)
  expireMarks(turn)
  if (!leaving) {
    Repair.verifyLost(turn)
    Near.upkeep(turn)
    Swap.remix(turn)
    if (turn.now >= turn.state.probeAt) Repair.probe(turn)
  }
  if (turn.now - turn.state.viewsAt >= config.snapshotMs) turn.news = "both"
}

const onSilent = (turn: Turn, link: Model.Link): void => {
  count(turn, "silent")
  dropActive(turn, link, "timeout")
  close(turn, link.link, "silent")
  Repair.lose(turn, link.peer, true)
}

/** Requests without an answer, and links that nobody made a neighbour's. */
const expireLinks = (turn: Turn): void => {
  const { config } = turn.state
  for (const link of turn.state.links) {
    if (link.role === "idle" || link.role === "active" || turn.now - link.since < config.handshakeMs) continue
    count(turn, "handshakeTimeouts")
    close(turn, link.link, "done")
    if (link.role !== "probing") Repair.refused(turn, link)
  }
  for (const link of linksWith(turn.state, "idle"))
    if (turn.now - link.since >= config.idleMs) close(turn, link.link, "done")
}

const expireMarks = (turn: Turn): void => {
  const { floors, pauses, seekers } = turn.state
  const isOver = (mark: { readonly until: Machine.Instant }) => mark.until <= turn.now
  // A pause outlives its end for a while, so that refusals in a row are counted as such.
  const { cooldownMs } = turn.state.config
  if (pauses.some((entry) => entry.until + cooldownMs <= turn.now))
    turn.state.pauses = pauses.filter((entry) => entry.until + cooldownMs > turn.now)
  if (seekers.some(isOver)) turn.state.seekers = seekers.filter((entry) => !isOver(entry))
  if (HashMap.some(floors, isOver)) turn.state.floors = HashMap.filter(floors, (floor) => !isOver(floor))
}

// --- commands --------------------------------------------------------------------------------------------------------

const onRemembered = (turn: Turn, peers: ReadonlyArray<Peer.Peer>): void => {
  const remembered = peers.filter((peer) => isAcceptable(turn.state, peer)).slice(0, rememberedMax)
  const known = new Set(turn.state.remembered.map((peer) => peer.address))
  const isNews = remembered.some((peer) => !known.has(peer.address))
  const { config, lost, resort } = turn.state
  const addresses = new Set([...remembered, ...lost.map((entry) => entry.peer)].map((peer) => peer.address))
  const tried = resort.tried.filter((address) => addresses.has(address) || config.contacts.includes(address))
  for (const peer of remembered) notice(turn, peer)
  turn.state.remembered = remembered
  turn.state.resort = { ...resort, tried }
  if (turn.state.active.length === 0 && isNews && !turn.state.leaving) {
    turn.state.resort = { ...turn.state.resort, notBefore: turn.now }
    Repair.fill(turn)
  }
}

const onLeave = (turn: Turn): void => {
  turn.state.leaving = true
  turn.state.attempts = []
  for (const neighbor of turn.state.active) {
    send(turn, neighbor.link, { _tag: "Disconnect", reason: "left", sample: [] })
    dropActive(turn, neighbor, "evicted")
    close(turn, neighbor.link, "left")
  }
  for (const link of turn.state.links) close(turn, link.link, "left")
}

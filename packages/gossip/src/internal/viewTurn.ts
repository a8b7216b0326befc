/**
 * One step of the view manager in the making: the next state, and the actions so far.
 *
 * A turn is local to one call of `step` and thrown away if the step throws; the state it carries is replaced, never
 * mutated. Everything that changes a view goes through a function of this module, so that the bounds hold in one place.
 */
import { type Machine, type NodeId, Peer, Rng } from "@starling/machine"
import * as HashMap from "effect/HashMap"
import * as Option from "effect/Option"
import type { Action, Attempt, Cause, Counters, Label, Link, Message, Pause, Role, State } from "./viewModel.ts"

/** Our choice: beyond any honest number of strangers at once; what comes after is refused and counted. */
export const linksMax = 256
/** Our choice: each node has at most one barred id per run of it that ended within `tombstoneMs`. */
export const floorsMax = 1024
/**
 * Our choice: two passive views. More do not help: with 256, of a thousand survivors of ten thousand nodes 3.6 were left alone
 * after one pass of repair instead of 2.7 (means of thirty draws each, of one fleet).
 */
export const pausesMax = 64
/** Our choice: a few; each is told once or twice before it has found a partner. */
export const seekersMax = 4
/** Our choice: three active views. */
export const lostMax = 16
/** Our choice: several times the near slots. */
export const nearbyMax = 16
/** Our choice: dials under way, for whatever purpose. */
export const attemptsMax = 16
/** What the facts hand over at most. */
export const rememberedMax = 256

export interface Turn {
  readonly now: Machine.Instant
  /** A copy of the state, made for this step: its fields are replaced, what they hold is never changed. */
  readonly state: { -readonly [Key in keyof State]: State[Key] }
  actions: Array<Action>
  /** Which views changed, or are due to be told again. */
  news: "none" | "passive" | "both"
  /** Copied from the state when the first thing is counted. */
  counters: { -readonly [what in keyof Counters]: number } | undefined
}

export const begin = (state: State, now: Machine.Instant): Turn => ({
  now,
  state: { ...state },
  actions: [],
  news: "none",
  counters: undefined
})

// --- chance, counters, actions ---------------------------------------------------------------------------------------

export const count = (turn: Turn, key: keyof Counters): void => {
  turn.counters ??= { ...turn.state.counters }
  turn.counters[key]++
  turn.state.counters = turn.counters
}

export const draw = (turn: Turn, bound: number): number => {
  const [value, rng] = Rng.nextInt(turn.state.rng, Math.max(1, bound))
  turn.state.rng = rng
  return value
}

export const pick = <A>(turn: Turn, items: ReadonlyArray<A>): A | undefined =>
  items.length < 2 ? items[0] : items[draw(turn, items.length)]

export const send = (turn: Turn, link: Machine.LinkId, message: Message): void => {
  const action: Action = { _tag: "Send", link, message }
  // Most steps send one frame, and a literal takes the room of one, where the first push makes room for seventeen.
  if (turn.actions.length === 0) turn.actions = [action]
  else turn.actions.push(action)
}

/** Closes a link and forgets it: whatever still arrives on it is a stray frame. */
export const close = (turn: Turn, link: Machine.LinkId, reason: Machine.CloseReason): void => {
  turn.actions.push({ _tag: "Close", link, reason })
  dropLink(turn, link)
}

/** Where a link stands, or belongs, among the links. The newest are the last. */
const placeOf = (links: ReadonlyArray<Link>, link: Machine.LinkId): number => {
  let at = links.length
  while (at > 0 && (links[at - 1] as Link).link >= link) at--
  return at
}

export const linkOf = ({ links }: State, link: Machine.LinkId): Link | undefined => {
  for (let at = links.length - 1; at >= 0; at--) {
    const known = links[at] as Link
    if (known.link <= link) return known.link === link ? known : undefined
  }
  return undefined
}

export const putLink = (turn: Turn, link: Link): void => {
  const links = turn.state.links.slice()
  const at = placeOf(links, link.link)
  if (links[at]?.link === link.link) links[at] = link
  else links.splice(at, 0, link)
  turn.state.links = links
}

export const dropLink = (turn: Turn, link: Machine.LinkId): void => {
  const { links } = turn.state
  const at = placeOf(links, link)
  if (links[at]?.link === link) turn.state.links = links.toSpliced(at, 1)
}

export const setRole = (turn: Turn, link: Link, role: Role): void => putLink(turn, { ...link, role, since: turn.now })

export const linksWith = (state: State, role: Role): ReadonlyArray<Link> => {
  const out: Array<Link> = []
  for (const link of state.links) if (link.role === role) out.push(link)
  return out
}

/** How many links have this role. */
export const linksOf = (state: State, role: Role): number => {
  let number = 0
  for (const link of state.links) if (link.role === role) number++
  return number
}

// --- slots -----------------------------------------------------------------------------------------------------------

export const activeOf = (state: State, id: NodeId.NodeId): Machine.Neighbor | undefined => {
  for (const neighbor of state.active) if (neighbor.peer.id === id) return neighbor
  return undefined
}

/** Neighbours in near slots. */
export const nearOf = ({ active, config }: State): number => {
  // Asked after every step: whoever has no data centre need not look at its neighbours.
  if (config.self.datacenter === undefined) return 0
  let number = 0
  for (const neighbor of active) if (neighbor.near === true) number++
  return number
}

/** Unbiased slots without a neighbour. */
export const openOf = (state: State): number => state.config.activeMax - state.active.length + nearOf(state)

/** Neighbours in other data centres. */
export const farOf = (state: State): number => {
  let number = 0
  for (const { peer } of state.active) if (Peer.isFar(peer, state.config.self)) number++
  return number
}

/** Already a neighbour, or about to be asked. Asked of every passive peer whenever a slot is free, hence the plain loops. */
export const isBusy = ({ active, attempts, links }: State, id: NodeId.NodeId): boolean => {
  for (const neighbor of active) if (neighbor.peer.id === id) return true
  for (const attempt of attempts) if (attempt.peer?.id === id) return true
  for (const link of links) if (link.peer.id === id && link.role !== "idle") return true
  return false
}

/** Unbiased slots held by requests under way. */
export const pendingOf = (state: State): number => {
  let pending = linksOf(state, "asked")
  for (const attempt of state.attempts) if (attempt.purpose === "fill") pending++
  return pending
}

/** Unbiased slots that nobody holds, dials that only may become requests set aside. */
export const freeOf = (state: State): number => openOf(state) - linksOf(state, "asked")

/** Gives up dials, then requests, until what is under way fits into the free slots. */
export const trimPending = (turn: Turn): void => {
  while (pendingOf(turn.state) > openOf(turn.state)) {
    const { attempts } = turn.state
    const index = attempts.findLastIndex((attempt) => attempt.purpose === "fill")
    if (index >= 0) turn.state.attempts = attempts.toSpliced(index, 1)
    else if (!withdraw(turn)) return
  }
}

/** Takes the youngest request back: its slot is needed. */
const withdraw = (turn: Turn): boolean => {
  const link = linksWith(turn.state, "asked").at(-1)
  if (link !== undefined) withdrawFrom(turn, link)
  return link !== undefined
}

/** Takes a request back. The other end may have accepted it already, hence the goodbye. */
export const withdrawFrom = (turn: Turn, link: Link): void => {
  send(turn, link.link, { _tag: "Disconnect", reason: "evicted", sample: [] })
  close(turn, link.link, "evicted")
  addPassive(turn, link.peer)
}

/** Accepts a request. The caller has seen to a free slot. */
export const admit = (
  turn: Turn,
  link: Link,
  slot: "unbiased" | "near",
  sample: ReadonlyArray<Peer.Peer>,
  hinted: boolean = false
): void => {
  count(turn, "accepted")
  send(turn, link.link, { _tag: "NeighborReply", accepted: true, sample, hinted })
  addActive(turn, link, slot)
}

/** Refuses a request, with those of `sample` or with those who look for a neighbour too. */
export const decline = (turn: Turn, link: Link, sample?: ReadonlyArray<Peer.Peer>): void => {
  count(turn, "refusedOthers")
  const reply = { _tag: "NeighborReply", accepted: false, hinted: false } as const
  send(turn, link.link, sample === undefined ? refusal(turn, link.peer) : { ...reply, sample })
  addPassive(turn, link.peer)
}

/** One of the rate-limited evictions, if there is one to be had. */
export const takeForced = (turn: Turn): boolean => {
  const { config, forced } = turn.state
  const gained = Math.floor((turn.now - forced.at) / config.forcedMs)
  const tokens = Math.min(config.forcedBurst, forced.tokens + gained)
  const at = tokens === config.forcedBurst ? turn.now : forced.at + gained * config.forcedMs
  turn.state.forced = { tokens: Math.max(0, tokens - 1), at }
  return tokens > 0
}

/**
 * Two halves that are one again hang together by few links. Who notices it swaps some of its links, each with a random
 * peer, until both are mixed. Once at a time.
 */
export const oweSwaps = (turn: Turn, swaps: number): void => {
  const { remix } = turn.state
  if (remix.left === 0) turn.state.remix = { left: swaps, at: turn.now + turn.state.config.remixMs }
}

// --- the active view -------------------------------------------------------------------------------------------------

/** Makes a link count. The caller has seen to a free slot, and the other end knows, or is told in the same step. */
export const addActive = (turn: Turn, link: Link, slot: "unbiased" | "near" = "unbiased"): void => {
  const { gives: _gives, ...rest } = link
  const { id } = link.peer
  const neighbor: Machine.Neighbor = { peer: link.peer, link: link.link, ...(slot === "near" ? { near: true } : {}) }
  const { state } = turn
  turn.state.active = [...state.active, neighbor]
  turn.state.passive = without(state.passive, id)
  turn.state.hints = state.hints.filter((hint) => hint !== id)
  turn.state.lost = state.lost.filter((lost) => lost.peer.id !== id)
  turn.state.pauses = state.pauses.filter((pause) => pause.id !== id)
  turn.state.attempts = state.attempts.filter((attempt) => attempt.purpose === "probe" || attempt.peer?.id !== id)
  turn.state.repair = { ...state.repair, refusals: 0 }
  turn.state.resort = { tried: [], failures: 0, notBefore: turn.now }
  turn.news = "both"
  turn.actions.push({ _tag: "Emit", output: { _tag: "NeighborUp", neighbor } })
  ping(turn, { ...rest, role: "active", since: turn.now })
  trimPending(turn)
}

/** Takes a neighbour out of the active view and says why. The link itself is the caller's. */
export const dropActive = (turn: Turn, neighbor: Machine.Neighbor, cause: Exclude<Cause, "refused">): void => {
  const { peer, link } = neighbor
  turn.state.active = turn.state.active.filter((other) => other.link !== link)
  turn.news = "both"
  turn.actions.push({ _tag: "Emit", output: { _tag: "NeighborDown", peer, link, cause } })
}

/**
 * Unbiased neighbours that may go for a newcomer: one of the last `farMin` links to other data centres only for another
 * such, as long as there are others.
 */
export const expendable = (state: State, newcomer: Peer.Peer): ReadonlyArray<Machine.Neighbor> => {
  const { farMin, self } = state.config
  const unbiased = state.active.filter((neighbor) => neighbor.near !== true)
  if (farMin === 0 || Peer.isFar(newcomer, self) || farOf(state) > farMin) return unbiased
  const others = unbiased.filter((neighbor) => !Peer.isFar(neighbor.peer, self))
  return others.length > 0 ? others : unbiased
}

/** Paper, `dropRandomElementFromActiveView`. */
export const evictOne = (turn: Turn, newcomer: Peer.Peer): void => {
  const victim = pick(turn, expendable(turn.state, newcomer))
  if (victim !== undefined) evict(turn, victim, newcomer)
}

/**
 * Gives a neighbour up for a newcomer, which heads the sample: the evicted node and the newcomer both have a free slot, so
 * one broken link makes two new ones.
 */
export const evict = (turn: Turn, victim: Machine.Neighbor, newcomer: Peer.Peer): void => {
  count(turn, "evictions")
  const sample = [newcomer, ...takeSample(turn, [newcomer.id, victim.peer.id])]
  send(turn, victim.link, { _tag: "Disconnect", reason: "evicted", sample })
  dropActive(turn, victim, "evicted")
  close(turn, victim.link, "evicted")
  addPassive(turn, victim.peer)
}

/** Frees one slot for a newcomer that must be taken. */
export const makeRoom = (turn: Turn, newcomer: Peer.Peer): void => {
  if (openOf(turn.state) > 0) withdraw(turn)
  else evictOne(turn, newcomer)
}

/** Pings, with the claim that the other end is in our active view. */
export const ping = (turn: Turn, link: Link): void => {
  const seq = link.pingSeq + 1
  // An unanswered ping keeps its time: the round trip of the answer, if it comes, is then too long rather than lost.
  putLink(turn, { ...link, pingSeq: seq, pingAt: turn.now })
  send(turn, link.link, { _tag: "Ping", seq, claim: true, label: labelOf(turn.state) })
}

export const labelOf = ({ label }: State): Label => {
  const { beat, incarnation, leader, stable } = label
  return label.merged === true
    ? { leader, incarnation, beat, stable, merged: true }
    : { leader, incarnation, beat, stable }
}

// --- the passive view ------------------------------------------------------------------------------------------------

const without = (peers: ReadonlyArray<Peer.Peer>, id: NodeId.NodeId): ReadonlyArray<Peer.Peer> =>
  placeIn(peers, id) >= 0 ? peers.filter((peer) => peer.id !== id) : peers

/** False for ourselves, and for runs of a node that left or were superseded. */
export const isAcceptable = (state: State, peer: Peer.Peer): boolean => {
  if (peer.id === state.config.self.id) return false
  // Asked of every peer that anybody tells of, and seldom is anybody barred.
  if (HashMap.size(state.floors) === 0) return true
  const floor = HashMap.get(state.floors, peer.id)
  return Option.isNone(floor) || peer.incarnation >= floor.value.incarnation
}

/**
 * The one way into the passive view: bounded, of every node only the latest run, never a neighbour, never a node that
 * was just found dead. If it is full, one of `sent` goes first (paper, §4.5), else a random one.
 */
export const addPassive = (turn: Turn, peer: Peer.Peer, sent: ReadonlyArray<Peer.Peer> = []): void => {
  const { state } = turn
  const { id } = peer
  const known = placeIn(state.passive, id)
  if (known >= 0 && !tellsMore(peer, state.passive[known] as Peer.Peer)) return
  if (!isAcceptable(state, peer) || activeOf(state, id) !== undefined) return
  for (const pause of state.pauses) {
    const isDead = pause.id === id && pause.kind === "dead" && pause.until > turn.now
    if (isDead && pause.incarnation >= peer.incarnation) return
  }
  notice(turn, peer)
  const passive = state.passive.slice()
  if (known >= 0) passive[known] = peer
  else if (passive.length < state.config.passiveMax) passive.push(peer)
  else {
    const told = passive.findIndex((other) => placeIn(sent, other.id) >= 0)
    passive[told >= 0 ? told : draw(turn, passive.length)] = peer
  }
  turn.state.passive = passive
  if (turn.news === "none") turn.news = "passive"
}

/** Of a later run, or with a data centre where that was not known. */
const tellsMore = (peer: Peer.Peer, known: Peer.Peer): boolean =>
  peer.incarnation > known.incarnation ||
  (peer.incarnation === known.incarnation && known.datacenter === undefined && peer.datacenter !== undefined)

/** Remembers a node of this data centre for the near slots. A fleet of one data centre has no use for them. */
export const notice = (turn: Turn, peer: Peer.Peer): void => {
  const { config, isApart, nearby } = turn.state
  if (Peer.isFar(peer, config.self)) turn.state.isApart = true
  if (!isApart || config.nearMax === 0 || !Peer.isNear(peer, config.self)) return
  const known = placeIn(nearby, peer.id)
  const place = known >= 0 || nearby.length < nearbyMax ? known : draw(turn, nearby.length)
  turn.state.nearby = place >= 0 ? nearby.with(place, peer) : [...nearby, peer]
}

const placeIn = (peers: ReadonlyArray<Peer.Peer>, id: NodeId.NodeId): number => {
  for (let at = 0; at < peers.length; at++) if ((peers[at] as Peer.Peer).id === id) return at
  return -1
}

export const dropPassive = (turn: Turn, id: NodeId.NodeId): void => {
  turn.state.nearby = without(turn.state.nearby, id)
  const passive = without(turn.state.passive, id)
  if (passive === turn.state.passive) return
  turn.state.passive = passive
  if (turn.news === "none") turn.news = "passive"
}

/** Random peers of both views. */
export const takeSample = (turn: Turn, except: ReadonlyArray<NodeId.NodeId>): ReadonlyArray<Peer.Peer> => {
  const { active, config, passive, rng } = turn.state
  const known = [...active.map((neighbor) => neighbor.peer), ...passive].filter((peer) => !except.includes(peer.id))
  const [sample, next] = Rng.sample(rng, known, config.sampleMax)
  turn.state.rng = next
  return sample
}

/**
 * The answer to a peer that is refused, those refused before it heading the sample: all of them have a free slot, and through any
 * full node that two of them asked they find each other.
 */
const refusal = (turn: Turn, peer: Peer.Peer): Extract<Message, { readonly _tag: "NeighborReply" }> => {
  const { config, seekers } = turn.state
  const others = seekers.filter((entry) => entry.peer.id !== peer.id && entry.until > turn.now)
  const partners = others.map((entry) => entry.peer).filter((other) => isAcceptable(turn.state, other))
  const until = turn.now + config.handshakeMs
  turn.state.seekers = [{ peer, until }, ...others].slice(0, seekersMax)
  const rest = takeSample(turn, [peer.id, ...partners.map((other) => other.id)])
  const sample = [...partners, ...rest].slice(0, config.sampleMax)
  return { _tag: "NeighborReply", accepted: false, sample, hinted: partners.length > 0 }
}

/** Remembers whom to try first. */
export const hint = (turn: Turn, peer: Peer.Peer | undefined): void => {
  if (peer === undefined) return
  const { config, hints } = turn.state
  turn.state.hints = [peer.id, ...hints.filter((id) => id !== peer.id)].slice(0, config.activeMax)
}

// --- who is not to be picked -----------------------------------------------------------------------------------------

export const pause = (turn: Turn, peer: Peer.Peer, kind: Pause["kind"], told?: true): void => {
  const { config, pauses } = turn.state
  const before = pauses.find((other) => other.id === peer.id)
  // Whom we expelled stays so, whatever it says of us meanwhile.
  if (isExpelled(turn, peer.id) && kind !== "dead" && (kind !== "slow" || told === true)) return
  const strikes = before?.kind === kind ? Math.min(before.strikes + 1, 2) : 0
  const span =
    kind === "refused"
      ? config.refusedMs * 2 ** strikes
      : { cooling: config.cooldownMs, dead: config.deadMs, slow: config.slowMs }[kind]
  const until = turn.now + span
  const { id, incarnation } = peer
  const entry: Pause = { id, incarnation, kind, strikes, until, ...(told === true ? { told } : {}) }
  const rest = pauses.filter((other) => other.id !== peer.id)
  turn.state.pauses = [...(rest.length < pausesMax ? rest : withoutFirst(turn, rest)), entry]
}

/** All but the one that ends first: one that is over, as long as there is any. */
const withoutFirst = (turn: Turn, pauses: ReadonlyArray<Pause>): ReadonlyArray<Pause> => {
  const first = pauses.reduce((least, entry) => (entry.until < least.until ? entry : least))
  if (first.until > turn.now) count(turn, "pausesDropped")
  return pauses.filter((entry) => entry !== first)
}

/** Not to be asked now. */
export const isPaused = ({ now, state }: Turn, id: NodeId.NodeId): boolean =>
  state.pauses.some((entry) => entry.id === id && entry.until > now)

/** It was expelled from here for taking no more frames, and not long ago. */
export const isExpelled = (turn: Turn, id: NodeId.NodeId): boolean =>
  isLeftAlone(turn, id) && turn.state.pauses.some((entry) => entry.id === id && entry.told !== true)

/** One of us expelled the other for that: no request leaves, unless there is nobody else. */
export const isLeftAlone = ({ now, state }: Turn, id: NodeId.NodeId): boolean =>
  state.pauses.some((entry) => entry.id === id && entry.kind === "slow" && entry.until > now)

/** Bars all runs of a node below `incarnation`. */
export const bar = (turn: Turn, id: NodeId.NodeId, incarnation: number): void => {
  const { floors } = turn.state
  const before = Option.getOrUndefined(HashMap.get(floors, id))
  if (before !== undefined && before.incarnation >= incarnation) return
  let room = floors
  if (before === undefined && HashMap.size(floors) >= floorsMax) {
    // The bar that would have been lifted first: a walk over all of them, once the bound is reached.
    const first = [...floors].reduce((least, entry) => (entry[1].until < least[1].until ? entry : least))
    room = HashMap.remove(floors, first[0])
    count(turn, "floorsDropped")
  }
  const until = turn.now + turn.state.config.tombstoneMs
  turn.state.floors = HashMap.set(room, id, { incarnation, until })
  const stale = (peer: Peer.Peer) => peer.id === id && peer.incarnation < incarnation
  if (turn.state.passive.some(stale)) dropPassive(turn, id)
  // A second link of a node that just left: a request that crossed its goodbye.
  for (const link of turn.state.links) {
    if (!stale(link.peer)) continue
    if (link.role === "active") dropActive(turn, link, "left")
    close(turn, link.link, "done")
  }
  turn.state.remembered = turn.state.remembered.filter((peer) => !stale(peer))
  turn.state.nearby = turn.state.nearby.filter((peer) => !stale(peer))
  turn.state.lost = turn.state.lost.filter((lost) => !stale(lost.peer))
}

/** A node showed itself with this incarnation: whatever an older run of it has here ends now. */
export const supersede = (turn: Turn, peer: Peer.Peer): void => {
  const { state } = turn
  const older = (other: Peer.Peer) => other.id === peer.id && other.incarnation < peer.incarnation
  const neighbor = state.active.find((other) => older(other.peer))
  if (neighbor !== undefined) dropActive(turn, neighbor, "replaced")
  for (const link of state.links) if (older(link.peer)) close(turn, link.link, "replaced")
  const known = state.passive.some(older) || state.lost.some((lost) => older(lost.peer))
  if (neighbor !== undefined || known) bar(turn, peer.id, peer.incarnation)
}

/**
 * A number above `last`, with the time in it: a state rebuilt after a crash knows nothing of its predecessor, and must
 * neither use one of its attempts again nor tell views that look older.
 */
export const numberAfter = (turn: Turn, last: number): number =>
  Math.max(last + 1, Math.floor(turn.now) * 1024 + (turn.state.rebuilt ? 512 : 0))

// --- dials -----------------------------------------------------------------------------------------------------------

export const dial = (turn: Turn, attempt: Omit<Attempt, "attempt" | "at">): void => {
  const { attempts, lastAttempt } = turn.state
  const number = numberAfter(turn, lastAttempt)
  turn.state.lastAttempt = number
  turn.state.attempts = [...attempts, { ...attempt, attempt: number, at: turn.now }]
  count(turn, "dials")
  turn.actions.push({ _tag: "Open", attempt: number, address: attempt.address })
}

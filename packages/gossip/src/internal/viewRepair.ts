/**
 * How free slots are filled: whom to dial, when, and what to do once a dial is answered.
 *
 * The order is hints, passive view, then the last resort: lost neighbours, remembered peers and contacts, tried round
 * after round with a pause between rounds. One dial or request at a time for each free slot.
 */
import { type Machine, type NodeId, Peer, Rng } from "@starling/machine"
import type { Attempt, Link, Lost, Purpose, Role, State } from "./viewModel.ts"
import * as Near from "./viewNear.ts"
import * as Swap from "./viewSwap.ts"
import {
  addPassive,
  attemptsMax,
  close,
  count,
  dial,
  draw,
  dropPassive,
  evictOne,
  freeOf,
  isAcceptable,
  isBusy,
  isLeftAlone,
  isPaused,
  labelOf,
  linkOf,
  linksMax,
  linksOf,
  lostMax,
  notice,
  openOf,
  oweSwaps,
  pause,
  pendingOf,
  pick,
  putLink,
  send,
  setRole,
  supersede,
  takeForced,
  takeSample,
  trimPending,
  type Turn
} from "./viewTurn.ts"

interface Candidate {
  readonly address: string
  readonly peer: Peer.Peer | undefined
  readonly lastResort: boolean
}

// --- whom to dial ----------------------------------------------------------------------------------------------------

/**
 * Passive peers that may be asked now: those that do not pause, and those that somebody just said have a free slot. A
 * node with nobody else to turn to asks even those that refused it.
 */
const available = (turn: Turn): ReadonlyArray<Peer.Peer> => {
  const { active, hints, passive } = turn.state
  const idle = passive.filter((peer) => !isBusy(turn.state, peer.id))
  const fresh = idle.filter((peer) => hints.includes(peer.id) || !isPaused(turn, peer.id))
  return fresh.length === 0 && active.length === 0 && resortOf(turn.state).length === 0 ? idle : fresh
}

/** The last resort is for the isolated, and for those whose passive view has nobody left. */
const mayResort = (state: State): boolean =>
  state.active.length === 0 || state.passive.every((peer) => isBusy(state, peer.id))

/** Every address of the last resort that leads neither to ourselves nor to somebody we already have. */
const resortOf = (state: State): ReadonlyArray<Candidate> => {
  const { active, attempts, config, contactIds, lost, remembered } = state
  const out = new Map<string, Candidate>()
  const offer = (address: string, peer: Peer.Peer | undefined) => {
    if (address === config.self.address || out.has(address)) return
    if (active.some((neighbor) => neighbor.peer.address === address)) return
    if (attempts.some((attempt) => attempt.address === address)) return
    const id = peer?.id ?? contactIds.find((entry) => entry[0] === address)?.[1]
    if (id === config.self.id || (id !== undefined && isBusy(state, id))) return
    out.set(address, { address, peer, lastResort: true })
  }
  for (const entry of lost) offer(entry.peer.address, entry.peer)
  for (const peer of remembered) offer(peer.address, peer)
  for (const address of config.contacts) offer(address, undefined)
  return [...out.values()]
}

const nextCandidate = (turn: Turn): Candidate | undefined => {
  const known = available(turn)
  const hinted = turn.state.hints.map((id) => known.find((peer) => peer.id === id)).find((peer) => peer !== undefined)
  const far = hinted === undefined && Near.lacksFar(turn.state) ? known.filter(isFar(turn.state)) : []
  const peer = hinted ?? pick(turn, far.length > 0 ? far : known)
  if (peer !== undefined) return { address: peer.address, peer, lastResort: false }
  if (turn.now < turn.state.resort.notBefore || !mayResort(turn.state)) return undefined
  const { tried } = turn.state.resort
  const untried = resortOf(turn.state).filter((candidate) => !tried.includes(candidate.address))
  return pick(turn, untried)
}

const isFar =
  ({ config }: State) =>
  (peer: Peer.Peer): boolean =>
    Peer.isFar(peer, config.self)

/** Starts a dial for every free slot that has none, as long as there is somebody to dial. */
export const fill = (turn: Turn): void => {
  while (pendingOf(turn.state) < openOf(turn.state) && turn.state.attempts.length < attemptsMax) {
    const candidate = nextCandidate(turn)
    if (candidate === undefined) break
    const { lastResort, peer } = candidate
    if (peer !== undefined) turn.state.hints = turn.state.hints.filter((hint) => hint !== peer.id)
    if (lastResort) {
      const { resort } = turn.state
      turn.state.resort = { ...resort, tried: [...resort.tried, candidate.address] }
    }
    dial(turn, { ...candidate, purpose: "fill" })
  }
  endRound(turn)
}

/** All addresses of the last resort were tried and none is under way: wait, longer every time, then begin again. */
const endRound = (turn: Turn): void => {
  const { attempts, config, resort } = turn.state
  if (resort.tried.length === 0 || attempts.some((attempt) => attempt.lastResort)) return
  const { tried } = resort
  if (linksOf(turn.state, "asked") > 0) return
  if (resortOf(turn.state).some((candidate) => !tried.includes(candidate.address))) return
  const mean = Math.min(config.rejoinMaxMs, config.rejoinMinMs * 2 ** Math.min(resort.failures, 16))
  const [wait, rng] = Rng.jitter(turn.state.rng, mean, 0.25)
  turn.state.rng = rng
  turn.state.resort = { tried: [], failures: resort.failures + 1, notBefore: turn.now + wait }
}

/**
 * Arms the repair timer if a slot is free and somebody can be dialled for it. Uniform jitter: the neighbours of a dead
 * node do not ask in step. Refusals in a row slow it down: the overlay is full.
 */
export const arm = (turn: Turn): void => {
  const { config, leaving, repair, resort } = turn.state
  if (leaving || repair.armed || turn.state.attempts.length >= attemptsMax) return
  const open = openOf(turn.state)
  // Asked after every step. Where no slot is open, nothing else needs to be looked at.
  if (open <= 0 || pendingOf(turn.state) >= open) return
  const known = available(turn).length > 0
  if (!known && !mayResort(turn.state)) return
  if (!known && resort.tried.length === 0 && resortOf(turn.state).length === 0) return
  if (!known && resort.tried.length > 0 && !hasUntried(turn.state)) {
    endRound(turn)
    if (turn.state.resort.tried.length > 0) return
  }
  const { notBefore } = turn.state.resort
  const mean = config.repairMs * 2 ** Math.min(6, repair.refusals >> 2)
  const delayMs = Math.max(draw(turn, 2 * mean + 1), known ? 0 : notBefore - turn.now)
  const round = repair.round + 1
  turn.state.repair = { ...repair, round, armed: true, due: turn.now + delayMs }
  turn.actions.push({ _tag: "SetTimer", delayMs, timer: { _tag: "Repair", round } })
}

const hasUntried = (state: State): boolean =>
  resortOf(state).some((candidate) => !state.resort.tried.includes(candidate.address))

// --- a dial is answered ----------------------------------------------------------------------------------------------

export const onLinkUp = (turn: Turn, id: Machine.LinkId, peer: Peer.Peer, number: number | undefined): void => {
  const attempt = turn.state.attempts.find((other) => other.attempt === number)
  if (attempt !== undefined) endAttempt(turn, attempt, peer.id)
  // A rebuilt state was given the link before the news of it got here.
  if (linkOf(turn.state, id) !== undefined) return
  if (turn.state.leaving) return close(turn, id, "left")
  // A dial that was given up, or made by a predecessor of a rebuilt state.
  if (number !== undefined && attempt === undefined) return close(turn, id, "done")
  if (!isAcceptable(turn.state, peer) || isOutdated(turn.state, peer)) {
    if (peer.id !== turn.state.config.self.id) count(turn, "barred")
    return close(turn, id, "refused")
  }
  supersede(turn, peer)
  notice(turn, peer)
  if (turn.state.links.length >= linksMax) {
    count(turn, "linksRefused")
    return close(turn, id, "refused")
  }
  const { pauses } = turn.state
  if (pauses.some((entry) => entry.kind === "dead" && entry.id === peer.id))
    turn.state.pauses = pauses.filter((entry) => entry.id !== peer.id)
  const { now } = turn
  const link: Link = { link: id, peer, role: "idle", since: now, heardAt: now, pingSeq: 0, pingAt: null, rttMs: null }
  putLink(turn, link)
  if (attempt !== undefined) use(turn, link, attempt.purpose, attempt.lastResort)
}

/** A later run of the node has shown itself: it has a link. */
const isOutdated = ({ links }: State, peer: Peer.Peer): boolean =>
  links.some((link) => link.peer.id === peer.id && link.peer.incarnation > peer.incarnation)

/** Takes a dial off the list; if somebody else answered than was expected, the expected one is not there. */
const endAttempt = (turn: Turn, attempt: Attempt, found: NodeId.NodeId): void => {
  const { attempts, config, contactIds, lost } = turn.state
  turn.state.attempts = attempts.filter((other) => other !== attempt)
  if (config.contacts.includes(attempt.address)) {
    const others = contactIds.filter((entry) => entry[0] !== attempt.address)
    turn.state.contactIds = [...others, [attempt.address, found]]
  }
  if (attempt.peer === undefined || attempt.peer.id === found) return
  const { id } = attempt.peer
  dropPassive(turn, id)
  turn.state.lost = lost.filter((entry) => entry.peer.id !== id)
}

const use = (turn: Turn, link: Link, purpose: Purpose, lastResort: boolean): void => {
  const { peer } = link
  if (isEngaged(turn.state, link)) return close(turn, link.link, "done")
  const isUnwanted = turn.state.active.length > 0 && isLeftAlone(turn, peer.id)
  // Whoever looked whether it lives, or for somebody else at its address, has found it.
  if (purpose !== "probe" && isUnwanted) {
    close(turn, link.link, "done")
    return addPassive(turn, peer)
  }
  if (purpose === "near") return Near.court(turn, link, null)
  if (freeOf(turn.state) > 0 && !isUnwanted) return ask(turn, link, lastResort)
  if (purpose === "cross" || purpose === "mix") return Swap.propose(turn, link, purpose === "cross")
  if (turn.state.lost.some((entry) => entry.peer.id === peer.id)) return onFound(turn, link)
  if (purpose === "swap" && takeForced(turn)) {
    evictOne(turn, peer)
    return ask(turn, link, false)
  }
  if (purpose !== "probe") {
    close(turn, link.link, "done")
    return addPassive(turn, peer)
  }
  setRole(turn, link, "probing")
  send(turn, link.link, {
    _tag: "Probe",
    peer: turn.state.config.self,
    label: labelOf(turn.state),
    sample: takeSample(turn, [peer.id])
  })
}

/**
 * A lost neighbour lives. If it had fallen silent the net was cut, and most likely between many others too: the link that
 * took its place goes for it. Without this, two halves that come together again stay joined by a few links.
 */
const onFound = (turn: Turn, link: Link): void => {
  const { config, lost } = turn.state
  const isSilent = lost.some((entry) => entry.peer.id === link.peer.id && entry.silent)
  if (isSilent && config.remixSwaps > 0) {
    oweSwaps(turn, config.remixSwaps)
    return Swap.propose(turn, link, false)
  }
  turn.state.lost = lost.filter((entry) => entry.peer.id !== link.peer.id)
  close(turn, link.link, "done")
  addPassive(turn, link.peer)
}

const isEngaged = (state: State, link: Link): boolean =>
  state.active.some((neighbor) => neighbor.peer.id === link.peer.id) ||
  state.links.some((other) => other.link !== link.link && other.peer.id === link.peer.id && isRequest(other.role))

const isRequest = (role: Role): boolean => role === "asked" || role === "courting" || role === "swapping"

/** Paper, §4.3: high priority only without any neighbour. An isolated node that knows no passive peer joins anew. */
const ask = (turn: Turn, link: Link, lastResort: boolean): void => {
  const { active, config } = turn.state
  const alone = active.length + linksOf(turn.state, "asked") === 0
  const maySplit = turn.state.repair.refusals >= config.splitAfter && freeOf(turn.state) >= 2
  setRole(turn, link, "asked")
  const peer = config.self
  if (alone && lastResort) send(turn, link.link, { _tag: "Join", peer })
  else send(turn, link.link, { _tag: "Neighbor", peer, priority: alone ? "high" : maySplit ? "split" : "low" })
  trimPending(turn)
}

/** The probed node is in another component: one slot is given up for a bridge. */
export const bridge = (turn: Turn, link: Link): boolean => {
  if (isEngaged(turn.state, link)) return false
  if (freeOf(turn.state) <= 0) {
    if (!takeForced(turn)) return false
    evictOne(turn, link.peer)
  }
  count(turn, "merges")
  setRole(turn, link, "asked")
  send(turn, link.link, { _tag: "Join", peer: turn.state.config.self })
  trimPending(turn)
  return true
}

export const onLinkRefused = (turn: Turn, number: number, failure: Machine.OpenFailure): void => {
  const attempt = turn.state.attempts.find((other) => other.attempt === number)
  if (attempt === undefined) return
  const { id } = turn.state.config.self
  // A dial of our own address under another name is refused as such; remember it and do not try again.
  const isSelf = failure._tag === "Rejected" && failure.code === "self"
  endAttempt(turn, attempt, isSelf ? id : (attempt.peer?.id ?? ""))
  if (!isSelf) forgetContact(turn, attempt.address)
  failed(turn, attempt)
  if (failure._tag === "Refused" && attempt.peer !== undefined) tellRefused(turn, attempt.peer)
}

const tellRefused = (turn: Turn, peer: Peer.Peer): void => {
  const entry = turn.state.lost.find((other) => other.peer.id === peer.id)
  if (entry === undefined || entry.refused) return
  const marked = { ...entry, verified: true, refused: true }
  turn.state.lost = turn.state.lost.map((other) => (other === entry ? marked : other))
  turn.actions.push({ _tag: "Emit", output: { _tag: "NeighborRefused", peer: entry.peer, cause: "refused" } })
}

const forgetContact = (turn: Turn, address: string): void => {
  const { contactIds } = turn.state
  turn.state.contactIds = contactIds.filter((entry) => entry[0] !== address)
}

/** Paper, §4.3: a peer that cannot be connected to leaves the passive view. */
const failed = (turn: Turn, attempt: Attempt): void => {
  count(turn, "dialFailures")
  if (attempt.peer === undefined) return
  dropPassive(turn, attempt.peer.id)
  pause(turn, attempt.peer, "dead")
}

/** Dials nobody answered in time. The shell may still answer; by then the number means nothing to us. */
export const expireAttempts = (turn: Turn): void => {
  const { config } = turn.state
  for (const attempt of turn.state.attempts.filter((other) => turn.now - other.at >= config.handshakeMs)) {
    turn.state.attempts = turn.state.attempts.filter((other) => other !== attempt)
    failed(turn, attempt)
  }
}

/** A walk ended here: the newcomer is dialled, if need be at the price of a neighbour once it has answered. */
export const welcome = (turn: Turn, peer: Peer.Peer): void => {
  const { attempts } = turn.state
  if (isBusy(turn.state, peer.id)) return
  const hasSlot = pendingOf(turn.state) < openOf(turn.state)
  if (attempts.length >= attemptsMax) return addPassive(turn, peer)
  dial(turn, { address: peer.address, peer, purpose: hasSlot ? "fill" : "swap", lastResort: false })
}

/** A request came to nothing: the peer stays known, and waits its turn. */
export const refused = (turn: Turn, { peer, role }: Link): void => {
  count(turn, "refusedByOthers")
  addPassive(turn, peer)
  pause(turn, peer, "refused")
  if (role !== "asked") return
  const { repair } = turn.state
  turn.state.repair = { ...repair, refusals: repair.refusals + 1 }
}

// --- now and then ----------------------------------------------------------------------------------------------------

/** A neighbour whose link broke: kept as a last resort, and dialled once to see whether its host still listens. */
export const lose = (turn: Turn, peer: Peer.Peer, silent: boolean): void => {
  const lost: ReadonlyArray<Lost> = turn.state.lost.filter((entry) => entry.peer.id !== peer.id)
  const kept = lost.slice(lost.length >= lostMax ? 1 : 0)
  turn.state.lost = [...kept, { peer, verified: false, refused: false, silent, at: turn.now }]
  freshStart(turn)
}

/** A node is gone, and its other neighbours have a free slot too: who refused us before may accept now. */
export const freshStart = (turn: Turn): void => {
  const { pauses, repair } = turn.state
  turn.state.pauses = pauses.filter((entry) => entry.kind !== "refused")
  turn.state.repair = { ...repair, refusals: 0 }
}

export const verifyLost = (turn: Turn): void => {
  const fresh = turn.state.lost.filter((entry) => !entry.verified)
  if (fresh.length === 0) return
  turn.state.lost = turn.state.lost.map((entry) => ({ ...entry, verified: true }))
  for (const { peer } of fresh) {
    if (turn.state.attempts.length >= attemptsMax || isBusy(turn.state, peer.id)) continue
    dial(turn, { address: peer.address, peer, purpose: "verify", lastResort: false })
  }
}

/**
 * Dials one known address that is no neighbour's: a lost neighbour, one that is known, or one of the last resort. Those
 * that are remembered, and contacts, let two components meet that forgot each other: a passive view forgets the other side
 * of a partition within some ten shuffles.
 */
export const probe = (turn: Turn): void => {
  const { config, lost, nearby, passive } = turn.state
  const [wait, rng] = Rng.jitter(turn.state.rng, config.probeMs, 0.5)
  turn.state.rng = rng
  turn.state.probeAt = turn.now + wait
  if (turn.state.attempts.length >= attemptsMax) return
  const isIdle = (peer: Peer.Peer) => !isBusy(turn.state, peer.id)
  const missed = lost.filter((entry) => !entry.refused && isIdle(entry.peer)).map((entry) => candidateOf(entry.peer))
  const known = [...passive, ...nearby].filter(isIdle).map(candidateOf)
  const addresses = new Set([...missed, ...known].map((candidate) => candidate.address))
  const strangers = resortOf(turn.state).filter((candidate) => !addresses.has(candidate.address))
  // Each kind gets its turn, however long the lists are.
  const chosen = pick(
    turn,
    pick(
      turn,
      [missed, known, strangers].filter((kind) => kind.length > 0)
    ) ?? []
  )
  if (chosen !== undefined) dial(turn, { ...chosen, purpose: "probe", lastResort: false })
}

const candidateOf = (peer: Peer.Peer): Candidate => ({ address: peer.address, peer, lastResort: false })

/** What a probe brought back. */
export const onProbeReply = (turn: Turn, link: Link, foreign: boolean): void => {
  if (foreign && bridge(turn, link)) return
  const rttMs = turn.now - link.since
  const farther = isEngaged(turn.state, link) ? undefined : Near.isNearer(turn, link, rttMs)
  if (farther !== undefined) return Near.court(turn, link, rttMs, farther.link)
  close(turn, link.link, "done")
  addPassive(turn, link.peer)
}

/**
 * Data centres: the near slots, and the links that lead away.
 *
 * The active view has two parts. The unbiased one is the paper's, and its resilience is the paper's. Beside it a node
 * keeps a few links to others of its own data centre (GoCast, Tang, Chang, Ward, DSN 2005; libp2p's episub splits its view
 * likewise), and only these are chosen by distance. A near link gives way to one that is clearly nearer, never to a
 * fluctuation. Of the unbiased links at least `farMin` lead to other data centres while any can be had.
 */
import { type Machine, Peer, Rng } from "@starling/machine"
import type { Link, State } from "./viewModel.ts"
import {
  addActive,
  addPassive,
  admit,
  attemptsMax,
  close,
  count,
  decline,
  dial,
  evict,
  farOf,
  freeOf,
  isBusy,
  isPaused,
  linkOf,
  linksOf,
  nearOf,
  openOf,
  pendingOf,
  pick,
  putLink,
  send,
  takeForced,
  takeSample,
  type Turn,
  withdrawFrom
} from "./viewTurn.ts"

/** Looks after both kinds, now and then; sooner while near slots are free. */
export const upkeep = (turn: Turn): void => {
  const { config, isApart, upkeepAt } = turn.state
  if (turn.now < upkeepAt) return
  const mean = nearWanted(turn.state) > 0 ? config.upkeepMs / 5 : config.upkeepMs
  const [wait, rng] = Rng.jitter(turn.state.rng, mean, 0.5)
  turn.state.rng = rng
  turn.state.upkeepAt = turn.now + wait
  if (!isApart) return
  for (let wanted = nearWanted(turn.state); wanted > 0; wanted--) lookAround(turn)
  lookAway(turn)
}

// --- near slots ------------------------------------------------------------------------------------------------------

/** Near slots that are free and not asked for. A fleet of one data centre has none. */
const nearWanted = (state: State): number => {
  const { attempts, config, isApart } = state
  if (!isApart) return 0
  const dialled = attempts.filter((attempt) => attempt.purpose === "near").length
  return config.nearMax - nearOf(state) - linksOf(state, "courting") - dialled
}

const lookAround = (turn: Turn): void => {
  const { attempts, config, nearby, passive } = turn.state
  const known = [...nearby, ...passive.filter((peer) => Peer.isNear(peer, config.self))]
  const peer = pick(turn, known.filter(isFree(turn)))
  if (peer === undefined || attempts.length >= attemptsMax) return
  dial(turn, { address: peer.address, peer, purpose: "near", lastResort: false })
}

const isFree =
  (turn: Turn) =>
  ({ id }: Peer.Peer): boolean =>
    !isBusy(turn.state, id) && !isPaused(turn, id)

/** Asks for a near slot at the other end of a fresh link; `gives` is the near link that would go for it. */
export const court = (turn: Turn, link: Link, rttMs: number | null, gives?: Machine.LinkId): void => {
  const { config } = turn.state
  if (!Peer.isNear(link.peer, config.self)) {
    close(turn, link.link, "done")
    return addPassive(turn, link.peer)
  }
  putLink(turn, { ...link, role: "courting", since: turn.now, ...(gives === undefined ? {} : { gives }) })
  const wish = { _tag: "Near", rttMs } as const
  send(turn, link.link, { _tag: "Neighbor", peer: config.self, priority: "low", wish })
}

/** Decides on such a request. One more than `nearMax` are kept, so that who asks last finds somebody. */
export const answer = (turn: Turn, link: Link, rttMs: number | null): void => {
  const { config } = turn.state
  const { peer } = link
  if (config.nearMax === 0 || !Peer.isNear(peer, config.self))
    return freeOf(turn.state) > 0 ? admit(turn, link, "unbiased", takeSample(turn, [peer.id])) : decline(turn, link)
  const sample = sampleNear(turn, peer)
  if (nearOf(turn.state) > config.nearMax) {
    const farthest = rttMs === null ? undefined : givesWay(turn, rttMs)
    if (farthest === undefined || !takeForced(turn)) return decline(turn, link, sample)
    count(turn, "nearer")
    evict(turn, farthest, peer)
  }
  admit(turn, link, "near", sample)
}

/** The other end agreed. */
export const accepted = (turn: Turn, link: Link): void => {
  const { active, config } = turn.state
  const given = active.find((neighbor) => neighbor.near === true && neighbor.link === link.gives)
  if (given === undefined && nearOf(turn.state) > config.nearMax) return withdrawFrom(turn, link)
  if (given !== undefined) {
    count(turn, "nearer")
    evict(turn, given, link.peer)
  }
  addActive(turn, link, "near")
}

/** A probe of a node of this data centre came back after so long: it may be nearer than who has a near slot. */
export const isNearer = (turn: Turn, link: Link, rttMs: number): Machine.Neighbor | undefined =>
  Peer.isNear(link.peer, turn.state.config.self) && nearOf(turn.state) >= turn.state.config.nearMax
    ? givesWay(turn, rttMs)
    : undefined

/** The farthest near neighbour, if one with this round trip is clearly nearer. */
const givesWay = ({ now, state }: Turn, rttMs: number): Machine.Neighbor | undefined => {
  const { active, config } = state
  let farthest: { readonly neighbor: Machine.Neighbor; readonly rttMs: number } | undefined
  for (const neighbor of active) {
    const link = neighbor.near === true ? linkOf(state, neighbor.link) : undefined
    if (link === undefined || link.rttMs === null || now - link.since < config.nearSettledMs) continue
    if (farthest === undefined || link.rttMs > farthest.rttMs) farthest = { neighbor, rttMs: link.rttMs }
  }
  const isClear = farthest !== undefined && rttMs + 1 <= farthest.rttMs && rttMs <= config.nearGain * farthest.rttMs
  return isClear ? farthest?.neighbor : undefined
}

/** Who else is in this data centre, for who asked for a near slot. */
const sampleNear = (turn: Turn, asking: Peer.Peer): ReadonlyArray<Peer.Peer> => {
  const { active, config, nearby, rng } = turn.state
  const near = active.flatMap((neighbor) => (neighbor.near === true ? [neighbor.peer] : []))
  const known = new Map([...near, ...nearby].map((peer) => [peer.id, peer]))
  known.delete(asking.id)
  const [sample, next] = Rng.sample(rng, [...known.values()], config.sampleMax)
  turn.state.rng = next
  return sample
}

// --- links that lead away --------------------------------------------------------------------------------------------

/** True while a link more to another data centre is wanted. */
export const lacksFar = (state: State): boolean => state.isApart && farOf(state) < state.config.farMin

/** A full view that lacks links to other data centres swaps one, less often the longer it fails. */
const lookAway = (turn: Turn): void => {
  const { attempts, config, cross, lost, passive, remembered } = turn.state
  if (!lacksFar(turn.state)) {
    if (cross.failures > 0) turn.state.cross = { notBefore: turn.now, failures: 0 }
    return
  }
  // A free slot is filled with one anyway, if one is known.
  if (turn.now < cross.notBefore || pendingOf(turn.state) < openOf(turn.state)) return
  if (attempts.length >= attemptsMax || attempts.some((attempt) => attempt.purpose === "cross")) return
  const known = [...passive, ...remembered, ...lost.map((entry) => entry.peer)]
  const far = known.filter((peer) => Peer.isFar(peer, config.self)).filter(isFree(turn))
  const peer = pick(turn, far)
  if (peer === undefined) return
  const [wait, rng] = Rng.jitter(turn.state.rng, config.upkeepMs * 2 ** Math.min(cross.failures, 4), 0.5)
  turn.state.rng = rng
  turn.state.cross = { notBefore: turn.now + wait, failures: cross.failures + 1 }
  dial(turn, { address: peer.address, peer, purpose: "cross", lastResort: false })
}

/**
 * Swaps: two links of four nodes become two others, and nobody has fewer.
 *
 * A full node A wants a link to a full node B. A names the neighbour C that it would give up. B accepts by giving up a
 * neighbour D, tells D of C, and answers with D; A gives up C and tells it of D. So A-C, B-D become A-B, C-D. The idea is
 * X-BOT's (Leitão, Marques, Pereira, Rodrigues: "X-BOT: a protocol for resilient optimization of unstructured overlays",
 * SRDS 2009), in two messages instead of six: a goodbye names whom to try first, and repair does the rest.
 */
import { type Machine, Peer, Rng } from "@starling/machine"
import type { Link, Wish } from "./viewModel.ts"
import {
  addActive,
  admit,
  attemptsMax,
  close,
  count,
  decline,
  dial,
  evict,
  expendable,
  freeOf,
  isAcceptable,
  isBusy,
  isPaused,
  linkOf,
  pick,
  putLink,
  send,
  takeForced,
  takeSample,
  type Turn,
  withdrawFrom
} from "./viewTurn.ts"

/** While swaps are owed after a merge: dials a random known peer for one, now and then. */
export const remix = (turn: Turn): void => {
  const { attempts, config, passive } = turn.state
  const { at, left } = turn.state.remix
  if (left === 0 || turn.now < at || attempts.length >= attemptsMax) return
  const [wait, rng] = Rng.jitter(turn.state.rng, config.remixMs, 0.5)
  turn.state.rng = rng
  turn.state.remix = { left: left - 1, at: turn.now + wait }
  const peer = pick(
    turn,
    passive.filter(({ id }) => !isBusy(turn.state, id) && !isPaused(turn, id))
  )
  if (peer !== undefined) dial(turn, { address: peer.address, peer, purpose: "mix", lastResort: false })
}

/** Asks the node at the other end of a fresh link for a swap. */
export const propose = (turn: Turn, link: Link, cross: boolean): void => {
  const given = choose(turn, link.peer, candidates(turn, link.peer, cross))
  if (given === undefined) return close(turn, link.link, "done")
  putLink(turn, { ...link, role: "swapping", since: turn.now, gives: given.link })
  const peer = turn.state.config.self
  const wish = { _tag: "Swap", gives: given.peer, cross } as const
  send(turn, link.link, { _tag: "Neighbor", peer, priority: "low", wish })
}

/** Decides on such a request. */
export const answer = (turn: Turn, link: Link, { cross, gives }: Extract<Wish, { readonly _tag: "Swap" }>): void => {
  const { peer } = link
  if (freeOf(turn.state) > 0) return admit(turn, link, "unbiased", takeSample(turn, [peer.id]))
  const others = candidates(turn, peer, cross).filter((neighbor) => neighbor.peer.id !== gives.id)
  const given = choose(turn, peer, others)
  if (given === undefined || !takeForced(turn)) return decline(turn, link)
  evict(turn, given, isAcceptable(turn.state, gives) ? gives : peer)
  const sample = [given.peer, ...takeSample(turn, [peer.id, given.peer.id])].slice(0, turn.state.config.sampleMax)
  admit(turn, link, "unbiased", sample, true)
}

/** The other end agreed; `partner` is whom it gave up, if it did. */
export const accepted = (turn: Turn, link: Link, partner: Peer.Peer | undefined): void => {
  if (freeOf(turn.state) <= 0) {
    const given = turn.state.active.find((neighbor) => neighbor.link === link.gives)
    // It went in the meantime, and its slot with it.
    if (given === undefined) return withdrawFrom(turn, link)
    // A peer that lies may name the one that goes, or this node.
    const isOther = partner !== undefined && partner.id !== given.peer.id && isAcceptable(turn.state, partner)
    evict(turn, given, isOther ? partner : link.peer)
  }
  count(turn, "swaps")
  addActive(turn, link)
}

/** Whom this node may give up for `newcomer`: for a link across, one that leads to its own data centre. */
const candidates = (turn: Turn, newcomer: Peer.Peer, cross: boolean): ReadonlyArray<Machine.Neighbor> => {
  const others = expendable(turn.state, newcomer)
  return cross ? others.filter(({ peer }) => !Peer.isFar(peer, turn.state.config.self)) : others
}

/**
 * For a neighbour that was lost and lives, a link that has come since then: the first of them likely took its place. Those
 * that came back already are younger.
 */
const choose = (
  turn: Turn,
  newcomer: Peer.Peer,
  others: ReadonlyArray<Machine.Neighbor>
): Machine.Neighbor | undefined => {
  const missed = turn.state.lost.find((entry) => entry.peer.id === newcomer.id)
  let first: { readonly neighbor: Machine.Neighbor; readonly since: Machine.Instant } | undefined
  for (const neighbor of missed === undefined ? [] : others) {
    const since = linkOf(turn.state, neighbor.link)?.since ?? 0
    const isLater = missed !== undefined && since >= missed.at
    if (isLater && (first === undefined || since < first.since)) first = { neighbor, since }
  }
  return first?.neighbor ?? pick(turn, others)
}

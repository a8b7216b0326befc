/**
 * Swaps: two links of four nodes become two others, and nobody has fewer.
 *
 * A full node A wants a link to a full node B. A names the neighbour C that it would give up. B accepts by giving up a
 * neighbour D, tells D of C, and answers with D; A gives up C and tells it of D. So A-C, B-D become A-B, C-D. The idea is
 * X-BOT's (Leitão, Marques, Pereira, Rodrigues: "X-BOT: a protocol for resilient optimization of unstructured overlays",
 * SRDS 2009), in two messages instead of six: a goodbye names whom to try first, and repair does the rest.
 */
import { type Machine, Peer } from "@starling/machine"
import type { Link, Wish } from "./viewModel.ts"
import {
  addActive,
  admit,
  close,
  count,
  decline,
  evict,
  expendable,
  freeOf,
  isAcceptable,
  pick,
  putLink,
  send,
  takeForced,
  takeSample,
  type Turn,
  withdrawFrom
} from "./viewTurn.ts"

/** Asks the node at the other end of a fresh link for a swap. */
export const propose = (turn: Turn, link: Link, cross: boolean): void => {
  const given = pick(turn, candidates(turn, link.peer, cross))
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
  const given = pick(turn, others)
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
    evict(turn, given, partner ?? link.peer)
  }
  count(turn, "swaps")
  addActive(turn, link)
}

/** Whom this node may give up for `newcomer`: for a link across, one that leads to its own data centre. */
const candidates = (turn: Turn, newcomer: Peer.Peer, cross: boolean): ReadonlyArray<Machine.Neighbor> => {
  const others = expendable(turn.state, newcomer)
  return cross ? others.filter(({ peer }) => !Peer.isFar(peer, turn.state.config.self)) : others
}

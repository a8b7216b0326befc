/**
 * What the view manager does with a link: what arrives on it, and what it means that it is down.
 *
 * The order is the paper's: Join and its walks, Neighbor, Disconnect; then keepalive and probes, which are ours.
 */
import { type Machine, Peer } from "@starling/machine"
import * as Label from "./viewLabel.ts"
import type { Cause, Link, Message } from "./viewModel.ts"
import * as Near from "./viewNear.ts"
import * as Repair from "./viewRepair.ts"
import * as Swap from "./viewSwap.ts"
import {
  activeOf,
  addActive,
  addPassive,
  admit,
  bar,
  close,
  count,
  decline,
  dropActive,
  dropLink,
  dropPassive,
  freeOf,
  hint,
  isAcceptable,
  isExpelled,
  labelOf,
  linkOf,
  makeRoom,
  pause,
  pick,
  putLink,
  send,
  takeForced,
  takeSample,
  type Turn
} from "./viewTurn.ts"

// --- links -----------------------------------------------------------------------------------------------------------

export const onLinkDown = (turn: Turn, id: Machine.LinkId, reason: Machine.DownReason): void => {
  const link = linkOf(turn.state, id)
  if (link === undefined) return
  dropLink(turn, id)
  const cause = causeOf(reason)
  if (link.role === "active") dropActive(turn, link, cause)
  if (cause === "left") return onLeft(turn, link.peer)
  if (link.role === "active" && reason._tag === "Overflow") return onSlow(turn, link.peer)
  if (link.role === "active" && (cause === "closed" || cause === "timeout"))
    return Repair.lose(turn, link.peer, cause === "timeout")
  if (link.role === "active") {
    addPassive(turn, link.peer)
    return pause(turn, link.peer, "cooling")
  }
  if (!isRequested(link)) return
  // Broken off in the middle of a request: as if it could not be connected to. Closed in order: as if refused.
  if (cause !== "closed" && cause !== "timeout") return Repair.refused(turn, link)
  dropPassive(turn, link.peer.id)
  pause(turn, link.peer, "dead")
}

/** Paper, §5.5: who takes no more frames holds up all its neighbours, so it is expelled, and left alone for a while. */
const onSlow = (turn: Turn, peer: Peer.Peer): void => {
  count(turn, "slow")
  addPassive(turn, peer)
  pause(turn, peer, "slow")
  Repair.freshStart(turn)
}

const causeOf = (reason: Machine.DownReason): Exclude<Cause, "refused"> => {
  switch (reason._tag) {
    case "Reset":
      return "closed"
    case "Timeout":
    case "Overflow":
      return "timeout"
    case "Local":
      return reason.reason === "silent" ? "timeout" : "replaced"
    case "ClosedByPeer":
      switch (reason.reason) {
        case "left":
          return "left"
        case "replaced":
          return "replaced"
        case "silent":
          return "timeout"
        default:
          // It is alive and wants this link no more.
          return "evicted"
      }
  }
}

export const onReceived = (turn: Turn, id: Machine.LinkId, message: Message): void => {
  const known = linkOf(turn.state, id)
  if (known === undefined) return count(turn, "strayFrames")
  const link = { ...known, heardAt: turn.now }
  // By far the commonest frame, and the only one that has more to say of the link itself.
  if (message._tag === "Pong") return onPong(turn, link, message)
  putLink(turn, link)
  switch (message._tag) {
    case "Join":
      return onJoin(turn, link, message.peer)
    case "ForwardJoin":
      return onForwardJoin(turn, link, message.peer, Math.min(message.ttl, turn.state.config.arwl))
    case "Neighbor":
      return onNeighbor(turn, link, message)
    case "NeighborReply":
      return onNeighborReply(turn, link, message)
    case "Disconnect":
      return onDisconnect(turn, link, message)
    case "Ping":
      return onPing(turn, link, message)
    case "Probe":
      return onProbe(turn, link, message.sample)
    case "ProbeReply":
      if (link.role !== "probing") return count(turn, "strayFrames")
      absorb(turn, message.sample)
      return Repair.onProbeReply(turn, link, Label.isForeign(turn.state, message.label))
  }
}

const absorb = (turn: Turn, peers: ReadonlyArray<Peer.Peer>): void => {
  for (const peer of peers) addPassive(turn, peer)
}

// --- requests --------------------------------------------------------------------------------------------------------

/** Paper, Algorithm 1, `Receive(Join)`. The walks start whether or not the contact itself has a slot. */
const onJoin = (turn: Turn, link: Link, peer: Peer.Peer): void => {
  if (!isRequest(turn, link, peer)) return
  count(turn, "joins")
  const others = turn.state.active.filter((neighbor) => neighbor.peer.id !== peer.id)
  if (answer(turn, link, "sparingly") === "closed") return
  for (const { link: other } of others) {
    if (linkOf(turn.state, other)?.role === "active")
      send(turn, other, { _tag: "ForwardJoin", peer: link.peer, ttl: turn.state.config.arwl })
  }
}

const onNeighbor = (
  turn: Turn,
  link: Link,
  { peer, priority, wish }: Extract<Message, { readonly _tag: "Neighbor" }>
): void => {
  if (!isRequest(turn, link, peer)) return
  if (priority !== "high" && isExpelled(turn, peer.id)) return declineSlow(turn, link)
  if (wish === undefined || priority !== "low") answer(turn, link, evictsFor[priority])
  else if (!settleRivals(turn, link)) close(turn, link.link, "replaced")
  else if (wish._tag === "Near") Near.answer(turn, link, wish.rttMs)
  else Swap.answer(turn, link, wish)
}

/** Paper, §5.5: the notice that keeps an expelled node from coming straight back. */
const declineSlow = (turn: Turn, link: Link): void => {
  count(turn, "slowRefused")
  const sample = takeSample(turn, [link.peer.id])
  send(turn, link.link, { _tag: "NeighborReply", accepted: false, sample, hinted: false, slow: true })
}

const evictsFor = { high: "always", split: "sparingly", low: "never" } as const

/** A request comes on a fresh link and speaks for the node at its other end. */
const isRequest = (turn: Turn, link: Link, peer: Peer.Peer): boolean => {
  if (!Peer.same(peer, link.peer)) {
    count(turn, "violations")
    if (link.role === "active") {
      dropActive(turn, link, "replaced")
    }
    close(turn, link.link, "violation")
    return false
  }
  if (link.role === "idle") return true
  count(turn, "strayFrames")
  return false
}

/** Decides on a request and answers it. `evict`: whether a neighbour may have to go for it. */
const answer = (turn: Turn, link: Link, evict: "always" | "sparingly" | "never"): "accepted" | "refused" | "closed" => {
  const { link: id, peer } = link
  if (!settleRivals(turn, link)) {
    close(turn, id, "replaced")
    return "closed"
  }
  const isFull = freeOf(turn.state) <= 0
  if (isFull && (evict === "never" || (evict === "sparingly" && !takeForced(turn)))) {
    decline(turn, link)
    return "refused"
  }
  if (isFull) makeRoom(turn, peer)
  admit(turn, link, "unbiased", takeSample(turn, [peer.id]))
  return "accepted"
}

/** Our own request is under way on it. */
const isRequested = ({ role }: Link): boolean => role === "asked" || role === "courting" || role === "swapping"

/**
 * Another link to the same node is in the way: ours if both dialled at once, or a former one that the peer has given up.
 * The link that the node with the lower id opened stays, which both ends can tell without asking. False if the new link
 * has to go.
 */
const settleRivals = (turn: Turn, link: Link): boolean => {
  const { self } = turn.state.config
  for (const ours of turn.state.links) {
    if (!isRequested(ours) || ours.peer.id !== link.peer.id) continue
    if (self.id < link.peer.id || ours.peer.incarnation > link.peer.incarnation) return false
    close(turn, ours.link, "replaced")
  }
  const former = activeOf(turn.state, link.peer.id)
  if (former === undefined) return true
  // A request of an earlier run, or on a link older than the one that counts, is a leftover.
  if (former.peer.incarnation > link.peer.incarnation || link.link < former.link) return false
  dropActive(turn, former, "replaced")
  close(turn, former.link, "replaced")
  return true
}

const onNeighborReply = (
  turn: Turn,
  link: Link,
  { accepted, hinted, sample, slow }: Extract<Message, { readonly _tag: "NeighborReply" }>
): void => {
  if (!isRequested(link)) return count(turn, "strayFrames")
  if (accepted) onAccepted(turn, link, hinted ? sample[0] : undefined)
  else {
    close(turn, link.link, "done")
    Repair.refused(turn, link)
    if (slow === true) pause(turn, link.peer, "slow", true)
    if (hinted && link.role === "asked") hint(turn, sample[0])
  }
  absorb(turn, sample)
}

/** `partner`: whom the other end gave up for us. */
const onAccepted = (turn: Turn, link: Link, partner?: Peer.Peer): void => {
  if (link.role === "courting") Near.accepted(turn, link)
  else if (link.role === "swapping") Swap.accepted(turn, link, partner)
  else addActive(turn, link)
}

// --- walks -----------------------------------------------------------------------------------------------------------

/**
 * Paper, Algorithm 1, `Receive(ForwardJoin)`. A walk has one next hop; where there is none, it ends here. At its end the
 * newcomer is dialled, and counts only once it has accepted.
 */
const onForwardJoin = (turn: Turn, link: Link, peer: Peer.Peer, ttl: number): void => {
  if (link.role !== "active") return count(turn, "strayFrames")
  if (!isAcceptable(turn.state, peer)) return
  const { active, config } = turn.state
  const next = pick(
    turn,
    active.filter((neighbor) => neighbor.link !== link.link && neighbor.peer.id !== peer.id)
  )
  if (ttl === 0 || next === undefined) return Repair.welcome(turn, peer)
  if (ttl === config.prwl) addPassive(turn, peer)
  send(turn, next.link, { _tag: "ForwardJoin", peer, ttl: ttl - 1 })
}

// --- goodbyes --------------------------------------------------------------------------------------------------------

const onDisconnect = (turn: Turn, link: Link, message: Extract<Message, { readonly _tag: "Disconnect" }>): void => {
  const { reason, sample } = message
  const isNear = activeOf(turn.state, link.peer.id)?.near === true
  if (link.role === "active") dropActive(turn, link, reason === "asymmetric" ? "evicted" : reason)
  close(turn, link.link, "done")
  if (reason === "left") return onLeft(turn, link.peer)
  if (isRequested(link)) Repair.refused(turn, link)
  else if (link.role === "active") {
    addPassive(turn, link.peer)
    if (reason !== "asymmetric") pause(turn, link.peer, "cooling")
  }
  absorb(turn, sample)
  if (reason === "evicted" && !isNear) hint(turn, sample[0])
}

const onLeft = (turn: Turn, peer: Peer.Peer): void => {
  bar(turn, peer.id, peer.incarnation + 1)
  Repair.freshStart(turn)
}

// --- keepalive -------------------------------------------------------------------------------------------------------

const onPing = (turn: Turn, link: Link, message: Extract<Message, { readonly _tag: "Ping" }>): void => {
  // The other end counts us as a neighbour: the reply that said so was lost with a step that crashed.
  if (message.claim && isRequested(link)) onAccepted(turn, link)
  if (link.role === "active" || linkOf(turn.state, link.link)?.role === "active") {
    Label.hear(turn, message.label)
    return send(turn, link.link, { _tag: "Pong", seq: message.seq, claim: true, label: labelOf(turn.state) })
  }
  if (!message.claim) return
  count(turn, "asymmetric")
  send(turn, link.link, { _tag: "Disconnect", reason: "asymmetric", sample: [] })
}

const onPong = (turn: Turn, link: Link, message: Extract<Message, { readonly _tag: "Pong" }>): void => {
  putLink(turn, link.role === "active" && message.claim ? answered(link, message.seq, turn.now) : link)
  if (link.role !== "active") return
  if (!message.claim) {
    count(turn, "asymmetric")
    dropActive(turn, link, "evicted")
    close(turn, link.link, "done")
    return addPassive(turn, link.peer)
  }
  Label.hear(turn, message.label)
}

/** The link with its round trip measured, if this is the answer to the last ping. */
const answered = (link: Link, seq: number, now: Machine.Instant): Link => {
  if (link.pingAt === null || seq !== link.pingSeq) return link
  const sample = Math.max(0, now - link.pingAt)
  // The smoothing of TCP's round-trip estimate (RFC 6298, §2): one eighth of the news.
  const rttMs = link.rttMs === null ? sample : link.rttMs + (sample - link.rttMs) / 8
  return { ...link, pingAt: null, rttMs }
}

/** Somebody looks for other components. It is alive, and what it knows is news. */
const onProbe = (turn: Turn, link: Link, sample: ReadonlyArray<Peer.Peer>): void => {
  if (link.role !== "idle") return count(turn, "strayFrames")
  send(turn, link.link, { _tag: "ProbeReply", label: labelOf(turn.state), sample: takeSample(turn, [link.peer.id]) })
  addPassive(turn, link.peer)
  absorb(turn, sample)
}

/**
 * Connections as a process sees TCP: what is sent arrives in order and without gaps, or the connection ends; and each
 * end learns of the end in its own time.
 *
 * A connection is two ends, and from each a pipe to the other: a queue of travelling packets of which the agenda holds
 * only the first. So order within a link needs no care, and a cut is a pipe that does not flow.
 */
import { type Machine, Rng } from "@starling/machine"
import * as Lateness from "../Weather.ts"
import type { Protocol, Weather } from "./model.ts"
import {
  between,
  type Content,
  type Core,
  draw,
  type End,
  enter,
  type Host,
  type Packet,
  type Run,
  tell
} from "./core.ts"

export const dial = <P extends Protocol>(core: Core<P>, run: Run<P>, attempt: number, address: string): void => {
  core.counters.dials++
  const target = core.byAddress.get(address)
  if (target === run.host) {
    const failure: Machine.OpenFailure = { _tag: "Rejected", code: "self", message: `${address} is this node itself` }
    return tell(core, run, { _tag: "LinkRefused", attempt, address, failure })
  }
  const latencyMs = target === undefined ? 0 : latencyOf(core, run.host, target)
  const near = makeEnd<P>(run.host, run, "dialing", attempt, address, latencyMs, weatherOf(core, run.host, target))
  run.dialing.add(near)
  enter(core, core.now + core.network.dialTimeoutMs, { _tag: "DialTimeout", end: near })
  // Nobody ever had this address: nothing answers.
  if (target === undefined) return
  const far = makeEnd<P>(target, undefined, "answering", attempt, address, latencyMs, weatherOf(core, target, run.host))
  near.other = far
  far.other = near
  transmit(core, near, { _tag: "Hello" })
}

export const send = <P extends Protocol>(
  core: Core<P>,
  run: Run<P>,
  link: Machine.LinkId,
  message: P["message"]
): void => {
  const end = run.links.get(link)
  const { network, counters } = core
  if (end === undefined || end.phase !== "open") {
    counters.dropped++
    return
  }
  if (end.travelling >= network.queueMax) {
    counters.overflows++
    goDown(end)
    transmit(core, end, { _tag: "Reset" })
    return tell(core, run, { _tag: "LinkDown", link, reason: { _tag: "Overflow" } })
  }
  const { duplicateShare, resetShare } = end.weather
  if (resetShare > 0 && draw(core) < resetShare) return tear(core, end)
  const carried = network.carry === undefined ? message : network.carry(message)
  if (carried === undefined) {
    counters.garbled++
    return
  }
  counters.frames++
  transmitFrame(core, end, carried)
  if (duplicateShare > 0 && draw(core) < duplicateShare) {
    counters.duplicated++
    transmitFrame(core, end, carried)
  }
}

/** Something that is no frame leaves on a link, in its place among the frames. */
export const sendRubbish = <P extends Protocol>(core: Core<P>, end: End<P>): void =>
  transmit(core, end, { _tag: "Rubbish" })

export const close = <P extends Protocol>(
  core: Core<P>,
  run: Run<P>,
  link: Machine.LinkId,
  reason: Machine.CloseReason
): void => {
  const end = run.links.get(link)
  if (end === undefined) return
  if (end.phase === "open") transmit(core, end, { _tag: "Goodbye", reason })
  goDown(end)
  tell(core, run, { _tag: "LinkDown", link, reason: { _tag: "Local", reason } })
}

/** A connection is torn somewhere on its way: both ends hear of a reset, each in its time. */
export const tear = <P extends Protocol>(core: Core<P>, end: End<P>): void => {
  core.counters.resets++
  end.phase = "broken"
  enter(core, core.now + between(core, [0, latencyMsOf(end)]), { _tag: "Broken", end })
  transmit(core, end, { _tag: "Reset" })
}

export const onBroken = <P extends Protocol>(core: Core<P>, end: End<P>): void => {
  if (end.phase === "broken") lose(core, end)
}

export const onDialTimeout = <P extends Protocol>(core: Core<P>, end: End<P>): void => {
  const { run } = end
  if (end.phase !== "dialing" || run === undefined) return
  end.phase = "down"
  run.dialing.delete(end)
  if (core.stalled.has(end)) discard(core, end)
  else if (end.other !== undefined) transmit(core, end, { _tag: "Reset" })
  refuse(core, end, run, { _tag: "Unreachable" })
}

/** The first packet of a pipe is due. */
export const onArrival = <P extends Protocol>(core: Core<P>, from: End<P>): void => {
  from.scheduled = false
  const packet = from.first
  const to = from.other
  if (packet === undefined || to === undefined) return
  if (from.mute || (core.cuts > 0 && from.host.blocked.has(to.host)) || isUnread(to)) {
    core.stalled.add(from)
    return
  }
  from.first = packet.next
  if (packet.next === undefined) from.last = undefined
  from.travelling--
  receive(core, to, from, packet)
  flow(core, from, 0)
}

/** A run ends. `reset`: its host closes what it had open. `silent`: the host is gone too, and says nothing. */
export const abandon = <P extends Protocol>(core: Core<P>, run: Run<P>, how: "reset" | "silent"): void => {
  for (const end of [...run.links.values(), ...run.dialing]) {
    end.phase = "down"
    if (how === "silent") {
      end.orphaned = true
      // What is under way arrives; what waits for a cut to heal waited in the memory of the host.
      if (core.stalled.has(end)) discard(core, end)
    } else if (end.other !== undefined) transmit(core, end, { _tag: "Reset" })
  }
  run.links.clear()
  run.dialing.clear()
}

/** A host is back: whoever still sends to its former run is told that nobody knows the connection. */
export const disown = <P extends Protocol>(core: Core<P>, host: Host<P>): void => {
  for (const end of host.unanswered) {
    if (end.phase === "open" && end.other !== undefined) transmit(core, end.other, { _tag: "Reset" }, resend(core))
  }
  host.unanswered.clear()
}

export const block = <P extends Protocol>(core: Core<P>, from: Host<P>, to: Host<P>): void => {
  if (from === to || from.blocked.has(to)) return
  from.blocked.add(to)
  core.cuts++
}

export const unblock = <P extends Protocol>(core: Core<P>, from: Host<P>, to: Host<P>): void => {
  if (!from.blocked.delete(to)) return
  core.cuts--
  for (const end of core.stalled) {
    if (end.host !== from || end.other?.host !== to) continue
    core.stalled.delete(end)
    flow(core, end, latencyMsOf(end) + resend(core))
  }
}

/** A process is not stopped any more, or is over: what waited to be read flows. */
export const readAgain = <P extends Protocol>(core: Core<P>, run: Run<P>): void => {
  for (const end of core.stalled) {
    if (end.other?.run !== run) continue
    core.stalled.delete(end)
    flow(core, end, 0)
  }
}

/** What is open or under way between two hosts follows a change of the weather. */
export const changeWeather = <P extends Protocol>(core: Core<P>, from: Host<P>, to: Host<P>): void => {
  const { run } = from
  if (run === undefined) return
  for (const ends of [run.links.values(), run.dialing]) {
    for (const end of ends) if (end.other?.host === to) end.weather = weatherOf(core, from, to)
  }
}

/** From now on nothing gets through a connection, and no end is told. */
export const silence = <P extends Protocol>(end: End<P>): void => {
  end.mute = true
  if (end.other !== undefined) end.other.mute = true
}

/** This end hears of a reset, and the other one of nothing, then or ever. */
export const forget = <P extends Protocol>(core: Core<P>, end: End<P>): void => {
  const { run } = end
  if (run === undefined || end.phase !== "open") return
  core.counters.resets++
  goDown(end)
  tell(core, run, { _tag: "LinkDown", link: end.link, reason: { _tag: "Reset" } })
}

/** Both ends hear of a reset: this one now, the other in its time. What is under way arrives before, or is lost. */
export const reset = <P extends Protocol>(core: Core<P>, end: End<P>, underWay: "arrives" | "lost"): void => {
  const { other, run } = end
  if (run === undefined || end.phase !== "open") return
  core.counters.resets++
  goDown(end)
  if (underWay === "lost" && other?.phase === "open") other.phase = "broken"
  transmit(core, end, { _tag: "Reset" })
  tell(core, run, { _tag: "LinkDown", link: end.link, reason: { _tag: "Reset" } })
}

const receive = <P extends Protocol>(core: Core<P>, to: End<P>, from: End<P>, content: Content<P>): void => {
  switch (content._tag) {
    case "Hello":
      return onHello(core, to, from)
    case "Welcome":
      return to.phase === "dialing" ? onWelcome(core, to, from) : answerOrphan(core, to)
    case "Refusal":
      if (to.phase !== "dialing" || to.run === undefined) return
      to.phase = "down"
      to.run.dialing.delete(to)
      return refuse(core, to, to.run, content.failure)
    case "Frame":
      if (to.phase === "open" && to.run !== undefined) {
        return core.dispatch(to.run, { _tag: "Received", link: to.link, message: content.message })
      }
      core.counters.dropped++
      return answerOrphan(core, to)
    case "Rubbish":
      // The shell ends such a link by itself, before any machine sees what came.
      if (to.phase === "open" && to.run !== undefined) {
        core.counters.violations++
        return close(core, to.run, to.link, "violation")
      }
      core.counters.dropped++
      return answerOrphan(core, to)
    case "Goodbye": {
      if (to.phase !== "open" || to.run === undefined) return
      goDown(to)
      const reason: Machine.DownReason = { _tag: "ClosedByPeer", reason: content.reason }
      return core.dispatch(to.run, { _tag: "LinkDown", link: to.link, reason })
    }
    case "Reset":
      if (to.phase === "open" || to.phase === "broken") return lose(core, to)
      if (to.phase !== "dialing" || to.run === undefined) return
      to.phase = "down"
      to.run.dialing.delete(to)
      return refuse(core, to, to.run, { _tag: "Refused" })
  }
}

const onHello = <P extends Protocol>(core: Core<P>, to: End<P>, from: End<P>): void => {
  const { run, silent } = to.host
  if (run === undefined) {
    if (!silent) transmit(core, to, { _tag: "Refusal", failure: { _tag: "Refused" } })
    return
  }
  if (from.run === undefined) return
  const refusal = core.network.admit?.(run.peer, from.run.peer)
  if (refusal !== undefined) {
    return transmit(core, to, { _tag: "Refusal", failure: { _tag: "Rejected", ...refusal } })
  }
  goUp(to, run)
  transmit(core, to, { _tag: "Welcome" })
  core.dispatch(run, { _tag: "LinkUp", link: to.link, peer: from.run.peer })
}

const onWelcome = <P extends Protocol>(core: Core<P>, to: End<P>, from: End<P>): void => {
  const { run } = to
  if (run === undefined || from.run === undefined) return
  run.dialing.delete(to)
  goUp(to, run)
  core.dispatch(run, { _tag: "LinkUp", link: to.link, peer: from.run.peer, attempt: to.attempt })
}

/** Something arrived for a run that died in silence. A host that is back resets; one that is not cannot. */
const answerOrphan = <P extends Protocol>(core: Core<P>, to: End<P>): void => {
  if (!to.orphaned) return
  if (to.host.silent && to.other !== undefined) to.host.unanswered.add(to.other)
  else transmit(core, to, { _tag: "Reset" })
}

const lose = <P extends Protocol>(core: Core<P>, end: End<P>): void => {
  goDown(end)
  if (end.run !== undefined) {
    core.dispatch(end.run, { _tag: "LinkDown", link: end.link, reason: { _tag: "Reset" } })
  }
}

const refuse = <P extends Protocol>(core: Core<P>, end: End<P>, run: Run<P>, failure: Machine.OpenFailure): void => {
  core.counters.dialsFailed++
  core.dispatch(run, { _tag: "LinkRefused", attempt: end.attempt, address: end.address, failure })
}

const goUp = <P extends Protocol>(end: End<P>, run: Run<P>): void => {
  end.run = run
  end.phase = "open"
  end.link = ++run.linksOpened
  run.links.set(end.link, end)
}

const goDown = <P extends Protocol>(end: End<P>): void => {
  end.phase = "down"
  end.run?.links.delete(end.link)
}

const transmit = <P extends Protocol>(core: Core<P>, from: End<P>, content: Content<P>, waitMs = 0): void =>
  put(core, from, { ...content, at: dueAt(core, from, waitMs), next: undefined })

/** Of frames there are millions: a literal of its own, since a spread takes far longer. */
const transmitFrame = <P extends Protocol>(core: Core<P>, from: End<P>, message: P["message"]): void =>
  put(core, from, { _tag: "Frame", message, at: dueAt(core, from, 0), next: undefined })

const dueAt = <P extends Protocol>(core: Core<P>, from: End<P>, waitMs: number): number => {
  const { delayMs, jitterMs, jitterTimes, lossShare, tailMs } = from.weather
  const latencyMs = latencyMsOf(from)
  let at = core.now + latencyMs + delayMs + waitMs + (jitterMs > 0 ? draw(core) * jitterMs : 0)
  if (jitterTimes > 1) at += latencyMs * draw(core) * (jitterTimes - 1)
  if (tailMs > 0) at += tailMs * Lateness.tail(draw(core))
  if (lossShare > 0)
    at += Lateness.lostMs(
      lossShare,
      () => draw(core),
      () => resend(core)
    )
  // Not before what is ahead of it. Where nothing is ahead, all that was has arrived.
  return from.last === undefined ? at : Math.max(at, from.last.at)
}

const put = <P extends Protocol>(core: Core<P>, from: End<P>, packet: Packet<P>): void => {
  if (from.last === undefined) from.first = packet
  else from.last.next = packet
  from.last = packet
  from.travelling++
  if (core.stalled.size === 0 || !core.stalled.has(from)) flow(core, from, 0)
}

/** Puts the arrival of the first packet on the agenda, not before `delayMs` from now. */
const flow = <P extends Protocol>(core: Core<P>, from: End<P>, delayMs: number): void => {
  const { first } = from
  if (from.scheduled || first === undefined) return
  from.scheduled = true
  enter(core, Math.max(first.at, core.now + delayMs), from)
}

const discard = <P extends Protocol>(core: Core<P>, end: End<P>): void => {
  core.stalled.delete(end)
  end.first = undefined
  end.last = undefined
  end.travelling = 0
}

/** The process at this end is stopped: it accepts connections, and reads nothing. */
const isUnread = <P extends Protocol>(to: End<P>): boolean => to.phase === "open" && to.run?.backlog !== undefined

const weatherOf = <P extends Protocol>(core: Core<P>, from: Host<P>, to: Host<P> | undefined): Weather =>
  (to === undefined ? undefined : from.weather.get(to)) ?? core.network

/** TCP waits longer and longer before it sends again what was not acknowledged. */
const resend = <P extends Protocol>(core: Core<P>): number => between(core, core.network.resendMs)

/** Of a millisecond. */
const latencyUnit = 1024

const latencyMsOf = <P extends Protocol>(end: End<P>): number => end.latency / latencyUnit

const latencyOf = <P extends Protocol>(core: Core<P>, from: Host<P>, to: Host<P>): number => {
  const { latencyMs } = core.network
  if (typeof latencyMs === "function") return Math.max(0, latencyMs(from.peerId, to.peerId))
  const [low, high] = from.id < to.id ? [from.id, to.id] : [to.id, from.id]
  const [unit] = Rng.nextFloat(Rng.make(`${core.seed}/latency/${low}/${high}`))
  return latencyMs[0] + unit * (latencyMs[1] - latencyMs[0])
}

const makeEnd = <P extends Protocol>(
  host: Host<P>,
  run: Run<P> | undefined,
  phase: "dialing" | "answering",
  attempt: number,
  address: string,
  latencyMs: number,
  weather: Weather
): End<P> => ({
  _tag: "Arrival",
  phase,
  link: 0,
  run,
  host,
  other: undefined,
  first: undefined,
  last: undefined,
  travelling: 0,
  scheduled: false,
  mute: false,
  weather,
  latency: Math.round(latencyMs * latencyUnit),
  orphaned: false,
  attempt,
  address
})

/**
 * HyParView's shuffler: keeps the passive view fresh by trading random samples with random nodes.
 *
 * Every period a node sends a list (itself, some neighbours, some passive peers) on a random walk over the active links.
 * The node at the end keeps what is new to it and answers the origin with as many of its own passive peers. (HyParView,
 * TR DI-FCUL 07-13, §4.5.) Because nodes put themselves and their live neighbours into the lists, the living stay in
 * passive views and the dead fade out.
 *
 * The answer goes to the origin, never to the last hop: over the neighbour link if the origin is a neighbour, else over a
 * temporary link that this machine opens and closes. It counts only if it names a shuffle that is under way.
 *
 * The shell delivers the numbered views of the view manager; frames of a link that they do not name yet wait in a gate.
 *
 * @since 0.1.0
 */
import { Codec, LinkGate, type Machine, Peer, Rng } from "@starling/machine"

/**
 * `Views` is the view manager's snapshot. `Started` arms the timer; once more, it re-arms it.
 *
 * @since 0.1.0
 * @category models
 */
export type Event =
  | Machine.ShellEvent<Message, Timer>
  | { readonly _tag: "Started" }
  | {
      readonly _tag: "Views"
      readonly version: number
      readonly active: ReadonlyArray<Machine.Neighbor>
      readonly passive: ReadonlyArray<Peer.Peer>
    }

/**
 * To the view manager: peers heard of, and those told in exchange, which may be forgotten first.
 *
 * @since 0.1.0
 * @category models
 */
export interface Output {
  readonly _tag: "Integrate"
  readonly received: ReadonlyArray<Peer.Peer>
  readonly sent: ReadonlyArray<Peer.Peer>
}

/** `id` is random: an answer to a shuffle that nobody sent is not believed. @since 0.1.0 @category models */
export type Message =
  | {
      readonly _tag: "Shuffle"
      readonly id: number
      readonly origin: Peer.Peer
      readonly list: ReadonlyArray<Peer.Peer>
      readonly ttl: number
    }
  | { readonly _tag: "ShuffleReply"; readonly id: number; readonly list: ReadonlyArray<Peer.Peer> }

/** Numbered: one of an earlier round changes nothing. @since 0.1.0 @category models */
export interface Timer {
  readonly _tag: "Round"
  readonly round: number
}

/** @since 0.1.0 @category models */
export type Action = Machine.Action<Message, Timer, Output>

/** @since 0.1.0 @category models */
export interface Settings {
  /** Period, jittered by a quarter. Our choice; the paper counts cycles only. */
  readonly intervalMs: number
  /** First period, doubled until `intervalMs`. Our choice: a newcomer knows hardly anybody. */
  readonly firstMs: number
  /** Hops of a walk. The paper gives none; iroh-gossip and hashicorp/hyparview use 6. */
  readonly ttl: number
  /** Neighbours in a list. Paper, §5.1: 3. */
  readonly ka: number
  /** Passive peers in a list. Paper, §5.1: 4. */
  readonly kp: number
  /** Shuffles that may wait for an answer. Our choice. */
  readonly inFlightMax: number
  /** Answers that may wait for their temporary link. Our choice. */
  readonly repliesMax: number
  /** How long an answer, or a temporary link, is waited for. Our choice. */
  readonly replyMs: number
}

/** @since 0.1.0 @category models */
export interface Config extends Settings {
  readonly self: Peer.Peer
}

/** @since 0.1.0 @category models */
export interface State {
  readonly config: Config
  readonly rng: Rng.Rng
  readonly gate: LinkGate.LinkGate<Message>
  readonly passive: ReadonlyArray<Peer.Peer>
  readonly timer: { readonly round: number; readonly due: Machine.Instant; readonly armed: boolean }
  readonly inFlight: ReadonlyArray<{
    readonly id: number
    readonly sent: ReadonlyArray<Peer.Peer>
    readonly at: Machine.Instant
  }>
  readonly replies: ReadonlyArray<{
    readonly attempt: number
    readonly origin: Peer.Peer
    readonly message: Message
    readonly at: Machine.Instant
  }>
  readonly lastAttempt: number
  /** This state was rebuilt: its numbers stay clear of its predecessor's, even within one millisecond. */
  readonly rebuilt: boolean
  readonly counters: Counters
}

/** @since 0.1.0 @category models */
export interface Counters {
  readonly started: number
  readonly answered: number
  readonly forwarded: number
  readonly accepted: number
  /** Answers to a shuffle that is not under way. */
  readonly unexpected: number
  /** Answers not sent, because `repliesMax` were waiting, or the origin could not be reached, or not in time. */
  readonly repliesDropped: number
  readonly expired: number
}

/** Provenance stands with each field of `Settings`. @since 0.1.0 */
export const defaults: Settings = {
  intervalMs: 10_000,
  firstMs: 1000,
  ttl: 6,
  ka: 3,
  kp: 4,
  inFlightMax: 8,
  repliesMax: 8,
  replyMs: 5000
}

/**
 * @since 0.1.0
 * @category constructors
 */
export const make = (config: Config, rng: Rng.Rng): State => ({
  config,
  rng,
  gate: LinkGate.empty,
  passive: [],
  timer: { round: 0, due: 0, armed: false },
  inFlight: [],
  replies: [],
  lastAttempt: 0,
  rebuilt: false,
  counters: { started: 0, answered: 0, forwarded: 0, accepted: 0, unexpected: 0, repliesDropped: 0, expired: 0 }
})

/** Nothing of a shuffle is worth keeping. @since 0.1.0 @category constructors */
export const rebuild = (config: Config, rng: Rng.Rng): State => ({ ...make(config, rng), rebuilt: true })

/**
 * @since 0.1.0
 * @category running
 */
export const step = (state: State, input: Machine.Input<Event>): Machine.Step<State, Action> => {
  const turn: Turn = { now: input.now, state: { ...state }, actions: [] }
  const { armed, due } = state.timer
  // Any event starts the clockwork, and starts it again if the timer was lost with a step that crashed.
  if (!armed || turn.now - due > state.config.intervalMs || input.event._tag === "Started") arm(turn)
  handle(turn, input.event)
  return [turn.state, turn.actions]
}

/** Names of the safety invariants that this state breaks; empty if it is sound. @since 0.1.0 */
export const invariants = (state: State): ReadonlyArray<string> => {
  const { config, gate, inFlight, replies } = state
  const broken: Array<string> = []
  if (inFlight.length > config.inFlightMax) broken.push("shuffles under way are within their bound")
  if (replies.length > config.repliesMax) broken.push("answers under way are within their bound")
  if (gate.held.length > LinkGate.heldMax) broken.push("frames that wait are within their bound")
  if (inFlight.some((entry) => entry.sent.length > 1 + config.ka + config.kp))
    broken.push("a list has at most 1 + ka + kp peers")
  if (inFlight.some((entry) => new Set(entry.sent.map((peer) => peer.id)).size < entry.sent.length))
    broken.push("a list names a node once")
  return broken
}

// --- codec -----------------------------------------------------------------------------------------------------------

const listMax = 64
const ttlMax = 64
const idMax = 0xffffffff

/** @since 0.1.0 @category codec */
export const encode = (message: Message): ReadonlyArray<unknown> => {
  switch (message._tag) {
    case "Shuffle":
      return [0, message.id, Peer.encode(message.origin), message.list.map(Peer.encode), message.ttl]
    case "ShuffleReply":
      return [1, message.id, message.list.map(Peer.encode)]
  }
}

/** @since 0.1.0 @category codec */
export const decode: Codec.Decoder<Message> = (input) => {
  const fields = Codec.tuple(input, 1, "shuffle message")
  if (!fields.ok) return fields
  const [kind, id, a, b, c] = fields.value
  if (kind !== 0 && kind !== 1)
    return Codec.refuse(`unknown kind of shuffle message${Codec.isCount(kind) ? ` ${kind}` : ""}`)
  if (!Codec.isCount(id, idMax)) return Codec.refuse("shuffle: id is not a 32-bit count")
  const list = Codec.list(kind === 0 ? b : a, Peer.decode, listMax, "shuffle: list")
  if (!list.ok) return list
  if (kind === 1) return Codec.accept({ _tag: "ShuffleReply", id, list: list.value })
  const origin = Peer.decode(a)
  if (!origin.ok) return origin
  if (!Codec.isCount(c, ttlMax)) return Codec.refuse(`shuffle: ttl is not a count of at most ${ttlMax}`)
  return Codec.accept({ _tag: "Shuffle", id, origin: origin.value, list: list.value, ttl: c })
}

// --- steps -----------------------------------------------------------------------------------------------------------

interface Turn {
  readonly now: Machine.Instant
  /** A copy of the state, made for this step: its fields are replaced, what they hold is never changed. */
  readonly state: { -readonly [Key in keyof State]: State[Key] }
  readonly actions: Array<Action>
}

const handle = (turn: Turn, event: Event): void => {
  switch (event._tag) {
    case "Started":
    case "Written":
      return
    case "Views":
      return onViews(turn, event)
    case "LinkUp":
      return onLinkUp(turn, event.link, event.peer, event.attempt)
    case "LinkDown":
      turn.state.gate = LinkGate.close(turn.state.gate, event.link)
      return
    case "LinkRefused":
      return onLinkRefused(turn, event.attempt)
    case "Received":
      return onReceived(turn, event.link, event.message)
    case "TimerFired":
      return onRound(turn, event.timer.round)
  }
}

const arm = (turn: Turn): void => {
  const { config, counters, timer } = turn.state
  const mean = Math.min(config.intervalMs, config.firstMs * 2 ** Math.min(counters.started, 16))
  const [delayMs, rng] = Rng.jitter(turn.state.rng, mean, 0.25)
  const round = timer.round + 1
  turn.state.rng = rng
  turn.state.timer = { round, due: turn.now + delayMs, armed: true }
  turn.actions.push({ _tag: "SetTimer", delayMs, timer: { _tag: "Round", round } })
}

const onViews = (turn: Turn, event: Extract<Event, { readonly _tag: "Views" }>): void => {
  const change = LinkGate.accept(turn.state.gate, event.version, event.active)
  if (change === undefined) return
  turn.state.gate = change.gate
  turn.state.passive = event.passive
  for (const frame of change.released) onReceived(turn, frame.link, frame.message)
}

/** Paper, §4.5: itself, ka neighbours, kp passive peers, to a random neighbour. */
const onRound = (turn: Turn, round: number): void => {
  const { config, gate, passive, timer } = turn.state
  if (round !== timer.round) return
  expire(turn)
  const [target, afterTarget] = Rng.pick(turn.state.rng, gate.neighbors)
  if (target !== undefined && turn.state.inFlight.length < config.inFlightMax) {
    const others = gate.neighbors.filter((neighbor) => neighbor !== target).map((neighbor) => neighbor.peer)
    const [near, afterNear] = Rng.sample(afterTarget, others, config.ka)
    const [far, afterFar] = Rng.sample(afterNear, passive, config.kp)
    const [id, rng] = Rng.next(afterFar)
    const list = [config.self, ...near, ...far]
    turn.state.rng = rng
    turn.state.inFlight = [...turn.state.inFlight, { id, sent: list, at: turn.now }]
    count(turn, "started")
    send(turn, target.link, { _tag: "Shuffle", id, origin: config.self, list, ttl: config.ttl })
  }
  arm(turn)
}

const expire = (turn: Turn): void => {
  const { config, inFlight, replies } = turn.state
  const isLive = (entry: { readonly at: Machine.Instant }) => turn.now - entry.at < config.replyMs
  const late = inFlight.filter((entry) => !isLive(entry)).length
  const unsent = replies.filter((entry) => !isLive(entry)).length
  if (late + unsent === 0) return
  turn.state.inFlight = inFlight.filter(isLive)
  turn.state.replies = replies.filter(isLive)
  count(turn, "expired", late)
  count(turn, "repliesDropped", unsent)
}

const onReceived = (turn: Turn, link: Machine.LinkId, message: Message): void => {
  if (message._tag === "ShuffleReply") return onReply(turn, message.id, message.list)
  const { gate } = turn.state
  const sender = LinkGate.neighborOf(gate, link)
  if (sender === undefined) turn.state.gate = LinkGate.hold(gate, link, message)
  else onShuffle(turn, sender, message)
}

/** A walk goes on while it may and there is somewhere to go; otherwise it ends here, and is never dropped. */
const onShuffle = (
  turn: Turn,
  sender: Machine.Neighbor,
  message: Extract<Message, { readonly _tag: "Shuffle" }>
): void => {
  const { config, gate } = turn.state
  const { origin } = message
  if (origin.id === config.self.id) return
  const ttl = Math.min(message.ttl, config.ttl) - 1
  const hops = gate.neighbors.filter((neighbor) => neighbor.link !== sender.link && neighbor.peer.id !== origin.id)
  if (ttl > 0 && hops.length > 0) {
    const [next, rng] = Rng.pick(turn.state.rng, hops)
    turn.state.rng = rng
    if (next !== undefined) send(turn, next.link, { ...message, ttl })
    return count(turn, "forwarded")
  }
  count(turn, "accepted")
  const mine = turn.state.passive.filter((peer) => peer.id !== origin.id)
  const [list, rng] = Rng.sample(turn.state.rng, mine, message.list.length)
  turn.state.rng = rng
  integrate(turn, message.list, list)
  if (list.length > 0) reply(turn, origin, { _tag: "ShuffleReply", id: message.id, list })
}

const reply = (turn: Turn, origin: Peer.Peer, message: Message): void => {
  const { config, gate, lastAttempt, replies } = turn.state
  const neighbor = gate.neighbors.find((other) => Peer.same(other.peer, origin))
  if (neighbor !== undefined) return send(turn, neighbor.link, message)
  if (replies.length >= config.repliesMax) return count(turn, "repliesDropped")
  // Derived from the time, a rebuilt state's in a range of its own, so that none of its predecessor's is used again.
  const attempt = Math.max(lastAttempt + 1, Math.floor(turn.now) * 1024 + (turn.state.rebuilt ? 512 : 0))
  turn.state.lastAttempt = attempt
  turn.state.replies = [...replies, { attempt, origin, message, at: turn.now }]
  turn.actions.push({ _tag: "Open", attempt, address: origin.address })
}

const onLinkUp = (turn: Turn, link: Machine.LinkId, peer: Peer.Peer, attempt: number | undefined): void => {
  if (attempt === undefined) return
  const { replies } = turn.state
  const waiting = replies.find((entry) => entry.attempt === attempt)
  turn.state.replies = replies.filter((entry) => entry !== waiting)
  if (waiting !== undefined && Peer.same(waiting.origin, peer)) send(turn, link, waiting.message)
  else if (waiting !== undefined) count(turn, "repliesDropped")
  turn.actions.push({ _tag: "Close", link, reason: "done" })
}

const onLinkRefused = (turn: Turn, attempt: number): void => {
  const { replies } = turn.state
  if (!replies.some((entry) => entry.attempt === attempt)) return
  turn.state.replies = replies.filter((entry) => entry.attempt !== attempt)
  count(turn, "repliesDropped")
}

const onReply = (turn: Turn, id: number, list: ReadonlyArray<Peer.Peer>): void => {
  const { inFlight } = turn.state
  const shuffle = inFlight.find((entry) => entry.id === id)
  if (shuffle === undefined) return count(turn, "unexpected")
  turn.state.inFlight = inFlight.filter((entry) => entry !== shuffle)
  count(turn, "answered")
  integrate(turn, list, shuffle.sent)
}

const integrate = (turn: Turn, received: ReadonlyArray<Peer.Peer>, sent: ReadonlyArray<Peer.Peer>): void => {
  turn.actions.push({ _tag: "Emit", output: { _tag: "Integrate", received, sent } })
}

const send = (turn: Turn, link: Machine.LinkId, message: Message): void => {
  turn.actions.push({ _tag: "Send", link, message })
}

const count = (turn: Turn, key: keyof Counters, by: number = 1): void => {
  // A literal with a computed key takes several times as long.
  const counters: { -readonly [what in keyof Counters]: number } = { ...turn.state.counters }
  counters[key] += by
  turn.state.counters = counters
}

/**
 * Plumtree's eager part: one spanning tree for each root, pruned out of the overlay by the broadcasts themselves.
 *
 * A broadcast is pushed whole to the **eager** neighbours and only announced to the **lazy** ones. Whoever gets a second
 * copy asks the sender to be lazy (`Prune`); whoever lacks an announced broadcast asks for it and makes that link eager
 * again (`Graft`). What is left after the first broadcasts is a tree, with the lazy links in reserve. (Leitão, Pereira,
 * Rodrigues: "Epidemic broadcast trees", SRDS 2007, TR DI-FCUL 07-14, section 3.) Announcements, missing broadcasts and the
 * decision to graft are `LazyPushRepair`; this machine numbers, pushes, delivers, prunes, and answers grafts.
 *
 * Deviations, with reasons in `docs/protocols/plumtree.md`:
 *
 * - Every root has a tree of its own (the paper's §3.7), since a shared one falls apart under concurrent senders
 *   (riak_core #378). There is a place for `rootsMax` roots; what further ones send travels **along** the tree of one that
 *   has a place, in whatever direction.
 * - The **parent** is kept: the neighbour that gave a root's first broadcast stays the parent until its link goes down,
 *   it prunes us, or another link is grafted. Of two copies the one that did not come from the parent is pruned, and
 *   nothing is pushed to the parent. So broadcasts in flight at the same time cannot prune each other's paths.
 * - A neighbour through which a broadcast would have taken fewer hops and no more time becomes the parent (§3.8).
 * - The nodes of one data centre agree on few **entries**: nodes whose parent is in another one.
 * - Both ends agree: whoever changes its own set tells the other end (`Prune`, `Graft`, `Adopt`).
 * - Broadcasts are told apart by (origin, incarnation, sequence) and remembered as intervals, of so many origins, so each is
 *   delivered once.
 * - A node that is asked for a payload it no longer has says so (`GraftMiss`).
 *
 * Frames of a link that is not a neighbour's wait until it is one (`LinkGate`), and never change a set.
 *
 * @since 0.1.0
 */
import { Codec, LinkGate, type Machine, type NodeId, Rng, SeqSet } from "@starling/machine"
import * as HashMap from "effect/HashMap"
import * as HashSet from "effect/HashSet"
import * as Alarm from "./internal/treeAlarm.ts"
import * as Cache from "./internal/treeCache.ts"
import * as Wire from "./internal/treeCodec.ts"
import * as InOrder from "./internal/treeInOrder.ts"
import * as Invariants from "./internal/treeInvariants.ts"
import * as Model from "./internal/treeModel.ts"
import * as Order from "./internal/treeOrder.ts"
import * as Origins from "./internal/treeOrigins.ts"
import * as Queue from "./internal/treeQueue.ts"
import * as Roots from "./internal/treeRoots.ts"
import * as Shape from "./internal/treeShape.ts"
import { count, emit, isNeighbor, push, send, setTree, type Turn, treeOf, write } from "./internal/treeTurn.ts"
import * as Win from "./internal/treeWindows.ts"
import type * as LazyPushRepair from "./LazyPushRepair.ts"
import * as MessageId from "./MessageId.ts"

/**
 * What happens to the tree.
 *
 * - `Started`: at the beginning, and again when the machine goes on after a crash.
 * - `Neighbors`: the neighbours that count; one that is not newer than the last changes nothing.
 * - `Broadcast`: send `payload` to every member; `ordered`: handed out everywhere after the ordered one before it. Answered
 *   by `Accepted` or `Rejected` with the same token.
 * - `Graft`: ask this neighbour for these broadcasts, if they are still unseen.
 * - `Leave`: this node is about to go. What was delivered is stored at once, so that its next run is not given it again.
 * - `Recount`: repair may have lost word of a broadcast. Answered by `Known`.
 * - `Shorter`: by its announcement, through this neighbour the broadcast would have taken `round` hops, and would have been
 *   here at `since`.
 * - `Shed`: instead of sending this broadcast on this link, where too much waits, the shell dropped it.
 *
 * @since 0.1.0
 * @category models
 */
export type Event =
  | Machine.ShellEvent<Message, Timer>
  | { readonly _tag: "Started" }
  | { readonly _tag: "Neighbors"; readonly version: number; readonly neighbors: ReadonlyArray<Machine.Neighbor> }
  | {
      readonly _tag: "Broadcast"
      readonly token: number
      readonly topic: number
      readonly payload: unknown
      readonly ordered?: boolean
    }
  | { readonly _tag: "Leave" }
  | { readonly _tag: "Recount" }
  | LazyPushRepair.Output
  | { readonly _tag: "Shed"; readonly link: Machine.LinkId; readonly id: MessageId.MessageId }

/** @since 0.1.0 @category models */
export type Action = Model.Action

/**
 * - `Gossip`: a broadcast, whole; `round` counts the hops it took, and stays at 65,535. `along`: the root along whose tree
 *   it travels, if not its origin's. `entry`: the node through which it came into the sender's data centre. `mended`: on its
 *   way somebody had to ask for it. `after`: the number of the broadcast of its origin that it comes after. `loose`: on its way
 *   somebody had it from another than its parent, so that its hops are not those of the tree.
 * - `Prune`: be lazy towards me in this root's tree; `unlessParent`: if I am not your parent, prune me.
 * - `Graft`: be eager towards me in the trees of these broadcasts, and send them.
 * - `GraftMiss`: I do not have these (any more); ask somebody else.
 * - `Adopt`: be eager towards me in this root's tree (the paper's GRAFT without an id).
 * - `Entry`: the way of this broadcast to me now leads through that entry of our data centre.
 *
 * @since 0.1.0
 * @category models
 */
export type Message = Model.Message

/** Time to store changed windows and to drop old payloads. One of another number is stale. @since 0.1.0 @category models */
export type Timer = Model.Timer

/**
 * Why a broadcast was not taken. `busy`: too many wait for the store; try again. `too-large`: over `payloadBytesMax`.
 * `bad-topic`: not a whole number in 0..255.
 *
 * @since 0.1.0
 * @category models
 */
export type Rejection = Model.Rejection

/**
 * What the application and the other components hear.
 *
 * - `Accepted`: the broadcast has its number, the number is durable, and the first copies are on their way.
 * - `Rejected`: nothing happened.
 * - `Delivered`: once for every broadcast, this node's own among them (round 0).
 *
 * For lazy-push repair, in order:
 *
 * - `Seen`: this broadcast has arrived after `round` hops (`link` gave it; `mended` as above), or is this node's own (`link`
 *   null).
 * - `Known`: what is seen, and of which the payload is cached: none if this machine was made anew; or repair may have lost
 *   word of some.
 * - `Late`: the tree brought a broadcast that had been asked for: waiting longer would have done.
 * - `Announce`: tell these neighbours of it.
 * - `Forgotten`: these payloads have left the cache; grafts of them cannot be answered.
 * - `Missed`: this neighbour, asked for these, does not have them.
 *
 * @since 0.1.0
 * @category models
 */
export type Output = Model.Output

/** @since 0.1.0 @category models */
export type Settings = Model.Settings

/** @since 0.1.0 @category models */
export type Config = Model.Config

/** Provenance stands with each field of `Settings`. @since 0.1.0 */
export const defaults: Settings = Model.defaults

/** Hops counted; more stay at this (our choice: 16 bits). @since 0.1.0 */
export const roundMax = Model.roundMax

/** Ids in one `Graft` or `GraftMiss` as sent (n0-computer/iroh-gossip #135 proposes the same). @since 0.1.0 */
export const graftIdsMax = 100

/**
 * By origin, the intervals of sequence numbers delivered of its two newest incarnations, newest first.
 *
 * @since 0.1.0
 * @category models
 */
export type Windows = Win.Windows

/** Every table with its rows, by key, as the store holds them. @since 0.1.0 @category models */
export type Stored = Win.Stored

/**
 * How often something happened. `rootsEvicted`, `rootsRefused`, `cacheCrowded`, `gapsClosed`, `originsForgotten`, `originsRefused`,
 * `graftsShed`, `payloadsShed` and `rejected` count bounds that were reached; `shared` own broadcasts that travelled along another root's
 * tree; `optimized` parents taken for fewer hops; `orderGivenUp` broadcasts handed out without the one before them; `entriesLeft` how often this node ceased to be an entry; `impostors`
 * broadcasts under this node's name that it never sent; `storedRefused` rows of the store that could not be read, or not whole.
 *
 * @since 0.1.0
 * @category models
 */
export type Counters = Model.Counters

/** @since 0.1.0 @category models */
export type State = Model.State

/**
 * A tree without neighbours. `stored` gives the delivered windows and, within the same incarnation, the last sequence.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (config: Config, stored: Stored, rng: Rng.Rng): State => rebuild(config, stored, Win.empty, rng)

/**
 * A tree that trusts nothing of the former state: every neighbour it hears of is eager, its sequence goes on from the
 * store, and nothing is delivered again that the store or `delivered` knows: of `originsMax` origins, those of the store
 * first; of the others, what still travels is new. What only `delivered` knows is written like what comes new: `flushMs`
 * after the first step, or when the node leaves. Payloads and broadcasts that waited for the store are gone; the latter
 * were never acknowledged.
 *
 * @since 0.1.0
 * @category constructors
 */
export const rebuild = (config: Config, stored: Stored, delivered: Windows, rng: Rng.Rng): State => {
  const restored = Win.restore(stored, config.self)
  const { id, incarnation } = config.self
  const known = Win.mergeWithin(Win.empty, restored.windows, config.originsMax, id)
  const windows = Win.mergeWithin(known, delivered, config.originsMax, id)
  const durable = restored.sequence?.[0] === incarnation ? restored.sequence[1] : 0
  const own = Win.of(delivered, id).find(([run]) => run === incarnation)?.[1] ?? SeqSet.empty
  const { ordered } = restored
  const isOrderKnown = ordered === 0 || (ordered !== undefined && SeqSet.has(own, ordered))
  // Tokens of another state may still be answered: a random range of its own tells them apart.
  const [range] = Rng.nextInt(rng, 2 ** 20)
  const first = range * 2 ** 32
  return {
    config,
    gate: LinkGate.empty,
    sequence: Math.max(durable, SeqSet.max(own)),
    // The last may have waited for the store: it never left, and nobody must wait for it. The last of all that left takes its place.
    ordered: isOrderKnown ? ordered : SeqSet.max(own),
    order: Order.empty,
    isKnown: false,
    tokens: [first, first],
    pending: Queue.empty,
    windows,
    // The former state may have crashed before it wrote them. A node's own windows follow from its sequence.
    changed: HashSet.remove(Win.differing(known, windows, HashMap.keys(delivered)), id),
    roots: Roots.empty,
    cache: Cache.empty,
    tick: Alarm.off,
    counters: { ...Model.zero, storedRefused: restored.refused }
  }
}

/**
 * The links that are eager in a root's tree: every neighbour that is not lazy.
 *
 * @since 0.1.0
 */
export const eager = (state: State, root: NodeId.NodeId): ReadonlyArray<Machine.LinkId> => {
  const tree = Roots.get(state.roots, root)
  return state.gate.neighbors.map(({ link }) => link).filter((link) => !Roots.isLazy(tree, link))
}

/** The links that are lazy in a root's tree. @since 0.1.0 */
export const lazy = (state: State, root: NodeId.NodeId): ReadonlyArray<Machine.LinkId> =>
  Roots.get(state.roots, root).lazy

/** The link that serves this node in a root's tree, or null. @since 0.1.0 */
export const parent = (state: State, root: NodeId.NodeId): Machine.LinkId | null => Roots.get(state.roots, root).parent

/** Roots with a tree of their own here. @since 0.1.0 */
export const rootsOf = (state: State): ReadonlyArray<NodeId.NodeId> => [...HashMap.keys(state.roots)]

/** Delivered, or too old to be told from delivered. @since 0.1.0 */
export const hasSeen = (state: State, id: MessageId.MessageId): boolean => Win.has(state.windows, id)

/**
 * @since 0.1.0
 * @category running
 */
export const step = (state: State, { event, now }: Machine.Input<Event>): Machine.Step<State, Action> => {
  const turn: Turn = { state, now, actions: [], counters: undefined }
  switch (event._tag) {
    case "Received":
      if (LinkGate.neighborOf(state.gate, event.link) === undefined) {
        turn.state = { ...state, gate: LinkGate.hold(state.gate, event.link, event.message) }
      } else onMessage(turn, event.link, event.message)
      break
    case "Neighbors":
      onNeighbors(turn, event.version, event.neighbors)
      break
    case "LinkDown":
      turn.state = withGate(state, LinkGate.close(state.gate, event.link))
      break
    case "Broadcast":
      onBroadcast(turn, event)
      break
    case "Written":
      onWritten(turn, event.token)
      break
    case "Graft":
      onGraftWanted(turn, event.link, event.ids)
      break
    case "Shorter":
      Shape.shorten(turn, event)
      break
    case "Shed":
      onShed(turn, event.link, event.id)
      break
    case "TimerFired":
      if (Alarm.isCurrent(state.tick, event.timer.number)) onTick(turn)
      break
    case "Leave":
      writeWindows(turn)
      break
    case "Started":
      onStarted(turn)
      break
    case "Recount":
      tellKnown(turn)
      break
    case "LinkUp":
    case "LinkRefused":
      break
  }
  settle(turn)
  return [turn.counters === undefined ? turn.state : { ...turn.state, counters: turn.counters }, turn.actions]
}

/** @since 0.1.0 @category codec */
export const encode: (message: Message) => ReadonlyArray<unknown> = Wire.encode

/** @since 0.1.0 @category codec */
export const decode: Codec.Decoder<Message> = Wire.decode

/**
 * What must hold after every step; the names of what does not.
 *
 * @since 0.1.0
 */
export const invariants: (state: State) => ReadonlyArray<string> = Invariants.broken

// ---------------------------------------------------------------------------------------------------------------------
// Steps
// ---------------------------------------------------------------------------------------------------------------------

/** A state that was made anew knows only what was handed out: repair must ask for the rest again, and advertise nothing. */
const onStarted = (turn: Turn): void => {
  if (turn.state.isKnown) return
  turn.state = { ...turn.state, isKnown: true }
  tellKnown(turn)
}

const tellKnown = (turn: Turn): void => {
  const { cache, windows } = turn.state
  emit(turn, { _tag: "Known", windows, held: Cache.ids(cache) })
}

const onMessage = (turn: Turn, link: Machine.LinkId, message: Message): void => {
  switch (message._tag) {
    case "Gossip":
      return onGossip(turn, link, message)
    case "Prune":
      return Shape.onPrune(turn, link, message)
    case "Graft":
      return onGraft(turn, link, message.ids)
    case "GraftMiss":
      count(turn, "missesReceived", message.ids.length)
      return emit(turn, { _tag: "Missed", link, ids: message.ids })
    case "Adopt":
      count(turn, "adoptsReceived")
      return Shape.serve(turn, link, message.root, undefined)
    case "Entry":
      return Shape.onEntry(turn, link, message)
  }
}

const onGossip = (turn: Turn, link: Machine.LinkId, message: Model.Gossip): void => {
  const { id } = message
  const { config, windows } = turn.state
  count(turn, "payloadsReceived")
  if (Win.has(windows, id)) return Shape.onDuplicate(turn, link, message)
  // What this run has sent it has seen. A number that waits for the store has not left yet.
  if (id.origin === config.self.id && id.incarnation >= config.self.incarnation) return count(turn, "impostors")
  if (!Origins.admit(turn, id.origin)) return count(turn, "originsRefused")
  const along = message.along ?? id.origin
  const isSettled = treeOf(turn, along).parent === link && message.loose !== true
  Shape.onGiver(turn, link, id, along)
  onNew(turn, link, message, isSettled)
}

/** Delivers, remembers, and hands on: to the eager neighbours whole, to all others as an announcement. */
const onNew = (turn: Turn, from: Machine.LinkId | null, message: Model.Gossip, isSettled: boolean): void => {
  const { after, id, payload, topic } = message
  const { cache, changed, config, gate, windows } = turn.state
  const along = message.along ?? id.origin
  const entry = Shape.entryOf(turn, from, message)
  const mended = message.mended === true
  const round = Math.min(message.round, roundMax)
  const [seen, closed] = Win.add(windows, id)
  const bytes = Codec.sizeOf(payload)
  turn.state = {
    ...turn.state,
    windows: seen,
    // A node's own windows follow from its sequence.
    changed: id.origin === config.self.id ? changed : HashSet.add(changed, id.origin),
    cache: Cache.put(cache, {
      id,
      round,
      topic,
      payload,
      bytes,
      at: turn.now,
      from,
      along,
      isSettled,
      entry,
      mended,
      after,
      moved: []
    })
  }
  count(turn, "delivered")
  if (closed > 0) count(turn, "gapsClosed", closed)
  InOrder.offer(turn, windows, after, { id, round, topic, payload, bytes, since: turn.now })
  emit(turn, { _tag: "Seen", id, link: from, round, mended })
  const tree = treeOf(turn, along)
  setTree(turn, along, along === id.origin ? Roots.used(tree, turn.now) : tree)
  if (!HashMap.has(turn.state.roots, along)) count(turn, "rootsRefused")
  const next = onward({ id, round, topic, payload, along, isSettled, entry, mended, after })
  const sender = from === null ? undefined : LinkGate.neighborOf(gate, from)?.peer.id
  const announced: Array<Machine.LinkId> = []
  for (const { link, peer } of gate.neighbors) {
    if (link === from || peer.id === sender) continue
    // The root's own broadcasts come from the parent's side, those of others from anywhere.
    const isServed = !Roots.isLazy(tree, link) && (link !== tree.parent || along !== id.origin)
    if (isServed) push(turn, link, next)
    else announced.push(link)
  }
  if (announced.length > 0) announce(turn, { id, isSettled, round }, announced)
}

/** With the hops of the tree: by a way that is about to be pruned nobody should find a shorter one. */
const announce = (
  turn: Turn,
  { id, isSettled, round }: Pick<Cache.Entry, "id" | "isSettled" | "round">,
  links: ReadonlyArray<Machine.LinkId>
): void => emit(turn, { _tag: "Announce", id, round: isSettled ? Math.min(round + 1, roundMax) : roundMax, links })

/** What a neighbour is sent of a broadcast: one more hop, and no field that says nothing. */
const onward = ({
  after,
  along,
  entry,
  id,
  isSettled,
  mended,
  payload,
  round,
  topic
}: Omit<Cache.Entry, "at" | "bytes" | "from" | "moved">): Model.Gossip => ({
  _tag: "Gossip",
  id,
  round: Math.min(round + 1, roundMax),
  topic,
  payload,
  ...(along !== id.origin && { along }),
  ...(entry !== undefined && { entry }),
  ...(mended && { mended }),
  ...(after !== undefined && { after }),
  ...(!isSettled && along === id.origin && { loose: true })
})

/** A neighbour lacks these: it is served from now on, and gets what is cached. */
const onGraft = (turn: Turn, link: Machine.LinkId, ids: ReadonlyArray<MessageId.MessageId>): void => {
  const missed: Array<MessageId.MessageId> = []
  const answered = new Set<string>()
  let bytes = 0
  for (const id of ids) {
    const key = MessageId.toText(id)
    if (answered.has(key)) continue
    answered.add(key)
    count(turn, "graftsReceived")
    const entry = Cache.get(turn.state.cache, id)
    Shape.serve(turn, link, id.origin, entry)
    if (entry === undefined) missed.push(id)
    else if (bytes > 0 && bytes + entry.bytes > turn.state.config.graftBytesMax) {
      count(turn, "graftsShed")
      // Told again, or whoever asks would take it for one that we cannot give, and run out of neighbours to ask.
      announce(turn, entry, [link])
    } else {
      bytes += entry.bytes
      push(turn, link, onward({ ...entry, mended: true }))
    }
  }
  if (missed.length === 0) return
  count(turn, "missesSent", missed.length)
  send(turn, link, { _tag: "GraftMiss", ids: missed })
  // Whoever asked was told of them: repair must stop advertising.
  emit(turn, { _tag: "Forgotten", ids: missed })
}

/** A neighbour is slow: it is told of the broadcast, and asks for it when it has got so far. */
const onShed = (turn: Turn, link: Machine.LinkId, id: MessageId.MessageId): void => {
  count(turn, "payloadsShed")
  const entry = Cache.get(turn.state.cache, id)
  if (entry === undefined || !isNeighbor(turn, link)) return
  announce(turn, entry, [link])
}

/** Lazy-push repair asks: what is still unseen is grafted, the rest was told and forgotten in a crash. */
const onGraftWanted = (turn: Turn, link: Machine.LinkId, ids: ReadonlyArray<MessageId.MessageId>): void => {
  const wanted = ids.filter((id) => !Win.has(turn.state.windows, id))
  for (const id of ids) if (Win.has(turn.state.windows, id)) confirmSeen(turn, id)
  if (wanted.length === 0) return
  if (!isNeighbor(turn, link)) return emit(turn, { _tag: "Missed", link, ids: wanted })
  for (const root of new Set(wanted.map(({ origin }) => origin))) {
    if (root !== turn.state.config.self.id) setTree(turn, root, Roots.withParent(treeOf(turn, root), link, true))
  }
  count(turn, "graftsSent", wanted.length)
  for (let i = 0; i < wanted.length; i += graftIdsMax) {
    send(turn, link, { _tag: "Graft", ids: wanted.slice(i, i + graftIdsMax) })
  }
}

const confirmSeen = (turn: Turn, id: MessageId.MessageId): void => {
  const entry = Cache.get(turn.state.cache, id)
  emit(turn, { _tag: "Seen", id, link: entry?.from ?? null, round: entry?.round ?? 0, mended: true })
  if (entry === undefined) emit(turn, { _tag: "Forgotten", ids: [id] })
}

const onNeighbors = (turn: Turn, version: number, neighbors: ReadonlyArray<Machine.Neighbor>): void => {
  const change = LinkGate.accept(turn.state.gate, version, neighbors)
  if (change === undefined) return
  const down = change.down.map(({ link }) => link)
  turn.state = { ...turn.state, gate: change.gate, roots: Roots.without(turn.state.roots, down) }
  for (const { link, message } of change.released) onMessage(turn, link, message)
}

const onBroadcast = (turn: Turn, event: Extract<Event, { readonly _tag: "Broadcast" }>): void => {
  const { payload, token, topic } = event
  const { config, pending, sequence } = turn.state
  const reason: Rejection | undefined = !Codec.isCount(topic, Model.topicMax)
    ? "bad-topic"
    : Codec.sizeOf(payload) > config.payloadBytesMax
      ? "too-large"
      : Queue.size(pending) >= config.pendingMax
        ? "busy"
        : undefined
  if (reason !== undefined) {
    count(turn, "rejected")
    return emit(turn, { _tag: "Rejected", token, reason })
  }
  const { id: origin, incarnation } = config.self
  const id: MessageId.MessageId = { origin, incarnation, seq: sequence + 1 }
  const after = event.ordered === true ? turn.state.ordered : undefined
  turn.state = { ...turn.state, sequence: id.seq, ordered: after === undefined ? turn.state.ordered : id.seq }
  const written = writeSequence(turn)
  const waiting: Model.Pending = { written, token, id, topic, payload, after, at: turn.now }
  turn.state = { ...turn.state, pending: Queue.push(pending, waiting) }
}

/** Numbers up to here are durable: those broadcasts begin. */
const onWritten = (turn: Turn, written: number): void => {
  const [first, last] = turn.state.tokens
  if (written <= first || written > last) return
  for (
    let next = Queue.peek(turn.state.pending);
    next !== undefined && next.written <= written;
    next = Queue.peek(turn.state.pending)
  ) {
    turn.state = { ...turn.state, pending: Queue.drop(turn.state.pending) }
    sendOwn(turn, next)
    count(turn, "accepted")
    emit(turn, { _tag: "Accepted", token: next.token, id: next.id })
  }
}

/** Along this node's own tree, or along the one that it shares. */
const sendOwn = (turn: Turn, { after, id, payload, topic }: Model.Pending): void => {
  const along = Roots.carrier(turn.state.roots, id.origin, turn.now, turn.state.config)
  if (along !== id.origin) count(turn, "shared")
  onNew(
    turn,
    null,
    { _tag: "Gossip", id, round: 0, topic, payload, along, ...(after !== undefined && { after }) },
    true
  )
}

const onTick = (turn: Turn): void => {
  turn.state = { ...turn.state, tick: Alarm.fired(turn.state.tick) }
  writeWindows(turn)
  // The answer was lost with a crashed step, or the disk is slow: asking once more does no harm.
  const waiting = Queue.peek(turn.state.pending)
  if (waiting !== undefined && turn.now - waiting.at >= rewriteMs) writeSequence(turn)
}

const writeWindows = (turn: Turn): void => {
  const { changed } = turn.state
  const kept = InOrder.handedOut(turn, changed)
  const rows = [...kept].map((origin) => ({
    table: "windows",
    key: origin,
    value: Win.encode(Win.of(turn.state.windows, origin))
  }))
  turn.state = { ...turn.state, changed: HashSet.difference(changed, kept) }
  for (let i = 0; i < rows.length; i += rowsMax) write(turn, rows.slice(i, i + rowsMax))
}

/** After every step: what waited too long is handed out, the cache is within its limits, and there is a timer for the rest. */
const settle = (turn: Turn): void => {
  const { config } = turn.state
  InOrder.giveUp(turn)
  const limits = { countMax: config.cacheCountMax, bytesMax: config.cacheBytesMax, ageMaxMs: config.cacheAgeMs }
  const [cache, gone, crowded] = Cache.evict(turn.state.cache, turn.now, limits)
  if (gone.length > 0) {
    turn.state = { ...turn.state, cache }
    if (crowded > 0) count(turn, "cacheCrowded", crowded)
    emit(turn, { _tag: "Forgotten", ids: gone })
  }
  const waits = HashSet.size(turn.state.changed) > 0 || Queue.size(turn.state.pending) > 0
  const flushAt = waits ? turn.now + config.flushMs : undefined
  const dueAt = earliest(flushAt ?? Cache.expiresAt(cache, limits), Order.dueAt(turn.state.order, config))
  if (dueAt === undefined) return
  const tick = Alarm.want(turn.state.tick, turn.now, Math.max(dueAt, turn.now))
  if (tick === turn.state.tick) return
  turn.state = { ...turn.state, tick }
  turn.actions.push({
    _tag: "SetTimer",
    delayMs: (tick.dueAt ?? turn.now) - turn.now,
    timer: { _tag: "Tick", number: tick.number }
  })
}

// ---------------------------------------------------------------------------------------------------------------------
// Small parts
// ---------------------------------------------------------------------------------------------------------------------

/** After this long the store is asked again to make the sequence durable (our choice). */
const rewriteMs = 2000

/** Rows of one write (our choice): one transaction stays short. */
const rowsMax = 1000

const earliest = (a: Machine.Instant | undefined, b: Machine.Instant | undefined): Machine.Instant | undefined =>
  a === undefined ? b : b === undefined ? a : Math.min(a, b)

/**
 * With what was sent in the run before: else nothing would tell a tree that is rebuilt that it is its own. And with what the
 * next ordered one comes after: else a node that lacks it would be handed that one without.
 */
const writeSequence = (turn: Turn): number => {
  const { config, ordered, sequence, windows } = turn.state
  const { id, incarnation } = config.self
  const rows = [
    { table: "meta", key: "sequence", value: Win.encodeSequence(Win.of(windows, id), incarnation, sequence) }
  ]
  if (ordered > 0) rows.push({ table: "meta", key: "ordered", value: Win.encodeOrdered(incarnation, ordered) })
  return write(turn, rows)
}

const withGate = (state: State, gate: State["gate"]): State => (gate === state.gate ? state : { ...state, gate })

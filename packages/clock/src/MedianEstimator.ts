/**
 * Estimates the fleet's time as the median of its clocks: of all of them in a small fleet, of samples in a large one.
 *
 * Every node keeps the newest samples of at most 63 clocks and tells its neighbours three of them at a time, with its own.
 * The lower median of what it keeps is its first layer. The lower median of its own and its neighbours' first layers is
 * the second, which is never told on: iterated medians lose the network's delay with every hop and run backwards
 * without bound. While every clock of the fleet can be held fresh (32 nodes) the first layer is the exact median, and
 * there is no second.
 *
 * Jon Moore's design has a hierarchy of leaders in its place (`Comcast/dmc-sim`, `luby-mis.cc`). It needs everybody to
 * stay: a crash is never noticed, and from a few hundred nodes on leaders change for ever. This needs nobody.
 *
 * @since 0.1.0
 */
import { type Machine, type NodeId, Rng } from "@starling/machine"
import * as ClockBlock from "./ClockBlock.ts"
import { type BlockKind, type ClockEstimator, type Demand, type Moment, voteOf } from "./ClockEstimator.ts"
import * as median from "./internal/median.ts"
import * as Stamp from "./Stamp.ts"

/** @since 0.1.0 @category models */
export interface Config {
  /** Samples that are kept; at most `ClockBlock.samplesMax`, since a full block tells them all. */
  readonly cacheMax: number
  /** Samples in a usual block. */
  readonly samplesPerBlock: number
  /** A sample older than this has no vote. */
  readonly ttlMs: number
  /** Up to so many nodes the median is exact: every clock is heard of within `ttlMs`. */
  readonly exactMax: number
}

/**
 * Our choices, by simulation of 100 to 10,000 nodes with five messages a second each: 63 samples and the own clock are
 * wrong about the majority once in 4,000 estimates if 30 % of the clocks are wrong, which the second layer then hides;
 * 127 samples at three a message are worse, because they are older. 24 s are 120 messages.
 *
 * @since 0.1.0
 */
export const defaults: Config = { cacheMax: 63, samplesPerBlock: 3, ttlMs: 24_000, exactMax: 32 }

/** A clock that was heard of: `offset` is its reading minus the own monotonic clock. @since 0.1.0 @category models */
export interface Entry {
  readonly origin: number
  readonly offset: number
  /** When the origin itself was heard, by somebody. */
  readonly at: Machine.Instant
  readonly hops: number
}

/** The first layer of a neighbour. @since 0.1.0 @category models */
export interface PeerMedian {
  readonly peer: NodeId.NodeId
  readonly offset: number
  readonly at: Machine.Instant
}

/** @since 0.1.0 @category models */
export interface State {
  readonly config: Config
  readonly self: number
  readonly rng: Rng.Rng
  readonly neighbors: ReadonlyArray<NodeId.NodeId>
  readonly entries: ReadonlyArray<Entry>
  readonly peers: ReadonlyArray<PeerMedian>
  /** The own first layer, of the last round. */
  readonly first: number | undefined
}

/** @since 0.1.0 */
export const lowerMedian: (values: ReadonlyArray<number>) => number | undefined = median.lowerMedian

/** @since 0.1.0 @category constructors */
export const make = (config: Config, self: NodeId.NodeId, seed: number | string): State => ({
  config,
  self: ClockBlock.originOf(self),
  rng: Rng.split(Rng.make(seed), "clocks"),
  neighbors: [],
  entries: [],
  peers: [],
  first: undefined
})

/** @since 0.1.0 */
export const neighbors = (state: State, neighbors: ReadonlyArray<NodeId.NodeId>): State => ({
  ...state,
  neighbors,
  peers: state.peers.filter(({ peer }) => neighbors.includes(peer))
})

/** @since 0.1.0 */
export const absorb = (
  state: State,
  from: NodeId.NodeId,
  block: ClockBlock.ClockBlock,
  oneWayMs: number,
  { now }: Moment
): State => {
  const entries = state.entries.slice()
  // All readings are as of the moment of sending.
  const shift = oneWayMs - now
  const oldest = now - state.config.ttlMs
  let { rng } = state
  const put = (entry: Entry): void => {
    if (entry.origin === state.self || entry.at < oldest) return
    const known = placeOf(entries, entry.origin)
    if (known >= 0) {
      if ((entries[known] as Entry).at < entry.at) entries[known] = entry
      return
    }
    if (entries.length < state.config.cacheMax) {
      entries.push(entry)
      return
    }
    let slot = outdated(entries, oldest)
    if (slot < 0) [slot, rng] = Rng.nextInt(rng, entries.length)
    entries[slot] = entry
  }
  if (block.own !== undefined) {
    put({ origin: ClockBlock.originOf(from), offset: block.own + shift, at: now - oneWayMs, hops: 1 })
  }
  for (const { age, hops, origin, wall } of block.samples) {
    put({ origin, offset: wall + shift, at: now - oneWayMs - age * 100, hops: hops + 1 })
  }
  return { ...state, rng, entries, peers: peersWith(state, from, block.median, shift, now) }
}

// Asked for every sample of every block, of up to 63 entries: hence the plain loops.

const placeOf = (entries: ReadonlyArray<Entry>, origin: number): number => {
  for (let at = 0; at < entries.length; at++) if ((entries[at] as Entry).origin === origin) return at
  return -1
}

const outdated = (entries: ReadonlyArray<Entry>, oldest: Machine.Instant): number => {
  for (let at = 0; at < entries.length; at++) if ((entries[at] as Entry).at < oldest) return at
  return -1
}

const peersWith = (
  { neighbors, peers }: State,
  from: NodeId.NodeId,
  median: number | undefined,
  shift: number,
  now: Machine.Instant
): ReadonlyArray<PeerMedian> =>
  median === undefined || !neighbors.includes(from)
    ? peers
    : [...peers.filter(({ peer }) => peer !== from), { peer: from, offset: median + shift, at: now }]

/** @since 0.1.0 */
export const estimate = (state: State, at: Moment, { need, size }: Demand): readonly [State, number | undefined] => {
  const { peers } = state
  const clocks = offsets(state, at)
  const mine = voteOf(at)
  if (mine !== undefined) clocks.push(mine)
  const first = clocks.length < need ? undefined : lowerMedian(clocks)
  const isExact = Math.max(clocks.length, size ?? 0) <= state.config.exactMax
  const second =
    first === undefined || isExact
      ? first
      : lowerMedian([first, ...peers.filter((peer) => isLive(state, peer, at)).map(({ offset }) => offset)])
  return [{ ...state, first }, second]
}

/** @since 0.1.0 */
export const block = (state: State, kind: BlockKind, at: Moment): readonly [State, ClockBlock.ClockBlock] => {
  const told: Array<Entry> = []
  for (const entry of state.entries) if (isLive(state, entry, at) && entry.hops <= ClockBlock.hopsMax) told.push(entry)
  const count = kind === "full" ? told.length : Math.min(state.config.samplesPerBlock, told.length)
  const [chosen, rng] = count === told.length ? [told, state.rng] : Rng.sample(state.rng, told, count)
  return [
    { ...state, rng },
    {
      own: voteOf(at) === undefined ? undefined : Math.floor(at.wall),
      median: state.first === undefined ? undefined : inCalendar(Math.round(state.first + at.now)),
      samples: chosen.map((entry) => sampleOf(entry, at)).toSorted((a, b) => a.origin - b.origin)
    }
  ]
}

/** @since 0.1.0 */
export const votes = (state: State, at: Moment): number => {
  const own = voteOf(at) === undefined ? 0 : 1
  return own + offsets(state, at).length
}

/** @since 0.1.0 */
export const offsets = (state: State, at: Moment): Array<number> => {
  const live: Array<number> = []
  for (const entry of state.entries) if (isLive(state, entry, at)) live.push(entry.offset)
  return live
}

/** The samples that have a vote. @since 0.1.0 */
export const clocks = (state: State, at: Moment): ReadonlyArray<Entry> => {
  const live: Array<Entry> = []
  for (const entry of state.entries) if (isLive(state, entry, at)) live.push(entry)
  return live
}

/** Votes in terms of a monotonic clock that stood still are void, a neighbour's clocks come with its next block. @since 0.1.0 */
export const restart = (state: State): State => ({ ...state, entries: [], peers: [], first: undefined })

/** Names of the broken ones; empty is fine. @since 0.1.0 */
export const invariants = ({ config, entries, neighbors, peers, self }: State): ReadonlyArray<string> => {
  const broken: Array<string> = []
  if (entries.length > config.cacheMax) broken.push("more samples than are to be kept")
  if (new Set(entries.map(({ origin }) => origin)).size < entries.length) broken.push("two samples of one clock")
  if (entries.some(({ origin }) => origin === self)) broken.push("a sample of the own clock")
  if (peers.some(({ peer }) => !neighbors.includes(peer))) broken.push("a median of no neighbour")
  if (new Set(peers.map(({ peer }) => peer)).size < peers.length) broken.push("two medians of one neighbour")
  return broken
}

/** The estimator with these settings. @since 0.1.0 @category constructors */
export const estimator = (config: Config = defaults): ClockEstimator<State, ClockBlock.ClockBlock> => ({
  make: (self, seed) => make(config, self, seed),
  neighbors,
  absorb,
  block,
  estimate,
  votes,
  offsets,
  restart,
  invariants,
  encode: ClockBlock.encode,
  decode: ClockBlock.decode
})

const isLive = (state: State, heard: { readonly at: Machine.Instant }, { now }: Moment): boolean =>
  now - heard.at <= state.config.ttlMs

const sampleOf = ({ at, hops, offset, origin }: Entry, { now }: Moment): ClockBlock.Sample => ({
  origin,
  wall: inCalendar(Math.round(offset + now)),
  age: Math.min(Math.max(Math.ceil((now - at) / 100), 0), ClockBlock.ageMax),
  hops
})

/** A clock at the end of the calendar stays there. */
const inCalendar = (wall: number): number => Math.min(Math.max(wall, 0), Stamp.wallMax)

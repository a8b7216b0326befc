/**
 * The estimator of the talk's own simulator, for comparison only: a hierarchy of leaders by Luby's rule, the median of
 * medians up the levels (`Comcast/dmc-sim`, `src/dmc-sim/luby-mis.cc`; read and written anew).
 *
 * Level 0 is every node by itself. A leader of level n speaks for itself and for the groups of level n−1 next to it; its
 * value is the median of theirs. Whoever names a leader tells how far away it is and through whom it was heard. A change
 * of a level ends all levels above it. The fleet's time is the value of the top leader, where there is one.
 *
 * What the original lacks is left as it is, but for two things without which it would not run here: readings are told as
 * of the moment of sending, since here clocks go on; and who is no neighbour any more is forgotten (there, a crash is never
 * noticed).
 *
 * States are written in place: no test looks at an earlier one.
 *
 * @since 0.1.0
 */
import type { ClockEstimator } from "@starling/clock"
import { Codec, type NodeId, Rng } from "@starling/machine"

/** A group next to the own one; at level 0 a neighbour. @since 0.1.0 @category models */
interface Peer {
  degree: number
  value: number
  dist: number
  nextHop: number
}

/** `rep`: the leader of the own group, or 0. @since 0.1.0 @category models */
interface Level {
  rep: number
  nextHop: number
  dist: number
  value: number
  readonly peers: Map<number, Peer>
}

/** @since 0.1.0 @category models */
export interface State {
  readonly me: number
  rng: Rng.Rng
  levels: Array<Level>
  neighbors: ReadonlySet<number>
}

/** The whole state of the sender; values are clock readings. @since 0.1.0 @category models */
export interface Block {
  readonly levels: ReadonlyArray<{
    readonly rep: number
    readonly dist: number
    readonly value: number
    readonly peers: ReadonlyMap<number, Readonly<Peer>>
  }>
}

/** @since 0.1.0 @category constructors */
export const estimator = (): ClockEstimator.ClockEstimator<State, Block> => ({
  make: (self, seed) => {
    const me = addressOf(self)
    return { me, rng: Rng.split(Rng.make(seed), "luby"), levels: [own(me, Number.NaN)], neighbors: new Set() }
  },
  neighbors: (state, neighbors) => {
    state.neighbors = new Set(neighbors.map(addressOf))
    const base = levelAt(state, 0)
    for (const peer of base.peers.keys()) {
      if (state.neighbors.has(peer)) continue
      base.peers.delete(peer)
      cut(state, 0)
    }
    return state
  },
  absorb,
  block: (state, _kind, at) => [state, told(state, at)],
  estimate: (state, at) => {
    levelAt(state, 0).value = at.wall - at.now
    recalculate(state)
    const top = state.levels.at(-1)
    const isTop = state.levels.length > 1 && top !== undefined && top.rep !== 0 && top.peers.size === 0
    return [state, isTop && !Number.isNaN(top.value) ? top.value : undefined]
  },
  votes: (state) => state.levels.length,
  offsets: () => [],
  restart: (state) => {
    state.levels = [own(state.me, Number.NaN)]
    return state
  },
  invariants: () => [],
  // The size that the original's frames have; they are not read here.
  encode: ({ levels }) => new Uint8Array(levels.reduce((bytes, { peers }) => bytes + 24 + 24 * peers.size, 8)),
  decode: () => Codec.refuse("luby: frames are not written in bytes here")
})

/** The leader that this node follows at the top, to count how often it changes; 0 if there is none. @since 0.1.0 */
export const leaderOf = ({ levels }: State): number => levels.at(-1)?.rep ?? 0

const addressOf = (node: NodeId.NodeId): number => parseInt(node, 16)

const own = (me: number, value: number): Level => ({ rep: me, nextHop: me, dist: 0, value, peers: new Map() })

const levelAt = (state: State, n: number): Level => state.levels[n] as Level

/** The own group's leader came over that many links at the most. */
const distanceMax = (n: number): number => (n === 0 ? 1 : 3 * 2 ** (n - 1))

const cut = (state: State, n: number): void => {
  if (state.levels.length > n + 1) state.levels.length = n + 1
}

const leave = (state: State, n: number): void => {
  const level = levelAt(state, n)
  level.rep = 0
  level.nextHop = 0
  cut(state, n)
  level.peers.clear()
}

const told = (state: State, at: ClockEstimator.Moment): Block => {
  levelAt(state, 0).value = at.wall - at.now
  return {
    levels: state.levels.map(({ dist, peers, rep, value }) => ({
      rep,
      dist,
      value: value + at.now,
      peers: new Map([...peers].map(([peer, known]) => [peer, { ...known, value: known.value + at.now }]))
    }))
  }
}

/** What is read of a block, in the own frame. */
interface Heard {
  readonly from: number
  readonly levels: ReadonlyArray<Level>
}

const absorb = (
  state: State,
  from: NodeId.NodeId,
  block: Block,
  oneWayMs: number,
  at: ClockEstimator.Moment
): State => {
  const shift = oneWayMs - at.now
  const heard: Heard = {
    from: addressOf(from),
    levels: block.levels.map(({ dist, peers, rep, value }) => ({
      rep,
      nextHop: 0,
      dist,
      value: value + shift,
      peers: new Map([...peers].map(([peer, known]) => [peer, { ...known, value: known.value + shift }]))
    }))
  }
  levelAt(state, 0).value = at.wall - at.now
  for (let n = 0; n < heard.levels.length && n < state.levels.length; n++) {
    meet(state, heard, n)
    begin(state)
    if (n > 0 && n < state.levels.length) elect(state, heard, n)
  }
  trim(state, heard)
  adopt(state, heard)
  recalculate(state)
  mark(state)
  return state
}

const dropVia = (state: State, n: number, from: number): void => {
  for (const [peer, known] of levelAt(state, n).peers) {
    if (known.nextHop !== from) continue
    levelAt(state, n).peers.delete(peer)
    cut(state, n)
  }
}

/** Which groups are next to the own one. */
const meet = (state: State, { from, levels }: Heard, n: number): void => {
  const mine = levelAt(state, n)
  const theirs = levels[n] as Level
  const degree = theirs.peers.size
  if (n === 0) {
    const known = mine.peers.get(from)
    if (known?.degree === degree) return
    mine.peers.set(from, { value: theirs.value, ...known, degree, dist: 1, nextHop: from })
    cut(state, 0)
    return
  }
  if (mine.rep === 0) return
  if (theirs.rep === 0) return dropVia(state, n, from)
  if (theirs.rep === mine.rep) meetSame(state, theirs, from, n)
  else meetOther(state, theirs, from, n)
  if (mine.peers.size === 0 && state.levels.length > n + 1) cut(state, n)
  if (mine.rep === state.me && n > 0 && levelAt(state, n - 1).peers.size === 0) cut(state, n - 1)
}

const meetSame = (state: State, theirs: Level, from: number, n: number): void => {
  const { peers } = levelAt(state, n)
  for (const [peer, known] of peers) {
    if (peer === from) {
      peers.delete(peer)
      continue
    }
    if (known.nextHop !== from) continue
    const told = theirs.peers.get(peer)
    if (told === undefined || known.dist === 1 || told.dist + 1 > distanceMax(n)) {
      peers.delete(peer)
      continue
    }
    if (told.degree !== known.degree) {
      known.degree = told.degree
      cut(state, n)
    }
    known.dist++
  }
  for (const [peer, told] of theirs.peers) {
    const known = peers.get(peer)
    if (known !== undefined) {
      if (told.dist + 1 >= known.dist) continue
      if (told.degree !== known.degree) cut(state, n)
      peers.set(peer, { ...known, degree: told.degree, dist: told.dist + 1, nextHop: from })
    } else if (peer !== state.me && told.nextHop !== state.me && told.dist + 1 <= distanceMax(n)) {
      peers.set(peer, { ...told, dist: told.dist + 1, nextHop: from })
      cut(state, n)
    }
  }
}

const meetOther = (state: State, theirs: Level, from: number, n: number): void => {
  const { peers } = levelAt(state, n)
  const degree = theirs.peers.size
  for (const [peer, known] of peers) {
    const isWrong = peer === theirs.rep ? known.dist > 1 : known.nextHop === from
    if (isWrong) {
      peers.delete(peer)
    } else if (known.nextHop === from && known.degree !== degree) {
      if (degree === 0) peers.delete(peer)
      else known.degree = degree
      cut(state, n)
    }
  }
  const known = peers.get(theirs.rep)
  if (known !== undefined) known.dist = 1
  else if (theirs.rep !== state.me) {
    peers.set(theirs.rep, { degree, value: theirs.value, dist: 1, nextHop: from })
    cut(state, n)
  }
}

/** A level whose group is known, and has others next to it, has one above. */
const begin = (state: State): void => {
  const top = state.levels.at(-1)
  if (top !== undefined && top.rep !== 0 && top.peers.size > 0) {
    state.levels.push({ rep: 0, nextHop: 0, dist: 0, value: Number.NaN, peers: new Map() })
  }
}

const degreeOf = (state: State, n: number, rep: number): number => {
  const below = levelAt(state, n - 1)
  return rep === below.rep ? below.peers.size : (below.peers.get(rep)?.degree ?? -1)
}

const isBetter = (state: State, n: number, a: number, b: number): boolean => {
  const difference = degreeOf(state, n, a) - degreeOf(state, n, b)
  return difference > 0 || (difference === 0 && a < b)
}

const elect = (state: State, { from, levels }: Heard, n: number): void => {
  const mine = levelAt(state, n)
  const theirs = levels[n] as Level
  const isNear = (rep: number): boolean => degreeOf(state, n, rep) >= 0
  if (mine.rep !== 0) {
    const isLost =
      !isNear(mine.rep) ||
      (mine.nextHop === from && theirs.rep !== mine.rep) ||
      (mine.rep === from && theirs.rep !== from)
    if (isLost) leave(state, n)
  }
  const candidate = theirs.rep
  if (candidate === 0 || !isNear(candidate)) return
  if (mine.rep === 0 || (candidate !== mine.rep && isBetter(state, n, candidate, mine.rep))) {
    mine.rep = candidate
    mine.nextHop = from
    mine.dist = theirs.dist + 1
    mine.value = theirs.value
    cut(state, n)
    mine.peers.clear()
  } else if (candidate === mine.rep && theirs.dist + 1 < mine.dist) {
    mine.nextHop = from
    mine.dist = theirs.dist + 1
  }
}

/** Levels that the sender does not have. */
const trim = (state: State, { from, levels }: Heard): void => {
  for (let n = levels.length; n < state.levels.length; n++) {
    if (levelAt(state, n).nextHop === from) leave(state, n)
    else dropVia(state, n, from)
  }
}

const adopt = (state: State, { from, levels }: Heard): void => {
  for (let n = 0; n < state.levels.length && n < levels.length; n++) {
    const mine = levelAt(state, n)
    const theirs = levels[n] as Level
    const isSame = mine.rep === theirs.rep
    if (isSame && mine.rep !== 0 && mine.nextHop === from) mine.value = theirs.value
    for (const [peer, known] of mine.peers) {
      if (known.nextHop !== from) continue
      const value = isSame ? theirs.peers.get(peer)?.value : theirs.value
      if (value !== undefined) known.value = value
    }
  }
}

/** What a leader says: the median of its group's value below and of those next to it; of an even number the mean. */
const recalculate = (state: State): void => {
  for (let n = 1; n < state.levels.length; n++) {
    const mine = levelAt(state, n)
    if (mine.rep !== state.me) continue
    const below = levelAt(state, n - 1)
    const values = [below.value, ...[...below.peers.values()].map(({ value }) => value)]
      .filter((value) => !Number.isNaN(value))
      .toSorted((a, b) => a - b)
    const upper = values[values.length >> 1] ?? Number.NaN
    mine.value = values.length % 2 === 1 ? upper : ((values[(values.length >> 1) - 1] ?? upper) + upper) / 2
  }
}

/** Luby's marking: who leads below and has nobody to follow becomes a leader, with a chance of one to twice its degree. */
const mark = (state: State): void => {
  const top = state.levels.length - 1
  if (top < 1 || levelAt(state, top).rep !== 0 || levelAt(state, top - 1).rep !== state.me) return
  const degree = levelAt(state, top - 1).peers.size
  if (degree === 0) return
  const [unit, rng] = Rng.nextFloat(state.rng)
  state.rng = rng
  if (unit >= 1 / (2 * degree)) return
  const level = levelAt(state, top)
  level.rep = state.me
  level.nextHop = state.me
  level.dist = 0
  level.peers.clear()
}

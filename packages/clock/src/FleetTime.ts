/**
 * From estimates to a time that a node dares to act on: probation, and a filter for what does not last.
 *
 * An estimate jumps when the fleet is young, when a partition heals, and when half of the clocks go wrong for a while.
 * A stamp cannot be taken back. So the fleet's time is *settled* only when enough clocks have agreed for a while, follows
 * the estimate slowly within the tolerance, and jumps only when the estimate has stayed outside for long.
 *
 * @since 0.1.0
 */
import type { Machine } from "@starling/machine"

/** @since 0.1.0 @category models */
export interface Config {
  /** What two clocks may differ by and still agree, milliseconds. */
  readonly toleranceMs: number
  /** How many clocks a young node asks for. */
  readonly quorum: number
  /** How long a node counts as young. */
  readonly probationMs: number
  /** How long a first estimate must stay the same. */
  readonly settleMs: number
  /** How long it must where the fleet agrees (`isAgreed`). */
  readonly agreedMs: number
  /** The share of the clocks that must be within the tolerance of the estimate for that. */
  readonly agreedShare: number
  /** How long an estimate must stay outside the tolerance before it is followed. */
  readonly persistMs: number
  /** Time constant of following within the tolerance. */
  readonly smoothingMs: number
  /** How long probation may last before what waits for its end is stamped by the own clock. */
  readonly overdueMs: number
}

/**
 * Our choices, by simulation of cold starts and of 400 rounds with bad clocks. After three votes a cold start with 5 %
 * bad clocks is dragged along in two runs of three; with 16 votes and two quiet seconds in none at 30 %. 250 ms is ten
 * times what clocks kept by NTP differ by. Ten quiet seconds before a jump stop what 40 % bad clocks do to the estimate;
 * they are less than the estimator's time-to-live, so that a healed fleet is not outvoted by its past. Who has not settled
 * in half a minute is in a fleet that will not agree; a thousand nodes under loss need a third of that. Where as many clocks
 * are heard as nodes are known, three at least, and the own and three quarters of all agree, two seconds would wait for
 * nothing but nodes that nobody has heard of: 400 ms, two rounds, is what it takes to hear of those that start together.
 *
 * @since 0.1.0
 */
export const defaults: Config = {
  toleranceMs: 250,
  quorum: 16,
  probationMs: 5000,
  settleMs: 2000,
  agreedMs: 400,
  agreedShare: 0.75,
  persistMs: 10_000,
  smoothingMs: 2000,
  overdueMs: 30_000
}

/** All offsets are to the own monotonic clock. @since 0.1.0 @category models */
export interface State {
  /** When probation began. */
  readonly since: Machine.Instant
  /** Settled, or undefined. */
  readonly offset: number | undefined
  readonly candidate: Candidate | undefined
  readonly outsideSince: Machine.Instant | undefined
  readonly followedAt: Machine.Instant
  /** What was settled before the own clocks contradicted each other: it holds again as soon as the fleet confirms it. */
  readonly doubted: number | undefined
}

/** An estimate that has stayed the same `since`; `sureSince`: the fleet has agreed on it, or undefined. @since 0.1.0 @category models */
export interface Candidate {
  readonly offset: number
  readonly since: Machine.Instant
  readonly sureSince: Machine.Instant | undefined
}

/**
 * What a node knows of others. `size`: nodes that are known, this one among them and those that are gone, or undefined.
 *
 * @since 0.1.0
 * @category models
 */
export interface Surroundings {
  readonly neighbors: number
  readonly size: number | undefined
  /** There are others to be joined: configured seeds, or remembered peers. */
  readonly hasContacts: boolean
}

/**
 * In probation, which began at `since`; with `offset`, settled: what another state of the same process had found out.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (now: Machine.Instant, offset?: number, since: Machine.Instant = now): State => ({
  since,
  offset,
  candidate: undefined,
  outsideSince: undefined,
  followedAt: now,
  doubted: undefined
})

/**
 * Probation again, because wall and monotonic clock disagree about how much time has passed: the machine was suspended, or
 * its wall clock stepped. In the second case what was settled is still true, and the fleet will say so.
 *
 * @since 0.1.0
 */
export const restart = (state: State, now: Machine.Instant): State => ({
  ...make(now),
  doubted: state.offset ?? state.doubted
})

/**
 * How many clocks an estimate must stand on; `Infinity` if none would do. Who has nobody to ask is right by definition,
 * but who has contacts must first have failed to reach them throughout probation: it would stamp by a wrong clock, join
 * later, and be refused.
 *
 * @since 0.1.0
 */
export const need = (state: State, around: Surroundings, now: Machine.Instant, config: Config): number => {
  const young = now - state.since < config.probationMs
  if (around.neighbors === 0) return young && around.hasContacts ? Infinity : 1
  if (!young) return Math.min(3, 1 + around.neighbors)
  return around.size === undefined
    ? config.quorum
    : Math.min(config.quorum, Math.max(around.size, 1 + around.neighbors))
}

/** True of a node that is a fleet of its own. @since 0.1.0 */
export const isAlone = (state: State, around: Surroundings, now: Machine.Instant, config: Config): boolean =>
  around.neighbors === 0 && need(state, around, now, config) === 1

/**
 * Probation has lasted longer than a healthy fleet lets it: too few clocks are heard, or they do not agree. What waits for
 * the fleet's time waits no longer.
 *
 * @since 0.1.0
 */
export const isOverdue = (state: State, now: Machine.Instant, config: Config): boolean =>
  state.offset === undefined && now - state.since >= config.overdueMs

/**
 * As many clocks are heard as nodes are known, and the own and enough of all agree with what was made of them: wrong clocks
 * would have to be wrong by the same time. Who is at odds with the others, or has no clock, is never sure.
 *
 * @since 0.1.0
 */
export const isAgreed = (
  own: number | undefined,
  others: ReadonlyArray<number>,
  estimate: number,
  { size }: Surroundings,
  config: Config
): boolean => {
  const count = others.length + 1
  if (own === undefined || size === undefined || count < Math.max(size, agreedMin)) return false
  if (!agree(own, estimate, config)) return false
  let agreeing = 1
  for (const clock of others) if (agree(clock, estimate, config)) agreeing++
  return agreeing >= config.agreedShare * count
}

/** Of two clocks nobody can tell which is wrong. */
const agreedMin = 3

/** Takes notice of an estimate, or of none; `isSure` if the fleet agrees on it. @since 0.1.0 */
export const follow = (
  state: State,
  estimate: number | undefined,
  now: Machine.Instant,
  config: Config,
  isSure: boolean = false
): State => {
  // What is settled goes on by the monotonic clock while too few clocks are heard.
  if (estimate === undefined) return { ...state, candidate: undefined, outsideSince: undefined, followedAt: now }
  return state.offset === undefined
    ? settle(state, estimate, now, config, isSure)
    : track(state, state.offset, estimate, now, config)
}

/** The fleet's time in milliseconds since 1970, or undefined in probation. @since 0.1.0 */
export const at = ({ offset }: State, now: Machine.Instant): number | undefined =>
  offset === undefined ? undefined : offset + now

const settle = (state: State, estimate: number, now: Machine.Instant, config: Config, isSure: boolean): State => {
  const { candidate, doubted } = state
  if (doubted !== undefined && agree(doubted, estimate, config)) return settled(state, doubted, now)
  const isSame = candidate !== undefined && agree(candidate.offset, estimate, config)
  const since = isSame ? candidate.since : now
  const sureSince = isSure ? ((isSame ? candidate.sureSince : undefined) ?? now) : undefined
  const isOver = now - since >= config.settleMs || (sureSince !== undefined && now - sureSince >= config.agreedMs)
  return isSame && isOver
    ? settled(state, estimate, now)
    : { ...state, candidate: { offset: isSame ? candidate.offset : estimate, since, sureSince } }
}

const track = (state: State, offset: number, estimate: number, now: Machine.Instant, config: Config): State => {
  if (agree(offset, estimate, config)) {
    const share = 1 - Math.exp((state.followedAt - now) / config.smoothingMs)
    return { ...state, offset: offset + share * (estimate - offset), outsideSince: undefined, followedAt: now }
  }
  const since = state.outsideSince ?? now
  return now - since >= config.persistMs
    ? settled(state, estimate, now)
    : { ...state, outsideSince: since, followedAt: now }
}

const settled = (state: State, offset: number, now: Machine.Instant): State => ({
  ...make(now),
  since: state.since,
  offset
})

const agree = (a: number, b: number, { toleranceMs }: Config): boolean => Math.abs(a - b) <= toleranceMs

/**
 * The guard before the merge: a stamp is a maximum, and a maximum is contagious. One that was leaked by a clock an hour
 * ahead would drag everybody who hears of it, for ever.
 *
 * So a stamp is compared with the fleet's time, not with this node's own clock: what a node whose own clock is wrong may
 * receive, and what a fleet that is right must not follow, both come out of the same test. (CockroachDB compares with the
 * node's own clock, `pkg/util/hlc/hlc.go`, `UpdateAndCheckMaxOffset`: there a node that is wrong is cut off from all.)
 *
 * The guard judges; it changes nothing. What is refused is not merged; a message of an application that is refused is not
 * delivered, since delivering it without the merge would break the law that effects are stamped after their causes.
 *
 * @since 0.1.0
 */
import type * as Hlc from "./Hlc.ts"
import * as rules from "./internal/rules.ts"
import * as Stamp from "./Stamp.ts"

/**
 * `refuse`: stamps beyond the guard are not followed. `accept`: the plain hybrid logical clock, which follows everything
 * that leaves room for a later stamp; who chooses it mends with resets.
 *
 * @since 0.1.0
 * @category models
 */
export type Policy = "refuse" | "accept"

/** @since 0.1.0 @category models */
export interface Config {
  readonly policy: Policy
  /** How far beyond the fleet's time a stamp may lie, milliseconds. */
  readonly guardMs: number
}

/**
 * Our choices: 5 s is twenty times the tolerance of `EffectiveTime`, so that nobody is refused whom the estimate would
 * still call right, and more than a quick restart runs ahead (`Lease.defaults`).
 *
 * @since 0.1.0
 */
export const defaults: Config = { policy: "refuse", guardMs: 5000 }

/**
 * Why a stamp is not followed:
 *
 * - `epoch`: more than `Hlc.epochStepMax` epochs ahead. `limit` is the highest epoch that is followed.
 * - `calendar`: at the end of the calendar, where no later stamp would have room. `limit` in milliseconds since 1970.
 * - `wall`: further than the guard beyond the fleet's time. `limit` in milliseconds since 1970.
 *
 * @since 0.1.0
 * @category errors
 */
export interface TimestampAhead {
  readonly _tag: "TimestampAhead"
  readonly stamp: Stamp.Stamp
  readonly cause: "epoch" | "calendar" | "wall"
  readonly limit: number
}

/**
 * `Hold`: nobody can tell yet, because this node does not know the fleet's time; ask again when it does.
 *
 * @since 0.1.0
 * @category models
 */
export type Verdict = { readonly _tag: "Follow" } | { readonly _tag: "Hold" } | TimestampAhead

const follow: Verdict = { _tag: "Follow" }

/** @since 0.1.0 */
export const hold: Verdict = { _tag: "Hold" }

/**
 * May this stamp be merged into the clock? `population` is the fleet's time in milliseconds since 1970, or undefined
 * while it is not settled.
 *
 * @since 0.1.0
 */
export const judge = (
  reading: Hlc.Reading,
  received: Stamp.Stamp,
  population: number | undefined,
  config: Config = defaults
): Verdict => {
  // An epoch that was left behind moves nothing, whatever it says.
  if (received.epoch < reading.epoch) return follow
  if (received.epoch > reading.epoch + rules.epochStepMax) {
    return { _tag: "TimestampAhead", stamp: received, cause: "epoch", limit: reading.epoch + rules.epochStepMax }
  }
  if (received.wall > rules.wallFollowMax) {
    return { _tag: "TimestampAhead", stamp: received, cause: "calendar", limit: rules.wallFollowMax }
  }
  if (config.policy === "accept") return follow
  if (population === undefined) return hold
  const limit = Math.floor(population + config.guardMs)
  return received.wall <= limit ? follow : { _tag: "TimestampAhead", stamp: received, cause: "wall", limit }
}

/**
 * How many milliseconds beyond the guard the node's own stamps lie, or undefined if they do not, or if nobody can tell. Peers
 * refuse what such a node says; it mends by a reset of the epoch, or by starting anew as another incarnation.
 *
 * @since 0.1.0
 */
export const poisonedBy = (
  reading: Hlc.Reading,
  population: number | undefined,
  config: Config = defaults
): number | undefined => {
  const beyond = population === undefined ? 0 : reading.wall - Math.floor(population + config.guardMs)
  return beyond > 0 ? beyond : undefined
}

/** What was wrong, where, and what would have been right. @since 0.1.0 */
export const message = ({ cause, limit, stamp }: TimestampAhead): string => {
  const who = `stamp ${Stamp.toText(stamp)} is not followed`
  switch (cause) {
    case "epoch":
      return `${who}: its epoch is ${stamp.epoch}, and here none above ${limit} can be one`
    case "calendar":
      return `${who}: it lies after ${Stamp.isoOf(limit)}, where the calendar leaves no room for later ones`
    case "wall":
      return `${who}: it lies ${stamp.wall - limit} ms beyond ${Stamp.isoOf(limit)}, the latest that the fleet's time allows; look at the clock of node ${stamp.node}`
  }
}

/**
 * What a node may take for the time when it stamps: its own clock while the fleet bears it out, else the fleet's.
 *
 * | condition | when | `population` mode | `counter` mode |
 * | --- | --- | --- | --- |
 * | probation | the fleet's time is not settled | none; alone: own clock | the same |
 * | clockless | there is no own clock | the fleet's | none |
 * | ok | within the tolerance | own clock | own clock |
 * | degraded | ahead of it | the fleet's | none |
 * | behind | behind it | the fleet's | own clock |
 *
 * None: stamps advance by the counter. `counter` mode is that of the talk (Jon Moore, Strange Loop 2015: a node too far
 * ahead increments the counter instead of taking the clock; being behind is harmless).
 *
 * @since 0.1.0
 */

/** @since 0.1.0 @category models */
export type Mode = "population" | "counter"

/** @since 0.1.0 @category models */
export type Condition = "probation" | "clockless" | "ok" | "degraded" | "behind"

/** @since 0.1.0 @category models */
export interface Config {
  readonly mode: Mode
  /** How far a clock may be from the fleet's time and count as right, milliseconds. */
  readonly toleranceMs: number
}

/** Our choice: a degraded node goes on with the right time instead of none. @since 0.1.0 */
export const defaults: Config = { mode: "population", toleranceMs: 250 }

/** `fleet`: the fleet's time, NaN in probation. `wall`: the own clock, NaN if there is none. @since 0.1.0 */
export const conditionOf = (wall: number, fleet: number, { toleranceMs }: Config): Condition => {
  if (Number.isNaN(fleet)) return "probation"
  if (Number.isNaN(wall)) return "clockless"
  const ahead = wall - fleet
  return ahead > toleranceMs ? "degraded" : ahead < -toleranceMs ? "behind" : "ok"
}

/** The time to stamp with, as `Hlc.stamp` takes it: NaN is none. `alone` lets a node in probation have its own. @since 0.1.0 */
export const physical = (wall: number, fleet: number, alone: boolean, config: Config): number => {
  switch (conditionOf(wall, fleet, config)) {
    case "probation":
      return alone ? wall : Number.NaN
    case "ok":
      return wall
    case "behind":
      return config.mode === "population" ? Math.floor(fleet) : wall
    default:
      return config.mode === "population" ? Math.floor(fleet) : Number.NaN
  }
}

/**
 * The same for who stamps hundreds of thousands of times a second: a clock that was found right a moment ago is believed
 * without reading the monotonic clock beside it, until it has moved on by `recheckMs` or turned back.
 *
 * A step forwards of the clock leaves that window at once; what a smaller one may add to the tolerance is `recheckMs`.
 *
 * @since 0.1.0
 * @category models
 */
export interface TimeCell {
  readonly config: Config
  /** Milliseconds since 1970, NaN if there is none. */
  readonly wall: () => number
  readonly monotonic: () => number
  /** The fleet's time minus the monotonic clock; NaN in probation. */
  offset: number
  alone: boolean
  /** The own clock is believed from here to there. */
  from: number
  to: number
}

/** Our choice: a twenty-fifth of the tolerance. @since 0.1.0 */
export const recheckMs = 10

/** In probation. @since 0.1.0 @category constructors */
export const makeCell = (config: Config, wall: () => number, monotonic: () => number): TimeCell => ({
  config,
  wall,
  monotonic,
  offset: Number.NaN,
  alone: false,
  from: 0,
  to: -1
})

/** What the clock component found out. @since 0.1.0 */
export const tell = (cell: TimeCell, offset: number | undefined, alone: boolean): void => {
  cell.offset = offset ?? Number.NaN
  cell.alone = alone
  cell.to = -1
}

/** What `physical` says now. @since 0.1.0 */
export const read = (cell: TimeCell): number => {
  const wall = cell.wall()
  return wall >= cell.from && wall <= cell.to ? wall : check(cell, wall)
}

const check = (cell: TimeCell, wall: number): number => {
  const fleet = cell.monotonic() + cell.offset
  const isRight = conditionOf(wall, fleet, cell.config) === "ok"
  cell.from = wall
  cell.to = isRight ? wall + recheckMs : -1
  return physical(wall, fleet, cell.alone, cell.config)
}

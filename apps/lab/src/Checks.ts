/**
 * What was promised beside what was measured. An experiment makes these of its results; page, terminal and exit code are
 * made of these.
 *
 * @since 0.1.0
 */
import * as Markdown from "./Markdown.ts"

/** @since 0.1.0 @category models */
export interface Check {
  readonly what: string
  readonly promised: string
  readonly measured: string
  readonly holds: boolean
}

/**
 * A number that `lab compare` holds against the stored one. `null`: it never came to that, the worst there is.
 *
 * @since 0.1.0
 * @category models
 */
export interface Figure {
  /** Names it within its experiment; the same in every run. */
  readonly what: string
  readonly value: number | null
  /** `same`: any change is for the worse. */
  readonly better: "less" | "more" | "same"
  /** How much worse it may be, in its own unit, before that counts: what another seed would change, too. */
  readonly slack: number
}

/** @since 0.1.0 @category constructors */
export const check = (what: string, promised: string, measured: string, holds: boolean): Check => ({
  what,
  promised,
  measured,
  holds
})

/** @since 0.1.0 @category constructors */
export const figure = (what: string, value: number | null, better: Figure["better"], slack: number): Figure => ({
  what,
  value,
  better,
  slack
})

/** As a table of Markdown. @since 0.1.0 */
export const table = (checks: ReadonlyArray<Check>): ReadonlyArray<string> =>
  Markdown.table(
    ["", "promised", "measured", "holds"],
    checks.map(({ holds, measured, promised, what }) => [what, promised, measured, holds ? "yes" : "**no**"])
  )

/** As lines for a terminal. @since 0.1.0 */
export const text = (checks: ReadonlyArray<Check>): string =>
  checks
    .map(({ holds, measured, promised, what }) => `${holds ? "holds" : "FAILS"}  ${what}: ${measured} (${promised})`)
    .join("\n")

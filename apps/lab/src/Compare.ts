/**
 * Two runs of one experiment, figure by figure.
 *
 * @since 0.1.0
 */
import type { Check, Figure } from "./Checks.ts"
import * as Markdown from "./Markdown.ts"
import type { Stored } from "./Results.ts"

/**
 * `worse`: by more than its slack, or a promise that held and does not any more. `gone`: measured then, and not now.
 *
 * @since 0.1.0
 * @category models
 */
export type Verdict = "worse" | "better" | "same" | "new" | "gone"

/** @since 0.1.0 @category models */
export interface Row {
  readonly what: string
  readonly before: string
  readonly after: string
  readonly change: string
  readonly verdict: Verdict
}

type Run = Pick<Stored<unknown>, "about" | "checks" | "figures">

/** Promises first, then figures, in the order of the later run; what is gone at the end. @since 0.1.0 */
export const rows = (before: Run, after: Run): ReadonlyArray<Row> => [
  ...after.checks.map((check) => checkRow(find(before.checks, check.what), check)),
  ...after.figures.map((figure) => figureRow(find(before.figures, figure.what), figure)),
  ...timeRows(before, after),
  ...goneRows(before, after)
]

const find = <A extends { readonly what: string }>(all: ReadonlyArray<A>, what: string): A | undefined =>
  all.find((one) => one.what === what)

const checkRow = (before: Check | undefined, after: Check): Row => ({
  what: `promise: ${after.what}`,
  before: before === undefined ? "–" : `${before.measured}${before.holds ? "" : ", broken"}`,
  after: `${after.measured}${after.holds ? "" : ", broken"}`,
  change: "",
  verdict: before === undefined ? "new" : before.holds === after.holds ? "same" : after.holds ? "better" : "worse"
})

const figureRow = (before: Figure | undefined, after: Figure): Row => ({
  what: after.what,
  before: before === undefined ? "–" : valueOf(before.value),
  after: valueOf(after.value),
  change: before === undefined ? "" : changeOf(before.value, after.value),
  verdict: before === undefined ? "new" : verdictOf(before.value, after)
})

/** `null` never came to that: no number is as bad. */
const verdictOf = (before: number | null, { better, slack, value }: Figure): Verdict => {
  if (before === null || value === null) return before === value ? "same" : before === null ? "better" : "worse"
  const change = value - before
  if (Math.abs(change) <= slack) return "same"
  if (better === "same") return "worse"
  return change > 0 === (better === "more") ? "better" : "worse"
}

/** More than half again on the same machine. Our choice: what else a machine does costs that much. */
const timeSlack = 0.5

const timeRows = ({ about: before }: Run, { about: after }: Run): ReadonlyArray<Row> => {
  if (before.machine !== after.machine) return []
  const slack = timeSlack * before.processorSeconds
  const figure: Figure = { what: "processor seconds", value: after.processorSeconds, better: "less", slack }
  return [figureRow({ ...figure, value: before.processorSeconds }, figure)]
}

const goneRows = (before: Run, after: Run): ReadonlyArray<Row> => {
  const gone = (what: string, before: string): Row => ({ what, before, after: "–", change: "", verdict: "gone" })
  return [
    ...before.checks
      .filter(({ what }) => find(after.checks, what) === undefined)
      .map(({ measured, what }) => gone(`promise: ${what}`, measured)),
    ...before.figures
      .filter(({ what }) => find(after.figures, what) === undefined)
      .map(({ value, what }) => gone(what, valueOf(value)))
  ]
}

const valueOf = (value: number | null): string => (value === null ? "never" : String(Number(value.toPrecision(5))))

const changeOf = (before: number | null, after: number | null): string => {
  if (before === null || after === null || before === after) return ""
  const change = after - before
  const sign = change > 0 ? "+" : "−"
  const share = before === 0 ? "" : ` (${sign}${Math.abs((100 * change) / before).toFixed(1)} %)`
  return `${sign}${valueOf(Math.abs(change))}${share}`
}

/** What differs, as a table; and how much does not. @since 0.1.0 */
export const text = (rows: ReadonlyArray<Row>): string => {
  const differing = rows.filter(({ after, before, verdict }) => verdict !== "same" || before !== after)
  const alike = `${rows.length - differing.length} of ${rows.length} are the same.`
  if (differing.length === 0) return alike
  return [
    ...Markdown.table(
      ["", "before", "after", "change", ""],
      differing.map(({ after, before, change, verdict, what }) => [
        what,
        before,
        after,
        change,
        verdict === "worse" ? "WORSE" : verdict === "same" ? "within slack" : verdict
      ])
    ),
    alike
  ].join("\n")
}

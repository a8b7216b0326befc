/**
 * Numbers and tables as people read them.
 *
 * @since 0.1.0
 */
import type { Kind } from "./Rows.ts"

/** Three digits that count. @since 0.1.0 */
export const number = (value: number): string => {
  if (!Number.isFinite(value)) return "–"
  if (value >= 1e6) return `${Number((value / 1e6).toPrecision(3))} M`
  if (value >= 1e4) return `${Number((value / 1e3).toPrecision(3))} k`
  if (value >= 100) return Math.round(value).toLocaleString("en")
  return String(Number(value.toPrecision(3)))
}

/** @since 0.1.0 */
export const ratio = (value: number): string => (Number.isFinite(value) ? `${value.toFixed(2)}×` : "–")

/** From microseconds. @since 0.1.0 */
export const time = (us: number): string => (us < 1000 ? `${number(us)} µs` : `${number(us / 1000)} ms`)

/** A round, on one line. @since 0.1.0 */
export const values = (kind: Kind, [first = Number.NaN, second = Number.NaN]: ReadonlyArray<number>): string => {
  switch (kind) {
    case "rate":
      return `${number(first)}/s`
    case "latency":
      return `p50 ${time(first)}, p99 ${time(second)}`
    case "bytes":
      return `${number(first)} bytes`
  }
}

/** A table of Markdown, aligned as the formatter has it; numbers, after the first column, to the right. @since 0.1.0 */
export const table = (
  head: ReadonlyArray<string>,
  body: ReadonlyArray<ReadonlyArray<string>>,
  hasNumbers: boolean = true
): string => {
  const widths = head.map((_, i) => Math.max(3, ...[head, ...body].map((row) => row[i]?.length ?? 0)))
  const isLeft = (i: number) => i === 0 || !hasNumbers
  const line = (cells: ReadonlyArray<string>) => `| ${cells.join(" | ")} |`
  const padded = (row: ReadonlyArray<string>) =>
    line(widths.map((width, i) => (isLeft(i) ? (row[i] ?? "").padEnd(width) : (row[i] ?? "").padStart(width))))
  const rule = widths.map((width, i) => (isLeft(i) ? "-".repeat(width) : `${"-".repeat(width - 1)}:`))
  return [padded(head), line(rule), ...body.map(padded)].join("\n")
}

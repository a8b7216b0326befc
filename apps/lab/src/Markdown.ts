/**
 * How the pages of the laboratory write tables and numbers.
 *
 * @since 0.1.0
 */

/** A table, its columns as wide as what stands in them. @since 0.1.0 */
export const table = (
  header: ReadonlyArray<string>,
  rows: ReadonlyArray<ReadonlyArray<string>>
): ReadonlyArray<string> => {
  const widths = header.map((title, column) =>
    Math.max(3, ...[title, ...rows.map((row) => row[column] ?? "")].map(lengthOf))
  )
  const line = (cells: ReadonlyArray<string>): string =>
    `| ${widths.map((width, column) => (cells[column] ?? "") + " ".repeat(width - lengthOf(cells[column] ?? ""))).join(" | ")} |`
  return [line(header), `| ${widths.map((width) => "-".repeat(width)).join(" | ")} |`, ...rows.map(line)]
}

const lengthOf = (text: string): number => [...text].length

/** @since 0.1.0 */
export const fixed = (value: number, digits: number): string => value.toFixed(digits)

/** With at most one digit after the point: 9,999 or 17.3. @since 0.1.0 */
export const count = (value: number): string => value.toLocaleString("en-US", { maximumFractionDigits: 1 })

/** A share; what is not quite all does not round up to all. @since 0.1.0 */
export const percentOf = (share: number): string =>
  `${(Math.floor(share * 10_000) / 100).toFixed(share === 1 ? 0 : 2)} %`

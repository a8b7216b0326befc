/**
 * Tables for people: columns as wide as they need, cut with `…` where the terminal is narrower, colour only where there
 * is a terminal, and never as the only carrier of a meaning.
 *
 * What stands in a cell may come from anywhere in the fleet, so control characters are made visible, not obeyed.
 *
 * @since 0.1.0
 */
import * as CliOutput from "effect/cli/CliOutput"

/** Where the output goes. @since 0.1.0 @category models */
export interface Screen {
  /** Columns; undefined: not a terminal, nothing is cut. */
  readonly width: number | undefined
  readonly color: boolean
}

/** @since 0.1.0 @category models */
export type Style = "good" | "bad" | "warn" | "faint" | "strong" | "plain"

/** @since 0.1.0 @category models */
export interface Column<Item> {
  readonly header: string
  readonly of: (item: Item) => string
  readonly style?: (item: Item) => Style
  readonly align?: "left" | "right"
  /** Not cut below this, while another column can still give. Default 6. */
  readonly min?: number
}

const codes: Readonly<Record<Style, string>> = {
  good: "\u001B[32m",
  bad: "\u001B[31m",
  warn: "\u001B[33m",
  faint: "\u001B[2m",
  strong: "\u001B[1m",
  plain: ""
}

/** @since 0.1.0 @category running */
export const paint = (screen: Screen, style: Style, text: string): string =>
  screen.color && style !== "plain" && text !== "" ? `${codes[style]}${text}\u001B[0m` : text

/** Control characters, and those that reorder or hide text, as visible escapes. @since 0.1.0 @category running */
export const plain = (text: string): string =>
  text.replaceAll(/[\p{Cc}\p{Bidi_Control}\u2028\u2029\uFEFF]/gu, (character) => {
    switch (character) {
      case "\n":
        return "\\n"
      case "\t":
        return "\\t"
      case "\r":
        return "\\r"
      default:
        return `\\u${(character.codePointAt(0) ?? 0).toString(16).padStart(4, "0")}`
    }
  })

const simple = /^[\u0020-\u007E]*$/

/** @since 0.1.0 @category running */
export const widthOf = (text: string): number => (simple.test(text) ? text.length : CliOutput.displayWidth(text))

/** At most `width` cells, the last one `…` when something was cut. @since 0.1.0 @category running */
export const cut = (text: string, width: number): string => {
  if (widthOf(text) <= width) return text
  if (width <= 0) return ""
  let out = ""
  let used = 0
  for (const { segment } of new Intl.Segmenter().segment(text)) {
    const next = widthOf(segment)
    if (used + next > width - 1) break
    out += segment
    used += next
  }
  return `${out}…`
}

const gap = 2

/**
 * One line for the headers and one for each item, without a newline at the end.
 *
 * @since 0.1.0
 * @category running
 */
export const render = <Item>(
  screen: Screen,
  columns: ReadonlyArray<Column<Item>>,
  items: ReadonlyArray<Item>
): string => {
  const rows = items.map((item) => columns.map((column) => plain(column.of(item))))
  const natural = columns.map((column, index) =>
    rows.reduce((most, row) => Math.max(most, widthOf(row[index] ?? "")), widthOf(column.header))
  )
  const widths = crop(
    fit(
      natural,
      columns.map(({ header, min = 6 }) => Math.max(min, Math.min(widthOf(header), 8))),
      screen.width === undefined ? undefined : screen.width - gap * (columns.length - 1)
    ),
    screen.width
  )
  const line = (cells: ReadonlyArray<string>, styleOf: (index: number) => Style): string => {
    const out: Array<string> = []
    for (const [index, width] of widths.entries()) {
      const text = cut(cells[index] ?? "", width)
      const padding = " ".repeat(Math.max(0, width - widthOf(text)))
      const painted = paint(screen, styleOf(index), text)
      out.push(columns[index]?.align === "right" ? padding + painted : painted + padding)
    }
    return out.join(" ".repeat(gap)).replace(/ +$/, "")
  }
  return [
    line(
      columns.map(({ header }) => header),
      () => "faint"
    ),
    ...rows.map((row, at) => {
      const item = items[at]
      return line(row, (index) => (item === undefined ? "plain" : (columns[index]?.style?.(item) ?? "plain")))
    })
  ].join("\n")
}

/** Takes cells from the widest column first, none below its minimum. */
const fit = (
  natural: ReadonlyArray<number>,
  minima: ReadonlyArray<number>,
  room: number | undefined
): ReadonlyArray<number> => {
  const widths = [...natural]
  if (room === undefined) return widths
  let excess = widths.reduce((sum, width) => sum + width, 0) - room
  while (excess > 0) {
    let widest = -1
    for (const [index, width] of widths.entries()) {
      if (width > (minima[index] ?? 0) && width > (widths[widest] ?? 0)) widest = index
    }
    if (widest === -1) return widths
    widths[widest] = (widths[widest] ?? 0) - 1
    excess -= 1
  }
  return widths
}

/** Where even the minima are too wide, the last columns go. */
const crop = (widths: ReadonlyArray<number>, room: number | undefined): ReadonlyArray<number> => {
  if (room === undefined) return widths
  const out: Array<number> = []
  let left = room
  for (const width of widths) {
    if (left <= 0) break
    out.push(Math.min(width, left))
    left -= width + gap
  }
  return out
}

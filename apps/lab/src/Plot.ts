/**
 * Line charts as SVG, drawn the same everywhere: fixed size, no script, no font but the reader's own.
 *
 * @since 0.1.0
 */

/** `y` null: nothing is known there, and the line has a gap. @since 0.1.0 @category models */
export interface Series {
  readonly name: string
  readonly points: ReadonlyArray<readonly [x: number, y: number | null]>
  /** Somebody else's figures: drawn dashed. */
  readonly isPublished?: boolean
}

/** @since 0.1.0 @category models */
export interface Plot {
  readonly title: string
  readonly x: string
  readonly y: string
  readonly series: ReadonlyArray<Series>
  /** Highest value of the vertical axis; the lowest is 0. */
  readonly yMax: number
  /** Marks of the horizontal axis; those of the points unless given. */
  readonly marks?: ReadonlyArray<number>
}

const height = 420
const [left, top, bottom] = [64, 44, 52]
const chartWidth = 476

/** Width of a letter of the legend, and what stands before the first. */
const [letter, beforeLegend] = [6.2, 50]

/** A line of more points than this is drawn without dots. */
const dotsMax = 40

/** Told apart also without colours red and green. (Okabe, Ito: "Color universal design", 2008.) */
const colours = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#f0e442"]

/** @since 0.1.0 */
export const svg = ({ marks: given, series, title, x, y, yMax }: Plot): string => {
  const right = Math.round(beforeLegend + letter * Math.max(...series.map(({ name }) => name.length)))
  const width = left + chartWidth + right
  const xs = series.flatMap(({ points }) => points.map(([at]) => at))
  const [from, to] = [Math.min(...xs), Math.max(...xs)]
  const atX = (value: number): number =>
    left + (to === from ? 0.5 : (value - from) / (to - from)) * (width - left - right)
  const atY = (value: number): number => height - bottom - (Math.min(value, yMax) / yMax) * (height - top - bottom)
  const text = (content: string, at: readonly [number, number], more = ""): string =>
    `<text x="${round(at[0])}" y="${round(at[1])}"${more}>${escape(content)}</text>`
  const grid = [0, 0.25, 0.5, 0.75, 1].map((share) => {
    const value = share * yMax
    const line = `<path d="M${left} ${round(atY(value))}H${width - right}" stroke="#ddd"/>`
    return line + text(label(value), [left - 8, atY(value) + 4], ' text-anchor="end"')
  })
  const marks = (given ?? [...new Set(xs)]).map((value) =>
    text(label(value), [atX(value), height - bottom + 18], ' text-anchor="middle"')
  )
  const lines = series.map(({ isPublished = false, name, points }, index) => {
    const colour = colours[index % colours.length]
    const drawn = points.flatMap(([at, value], i) => {
      if (value === null) return []
      const isFirst = i === 0 || points[i - 1]?.[1] === null
      return [`${isFirst ? "M" : "L"}${round(atX(at))} ${round(atY(value))}`]
    })
    const dash = isPublished ? ' stroke-dasharray="6 4"' : ""
    const dots = points.flatMap(([at, value]) =>
      value === null || points.length > dotsMax
        ? []
        : [`<circle cx="${round(atX(at))}" cy="${round(atY(value))}" r="3" fill="${colour}"/>`]
    )
    const row = top + 12 + 20 * index
    const legend = `<path d="M${width - right + 12} ${row}h24" stroke="${colour}" stroke-width="2"${dash}/>`
    return [
      `<path d="${drawn.join("")}" fill="none" stroke="${colour}" stroke-width="2"${dash}/>`,
      ...dots,
      legend,
      text(name, [width - right + 42, row + 4])
    ].join("")
  })
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="12">`,
    `<rect width="${width}" height="${height}" fill="#fff"/>`,
    text(title, [left, 24], ' font-size="15" font-weight="bold"'),
    text(x, [(left + width - right) / 2, height - 12], ' text-anchor="middle"'),
    text(
      y,
      [16, (top + height - bottom) / 2],
      ` text-anchor="middle" transform="rotate(-90 16 ${round((top + height - bottom) / 2)})"`
    ),
    ...grid,
    ...marks,
    ...lines,
    "</svg>",
    ""
  ].join("\n")
}

const round = (value: number): number => Math.round(value * 10) / 10

const label = (value: number): string => String(Math.round(value * 1000) / 1000)

const escape = (text: string): string => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;")

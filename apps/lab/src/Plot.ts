/**
 * Line charts as SVG, drawn the same everywhere: fixed size, no script, no font but the reader's own; and as PNG, for
 * pages that show no SVG.
 *
 * @since 0.1.0
 */
import { Resvg } from "@resvg/resvg-js"

/** `y` null: nothing is known there, and the line has a gap. @since 0.1.0 @category models */
export interface Series {
  readonly name: string
  readonly points: ReadonlyArray<readonly [x: number, y: number | null]>
  /** Somebody else's figures: drawn dashed, with open dots. */
  readonly isPublished?: boolean
  /** A line without dots: nothing was measured at its ends. */
  readonly isLevel?: boolean
}

/** @since 0.1.0 @category models */
export interface Plot {
  readonly title: string
  /** What the horizontal axis counts, with its unit. */
  readonly x: string
  readonly y: string
  readonly series: ReadonlyArray<Series>
  /** Highest value of the vertical axis, what lies above is drawn there; the lowest is 0. */
  readonly yMax: number
  /** The vertical axis is even up to this value and logarithmic beyond: for values of several magnitudes. */
  readonly yEven?: number
  /** Marks of the horizontal axis; those of the points unless given. */
  readonly marks?: ReadonlyArray<number>
}

const height = 420
const [left, top, bottom] = [72, 48, 56]
const chartWidth = 476

/** Width of a letter of the legend, and what stands before the first. */
const [letter, beforeLegend] = [6.8, 50]

/** A line of more points than this is drawn without dots. */
const dotsMax = 60

/** Told apart also without colours red and green. (Okabe, Ito: "Color universal design", 2008.) */
const colours = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#f0e442"]

interface Frame {
  readonly right: number
  readonly width: number
  readonly atX: (value: number) => number
  readonly atY: (value: number) => number
}

/** A reference that is the same everywhere, as a dashed line. @since 0.1.0 @category constructors */
export const level = (name: string, value: number, xs: ReadonlyArray<number>): Series => ({
  name,
  points: [Math.min(...xs), Math.max(...xs)].map((x) => [x, value] as const),
  isPublished: true,
  isLevel: true
})

/** @since 0.1.0 */
export const svg = (plot: Plot): string => {
  const frame = frameOf(plot)
  const { width } = frame
  const middle = (top + height - bottom) / 2
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="12">`,
    `<rect width="${width}" height="${height}" fill="#fff"/>`,
    text(plot.title, [left, 26], ' font-size="15" font-weight="bold"'),
    text(plot.x, [left + chartWidth / 2, height - 14], ' text-anchor="middle"'),
    text(plot.y, [16, middle], ` text-anchor="middle" transform="rotate(-90 16 ${round(middle)})"`),
    ...gridOf(plot, frame),
    ...marksOf(plot, frame),
    ...plot.series.map((series, index) => lineOf(frame, series, index)),
    "</svg>",
    ""
  ].join("\n")
}

const frameOf = ({ marks = [], series, yEven, yMax }: Plot): Frame => {
  const right = Math.round(beforeLegend + letter * Math.max(...series.map(({ name }) => name.length)))
  const xs = [...marks, ...series.flatMap(({ points }) => points.map(([at]) => at))]
  const [from, to] = [Math.min(...xs), Math.max(...xs)]
  const scaled = (value: number): number => (yEven === undefined ? value : Math.log1p(value / yEven))
  return {
    right,
    width: left + chartWidth + right,
    atX: (value) => left + (to === from ? 0.5 : (value - from) / (to - from)) * chartWidth,
    atY: (value) => height - bottom - (scaled(Math.min(value, yMax)) / scaled(yMax)) * (height - top - bottom)
  }
}

const gridOf = ({ yEven, yMax }: Plot, { atY }: Frame): ReadonlyArray<string> => {
  const values = yEven === undefined ? even(yMax) : magnitudes(yEven, yMax)
  return values.map((value) => {
    const line = `<path d="M${left} ${round(atY(value))}h${chartWidth}" stroke="${value === 0 ? "#888" : "#ddd"}"/>`
    return line + text(label(value), [left - 8, atY(value) + 4], ' text-anchor="end"')
  })
}

/** In so many parts that the values between are short to say, if there are such. */
const even = (to: number): ReadonlyArray<number> => {
  const parts = [4, 6, 5, 3].find((count) => isShort(to / count)) ?? 4
  return Array.from({ length: parts + 1 }, (_, part) => (part * to) / parts)
}

const isShort = (step: number): boolean => ["1", "2", "25", "5"].includes(String(step).replaceAll(/^[0.]+|\.|0+$/g, ""))

/** 0, then 1, 2 and 5 of each magnitude, or 1 alone if there are many. */
const magnitudes = (from: number, to: number): ReadonlyArray<number> => {
  const steps = to / from > 200 ? [1] : [1, 2, 5]
  const values = [0]
  for (let unit = from; unit <= to; unit *= 10) values.push(...steps.map((step) => step * unit))
  return values.filter((value) => value <= to)
}

const marksOf = ({ marks, series }: Plot, { atX }: Frame): ReadonlyArray<string> => {
  const xs = new Set(series.flatMap(({ points }) => points.map(([at]) => at)))
  return (marks ?? [...xs]).map((value) => {
    const x = atX(value)
    return `<path d="M${round(x)} ${height - bottom}v5" stroke="#888"/>${text(label(value), [x, height - bottom + 19], ' text-anchor="middle"')}`
  })
}

const lineOf = ({ atX, atY, right, width }: Frame, series: Series, index: number): string => {
  const { isLevel = false, isPublished = false, name, points } = series
  // Lines that lie on each other all show: the later ones are thinner.
  const weight = isPublished ? 1.5 : Math.max(1.5, 4 - 0.8 * index)
  const colour = colours[index % colours.length] as string
  const drawn = points.flatMap(([at, value], i) => {
    if (value === null) return []
    const isFirst = i === 0 || points[i - 1]?.[1] === null
    return [`${isFirst ? "M" : "L"}${round(atX(at))} ${round(atY(value))}`]
  })
  const stroke = `stroke="${colour}" stroke-width="${round(weight)}"${isPublished ? ' stroke-dasharray="6 4"' : ""}`
  const dot = isPublished ? `fill="#fff" stroke="${colour}" stroke-width="1.5"` : `fill="${colour}"`
  const dots = points.flatMap(([at, value]) =>
    value === null || isLevel || points.length > dotsMax
      ? []
      : [`<circle cx="${round(atX(at))}" cy="${round(atY(value))}" r="${round(isPublished ? 3 : weight + 1)}" ${dot}/>`]
  )
  const row = top + 12 + 20 * index
  return [
    `<path d="${drawn.join("")}" fill="none" ${stroke}/>`,
    ...dots,
    `<path d="M${width - right + 12} ${row}h24" ${stroke}/>`,
    text(name, [width - right + 42, row + 4])
  ].join("")
}

const text = (content: string, at: readonly [number, number], more = ""): string =>
  `<text x="${round(at[0])}" y="${round(at[1])}"${more}>${escape(content)}</text>`

const round = (value: number): number => Math.round(value * 10) / 10

const label = (value: number): string =>
  value >= 10_000 ? value.toLocaleString("en-US") : String(Number(value.toPrecision(3)))

const escape = (text: string): string => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;")

// --- PNG -------------------------------------------------------------------------------------------------------------

/** Twice the size of the SVG, for screens that have so many points. */
const pngZoom = 2

/** Undefined on a machine without fonts: a chart without its words says nothing. @since 0.1.0 */
export const png = (plot: Plot): Uint8Array | undefined => {
  if (!hasFonts()) return undefined
  return new Resvg(svg(plot), { fitTo: { mode: "zoom", value: pngZoom }, font }).render().asPng()
}

/** The same face wherever it is installed: it is the one that Linux brings. */
const font = { loadSystemFonts: true, defaultFontFamily: "DejaVu Sans", sansSerifFamily: "DejaVu Sans" }

/** Text that no font can draw takes no room. */
const hasFonts = (): boolean => {
  const sample = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9" font-family="sans-serif">${text("n", [0, 9])}</svg>`
  return new Resvg(sample, { font }).getBBox() !== undefined
}

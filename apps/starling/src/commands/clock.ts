/**
 * `clock`: what the clock of a node is worth beside those of the fleet, and the reset of the epoch.
 *
 * @since 0.1.0
 */
import * as Stamp from "@starling/clock/Stamp"
import type { Document } from "@starling/fleet"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Root from "../root.ts"
import * as Table from "../output/Table.ts"

type Clock = Document.ClockDocument

/** @since 0.1.0 @category rendering */
export const clockText = (screen: Table.Screen, { items }: Document.Answer<Clock>): string =>
  items.map((item) => oneText(screen, item)).join("\n\n")

const oneText = (screen: Table.Screen, clock: Clock): string => {
  const lines: Array<readonly [string, string]> = [
    ["state", Table.paint(screen, styleOf(clock), meaning(clock))],
    ["epoch", `${clock.epoch}${clock.policy === "accept" ? ", stamps of any time are followed" : ""}`],
    ["own clock", `${clock.wall ?? "none"}${clock.offsetMs === null ? "" : `, ${offsetText(clock.offsetMs)}`}`],
    ["fleet's time", fleetText(clock)],
    ["high water", clock.highWater ?? "none"],
    ["refused", clock.lastRefused === null ? String(clock.refused) : `${clock.refused}, the last: ${clock.lastRefused}`]
  ]
  if (clock.held > 0) lines.push(["waiting", `${clock.held} requests, until the time is known`])
  const heard = clock.histogram.reduce((sum, { count }) => sum + count, 0)
  return [
    ...lines.map(([name, value]) => `${Table.paint(screen, "faint", name.padEnd(12))}  ${value}`),
    "",
    heard === 0
      ? Table.paint(screen, "faint", "no other clock was heard of lately")
      : histogramText(screen, clock, heard),
    ...clock.outliers.map(({ node, offsetMs }) => Table.paint(screen, "warn", `${node}: ${offsetText(offsetMs)}`)),
    "",
    Table.paint(screen, "faint", `the clock of ${clock.node}; offsets are to the fleet's time`)
  ].join("\n")
}

const fleetText = ({ need, population, state, votes }: Clock): string =>
  state === "own" ? "not asked" : (population ?? `not settled: ${votes} clocks heard, ${need} needed`)

const styleOf = ({ state }: Clock): Table.Style =>
  state === "ok" || state === "own" ? "good" : state === "probation" ? "faint" : "warn"

const meaning = (clock: Clock): string => {
  const poisoned =
    clock.poisonedMs === null
      ? ""
      : `; its stamps lie ${spanText(clock.poisonedMs)} beyond the guard: starling clock reset`
  switch (clock.state) {
    case "probation":
      return `probation: nobody knows yet what time it is${poisoned}`
    case "ok":
      return `ok: stamps follow the own clock${clock.settled ? "" : ", though the fleet's clocks do not agree with it just now"}${poisoned}`
    case "degraded":
      return `degraded: the own clock is ahead; stamps follow the fleet's time${poisoned}`
    case "behind":
      return `behind: the own clock is behind; stamps follow the fleet's time${poisoned}`
    case "clockless":
      return `clockless: stamps follow the fleet's time${poisoned}`
    case "own":
      return "own: stamps follow the own clock, and the fleet is not asked"
  }
}

/** One line for each step that holds a clock, and for the middle. */
const histogramText = (screen: Table.Screen, { histogram }: Clock, heard: number): string => {
  const barMax = 30
  const rows = histogram.filter(({ count, fromMs }) => count > 0 || fromMs === -25)
  return [
    Table.paint(screen, "faint", `${heard} other clocks, by how far they are ahead`),
    ...rows.map(({ count, fromMs, toMs }) => {
      const bar = "█".repeat(count === 0 ? 0 : Math.max(1, Math.round((count / heard) * barMax)))
      const isFine = fromMs !== null && toMs !== null && fromMs >= -250 && toMs <= 250
      return `${rangeText(fromMs, toMs).padStart(20)}  ${Table.paint(screen, isFine ? "good" : "warn", bar.padEnd(barMax))}  ${count}`
    })
  ].join("\n")
}

const rangeText = (fromMs: number | null, toMs: number | null): string =>
  fromMs === null
    ? `under ${signed(toMs ?? 0)}`
    : toMs === null
      ? `${signed(fromMs)} and more`
      : `${signed(fromMs)} to ${signed(toMs)}`

const signed = (ms: number): string => `${ms < 0 ? "-" : "+"}${spanText(Math.abs(ms))}`

const spanText = (ms: number): string =>
  ms < 1000
    ? `${Math.round(ms)} ms`
    : ms < 60_000
      ? `${round(ms / 1000)} s`
      : ms < 3_600_000
        ? `${round(ms / 60_000)} min`
        : `${round(ms / 3_600_000)} h`

const round = (value: number): string => String(Math.round(value * 10) / 10)

const offsetText = (ms: number): string =>
  Math.abs(ms) < 1 ? "right to the millisecond" : `${spanText(Math.abs(ms))} ${ms > 0 ? "ahead" : "behind"}`

const reset = Command.make(
  "reset",
  {
    time: Flag.String("time").pipe(
      Flag.withMetavar("ISO8601"),
      Flag.filterMap(
        (text) => Option.fromUndefinedOr(Stamp.parseIso(text)),
        (text) => `Expected a time such as 2024-06-14T13:40:00.000Z, got ${JSON.stringify(text)}`
      ),
      Flag.withDescription(
        "What to begin the new epoch with, at the latest some seconds after the time that the node stamps by; default: the fleet's time, which must be settled"
      ),
      Flag.optional
    )
  },
  ({ time }) =>
    Effect.gen(function* () {
      const answer = yield* Root.ask((client) =>
        Effect.flatMap(client.clock, ({ items }) =>
          client.resetClock(items[0]?.epoch ?? 0, Option.getOrUndefined(time))
        )
      )
      yield* Root.print(
        answer,
        ({ ...screen }) =>
          `epoch ${answer.items[0]?.epoch ?? "?"} has begun; every stamp of it sorts after all before\n\n${clockText(screen, answer)}`
      )
    })
).pipe(
  Command.withDescription(
    "Begins the next epoch with the fleet's time: for a fleet whose stamps have run ahead. Mend the clocks first"
  )
)

/** @since 0.1.0 @category commands */
export const clock = Command.make("clock", {}, () =>
  Effect.gen(function* () {
    const answer = yield* Root.ask((client) => client.clock)
    yield* Root.print(answer, (screen) => clockText(screen, answer))
  })
).pipe(
  Command.withDescription("This node's clock against those of the fleet: offset, state, epoch, refusals, distribution"),
  Command.withSubcommands([reset])
)

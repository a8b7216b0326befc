/**
 * What a person sees while a demo runs: each step as it ends, and, while a long one goes on, what it is doing.
 *
 * On a terminal that is one line, rewritten; elsewhere a line is printed once a step has taken a second.
 */
import * as Clock from "effect/Clock"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import type * as Terminal from "effect/Terminal"
import * as Table from "../output/Table.ts"

/** A step as it is printed. */
export interface Step {
  readonly step: string
  readonly ok: boolean
  /** This fleet is too small for it; `text` says why. */
  readonly skipped?: true
  readonly text: string
  readonly value: number
  readonly unit: "ms"
}

/** Who is told how the demo goes. */
export interface Report {
  readonly begin: (step: string, doing: string) => Effect.Effect<void>
  readonly end: (step: Step) => Effect.Effect<void>
}

const markWidth = 4
const stepWidth = 16
const valueWidth = 9
const textColumn = markWidth + stepWidth + valueWidth + 2

/** A step's text is not squeezed into less than this. */
const textWidthMin = 24

/** Prints to `terminal` while the scope lasts. */
export const text = Effect.fnUntraced(function* (
  terminal: Terminal.Terminal,
  screen: Table.Screen,
  isTerminal: boolean
): Effect.fn.Return<Report, never, Scope.Scope> {
  let current: Fiber.Fiber<void> | undefined
  const scope = yield* Effect.scope
  const display = (line: string): Effect.Effect<void> => Effect.ignore(terminal.display(line))
  const clear = isTerminal ? display("\r\u001B[2K") : Effect.void
  const stop = Effect.suspend(() => {
    const fiber = current
    current = undefined
    return fiber === undefined ? Effect.void : Effect.andThen(Fiber.interrupt(fiber), clear)
  })
  yield* Effect.addFinalizer(() => stop)
  const going = Effect.fnUntraced(function* (step: string, doing: string) {
    const from = yield* Clock.currentTimeMillis
    if (!isTerminal) {
      yield* Effect.sleep("1 second")
      return yield* Console.log(`  … ${step.padEnd(stepWidth)}${"".padStart(valueWidth)}  ${doing}`)
    }
    for (;;) {
      const seconds = Math.floor(((yield* Clock.currentTimeMillis) - from) / 1000)
      const line = `  … ${step.padEnd(stepWidth)}${`${seconds} s`.padStart(valueWidth)}  ${doing}`
      yield* display(`\r\u001B[2K${Table.paint(screen, "faint", Table.cut(line, (screen.width ?? 80) - 1))}`)
      yield* Effect.sleep("500 millis")
    }
  })
  return {
    begin: (step, doing) =>
      Effect.andThen(
        stop,
        Effect.map(Effect.forkIn(going(step, doing), scope, { startImmediately: true }), (fiber) => {
          current = fiber
        })
      ),
    end: (step) => Effect.andThen(stop, Console.log(lineOf(screen, step)))
  }
})

/** One step for people, wrapped to the screen's width. */
export const lineOf = (screen: Table.Screen, { ok, skipped, step, text, unit, value }: Step): string => {
  const mark = skipped === true ? "–" : ok ? "✓" : "✗"
  const style = skipped === true ? "faint" : ok ? "good" : "bad"
  const measured = ok && skipped !== true ? `${value} ${unit}` : ""
  const lines = text.split("\n").flatMap((line) => wrap(line, screen.width))
  const head = `  ${Table.paint(screen, style, mark)} ${step.padEnd(stepWidth)}${measured.padStart(valueWidth)}  `
  return head + lines.join(`\n${" ".repeat(textColumn)}`)
}

const wrap = (text: string, width: number | undefined): ReadonlyArray<string> => {
  if (width === undefined) return [text]
  const room = Math.max(textWidthMin, width - textColumn)
  const lines: Array<string> = []
  let line = ""
  for (const word of text.split(" ")) {
    const longer = line === "" ? word : `${line} ${word}`
    if (line !== "" && Table.widthOf(longer) > room) {
      lines.push(line)
      line = word
    } else line = longer
  }
  return [...lines, line]
}

/**
 * `lab run`: one seed of one scenario, with what is broken and what was measured. Once that is said, what is broken is made small
 * and kept as a file of `test/regressions/`.
 *
 * @since 0.1.0
 */
import { Scenarios } from "@starling/testing"
import * as Clock from "effect/Clock"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { exitCodes, Failure, foundBroken } from "../Failure.ts"
import * as Keep from "../hunt/Keep.ts"
import * as Runner from "../hunt/Runner.ts"
import * as Options from "../options.ts"
import type * as Runs from "../Runs.ts"

/** More does not end within a night. Our choice. */
const minutesMax = 1000

/** In minutes. */
const shrinkDefault = Runner.shrinkMs / 60_000

/** @since 0.1.0 @category commands */
export const run = Command.make(
  "run",
  {
    scenario: Options.scenario,
    seed: Flag.Int("seed").pipe(
      Flag.withMetavar("S"),
      Flag.withDescription("The same seed gives the same history to the last event"),
      Flag.filter(Options.isSeed, (seed) => `Expected --seed from 0 on, got ${seed}`)
    ),
    size: Options.size,
    minutes: Flag.Finite("minutes").pipe(
      Flag.withMetavar("M"),
      Flag.withDescription("How long faults go on, in virtual time, where the scenario leaves it open"),
      Flag.filter(
        (minutes) => minutes > 0 && minutes <= minutesMax,
        (minutes) => `Expected --minutes above 0 and up to ${minutesMax}, such as 0.5 or 10, got ${minutes}`
      ),
      Flag.optional
    ),
    shrink: Flag.Finite("shrink").pipe(
      Flag.withMetavar("M"),
      Flag.withDescription(
        `Minutes that are then spent on making small what fails, to be kept; 0 for none. Default ${shrinkDefault}`
      ),
      Flag.filter(
        (minutes) => minutes >= 0 && minutes <= minutesMax,
        (minutes) => `Expected --shrink from 0 to ${minutesMax}, such as 0.5 or 10, got ${minutes}`
      ),
      Flag.withDefault(shrinkDefault)
    ),
    keep: Options.keep,
    json: Options.json
  },
  Effect.fnUntraced(function* ({ json, keep, minutes, scenario, seed, shrink, size }) {
    if (Option.isSome(minutes) && scenario.minutes === undefined) {
      const open = Scenarios.all.filter((other) => other.minutes !== undefined).map(({ name }) => name)
      const message = `${scenario.name} has a length of its own; --minutes is for ${open.join(", ")}`
      return yield* new Failure({ code: exitCodes.usage, message })
    }
    const order: Runs.Order = {
      scenario: scenario.name,
      seed,
      size: Option.getOrElse(size, () => scenario.size),
      ...(Option.isSome(minutes) ? { minutes: minutes.value } : {})
    }
    return yield* Effect.scoped(runAndShrink(order, { json, directory: keep, forMs: shrink * 60_000 }))
  })
).pipe(Command.withDescription("One seed: what is broken and what was measured; what is broken is then made small"))

const runAndShrink = Effect.fnUntraced(function* (
  order: Runs.Order,
  { directory, forMs, json }: { readonly json: boolean; readonly directory: string; readonly forMs: number }
) {
  const progress = { doing: "under way" }
  yield* Effect.forkScoped(waiting(order, progress))
  const runner = yield* Runner.make()
  // Two hundred agents for ten minutes take an hour: it has its time.
  const run = yield* runner.run(order)
  const failing = run.broken.length > 0
  if (failing) foundBroken()
  const replay = Options.replay(order.scenario, order.seed, order.size, order.minutes)
  // Said before anything is made small: that takes its time, and whoever interrupts it has the result.
  yield* Console.log(
    json
      ? JSON.stringify({ ...run, ...(failing ? { replay } : {}) }, undefined, 2)
      : [textOf(run), ...(failing ? [`replay: ${replay}`] : [])].join("\n")
  )
  if (!failing) return
  if (forMs > 0) {
    const shrinking = `broken, shrinking for up to ${forMs / 60_000} min`
    progress.doing = shrinking
    yield* Keep.shrunk({ directory, by: "lab run" }, runner, run, {
      forMs,
      onSmaller: (smaller) => (progress.doing = `${shrinking}: ${Keep.sizeOf(smaller)}`),
      // The one JSON document stands on standard output already.
      onKept: ({ text }) => (json ? Console.error(text) : Console.log(text))
    })
  }
  return yield* new Failure({ code: exitCodes.findings, message: "" })
})

/** A run says nothing of itself before its end: that it goes on, every so often. */
const waiting = ({ scenario, seed, size }: Runs.Order, progress: { readonly doing: string }): Effect.Effect<never> =>
  Effect.flatMap(Clock.currentTimeMillis, (begin) =>
    Options.tellProgress(
      Effect.flatMap(Clock.currentTimeMillis, (now) => {
        const seconds = Math.round((now - begin) / 1000)
        return Console.error(`${seconds} s · ${scenario} · seed ${seed} · ${size} members · ${progress.doing}`)
      })
    )
  )

const textOf = (run: Runs.Run): string => {
  const failing = run.broken.length > 0
  const values: ReadonlyArray<readonly [string, string]> = [
    ["virtual time", `${run.virtualMs / 1000} s`],
    ["real time", `${run.realMs / 1000} s`],
    ["memory", `${run.memoryMib} MiB`],
    ["history", run.history],
    ...Object.entries(run.measured).map(([name, value]) => [name, String(value)] as const)
  ]
  const width = Math.max(...values.map(([name]) => name.length))
  return [
    `${run.scenario} · seed ${run.seed} · ${run.size} members: ${failing ? `${run.broken.length} broken` : "nothing broken"}`,
    ...run.broken.map((broken) => `  broken: ${broken}`),
    ...values.map(([name, value]) => `  ${name.padEnd(width)}  ${value}`)
  ].join("\n")
}

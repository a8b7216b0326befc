/**
 * `lab run`: one seed of one scenario, with what is broken and what was measured. What is broken is made small and kept as a
 * file of `test/regressions/`.
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
import { exitCodes, Failure } from "../Failure.ts"
import * as Options from "../options.ts"
import * as Keep from "../hunt/Keep.ts"
import * as Thread from "../hunt/Thread.ts"
import type * as Runs from "../Runs.ts"
import * as SoakLog from "../SoakLog.ts"

/** More does not end within a night. Our choice. */
const minutesMax = 1000

/** In minutes. */
const shrinkDefault = Thread.shrinkMs / 60_000

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
        `Minutes that are spent on making small what fails, to be kept in test/regressions/; 0 for none. Default ${shrinkDefault}`
      ),
      Flag.filter(
        (minutes) => minutes >= 0 && minutes <= minutesMax,
        (minutes) => `Expected --shrink from 0 to ${minutesMax}, such as 0.5 or 10, got ${minutes}`
      ),
      Flag.withDefault(shrinkDefault)
    ),
    json: Options.json
  },
  Effect.fnUntraced(function* ({ json, minutes, scenario, seed, shrink, size }) {
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
    const replay = Options.replay(order.scenario, seed, order.size, order.minutes)
    const { regression, result } = yield* Effect.scoped(runOf(order, shrink * 60_000, replay))
    const failing = result.broken.length > 0
    yield* Console.log(
      json
        ? JSON.stringify({ ...result, ...(failing ? { replay } : {}) }, undefined, 2)
        : [textOf(result), ...(failing ? [`replay: ${replay}`] : [])].join("\n")
    )
    if (regression !== undefined && shrink > 0) {
      const kept = yield* Keep.keep(SoakLog.regressions, "lab run", order, regression)
      yield* Console.error(kept.text)
    }
    if (failing) return yield* new Failure({ code: exitCodes.findings, message: "" })
  })
).pipe(Command.withDescription("One seed: what is broken, made small, and what was measured"))

const runOf = Effect.fnUntraced(function* (order: Runs.Order, shrinkMs: number, replay: string) {
  const thread = yield* Thread.make
  const progress = { doing: "under way" }
  yield* Effect.forkScoped(waiting(order, progress))
  const ran: Array<Runs.Run> = []
  // Two hundred agents for ten minutes take an hour.
  const regression = yield* thread.run(order, { runMs: Infinity, shrinkMs }, (run) => {
    ran.push(run)
    if (run.broken.length === 0) return
    // Said at once: making it small takes its time.
    progress.doing = `broken, shrinking for up to ${shrinkMs / 60_000} min; replay: ${replay}`
  })
  const [result] = ran
  if (result === undefined) return yield* Effect.die(new Error("a thread answers each order"))
  return { regression, result }
})

/** A run says nothing of itself before its end: that it goes on, every so often. */
const waiting = ({ scenario, seed, size }: Runs.Order, progress: { readonly doing: string }): Effect.Effect<never> =>
  Effect.gen(function* () {
    const begin = yield* Clock.currentTimeMillis
    while (true) {
      yield* Effect.sleep(waitingEvery)
      const seconds = ((yield* Clock.currentTimeMillis) - begin) / 1000
      yield* Console.error(`${seconds.toFixed(0)} s · ${scenario} · seed ${seed} · ${size} members · ${progress.doing}`)
    }
  })

/** Our choice, as of a soak: less than the five seconds that are promised. */
const waitingEvery = "4 seconds"

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

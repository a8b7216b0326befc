/**
 * `lab hunt`: seed after seed over all scenarios and all faults, on every core, until the time is up. What it finds it makes
 * small and keeps as a file of `test/regressions/`, and one line in `docs/results/soak.jsonl` says what was run.
 *
 * @since 0.1.0
 */
import { Scenarios } from "@starling/testing"
import * as Clock from "effect/Clock"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import { exitCodes, Failure, foundBroken } from "../Failure.ts"
import * as Keep from "../hunt/Keep.ts"
import * as Prey from "../hunt/Prey.ts"
import * as Runner from "../hunt/Runner.ts"
import * as Options from "../options.ts"
import type * as Runs from "../Runs.ts"
import * as SoakLog from "../SoakLog.ts"

/** How long a hunt takes if nothing is said. Our choice. */
const minutesDefault = 5

/** A run that takes longer has hung. Our choice. */
const runMs = 10 * 60_000

/** After so many findings a hunt ends: one mistake is found again and again. Our choice. */
const findingsMax = 10

/** @since 0.1.0 @category commands */
export const hunt = Command.make(
  "hunt",
  {
    minutes: Flag.Finite("minutes").pipe(
      Flag.withMetavar("M"),
      Flag.withDescription(`How long; default ${minutesDefault}`),
      Flag.filter(
        (minutes) => minutes > 0 && minutes <= 100_000,
        (minutes) => `Expected --minutes above 0, such as 0.5 or 30, got ${minutes}`
      ),
      Flag.withDefault(minutesDefault)
    ),
    seed: Flag.Int("seed").pipe(
      Flag.withMetavar("S"),
      Flag.withDescription("The first seed, the others follow; default: drawn"),
      Flag.filter(Options.isSeed, (seed) => `Expected --seed from 0 on, got ${seed}`),
      Flag.optional
    ),
    cores: Flag.Int("cores").pipe(
      Flag.withMetavar("N"),
      Flag.withDescription(`Threads; default ${SoakLog.machine.cores}, one for each core`),
      Flag.filter(
        (cores) => cores >= 1 && cores <= 256,
        (cores) => `Expected --cores from 1 to 256, got ${cores}`
      ),
      Flag.withDefault(SoakLog.machine.cores)
    ),
    keep: Options.keep,
    json: Options.json
  },
  Effect.fnUntraced(function* ({ cores, json, keep, minutes, seed }) {
    const first = Option.isSome(seed) ? seed.value : yield* Random.nextIntBetween(0, 2 ** 31)
    const revision = yield* SoakLog.revision(Scenarios.all)
    const bag = makeBag(first, yield* Clock.currentTimeMillis)
    yield* Console.error(`lab: a hunt of ${minutes} min from seed ${first}, on ${cores} cores, code ${revision.code}`)
    yield* Effect.scoped(search(bag, { by: "lab hunt", directory: keep }, minutes * 60_000, cores)).pipe(
      // Whatever ends the hunt, Ctrl-C included: what was run is recorded.
      Effect.onExit((exit) => record(bag, revision, json, Exit.isFailure(exit)))
    )
    if (bag.failing.length > 0) return yield* new Failure({ code: exitCodes.findings, message: "" })
  })
).pipe(
  Command.withDescription(
    "Random seeds over all scenarios and faults; what fails is shrunk and kept in test/regressions/"
  )
)

/** What a hunt has so far. Mutable: it belongs to one command. */
interface Bag {
  readonly first: number
  readonly begin: number
  readonly ended: Map<number, Runs.Run>
  readonly failing: Array<Runs.Run>
  readonly kept: Array<Keep.Kept>
  readonly underWay: Map<number, string>
  next: number
}

const makeBag = (first: number, begin: number): Bag => ({
  first,
  begin,
  ended: new Map(),
  failing: [],
  kept: [],
  underWay: new Map(),
  next: first
})

const search = Effect.fnUntraced(function* (bag: Bag, keeper: Keep.Keeper, forMs: number, cores: number) {
  yield* Effect.forkScoped(Options.tellProgress(showProgress(bag)))
  yield* Effect.forEach(
    Array.from({ length: cores }),
    () => Effect.scoped(Effect.flatMap(Runner.make(), (runner) => searchOn(runner, bag, keeper, forMs))),
    { concurrency: "unbounded", discard: true }
  )
})

const searchOn = Effect.fnUntraced(function* (runner: Runner.Runner, bag: Bag, keeper: Keep.Keeper, forMs: number) {
  for (;;) {
    const now = yield* Clock.currentTimeMillis
    if (now - bag.begin >= forMs || bag.failing.length >= findingsMax) return
    const order = Prey.of(bag.next++)
    bag.underWay.set(order.seed, order.scenario)
    const run = yield* runner.run(order, runMs)
    bag.ended.set(run.seed, run)
    if (run.broken.length > 0) {
      bag.failing.push(run)
      foundBroken()
      const replay = Options.replay(run.scenario, run.seed, run.size)
      yield* Console.error(`found: ${run.broken[0]?.split("\n", 1)[0]}\n  replay: ${replay}`)
      yield* shrinkAndKeep(runner, bag, keeper, run)
    }
    bag.underWay.delete(order.seed)
  }
})

const shrinkAndKeep = (runner: Runner.Runner, bag: Bag, keeper: Keep.Keeper, run: Runs.Run) => {
  const shrinking = `${run.scenario}, shrinking`
  bag.underWay.set(run.seed, shrinking)
  return Keep.shrunk(keeper, runner, run, {
    forMs: Runner.shrinkMs,
    onSmaller: (smaller) => bag.underWay.set(run.seed, `${shrinking}: ${Keep.sizeOf(smaller)}`),
    onKept: (kept) => {
      bag.kept.push(kept)
      return Console.error(kept.text)
    }
  })
}

// ---------------------------------------------------------------------------------------------------------------------
// What is said
// ---------------------------------------------------------------------------------------------------------------------

const showProgress = Effect.fnUntraced(function* (bag: Bag) {
  const seconds = ((yield* Clock.currentTimeMillis) - bag.begin) / 1000
  const underWay = [...bag.underWay].map(([seed, what]) => `${seed} (${what})`)
  yield* Console.error(
    [
      `${Math.round(seconds)} s`,
      `${bag.ended.size} seeds`,
      `${bag.failing.length} failing`,
      `${SoakLog.virtualSeconds(bag.ended.values())} s virtual`,
      ...(underWay.length === 0 ? [] : [`under way: ${underWay.join(", ")}`])
    ].join(" · ")
  )
})

const record = Effect.fnUntraced(function* (bag: Bag, revision: SoakLog.Revision, json: boolean, interrupted: boolean) {
  const runs = SoakLog.claimed(bag.first, bag.ended)
  if (runs.length === 0) return yield* Console.error(`lab: seed ${bag.first} did not end; nothing is recorded`)
  const now = yield* Clock.currentTimeMillis
  const failing = runs.filter(({ broken }) => broken.length > 0)
  const line = SoakLog.lineOf(
    // Every seed has a size of its own.
    { scenario: "hunt", size: 0, revision, begin: bag.begin, now, runs },
    failing.map(({ broken, scenario, seed, size }) => ({
      seed,
      broken: [`${scenario} of ${size}`, ...broken.slice(0, SoakLog.brokenMax)]
    }))
  )
  yield* SoakLog.append(line)
  const by = Map.groupBy(runs, ({ scenario }) => scenario)
  const each = [...by].map(([scenario, runs]) => ({
    scenario,
    runs: runs.length,
    virtualSeconds: SoakLog.virtualSeconds(runs)
  }))
  yield* Console.log(
    json
      ? JSON.stringify({ ...line, scenarios: each, regressions: bag.kept.map(({ name }) => name) }, undefined, 2)
      : [
          `hunt · seeds ${line.first}..${line.last}${interrupted ? ", interrupted" : ""}: ` +
            `${line.runs} runs, ${line.virtualSeconds} s virtual in ${line.realSeconds} s, ${line.failing} failing`,
          ...each.map((one) => `  ${one.scenario}: ${one.runs} runs, ${one.virtualSeconds} s virtual`),
          ...bag.failing.map(({ scenario, seed, size }) => `replay: ${Options.replay(scenario, seed, size)}`),
          ...bag.kept.map(({ replay }) => `replay: ${replay}`),
          "recorded in docs/results/soak.jsonl"
        ].join("\n")
  )
})

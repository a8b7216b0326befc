/**
 * `lab soak`: seed after seed on every core, for a time or to a last seed, and one line in `docs/results/soak.jsonl`.
 *
 * @since 0.1.0
 */
import type { Scenarios } from "@starling/testing"
import * as Clock from "effect/Clock"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import { exitCodes, Failure, foundBroken } from "../Failure.ts"
import * as Runner from "../hunt/Runner.ts"
import * as Options from "../options.ts"
import * as Runs from "../Runs.ts"
import * as SoakLog from "../SoakLog.ts"

/** How long a soak takes if nothing is said. Our choice. */
const minutesDefault = 5

/** When the time is up, seeds under way may still end; one that takes longer than this is a finding. Our choice. */
const overtimeMs = 5 * 60_000

/** Failing seeds that a line keeps: the first say enough. */
const findingsMax = 50

/** @since 0.1.0 @category models */
export interface Range {
  readonly first: number
  readonly last: number
}

/** `3..20` as a range, or undefined. @since 0.1.0 */
export const parseRange = (text: string): Range | undefined => {
  const [, from, to] = /^(\d+)\.\.(\d+)$/.exec(text) ?? []
  const range = { first: Number(from), last: Number(to) }
  return Options.isSeed(range.first) && Options.isSeed(range.last) && range.first <= range.last ? range : undefined
}

/** @since 0.1.0 @category commands */
export const soak = Command.make(
  "soak",
  {
    scenario: Options.scenario,
    minutes: Flag.Finite("minutes").pipe(
      Flag.withMetavar("M"),
      Flag.withDescription(`How long; default ${minutesDefault}, or until the last of --seeds`),
      Flag.filter(
        (minutes) => minutes > 0 && minutes <= 100_000,
        (minutes) => `Expected --minutes above 0, such as 0.5 or 30, got ${minutes}`
      ),
      Flag.optional
    ),
    seeds: Flag.String("seeds").pipe(
      Flag.withMetavar("FIRST..LAST"),
      Flag.withDescription("Which seeds; default: from 1 on"),
      Flag.filterMap(
        (text) => Option.fromUndefinedOr(parseRange(text)),
        (text) => `Expected --seeds such as 1..500, the first not above the last, got ${JSON.stringify(text)}`
      ),
      Flag.optional
    ),
    size: Options.size,
    anew: Flag.Boolean("anew").pipe(
      Flag.withDescription("Run every seed, also those that are recorded of this code, and record nothing"),
      Flag.withDefault(false)
    ),
    json: Options.json
  },
  Effect.fnUntraced(function* ({ anew, json, minutes, scenario, seeds, size }) {
    const range = Option.getOrElse(seeds, () => ({ first: 1, last: Number.MAX_SAFE_INTEGER }))
    const forMinutes = Option.getOrElse(minutes, () => (Option.isSome(seeds) ? Infinity : minutesDefault))
    const members = Option.getOrElse(size, () => scenario.size)
    const revision = yield* SoakLog.revision([scenario])
    const of = { scenario: scenario.name, size: members, code: revision.code }
    const { done, next } =
      revision.known && !anew ? SoakLog.resume(yield* SoakLog.read, of, range.first) : { next: range.first, done: [] }
    const before = done.flatMap(({ findings }) => findings)
    if (before.length > 0) foundBroken()
    if (!revision.known && !anew) {
      yield* Console.error(`lab: sources are not committed (${revision.commit}): what is recorded cannot be continued`)
    } else if (next > range.first) {
      yield* Console.error(
        `lab: seeds ${range.first}..${next - 1} are recorded for ${of.code}, ${before.length} of them failing`
      )
    }
    const tally = makeTally(scenario, members, next, Math.max(range.last, next - 1))
    if (next <= range.last) {
      tally.begin = yield* Clock.currentTimeMillis
      yield* Effect.scoped(runSeeds(tally, forMinutes * 60_000)).pipe(
        // Whatever ends the soak, Ctrl-C included: what was run is recorded.
        Effect.onExit((exit) => record(tally, before, revision, { json, anew }, Exit.isFailure(exit)))
      )
    } else {
      yield* Console.log(json ? JSON.stringify({ recorded: done }, undefined, 2) : "nothing left to run")
      yield* sayReplays(tally, before)
    }
    if (before.length + tally.failing.length > 0) return yield* new Failure({ code: exitCodes.findings, message: "" })
  })
).pipe(Command.withDescription("Seed after seed on every core; continues where the last soak of this code ended"))

/** What a soak has done so far. Mutable: it belongs to one command. */
interface Tally {
  readonly scenario: Scenarios.Scenario
  readonly size: number
  readonly first: number
  readonly last: number
  readonly ended: Map<number, Runs.Run>
  readonly failing: Array<SoakLog.Finding>
  readonly underWay: Map<number, number>
  next: number
  begin: number
}

const makeTally = (scenario: Scenarios.Scenario, size: number, first: number, last: number): Tally => ({
  scenario,
  size,
  first,
  last,
  ended: new Map(),
  failing: [],
  underWay: new Map(),
  next: first,
  begin: 0
})

const keep = (tally: Tally, run: Runs.Run): void => {
  tally.underWay.delete(run.seed)
  tally.ended.set(run.seed, run)
  if (run.broken.length === 0) return
  tally.failing.push({ seed: run.seed, broken: run.broken })
  foundBroken()
}

const runSeeds = Effect.fnUntraced(function* (tally: Tally, forMs: number) {
  yield* Effect.forkScoped(Options.tellProgress(showProgress(tally)))
  const workers = Effect.forEach(
    Array.from({ length: Math.min(SoakLog.machine.cores, tally.last - tally.first + 1) }),
    () => Effect.scoped(Effect.flatMap(Runner.make(), (runner) => runOn(runner, tally, forMs))),
    { concurrency: "unbounded", discard: true }
  )
  if (forMs === Infinity) return yield* workers
  const inTime = yield* Effect.timeoutOption(workers, forMs + overtimeMs)
  if (Option.isSome(inTime)) return
  const now = yield* Clock.currentTimeMillis
  for (const [seed, begin] of tally.underWay) {
    const seconds = Math.round((now - begin) / 1000)
    keep(tally, Runs.lost(orderOf(tally, seed), `did not end within ${seconds} s`, now - begin))
  }
})

const orderOf = (tally: Tally, seed: number): Runs.Order => ({ scenario: tally.scenario.name, seed, size: tally.size })

/**
 * Takes the next seed as long as it should end in time, going by the mean of those that ended. Each may take its time: the
 * soak as a whole has one. What fails is made small by `lab run`.
 */
const runOn = Effect.fnUntraced(function* (runner: Runner.Runner, tally: Tally, forMs: number) {
  while (tally.next <= tally.last) {
    const now = yield* Clock.currentTimeMillis
    if (tally.ended.size > 0 && now - tally.begin + meanMs(tally) > forMs) return
    const seed = tally.next++
    tally.underWay.set(seed, now)
    keep(tally, yield* runner.run(orderOf(tally, seed)))
  }
})

const meanMs = (tally: Tally): number => {
  let sum = 0
  for (const { realMs } of tally.ended.values()) sum += realMs
  return sum / tally.ended.size
}

const showProgress = Effect.fnUntraced(function* (tally: Tally) {
  const seconds = ((yield* Clock.currentTimeMillis) - tally.begin) / 1000
  const { size } = tally.ended
  const [longest] = tally.underWay.keys()
  yield* Console.error(
    [
      `${Math.round(seconds)} s`,
      `${size} seeds`,
      `${tally.failing.length} failing${tally.failing.length === 0 ? "" : ` (${tally.failing[0]?.seed} first)`}`,
      `${((size / seconds) * 60).toFixed(1)} seeds/min`,
      `${SoakLog.virtualSeconds(tally.ended.values())} s virtual`,
      ...(longest === undefined ? [] : [`seed ${longest} under way`])
    ].join(" · ")
  )
})

const record = Effect.fnUntraced(function* (
  tally: Tally,
  before: ReadonlyArray<SoakLog.Finding>,
  revision: SoakLog.Revision,
  { anew, json }: { readonly anew: boolean; readonly json: boolean },
  interrupted: boolean
) {
  const runs = SoakLog.claimed(tally.first, tally.ended)
  if (runs.length === 0) {
    yield* Console.error(`lab: seed ${tally.first} did not end; nothing is recorded`)
    return yield* sayReplays(tally, before)
  }
  const now = yield* Clock.currentTimeMillis
  const failing = runs.filter(({ broken }) => broken.length > 0)
  const line = SoakLog.lineOf(
    { scenario: tally.scenario.name, size: tally.size, revision, begin: tally.begin, now, runs },
    failing.slice(0, findingsMax).map(({ broken, seed }) => ({ seed, broken: broken.slice(0, SoakLog.brokenMax) }))
  )
  if (!anew) yield* SoakLog.append(line)
  yield* Console.log(json ? JSON.stringify(line, undefined, 2) : textOf(line, { anew, interrupted }))
  yield* sayReplays(tally, before)
})

/** Those that were recorded before are still failing. */
const sayReplays = ({ failing, scenario, size }: Tally, before: ReadonlyArray<SoakLog.Finding>) =>
  Effect.forEach(
    [...before, ...failing].slice(0, findingsMax),
    ({ seed }) => Console.error(`replay: ${Options.replay(scenario.name, seed, size)}`),
    { discard: true }
  )

const textOf = (
  line: SoakLog.Line,
  { anew, interrupted }: { readonly anew: boolean; readonly interrupted: boolean }
): string =>
  [
    `${line.scenario} · ${line.size} members · seeds ${line.first}..${line.last}${interrupted ? ", interrupted" : ""}: ` +
      `${line.runs} runs, ${line.virtualSeconds} s virtual in ${line.realSeconds} s, ${line.failing} failing`,
    ...line.findings.map(({ broken, seed }) => `  seed ${seed}: ${broken.join("; ")}`),
    anew ? "not recorded" : "recorded in docs/results/soak.jsonl"
  ].join("\n")

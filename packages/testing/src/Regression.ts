/**
 * What once failed, as data: a scenario with its seed and size, or a plan that was shrunk. Files of these stand in
 * `test/regressions/`, where a test plays all of them.
 *
 * @since 0.1.0
 */
import { Agent } from "@starling/agent"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type * as AgentFaults from "./AgentFaults.ts"
import * as Faults from "./internal/faultSchema.ts"
import { faults, planOf } from "./internal/faults.ts"
import { faultsOf, fleet } from "./internal/fleet.ts"
import * as Plan from "./Plan.ts"
import * as Scenarios from "./Scenarios.ts"
import * as Shrink from "./Shrink.ts"
import * as Trial from "./Trial.ts"

/**
 * - `found`: when, and by what: for people.
 * - `broken`: what it showed then.
 * - `minutes`: of faults, if it was not the scenario's own length.
 * - `plan`, and for whole agents `faults`: what is played instead of what the seed would make today.
 *
 * @since 0.1.0
 * @category models
 */
export interface Regression {
  readonly found: string
  readonly broken: ReadonlyArray<string>
  readonly scenario: string
  readonly seed: number
  readonly size: number
  readonly minutes?: number | undefined
  readonly plan: Plan.Plan | null
  readonly faults?: AgentFaults.Scenario | undefined
}

/** What a run showed, before it is made small. @since 0.1.0 @category constructors */
export const of = (run: Pick<Regression, "broken" | "scenario" | "seed" | "size" | "minutes">): Regression => ({
  found: "",
  broken: run.broken.slice(0, brokenMax),
  scenario: run.scenario,
  seed: run.seed,
  size: run.size,
  ...(run.minutes === undefined ? {} : { minutes: run.minutes }),
  plan: run.scenario === faults.name ? planOf(run.seed, run.size) : null
})

/** Plays it; nothing broken is how it should be. Throws if there is no such scenario. @since 0.1.0 @category running */
export const run = ({ faults, minutes, plan, scenario, seed, size }: Regression): Scenarios.Outcome =>
  plan === null
    ? scenarioOf(scenario).run({
        seed,
        size,
        ...(minutes === undefined ? {} : { minutes }),
        ...(faults === undefined ? {} : { faults })
      })
    : Trial.run(plan)

const scenarioOf = (name: string): Scenarios.Scenario => {
  const scenario = Scenarios.all.find((scenario) => scenario.name === name)
  if (scenario === undefined) {
    throw new Error(`there is no scenario ${name}, only ${Scenarios.all.map(({ name }) => name).join(", ")}`)
  }
  return scenario
}

/** As a file keeps it. @since 0.1.0 */
export const toText = (regression: Regression): string => `${JSON.stringify(regression, undefined, 2)}\n`

/** What the text of a file is, or what is wrong with it and where. @since 0.1.0 */
export const parse = (text: string): Result.Result<Regression, string> =>
  Result.flatMap(
    Result.mapError(decodeText(text), (error) => String(error.message)),
    (fields): Result.Result<Regression, string> =>
      fields.plan === null
        ? Result.succeed({ ...fields, plan: null })
        : Result.map(Plan.decode(fields.plan), (plan) => ({ ...fields, plan }))
  )

const agentFault = Schema.Union([
  Faults.schema(Schema.String, Schema.Finite),
  Schema.TaggedStruct("CrashComponent", {
    node: Schema.String,
    component: Schema.Literals(Agent.components),
    at: Schema.optionalKey(Schema.Literals(["before", "committed", "acting"]))
  }),
  Plan.poisoning(Schema.String)
])

const decodeText = Schema.decodeUnknownResult(
  Schema.fromJsonString(
    Schema.Struct({
      found: Schema.String,
      broken: Schema.Array(Schema.String),
      scenario: Schema.String,
      seed: Schema.Int,
      size: Schema.Int,
      minutes: Schema.optionalKey(Schema.Finite),
      plan: Schema.NullOr(Schema.Unknown),
      faults: Schema.optionalKey(Schema.Array(Schema.Struct({ atMs: Schema.Finite, fault: agentFault })))
    })
  )
)

/**
 * What is broken, without who and when: two outcomes with a line in common fail in the same way.
 *
 * @since 0.1.0
 */
export const signature = (broken: ReadonlyArray<string>): ReadonlySet<string> =>
  new Set(
    broken.map((line) =>
      line
        .split("\n", 1)
        .join()
        .replaceAll(/\b(?=[0-9a-f]*\d)[0-9a-f]{4,}\b|twin-\d+/g, "#")
        .replaceAll(/\d+/g, "#")
        .replaceAll(/#(, #)+/g, "#")
    )
  )

/**
 * A smaller one that fails in the same way, for what failed: of a plan, parts of it; of another scenario, fewer members with
 * the same seed; of whole agents also less time, and then fewer faults. It goes on for as long as `goOn` says, and tells
 * `onSmaller` of each that is smaller than those before it.
 *
 * @since 0.1.0
 */
export const shrink = (
  failing: Regression,
  goOn: () => boolean,
  onSmaller: (smaller: Regression) => void = () => undefined
): Regression => {
  const known = signature(failing.broken)
  let best = failing
  const fails = (part: Regression): boolean => {
    const broken = brokenOf(part)
    const isSame = [...signature(broken)].some((line) => known.has(line))
    if (!isSame) return false
    best = { ...part, broken: broken.slice(0, brokenMax) }
    onSmaller(best)
    return true
  }
  if (failing.plan !== null) {
    Shrink.plan(failing.plan, (plan) => fails({ ...failing, plan }), { goOn })
    return best
  }
  for (let size = 2; size < failing.size && goOn(); size++) if (fails({ ...failing, size })) break
  if (failing.scenario === fleet.name) {
    const minutes = () => best.minutes ?? fleet.minutes ?? 0
    while (minutes() > minutesMin && goOn() && fails({ ...best, minutes: minutes() / 2 }));
    const { seed, size } = best
    Shrink.list(
      best.faults ?? faultsOf({ seed, size, minutes: minutes() }),
      (faults) => goOn() && fails({ ...best, faults })
    )
  }
  return best
}

/** Less is over before the fleet has lost anything. */
const minutesMin = 0.5

/** The first say enough. */
const brokenMax = 5

const brokenOf = (regression: Regression): ReadonlyArray<string> => attempt(() => run(regression)).broken

/** What throws is broken, too, and says where and why. @since 0.1.0 */
export const attempt = (play: () => Scenarios.Outcome): Scenarios.Outcome => {
  try {
    return play()
  } catch (error) {
    return { broken: [`threw ${describe(error)}`], virtualMs: 0, history: "", measured: {} }
  }
}

/** Messages of all causes, and where the first of them was thrown. */
const describe = (error: unknown): string => {
  if (!(error instanceof Error)) return String(error)
  if (error.cause !== undefined) return `${error.message}: ${describe(error.cause)}`
  return [error.message, ...(error.stack?.split("\n").filter((line) => /^ +at /.test(line)) ?? [])].join("\n")
}

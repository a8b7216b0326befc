/**
 * `lab beyond`: what the papers leave open, part by part, and `docs/results/beyond.md` with it.
 *
 * @since 0.1.0
 */
import * as Command from "effect/cli/Command"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Semaphore from "effect/Semaphore"
import * as Page from "../beyond/Page.ts"
import type { Any } from "../beyond/Part.ts"
import { all } from "../beyond/parts.ts"
import * as Run from "../beyond/Run.ts"
import * as Checks from "../Checks.ts"
import { exitCodes, Failure } from "../Failure.ts"
import * as Options from "../options.ts"
import * as Results from "../Results.ts"

/** @since 0.1.0 @category commands */
export const beyond = Command.make(
  "beyond",
  {
    only: Options.some("only", "PART,…", all),
    sizes: Options.sizes,
    seed: Options.seed,
    json: Options.json
  },
  Effect.fnUntraced(function* ({ json, only, seed, sizes }) {
    // What is measured at another size is not what was promised.
    const isPromised = Option.isNone(sizes)
    const pages = yield* Semaphore.make(1)
    const outcomes = yield* Run.parts(only, Option.getOrUndefined(sizes), seed, (part, stored) =>
      isPromised ? store(part, stored).pipe(pages.withPermits(1)) : Effect.void
    )
    const checks = outcomes.flatMap(({ stored }) => stored?.checks ?? [])
    const byName = Object.fromEntries(outcomes.map(({ part, stored }) => [part.name, stored ?? null]))
    yield* Console.log(json ? JSON.stringify(byName, undefined, 2) : Checks.text(checks))
    const failure = failureOf(outcomes, isPromised)
    if (failure !== undefined) return yield* failure
  })
).pipe(Command.withDescription("Many senders, deltas, partitions, regions: what the papers leave open"))

/** Why the command fails: a part was lost, or does not hold what it promised. @since 0.1.0 */
export const failureOf = (outcomes: ReadonlyArray<Run.Outcome>, isPromised: boolean): Failure | undefined => {
  const lost = outcomes.flatMap(({ failure }) => failure ?? [])
  if (lost.length > 0) return new Failure({ code: exitCodes.findings, message: lost.join("\n") })
  const isBroken = outcomes.some(({ stored }) => stored?.checks.some(({ holds }) => !holds))
  return isPromised && isBroken ? new Failure({ code: exitCodes.findings, message: "" }) : undefined
}

/** A part is stored as soon as its last run is done: who interrupts keeps what there is. */
const store = Effect.fnUntraced(function* (part: Any, stored: Run.Stored) {
  yield* Results.write(Run.fileOf(part), stored)
  for (const [plot, of] of Object.entries(part.plots(stored.results)))
    yield* Results.writePlot(`beyond/${part.name}-${plot}`, of)
  const sections: Array<Page.Section> = []
  for (const one of all) {
    const found = yield* Results.read<ReadonlyArray<unknown>>(Run.fileOf(one))
    if (found !== undefined) sections.push({ part: one, stored: found })
  }
  yield* Results.writeText("beyond.md", Page.page(sections))
})

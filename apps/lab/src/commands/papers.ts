/**
 * `lab papers`: the papers' experiments at their scale, with what was promised beside what was measured.
 *
 * @since 0.1.0
 */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Checks from "../Checks.ts"
import { exitCodes, Failure } from "../Failure.ts"
import * as Options from "../options.ts"
import * as Run from "../papers/Run.ts"

/** @since 0.1.0 @category commands */
export const papers = Command.make(
  "papers",
  {
    seed: Options.seed,
    size: Options.size,
    cycles: Flag.Int("cycles").pipe(
      Flag.withMetavar("C"),
      Flag.withDescription(`Shuffles before anything is measured; default ${Run.promised.cycles}, as in the papers`),
      Flag.filter(
        (cycles) => cycles >= 1 && cycles <= 1000,
        (cycles) => `Expected --cycles from 1 to 1000, got ${cycles}`
      ),
      Flag.withDefault(Run.promised.cycles)
    ),
    json: Options.json
  },
  Effect.fnUntraced(function* ({ cycles, json, seed, size }) {
    const order = { size: Option.getOrElse(size, () => Run.promised.size), seed, cycles }
    const stored = yield* Run.run(order)
    const { checks } = stored
    // What is measured at another size is not what the page promises.
    const isPromised = order.size === Run.promised.size
    if (isPromised) yield* Run.write(stored)
    yield* Console.log(json ? JSON.stringify(stored, undefined, 2) : Checks.text(checks))
    if (isPromised && checks.some(({ holds }) => !holds))
      return yield* new Failure({ code: exitCodes.findings, message: "" })
  })
).pipe(Command.withDescription("The experiments of the HyParView and Plumtree papers, n = 10,000"))

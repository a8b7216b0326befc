/**
 * What the commands share: which scenario, which size, and the line that replays a seed.
 *
 * @since 0.1.0
 */
import { Scenarios } from "@starling/testing"
import * as Argument from "effect/cli/Argument"
import * as Flag from "effect/cli/Flag"
import * as Option from "effect/Option"

/** @since 0.1.0 */
export const scenario = Argument.String("scenario").pipe(
  Argument.withMetavar("SCENARIO"),
  Argument.withDescription(`One of ${Scenarios.all.map(({ name }) => name).join(", ")}`),
  Argument.filterMap(
    (name) => Option.fromUndefinedOr(Scenarios.all.find((scenario) => scenario.name === name)),
    () => `one of ${Scenarios.all.map(({ name }) => name).join(", ")}`
  )
)

/** Members of the fleet; more than this do not fit a machine. Our choice. */
const sizeMax = 100_000

/** @since 0.1.0 */
export const size = Flag.Int("size").pipe(
  Flag.withMetavar("N"),
  Flag.withDescription("Members of the fleet; default: the scenario's own"),
  Flag.filter(
    (size) => size >= 2 && size <= sizeMax,
    (size) => `Expected --size from 2 to ${sizeMax}, got ${size}`
  ),
  Flag.optional
)

/** @since 0.1.0 */
export const json = Flag.Boolean("json").pipe(Flag.withDescription("One JSON document"), Flag.withDefault(false))

/** Seeds are whole numbers from 0 on. @since 0.1.0 */
export const isSeed = (seed: number): boolean => Number.isSafeInteger(seed) && seed >= 0

/** @since 0.1.0 */
export const replay = (name: string, seed: number, size: number): string =>
  `npx -y pnpm@12 lab run ${name} --seed ${seed} --size ${size}`

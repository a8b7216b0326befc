/**
 * What the commands share: which scenario, which size, and the line that replays a seed.
 *
 * @since 0.1.0
 */
import { Scenarios } from "@starling/testing"
import * as Argument from "effect/cli/Argument"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import process from "node:process"
import * as SoakLog from "./SoakLog.ts"

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
export const isSize = (size: number): boolean => Number.isSafeInteger(size) && size >= 2 && size <= sizeMax

/** @since 0.1.0 */
export const size = Flag.Int("size").pipe(
  Flag.withMetavar("N"),
  Flag.withDescription("Members of the fleet; default: the scenario's own"),
  Flag.filter(isSize, (size) => `Expected --size from 2 to ${sizeMax}, got ${size}`),
  Flag.optional
)

/** Where what fails is kept; people who only try something keep it elsewhere. @since 0.1.0 */
export const keep = Flag.String("keep").pipe(
  Flag.withMetavar("DIRECTORY"),
  Flag.withDescription("Where what fails is kept; default test/regressions/, whose files a test plays"),
  Flag.withDefault(SoakLog.regressions)
)

/** @since 0.1.0 */
export const json = Flag.Boolean("json").pipe(Flag.withDescription("One JSON document"), Flag.withDefault(false))

/** Some of these by name, with commas between them; default: all. @since 0.1.0 */
export const some = <A extends { readonly name: string }>(flag: string, metavar: string, all: ReadonlyArray<A>) => {
  const names = all.map(({ name }) => name).join(", ")
  return Flag.String(flag).pipe(
    Flag.withMetavar(metavar),
    Flag.withDescription(`Some of ${names}; default: all`),
    Flag.filterMap(
      (text) => {
        const words = text.split(",")
        const isKnown = words.every((word) => all.some(({ name }) => name === word))
        return isKnown ? Option.some(all.filter(({ name }) => words.includes(name))) : Option.none()
      },
      (text) => `Expected --${flag} some of ${names}, with commas between them, got ${text}`
    ),
    Flag.withDefault(all)
  )
}

/** Sizes with commas between them. @since 0.1.0 */
export const sizes = Flag.String("n").pipe(
  Flag.withMetavar("N,…"),
  Flag.withDescription("Nodes, for a quick look that is not stored; default: what the promises are about"),
  Flag.filterMap(
    (text) => {
      const sizes = text.split(",").map(Number)
      return sizes.every(isSize) ? Option.some(sizes) : Option.none()
    },
    (text) => `Expected --n sizes from 2 to ${sizeMax}, as in 200 or 200,1000, got ${text}`
  ),
  Flag.optional
)

/** Seeds are whole numbers from 0 on. @since 0.1.0 */
export const isSeed = (seed: number): boolean => Number.isSafeInteger(seed) && seed >= 0

/** Of a whole run of experiments. @since 0.1.0 */
export const seed = Flag.Int("seed").pipe(
  Flag.withMetavar("S"),
  Flag.withDescription("The same seed gives the same results; default 1"),
  Flag.filter(isSeed, (seed) => `Expected --seed from 0 on, got ${seed}`),
  Flag.withDefault(1)
)

/** @since 0.1.0 */
export const replay = (name: string, seed: number, size: number, minutes?: number): string =>
  `npx -y pnpm@12 lab run ${name} --seed ${seed} --size ${size}${minutes === undefined ? "" : ` --minutes ${minutes}`}`

/** @since 0.1.0 */
export const replayFile = (path: string): string => `npx -y pnpm@12 lab replay ${path}`

/**
 * Tells how far something is that takes its time: every four seconds, less than the five that are promised. Under `CI` each half
 * minute after the first time: nobody watches, and a thousand lines hide what failed. Our choice.
 *
 * @since 0.1.0
 */
export const tellProgress = <E, R>(tell: Effect.Effect<void, E, R>): Effect.Effect<never, E, R> =>
  Effect.andThen(
    Effect.delay(tell, "4 seconds"),
    Effect.forever(Effect.delay(tell, process.env["CI"] === undefined ? "4 seconds" : "30 seconds"))
  )

/**
 * Of threads that run scenarios. Steps make many values that die at once. With room for them they die young: a thousand
 * members take a seventh less time than with the engine's 48 MiB, for some 50 MiB more (measured).
 *
 * @since 0.1.0
 */
export const resourceLimits = { maxYoungGenerationSizeMb: 192 }

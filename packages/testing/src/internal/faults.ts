/** The scenario `faults`: a fleet of members under any mixture of misfortunes, drawn by the seed. */
import * as Arbitraries from "../Arbitraries.ts"
import type { Plan } from "../Plan.ts"
import type { Scenario } from "../Scenarios.ts"
import * as Trial from "../Trial.ts"

/** The plan that a seed stands for. */
export const planOf = (seed: number, size: number): Plan => Arbitraries.sample(Arbitraries.plan({ size }), seed)

export const faults: Scenario = {
  name: "faults",
  about: "any mixture of faults, failing components, goodbyes and poisoned frames: afterwards all is well again",
  size: 16,
  run: ({ seed, size }) => Trial.run(planOf(seed, size))
}

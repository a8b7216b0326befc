/**
 * What a seed of a hunt stands for: a scenario, its own seed and its size. So a hunt is a range of seeds, and each of them
 * is replayed by `lab run`.
 *
 * @since 0.1.0
 */
import { Rng } from "@starling/machine"
import { Scenarios } from "@starling/testing"
import type * as Runs from "../Runs.ts"

/**
 * How often a scenario is tried, and with how many members, each size as often as it stands here. Our choice: most often what
 * has all faults, and small fleets, since they are quick and what they break on is easier to read.
 */
const rations: Readonly<Record<string, { readonly weight: number; readonly sizes: ReadonlyArray<number> }>> = {
  faults: { weight: 16, sizes: [3, 5, 8, 8, 12, 12, 20, 40] },
  crashes: { weight: 1, sizes: [3, 5] },
  members: { weight: 1, sizes: [50, 100] },
  agents: { weight: 1, sizes: [3, 5] },
  fleet: { weight: 1, sizes: [6, 9, 12, 16] },
  tree: { weight: 1, sizes: [2, 3] }
}

/** A scenario that is not listed above: as itself, and seldom. */
const rationOf = ({ name, size }: Scenarios.Scenario) => rations[name] ?? { weight: 1, sizes: [size] }

/** @since 0.1.0 */
export const of = (seed: number, scenarios: ReadonlyArray<Scenarios.Scenario> = Scenarios.all): Runs.Order => {
  const total = scenarios.reduce((sum, scenario) => sum + rationOf(scenario).weight, 0)
  let [chance, rng] = Rng.nextInt(Rng.make(`${seed}/hunt`), total)
  for (const scenario of scenarios) {
    const { sizes, weight } = rationOf(scenario)
    if (chance < weight) {
      const [size] = Rng.pick(rng, sizes)
      return { scenario: scenario.name, seed, size: size ?? scenario.size }
    }
    chance -= weight
  }
  throw new Error("there is no scenario to hunt in")
}

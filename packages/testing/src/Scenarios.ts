/**
 * The scenarios that tests, `lab run` and `lab soak` share: a function of seed and size to what was found broken.
 *
 * @since 0.1.0
 */
import type * as AgentFaults from "./AgentFaults.ts"
import { agents } from "./internal/agents.ts"
import { crashes } from "./internal/crashes.ts"
import { faults } from "./internal/faults.ts"
import { fleet } from "./internal/fleet.ts"
import { members } from "./internal/members.ts"
import { tree } from "./internal/tree.ts"

/** @since 0.1.0 @category models */
export interface Input {
  readonly seed: number
  readonly size: number
  /** Of faults, in virtual time, where a scenario leaves it open; default: the scenario's own. */
  readonly minutes?: number
  /** What goes wrong instead of what the seed would draw; of `fleet`. What is cut or down in the end is mended in time. */
  readonly faults?: AgentFaults.Scenario
}

/** @since 0.1.0 @category models */
export interface Outcome {
  /** What is not as promised; empty is a pass. */
  readonly broken: ReadonlyArray<string>
  /** Virtual time of the run. */
  readonly virtualMs: number
  /** Digest over all that happened: the same for the same seed. */
  readonly history: string
  readonly measured: Readonly<Record<string, number>>
}

/** @since 0.1.0 @category models */
export interface Scenario {
  /** Also the name of the module that plays it. */
  readonly name: string
  readonly about: string
  readonly size: number
  /** How long its faults go on if nothing is said, in minutes of virtual time; undefined: its length is its own. */
  readonly minutes?: number
  readonly run: (input: Input) => Outcome
}

export { agents, crashes, faults, fleet, members, tree }

/** @since 0.1.0 */
export const all: ReadonlyArray<Scenario> = [members, crashes, faults, agents, fleet, tree]

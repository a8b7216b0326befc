/** What a scenario of members without a shell found. */
import { World } from "@starling/sim"
import type * as MemberFleet from "../MemberFleet.ts"
import type { Outcome } from "../Scenarios.ts"

export const outcome = (
  fleet: MemberFleet.MemberFleet,
  broken: ReadonlyArray<string>,
  measured: Readonly<Record<string, number>>
): Outcome => ({
  broken,
  virtualMs: World.now(fleet.world),
  history: World.history(fleet.world),
  measured: { ...measured, events: World.counters(fleet.world).events, frames: World.counters(fleet.world).frames }
})

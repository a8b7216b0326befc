/**
 * Fleets under test, what goes wrong with them, and what must be true of them. Import the module you need; this page only lists
 * them.
 */
export * as AgentFaults from "./AgentFaults.ts"
export * as AgentFleet from "./AgentFleet.ts"
export * as AgentInvariants from "./AgentInvariants.ts"
export * as Arbitraries from "./Arbitraries.ts"
export * as Graph from "./Graph.ts"
export * as MemberFleet from "./MemberFleet.ts"
export * as OverlayFleet from "./OverlayFleet.ts"
export * as Plan from "./Plan.ts"
export * as Regression from "./Regression.ts"
export * as Scenarios from "./Scenarios.ts"
export * as Shrink from "./Shrink.ts"
export * as SimRuntime from "./SimRuntime.ts"
export * as Trial from "./Trial.ts"

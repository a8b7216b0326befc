/** Fleets under test. Import the module you need; this page only lists them. */
export * as AgentFleet from "./AgentFleet.ts"
export * as Graph from "./Graph.ts"
export * as MemberFleet from "./MemberFleet.ts"
export * as OverlayFleet from "./OverlayFleet.ts"
export * as Scenarios from "./Scenarios.ts"
export * as SimRuntime from "./SimRuntime.ts"

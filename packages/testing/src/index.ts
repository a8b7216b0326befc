/** Fleets under test. Import the module you need; this page only lists them. */
export * as MemberFleet from "./MemberFleet.ts"
export * as Scenarios from "./Scenarios.ts"

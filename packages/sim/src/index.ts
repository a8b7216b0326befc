/** A world for any machine. Import the module you need; this page only lists them. */
export * as Fault from "./Fault.ts"
export * as Regions from "./Regions.ts"
export * as Weather from "./Weather.ts"
export * as World from "./World.ts"

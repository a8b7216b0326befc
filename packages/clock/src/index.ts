/** Distributed monotonic clock stamps. Import the module you need; this page only lists them. */
export * as Clock from "./Clock.ts"
export * as Guard from "./Guard.ts"
export * as Hlc from "./Hlc.ts"
export * as HlcCell from "./HlcCell.ts"
export * as Stamp from "./Stamp.ts"

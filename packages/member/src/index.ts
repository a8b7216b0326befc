/** One member of the fleet as one machine. Import the module you need; this page only lists them. */
export * as Component from "./Component.ts"
export * as Ledger from "./Ledger.ts"
export * as Member from "./Member.ts"
export * as Parts from "./Parts.ts"
export * as Wiring from "./Wiring.ts"

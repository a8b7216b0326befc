/** HyParView and Plumtree. Import the module you need; this page only lists them. */
export * as BroadcastTree from "./BroadcastTree.ts"
export * as LazyPushRepair from "./LazyPushRepair.ts"
export * as MessageId from "./MessageId.ts"
export * as Shuffler from "./Shuffler.ts"
export * as ViewManager from "./ViewManager.ts"

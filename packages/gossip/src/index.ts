/** HyParView and Plumtree. Import the module you need; this page only lists them. */
export * as Shuffler from "./Shuffler.ts"
export * as ViewManager from "./ViewManager.ts"

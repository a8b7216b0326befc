/** The thread of `lab papers`: runs the experiments it is given, and says how far it is. */
import { parentPort, workerData } from "node:worker_threads"
import * as Experiments from "./Experiments.ts"

/** @since 0.1.0 @category models */
export type Report =
  | { readonly _tag: "Progress"; readonly text: string }
  | { readonly _tag: "Done"; readonly results: Experiments.Results }

const report = (one: Report): void => parentPort?.postMessage(one)

const order: Experiments.Order = workerData
report({ _tag: "Done", results: Experiments.run(order, (text) => report({ _tag: "Progress", text })) })

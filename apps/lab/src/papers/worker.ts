/** The thread of `lab papers`. */
import { workerData } from "node:worker_threads"
import * as Thread from "../Thread.ts"
import * as Experiments from "./Experiments.ts"

const order: Experiments.Order = workerData
Thread.serve((progress) => Experiments.run(order, progress))

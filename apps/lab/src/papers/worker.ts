/** A thread of `lab papers`. */
import { workerData } from "node:worker_threads"
import * as Thread from "../Thread.ts"
import * as Experiments from "./Experiments.ts"

const job: Experiments.Job = workerData
Thread.serve((progress) => Experiments.run(job, progress))

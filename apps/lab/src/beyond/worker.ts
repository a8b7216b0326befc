/** The thread of `lab beyond`: runs one order of one part. */
import { workerData } from "node:worker_threads"
import * as Thread from "../Thread.ts"
import { all } from "./parts.ts"

/** @since 0.1.0 @category models */
export interface Job {
  readonly part: string
  readonly order: unknown
}

const { order, part: name }: Job = workerData
const part = all.find((part) => part.name === name)
if (part === undefined) throw new Error(`there is no part ${name}`)
Thread.serve((progress) => part.run(order, progress))

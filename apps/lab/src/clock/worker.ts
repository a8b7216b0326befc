/** A thread that runs cells, one after the other. */
import { parentPort } from "node:worker_threads"
import * as Cells from "./Cells.ts"

parentPort?.on("message", (cell: Cells.Cell) => {
  parentPort?.postMessage(Cells.run(cell))
})

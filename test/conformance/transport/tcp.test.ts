import { TcpTransport } from "@starling/platform-node"
import * as Effect from "effect/Effect"
import * as Net from "node:net"
import { Worker } from "node:worker_threads"
import { connections } from "./connections.ts"
import type { Implementation } from "./implementation.ts"
import { links } from "./links.ts"

/** Listens with room for one, then never turns its loop again: the kernel drops every further SYN. */
const deaf = `
const { parentPort, workerData } = require("node:worker_threads")
const server = require("node:net").createServer()
server.listen({ port: 0, host: "127.0.0.1", backlog: 1 }, () => {
  parentPort.postMessage(server.address().port)
  setImmediate(() => Atomics.wait(new Int32Array(workerData), 0, 0))
})
`

const silent = Effect.gen(function* () {
  const block = new SharedArrayBuffer(4)
  const worker = yield* Effect.acquireRelease(
    Effect.sync(() => new Worker(deaf, { eval: true, workerData: block })),
    (worker) =>
      Effect.promise(() => {
        Atomics.store(new Int32Array(block), 0, 1)
        Atomics.notify(new Int32Array(block), 0)
        return worker.terminate()
      })
  )
  const port = yield* Effect.callback<number>((resume) => {
    worker.once("message", (port: number) => resume(Effect.succeed(port)))
  })
  // These take what room there is.
  for (let i = 0; i < 4; i++) {
    yield* Effect.acquireRelease(
      Effect.sync(() => Net.connect(port, "127.0.0.1").on("error", () => {})),
      (socket) =>
        Effect.sync(() => {
          socket.destroy()
        })
    )
  }
  yield* Effect.sleep(50)
  return `127.0.0.1:${port}`
})

const tcp: Implementation = {
  name: "TcpTransport",
  layer: TcpTransport.layer({ connectTimeoutMs: 300 }),
  host: "127.0.0.1",
  silent
}

connections(tcp)
links(tcp)

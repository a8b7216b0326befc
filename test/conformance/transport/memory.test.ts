import { MemoryTransport } from "@starling/wire"
import * as Effect from "effect/Effect"
import { connections } from "./connections.ts"
import type { Implementation } from "./implementation.ts"
import { links } from "./links.ts"

const network = MemoryTransport.makeNetwork({ connectTimeoutMs: 300 })
network.state.hosts.add("silent")
network.cut("127.0.0.1", "silent")

const memory: Implementation = {
  name: "MemoryTransport",
  layer: MemoryTransport.layer(network, "127.0.0.1"),
  host: "127.0.0.1",
  silent: Effect.succeed("silent:7740")
}

connections(memory)
links(memory)

/**
 * The ten-line agent: a member of a fleet that publishes and asks which nodes there are, over a transport and a store in
 * memory.
 */
import { Agent, Node, Store } from "@starling/agent"
import { MemoryTransport } from "@starling/wire"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import assert from "node:assert/strict"

const options = { datacenter: "here", fleet: "embedded", labels: {}, join: [], debug: false, version: "0.0.0" }
const member = Node.layer({ ...options, name: "one", gossip: "one:7740" }).pipe(
  Layer.provide([Store.layerMemory(), MemoryTransport.layer(MemoryTransport.makeNetwork(), "one")])
)
const program = Effect.gen(function* () {
  const agent = yield* Agent.Agent
  yield* agent.published({ app: "shop", instance: "1", signal: "metrics", labels: {} })
  const nodes = yield* agent.nodes()
  const publishers = yield* Effect.repeat(agent.publishers(), { until: ({ items }) => items.length > 0 })
  assert.deepEqual(
    nodes.items.map(({ name, state }) => [name, state]),
    [["one", "alive"]]
  )
  yield* Console.log(`nodes: one alive; publishers: ${publishers.items.map(({ app, node }) => `${app} on ${node}`)}`)
})

await Effect.runPromise(Effect.provide(program, member))

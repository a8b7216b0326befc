/**
 * An Effect application that is a member of a fleet: it publishes, watches the members, broadcasts, and acts on
 * configuration. Here two members live in one process, over a transport in memory; `TcpTransport.layer` and
 * `SqliteStore.layer` of `@starling/platform-node` take their places on real hosts.
 */
import { Agent, Node, Store } from "@starling/agent"
import { MemoryTransport } from "@starling/wire"
import * as Console from "effect/Console"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"

const network = MemoryTransport.makeNetwork()

const member = (name: string, join: ReadonlyArray<string>) =>
  Node.layer({
    name,
    datacenter: "here",
    fleet: "example",
    labels: { role: "edge" },
    gossip: `${name}:7740`,
    join,
    debug: false,
    version: "example"
  }).pipe(Layer.provide([Store.layerMemory(), MemoryTransport.layer(network, name)]))

const program = Effect.gen(function* () {
  const one = Context.get(yield* Layer.build(member("one", [])), Agent.Agent)
  const two = Context.get(yield* Layer.build(member("two", ["one:7740"])), Agent.Agent)

  // Watch members: the stream signals that an answer may have changed; the answer is read from this node's own copy.
  const members = one.nodes().pipe(Effect.map(({ items }) => items.filter((node) => node.state === "alive").length))
  yield* Stream.concat(Stream.succeed(undefined), one.changes).pipe(
    Stream.mapEffect(() => members),
    Stream.takeUntil((count) => count === 2),
    Stream.runDrain
  )

  // Publish: from now on every member knows that this application is here.
  yield* two.published({ app: "checkout", instance: "1", signal: "metrics", labels: {} })

  // Act on configuration: the handler is given the newest value of each key that targets this node.
  const applied = yield* Deferred.make<string>()
  yield* two.handleConfig("sampling/*", ({ entry }) => Effect.asVoid(Deferred.succeed(applied, entry.value)))
  yield* one.setConfig({ key: "sampling/rate", value: "0.1", selector: "role=edge", author: "example", note: "" })
  yield* Console.log(`applied at two: ${yield* Deferred.await(applied)}`)

  // Broadcast: once at every member, including the sender.
  const deliveries = yield* two.deliveries
  yield* one.broadcast({ hello: "fleet" })
  const [first] = yield* Stream.runCollect(Stream.take(deliveries, 1))
  yield* Console.log(`delivered at two: ${JSON.stringify(first?.payload)}`)

  const { items } = yield* Effect.repeat(one.publishers(), { until: (answer) => answer.items.length > 0 })
  yield* Console.log(`publishers known at one: ${items.map((item) => `${item.app} on ${item.node}`).join(", ")}`)
})

await Effect.runPromise(Effect.scoped(program))

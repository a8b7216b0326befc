/**
 * Two members over TCP, each with a data directory: what one is told the other knows, and a member that ends and starts
 * again is the same node in a higher incarnation, with all it knew.
 */
import { Agent, Node } from "@starling/agent"
import { SqliteStore, TcpTransport } from "@starling/platform-node"
import * as Console from "effect/Console"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import assert from "node:assert/strict"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

const directory = mkdtempSync(join(tmpdir(), "starling-embed-"))

const start = (name: string, contacts: ReadonlyArray<string>) =>
  Effect.map(
    Layer.build(
      Node.layer({
        name,
        datacenter: "here",
        fleet: "embedded",
        labels: {},
        gossip: "127.0.0.1:0",
        join: contacts,
        debug: false,
        version: "0.0.0"
      }).pipe(Layer.provide([SqliteStore.layer(join(directory, name)), TcpTransport.layer()]))
    ),
    Context.get(Agent.Agent)
  )

const allAlive = (agent: Agent.Agent["Service"]) =>
  agent
    .nodes()
    .pipe(
      Effect.delay("20 millis"),
      Effect.repeat({ until: ({ items }) => items.filter(({ state }) => state === "alive").length === 2 })
    )

const entry = (agent: Agent.Agent["Service"]) =>
  agent
    .configEntry("sampling/rate")
    .pipe(Effect.delay("20 millis"), Effect.repeat({ until: (found) => found !== undefined }))

const program = Effect.gen(function* () {
  const before = yield* Effect.scoped(
    Effect.gen(function* () {
      const one = yield* start("one", [])
      const two = yield* start("two", [one.identity.gossip])
      yield* allAlive(one)
      yield* one.setConfig({ key: "sampling/rate", value: "0.1", selector: "", author: "embedder", note: "" })
      assert.equal((yield* entry(two))?.value, "0.1")
      return two.identity
    })
  )
  // Alone, it can only know from its own disk.
  const two = yield* start("two", [])
  assert.equal((yield* two.configEntry("sampling/rate"))?.value, "0.1")
  assert.equal(two.identity.id, before.id)
  assert.ok(two.identity.incarnation > before.incarnation)
  const one = yield* start("one", [two.identity.gossip])
  yield* allAlive(one)
  yield* allAlive(two)
  const { id, incarnation } = two.identity
  yield* Console.log(`two was ${id} in incarnation ${before.incarnation}, and is ${id} again, in ${incarnation}`)
})

try {
  await Effect.runPromise(Effect.timeout(Effect.scoped(program), "30 seconds"))
} finally {
  rmSync(directory, { recursive: true, force: true })
}

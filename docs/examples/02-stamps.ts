/**
 * Stamps on an application's own HTTP messages: two services, each a member of the fleet, the second under a clock that is
 * two seconds ahead. What happens after an answer is stamped after it, at whatever machine. Here both live in one process;
 * on real hosts the routes are served with `HttpRouter.serve`, and the client is `FetchHttpClient`.
 */
import { Agent, Node, Store } from "@starling/agent"
import { StampedHttp } from "@starling/api"
import { Stamp } from "@starling/clock"
import { MemoryTransport } from "@starling/wire"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"

const network = MemoryTransport.makeNetwork()

const member = (name: string, join: ReadonlyArray<string>, clockOffsetMs = 0) =>
  Node.layer({
    name,
    datacenter: "here",
    fleet: "example",
    labels: {},
    gossip: `${name}:7740`,
    join,
    debug: true,
    clockSource: "own",
    clockOffsetMs,
    version: "example"
  }).pipe(Layer.provide([Store.layerMemory(), MemoryTransport.layer(network, name)]))

// The server: its routes, the stamps on all of them, and the agent that they come from.
const orders = HttpRouter.add("POST", "/orders", Effect.succeed(HttpServerResponse.text("ordered")))
const server = Layer.merge(orders, StampedHttp.layer).pipe(Layer.provide(member("shop", [], 2000)))
const { dispose, handler } = HttpRouter.toWebHandler(server, { disableLogger: true })

const transport = HttpClient.make((request, url) =>
  Effect.map(
    Effect.promise(() => handler(new Request(url, { method: request.method, headers: { ...request.headers } }))),
    (response) => HttpClientResponse.fromWeb(request, response)
  )
)

// The client: any `HttpClient`, with stamps.
const program = Effect.gen(function* () {
  const { stamp } = yield* Agent.Agent
  const http = StampedHttp.client(transport)
  const before = yield* stamp
  const answer = yield* http.post("http://shop/orders")
  const after = yield* stamp
  const lines = [
    `before the request ${Stamp.toText(before)}`,
    `in the answer      ${answer.headers[Stamp.headerName]}`,
    `after the answer   ${Stamp.toText(after)}`
  ]
  yield* Console.log(lines.join("\n"))
})

await Effect.runPromise(Effect.provide(program, member("web", ["shop:7740"])))
await dispose()

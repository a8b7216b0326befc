/**
 * The HTTP API served: a layer that needs an agent and an HTTP server.
 *
 * The server is the application's choice (on Node, `NodeHttpServer.layer`), and so are its address and how long it waits
 * for requests when it stops; streams and waiting changes end as soon as it does.
 *
 * @since 0.1.0
 */
import * as Agent from "@starling/agent/Agent"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import { Api } from "./Api.ts"
import * as Counters from "./Counters.ts"
import * as Guard from "./internal/guard.ts"
import * as Handlers from "./internal/handlers.ts"
import * as Prometheus from "./internal/prometheus.ts"

/** @since 0.1.0 @category models */
export interface Options {
  /** Allows faults on purpose: `/v1/debug/...`. */
  readonly debug: boolean
  /** Names besides `localhost` under which this API may be asked; addresses always may. Default: none. */
  readonly allowedHosts?: ReadonlyArray<string>
}

/** Keys are at most 255 characters, each up to nine when percent-encoded. @since 0.1.0 */
export const routerConfig = { maxParamLength: 4096 } as const

/**
 * The routes alone, for a program that serves other things at the same address. `closing` ends streams and waits.
 *
 * @since 0.1.0
 * @category layers
 */
export const routes = (options: Options & { readonly closing?: Effect.Effect<void> }) => {
  const { allowedHosts = [], closing = Effect.never, debug } = options
  const handling: Handlers.Options = { debug, closing }
  const typed = HttpApiBuilder.layer(Api, { openapiPath: "/v1/openapi.json" }).pipe(
    Layer.provide([Handlers.fleet, Handlers.config(handling), Handlers.debug(handling), Handlers.watch(handling)]),
    Layer.provide(Handlers.decodingProblems),
    Layer.provide(HttpServer.layerServices)
  )
  const guard = HttpRouter.middleware(
    Effect.map(Counters.Counters, (counters) => Guard.guard({ allowedHosts, counters })),
    { global: true }
  )
  return Layer.mergeAll(typed, plain, guard)
}

/**
 * The API on the given server.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options) =>
  Layer.unwrap(
    Effect.sync(() => {
      const closing = Deferred.makeUnsafe<void>()
      const served = HttpRouter.serve(routes({ ...options, closing: Deferred.await(closing) }), {
        routerConfig,
        disableLogger: true,
        disableListenLog: true
      })
      // Built after the server, so that it is told first: the server then finds nothing that it has to wait for.
      const ending = Layer.effectDiscard(Effect.addFinalizer(() => Deferred.succeed(closing, undefined)))
      return Layer.provideMerge(ending, served)
    })
  )

/** Ready: a neighbour is linked, or no other node was ever heard of. */
const readiness = Effect.fnUntraced(function* (agent: Agent.Agent["Service"]) {
  const peers = yield* agent.peers
  if (peers.items.some((peer) => peer.view === "active")) return undefined
  const nodes = yield* Effect.orDie(agent.nodes())
  const others = nodes.items.filter((node) => node.id !== agent.identity.id)
  return others.length === 0
    ? undefined
    : `${others.length} other nodes are known, and none is linked: see \`starling peers\` and \`starling status\``
})

const plain = HttpRouter.use(
  Effect.fnUntraced(function* (router) {
    const agent = yield* Agent.Agent
    const counters = yield* Counters.Counters
    yield* router.add("GET", "/livez", HttpServerResponse.text("ok\n"))
    yield* router.add(
      "GET",
      "/readyz",
      Effect.map(readiness(agent), (why) =>
        why === undefined ? HttpServerResponse.text("ok\n") : Guard.problem("not-ready", 503, "Not ready", why)
      )
    )
    yield* router.add(
      "GET",
      "/metrics",
      Effect.gen(function* () {
        const status = yield* agent.status
        const peers = yield* agent.peers
        const all = { ...(yield* agent.counters), ...counters.read() }
        const [item] = status.items
        return item === undefined
          ? HttpServerResponse.empty({ status: 503 })
          : HttpServerResponse.text(Prometheus.render(item, all, peers.items), { contentType: Prometheus.contentType })
      })
    )
  })
)

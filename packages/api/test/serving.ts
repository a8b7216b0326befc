/** The API and its client in one process and one fiber tree, so that virtual time moves both. */
import * as Agent from "@starling/agent/Agent"
import { ApiServer, Client, Counters } from "@starling/api"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import type * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as HttpRouter from "effect/http/HttpRouter"
import * as Layer from "effect/Layer"
import * as FakeAgent from "./fakeAgent.ts"

export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  readonly json: Record<string, unknown>
}

export interface Serving {
  readonly fake: FakeAgent.Fake
  readonly counters: Counters.Registry
  readonly close: Effect.Effect<void>
  readonly client: Client.Client
  /** One raw request, as any program would send it; the body is sent as it is. */
  readonly ask: (method: string, path: string, body?: string, headers?: Record<string, string>) => Effect.Effect<Answer>
  readonly fetch: (request: Request) => Promise<Response>
}

const read = async (response: Response): Promise<Answer> => {
  const text = await response.text()
  const isJson = (response.headers.get("content-type") ?? "").includes("json")
  return { status: response.status, headers: response.headers, text, json: isJson ? JSON.parse(text) : {} }
}

export const serve = Effect.fnUntraced(function* (options: ApiServer.Options = { debug: true }) {
  const fake = yield* FakeAgent.make
  const counters = Counters.make()
  const closing = yield* Deferred.make<void>()
  const app = ApiServer.routes({ ...options, closing: Deferred.await(closing) }).pipe(
    Layer.provide(Layer.succeed(Agent.Agent, fake.agent)),
    Layer.provide(Layer.succeed(Counters.Counters, counters))
  )
  const { dispose, handler } = HttpRouter.toWebHandler(app, {
    disableLogger: true,
    routerConfig: ApiServer.routerConfig
  })
  yield* Effect.addFinalizer(() => Effect.promise(dispose))
  const http = HttpClient.make((request, url, signal) =>
    Effect.map(
      Effect.promise(() => handler(toWeb(request, url, signal))),
      (response) => HttpClientResponse.fromWeb(request, response)
    )
  )
  const client = yield* Effect.provideService(Client.make("http://127.0.0.1:7741"), HttpClient.HttpClient, http)
  const serving: Serving = {
    fake,
    counters,
    client,
    close: Effect.asVoid(Deferred.succeed(closing, undefined)),
    fetch: (request) => handler(request),
    ask: (method, path, body, headers = {}) =>
      Effect.promise(async () => {
        const json: Record<string, string> = body === undefined ? {} : { "content-type": "application/json" }
        const request = new Request(`http://127.0.0.1:7741${path}`, {
          method,
          headers: { ...json, ...headers },
          ...(body === undefined ? {} : { body })
        })
        return read(await handler(request))
      })
  }
  return serving
})

const toWeb = (request: HttpClientRequest.HttpClientRequest, url: URL, signal: AbortSignal): Request =>
  new Request(url, {
    method: request.method,
    headers: { ...request.headers },
    signal,
    ...(request.body._tag === "Uint8Array" ? { body: new Uint8Array(request.body.body) } : {})
  })

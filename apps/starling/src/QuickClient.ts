/**
 * The client of the command line: the same questions as the typed client of `@starling/api`, over `node:http` and
 * without its schemas.
 *
 * Loading HTTP client, schemas and codecs takes longer than everything else that a question costs, and a program that
 * prints what it is told does not need them: an agent of a later version may say more, and `--json` then shows it. The
 * compiler holds both clients to one interface.
 *
 * @since 0.1.0
 */
import type * as Client from "@starling/api/Client"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type * as Http from "node:http"

/** Nobody answers at `url`, or who does is no agent. @since 0.1.0 @category errors */
export class NoAgent extends Data.TaggedError("NoAgent")<{
  readonly url: string
  readonly message: string
}> {}

/** The agent refused or failed, and says why: a problem document of RFC 9457. @since 0.1.0 @category errors */
export class Problem extends Data.TaggedError("Problem")<{
  readonly status: number
  readonly type: string
  readonly title: string
  readonly detail: string
}> {
  override get message(): string {
    return this.detail === "" ? this.title : this.detail
  }
}

type Query = Readonly<Record<string, string | number | undefined>>

interface Request {
  readonly method: "GET" | "PUT" | "POST" | "DELETE"
  readonly path: string
  readonly query?: Query
  readonly body?: unknown
}

/** A client of the agent at `url`, such as `http://127.0.0.1:7741`. @since 0.1.0 @category constructors */
export const make = (url: string): Client.Client => {
  const send = <A>(method: Request["method"], path: string, rest: Pick<Request, "query" | "body"> = {}) =>
    Effect.scoped(
      Effect.flatMap(open(url, { method, path, ...rest }), (response) =>
        Effect.flatMap(textOf(url, response), (text) => Effect.suspend(() => read<A>(url, response, text)))
      )
    )
  const get = <A>(path: string, query: Query = {}) => send<A>("GET", path, { query })
  const keyPath = (key: string, rest = "") => `/v1/config/${encodeURIComponent(key)}${rest}`
  const ms = (duration: number | undefined) => (duration === undefined ? undefined : `${Math.round(duration)}ms`)
  return {
    url,
    status: get("/v1/status"),
    nodes: (filter = {}) => get("/v1/nodes", { ...filter }),
    publishers: (filter = {}) => get("/v1/publishers", { ...filter }),
    offline: get("/v1/offline"),
    events: ({ sinceMs, ...filter } = {}) => get("/v1/events", { ...filter, since: ms(sinceMs) }),
    sendEvent: (body) => send("POST", "/v1/events", { body }),
    peers: get("/v1/peers"),
    clock: get("/v1/clock"),
    resetClock: (epoch, wall) => send("POST", "/v1/clock/reset", { body: { epoch, wall } }),
    tree: get("/v1/tree"),
    config: get("/v1/config"),
    configEntry: (key) => get(keyPath(key)),
    configHistory: (key) => get(keyPath(key, "/history")),
    rollout: (key) => get(keyPath(key, "/rollout")),
    setConfig: (key, body, { timeoutMs, wait } = {}) =>
      send("PUT", keyPath(key), { body, query: { wait, timeout: ms(timeoutMs) } }),
    deleteConfig: (key, query = {}) => send("DELETE", keyPath(key), { query: { ...query } }),
    reportConfig: (key, body) => send("POST", keyPath(key, "/status"), { body }),
    crash: (component, at) => send("POST", "/v1/debug/crash", { body: { component, at } }),
    broadcast: (count) => send("POST", "/v1/debug/broadcast", { body: { count } }),
    delivered: get("/v1/debug/delivered"),
    cut: (datacenter) => send("POST", "/v1/debug/cut", { body: { datacenter } }),
    heal: (datacenter) => send("POST", "/v1/debug/heal", { body: { datacenter } }),
    watch: (resources, { after, here } = {}) =>
      Stream.unwrap(
        Effect.gen(function* () {
          const query = { resource: resources.join(","), after, here: here === undefined ? undefined : String(here) }
          const response = yield* open(url, { method: "GET", path: "/v1/watch.ndjson", query })
          // What is not a stream is one document, which says why.
          if (response.statusCode !== 200) {
            return Stream.fromEffect(Effect.flatMap(textOf(url, response), (text) => read<never>(url, response, text)))
          }
          return Stream.fromAsyncIterable<string, NoAgent>(response.setEncoding("utf8"), (error) =>
            broken(url, error)
          ).pipe(
            Stream.splitLines,
            Stream.filter((line) => line !== ""),
            Stream.mapEffect((line) => parse<never>(url, line))
          )
        })
      )
  }
}

/** The head of the response; the connection ends with the scope. */
const open = (url: string, { body, method, path, query = {} }: Request) =>
  Effect.acquireRelease(
    Effect.promise(() => (url.startsWith("https:") ? import("node:https") : import("node:http"))).pipe(
      Effect.flatMap(({ request }) =>
        Effect.callback<Http.IncomingMessage, NoAgent>((resume) => {
          const target = new URL(path, url)
          for (const [name, value] of Object.entries(query)) {
            if (value !== undefined) target.searchParams.set(name, String(value))
          }
          const content = body === undefined ? undefined : JSON.stringify(body)
          const headers = content === undefined ? {} : { "content-type": "application/json" }
          const sent = request(target, { method, agent: false, headers: { accept: "application/json", ...headers } })
          sent.once("response", (response) => resume(Effect.succeed(response)))
          sent.on("error", (error) => resume(Effect.fail(broken(url, error))))
          sent.end(content)
          return Effect.sync(() => sent.destroy())
        })
      )
    ),
    (response) => Effect.sync(() => response.destroy()),
    { interruptible: true }
  )

const textOf = (url: string, response: Http.IncomingMessage): Effect.Effect<string, NoAgent> =>
  Effect.callback((resume) => {
    let text = ""
    response.setEncoding("utf8")
    response.on("data", (chunk: string) => {
      text += chunk
    })
    response.once("end", () => resume(Effect.succeed(text)))
    response.once("error", (error) => resume(Effect.fail(broken(url, error))))
  })

const notAnAgent = (url: string, why: string): NoAgent =>
  new NoAgent({ url, message: `what answers at ${url} is no Starling agent: ${why}` })

/** The innermost message: where a name has several addresses, each one has failed. */
const broken = (url: string, error: unknown): NoAgent => {
  const first: unknown = error instanceof AggregateError ? error.errors[0] : error
  const why = first instanceof Error ? first.message || first.name : String(first)
  return new NoAgent({ url, message: `no agent answers at ${url}: ${why}` })
}

const parse = <A>(url: string, text: string): Effect.Effect<A, NoAgent> =>
  Effect.try({
    try: () => JSON.parse(text) as A,
    catch: () => notAnAgent(url, "it does not answer with JSON")
  })

const read = <A>(url: string, response: Http.IncomingMessage, text: string): Effect.Effect<A, NoAgent | Problem> => {
  const status = response.statusCode ?? 0
  const type = response.headers["content-type"] ?? ""
  if (status === 204) return Effect.succeed(undefined as A)
  if (status === 200 && type.startsWith("application/json")) return parse(url, text)
  if (!type.startsWith("application/problem+json")) {
    return Effect.fail(notAnAgent(url, `it answers with status ${status} and ${type === "" ? "no type" : type}`))
  }
  return Effect.flatMap(parse<Partial<Problem>>(url, text), ({ detail = "", title = "", type = "about:blank" }) =>
    Effect.fail(new Problem({ status, type, title, detail }))
  )
}

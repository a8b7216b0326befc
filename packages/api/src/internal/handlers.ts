/** Handlers of the typed API: each asks the agent and shapes the answer. */
import * as Agent from "@starling/agent/Agent"
import type { Document } from "@starling/fleet"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import * as HttpApiMiddleware from "effect/http-api/HttpApiMiddleware"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as SchemaIssue from "effect/SchemaIssue"
import * as Stream from "effect/Stream"
import { Api, type ConfigChange, DecodingProblems, waitMsDefault } from "../Api.ts"
import * as Counters from "../Counters.ts"
import * as Problems from "../Problems.ts"
import type { ChangeAnswer, Wait, WatchMessage } from "../Schemas.ts"
import { emptyRollout, judge } from "./outcome.ts"
import * as Watch from "./watch.ts"

export interface Options {
  readonly debug: boolean
  /** Completes when the server is about to stop: what waits or streams ends. */
  readonly closing: Effect.Effect<void>
}

/** Watches open at once. Our choice: each compares answers at every change. */
const watchesMax = 64

/** A change is looked at again so often, should a signal be missed. Our choice. */
const recheckMs = 250

/** Broadcasts made at once by one debug request. Our choice. */
const broadcastsAtOnce = 16

const invalid = (error: Agent.InvalidInput): Problems.InvalidInput =>
  new Problems.InvalidInput({
    detail: `${error.where}: ${error.message}`,
    errors: [{ path: [error.where], message: error.message }]
  })

const unavailable = (error: Agent.Unavailable): Problems.Unavailable =>
  new Problems.Unavailable({ detail: error.message })

const toProblem = (error: Agent.InvalidInput | Agent.Unavailable): Problems.InvalidInput | Problems.Unavailable =>
  error._tag === "InvalidInput" ? invalid(error) : unavailable(error)

const noEntry = (key: string): Problems.NotFound =>
  new Problems.NotFound({ detail: `nothing is stored under the key ${JSON.stringify(key)}` })

const isHere = (entry: Document.ConfigDocument | undefined): entry is Document.ConfigDocument =>
  entry !== undefined && entry.operation !== "delete"

/** Text of a request in an error: enough to recognise it. */
const shorten = (text: string): string => (text.length > 300 ? `${text.slice(0, 300)}...` : text)

const formatIssues = SchemaIssue.makeFormatterStandardSchemaV1()

const segmentOf = (segment: PropertyKey | { readonly key: PropertyKey }): string | number => {
  const key = typeof segment === "object" ? segment.key : segment
  return typeof key === "number" ? key : String(key)
}

export const decodingProblems: Layer.Layer<DecodingProblems> = HttpApiMiddleware.layerSchemaErrorTransform(
  DecodingProblems,
  (error) => {
    if (error.kind === "Body" || error.kind === "ResponseHeaders") {
      return Effect.andThen(
        Effect.logError("an answer does not fit its schema", error.cause),
        Effect.fail(new Problems.Internal({ detail: "the answer could not be written; the agent's log says why" }))
      )
    }
    const slot = error.kind === "Payload" ? "body" : error.kind.toLowerCase()
    const errors = formatIssues(error.cause.issue)
      .issues.slice(0, 10)
      .map((issue) => ({ path: [slot, ...(issue.path ?? []).map(segmentOf)], message: shorten(issue.message) }))
    const detail = errors.map(({ message, path }) => `${path.join(".")}: ${message}`).join("; ")
    return Effect.fail(new Problems.InvalidInput({ detail, errors }))
  }
)

export const fleet = HttpApiBuilder.group(
  Api,
  "fleet",
  Effect.fnUntraced(function* (handlers) {
    const agent = yield* Agent.Agent
    return handlers.handleAll({
      status: () => agent.status,
      nodes: ({ query }) => Effect.mapError(agent.nodes(query), invalid),
      publishers: ({ query }) => Effect.mapError(agent.publishers(query), invalid),
      offline: () => agent.offline,
      events: ({ query: { since, ...filter } }) =>
        Effect.mapError(agent.events(since === undefined ? filter : { ...filter, sinceMs: since }), invalid),
      sendEvent: ({ payload }) =>
        agent
          .sendEvent({
            app: payload.app ?? "operator",
            severity: payload.severity ?? "info",
            body: payload.body,
            attributes: payload.attributes ?? {}
          })
          .pipe(
            Effect.mapError(toProblem),
            Effect.flatMap((event) => inView(agent, [event]))
          ),
      peers: () => agent.peers,
      tree: () => agent.tree,
      clock: () => agent.clock,
      resetClock: ({ payload }) =>
        Effect.andThen(Effect.mapError(agent.resetClock(payload.epoch, payload.wall), toProblem), agent.clock)
    })
  })
)

export const config = (options: Options) =>
  HttpApiBuilder.group(
    Api,
    "config",
    Effect.fnUntraced(function* (handlers) {
      const agent = yield* Agent.Agent
      return handlers.handleAll({
        list: () => agent.config,
        get: ({ params }) =>
          Effect.flatMap(agent.configEntry(params.key), (entry) =>
            isHere(entry) ? inView(agent, [entry]) : Effect.fail(noEntry(params.key))
          ),
        history: ({ params }) =>
          Effect.filterOrFail(
            agent.configHistory(params.key),
            (answer) => answer.items.length > 0,
            () => noEntry(params.key)
          ),
        rollout: ({ params }) =>
          Effect.flatMap(agent.rollout(params.key), (rollout) =>
            rollout === undefined ? Effect.fail(noEntry(params.key)) : inView(agent, [rollout])
          ),
        set: ({ params, payload, query }) =>
          change(agent, options, params.key, payload, query.wait, query.timeout ?? waitMsDefault),
        delete: Effect.fnUntraced(function* ({ params, query }) {
          if (!isHere(yield* agent.configEntry(params.key))) return yield* noEntry(params.key)
          const deleted = agent.deleteConfig(params.key, query.author ?? "api", query.note ?? "")
          return yield* inView(agent, [yield* Effect.mapError(deleted, toProblem)])
        }),
        report: ({ params, payload }) =>
          Effect.mapError(
            agent.reportConfig(params.key, payload.revision, payload.status, payload.reason ?? ""),
            toProblem
          )
      })
    })
  )

const inView = <Item>(agent: Agent.Agent["Service"], items: ReadonlyArray<Item>) =>
  Effect.map(agent.view, (view) => ({ view, items }))

const alone = <Item extends object>(agent: Agent.Agent["Service"], item: Item) =>
  Effect.map(agent.view, (view) => ({ ...item, view, items: [item] }))

/** Stores the change, then looks at its rollout until that is decided, time is up, or the agent stops. */
const change = Effect.fnUntraced(function* (
  agent: Agent.Agent["Service"],
  options: Options,
  key: string,
  payload: typeof ConfigChange.Type,
  wait: Wait | undefined,
  timeoutMs: number
) {
  const { author = "api", note = "", operation, selector = "", value } = payload
  const meant = operation === undefined ? {} : { operation }
  const entry = yield* Effect.mapError(agent.setConfig({ key, value, selector, author, note, ...meant }), toProblem)
  const look = Effect.gen(function* () {
    const rollout = yield* agent.rollout(key)
    const view = yield* agent.view
    return { rollout, view, ...judge(rollout, wait ?? "received", view, entry.revision) }
  })
  if (wait !== undefined) {
    yield* Stream.merge(agent.changes, Stream.tick(recheckMs)).pipe(
      Stream.mapEffect(() => look),
      Stream.filter((seen) => seen.decided),
      Stream.runHead,
      Effect.raceFirst(Effect.as(options.closing, Option.none())),
      Effect.timeoutOption(timeoutMs)
    )
  }
  const { outcome, reason, rollout = emptyRollout(key, entry.revision), view } = yield* look
  const answer: ChangeAnswer = { ...rollout, outcome, wait: wait ?? null, reason, view, items: [rollout] }
  return answer
})

export const debug = (options: Options) =>
  HttpApiBuilder.group(
    Api,
    "debug",
    Effect.fnUntraced(function* (handlers) {
      const agent = yield* Agent.Agent
      const allowed = options.debug
        ? Effect.void
        : Effect.fail(
            new Problems.NotAllowed({
              detail:
                "this agent makes no faults on purpose: start it with `starling agent --debug`, STARLING_DEBUG=true or debug = true in its file"
            })
          )
      return handlers.handleAll({
        crash: Effect.fnUntraced(function* ({ payload }) {
          yield* allowed
          const at = yield* Effect.mapError(agent.crash(payload.component, payload.at), toProblem)
          return yield* alone(agent, { component: payload.component, at })
        }),
        broadcast: Effect.fnUntraced(function* ({ payload }) {
          yield* allowed
          const count = payload.count ?? 1
          const ids = yield* Effect.forEach(
            Array.from({ length: count }, (_, index) => index),
            (index) => agent.broadcast({ from: agent.identity.name, index, count }),
            { concurrency: broadcastsAtOnce }
          ).pipe(Effect.mapError(toProblem))
          return yield* alone(agent, { count, ids })
        }),
        delivered: Effect.fnUntraced(function* () {
          yield* allowed
          return yield* alone(agent, yield* agent.delivered)
        }),
        cut: Effect.fnUntraced(function* ({ payload }) {
          yield* allowed
          return yield* alone(agent, { cut: yield* Effect.mapError(agent.cut(payload.datacenter), invalid) })
        }),
        heal: Effect.fnUntraced(function* ({ payload }) {
          yield* allowed
          return yield* alone(agent, { cut: yield* Effect.mapError(agent.heal(payload.datacenter), invalid) })
        })
      })
    })
  )

export const watch = (options: Options) =>
  HttpApiBuilder.group(
    Api,
    "watch",
    Effect.fnUntraced(function* (handlers) {
      const agent = yield* Agent.Agent
      const counters = yield* Counters.Counters
      let open = 0
      const begin = Effect.fnUntraced(function* (query: {
        readonly resource: Watch.Options["resources"]
        readonly here?: "true" | "false"
        readonly after?: string
      }) {
        const request = yield* HttpServerRequest.HttpServerRequest
        if (open >= watchesMax) {
          return yield* new Problems.Unavailable({
            detail: `${watchesMax} watches are open here, the most there can be`
          })
        }
        counters.add("api_watches")
        const messages = Watch.watch(agent, {
          resources: query.resource,
          here: query.here === "true",
          after: request.headers["last-event-id"] ?? query.after
        })
        const counted = Effect.acquireRelease(
          Effect.sync(() => {
            open += 1
          }),
          () =>
            Effect.sync(() => {
              open -= 1
            })
        )
        return Stream.scoped(Stream.unwrap(Effect.as(counted, messages))).pipe(Stream.interruptWhen(options.closing))
      })
      return handlers.handleAll({
        sse: ({ query }) => Effect.map(begin(query), Stream.map(toEvent)),
        ndjson: ({ query }) => begin(query)
      })
    })
  )

const toEvent = (message: WatchMessage) => {
  const last = message.resource === "events" ? message.items.at(-1) : undefined
  return { id: last?.at, event: message.resource, data: message }
}

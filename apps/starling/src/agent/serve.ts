/**
 * One node with everything it needs: TCP, SQLite, the supervised agent, the HTTP API and the OTLP intake.
 *
 * It prints one line on standard output when all of it stands, and nothing else there ever. SIGTERM and SIGINT make it
 * say goodbye to the fleet first, then stop serving, then close the store.
 *
 * @since 0.1.0
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as Agent from "@starling/agent/Agent"
import * as Node from "@starling/agent/Node"
import * as ApiServer from "@starling/api/ApiServer"
import * as Counters from "@starling/api/Counters"
import * as Otlp from "@starling/api/Otlp"
import * as AgentConfig from "@starling/platform-node/AgentConfig"
import * as SqliteStore from "@starling/platform-node/SqliteStore"
import * as TcpTransport from "@starling/platform-node/TcpTransport"
import * as Address from "@starling/wire/Address"
import * as Console from "effect/Console"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HttpServer from "effect/http/HttpServer"
import type * as HttpServerError from "effect/http/HttpServerError"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as References from "effect/References"
import * as Stdio from "effect/Stdio"
import * as Stream from "effect/Stream"
// Effect wraps the server and does not make it, so this is the one built-in module that a service does not stand for.
import { createServer } from "node:http"
import { exitCodes, Failure } from "../Failure.ts"
import * as Interrupted from "../interrupted.ts"
import * as Hooks from "./hooks.ts"
import * as Root from "../root.ts"
import { version } from "../version.ts"

/** How long the goodbye may take; a fleet that does not listen must not keep the process. Our choice. */
const leaveTimeoutMs = 2000

/** How long requests that are being answered may take when it stops. Our choice: a person does not wait for a server. */
const drainMs = 500

/** @since 0.1.0 @category running */
export const serve = Effect.fnUntraced(function* (effective: AgentConfig.Effective) {
  Interrupted.exitCode.onInterrupt = 0
  return yield* node(effective).pipe(Effect.scoped, Effect.provide(logging(effective.config)))
})

const levels = {
  trace: "Trace",
  debug: "Debug",
  info: "Info",
  warn: "Warn",
  error: "Error",
  none: "None"
} as const

/** The log goes to standard error, which leaves standard output to the one line. */
const logging = ({ logFormat, logLevel }: AgentConfig.AgentConfig): Layer.Layer<never> =>
  Layer.mergeAll(
    Logger.layer([logFormat === "json" ? Logger.consoleJson : Logger.consolePretty()]),
    Layer.succeed(Logger.LogToStderr, true),
    Layer.succeed(References.MinimumLogLevel, levels[logLevel])
  )

const node = Effect.fnUntraced(function* ({ config, settings }: AgentConfig.Effective) {
  const listening = (key: "gossip" | "api" | "otlp"): AgentConfig.Setting =>
    settings.find((setting) => setting.key === key) ?? { key, value: config[key], source: "default" }
  const agentLayer = Node.layer({
    name: config.name,
    datacenter: config.datacenter,
    fleet: config.fleet,
    labels: config.labels,
    gossip: config.gossip,
    ...(config.advertise === undefined ? {} : { advertise: config.advertise }),
    join: config.join,
    debug: config.debug,
    clockSource: config.clockSource,
    clockPolicy: config.clockPolicy,
    clockMode: config.clockMode,
    clockOffsetMs: config.clockOffsetMs,
    version
  }).pipe(Layer.provide([TcpTransport.layer(), SqliteStore.layer(config.data)]))
  const counters = Layer.succeed(Counters.Counters, Counters.make())
  // Built one after the other, so that a port is only taken by a node that stands, and given back in reverse order.
  const running = yield* Layer.build(agentLayer).pipe(
    Effect.mapError((error) => gossipFailure(listening("gossip"), toFailure(error)))
  )
  const served = Layer.merge(Layer.succeedContext(running), counters)
  const api = yield* Layer.build(
    ApiServer.layer({ debug: config.debug }).pipe(Layer.provideMerge(httpServer(config.api)), Layer.provide(served))
  ).pipe(Effect.mapError((error) => serveFailure(listening("api"), config.api, error)))
  const { otlp: otlpAddress } = config
  const otlp =
    otlpAddress === undefined
      ? undefined
      : yield* Layer.build(Otlp.layer().pipe(Layer.provideMerge(httpServer(otlpAddress)), Layer.provide(served))).pipe(
          Effect.mapError((error) => serveFailure(listening("otlp"), otlpAddress, error))
        )
  const agent = Context.get(running, Agent.Agent)
  yield* Hooks.register(config.apply, agent)
  // Registered last, so that it runs first: who asks meanwhile still gets an answer.
  yield* Effect.addFinalizer(() => Effect.ignore(Effect.timeoutOption(agent.leave, leaveTimeoutMs)))
  const urlOf = (context: Context.Context<HttpServer.HttpServer>) =>
    HttpServer.formatAddress(Context.get(context, HttpServer.HttpServer).address)
  if (config.join.length > 0) yield* Effect.raceFirst(joined(agent), Effect.mapError(agent.died, toFailure))
  yield* Console.log(readyLine(config, agent.identity, urlOf(api), otlp === undefined ? "off" : urlOf(otlp)))
  const told = (yield* Root.variable("STARLING_PARENT_PIPE")) === "1" ? parentGone : Effect.never
  yield* Effect.raceFirst(told, Effect.mapError(agent.died, toFailure))
})

/** How long a contact may take to answer, or to refuse, before the node is called ready without it. Our choice. */
const joinedWithinMs = 1000

/** A contact that refuses this node for good does so at once; the ready line would be wrong, so it waits for that. */
const joined = Effect.fnUntraced(function* (agent: Agent.Agent["Service"]) {
  const isLinked = Effect.map(agent.peers, ({ items }) => items.some(({ view }) => view === "active"))
  yield* Effect.gen(function* () {
    while (!(yield* isLinked)) yield* Effect.sleep(20)
  }).pipe(Effect.timeoutOption(joinedWithinMs))
})

/** Returns when standard input ends: whoever started this process is gone, however it ended. */
const parentGone = Effect.gen(function* () {
  const stdio = yield* Stdio.Stdio
  yield* Effect.ignore(Stream.runDrain(stdio.stdin))
  yield* Effect.logWarning("the process that started this agent is gone: leaving")
})

const readyLine = (
  config: AgentConfig.AgentConfig,
  { datacenter, gossip, id, name }: Agent.Identity,
  api: string,
  otlp: string
): string => {
  const fields = { name, datacenter, gossip, api, otlp, id }
  return config.logFormat === "json"
    ? JSON.stringify({ ready: true, ...fields })
    : `ready ${Object.entries(fields)
        .map(([key, value]) => `${key}=${value}`)
        .join(" ")}`
}

const httpServer = (address: string) => {
  const parsed = Address.parse(address)
  // The configuration has been read, so this is an address.
  const { host, port } = parsed.ok ? parsed.value : { host: "127.0.0.1", port: 0 }
  return NodeHttpServer.layer(() => createServer(), { host, port, gracefulShutdownTimeout: drainMs })
}

const codeOf = (error: unknown): string | undefined =>
  typeof error === "object" && error !== null && "code" in error && typeof error.code === "string"
    ? error.code
    : undefined

/** How another address is said, where this one was said. */
const anotherWith = ({ key, source }: AgentConfig.Setting): string => {
  const flag = `--${key} HOST:PORT`
  if (source === "default" || source === `--${key}`) return `with ${flag}`
  const here = source === AgentConfig.variableOf(key) ? `with ${source}=HOST:PORT` : `as ${key} in ${source}`
  return `${here}, or with ${flag}`
}

/** The agent says which flag it means; what was used to say it is known here. */
const gossipFailure = (setting: AgentConfig.Setting, failure: Failure): Failure => {
  const flag = "--gossip: "
  if (!failure.message.startsWith(flag)) return failure
  const said = failure.next === undefined ? "" : `${failure.next} `
  return new Failure({
    code: failure.code,
    message: `${AgentConfig.writtenAs(setting)}: ${failure.message.slice(flag.length)}`,
    next: `${said}Set it ${anotherWith(setting)}.`
  })
}

const serveFailure = (
  setting: AgentConfig.Setting,
  address: string,
  { cause }: HttpServerError.ServeError
): Failure => {
  const { key } = setting
  const another = anotherWith(setting)
  const start = `${AgentConfig.writtenAs(setting)}: cannot listen on ${address}`
  const free = key === "otlp" ? ", port 0 for any free one, or --otlp off" : ", port 0 for any free one"
  switch (codeOf(cause)) {
    case "EADDRINUSE":
      return new Failure({
        code: exitCodes.error,
        message: `${start}: the port is in use by another process`,
        next: `stop that process, or choose another port ${another}${free}`
      })
    case "EACCES":
      return new Failure({
        code: exitCodes.error,
        message: `${start}: this user may not use that port`,
        next: `choose a port above 1023 ${another}`
      })
    case "EADDRNOTAVAIL":
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return new Failure({
        code: exitCodes.error,
        message: `${start}: this machine has no such address`,
        next: `expected an address of this machine, like 127.0.0.1; set it ${another}`
      })
    default:
      return new Failure({
        code: exitCodes.error,
        message: `${start}: ${cause instanceof Error ? cause.message : String(cause)}`,
        next: `set another address ${another}`
      })
  }
}

const toFailure = ({ message, next }: { readonly message: string; readonly next: string }): Failure =>
  new Failure({ code: exitCodes.error, message, ...(next === "" ? {} : { next }) })

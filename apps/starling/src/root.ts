/**
 * What all commands share: the flags that every one understands, whom they ask, and how they answer.
 *
 * @since 0.1.0
 */
import type * as Client from "@starling/api/Client"
import type { Document } from "@starling/fleet"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Config from "effect/Config"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stdio from "effect/Stdio"
import * as Terminal from "effect/Terminal"
import { exitCodes, Failure } from "./Failure.ts"
import type * as Table from "./output/Table.ts"
import * as Time from "./output/Time.ts"

/** @since 0.1.0 */
export const apiDefault = "http://127.0.0.1:7741"

/** How long an answer may take when nothing is said. Our choice: an agent answers from memory. @since 0.1.0 */
export const timeoutMsDefault = 10_000

/** A flag that reads a duration into milliseconds. @since 0.1.0 */
export const durationFlag = (name: string): Flag.Flag<Option.Option<number>> =>
  Flag.String(name).pipe(
    Flag.withMetavar("DURATION"),
    Flag.filterMap(
      (text) => Option.fromUndefinedOr(Time.parse(text)),
      (text) => `Expected a duration such as 250ms, 10s, 5m, 1h or 7d, got ${JSON.stringify(text)}`
    ),
    Flag.optional
  )

/** The flag that narrows an answer to nodes with certain labels. @since 0.1.0 */
export const selectorFlag = Flag.String("selector").pipe(
  Flag.withAlias("l"),
  Flag.withMetavar("SELECTOR"),
  Flag.withDescription("Only nodes that match, like role=edge,zone in (a,b),!canary,@datacenter=fra"),
  Flag.optional
)

/** @since 0.1.0 */
export const root = Command.make("starling").pipe(
  Command.withDescription("Membership, configuration and telemetry of a fleet, asked at any of its nodes."),
  Command.withSharedFlags({
    api: Flag.String("api").pipe(
      Flag.withMetavar("URL"),
      Flag.withDescription(
        `The agent to ask (STARLING_API, default ${apiDefault}); for \`agent\`: HOST:PORT to answer at`
      ),
      Flag.optional
    ),
    json: Flag.Boolean("json").pipe(Flag.withDescription("One JSON document"), Flag.withDefault(false)),
    jsonl: Flag.Boolean("jsonl").pipe(
      Flag.withDescription("One JSON document a line, with --follow and --watch too"),
      Flag.withDefault(false)
    ),
    color: Flag.Boolean("color").pipe(
      Flag.withDescription("Colour or, with --no-color, none; default: where there is a terminal and no NO_COLOR"),
      Flag.optional
    ),
    timeout: durationFlag("timeout").pipe(Flag.withDescription("How long to wait for the answer, like 10s"))
  })
)

/** An environment variable; an empty one counts as not set. @since 0.1.0 */
export const variable = (name: string): Effect.Effect<string | undefined> =>
  Config.option(Config.String(name)).pipe(
    Effect.map((value) => Option.getOrUndefined(Option.filter(value, (text) => text !== ""))),
    Effect.orElseSucceed(() => undefined)
  )

/** Where the output goes, and how it should look. @since 0.1.0 */
export const screen = Effect.gen(function* () {
  const { color } = yield* root
  const isTerminal = yield* (yield* Stdio.Stdio).stdoutIsTerminal
  const columns = yield* (yield* Terminal.Terminal).columns
  const told = Number(yield* variable("COLUMNS"))
  const isDumb = (yield* variable("TERM")) === "dumb" || (yield* variable("NO_COLOR")) !== undefined
  const width = isTerminal && columns > 0 ? columns : Number.isSafeInteger(told) && told >= 20 ? told : undefined
  const out: Table.Screen = { width, color: Option.getOrElse(color, () => isTerminal && !isDumb) }
  return out
})

const urlOf = Effect.fnUntraced(function* (flag: Option.Option<string>) {
  const environment = yield* variable("STARLING_API")
  const [source, text] = Option.isSome(flag)
    ? ["--api", flag.value]
    : environment === undefined
      ? ["default", apiDefault]
      : ["STARLING_API", environment]
  const url = URL.parse(/^[a-z]+:\/\//i.test(text) ? text : `http://${text}`)
  if (url === null || (url.protocol !== "http:" && url.protocol !== "https:") || url.hostname === "") {
    return yield* new Failure({
      code: exitCodes.usage,
      message: `${source}: ${JSON.stringify(text)} is no address of an agent`,
      next: `expected a URL like ${apiDefault}`
    })
  }
  return url.origin
})

const toFailure = (error: Client.ClientError): Failure => {
  if (error._tag === "NoAgent") {
    return new Failure({
      code: exitCodes.noAgent,
      message: error.message,
      next: "start one with `starling agent`, or say which to ask with --api URL or STARLING_API"
    })
  }
  const code =
    error.status === 400 || error.status === 413
      ? exitCodes.usage
      : error.status === 403
        ? exitCodes.notAllowed
        : exitCodes.error
  return new Failure({ code, message: error.message })
}

/** How long a question may take, given what `--timeout` says; undefined: for ever. @since 0.1.0 @category models */
export type Patience = (told: number | undefined) => number | undefined

/** Every question that is answered from memory. @since 0.1.0 */
export const brief: Patience = (told) => told ?? timeoutMsDefault

/** A change that the agent itself waits for: its time, and a little for the way. @since 0.1.0 */
export const waiting: Patience = (told) => (told ?? timeoutMsDefault) + 5000

/** Until it is interrupted. @since 0.1.0 */
export const endless: Patience = () => undefined

/** What `--timeout` says, in milliseconds. @since 0.1.0 */
export const toldTimeout = Effect.map(root, ({ timeout }) => Option.getOrUndefined(timeout))

/**
 * Asks the agent. The client is loaded here and not before, so that `--help` does not pay for it.
 *
 * @since 0.1.0
 */
export const ask = Effect.fnUntraced(function* <A, E extends Client.ClientError | Failure, R>(
  question: (client: Client.Client) => Effect.Effect<A, E, R>,
  patience: Patience = brief
) {
  const { api } = yield* root
  const url = yield* urlOf(api)
  const { make } = yield* Effect.promise(() => import("./QuickClient.ts"))
  const answer = question(make(url)).pipe(
    Effect.mapError((error: Client.ClientError | Failure) => (error._tag === "Failure" ? error : toFailure(error)))
  )
  const limitMs = patience(yield* toldTimeout)
  if (limitMs === undefined) return yield* answer
  return yield* answer.pipe(
    Effect.timeoutOrElse({
      duration: limitMs,
      orElse: () =>
        Effect.fail(
          new Failure({
            code: exitCodes.noAgent,
            message: `the agent at ${url} has not answered within ${limitMs} ms`,
            next: "wait longer with --timeout 30s, or ask another agent with --api URL"
          })
        )
    })
  )
})

/** How much of the fleet the answer covers, in a line. @since 0.1.0 */
export const coverage = (view: Document.View): string => {
  const away = view.datacenters.filter(({ state }) => state === "unreachable")
  const seen = `seen from ${view.node}`
  if (view.complete) return `${seen}, complete: ${count(view.datacenters.length, "data centre")} heard from`
  const missing = away.map(
    ({ datacenter, lastHeardSeconds }) => `${datacenter} (not heard from for ${Time.format(lastHeardSeconds * 1000)})`
  )
  return `${seen}, INCOMPLETE: ${missing.length === 0 ? "not every data centre was heard from lately" : missing.join(", ")}`
}

/** `1 node`, `2 nodes`. @since 0.1.0 */
export const count = (n: number, what: string): string => `${n} ${what}${n === 1 ? "" : "s"}`

/**
 * Prints an answer: one document, one a line, or what `text` makes of it.
 *
 * @since 0.1.0
 */
export const print = Effect.fnUntraced(function* <Item, A extends { readonly items: ReadonlyArray<Item> }>(
  answer: A,
  text: (screen: Table.Screen) => string
) {
  const { json, jsonl } = yield* root
  if (json) return yield* Console.log(JSON.stringify(answer, undefined, 2))
  if (jsonl) {
    for (const item of answer.items) yield* Console.log(JSON.stringify(item))
    return
  }
  yield* Console.log(text(yield* screen))
})

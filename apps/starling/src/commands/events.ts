/**
 * What happened, in order: `events`, and `event send`.
 *
 * @since 0.1.0
 */
import type * as Client from "@starling/api/Client"
import type { Agent } from "@starling/agent"
import * as Stamp from "@starling/clock/Stamp"
import * as Document from "@starling/fleet/Document"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { exitCodes, Failure } from "../Failure.ts"
import * as Closed from "../output/Closed.ts"
import * as Root from "../root.ts"
import * as Table from "../output/Table.ts"
import * as Time from "../output/Time.ts"

const severityStyles: Readonly<Record<Document.Severity, Table.Style>> = {
  trace: "faint",
  debug: "faint",
  info: "plain",
  warn: "warn",
  error: "bad",
  fatal: "bad"
}

const relations = { after: "after", "by-clock": "by clock", unknown: "unknown" } as const

const attributesOf = (attributes: Document.EventDocument["attributes"]): string =>
  Object.entries(attributes)
    .map(([key, value]) => `${key}=${value}`)
    .join(" ")

const columnsOf = (at: string): ReadonlyArray<Table.Column<Document.EventDocument>> => [
  { header: "TIME", of: ({ wall }) => Time.clock(at, wall), min: 12 },
  { header: "ORDER", of: ({ relation }) => relations[relation], style: () => "faint", min: 8 },
  { header: "NODE", of: ({ node }) => node, min: 6 },
  { header: "DATACENTER", of: ({ datacenter }) => datacenter },
  { header: "APP", of: ({ app }) => app },
  { header: "SEVERITY", of: ({ severity }) => severity, style: ({ severity }) => severityStyles[severity], min: 8 },
  { header: "BODY", of: ({ attributes, body }) => `${body}  ${attributesOf(attributes)}`.trimEnd(), min: 24 }
]

/** @since 0.1.0 @category rendering */
export const eventsText = (screen: Table.Screen, { items, view }: Document.Answer<Document.EventDocument>): string =>
  [
    items.length === 0 ? "no event matches\n" : `${Table.render(screen, columnsOf(view.at), items)}\n`,
    Table.paint(
      screen,
      view.complete ? "faint" : "warn",
      `${Root.count(items.length, "event")}, oldest first, ${Root.coverage(view)}`
    )
  ].join("\n")

/** One line of `--follow`, in fixed columns, because what comes next is not known. @since 0.1.0 @category rendering */
export const eventLine = (screen: Table.Screen, event: Document.EventDocument): string => {
  const pad = (text: string, width: number) => {
    const short = Table.cut(Table.plain(text), width)
    return short + " ".repeat(Math.max(0, width - Table.widthOf(short)))
  }
  const severity = Table.paint(screen, severityStyles[event.severity], pad(event.severity, 5))
  const head = `${event.wall.slice(11, 23)}  ${severity}  ${pad(event.node, 12)}  ${pad(event.app, 16)}  `
  const body = Table.plain(`${event.body}  ${attributesOf(event.attributes)}`.trimEnd())
  return head + (screen.width === undefined ? body : Table.cut(body, Math.max(20, screen.width - 53)))
}

/** As the agent's own default. */
const limitDefault = 100

const rank = (severity: Document.Severity): number => Document.severities.indexOf(severity)

const matches = (filter: Agent.EventFilter, event: Document.EventDocument): boolean =>
  (filter.severity === undefined || rank(event.severity) >= rank(filter.severity)) &&
  (filter.app === undefined || event.app === filter.app) &&
  (filter.node === undefined || event.node === filter.node || event.nodeId === filter.node)

/** How often a broken subscription is taken up again, a second apart. Our choice: a restarted agent is back by then. */
const resumeAttempts = 30

/** As many events as an agent gives at once. */
const everything = 10_000

/** Ids of events that were seen; those beyond are so old that they do not come again. */
const seenMax = 2 * everything

/**
 * An event of another node may arrive after one that sorts behind it, so a subscription begins this long before the last
 * one seen, and ids tell which are new. Our choice: longer than a partition that nobody reports.
 */
const lateMs = 60_000

const lookback = (at: string): string => {
  const read = Stamp.fromText(at)
  return read.ok
    ? Stamp.toText({ ...Stamp.zero, epoch: read.value.epoch, wall: Math.max(0, read.value.wall - lateMs) })
    : at
}

/** The events that the filter asks for, then those that follow; a broken subscription is resumed, and none is lost. */
const follow = Effect.fnUntraced(function* (client: Client.Client, filter: Agent.EventFilter) {
  const { jsonl } = yield* Root.root
  const screen = yield* Root.screen
  const show = (event: Document.EventDocument) => Console.log(jsonl ? JSON.stringify(event) : eventLine(screen, event))
  const { items, view } = yield* client.events({ limit: everything })
  const seen = new Set(items.map(({ id }) => id))
  const since = filter.sinceMs === undefined ? 0 : (Time.wallOf(view.at) ?? 0) - filter.sinceMs
  const wanted = items.filter((event) => matches(filter, event) && (Time.wallOf(event.at) ?? 0) >= since)
  for (const event of wanted.slice(-(filter.limit ?? limitDefault))) yield* show(event)
  let last = items.at(-1)?.at ?? view.at
  let failures = 0
  const onEvent = Effect.fnUntraced(function* (event: Document.EventDocument) {
    if (seen.has(event.id)) return
    seen.add(event.id)
    const [oldest] = seen
    if (seen.size > seenMax && oldest !== undefined) seen.delete(oldest)
    if (event.at > last) last = event.at
    if (matches(filter, event)) yield* show(event)
  })
  while (true) {
    const ended = yield* client.watch(["events"], { after: lookback(last) }).pipe(
      Stream.runForEach((message) => {
        failures = 0
        return message.resource === "events" ? Effect.forEach(message.items, onEvent, { discard: true }) : Effect.void
      }),
      Effect.result
    )
    if (ended._tag === "Failure" && (ended.failure._tag !== "NoAgent" || failures >= resumeAttempts)) {
      return yield* ended.failure
    }
    if (failures === 0) yield* Console.error("starling: the agent ended the subscription; trying again")
    failures += 1
    yield* Effect.sleep(1000)
  }
})

/** @since 0.1.0 @category commands */
export const events = Command.make(
  "events",
  {
    severity: Flag.Literals("severity", Document.severities).pipe(
      Flag.withDescription("This severity and above"),
      Flag.optional
    ),
    app: Flag.String("app").pipe(Flag.withDescription("Only of this application"), Flag.optional),
    node: Flag.String("node").pipe(Flag.withDescription("Only of this node, by name or id"), Flag.optional),
    since: Root.durationFlag("since").pipe(Flag.withDescription("Not older than this, like 5m")),
    limit: Flag.Int("limit").pipe(
      Flag.filter(
        (limit) => limit >= 1 && limit <= 10_000,
        (limit) => `Expected a limit from 1 to 10000, got ${limit}`
      ),
      Flag.withDescription("The newest so many, default 100"),
      Flag.optional
    ),
    follow: Flag.Boolean("follow").pipe(
      Flag.withAlias("f"),
      Flag.withDescription("Then wait for more, until interrupted"),
      Flag.withDefault(false)
    )
  },
  (input) =>
    Effect.gen(function* () {
      const filter: Agent.EventFilter = {
        ...(Option.isSome(input.severity) ? { severity: input.severity.value } : {}),
        ...(Option.isSome(input.app) ? { app: input.app.value } : {}),
        ...(Option.isSome(input.node) ? { node: input.node.value } : {}),
        ...(Option.isSome(input.since) ? { sinceMs: input.since.value } : {}),
        ...(Option.isSome(input.limit) ? { limit: input.limit.value } : {})
      }
      if (!input.follow) {
        const answer = yield* Root.ask((client) => client.events(filter))
        return yield* Root.print(answer, (screen) => eventsText(screen, answer))
      }
      if ((yield* Root.root).json) {
        return yield* new Failure({
          code: exitCodes.usage,
          message: "--json is one document, and --follow does not end",
          next: "say --jsonl with --follow: one document a line"
        })
      }
      return yield* Root.ask((client) => Effect.raceFirst(follow(client, filter), Closed.closed), Root.endless)
    })
).pipe(Command.withDescription("What happened, in order, oldest first"))

const send = Command.make(
  "send",
  {
    severity: Flag.Literals("severity", Document.severities).pipe(
      Flag.withDescription("Default: info"),
      Flag.withDefault("info" as const)
    ),
    app: Flag.String("app").pipe(Flag.withDescription("In whose name; default: operator"), Flag.optional),
    body: Argument.String("body").pipe(Argument.withDescription("What happened"))
  },
  ({ app, body, severity }) =>
    Effect.gen(function* () {
      const event = { severity, body, ...(Option.isSome(app) ? { app: app.value } : {}) }
      const answer = yield* Root.ask((client) => client.sendEvent(event))
      const [item] = answer.items
      yield* Root.print(answer, () => (item === undefined ? "recorded" : `recorded ${item.id} at ${item.at}`))
    })
).pipe(Command.withDescription("Records an event at this agent"))

/** @since 0.1.0 @category commands */
export const event = Command.make("event").pipe(
  Command.withDescription("Recording events"),
  Command.withSubcommands([send])
)

/**
 * The questions about the fleet: `status`, `nodes`, `publishers`, `offline`.
 *
 * @since 0.1.0
 */
import type { Document } from "@starling/fleet"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Root from "../root.ts"
import * as Table from "../output/Table.ts"
import * as Time from "../output/Time.ts"

const stateStyles: Readonly<Record<Document.NodeState | Document.PublisherState, Table.Style>> = {
  alive: "good",
  suspect: "warn",
  offline: "bad",
  unreachable: "bad",
  left: "faint",
  missing: "bad",
  forgotten: "faint",
  unexpected: "warn",
  fresh: "good",
  stale: "bad",
  stopped: "faint",
  unknown: "warn"
}

const labelsOf = (labels: Readonly<Record<string, string>>): string =>
  Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .join(",")

const evidenceOf = (evidence: ReadonlyArray<Document.Evidence>): string =>
  evidence.map(({ by, cause }) => `${cause} by ${by}`).join(", ")

const joined = (lines: ReadonlyArray<string>): string => lines.join("\n")

/** @since 0.1.0 @category rendering */
export const nodesText = (screen: Table.Screen, { items, view }: Document.Answer<Document.NodeDocument>): string =>
  joined([
    items.length === 0
      ? "no node matches\n"
      : `${Table.render<Document.NodeDocument>(
          screen,
          [
            { header: "NODE", of: ({ name }) => name, min: 8 },
            { header: "DATACENTER", of: ({ datacenter }) => datacenter },
            { header: "STATE", of: ({ state }) => state, style: ({ state }) => stateStyles[state], min: 11 },
            { header: "SINCE", of: ({ since }) => Time.ago(view.at, since), min: 8 },
            { header: "INC", of: ({ incarnation }) => String(incarnation), align: "right", min: 3 },
            { header: "ADDRESS", of: ({ address }) => address, min: 12 },
            { header: "LABELS", of: ({ labels }) => labelsOf(labels) },
            { header: "ID", of: ({ id }) => id, style: () => "faint", min: 4 }
          ],
          items
        )}\n`,
    Table.paint(screen, view.complete ? "faint" : "warn", `${Root.count(items.length, "node")}, ${Root.coverage(view)}`)
  ])

const publisherColumns = (at: string): ReadonlyArray<Table.Column<Document.PublisherDocument>> => [
  { header: "APP", of: ({ app }) => app, min: 8 },
  { header: "INSTANCE", of: ({ instance }) => instance },
  { header: "NODE", of: ({ node }) => node, min: 8 },
  { header: "DATACENTER", of: ({ datacenter }) => datacenter },
  { header: "STATE", of: ({ state }) => state, style: ({ state }) => stateStyles[state], min: 7 },
  { header: "SIGNALS", of: ({ signals }) => signals.join(","), min: 7 },
  { header: "LAST", of: ({ lastPublish }) => Time.ago(at, lastPublish), min: 8 },
  { header: "LABELS", of: ({ labels }) => labelsOf(labels) }
]

/** @since 0.1.0 @category rendering */
export const publishersText = (
  screen: Table.Screen,
  { items, view }: Document.Answer<Document.PublisherDocument>
): string =>
  joined([
    items.length === 0
      ? "nothing is publishing; point an OpenTelemetry SDK at an agent's OTLP address to change that\n"
      : `${Table.render(screen, publisherColumns(view.at), items)}\n`,
    Table.paint(
      screen,
      view.complete ? "faint" : "warn",
      `${Root.count(items.length, "publisher")}, ${Root.coverage(view)}`
    )
  ])

/** @since 0.1.0 @category rendering */
export const offlineText = (
  screen: Table.Screen,
  { items, view }: Document.Answer<Document.OfflineDocument>
): string => {
  const nodes = items.filter((item) => item.kind === "node")
  const publishers = items.filter((item) => item.kind === "publisher")
  const lines: Array<string> = []
  if (nodes.length > 0) {
    lines.push(
      Table.render<(typeof nodes)[number]>(
        screen,
        [
          { header: "NODE", of: ({ name }) => name, min: 8 },
          { header: "DATACENTER", of: ({ datacenter }) => datacenter },
          { header: "STATE", of: ({ state }) => state, style: ({ state }) => stateStyles[state], min: 11 },
          { header: "SINCE", of: ({ since }) => Time.ago(view.at, since), min: 8 },
          { header: "EVIDENCE", of: ({ evidence }) => evidenceOf(evidence), min: 12 }
        ],
        nodes
      ),
      ""
    )
  }
  if (publishers.length > 0) lines.push(Table.render(screen, publisherColumns(view.at), publishers), "")
  if (items.length === 0) {
    lines.push(
      view.complete
        ? "nothing seems to be offline"
        : "nothing is known to be offline, but this answer does not cover the whole fleet",
      ""
    )
  }
  lines.push(Table.paint(screen, view.complete ? "faint" : "warn", Root.coverage(view)))
  return joined(lines)
}

const countsOf = <State extends Document.NodeState | Document.PublisherState>(
  screen: Table.Screen,
  counts: Readonly<Record<State, number>>,
  states: ReadonlyArray<State>
): string => {
  const some = states.filter((state) => counts[state] > 0)
  return some.length === 0
    ? "none"
    : some.map((state) => Table.paint(screen, stateStyles[state], `${counts[state]} ${state}`)).join(", ")
}

const datacenterStyles = { healthy: "good", degraded: "warn", unreachable: "bad" } as const

/** @since 0.1.0 @category rendering */
export const statusText = (screen: Table.Screen, { items, view }: Document.Answer<Document.StatusDocument>): string => {
  const [status] = items
  if (status === undefined) return Root.coverage(view)
  const { counts, publishers } = status
  const lines = [
    `${Table.paint(screen, "strong", Table.plain(status.node))}  ${Table.plain(status.datacenter)}  fleet ${Table.plain(status.fleet)}  incarnation ${status.incarnation}  up ${Time.format(status.uptimeSeconds * 1000)}  version ${Table.plain(status.version)}  ${Table.paint(screen, "faint", status.nodeId)}`,
    "",
    `health      ${Table.paint(screen, status.health === "ok" ? "good" : "warn", status.health)}`,
    `nodes       ${countsOf(screen, counts, ["alive", "suspect", "offline", "unreachable", "missing", "unexpected", "left", "forgotten"])}`,
    `publishers  ${countsOf(screen, publishers, ["fresh", "stale", "unknown", "stopped"])}`,
    `config      ${Root.count(status.configKeys, "key")}`,
    `events      ${status.events}`,
    "",
    Table.render<Document.DatacenterView>(
      screen,
      [
        { header: "DATACENTER", of: ({ datacenter }) => datacenter, min: 10 },
        { header: "NODES", of: ({ nodes }) => String(nodes), align: "right" },
        { header: "ALIVE", of: ({ alive }) => String(alive), align: "right" },
        { header: "STATE", of: ({ state }) => state, style: ({ state }) => datacenterStyles[state], min: 11 },
        {
          header: "LAST HEARD",
          of: ({ lastHeardSeconds }) => (lastHeardSeconds < 1 ? "now" : `${Time.format(lastHeardSeconds * 1000)} ago`)
        }
      ],
      view.datacenters
    ),
    ""
  ]
  if (status.problems.length === 0) lines.push(Table.paint(screen, "good", "no problems"))
  else {
    lines.push(Table.paint(screen, "strong", Root.count(status.problems.length, "problem")))
    for (const { next, what, where } of status.problems) {
      lines.push(`  ${Table.paint(screen, "warn", "!")} ${Table.plain(what)}  (${Table.plain(where)})`)
      lines.push(`    next: ${Table.plain(next)}`)
    }
  }
  lines.push("", Table.paint(screen, view.complete ? "faint" : "warn", Root.coverage(view)))
  return joined(lines)
}

/** @since 0.1.0 @category commands */
export const status = Command.make("status", {}, () =>
  Effect.gen(function* () {
    const answer = yield* Root.ask((client) => client.status)
    yield* Root.print(answer, (screen) => statusText(screen, answer))
  })
).pipe(
  Command.withDescription(
    "One screen: this node, data centres, counts, coverage, and every problem with what to type next"
  )
)

/** @since 0.1.0 @category commands */
export const nodes = Command.make("nodes", { selector: Root.selectorFlag }, ({ selector }) =>
  Effect.gen(function* () {
    const filter = Option.match(selector, { onNone: () => ({}), onSome: (selector) => ({ selector }) })
    const answer = yield* Root.ask((client) => client.nodes(filter))
    yield* Root.print(answer, (screen) => nodesText(screen, answer))
  })
).pipe(Command.withDescription("Every node known"))

/** @since 0.1.0 @category commands */
export const publishers = Command.make(
  "publishers",
  {
    selector: Root.selectorFlag,
    app: Flag.String("app").pipe(Flag.withDescription("Only this application"), Flag.optional),
    state: Flag.Literals("state", ["fresh", "stale", "stopped", "unknown"]).pipe(
      Flag.withDescription("Only publishers in this state"),
      Flag.optional
    )
  },
  ({ app, selector, state }) =>
    Effect.gen(function* () {
      const filter = {
        ...(Option.isSome(selector) ? { selector: selector.value } : {}),
        ...(Option.isSome(app) ? { app: app.value } : {}),
        ...(Option.isSome(state) ? { state: state.value } : {})
      }
      const answer = yield* Root.ask((client) => client.publishers(filter))
      yield* Root.print(answer, (screen) => publishersText(screen, answer))
    })
).pipe(Command.withDescription("What machines and applications are publishing metrics, logs and traces"))

/** @since 0.1.0 @category commands */
export const offline = Command.make("offline", {}, () =>
  Effect.gen(function* () {
    const answer = yield* Root.ask((client) => client.offline)
    yield* Root.print(answer, (screen) => offlineText(screen, answer))
  })
).pipe(Command.withDescription("What seems to be offline: nodes with the evidence, and publishers that fell silent"))

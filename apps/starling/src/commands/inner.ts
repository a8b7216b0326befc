/**
 * Inside one node: `peers`, `tree`, `debug`.
 *
 * @since 0.1.0
 */
import type { Document } from "@starling/fleet"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Root from "../root.ts"
import * as Table from "../output/Table.ts"
import * as Time from "../output/Time.ts"

/** @since 0.1.0 @category rendering */
export const peersText = (screen: Table.Screen, { items, view }: Document.Answer<Document.PeerDocument>): string => {
  const active = items.filter((item) => item.view === "active").length
  const number = (value: number | null) => (value === null ? "-" : String(value))
  return [
    items.length === 0
      ? "no peers: this node has not met any other; start it, or another one, with --join HOST:PORT\n"
      : `${Table.render<Document.PeerDocument>(
          screen,
          [
            { header: "PEER", of: ({ name }) => name, min: 8 },
            { header: "DATACENTER", of: ({ datacenter }) => datacenter },
            {
              header: "VIEW",
              of: ({ view }) => view,
              style: ({ view }) => (view === "active" ? "good" : "faint"),
              min: 7
            },
            { header: "ADDRESS", of: ({ address }) => address, min: 12 },
            { header: "LINK", of: ({ linkId }) => number(linkId), align: "right", min: 4 },
            {
              header: "RTT MS",
              of: ({ rttMs }) => (rttMs === null ? "-" : rttMs.toFixed(rttMs < 10 ? 1 : 0)),
              align: "right",
              min: 6
            },
            { header: "QUEUE B", of: ({ queueBytes }) => String(queueBytes), align: "right", min: 7 },
            { header: "EAGER", of: ({ eagerRoots }) => String(eagerRoots), align: "right", min: 5 },
            { header: "LAZY", of: ({ lazyRoots }) => String(lazyRoots), align: "right", min: 4 },
            { header: "ID", of: ({ id }) => id, style: () => "faint", min: 4 }
          ],
          items
        )}\n`,
    Table.paint(
      screen,
      "faint",
      `${active} active, ${items.length - active} passive; seen from ${view.node}; eager and lazy count the trees this link carries`
    )
  ].join("\n")
}

/** @since 0.1.0 @category rendering */
export const treeText = (screen: Table.Screen, { items, view }: Document.Answer<Document.TreeDocument>): string => {
  const nameOf = ({ path }: Document.TreeDocument) => {
    const parts = path.split("/")
    return `${"  ".repeat(parts.length - 1)}${parts.at(-1) ?? ""}`
  }
  return [
    Table.render<Document.TreeDocument>(
      screen,
      [
        { header: "CHILD", of: nameOf, min: 16 },
        {
          header: "TYPE",
          of: ({ strategy, type }) => (strategy === null ? type : `${type} ${strategy}`),
          style: () => "faint"
        },
        {
          header: "STATE",
          of: ({ state }) => state,
          style: ({ state }) => (state === "running" ? "good" : state === "stopped" ? "faint" : "warn"),
          min: 10
        },
        {
          header: "RESTARTS",
          of: ({ restarts }) => String(restarts),
          style: ({ restarts }) => (restarts > 0 ? "warn" : "plain"),
          align: "right",
          min: 8
        },
        { header: "MAILBOX", of: ({ mailbox }) => String(mailbox), align: "right", min: 7 },
        { header: "HANDLED", of: ({ handled }) => String(handled), align: "right", min: 7 },
        { header: "UP", of: ({ uptimeSeconds }) => Time.format(uptimeSeconds * 1000), align: "right", min: 3 },
        { header: "LAST REASON", of: ({ lastReason }) => lastReason ?? "" }
      ],
      items
    ),
    "",
    Table.paint(screen, "faint", `supervision tree of ${view.node}`)
  ].join("\n")
}

/** @since 0.1.0 @category commands */
export const peers = Command.make("peers", {}, () =>
  Effect.gen(function* () {
    const answer = yield* Root.ask((client) => client.peers)
    yield* Root.print(answer, (screen) => peersText(screen, answer))
  })
).pipe(Command.withDescription("This node's active view, passive view, links, eager and lazy sets"))

/** @since 0.1.0 @category commands */
export const tree = Command.make("tree", {}, () =>
  Effect.gen(function* () {
    const answer = yield* Root.ask((client) => client.tree)
    yield* Root.print(answer, (screen) => treeText(screen, answer))
  })
).pipe(Command.withDescription("The supervision tree: child, state, restarts, mailbox depth, messages handled"))

const printOne = Effect.fnUntraced(function* (document: unknown, text: string) {
  const { json, jsonl } = yield* Root.root
  yield* Console.log(json ? JSON.stringify(document, undefined, 2) : jsonl ? JSON.stringify(document) : text)
})

const crash = Command.make(
  "crash",
  {
    component: Argument.Literals("component", [
      "view-manager",
      "shuffler",
      "broadcast-tree",
      "lazy-push-repair",
      "clock",
      "facts"
    ]).pipe(Argument.withDescription("Which component actor to kill")),
    at: Flag.Literals("at", ["before", "committed", "acting"]).pipe(
      Flag.withDescription(
        "Before a step, after its commit, between two of its actions; default: one of them at random"
      ),
      Flag.optional
    )
  },
  ({ at, component }) =>
    Effect.gen(function* () {
      const answer = yield* Root.ask((client) => client.crash(component, Option.getOrUndefined(at)))
      yield* printOne(answer, `crashed ${answer.component} (${answer.at}); see \`starling tree\``)
    })
).pipe(Command.withDescription("Kills one component of this node on purpose"))

const broadcast = Command.make(
  "broadcast",
  {
    count: Flag.Int("count").pipe(
      Flag.filter(
        (count) => count >= 1 && count <= 10_000,
        (count) => `Expected a count from 1 to 10000, got ${count}`
      ),
      Flag.withDescription("How many"),
      Flag.withDefault(1)
    )
  },
  ({ count }) =>
    Effect.gen(function* () {
      const answer = yield* Root.ask((client) => client.broadcast(count))
      const last = answer.ids.at(-1)
      yield* printOne(
        answer,
        `sent ${Root.count(answer.count, "broadcast")}${last === undefined ? "" : `, the last is ${last}`}`
      )
    })
).pipe(Command.withDescription("Broadcasts to every node"))

const delivered = Command.make("delivered", {}, () =>
  Effect.gen(function* () {
    const answer = yield* Root.ask((client) => client.delivered)
    const origins = Object.entries(answer.byOrigin).map(([origin, count]) => ({ origin, count }))
    const screen = yield* Root.screen
    const table = Table.render<(typeof origins)[number]>(
      screen,
      [
        { header: "ORIGIN", of: ({ origin }) => origin, min: 12 },
        { header: "DELIVERED", of: ({ count }) => String(count), align: "right", min: 9 }
      ],
      origins
    )
    const sum = `${answer.total} delivered, ${answer.duplicates} duplicates, ${answer.lagged} lost by slow subscribers`
    yield* printOne(answer, origins.length === 0 ? `no broadcast has reached this node; ${sum}` : `${table}\n\n${sum}`)
  })
).pipe(Command.withDescription("How many broadcasts reached this node, by origin"))

const datacenterFlag = Flag.String("datacenter").pipe(Flag.withMetavar("DC"))

const cutText = ({ cut }: { readonly cut: ReadonlyArray<string> }): string =>
  cut.length === 0
    ? "this node is cut from no data centre"
    : `this node is cut from ${cut.join(", ")}; \`starling debug heal\` ends it`

const cut = Command.make(
  "cut",
  { datacenter: datacenterFlag.pipe(Flag.withDescription("Which data centre is out of reach from now on")) },
  ({ datacenter }) =>
    Effect.gen(function* () {
      const answer = yield* Root.ask((client) => client.cut(datacenter))
      yield* printOne(answer, cutText(answer))
    })
).pipe(
  Command.withDescription(
    "Loses every frame between this node and a data centre; for a partition, do it at each node of one side"
  )
)

const heal = Command.make(
  "heal",
  {
    datacenter: datacenterFlag.pipe(Flag.withDescription("Which data centre; default: all of them"), Flag.optional)
  },
  ({ datacenter }) =>
    Effect.gen(function* () {
      const answer = yield* Root.ask((client) => client.heal(Option.getOrUndefined(datacenter)))
      yield* printOne(answer, cutText(answer))
    })
).pipe(Command.withDescription("Ends a cut"))

/** @since 0.1.0 @category commands */
export const debug = Command.make("debug").pipe(
  Command.withDescription("Faults on purpose, only at an agent with --debug"),
  Command.withSubcommands([crash, broadcast, delivered, cut, heal])
)

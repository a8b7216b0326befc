/**
 * The configuration of the fleet: who should have what, who has received it, who acted on it, and who has not and why.
 *
 * @since 0.1.0
 */
import type * as Client from "@starling/api/Client"
import type * as Schemas from "@starling/api/Schemas"
import type { Document } from "@starling/fleet"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stdio from "effect/Stdio"
import * as Stream from "effect/Stream"
import { exitCodes, Failure } from "../Failure.ts"
import * as Closed from "../output/Closed.ts"
import * as Root from "../root.ts"
import * as Table from "../output/Table.ts"
import * as Time from "../output/Time.ts"

const keyArgument = Argument.String("key").pipe(Argument.withDescription("Like sampling/rate"))

const noteFlag = Flag.String("note").pipe(Flag.withDescription("Why, for whoever reads the history"), Flag.optional)

/** Standard input beyond this is not read; the agent's own limit for a value is far below. */
const stdinBytesMax = 1024 * 1024

const readStdin = Effect.gen(function* () {
  const stdio = yield* Stdio.Stdio
  const chunks: Array<Uint8Array> = []
  let bytes = 0
  const wrong = (message: string) =>
    new Failure({ code: exitCodes.usage, message: `the value from standard input ${message}` })
  yield* stdio.stdin.pipe(
    Stream.mapError((error) => wrong(`cannot be read: ${error.message}`)),
    Stream.runForEach((chunk) => {
      bytes += chunk.length
      if (bytes > stdinBytesMax) return Effect.fail(wrong("is longer than 64 KiB"))
      chunks.push(chunk)
      return Effect.void
    })
  )
  return yield* Effect.try({
    try: () => new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(Buffer.concat(chunks)),
    catch: () => wrong("is no UTF-8 text")
  })
})

const statusStyles: Readonly<Record<Document.RolloutStatus, Table.Style>> = {
  applied: "good",
  applying: "warn",
  failed: "bad",
  rejected: "bad",
  held: "warn",
  received: "plain",
  "not-received": "warn",
  offline: "bad",
  unreachable: "bad",
  superseded: "faint",
  silent: "warn",
  drifted: "bad"
}

const progress = (rollout: Document.RolloutDocument): string => {
  const { applied, failed, pending, received, rejected, targeted } = rollout
  const parts = [
    [applied, "applied"],
    [received, "received only"],
    [failed, "failed"],
    [rejected, "rejected"],
    [pending, "pending"]
  ] as const
  const some = parts.filter(([count]) => count > 0).map(([count, what]) => `${count} ${what}`)
  return targeted === 0 ? "no node matches its selector" : `${targeted} targeted: ${some.join(", ")}`
}

/** Every target holds it, and perhaps something on every one acted on it. */
const standing = ({ applied, converged, targeted }: Document.RolloutDocument): string => {
  if (!converged) return "not converged"
  return applied === targeted ? "converged" : "received everywhere"
}

/** @since 0.1.0 @category rendering */
export const rolloutText = (screen: Table.Screen, rollout: Document.RolloutDocument, at: string): string =>
  [
    `${Table.paint(screen, "strong", Table.plain(rollout.key))}  revision ${rollout.revision}`,
    `${Table.paint(screen, rollout.converged ? "good" : "warn", standing(rollout))}  ${progress(rollout)}`,
    ...(rollout.nodes.length === 0
      ? []
      : [
          "",
          Table.render<Document.RolloutNode>(
            screen,
            [
              { header: "NODE", of: ({ node }) => node, min: 8 },
              { header: "DATACENTER", of: ({ datacenter }) => datacenter },
              { header: "STATUS", of: ({ status }) => status, style: ({ status }) => statusStyles[status], min: 12 },
              { header: "SINCE", of: ({ since }) => (since === "" ? "" : Time.ago(at, since)), min: 8 },
              { header: "REASON", of: ({ reason }) => reason, min: 12 }
            ],
            rollout.nodes
          )
        ])
  ].join("\n")

const entriesText = (screen: Table.Screen, { items, view }: Document.Answer<Document.ConfigDocument>): string =>
  [
    items.length === 0
      ? "no configuration is set; `starling config set KEY VALUE` changes that\n"
      : `${Table.render<Document.ConfigDocument>(
          screen,
          [
            { header: "KEY", of: ({ key }) => key, min: 12 },
            { header: "VALUE", of: ({ operation, value }) => (operation === "delete" ? "(deleted)" : value), min: 10 },
            { header: "SELECTOR", of: ({ selector }) => (selector === "" ? "every node" : selector) },
            { header: "WRITTEN", of: ({ writtenAt }) => Time.ago(view.at, writtenAt), min: 8 },
            { header: "AUTHOR", of: ({ author }) => author },
            { header: "NOTE", of: ({ note }) => note },
            { header: "REVISION", of: ({ revision }) => revision, style: () => "faint", min: 12 }
          ],
          items
        )}\n`,
    Table.paint(screen, view.complete ? "faint" : "warn", Root.coverage(view))
  ].join("\n")

const outcomeCodes = { failed: exitCodes.failed, pending: exitCodes.pending, incomplete: exitCodes.incomplete } as const

/** The answer itself has said what is the matter; only the code is left to say. */
const endWith = (outcome: Schemas.Outcome): Effect.Effect<void, Failure> =>
  outcome === "converged" ? Effect.void : Effect.fail(new Failure({ code: outcomeCodes[outcome], message: "" }))

const author = Effect.gen(function* () {
  const user = (yield* Root.variable("USER")) ?? (yield* Root.variable("USERNAME"))
  return user === undefined ? {} : { author: user.slice(0, 256) }
})

const changeText = (screen: Table.Screen, answer: Schemas.ChangeAnswer): string => {
  const next = `next: starling config rollout ${answer.key} --watch`
  if (answer.wait === null) {
    return [
      `${Table.plain(answer.key)} is set, revision ${answer.revision}`,
      answer.targeted === 0 ? "no node matches the selector (yet)" : `${Root.count(answer.targeted, "node")} targeted`,
      next
    ].join("\n")
  }
  const stands = answer.outcome === "converged" ? answer.reason : `${answer.outcome}: ${answer.reason}`
  return [
    rolloutText(screen, answer, answer.view.at),
    ...(stands === "" ? [] : ["", Table.plain(stands)]),
    ...(answer.outcome === "converged" ? [] : [next])
  ].join("\n")
}

const waitFlag = Flag.Literals("wait", ["received", "applied"]).pipe(
  Flag.withDescription("Until every targeted node has received it, or acted on it"),
  Flag.optional
)

/** Stores a change, says what became of it, and ends with the code of the wait. */
const makeChange = Effect.fnUntraced(function* (
  key: string,
  change: Parameters<Client.Client["setConfig"]>[1],
  wait: Option.Option<Schemas.Wait>
) {
  const timeoutMs = yield* Root.toldTimeout
  const options = {
    ...(Option.isSome(wait) ? { wait: wait.value } : {}),
    ...(timeoutMs === undefined || Option.isNone(wait) ? {} : { timeoutMs })
  }
  const answer = yield* Root.ask(
    (client) => client.setConfig(key, change, options),
    Option.isSome(wait) ? Root.waiting : Root.brief
  )
  const { json, jsonl } = yield* Root.root
  yield* Console.log(
    json || jsonl ? JSON.stringify(answer, undefined, jsonl ? undefined : 2) : changeText(yield* Root.screen, answer)
  )
  if (answer.wait !== null) yield* endWith(answer.outcome)
})

const set = Command.make(
  "set",
  {
    key: keyArgument,
    value: Argument.String("value").pipe(Argument.withDescription("The value; `-` reads standard input as it is")),
    selector: Flag.String("selector").pipe(
      Flag.withAlias("l"),
      Flag.withMetavar("SELECTOR"),
      Flag.withDescription("Which nodes it is for; default: every node"),
      Flag.optional
    ),
    note: noteFlag,
    wait: waitFlag,
    dryRun: Flag.Boolean("dry-run").pipe(
      Flag.withDescription("Change nothing; say which nodes it would be for"),
      Flag.withDefault(false)
    )
  },
  (input) =>
    Effect.gen(function* () {
      const value = input.value === "-" ? yield* readStdin : input.value
      const selector = Option.getOrElse(input.selector, () => "")
      if (input.dryRun) return yield* dryRun(input.key, value, selector)
      const change = {
        value,
        selector,
        ...(yield* author),
        ...(Option.isSome(input.note) ? { note: input.note.value } : {})
      }
      yield* makeChange(input.key, change, input.wait)
    })
).pipe(Command.withDescription("Changes configuration"))

const dryRun = Effect.fnUntraced(function* (key: string, value: string, selector: string) {
  const answer = yield* Root.ask((client) =>
    Effect.all({
      nodes: client.nodes(selector === "" ? {} : { selector }),
      before: client.configEntry(key).pipe(
        Effect.map(({ items }) => items[0]),
        Effect.catchTag("Problem", (problem) => (problem.status === 404 ? Effect.undefined : Effect.fail(problem)))
      )
    })
  )
  const targets = answer.nodes.items.filter(({ state }) => state !== "left" && state !== "forgotten")
  yield* Root.print({ ...answer.nodes, items: targets }, () =>
    [
      `nothing is changed; ${Table.plain(key)} would become ${JSON.stringify(value)}${answer.before === undefined ? ", and is not set now" : `, and is ${JSON.stringify(answer.before.value)} now`}`,
      `it would be for ${Root.count(targets.length, "node")}${targets.length === 0 ? "" : `: ${targets.map(({ name }) => Table.plain(name)).join(", ")}`}`
    ].join("\n")
  )
})

const get = Command.make("get", { key: keyArgument }, ({ key }) =>
  Effect.gen(function* () {
    const answer = yield* Root.ask((client) => client.configEntry(key))
    const [entry] = answer.items
    if (entry === undefined || entry.operation === "delete") {
      return yield* new Failure({
        code: exitCodes.error,
        message: `nothing is stored under ${JSON.stringify(key)}`,
        next: "`starling config list` shows every key"
      })
    }
    // The value and nothing else, so that `$(starling config get KEY)` is it.
    yield* Root.print(answer, () => entry.value.replace(/\n$/, ""))
  })
).pipe(Command.withDescription("The value of a key, and nothing else; --json says the rest"))

const list = Command.make("list", {}, () =>
  Effect.gen(function* () {
    const answer = yield* Root.ask((client) => client.config)
    yield* Root.print(answer, (screen) => entriesText(screen, answer))
  })
).pipe(Command.withDescription("Every key"))

const history = Command.make("history", { key: keyArgument }, ({ key }) =>
  Effect.gen(function* () {
    const answer = yield* Root.ask((client) => client.configHistory(key))
    yield* Root.print(answer, (screen) => entriesText(screen, answer))
  })
).pipe(Command.withDescription("What was stored under a key before"))

/** How a rollout stands, as the exit code of a wait says it. */
const outcomeOf = (rollout: Document.RolloutDocument, view: Document.View): Schemas.Outcome => {
  if (rollout.failed + rollout.rejected > 0) return "failed"
  if (rollout.converged) return "converged"
  const isOut =
    rollout.nodes.some(({ status }) => status === "unreachable") ||
    view.datacenters.some(({ state }) => state === "unreachable")
  return isOut ? "incomplete" : "pending"
}

/**
 * How long nothing may change, once every target has received it, before a watch ends: where nothing acts on the key,
 * nothing more will happen. Our choice: longer than most actions take.
 */
const settledMs = 5000

/** Between two looks at a rollout. Our choice: a person does not see less. */
const watchIntervalMs = 250

const rollout = Command.make(
  "rollout",
  {
    key: keyArgument,
    watch: Flag.Boolean("watch").pipe(
      Flag.withAlias("w"),
      Flag.withDescription("Until it has converged, or failed, or --timeout is over"),
      Flag.withDefault(false)
    )
  },
  ({ key, watch }) =>
    Effect.gen(function* () {
      if (!watch) {
        const answer = yield* Root.ask((client) => client.rollout(key))
        const [item] = answer.items
        return yield* Root.print(answer, (screen) =>
          item === undefined
            ? Root.coverage(answer.view)
            : `${rolloutText(screen, item, answer.view.at)}\n\n${Table.paint(screen, "faint", Root.coverage(answer.view))}`
        )
      }
      const outcome = yield* Root.ask((client) => watchRollout(client.rollout(key)), Root.endless)
      return yield* endWith(outcome)
    })
).pipe(Command.withDescription("Who has received a change, who acted on it, who has not and why"))

const watchRollout = Effect.fnUntraced(function* <E>(
  look: Effect.Effect<Document.Answer<Document.RolloutDocument>, E>
) {
  const { json, jsonl } = yield* Root.root
  const screen = yield* Root.screen
  const timeoutMs = yield* Root.toldTimeout
  let before = ""
  let unchanged = 0
  let outcome: Schemas.Outcome = "pending"
  let last: Document.Answer<Document.RolloutDocument> | undefined
  const looking = Effect.gen(function* () {
    while (true) {
      const answer = yield* look
      last = answer
      const [item] = answer.items
      if (item === undefined) return
      outcome = outcomeOf(item, answer.view)
      // Ages in it change all the time; what counts is whether a node changed.
      const now = JSON.stringify(item)
      if (now !== before && !json) {
        yield* Console.log(jsonl ? now : `${standing(item)}  ${progress(item)}`)
      }
      unchanged = now === before ? unchanged + 1 : 0
      before = now
      if (outcome === "converged" || outcome === "failed") return
      if (item.pending === 0 && unchanged * watchIntervalMs >= settledMs) return
      yield* Effect.sleep(watchIntervalMs)
    }
  })
  const watched = Effect.raceFirst(looking, Closed.closed)
  yield* timeoutMs === undefined ? watched : Effect.timeoutOption(watched, timeoutMs)
  if (last !== undefined) {
    const [item] = last.items
    if (json) yield* Console.log(JSON.stringify(last, undefined, 2))
    else if (!jsonl && item !== undefined) yield* Console.log(`\n${rolloutText(screen, item, last.view.at)}`)
  }
  return outcome
})

const revert = Command.make(
  "revert",
  {
    key: keyArgument,
    to: Flag.Int("to").pipe(
      Flag.withMetavar("N"),
      Flag.filter(
        (back) => back >= 1,
        (back) => `Expected how many changes to go back, 1 or more, got ${back}`
      ),
      Flag.withDescription("How many changes back, as `config history` lists them; default 1: the one before"),
      Flag.withDefault(1)
    ),
    note: noteFlag,
    wait: waitFlag
  },
  ({ key, note, to, wait }) =>
    Effect.gen(function* () {
      const { items } = yield* Root.ask((client) => client.configHistory(key))
      const wanted = items[items.length - 1 - to]
      if (wanted === undefined || wanted.operation === "delete") {
        return yield* new Failure({
          code: exitCodes.error,
          message:
            wanted === undefined
              ? `${JSON.stringify(key)} has ${Root.count(items.length, "known revision")}, so there is none ${to} back`
              : `${JSON.stringify(key)} was deleted ${Root.count(to, "change")} ago`,
          next:
            wanted === undefined
              ? `\`starling config history ${key}\` shows them`
              : `\`starling config delete ${key}\` deletes it again`
        })
      }
      const change = {
        value: wanted.value,
        selector: wanted.selector,
        operation: "revert" as const,
        ...(yield* author),
        note: Option.getOrElse(note, () => `back to ${wanted.revision}`)
      }
      yield* makeChange(key, change, wait)
    })
).pipe(Command.withDescription("Sets the value, and the selector, that a key had before"))

const remove = Command.make("delete", { key: keyArgument, note: noteFlag }, ({ key, note }) =>
  Effect.gen(function* () {
    const options = { ...(yield* author), ...(Option.isSome(note) ? { note: note.value } : {}) }
    const answer = yield* Root.ask((client) => client.deleteConfig(key, options))
    const [entry] = answer.items
    yield* Root.print(
      answer,
      () => `${Table.plain(key)} is deleted${entry === undefined ? "" : `, revision ${entry.revision}`}`
    )
  })
).pipe(Command.withDescription("Deletes a key on every node"))

/** @since 0.1.0 @category commands */
export const config = Command.make("config").pipe(
  Command.withDescription("The configuration of the fleet"),
  Command.withSubcommands([set, get, list, history, rollout, revert, remove])
)

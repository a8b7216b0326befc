/**
 * What a demo shows, step by step. Every step checks what it shows: a wrong answer ends the demo with the step's name.
 *
 * Questions are asked at an agent of another data centre than the one that knows first-hand.
 */
import { Client } from "@starling/api"
import type { Document } from "@starling/fleet"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type { PlatformError } from "effect/PlatformError"
import type * as HttpClient from "effect/http/HttpClient"
import type * as ChildProcessSpawner from "effect/process/ChildProcessSpawner"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Processes from "./processes.ts"

/** A step as it is printed. */
export interface Step {
  readonly step: string
  readonly ok: boolean
  readonly text: string
  readonly value: number
  readonly unit: "ms"
}

/** The demo showed something wrong: which step, and what. */
export class StepFailed extends Data.TaggedError("StepFailed")<{ readonly step: string; readonly message: string }> {}

export interface Options {
  readonly datacenters: number
  readonly nodes: number
  readonly directory: string
  /** Where the first agent's API listens: what is typed next finds it there. */
  readonly api: string
}

interface Member {
  readonly agent: Processes.Agent
  readonly client: Client.Client
}

type Needs = ChildProcessSpawner.ChildProcessSpawner | HttpClient.HttpClient | Scope.Scope
type Fails = StepFailed | Processes.ProcessFailed | PlatformError

const names = ["ams", "lon", "nyc", "sin", "syd", "gru", "jnb", "hel"]

/** Runs every step in order, handing each to `show` as it ends; returns the fleet, which lives as long as the scope. */
export const run = Effect.fnUntraced(function* (
  options: Options,
  show: (step: Step) => Effect.Effect<void>
): Effect.fn.Return<ReadonlyArray<Member>, Fails, Needs> {
  const shown = <A>(
    step: string,
    effect: Effect.Effect<readonly [A, string], Fails, Needs>
  ): Effect.Effect<A, Fails, Needs> =>
    Processes.timed(effect).pipe(
      Effect.tap(([[, text], value]) => show({ step, ok: true, text, value, unit: "ms" })),
      Effect.map(([[result]]) => result),
      Effect.tapError((error) => show({ step, ok: false, text: error.message, value: 0, unit: "ms" }))
    )

  const fleet = yield* shown("start", startFleet(options))
  yield* shown("one view", oneView(fleet))
  const applications = yield* shown("publishers", publishers(fleet))
  yield* shown("configuration", configuration(fleet))
  yield* shown("events", events(fleet, applications))
  const lost = fleet[fleet.length - 1] as Member
  const living = fleet.slice(0, -1)
  yield* shown("offline", offline(living, lost))
  yield* shown("while it is away", whileAway(living, lost))
  const back = yield* shown("return", comeBack(living, lost))
  return [...living, back]
})

const startFleet = Effect.fnUntraced(function* (
  options: Options
): Effect.fn.Return<readonly [ReadonlyArray<Member>, string], Fails, Needs> {
  const places = Array.from({ length: options.datacenters * options.nodes }, (_, index) => {
    const datacenter = names[Math.floor(index / options.nodes) % names.length] ?? "dc"
    const name = `${datacenter}-${(index % options.nodes) + 1}`
    return { name, datacenter, directory: `${options.directory}/${name}`, gossip: "127.0.0.1:0" }
  })
  const [head, ...tail] = places
  if (head === undefined) return [[], "no agents"]
  const first = yield* Processes.startAgent({ ...head, join: [], api: options.api })
  const rest = yield* Effect.forEach(
    tail,
    (place) => Processes.startAgent({ ...place, join: [first.gossip], api: "127.0.0.1:0" }),
    { concurrency: 4 }
  )
  const fleet = yield* Effect.forEach([first, ...rest], (agent) =>
    Effect.map(Client.make(agent.api), (client) => ({ agent, client }))
  )
  return [fleet, `${fleet.length} agents in ${options.datacenters} data centres, each a process of its own`] as const
})

const oneView = Effect.fnUntraced(function* (fleet: ReadonlyArray<Member>) {
  yield* Effect.forEach(
    fleet,
    ({ agent, client }) =>
      until(
        "one view",
        `${agent.name} sees ${fleet.length} nodes alive`,
        client.nodes(),
        ({ items, view }) =>
          view.complete && items.length === fleet.length && items.every((node) => node.state === "alive")
      ),
    { concurrency: "unbounded" }
  )
  return [undefined, `every agent sees all ${fleet.length} nodes alive; nobody is in charge`] as const
})

const publishers = Effect.fnUntraced(function* (
  fleet: ReadonlyArray<Member>
): Effect.fn.Return<readonly [ReadonlyArray<Processes.Application>, string], Fails, Needs> {
  const hosts = hostsOf(fleet)
  const applications = yield* Effect.forEach(
    hosts,
    ({ agent }, index) =>
      Processes.startApplication(
        ["checkout", "payments", "search"][index % 3] ?? "app",
        `${agent.datacenter}-1`,
        agent.otlp
      ),
    { concurrency: "unbounded" }
  )
  const asked = other(fleet, hosts[0])
  const { items } = yield* until(
    "publishers",
    "every application is a fresh publisher",
    asked.client.publishers(),
    (answer) =>
      hosts.every(({ agent }) => answer.items.some((item) => item.node === agent.name && item.state === "fresh"))
  )
  const list = items.map((item) => `${item.app} on ${item.node}`).join(", ")
  return [applications, `asked ${asked.agent.name}: ${list}`] as const
})

const configuration = Effect.fnUntraced(function* (fleet: ReadonlyArray<Member>) {
  const asked = last(hostsOf(fleet))
  const rollout = yield* asking(
    "configuration",
    asked.client.setConfig("sampling/rate", { value: "0.1", note: "demo" }, { wait: "received", timeoutMs: 10_000 })
  )
  const received = rollout.received + rollout.applied
  if (rollout.outcome !== "converged" || received !== fleet.length) {
    return yield* new StepFailed({
      step: "configuration",
      message: `${rollout.outcome}: ${received} of ${fleet.length} received it. ${rollout.reason}`
    })
  }
  return [
    undefined,
    `sampling/rate = 0.1, set at ${asked.agent.name}: received by ${received}/${rollout.targeted}`
  ] as const
})

const events = Effect.fnUntraced(function* (
  fleet: ReadonlyArray<Member>,
  applications: ReadonlyArray<Processes.Application>
) {
  const hosts = hostsOf(fleet)
  const bodies = applications.map((application, index) => `${index + 1}: ${application.name} failed`)
  for (const [index, application] of applications.entries()) {
    const body = bodies[index] ?? ""
    yield* application.error(body)
    // The next error happens after this one was seen where it happens: that order must come back.
    const next = hosts[(index + 1) % hosts.length] as Member
    yield* until("events", `${next.agent.name} sees "${body}"`, next.client.events({ severity: "error" }), has(body))
  }
  const asked = other(fleet, hosts[0])
  const { items } = yield* until(
    "events",
    `${asked.agent.name} has every error`,
    asked.client.events({ severity: "error" }),
    (answer) => bodies.every((body) => has(body)(answer))
  )
  const order = items.filter((event) => bodies.includes(event.body)).map((event) => event.body)
  if (order.join() !== bodies.join()) {
    return yield* new StepFailed({
      step: "events",
      message: `they happened as ${bodies.join(", ")}; came back as ${order.join(", ")}`
    })
  }
  return [undefined, `asked ${asked.agent.name}: ${order.join(" → ")}`] as const
})

const offline = Effect.fnUntraced(function* (living: ReadonlyArray<Member>, lost: Member) {
  yield* lost.agent.kill
  const reports = yield* Effect.forEach(
    living,
    ({ agent, client }) =>
      until("offline", `${agent.name} reports ${lost.agent.name} offline`, client.offline, ({ items }) =>
        items.some(
          (item) =>
            item.kind === "node" && item.id === lost.agent.id && item.state === "offline" && item.evidence.length > 0
        )
      ),
    { concurrency: "unbounded" }
  )
  const evidence =
    reports[0]?.items.flatMap((item) => (item.kind === "node" && item.id === lost.agent.id ? item.evidence : [])) ?? []
  const who = [...new Set(evidence.map(({ by, cause }) => `${by} (${cause})`))].join(", ")
  return [
    undefined,
    `killed ${lost.agent.name}: ${living.length}/${living.length} report it offline; noticed by ${who}`
  ] as const
})

const whileAway = Effect.fnUntraced(function* (living: ReadonlyArray<Member>, lost: Member) {
  const asked = living[0] as Member
  const change = asked.client.setConfig("sampling/rate", { value: "0.2", note: "while one is away" })
  yield* asking("while it is away", change)
  const rollout = yield* until(
    "while it is away",
    "all that live received it",
    asked.client.rollout("sampling/rate"),
    ({ items }) => items[0] !== undefined && items[0].received + items[0].applied === living.length
  )
  const missing = rollout.items[0]?.nodes.find((node) => node.nodeId === lost.agent.id)
  return [
    undefined,
    `sampling/rate = 0.2: ${living.length}/${living.length} alive received it, ${lost.agent.name} is ${missing?.status ?? "unknown"}`
  ] as const
})

const comeBack = Effect.fnUntraced(function* (
  living: ReadonlyArray<Member>,
  lost: Member
): Effect.fn.Return<readonly [Member, string], Fails, Needs> {
  const agent = yield* Processes.startAgent({ ...lost.agent, join: [], api: "127.0.0.1:0" })
  const client = yield* Client.make(agent.api)
  if (agent.id !== lost.agent.id) {
    return yield* new StepFailed({ step: "return", message: `it was ${lost.agent.id} and came back as ${agent.id}` })
  }
  yield* until(
    "return",
    `${agent.name} has the change it missed`,
    client.configEntry("sampling/rate"),
    ({ items }) => items[0]?.value === "0.2"
  )
  yield* Effect.forEach(
    living,
    (member) =>
      until("return", `${member.agent.name} sees ${agent.name} alive`, member.client.nodes(), ({ items }) =>
        items.some((node) => node.id === agent.id && node.state === "alive")
      ),
    { concurrency: "unbounded" }
  )
  return [{ agent, client }, `${agent.name} is back by itself, same id, with sampling/rate = 0.2`] as const
})

/** The first agent of each data centre: applications publish there. */
const hostsOf = (fleet: ReadonlyArray<Member>): ReadonlyArray<Member> =>
  fleet.filter(
    ({ agent }, index) => fleet.findIndex((member) => member.agent.datacenter === agent.datacenter) === index
  )

const last = <A>(items: ReadonlyArray<A>): A => items[items.length - 1] as A

/** An agent of another data centre, as far as there is one. */
const other = (fleet: ReadonlyArray<Member>, than: Member | undefined): Member =>
  fleet.find(({ agent }) => agent.datacenter !== than?.agent.datacenter) ?? last(fleet)

const has =
  (body: string) =>
  (answer: Document.Answer<Document.EventDocument>): boolean =>
    answer.items.some((event) => event.body === body)

const asking = <A>(step: string, ask: Client.Asked<A>): Effect.Effect<A, StepFailed> =>
  Effect.mapError(ask, (error) => new StepFailed({ step, message: error.message }))

/** Asks until the answer satisfies; after ten seconds the step has failed. */
const until = <A>(
  step: string,
  what: string,
  ask: Client.Asked<A>,
  satisfied: (answer: A) => boolean
): Effect.Effect<A, StepFailed> =>
  ask.pipe(
    Effect.filterOrFail(satisfied, () => "not yet" as const),
    Effect.retry(Schedule.spaced("25 millis")),
    Effect.timeoutOrElse({
      duration: "10 seconds",
      orElse: () => Effect.fail(new StepFailed({ step, message: `not within 10 s: ${what}` }))
    }),
    Effect.mapError((error) => (error instanceof StepFailed ? error : new StepFailed({ step, message: what })))
  )

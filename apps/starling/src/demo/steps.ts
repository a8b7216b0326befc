/**
 * What a demo shows, step by step. Every step checks what it shows: a wrong answer ends the demo with the step's name.
 *
 * Questions are asked at an agent of another data centre than the one that knows first-hand.
 */
import type { Client } from "@starling/api"
import type { Document } from "@starling/fleet"
import * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Processes from "./processes.ts"
import type { Report } from "./report.ts"

/** The demo showed something wrong: which step, and what. */
export class StepFailed extends Data.TaggedError("StepFailed")<{ readonly step: string; readonly message: string }> {}

export interface Options {
  readonly datacenters: number
  readonly nodes: number
  /** Where the first agent's API listens: what is typed next finds it there. */
  readonly api: string
}

export interface Member {
  readonly agent: Processes.Agent
  readonly client: Client.Client
}

/** What a step found wrong; the runner adds the step's name. */
class Wrong extends Data.TaggedError("Wrong")<{ readonly message: string }> {}

/** A step's result, and what it shows. */
type Showing<A> = Effect.Effect<readonly [A, string], { readonly message: string }, Scope.Scope>

const key = "sampling/rate"

/** How long an answer may take to become right: a loaded machine needs some seconds where an idle one needs none. */
const patience = "15 seconds"

/** Runs every step in order and reports each; returns the fleet, which lives as long as the scope. */
export const run = Effect.fnUntraced(function* (
  stage: Processes.Stage,
  options: Options,
  report: Report
): Effect.fn.Return<ReadonlyArray<Member>, StepFailed, Scope.Scope> {
  const shown = Effect.fnUntraced(function* <A>(step: string, doing: string, showing: Showing<A>) {
    const fail = Effect.fnUntraced(function* (message: string) {
      yield* report.end({ step, ok: false, text: message, value: 0, unit: "ms" })
      return yield* new StepFailed({ step, message })
    })
    yield* report.begin(step, doing)
    const [[result, text], value] = yield* Processes.timed(showing).pipe(
      Effect.catchCause((cause) => {
        if (Cause.hasInterruptsOnly(cause)) return Effect.interrupt
        const error = Cause.squash(cause)
        return fail(error instanceof Error ? error.message : String(error))
      })
    )
    yield* report.end({ step, ok: true, text, value, unit: "ms" })
    return result
  })
  const skipped = (step: string, text: string): Effect.Effect<void> =>
    report.end({ step, ok: true, skipped: true, text, value: 0, unit: "ms" })

  const { datacenters, nodes } = options
  const size = datacenters * nodes
  const fleet = yield* shown("start", `starting ${size} agents`, startFleet(stage, options))
  yield* shown("one view", "asking every agent whom it sees", oneView(fleet))
  const applications = yield* shown("publishers", "starting sample applications", publishers(stage, fleet))
  yield* shown("configuration", `changing ${key} everywhere`, configuration(fleet))
  yield* shown("events", "letting every application fail once", events(fleet, applications))
  const lost = fleet[fleet.length - 1]
  if (lost === undefined || fleet.length < 2) {
    const alone = "skipped: with one agent there is nobody to notice"
    for (const step of ["offline", "while it is away", "return"]) yield* skipped(step, alone)
    return fleet
  }
  const living = fleet.slice(0, -1)
  yield* shown("offline", `killing ${lost.agent.name}`, offline(living, lost))
  yield* shown("while it is away", `changing ${key} without ${lost.agent.name}`, whileAway(living, lost))
  const back = yield* shown("return", `starting ${lost.agent.name} again`, comeBack(stage, living, lost))
  return [...living, back]
})

const names = ["ams", "lon", "nyc", "sin", "syd", "gru", "jnb", "hel"]

const datacenterOf = (index: number): string => {
  const name = names[index % names.length] ?? "dc"
  return index < names.length ? name : `${name}${Math.floor(index / names.length) + 1}`
}

const startFleet = Effect.fnUntraced(function* (stage: Processes.Stage, options: Options) {
  const { datacenters, nodes } = options
  // All start at once, so the first one's address must be known before it listens there.
  const contact = yield* stage.freeAddress
  const agents = yield* Effect.forEach(
    Array.from({ length: datacenters * nodes }, (_, index) => index),
    (index) => {
      const datacenter = datacenterOf(Math.floor(index / nodes))
      return stage.startAgent({
        name: `${datacenter}-${(index % nodes) + 1}`,
        datacenter,
        join: index === 0 ? [] : [contact],
        gossip: index === 0 ? contact : "127.0.0.1:0",
        api: index === 0 ? options.api : "127.0.0.1:0",
        otlp: "127.0.0.1:0"
      })
    },
    { concurrency: 16 }
  )
  const fleet = yield* Effect.forEach(agents, (agent) =>
    Effect.map(stage.client(agent.api), (client): Member => ({ agent, client }))
  )
  if (new Set(agents.map(({ id }) => id)).size !== fleet.length) {
    return yield* new Wrong({ message: `ids repeat: ${agents.map(({ id, name }) => `${name} is ${id}`).join(", ")}` })
  }
  const text = `${count(fleet.length, "agent")} in ${count(datacenters, "data centre")}, each a process of its own`
  return [fleet, text] as const
})

const oneView = Effect.fnUntraced(function* (fleet: ReadonlyArray<Member>) {
  const ids = sorted(fleet.map(({ agent }) => agent.id))
  yield* Effect.forEach(
    fleet,
    ({ agent, client }) =>
      until(
        `${agent.name} sees ${fleet.length} nodes alive`,
        client.nodes(),
        ({ items, view }) =>
          view.complete && sorted(items.map(({ id }) => id)) === ids && items.every((node) => node.state === "alive")
      ),
    { concurrency: "unbounded" }
  )
  if (fleet.length === 1) return [undefined, "the agent sees itself"] as const
  return [undefined, `every agent sees all ${fleet.length} alive; nobody is in charge`] as const
})

const publishers = Effect.fnUntraced(function* (stage: Processes.Stage, fleet: ReadonlyArray<Member>) {
  const hosts = hostsOf(fleet)
  const applications = yield* Effect.forEach(
    hosts,
    ({ agent }, index) =>
      stage.startApplication(
        ["checkout", "payments", "search"][index % 3] ?? "app",
        `${agent.datacenter}-1`,
        agent.otlp
      ),
    { concurrency: "unbounded" }
  )
  const expected = sorted(hosts.map(({ agent }, index) => `${applications[index]?.name} on ${agent.name}`))
  const asked = other(fleet, hosts[0])
  yield* until(
    `${asked.agent.name} knows as fresh publishers exactly ${expected}`,
    asked.client.publishers(),
    ({ items }) =>
      items.every(({ state }) => state === "fresh") &&
      sorted(items.map(({ app, node }) => `${app} on ${node}`)) === expected
  )
  return [applications, `asked ${asked.agent.name}: ${expected}`] as const
})

const configuration = Effect.fnUntraced(function* (fleet: ReadonlyArray<Member>) {
  const asked = last(hostsOf(fleet))
  const change = { value: "0.1", note: "demo" }
  const rollout = yield* asked.client.setConfig(key, change, { wait: "received", timeoutMs: 10_000 })
  const received = rollout.received + rollout.applied
  if (rollout.outcome !== "converged" || received !== fleet.length || rollout.targeted !== fleet.length) {
    return yield* new Wrong({
      message: `${rollout.outcome}: ${received} of ${fleet.length} received it. ${rollout.reason}`
    })
  }
  yield* Effect.forEach(
    fleet,
    ({ agent, client }) =>
      Effect.flatMap(client.configEntry(key), ({ items }) =>
        items[0]?.value === change.value
          ? Effect.void
          : Effect.fail(new Wrong({ message: `${agent.name} answers ${JSON.stringify(items[0]?.value)}` }))
      ),
    { concurrency: "unbounded" }
  )
  const text = `${key} = ${change.value}, set at ${asked.agent.name}: received by ${received}/${rollout.targeted}`
  return [undefined, text] as const
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
    yield* until(`${next.agent.name} sees "${body}"`, next.client.events({ severity: "error" }), has(body))
  }
  const asked = other(fleet, hosts[0])
  const { items } = yield* until(
    `${asked.agent.name} has every error`,
    asked.client.events({ severity: "error" }),
    (answer) => bodies.every((body) => has(body)(answer))
  )
  const order = items.filter((event) => bodies.includes(event.body)).map((event) => event.body)
  if (order.join() !== bodies.join()) {
    return yield* new Wrong({ message: `they happened as ${bodies.join(", ")}; came back as ${order.join(", ")}` })
  }
  return [undefined, `asked ${asked.agent.name}: ${order.join(" → ")}`] as const
})

const offline = Effect.fnUntraced(function* (living: ReadonlyArray<Member>, lost: Member) {
  yield* lost.agent.kill
  const reports = yield* Effect.forEach(
    living,
    ({ agent, client }) =>
      until(`${agent.name} reports ${lost.agent.name}, and no other, offline`, client.offline, ({ items }) => {
        const nodes = items.filter((item) => item.kind === "node")
        const [only] = nodes
        return nodes.length === 1 && only?.id === lost.agent.id && only.state === "offline" && only.evidence.length > 0
      }),
    { concurrency: "unbounded" }
  )
  const evidence = reports.flatMap(({ items }) => items.flatMap((item) => (item.kind === "node" ? item.evidence : [])))
  // Everybody who noticed, by what they noticed first.
  const causeBy = new Map(evidence.toReversed().map(({ by, cause }) => [by, cause]))
  const who = [...new Set(causeBy.values())].map((cause) => {
    const by = [...causeBy.keys()].filter((name) => causeBy.get(name) === cause)
    return `${by.join(", ")} (${cause})`
  })
  const all = `${living.length}/${living.length}`
  return [undefined, `killed ${lost.agent.name}: ${all} report it offline; noticed by ${who.join(", ")}`] as const
})

const whileAway = Effect.fnUntraced(function* (living: ReadonlyArray<Member>, lost: Member) {
  const asked = living[0] as Member
  yield* asked.client.setConfig(key, { value: "0.2", note: "while one is away" })
  yield* until(
    `all that live received it, and ${lost.agent.name} is offline`,
    asked.client.rollout(key),
    ({ items: [rollout] }) =>
      rollout !== undefined &&
      rollout.received + rollout.applied === living.length &&
      rollout.nodes.some((node) => node.nodeId === lost.agent.id && node.status === "offline")
  )
  const all = `${living.length}/${living.length}`
  return [undefined, `${key} = 0.2: ${all} alive received it, ${lost.agent.name} is offline`] as const
})

const comeBack = Effect.fnUntraced(function* (stage: Processes.Stage, living: ReadonlyArray<Member>, lost: Member) {
  const { datacenter, gossip, name, otlp } = lost.agent
  // As before, and without a contact: it finds the fleet by what it remembers.
  const where = { gossip, api: "127.0.0.1:0", otlp: new URL(otlp).host }
  const agent = yield* stage.startAgent({ name, datacenter, join: [], ...where })
  if (agent.id !== lost.agent.id) {
    return yield* new Wrong({ message: `it was ${lost.agent.id} and came back as ${agent.id}` })
  }
  const client = yield* stage.client(agent.api)
  yield* until(
    `${agent.name} has the change it missed`,
    client.configEntry(key),
    ({ items }) => items[0]?.value === "0.2"
  )
  yield* Effect.forEach(
    living,
    (member) =>
      until(`${member.agent.name} sees ${agent.name} alive, as a later incarnation`, member.client.nodes(), (answer) =>
        answer.items.some((node) => node.id === agent.id && node.state === "alive" && node.incarnation > 1)
      ),
    { concurrency: "unbounded" }
  )
  const back: Member = { agent, client }
  return [back, `${agent.name} is back by itself, same id, with ${key} = 0.2`] as const
})

/** The first agent of each data centre: applications publish there. */
const hostsOf = (fleet: ReadonlyArray<Member>): ReadonlyArray<Member> =>
  fleet.filter(
    ({ agent }, index) => fleet.findIndex((member) => member.agent.datacenter === agent.datacenter) === index
  )

const last = <A>(items: ReadonlyArray<A>): A => items[items.length - 1] as A

/** An agent of another data centre, as far as there is one; else another agent. */
const other = (fleet: ReadonlyArray<Member>, than: Member | undefined): Member =>
  fleet.find(({ agent }) => agent.datacenter !== than?.agent.datacenter) ?? last(fleet)

const sorted = (texts: ReadonlyArray<string>): string => texts.toSorted().join(", ")

const count = (n: number, what: string): string => `${n} ${what}${n === 1 ? "" : "s"}`

const has =
  (body: string) =>
  (answer: Document.Answer<Document.EventDocument>): boolean =>
    answer.items.some((event) => event.body === body)

/** Asks until the answer satisfies, but not for ever. */
const until = <A>(what: string, ask: Client.Asked<A>, satisfied: (answer: A) => boolean): Effect.Effect<A, Wrong> =>
  Effect.suspend(() => {
    let why = ""
    return ask.pipe(
      Effect.tapError((error) => Effect.sync(() => (why = ` (${error.message})`))),
      Effect.tap(() => Effect.sync(() => (why = ""))),
      Effect.filterOrFail(satisfied, () => "not yet" as const),
      Effect.retry(Schedule.spaced("25 millis")),
      Effect.timeoutOrElse({
        duration: patience,
        orElse: () => Effect.fail(new Wrong({ message: `not within ${patience}: ${what}${why}` }))
      }),
      Effect.mapError((error) => (error instanceof Wrong ? error : new Wrong({ message: what })))
    )
  })

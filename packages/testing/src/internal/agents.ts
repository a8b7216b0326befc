/** The scenario `agents`: components of one whole agent crash while everybody broadcasts. */
import { Agent } from "@starling/agent"
import { Rng } from "@starling/machine"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as AgentFleet from "../AgentFleet.ts"
import type { Input, Outcome, Scenario } from "../Scenarios.ts"
import * as SimRuntime from "../SimRuntime.ts"

/** So many broadcasts at least are accepted in a run, and so delivered exactly once everywhere. */
const acceptedMin = 1000

/**
 * So many at least are sent, some of them all the while and the others right before and right after each crash. A few more
 * than must be accepted: those that a broadcast tree was about to store when it was rebuilt are never answered.
 */
const sentMin = 1050

/** Everybody broadcasts in each round. */
const rounds = 20

/** After the last fault: three keepalive periods, and two of anti-entropy. */
const settleMs = 20_000

/** Between two rounds. */
const roundMs = 1000

/**
 * Before each component's turn: so much, and up to so much again. Its second crash comes at once and so rebuilds it; still
 * there are never more than ten crashes in ten seconds, which is what the supervisor lets pass.
 */
const pauseMs = 1500

interface Crash {
  readonly component: Agent.Component
  readonly at: Agent.CrashPoint
  readonly again: Agent.CrashPoint | undefined
  readonly waitMs: number
}

interface Findings {
  readonly broken: Array<string>
  readonly measured: Record<string, number>
}

/**
 * Whole agents: real actors under real supervisors, over links in memory, every task and every actor's turn chosen by the
 * seed. Each of the six components of one agent crashes at random points, some twice within the period, while everybody
 * broadcasts and configuration is set: every broadcast is delivered exactly once everywhere, nobody ever takes the agent
 * for lost, no stamp goes back, and nothing runs on when the agents are stopped.
 */
export const agents: Scenario = {
  name: "agents",
  about: "whole agents with crashing components: exactly once, never taken for lost, nothing left running",
  size: 5,
  run: (input) => run(input)
}

const run = ({ seed, size }: Input): Outcome => {
  const fleet = AgentFleet.make({ size })
  const findings: Findings = { broken: [], measured: {} }
  const outcome = SimRuntime.run(story(fleet, seed, findings), { seed })
  const { broken, measured } = findings
  if (outcome._tag !== "Done") broken.push(`${outcome._tag.toLowerCase()} at ${outcome.virtualMs} ms`)
  else if (Exit.isFailure(outcome.exit)) broken.push(`the run failed: ${String(outcome.exit.cause)}`)
  else if (outcome.sleepers > 0) broken.push(`${outcome.sleepers} fibers still sleep after everything was stopped`)
  return {
    broken,
    virtualMs: outcome.virtualMs,
    history: outcome.history,
    measured: { ...measured, steps: outcome.steps }
  }
}

const story = Effect.fnUntraced(function* (fleet: AgentFleet.AgentFleet, seed: number, { broken, measured }: Findings) {
  const [victim, crashes] = plan(seed, fleet.options.size)
  yield* AgentFleet.startAll(fleet)
  if (!(yield* AgentFleet.until(AgentFleet.isWhole(fleet), 20_000))) broken.push("the members did not become one fleet")
  yield* Effect.sleep(2000)
  const agents = AgentFleet.running(fleet)
  const target = AgentFleet.agentOf(fleet, victim)
  const watch = yield* Effect.forkChild(watchAll(agents, target.identity.id, broken))

  const accepted: Array<string> = []
  const treeIsRebuilt = crashes.some(({ component, again }) => component === "broadcast-tree" && again !== undefined)
  let sent = 0
  let unanswered = 0
  const everybody = Effect.forEach(agents, (agent) => {
    sent++
    return agent.broadcast({ sent }).pipe(
      Effect.match({
        onSuccess: (id) => void accepted.push(id),
        onFailure: () => {
          unanswered++
          // What is under way in a broadcast tree that is rebuilt may have been stored or not; nothing else goes unanswered.
          if (agent !== target || !treeIsRebuilt) broken.push(`${agent.identity.name} did not answer a broadcast`)
        }
      }),
      Effect.forkChild
    )
  })
  // What the rounds do not send is sent right before and right after the crashes.
  const bursts = 2 * crashes.reduce((sum, { again }) => sum + (again === undefined ? 1 : 2), 0)
  // Where the tree is rebuilt, the victim's part of the bursts around two crashes may go unanswered.
  const answered = bursts - 4 / agents.length
  const times = Math.ceil((sentMin / agents.length - rounds) / answered)
  const burst = Effect.map(
    Effect.forEach(Array.from({ length: times }), () => everybody),
    (fibers) => fibers.flat()
  )
  const broadcasts = yield* Effect.forkChild(
    Effect.forEach(Array.from({ length: rounds }), () => Effect.tap(everybody, Effect.sleep(roundMs))).pipe(
      Effect.flatMap((fibers) => Fiber.awaitAll(fibers.flat()))
    )
  )
  const settings = yield* Effect.forkChild(
    Effect.forEach(agents, (agent, index) =>
      agent.setConfig({ key: `scenario/${index % 3}`, value: `${index}`, selector: "", author: "test", note: "" }).pipe(
        Effect.tap(() => Effect.sleep(1000)),
        // It may have been stored or not; whoever asked is told so, and looks.
        Effect.catchTag("Unavailable", () => Effect.void)
      )
    )
  )
  let struck = 0
  const sending: Array<Fiber.Fiber<void>> = []
  for (const { component, at, again, waitMs } of crashes) {
    yield* Effect.sleep(waitMs)
    for (const point of again === undefined ? [at] : [at, again]) {
      const around = yield* burst
      yield* target.crash(component, point).pipe(
        Effect.match({
          onSuccess: (where) => {
            struck++
            if (where !== point) broken.push(`${component} crashed ${where}, not ${point}`)
          },
          onFailure: (error) => void broken.push(`${component} ${point}: ${error.message}`)
        })
      )
      around.push(...(yield* burst))
      sending.push(...around)
    }
  }
  yield* Fiber.join(broadcasts)
  yield* Fiber.awaitAll(sending)
  yield* Fiber.join(settings)
  yield* Effect.sleep(settleMs)
  yield* Fiber.interrupt(watch)

  broken.push(...brokenDelivery(fleet, accepted))
  if (accepted.length < acceptedMin) broken.push(`only ${accepted.length} broadcasts were accepted`)
  if (accepted.length + unanswered !== sent) broken.push("a broadcast was never answered")
  broken.push(...(yield* brokenFacts(agents)), ...(yield* brokenTree(target, crashes)))
  const counters = yield* target.counters
  Object.assign(measured, {
    struck,
    sent,
    accepted: accepted.length,
    unanswered,
    rebuilds: counters["host_rebuilds_total"] ?? 0,
    redelivered: counters["host_broadcasts_redelivered_total"] ?? 0,
    eventsLost: counters["host_events_lost_total"] ?? 0
  })
  yield* AgentFleet.stopAll(fleet)
  for (const agent of agents) {
    const alive = (yield* agent.counters)["actor_alive"]
    if (alive !== 0) broken.push(`${agent.identity.name}: ${alive} actors outlive their agent`)
  }
})

/** Who is struck, in which order, where, and which of them twice. */
const plan = (seed: number, size: number): readonly [victim: number, ReadonlyArray<Crash>] => {
  const points: ReadonlyArray<Agent.CrashPoint> = ["before", "committed", "acting"]
  let [victim, rng] = Rng.nextInt(Rng.make(`${seed}/agents`), size)
  const draw = (bound: number): number => {
    const [value, after] = Rng.nextInt(rng, bound)
    rng = after
    return value
  }
  const [order, after] = Rng.sample(rng, Agent.components, Agent.components.length)
  rng = after
  const crashes = order.map((component): Crash => ({
    component,
    at: points[draw(3)] ?? "before",
    again: draw(2) === 0 ? undefined : (points[draw(3)] ?? "before"),
    waitMs: pauseMs + draw(pauseMs)
  }))
  return [victim, crashes]
}

/** Looks ten times a second: nobody takes the victim for anything but alive, and no stamp goes back. */
const watchAll = (agents: ReadonlyArray<Agent.Agent["Service"]>, id: string, broken: Array<string>) => {
  const last = new Map<string, string>()
  return Effect.forEach(
    agents,
    Effect.fnUntraced(function* (agent) {
      const { name } = agent.identity
      const { view, items } = yield* Effect.orDie(agent.nodes())
      const state = items.find((node) => node.id === id)?.state
      if (state !== "alive") broken.push(`${name} takes the node for ${state} at ${view.at}`)
      const before = last.get(name)
      if (before !== undefined && view.at <= before) broken.push(`${name}: ${view.at} after ${before}`)
      last.set(name, view.at)
    }),
    { discard: true }
  ).pipe(Effect.andThen(Effect.sleep(100)), Effect.forever)
}

const brokenDelivery = (fleet: AgentFleet.AgentFleet, accepted: ReadonlyArray<string>): ReadonlyArray<string> => {
  const out: Array<string> = []
  const known = new Set(fleet.members.flatMap(({ delivered }) => [...delivered.keys()]))
  for (const id of accepted) if (!known.has(id)) out.push(`${id} was accepted and delivered nowhere`)
  // One whose answer was lost to a crash may have been sent or not; but if it was, then to everybody.
  for (const { name, delivered } of fleet.members) {
    for (const id of known) {
      const count = delivered.get(id) ?? 0
      if (count !== 1) out.push(`${name} got ${id} ${count} times`)
    }
  }
  return out
}

/** What the agents count and store is the same everywhere. */
const brokenFacts = Effect.fnUntraced(function* (agents: ReadonlyArray<Agent.Agent["Service"]>) {
  const out: Array<string> = []
  const texts = new Set<string>()
  const revisions = new Set<string>()
  for (const agent of agents) {
    const { byOrigin, duplicates, lagged } = yield* agent.delivered
    texts.add(JSON.stringify(Object.entries(byOrigin).toSorted(([a], [b]) => (a < b ? -1 : 1))))
    if (duplicates > 0) out.push(`${agent.identity.name} counts ${duplicates} duplicates`)
    if (lagged > 0) out.push(`${agent.identity.name} counts ${lagged} deliveries that its subscriber lost`)
    const { items } = yield* agent.config
    revisions.add(items.map(({ key, revision }) => `${key}=${revision}`).join(" "))
    for (const { key } of items) {
      const rollout = yield* agent.rollout(key)
      if (rollout === undefined || rollout.received < agents.length) {
        out.push(`${agent.identity.name}: ${key} received by ${rollout?.received} of ${agents.length}`)
      }
    }
  }
  if (texts.size > 1) out.push(`delivered, by origin, differs: ${[...texts].join(" | ")}`)
  if (revisions.size > 1) out.push(`configuration differs: ${[...revisions].join(" | ")}`)
  return out
})

/** The supervision tree shows each crash as a restart of that component, and all of them running. */
const brokenTree = Effect.fnUntraced(function* (agent: Agent.Agent["Service"], crashes: ReadonlyArray<Crash>) {
  const out: Array<string> = []
  const { items } = yield* agent.tree
  for (const { component, again } of crashes) {
    const node = items.find(({ path }) => path === `agent/components/${component}`)
    const due = again === undefined ? 1 : 2
    if (node?.restarts !== due) out.push(`the tree shows ${node?.restarts} restarts of ${component}, not ${due}`)
    if (node?.state !== "running") out.push(`${component} is ${node?.state}`)
  }
  return out
})

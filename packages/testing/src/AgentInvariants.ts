/**
 * What holds of a fleet of whole agents in all quiet, as somebody sees it who asks each of them what any operator can ask
 * (peers, nodes, configuration, events) and compares the answers. Each function returns what is broken; empty is sound.
 *
 * @since 0.1.0
 */
import type { Agent } from "@starling/agent"
import * as Effect from "effect/Effect"

/** @since 0.1.0 @category models */
export type Agents = ReadonlyArray<Agent.Agent["Service"]>

/** Findings of one kind that are told: a fleet that is broken is broken everywhere. */
const toldMax = 5

/**
 * Every invariant of every component, of each agent by itself: what its machines say must hold after each step.
 *
 * @since 0.1.0
 */
export const components = (agents: Agents): Effect.Effect<ReadonlyArray<string>> =>
  Effect.map(
    Effect.forEach(agents, ({ identity: { name }, invariants }) =>
      Effect.map(invariants, (broken) => broken.map((one) => `${name}: ${one}`))
    ),
    (lists) => told(lists.flat())
  )

/**
 * The components of each agent agree with each other, as those of a simulated member must (`Member.disagreements`): who the
 * neighbours are, what has been seen of broadcasts, what time it is. Asked when nothing waits in a mailbox, for which each
 * agent has some time. What is said may hold for a moment only: who accuses asks again.
 *
 * @since 0.2.0
 */
export const agreement = (agents: Agents): Effect.Effect<ReadonlyArray<string>> =>
  Effect.map(
    Effect.forEach(agents, (agent) =>
      Effect.map(disagreements(agent), (found) => found.map((one) => `${agent.identity.name}: ${one}`))
    ),
    (lists) => told(lists.flat())
  )

const disagreements = Effect.fnUntraced(function* ({ disagreements }: Agent.Agent["Service"]) {
  for (let waited = 0; waited < restMs; waited++) {
    const found = yield* disagreements
    if (found !== undefined) return found
    yield* Effect.sleep(1)
  }
  return [`something waited in its mailboxes whenever it was asked within ${restMs} ms`]
})

/** Our choice: mailboxes of agents that are not busy are empty nearly always. */
const restMs = 100

/**
 * The overlay: whom an agent has in its active view has it too; everybody has a neighbour, none is its own; and following
 * neighbours one comes from each agent to every other.
 *
 * @since 0.1.0
 */
export const overlay = (agents: Agents): Effect.Effect<ReadonlyArray<string>> =>
  Effect.map(
    Effect.forEach(agents, ({ identity, peers }) =>
      Effect.map(peers, ({ items }) => ({
        identity,
        active: items.filter(({ view }) => view === "active").map(({ id }) => id)
      }))
    ),
    (views) => {
      const active = new Map(views.map((view) => [view.identity.id, new Set(view.active)]))
      const names = new Map(views.map(({ identity }) => [identity.id, identity.name]))
      const nameOf = (id: string): string => names.get(id) ?? id
      const out: Array<string> = []
      for (const { active: own, identity } of views) {
        if (own.length === 0) out.push(`${identity.name} has no neighbour`)
        if (own.includes(identity.id)) out.push(`${identity.name} is its own neighbour`)
        for (const other of own) {
          if (active.get(other)?.has(identity.id) !== true) {
            out.push(`asymmetric: ${identity.name} has ${nameOf(other)}, which has not ${identity.name}`)
          }
        }
      }
      const sizes = islands(active)
      if (sizes.length > 1) out.push(`${sizes.length} components, of ${sizes.join(", ")} agents`)
      return told(out)
    }
  )

/**
 * Every agent takes each of them, and nobody else, for alive.
 *
 * @since 0.1.0
 */
export const alive = (agents: Agents): Effect.Effect<ReadonlyArray<string>> =>
  Effect.map(
    Effect.forEach(agents, ({ identity: { name }, nodes }) =>
      Effect.map(Effect.orDie(nodes()), ({ items }) => {
        const states = new Map(items.map(({ id, state }) => [id, state]))
        const wrong = agents.filter(({ identity: { id } }) => states.get(id) !== "alive")
        const count = items.filter(({ state }) => state === "alive").length
        if (wrong.length === 0 && count === agents.length) return []
        const [first] = wrong
        return first === undefined
          ? [`${name} takes ${count} nodes for alive, of ${agents.length}`]
          : [`${name} takes ${wrong.length} for not alive: ${first.identity.name} is ${states.get(first.identity.id)}`]
      })
    ),
    (lists) => told(lists.flat())
  )

/**
 * Every agent gives the same answers: nodes with their runs, addresses and labels, what publishes to them, configuration
 * with its history, events.
 *
 * @since 0.1.0
 */
export const facts = (agents: Agents): Effect.Effect<ReadonlyArray<string>> =>
  Effect.map(
    Effect.forEach(agents, (agent) =>
      Effect.map(answersOf(agent), (answers) => [agent.identity.name, answers] as const)
    ),
    (all) => {
      const [first, ...others] = all
      if (first === undefined) return []
      const out: Array<string> = []
      for (const [name, answers] of others) {
        for (const [what, text] of Object.entries(answers)) {
          const reference = first[1][what as keyof typeof answers]
          if (text !== reference) out.push(`${what} differ: ${first[0]} and ${name}, ${difference(reference, text)}`)
        }
      }
      return told(out)
    }
  )

/**
 * Each configuration entry has been received by every agent that it targets, as the agent says that was asked.
 *
 * @since 0.1.0
 */
export const rolledOut = (agent: Agent.Agent["Service"], size: number): Effect.Effect<ReadonlyArray<string>> =>
  Effect.flatMap(agent.config, ({ items }) =>
    Effect.map(
      Effect.forEach(items, ({ key }) =>
        Effect.map(agent.rollout(key), (rollout) =>
          rollout !== undefined && rollout.targeted === size && rollout.received >= size
            ? []
            : [`${agent.identity.name}: ${key} received by ${rollout?.received} of ${rollout?.targeted}, not ${size}`]
        )
      ),
      (lists) => told(lists.flat())
    )
  )

/** The sizes of the components of a graph, the largest first; a link that only one end has leads one way. */
const islands = (active: ReadonlyMap<string, ReadonlySet<string>>): ReadonlyArray<number> => {
  const either = new Map([...active.keys()].map((id) => [id, new Set<string>()]))
  for (const [id, others] of active) {
    for (const other of others) {
      if (!active.has(other)) continue
      either.get(id)?.add(other)
      either.get(other)?.add(id)
    }
  }
  const seen = new Set<string>()
  const sizes: Array<number> = []
  for (const id of either.keys()) {
    if (seen.has(id)) continue
    const island = new Set([id])
    // It grows while it is walked.
    for (const one of island) for (const other of either.get(one) ?? []) island.add(other)
    for (const one of island) seen.add(one)
    sizes.push(island.size)
  }
  return sizes.toSorted((a, b) => b - a)
}

const answersOf = Effect.fnUntraced(function* (agent: Agent.Agent["Service"]) {
  const nodes = yield* Effect.orDie(agent.nodes())
  const publishers = yield* Effect.orDie(agent.publishers())
  const config = yield* agent.config
  const events = yield* Effect.orDie(agent.events({ limit: eventsMax }))
  const histories = yield* Effect.forEach(config.items, ({ key }) => agent.configHistory(key))
  return {
    nodes: lines(
      nodes.items.map(({ address, datacenter, id, incarnation, labels, name, state }) =>
        JSON.stringify([id, incarnation, name, datacenter, address, state, labels])
      )
    ),
    publishers: lines(publishers.items.map(({ app, instance, node }) => JSON.stringify([node, app, instance]))),
    config: lines(
      histories.flatMap(({ items }) => items.map(({ key, revision, value }) => JSON.stringify([key, revision, value])))
    ),
    events: lines(events.items.map(({ body, id }) => JSON.stringify([id, body])))
  }
})

/** As many as any agent keeps. */
const eventsMax = 20_000

const lines = (texts: ReadonlyArray<string>): string => texts.toSorted().join("\n")

/** The first line that only one of two texts has. */
const difference = (one: string, other: string): string => {
  const [left, right] = [one.split("\n"), other.split("\n")]
  const [has, lacks] = [new Set(left), new Set(right)]
  const missing = left.find((line) => !lacks.has(line))
  if (missing !== undefined) return `which lacks ${missing}`
  return `which alone has ${right.find((line) => !has.has(line)) ?? "nothing"}`
}

const told = (findings: ReadonlyArray<string>): ReadonlyArray<string> =>
  findings.length <= toldMax
    ? findings
    : [...findings.slice(0, toldMax), `and ${findings.length - toldMax} more of this kind`]

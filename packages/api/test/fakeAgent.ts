/** An agent without a fleet: documents in memory, and every call recorded. */
import * as Agent from "@starling/agent/Agent"
import { Guard, Hlc } from "@starling/clock"
import type { Document } from "@starling/fleet"
import * as Effect from "effect/Effect"
import * as PubSub from "effect/PubSub"
import * as Stream from "effect/Stream"

export const view: Document.View = {
  node: "fra-1",
  nodeId: "a1b2c3d4e5f6",
  at: "0000/2024-06-14T13:40:00.123Z/0007/a1b2c3d4e5f6",
  complete: true,
  datacenters: [{ datacenter: "fra", nodes: 2, alive: 2, state: "healthy", lastHeardSeconds: 0 }]
}

export const node = (name: string, id: string): Document.NodeDocument => ({
  id,
  name,
  datacenter: "fra",
  state: "alive",
  incarnation: 1,
  address: "127.0.0.1:7740",
  labels: { role: "edge" },
  since: "2024-06-14T13:00:00.000Z",
  evidence: []
})

export const publisher: Document.PublisherDocument = {
  app: "shop/checkout",
  instance: "i-1",
  node: "fra-1",
  nodeId: "a1b2c3d4e5f6",
  datacenter: "fra",
  signals: ["metrics"],
  state: "stale",
  lastPublish: "2024-06-14T13:00:00.000Z",
  ttlSeconds: 15,
  labels: {}
}

export const rolloutNode = (
  name: string,
  status: Document.RolloutStatus,
  reason: string = "",
  nodeId: string = `id-of-${name}`
): Document.RolloutNode => ({ node: name, nodeId, datacenter: "fra", status, reason, since: view.at })

const count = (nodes: ReadonlyArray<Document.RolloutNode>, status: Document.RolloutStatus): number =>
  nodes.filter((node) => node.status === status).length

export const rolloutOf = (
  key: string,
  revision: string,
  nodes: ReadonlyArray<Document.RolloutNode>
): Document.RolloutDocument => {
  const counts = {
    received: count(nodes, "received"),
    applied: count(nodes, "applied"),
    failed: count(nodes, "failed"),
    rejected: count(nodes, "rejected")
  }
  const rest = nodes.length - counts.received - counts.applied - counts.failed - counts.rejected
  return { key, revision, targeted: nodes.length, ...counts, pending: rest, converged: rest === 0, nodes }
}

const clockOf = (epoch: number): Document.ClockDocument => ({
  node: "fra-1",
  nodeId: "a1b2c3d4e5f6",
  state: "degraded",
  epoch,
  offsetMs: 10_800_000,
  wall: "2024-06-14T16:40:00.000Z",
  population: "2024-06-14T13:40:00.000Z",
  settled: true,
  votes: 9,
  need: 9,
  policy: "refuse",
  held: 0,
  refused: 0,
  lastRefused: null,
  poisonedMs: null,
  highWater: `${epoch}/2024-06-14T13:40:05.000Z`,
  histogram: [{ fromMs: -25, toMs: 25, count: 8 }],
  outliers: []
})

export interface Fake {
  readonly agent: Agent.Agent["Service"]
  /** Every call that changes something, as it arrived. */
  readonly calls: Array<unknown>
  /** What the rollout of every key says. */
  nodes: ReadonlyArray<Document.RolloutNode>
  /** Runs after each look at a rollout. */
  afterRollout: Effect.Effect<void>
  /** Every call that changes something fails with this. */
  failure: Agent.InvalidInput | Agent.Unavailable | undefined
  /** An answer that does not fit its schema. */
  broken: boolean
  /** Of the clock. */
  epoch: number
  wall: number
  fleet: ReadonlyArray<Document.NodeDocument>
  datacenters: ReadonlyArray<Document.DatacenterView>
  readonly signal: Effect.Effect<void>
}

export const make: Effect.Effect<Fake> = Effect.gen(function* () {
  const signals = yield* PubSub.unbounded<void>()
  const entries = new Map<string, ReadonlyArray<Document.ConfigDocument>>()
  const events: Array<Document.EventDocument> = []
  let broadcasts = 0
  let reading = Hlc.make(Number.MAX_SAFE_INTEGER)
  const attempt = <A>(call: unknown, value: () => A): Effect.Effect<A, Agent.InvalidInput | Agent.Unavailable> =>
    Effect.suspend(() => {
      fake.calls.push(call)
      return fake.failure === undefined ? Effect.succeed(value()) : Effect.fail(fake.failure)
    })
  const answer = <Item>(items: () => ReadonlyArray<Item>) =>
    Effect.sync(() => ({ view: { ...view, datacenters: fake.datacenters }, items: items() }))
  const write = (entry: Omit<Document.ConfigDocument, "revision" | "writtenAt">): Document.ConfigDocument => {
    const history = entries.get(entry.key) ?? []
    const written = { ...entry, revision: `rev-${history.length + 1}`, writtenAt: "2024-06-14T13:40:00.000Z" }
    entries.set(entry.key, [written, ...history])
    return written
  }
  const selecting = (selector: string | undefined): Effect.Effect<void, Agent.InvalidInput> =>
    selector?.startsWith("(") === true
      ? Effect.fail(new Agent.InvalidInput({ where: "selector", message: "at 0: expected a label" }))
      : Effect.void
  const status = (): Document.StatusDocument => ({
    node: "fra-1",
    nodeId: view.nodeId,
    datacenter: "fra",
    fleet: "starling",
    version: fake.broken ? (undefined as unknown as string) : "0.1.0",
    incarnation: 3,
    uptimeSeconds: 12,
    counts: {
      alive: 2,
      suspect: 0,
      offline: 1,
      unreachable: 0,
      left: 0,
      missing: 0,
      forgotten: 0,
      unexpected: 0
    },
    publishers: { fresh: 1, stale: 1, stopped: 0, unknown: 0 },
    configKeys: entries.size,
    events: events.length,
    health: "ok",
    problems: []
  })
  const fake: Fake = {
    calls: [],
    nodes: [rolloutNode("fra-1", "received"), rolloutNode("fra-2", "received")],
    afterRollout: Effect.void,
    failure: undefined,
    broken: false,
    epoch: 0,
    wall: 1000,
    fleet: [node("fra-1", "a1b2c3d4e5f6"), node("fra-2", "b1b2c3d4e5f6")],
    datacenters: view.datacenters,
    signal: Effect.asVoid(PubSub.publish(signals, undefined)),
    agent: {
      identity: {
        id: view.nodeId,
        name: "fra-1",
        datacenter: "fra",
        fleet: "starling",
        incarnation: 3,
        gossip: "127.0.0.1:7740",
        labels: { role: "edge" }
      },
      status: answer(() => [status()]),
      nodes: (filter) =>
        Effect.andThen(
          selecting(filter?.selector),
          answer(() => fake.fleet)
        ),
      publishers: (filter) =>
        Effect.andThen(
          selecting(filter?.selector),
          answer(() => [publisher])
        ),
      offline: answer(() => [
        { kind: "node" as const, ...node("ams-1", "c1b2c3d4e5f6"), state: "offline" as const },
        { kind: "publisher" as const, ...publisher }
      ]),
      events: (filter = {}) => {
        fake.calls.push({ events: filter })
        return answer(() => events.slice(-(filter.limit ?? 100)))
      },
      config: answer(() => [...entries.values()].flatMap((history) => history.slice(0, 1))),
      configEntry: (key) => Effect.sync(() => entries.get(key)?.[0]),
      configHistory: (key) => answer(() => entries.get(key) ?? []),
      rollout: (key) =>
        Effect.sync(() => {
          const entry = entries.get(key)?.[0]
          return entry === undefined ? undefined : rolloutOf(key, entry.revision, fake.nodes)
        }).pipe(Effect.tap(() => fake.afterRollout)),
      peers: answer(() => [
        {
          name: "fra-2",
          id: "b1b2c3d4e5f6",
          address: "127.0.0.1:7750",
          datacenter: "fra",
          view: fake.fleet.length > 2 ? ("passive" as const) : ("active" as const),
          linkId: 1,
          rttMs: null,
          queueBytes: 0,
          eagerRoots: 1,
          lazyRoots: 0
        }
      ]),
      clock: answer(() => [clockOf(fake.epoch)]),
      resetClock: (expected) =>
        Effect.suspend(() => {
          if (expected !== fake.epoch) {
            return Effect.fail(
              new Agent.InvalidInput({ where: "epoch", message: `this node is in epoch ${fake.epoch}` })
            )
          }
          fake.epoch++
          return Effect.succeed(fake.epoch)
        }),
      tree: answer(() => [
        {
          path: "agent/components/clock",
          type: "worker" as const,
          strategy: null,
          state: "running" as const,
          restarts: 0,
          lastReason: null,
          mailbox: 0,
          handled: 9,
          uptimeSeconds: 12
        }
      ]),
      // A hybrid logical clock behind a guard.
      stamp: Effect.sync(() => {
        const [next, stamp] = Hlc.stamp(reading, fake.wall, view.nodeId)
        reading = next
        return stamp
      }),
      observe: (stamp) =>
        Effect.suspend(() => {
          const verdict = Guard.judge(reading, stamp, fake.wall)
          if (verdict._tag === "TimestampAhead") {
            return Effect.fail(new Agent.StampRefused({ stamp, message: Guard.message(verdict) }))
          }
          reading = Hlc.receive(reading, stamp, fake.wall)
          return Effect.void
        }),
      view: Effect.sync(() => ({ ...view, datacenters: fake.datacenters })),
      changes: Stream.fromPubSub(signals),
      setConfig: (change) => attempt({ setConfig: change }, () => write({ ...change, operation: "set" })),
      deleteConfig: (key, author, note) =>
        attempt({ deleteConfig: { key, author, note } }, () =>
          write({ key, value: "", selector: "", author, note, operation: "delete" })
        ),
      sendEvent: (event) =>
        attempt({ sendEvent: event }, () => {
          const made: Document.EventDocument = {
            ...event,
            id: `a1b2c3d4e5f6.3.${events.length + 1}`,
            at: `0000/2024-06-14T13:40:0${events.length}.000Z/0000/a1b2c3d4e5f6`,
            wall: "2024-06-14T13:40:00.000Z",
            node: "fra-1",
            nodeId: view.nodeId,
            datacenter: "fra",
            relation: "after"
          }
          events.push(made)
          return made
        }),
      published: (publication) =>
        Effect.suspend(() => {
          fake.calls.push({ published: publication })
          return fake.failure?._tag === "InvalidInput" ? Effect.fail(fake.failure) : Effect.void
        }),
      broadcast: (payload) => attempt({ broadcast: payload }, () => `a1b2c3d4e5f6.3.${(broadcasts += 1)}`),
      deliveries: Effect.succeed(Stream.empty),
      delivered: Effect.sync(() => ({
        total: broadcasts,
        duplicates: 0,
        lagged: 0,
        byOrigin: { a1b2c3d4e5f6: broadcasts }
      })),
      handleConfig: () => Effect.void,
      reportConfig: (key, revision, status, reason) =>
        attempt({ reportConfig: { key, revision, status, reason } }, () => undefined),
      crash: (component, at = "before") => attempt({ crash: { component, at } }, () => at),
      cut: (datacenter) => Effect.sync(() => (fake.calls.push({ cut: datacenter }), [datacenter])),
      heal: (datacenter) => Effect.sync(() => (fake.calls.push({ heal: datacenter }), [])),
      died: Effect.never,
      invariants: Effect.succeed([]),
      disagreements: Effect.succeed([]),
      counters: Effect.succeed({ frames_refused: 3, "clock.clamped": 1 }),
      leave: Effect.void
    }
  }
  return fake
})

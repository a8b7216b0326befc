/** Streams of what changes: a snapshot first, then differences found by comparing answers. */
import type * as Agent from "@starling/agent/Agent"
import type { Document } from "@starling/fleet"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { eventsMax } from "../Api.ts"
import type { Resource, WatchMessage } from "../Schemas.ts"

/** Answers are compared at most so often. Our choice: a person sees it as at once, and a storm costs five answers a second. */
const spacingMs = 200

/** Events of a snapshot when nothing says where to begin: as many as the command line shows. */
const eventsShown = 100

/** A silent stream says so this often; proxies cut connections that are silent for a minute. Our choice. */
const heartbeatMs = 15_000

export interface Options {
  readonly resources: ReadonlyArray<Resource>
  /** Only configuration that targets the node that answers. */
  readonly here: boolean
  /** Events up to this stamp are left out of the snapshot. */
  readonly after: string | undefined
}

/** Documents by id; their text is what is compared. */
type Seen = Map<string, string>

/**
 * Ends never by itself. Missed signals do no harm: every heartbeat compares again.
 */
export const watch = (agent: Agent.Agent["Service"], options: Options): Stream.Stream<WatchMessage> =>
  Stream.suspend(() => {
    const seen = new Map<Resource, Seen>()
    const resources = [...new Set(options.resources)]
    const compare = Effect.fnUntraced(function* () {
      const messages: Array<WatchMessage> = []
      for (const resource of resources) {
        const message = yield* compareOne(agent, options, resource, seen)
        if (message !== undefined) messages.push(message)
      }
      return messages
    })
    const changes = agent.changes.pipe(
      Stream.buffer({ capacity: 1, strategy: "sliding" }),
      Stream.throttle({ cost: () => 1, units: 1, duration: spacingMs })
    )
    // The second look closes the gap between the snapshot and the subscription to changes.
    const secondLook = Stream.fromEffect(Effect.sleep(spacingMs))
    const compared = Stream.mergeAll([changes, Stream.succeed<void>(undefined), secondLook], {
      concurrency: "unbounded"
    }).pipe(
      Stream.map(() => false),
      Stream.merge(Stream.drop(Stream.tick(heartbeatMs), 1).pipe(Stream.map(() => true)))
    )
    return compared.pipe(
      Stream.mapEffect(
        Effect.fnUntraced(function* (isBeat) {
          const messages = yield* compare()
          if (messages.length > 0 || !isBeat) return messages
          const beat: WatchMessage = { resource: "heartbeat", kind: "heartbeat", view: yield* agent.view }
          return [beat]
        })
      ),
      Stream.flatMap((messages) => Stream.fromIterable(messages))
    )
  })

const compareOne = (
  agent: Agent.Agent["Service"],
  options: Options,
  resource: Resource,
  seen: Map<Resource, Seen>
): Effect.Effect<WatchMessage | undefined> => {
  switch (resource) {
    case "nodes":
      return Effect.map(Effect.orDie(agent.nodes()), (answer) => difference(resource, answer, (node) => node.id, seen))
    case "publishers":
      return Effect.map(Effect.orDie(agent.publishers()), (answer) => difference(resource, answer, publisherId, seen))
    case "offline":
      return Effect.map(agent.offline, (answer) =>
        difference(resource, answer, (item) => (item.kind === "node" ? item.id : publisherId(item)), seen)
      )
    case "config":
      return Effect.map(options.here ? targetingHere(agent) : agent.config, (answer) =>
        difference(resource, answer, (entry) => entry.key, seen)
      )
    case "events":
      return Effect.map(Effect.orDie(agent.events({ limit: eventsMax })), (answer) => newEvents(answer, options, seen))
  }
}

/** Events never change, and old ones leave the log in silence: only new ones are news. */
const newEvents = (
  answer: Document.Answer<Document.EventDocument>,
  { after }: Options,
  seen: Map<Resource, Seen>
): WatchMessage | undefined => {
  const before = seen.get("events")
  seen.set("events", new Map(answer.items.map((event) => [event.id, ""])))
  if (before !== undefined) {
    const items = answer.items.filter((event) => !before.has(event.id))
    return items.length === 0
      ? undefined
      : { resource: "events", kind: "change", view: answer.view, items, removed: [] }
  }
  const items =
    after === undefined ? answer.items.slice(-eventsShown) : answer.items.filter((event) => event.at > after)
  return { resource: "events", kind: "snapshot", view: answer.view, items, removed: [] }
}

const publisherId = (publisher: Document.PublisherDocument): string =>
  `${publisher.nodeId}/${publisher.app}/${publisher.instance}`

/** The rollout of a key names the nodes that its selector targets; this node is one of them or not. */
const targetingHere = Effect.fnUntraced(function* (agent: Agent.Agent["Service"]) {
  const answer = yield* agent.config
  const items: Array<Document.ConfigDocument> = []
  for (const entry of answer.items) {
    const isHere =
      entry.selector === "" ||
      ((yield* agent.rollout(entry.key))?.nodes.some((node) => node.nodeId === agent.identity.id) ?? false)
    if (isHere) items.push(entry)
  }
  return { view: answer.view, items }
})

/** A message when something differs from what was seen before, or when nothing was seen before. */
const difference = <const Name extends Resource, Item>(
  resource: Name,
  answer: Document.Answer<Item>,
  idOf: (item: Item) => string,
  seen: Map<Resource, Seen>
) => {
  const before = seen.get(resource)
  const now: Seen = new Map()
  const items: Array<Item> = []
  for (const item of answer.items) {
    const id = idOf(item)
    const text = JSON.stringify(item)
    now.set(id, text)
    if (before?.get(id) !== text) items.push(item)
  }
  const removed = before === undefined ? [] : [...before.keys()].filter((id) => !now.has(id))
  seen.set(resource, now)
  if (before !== undefined && items.length === 0 && removed.length === 0) return undefined
  const kind = before === undefined ? ("snapshot" as const) : ("change" as const)
  return { resource, kind, view: answer.view, items, removed }
}

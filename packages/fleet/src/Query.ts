/**
 * Answers from the facts of one node: pure functions from its state to the documents of `Document`.
 *
 * Nothing is asked of anybody; `view` says how much of the fleet an answer covers. The judgement on who is alive is
 * remembered for as long as it would come out the same: no answer depends on which questions were asked before.
 *
 * @since 0.1.0
 */
import { Stamp } from "@starling/clock"
import type { Machine, NodeId } from "@starling/machine"
import * as HashMap from "effect/HashMap"
import * as Option from "effect/Option"
import * as Config from "./Config.ts"
import type {
  Answer,
  ConfigDocument,
  DatacenterView,
  EventDocument,
  NodeDocument,
  NodeState,
  OfflineDocument,
  Problem,
  PublisherDocument,
  PublisherState,
  RolloutDocument,
  Severity,
  View
} from "./Document.ts"
import { severities } from "./Document.ts"
import * as EventLog from "./EventLog.ts"
import type { State } from "./Facts.ts"
import { type Judged, judged, type JudgedNode } from "./internal/judged.ts"
import { problemsOf } from "./internal/problems.ts"
import * as rollouts from "./internal/rollout.ts"
import { compareText } from "./internal/text.ts"
import * as NodeDoc from "./NodeDoc.ts"
import * as Selector from "./Selector.ts"

/**
 * When the question is asked: on the monotonic clock, in milliseconds since 1970, and as a clock stamp.
 *
 * @since 0.1.0
 * @category models
 */
export interface Context {
  readonly now: Machine.Instant
  readonly wall: number
  readonly stamp: Stamp.Stamp
}

/** How much of the fleet this node covers. @since 0.1.0 @category running */
export const view = (state: State, context: Context): View => viewOf(state, context, judged(state, context.now))

/**
 * A data centre from which nothing was heard for this long makes a view incomplete. Our choice: twelve pulses.
 *
 * @since 0.1.0
 */
export const staleSeconds = 60

const viewOf = (state: State, context: Context, all: Judged): View => {
  const datacenters = [...all.datacenters.values()].map((nodes): DatacenterView => {
    const [first] = nodes
    const datacenter = first?.datacenter ?? ""
    const alive = nodes.filter((node) => node.state === "alive").length
    const isOwn = datacenter === state.config.self.datacenter
    return {
      datacenter,
      nodes: nodes.length,
      alive,
      state: alive === nodes.length ? "healthy" : alive === 0 && nodes.some(isCut) ? "unreachable" : "degraded",
      lastHeardSeconds: isOwn ? 0 : heardSeconds(state, nodes, context.now)
    }
  })
  datacenters.sort((a, b) => compareText(a.datacenter, b.datacenter))
  return {
    node: all.nameOf(state.config.self.id),
    nodeId: state.config.self.id,
    at: Stamp.toText(context.stamp),
    complete: datacenters.every(
      (one) => one.state !== "unreachable" && (one.alive === 0 || one.lastHeardSeconds < staleSeconds)
    ),
    datacenters
  }
}

const isCut = (node: JudgedNode): boolean => node.state === "unreachable"

const heardSeconds = (state: State, nodes: ReadonlyArray<JudgedNode>, now: Machine.Instant): number => {
  let last = state.madeAt
  for (const { id } of nodes)
    last = Math.max(
      last,
      Option.getOrElse(HashMap.get(state.heard, id), () => last)
    )
  return Math.max(0, Math.round((now - last) / 1000))
}

/** @since 0.1.0 @category models */
export interface NodeFilter {
  readonly selector?: Selector.Selector
  /** Also nodes that are offline while another node of their name is alive. Default: no. */
  readonly forgotten?: boolean
}

/** Every node known, by data centre and name. @since 0.1.0 @category running */
export const nodes = (state: State, context: Context, filter: NodeFilter = {}): Answer<NodeDocument> => {
  const all = judged(state, context.now)
  const items = all.nodes
    .filter((node) => node.state !== "forgotten" || filter.forgotten === true)
    .filter((node) => Selector.matches(filter.selector ?? Selector.everything, node.labels, node))
    .map((node) => nodeDocument(all, node))
  return { view: viewOf(state, context, all), items }
}

const nodeDocument = (all: Judged, node: JudgedNode): NodeDocument => ({
  id: node.id,
  name: all.nameOf(node.id),
  datacenter: node.datacenter,
  state: node.state,
  incarnation: node.incarnation,
  address: node.address,
  labels: node.labels,
  since: Stamp.isoOf(node.since),
  evidence: node.evidence.map(({ at, by, cause }) => ({ by: all.nameOf(by), cause, at: Stamp.toText(at) }))
})

/** @since 0.1.0 @category models */
export interface PublisherFilter {
  readonly selector?: Selector.Selector
  readonly app?: string
  readonly state?: PublisherState
}

/**
 * What publishes. The selector is asked of the publisher's labels and of the name and data centre of its node.
 *
 * @since 0.1.0
 * @category running
 */
export const publishers = (state: State, context: Context, filter: PublisherFilter = {}): Answer<PublisherDocument> => {
  const all = judged(state, context.now)
  return { view: viewOf(state, context, all), items: publishersOf(state, all, filter) }
}

const publishersOf = (state: State, all: Judged, filter: PublisherFilter): ReadonlyArray<PublisherDocument> => {
  const items: Array<PublisherDocument> = []
  for (const node of all.nodes) {
    const doc = Option.getOrUndefined(HashMap.get(state.docs, node.id))
    if (doc === undefined || node.state === "forgotten") continue
    for (const publisher of NodeDoc.publishersOf(doc)) {
      const current = publisherState(publisher.state, node.state)
      if (filter.app !== undefined && filter.app !== publisher.app) continue
      if (filter.state !== undefined && filter.state !== current) continue
      if (!Selector.matches(filter.selector ?? Selector.everything, publisher.labels, node)) continue
      items.push({
        app: publisher.app,
        instance: publisher.instance,
        node: all.nameOf(node.id),
        nodeId: node.id,
        datacenter: node.datacenter,
        signals: publisher.signals,
        state: current,
        lastPublish: Stamp.isoOf(publisher.lastPublish),
        ttlSeconds: publisher.ttlSeconds,
        labels: publisher.labels
      })
    }
  }
  return items.toSorted((a, b) => compareText(a.app, b.app) || compareText(a.instance, b.instance))
}

/** A node that nobody sees vouches for nothing. */
const publisherState = (told: "fresh" | "stale" | "stopped", node: NodeState): PublisherState => {
  if (node === "left") return "stopped"
  return node === "alive" || node === "suspect" ? told : "unknown"
}

/** Nodes that are offline or unreachable, then publishers that fell silent. @since 0.1.0 @category running */
export const offline = (state: State, context: Context): Answer<OfflineDocument> => {
  const all = judged(state, context.now)
  const items: Array<OfflineDocument> = []
  for (const node of all.nodes) {
    if (node.state !== "offline" && node.state !== "unreachable") continue
    items.push({ kind: "node", ...nodeDocument(all, node) })
  }
  for (const publisher of publishersOf(state, all, { state: "stale" })) items.push({ kind: "publisher", ...publisher })
  return { view: viewOf(state, context, all), items }
}

/** @since 0.1.0 @category models */
export interface EventFilter {
  /** This severity and above. */
  readonly severity?: Severity
  readonly app?: string
  /** Name or id of a node. */
  readonly node?: string
  /** Not older than this many milliseconds. */
  readonly sinceMs?: number
  /** The newest so many. Default 100. */
  readonly limit?: number
}

/** Events in the order of their stamps, the newest last. @since 0.1.0 @category running */
export const events = (state: State, context: Context, filter: EventFilter = {}): Answer<EventDocument> => {
  const all = judged(state, context.now)
  const least = severities.indexOf(filter.severity ?? "trace")
  const limit = filter.limit ?? 100
  const oldest = filter.sinceMs === undefined ? Number.NEGATIVE_INFINITY : context.wall - filter.sinceMs
  const found: Array<EventLog.Event> = []
  if (limit > 0) {
    EventLog.backwards(state.events, (event) => {
      if (
        severities.indexOf(event.severity) >= least &&
        event.wall >= oldest &&
        (filter.app === undefined || filter.app === event.app) &&
        (filter.node === undefined || filter.node === event.origin || filter.node === eventNode(all, event))
      ) {
        found.push(event)
      }
      return found.length < limit
    })
  }
  const oldestFirst = found.toReversed()
  return {
    view: viewOf(state, context, all),
    items: oldestFirst.map((event, at) => EventLog.documentOf(event, oldestFirst[at - 1], eventNode(all, event)))
  }
}

/** The name under which the node is known now, else the one it had. */
const eventNode = (all: Judged, event: EventLog.Event): string =>
  all.byId.has(event.origin) ? all.nameOf(event.origin) : event.name

/** What is stored under each key that holds a value, by key. @since 0.1.0 @category running */
export const config = (state: State, context: Context): Answer<ConfigDocument> => {
  const items: Array<ConfigDocument> = []
  for (const [head] of HashMap.values(state.registers.keys)) {
    if (head !== undefined && head.value !== null) items.push(Config.documentOf(head))
  }
  items.sort((a, b) => compareText(a.key, b.key))
  return { view: view(state, context), items }
}

/** Undefined when nothing is stored under the key. @since 0.1.0 @category running */
export const configEntry = (state: State, key: string): ConfigDocument | undefined => {
  const head = Config.head(state.registers, key)
  return head === undefined || head.value === null ? undefined : Config.documentOf(head)
}

/** The newest changes of a key, deletions included, the newest last. @since 0.1.0 @category running */
export const configHistory = (state: State, context: Context, key: string): Answer<ConfigDocument> => {
  const history = Option.getOrElse(HashMap.get(state.registers.keys, key), (): ReadonlyArray<Config.Entry> => [])
  return { view: view(state, context), items: history.map(Config.documentOf).toReversed() }
}

/**
 * Who has received the newest revision of a key, who acted on it, who has not and why. Undefined when the key was never
 * set.
 *
 * @since 0.1.0
 * @category running
 */
export const rollout = (state: State, context: Context, key: string): RolloutDocument | undefined => {
  const head = Config.head(state.registers, key)
  return head === undefined ? undefined : rollouts.of(state, judged(state, context.now), head)
}

/** What `--wait` asks for. @since 0.1.0 @category models */
export type Wait = "received" | "applied"

/**
 * What a rollout comes to: `failed` if a node failed or rejected the change, else `incomplete` if a target is
 * unreachable, else `pending` if one has not reached what `wait` asks for, else `converged`. The exit codes 2, 4, 3, 0.
 *
 * @since 0.1.0
 */
export const rolloutOutcome: (
  rollout: RolloutDocument,
  wait: Wait
) => "converged" | "failed" | "pending" | "incomplete" = rollouts.outcome

/**
 * True while waiting may still help. Nodes that are offline, unreachable or on which nothing acts on the key will not
 * move by themselves.
 *
 * @since 0.1.0
 */
export const rolloutMoves: (rollout: RolloutDocument, wait: Wait) => boolean = rollouts.moves

/** @since 0.1.0 @category models */
export interface Counts {
  readonly nodes: Readonly<Record<NodeState, number>>
  readonly publishers: Readonly<Record<PublisherState, number>>
  readonly configKeys: number
  readonly events: number
}

/** The numbers of `status`. @since 0.1.0 @category running */
export const counts = (state: State, context: Context): Counts => {
  const all = judged(state, context.now)
  const byState = { alive: 0, suspect: 0, offline: 0, unreachable: 0, left: 0, missing: 0, forgotten: 0, unexpected: 0 }
  for (const node of all.nodes) byState[node.state] += 1
  const byPublisher = { fresh: 0, stale: 0, stopped: 0, unknown: 0 }
  for (const publisher of publishersOf(state, all, {})) byPublisher[publisher.state] += 1
  return {
    nodes: byState,
    publishers: byPublisher,
    configKeys: state.liveKeys,
    events: EventLog.size(state.events)
  }
}

/** Everything that is wrong, as far as the facts show it, each with what to type next. @since 0.1.0 @category running */
export const problems = (state: State, context: Context): ReadonlyArray<Problem> => {
  const all = judged(state, context.now)
  return problemsOf(state, all, viewOf(state, context, all))
}

/**
 * Who is alive under a name; two of them are a conflict. `except` is not looked at. Nobody is judged unless some other node
 * has the name at all, so that asking this of every newcomer costs little.
 *
 * @since 0.1.0
 * @category running
 */
export const aliveUnder = (
  state: State,
  now: Machine.Instant,
  name: string,
  except?: NodeId.NodeId
): ReadonlyArray<NodeId.NodeId> =>
  isBorne(state, name, except)
    ? judged(state, now).nodes.flatMap((node) =>
        node.state === "alive" && node.name === name && node.id !== except ? [node.id] : []
      )
    : []

const isBorne = ({ docs, remembered }: State, name: string, except: NodeId.NodeId | undefined): boolean => {
  for (const [id, doc] of docs) {
    if (id !== except && NodeDoc.valueOf(doc, "profile", "Profile")?.name === name) return true
  }
  for (const [id, row] of remembered) if (id !== except && row.name === name) return true
  return false
}

/** Name of a node as answers show it, or undefined if it is not known. @since 0.1.0 @category running */
export const nameOf = (state: State, now: Machine.Instant, id: NodeId.NodeId): string | undefined => {
  const all = judged(state, now)
  return all.byId.has(id) ? all.nameOf(id) : undefined
}

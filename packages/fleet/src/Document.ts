/**
 * The documents that people and programs get as answers: the shapes of the JSON of the HTTP API and of `--json`.
 * Field names are fixed; more fields may be added.
 *
 * @since 0.1.0
 */

/** `trace` is the least severe. @since 0.1.0 */
export type Severity = "trace" | "debug" | "info" | "warn" | "error" | "fatal"

/** @since 0.1.0 */
export const severities: ReadonlyArray<Severity> = ["trace", "debug", "info", "warn", "error", "fatal"]

/** @since 0.1.0 */
export type Signal = "metrics" | "logs" | "traces"

/** @since 0.1.0 */
export type NodeState =
  | "alive"
  | "suspect"
  | "offline"
  | "unreachable"
  | "left"
  | "missing"
  | "forgotten"
  | "unexpected"

/** @since 0.1.0 */
export type PublisherState = "fresh" | "stale" | "stopped" | "unknown"

/** How much of the fleet an answer covers. @since 0.1.0 */
export interface View {
  /** Name of the node that answers. */
  readonly node: string
  readonly nodeId: string
  /** Clock stamp, text. */
  readonly at: string
  /** No data centre is unreachable, and every one was heard from recently. */
  readonly complete: boolean
  readonly datacenters: ReadonlyArray<DatacenterView>
}

/** @since 0.1.0 */
export interface DatacenterView {
  readonly datacenter: string
  readonly nodes: number
  readonly alive: number
  readonly state: "healthy" | "degraded" | "unreachable"
  readonly lastHeardSeconds: number
}

/** Every answer. @since 0.1.0 */
export interface Answer<Item> {
  readonly view: View
  readonly items: ReadonlyArray<Item>
}

/** Who says that a node is gone, why, and when (clock stamp, text). @since 0.1.0 */
export interface Evidence {
  readonly by: string
  readonly cause: "closed" | "refused" | "timeout" | "left"
  readonly at: string
}

/** @since 0.1.0 */
export interface NodeDocument {
  readonly id: string
  readonly name: string
  readonly datacenter: string
  readonly state: NodeState
  readonly incarnation: number
  readonly address: string
  readonly labels: Readonly<Record<string, string>>
  /** When this state began, ISO 8601. */
  readonly since: string
  readonly evidence: ReadonlyArray<Evidence>
}

/** @since 0.1.0 */
export interface PublisherDocument {
  readonly app: string
  readonly instance: string
  readonly node: string
  readonly nodeId: string
  readonly datacenter: string
  readonly signals: ReadonlyArray<Signal>
  readonly state: PublisherState
  /** ISO 8601. */
  readonly lastPublish: string
  readonly ttlSeconds: number
  readonly labels: Readonly<Record<string, string>>
}

/** What seems to be offline: a node, or a publisher that fell silent. @since 0.1.0 */
export type OfflineDocument =
  | ({ readonly kind: "node" } & NodeDocument)
  | ({ readonly kind: "publisher" } & PublisherDocument)

/** @since 0.1.0 */
export interface EventDocument {
  /** Origin node id, incarnation and sequence: `a1b2c3d4e5f6.3.17`. */
  readonly id: string
  /** Clock stamp, text: sorts as it reads. */
  readonly at: string
  readonly wall: string
  readonly node: string
  readonly nodeId: string
  readonly datacenter: string
  readonly app: string
  readonly severity: Severity
  readonly body: string
  readonly attributes: Readonly<Record<string, string | number | boolean>>
  /** To the event before it in the same answer. */
  readonly relation: "after" | "by-clock" | "unknown"
}

/** @since 0.1.0 */
export interface ConfigDocument {
  readonly key: string
  readonly value: string
  /** Clock stamp, text. */
  readonly revision: string
  readonly selector: string
  readonly author: string
  readonly note: string
  readonly writtenAt: string
  readonly operation: "set" | "delete" | "revert"
}

/** @since 0.1.0 */
export type RolloutStatus =
  | "applied"
  | "applying"
  | "failed"
  | "rejected"
  | "held"
  | "received"
  | "not-received"
  | "offline"
  | "unreachable"
  | "superseded"
  | "silent"
  | "drifted"

/** @since 0.1.0 */
export interface RolloutNode {
  readonly node: string
  readonly nodeId: string
  readonly datacenter: string
  readonly status: RolloutStatus
  readonly reason: string
  readonly since: string
}

/** Counts are exclusive, one per status, and sum to `targeted`. @since 0.1.0 */
export interface RolloutDocument {
  readonly key: string
  readonly revision: string
  readonly targeted: number
  readonly received: number
  readonly applied: number
  readonly failed: number
  readonly rejected: number
  /** All that are neither received, applied, failed nor rejected. */
  readonly pending: number
  readonly converged: boolean
  readonly nodes: ReadonlyArray<RolloutNode>
}

/** A link or a known peer of the node that answers. @since 0.1.0 */
export interface PeerDocument {
  readonly name: string
  readonly id: string
  readonly address: string
  readonly datacenter: string
  readonly view: "active" | "passive"
  readonly linkId: number | null
  readonly rttMs: number | null
  readonly queueBytes: number
  readonly eagerRoots: number
  readonly lazyRoots: number
}

/**
 * What the clock of the node that answers is worth.
 *
 * - `state`: `probation` while the fleet's time is not settled; `own` where the agent is told not to ask the fleet.
 * - `offsetMs`: the node's own clock minus the fleet's time; null if either is missing.
 * - `wall`, `population`: the own clock and the fleet's time, ISO 8601; null where there is none.
 * - `settled`: false while the fleet's clocks do not agree with `population`.
 * - `votes` of `need`: clocks heard of lately, and how many it takes, at the least.
 * - `held`: requests that wait until the time is known.
 * - `refused`, `lastRefused`: received stamps beyond the guard, and what was wrong with the last.
 * - `poisonedMs`: how far this node's own stamps lie beyond the guard; null if they do not.
 * - `highWater`: no stamp was given out above it; epoch and ISO 8601.
 * - `histogram`: the other clocks heard of, by how far they are ahead of the fleet's time; null is without end.
 * - `outliers`: those of them beyond the tolerance.
 *
 * @since 0.1.0
 */
export interface ClockDocument {
  readonly node: string
  readonly nodeId: string
  readonly state: "probation" | "clockless" | "ok" | "degraded" | "behind" | "own"
  readonly epoch: number
  readonly offsetMs: number | null
  readonly wall: string | null
  readonly population: string | null
  readonly settled: boolean
  readonly votes: number
  readonly need: number
  readonly policy: "refuse" | "accept"
  readonly held: number
  readonly refused: number
  readonly lastRefused: string | null
  readonly poisonedMs: number | null
  readonly highWater: string | null
  readonly histogram: ReadonlyArray<{
    readonly fromMs: number | null
    readonly toMs: number | null
    readonly count: number
  }>
  readonly outliers: ReadonlyArray<{ readonly node: string; readonly nodeId: string; readonly offsetMs: number }>
}

/** One line of the supervision tree. @since 0.1.0 */
export interface TreeDocument {
  /** Slash-separated from the root: `agent/components/clock`. */
  readonly path: string
  readonly type: "supervisor" | "worker"
  readonly strategy: string | null
  readonly state: "running" | "restarting" | "stopped"
  readonly restarts: number
  readonly lastReason: string | null
  readonly mailbox: number
  readonly handled: number
  readonly uptimeSeconds: number
}

/** @since 0.1.0 */
export interface StatusDocument {
  readonly node: string
  readonly nodeId: string
  readonly datacenter: string
  readonly fleet: string
  readonly version: string
  readonly incarnation: number
  readonly uptimeSeconds: number
  readonly counts: Readonly<Record<NodeState, number>>
  readonly publishers: Readonly<Record<PublisherState, number>>
  readonly configKeys: number
  readonly events: number
  readonly health: "ok" | "degraded"
  /** Everything that is wrong, each with what to type next. */
  readonly problems: ReadonlyArray<Problem>
}

/** @since 0.1.0 */
export interface Problem {
  readonly what: string
  readonly where: string
  readonly next: string
}

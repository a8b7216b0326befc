/**
 * The supervision trees of a system as plain data, for a page, a command line or a test.
 *
 * A reading takes no message and waits for nobody: it shows what is true at this instant, also while supervisors work.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as ExitReason from "./ExitReason.ts"
import type { Process } from "./internal/process.ts"
import { runtimeOf } from "./internal/runtime.ts"
import type { Child } from "./internal/supervision.ts"
import { System } from "./System.ts"

/**
 * - `path`: ids from the root down to this child.
 * - `strategy`: of a supervisor; `dynamic` for a DynamicSupervisor; null for a worker.
 * - `restarts`: by the supervisor, since this child's spec was added. `lastReason`: why the last incarnation ended.
 * - `mailbox`: messages waiting, system lane included. `handled`: over all incarnations.
 * - `startedAt`: milliseconds of Effect's Clock; null if no incarnation lives.
 *
 * @since 0.1.0
 * @category models
 */
export interface Node {
  readonly path: ReadonlyArray<string>
  readonly id: string
  readonly type: "worker" | "supervisor"
  readonly strategy: "one_for_one" | "one_for_all" | "rest_for_one" | "dynamic" | null
  readonly state: "running" | "restarting" | "stopped"
  readonly restarts: number
  readonly lastReason: string | null
  readonly mailbox: number
  readonly handled: number
  readonly startedAt: number | null
  /** In start order. */
  readonly children: ReadonlyArray<Node>
}

/** The roots: supervisors that were started, actors that were spawned. @since 0.1.0 */
export const snapshot: Effect.Effect<ReadonlyArray<Node>, never, System> = Effect.map(System, (system) =>
  snapshotUnsafe(system)
)

/** @since 0.1.0 */
export const snapshotUnsafe = (system: System["Service"]): ReadonlyArray<Node> =>
  [...runtimeOf(system).roots].map(rootNode)

/** Every node, parents before their children. @since 0.1.0 */
export const flatten = (nodes: ReadonlyArray<Node>): ReadonlyArray<Node> =>
  nodes.flatMap((node) => [node, ...flatten(node.children)])

/** The tree as text, one child a line; `now`, an instant of Effect's Clock, adds for how long each is up. @since 0.1.0 */
export const render = (nodes: ReadonlyArray<Node>, now?: number): string =>
  flatten(nodes)
    .map((node) => {
      const kind = node.strategy === null ? "" : ` (${node.strategy})`
      const last = node.lastReason === null ? "" : `, last: ${node.lastReason}`
      const up = now === undefined || node.startedAt === null ? "" : `, up ${uptime(now - node.startedAt)}`
      const counts = `restarts ${node.restarts}, mailbox ${node.mailbox}, handled ${node.handled}`
      return `${"  ".repeat(node.path.length - 1)}${node.id}${kind} ${node.state} · ${counts}${up}${last}`
    })
    .join("\n")

const uptime = (ms: number): string => Duration.format(Duration.seconds(Math.floor(ms / 1000)))

const rootNode = (process: Process): Node => ({
  path: process.path,
  id: process.segment,
  type: process.supervision === undefined ? "worker" : "supervisor",
  strategy: strategyOf(process),
  state: "running",
  restarts: 0,
  lastReason: null,
  mailbox: process.waiting,
  handled: process.handled,
  startedAt: process.startedAt,
  children: childrenOf(process)
})

const childNode = (parent: Process, child: Child): Node => {
  const { box, process, spec } = child
  return {
    path: [...parent.path, spec.id],
    id: spec.id,
    type: spec.type,
    strategy: process === undefined ? null : strategyOf(process),
    state: child.state,
    restarts: child.restarts,
    lastReason: child.lastReason === undefined ? null : ExitReason.toText(child.lastReason),
    mailbox: process?.waiting ?? box?.count ?? 0,
    handled: child.handledBefore + (process?.handled ?? 0),
    startedAt: process?.startedAt ?? null,
    children: process === undefined ? [] : childrenOf(process)
  }
}

const strategyOf = (process: Process): Node["strategy"] => {
  const options = process.supervision?.options
  if (options === undefined) return null
  return options.dynamic === undefined ? options.strategy : "dynamic"
}

const childrenOf = (process: Process): ReadonlyArray<Node> =>
  [...(process.supervision?.children.values() ?? [])].map((child) => childNode(process, child))

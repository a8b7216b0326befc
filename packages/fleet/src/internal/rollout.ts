/** Where one revision of a key stands at every node it targets. */
import { Stamp } from "@starling/clock"
import * as HashMap from "effect/HashMap"
import * as Option from "effect/Option"
import * as Config from "../Config.ts"
import type { RolloutDocument, RolloutNode, RolloutStatus } from "../Document.ts"
import type { State } from "../Facts.ts"
import * as NodeDoc from "../NodeDoc.ts"
import * as Selector from "../Selector.ts"
import type { Judged, JudgedNode } from "./judged.ts"
import * as pattern from "./pattern.ts"

export const of = (state: State, all: Judged, entry: Config.Entry): RolloutDocument => {
  const revision = Stamp.toText(entry.revision)
  const nodes: Array<RolloutNode> = []
  for (const node of all.nodes) {
    if (node.state === "left" || node.state === "forgotten") continue
    if (entry.target === undefined || !Selector.matches(entry.target, node.labels, node)) continue
    const { reason, since, status } = standing(state, node, entry, revision)
    nodes.push({
      node: all.nameOf(node.id),
      nodeId: node.id,
      datacenter: node.datacenter,
      status,
      reason,
      since: Stamp.isoOf(since)
    })
  }
  const number = (status: RolloutStatus) => nodes.filter((node) => node.status === status).length
  const received = number("received")
  const applied = number("applied")
  const failed = number("failed")
  const rejected = number("rejected")
  const pending = nodes.length - received - applied - failed - rejected
  return {
    key: entry.key,
    revision,
    targeted: nodes.length,
    received,
    applied,
    failed,
    rejected,
    pending,
    converged: pending === 0 && failed === 0 && rejected === 0,
    nodes
  }
}

interface Standing {
  readonly status: RolloutStatus
  readonly reason: string
  readonly since: number
}

/**
 * What a node's document says comes first: a node that applied the change and went offline has applied it. Where it says
 * that the change had not arrived, the node's state says why.
 */
const standing = (state: State, node: JudgedNode, entry: Config.Entry, revision: string): Standing => {
  const doc = Option.getOrUndefined(HashMap.get(state.docs, node.id))
  const status = doc === undefined ? undefined : NodeDoc.valueOf(doc, "config", "ConfigStatus")
  if (doc === undefined || status === undefined || !Config.hasDot(status.received, entry.dot)) {
    switch (node.state) {
      case "offline":
        return { status: "offline", reason: "will get it when it is back", since: node.since }
      case "unreachable":
        return {
          status: "unreachable",
          reason: "on the other side of a partition, as far as this node can see",
          since: node.since
        }
      default:
        return { status: "not-received", reason: "has not reported it yet", since: entry.wall }
    }
  }
  const exception = status.listed === 0 ? undefined : NodeDoc.exceptionOf(doc, entry.key)
  if (exception !== undefined && exception.revision === revision) {
    return { status: exception.status, reason: exception.reason, since: exception.since }
  }
  if (!status.patterns.some((one) => pattern.matches(one, entry.key))) {
    return { status: "received", reason: "nothing on this node acts on this key", since: entry.wall }
  }
  return Config.hasDot(status.settled, entry.dot)
    ? { status: "applied", reason: "", since: entry.wall }
    : {
        status: "applying",
        reason: status.unlisted > 0 ? "or failed: too many failures to list" : "",
        since: entry.wall
      }
}

type Wait = "received" | "applied"

const arrived: ReadonlySet<RolloutStatus> = new Set<RolloutStatus>([
  "received",
  "applied",
  "applying",
  "held",
  "silent",
  "drifted",
  "superseded"
])

const reached = (status: RolloutStatus, wait: Wait): boolean =>
  wait === "applied" ? status === "applied" || status === "superseded" : arrived.has(status)

export const outcome = (rollout: RolloutDocument, wait: Wait): "converged" | "failed" | "pending" | "incomplete" => {
  if (rollout.failed > 0 || rollout.rejected > 0) return "failed"
  if (rollout.nodes.some(({ status }) => status === "unreachable")) return "incomplete"
  return rollout.nodes.every(({ status }) => reached(status, wait)) ? "converged" : "pending"
}

/** Statuses that change without anybody's help. */
const moving: ReadonlySet<RolloutStatus> = new Set<RolloutStatus>(["not-received", "applying"])

export const moves = (rollout: RolloutDocument, wait: Wait): boolean =>
  rollout.nodes.some(({ status }) => !reached(status, wait) && moving.has(status))

/** How a change stands, by the rules of the exit codes; pure. */
import type { Document } from "@starling/fleet"
import type { Outcome, Wait } from "../Schemas.ts"

export interface Verdict {
  readonly outcome: Outcome
  readonly reason: string
  /** Waiting longer cannot change it: it is reached, it failed, or nobody is left who could still answer. */
  readonly decided: boolean
}

/** What holds the entry has received it, whatever it did with it afterwards. */
const hasReceived: ReadonlySet<Document.RolloutStatus> = new Set([
  "received",
  "applying",
  "applied",
  "failed",
  "rejected",
  "held",
  "superseded",
  "drifted"
])

const hasApplied: ReadonlySet<Document.RolloutStatus> = new Set(["applied"])

/** Nobody knows when, or whether, these will go on. */
const isOver = (node: Document.RolloutNode, wait: Wait): boolean => {
  switch (node.status) {
    case "offline":
    case "unreachable":
    case "silent":
    case "held":
      return true
    case "received":
      // A node says why it only received an entry: nothing on it acts on the key.
      return wait === "applied" && node.reason !== ""
    case "superseded":
    case "drifted":
      return wait === "applied"
    default:
      return false
  }
}

/**
 * `failed` before `incomplete` before `pending`, as the exit codes 2, 4 and 3. `revision` is the change that is waited
 * for; a newer one over it decides.
 */
export const judge = (
  rollout: Document.RolloutDocument | undefined,
  wait: Wait,
  view: Document.View,
  revision: string
): Verdict => {
  if (rollout === undefined) return { outcome: "pending", reason: "the change is not visible yet", decided: false }
  if (rollout.revision !== revision) {
    return { outcome: "pending", reason: `a newer change took its place: ${rollout.revision}`, decided: true }
  }
  const reached = wait === "received" ? hasReceived : hasApplied
  const refused = rollout.nodes.filter((node) => node.status === "failed" || node.status === "rejected")
  if (refused.length > 0) return { outcome: "failed", reason: describe(refused), decided: true }
  const missing = rollout.nodes.filter((node) => !reached.has(node.status))
  const stale = view.datacenters.filter((datacenter) => datacenter.state === "unreachable")
  const isOut = stale.length > 0 || missing.some((node) => node.status === "unreachable")
  if (missing.length === 0 && !isOut) {
    return { outcome: "converged", reason: rollout.targeted === 0 ? "no node matches the selector" : "", decided: true }
  }
  const reasons = [
    describe(missing),
    ...stale.map((datacenter) => `data centre ${datacenter.datacenter} is unreachable`)
  ]
  return {
    outcome: isOut ? "incomplete" : "pending",
    reason: reasons.filter((reason) => reason !== "").join("; "),
    decided: missing.every((node) => isOver(node, wait))
  }
}

/** `2 offline (ams-1, ams-2); 1 received (fra-1: nothing here acts on the key)`, at most five names each. */
const describe = (nodes: ReadonlyArray<Document.RolloutNode>): string => {
  const byStatus = new Map<string, Array<string>>()
  for (const node of nodes) {
    const names = byStatus.get(node.status) ?? []
    names.push(node.reason === "" ? node.node : `${node.node}: ${node.reason}`)
    byStatus.set(node.status, names)
  }
  return [...byStatus]
    .map(([status, names]) => {
      const more = names.length > 5 ? `, and ${names.length - 5} more` : ""
      return `${names.length} ${status} (${names.slice(0, 5).join(", ")}${more})`
    })
    .join("; ")
}

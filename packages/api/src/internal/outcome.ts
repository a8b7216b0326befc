/** How a change stands, by the rules of the exit codes; pure. */
import type { Document } from "@starling/fleet"
import * as Query from "@starling/fleet/Query"
import type { Outcome, Wait } from "../Schemas.ts"

export interface Verdict {
  readonly outcome: Outcome
  readonly reason: string
  /** Waiting longer cannot change it: it is reached, it failed, or nobody is left who could still answer. */
  readonly decided: boolean
}

/** Of a change that is not visible yet. */
export const emptyRollout = (key: string, revision: string): Document.RolloutDocument => ({
  key,
  revision,
  targeted: 0,
  received: 0,
  applied: 0,
  failed: 0,
  rejected: 0,
  pending: 0,
  converged: false,
  nodes: []
})

/**
 * The rollout decides (`Query.rolloutOutcome`), and how much of the fleet this node sees: with a data centre out of sight
 * nothing is `converged`. `revision` is the change that is waited for; a newer one over it ends the wait.
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
  const outcome = Query.rolloutOutcome(rollout, wait)
  const lost = view.datacenters.filter((datacenter) => datacenter.state === "unreachable")
  const reasons = [
    describe(rollout.nodes.filter((node) => isInTheWay(node, wait, outcome))),
    ...(outcome === "failed" ? [] : lost.map(({ datacenter }) => `data centre ${datacenter} is unreachable`)),
    rollout.targeted === 0 ? "no node matches the selector" : ""
  ]
  return {
    outcome: outcome !== "failed" && lost.length > 0 ? "incomplete" : outcome,
    reason: reasons.filter((reason) => reason !== "").join("; "),
    decided: outcome === "failed" || outcome === "converged" || !Query.rolloutMoves(rollout, wait)
  }
}

/** Of a failed change, what failed; else whoever alone would keep it from converging. */
const isInTheWay = (node: Document.RolloutNode, wait: Wait, outcome: Outcome): boolean => {
  if (outcome === "failed") return node.status === "failed" || node.status === "rejected"
  const alone = { ...emptyRollout("", ""), targeted: 1, nodes: [node] }
  return Query.rolloutOutcome(alone, wait) !== "converged"
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

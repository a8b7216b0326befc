/** Every node as answers show it: what is known of it, and what is thought of it. */
import type { Machine, NodeId } from "@starling/machine"
import * as HashMap from "effect/HashMap"
import * as Option from "effect/Option"
import type { NodeState } from "../Document.ts"
import type { State } from "../Facts.ts"
import * as Liveness from "../Liveness.ts"
import * as NodeDoc from "../NodeDoc.ts"
import type { Labels } from "../Selector.ts"
import { compareText } from "./text.ts"

export interface JudgedNode {
  readonly id: NodeId.NodeId
  readonly name: string
  readonly datacenter: string
  readonly state: NodeState
  readonly incarnation: number
  readonly address: string
  readonly labels: Labels
  /** When the state began, milliseconds since 1970. */
  readonly since: number
  readonly evidence: ReadonlyArray<Liveness.Accusation>
}

export interface Judged {
  /** By data centre, name and id. */
  readonly nodes: ReadonlyArray<JudgedNode>
  readonly byId: ReadonlyMap<NodeId.NodeId, JudgedNode>
  /** Without those that left or are forgotten. */
  readonly datacenters: ReadonlyMap<string, ReadonlyArray<JudgedNode>>
  /** The name, with the id behind it where two living nodes have it; of an unknown node the id. */
  readonly nameOf: (id: NodeId.NodeId) => string
}

/**
 * Judgements by the documents they were made from: a cache that a reader cannot tell from none. With everything else
 * that a judgement is made from the same, time alone changes it in one way: the grace of a suspect ends. So a judgement
 * holds from when it was made until then.
 */
const memo = new WeakMap<State["docs"], Made>()

interface Made {
  readonly heard: State["heard"]
  readonly remembered: State["remembered"]
  readonly config: State["config"]
  readonly now: Machine.Instant
  /** When the suspect that has been silent for longest was last heard; undefined without suspects. */
  readonly silentSince: Machine.Instant | undefined
  readonly judged: Judged
}

export const judged = (state: State, now: Machine.Instant): Judged => {
  const before = memo.get(state.docs)
  if (before !== undefined && holds(before, state, now)) return before.judged
  const { config, docs, heard, remembered } = state
  const verdicts = Liveness.judge({ self: config.self.id, docs, heard, remembered }, now)
  const made = make(state, verdicts)
  memo.set(docs, { heard, remembered, config, now, silentSince: silentSince(state, verdicts), judged: made })
  return made
}

const holds = (made: Made, { config, heard, remembered }: State, now: Machine.Instant): boolean =>
  made.heard === heard &&
  made.remembered === remembered &&
  made.config === config &&
  now >= made.now &&
  (made.silentSince === undefined || Liveness.isInGrace(made.silentSince, now))

const silentSince = (state: State, verdicts: Verdicts): Machine.Instant | undefined => {
  let least: Machine.Instant | undefined
  for (const [id, verdict] of verdicts) {
    if (verdict.state !== "suspect") continue
    const heard = Liveness.heardAt(state, id)
    if (least === undefined || heard < least) least = heard
  }
  return least
}

type Verdicts = ReturnType<typeof Liveness.judge>

const make = (state: State, verdicts: Verdicts): Judged => {
  const found: Array<JudgedNode> = []
  for (const [id, verdict] of verdicts) {
    const node = nodeOf(state, id, verdict)
    if (node !== undefined) found.push(node)
  }
  const living = new Map<string, number>()
  for (const { name, state } of found) if (state === "alive") living.set(name, (living.get(name) ?? 0) + 1)
  const nodes = found
    .map((node) => (isGone(node) && living.has(node.name) ? forgotten(node) : node))
    .toSorted(
      (a, b) => compareText(a.datacenter, b.datacenter) || compareText(a.name, b.name) || compareText(a.id, b.id)
    )
  const byId = new Map(nodes.map((node) => [node.id, node]))
  const datacenters = new Map<string, Array<JudgedNode>>()
  for (const node of nodes) {
    if (node.state === "left" || node.state === "forgotten") continue
    const list = datacenters.get(node.datacenter)
    if (list === undefined) datacenters.set(node.datacenter, [node])
    else list.push(node)
  }
  return {
    nodes,
    byId,
    datacenters,
    nameOf: (id) => {
      const node = byId.get(id)
      if (node === undefined) return id
      return node.state === "alive" && (living.get(node.name) ?? 0) > 1 ? `${node.name}#${id}` : node.name
    }
  }
}

/** Or soon so: who hears of a node only now, long after others lost it, finds nobody any more who accuses it. */
const isGone = ({ state }: JudgedNode): boolean => state === "offline" || state === "suspect"

/** Another node has its name now: it came back with a new id. */
const forgotten = (node: JudgedNode): JudgedNode => ({ ...node, state: "forgotten" })

const nodeOf = (state: State, id: NodeId.NodeId, verdict: Liveness.Verdict): JudgedNode | undefined => {
  const doc = Option.getOrUndefined(HashMap.get(state.docs, id))
  const profile = doc === undefined ? undefined : NodeDoc.valueOf(doc, "profile", "Profile")
  if (doc !== undefined && profile !== undefined) {
    const { address, datacenter, labels, name } = profile
    const since =
      verdict.state === "alive" ? profile.since : (profile.left?.wall ?? verdict.evidence[0]?.at.wall ?? profile.since)
    const { evidence, state: judgement } = verdict
    return { id, name, datacenter, state: judgement, incarnation: doc.incarnation, address, labels, since, evidence }
  }
  const row = Option.getOrUndefined(HashMap.get(state.remembered, id))
  if (row === undefined) return undefined
  return {
    id,
    name: row.name,
    datacenter: row.datacenter,
    state: verdict.state,
    incarnation: row.peer.incarnation,
    address: row.peer.address,
    labels: row.labels,
    since: state.config.startedAt,
    evidence: verdict.evidence
  }
}

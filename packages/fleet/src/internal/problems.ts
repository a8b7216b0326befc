/** What is wrong, as far as the facts show it. */
import type { Problem, View } from "../Document.ts"
import type { State } from "../Facts.ts"
import type { Judged } from "./judged.ts"

export const problemsOf = (state: State, all: Judged, view: View): ReadonlyArray<Problem> => {
  const problems: Array<Problem> = []
  for (const one of view.datacenters) {
    const where = `data centre ${one.datacenter}`
    if (one.state === "unreachable") {
      problems.push({ what: `none of ${one.nodes} nodes is reachable`, where, next: "starling offline" })
    } else if (one.alive > 0 && one.lastHeardSeconds >= staleAfter) {
      problems.push({ what: `nothing heard for ${one.lastHeardSeconds} s`, where, next: "starling peers" })
    }
  }
  for (const node of all.nodes) {
    if (node.state !== "offline") continue
    const causes = [...new Set(node.evidence.map(({ cause }) => cause))].join(", ")
    const what = causes === "" ? "offline, and nobody says why" : `offline: ${causes}`
    problems.push({ what, where: `node ${all.nameOf(node.id)}`, next: "starling offline" })
  }
  const living = new Map<string, Array<string>>()
  for (const node of all.nodes) {
    if (node.state === "alive") living.set(node.name, [...(living.get(node.name) ?? []), node.id])
  }
  for (const [name, ids] of living) {
    if (ids.length < 2) continue
    problems.push({
      what: `${ids.length} living nodes have the name ${name}: ${ids.join(", ")}`,
      where: `node ${name}`,
      next: "restart all but one of them with another --name"
    })
  }
  if (state.outdated > state.config.self.incarnation) {
    problems.push({
      what: `a later run of this node (incarnation ${state.outdated}) was seen; this one is ${state.config.self.incarnation}`,
      where: `node ${state.config.self.name}`,
      next: "stop one of the two processes that share this data directory or a copy of it"
    })
  }
  for (const [counter, value] of Object.entries(state.counters)) {
    if (value === 0 || !bounds.has(counter)) continue
    problems.push({
      what: `${counter}: ${value}`,
      where: `node ${state.config.self.name}`,
      next: "docs/protocols/fleet.md, Bounds"
    })
  }
  return problems
}

const staleAfter = 60

/** Counters that say that a bound was reached. */
const bounds: ReadonlySet<string> = new Set([
  "documentsRefused",
  "digestsRefused",
  "peersForgotten",
  "recordsRefused",
  "keysRefused",
  "writersRefused",
  "pendingOverflow",
  "publishersRefused",
  "eventRowsOverflow",
  "relaysRefused"
])

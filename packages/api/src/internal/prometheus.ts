/** The Prometheus text exposition format, version 0.0.4. */
import type { Document } from "@starling/fleet"

export const contentType = "text/plain; version=0.0.4; charset=utf-8"

/** Numbers among the counters that can fall. */
const gauges: ReadonlySet<string> = new Set([
  "store_rows_waiting",
  "actor_alive",
  "clock_epoch",
  "clock_offset_ms",
  "clock_settled",
  "clock_votes",
  "clock_held"
])

/**
 * `counters` become `starling_<name>_total`, with one `_total` whether their own name has it or not; what is not a
 * letter, digit or underscore becomes an underscore.
 */
export const render = (
  status: Document.StatusDocument,
  counters: Readonly<Record<string, number>>,
  peers: ReadonlyArray<Document.PeerDocument>
): string => {
  const lines: Array<string> = []
  const family = (
    name: string,
    type: "counter" | "gauge",
    help: string,
    samples: ReadonlyArray<readonly [labels: Readonly<Record<string, string>>, value: number]>
  ) => {
    lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`)
    for (const [labels, value] of samples) lines.push(`${name}${renderLabels(labels)} ${value}`)
  }
  family("starling_info", "gauge", "What this node is; always 1.", [
    [
      {
        node: status.node,
        node_id: status.nodeId,
        datacenter: status.datacenter,
        fleet: status.fleet,
        version: status.version
      },
      1
    ]
  ])
  family("starling_incarnation", "gauge", "How often this node has started.", [[{}, status.incarnation]])
  family("starling_uptime_seconds", "gauge", "Since this node started.", [[{}, status.uptimeSeconds]])
  family("starling_healthy", "gauge", "1 when this node sees no problem.", [[{}, status.health === "ok" ? 1 : 0]])
  family("starling_problems", "gauge", "Problems this node sees.", [[{}, status.problems.length]])
  family("starling_nodes", "gauge", "Nodes known, by state.", byState(status.counts))
  family("starling_publishers", "gauge", "Publishers known, by state.", byState(status.publishers))
  family("starling_config_keys", "gauge", "Configuration keys known.", [[{}, status.configKeys]])
  family("starling_events", "gauge", "Events kept.", [[{}, status.events]])
  family(
    "starling_peers",
    "gauge",
    "Peers of this node, by view.",
    (["active", "passive"] as const).map((view) => [{ view }, peers.filter((peer) => peer.view === view).length])
  )
  for (const [name, value] of Object.entries(counters).toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    const plain = `starling_${name.replaceAll(/[^a-zA-Z0-9_]/g, "_")}`
    if (gauges.has(name)) family(plain, "gauge", "At this moment.", [[{}, value]])
    else family(`${plain.replace(/_total$/, "")}_total`, "counter", "Counted since the start.", [[{}, value]])
  }
  return `${lines.join("\n")}\n`
}

const byState = (counts: Readonly<Record<string, number>>) =>
  Object.entries(counts).map(([state, count]) => [{ state }, count] as const)

const renderLabels = (labels: Readonly<Record<string, string>>): string => {
  const parts = Object.entries(labels).map(([name, value]) => `${name}="${escape(value)}"`)
  return parts.length === 0 ? "" : `{${parts.join(",")}}`
}

const escape = (value: string): string => value.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll('"', '\\"')

/**
 * `node --expose-gc apps/lab/bench/gossip/main.ts [--json] [--fleet N] [--nodes N] [--heavy N] [--rounds N] [--round-ms MS]`:
 * steps of gossip's machines, as tables.
 */
import { cpus } from "node:os"
import { argv, memoryUsage, stdout, version } from "node:process"
import { parseArgs } from "node:util"
import { countOf, defaults, type Measured, measure } from "../measure.ts"
import { rows, sizes as usual, weights } from "./rows.ts"

const { values } = parseArgs({
  args: argv.slice(2),
  options: {
    json: { type: "boolean", default: false },
    fleet: { type: "string", default: String(usual.fleet) },
    nodes: { type: "string", default: String(usual.nodes) },
    heavy: { type: "string", default: String(usual.heavy) },
    rounds: { type: "string", default: String(defaults.rounds) },
    "round-ms": { type: "string", default: String(defaults.roundMs) }
  }
})

const settings = { rounds: countOf(values.rounds, "rounds"), roundMs: countOf(values["round-ms"], "round-ms") }

const sizes = {
  fleet: countOf(values.fleet, "fleet"),
  nodes: countOf(values.nodes, "nodes"),
  heavy: countOf(values.heavy, "heavy")
}

const collect = (): void => {
  if (globalThis.gc === undefined) throw new Error("run it with --expose-gc: states are weighed without garbage")
  globalThis.gc()
}

const number = (value: number): string => (value < 100 ? value.toFixed(1) : Math.round(value).toLocaleString("en"))

const table = ({ figures, name }: Measured): string =>
  [
    `## ${name[0]?.toUpperCase()}${name.slice(1)}`,
    "",
    "| | events per second | ns | range | bytes allocated |",
    "| --- | ---: | ---: | ---: | ---: |",
    ...figures.map(
      ({ bytes, greatest, least, median, name }) =>
        `| ${name} | ${number(1e9 / median)} | ${number(median)} | ${number(least)}–${number(greatest)} | ${number(bytes)} |`
    ),
    ""
  ].join("\n")

// Before anything else has been compiled and cached.
const kept = weights(sizes, collect, () => memoryUsage().heapUsed)
const measured = measure(rows(sizes), settings)
stdout.write(
  values.json
    ? `${JSON.stringify({ settings, sizes, rows: measured, weights: kept }, undefined, 2)}\n`
    : [
        `Node ${version}, ${cpus()[0]?.model ?? "unknown processor"}; median of ${settings.rounds} rounds.`,
        "",
        ...measured.map(table),
        "## What a machine keeps",
        "",
        "| | bytes |",
        "| --- | ---: |",
        ...kept.map(({ bytes, name }) => `| ${name} | ${number(bytes)} |`),
        ""
      ].join("\n")
)

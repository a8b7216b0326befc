/** `node apps/lab/bench/clock/main.ts [--json] [--rounds N] [--round-ms MS]`: stamps beside their peers, as a table. */
import { cpus } from "node:os"
import { argv, stdout, version } from "node:process"
import { parseArgs } from "node:util"
import { countOf, defaults, type Measured, measure } from "../measure.ts"
import { rows } from "./rows.ts"

const { values } = parseArgs({
  args: argv.slice(2),
  options: {
    json: { type: "boolean", default: false },
    rounds: { type: "string", default: String(defaults.rounds) },
    "round-ms": { type: "string", default: String(defaults.roundMs) }
  }
})

const settings = { rounds: countOf(values.rounds, "rounds"), roundMs: countOf(values["round-ms"], "round-ms") }

const number = (value: number): string => value.toFixed(value < 100 ? 1 : 0)

/** The first arm is what others are compared with: `Date.now()` alone, or the first form of ours. */
const table = ({ figures, name }: Measured): string => {
  const [first] = figures
  const lines = figures.map(({ bytes, greatest, least, median, name }) => {
    const ratio = first === undefined ? "" : `${(median / first.median).toFixed(2)} ×`
    return `| ${name} | ${number(median)} | ${number(least)}–${number(greatest)} | ${ratio} | ${number(bytes)} |`
  })
  return [
    `## ${name[0]?.toUpperCase()}${name.slice(1)}`,
    "",
    "| | ns | range | to the first | bytes allocated |",
    "| --- | ---: | ---: | ---: | ---: |",
    ...lines,
    ""
  ].join("\n")
}

const measured = measure(rows, settings)
stdout.write(
  values.json
    ? `${JSON.stringify({ settings, rows: measured }, undefined, 2)}\n`
    : [
        `Node ${version}, ${cpus()[0]?.model ?? "unknown processor"}; median of ${settings.rounds} rounds.`,
        "",
        ...measured.map(table)
      ].join("\n")
)

/**
 * `node --expose-gc apps/lab/bench/sim/main.ts fleet|talk --size N [--seconds S] [--rounds R]`: one JSON document. A process for
 * each size, since what a process was before changes how fast it is and how much it takes.
 */
import { argv, cpuUsage, stderr, stdout } from "node:process"
import { parseArgs } from "node:util"
import { countOf } from "../measure.ts"
import * as Chatter from "./chatter.ts"
import * as Fleet from "./fleet.ts"

const { positionals, values } = parseArgs({
  args: argv.slice(2),
  allowPositionals: true,
  options: {
    size: { type: "string", default: "1000" },
    seconds: { type: "string", default: "10" },
    rounds: { type: "string", default: "5" }
  }
})

const size = countOf(values.size, "size")
const seconds = countOf(values.seconds, "seconds")
const rounds = countOf(values.rounds, "rounds")

const collect = (): void => {
  if (globalThis.gc === undefined) throw new Error("run it with --expose-gc: memory is measured without garbage")
  globalThis.gc()
}

/** Nanoseconds of the processor for each event, round by round in turns. */
const talk = () => {
  const arms = { starling: Chatter.starling(size), simjs: Chatter.simjs(size) }
  const figures = { starling: [] as Array<number>, simjs: [] as Array<number> }
  // Links are opened, and what runs often is compiled.
  for (const arm of [arms.starling, arms.simjs]) arm.pass(5)
  for (let round = 0; round < rounds; round++) {
    for (const name of ["starling", "simjs"] as const) {
      const { events, pass } = arms[name]
      const before = events()
      const begin = cpuUsage()
      pass(seconds)
      const { system, user } = cpuUsage(begin)
      figures[name].push((1000 * (user + system)) / (events() - before))
    }
  }
  return { size, seconds, ...figures }
}

switch (positionals[0]) {
  case "fleet":
    stdout.write(JSON.stringify(Fleet.measure(size, collect, (what) => stderr.write(`${what}\n`))))
    break
  case "talk":
    stdout.write(JSON.stringify(talk()))
    break
  default:
    throw new Error(`expected "fleet" or "talk", got ${positionals[0] ?? "nothing"}`)
}

/**
 * What every arm in JavaScript shares. One process measures one row: `node ARM.ts ROW VARIANT NUMBER…`. Each line
 * `run MS` on standard input is one round: work is done in batches until the time is over, what was done is counted by
 * those who did it, and one line of JSON goes to standard output. `probe MS` is a round beside which timers and sockets are
 * watched. The program ends with its standard input.
 */
import process from "node:process"
import { createInterface } from "node:readline"
import { watchLoop } from "./loop.ts"
import type { Round } from "./rounds.ts"

/**
 * The rounds of a row; `numbers` are its sizes. `load` is the same work without measuring, where measuring would itself
 * hold up the loop. What else there is can be ordered by its name.
 */
export type Setup = (
  variant: string,
  numbers: ReadonlyArray<number>
) => Promise<{ readonly run: Round; readonly load?: Round; readonly [order: string]: Round | undefined }>

export const serve = async (rows: Readonly<Record<string, Setup>>): Promise<void> => {
  const [row = "", variant = "", ...numbers] = process.argv.slice(2)
  const setup = rows[row]
  if (setup === undefined) throw new Error(`no row ${JSON.stringify(row)}: one of ${Object.keys(rows).join(", ")}`)
  const rounds = await setup(variant, numbers.map(Number))
  const orders: Readonly<Record<string, Round | undefined>> = { ...rounds, probe: probe(rounds.load ?? rounds.run) }
  for await (const line of createInterface({ input: process.stdin })) {
    const [order = "", ms] = line.split(" ")
    const round = orders[order]
    if (round === undefined)
      throw new Error(`no order ${JSON.stringify(line)}: one of ${Object.keys(orders).join(", ")}`)
    process.stdout.write(`${JSON.stringify(await round(Number(ms)))}\n`)
  }
  process.exit(0)
}

const probe =
  (run: Round): Round =>
  async (ms) => {
    const watched = await watchLoop()
    await run(ms)
    return watched()
  }

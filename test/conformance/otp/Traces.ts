/** The recorded scenarios, parsed. */
import { readFileSync } from "node:fs"
import { parse, type Term } from "./Terms.ts"

export interface Recorded {
  readonly title: string
  readonly result: Term
  readonly trace: ReadonlyArray<Term>
  /** The texts of result and trace. */
  readonly raw: ReadonlyArray<string>
  /** Only of the scenario that records log reports: `level label context`, one a line. */
  readonly reports: ReadonlyArray<string>
}

export const recorded: ReadonlyArray<Recorded> = readFileSync(new URL("./traces.txt", import.meta.url), "utf8")
  .split(/^## /m)
  .slice(1)
  .map((block) => {
    const [title = "", ...lines] = block.trimEnd().split("\n")
    const raw = (name: string): string =>
      lines.find((line) => line.startsWith(`  ${name}: `))?.slice(name.length + 4) ?? "[]"
    const field = (name: string): Term => parse(raw(name))
    const trace = field("trace")
    if (!Array.isArray(trace)) throw new Error(`the trace of "${title}" is no list`)
    const reports = lines.filter((line) => /^ {2}(info|error) /.test(line))
    return { title, result: field("result"), trace, raw: [raw("result"), raw("trace")], reports }
  })

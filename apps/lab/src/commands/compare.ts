/**
 * `lab compare`: the experiments of `lab papers` and `lab beyond` against what was stored of them, figure by figure.
 *
 * @since 0.1.0
 */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Any } from "../beyond/Part.ts"
import { all } from "../beyond/parts.ts"
import * as Beyond from "../beyond/Run.ts"
import * as Compare from "../Compare.ts"
import { exitCodes, Failure } from "../Failure.ts"
import * as Options from "../options.ts"
import * as Papers from "../papers/Run.ts"
import * as Results from "../Results.ts"
import * as SoakLog from "../SoakLog.ts"

type Stored = Results.Stored<unknown>

/** What can be compared: its name, its file below the folder of results, and its part of `lab beyond` if it is one. */
interface Experiment {
  readonly name: string
  readonly file: string
  readonly part: Any | undefined
}

const experiments: ReadonlyArray<Experiment> = [
  { name: "papers", file: Papers.file, part: undefined },
  ...all.map((part) => ({ name: part.name, file: Beyond.fileOf(part), part }))
]

/** @since 0.1.0 @category commands */
export const compare = Command.make(
  "compare",
  {
    only: Options.some("only", "EXPERIMENT,…", experiments),
    stored: Flag.Boolean("stored").pipe(
      Flag.withDescription("Runs nothing: compares what docs/results holds now, committed or not"),
      Flag.withDefault(false)
    ),
    against: Flag.String("against").pipe(
      Flag.withMetavar("REVISION"),
      Flag.withDescription("The commit whose docs/results is the measure; default HEAD"),
      Flag.withDefault("HEAD")
    ),
    json: Options.json
  },
  Effect.fnUntraced(function* ({ against, json, only, stored }) {
    const commit = yield* SoakLog.git("rev-parse", "--verify", "--quiet", `${against}^{commit}`)
    if (commit === "") {
      const message = `git knows no commit ${against} in this repository`
      return yield* new Failure({
        code: exitCodes.findings,
        message,
        next: "--against takes a hash, a branch or a tag"
      })
    }
    // What there is to compare with comes first: a run takes minutes.
    const befores = new Map<string, Stored>()
    for (const { file, name } of only) {
      const before = yield* storedAt(against, file)
      if (before !== undefined) befores.set(name, before)
      else yield* Console.error(`${name}: ${against} holds no figures of it in docs/results/${file}`)
    }
    const known = only.filter(({ name }) => befores.has(name))
    if (known.length === 0) {
      const message = `there is nothing to compare with at ${against}`
      return yield* new Failure({ code: exitCodes.findings, message, next: "run lab papers or lab beyond, and commit" })
    }
    const afters = stored ? yield* readAll(known) : yield* runAll(known)
    const compared = known.flatMap(({ name }) => {
      const [before, after] = [befores.get(name), afters.get(name)]
      return before === undefined || after === undefined ? [] : [{ name, rows: Compare.rows(before, after) }]
    })
    const byName = Object.fromEntries(compared.map(({ name, rows }) => [name, rows]))
    yield* Console.log(
      json
        ? JSON.stringify(byName, undefined, 2)
        : compared.map(({ name, rows }) => `${name}\n\n${Compare.text(rows)}\n`).join("\n")
    )
    const lost = known.filter(({ name }) => !afters.has(name)).map(({ name }) => name)
    if (lost.length > 0)
      return yield* new Failure({ code: exitCodes.findings, message: `there are no new results of ${lost.join(", ")}` })
    if (compared.some(({ rows }) => rows.some(({ verdict }) => verdict === "worse")))
      return yield* new Failure({ code: exitCodes.findings, message: "" })
  })
).pipe(Command.withDescription("What changed since the results that were stored last"))

/** Undefined if the revision has no such file, or one from before figures were kept. */
const storedAt = (revision: string, file: string) =>
  SoakLog.git("show", `${revision}:docs/results/${file}`).pipe(
    Effect.flatMap((text) => Results.parse<unknown>(file, text)),
    Effect.option,
    Effect.map(Option.getOrUndefined)
  )

const readAll = Effect.fnUntraced(function* (chosen: ReadonlyArray<Experiment>) {
  const found = new Map<string, Stored>()
  for (const { file, name } of chosen) {
    const stored = yield* Results.read<unknown>(file)
    if (stored !== undefined) found.set(name, stored)
  }
  return found
})

/** One after the other: the papers' take two threads, beyond has one for each core. */
const runAll = Effect.fnUntraced(function* (chosen: ReadonlyArray<Experiment>) {
  const found = new Map<string, Stored>()
  if (chosen.some(({ part }) => part === undefined)) found.set("papers", yield* Papers.run(Papers.promised))
  const parts = chosen.flatMap(({ part }) => part ?? [])
  for (const { failure, part, stored } of yield* Beyond.parts(
    parts,
    undefined,
    Papers.promised.seed,
    () => Effect.void
  )) {
    if (stored !== undefined) found.set(part.name, stored)
    else yield* Console.error(failure)
  }
  return found
})

import * as Arbitrary from "effect/Arbitrary"
import * as fc from "fast-check"
import { fileURLToPath } from "node:url"

/** `SEED=7 RUNS=10000 pnpm test` replays or deepens every property. */
const seed = process.env["SEED"] === undefined ? undefined : Number(process.env["SEED"])
const runs = Number(process.env["RUNS"] ?? 100)

Arbitrary.configureGlobal({ check: { runs, seed } })
fc.configureGlobal(seed === undefined ? { numRuns: runs } : { numRuns: runs, seed })

/** The programs that tests start, a hundred times the same one, are compiled once. */
process.env["NODE_COMPILE_CACHE"] ??= fileURLToPath(new URL("node_modules/.cache/compile", import.meta.url))

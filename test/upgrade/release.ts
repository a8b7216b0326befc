/**
 * What is kept of each release in `test/fixtures/releases/VERSION/`:
 *
 * - `starling.mjs`, `sqliteWorker.js`: its program, as `pnpm build` makes it.
 * - `codecs.mjs`: how it reads and writes frames (`codecs.ts`).
 * - `frames.jsonl`: frames of every kind that it sends, with what they meant to it.
 * - `state.db`, `answers.json`: the database of one of its nodes, and what the node answered from it.
 * - `commit`: what all this was made from. Its three programs come out of that commit again, byte for byte.
 *
 * Programs and database are compressed with Brotli.
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath, pathToFileURL } from "node:url"
import { brotliDecompressSync } from "node:zlib"
import type * as Codecs from "./codecs.ts"

export const folder = fileURLToPath(new URL("../fixtures/releases/", import.meta.url))

/** What a node of the release answered before it ended. */
export interface Answers {
  readonly id: string
  readonly name: string
  readonly incarnation: number
  /** Names of all nodes that it knew. */
  readonly nodes: ReadonlyArray<string>
  /** Documents as `/v1/config`, `/v1/config/KEY/history` and `/v1/events` list them. */
  readonly config: ReadonlyArray<{ readonly key: string }>
  readonly history: Readonly<Record<string, ReadonlyArray<unknown>>>
  readonly events: ReadonlyArray<unknown>
}

export interface RecordedLine {
  readonly kind: string
  readonly bytes: string
  readonly value: unknown
}

/** Oldest first. */
export const versions: ReadonlyArray<string> = readdirSync(folder).toSorted((a, b) =>
  a.localeCompare(b, "en", { numeric: true })
)

/** The release that came before this version. */
export const last: string = versions.at(-1) ?? ""

export const frames = (version: string): ReadonlyArray<RecordedLine> =>
  read(version, "frames.jsonl")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as RecordedLine)

export const commit = (version: string): string => read(version, "commit").trim()

export const answers = (version: string): Answers => JSON.parse(read(version, "answers.json")) as Answers

/** Puts the program into a folder; the path of what to run. */
export const unpackProgram = (version: string, into: string): string => {
  unpack(version, "sqliteWorker.js", into)
  return unpack(version, "starling.mjs", into)
}

/** Makes a data directory with the database in it. */
export const unpackDatabase = (version: string, into: string): void => {
  unpack(version, "state.db", into)
}

/** How the release reads and writes frames. */
export const codecs = (version: string, into: string): Promise<typeof Codecs> =>
  import(pathToFileURL(unpack(version, "codecs.mjs", into)).href) as Promise<typeof Codecs>

const read = (version: string, file: string): string => readFileSync(join(folder, version, file), "utf8")

const unpack = (version: string, file: string, into: string): string => {
  const target = join(into, file)
  mkdirSync(into, { recursive: true })
  writeFileSync(target, brotliDecompressSync(readFileSync(join(folder, version, `${file}.br`))))
  return target
}

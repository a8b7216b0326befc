/**
 * Makes the fixture of the version in `apps/starling/package.json` from this checkout: run `pnpm fixture` on the commit of
 * a release, and commit what it writes (`release.ts` says what that is). A fixture that is there is never written over: what
 * a release sent and stored does not change.
 */
import { build, type BuildOptions } from "esbuild"
import { execFileSync } from "node:child_process"
import { cpSync, existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { brotliCompressSync, constants } from "node:zlib"
import { type Answer, eventually, type NodeItem, start, temporary } from "../system/harness.ts"
import { kinds, record } from "./record.ts"
import { type Answers, folder, type RecordedLine } from "./release.ts"

const root = fileURLToPath(new URL("../../", import.meta.url))

const versionOf = (manifest: string): string =>
  (JSON.parse(readFileSync(join(root, manifest), "utf8")) as { readonly version: string }).version

const version = versionOf("apps/starling/package.json")
const git = (...args: ReadonlyArray<string>): string =>
  execFileSync("git", args, { cwd: root, encoding: "utf8" }).trim()

/** What it is made of has to be found again. */
const commit = git("rev-parse", "HEAD")
if (git("status", "--porcelain", "--untracked-files=no") !== "") {
  throw new Error(
    `the checkout differs from ${commit}: commit first, so that the fixture can say what it was made from`
  )
}

/** Whole, or not there. */
const target = temporary()

const keep = (file: string, bytes: Uint8Array): void => {
  const params = { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_LGWIN]: 24 }
  writeFileSync(join(target.path, `${file}.br`), brotliCompressSync(bytes, { params }))
}

/** As `pnpm build` does it, but small. */
const bundle = async (entry: string, options: BuildOptions = {}): Promise<Uint8Array> => {
  const { outputFiles } = await build({
    entryPoints: [join(root, entry)],
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node22",
    minify: true,
    keepNames: true,
    legalComments: "none",
    write: false,
    ...options
  })
  const [file] = outputFiles ?? []
  if (file === undefined) throw new Error(`esbuild made nothing of ${entry}`)
  return file.contents
}

const keepProgram = async (): Promise<void> => {
  const banner = "const require = process.getBuiltinModule('node:module').createRequire(import.meta.url)"
  keep("starling.mjs", await bundle("apps/starling/src/main.ts", { banner: { js: banner } }))
  keep("sqliteWorker.js", await bundle("packages/platform-node/src/internal/sqliteWorker.ts"))
  keep("codecs.mjs", await bundle("test/upgrade/codecs.ts"))
}

const keepFrames = (): void => {
  const frames = record(version)
  const missing = kinds.filter((kind) => frames.every((frame) => frame.kind !== kind))
  if (missing.length > 0) throw new Error(`no frame of ${missing.join(", ")} was recorded: see record.ts`)
  const lines = frames.map(({ bytes, kind, value }): RecordedLine => ({
    kind,
    bytes: Buffer.from(bytes).toString("hex"),
    value
  }))
  writeFileSync(join(target.path, "frames.jsonl"), lines.map((line) => `${JSON.stringify(line)}\n`).join(""))
}

/** A short life of three nodes; what the last one has on its disk, and what it answered. */
const keepDatabase = async (): Promise<void> => {
  const { path, remove } = temporary()
  const place = (name: string) => ({ name, datacenter: name.slice(0, 3), data: join(path, name) })
  const first = await start(place("ams-1"))
  const others = [
    await start({ ...place("lon-1"), join: [first.gossip] }),
    await start({ ...place("nyc-1"), join: [first.gossip], args: ["--label", "tier=edge"] })
  ]
  const all = [first, ...others]
  const kept = all.at(-1) ?? first
  try {
    for (const agent of all) {
      await eventually(
        `${agent.name} sees three nodes`,
        15_000,
        () => agent.get<Answer<NodeItem>>("/v1/nodes"),
        ({ items }) => items.length === 3 && items.every(({ state }) => state === "alive")
      )
    }
    const keys = ["sampling/rate", "log/level", "limits/memory", "gone"]
    for (let round = 0; round < 3; round++) {
      for (const [index, agent] of all.entries()) {
        const key = encodeURIComponent(keys[(index + round) % 3] ?? "")
        await agent.send("PUT", `/v1/config/${key}?wait=received`, {
          value: `${agent.name} ${round} ü`,
          note: `round ${round}`,
          author: "somebody",
          selector: index === 1 ? "tier=edge" : ""
        })
        await agent.send("POST", "/v1/events", {
          app: "checkout",
          severity: round === 1 ? "error" : "info",
          body: `round ${round} at ${agent.name} 😀`,
          attributes: { round, last: round === 2, currency: "EUR" }
        })
        await agent.send("POST", "/v1/debug/broadcast", { count: 7 })
      }
    }
    await first.send("PUT", "/v1/config/gone?wait=received", { value: "soon" })
    await first.send("DELETE", "/v1/config/gone")
    await eventually(
      "the last node knows that a key is gone",
      15_000,
      () => kept.get<Answer<{ readonly operation: string }>>("/v1/config/gone/history"),
      ({ items }) => items.some(({ operation }) => operation === "delete")
    )
    const { answer: events } = await eventually(
      "the last node has all nine events",
      15_000,
      () => kept.get<Answer<unknown>>("/v1/events"),
      ({ items }) => items.length === 9
    )
    await eventually(
      "it was handed every broadcast",
      15_000,
      () => kept.get<{ readonly total: number }>("/v1/debug/delivered"),
      ({ total }) => total === 9 * 7
    )
    const nodes = (await kept.get<Answer<NodeItem>>("/v1/nodes")).items
    const self = nodes.find(({ id }) => id === kept.id)
    if (self === undefined) throw new Error("it does not know itself")
    const history: Record<string, ReadonlyArray<unknown>> = {}
    for (const key of keys) {
      const answer = await kept.get<Answer<unknown>>(`/v1/config/${encodeURIComponent(key)}/history`)
      history[key] = answer.items
    }
    const answers: Answers = {
      id: kept.id,
      name: kept.name,
      incarnation: self.incarnation,
      nodes: nodes.map(({ name }) => name).toSorted(),
      config: (await kept.get<Answer<{ readonly key: string }>>("/v1/config")).items,
      history,
      events: events.items
    }
    // What was delivered of whom is written within a second.
    await new Promise((resolve) => setTimeout(resolve, 2000))
    await kept.kill()
    const left = readdirSync(kept.data)
    if (left.some((file) => file.endsWith("-wal"))) throw new Error(`the database was not closed: ${left.join(", ")}`)
    keep("state.db", readFileSync(join(kept.data, "state.db")))
    writeFileSync(join(target.path, "answers.json"), `${JSON.stringify(answers, undefined, 2)}\n`)
  } finally {
    await Promise.all(all.map((agent) => agent.kill("SIGKILL")))
    remove()
  }
}

const place = join(folder, version)
if (existsSync(place)) throw new Error(`${place} is there already: what a release sent and stored does not change`)
try {
  await keepProgram()
  keepFrames()
  await keepDatabase()
  writeFileSync(join(target.path, "commit"), `${commit}\n`)
  cpSync(target.path, place, { recursive: true })
} finally {
  target.remove()
}

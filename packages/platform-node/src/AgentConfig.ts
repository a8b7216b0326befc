/**
 * The configuration of an agent: every flag of `starling agent` is also a key of a TOML file and a `STARLING_*`
 * variable, and a flag wins over a variable, a variable over the file, the file over the default.
 *
 * Values are merged by key with the source kept beside each, and read once. Everything that is wrong is reported at once,
 * each with its key, its value, where it was written, and what would be right. A list or table of one source replaces
 * that of another as a whole; it is not mixed with it.
 *
 * @since 0.1.0
 */
import type { Codec } from "@starling/machine"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Toml from "effect/encoding/Toml"
import * as FileSystem from "effect/FileSystem"
import * as Result from "effect/Result"
import * as Fields from "./internal/configFields.ts"
import * as Hooks from "./internal/configHooks.ts"

/** @since 0.1.0 */
export const logLevels = ["trace", "debug", "info", "warn", "error", "none"] as const

/** @since 0.1.0 @category models */
export type LogLevel = (typeof logLevels)[number]

/**
 * What this host does with the newest value of each key that matches: gives it to a command, or keeps it in a file.
 *
 * @since 0.1.0
 * @category models
 */
export type Hook = Hooks.Hook

/** Everything an agent is told at its start. Addresses are `host:port`, IPv6 in brackets. @since 0.1.0 @category models */
export interface AgentConfig {
  /** Unique in the fleet. */
  readonly name: string
  readonly datacenter: string
  readonly fleet: string
  readonly labels: Readonly<Record<string, string>>
  readonly gossip: string
  /** What peers dial; undefined: the bound address. */
  readonly advertise: string | undefined
  readonly api: string
  /** Undefined: no intake of telemetry. */
  readonly otlp: string | undefined
  readonly join: ReadonlyArray<string>
  /** Directory. */
  readonly data: string
  readonly logLevel: LogLevel
  readonly logFormat: "pretty" | "json"
  readonly insecure: boolean
  readonly debug: boolean
  readonly clockSource: "own" | "fleet"
  readonly clockPolicy: "refuse" | "accept"
  readonly clockMode: "population" | "counter"
  /** A fault on purpose: the wall clock is read so many milliseconds ahead. */
  readonly clockOffsetMs: number
  /** In the order in which they are tried; `[[apply]]` in the file, and nowhere else. */
  readonly apply: ReadonlyArray<Hook>
}

/** As it is written in a file; the flag is `--key`, the variable `STARLING_KEY`. @since 0.1.0 @category models */
export type Key =
  | "name"
  | "datacenter"
  | "fleet"
  | "label"
  | "gossip"
  | "advertise"
  | "api"
  | "otlp"
  | "join"
  | "data"
  | "log-level"
  | "log-format"
  | "insecure"
  | "debug"
  | "clock-source"
  | "clock-policy"
  | "clock-mode"
  | "clock-offset"

/** @since 0.1.0 */
export const keys: ReadonlyArray<Key> = [
  "name",
  "datacenter",
  "fleet",
  "label",
  "gossip",
  "advertise",
  "api",
  "otlp",
  "join",
  "data",
  "log-level",
  "log-format",
  "insecure",
  "debug",
  "clock-source",
  "clock-policy",
  "clock-mode",
  "clock-offset"
]

/** Where a value came from: `--gossip`, `STARLING_GOSSIP`, the path of the file, `default`. @since 0.1.0 @category models */
export type Source = string

/** One line of the effective configuration. @since 0.1.0 @category models */
export interface Setting {
  readonly key: Key | "apply"
  readonly value: unknown
  readonly source: Source
}

/** @since 0.1.0 @category models */
export interface Effective {
  readonly config: AgentConfig
  readonly settings: ReadonlyArray<Setting>
}

/** One thing that is wrong; `message` says what would be right. @since 0.1.0 @category models */
export interface Issue {
  readonly key: string
  /** As it was written, shortened; undefined when nothing was. */
  readonly value: string | undefined
  readonly source: Source
  readonly message: string
}

/** @since 0.1.0 @category errors */
export class ConfigError extends Data.TaggedError("ConfigError")<{
  readonly issues: ReadonlyArray<Issue>
}> {
  override get message(): string {
    return this.issues.map(formatIssue).join("\n")
  }
}

/** What the machine contributes to the defaults. @since 0.1.0 @category models */
export interface Host {
  readonly hostname: string
  /** The user's directory for data of applications: `~/.local/share` on Linux. */
  readonly dataHome: string
  /** Between the parts of a path. */
  readonly separator: string
}

/** The four places a value can come from, each with the keys that it really has. @since 0.1.0 @category models */
export interface Sources {
  readonly flags: Readonly<Record<string, unknown>>
  /** All variables of the process; those that do not begin with `STARLING_` are not ours. */
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly file?: { readonly path: string; readonly values: Readonly<Record<string, unknown>> } | undefined
  readonly host: Host
}

/** @since 0.1.0 */
export const variableOf = (key: string): string => `STARLING_${key.toUpperCase().replaceAll("-", "_")}`

/**
 * A key as whoever wrote it knows it: `--api`, `STARLING_API`, `api (/etc/starling.toml)`, `api (default)`.
 *
 * @since 0.1.0
 */
export const writtenAs = ({ key, source }: { readonly key: string; readonly source: Source }): string =>
  source === `--${key}` || source === variableOf(key) || source === key ? source : `${key} (${source})`

/** `--gossip: "nine": expected host:port, like 127.0.0.1:7740` @since 0.1.0 */
export const formatIssue = (issue: Issue): string =>
  [writtenAs(issue), ...(issue.value === undefined ? [] : [JSON.stringify(issue.value)]), issue.message].join(": ")

/** Variables that mean something to the command line or to a process that starts agents, and nothing to this file. */
const otherVariables = new Set([
  "STARLING_CONFIG",
  "STARLING_PARENT_PIPE",
  "STARLING_KEY",
  "STARLING_REVISION",
  "STARLING_OPERATION"
])

/** Files beyond this are not read: a configuration is a page. Our choice. */
const fileBytesMax = 1024 * 1024

const gossipDefault = "127.0.0.1:7740"
const apiDefault = "127.0.0.1:7741"
/** OTLP/HTTP's own port. */
const otlpDefault = "127.0.0.1:4318"

/** A name that `name` accepts, from a host name that may not be one. */
const nameOf = (hostname: string): string => {
  const plain = hostname
    .replaceAll(/[^A-Za-z0-9._-]+/g, "-")
    .slice(0, Fields.nameLengthMax)
    .replace(/^[^A-Za-z0-9]+/, "")
    .replace(/[^A-Za-z0-9]+$/, "")
  return plain === "" ? "node" : plain
}

/**
 * The effective configuration, or everything that is wrong with it.
 *
 * @since 0.1.0
 * @category running
 */
export const resolve = (sources: Sources): Result.Result<Effective, ConfigError> => {
  const issues: Array<Issue> = [...unknownKeys(sources)]
  const found = new Map<Key, { readonly raw: unknown; readonly source: Source }>()
  for (const key of keys) {
    const variable = variableOf(key)
    const given = sources.environment[variable]
    if (sources.flags[key] !== undefined) found.set(key, { raw: sources.flags[key], source: `--${key}` })
    // An empty variable is how a shell says "not set".
    else if (given !== undefined && given !== "") found.set(key, { raw: given, source: variable })
    else if (sources.file !== undefined && Object.hasOwn(sources.file.values, key)) {
      found.set(key, { raw: sources.file.values[key], source: sources.file.path })
    }
  }

  const settings = new Map<Setting["key"], Setting>()
  const wrong = new Set<Key>()
  const issue = (key: Key, message: string) => {
    const at = found.get(key)
    wrong.add(key)
    const said = at === undefined ? { value: undefined, message } : saidOf(at.raw, message)
    issues.push({ key, ...said, source: at?.source ?? "default" })
  }
  const read = <A>(key: Key, decode: Codec.Decoder<A>, fallback: A): A => {
    const at = found.get(key)
    if (at === undefined) {
      settings.set(key, { key, value: fallback, source: "default" })
      return fallback
    }
    const decoded = decode(at.raw)
    if (!decoded.ok) {
      issue(key, decoded.reason)
      return fallback
    }
    settings.set(key, { key, value: decoded.value, source: at.source })
    return decoded.value
  }

  const name = read("name", Fields.name, nameOf(sources.host.hostname))
  const datacenter = read("datacenter", Fields.name, "default")
  const fleet = read("fleet", Fields.name, "starling")
  const { dataHome, separator } = sources.host
  const config: AgentConfig = {
    name,
    datacenter,
    fleet,
    labels: read("label", Fields.labels, {}),
    gossip: read("gossip", Fields.listen(gossipDefault), gossipDefault),
    advertise: read<string | undefined>("advertise", Fields.dial("node-1.example:7740"), undefined),
    api: read("api", Fields.listenHttp(apiDefault), apiDefault),
    otlp: read("otlp", Fields.listenOrOff(otlpDefault), otlpDefault),
    join: read("join", Fields.dials("node-1.example:7740"), []),
    data: read("data", Fields.text("a directory"), [dataHome, "starling", fleet, name].join(separator)),
    logLevel: read("log-level", Fields.oneOf(logLevels), "info"),
    logFormat: read("log-format", Fields.oneOf(["pretty", "json"]), "pretty"),
    insecure: read("insecure", Fields.bool, false),
    debug: read("debug", Fields.bool, false),
    clockSource: read("clock-source", Fields.oneOf(["fleet", "own"]), "fleet"),
    clockPolicy: read("clock-policy", Fields.oneOf(["refuse", "accept"]), "refuse"),
    clockMode: read("clock-mode", Fields.oneOf(["population", "counter"]), "population"),
    clockOffsetMs: read("clock-offset", Fields.signedSpan, 0),
    apply: hooksOf(sources.file, issues)
  }
  settings.set("apply", {
    key: "apply",
    value: config.apply,
    source: config.apply.length === 0 ? "default" : (sources.file?.path ?? "default")
  })

  for (const { key, message } of refusals(config)) if (!wrong.has(key)) issue(key, message)
  return issues.length > 0
    ? Result.fail(new ConfigError({ issues }))
    : Result.succeed({ config, settings: [...keys, "apply" as const].flatMap((key) => settings.get(key) ?? []) })
}

const hooksOf = (file: Sources["file"], issues: Array<Issue>): ReadonlyArray<Hook> => {
  if (file === undefined || !Object.hasOwn(file.values, "apply")) return []
  const { hooks, refusals } = Hooks.read(file.values["apply"])
  for (const { key, message, value } of refusals) issues.push({ key, value, source: file.path, message })
  return hooks
}

/** Of a list, the item that is wrong: the refusal begins with it, or it is the only one. */
const saidOf = (raw: unknown, message: string): Pick<Issue, "value" | "message"> => {
  const items: ReadonlyArray<unknown> = Array.isArray(raw) ? raw : []
  for (const item of items) {
    const start = `${Fields.show(item)}: `
    if (message.startsWith(start)) return { value: Fields.show(item), message: message.slice(start.length) }
  }
  return { value: Fields.show(items.length === 1 ? items[0] : raw), message }
}

const unknownKeys = (sources: Sources): ReadonlyArray<Issue> => {
  const issues: Array<Issue> = []
  const known: ReadonlyArray<string> = keys
  const meant = (nearest: string | undefined, all: ReadonlyArray<string>) =>
    nearest === undefined ? `the keys are ${all.join(", ")}` : `did you mean ${nearest}?`
  const add = (key: string, raw: unknown, source: Source, message: string) => {
    issues.push({ key, value: Fields.show(raw), source, message })
  }
  for (const [key, raw] of Object.entries(sources.flags)) {
    if (raw !== undefined && !known.includes(key)) {
      add(key, raw, `--${key}`, `unknown flag; ${meant(Fields.nearest(key, keys), keys)}`)
    }
  }
  const variables = keys.map(variableOf)
  for (const [variable, raw] of Object.entries(sources.environment)) {
    if (raw === undefined || !variable.startsWith("STARLING_")) continue
    if (variables.includes(variable) || otherVariables.has(variable)) continue
    add(variable, raw, variable, `unknown variable; ${meant(Fields.nearest(variable, variables), variables)}`)
  }
  if (sources.file !== undefined) {
    for (const [key, raw] of Object.entries(sources.file.values)) {
      if (known.includes(key) || key === "apply") continue
      const all = [...keys, "apply"]
      add(key, raw, sources.file.path, `unknown key; ${meant(Fields.nearest(key, all), all)}`)
    }
  }
  return issues
}

/** What each address opens, and to whom, when it is not loopback. */
const opens = {
  gossip: "whoever can reach it could join the fleet, read every fact in it and change its configuration",
  api: "whoever can reach it could read every fact of the fleet and change its configuration",
  otlp: "whoever can reach it could publish telemetry and record events in anybody's name"
} as const

/** What is wrong although every value by itself is right. */
const refusals = (config: AgentConfig): ReadonlyArray<{ readonly key: Key; readonly message: string }> => {
  const out: Array<{ readonly key: Key; readonly message: string }> = []
  const addresses = (["gossip", "api", "otlp"] as const).flatMap((key) => {
    const address = config[key]
    return address === undefined ? [] : [{ key, address }]
  })
  for (const { address, key } of addresses) {
    if (!config.insecure && !Fields.isLoopback(address)) {
      out.push({
        key,
        message: `${address} is not loopback and nothing on it is encrypted or authenticated yet: ${opens[key]}; listen on 127.0.0.1, or say --insecure where everybody on that network is trusted`
      })
    }
  }
  for (const [index, { address, key }] of addresses.entries()) {
    const other = addresses.slice(0, index).find((before) => before.address === address)
    if (other !== undefined && !address.endsWith(":0")) {
      out.push({ key, message: `${address} is taken by --${other.key}; each needs a port of its own` })
    }
  }
  if (config.clockOffsetMs !== 0 && !config.debug) {
    out.push({ key: "clock-offset", message: "a wrong clock is a fault on purpose: it needs --debug" })
  }
  if (config.advertise === undefined && Fields.isWildcard(config.gossip)) {
    out.push({
      key: "advertise",
      message: `--gossip ${config.gossip} listens on every interface, and peers cannot dial that: say --advertise HOST:PORT with the address under which they reach this node`
    })
  }
  if (config.advertise !== undefined && Fields.isWildcard(config.advertise)) {
    out.push({
      key: "advertise",
      message: "peers cannot dial a wildcard; expected an address under which they reach this node"
    })
  }
  return out
}

/**
 * Reads a file of keys. Missing, unreadable and malformed files are issues that name the file.
 *
 * @since 0.1.0
 * @category running
 */
export const readFile = Effect.fnUntraced(function* (path: string, source: Source) {
  const fs = yield* FileSystem.FileSystem
  const wrong = (message: string) => new ConfigError({ issues: [{ key: "config", value: path, source, message }] })
  const info = yield* fs
    .stat(path)
    .pipe(
      Effect.mapError((error) =>
        wrong(
          error.reason._tag === "NotFound"
            ? "there is no such file; expected a TOML file"
            : `the file cannot be read: ${error.message}`
        )
      )
    )
  if (info.type !== "File")
    return yield* wrong(`this is no file but a ${info.type.toLowerCase()}; expected a TOML file`)
  if (Number(info.size) > fileBytesMax) {
    return yield* wrong(`the file has ${info.size} bytes, at most ${fileBytesMax} are read; expected a TOML file`)
  }
  const text = yield* fs
    .readFileString(path)
    .pipe(Effect.mapError((error) => wrong(`the file cannot be read: ${error.message}`)))
  const parsed = Toml.parse(text)
  if (Result.isFailure(parsed)) return yield* wrong(`the file is no TOML: ${parsed.failure.message}`)
  return { path, values: parsed.success }
})

/**
 * Reads the file that a flag or `STARLING_CONFIG` names, and resolves. An unreadable file is reported together with what
 * is wrong elsewhere.
 *
 * @since 0.1.0
 * @category running
 */
export const load = Effect.fnUntraced(function* (
  sources: Omit<Sources, "file">,
  configFlag: string | undefined
): Effect.fn.Return<Effective, ConfigError, FileSystem.FileSystem> {
  const variable = sources.environment["STARLING_CONFIG"]
  const path = configFlag ?? (variable === "" ? undefined : variable)
  if (path === undefined) return yield* Effect.fromResult(resolve(sources))
  const file = yield* Effect.result(readFile(path, configFlag === undefined ? "STARLING_CONFIG" : "--config"))
  if (Result.isSuccess(file)) return yield* Effect.fromResult(resolve({ ...sources, file: file.success }))
  const rest = resolve(sources)
  return yield* new ConfigError({
    issues: [...file.failure.issues, ...(Result.isFailure(rest) ? rest.failure.issues : [])]
  })
})

/**
 * Where the platform keeps data of applications for this user.
 *
 * @since 0.1.0
 */
export const dataHomeOf = (
  platform: string,
  home: string,
  environment: Readonly<Record<string, string | undefined>>
): string => {
  const set = (variable: string) => {
    const value = environment[variable]
    return value === undefined || value === "" ? undefined : value
  }
  switch (platform) {
    case "darwin":
      return `${home}/Library/Application Support`
    case "win32":
      return set("LOCALAPPDATA") ?? `${home}\\AppData\\Local`
    default:
      return set("XDG_DATA_HOME") ?? `${home}/.local/share`
  }
}

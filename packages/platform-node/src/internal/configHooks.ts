/**
 * How `[[apply]]` of the agent's file is read: what this host does with a key of the fleet's configuration. A file is the
 * only place for them, since a command is a list.
 */
import { show } from "./configFields.ts"

/** A program that is given the value on standard input. */
export interface CommandHook {
  readonly _tag: "Command"
  /** Key pattern: `*` within a segment, `**` across segments. */
  readonly match: string
  /** The program and its arguments. */
  readonly command: readonly [string, ...ReadonlyArray<string>]
  readonly timeoutMs: number
}

/** A file that holds the value. */
export interface FileHook {
  readonly _tag: "File"
  readonly match: string
  readonly file: string
}

export type Hook = CommandHook | FileHook

/** What is wrong with one field: `[[apply]][0].match`. */
export interface Refusal {
  readonly key: string
  readonly value: string | undefined
  readonly message: string
}

/** Hooks of one node. Our choice: far below the 256 patterns that a node can say it handles. */
const hooksMax = 64

/** Words of a command. Our choice: what needs more is a script. */
const wordsMax = 256

const wordLengthMax = 4096

/** Our choice: what restarts a service takes seconds, what takes longer should go on by itself. */
const timeoutMsDefault = 30_000
const timeoutMsMax = 3_600_000

/** The patterns that the facts of the fleet know; one that only they refuse is refused by the agent when it starts. */
const isPattern = (text: string): boolean =>
  text.length <= 255 && text.split("/").every((segment) => segment === "**" || /^[a-z0-9*][a-z0-9._*-]*$/.test(segment))

const fields = ["match", "command", "file", "timeout"]

const units: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }

const durationOf = (raw: unknown): number | undefined => {
  const [, count, unit] = (typeof raw === "string" ? /^(\d{1,9})(ms|s|m|h)$/.exec(raw) : null) ?? []
  const ms = Number(count) * (units[unit ?? ""] ?? 0)
  return ms > 0 && ms <= timeoutMsMax ? ms : undefined
}

const isText = (raw: unknown): raw is string =>
  typeof raw === "string" && raw.length <= wordLengthMax && !raw.includes("\0")

const commandOf = (raw: unknown): CommandHook["command"] | undefined => {
  if (!Array.isArray(raw) || raw.length > wordsMax || !raw.every(isText)) return undefined
  const [program, ...rest] = raw
  return program === undefined || program === "" ? undefined : [program, ...rest]
}

const isTable = (raw: unknown): raw is Readonly<Record<string, unknown>> =>
  typeof raw === "object" && raw !== null && !Array.isArray(raw)

/** All hooks, and everything that is wrong with them. */
export const read = (
  raw: unknown
): { readonly hooks: ReadonlyArray<Hook>; readonly refusals: ReadonlyArray<Refusal> } => {
  const hooks: Array<Hook> = []
  const refusals: Array<Refusal> = []
  if (!Array.isArray(raw)) {
    const message = 'expected tables [[apply]] with match and either command or file, like match = "limits/*"'
    return { hooks, refusals: [{ key: "apply", value: show(raw), message }] }
  }
  if (raw.length > hooksMax) {
    const message = `${raw.length} hooks, at most ${hooksMax} are accepted`
    return { hooks, refusals: [{ key: "apply", value: undefined, message }] }
  }
  for (const [index, one] of raw.entries()) {
    const hook = readOne(one, (field, value, message) => {
      const key = `[[apply]][${index}]${field === "" ? "" : `.${field}`}`
      refusals.push({ key, value: value === undefined ? undefined : show(value), message })
    })
    if (hook !== undefined) hooks.push(hook)
  }
  return { hooks, refusals }
}

const readOne = (raw: unknown, refuse: (field: string, value: unknown, message: string) => void): Hook | undefined => {
  if (!isTable(raw)) {
    refuse("", raw, "expected a table with match and either command or file")
    return undefined
  }
  for (const field of Object.keys(raw)) {
    if (!fields.includes(field)) refuse(field, raw[field], `unknown key; the keys are ${fields.join(", ")}`)
  }
  const { command, file, match, timeout } = raw
  if (typeof match !== "string" || !isPattern(match)) {
    refuse("match", match, "expected a key pattern, like sampling/rate, sampling/* or limits/**")
  }
  if ((command === undefined) === (file === undefined)) {
    const both = command === undefined ? "neither is given" : "both are given"
    refuse("", undefined, `expected either command or file, and ${both}`)
  }
  const words = commandOf(command)
  if (command !== undefined && words === undefined) {
    refuse("command", command, 'expected a list of texts, the program first, like ["systemctl", "reload", "shop"]')
  }
  if (file !== undefined && (!isText(file) || file === "")) refuse("file", file, "expected the path of a file")
  const timeoutMs = timeout === undefined ? timeoutMsDefault : durationOf(timeout)
  if (timeoutMs === undefined) refuse("timeout", timeout, "expected a duration from 1ms to 1h, like 30s")
  else if (timeout !== undefined && command === undefined && file !== undefined) {
    refuse("timeout", timeout, "only a command takes time; leave it out beside file")
  }
  if (typeof match !== "string") return undefined
  if (words !== undefined && timeoutMs !== undefined) return { _tag: "Command", match, command: words, timeoutMs }
  return isText(file) ? { _tag: "File", match, file } : undefined
}

/**
 * How each setting of an agent is read, whatever it came from: a flag and a variable bring text, a file brings text,
 * booleans, lists and tables.
 */
import { Codec } from "@starling/machine"
import { Address } from "@starling/wire"

/** What was written, for an error: short, on one line, and never a whole file. */
export const show = (raw: unknown): string => {
  const text = typeof raw === "string" ? raw : (JSON.stringify(raw) ?? String(raw))
  return text.length > 80 ? `${text.slice(0, 79)}…` : text
}

/** Longest name of a node, data centre or fleet. Our choice: a DNS label, so that a host name always fits. */
export const nameLengthMax = 63

/** As in Kubernetes. */
export const labelKeyLengthMax = 63
export const labelValueLengthMax = 256
export const labelsMax = 32

/** Contacts of one node. Our choice: any one that answers is enough. */
export const joinMax = 64

const namePattern = /^[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?$/

/** Also a directory of the default data directory, which is why it has no slash and no leading dot. */
export const name: Codec.Decoder<string> = (raw) =>
  Codec.isText(raw, nameLengthMax) && namePattern.test(raw)
    ? Codec.accept(raw)
    : Codec.refuse(`expected 1 to ${nameLengthMax} letters, digits, '.', '_' or '-', like edge-1`)

const right = (example: string) => `expected host:port, like ${example}`

const address =
  (example: string, portMin: number): Codec.Decoder<string> =>
  (raw) => {
    if (typeof raw !== "string") return Codec.refuse(right(example))
    const parsed = Address.parse(raw)
    if (!parsed.ok) {
      // The refusal begins with the text itself, which the caller shows already.
      const quoted = `${JSON.stringify(raw.slice(0, 300))}: `
      const reason = parsed.reason.startsWith(quoted) ? parsed.reason.slice(quoted.length) : parsed.reason
      return Codec.refuse(reason.startsWith("expected") ? right(example) : `${reason}; ${right(example)}`)
    }
    if (parsed.value.port < portMin) return Codec.refuse(`port 0 cannot be dialled; ${right(example)}`)
    return Codec.accept(Address.format(parsed.value))
  }

/** Where to listen; port 0 asks for any free one. */
export const listen = (example: string): Codec.Decoder<string> => address(example, 0)

/** Where others dial. */
export const dial = (example: string): Codec.Decoder<string> => address(example, 1)

/** As `listen`; a URL is understood too, since `STARLING_API` also tells the command line whom to ask. */
export const listenHttp =
  (example: string): Codec.Decoder<string> =>
  (raw) => {
    const bare = typeof raw === "string" ? /^http:\/\/([^/]*)\/?$/.exec(raw)?.[1] : undefined
    return listen(example)(bare ?? raw)
  }

export const listenOrOff =
  (example: string): Codec.Decoder<string | undefined> =>
  (raw) => {
    if (raw === "off" || raw === false) return Codec.accept(undefined)
    const read = listen(example)(raw)
    return read.ok ? read : Codec.refuse(`${read.reason}, or off`)
  }

export const bool: Codec.Decoder<boolean> = (raw) => {
  if (typeof raw === "boolean") return Codec.accept(raw)
  if (raw === "true" || raw === "1" || raw === "yes") return Codec.accept(true)
  if (raw === "false" || raw === "0" || raw === "no") return Codec.accept(false)
  return Codec.refuse("expected true or false")
}

const spanUnits: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** Milliseconds, either way: `3h`, `-250ms`, `0s`. */
export const signedSpan: Codec.Decoder<number> = (raw) => {
  const match = typeof raw === "string" ? /^([+-]?\d{1,9})(ms|s|m|h|d)$/.exec(raw) : null
  const unit = spanUnits[match?.[2] ?? ""]
  return match === null || unit === undefined
    ? Codec.refuse("expected a duration such as 250ms, -10s or 3h")
    : Codec.accept(Number(match[1]) * unit)
}

export const text =
  (what: string): Codec.Decoder<string> =>
  (raw) =>
    Codec.isText(raw, 4096) && raw.length > 0 && !raw.includes("\0")
      ? Codec.accept(raw)
      : Codec.refuse(`expected ${what}`)

export const oneOf =
  <const A extends string>(choices: ReadonlyArray<A>): Codec.Decoder<A> =>
  (raw) => {
    const found = choices.find((choice) => choice === raw)
    return found === undefined ? Codec.refuse(`expected one of ${choices.join(", ")}`) : Codec.accept(found)
  }

/** A list, or one text with commas. */
const listOf = (raw: unknown): ReadonlyArray<unknown> | undefined => {
  if (typeof raw === "string") {
    return raw
      .split(",")
      .map((item) => item.trim())
      .filter((item) => item !== "")
  }
  return Array.isArray(raw) ? raw : undefined
}

/** Any number of addresses; the same one twice is one. */
export const dials =
  (example: string): Codec.Decoder<ReadonlyArray<string>> =>
  (raw) => {
    const items = listOf(raw)
    if (items === undefined) return Codec.refuse(`expected a list of host:port, like ["${example}"]`)
    if (items.length > joinMax) return Codec.refuse(`${items.length} addresses, at most ${joinMax} are accepted`)
    const out = new Set<string>()
    for (const item of items) {
      const read = dial(example)(item)
      if (!read.ok) return Codec.refuse(items.length === 1 ? read.reason : `${show(item)}: ${read.reason}`)
      out.add(read.value)
    }
    return Codec.accept([...out])
  }

const labelKey = /^[A-Za-z0-9](?:[A-Za-z0-9._/-]*[A-Za-z0-9])?$/
const labelValue = /^[^\s,()=!]*$/

/** Pairs `KEY=VALUE`, or a table. */
export const labels: Codec.Decoder<Readonly<Record<string, string>>> = (raw) => {
  const pairs = pairsOf(raw)
  if (!pairs.ok) return pairs
  const out = new Map<string, string>()
  for (const [key, value] of pairs.value) {
    if (key.length > labelKeyLengthMax || !labelKey.test(key)) {
      return Codec.refuse(
        `label key ${show(key)}: expected at most ${labelKeyLengthMax} letters, digits, '.', '_', '/' or '-'`
      )
    }
    if (value.length > labelValueLengthMax || !labelValue.test(value)) {
      return Codec.refuse(
        `value of label ${key}: expected at most ${labelValueLengthMax} characters without spaces, commas, parentheses, '=' or '!'`
      )
    }
    if (out.has(key) && out.get(key) !== value) {
      return Codec.refuse(`label ${key} is given as ${show(out.get(key))} and as ${show(value)}: give it once`)
    }
    out.set(key, value)
  }
  return out.size > labelsMax
    ? Codec.refuse(`${out.size} labels, at most ${labelsMax} are accepted`)
    : Codec.accept(Object.fromEntries([...out].toSorted(([a], [b]) => (a < b ? -1 : 1))))
}

const pairsOf = (raw: unknown): Codec.Decoded<ReadonlyArray<readonly [string, string]>> => {
  const items = listOf(raw)
  const out: Array<readonly [string, string]> = []
  if (items !== undefined) {
    for (const item of items) {
      const at = typeof item === "string" ? item.indexOf("=") : -1
      if (typeof item !== "string" || at < 1) return Codec.refuse(`${show(item)}: expected KEY=VALUE, like role=edge`)
      out.push([item.slice(0, at), item.slice(at + 1)])
    }
    return Codec.accept(out)
  }
  if (typeof raw !== "object" || raw === null) return Codec.refuse("expected KEY=VALUE, like role=edge")
  for (const [key, value] of Object.entries(raw)) {
    if (typeof value !== "string") return Codec.refuse(`label ${show(key)}: expected a text, like "edge"`)
    out.push([key, value])
  }
  return Codec.accept(out)
}

/** Only this machine can reach it. A name other than `localhost` may be anything. */
export const isLoopback = (hostPort: string): boolean => {
  const parsed = Address.parse(hostPort)
  if (!parsed.ok) return false
  const host = parsed.value.host.toLowerCase()
  return (
    host === "localhost" ||
    host.endsWith(".localhost") ||
    /^(?:::ffff:)?127(?:\.[0-9]{1,3}){3}$/.test(host) ||
    /^(?:0{0,4}:){2,7}0{0,3}1$/.test(host)
  )
}

/** Every interface of the machine: an address to listen on, and none to dial. */
export const isWildcard = (hostPort: string): boolean => {
  const parsed = Address.parse(hostPort)
  if (!parsed.ok) return false
  const { host } = parsed.value
  return /^0+(?:\.0+){0,3}$/.test(host) || /^[0:]+$/.test(host) || /^::ffff:0\.0\.0\.0$/i.test(host)
}

/** The word of `words` that `word` probably was meant to be, at most two slips away. */
export const nearest = (word: string, words: ReadonlyArray<string>): string | undefined => {
  const plain = (text: string) => text.toLowerCase().replaceAll(/[_-]/g, "")
  let best: string | undefined
  let least = 3
  for (const candidate of words) {
    const slips = distance(plain(word), plain(candidate))
    if (slips < least) {
      least = slips
      best = candidate
    }
  }
  return best
}

const distance = (a: string, b: string): number => {
  if (Math.abs(a.length - b.length) > 2) return 3
  let before = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 0; i < a.length; i++) {
    const row = [i + 1]
    for (let j = 0; j < b.length; j++) {
      const change = (before[j] ?? 0) + (a[i] === b[j] ? 0 : 1)
      row.push(Math.min(change, (before[j + 1] ?? 0) + 1, (row[j] ?? 0) + 1))
    }
    before = row
  }
  return before[b.length] ?? 3
}

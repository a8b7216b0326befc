/** What a node takes from an OTLP request: who publishes, how much, and which log records are events. Pure. */
import * as Stamp from "@starling/clock/Stamp"
import * as Codec from "@starling/machine/Codec"
import type { Document } from "@starling/fleet"
import type { Shape } from "./protobuf.ts"

export type Attributes = Readonly<Record<string, string | number | boolean>>

/** A log record of severity ERROR or above. */
export interface ErrorRecord {
  readonly severity: Document.Severity
  readonly body: string
  readonly attributes: Attributes
}

/** One resource of a request. */
export interface Source {
  readonly app: string
  readonly instance: string
  readonly labels: Readonly<Record<string, string>>
  /** Data points, log records or spans. */
  readonly items: number
  readonly errors: ReadonlyArray<ErrorRecord>
}

/** Longest name of an application or instance. Our choice, as the labels' values. */
const nameLengthMax = 256

/** Longest body of an event made of a log record. Our choice: a stack trace of some thirty frames. */
const bodyLengthMax = 4096

/** Attributes of an event. Our choice. */
const attributesMax = 32

/** Longest text of an attribute of an event. Our choice. */
const attributeLengthMax = 1024

/** Values within values of an attribute that are still written out. */
const valueDepthMax = 8

/** Resources of one request. Our choice: a collector batches what hundreds of applications sent. */
const sourcesMax = 4096

/**
 * Resource attributes that become labels, so that selectors can name them: where it runs and what is deployed. From the
 * semantic conventions 1.x; the older name of an attribute stands behind the newer.
 */
const labelled: ReadonlyArray<string> = [
  "host.name",
  "deployment.environment.name",
  "deployment.environment",
  "service.version",
  "telemetry.sdk.language",
  "os.type",
  "container.name",
  "k8s.cluster.name",
  "k8s.namespace.name",
  "k8s.pod.name",
  "k8s.node.name",
  "cloud.region",
  "cloud.availability_zone"
]

/** Of proto3's JSON form: a field that is null is a field that is absent. */
const listOf = (shape: Shape, name: string, where: string): Codec.Decoded<ReadonlyArray<Shape>> => {
  const list = shape[name] ?? []
  if (!Array.isArray(list)) return Codec.refuse(`${where}${name}: expected a list`)
  for (const item of list) {
    if (!isShape(item)) return Codec.refuse(`${where}${name}: expected a list of objects`)
  }
  return Codec.accept(list)
}

const isShape = (value: unknown): value is Shape => typeof value === "object" && value !== null && !Array.isArray(value)

const names = {
  metrics: { root: "resourceMetrics", scopes: "scopeMetrics", items: "metrics" },
  logs: { root: "resourceLogs", scopes: "scopeLogs", items: "logRecords" },
  traces: { root: "resourceSpans", scopes: "scopeSpans", items: "spans" }
} as const

/** Reads a request of the OTLP/JSON shape; unknown fields are ignored, as the specification asks. Never throws. */
export const read = (signal: Document.Signal, input: unknown): Codec.Decoded<ReadonlyArray<Source>> => {
  if (!isShape(input)) return Codec.refuse("expected an object")
  const { items: itemsName, root, scopes: scopesName } = names[signal]
  const resources = listOf(input, root, "")
  if (!resources.ok) return resources
  if (resources.value.length > sourcesMax) {
    return Codec.refuse(`${root}: ${resources.value.length} resources, at most ${sourcesMax} are accepted`)
  }
  const sources: Array<Source> = []
  for (const resource of resources.value) {
    const attributes = readResource(resource, root)
    if (!attributes.ok) return attributes
    const scopes = listOf(resource, scopesName, `${root}.`)
    if (!scopes.ok) return scopes
    let count = 0
    const errors: Array<ErrorRecord> = []
    for (const scope of scopes.value) {
      const items = listOf(scope, itemsName, `${root}.${scopesName}.`)
      if (!items.ok) return items
      for (const item of items.value) {
        const taken = signal === "metrics" ? countPoints(item) : Codec.accept(1)
        if (!taken.ok) return taken
        count += taken.value
        if (signal !== "logs") continue
        const error = readRecord(item)
        if (!error.ok) return error
        if (error.value !== undefined) errors.push(error.value)
      }
    }
    sources.push({ ...identify(attributes.value), items: count, errors })
  }
  return Codec.accept(sources)
}

const readResource = (holder: Shape, where: string): Codec.Decoded<Attributes> => {
  const resource = holder["resource"] ?? {}
  if (!isShape(resource)) return Codec.refuse(`${where}.resource: expected an object`)
  return readAttributes(resource, `${where}.resource.`)
}

const pointKinds = ["gauge", "sum", "histogram", "exponentialHistogram", "summary"]

const countPoints = (metric: Shape): Codec.Decoded<number> => {
  let count = 0
  for (const kind of pointKinds) {
    const data = metric[kind] ?? {}
    if (!isShape(data)) return Codec.refuse(`metrics.${kind}: expected an object`)
    const points = listOf(data, "dataPoints", `metrics.${kind}.`)
    if (!points.ok) return points
    count += points.value.length
  }
  return Codec.accept(count)
}

/** Severity numbers of the logs data model: 17 to 20 are ERROR, 21 to 24 FATAL; 0 is unspecified, then the text speaks. */
const severityOf = (number: number, text: string): Document.Severity | undefined => {
  if (number >= 21 && number <= 24) return "fatal"
  if (number >= 17 && number <= 20) return "error"
  if (number !== 0) return undefined
  const word = text.toLowerCase()
  return word === "fatal" || word === "error" ? word : undefined
}

/** Undefined: a record below ERROR. */
const readRecord = (record: Shape): Codec.Decoded<ErrorRecord | undefined> => {
  const number = record["severityNumber"] ?? 0
  const text = record["severityText"] ?? ""
  if (typeof number !== "number") return Codec.refuse("logRecords.severityNumber: expected a number")
  if (typeof text !== "string") return Codec.refuse("logRecords.severityText: expected a text")
  const body = readValue(record["body"], 0, "logRecords.body")
  if (!body.ok) return body
  const attributes = readAttributes(record, "logRecords.")
  if (!attributes.ok) return attributes
  const severity = severityOf(number, text)
  if (severity === undefined) return Codec.accept(undefined)
  const timestamp = timeOf(record["timeUnixNano"]) ?? timeOf(record["observedTimeUnixNano"])
  const event = record["eventName"]
  const own: Record<string, string | number | boolean> = {}
  if (timestamp !== undefined) own["timestamp"] = timestamp
  if (isName(record["traceId"])) own["trace_id"] = record["traceId"]
  if (isName(record["spanId"])) own["span_id"] = record["spanId"]
  if (isName(event)) own["event_name"] = shorten(event, attributeLengthMax)
  const bounded = Object.entries(attributes.value).slice(0, attributesMax - Object.keys(own).length)
  for (const [key, value] of bounded) {
    own[shorten(key, nameLengthMax)] ??= typeof value === "string" ? shorten(value, attributeLengthMax) : value
  }
  const said = textOf(body.value)
  const fallback = isName(event) ? event : text
  return Codec.accept({ severity, body: shorten(said === "" ? fallback : said, bodyLengthMax), attributes: own })
}

const isName = (value: unknown): value is string => typeof value === "string" && value !== ""

/** ISO 8601 of nanoseconds since 1970, which JSON writes as text or as a number. */
const timeOf = (nanos: unknown): string | undefined => {
  const isDecimal = typeof nanos === "number" ? Number.isFinite(nanos) : /^\d{1,20}$/.test(String(nanos ?? ""))
  const wall = isDecimal ? Math.floor(Number(nanos) / 1_000_000) : 0
  return wall > 0 ? Stamp.isoOf(wall) : undefined
}

/** Of a value that is no scalar, its JSON. */
type Value = string | number | boolean | null | ReadonlyArray<Value> | { readonly [key: string]: Value }

const textOf = (value: Value): string =>
  typeof value === "string" ? value : value === null ? "" : JSON.stringify(value)

const readAttributes = (holder: Shape, where: string): Codec.Decoded<Attributes> => {
  const list = listOf(holder, "attributes", where)
  if (!list.ok) return list
  const out: Record<string, string | number | boolean> = Object.create(null)
  for (const { key, value } of list.value) {
    if (typeof key !== "string") return Codec.refuse(`${where}attributes.key: expected a text`)
    const read = readValue(value, 0, `${where}attributes.value`)
    if (!read.ok) return read
    out[key] = typeof read.value === "object" ? textOf(read.value) : read.value
  }
  return Codec.accept({ ...out })
}

/** An `AnyValue`. What nests too deep reads as an ellipsis. */
const readValue = (input: unknown, depth: number, where: string): Codec.Decoded<Value> => {
  if (input === undefined || input === null) return Codec.accept(null)
  if (!isShape(input)) return Codec.refuse(`${where}: expected an object such as { "stringValue": "text" }`)
  if (depth > valueDepthMax) return Codec.accept("...")
  const { arrayValue, boolValue, bytesValue, doubleValue, intValue, kvlistValue, stringValue } = input
  if (stringValue !== undefined) return expect(stringValue, "string", `${where}.stringValue`)
  if (boolValue !== undefined) return expect(boolValue, "boolean", `${where}.boolValue`)
  if (bytesValue !== undefined) return expect(bytesValue, "string", `${where}.bytesValue`)
  if (intValue !== undefined) return readInteger(intValue, `${where}.intValue`)
  if (doubleValue !== undefined) {
    if (typeof doubleValue === "number")
      return Codec.accept(Number.isFinite(doubleValue) ? doubleValue : `${doubleValue}`)
    return expect(doubleValue, "string", `${where}.doubleValue`)
  }
  if (arrayValue !== undefined) {
    const values = isShape(arrayValue) ? listOf(arrayValue, "values", `${where}.`) : Codec.refuse(`${where}: no array`)
    if (!values.ok) return values
    const out: Array<Value> = []
    for (const item of values.value) {
      const read = readValue(item, depth + 1, where)
      if (!read.ok) return read
      out.push(read.value)
    }
    return Codec.accept(out)
  }
  if (kvlistValue !== undefined) {
    const values = isShape(kvlistValue) ? listOf(kvlistValue, "values", `${where}.`) : Codec.refuse(`${where}: no list`)
    if (!values.ok) return values
    const out: Record<string, Value> = Object.create(null)
    for (const { key, value } of values.value) {
      if (typeof key !== "string") return Codec.refuse(`${where}.key: expected a text`)
      const read = readValue(value, depth + 1, where)
      if (!read.ok) return read
      out[key] = read.value
    }
    return Codec.accept({ ...out })
  }
  return Codec.accept(null)
}

const expect = (value: unknown, type: "string" | "boolean", where: string): Codec.Decoded<Value> =>
  typeof value === type && (typeof value === "string" || typeof value === "boolean")
    ? Codec.accept(value)
    : Codec.refuse(`${where}: expected a ${type}`)

/** JSON writes 64-bit integers as text, some exporters as numbers; one too large for a number stays text. */
const readInteger = (value: unknown, where: string): Codec.Decoded<Value> => {
  const isInteger = typeof value === "number" ? Number.isInteger(value) : /^-?\d{1,20}$/.test(String(value))
  if (!isInteger || (typeof value !== "number" && typeof value !== "string")) {
    return Codec.refuse(`${where}: expected an integer`)
  }
  const number = Number(value)
  return Codec.accept(Number.isSafeInteger(number) ? number : String(value))
}

const shorten = (text: string, lengthMax: number): string =>
  text.length <= lengthMax ? text : `${text.slice(0, lengthMax - 3)}...`

/** `service.namespace/service.name`, `service.instance.id`; the specification's default name when there is none. */
const identify = (attributes: Attributes): Pick<Source, "app" | "instance" | "labels"> => {
  const text = (name: string): string => {
    const value = attributes[name]
    return value === undefined ? "" : String(value)
  }
  const name = text("service.name") || "unknown_service"
  const namespace = text("service.namespace")
  const labels: Record<string, string> = {}
  for (const key of labelled) {
    const value = text(key)
    if (value !== "") labels[key] = shorten(value, nameLengthMax)
  }
  return {
    app: shorten(namespace === "" ? name : `${namespace}/${name}`, nameLengthMax),
    instance: shorten(text("service.instance.id") || deriveInstance(attributes, text), nameLengthMax),
    labels
  }
}

/**
 * A name for who gives none: where it runs and a digest of its attributes, so that the same process at the same place is
 * the same instance after a restart, and different ones stay apart. What a restart changes is left out.
 */
const deriveInstance = (attributes: Attributes, text: (name: string) => string): string => {
  const place = text("k8s.pod.name") || text("container.name") || text("host.name") || "auto"
  const lasting = Object.entries(attributes)
    .filter(([key]) => !key.startsWith("process.") && !key.startsWith("telemetry."))
    .map(([key, value]) => `${key}=${value}`)
    .toSorted()
  return `${place}-${digest(lasting.join("\n"))}`
}

/** FNV-1a, 32 bits, over UTF-16 units: short, stable, and not meant to keep a secret. */
const digest = (text: string): string => {
  let hash = 0x811c9dc5
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193)
  return (hash >>> 0).toString(16).padStart(8, "0")
}

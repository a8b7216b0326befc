/**
 * Protobuf to the OTLP/JSON shape, so that one reader reads both encodings; and the few messages that are answered.
 *
 * The tables follow opentelemetry-proto 1.x (collector/{metrics,logs,trace}/v1). Unknown fields are skipped, as the wire
 * format asks; groups and field number 0 are refused. Every refusal names the message type in which it was found.
 */
import * as Codec from "@starling/machine/Codec"
import * as Utf8 from "./utf8.ts"

/** An object of the OTLP/JSON shape: camel-case names, 64-bit numbers as decimal text, ids as hex, bytes as base64. */
export interface Shape {
  [name: string]: unknown
}

type Scalar =
  | "string"
  | "bool"
  | "double"
  | "int64"
  | "uint64"
  | "uint32"
  | "sint32"
  | "enum"
  | "fixed64"
  | "sfixed64"
  | "fixed32"
  /** Bytes that OTLP/JSON writes as hex: trace and span ids. */
  | "id"
  | "bytes"

interface Field {
  readonly name: string
  readonly repeated: boolean
  readonly kind: { readonly scalar: Scalar } | { readonly message: string }
}

type Table = ReadonlyMap<number, Field>

/** `name kind`, `name* kind` when repeated; a kind that begins with a capital is a message. */
const tableOf = (fields: Readonly<Record<number, string>>): Table =>
  new Map(
    Object.entries(fields).map(([number, text]) => {
      const [name = "", kind = ""] = text.split(" ")
      const repeated = name.endsWith("*")
      const isMessage = /^[A-Z]/.test(kind)
      return [
        Number(number),
        {
          name: repeated ? name.slice(0, -1) : name,
          repeated,
          kind: isMessage ? { message: kind } : { scalar: kind as Scalar }
        }
      ]
    })
  )

const point = { 2: "startTimeUnixNano fixed64", 3: "timeUnixNano fixed64" }

const tables: ReadonlyMap<string, Table> = new Map(
  Object.entries({
    Metrics: { 1: "resourceMetrics* ResourceMetrics" },
    ResourceMetrics: { 1: "resource Resource", 2: "scopeMetrics* ScopeMetrics", 3: "schemaUrl string" },
    ScopeMetrics: { 1: "scope Scope", 2: "metrics* Metric", 3: "schemaUrl string" },
    Metric: {
      1: "name string",
      2: "description string",
      3: "unit string",
      5: "gauge Gauge",
      7: "sum Sum",
      9: "histogram Histogram",
      10: "exponentialHistogram ExponentialHistogram",
      11: "summary Summary",
      12: "metadata* KeyValue"
    },
    Gauge: { 1: "dataPoints* NumberPoint" },
    Sum: { 1: "dataPoints* NumberPoint", 2: "aggregationTemporality enum", 3: "isMonotonic bool" },
    Histogram: { 1: "dataPoints* HistogramPoint", 2: "aggregationTemporality enum" },
    ExponentialHistogram: { 1: "dataPoints* ExponentialPoint", 2: "aggregationTemporality enum" },
    Summary: { 1: "dataPoints* SummaryPoint" },
    NumberPoint: {
      ...point,
      4: "asDouble double",
      5: "exemplars* Exemplar",
      6: "asInt sfixed64",
      7: "attributes* KeyValue",
      8: "flags uint32"
    },
    HistogramPoint: {
      ...point,
      4: "count fixed64",
      5: "sum double",
      6: "bucketCounts* fixed64",
      7: "explicitBounds* double",
      8: "exemplars* Exemplar",
      9: "attributes* KeyValue",
      10: "flags uint32",
      11: "min double",
      12: "max double"
    },
    ExponentialPoint: {
      ...point,
      1: "attributes* KeyValue",
      4: "count fixed64",
      5: "sum double",
      6: "scale sint32",
      7: "zeroCount fixed64",
      8: "positive Buckets",
      9: "negative Buckets",
      10: "flags uint32",
      11: "exemplars* Exemplar",
      12: "min double",
      13: "max double",
      14: "zeroThreshold double"
    },
    Buckets: { 1: "offset sint32", 2: "bucketCounts* uint64" },
    SummaryPoint: {
      ...point,
      4: "count fixed64",
      5: "sum double",
      6: "quantileValues* Quantile",
      7: "attributes* KeyValue",
      8: "flags uint32"
    },
    Quantile: { 1: "quantile double", 2: "value double" },
    Exemplar: {
      2: "timeUnixNano fixed64",
      3: "asDouble double",
      4: "spanId id",
      5: "traceId id",
      6: "asInt sfixed64",
      7: "filteredAttributes* KeyValue"
    },
    Logs: { 1: "resourceLogs* ResourceLogs" },
    ResourceLogs: { 1: "resource Resource", 2: "scopeLogs* ScopeLogs", 3: "schemaUrl string" },
    ScopeLogs: { 1: "scope Scope", 2: "logRecords* LogRecord", 3: "schemaUrl string" },
    LogRecord: {
      1: "timeUnixNano fixed64",
      2: "severityNumber enum",
      3: "severityText string",
      5: "body AnyValue",
      6: "attributes* KeyValue",
      7: "droppedAttributesCount uint32",
      8: "flags fixed32",
      9: "traceId id",
      10: "spanId id",
      11: "observedTimeUnixNano fixed64",
      12: "eventName string"
    },
    Traces: { 1: "resourceSpans* ResourceSpans" },
    ResourceSpans: { 1: "resource Resource", 2: "scopeSpans* ScopeSpans", 3: "schemaUrl string" },
    ScopeSpans: { 1: "scope Scope", 2: "spans* Span", 3: "schemaUrl string" },
    Span: {
      1: "traceId id",
      2: "spanId id",
      3: "traceState string",
      4: "parentSpanId id",
      5: "name string",
      6: "kind enum",
      7: "startTimeUnixNano fixed64",
      8: "endTimeUnixNano fixed64",
      9: "attributes* KeyValue",
      10: "droppedAttributesCount uint32",
      11: "events* SpanEvent",
      12: "droppedEventsCount uint32",
      13: "links* SpanLink",
      14: "droppedLinksCount uint32",
      15: "status SpanStatus",
      16: "flags fixed32"
    },
    SpanEvent: {
      1: "timeUnixNano fixed64",
      2: "name string",
      3: "attributes* KeyValue",
      4: "droppedAttributesCount uint32"
    },
    SpanLink: {
      1: "traceId id",
      2: "spanId id",
      3: "traceState string",
      4: "attributes* KeyValue",
      5: "droppedAttributesCount uint32",
      6: "flags fixed32"
    },
    SpanStatus: { 2: "message string", 3: "code enum" },
    Resource: { 1: "attributes* KeyValue", 2: "droppedAttributesCount uint32", 3: "entityRefs* EntityRef" },
    EntityRef: { 1: "schemaUrl string", 2: "type string", 3: "idKeys* string", 4: "descriptionKeys* string" },
    Scope: { 1: "name string", 2: "version string", 3: "attributes* KeyValue", 4: "droppedAttributesCount uint32" },
    KeyValue: { 1: "key string", 2: "value AnyValue" },
    AnyValue: {
      1: "stringValue string",
      2: "boolValue bool",
      3: "intValue int64",
      4: "doubleValue double",
      5: "arrayValue ArrayValue",
      6: "kvlistValue KeyValueList",
      7: "bytesValue bytes"
    },
    ArrayValue: { 1: "values* AnyValue" },
    KeyValueList: { 1: "values* KeyValue" }
  }).map(([name, fields]) => [name, tableOf(fields)])
)

/** Levels of messages within messages. Our choice: an attribute value takes two, so that values nest eleven deep. */
export const depthMax = 32

/** Thrown and caught in this file only. */
class Malformed {
  readonly reason: string
  constructor(reason: string) {
    this.reason = reason
  }
}

export type Root = "Metrics" | "Logs" | "Traces"

/** Never throws. */
export const decode = (root: Root, bytes: Uint8Array): Codec.Decoded<Shape> => {
  try {
    return Codec.accept(readMessage(root, bytes, {}, 0))
  } catch (error) {
    if (error instanceof Malformed) return Codec.refuse(error.reason)
    throw error
  }
}

interface Cursor {
  readonly bytes: Uint8Array
  readonly data: DataView
  readonly type: string
  at: number
}

/** `into` is what an earlier occurrence of the same field gave: the wire format merges them. */
const readMessage = (type: string, bytes: Uint8Array, into: Shape, depth: number): Shape => {
  if (depth > depthMax) throw new Malformed(`${type}: nested more than ${depthMax} deep`)
  const table = tables.get(type)
  if (table === undefined) throw new Malformed(`${type}: no such message`)
  const data = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const cursor: Cursor = { bytes, data, type, at: 0 }
  while (cursor.at < bytes.length) {
    const tag = Number(readVarint(cursor))
    if (tag > 0xffff_ffff || tag < 8) throw new Malformed(`${type}: ${tag} is no field tag`)
    const wire = tag & 7
    const field = table.get(tag >>> 3)
    if (field === undefined) skip(cursor, wire)
    else readField(cursor, field, wire, into, depth)
  }
  return into
}

const readField = (cursor: Cursor, field: Field, wire: number, into: Shape, depth: number): void => {
  const { kind, name, repeated } = field
  const held = into[name]
  if ("message" in kind) {
    expectWire(cursor, field, wire, 2)
    const bytes = readBytes(cursor)
    if (!repeated) {
      const before = typeof held === "object" && held !== null ? { ...held } : {}
      into[name] = readMessage(kind.message, bytes, before, depth + 1)
    } else push(into, name, readMessage(kind.message, bytes, {}, depth + 1))
    return
  }
  const own = wireOf(kind.scalar)
  if (repeated && wire === 2 && own !== 2) {
    const packed = readBytes(cursor)
    const data = new DataView(packed.buffer, packed.byteOffset, packed.byteLength)
    const inner: Cursor = { bytes: packed, data, type: cursor.type, at: 0 }
    while (inner.at < packed.length) push(into, name, readScalar(inner, kind.scalar, name))
    return
  }
  expectWire(cursor, field, wire, own)
  const value = readScalar(cursor, kind.scalar, name)
  if (repeated) push(into, name, value)
  else into[name] = value
}

const push = (into: Shape, name: string, value: unknown): void => {
  const list = into[name]
  if (Array.isArray(list)) list.push(value)
  else into[name] = [value]
}

const expectWire = (cursor: Cursor, field: Field, wire: number, expected: number): void => {
  if (wire !== expected) {
    throw new Malformed(`${cursor.type}.${field.name}: wire type ${wire}, expected ${expected}`)
  }
}

const wireOf = (scalar: Scalar): 0 | 1 | 2 | 5 => {
  switch (scalar) {
    case "string":
    case "bytes":
    case "id":
      return 2
    case "double":
    case "fixed64":
    case "sfixed64":
      return 1
    case "fixed32":
      return 5
    default:
      return 0
  }
}

const readScalar = (cursor: Cursor, scalar: Scalar, name: string): unknown => {
  switch (scalar) {
    case "string": {
      const text = Utf8.decode(readBytes(cursor))
      if (text === undefined) throw new Malformed(`${cursor.type}.${name}: not UTF-8`)
      return text
    }
    case "id":
      return toHex(readBytes(cursor))
    case "bytes":
      return toBase64(readBytes(cursor))
    case "double":
      return cursor.data.getFloat64(advance(cursor, 8), true)
    case "fixed64":
      return cursor.data.getBigUint64(advance(cursor, 8), true).toString()
    case "sfixed64":
      return cursor.data.getBigInt64(advance(cursor, 8), true).toString()
    case "fixed32":
      return cursor.data.getUint32(advance(cursor, 4), true)
    case "bool":
      return Number(readVarint(cursor)) !== 0
    case "int64":
      return BigInt.asIntN(64, BigInt(readVarint(cursor))).toString()
    case "uint64":
      return readVarint(cursor).toString()
    case "uint32":
      return Number(BigInt.asUintN(32, BigInt(readVarint(cursor))))
    case "enum":
      return Number(BigInt.asIntN(32, BigInt(readVarint(cursor))))
    case "sint32": {
      const raw = BigInt.asUintN(32, BigInt(readVarint(cursor)))
      return Number((raw >> 1n) ^ -(raw & 1n))
    }
  }
}

const advance = (cursor: Cursor, count: number): number => {
  const from = cursor.at
  if (from + count > cursor.bytes.length) throw new Malformed(`${cursor.type}: ends within a field`)
  cursor.at = from + count
  return from
}

const readBytes = (cursor: Cursor): Uint8Array => {
  const count = Number(readVarint(cursor))
  const from = advance(cursor, count)
  return cursor.bytes.subarray(from, from + count)
}

/** At most ten bytes and 64 bits; a number when it has at most 49, which is nearly always, for numbers are faster. */
const readVarint = (cursor: Cursor): number | bigint => {
  let low = 0
  let scale = 1
  for (let index = 0; index < 7; index++) {
    const byte = cursor.bytes[cursor.at]
    if (byte === undefined) throw new Malformed(`${cursor.type}: ends within a number`)
    cursor.at += 1
    low += (byte & 127) * scale
    scale *= 128
    if (byte < 128) return low
  }
  let value = BigInt(low)
  for (let shift = 49n; shift <= 63n; shift += 7n) {
    const byte = cursor.bytes[cursor.at]
    if (byte === undefined) throw new Malformed(`${cursor.type}: ends within a number`)
    cursor.at += 1
    value |= BigInt(byte & 127) << shift
    if (byte < 128) return BigInt.asUintN(64, value)
  }
  throw new Malformed(`${cursor.type}: a number of more than ten bytes`)
}

const skip = (cursor: Cursor, wire: number): void => {
  if (wire === 0) readVarint(cursor)
  else if (wire === 1) advance(cursor, 8)
  else if (wire === 2) readBytes(cursor)
  else if (wire === 5) advance(cursor, 4)
  else throw new Malformed(`${cursor.type}: wire type ${wire}`)
}

const toHex = (bytes: Uint8Array): string => {
  let out = ""
  for (const byte of bytes) out += byte.toString(16).padStart(2, "0")
  return out
}

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

const toBase64 = (bytes: Uint8Array): string => {
  let out = ""
  for (let at = 0; at < bytes.length; at += 3) {
    const group = ((bytes[at] ?? 0) << 16) | ((bytes[at + 1] ?? 0) << 8) | (bytes[at + 2] ?? 0)
    const characters = [18, 12, 6, 0].map((shift) => alphabet[(group >> shift) & 63] ?? "")
    const count = Math.min(4, bytes.length - at + 1)
    out += characters.slice(0, count).join("").padEnd(4, "=")
  }
  return out
}

const varint = (value: number): ReadonlyArray<number> => {
  const out: Array<number> = []
  let rest = value
  while (rest >= 128) {
    out.push((rest % 128) + 128)
    rest = Math.floor(rest / 128)
  }
  return [...out, rest]
}

const text = (field: number, value: string): ReadonlyArray<number> => {
  const bytes = Utf8.encode(value)
  return value === "" ? [] : [field * 8 + 2, ...varint(bytes.length), ...bytes]
}

const count = (field: number, value: number): ReadonlyArray<number> =>
  value === 0 ? [] : [field * 8, ...varint(value)]

/** `google.rpc.Status`: code and message. */
export const encodeStatus = (code: number, message: string): Uint8Array =>
  Uint8Array.from([...count(1, code), ...text(2, message)])

/** `Export*ServiceResponse` with a partial success; empty when everything was taken. */
export const encodePartialSuccess = (rejected: number, message: string): Uint8Array => {
  const inner = [...count(1, rejected), ...text(2, message)]
  return inner.length === 0 ? new Uint8Array(0) : Uint8Array.from([10, ...varint(inner.length), ...inner])
}

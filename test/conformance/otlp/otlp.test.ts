/**
 * The official exporters are the oracle: the same instruments, exported as JSON and as protobuf, must come out of our
 * decoders as equal documents; and whatever happens to their bytes on the way, nothing is thrown.
 */
import { createServer } from "node:http"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { assert, describe, it } from "@effect/vitest"
import { OTLPLogExporter as JsonLogs } from "@opentelemetry/exporter-logs-otlp-http"
import { OTLPLogExporter as ProtoLogs } from "@opentelemetry/exporter-logs-otlp-proto"
import { OTLPMetricExporter as JsonMetrics } from "@opentelemetry/exporter-metrics-otlp-http"
import { OTLPMetricExporter as ProtoMetrics } from "@opentelemetry/exporter-metrics-otlp-proto"
import { resourceFromAttributes } from "@opentelemetry/resources"
import { BatchLogRecordProcessor, LoggerProvider } from "@opentelemetry/sdk-logs"
import { MeterProvider, PeriodicExportingMetricReader } from "@opentelemetry/sdk-metrics"
import * as Agent from "@starling/agent/Agent"
import { Otlp } from "@starling/api"
import * as Effect from "effect/Effect"
import * as HttpServer from "effect/http/HttpServer"
import * as Layer from "effect/Layer"
import * as fc from "fast-check"
import * as FakeAgent from "../../../packages/api/test/fakeAgent.ts"

const resource = resourceFromAttributes({
  "service.name": "checkout",
  "service.namespace": "shop",
  "service.instance.id": "i-1",
  "host.name": "h-1",
  "cpu.count": 8,
  ratio: 0.25,
  spot: true,
  zones: ["a", "b"]
})

type Compression = ConstructorParameters<typeof JsonMetrics>[0] extends (infer Config) | undefined
  ? Config extends { compression?: infer C }
    ? C
    : never
  : never

const gzip = "gzip" as Compression

type MetricsExporter = JsonMetrics | ProtoMetrics

type LogsExporter = JsonLogs | ProtoLogs

/** Every kind of instrument, once. */
const exportMetrics = async (exporter: MetricsExporter): Promise<void> => {
  const provider = new MeterProvider({
    resource,
    readers: [new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 })]
  })
  const meter = provider.getMeter("conformance", "1.0.0")
  meter.createCounter("requests", { unit: "1", description: "requests taken" }).add(3, { path: "/a", ok: true })
  meter.createUpDownCounter("open").add(-2)
  meter.createGauge("load").record(0.75, { core: 1 })
  const histogram = meter.createHistogram("latency", { unit: "ms" })
  for (const value of [1, 20, 300, 4000]) histogram.record(value)
  await provider.shutdown()
}

const exportLogs = async (exporter: LogsExporter): Promise<void> => {
  const provider = new LoggerProvider({ resource, processors: [new BatchLogRecordProcessor({ exporter })] })
  const logger = provider.getLogger("conformance", "1.0.0")
  const timestamp = 1_718_372_400_123
  logger.emit({
    timestamp,
    severityNumber: 17,
    severityText: "ERROR",
    body: "disk full: äöü 𝄞",
    attributes: { disk: 3 }
  })
  logger.emit({ timestamp, severityNumber: 9, body: "hello" })
  logger.emit({
    timestamp,
    severityNumber: 21,
    body: { reason: "halted", codes: [1, -2, 3.5], nested: { deep: true } },
    attributes: { big: 2 ** 40, negative: -7, list: ["x", "y"], flag: false, bytes: new Uint8Array([1, 2, 255]) }
  })
  await provider.shutdown()
}

interface Captured {
  readonly path: string
  readonly media: string
  readonly bytes: Uint8Array
}

/** A server that keeps what it is sent. */
const capture = Effect.acquireRelease(
  Effect.promise(
    () =>
      new Promise<{ readonly url: string; readonly requests: Array<Captured>; readonly stop: () => void }>(
        (resolve) => {
          const requests: Array<Captured> = []
          const server = createServer((request, response) => {
            const chunks: Array<Buffer> = []
            request.on("data", (chunk: Buffer) => chunks.push(chunk))
            request.on("end", () => {
              const media = request.headers["content-type"] ?? ""
              requests.push({ path: request.url ?? "", media, bytes: new Uint8Array(Buffer.concat(chunks)) })
              response.writeHead(200, { "content-type": media }).end(media === "application/json" ? "{}" : undefined)
            })
          })
          server.listen(0, "127.0.0.1", () => {
            const address = server.address()
            const port = typeof address === "object" ? address?.port : undefined
            resolve({ url: `http://127.0.0.1:${port}`, requests, stop: () => server.close() })
          })
        }
      )
  ),
  (server) => Effect.sync(server.stop)
)

/** Protobuf leaves out what has its default value, but for the alternatives of a value: there it is what was said. */
const isDefault = (value: unknown, name: string): boolean =>
  !/^(?:\w+Value|as\w+)$/.test(name) &&
  (value === "" || value === 0 || value === false || (Array.isArray(value) && value.length === 0))

/** Times differ from one export to the next, and JSON writes 64-bit numbers as numbers where protobuf gives text. */
const normalise = (value: unknown, name: string = ""): unknown => {
  if (Array.isArray(value)) return value.map((item) => normalise(item, name))
  if (typeof value === "object" && value !== null) {
    const written = Object.entries(value).filter(([key, item]) => !isDefault(item, key))
    return Object.fromEntries(written.map(([key, item]) => [key, normalise(item, key)]))
  }
  if (name.endsWith("UnixNano")) return "a time"
  return typeof value === "string" && /^-?\d+$/.test(value) ? Number(value) : value
}

const exported = Effect.gen(function* () {
  const { requests, url } = yield* capture
  yield* Effect.promise(async () => {
    await exportMetrics(new JsonMetrics({ url: `${url}/v1/metrics` }))
    await exportMetrics(new ProtoMetrics({ url: `${url}/v1/metrics` }))
    await exportLogs(new JsonLogs({ url: `${url}/v1/logs` }))
    await exportLogs(new ProtoLogs({ url: `${url}/v1/logs` }))
  })
  const of = (path: string, media: string): Uint8Array => {
    const found = requests.find((request) => request.path === path && request.media === media)
    if (found === undefined) throw new Error(`the exporter sent no ${media} to ${path}`)
    return found.bytes
  }
  return {
    metrics: { json: of("/v1/metrics", "application/json"), protobuf: of("/v1/metrics", "application/x-protobuf") },
    logs: { json: of("/v1/logs", "application/json"), protobuf: of("/v1/logs", "application/x-protobuf") }
  }
})

const valueOf = <A>(
  decoded: { readonly ok: true; readonly value: A } | { readonly ok: false; readonly reason: string }
): A => {
  if (!decoded.ok) throw new Error(decoded.reason)
  return decoded.value
}

describe("OTLP from the official exporters", () => {
  it.live("both encodings of metrics and logs decode to equal documents", () =>
    Effect.gen(function* () {
      const sent = yield* exported
      for (const signal of ["metrics", "logs"] as const) {
        const json = valueOf(Otlp.decodeJson(sent[signal].json))
        const protobuf = valueOf(Otlp.decodeProtobuf(signal, sent[signal].protobuf))
        assert.deepStrictEqual(normalise(protobuf), normalise(json), signal)
      }
    }).pipe(Effect.scoped)
  )

  it.live("both encodings name the same publisher, the same items and the same events", () =>
    Effect.gen(function* () {
      const sent = yield* exported
      for (const signal of ["metrics", "logs"] as const) {
        const json = valueOf(Otlp.decode(signal, "json", sent[signal].json))
        const protobuf = valueOf(Otlp.decode(signal, "protobuf", sent[signal].protobuf))
        assert.deepStrictEqual(protobuf, json)
        assert.strictEqual(json.length, 1)
        const [source] = json
        assert.deepStrictEqual([source?.app, source?.instance], ["shop/checkout", "i-1"])
        assert.deepStrictEqual(source?.labels, { "host.name": "h-1" })
      }
      const [metrics] = valueOf(Otlp.decode("metrics", "json", sent.metrics.json))
      assert.strictEqual(metrics?.items, 4)
      const [logs] = valueOf(Otlp.decode("logs", "protobuf", sent.logs.protobuf))
      assert.strictEqual(logs?.items, 3)
      assert.deepStrictEqual(
        logs?.errors.map((error) => [error.severity, error.attributes["timestamp"]]),
        [
          ["error", "2024-06-14T13:40:00.123Z"],
          ["fatal", "2024-06-14T13:40:00.123Z"]
        ]
      )
      assert.strictEqual(logs?.errors[0]?.body, "disk full: äöü 𝄞")
      assert.deepStrictEqual(JSON.parse(logs?.errors[1]?.body ?? ""), {
        reason: "halted",
        codes: [1, -2, 3.5],
        nested: { deep: true }
      })
      assert.deepInclude(logs?.errors[1]?.attributes, {
        big: 2 ** 40,
        negative: -7,
        list: '["x","y"]',
        flag: false,
        bytes: "AQL/"
      })
    }).pipe(Effect.scoped)
  )

  it.live("mutated bytes are taken or refused with a reason, and nothing is thrown", () =>
    Effect.gen(function* () {
      const sent = yield* exported
      const change = fc.record({
        at: fc.nat(),
        byte: fc.nat(255),
        drop: fc.nat(3),
        insert: fc.uint8Array({ maxLength: 4 })
      })
      for (const signal of ["metrics", "logs"] as const) {
        for (const encoding of ["json", "protobuf"] as const) {
          const original = sent[signal][encoding]
          fc.assert(
            fc.property(fc.array(change, { minLength: 1, maxLength: 8 }), fc.nat(original.length), (changes, cut) => {
              const bytes = [...original.subarray(0, original.length - (cut % 64))]
              for (const { at, byte, drop, insert } of changes) {
                const index = at % bytes.length
                bytes.splice(index, drop, ...insert)
                bytes[index] = byte
              }
              const decoded = Otlp.decode(signal, encoding, Uint8Array.from(bytes))
              assert.isTrue(decoded.ok || decoded.reason.length > 0)
            })
          )
        }
      }
    }).pipe(Effect.scoped)
  )

  it.live("an unmodified exporter is a publisher, compressed or not", () =>
    Effect.gen(function* () {
      const fake = yield* FakeAgent.make
      const app = Otlp.layer().pipe(
        Layer.provide(Layer.succeed(Agent.Agent, fake.agent)),
        Layer.provideMerge(
          NodeHttpServer.layer(createServer, { port: 0, host: "127.0.0.1", gracefulShutdownTimeout: 100 })
        )
      )
      yield* Effect.gen(function* () {
        const server = yield* HttpServer.HttpServer
        const url = HttpServer.formatAddress(server.address)
        yield* Effect.promise(async () => {
          await exportMetrics(new JsonMetrics({ url: `${url}/v1/metrics`, compression: gzip }))
          await exportMetrics(new ProtoMetrics({ url: `${url}/v1/metrics` }))
          await exportLogs(new JsonLogs({ url: `${url}/v1/logs` }))
          await exportLogs(new ProtoLogs({ url: `${url}/v1/logs`, compression: gzip }))
        })
      }).pipe(Effect.provide(app))
      const published = fake.calls.filter((call) => typeof call === "object" && call !== null && "published" in call)
      const events = fake.calls.filter((call) => typeof call === "object" && call !== null && "sendEvent" in call)
      assert.strictEqual(published.length, 4)
      assert.strictEqual(events.length, 4)
      assert.deepStrictEqual(published[0], {
        published: { app: "shop/checkout", instance: "i-1", signal: "metrics", labels: { "host.name": "h-1" } }
      })
    }).pipe(Effect.scoped)
  )
})

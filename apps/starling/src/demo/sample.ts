/**
 * A sample application of the demo: instrumented with the official OpenTelemetry SDK, knowing nothing of Starling but
 * the address of an OTLP endpoint.
 *
 * `sample.ts NAME INSTANCE OTLP`: counts orders, exports every second, and logs each line of its input as an error.
 */
import { OTLPLogExporter } from "@opentelemetry/exporter-logs-otlp-http"
import { OTLPMetricExporter } from "@opentelemetry/exporter-metrics-otlp-http"
import { resourceFromAttributes } from "@opentelemetry/resources"
import { LoggerProvider, SimpleLogRecordProcessor } from "@opentelemetry/sdk-logs"
import { MeterProvider, PeriodicExportingMetricReader } from "@opentelemetry/sdk-metrics"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Effect from "effect/Effect"
import * as Stdio from "effect/Stdio"
import * as Stream from "effect/Stream"
import process from "node:process"

/** ERROR in the OpenTelemetry log data model. */
const severityError = 17

const program = Effect.gen(function* () {
  const [name = "sample", instance = "1", otlp = "http://127.0.0.1:4318"] = process.argv.slice(2)
  const resource = resourceFromAttributes({ "service.name": name, "service.instance.id": instance })
  const meters = new MeterProvider({
    resource,
    readers: [
      new PeriodicExportingMetricReader({
        exporter: new OTLPMetricExporter({ url: `${otlp}/v1/metrics` }),
        exportIntervalMillis: 1000
      })
    ]
  })
  const logs = new LoggerProvider({
    resource,
    processors: [new SimpleLogRecordProcessor({ exporter: new OTLPLogExporter({ url: `${otlp}/v1/logs` }) })]
  })
  const orders = meters.getMeter("sample").createCounter("orders")
  const logger = logs.getLogger("sample")
  yield* Effect.sync(() => orders.add(1)).pipe(
    Effect.andThen(Effect.sleep("200 millis")),
    Effect.forever,
    Effect.forkScoped
  )
  yield* Effect.promise(() => meters.forceFlush())
  const { stdin } = yield* Stdio.Stdio
  yield* stdin.pipe(
    Stream.decodeText,
    Stream.splitLines,
    Stream.runForEach((body) =>
      Effect.sync(() => logger.emit({ severityNumber: severityError, severityText: "ERROR", body }))
    ),
    Effect.ignore
  )
})

// The demo's pipe closing is the sign to end; a Ctrl-C in the terminal is meant for the demo.
process.on("SIGINT", () => undefined)

program.pipe(
  Effect.scoped,
  Effect.provide(NodeServices.layer),
  Effect.andThen(Effect.sync(() => process.exit(0))),
  NodeRuntime.runMain({ disableErrorReporting: true })
)

import * as Agent from "@starling/agent/Agent"
import { Counters, Otlp } from "@starling/api"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as Layer from "effect/Layer"
import * as fc from "fast-check"
import { gzipSync } from "node:zlib"
import * as FakeAgent from "./fakeAgent.ts"

const text = (key: string, value: string) => ({ key, value: { stringValue: value } })

const resource = { attributes: [text("service.name", "checkout"), text("service.instance.id", "i-1")] }

const logs = (...logRecords: ReadonlyArray<unknown>) => ({ resourceLogs: [{ resource, scopeLogs: [{ logRecords }] }] })

const metrics = (attributes: ReadonlyArray<unknown>, points = 1) => ({
  resourceMetrics: [
    {
      resource: { attributes },
      scopeMetrics: [{ metrics: [{ name: "n", sum: { dataPoints: Array.from({ length: points }, () => ({})) } }] }]
    }
  ]
})

const serve = Effect.gen(function* () {
  const fake = yield* FakeAgent.make
  const counters = Counters.make()
  const { dispose, handler } = HttpRouter.toWebHandler(
    Otlp.routes({ allowedHosts: [] }).pipe(
      Layer.provide(Layer.succeed(Agent.Agent, fake.agent)),
      Layer.provide(Layer.succeed(Counters.Counters, counters))
    ),
    { disableLogger: true }
  )
  yield* Effect.addFinalizer(() => Effect.promise(dispose))
  const send = (
    path: string,
    body: string | Uint8Array<ArrayBuffer> | undefined,
    headers: Record<string, string> = {},
    method: string = "POST"
  ) =>
    Effect.promise(async () => {
      const response = await handler(
        new Request(`http://127.0.0.1:4318${path}`, {
          method,
          headers: { "content-type": "application/json", ...headers },
          ...(body === undefined ? {} : { body })
        })
      )
      const bytes = new Uint8Array(await response.arrayBuffer())
      const isJson = response.headers.get("content-type") === "application/json"
      const json: Record<string, unknown> = isJson ? JSON.parse(new TextDecoder().decode(bytes)) : {}
      return { status: response.status, headers: response.headers, bytes, json }
    })
  return { fake, counters, send, post: (path: string, body: unknown) => send(path, JSON.stringify(body)) }
})

const sourceOf = (attributes: ReadonlyArray<unknown>): Otlp.Source => {
  const decoded = Otlp.decode("metrics", "json", new TextEncoder().encode(JSON.stringify(metrics(attributes))))
  assert.isTrue(decoded.ok)
  const source = decoded.ok ? decoded.value[0] : undefined
  if (source === undefined) throw new Error("no source")
  return source
}

describe("taking in", () => {
  it.live("each resource is published with its signal, and its errors become events in order", () =>
    Effect.gen(function* () {
      const { counters, fake, post } = yield* serve
      const record = {
        timeUnixNano: "1718372400123000000",
        severityNumber: 17,
        body: { stringValue: "disk full" },
        traceId: "0af7651916cd43dd8448eb211c80319c",
        attributes: [
          { key: "disk", value: { intValue: "3" } },
          { key: "ratio", value: { doubleValue: 0.99 } },
          { key: "sure", value: { boolValue: true } },
          { key: "tags", value: { arrayValue: { values: [{ stringValue: "a" }, { intValue: 2 }] } } }
        ]
      }
      const answer = yield* post(
        "/v1/logs",
        logs(record, { severityNumber: 9, body: { stringValue: "hello" } }, { severityNumber: 21, eventName: "halted" })
      )
      assert.deepStrictEqual([answer.status, answer.json], [200, {}])
      assert.deepStrictEqual(fake.calls, [
        { published: { app: "checkout", instance: "i-1", signal: "logs", labels: {} } },
        {
          sendEvent: {
            app: "checkout",
            severity: "error",
            body: "disk full",
            attributes: {
              timestamp: "2024-06-14T13:40:00.123Z",
              trace_id: "0af7651916cd43dd8448eb211c80319c",
              disk: 3,
              ratio: 0.99,
              sure: true,
              tags: '["a",2]'
            }
          }
        },
        {
          sendEvent: { app: "checkout", severity: "fatal", body: "halted", attributes: { event_name: "halted" } }
        }
      ])
      assert.deepInclude(counters.read(), { otlp_requests: 1, otlp_log_records: 3, otlp_events: 2 })
    }).pipe(Effect.scoped)
  )

  it.live("metrics and traces are taken, compressed or not, and an empty request is none", () =>
    Effect.gen(function* () {
      const { counters, fake, post, send } = yield* serve
      const attributes = [text("service.name", "checkout"), text("service.namespace", "shop"), text("host.name", "h1")]
      const zipped = new Uint8Array(gzipSync(JSON.stringify(metrics(attributes, 3))))
      assert.strictEqual((yield* send("/v1/metrics", zipped, { "content-encoding": "gzip" })).status, 200)
      yield* post("/v1/traces", { resourceSpans: [{ resource, scopeSpans: [{ spans: [{}, {}] }] }] })
      const empty = yield* send("/v1/metrics", new Uint8Array(0), { "content-type": "application/x-protobuf" })
      assert.deepStrictEqual([empty.status, empty.bytes.length], [200, 0])
      assert.strictEqual(empty.headers.get("content-type"), "application/x-protobuf")
      assert.strictEqual(fake.calls.length, 2)
      assert.deepInclude(counters.read(), { otlp_data_points: 3, otlp_spans: 2 })
    }).pipe(Effect.scoped)
  )

  it("a resource names its application, its instance and where it runs", () => {
    const named = sourceOf([
      text("service.name", "checkout"),
      text("service.namespace", "shop"),
      text("host.name", "h1"),
      text("secret.token", "x")
    ])
    assert.strictEqual(named.app, "shop/checkout")
    assert.match(named.instance, /^h1-[0-9a-f]{8}$/)
    assert.deepStrictEqual(named.labels, { "host.name": "h1" })
    assert.strictEqual(sourceOf([]).app, "unknown_service")
    assert.isAtMost(sourceOf([text("service.name", "x".repeat(1000))]).app.length, 256)
  })

  it("an instance without a name is the same after a restart, and another one elsewhere", () => {
    const at = (host: string, pid: string) =>
      sourceOf([text("host.name", host), text("process.pid", pid), text("service.name", "a")]).instance
    assert.strictEqual(at("h1", "17"), at("h1", "99"))
    assert.notStrictEqual(at("h1", "17"), at("h2", "17"))
  })

  it("what an event carries is bounded", () => {
    const attributes = Array.from({ length: 100 }, (_, index) => text(`k${index}`, "v".repeat(5000)))
    const body = { stringValue: "b".repeat(100_000) }
    const bytes = new TextEncoder().encode(JSON.stringify(logs({ severityNumber: 17, body, attributes })))
    const decoded = Otlp.decode("logs", "json", bytes)
    const error = decoded.ok ? decoded.value[0]?.errors[0] : undefined
    assert.strictEqual(error?.body.length, 4096)
    assert.strictEqual(Object.keys(error?.attributes ?? {}).length, 32)
    assert.strictEqual(String(error?.attributes["k0"]).length, 1024)
  })
})

describe("taking in part", () => {
  it.live("what the agent refuses is rejected and counted, the request is not", () =>
    Effect.gen(function* () {
      const { counters, fake, send } = yield* serve
      fake.failure = new Agent.InvalidInput({ where: "app", message: "too long" })
      const answer = yield* send("/v1/metrics", JSON.stringify(metrics([text("service.name", "a")], 5)))
      assert.strictEqual(answer.status, 200)
      assert.deepStrictEqual(answer.json, {
        partialSuccess: { rejectedDataPoints: "5", errorMessage: "a: app: too long" }
      })
      assert.strictEqual(counters.read()["otlp_rejected_items"], 5)
    }).pipe(Effect.scoped)
  )

  it.live("more errors than one request may record are rejected, the first ones are not", () =>
    Effect.gen(function* () {
      const { fake, post } = yield* serve
      const errors = Array.from({ length: 1003 }, () => ({ severityNumber: 17 }))
      const { json, status } = yield* post("/v1/logs", logs(...errors))
      assert.strictEqual(status, 200)
      assert.strictEqual((json["partialSuccess"] as Record<string, unknown>)["rejectedLogRecords"], "3")
      assert.strictEqual(fake.calls.length, 1001)
    }).pipe(Effect.scoped)
  )

  it.live("an agent that cannot take it now says when to come again", () =>
    Effect.gen(function* () {
      const { counters, fake, post } = yield* serve
      fake.failure = new Agent.Unavailable({ message: "stopping" })
      const answer = yield* post("/v1/logs", logs({ severityNumber: 17 }))
      assert.deepStrictEqual([answer.status, answer.json], [503, { code: 14, message: "stopping" }])
      assert.strictEqual(answer.headers.get("retry-after"), "1")
      assert.strictEqual(counters.read()["otlp_unavailable"], 1)
    }).pipe(Effect.scoped)
  )
})

describe("refusing", () => {
  it.live("malformed requests are 400 with a status in their own encoding, and counted", () =>
    Effect.gen(function* () {
      const { counters, fake, send } = yield* serve
      const cases: ReadonlyArray<readonly [path: string, body: string, why: RegExp]> = [
        ["/v1/logs", "{", /not JSON/],
        ["/v1/logs", "[]", /expected an object/],
        ["/v1/logs", '{"resourceLogs":{}}', /resourceLogs: expected a list/],
        ["/v1/metrics", '{"resourceMetrics":[1]}', /list of objects/],
        ["/v1/metrics", '{"resourceMetrics":[{"resource":{"attributes":[{"value":{}}]}}]}', /attributes\.key/],
        ["/v1/logs", JSON.stringify(logs({ severityNumber: "high" })), /severityNumber/],
        ["/v1/logs", JSON.stringify(logs({ body: "plain" })), /logRecords\.body/],
        ["/v1/logs", JSON.stringify(logs({ body: { intValue: "1.5" } })), /intValue: expected an integer/]
      ]
      for (const [path, body, why] of cases) {
        const answer = yield* send(path, body)
        assert.strictEqual(answer.status, 400, body)
        assert.strictEqual(answer.json["code"], 3)
        assert.match(String(answer.json["message"]), why)
      }
      const proto = yield* send("/v1/logs", Uint8Array.of(0x0a, 0xff), { "content-type": "application/x-protobuf" })
      assert.deepStrictEqual([proto.status, proto.headers.get("content-type")], [400, "application/x-protobuf"])
      // google.rpc.Status: field 1 is 3, INVALID_ARGUMENT; field 2 is the message.
      assert.deepStrictEqual([...proto.bytes.subarray(0, 3)], [0x08, 0x03, 0x12])
      assert.include(new TextDecoder().decode(proto.bytes), "malformed logs request")
      const invalid = yield* send("/v1/logs", Uint8Array.of(0x7b, 0xff, 0x7d))
      assert.match(String(invalid.json["message"]), /not UTF-8/)
      const damaged = yield* send("/v1/logs", Uint8Array.of(1, 2, 3), { "content-encoding": "gzip" })
      assert.strictEqual(damaged.status, 400)
      assert.strictEqual(counters.read()["otlp_refused_malformed"], cases.length + 3)
      assert.deepStrictEqual(fake.calls, [])
    }).pipe(Effect.scoped)
  )

  it.live("other paths, methods, media, compressions, sizes and origins are refused with what would be right", () =>
    Effect.gen(function* () {
      const { fake, send } = yield* serve
      const bomb = new Uint8Array(gzipSync(new Uint8Array(17 * 1024 * 1024)))
      const cases = [
        [yield* send("/v1/log", "{}"), 404, /\/v1\/logs/],
        [yield* send("/v1/logs", undefined, {}, "GET"), 405, /only POST/],
        [yield* send("/v1/logs", "{}", { "content-type": "text/plain" }), 415, /application\/x-protobuf/],
        [yield* send("/v1/logs", "{}", { "content-encoding": "zstd" }), 415, /gzip/],
        [yield* send("/v1/logs", bomb, { "content-encoding": "gzip" }), 413, /larger than/],
        [yield* send("/v1/logs", "{}", { host: "127.0.0.1:4318", origin: "https://evil.example" }), 403, /evil/],
        [yield* send("/v1/logs", "{}", { host: "evil.example:4318" }), 403, /evil/]
      ] as const
      for (const [answer, status, why] of cases) {
        assert.strictEqual(answer.status, status)
        assert.match(String(answer.json["message"]), why)
      }
      assert.deepStrictEqual(fake.calls, [])
    }).pipe(Effect.scoped)
  )
})

describe("decoding", () => {
  const signal = fc.constantFrom("metrics" as const, "logs" as const, "traces" as const)

  it("no bytes make either decoder throw", () => {
    fc.assert(
      fc.property(
        signal,
        fc.constantFrom("json" as const, "protobuf" as const),
        fc.uint8Array({ maxLength: 64 }),
        (s, e, bytes) => {
          const decoded = Otlp.decode(s, e, bytes)
          assert.isTrue(decoded.ok || decoded.reason.length > 0)
        }
      )
    )
  })

  it("no JSON makes the reader throw", () => {
    fc.assert(
      fc.property(signal, fc.json(), (s, json) => {
        const wrapped = `{"resourceLogs":[{"resource":{"attributes":${json}},"scopeLogs":${json}}],"resourceMetrics":${json}}`
        assert.isDefined(Otlp.decode(s, "json", new TextEncoder().encode(wrapped)).ok)
      })
    )
  })

  it("messages nested without end are refused, not followed", () => {
    const wrap = (tag: number, inner: ReadonlyArray<number>): ReadonlyArray<number> => [
      tag,
      ...(inner.length < 128 ? [inner.length] : [(inner.length & 127) | 128, inner.length >> 7]),
      ...inner
    ]
    // An AnyValue whose arrayValue holds an AnyValue, sixty levels down.
    const nested = Array.from({ length: 60 }, (_, depth) => (depth % 2 === 0 ? 0x0a : 0x2a))
    const record = wrap(
      0x2a,
      nested.reduce<ReadonlyArray<number>>((inner, tag) => wrap(tag, inner), [])
    )
    const decoded = Otlp.decode("logs", "protobuf", Uint8Array.from(wrap(0x0a, wrap(0x12, wrap(0x12, record)))))
    assert.deepStrictEqual(
      [decoded.ok, decoded.ok ? "" : decoded.reason.replace(/^\w+: /, "")],
      [false, "nested more than 32 deep"]
    )
  })

  it("a singular message that comes twice is merged, a packed list and a loose one are the same", () => {
    const attribute = [0x0a, 0x07, 0x0a, 0x01, 0x61, 0x12, 0x02, 0x10, 0x01]
    const half = [0x0a, attribute.length, ...attribute]
    const decoded = Otlp.decodeProtobuf("logs", Uint8Array.from([0x0a, half.length * 2, ...half, ...half]))
    assert.deepStrictEqual(decoded.ok ? decoded.value : decoded.reason, {
      resourceLogs: [
        {
          resource: {
            attributes: [
              { key: "a", value: { boolValue: true } },
              { key: "a", value: { boolValue: true } }
            ]
          }
        }
      ]
    })
  })
})

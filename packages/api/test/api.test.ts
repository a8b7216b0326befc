import * as Agent from "@starling/agent/Agent"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { node, rolloutNode } from "./fakeAgent.ts"
import { serve } from "./serving.ts"

const jsonOf = (value: unknown): string => JSON.stringify(value)

describe("asking", () => {
  it.live("every list answers with the view and its items", () =>
    Effect.gen(function* () {
      const { ask } = yield* serve()
      for (const [path, items] of [
        ["/v1/status", 1],
        ["/v1/nodes", 2],
        ["/v1/nodes?selector=role%3Dedge", 2],
        ["/v1/publishers?app=shop%2Fcheckout&state=stale", 1],
        ["/v1/offline", 2],
        ["/v1/events", 0],
        ["/v1/config", 0],
        ["/v1/peers", 1],
        ["/v1/tree", 1],
        ["/v1/clock", 1]
      ] as const) {
        const answer = yield* ask("GET", path)
        assert.strictEqual(answer.status, 200, `${path}: ${answer.text}`)
        assert.strictEqual((answer.json["items"] as ReadonlyArray<unknown>).length, items, path)
        assert.strictEqual((answer.json["view"] as { node: string }).node, "fra-1", path)
      }
    }).pipe(Effect.scoped)
  )

  it.live("the client reads what the server says", () =>
    Effect.gen(function* () {
      const { client, fake } = yield* serve()
      assert.strictEqual((yield* client.status).items[0]?.counts.offline, 1)
      assert.strictEqual((yield* client.nodes({ selector: "role=edge" })).items.length, 2)
      assert.strictEqual((yield* client.publishers({ state: "stale" })).items[0]?.app, "shop/checkout")
      assert.deepStrictEqual(
        (yield* client.offline).items.map((item) => item.kind),
        ["node", "publisher"]
      )
      assert.strictEqual((yield* client.peers).items[0]?.linkId, 1)
      assert.strictEqual((yield* client.tree).items[0]?.path, "agent/components/clock")
      const sent = yield* client.sendEvent({ body: "disk full", severity: "error", app: "db" })
      assert.strictEqual(sent.items[0]?.body, "disk full")
      const { items } = yield* client.events({ severity: "error", sinceMs: 300_000, limit: 5, node: "fra-1" })
      assert.strictEqual(items[0]?.id, sent.items[0]?.id)
      assert.deepStrictEqual(fake.calls.at(-1), {
        events: { severity: "error", sinceMs: 300_000, limit: 5, node: "fra-1" }
      })
    }).pipe(Effect.scoped)
  )

  it.live("the epoch of the clock is left once, however many ask for it", () =>
    Effect.gen(function* () {
      const { ask, client } = yield* serve()
      assert.strictEqual((yield* client.clock).items[0]?.offsetMs, 10_800_000)
      assert.strictEqual((yield* client.resetClock(0)).items[0]?.epoch, 1)
      const problem = yield* Effect.flip(client.resetClock(0))
      assert.strictEqual(problem._tag === "Problem" && problem.status, 400)
      assert.include(problem.message, "epoch 1")
      const malformed = yield* ask("POST", "/v1/clock/reset", JSON.stringify({ epoch: 65_536 }))
      assert.strictEqual(malformed.status, 400)
      assert.include(malformed.text, "body.epoch")
    }).pipe(Effect.scoped)
  )

  it.live("liveness, readiness and metrics are plain text", () =>
    Effect.gen(function* () {
      const { ask, fake } = yield* serve()
      assert.strictEqual((yield* ask("GET", "/livez")).text, "ok\n")
      assert.strictEqual((yield* ask("GET", "/readyz")).status, 200)
      const { headers, text } = yield* ask("GET", "/metrics")
      assert.match(headers.get("content-type") ?? "", /^text\/plain; version=0\.0\.4/)
      assert.match(text, /^starling_nodes\{state="offline"\} 1$/m)
      assert.match(text, /^starling_publishers\{state="stale"\} 1$/m)
      assert.match(text, /^starling_frames_refused_total 3$/m)
      assert.match(text, /^starling_clock_clamped_total 1$/m)
      assert.match(text, /^starling_api_requests_total 3$/m)
      fake.fleet = [...fake.fleet, node("ams-1", "c1b2c3d4e5f6")]
      const notReady = yield* ask("GET", "/readyz")
      assert.strictEqual(notReady.status, 503)
      assert.match(String(notReady.json["detail"]), /none is linked/)
    }).pipe(Effect.scoped)
  )

  it.live("the OpenAPI document names every path of the typed API", () =>
    Effect.gen(function* () {
      const { ask } = yield* serve()
      const { json } = yield* ask("GET", "/v1/openapi.json")
      const paths = Object.keys(json["paths"] as object)
      for (const path of [
        "/v1/status",
        "/v1/config/{key}",
        "/v1/config/{key}/rollout",
        "/v1/watch",
        "/v1/debug/crash"
      ]) {
        assert.include(paths, path)
      }
    }).pipe(Effect.scoped)
  )
})

describe("configuration", () => {
  it.live("a key with a slash travels as one segment, through the client and back", () =>
    Effect.gen(function* () {
      const { ask, client, fake } = yield* serve()
      const answer = yield* client.setConfig("sampling/rate", { value: "0.1", selector: "role=edge", author: "ana" })
      assert.strictEqual(answer.outcome, "converged")
      assert.strictEqual(answer.targeted, 2)
      assert.strictEqual(answer.items[0]?.nodes.length, 2)
      assert.strictEqual(answer.wait, null)
      assert.deepStrictEqual(fake.calls, [
        { setConfig: { key: "sampling/rate", value: "0.1", selector: "role=edge", author: "ana", note: "" } }
      ])
      assert.strictEqual((yield* client.configEntry("sampling/rate")).items[0]?.value, "0.1")
      assert.strictEqual((yield* client.rollout("sampling/rate")).items[0]?.key, "sampling/rate")
      assert.strictEqual((yield* client.configHistory("sampling/rate")).items.length, 1)
      assert.strictEqual((yield* client.config).items.length, 1)
      assert.strictEqual((yield* ask("GET", "/v1/config/sampling%2Frate")).status, 200)
      const bare = yield* ask("GET", "/v1/config/sampling/rate")
      assert.strictEqual(bare.status, 404)
      assert.match(String(bare.json["detail"]), /sampling%2Frate/)
    }).pipe(Effect.scoped)
  )

  it.live("a key of 255 characters is looked up, whatever it is made of", () =>
    Effect.gen(function* () {
      const { ask } = yield* serve()
      const missing = yield* ask("GET", `/v1/config/${"%2F".repeat(255)}`)
      assert.strictEqual(missing.json["type"], "urn:starling:problem:not-found")
    }).pipe(Effect.scoped)
  )

  it.live("a deleted key is gone, and deleting it again says so", () =>
    Effect.gen(function* () {
      const { client } = yield* serve()
      yield* client.setConfig("k", { value: "1" })
      const deleted = yield* client.deleteConfig("k", { author: "ana", note: "no longer" })
      assert.strictEqual(deleted.items[0]?.operation, "delete")
      const asked = [client.configEntry("k"), client.deleteConfig("k"), Effect.asVoid(client.rollout("never"))]
      for (const gone of asked.map(Effect.asVoid)) {
        const error = yield* Effect.flip(gone)
        assert.strictEqual(error._tag, "Problem")
        if (error._tag === "Problem") assert.strictEqual(error.status, 404)
      }
    }).pipe(Effect.scoped)
  )

  it.live("an application reports what it did with an entry", () =>
    Effect.gen(function* () {
      const { client, fake } = yield* serve()
      yield* client.reportConfig("a/b", { revision: "rev-1", status: "failed", reason: "no space" })
      assert.deepStrictEqual(fake.calls, [
        { reportConfig: { key: "a/b", revision: "rev-1", status: "failed", reason: "no space" } }
      ])
    }).pipe(Effect.scoped)
  )
})

describe("waiting for a change", () => {
  const set = (
    wait: "received" | "applied",
    nodes: ReadonlyArray<ReturnType<typeof rolloutNode>>,
    timeoutMs = 30_000
  ) =>
    Effect.gen(function* () {
      const { client, fake } = yield* serve()
      fake.nodes = nodes
      return yield* client.setConfig("k", { value: "1" }, { wait, timeoutMs })
    }).pipe(Effect.scoped)

  it.live("it ends as converged when the last node has received it", () =>
    Effect.gen(function* () {
      const { client, fake } = yield* serve()
      fake.nodes = [rolloutNode("fra-1", "received"), rolloutNode("fra-2", "not-received")]
      fake.afterRollout = Effect.suspend(() => {
        fake.nodes = [rolloutNode("fra-1", "received"), rolloutNode("fra-2", "applied")]
        return fake.signal
      })
      const answer = yield* client.setConfig("k", { value: "1" }, { wait: "received" })
      assert.deepStrictEqual([answer.outcome, answer.reason, answer.wait], ["converged", "", "received"])
    }).pipe(Effect.scoped)
  )

  it.live("a node that failed or rejected it ends the wait as failed, before anything else", () =>
    Effect.gen(function* () {
      const answer = yield* set("received", [
        rolloutNode("fra-1", "unreachable"),
        rolloutNode("fra-2", "not-received"),
        rolloutNode("fra-3", "rejected", "not a number")
      ])
      assert.deepStrictEqual([answer.outcome, answer.reason], ["failed", "1 rejected (fra-3: not a number)"])
    })
  )

  it.live("nothing that acts on the key ends a wait for applied at once, with that reason", () =>
    Effect.gen(function* () {
      const answer = yield* set("applied", [
        rolloutNode("fra-1", "applied"),
        rolloutNode("fra-2", "received", "nothing here acts on it")
      ])
      assert.deepStrictEqual(
        [answer.outcome, answer.reason],
        ["pending", "1 received (fra-2: nothing here acts on it)"]
      )
    })
  )

  it.live("offline nodes end it as pending, unreachable ones as incomplete", () =>
    Effect.gen(function* () {
      const offline = yield* set("received", [rolloutNode("fra-1", "received"), rolloutNode("fra-2", "offline")])
      assert.strictEqual(offline.outcome, "pending")
      const cut = yield* set("received", [rolloutNode("fra-1", "offline"), rolloutNode("fra-2", "unreachable")])
      assert.strictEqual(cut.outcome, "incomplete")
    })
  )

  it.live("what can still change is waited for until time is up", () =>
    Effect.gen(function* () {
      const answer = yield* set("applied", [rolloutNode("fra-1", "applying"), rolloutNode("fra-2", "received")], 50)
      assert.deepStrictEqual([answer.outcome, answer.reason], ["pending", "1 applying (fra-1); 1 received (fra-2)"])
    })
  )

  it.live("an unreachable data centre is no convergence", () =>
    Effect.gen(function* () {
      const { client, fake } = yield* serve()
      fake.datacenters = [{ datacenter: "ams", nodes: 3, alive: 0, state: "unreachable", lastHeardSeconds: 40 }]
      const answer = yield* client.setConfig("k", { value: "1" }, { wait: "received" })
      assert.deepStrictEqual([answer.outcome, answer.reason], ["incomplete", "data centre ams is unreachable"])
    }).pipe(Effect.scoped)
  )

  it.live("the end of the server ends it", () =>
    Effect.gen(function* () {
      const { client, close, fake } = yield* serve()
      fake.nodes = [rolloutNode("fra-1", "not-received")]
      fake.afterRollout = close
      const answer = yield* client.setConfig("k", { value: "1" }, { wait: "received", timeoutMs: 3_600_000 })
      assert.strictEqual(answer.outcome, "pending")
    }).pipe(Effect.scoped)
  )
})

describe("debug", () => {
  it.live("faults on purpose answer what they did", () =>
    Effect.gen(function* () {
      const { client, fake } = yield* serve()
      const { items, view } = yield* client.crash("clock", "acting")
      assert.deepStrictEqual(items, [{ component: "clock", at: "acting" }])
      assert.isNotEmpty(view.datacenters)
      const { count, ids } = yield* client.broadcast(40)
      assert.strictEqual(count, 40)
      assert.strictEqual(new Set(ids).size, 40)
      assert.strictEqual((yield* client.delivered).total, 40)
      assert.deepStrictEqual((yield* client.cut("fra")).cut, ["fra"])
      assert.deepStrictEqual((yield* client.heal()).cut, [])
      assert.deepStrictEqual(fake.calls[0], { crash: { component: "clock", at: "acting" } })
    }).pipe(Effect.scoped)
  )

  it.live("an agent without debug refuses all of them and says how to allow them", () =>
    Effect.gen(function* () {
      const { client, fake } = yield* serve({ debug: false })
      const refused = [
        Effect.asVoid(client.crash("facts")),
        Effect.asVoid(client.broadcast()),
        Effect.asVoid(client.delivered),
        Effect.asVoid(client.cut("fra")),
        Effect.asVoid(client.heal("fra"))
      ]
      for (const asked of refused) {
        const error = yield* Effect.flip(asked)
        assert.strictEqual(error._tag, "Problem")
        assert.match(error.message, /--debug/)
        if (error._tag === "Problem") assert.strictEqual(error.status, 403)
      }
      assert.deepStrictEqual(fake.calls, [])
    }).pipe(Effect.scoped)
  )
})

describe("watching", () => {
  it.live("a snapshot of each resource comes first, then what is new, changed or gone", () =>
    Effect.gen(function* () {
      const { client, fake } = yield* serve()
      const first = node("fra-1", "a1b2c3d4e5f6")
      const messages = yield* client.watch(["nodes", "events"]).pipe(
        Stream.tap((message) =>
          message.resource === "events" && message.kind === "snapshot"
            ? Effect.andThen(
                Effect.sync(() => {
                  fake.fleet = [{ ...first, state: "offline" }]
                }),
                Effect.orDie(fake.agent.sendEvent({ app: "db", severity: "error", body: "disk full", attributes: {} }))
              ).pipe(Effect.andThen(fake.signal))
            : Effect.void
        ),
        Stream.take(4),
        Stream.runCollect
      )
      assert.deepStrictEqual(
        messages.map(({ kind, resource }) => [resource, kind]),
        [
          ["nodes", "snapshot"],
          ["events", "snapshot"],
          ["nodes", "change"],
          ["events", "change"]
        ]
      )
      const [, , nodes, events] = messages
      assert.isTrue(nodes?.resource === "nodes")
      if (nodes?.resource === "nodes") {
        assert.deepStrictEqual(nodes.items, [{ ...first, state: "offline" }])
        assert.deepStrictEqual(nodes.removed, ["b1b2c3d4e5f6"])
      }
      assert.isTrue(events?.resource === "events" && events.items[0]?.body === "disk full")
    }).pipe(Effect.scoped)
  )

  it.live("only what targets this node is shown to an application that acts here", () =>
    Effect.gen(function* () {
      const { client, fake } = yield* serve()
      yield* client.setConfig("everywhere", { value: "1" })
      yield* client.setConfig("elsewhere", { value: "1", selector: "role=core" })
      const keysHere = client.watch(["config"], { here: true }).pipe(
        Stream.take(1),
        Stream.runCollect,
        Effect.map((messages) => messages.flatMap((m) => (m.resource === "config" ? m.items.map((e) => e.key) : [])))
      )
      assert.deepStrictEqual(yield* keysHere, ["everywhere"])
      fake.nodes = [rolloutNode("fra-1", "received", "", "a1b2c3d4e5f6")]
      assert.deepStrictEqual(yield* keysHere, ["everywhere", "elsewhere"])
    }).pipe(Effect.scoped)
  )

  it.live("server-sent events carry the resource, the message and where to resume", () =>
    Effect.gen(function* () {
      const { client, close, fetch } = yield* serve()
      for (const body of ["first", "second"]) yield* client.sendEvent({ body })
      const { items } = yield* client.events()
      const read = (headers: Record<string, string>) =>
        Effect.promise(async () => {
          const response = await fetch(new Request("http://127.0.0.1/v1/watch?resource=events", { headers }))
          const reader = response.body?.getReader()
          const chunk = await reader?.read()
          return [response.headers.get("content-type"), new TextDecoder().decode(chunk?.value), reader] as const
        })
      const [type, text] = yield* read({})
      assert.match(type ?? "", /^text\/event-stream/)
      assert.include(text, "event: events")
      assert.include(text, `id: ${items[1]?.at}`)
      assert.include(text, "first")
      const [, resumed, reader] = yield* read({ "last-event-id": items[0]?.at ?? "" })
      assert.notInclude(resumed, "first")
      assert.include(resumed, "second")
      yield* close
      const end = yield* Effect.promise(async () => reader?.read())
      assert.isTrue(end?.done)
    }).pipe(Effect.scoped)
  )
})

describe("refusing", () => {
  it.live("every refusal is a problem document that says what and where", () =>
    Effect.gen(function* () {
      const { ask } = yield* serve()
      const cases: ReadonlyArray<
        readonly [
          method: string,
          path: string,
          body: string | undefined,
          headers: Record<string, string>,
          status: number,
          detail: RegExp
        ]
      > = [
        ["GET", "/nothing", undefined, {}, 404, /openapi/],
        ["GET", "/v1/nodez", undefined, {}, 404, /\/v1\/nodez/],
        ["POST", "/v1/nodes", "{}", {}, 405, /only GET/],
        ["DELETE", "/v1/events", undefined, {}, 405, /only GET, POST/],
        ["GET", "/v1/nodes?selector=(", undefined, {}, 400, /selector: at 0/],
        ["GET", "/v1/nodes?sellector=a", undefined, {}, 400, /query\.sellector/],
        ["GET", "/v1/publishers?state=gone", undefined, {}, 400, /query\.state: .*"fresh"/],
        ["GET", "/v1/events?severity=bad", undefined, {}, 400, /query\.severity/],
        ["GET", "/v1/events?limit=0", undefined, {}, 400, /query\.limit/],
        ["GET", "/v1/events?limit=many", undefined, {}, 400, /query\.limit/],
        ["GET", "/v1/events?since=soon", undefined, {}, 400, /query\.since: .*10s/],
        ["GET", "/v1/watch?resource=everything", undefined, {}, 400, /query\.resource/],
        ["GET", "/v1/watch", undefined, {}, 400, /query\.resource/],
        ["PUT", "/v1/config/k?wait=done", '{"value":"1"}', {}, 400, /query\.wait/],
        ["PUT", "/v1/config/k?timeout=99h", '{"value":"1"}', {}, 400, /query\.timeout/],
        ["PUT", "/v1/config/k", "{", {}, 400, /body: .*JSON/],
        ["PUT", "/v1/config/k", '{"value":1}', {}, 400, /body\.value/],
        ["PUT", "/v1/config/k", '{"value":"1","selctor":"a=b"}', {}, 400, /body\.selctor/],
        ["PUT", "/v1/config/k", "value=1", { "content-type": "text/plain" }, 415, /text\/plain.*application\/json/],
        ["PUT", "/v1/config/k", "xx", { "content-encoding": "gzip" }, 415, /gzip/],
        ["POST", "/v1/events", undefined, {}, 415, /none/],
        ["POST", "/v1/events", '{"severity":"error"}', {}, 400, /body\.body/],
        ["POST", "/v1/events", '{"body":"x","attributes":{"a":[]}}', {}, 400, /body\.attributes\.a/],
        ["POST", "/v1/events", jsonOf({ body: "x".repeat(1_100_000) }), {}, 413, /1 MiB/],
        ["POST", "/v1/debug/crash", '{"component":"heart"}', {}, 400, /body\.component/],
        ["POST", "/v1/debug/broadcast", '{"count":100000}', {}, 400, /body\.count/]
      ]
      for (const [method, path, body, headers, status, detail] of cases) {
        const answer = yield* ask(method, path, body, headers)
        const what = `${method} ${path} ${answer.text}`
        assert.strictEqual(answer.status, status, what)
        assert.strictEqual(answer.headers.get("content-type"), "application/problem+json", what)
        assert.strictEqual(answer.json["status"], status, what)
        assert.match(String(answer.json["type"]), /^urn:starling:problem:/, what)
        assert.isString(answer.json["title"], what)
        assert.match(String(answer.json["detail"]), detail, what)
      }
    }).pipe(Effect.scoped)
  )

  it.live("what a browser page of another origin sends is refused, what our own page sends is not", () =>
    Effect.gen(function* () {
      const { ask, counters, fake } = yield* serve({ debug: true, allowedHosts: ["starling.example"] })
      const put = (headers: Record<string, string>) => ask("PUT", "/v1/config/k", '{"value":"1"}', headers)
      for (const headers of [
        { host: "127.0.0.1:7741", origin: "https://evil.example" },
        { host: "127.0.0.1:7741", origin: "null" },
        { host: "127.0.0.1:7741", origin: "http://127.0.0.1:8080" },
        { host: "evil.example:7741", origin: "http://evil.example:7741" },
        { host: "evil.example:7741" },
        { host: "127.0.0.1:7741", "sec-fetch-site": "cross-site" }
      ]) {
        const answer = yield* put(headers)
        assert.strictEqual(answer.status, 403, jsonOf(headers))
        assert.match(String(answer.json["type"]), /foreign-(origin|host)/)
      }
      assert.deepStrictEqual(fake.calls, [])
      assert.strictEqual(counters.read()["api_refused_origin"], 4)
      assert.strictEqual(counters.read()["api_refused_host"], 2)
      for (const headers of [
        { host: "127.0.0.1:7741", origin: "http://127.0.0.1:7741", "sec-fetch-site": "same-origin" },
        { host: "[::1]:7741", origin: "http://[::1]:7741" },
        { host: "localhost:7741" },
        { host: "STARLING.example:7741", origin: "http://starling.example:7741" },
        { host: "10.1.2.3:7741" }
      ]) {
        assert.strictEqual((yield* put(headers)).status, 200, jsonOf(headers))
      }
    }).pipe(Effect.scoped)
  )

  it.live("what the agent refuses is a 400 that says where, what it cannot do now a 503 that says when", () =>
    Effect.gen(function* () {
      const { ask, client, fake } = yield* serve()
      fake.failure = new Agent.InvalidInput({ where: "key", message: "at most 255 characters" })
      const writes = [
        ["PUT", "/v1/config/k", '{"value":"1"}'],
        ["POST", "/v1/config/k/status", '{"revision":"r","status":"applied"}'],
        ["POST", "/v1/events", '{"body":"x"}'],
        ["POST", "/v1/debug/crash", '{"component":"facts"}'],
        ["POST", "/v1/debug/broadcast", "{}"]
      ] as const
      for (const [method, path, body] of writes) {
        const answer = yield* ask(method, path, body)
        assert.strictEqual(answer.status, 400, path)
        assert.strictEqual(answer.json["detail"], "key: at most 255 characters")
      }
      fake.failure = new Agent.Unavailable({ message: "stopping" })
      for (const [method, path, body] of writes) {
        const answer = yield* ask(method, path, body)
        assert.deepStrictEqual([answer.status, answer.headers.get("retry-after")], [503, "1"], path)
      }
      const error = yield* Effect.flip(client.sendEvent({ body: "x" }))
      assert.deepStrictEqual([error._tag, error.message], ["Problem", "stopping"])
    }).pipe(Effect.scoped)
  )

  it.live("an answer that does not fit its schema is a 500 problem, not half a document", () =>
    Effect.gen(function* () {
      const { ask, counters, fake } = yield* serve()
      fake.broken = true
      const answer = yield* ask("GET", "/v1/status")
      assert.strictEqual(answer.status, 500)
      assert.strictEqual(answer.json["type"], "urn:starling:problem:internal")
      assert.strictEqual(counters.read()["api_failed"], 1)
    }).pipe(Effect.scoped)
  )
})

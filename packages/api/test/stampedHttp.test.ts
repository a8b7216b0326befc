import * as Agent from "@starling/agent/Agent"
import { StampedHttp } from "@starling/api"
import { Stamp } from "@starling/clock"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as FakeAgent from "./fakeAgent.ts"

const url = "http://127.0.0.1/"

/** A server whose route answers with the stamp that it was sent, and a client at another node. */
const pair = Effect.gen(function* () {
  const [here, there] = [yield* FakeAgent.make, yield* FakeAgent.make]
  let handled = 0
  const route = HttpRouter.add(
    "GET",
    "/",
    Effect.map(HttpServerRequest.HttpServerRequest, ({ headers }) => {
      handled++
      return HttpServerResponse.text(headers[Stamp.headerName] ?? "none")
    })
  )
  const broken = HttpRouter.add("GET", "/broken", Effect.die(new Error("it broke")))
  const routes = Layer.mergeAll(route, broken, StampedHttp.layer).pipe(
    Layer.provide(Layer.succeed(Agent.Agent, there.agent))
  )
  const { dispose, handler } = HttpRouter.toWebHandler(routes, { disableLogger: true })
  yield* Effect.addFinalizer(() => Effect.promise(dispose))
  const plain = HttpClient.make((request, address, signal) =>
    Effect.map(
      Effect.promise(() => handler(new Request(address, { headers: { ...request.headers }, signal }))),
      (response) => HttpClientResponse.fromWeb(request, response)
    )
  )
  const get = Effect.provideService(StampedHttp.client(plain).get(url), Agent.Agent, here.agent)
  const ask = (headers: Record<string, string>, path: string = "") => plain.get(`${url}${path}`, { headers })
  return { here, there, get, ask, handled: () => handled }
})

const stampIn = (header: string | undefined): Stamp.Stamp => {
  const read = Stamp.fromHeader(header)
  return read.ok ? read.value : assert.fail(read.reason)
}

const far: Stamp.Stamp = { epoch: 0, wall: 10_000_000, counter: 0, node: "b1b2c3d4e5f6" }

describe("StampedHttp", () => {
  it.effect("a request, its answer, and what comes after it are stamped in this order", () =>
    Effect.gen(function* () {
      const { get, here, there } = yield* pair
      const before = yield* here.agent.stamp
      // The server's node is ahead: its answer carries that over.
      yield* there.agent.observe({ ...far, wall: 4000 })
      const answer = yield* get
      const sent = stampIn(yield* answer.text)
      const answered = stampIn(answer.headers[Stamp.headerName])
      const after = yield* here.agent.stamp
      assert.deepStrictEqual(
        [before, sent, answered, after].map(Stamp.toText),
        [before, sent, answered, after].toSorted(Stamp.compare).map(Stamp.toText)
      )
      assert.isAtLeast(after.wall, 4000)
    })
  )

  it.effect("a request without a stamp passes, and its answer bears one", () =>
    Effect.gen(function* () {
      const { ask, handled } = yield* pair
      const answer = yield* ask({})
      assert.deepStrictEqual([answer.status, yield* answer.text, handled()], [200, "none", 1])
      stampIn(answer.headers[Stamp.headerName])
    })
  )

  it.effect("what is no stamp is refused before it is handled", () =>
    Effect.gen(function* () {
      const { ask, handled } = yield* pair
      const answer = yield* ask({ [Stamp.headerName]: "yesterday" })
      const { detail, type } = (yield* answer.json) as Record<string, string>
      assert.deepStrictEqual([answer.status, type, handled()], [400, "urn:starling:problem:stamp", 0])
      assert.include(detail, "dmc header")
    })
  )

  it.effect("so is a stamp beyond what the fleet's time allows, and the clock stays", () =>
    Effect.gen(function* () {
      const { ask, handled, there } = yield* pair
      const answer = yield* ask({ [Stamp.headerName]: Stamp.toHeader(far) })
      assert.deepStrictEqual([answer.status, handled()], [409, 0])
      assert.include(
        ((yield* answer.json) as Record<string, string>)["detail"],
        "look at the clock of node b1b2c3d4e5f6"
      )
      assert.isBelow((yield* there.agent.stamp).wall, far.wall)
    })
  )

  it.effect("an answer with such a stamp is a failure at the client", () =>
    Effect.gen(function* () {
      const { get, there } = yield* pair
      there.wall = far.wall
      const failure = yield* Effect.flip(get)
      if (failure._tag !== "NotFollowed") return assert.fail(failure.message)
      assert.deepStrictEqual([failure.reason._tag, failure.response.status], ["StampRefused", 200])
    })
  )

  it.effect("each hop of a redirect has a stamp of its own, after the answer that led there", () =>
    Effect.gen(function* () {
      const { here } = yield* pair
      const sent: Array<string> = []
      const moving = HttpClient.make((request) =>
        Effect.sync(() => {
          sent.push(request.headers[Stamp.headerName] ?? "none")
          const isFirst = sent.length === 1
          const headers = {
            ...(isFirst && { location: `${url}there` }),
            [Stamp.headerName]: Stamp.toHeader({ ...far, wall: 5000 })
          }
          return HttpClientResponse.fromWeb(request, new Response(null, { status: isFirst ? 307 : 204, headers }))
        })
      )
      const client = StampedHttp.client(moving).pipe(HttpClient.followRedirects())
      yield* Effect.provideService(client.get(url), Agent.Agent, here.agent)
      assert.deepStrictEqual(
        sent.map(stampIn).map(({ wall }) => wall),
        [1000, 5000]
      )
    })
  )

  it.effect("answers of what failed and of what is not there bear stamps too", () =>
    Effect.gen(function* () {
      const { ask } = yield* pair
      const failed = yield* ask({}, "broken")
      const absent = yield* ask({}, "absent")
      assert.deepStrictEqual([failed.status, absent.status], [500, 404])
      for (const { headers } of [failed, absent]) stampIn(headers[Stamp.headerName])
    })
  )

  it.effect("a node that does not know the time answers that it is not available", () =>
    Effect.gen(function* () {
      const unavailable = Effect.fail(new Agent.Unavailable({ message: "not yet" }))
      const fake = yield* FakeAgent.make
      const agent = { ...fake.agent, stamp: unavailable }
      const handle = Effect.sync(() => assert.fail("it was handled"))
      const answer = yield* StampedHttp.middleware(handle).pipe(
        Effect.provideService(Agent.Agent, agent),
        Effect.provideService(HttpServerRequest.HttpServerRequest, HttpServerRequest.fromWeb(new Request(url)))
      )
      assert.strictEqual(answer.status, 503)
    })
  )
})

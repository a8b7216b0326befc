/**
 * Nine real agents in three data centres: what an operator relies on, measured at the HTTP API.
 */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { OTLPMetricExporter } from "@opentelemetry/exporter-metrics-otlp-http"
import { resourceFromAttributes } from "@opentelemetry/resources"
import { MeterProvider, PeriodicExportingMetricReader } from "@opentelemetry/sdk-metrics"
import { type AgentProcess, type Answer, eventually, type NodeItem, start, startFleet, temporary } from "./harness.ts"

interface Publisher {
  readonly app: string
  readonly instance: string
  readonly node: string
  readonly state: string
}

interface Rollout {
  readonly outcome: string
  readonly targeted: number
  readonly received: number
  readonly applied: number
  readonly converged: boolean
}

interface Event {
  readonly body: string
  readonly at: string
}

const folder = temporary()
let fleet: ReadonlyArray<AgentProcess> = []
const at = (index: number): AgentProcess => {
  const agent = fleet[index]
  if (agent === undefined) throw new Error(`no agent ${index}`)
  return agent
}

beforeAll(async () => {
  fleet = await startFleet(folder.path)
}, 60_000)

afterAll(async () => {
  await Promise.all(fleet.map((agent) => agent.kill("SIGKILL")))
  folder.remove()
})

describe("nine agents on loopback", () => {
  it("a configuration change is received by 9 of 9 within 2 s, as soon as nine see nine", async () => {
    const from = performance.now()
    const rollout = await at(4).send<Rollout>("PUT", "/v1/config/sampling%2Frate?wait=received&timeout=5s", {
      value: "0.1"
    })
    assert.strictEqual(rollout.outcome, "converged")
    assert.strictEqual(rollout.targeted, 9)
    assert.strictEqual(rollout.received + rollout.applied, 9)
    assert.isBelow(performance.now() - from, 2000)
    for (const agent of fleet) {
      const entry = await agent.get<{ readonly items?: ReadonlyArray<{ value: string }>; readonly value?: string }>(
        "/v1/config/sampling%2Frate"
      )
      assert.strictEqual(entry.value ?? entry.items?.[0]?.value, "0.1")
    }
  })

  it("a metric of an unmodified OpenTelemetry SDK is a publisher at every other agent within 2 s", async () => {
    const meters = new MeterProvider({
      resource: resourceFromAttributes({ "service.name": "checkout", "service.instance.id": "i-1" }),
      readers: [
        new PeriodicExportingMetricReader({
          exporter: new OTLPMetricExporter({ url: `${at(0).otlp}/v1/metrics` }),
          exportIntervalMillis: 60_000
        })
      ]
    })
    meters.getMeter("test").createCounter("orders").add(1)
    const from = performance.now()
    await meters.forceFlush()
    await Promise.all(
      fleet.map((agent) =>
        eventually(
          `${agent.name} knows the publisher`,
          5000,
          () => agent.get<Answer<Publisher>>("/v1/publishers"),
          (answer) =>
            answer.items.some((item) => item.app === "checkout" && item.node === at(0).name && item.state === "fresh")
        )
      )
    )
    assert.isBelow(performance.now() - from, 2000)
    await meters.shutdown()
  })

  it("three errors, each sent after the former was seen, come back in that order from all nine", async () => {
    const bodies = ["order one", "order two", "order three"]
    for (const [index, body] of bodies.entries()) {
      await at([0, 4, 8][index] ?? 0).send("POST", "/v1/events", { severity: "error", body })
      const next = at([4, 8, 0][index] ?? 0)
      await eventually(
        "the next sender has seen it",
        5000,
        () => next.get<Answer<Event>>("/v1/events?severity=error"),
        (answer) => answer.items.some((event) => event.body === body)
      )
    }
    for (const agent of fleet) {
      const { answer } = await eventually(
        `${agent.name} has all three`,
        5000,
        () => agent.get<Answer<Event>>("/v1/events?severity=error"),
        (events) => bodies.every((body) => events.items.some((event) => event.body === body))
      )
      const seen = answer.items.map((event) => event.body).filter((body) => bodies.includes(body))
      assert.deepStrictEqual(seen, bodies)
    }
  })

  it("a component crashed on purpose restarts, nobody reports the node offline, and no broadcast is lost or doubled", async () => {
    // Each component of two nodes once: a second crash within five seconds would be a rebuild, which is another promise.
    const [one, two] = [at(5), at(3)]
    const crashes = [
      [one, "view-manager", "acting"],
      [two, "view-manager", "before"],
      [one, "shuffler", "committed"],
      [two, "shuffler", "before"],
      [one, "broadcast-tree", "before"],
      [two, "broadcast-tree", "acting"],
      [one, "lazy-push-repair", "committed"],
      [two, "lazy-push-repair", "before"],
      [one, "clock", "before"],
      [two, "clock", "committed"],
      [one, "facts", "acting"],
      [two, "facts", "before"]
    ] as const
    const stampOf = async (agent: AgentProcess) => (await agent.get<Answer<NodeItem>>("/v1/nodes")).view.at
    const lastStamps = new Map([
      [one, await stampOf(one)],
      [two, await stampOf(two)]
    ])
    const senders = [at(1), one, two]
    const sent = new Map(senders.map((agent) => [agent.id, 0]))
    const perBatch = 17
    for (const [victim, component, point] of crashes) {
      const others = fleet.filter((agent) => agent !== victim)
      // Everybody broadcasts, and everybody is asked about the victim, until the crash has struck.
      const crash = { isOver: false }
      const sending = senders.map(async (agent) => {
        do {
          await agent.send("POST", "/v1/debug/broadcast", { count: perBatch })
          sent.set(agent.id, (sent.get(agent.id) ?? 0) + perBatch)
        } while (!crash.isOver)
      })
      const watching = others.map(async (agent) => {
        do {
          const { items } = await agent.get<Answer<NodeItem>>("/v1/nodes")
          assert.strictEqual(items.find((item) => item.id === victim.id)?.state, "alive", `at ${agent.name}`)
          await new Promise((resolve) => setTimeout(resolve, 50))
        } while (!crash.isOver)
      })
      const struck = await victim.send<{ readonly at: string }>("POST", "/v1/debug/crash", { component, at: point })
      crash.isOver = true
      await Promise.all([...sending, ...watching])
      assert.strictEqual(struck.at, point)
      const stamp = await stampOf(victim)
      assert.isTrue(stamp > (lastStamps.get(victim) ?? ""), `${stamp} after ${lastStamps.get(victim)}`)
      lastStamps.set(victim, stamp)
    }
    // A thousand in all, however quickly the crashes struck.
    for (const agent of senders) {
      const missing = Math.max(0, 334 - (sent.get(agent.id) ?? 0))
      if (missing === 0) continue
      await agent.send("POST", "/v1/debug/broadcast", { count: missing })
      sent.set(agent.id, (sent.get(agent.id) ?? 0) + missing)
    }
    for (const victim of [one, two]) {
      const components = crashes.filter(([node]) => node === victim).map(([, component]) => component)
      await eventually(
        `the tree of ${victim.name} shows the restarts`,
        5000,
        () =>
          victim.get<Answer<{ readonly path: string; readonly restarts: number; readonly state: string }>>("/v1/tree"),
        (tree) =>
          components.every((component) =>
            tree.items.some(
              (line) => line.path.endsWith(`/${component}`) && line.restarts >= 1 && line.state === "running"
            )
          )
      )
    }
    for (const agent of fleet) {
      const { answer } = await eventually(
        `${agent.name} has every broadcast`,
        15_000,
        () =>
          agent.get<{ readonly duplicates: number; readonly byOrigin: Record<string, number> }>("/v1/debug/delivered"),
        (delivered) => [...sent].every(([id, count]) => delivered.byOrigin[id] === count)
      )
      assert.strictEqual(answer.duplicates, 0)
      for (const [id, count] of sent) assert.strictEqual(answer.byOrigin[id], count)
    }
  }, 90_000)

  it("a killed agent is offline with evidence within 5 s, and is back with what it missed, without --join", async () => {
    const victim = at(2)
    const others = fleet.filter((agent) => agent !== victim)
    const killedAt = performance.now()
    await victim.kill("SIGKILL")
    await Promise.all(
      others.map((agent) =>
        eventually(
          `${agent.name} reports it offline`,
          8000,
          () => agent.get<Answer<NodeItem>>("/v1/offline"),
          (answer) =>
            answer.items.some((item) => item.id === victim.id && item.state === "offline" && item.evidence.length > 0)
        )
      )
    )
    assert.isBelow(performance.now() - killedAt, 5000)

    for (const [index, value] of ["a", "b", "c"].entries())
      await at(6).send("PUT", `/v1/config/missed%2F${index}`, { value })
    const before = await at(3).get<{ readonly total: number }>("/v1/debug/delivered")
    await at(1).send("POST", "/v1/debug/broadcast", { count: 10 })
    await eventually(
      "broadcasts still reach everyone",
      5000,
      () => at(3).get<{ readonly total: number }>("/v1/debug/delivered"),
      (after) => after.total >= before.total + 10
    )

    const old = (await at(0).get<Answer<NodeItem>>("/v1/nodes")).items.find((item) => item.id === victim.id)
    const restartedAt = performance.now()
    const back = await start({
      name: victim.name,
      datacenter: victim.datacenter,
      data: victim.data,
      gossip: victim.gossip
    })
    fleet = fleet.map((agent) => (agent === victim ? back : agent))
    assert.strictEqual(back.id, victim.id)
    await Promise.all(
      others.map((agent) =>
        eventually(
          `${agent.name} sees it alive`,
          8000,
          () => agent.get<Answer<NodeItem>>("/v1/nodes"),
          (answer) =>
            answer.items.some(
              (item) => item.id === victim.id && item.state === "alive" && item.incarnation > (old?.incarnation ?? 0)
            )
        )
      )
    )
    await eventually(
      "it has what it missed",
      8000,
      () => back.get<Answer<{ readonly key: string; readonly value: string }>>("/v1/config"),
      (answer) =>
        ["a", "b", "c"].every((value, index) =>
          answer.items.some((entry) => entry.key === `missed/${index}` && entry.value === value)
        )
    )
    assert.isBelow(performance.now() - restartedAt, 5000)
  }, 60_000)
})

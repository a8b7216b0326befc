/**
 * Nine real agents, one of them under a clock three hours ahead; and nine that were poisoned on purpose.
 */
import { afterEach, assert, describe, it } from "@effect/vitest"
import { Stamp } from "@starling/clock"
import { execFile } from "node:child_process"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { type AgentProcess, type Answer, eventually, node, start, temporary } from "./harness.ts"

interface ClockItem {
  readonly state: string
  readonly epoch: number
  readonly settled: boolean
  readonly poisonedMs: number | null
  readonly outliers: ReadonlyArray<{ readonly node: string; readonly offsetMs: number }>
}

interface Event {
  readonly body: string
  readonly at: string
  readonly node: string
}

const main = fileURLToPath(new URL("../../apps/starling/src/main.ts", import.meta.url))
const run = promisify(execFile)
const cli = async (agent: AgentProcess, ...args: ReadonlyArray<string>): Promise<string> =>
  (await run(node, [main, ...args, "--api", agent.api, "--no-color"])).stdout

const size = 9
const wrong = 4
const threeHoursAhead = ["--clock-offset", "3h"]

/** Between two events: longer than a busy machine needs to take one in. */
const pauseMs = 1000

let fleet: ReadonlyArray<AgentProcess> = []
let folder = temporary()

/** The first alone, then the others at once; `begun` is called with each as soon as it answers. */
const startNine = async (
  argsOf: (index: number) => ReadonlyArray<string>,
  begun: (index: number, agent: AgentProcess) => void = () => {}
) => {
  folder = temporary()
  const one = async (index: number, join: ReadonlyArray<string>): Promise<AgentProcess> => {
    const agent = await start({
      name: `n${index}`,
      datacenter: `dc${index % 3}`,
      data: `${folder.path}/n${index}`,
      join,
      args: ["--clock-source", "fleet", ...argsOf(index)]
    })
    begun(index, agent)
    return agent
  }
  const first = await one(0, [])
  fleet = [first]
  const others = await Promise.all(Array.from({ length: size - 1 }, (_, index) => one(index + 1, [first.gossip])))
  fleet = [first, ...others]
}

const at = (index: number): AgentProcess => fleet[index] ?? assert.fail(`no agent ${index}`)

const clockOf = async (agent: AgentProcess): Promise<ClockItem> => {
  const { items } = await agent.get<Answer<ClockItem>>("/v1/clock")
  return items[0] ?? assert.fail("an agent has a clock")
}

const wallOf = (stamp: string): number => {
  const read = Stamp.fromText(stamp)
  return read.ok ? read.value.wall : assert.fail(read.reason)
}

afterEach(async () => {
  await Promise.all(fleet.map((agent) => agent.kill("SIGKILL")))
  fleet = []
  folder.remove()
})

describe("nine agents", () => {
  it("one is three hours ahead: events in true order from its first second, everybody knows whose clock it is, and what to do", async () => {
    const bodies: Array<string> = []
    // The answers come when the time is known; what counts is when it was said.
    const answers: Array<Promise<unknown>> = []
    const say = (agent: AgentProcess, body: string): void => {
      bodies.push(body)
      answers.push(agent.send("POST", "/v1/events", { app: "shop", severity: "error", body }))
    }
    await startNine(
      (index) => (index === wrong ? threeHoursAhead : []),
      (index, agent) => {
        if (index === wrong) say(agent, `in the first second of n${wrong}`)
      }
    )
    const isKnown = Promise.all(
      fleet.map((agent, index) =>
        eventually(
          `${agent.name} knows whose clock is wrong`,
          15_000,
          () => clockOf(agent),
          ({ outliers, state }) =>
            index === wrong
              ? state === "degraded"
              : state === "ok" && outliers.length === 1 && outliers[0]?.node === `n${wrong}`
        )
      )
    )
    // The first request of a process takes longer than the pause between two of these events.
    await Promise.all(fleet.map(clockOf))
    for (const [round, index] of [wrong, 0, 7, wrong, 8, wrong].entries()) {
      say(at(index), `${round} at n${index}`)
      await new Promise((resolve) => setTimeout(resolve, pauseMs))
    }
    await Promise.all(answers)
    await Promise.all(
      fleet.map(async (agent) => {
        const { answer } = await eventually(
          `${agent.name} has every event`,
          15_000,
          () => agent.get<Answer<Event>>("/v1/events?app=shop"),
          (answer) => answer.items.length === bodies.length
        )
        assert.deepStrictEqual(
          answer.items.map(({ body }) => body),
          bodies,
          agent.name
        )
        for (const item of answer.items) assert.isAtMost(wallOf(item.at), Date.now() + 5000)
      })
    )
    await isKnown
    const shown = await Promise.all(fleet.map((agent) => cli(agent, "clock")))
    for (const [index, text] of shown.entries()) {
      assert.match(text, index === wrong ? /degraded: the own clock is ahead/ : /n4: 3 h ahead/)
      assert.match(text, /8 other clocks/)
    }
    assert.match(await cli(at(wrong), "status"), /3\.0 h ahead of the fleet's[^]*set the clock/)
    assert.match(await cli(at(2), "status"), /n4[^]*set its clock/)
  }, 120_000)

  it("poisoned on purpose, they stamp near the true time within two seconds of a reset", async () => {
    // The first is alone for a moment, so that its own clock is right by definition.
    await startNine((index) => ["--clock-policy", "accept", ...(index === 0 ? threeHoursAhead : [])])
    await at(0).send("POST", "/v1/events", { app: "shop", severity: "error", body: "poison" })
    await Promise.all(
      fleet.map((agent) =>
        eventually(
          `${agent.name} is poisoned`,
          60_000,
          () => clockOf(agent),
          ({ poisonedMs, settled }) => settled && poisonedMs !== null
        )
      )
    )
    assert.match(await cli(at(3), "status"), /beyond what the fleet follows[^]*starling clock reset/)
    assert.match(await cli(at(3), "clock", "reset"), /epoch 1 has begun/)
    const from = performance.now()
    await Promise.all(
      fleet.map((agent) =>
        eventually(
          `${agent.name} stamps in the new epoch`,
          5000,
          () => agent.send<Answer<Event>>("POST", "/v1/events", { app: "shop", severity: "info", body: agent.name }),
          ({ items: [item] }) => item?.at.startsWith("0001/") === true && Math.abs(wallOf(item.at) - Date.now()) < 5000
        )
      )
    )
    assert.isBelow(performance.now() - from, 2000)
    const late = await at(5)
      .send("POST", "/v1/clock/reset", { epoch: 0 })
      .then(
        () => "taken",
        (error: unknown) => String(error)
      )
    assert.include(late, "epoch 1")
  }, 120_000)
})

import { assert, describe, it } from "@effect/vitest"
import { NodeClock } from "@starling/clock"
import type { Parts } from "@starling/member"
import * as Clocks from "../src/internal/clocks.ts"
import * as Host from "../src/internal/host.ts"
import type { Runtime } from "../src/internal/runtime.ts"

const base = 1_700_000_000_000

const settings: Parts.Settings = {
  self: { id: "aaaaaaaaaaaa", incarnation: 1, address: "h:1" },
  name: "a",
  datacenter: "dc",
  labels: {},
  contacts: ["h:2"]
}

/** What people see of a clock, with a monotonic clock in the test's hand. */
const make = () => {
  const time = { now: 0 }
  const nothing = () => {}
  const host = Host.make(
    settings,
    new Map(),
    {
      monotonic: () => time.now,
      wall: () => base + time.now,
      tell: nothing,
      open: nothing,
      send: nothing,
      isCongested: () => false,
      close: nothing,
      setTimer: nothing,
      write: nothing,
      application: nothing,
      lost: nothing,
      links: () => []
    },
    1
  )
  const runtime = { host, identity: settings.self, options: { name: "a" }, now: () => time.now } as unknown as Runtime
  const facts = Host.stateOf(host, "facts")
  return { time, host, runtime, facts }
}

describe("the clock as people see it", () => {
  it("while nobody was reached there is no offset, and another clock is needed", () => {
    const { facts, host, runtime } = make()
    Host.handle(host, "clock", { _tag: "Started" })
    const { need, votes } = Clocks.documentOf(runtime, facts)
    assert.deepStrictEqual([votes, need], [1, 2])
    assert.notProperty(Clocks.countersOf(runtime), "offsetMs")
  })

  it("a refused message is a problem for a minute, and counted for ever", () => {
    const { facts, host, runtime, time } = make()
    const problems = () => Clocks.problemsOf(runtime, facts).filter(({ what }) => what.includes("were refused")).length
    assert.strictEqual(problems(), 0)
    const stamp = { epoch: 2000, wall: base, counter: 0, node: "bbbbbbbbbbbb" }
    host.clock = NodeClock.receive(host.clock, stamp, Host.momentNow(host))
    assert.strictEqual(problems(), 1)
    time.now = 59_999
    assert.strictEqual(problems(), 1)
    time.now = 60_000
    assert.strictEqual(problems(), 0)
    assert.strictEqual(Clocks.countersOf(runtime)["refused"], 1)
    host.clock = NodeClock.receive(host.clock, stamp, Host.momentNow(host))
    assert.strictEqual(problems(), 1)
  })
})

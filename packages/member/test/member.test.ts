/**
 * One member on its own: what is committed is carried out, whatever crashes, and in whatever order components move.
 */
import { assert, describe, it } from "@effect/vitest"
import { Component, Member, type Parts, type Wiring } from "@starling/member"
import * as fc from "fast-check"
import { config, play, wall } from "./alone.ts"

const send = (token: number): Member.Event => ({
  _tag: "Command",
  delivery: { to: "broadcast-tree", event: { _tag: "Broadcast", token, topic: 1, payload: `payload ${token}` } }
})

const outputs = (actions: ReadonlyArray<Member.Action>): ReadonlyArray<Wiring.ToApplication> =>
  actions.flatMap((action) => (action._tag === "Emit" ? [action.output] : []))

const tokens = fc.uniqueArray(fc.integer({ min: 1, max: 1000 }), { minLength: 1, maxLength: 12 })
const modes = fc.constantFrom<Member.Config["mode"]>("interleaved", "run-to-completion")

type Timed = readonly [at: number, event: Member.Event]

/** One run of a member whose disk answers at once: what happens at its times, and every timer, for eleven seconds. */
const live = (
  incarnation: number,
  stored: Parts.Stored,
  script: ReadonlyArray<Timed>
): { readonly state: Member.State; readonly actions: ReadonlyArray<Member.Action> } => {
  const own = config("run-to-completion")
  const machine = Member.make({ ...own, self: { ...own.self, incarnation } }, stored, 1, wall)
  const agenda: Array<Timed> = [[0, { _tag: "Started" }], ...script]
  const actions: Array<Member.Action> = []
  let state = machine.initial
  for (let due = agenda.shift(); due !== undefined && due[0] <= 11_000; due = agenda.shift()) {
    const [now, event] = due
    const [next, emitted] = machine.step(state, { now, wall: wall + now, event })
    state = next
    actions.push(...emitted)
    for (const action of emitted) {
      if (action._tag === "Write") agenda.push([now, { _tag: "Written", token: action.token }])
      if (action._tag === "SetTimer") agenda.push([now + action.delayMs, { _tag: "TimerFired", timer: action.timer }])
    }
    agenda.sort(([one], [other]) => one - other)
  }
  return { state, actions }
}

const sevens = (actions: ReadonlyArray<Member.Action>): number =>
  outputs(actions).filter((output) => output._tag === "Delivered" && output.payload === "seven").length

const isGraft = (action: Member.Action): boolean =>
  action._tag === "Send" && action.message.channel === "broadcast-tree" && action.message.message._tag === "Graft"

describe("Member", () => {
  it("comes to rest, with every invariant of every component, in both modes", () => {
    fc.assert(
      fc.property(fc.integer(), modes, tokens, (seed, mode, sent) => {
        const { state } = play(seed, mode, sent.map(send))
        assert.isTrue(Member.isQuiet(state))
        assert.deepStrictEqual(Member.invariants(state), [])
      })
    )
  })

  it("accepts and delivers broadcasts once each, in the order in which they were sent", () => {
    fc.assert(
      fc.property(fc.integer(), modes, tokens, (seed, mode, sent) => {
        const said = outputs(play(seed, mode, sent.map(send)).actions)
        assert.deepStrictEqual(
          said.flatMap((output) => (output._tag === "Accepted" ? [output.token] : [])),
          sent
        )
        assert.deepStrictEqual(
          said.flatMap((output) => (output._tag === "Delivered" ? [output.payload] : [])),
          sent.map((token) => `payload ${token}`)
        )
      })
    )
  })

  it("says the same to the application whichever mode and seed order its components", () => {
    fc.assert(
      fc.property(fc.integer(), fc.integer(), tokens, (seed, other, sent) => {
        const told = (mode: Member.Config["mode"], by: number) =>
          outputs(play(by, mode, sent.map(send)).actions).filter(({ _tag }) => _tag !== "Changed")
        assert.deepStrictEqual(told("interleaved", seed), told("interleaved", other))
        assert.deepStrictEqual(told("interleaved", seed), told("run-to-completion", seed))
      })
    )
  })

  it("a crash after the commit or between two actions loses nothing and repeats nothing", () => {
    fc.assert(
      fc.property(
        fc.integer(),
        modes,
        tokens,
        fc.constantFrom(...Component.components),
        fc.constantFrom<Member.CrashPoint>("committed", "acting"),
        (seed, mode, sent, component, at) => {
          const { actions, state } = play(seed, mode, [{ _tag: "Crash", component, at }, ...sent.map(send)])
          const said = outputs(actions)
          assert.deepStrictEqual(
            said.flatMap((output) => (output._tag === "Accepted" ? [output.token] : [])),
            sent
          )
          assert.strictEqual(said.filter(({ _tag }) => _tag === "Delivered").length, sent.length)
          assert.strictEqual(state.counters.eventsLost, 0)
        }
      )
    )
  })

  it("a crash before a step loses that one event, and says so", () => {
    fc.assert(
      fc.property(fc.integer(), tokens, (seed, sent) => {
        const crash: Member.Event = { _tag: "Crash", component: "broadcast-tree", at: "before" }
        const { actions, state } = play(seed, "run-to-completion", [crash, ...sent.map(send)])
        assert.strictEqual(state.counters.eventsLost, 1)
        const accepted = outputs(actions).flatMap((output) => (output._tag === "Accepted" ? [output.token] : []))
        assert.deepStrictEqual(accepted, sent.slice(1))
      })
    )
  })

  it("a second crash within the period rebuilds the broadcast tree, which delivers nothing twice and numbers on", () => {
    const crash: Member.Event = { _tag: "Crash", component: "broadcast-tree", at: "before" }
    const { actions, state } = play(7, "run-to-completion", [send(1), send(2), crash, send(3), crash, send(4), send(5)])
    assert.strictEqual(state.counters.rebuilds, 1)
    const said = outputs(actions)
    const delivered = said.flatMap((output) => (output._tag === "Delivered" ? [output.payload] : []))
    assert.deepStrictEqual(delivered, ["payload 1", "payload 2", "payload 5"])
    const numbers = said.flatMap((output) => (output._tag === "Accepted" ? [output.id.seq] : []))
    assert.deepStrictEqual(
      numbers,
      numbers.toSorted((a, b) => a - b)
    )
    assert.strictEqual(new Set(numbers).size, numbers.length)
  })

  it("what was delivered before its tree was rebuilt is stored when it leaves, and not given to its next run", () => {
    const origin = "00000000000c"
    const peer = { id: "00000000000b", incarnation: 3, address: "b:1" }
    const gossip: Wiring.Frame = {
      channel: "broadcast-tree",
      message: { _tag: "Gossip", id: { origin, incarnation: 1, seq: 7 }, round: 1, topic: 1, payload: "seven" }
    }
    const summary: Wiring.Frame = {
      channel: "lazy-push-repair",
      message: { _tag: "Summary", windows: [[origin, 1, [[7, 7]]]] }
    }
    const joined: ReadonlyArray<Timed> = [
      [0, { _tag: "LinkUp", link: 1, peer }],
      [0, { _tag: "Received", link: 1, message: { channel: "view-manager", message: { _tag: "Join", peer } } }]
    ]
    const crash: Member.Event = { _tag: "Crash", component: "broadcast-tree", at: "before" }
    const toTree = (_tag: "Started" | "Leave"): Member.Event => ({
      _tag: "Command",
      delivery: { to: "broadcast-tree", event: { _tag } }
    })
    const crashed = [crash, toTree("Started")]
    for (const leaveAt of [601, 10_000]) {
      const first = live(1, new Map(), [
        ...joined,
        [0, { _tag: "Received", link: 1, message: gossip }],
        ...crashed.map((event): Timed => [300, event]),
        ...crashed.map((event): Timed => [600, event]),
        [leaveAt, toTree("Leave")]
      ])
      assert.deepStrictEqual([first.state.counters.rebuilds, sevens(first.actions)], [1, 1])
      const stored = new Map([...first.state.durable].map(([table, rows]) => [table, new Map(rows)]))
      const next = live(2, stored, [...joined, [100, { _tag: "Received", link: 1, message: summary }]])
      assert.deepStrictEqual(next.actions.filter(isGraft), [], `left at ${leaveAt}`)
      const again = live(2, stored, [...joined, [100, { _tag: "Received", link: 1, message: gossip }]])
      assert.strictEqual(sevens(again.actions), 0, `left at ${leaveAt}`)
    }
  })

  it("a timer of a generation that was rebuilt is nobody's any more", () => {
    const machine = Member.make(config("run-to-completion"), new Map(), 1, wall)
    const crash: Member.Event = { _tag: "Crash", component: "clock", at: "before" }
    const feed = (state: Member.State, event: Member.Event): Member.State =>
      machine.step(state, { now: 5, wall, event })[0]
    const [started, actions] = machine.step(machine.initial, { now: 0, wall, event: { _tag: "Started" } })
    const timer = actions.flatMap((action) =>
      action._tag === "SetTimer" && action.timer._tag === "Component" && action.timer.component === "clock"
        ? [action.timer]
        : []
    )[0]
    assert.isDefined(timer)
    const started2: Member.Event = { _tag: "Command", delivery: { to: "clock", event: { _tag: "Started" } } }
    const rebuilt = [crash, started2, crash, started2].reduce(feed, started)
    assert.strictEqual(rebuilt.generations.clock, 1)
    const before = rebuilt.counters.steps
    assert.strictEqual(feed(rebuilt, { _tag: "TimerFired", timer: timer as Member.Timer }).counters.steps, before)
  })
})

/**
 * One member on its own: what is committed is carried out, whatever crashes, and in whatever order components move.
 */
import { assert, describe, it } from "@effect/vitest"
import { Component, Member, type Wiring } from "@starling/member"
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

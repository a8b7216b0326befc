import { assert, describe, it } from "@effect/vitest"
import { Clock, FleetTime, type Hlc } from "@starling/clock"
import type { Machine } from "@starling/machine"

const base = 1_700_000_000_000
const reading: Hlc.Reading = { epoch: 0, wall: 0, counter: 0, limit: 0 }
const config: Clock.Config = { ...Clock.defaults, self: "a1b2c3d4e5f6", hasContacts: true }

const at = (now: number, event: Clock.Event): Clock.Input => ({ now, wall: base + now, reading, event })
const started: Clock.Event = { _tag: "Started" }

const outputs = ([, actions]: Machine.Step<Clock.State, Clock.Action>): ReadonlyArray<Clock.Output> =>
  actions.flatMap((action) => (action._tag === "Emit" ? [action.output] : []))

describe("Clock", () => {
  it("built anew, who stamped by the own clock does so at once, and others wait as they did", () => {
    for (const alone of [true, false]) {
      const said = outputs(Clock.step(Clock.rebuild(config, new Map(), 1, undefined, alone), at(100, started)))
      assert.deepInclude(said, { _tag: "FleetTime", offset: undefined, alone, condition: "probation" })
    }
  })

  it("a reset that nobody can give a time says who is missing, in numbers that there are", () => {
    const reset: Clock.Event = { _tag: "Reset", token: 1, expected: 0, wall: undefined }
    const messageAt = (state: Clock.State, now: number): string => {
      const [answer] = outputs(Clock.step(state, at(now, reset)))
      return answer?._tag === "Answer" && answer.answer._tag === "Invalid"
        ? answer.answer.message
        : assert.fail("it is refused")
    }
    const [unreached] = Clock.step(Clock.make(config, new Map(), 1), at(0, started))
    assert.include(messageAt(unreached, 100), "no other node was reached yet")
    const peer = { id: "b1b2c3d4e5f6", incarnation: 1, address: "h:2" }
    const neighbors: Clock.Event = { _tag: "Neighbors", version: 1, neighbors: [{ link: 1, peer }] }
    const [reached] = Clock.step(unreached, at(200, neighbors))
    const { quorum } = FleetTime.defaults
    assert.include(messageAt(reached, 300), `of ${quorum} clocks that must agree 1 can be heard`)
    for (const message of [messageAt(unreached, 100), messageAt(reached, 300)]) {
      assert.notInclude(message, "Infinity")
      assert.include(message, "give the time")
    }
  })
})

import { assert, describe, it } from "@effect/vitest"
import type { Stamp } from "@starling/clock"
import { Facts } from "@starling/fleet"
import { Rng } from "@starling/machine"
import { set } from "./network.ts"

const wall = 1_750_000_000_000

const selfId = "aaaaaaaaaaaa"

const make = (
  options: { readonly wall?: number; readonly docsMax?: number; readonly stored?: Facts.Stored } = {}
): Facts.State =>
  Facts.make(
    {
      ...Facts.defaults,
      docsMax: options.docsMax ?? Facts.defaults.docsMax,
      self: { id: selfId, incarnation: 1, address: "10.0.0.1:7740", name: "a", datacenter: "x", labels: {} },
      startedAt: wall
    },
    options.stored ?? new Map(),
    Rng.make(1),
    options.wall ?? wall
  )

/** A machine driven by hand: what its steps asked for is in `actions`. */
class Driven {
  now = 0
  state: Facts.State
  actions: ReadonlyArray<Facts.Action> = []

  constructor(state: Facts.State) {
    this.state = state
  }

  step(event: Facts.Event): ReadonlyArray<Facts.Action> {
    const stamp: Stamp.Stamp = { epoch: 0, wall: wall + ++this.now, counter: 0, node: selfId }
    const [state, actions] = Facts.step(this.state, { now: this.now, event, stamp, wall: wall + this.now })
    this.state = state
    this.actions = actions
    assert.deepStrictEqual(Facts.invariants(state), [])
    return actions
  }

  written(): ReadonlyArray<Facts.Action> {
    const tokens = this.actions.flatMap((action) => (action._tag === "Write" ? [action.token] : []))
    return tokens.flatMap((token) => this.step({ _tag: "Written", token }))
  }
}

const emitted = (actions: ReadonlyArray<Facts.Action>): ReadonlyArray<Facts.Output> =>
  actions.flatMap((action) => (action._tag === "Emit" ? [action.output] : []))

describe("writes", () => {
  it("are not acknowledged by an answer to the write of a predecessor, nor by a token nobody gave out", () => {
    const before = new Driven(make())
    for (let i = 0; i < 5; i++) before.step(set(`k/${i}`, "1"))
    const old = before.actions.flatMap((action) => (action._tag === "Write" ? [action.token] : []))
    const after = new Driven(make({ wall: wall + 7 }))
    const [own] = after.step(set("k/new", "2")).flatMap((action) => (action._tag === "Write" ? [action.token] : []))
    for (const token of [...old, 0, 1, 6, Number.MAX_SAFE_INTEGER, (own ?? 0) + 1, (own ?? 0) - 1]) {
      assert.deepStrictEqual(emitted(after.step({ _tag: "Written", token })), [], `${token}`)
    }
    const answers = emitted(after.step({ _tag: "Written", token: own ?? 0 })).map(({ _tag }) => _tag)
    assert.includeMembers(answers, ["Answer", "Broadcast"])
  })
})

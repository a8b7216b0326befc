/** One view manager by hand. */
import { assert } from "@effect/vitest"
import { ViewManager } from "@starling/gossip"

/** Feeds events at `now`, and asks for the invariants after each; returns the actions of the last step. */
export const drive = (
  state: ViewManager.State,
  events: ReadonlyArray<ViewManager.Event>,
  now = 0
): readonly [ViewManager.State, ReadonlyArray<ViewManager.Action>] => {
  let current = state
  let outbox: ReadonlyArray<ViewManager.Action> = []
  for (const event of events) {
    const [next, actions] = ViewManager.step(current, { now, event })
    assert.deepStrictEqual(ViewManager.invariants(next), [])
    current = next
    outbox = actions
  }
  return [current, outbox]
}

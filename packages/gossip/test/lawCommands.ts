/** What the model-based tests of the machines share: commands written as functions, and an outbox read in order. */
import { assert } from "@effect/vitest"
import type { Machine } from "@starling/machine"
import * as fc from "fast-check"

/** A command that may always run. It holds no state of its own, so that shrinking can run it again. */
export const command = <Model extends object, Real>(
  name: string,
  run: (model: Model, real: Real) => void
): fc.Command<Model, Real> => ({ check: () => true, run, toString: () => name })

/** Time that passes before a command: none, a little, about a timer, and far more than anything waits for. */
export const pauses: fc.Arbitrary<number> = fc.oneof(
  { weight: 5, arbitrary: fc.constantFrom(0, 1, 20) },
  { weight: 5, arbitrary: fc.constantFrom(250, 500, 1100) },
  { weight: 1, arbitrary: fc.constantFrom(3000, 30_000) }
)

/** One of a list, or undefined of an empty one: a command chooses by a number, since it is made before the list is. */
export const at = <A>(items: ReadonlyArray<A>, choice: number): A | undefined =>
  items.length === 0 ? undefined : items[choice % items.length]

/** Why a link is down, in every way there is. */
export const downReasons: fc.Arbitrary<Machine.DownReason> = fc.oneof(
  fc.constantFrom<Machine.DownReason>({ _tag: "Reset" }, { _tag: "Timeout" }, { _tag: "Overflow" }),
  fc
    .constantFrom<Machine.CloseReason>("done", "evicted", "replaced", "refused", "left", "silent", "violation")
    .chain((reason) => fc.constantFrom<Machine.DownReason>({ _tag: "ClosedByPeer", reason }, { _tag: "Local", reason }))
)

/** The actions of one step, taken off one by one: what no law takes should not be there. */
export class Outbox<Action extends { readonly _tag: string }> {
  private readonly left: Array<Action>

  constructor(actions: ReadonlyArray<Action>) {
    this.left = [...actions]
  }

  /** The next action, which must be of this kind. */
  take<Tag extends Action["_tag"]>(tag: Tag, law: string): Extract<Action, { readonly _tag: Tag }> {
    const action = this.left.shift()
    assert.strictEqual(action?._tag, tag, law)
    return action as Extract<Action, { readonly _tag: Tag }>
  }

  /** Every such action of this kind that is left, wherever it stands. */
  takeAll<Tag extends Action["_tag"]>(
    tag: Tag,
    isSuch: (action: Extract<Action, { readonly _tag: Tag }>) => boolean = () => true
  ): ReadonlyArray<Extract<Action, { readonly _tag: Tag }>> {
    const isOne = (action: Action): action is Extract<Action, { readonly _tag: Tag }> =>
      action._tag === tag && isSuch(action as Extract<Action, { readonly _tag: Tag }>)
    const taken = this.left.filter(isOne)
    this.left.splice(0, this.left.length, ...this.left.filter((action) => !isOne(action)))
    return taken
  }

  assertEmpty(): void {
    assert.deepStrictEqual(this.left, [], "nothing is done beyond the rules")
  }
}

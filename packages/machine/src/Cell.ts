/**
 * Where a component's state lives while fibers come and go: one step is one transaction.
 *
 * The next state and its actions are committed together; the actions are then carried out in order and ticked off. A
 * new incarnation of the component finishes what is not ticked, so a crash between two actions loses nothing and
 * repeats nothing. It is the heir of OTP's ETS tables: the state belongs to the supervisor's side of the crash.
 *
 * The agent holds one cell for each component actor, and `member` one for each component in the simulator.
 *
 * @since 0.1.0
 */
import type { Input, Step } from "./Machine.ts"

/** @since 0.1.0 @category models */
export interface Cell<State, Action> {
  readonly state: State
  /** Actions of the last committed step; those before `ticked` are carried out. */
  readonly actions: ReadonlyArray<Action>
  readonly ticked: number
  /** Steps committed so far. */
  readonly steps: number
}

/** @since 0.1.0 @category constructors */
export const make = <State, Action>(state: State): Cell<State, Action> => ({ state, actions: [], ticked: 0, steps: 0 })

/** True when every action of the last step is carried out: only then may the next step begin. @since 0.1.0 */
export const isSettled = (cell: Cell<unknown, unknown>): boolean => cell.ticked >= cell.actions.length

/**
 * Steps and commits. A step that throws leaves the cell as it was.
 *
 * @since 0.1.0
 * @category running
 */
export const commit = <State, Action, In extends Input<unknown>>(
  cell: Cell<State, Action>,
  step: (state: State, input: In) => Step<State, Action>,
  input: In
): Cell<State, Action> => {
  const [state, actions] = step(cell.state, input)
  return { state, actions, ticked: 0, steps: cell.steps + 1 }
}

/** The action to carry out next, or undefined. @since 0.1.0 */
export const pending = <State, Action>(cell: Cell<State, Action>): Action | undefined => cell.actions[cell.ticked]

/** Marks all actions as carried out, where nothing can come between them. @since 0.1.0 */
export const settle = <State, Action>({ actions, state, steps }: Cell<State, Action>): Cell<State, Action> => ({
  state,
  actions,
  ticked: actions.length,
  steps
})

/** Marks one action as carried out, in the same synchronous turn as carrying it out. @since 0.1.0 */
export const tick = <State, Action>(cell: Cell<State, Action>): Cell<State, Action> => ({
  state: cell.state,
  actions: cell.actions,
  ticked: cell.ticked + 1,
  steps: cell.steps
})

/** One member on its own, whose disk answers at once. */
import type { Peer } from "@starling/machine"
import { Member } from "@starling/member"

export const wall = 1_718_372_400_000

export const self: Peer.Peer = { id: "00000000000a", incarnation: 1, address: "a:1" }

export const config = (mode: Member.Config["mode"]): Member.Config => ({
  mode,
  self,
  name: "a",
  datacenter: "dc",
  labels: {},
  contacts: []
})

/**
 * Feeds `Advance` until nothing is left to do; timers other than that wait. `then` may add to what comes next, after each step.
 */
export const play = (
  seed: number,
  mode: Member.Config["mode"],
  events: ReadonlyArray<Member.Event>,
  then: (state: Member.State) => ReadonlyArray<Member.Event> = () => []
): { readonly state: Member.State; readonly actions: ReadonlyArray<Member.Action> } => {
  const machine = Member.make(config(mode), new Map(), seed, wall)
  let state = machine.initial
  const actions: Array<Member.Action> = []
  const inbox: Array<Member.Event> = [{ _tag: "Started" }, ...events]
  for (let now = 0; inbox.length > 0; now++) {
    const [next, emitted] = machine.step(state, { now, wall: wall + now, event: inbox.shift() as Member.Event })
    state = next
    for (const action of emitted) {
      if (action._tag === "Write") inbox.unshift({ _tag: "Written", token: action.token })
      if (action._tag === "SetTimer" && action.timer._tag === "Advance")
        inbox.push({ _tag: "TimerFired", timer: action.timer })
      else actions.push(action)
    }
    inbox.unshift(...then(state))
  }
  return { state, actions }
}

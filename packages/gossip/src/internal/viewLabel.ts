/**
 * Which component of the overlay a node is in: the lowest id from which it has heard, over links, that it lives.
 *
 * Two full components never mend by low-priority requests: nobody has a free slot. So keepalives carry a label, the
 * lowest node with a beat that only that node raises. A label whose beat stands still is dropped after `labelMs`, and
 * echoes of the same beat do not bring it back. Two nodes whose labels have been stable and differ are in two
 * components, and a probe between them makes a bridge.
 */
import type { Config, Label, State } from "./viewModel.ts"
import { labelOf, oweSwaps, type Turn } from "./viewTurn.ts"

const isNewer = (a: Label, b: Label): boolean =>
  a.incarnation > b.incarnation || (a.incarnation === b.incarnation && a.beat > b.beat)

const own = ({ self }: Config, now: number): State["label"] => ({
  leader: self.id,
  incarnation: self.incarnation,
  beat: Math.max(0, Math.floor(now)),
  stable: false,
  since: now,
  heardAt: now
})

/** The label before anything was heard. */
export const initial = own

/** Raises our own beat, or drops a leader that fell silent. */
export const beat = (turn: Turn): void => {
  const { config, label } = turn.state
  if (label.leader !== config.self.id && turn.now - label.heardAt > config.labelMs) {
    turn.state.deadLabel = labelOf(turn.state)
    turn.state.label = own(config, turn.now)
    return
  }
  const raised =
    label.leader === config.self.id ? { ...label, beat: Math.max(label.beat, Math.floor(turn.now)) } : label
  const stable = turn.now - label.since >= config.labelStableMs
  const { merged, ...rest } = raised
  turn.state.label = merged === true && !stable ? { ...rest, stable, merged } : { ...rest, stable }
}

/** Takes a neighbour's label if it names a lower node, or news of ours. */
export const hear = (turn: Turn, heard: Label): void => {
  const { config, deadLabel, label } = turn.state
  if (heard.leader === label.leader) {
    if (!isNewer(heard, label) || heard.leader === config.self.id) return
    const { incarnation } = heard
    turn.state.label = { ...label, incarnation, beat: heard.beat, heardAt: turn.now }
    return
  }
  if (heard.leader === config.self.id || heard.leader > label.leader) return
  if (deadLabel !== undefined && deadLabel.leader === heard.leader && !isNewer(heard, deadLabel)) return
  // A newcomer with the lowest id is no other component: its label was never stable. Of two components only the nodes of
  // one hear a lower leader, so they swap for both.
  const isMerged = heard.merged === true || (label.stable && heard.stable)
  if (isMerged && label.merged !== true) oweSwaps(turn, 2 * turn.state.config.remixSwaps)
  const { beat, incarnation, leader } = heard
  const next = { leader, incarnation, beat, stable: false, since: turn.now, heardAt: turn.now }
  turn.state.label = isMerged ? { ...next, merged: true } : next
}

/** True if the other node is certainly in another component. */
export const isForeign = (state: State, other: Label): boolean =>
  state.label.stable && other.stable && state.label.leader !== other.leader

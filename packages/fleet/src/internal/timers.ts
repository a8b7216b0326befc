/** Everything that happens because time passed. */
import { Rng } from "@starling/machine"
import * as HashMap from "effect/HashMap"
import type { Timer } from "../Facts.ts"
import { valueOf } from "../NodeDoc.ts"
import * as aside from "./aside.ts"
import * as entries from "./entries.ts"
import * as events from "./events.ts"
import { flush } from "./flush.ts"
import * as own from "./own.ts"
import * as relaying from "./relaying.ts"
import * as spread from "./spread.ts"
import * as sync from "./sync.ts"
import { arm, docOf, tellSize, type Turn, update } from "./turn.ts"

export const started = (turn: Turn): void => {
  arm(turn, "Tick", turn.state.config.tickMs)
  armJittered(turn, "AntiEntropy", turn.state.config.antiEntropyMs, 0.3)
  // Our choice: soon, since a fleet without relays floods, and not before who joins has heard of the fleet.
  armJittered(turn, "Beat", turn.state.config.relays.beatMs / 4, 0.1)
  armPulse(turn)
  update(turn, { madeAt: turn.now, rememberDue: HashMap.size(turn.state.remembered) > 0 })
  own.remember(turn)
  turn.changed = true
}

export const fired = (turn: Turn, timer: Timer): void => {
  const current = turn.state.timers[timer._tag]
  if (timer.round !== current.round || current.due === undefined) return
  update(turn, { timers: { ...turn.state.timers, [timer._tag]: { round: current.round, due: undefined } } })
  switch (timer._tag) {
    case "Flush":
      return flush(turn)
    case "Own":
      return spread.releaseOwn(turn)
    case "Announce":
      return spread.announce(turn)
    case "Beat":
      armJittered(turn, "Beat", turn.state.config.relays.beatMs, 0.1)
      return relaying.beat(turn)
    case "Pull":
      return sync.pull(turn)
    case "Tick":
      arm(turn, "Tick", turn.state.config.tickMs)
      own.expirePublishers(turn)
      entries.rewrite(turn)
      events.save(turn)
      own.save(turn)
      own.remember(turn)
      relaying.tend(turn)
      aside.tend(turn)
      spread.askAgain(turn)
      return sync.askAgain(turn)
    case "AntiEntropy":
      armJittered(turn, "AntiEntropy", turn.state.config.antiEntropyMs, 0.3)
      tellSize(turn)
      return sync.compare(turn)
    case "Pulse":
      armPulse(turn)
      return own.pulse(turn)
  }
}

/**
 * The step that handled a timer may have crashed, and its event was dropped: whatever is long overdue is armed anew. The
 * view manager's neighbour set comes every few seconds, so there is always a next step.
 */
export const revive = (turn: Turn): void => {
  for (const tag of tags) {
    const { due } = turn.state.timers[tag]
    if (due !== undefined && turn.now > due + overdueMs) arm(turn, tag, turn.state.config.leadingMs)
  }
}

const tags: ReadonlyArray<Timer["_tag"]> = ["Flush", "Own", "Announce", "Tick", "AntiEntropy", "Pulse", "Pull", "Beat"]

/** Our choice: later than any busy event loop fires a timer. */
const overdueMs = 2000

const armJittered = (turn: Turn, tag: Timer["_tag"], delayMs: number, share: number): void => {
  const [delay, rng] = Rng.jitter(turn.state.rng, delayMs, share)
  update(turn, { rng })
  arm(turn, tag, delay)
}

/** So long that on average one node of this data centre shows up in each `pulseMs`. */
const armPulse = (turn: Turn): void => {
  const { config, docs } = turn.state
  let nodes = 0
  for (const id of HashMap.keys(docs)) {
    const doc = docOf(turn.state, id)
    if (doc !== undefined && valueOf(doc, "profile", "Profile")?.datacenter === config.self.datacenter) nodes += 1
  }
  armJittered(turn, "Pulse", config.pulseMs * Math.max(1, nodes), 0.5)
}

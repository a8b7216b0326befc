/**
 * What the clock guard did not let in: documents and configuration entries with a stamp from too far ahead. They are not
 * received, and yet it is noted which they were, for a while: neighbours that hold them would be asked for them again
 * every second, and every comparison with them would end in digests.
 */
import type { Machine, NodeId } from "@starling/machine"
import * as HashMap from "effect/HashMap"
import * as Option from "effect/Option"
import * as Config from "../Config.ts"
import type { LinkState, State } from "../Facts.ts"
import * as NodeDoc from "../NodeDoc.ts"
import { decoded, guardSequence } from "./entries.ts"
import { emptyVector } from "./messages.ts"
import { arm, count, docOf, hashOf, isArmed, type Turn, update } from "./turn.ts"

/** Then it is asked for again: it may lie within the guard by now. Our choice: seldom, and soon after a clock was mended. */
export const asideMs = 60_000

/** Configuration entries put aside at once; one more is sent again as long as it is refused. Our choice. */
export const entriesMax = 1024

/**
 * This version of a document came and was refused. It counts as asked for at the end of the term, so that neither an
 * announcement of it nor the lack of it makes this node ask before; a later version is asked for at once.
 */
export const putDoc = (turn: Turn, id: NodeId.NodeId, told: NodeDoc.Known): void => {
  const { asked, config } = turn.state
  const before = Option.getOrUndefined(HashMap.get(asked, id))
  if (before === undefined && HashMap.size(asked) >= config.docsMax) return count(turn, "asideOverflow")
  count(turn, "documentsAside")
  // Of a later version that is on its way this is the part that the others build upon.
  const latest = before !== undefined && NodeDoc.compareKnown(before.told, told) > 0 ? before.told : told
  update(turn, { asked: HashMap.set(asked, id, { told: latest, at: turn.now + asideMs, isAside: true }) })
}

/** True if what a delta builds upon, and this node lacks, is what was put aside. */
export const isAside = ({ asked }: State, delta: NodeDoc.DocDelta): boolean => {
  const one = Option.getOrUndefined(HashMap.get(asked, delta.id))
  return one?.isAside === true && NodeDoc.compareKnown(one.told, { ...delta, version: delta.from }) >= 0
}

/** The hash of the documents that this neighbour would have too: as if those were taken that are put aside and it holds. */
export const docsHashFor = (state: State, { known }: LinkState): number => {
  let hash = state.docsHash
  for (const [id, { isAside, told }] of state.asked) {
    if (isAside !== true || known === undefined) continue
    const copy = docOf(state, id)
    const its = Option.getOrUndefined(HashMap.get(known, id))
    if (its === undefined || NodeDoc.compareKnown(its, told) < 0) continue
    if (copy !== undefined && NodeDoc.compareKnown(copy, told) >= 0) continue
    hash ^= (copy === undefined ? 0 : hashOf(copy)) ^ hashOf({ ...told, id })
  }
  return hash >>> 0
}

/** These entries came and were refused. */
export const putEntries = (turn: Turn, dots: ReadonlyArray<Config.Dot>): void => {
  let { until, vector } = turn.state.aside
  for (const dot of dots) {
    const { registers, writing } = turn.state
    if (Config.hasDot(registers.vector, dot) || Config.hasDot(writing, dot)) continue
    if (!Config.hasDot(vector, dot) && HashMap.size(until) >= entriesMax) {
      count(turn, "asideOverflow")
      continue
    }
    count(turn, "entriesAside")
    until = HashMap.set(until, Config.dotText(dot), { dot, at: turn.now + asideMs })
    vector = Config.addDot(vector, dot)
  }
  if (until === turn.state.aside.until) return
  update(turn, { aside: { until, vector } })
  // It was given all the same.
  guardSequence(turn, vector)
}

/** An entry from the broadcast tree that is refused. */
export const delivered = (turn: Turn, payload: unknown): void => {
  const entry = decoded(turn, payload)
  if (entry !== undefined) putEntries(turn, [entry.dot])
}

/** The dots that nobody need send: those that are known here, and those put aside. */
export const vectorOf = ({ aside, registers }: State): Config.Vector =>
  HashMap.isEmpty(aside.until) ? registers.vector : Config.joinVectors(registers.vector, aside.vector)

/** The same of the configuration, by what the neighbour says it has received. */
export const vectorFor = (state: State, { peer }: LinkState): Config.Vector => {
  let { vector } = state.registers
  if (HashMap.isEmpty(state.aside.until)) return vector
  const doc = docOf(state, peer.id)
  const status = doc === undefined ? undefined : NodeDoc.valueOf(doc, "config", "ConfigStatus")
  if (status === undefined) return vector
  for (const { dot } of HashMap.values(state.aside.until)) {
    if (Config.hasDot(status.received, dot)) vector = Config.addDot(vector, dot)
  }
  return vector
}

/** Entries whose term is over are asked for again, if a neighbour has them. */
export const tend = (turn: Turn): void => {
  const { aside, config, registers } = turn.state
  const over = (dot: Config.Dot, at: Machine.Instant) => at <= turn.now || Config.hasDot(registers.vector, dot)
  if (![...HashMap.values(aside.until)].some(({ at, dot }) => over(dot, at))) return
  const until = HashMap.filter(aside.until, ({ at, dot }) => !over(dot, at))
  let vector = emptyVector
  for (const { dot } of HashMap.values(until)) vector = Config.addDot(vector, dot)
  update(turn, { aside: { until, vector } })
  if (!isArmed(turn, "Pull")) arm(turn, "Pull", config.pullMs)
}

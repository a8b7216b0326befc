/** What waits for the disk: nothing of it is told to anybody before it is durable. */
import type { Machine } from "@starling/machine"
import * as HashMap from "effect/HashMap"
import * as Config from "../Config.ts"
import type { Pending } from "../Facts.ts"
import { emptyVector } from "./messages.ts"
import { count, emit, type Turn, update } from "./turn.ts"

/** Writes rows and remembers what follows from them; false if too much is waiting already, which is answered and counted. */
export const add = (turn: Turn, rows: ReadonlyArray<Machine.StoreRow>, what: Omit<Pending, "at" | "rows">): boolean => {
  const { config, nextToken, pending } = turn.state
  if (HashMap.size(pending) >= config.pendingMax) {
    count(turn, "pendingOverflow")
    if (what.token !== undefined) {
      emit(turn, {
        _tag: "Answer",
        token: what.token,
        answer: {
          _tag: "Invalid",
          where: "store",
          message: `${config.pendingMax} writes are waiting for this node's disk; try again later`
        }
      })
    }
    return false
  }
  turn.actions.push({ _tag: "Write", token: nextToken, rows })
  update(turn, {
    nextToken: nextToken + 1,
    pending: HashMap.set(pending, nextToken, { at: turn.now, rows, ...what }),
    writing: writingOf(turn.state.writing, what)
  })
  return true
}

const writingOf = (writing: Config.Vector, { entries, skipped }: Pick<Pending, "entries" | "skipped">): Config.Vector =>
  entries.reduce((vector, { dot }) => Config.addDot(vector, dot), Config.joinVectors(writing, skipped))

/**
 * Takes what became durable with this token: writes become durable in order. A token that this state never gave out is an
 * answer to its predecessor, and says nothing of what waits here.
 */
export const take = (turn: Turn, token: number): ReadonlyArray<Pending> => {
  if (token < turn.state.firstToken || token >= turn.state.nextToken) return []
  const tokens = [...HashMap.keys(turn.state.pending)].filter((waiting) => waiting <= token).toSorted((a, b) => a - b)
  if (tokens.length === 0) return []
  const out = tokens.map((waiting) => HashMap.getUnsafe(turn.state.pending, waiting))
  const pending = HashMap.removeMany(turn.state.pending, tokens)
  let writing = emptyVector
  for (const one of HashMap.values(pending)) writing = writingOf(writing, one)
  update(turn, { pending, writing })
  return out
}

/** Our choice: longer than a busy disk takes. */
const rewriteMs = 5000

/** The step that handled `Written` may have crashed, and its event was dropped: the same rows are written again. */
export const rewrite = (turn: Turn): void => {
  for (const [token, waiting] of turn.state.pending) {
    if (turn.now - waiting.at < rewriteMs) continue
    count(turn, "rewritten")
    turn.actions.push({ _tag: "Write", token: turn.state.nextToken, rows: waiting.rows })
    update(turn, {
      nextToken: turn.state.nextToken + 1,
      pending: HashMap.set(HashMap.remove(turn.state.pending, token), turn.state.nextToken, {
        ...waiting,
        at: turn.now
      })
    })
  }
}

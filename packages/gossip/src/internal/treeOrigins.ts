/** Whose broadcasts are remembered: a bounded number of origins, of which one that is idle gives way to a new one. */
import type { NodeId } from "@starling/machine"
import * as HashSet from "effect/HashSet"
import * as Cache from "./treeCache.ts"
import * as Order from "./treeOrder.ts"
import { count, type Turn, write } from "./treeTurn.ts"
import * as Win from "./treeWindows.ts"

/** Whether there is room for what this origin sends; it is made if need be. */
export const admit = (turn: Turn, origin: NodeId.NodeId): boolean => {
  const { changed, config, windows } = turn.state
  const made = Win.withRoom(windows, origin, config.originsMax, config.self.id, busyIn(turn))
  if (made === undefined) return false
  const [roomy, left] = made
  if (left === undefined) return true
  turn.state = { ...turn.state, windows: roomy, changed: HashSet.remove(changed, left) }
  write(turn, [{ table: "windows", key: left, value: null }])
  count(turn, "originsForgotten")
  return true
}

const busyIn = (turn: Turn): ((origin: NodeId.NodeId) => boolean) => {
  const { cache, order } = turn.state
  let inCache: ReadonlySet<NodeId.NodeId> | undefined
  return (origin) => {
    inCache ??= new Set(Cache.ids(cache).map((id) => id.origin))
    return inCache.has(origin) || Order.waitsFor(order, origin)
  }
}

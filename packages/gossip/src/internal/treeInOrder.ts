/** In what order broadcasts are handed out: as they come, but after the one before, where the sender asked for that. */
import type { NodeId } from "@starling/machine"
import * as HashSet from "effect/HashSet"
import * as MessageId from "../MessageId.ts"
import * as Order from "./treeOrder.ts"
import { count, emit, type Turn } from "./treeTurn.ts"
import * as Win from "./treeWindows.ts"

/** Hands a broadcast out, unless the one that it comes after is on its way; then what waited for it. */
export const offer = (turn: Turn, before: Win.Windows, after: number | undefined, waiting: Order.Waiting): void => {
  const { id } = waiting
  if (after !== undefined && after > 0 && after < id.seq) {
    const predecessor = { ...id, seq: after }
    const { order, windows } = turn.state
    // Of a run that this node never heard of, nothing before the first that comes was meant for it.
    const isFollowed = Win.of(before, id.origin).some(([run]) => run === id.incarnation)
    const isDue = Win.has(windows, predecessor) && !Order.has(order, predecessor)
    if (isFollowed && !isDue && !Order.isTaken(order, predecessor)) {
      turn.state = { ...turn.state, order: Order.hold(order, predecessor, waiting) }
      return
    }
  }
  handOut(turn, waiting)
}

const handOut = (turn: Turn, first: Order.Waiting): void => {
  for (let next: Order.Waiting | undefined = first; next !== undefined;) {
    const { id, payload, round, topic } = next
    emit(turn, { _tag: "Delivered", id, topic, payload, round })
    const [order, successor]: readonly [Order.Order, Order.Waiting | undefined] = Order.take(
      turn.state.order,
      MessageId.toText(id)
    )
    if (order !== turn.state.order) turn.state = { ...turn.state, order }
    next = successor
  }
}

/** Hands out what waited too long, or is one too many. */
export const giveUp = (turn: Turn): void => {
  while (!Order.isEmpty(turn.state.order)) {
    const [order, late] = Order.overdue(turn.state.order, turn.now, turn.state.config)
    if (order !== turn.state.order) turn.state = { ...turn.state, order }
    if (late === undefined) return
    count(turn, "orderGivenUp")
    handOut(turn, late)
  }
}

/** Those of these origins of which nothing waits: a process that crashes must get the others' broadcasts again. */
export const handedOut = (turn: Turn, origins: HashSet.HashSet<NodeId.NodeId>): HashSet.HashSet<NodeId.NodeId> => {
  const { order } = turn.state
  return Order.isEmpty(order) ? origins : HashSet.filter(origins, (origin) => !Order.waitsFor(order, origin))
}

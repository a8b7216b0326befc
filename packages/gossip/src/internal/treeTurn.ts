/**
 * One step of a broadcast tree while it is made. A turn is a transient: it holds the next state, and never changes one.
 */
import { LinkGate, type Machine, type NodeId, Peer } from "@starling/machine"
import type * as MessageId from "../MessageId.ts"
import * as Cache from "./treeCache.ts"
import type { Action, Counters, Message, Output, State } from "./treeModel.ts"
import * as Roots from "./treeRoots.ts"

export interface Turn {
  state: State
  readonly now: Machine.Instant
  readonly actions: Array<Action>
  /** Copied from the state when the first thing is counted. */
  counters: { -readonly [what in keyof Counters]: number } | undefined
}

export const count = (turn: Turn, what: keyof Counters, by: number = 1): void => {
  turn.counters ??= { ...turn.state.counters }
  turn.counters[what] += by
}

export const emit = (turn: Turn, output: Output): void => {
  turn.actions.push({ _tag: "Emit", output })
}

export const send = (turn: Turn, link: Machine.LinkId, message: Message): void => {
  turn.actions.push({ _tag: "Send", link, message })
}

export const push = (turn: Turn, link: Machine.LinkId, message: Message): void => {
  count(turn, "payloadsSent")
  send(turn, link, message)
}

export const isNeighbor = (turn: Turn, link: Machine.LinkId): boolean =>
  LinkGate.neighborOf(turn.state.gate, link) !== undefined

/** Whether the peer of a link is known to be in this node's data centre. */
export const isNear = (turn: Turn, link: Machine.LinkId): boolean => {
  const neighbor = LinkGate.neighborOf(turn.state.gate, link)
  return neighbor !== undefined && Peer.isNear(neighbor.peer, turn.state.config.self)
}

/** Whether the peer of a link is known to be in another one. */
export const isFar = (turn: Turn, link: Machine.LinkId): boolean => {
  const neighbor = LinkGate.neighborOf(turn.state.gate, link)
  return neighbor !== undefined && Peer.isFar(neighbor.peer, turn.state.config.self)
}

export const treeOf = (turn: Turn, root: NodeId.NodeId): Roots.Tree => Roots.get(turn.state.roots, root)

/** A root without a place is not remembered: its tree is all eager at every broadcast. */
export const setTree = (turn: Turn, root: NodeId.NodeId, tree: Roots.Tree): void => {
  const [roots, outcome] = Roots.set(turn.state.roots, root, tree, turn.now, turn.state.config)
  if (outcome === "refused") return
  turn.state = { ...turn.state, roots }
  if (outcome === "displaced") count(turn, "rootsEvicted")
}

export const cached = (turn: Turn, id: MessageId.MessageId): Cache.Entry | undefined => Cache.get(turn.state.cache, id)

export const recache = (turn: Turn, entry: Cache.Entry): void => {
  turn.state = { ...turn.state, cache: Cache.replace(turn.state.cache, entry) }
}

/** The token of the write. */
export const write = (turn: Turn, rows: ReadonlyArray<Machine.StoreRow>): number => {
  const [first, last] = turn.state.tokens
  const token = last + 1
  turn.state = { ...turn.state, tokens: [first, token] }
  turn.actions.push({ _tag: "Write", token, rows })
  return token
}

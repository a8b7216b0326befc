/** What must hold of a broadcast tree after every step. */
import { LinkGate, SeqSet } from "@starling/machine"
import * as HashMap from "effect/HashMap"
import * as HashSet from "effect/HashSet"
import type { State } from "./treeModel.ts"
import * as Queue from "./treeQueue.ts"
import * as Roots from "./treeRoots.ts"
import * as Win from "./treeWindows.ts"

export const broken = (state: State): ReadonlyArray<string> => {
  const { cache, config, gate, pending, roots } = state
  const links = gate.neighbors.map(({ link }) => link)
  const entries = [...HashMap.values(cache.entries)]
  const waiting = [...HashMap.values(state.order.waiting)]
  const trees = [...HashMap.entries(roots)]
  const own = Win.of(state.windows, config.self.id).find(([run]) => run === config.self.incarnation)?.[1] ?? []
  const laws: ReadonlyArray<readonly [string, boolean]> = [
    ["every neighbour has one link", new Set(links).size === links.length],
    ["lazy links are neighbours", trees.every(([, tree]) => tree.lazy.every((link) => links.includes(link)))],
    ["a link is lazy once", trees.every(([, tree]) => new Set(tree.lazy).size === tree.lazy.length)],
    [
      "the parent is an eager neighbour",
      trees.every(([, { lazy, parent }]) => parent === null || (links.includes(parent) && !lazy.includes(parent)))
    ],
    ["the root has no parent", Roots.get(roots, config.self.id).parent === null],
    ["roots within rootsMax", trees.length <= config.rootsMax],
    ["pending within pendingMax", Queue.size(pending) <= config.pendingMax],
    ["held within heldMax", gate.held.length <= LinkGate.heldMax],
    ["frames of neighbours are not held", gate.held.every(({ link }) => !links.includes(link))],
    ["cache within cacheBytesMax", cache.bytes <= config.cacheBytesMax],
    ["cache within cacheCountMax", entries.length <= config.cacheCountMax],
    ["cache counts its bytes", entries.reduce((sum, entry) => sum + entry.bytes, 0) === cache.bytes],
    ["cache knows its order", Queue.size(cache.order) === entries.length],
    ["what is cached was delivered", entries.every(({ id }) => Win.has(state.windows, id))],
    ["what waits for its turn was seen", waiting.every(({ id }) => Win.has(state.windows, id))],
    ["waiting within orderCountMax", waiting.length <= config.orderCountMax],
    ["waiting within orderBytesMax", state.order.bytes <= config.orderBytesMax],
    ["what waits counts its bytes", waiting.reduce((sum, { bytes }) => sum + bytes, 0) === state.order.bytes],
    ["what waits for its turn waits for a timer", waiting.length === 0 || state.tick.dueAt !== null],
    [
      "origins, beside this node, within originsMax",
      Win.countBeside(state.windows, config.self.id) <= config.originsMax
    ],
    ["windows are short", [...HashMap.values(state.windows)].every(isShort)],
    ["own broadcasts are numbered before they are delivered", SeqSet.max(own) <= state.sequence],
    // One made anew has no timer before its first step.
    [
      "changed windows wait for a timer",
      HashSet.size(state.changed) === 0 || state.tick.dueAt !== null || state.tick.number === 0
    ],
    ["pending broadcasts wait for a timer", Queue.size(pending) === 0 || state.tick.dueAt !== null]
  ]
  return laws.filter(([, holds]) => !holds).map(([law]) => law)
}

const isShort = (window: Win.Window): boolean =>
  window.length <= Win.incarnationsMax &&
  window.every(
    ([incarnation, seen], i) =>
      seen.length <= Win.intervalsMax && (i === 0 || incarnation < (window[i - 1]?.[0] ?? incarnation))
  )

/** What holds of one node's views after every step. */
import { Peer } from "@starling/machine"
import * as HashMap from "effect/HashMap"
import type { State } from "./viewModel.ts"
import {
  attemptsMax,
  floorsMax,
  isAcceptable,
  linksMax,
  linksOf,
  lostMax,
  nearbyMax,
  nearOf,
  openOf,
  pausesMax,
  pendingOf,
  rememberedMax,
  seekersMax
} from "./viewTurn.ts"

/** Names of the safety invariants that this state breaks; empty if it is sound. */
export const invariants = (state: State): ReadonlyArray<string> => {
  const { active, config, passive } = state
  const activeIds = active.map((neighbor) => neighbor.peer.id)
  const passiveIds = passive.map((peer) => peer.id)
  const broken: Array<string> = []
  const must = (name: string, holds: boolean) => {
    if (!holds) broken.push(name)
  }
  must("the unbiased active view is within its bound", openOf(state) >= 0)
  must("the near slots are within their bound", nearOf(state) <= (config.nearMax === 0 ? 0 : config.nearMax + 1))
  must(
    "who has a near slot is in this data centre",
    active.every((neighbor) => neighbor.near !== true || Peer.isNear(neighbor.peer, config.self))
  )
  must("the passive view is within its bound", passive.length <= config.passiveMax)
  must("a node is in neither of its views", ![...activeIds, ...passiveIds].includes(config.self.id))
  must("a node is in the active view once", new Set(activeIds).size === active.length)
  must("a node is in the passive view once", new Set(passiveIds).size === passive.length)
  must("no node is in both views", !activeIds.some((id) => passiveIds.includes(id)))
  must(
    "links are in order",
    state.links.every((link, at) => at === 0 || (state.links[at - 1]?.link ?? 0) < link.link)
  )
  must("requests under way have a slot each", pendingOf(state) <= openOf(state))
  must(
    "every neighbour has one link, and every active link a neighbour",
    linksOf(state, "active") === active.length &&
      active.every((neighbor) =>
        state.links.some(
          (link) => link.role === "active" && link.link === neighbor.link && link.peer.id === neighbor.peer.id
        )
      )
  )
  must(
    "no barred run of a node is in a view",
    active.every((neighbor) => isAcceptable(state, neighbor.peer)) && passive.every((peer) => isAcceptable(state, peer))
  )
  must(
    "what is kept aside is within its bounds",
    state.links.length <= linksMax &&
      state.attempts.length <= attemptsMax &&
      state.lost.length <= lostMax &&
      state.pauses.length <= pausesMax &&
      state.hints.length <= config.activeMax &&
      state.seekers.length <= seekersMax &&
      state.remembered.length <= rememberedMax &&
      state.nearby.length <= nearbyMax &&
      state.resort.tried.length <= rememberedMax + lostMax + config.contacts.length &&
      HashMap.size(state.floors) <= floorsMax
  )
  return broken
}

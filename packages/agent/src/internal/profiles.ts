/** What the facts know of one node, looked up by id. */
import { type Facts, NodeDoc } from "@starling/fleet"
import type { NodeId } from "@starling/machine"
import * as HashMap from "effect/HashMap"
import * as Option from "effect/Option"

/** The highest run of a node that was heard of. */
export const incarnationOf = (facts: Facts.State, id: NodeId.NodeId): number | undefined =>
  Option.getOrUndefined(HashMap.get(facts.docs, id))?.incarnation

export const profileOf = (
  facts: Facts.State,
  id: NodeId.NodeId
): { readonly name: string; readonly datacenter: string } | undefined => {
  const doc = Option.getOrUndefined(HashMap.get(facts.docs, id))
  const profile = doc === undefined ? undefined : NodeDoc.valueOf(doc, "profile", "Profile")
  return profile ?? Option.getOrUndefined(HashMap.get(facts.remembered, id))
}

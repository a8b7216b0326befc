/** Whether a node seems to be there. */
import * as NodeDoc from "../NodeDoc.ts"
import { docOf, type Turn } from "./turn.ts"

/** One of its neighbours still names it: cheaper than a judgement, and good enough for a choice that may be wrong. */
export const isPresent = (turn: Turn, doc: NodeDoc.NodeDoc): boolean => {
  if (NodeDoc.valueOf(doc, "profile", "Profile")?.left !== null) return false
  const adjacency = NodeDoc.valueOf(doc, "adjacency", "Adjacency")
  return (adjacency?.neighbors ?? []).some(({ id }) => {
    const other = docOf(turn.state, id)
    const its = other === undefined ? undefined : NodeDoc.valueOf(other, "adjacency", "Adjacency")
    return its?.neighbors.some((neighbor) => neighbor.id === doc.id) ?? false
  })
}

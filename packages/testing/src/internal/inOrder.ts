/**
 * Ordered broadcasts of members: which were accepted, and in what order each run of a member was given them.
 *
 * What is promised (docs/protocols/plumtree.md): each is handed out after the ordered one before it of the same run of its
 * origin. But for two: one that has waited for too long, and what is the first of its origin's run that a node hears of.
 */
import { MessageId } from "@starling/gossip"
import type { NodeId } from "@starling/machine"
import type { Member } from "@starling/member"
import * as HashSet from "effect/HashSet"

/** Mutable: they belong to one fleet. */
export interface Books {
  /** How many broadcasts each node was told to send. */
  readonly told: Map<NodeId.NodeId, number>
  /** Tokens of the ordered ones. */
  readonly tokens: Set<number>
  /** By run of their origin, the ordered ones that were accepted, in that order. */
  readonly accepted: Map<string, Array<string>>
  /** By run of a member. */
  readonly given: Map<string, Given>
  /** Runs of which there was a second process with the same name: both number their broadcasts alike. */
  readonly doubled: Set<string>
}

/** What one run of a member was given. */
interface Given {
  /** Every broadcast, with how many came before it. */
  readonly order: Map<string, number>
  /** The first of each run of an origin. */
  readonly first: Map<string, string>
  /** Those that waited for too long. */
  readonly late: Set<string>
}

interface At {
  readonly node: NodeId.NodeId
  readonly peer: { readonly id: NodeId.NodeId; readonly incarnation: number }
}

/** One in so many broadcasts of a node is ordered. By a count, so that nothing is drawn for it. */
export const orderedEvery = 3

export const make = (): Books => ({
  told: new Map(),
  tokens: new Set(),
  accepted: new Map(),
  given: new Map(),
  doubled: new Set()
})

/** A node is told to broadcast. Whether this one is ordered. */
export const tell = ({ told, tokens }: Books, node: NodeId.NodeId, token: number): boolean => {
  const count = (told.get(node) ?? 0) + 1
  told.set(node, count)
  const isOrdered = count % orderedEvery === 0
  if (isOrdered) tokens.add(token)
  return isOrdered
}

export const accept = ({ accepted, tokens }: Books, token: number, id: MessageId.MessageId): void => {
  if (!tokens.has(token)) return
  const run = runOf(id)
  const list = accepted.get(run)
  if (list === undefined) accepted.set(run, [MessageId.toText(id)])
  else list.push(MessageId.toText(id))
}

export const give = (books: Books, at: At, id: MessageId.MessageId): void => {
  const { first, order } = givenTo(books, at)
  const key = MessageId.toText(id)
  if (!order.has(key)) order.set(key, order.size)
  if (!first.has(runOf(id))) first.set(runOf(id), key)
}

/** Looks on at each step of a member. */
export const look = (books: Books, at: At, before: Member.State | undefined, after: Member.State): void => {
  if (at.node !== at.peer.id) books.doubled.add(`${at.peer.id}.${at.peer.incarnation}`)
  if (before === undefined || before.config.self.incarnation !== after.config.self.incarnation) return
  const [former, next] = [before.cells["broadcast-tree"].state, after.cells["broadcast-tree"].state]
  if (next.counters.orderGivenUp <= former.counters.orderGivenUp) return
  const { late } = givenTo(books, at)
  for (const key of former.order.names) if (!HashSet.has(next.order.names, key)) late.add(key)
}

/** How many were given after the one before them, and what was given before it. */
export const judge = ({
  accepted,
  doubled,
  given
}: Books): readonly [inOrder: number, broken: ReadonlyArray<string>] => {
  let inOrder = 0
  const broken: Array<string> = []
  for (const [run, list] of accepted) {
    if (doubled.has(run)) continue
    for (const [to, { first, late, order }] of given) {
      const [after, before] = compare(list, order, (key) => late.has(key) || first.get(run) === key)
      inOrder += after
      broken.push(...before.map((what) => `${to} was given ${what}`))
    }
  }
  return [inOrder, broken]
}

/**
 * Of the ordered ones of one run of an origin, as they were numbered, and of places in what one receiver was given: how many
 * came after the one before them, and which before it without an excuse.
 */
export const compare = (
  chain: ReadonlyArray<string>,
  places: ReadonlyMap<string, number>,
  isExcused: (key: string) => boolean
): readonly [after: number, before: ReadonlyArray<string>] => {
  let after = 0
  const before: Array<string> = []
  for (let i = 1; i < chain.length; i++) {
    const [former, key] = [chain[i - 1] as string, chain[i] as string]
    const [formerPlace, place] = [places.get(former), places.get(key)]
    if (formerPlace === undefined || place === undefined) continue
    if (formerPlace < place) after++
    else if (!isExcused(key)) before.push(`${key} before ${former}`)
  }
  return [after, before]
}

const givenTo = ({ given }: Books, { node, peer }: At): Given => {
  const key = `${node}.${peer.incarnation}`
  const known = given.get(key)
  if (known !== undefined) return known
  const fresh: Given = { order: new Map(), first: new Map(), late: new Set() }
  given.set(key, fresh)
  return fresh
}

const runOf = ({ incarnation, origin }: MessageId.MessageId): string => `${origin}.${incarnation}`

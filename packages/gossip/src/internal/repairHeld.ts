/** Which payloads this node could send: what is seen, minus what has left the cache. It is what summaries say. */
import { SeqSet } from "@starling/machine"
import * as HashMap from "effect/HashMap"
import type { MessageId } from "../MessageId.ts"
import * as Win from "./treeWindows.ts"

export type Held = Win.Windows

export const empty: Held = Win.empty

export const has = (held: Held, id: MessageId): boolean => SeqSet.has(runOf(held, id), id.seq)

/** Keeps the newest runs and intervals; what does not fit is held but not advertised. */
export const add = (held: Held, id: MessageId): Held => {
  const seqs = SeqSet.add(runOf(held, id), id.seq).slice(-Win.intervalsMax)
  const rest = Win.of(held, id.origin).filter(([incarnation]) => incarnation !== id.incarnation)
  const window = [...rest, [id.incarnation, seqs] as const].toSorted((a, b) => b[0] - a[0])
  return HashMap.set(held, id.origin, window.slice(0, Win.incarnationsMax))
}

export const remove = (held: Held, id: MessageId): Held => {
  if (!has(held, id)) return held
  const window = Win.of(held, id.origin)
    .map(([incarnation, seqs]) =>
      incarnation === id.incarnation ? ([incarnation, without(seqs, id.seq)] as const) : ([incarnation, seqs] as const)
    )
    .filter(([, seqs]) => seqs.length > 0)
  return window.length === 0 ? HashMap.remove(held, id.origin) : HashMap.set(held, id.origin, window)
}

const runOf = (held: Held, id: MessageId): SeqSet.SeqSet =>
  Win.of(held, id.origin).find(([incarnation]) => incarnation === id.incarnation)?.[1] ?? SeqSet.empty

const without = (seqs: SeqSet.SeqSet, seq: number): SeqSet.SeqSet =>
  seqs.flatMap(([from, to]): SeqSet.SeqSet => {
    if (seq < from || seq > to) return [[from, to]]
    const below = seq > from ? [[from, seq - 1] as const] : []
    return seq < to ? [...below, [seq + 1, to] as const] : below
  })

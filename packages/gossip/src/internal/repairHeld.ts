/** Which payloads this node could send: what is seen, minus what has left the cache. It is what summaries say. */
import { SeqSet } from "@starling/machine"
import * as HashMap from "effect/HashMap"
import type { MessageId } from "../MessageId.ts"
import type { SummaryWindow } from "./repairModel.ts"
import * as Win from "./treeWindows.ts"

export type Held = Win.Windows

export const empty: Held = Win.empty

export const has = (held: Held, id: MessageId): boolean => SeqSet.has(runOf(held, id), id.seq)

/** Keeps the newest runs and intervals; `cut`: how many broadcasts do not fit, and are held but no longer advertised. */
export const add = (held: Held, id: MessageId): readonly [Held, cut: number] => {
  const all = SeqSet.add(runOf(held, id), id.seq)
  const rest = Win.of(held, id.origin).filter(([incarnation]) => incarnation !== id.incarnation)
  const runs = [...rest, [id.incarnation, all.slice(-Win.intervalsMax)] as const].toSorted((a, b) => b[0] - a[0])
  const over = [all.slice(0, -Win.intervalsMax), ...runs.slice(Win.incarnationsMax).map(([, seqs]) => seqs)]
  const cut = over.reduce((sum, seqs) => sum + SeqSet.size(seqs), 0)
  return [HashMap.set(held, id.origin, runs.slice(0, Win.incarnationsMax)), cut]
}

/**
 * At most `limit` runs, from the origin at `first` on, and round. `next`: where to go on, so that in turn all are told if not
 * all fit; `first` if they do. Origins that come and go between move it by a few.
 */
export const part = (
  held: Held,
  first: number,
  limit: number
): readonly [runs: ReadonlyArray<SummaryWindow>, next: number, isCut: boolean] => {
  const origins = [...held]
  const from = origins.length === 0 ? 0 : first % origins.length
  const runs: Array<SummaryWindow> = []
  for (let told = 0; told < origins.length; told++) {
    const at = (from + told) % origins.length
    const [origin, window] = origins[at] as (typeof origins)[number]
    if (runs.length + window.length > limit) return [runs, at, true]
    for (const [incarnation, seqs] of window) runs.push([origin, incarnation, seqs])
  }
  return [runs, first, false]
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

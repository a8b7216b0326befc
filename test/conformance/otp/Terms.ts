/** Erlang terms as `traces.txt` writes them: atoms, whole numbers, tuples and lists. */

export type Term = string | number | Tuple | ReadonlyArray<Term>

export interface Tuple {
  readonly tuple: ReadonlyArray<Term>
}

export const tuple = (...terms: ReadonlyArray<Term>): Tuple => ({ tuple: terms })

/** As Erlang's `~0p` writes it, so that two terms are equal when their texts are. */
export const print = (term: Term): string => {
  if (typeof term === "string" || typeof term === "number") return String(term)
  if ("tuple" in term) return `{${term.tuple.map(print).join(",")}}`
  return `[${term.map(print).join(",")}]`
}

export const parse = (text: string): Term => {
  let at = 0
  const fail = (wanted: string): never => {
    throw new Error(`at ${at} of ${text}: expected ${wanted}`)
  }
  const items = (close: string): ReadonlyArray<Term> => {
    const terms: Array<Term> = []
    at++
    while (text[at] !== close) {
      terms.push(term())
      if (text[at] === ",") at++
      else if (text[at] !== close) fail(`, or ${close}`)
    }
    at++
    return terms
  }
  const term = (): Term => {
    if (text[at] === "{") return { tuple: items("}") }
    if (text[at] === "[") return items("]")
    const word = /^(?:-?\d+|[a-z][A-Za-z0-9_@]*)/.exec(text.slice(at))?.[0]
    if (word === undefined) return fail("a term")
    at += word.length
    return /^-?\d/.test(word) ? Number(word) : word
  }
  const parsed = term()
  return at === text.length ? parsed : fail("the end")
}

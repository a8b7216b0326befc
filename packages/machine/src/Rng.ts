/**
 * Seeded randomness as a value: every draw returns the next generator, so that chance is part of a machine's state and
 * a seed replays a run.
 *
 * The generator is SplitMix32 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", OOPSLA 2014, in
 * its 32-bit form): one word of state, a full period of 2^32, good enough to pick peers and jitter; not for secrets.
 *
 * @since 0.1.0
 */

/** @since 0.1.0 @category models */
export type Rng = number

/** A generator for any number or text. @since 0.1.0 @category constructors */
export const make = (seed: number | string): Rng => {
  const text = String(seed)
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return mix(hash >>> 0)
}

/** A second, independent generator, for instance one for each component. @since 0.1.0 */
export const split = (rng: Rng, label: string): Rng => make(`${rng}/${label}`)

/** A whole number in 0..2^32-1. @since 0.1.0 */
export const next = (rng: Rng): readonly [number, Rng] => {
  const state = (rng + 0x9e3779b9) >>> 0
  return [mix(state), state]
}

/** A number in [0, 1). @since 0.1.0 */
export const nextFloat = (rng: Rng): readonly [number, Rng] => {
  const [value, after] = next(rng)
  return [value / 4294967296, after]
}

/** A whole number in 0..bound-1; `bound` at least 1. @since 0.1.0 */
export const nextInt = (rng: Rng, bound: number): readonly [number, Rng] => {
  const [value, after] = next(rng)
  return [Math.floor((value / 4294967296) * bound), after]
}

/** `value` spread evenly over value·(1-share) .. value·(1+share): timers that should not march in step. @since 0.1.0 */
export const jitter = (rng: Rng, value: number, share: number): readonly [number, Rng] => {
  const [unit, after] = nextFloat(rng)
  return [Math.round(value * (1 + share * (2 * unit - 1))), after]
}

/** One element, or undefined of an empty list. @since 0.1.0 */
export const pick = <A>(rng: Rng, items: ReadonlyArray<A>): readonly [A | undefined, Rng] => {
  if (items.length === 0) return [undefined, rng]
  const [index, after] = nextInt(rng, items.length)
  return [items[index], after]
}

/** At most `count` different elements, each subset equally likely (partial Fisher-Yates). @since 0.1.0 */
export const sample = <A>(rng: Rng, items: ReadonlyArray<A>, count: number): readonly [ReadonlyArray<A>, Rng] => {
  const pool = items.slice()
  const size = Math.min(count, pool.length)
  let current = rng
  for (let i = 0; i < size; i++) {
    const [offset, after] = nextInt(current, pool.length - i)
    current = after
    const chosen = pool[i + offset] as A
    pool[i + offset] = pool[i] as A
    pool[i] = chosen
  }
  return [pool.slice(0, size), current]
}

const mix = (word: number): number => {
  let x = word
  x = Math.imul(x ^ (x >>> 16), 0x21f0aaad)
  x = Math.imul(x ^ (x >>> 15), 0x735a2d97)
  return (x ^ (x >>> 15)) >>> 0
}

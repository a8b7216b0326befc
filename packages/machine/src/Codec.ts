/**
 * How protocols read what a peer sent: never throwing, bounds checked, and a refusal that says what was wrong.
 *
 * Every protocol owns `encode` (message to plain arrays) and `decode` (unknown to message, or a refusal) beside its
 * messages; `wire` turns the plain arrays into bytes.
 *
 * @since 0.1.0
 */

/** @since 0.1.0 @category models */
export type Decoded<A> = { readonly ok: true; readonly value: A } | { readonly ok: false; readonly reason: string }

/** @since 0.1.0 @category models */
export type Decoder<A> = (input: unknown) => Decoded<A>

/** @since 0.1.0 @category constructors */
export const accept = <A>(value: A): Decoded<A> => ({ ok: true, value })

/** @since 0.1.0 @category constructors */
export const refuse = (reason: string): Decoded<never> => ({ ok: false, reason })

/** A whole number in 0..max, and not -0. @since 0.1.0 @category guards */
export const isCount = (input: unknown, max: number = Number.MAX_SAFE_INTEGER): input is number =>
  typeof input === "number" && Number.isSafeInteger(input) && input >= 0 && input <= max && !Object.is(input, -0)

/** A string of at most `lengthMax` UTF-16 units. @since 0.1.0 @category guards */
export const isText = (input: unknown, lengthMax: number): input is string =>
  typeof input === "string" && input.length <= lengthMax

/** An array of exactly `length` or more fields; later versions may append. @since 0.1.0 @category combinators */
export const tuple = (input: unknown, length: number, what: string): Decoded<ReadonlyArray<unknown>> =>
  Array.isArray(input) && input.length >= length ? accept(input) : refuse(`${what}: expected ${length} fields`)

/** At most `max` items, each read by `item`. @since 0.1.0 @category combinators */
export const list = <A>(input: unknown, item: Decoder<A>, max: number, what: string): Decoded<ReadonlyArray<A>> => {
  if (!Array.isArray(input)) return refuse(`${what}: expected a list`)
  if (input.length > max) return refuse(`${what}: ${input.length} items, at most ${max} are accepted`)
  const out: Array<A> = []
  for (const raw of input) {
    const decoded = item(raw)
    if (!decoded.ok) return decoded
    out.push(decoded.value)
  }
  return accept(out)
}

/** How many bytes a text takes in UTF-8. (No `TextEncoder` on this floor.) @since 0.1.0 */
export const utf8Length = (text: string): number => {
  let bytes = text.length
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i)
    // Two halves of a pair take two bytes each; everything else above 0x7ff takes three.
    if (unit > 0x7f) bytes += unit > 0x7ff && (unit < 0xd800 || unit > 0xdfff) ? 2 : 1
  }
  return bytes
}

/**
 * About how many bytes plain data takes on the wire: what caches and batches are bounded by. An estimate within a few
 * per cent, without encoding. Nesting beyond 32 levels counts as nothing; the wire refuses it anyway.
 *
 * @since 0.1.0
 */
export const sizeOf = (data: unknown, depth: number = 0): number => {
  if (depth > 32) return 0
  switch (typeof data) {
    case "string":
      return utf8Length(data) + 2
    case "number":
      return Number.isInteger(data) && data >= 0 && data < 128 ? 1 : 9
    case "object": {
      if (data === null) return 1
      if (data instanceof Uint8Array) return data.byteLength + 3
      let sum = 3
      if (Array.isArray(data)) for (const item of data) sum += sizeOf(item, depth + 1)
      else for (const [key, value] of Object.entries(data)) sum += utf8Length(key) + 2 + sizeOf(value, depth + 1)
      return sum
    }
    default:
      return 1
  }
}

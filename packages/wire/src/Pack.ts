/**
 * Plain data as MessagePack, for bytes that a stranger may have chosen.
 *
 * Plain data is null, booleans, numbers, text, bytes, and lists and records of plain data, at most `depthMax` deep.
 * Before anything is built the bytes are walked once: a list or record that promises more items than there are bytes
 * left is refused, so what decoding allocates is bounded by the length of the input. (Without that walk a frame of one
 * mebibyte can ask for many gigabytes, since a decoder reserves each list when it reads its length.)
 *
 * Changed on the way: `-0` to `0`, `undefined` to `null`, lone surrogates to the replacement character.
 *
 * @since 0.1.0
 */
import { Decoder, Encoder } from "@msgpack/msgpack"
import { Codec } from "@starling/machine"

/** Nested lists and records: what `Codec.sizeOf` counts, and the frame around it. Our choice. @since 0.1.0 */
export const depthMax = 33

/** The largest plain data, in bytes, that is read: far beyond a frame, for rows of a store. @since 0.1.0 */
export const bytesMax = 64 * 1024 * 1024

/**
 * The bytes of plain data, in memory that the next call overwrites: copy them, or use them up before.
 *
 * @since 0.1.0
 * @category codec
 */
export const encodeShared = (data: unknown): Codec.Decoded<Uint8Array> => {
  try {
    const bytes = encoder.encodeSharedRef(data)
    // One huge value must not keep its buffer for ever.
    if (bytes.length > 4 * 1024 * 1024) encoder = makeEncoder()
    return Codec.accept(bytes)
  } catch (error) {
    encoder = makeEncoder()
    return Codec.refuse(`not plain data: ${messageOf(error)}`)
  }
}

/** The bytes of plain data. @since 0.1.0 @category codec */
export const encode = (data: unknown): Codec.Decoded<Uint8Array> => {
  const shared = encodeShared(data)
  return shared.ok ? Codec.accept(shared.value.slice()) : shared
}

/** Plain data of bytes, sharing no memory with them. @since 0.1.0 @category codec */
export const decode = (bytes: Uint8Array): Codec.Decoded<unknown> => {
  if (bytes.length > bytesMax) return Codec.refuse(`MessagePack: ${bytes.length} bytes, at most ${bytesMax} are read`)
  const shape = scan(bytes)
  if (typeof shape === "string") return Codec.refuse(`MessagePack: ${shape}`)
  try {
    // Decoded byte strings are views of the input: give them memory of their own.
    return Codec.accept(decoder.decode(shape ? bytes.slice() : bytes))
  } catch (error) {
    return Codec.refuse(`MessagePack: ${messageOf(error)}`)
  }
}

// An item at depth d counts d + 1 in the encoder, so that everything it accepts passes the walk of `decode`.
const makeEncoder = (): Encoder => new Encoder({ maxDepth: depthMax })

let encoder = makeEncoder()

const decoder = new Decoder({
  maxStrLength: bytesMax,
  maxBinLength: bytesMax,
  maxArrayLength: bytesMax,
  maxMapLength: bytesMax,
  maxExtLength: 0
})

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/** Items still to come in each open list or record, by depth; used within one call only. */
const open = new Float64Array(depthMax + 1)

/** Walks one value. A text says what is wrong with it; true: it holds byte strings. */
const scan = (bytes: Uint8Array): string | boolean => {
  const length = bytes.length
  let binary = false
  let depth = 0
  let position = 0
  // Each item takes a byte at least: more items owed than bytes left is a lie or a truncation.
  let owed = 1
  while (owed <= length - position) {
    const head = bytes[position++] as number
    owed--
    let items = -1
    let skip = 0
    if (head <= 0x7f || head >= 0xe0) skip = 0
    else if (head <= 0x8f) items = (head & 15) * 2
    else if (head <= 0x9f) items = head & 15
    else if (head <= 0xbf) skip = head & 31
    else {
      switch (head) {
        case 0xc0:
        case 0xc2:
        case 0xc3:
          break
        case 0xc4:
        case 0xd9:
          skip = 1 + unsigned(bytes, position, 1)
          break
        case 0xc5:
        case 0xda:
          skip = 2 + unsigned(bytes, position, 2)
          break
        case 0xc6:
        case 0xdb:
          skip = 4 + unsigned(bytes, position, 4)
          break
        case 0xcc:
        case 0xd0:
          skip = 1
          break
        case 0xcd:
        case 0xd1:
          skip = 2
          break
        case 0xca:
        case 0xce:
        case 0xd2:
          skip = 4
          break
        case 0xcb:
        case 0xcf:
        case 0xd3:
          skip = 8
          break
        case 0xdc:
          items = unsigned(bytes, position, 2)
          position += 2
          break
        case 0xdd:
          items = unsigned(bytes, position, 4)
          position += 4
          break
        case 0xde:
          items = unsigned(bytes, position, 2) * 2
          position += 2
          break
        case 0xdf:
          items = unsigned(bytes, position, 4) * 2
          position += 4
          break
        case 0xc1:
          return "byte 0xc1 is never used"
        default:
          return "extension types are not plain data"
      }
      if (head >= 0xc4 && head <= 0xc6) binary = true
    }
    if (items >= 0) {
      if (depth === depthMax) return `nested deeper than ${depthMax}`
      if (items > 0) {
        owed += items
        open[++depth] = items
        continue
      }
    }
    position += skip
    if (position > length) return "truncated"
    while (depth > 0 && (open[depth] = (open[depth] as number) - 1) === 0) depth--
    if (depth === 0) return position === length ? binary : `${length - position} bytes after the end`
  }
  return "truncated"
}

/** Big-endian; what lies beyond the end reads as the largest number, which no length survives. */
const unsigned = (bytes: Uint8Array, position: number, size: number): number => {
  if (position + size > bytes.length) return 0xffffffff
  let value = 0
  for (let i = 0; i < size; i++) value = value * 256 + (bytes[position + i] as number)
  return value
}

/**
 * Frames on a stream of bytes: four bytes of length, big-endian, then that many bytes of MessagePack, which are
 * `[channel, payload]`.
 *
 * Channel 0 belongs to the link itself (handshake, close); the others are numbered by who uses the link.
 *
 * @since 0.1.0
 */
import { Codec } from "@starling/machine"
import * as Pack from "./Pack.ts"

/** One message: `payload` is plain data as a protocol's `encode` made it. @since 0.1.0 @category models */
export interface Frame {
  readonly channel: number
  readonly payload: unknown
}

/** Bytes before each frame. @since 0.1.0 */
export const prefixBytes = 4

/** The largest frame, without its prefix. Our choice: twice the largest broadcast. @since 0.1.0 */
export const frameBytesMax = 1024 * 1024

/**
 * The frame's bytes without prefix, in memory that the next call overwrites.
 *
 * @since 0.1.0
 * @category codec
 */
export const encodeShared = (channel: number, payload: unknown): Codec.Decoded<Uint8Array> => {
  const bytes = Pack.encodeShared([channel, payload])
  return bytes.ok && bytes.value.length > frameBytesMax
    ? Codec.refuse(`frame: ${bytes.value.length} bytes, at most ${frameBytesMax} are sent`)
    : bytes
}

/** Writes prefix and frame at `offset`; returns the offset after it. @since 0.1.0 */
export const put = (target: Uint8Array, offset: number, frame: Uint8Array): number => {
  const length = frame.length
  target[offset] = length >>> 24
  target[offset + 1] = length >>> 16
  target[offset + 2] = length >>> 8
  target[offset + 3] = length
  target.set(frame, offset + prefixBytes)
  return offset + prefixBytes + length
}

/** Prefix and frame. @since 0.1.0 @category codec */
export const encode = (channel: number, payload: unknown): Codec.Decoded<Uint8Array> => {
  const frame = encodeShared(channel, payload)
  if (!frame.ok) return frame
  const bytes = new Uint8Array(prefixBytes + frame.value.length)
  put(bytes, 0, frame.value)
  return Codec.accept(bytes)
}

/** A frame's bytes without prefix; fields after the payload are ignored. @since 0.1.0 @category codec */
export const decode = (bytes: Uint8Array): Codec.Decoded<Frame> => {
  const data = Pack.decode(bytes)
  if (!data.ok) return data
  const fields = Codec.tuple(data.value, 2, "frame")
  if (!fields.ok) return fields
  const [channel, payload] = fields.value
  return Codec.isCount(channel, 0xffff) ? Codec.accept({ channel, payload }) : Codec.refuse("frame: no channel number")
}

/**
 * Cuts a stream of chunks into frames. Mutable: belongs to one connection.
 *
 * - `push`: the next chunk.
 * - `next`: the next whole frame without its prefix, as a view that stays as it is; undefined until more has come; a
 *   refusal when the next frame's length is over `limit`, and for ever after.
 * - `pending`: bytes of a frame that is not whole.
 *
 * @since 0.1.0
 * @category models
 */
export interface Splitter {
  limit: number
  readonly push: (chunk: Uint8Array) => void
  readonly next: () => Codec.Decoded<Uint8Array> | undefined
  readonly pending: () => number
}

/**
 * A chunk that comes while nothing is pending is not copied; otherwise bytes are moved a bounded number of times,
 * however the stream is cut.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeSplitter = (limit: number = frameBytesMax): Splitter => {
  let buffer: Uint8Array = nothing
  let start = 0
  let end = 0
  // True when `buffer` is the splitter's own memory and may be written behind `end`.
  let owned = false
  const splitter: Splitter = {
    limit,
    push: (chunk) => {
      if (chunk.length === 0) return
      const pending = end - start
      if (pending === 0) {
        buffer = chunk
        start = 0
        end = chunk.length
        owned = false
        return
      }
      const size = pending + chunk.length
      if (!owned || end + chunk.length > buffer.length) {
        // Twice what is there: each byte is moved about once more, whatever the chunks.
        const larger = new Uint8Array(Math.max(256, size * 2))
        larger.set(buffer.subarray(start, end))
        buffer = larger
        start = 0
        end = pending
        owned = true
      }
      buffer.set(chunk, end)
      end += chunk.length
    },
    next: () => {
      if (end - start < prefixBytes) return undefined
      const length =
        (buffer[start] as number) * 0x1000000 +
        (((buffer[start + 1] as number) << 16) | ((buffer[start + 2] as number) << 8) | (buffer[start + 3] as number))
      if (length > splitter.limit) return Codec.refuse(`frame: ${length} bytes, at most ${splitter.limit} are accepted`)
      const from = start + prefixBytes
      if (end - from < length) return undefined
      start = from + length
      const frame = buffer.subarray(from, start)
      if (start === end) {
        buffer = nothing
        start = end = 0
        owned = false
      }
      return Codec.accept(frame)
    },
    pending: () => end - start
  }
  return splitter
}

const nothing = new Uint8Array(0)

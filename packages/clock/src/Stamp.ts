/**
 * When something happened, as the whole fleet agrees to order it: (epoch, wall milliseconds, counter, node).
 *
 * Stamps are those of Distributed Monotonic Clocks (Jon Moore, "How to Have Your Causality and Wall Clocks, Too",
 * Strange Loop 2015): a hybrid logical clock (Kulkarni, Demirbas, Madappa, Avva, Leone: "Logical Physical Clocks",
 * OPODIS 2014) with an epoch in front, which an operator raises to leave a poisoned time behind. If one event
 * happened before another, its stamp is less; and the wall part stays near what clocks on the wall show.
 *
 * There is one order, lexicographic, and every written form keeps it: texts compare as strings, bytes compare as
 * `memcmp` does. No two events of a fleet share a stamp, since a node never repeats one and the node is part of it.
 *
 * @since 0.1.0
 */
import { Codec, NodeId } from "@starling/machine"
import * as Order from "effect/Order"
import * as iso from "./internal/iso.ts"

/**
 * - `epoch`: 0..65535, raised by a reset; a higher one is later whatever the clocks say.
 * - `wall`: milliseconds since 1970, at most the end of the year 9999; 48 bits on the wire.
 * - `counter`: 0..65535, tells apart what falls into one millisecond.
 * - `node`: who stamped, twelve hexadecimal digits.
 *
 * @since 0.1.0
 * @category models
 */
export interface Stamp {
  readonly epoch: number
  readonly wall: number
  readonly counter: number
  readonly node: NodeId.NodeId
}

/** The largest epoch. @since 0.1.0 */
export const epochMax = 0xffff

/** The largest counter. @since 0.1.0 */
export const counterMax = 0xffff

/** The largest wall part, 9999-12-31T23:59:59.999Z: later instants have no text of this width. @since 0.1.0 */
export const wallMax = iso.wallMax

/** `YYYY-MM-DDTHH:mm:ss.sssZ` of milliseconds since 1970; what lies outside 1970..9999 is moved to the nearer end. @since 0.1.0 */
export const isoOf: (wallMs: number) => string = iso.isoOf

/** Milliseconds since 1970 of exactly what `isoOf` writes, or undefined. @since 0.1.0 */
export const parseIso: (text: string) => number | undefined = iso.parseIso

/** Not later than any stamp. @since 0.1.0 @category constructors */
export const zero: Stamp = { epoch: 0, wall: 0, counter: 0, node: "000000000000" }

/** Negative if `a` is earlier, 0 if they are equal, positive if `a` is later. @since 0.1.0 */
export const compare = (a: Stamp, b: Stamp): number => {
  if (a.epoch !== b.epoch) return a.epoch - b.epoch
  if (a.wall !== b.wall) return a.wall - b.wall
  if (a.counter !== b.counter) return a.counter - b.counter
  return a.node < b.node ? -1 : a.node > b.node ? 1 : 0
}

/** @since 0.1.0 @category instances */
export const order: Order.Order<Stamp> = Order.make((a, b) => {
  const sign = compare(a, b)
  return sign < 0 ? -1 : sign > 0 ? 1 : 0
})

/** @since 0.1.0 */
export const equals = (a: Stamp, b: Stamp): boolean => compare(a, b) === 0

/** The later of two. @since 0.1.0 */
export const max = (a: Stamp, b: Stamp): Stamp => (compare(a, b) >= 0 ? a : b)

/** True of plain data that is a stamp with every part in range. @since 0.1.0 @category guards */
export const isStamp = (input: unknown): input is Stamp => {
  if (typeof input !== "object" || input === null) return false
  const { epoch, wall, counter, node } = input as Partial<Record<keyof Stamp, unknown>>
  return (
    Codec.isCount(epoch, epochMax) &&
    Codec.isCount(wall, wallMax) &&
    Codec.isCount(counter, counterMax) &&
    NodeId.isNodeId(node)
  )
}

/** How long every text is. @since 0.1.0 */
export const textLength = 47

/**
 * `0000/2024-06-14T13:40:00.123Z/0007/a1b2c3d4e5f6`: epoch, wall, counter and node; lower-case hexadecimal except for
 * the wall. Texts sort as the stamps do.
 *
 * @since 0.1.0
 * @category codec
 */
export const toText = (stamp: Stamp): string =>
  `${hex4(stamp.epoch)}/${iso.isoOf(stamp.wall)}/${hex4(stamp.counter)}/${stamp.node}`

/** Reads exactly what `toText` writes. @since 0.1.0 @category codec */
export const fromText = (text: string): Codec.Decoded<Stamp> => {
  if (text.length !== textLength || !hasSlashes(text)) return Codec.refuse(`stamp: expected ${textForm}`)
  const epoch = parseHex4(text, 0)
  const counter = parseHex4(text, 30)
  const node = text.slice(35)
  if (Number.isNaN(epoch + counter) || !NodeId.isNodeId(node)) return Codec.refuse(`stamp: expected ${textForm}`)
  const wall = iso.parseIso(text.slice(5, 29))
  if (wall === undefined) return Codec.refuse(`stamp: ${text.slice(5, 29)} is no instant between 1970 and 9999`)
  return Codec.accept({ epoch, wall, counter, node })
}

const textForm = "eeee/YYYY-MM-DDTHH:mm:ss.sssZ/cccc/nnnnnnnnnnnn"

const hasSlashes = (text: string): boolean =>
  text.charCodeAt(4) === 0x2f && text.charCodeAt(29) === 0x2f && text.charCodeAt(34) === 0x2f

/** Four lower-case hexadecimal digits, or NaN. */
const parseHex4 = (text: string, at: number): number =>
  ((hexDigit(text, at) * 16 + hexDigit(text, at + 1)) * 16 + hexDigit(text, at + 2)) * 16 + hexDigit(text, at + 3)

const hexDigit = (text: string, at: number): number => {
  const unit = text.charCodeAt(at)
  return unit >= 0x30 && unit <= 0x39 ? unit - 0x30 : unit >= 0x61 && unit <= 0x66 ? unit - 0x57 : Number.NaN
}

/**
 * The HTTP header in which a stamp rides on other people's messages (DMC, Strange Loop 2015: piggyback on what is sent
 * anyway): `DMC: 0000/2024-06-14T13:40:00.123Z/0007/a1b2c3d4e5f6`. Lower case, as HTTP/2 writes names and Node reads them.
 *
 * @since 0.1.0
 */
export const headerName = "dmc"

/** The value of the header: the text. @since 0.1.0 @category codec */
export const toHeader: (stamp: Stamp) => string = toText

/**
 * Reads the header of a request or response: exactly one value, which is what `toHeader` writes. One that is missing or
 * was sent twice (servers join the values with a comma) is refused, with what is wrong.
 *
 * @since 0.1.0
 * @category codec
 */
export const fromHeader = (value: string | ReadonlyArray<string> | null | undefined): Codec.Decoded<Stamp> => {
  if (value === null || value === undefined) return Codec.refuse(`stamp: there is no ${headerName} header`)
  if (typeof value !== "string") return Codec.refuse(`stamp: the ${headerName} header was sent ${value.length} times`)
  const read = fromText(value)
  return read.ok ? read : Codec.refuse(`${read.reason}, in the ${headerName} header`)
}

/**
 * 16 bytes, big-endian: epoch u16, wall u48, counter u16, node u48. Bytes sort as the stamps do.
 *
 * @since 0.1.0
 * @category codec
 */
export const toBytes = (stamp: Stamp): Uint8Array => {
  const bytes = new Uint8Array(16)
  put16(bytes, 0, stamp.epoch)
  put48(bytes, 2, stamp.wall)
  put16(bytes, 8, stamp.counter)
  putNode(bytes, 10, stamp.node)
  return bytes
}

/** Reads exactly 16 bytes. @since 0.1.0 @category codec */
export const fromBytes = (bytes: Uint8Array): Codec.Decoded<Stamp> => {
  if (bytes.length !== 16) return Codec.refuse(`stamp: expected 16 bytes, got ${bytes.length}`)
  const wall = get48(bytes, 2)
  if (wall > wallMax) return Codec.refuse("stamp: the wall part lies beyond the year 9999")
  return Codec.accept({ epoch: get16(bytes, 0), wall, counter: get16(bytes, 8), node: getNode(bytes, 10) })
}

/**
 * Epoch and counter as varints that keep the order (SQLite 4's, up to 16 bits), the wall in 6 bytes and, if `node` is
 * "with-node", the node in 6: mostly 14 bytes, or 8 without the node, for a connection that implies it. Each of the two
 * forms sorts as the stamps do; without the node, as the stamps of one node do.
 *
 * @since 0.1.0
 * @category codec
 */
export const toCompact = (stamp: Stamp, node: "with-node" | "without-node" = "with-node"): Uint8Array => {
  const epochLength = varintLength(stamp.epoch)
  const counterAt = epochLength + 6
  const nodeAt = counterAt + varintLength(stamp.counter)
  const bytes = new Uint8Array(node === "with-node" ? nodeAt + 6 : nodeAt)
  putVarint(bytes, 0, stamp.epoch)
  put48(bytes, epochLength, stamp.wall)
  putVarint(bytes, counterAt, stamp.counter)
  if (node === "with-node") putNode(bytes, nodeAt, stamp.node)
  return bytes
}

/**
 * Reads exactly what `toCompact` writes. Give `node` for the form without one: it becomes the stamp's node.
 *
 * @since 0.1.0
 * @category codec
 */
export const fromCompact = (bytes: Uint8Array, node?: NodeId.NodeId): Codec.Decoded<Stamp> => {
  const epoch = getVarint(bytes, 0)
  if (epoch === undefined) return Codec.refuse("stamp: the epoch is not a shortest varint of 16 bits")
  const epochLength = varintLength(epoch)
  if (bytes.length < epochLength + 6) return Codec.refuse("stamp: cut off within the wall part")
  const wall = get48(bytes, epochLength)
  if (wall > wallMax) return Codec.refuse("stamp: the wall part lies beyond the year 9999")
  const counter = getVarint(bytes, epochLength + 6)
  if (counter === undefined) return Codec.refuse("stamp: the counter is not a shortest varint of 16 bits")
  const nodeAt = epochLength + 6 + varintLength(counter)
  const expected = node === undefined ? nodeAt + 6 : nodeAt
  if (bytes.length !== expected) return Codec.refuse(`stamp: expected ${expected} bytes, got ${bytes.length}`)
  return Codec.accept({ epoch, wall, counter, node: node ?? getNode(bytes, nodeAt) })
}

/** `[epoch, wall, counter, node]`. @since 0.1.0 @category codec */
export const encode = (stamp: Stamp): ReadonlyArray<unknown> => [stamp.epoch, stamp.wall, stamp.counter, stamp.node]

/** @since 0.1.0 @category codec */
export const decode: Codec.Decoder<Stamp> = (input) => {
  const fields = Codec.tuple(input, 4, "stamp")
  if (!fields.ok) return fields
  const [epoch, wall, counter, node] = fields.value
  if (!Codec.isCount(epoch, epochMax)) return Codec.refuse("stamp: the epoch is not in 0..65535")
  if (!Codec.isCount(wall, wallMax)) return Codec.refuse("stamp: the wall part is not between 1970 and 9999")
  if (!Codec.isCount(counter, counterMax)) return Codec.refuse("stamp: the counter is not in 0..65535")
  if (!NodeId.isNodeId(node)) return Codec.refuse("stamp: the node is not twelve hexadecimal digits")
  return Codec.accept({ epoch, wall, counter, node })
}

const hex4 = (value: number): string => value.toString(16).padStart(4, "0")

const put16 = (bytes: Uint8Array, at: number, value: number): void => {
  bytes[at] = value >>> 8
  bytes[at + 1] = value
}

/** The length was looked at before. */
const get16 = (bytes: Uint8Array, at: number): number => ((bytes[at] as number) << 8) | (bytes[at + 1] as number)

/** Bitwise operators end at 32 bits: the upper 16 of 48 are divided off. */
const put48 = (bytes: Uint8Array, at: number, value: number): void => {
  const high = Math.floor(value / 0x100000000)
  const low = value - high * 0x100000000
  put16(bytes, at, high)
  put16(bytes, at + 2, low >>> 16)
  put16(bytes, at + 4, low & 0xffff)
}

const get48 = (bytes: Uint8Array, at: number): number =>
  get16(bytes, at) * 0x100000000 + ((get16(bytes, at + 2) << 16) >>> 0) + get16(bytes, at + 4)

const putNode = (bytes: Uint8Array, at: number, node: NodeId.NodeId): void => {
  for (let i = 0; i < 6; i++) bytes[at + i] = (hexDigit(node, 2 * i) << 4) | hexDigit(node, 2 * i + 1)
}

const getNode = (bytes: Uint8Array, at: number): NodeId.NodeId =>
  hex2(bytes, at) +
  hex2(bytes, at + 1) +
  hex2(bytes, at + 2) +
  hex2(bytes, at + 3) +
  hex2(bytes, at + 4) +
  hex2(bytes, at + 5)

const hex2 = (bytes: Uint8Array, at: number): string => hexPairs[bytes[at] as number] as string

const hexPairs = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"))

const varintLength = (value: number): number => (value <= 240 ? 1 : value <= 2287 ? 2 : 3)

const putVarint = (bytes: Uint8Array, at: number, value: number): void => {
  if (value <= 240) bytes[at] = value
  else if (value <= 2287) {
    bytes[at] = 241 + ((value - 240) >>> 8)
    bytes[at + 1] = value - 240
  } else {
    bytes[at] = 249
    put16(bytes, at + 1, value - 2288)
  }
}

/** Undefined if it is cut off, longer than 16 bits, or not the shortest way to write the number. */
const getVarint = (bytes: Uint8Array, at: number): number | undefined => {
  const first = bytes[at]
  if (first === undefined || first > 249) return undefined
  if (first <= 240) return first
  const length = first === 249 ? 3 : 2
  if (bytes.length < at + length) return undefined
  const value = first === 249 ? 2288 + get16(bytes, at + 1) : 240 + (first - 241) * 0x100 + (bytes[at + 1] as number)
  return value <= 0xffff && length === varintLength(value) ? value : undefined
}

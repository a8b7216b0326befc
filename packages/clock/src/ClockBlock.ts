/**
 * What a node tells a neighbour of clocks: its own, its median, and a few samples of others, all as they would read at
 * the moment of sending.
 *
 * | bytes | field |
 * | --- | --- |
 * | 1 | flags: 1 own clock, 2 median |
 * | 6 | base, milliseconds since 1970: the own clock, else the median, else the first sample's, else 0 |
 * | 1..8 | the median minus the base, zigzag varint; only with both flags |
 * | 1 | how many samples |
 * | each 4 | origin |
 * | 1..8 | its reading minus the base, zigzag varint |
 * | 2 | its age in tenths of a second |
 * | 1 | hops |
 *
 * About 45 bytes with three samples. Samples stand in ascending order of origin, varints are the shortest: a block has
 * one way to be written, and what is written otherwise is refused.
 *
 * @since 0.1.0
 */
import { Codec, type NodeId } from "@starling/machine"
import * as bytesOf from "./internal/bytes.ts"
import * as Stamp from "./Stamp.ts"

/** A clock as another node tells of it. @since 0.1.0 @category models */
export interface Sample {
  readonly origin: number
  /** Milliseconds since 1970, at the moment of sending. */
  readonly wall: number
  /** How long ago the origin was heard, in tenths of a second, rounded up. */
  readonly age: number
  /** Over how many nodes the sample came; 1 is the origin's neighbour. */
  readonly hops: number
}

/** @since 0.1.0 @category models */
export interface ClockBlock {
  /** The sender's clock, or undefined if it has none. */
  readonly own: number | undefined
  /** The median of the clocks that the sender knows, or undefined if they are too few. */
  readonly median: number | undefined
  readonly samples: ReadonlyArray<Sample>
}

/** More samples are in no block. @since 0.1.0 */
export const samplesMax = 64

/** A sample that came over more nodes is not told on. Our choice: three diameters of 10,000 nodes. @since 0.1.0 */
export const hopsMax = 16

/** @since 0.1.0 */
export const ageMax = 0xffff

/** 32 of the 48 bits of an id: among 10,000 nodes two share them with a probability of 1 %, and then share a slot. @since 0.1.0 */
export const originOf = (node: NodeId.NodeId): number => parseInt(node.slice(4), 16)

/** @since 0.1.0 @category codec */
export const encode = (block: ClockBlock): Uint8Array => {
  const { median, own, samples } = block
  const base = own ?? median ?? samples[0]?.wall ?? 0
  const out: Array<number> = [(own === undefined ? 0 : 1) + (median === undefined ? 0 : 2)]
  bytesOf.putUint(out, base, 6)
  if (own !== undefined && median !== undefined) bytesOf.putSigned(out, median - base)
  out.push(samples.length)
  for (const { age, hops, origin, wall } of samples) {
    bytesOf.putUint(out, origin, 4)
    bytesOf.putSigned(out, wall - base)
    bytesOf.putUint(out, age, 2)
    out.push(hops)
  }
  return Uint8Array.from(out)
}

/** Reads exactly what `encode` writes. @since 0.1.0 @category codec */
export const decode = (bytes: Uint8Array): Codec.Decoded<ClockBlock> => {
  const from: bytesOf.Cursor = { bytes, at: 0, broken: undefined }
  const flags = bytesOf.getUint(from, 1)
  if (flags > 3) return Codec.refuse(`clock block: unknown flags ${flags}`)
  const base = bytesOf.getUint(from, 6)
  const own = (flags & 1) === 1 ? base : undefined
  const median = (flags & 2) === 0 ? undefined : own === undefined ? base : base + bytesOf.getSigned(from)
  const count = bytesOf.getUint(from, 1)
  if (from.broken !== undefined) return Codec.refuse(`clock block: ${from.broken}`)
  if (count > samplesMax) return Codec.refuse(`clock block: ${count} samples, at most ${samplesMax} are accepted`)
  const samples: Array<Sample> = []
  for (let i = 0; i < count; i++) {
    const origin = bytesOf.getUint(from, 4)
    const wall = base + bytesOf.getSigned(from)
    const age = bytesOf.getUint(from, 2)
    const hops = bytesOf.getUint(from, 1)
    samples.push({ origin, wall, age, hops })
  }
  const broken = from.broken ?? brokenOf(base, median, samples, flags)
  if (broken !== undefined) return Codec.refuse(`clock block: ${broken}`)
  return from.at === bytes.length
    ? Codec.accept({ own, median, samples })
    : Codec.refuse(`clock block: ${bytes.length - from.at} bytes too many`)
}

const brokenOf = (
  base: number,
  median: number | undefined,
  samples: ReadonlyArray<Sample>,
  flags: number
): string | undefined => {
  if (!isWall(base) || (median !== undefined && !isWall(median))) return "a clock beyond the years 1970 to 9999"
  if (flags === 0 && base !== (samples[0]?.wall ?? 0)) return "the base is not the first sample's"
  for (const [index, { hops, origin, wall }] of samples.entries()) {
    if (!isWall(wall)) return "a sample beyond the years 1970 to 9999"
    if (hops < 1 || hops > hopsMax) return `a sample over ${hops} hops, expected 1 to ${hopsMax}`
    const before = samples[index - 1]
    if (before !== undefined && before.origin >= origin) return "origins that do not ascend"
  }
  return undefined
}

const isWall = (wall: number): boolean => wall >= 0 && wall <= Stamp.wallMax

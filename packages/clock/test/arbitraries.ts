import { Stamp } from "@starling/clock"
import * as fc from "fast-check"

/** Numbers where widths change are as likely as all others together. */
const counting = (max: number, edges: ReadonlyArray<number>): fc.Arbitrary<number> =>
  fc.oneof(fc.integer({ min: 0, max }), fc.constantFrom(...edges))

const varintEdges = [0, 1, 239, 240, 241, 2286, 2287, 2288, 2289, 65534, 65535]

export const epoch = counting(Stamp.epochMax, varintEdges)

export const counter = counting(Stamp.counterMax, varintEdges)

export const wall = fc.oneof(
  fc.integer({ min: 0, max: Stamp.wallMax }),
  fc.integer({ min: 1_700_000_000_000, max: 1_700_000_000_020 }),
  fc.constantFrom(0, 1, 0xffffffff, 0x100000000, Stamp.wallMax - 1, Stamp.wallMax)
)

export const node = fc.oneof(
  fc.integer({ min: 0, max: 2 ** 48 - 1 }).map((bits) => bits.toString(16).padStart(12, "0")),
  fc.constantFrom("000000000000", "ffffffffffff", "a1b2c3d4e5f6")
)

export const stamp: fc.Arbitrary<Stamp.Stamp> = fc.record({ epoch, wall, counter, node })

/** Two stamps that mostly differ in one late field only. */
export const pair: fc.Arbitrary<readonly [Stamp.Stamp, Stamp.Stamp]> = fc
  .tuple(stamp, stamp, fc.integer({ min: 0, max: 4 }))
  .map(([a, b, shared]) => [
    a,
    {
      epoch: shared > 0 ? a.epoch : b.epoch,
      wall: shared > 1 ? a.wall : b.wall,
      counter: shared > 2 ? a.counter : b.counter,
      node: shared > 3 ? a.node : b.node
    }
  ])

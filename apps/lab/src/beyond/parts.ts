/**
 * The parts of `lab beyond`. Those that take longest come first, so that no core waits for the last one.
 *
 * @since 0.1.0
 */
import { deltas } from "./deltas.ts"
import type { Any } from "./Part.ts"
import { partitions } from "./partitions.ts"
import { regions } from "./regions.ts"
import { senders } from "./senders.ts"

/** @since 0.1.0 */
export const all: ReadonlyArray<Any> = [partitions, deltas, senders, regions]

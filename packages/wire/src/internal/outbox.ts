/**
 * What waits to be written on one link: frames gathered in segments, so that one write takes many frames.
 */
import * as Effect from "effect/Effect"
import * as Frame from "../Frame.ts"

/**
 * - `push`: adds a frame (copied). `take`: the oldest bytes, undefined when there are none. `written`: so many of them
 *   have left.
 * - `wait`: until there is something to take, or the end. `end`: nothing will be added. `clear`: forget everything.
 * - `bytes`: added and not yet written.
 */
export interface Outbox {
  readonly push: (frame: Uint8Array) => void
  readonly take: () => Uint8Array | undefined
  readonly written: (bytes: number) => void
  readonly wait: Effect.Effect<void>
  readonly end: () => void
  readonly ended: () => boolean
  readonly clear: () => void
  readonly bytes: () => number
}

/** One write takes at most this much, or one frame: progress is seen at this grain. */
const segmentBytesMax = 64 * 1024

/** The first segment of an idle link; those behind it grow. */
const segmentBytesMin = 1024

export const make = (): Outbox => {
  let full: Array<Uint8Array> = []
  let current: Uint8Array | undefined
  let used = 0
  let size = segmentBytesMin
  let bytes = 0
  let ended = false
  let wake: (() => void) | undefined

  const seal = (): void => {
    if (current !== undefined && used > 0) full.push(current.subarray(0, used))
    current = undefined
    used = 0
  }

  const rouse = (): void => {
    const waiting = wake
    wake = undefined
    waiting?.()
  }

  return {
    push: (frame) => {
      const length = frame.length + Frame.prefixBytes
      if (current === undefined || used + length > current.length) {
        seal()
        // Written memory belongs to the transport, so each segment is new.
        current = new Uint8Array(Math.max(size, length))
        size = Math.min(size * 4, segmentBytesMax)
      }
      used = Frame.put(current, used, frame)
      bytes += length
      rouse()
    },
    take: () => {
      const oldest = full.shift()
      if (oldest !== undefined) return oldest
      size = segmentBytesMin
      if (used === 0) return undefined
      seal()
      return full.shift()
    },
    written: (count) => {
      bytes = Math.max(0, bytes - count)
    },
    wait: Effect.callback<void>((resume) => {
      if (used > 0 || full.length > 0 || ended) return resume(Effect.void)
      wake = () => resume(Effect.void)
    }),
    end: () => {
      ended = true
      rouse()
    },
    ended: () => ended,
    clear: () => {
      full = []
      current = undefined
      used = 0
      bytes = 0
      ended = true
      rouse()
    },
    bytes: () => bytes
  }
}

/** A connection in memory: two pipes, the two ends that read and write them, and what can happen to all of it. */
import * as Effect from "effect/Effect"
import { type Connection, ConnectionClosed } from "../Transport.ts"
import * as Pipe from "./memoryPipe.ts"

/**
 * Asked for each write. `lateMs`: it arrives so many milliseconds later than the latency has it; order stays. `tornAt`: the
 * connection breaks on its way, behind this share of its bytes (from 0 up to 1, which is never reached), wherever frames end;
 * these are read, as is what was written before, and then both ends find it reset. Undefined: it does not break.
 *
 * @since 0.1.0
 * @category models
 */
export interface Weather {
  readonly lateMs: () => number
  readonly tornAt?: () => number | undefined
}

export interface Line {
  readonly hosts: readonly [string, string]
  readonly wake: () => void
  readonly break: () => void
  /** Puts bytes behind those that are under way from that host. False if nothing passes there or the buffer is full. */
  readonly inject: (from: string, bytes: Uint8Array) => boolean
  readonly passes: (from: string) => boolean
  /** Nothing passes any more; `told` is the host that finds it reset. */
  readonly forget: (told: string | undefined) => void
}

/** What of a network its connections look at. */
export interface Ground {
  readonly config: {
    readonly bufferBytes: number
    readonly latencyMs: (from: string, to: string) => number
  }
  /** Ways that are cut. */
  readonly cuts: ReadonlySet<string>
  /** By way. */
  readonly weather: ReadonlyMap<string, Weather>
  /** Hosts whose process stands still. */
  readonly paused: ReadonlyMap<string, unknown>
  readonly lines: Set<Line>
  nextPort: number
}

/** Names a direction between two hosts. */
export const way = (from: string, to: string): string => `${from} ${to}`

/** From `from`, which dials, to `host`. */
export const connect = (
  network: Ground,
  from: string,
  host: string,
  address: string,
  post: Pipe.Post
): readonly [near: Connection, far: Connection] => {
  const { bufferBytes, latencyMs } = network.config
  const there = Pipe.make(way(from, host), latencyMs(from, host))
  const back = Pipe.make(way(host, from), latencyMs(host, from))
  const wakeAll = (): void => {
    for (const pipe of [there, back]) {
      pipe.wakeReader()
      pipe.wakeWriter()
    }
  }
  /** Hosts that found the connection reset, while the other was not told. */
  const told = new Set<string>()
  const pipeFrom = (sender: string): Pipe.Pipe => (sender === from ? there : back)
  const passes = ({ lost, state }: Pipe.Pipe): boolean => state === "open" && !lost
  const line: Line = {
    hosts: [from, host],
    passes: (sender) => passes(pipeFrom(sender)),
    inject: (sender, bytes) => {
      const pipe = pipeFrom(sender)
      if (!passes(pipe) || pipe.bytes + bytes.length > bufferBytes) return false
      post.deliver(pipe, Pipe.enqueue(pipe, bytes, 0, post.now))
      return true
    },
    wake: wakeAll,
    break: () => {
      for (const pipe of [there, back]) {
        Pipe.change(pipe, "broken", post)
        pipe.wakeWriter()
      }
    },
    forget: (host) => {
      for (const pipe of [there, back]) Pipe.lose(pipe, network.cuts.has(pipe.way) ? undefined : post.now())
      if (host !== undefined) told.add(host)
      wakeAll()
    }
  }
  network.lines.add(line)
  let open = 2
  const onClose = (): void => {
    if (--open === 0) network.lines.delete(line)
  }
  const end = (at: string, remote: string, inbound: Pipe.Pipe, outbound: Pipe.Pipe): Connection =>
    makeEnd({
      remote,
      inbound,
      outbound,
      post,
      limit: bufferBytes,
      stands: () => network.paused.has(at),
      blocked: () => network.cuts.has(inbound.way),
      isTorn: () => told.has(at),
      weather: network.weather,
      onTorn: line.break,
      onClose
    })
  return [end(from, address, back, there), end(host, `${from}:${network.nextPort++}`, there, back)]
}

interface Ends {
  readonly remote: string
  readonly inbound: Pipe.Pipe
  readonly outbound: Pipe.Pipe
  readonly post: Pipe.Post
  readonly limit: number
  /** The process at this end stands still. */
  readonly stands: () => boolean
  /** Nothing comes from there now. */
  readonly blocked: () => boolean
  /** This end alone finds it reset. */
  readonly isTorn: () => boolean
  readonly weather: ReadonlyMap<string, Weather>
  /** Weather broke it. */
  readonly onTorn: () => void
  readonly onClose: () => void
}

const makeEnd = (ends: Ends): Connection => {
  const { blocked, inbound, isTorn, limit, onClose, onTorn, outbound, post, remote, stands, weather } = ends
  let closed = false
  let ended = false

  /** What a reader gets now; undefined if it has to wait. */
  const poll = (): Effect.Effect<ReadonlyArray<Uint8Array>, ConnectionClosed> | undefined => {
    if (closed) return Effect.fail(new ConnectionClosed({ reason: "local" }))
    if (stands()) return undefined
    if (isTorn()) return Effect.fail(new ConnectionClosed({ reason: "reset" }))
    if (blocked()) return undefined
    const time = inbound.timed ? post.now() : Infinity
    const isSeen = inbound.state !== "open" && inbound.stateDue !== undefined && inbound.stateDue <= time
    if (isSeen && inbound.state === "broken" && !inbound.torn)
      return Effect.fail(new ConnectionClosed({ reason: "reset" }))
    const chunks = Pipe.arrived(inbound, time)
    if (chunks.length > 0) return Effect.succeed(chunks)
    const isDone = isSeen && inbound.chunks.length === 0
    return isDone ? Effect.fail(new ConnectionClosed({ reason: inbound.torn ? "reset" : "eof" })) : undefined
  }

  const room = (): Effect.Effect<void, ConnectionClosed> | undefined => {
    if (closed) return Effect.fail(new ConnectionClosed({ reason: "local" }))
    if (stands()) return undefined
    const isBroken = isTorn() || (outbound.state === "broken" && !blocked())
    if (isBroken) return Effect.fail(new ConnectionClosed({ reason: "reset" }))
    return outbound.bytes <= limit ? Effect.void : undefined
  }

  /** It breaks behind these bytes. */
  const tear = (part: Uint8Array): void => {
    if (!outbound.lost) {
      outbound.torn = true
      if (part.length > 0) Pipe.enqueue(outbound, part, 0, post.now)
    }
    onTorn()
  }

  return {
    remote,
    pull: Effect.callback((resume) => {
      const attempt = (): void => {
        const result = poll()
        if (result === undefined) return
        inbound.wakeReader = Pipe.nobody
        resume(result)
        // Last: a writer that goes on would find the reader still waiting, and hand its bytes out first.
        inbound.wakeWriter()
      }
      inbound.wakeReader = attempt
      attempt()
      return Effect.sync(() => {
        inbound.wakeReader = Pipe.nobody
      })
    }),
    write: (bytes) =>
      Effect.callback((resume) => {
        if (closed || ended || outbound.state !== "open" || isTorn()) {
          const local = closed || ended
          return resume(Effect.fail(new ConnectionClosed({ reason: local ? "local" : "reset" })))
        }
        const { lateMs, tornAt } = weather.get(outbound.way) ?? fair
        const share = tornAt?.()
        if (share !== undefined) tear(bytes.subarray(0, Math.floor(share * bytes.length)))
        else if (outbound.lost) outbound.bytes += bytes.length
        else post.deliver(outbound, Pipe.enqueue(outbound, bytes, lateMs(), post.now))
        const attempt = (): void => {
          const result = room()
          if (result === undefined) return
          outbound.wakeWriter = Pipe.nobody
          resume(result)
        }
        outbound.wakeWriter = attempt
        attempt()
        return Effect.sync(() => {
          outbound.wakeWriter = Pipe.nobody
        })
      }),
    end: Effect.sync(() => {
      ended = true
      if (outbound.state === "open") Pipe.change(outbound, "ended", post)
    }),
    close: Effect.sync(() => {
      if (closed) return
      closed = true
      // As TCP does: bytes that nobody here will read are answered with a reset.
      if (inbound.chunks.length > 0) Pipe.change(outbound, "broken", post)
      else if (outbound.state === "open") Pipe.change(outbound, "ended", post)
      if (!inbound.lost) inbound.state = "broken"
      inbound.wakeReader()
      inbound.wakeWriter()
      outbound.wakeWriter()
      onClose()
    })
  }
}

const fair: Weather = { lateMs: () => 0 }

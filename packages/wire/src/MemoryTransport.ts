/**
 * Connections within one process: the transport of tests, and of fleets that need no sockets.
 *
 * It loses nothing, and has only the latency that it is given; but it has hosts, between which the network can be cut, one
 * way or both: then bytes wait, as they do in TCP, and a dial goes unanswered; weather, in which they are late and
 * connections are torn; connections that a router forgets; and processes that stand still. Buffers are bounded, so that a
 * slow reader stops its writer as a socket does. Acknowledgements are not modelled: over a link that is cut one way, what
 * flows the other way is not held back.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Address from "./Address.ts"
import {
  backlogMax,
  type Connection,
  ConnectionClosed,
  DialError,
  ListenError,
  type Listener,
  Transport
} from "./Transport.ts"

/**
 * - `cut`: nothing passes between two hosts until `heal`; open connections stay, their bytes wait. `there`: only from the
 *   first to the second; a dial, which needs both ways, goes unanswered in either.
 * - `heal`: ends every cut between two hosts, or those from the first to the second; `healAll`: every cut there is.
 * - `isCut`: from the first to the second.
 * - `setWeather`: of what goes from the first to the second. Undefined ends it, `clearWeather` ends all.
 * - `reset`: breaks every open connection between two hosts, at both ends; without a second host, every one of the first.
 * - `halfOpen`: through every open connection between them nothing passes any more, as when a router has forgotten it: what has
 *   arrived is there, what is under way is lost, and so is the end. New ones are as ever. `told`: the first host finds it reset;
 *   the other, and with `nobody` both, never hear of it.
 * - `pause`: the process on a host stands still. Connections to it are opened and bytes are taken, as its system does that, up
 *   to the bounds; until `resume` it reads and accepts nothing, and no write of it returns.
 * - `exchange`: of two hosts that nobody uses, what is cut or in bad weather at one of them is so at the other.
 *
 * @since 0.1.0
 * @category models
 */
export interface Network {
  readonly cut: (a: string, b: string, direction?: "both" | "there") => void
  readonly heal: (a: string, b: string, direction?: "both" | "there") => void
  readonly healAll: () => void
  readonly isCut: (from: string, to: string) => boolean
  readonly setWeather: (from: string, to: string, weather: Weather | undefined) => void
  readonly clearWeather: () => void
  readonly reset: (a: string, b?: string) => void
  readonly halfOpen: (a: string, b: string | undefined, who: "told" | "nobody") => void
  readonly pause: (host: string) => void
  readonly resume: (host: string) => void
  readonly exchange: (a: string, b: string) => void
  readonly state: State
}

/**
 * Asked for each write. `lateMs`: it arrives so many milliseconds later than the latency has it; order stays. `isTorn`: it
 * never arrives, since the connection breaks on its way.
 *
 * @since 0.1.0
 * @category models
 */
export interface Weather {
  readonly lateMs: () => number
  readonly isTorn?: () => boolean
}

/** @since 0.1.0 @category models */
export interface Config {
  /** What may be under way in one direction before a write waits. Default 256 KiB, about what a kernel buffers. */
  readonly bufferBytes: number
  /** A dial that nobody answers ends after this. Default 3,000 ms, as of TCP. */
  readonly connectTimeoutMs: number
  /** One way, between two hosts, and up to 4 ms more; order within a connection stays. Default 0. */
  readonly latencyMs: (from: string, to: string) => number
}

/** @since 0.1.0 */
export const defaults: Config = { bufferBytes: 256 * 1024, connectTimeoutMs: 3000, latencyMs: () => 0 }

/** The inside of a network; for this module only. @since 0.1.0 @category models */
export interface State {
  readonly config: Config
  readonly hosts: Set<string>
  readonly listeners: Map<string, (from: string, post: Post) => Connection | undefined>
  /** Ways that are cut. */
  readonly cuts: Set<string>
  /** By way. */
  readonly weather: Map<string, Weather>
  /** Hosts whose process stands still, with what it will accept when it goes on. */
  readonly paused: Map<string, Array<() => void>>
  readonly lines: Set<Line>
  /** Readers to be woken, by the time at which something arrives. */
  readonly arrivals: Map<number, Array<Pipe>>
  nextPort: number
}

/** @since 0.1.0 @category models */
export interface Line {
  readonly hosts: readonly [string, string]
  readonly wake: () => void
  readonly break: () => void
  /** Nothing passes any more; `told` is the host that finds it reset. */
  readonly forget: (told: string | undefined) => void
}

/** @since 0.1.0 @category constructors */
export const makeNetwork = (config: Partial<Config> = {}): Network => {
  const state: State = {
    config: { ...defaults, ...config },
    hosts: new Set(),
    listeners: new Map(),
    cuts: new Set(),
    weather: new Map(),
    paused: new Map(),
    lines: new Set(),
    arrivals: new Map(),
    // Where systems begin to choose from, too.
    nextPort: 49152
  }
  return {
    state,
    cut: (a, b, direction = "both") => {
      state.cuts.add(way(a, b))
      if (direction === "both") state.cuts.add(way(b, a))
    },
    heal: (a, b, direction = "both") => {
      const there = state.cuts.delete(way(a, b))
      const back = direction === "both" && state.cuts.delete(way(b, a))
      if (there || back) for (const line of state.lines) if (joins(line, a, b)) line.wake()
    },
    healAll: () => {
      state.cuts.clear()
      for (const line of state.lines) line.wake()
    },
    isCut: (from, to) => state.cuts.has(way(from, to)),
    setWeather: (from, to, weather) => {
      if (weather === undefined) state.weather.delete(way(from, to))
      else state.weather.set(way(from, to), weather)
    },
    clearWeather: () => state.weather.clear(),
    reset: (a, b) => {
      for (const line of state.lines) if (joins(line, a, b)) line.break()
    },
    halfOpen: (a, b, who) => {
      for (const line of state.lines) if (joins(line, a, b)) line.forget(who === "told" ? a : undefined)
    },
    pause: (host) => {
      if (!state.paused.has(host)) state.paused.set(host, [])
    },
    resume: (host) => {
      const waiting = state.paused.get(host) ?? []
      state.paused.delete(host)
      for (const accept of waiting) accept()
      for (const line of state.lines) if (joins(line, host, undefined)) line.wake()
    },
    exchange: (a, b) => {
      const other = (host: string): string => (host === a ? b : host === b ? a : host)
      const moved = (key: string): string => {
        const [from, to] = key.split(" ") as [string, string]
        return way(other(from), other(to))
      }
      const [cuts, weather] = [[...state.cuts], [...state.weather]]
      state.cuts.clear()
      for (const key of cuts) state.cuts.add(moved(key))
      state.weather.clear()
      for (const [key, value] of weather) state.weather.set(moved(key), value)
    }
  }
}

/**
 * The transport of one host on the network: it listens on addresses of this host, and dials from it.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (network: Network, host: string = "127.0.0.1"): Layer.Layer<Transport> =>
  Layer.effect(
    Transport,
    Effect.gen(function* () {
      network.state.hosts.add(host)
      // What arrives does so by the clock that this layer is built with, whoever dials by whatever clock.
      const post = yield* postOf(network.state)
      return {
        listen: (address) => listen(network.state, host, address),
        dial: (address) => dial(network.state, post, host, address)
      }
    })
  )

const way = (from: string, to: string): string => `${from} ${to}`

const joins = ({ hosts: [one, other] }: Line, a: string, b: string | undefined): boolean =>
  (one === a && (b === undefined || other === b)) || (other === a && (b === undefined || one === b))

const listen = Effect.fnUntraced(function* (
  network: State,
  host: string,
  text: string
): Effect.fn.Return<Listener, ListenError, Scope.Scope> {
  const parsed = Address.parse(text)
  if (!parsed.ok) {
    const next = "Give host:port, like 127.0.0.1:7740."
    return yield* new ListenError({ reason: "InvalidAddress", address: text, message: parsed.reason, next })
  }
  if (parsed.value.host !== host) {
    const message = `${text} is no address of the host ${host}`
    return yield* new ListenError({ reason: "NotLocal", address: text, message, next: `Listen on ${host}.` })
  }
  const address = Address.format({ host, port: parsed.value.port === 0 ? network.nextPort++ : parsed.value.port })
  if (network.listeners.has(address)) {
    const message = `${address} is in use`
    const next = "Choose another port, or end what listens there."
    return yield* new ListenError({ reason: "InUse", address, message, next })
  }
  const backlog = yield* Queue.dropping<Connection>(backlogMax)
  const accepted = new Set<Connection>()
  let dropped = 0
  yield* Effect.acquireRelease(
    Effect.sync(() => {
      network.listeners.set(address, (from, post) => {
        const [near, far] = connect(network, from, host, address, post)
        if (Queue.offerUnsafe(backlog, far)) return near
        dropped++
        return undefined
      })
    }),
    () =>
      Effect.gen(function* () {
        network.listeners.delete(address)
        for (const connection of yield* Queue.clear(backlog)) yield* connection.close
        for (const connection of accepted) yield* connection.close
      })
  )
  return {
    address,
    accept: Effect.uninterruptibleMask((restore) =>
      Effect.tap(
        restore(
          Effect.tap(Queue.take(backlog), (connection) =>
            Effect.onInterrupt(going(network, host), () => connection.close)
          )
        ),
        (connection) => {
          accepted.add(connection)
          return Effect.addFinalizer(() => {
            accepted.delete(connection)
            return connection.close
          })
        }
      )
    ),
    dropped: () => dropped
  }
})

/** When the process on the host does not stand still. */
const going = ({ paused }: State, host: string): Effect.Effect<void> =>
  Effect.callback((resume) => {
    const waiting = paused.get(host)
    if (waiting === undefined) return resume(Effect.void)
    waiting.push(() => resume(Effect.void))
  })

const dial = Effect.fnUntraced(function* (
  network: State,
  post: Post,
  host: string,
  text: string
): Effect.fn.Return<Connection, DialError, Scope.Scope> {
  const parsed = Address.parse(text)
  if (!parsed.ok) return yield* new DialError({ reason: "InvalidAddress", address: text, message: parsed.reason })
  const address = Address.format(parsed.value)
  const there = parsed.value.host
  if (network.cuts.has(way(host, there)) || network.cuts.has(way(there, host))) {
    yield* Effect.sleep(network.config.connectTimeoutMs)
    const message = `${address} did not answer within ${network.config.connectTimeoutMs} ms`
    return yield* new DialError({ reason: "Unreachable", address: text, message })
  }
  if (!network.hosts.has(there)) {
    const message = `there is no host ${there}`
    return yield* new DialError({ reason: "Unreachable", address: text, message })
  }
  // The first packet goes there and its answer comes back.
  const roundTripMs = network.config.latencyMs(host, there) + network.config.latencyMs(there, host)
  if (roundTripMs > 0) yield* Effect.sleep(roundTripMs)
  const connection = network.listeners.get(address)?.(host, post)
  if (connection === undefined) {
    return yield* new DialError({ reason: "Refused", address: text, message: `nobody listens on ${address}` })
  }
  yield* Effect.addFinalizer(() => connection.close)
  return connection
})

/** One direction. `wakeReader` and `wakeWriter` try again what waits. */
interface Pipe {
  readonly way: string
  readonly latencyMs: number
  /** False where everything has arrived as soon as it is written. */
  timed: boolean
  chunks: Array<Uint8Array>
  /** When each of them arrives; in order. */
  dues: Array<number>
  bytes: number
  /** What is written here goes nowhere. */
  lost: boolean
  state: "open" | "ended" | "broken"
  /** When the other side can see the state; undefined if never. */
  stateDue: number | undefined
  wakeReader: () => void
  wakeWriter: () => void
}

const nobody = (): void => {}

const makePipe = (way: string, latencyMs: number): Pipe => ({
  way,
  latencyMs,
  timed: latencyMs > 0,
  chunks: [],
  dues: [],
  bytes: 0,
  lost: false,
  state: "open",
  stateDue: 0,
  wakeReader: nobody,
  wakeWriter: nobody
})

/** What brings things to readers when it is time. */
interface Post {
  readonly now: () => number
  /** Wakes the reader of a pipe at that time. */
  readonly deliver: (pipe: Pipe, due: number) => void
}

/** Arrivals are gathered over so many milliseconds, since timers cost more than what they wait for. */
const grainMs = 4

const postOf = Effect.fnUntraced(function* ({ arrivals }: State) {
  const context = yield* Effect.context<never>()
  const clock = yield* Clock.Clock
  // Only differences count, and nobody sets this clock.
  const now = (): number => Number(clock.monotonicTimeNanosUnsafe() / 1000n) / 1000
  const post: Post = {
    now,
    deliver: (pipe, due) => {
      if (!pipe.timed) return pipe.wakeReader()
      const at = Math.ceil(due / grainMs) * grainMs
      const others = arrivals.get(at)
      if (others !== undefined) return void others.push(pipe)
      const pipes = [pipe]
      arrivals.set(at, pipes)
      const arrive = Effect.sync(() => {
        arrivals.delete(at)
        for (const { wakeReader } of pipes) wakeReader()
      })
      Effect.runForkWith(context)(Effect.andThen(Effect.sleep(Math.max(1, Math.ceil(at - now()))), arrive))
    }
  }
  return post
})

/** From `from`, which dials, to `host`. */
const connect = (
  network: State,
  from: string,
  host: string,
  address: string,
  post: Post
): readonly [near: Connection, far: Connection] => {
  const { bufferBytes, latencyMs } = network.config
  const there = makePipe(way(from, host), latencyMs(from, host))
  const back = makePipe(way(host, from), latencyMs(host, from))
  const wakeAll = (): void => {
    for (const pipe of [there, back]) {
      pipe.wakeReader()
      pipe.wakeWriter()
    }
  }
  /** Hosts that found the connection reset, while the other was not told. */
  const told = new Set<string>()
  const line: Line = {
    hosts: [from, host],
    wake: wakeAll,
    break: () => {
      for (const pipe of [there, back]) {
        change(pipe, "broken", post)
        pipe.wakeWriter()
      }
    },
    forget: (host) => {
      for (const pipe of [there, back]) lose(pipe, network.cuts.has(pipe.way) ? undefined : post.now())
      if (host !== undefined) told.add(host)
      wakeAll()
    }
  }
  network.lines.add(line)
  let open = 2
  const onClose = (): void => {
    if (--open === 0) network.lines.delete(line)
  }
  const end = (at: string, remote: string, inbound: Pipe, outbound: Pipe): Connection =>
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

const change = (pipe: Pipe, state: "ended" | "broken", { deliver, now }: Post): void => {
  if (pipe.lost) return
  pipe.state = state
  // Not before what is ahead of it.
  pipe.stateDue = Math.max(now() + pipe.latencyMs, pipe.dues.at(-1) ?? 0)
  deliver(pipe, pipe.stateDue)
}

/** What has not arrived by then (undefined: nothing has) never will, and neither will anything else. */
const lose = (pipe: Pipe, time: number | undefined): void => {
  const hasArrived = (due: number): boolean => time !== undefined && (!pipe.timed || due <= time)
  const late = pipe.chunks.findIndex((_, index) => !hasArrived(pipe.dues[index] ?? 0))
  if (late >= 0) {
    pipe.chunks = pipe.chunks.slice(0, late)
    pipe.dues = pipe.dues.slice(0, late)
  }
  if (pipe.stateDue !== undefined && !hasArrived(pipe.stateDue)) pipe.stateDue = undefined
  pipe.lost = true
}

interface Ends {
  readonly remote: string
  readonly inbound: Pipe
  readonly outbound: Pipe
  readonly post: Post
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
    if (isSeen && inbound.state === "broken") return Effect.fail(new ConnectionClosed({ reason: "reset" }))
    const chunks = arrived(inbound, time)
    if (chunks.length > 0) return Effect.succeed(chunks)
    const isDone = isSeen && inbound.chunks.length === 0
    return isDone ? Effect.fail(new ConnectionClosed({ reason: "eof" })) : undefined
  }

  const room = (): Effect.Effect<void, ConnectionClosed> | undefined => {
    if (closed) return Effect.fail(new ConnectionClosed({ reason: "local" }))
    if (stands()) return undefined
    const isBroken = isTorn() || (outbound.state === "broken" && !blocked())
    if (isBroken) return Effect.fail(new ConnectionClosed({ reason: "reset" }))
    return outbound.bytes <= limit ? Effect.void : undefined
  }

  return {
    remote,
    pull: Effect.callback((resume) => {
      const attempt = (): void => {
        const result = poll()
        if (result === undefined) return
        inbound.wakeReader = nobody
        resume(result)
        // Last: a writer that goes on would find the reader still waiting, and hand its bytes out first.
        inbound.wakeWriter()
      }
      inbound.wakeReader = attempt
      attempt()
      return Effect.sync(() => {
        inbound.wakeReader = nobody
      })
    }),
    write: (bytes) =>
      Effect.callback((resume) => {
        if (closed || ended || outbound.state !== "open" || isTorn()) {
          const local = closed || ended
          return resume(Effect.fail(new ConnectionClosed({ reason: local ? "local" : "reset" })))
        }
        const { isTorn: tears, lateMs } = weather.get(outbound.way) ?? fair
        if (tears?.() === true) onTorn()
        else if (outbound.lost) outbound.bytes += bytes.length
        else post.deliver(outbound, enqueue(outbound, bytes, lateMs(), post.now))
        const attempt = (): void => {
          const result = room()
          if (result === undefined) return
          outbound.wakeWriter = nobody
          resume(result)
        }
        outbound.wakeWriter = attempt
        attempt()
        return Effect.sync(() => {
          outbound.wakeWriter = nobody
        })
      }),
    end: Effect.sync(() => {
      ended = true
      if (outbound.state === "open") change(outbound, "ended", post)
    }),
    close: Effect.sync(() => {
      if (closed) return
      closed = true
      // As TCP does: bytes that nobody here will read are answered with a reset.
      if (inbound.chunks.length > 0) change(outbound, "broken", post)
      else if (outbound.state === "open") change(outbound, "ended", post)
      if (!inbound.lost) inbound.state = "broken"
      inbound.wakeReader()
      inbound.wakeWriter()
      outbound.wakeWriter()
      onClose()
    })
  }
}

const fair: Weather = { lateMs: () => 0 }

/** When it arrives. */
const enqueue = (pipe: Pipe, bytes: Uint8Array, lateMs: number, now: () => number): number => {
  if (lateMs > 0 && !pipe.timed) {
    pipe.timed = true
    pipe.dues = pipe.chunks.map(() => 0)
  }
  pipe.chunks.push(bytes)
  pipe.bytes += bytes.length
  if (!pipe.timed) return 0
  const due = Math.max(now() + pipe.latencyMs + lateMs, pipe.dues.at(-1) ?? 0)
  pipe.dues.push(due)
  return due
}

/** Takes what has arrived by then. */
const arrived = (pipe: Pipe, time: number): ReadonlyArray<Uint8Array> => {
  const late = pipe.dues.findIndex((due) => due > time)
  if (late === 0) return []
  const chunks = late === -1 ? pipe.chunks : pipe.chunks.slice(0, late)
  pipe.chunks = late === -1 ? [] : pipe.chunks.slice(late)
  pipe.dues = late === -1 ? [] : pipe.dues.slice(late)
  // What went nowhere stays in the buffer of who wrote it, as what nobody acknowledges.
  const isAll = late === -1 && !pipe.lost
  pipe.bytes = isAll ? 0 : pipe.bytes - chunks.reduce((sum, { length }) => sum + length, 0)
  return chunks
}

/**
 * Connections within one process: the transport of tests, and of fleets that need no sockets.
 *
 * It has no latency and loses nothing, but it has hosts, between which the network can be cut: then bytes wait, as they
 * do in TCP, and a dial goes unanswered. Buffers are bounded, so that a slow reader stops its writer as a socket does.
 *
 * @since 0.1.0
 */
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
 * - `cut`: nothing passes between two hosts until `heal`; open connections stay, their bytes wait.
 * - `reset`: breaks every open connection between two hosts, at both ends.
 *
 * @since 0.1.0
 * @category models
 */
export interface Network {
  readonly cut: (a: string, b: string) => void
  readonly heal: (a: string, b: string) => void
  readonly reset: (a: string, b: string) => void
  readonly state: State
}

/** @since 0.1.0 @category models */
export interface Config {
  /** What may be under way in one direction before a write waits. Default 256 KiB, about what a kernel buffers. */
  readonly bufferBytes: number
  /** A dial that nobody answers ends after this. Default 3,000 ms, as of TCP. */
  readonly connectTimeoutMs: number
}

/** @since 0.1.0 */
export const defaults: Config = { bufferBytes: 256 * 1024, connectTimeoutMs: 3000 }

/** The inside of a network; for this module only. @since 0.1.0 @category models */
export interface State {
  readonly config: Config
  readonly hosts: Set<string>
  readonly listeners: Map<string, (from: string) => Connection | undefined>
  readonly cuts: Set<string>
  readonly lines: Set<Line>
  nextPort: number
}

/** @since 0.1.0 @category models */
export interface Line {
  readonly between: string
  readonly wake: () => void
  readonly break: () => void
}

/** @since 0.1.0 @category constructors */
export const makeNetwork = (config: Partial<Config> = {}): Network => {
  const state: State = {
    config: { ...defaults, ...config },
    hosts: new Set(),
    listeners: new Map(),
    cuts: new Set(),
    lines: new Set(),
    // Where systems begin to choose from, too.
    nextPort: 49152
  }
  return {
    state,
    cut: (a, b) => {
      state.cuts.add(between(a, b))
    },
    heal: (a, b) => {
      state.cuts.delete(between(a, b))
      for (const line of state.lines) if (line.between === between(a, b)) line.wake()
    },
    reset: (a, b) => {
      for (const line of state.lines) if (line.between === between(a, b)) line.break()
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
  Layer.sync(Transport, () => {
    network.state.hosts.add(host)
    return {
      listen: (address) => listen(network.state, host, address),
      dial: (address) => dial(network.state, host, address)
    }
  })

const between = (a: string, b: string): string => (a < b ? `${a} ${b}` : `${b} ${a}`)

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
      network.listeners.set(address, (from) => {
        const [near, far] = connect(network, from, host, address)
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
      Effect.tap(restore(Queue.take(backlog)), (connection) => {
        accepted.add(connection)
        return Effect.addFinalizer(() => {
          accepted.delete(connection)
          return connection.close
        })
      })
    ),
    dropped: () => dropped
  }
})

const dial = Effect.fnUntraced(function* (
  network: State,
  host: string,
  text: string
): Effect.fn.Return<Connection, DialError, Scope.Scope> {
  const parsed = Address.parse(text)
  if (!parsed.ok) return yield* new DialError({ reason: "InvalidAddress", address: text, message: parsed.reason })
  const address = Address.format(parsed.value)
  const line = between(host, parsed.value.host)
  if (network.cuts.has(line)) {
    yield* Effect.sleep(network.config.connectTimeoutMs)
    const message = `${address} did not answer within ${network.config.connectTimeoutMs} ms`
    return yield* new DialError({ reason: "Unreachable", address: text, message })
  }
  if (!network.hosts.has(parsed.value.host)) {
    const message = `there is no host ${parsed.value.host}`
    return yield* new DialError({ reason: "Unreachable", address: text, message })
  }
  const connection = network.listeners.get(address)?.(host)
  if (connection === undefined) {
    return yield* new DialError({ reason: "Refused", address: text, message: `nobody listens on ${address}` })
  }
  yield* Effect.addFinalizer(() => connection.close)
  return connection
})

/** One direction. `wakeReader` and `wakeWriter` try again what waits. */
interface Pipe {
  chunks: Array<Uint8Array>
  bytes: number
  state: "open" | "ended" | "broken"
  wakeReader: () => void
  wakeWriter: () => void
}

const nobody = (): void => {}

const makePipe = (): Pipe => ({ chunks: [], bytes: 0, state: "open", wakeReader: nobody, wakeWriter: nobody })

const connect = (
  network: State,
  from: string,
  host: string,
  address: string
): readonly [near: Connection, far: Connection] => {
  const there = makePipe()
  const back = makePipe()
  const key = between(from, host)
  const wakeAll = (): void => {
    for (const pipe of [there, back]) {
      pipe.wakeReader()
      pipe.wakeWriter()
    }
  }
  const line: Line = {
    between: key,
    wake: wakeAll,
    break: () => {
      there.state = back.state = "broken"
      network.lines.delete(line)
      wakeAll()
    }
  }
  network.lines.add(line)
  const blocked = (): boolean => network.cuts.has(key)
  const limit = network.config.bufferBytes
  let open = 2
  const onClose = (): void => {
    if (--open === 0) network.lines.delete(line)
  }
  const port = network.nextPort++
  return [
    makeEnd(address, back, there, limit, blocked, onClose),
    makeEnd(`${from}:${port}`, there, back, limit, blocked, onClose)
  ]
}

const makeEnd = (
  remote: string,
  inbound: Pipe,
  outbound: Pipe,
  limit: number,
  blocked: () => boolean,
  onClose: () => void
): Connection => {
  let closed = false

  const poll = (): Effect.Effect<ReadonlyArray<Uint8Array>, ConnectionClosed> | undefined => {
    if (closed) return Effect.fail(new ConnectionClosed({ reason: "local" }))
    if (blocked()) return undefined
    if (inbound.state === "broken") return Effect.fail(new ConnectionClosed({ reason: "reset" }))
    if (inbound.chunks.length > 0) {
      const { chunks } = inbound
      inbound.chunks = []
      inbound.bytes = 0
      return Effect.succeed(chunks)
    }
    return inbound.state === "ended" ? Effect.fail(new ConnectionClosed({ reason: "eof" })) : undefined
  }

  const room = (): Effect.Effect<void, ConnectionClosed> | undefined => {
    if (closed) return Effect.fail(new ConnectionClosed({ reason: "local" }))
    if (outbound.state === "broken" && !blocked()) return Effect.fail(new ConnectionClosed({ reason: "reset" }))
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
        if (closed || outbound.state !== "open") {
          const local = closed || outbound.state === "ended"
          return resume(Effect.fail(new ConnectionClosed({ reason: local ? "local" : "reset" })))
        }
        outbound.chunks.push(bytes)
        outbound.bytes += bytes.length
        outbound.wakeReader()
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
      if (outbound.state !== "open") return
      outbound.state = "ended"
      outbound.wakeReader()
    }),
    close: Effect.sync(() => {
      if (closed) return
      closed = true
      // As TCP does: bytes that nobody here will read are answered with a reset.
      if (inbound.chunks.length > 0) outbound.state = "broken"
      else if (outbound.state === "open") outbound.state = "ended"
      inbound.state = "broken"
      inbound.wakeReader()
      inbound.wakeWriter()
      outbound.wakeReader()
      outbound.wakeWriter()
      onClose()
    })
  }
}

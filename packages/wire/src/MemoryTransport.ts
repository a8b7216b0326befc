/**
 * Connections within one process: the transport of tests, and of fleets that need no sockets.
 *
 * By itself it loses nothing, and has only the latency that it is given; but it has hosts, between which the network can be cut,
 * one way or both: then bytes wait, as they do in TCP, and a dial goes unanswered; weather, in which they are late and
 * connections are torn; connections that a router forgets; and processes that stand still. What is under way in a connection
 * that is torn or forgotten may be lost. Buffers are bounded, so that a slow reader stops its writer as a socket does.
 * Acknowledgements are not modelled: over a link that is cut one way, what flows the other way is not held back.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Address from "./Address.ts"
import * as Line from "./internal/memoryLine.ts"
import * as Pipe from "./internal/memoryPipe.ts"
import { backlogMax, type Connection, DialError, ListenError, type Listener, Transport } from "./Transport.ts"

/**
 * - `cut`: nothing passes between two hosts until `heal`; open connections stay, their bytes wait. `there`: only from the
 *   first to the second; a dial, which needs both ways, goes unanswered in either.
 * - `heal`: ends every cut between two hosts, or those from the first to the second; `healAll`: every cut there is.
 * - `isCut`: from the first to the second.
 * - `setWeather`: of what goes from the first to the second. Undefined ends it, `clearWeather` ends all.
 * - `reset`: breaks every open connection between two hosts, at both ends; without a second host, every one of the first. What
 *   was not read when an end sees that is lost, whole writes of it.
 * - `halfOpen`: through every open connection between them nothing passes any more, as when a router has forgotten it: what has
 *   arrived is there, what is under way is lost, and so is the end. Where the way is cut, all that was not read counts as under
 *   way. New ones are as ever. `told`: the first host finds it reset; the other, and with `nobody` both, never hear of it.
 * - `pause`: the process on a host stands still. Connections to it are opened and bytes are taken, as its system does that, up
 *   to the bounds, beyond which a dial goes unanswered; until `resume` it reads and accepts nothing, and no write of it returns.
 * - `vacate`: the process on a host is gone, as by a power cut, though it may still be ending: nobody listens there any more.
 * - `connected`: the hosts to which bytes of the host pass on an open connection, in the order in which these were opened.
 * - `inject`: bytes that the first host never wrote, on its oldest open connection to the second, in order behind what is under
 *   way, and so between two writes; a link writes whole frames. False, and nothing is done, without such a connection, or if
 *   more than the buffer holds would be under way.
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
  readonly setWeather: (from: string, to: string, weather: Line.Weather | undefined) => void
  readonly clearWeather: () => void
  readonly reset: (a: string, b?: string) => void
  readonly halfOpen: (a: string, b: string | undefined, who: "told" | "nobody") => void
  readonly pause: (host: string) => void
  readonly resume: (host: string) => void
  readonly connected: (host: string) => ReadonlyArray<string>
  readonly inject: (from: string, to: string, bytes: Uint8Array) => boolean
  readonly vacate: (host: string) => void
  readonly exchange: (a: string, b: string) => void
  readonly state: State
}

export type { Weather } from "./internal/memoryLine.ts"

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

/** `connect`: undefined if there is no room. */
interface Listening {
  readonly host: string
  readonly connect: (from: string, post: Pipe.Post) => Connection | undefined
}

/** The inside of a network; for this module only. @since 0.1.0 @category models */
export interface State {
  readonly config: Config
  readonly hosts: Set<string>
  /** By address. */
  readonly listeners: Map<string, Listening>
  /** Ways that are cut. */
  readonly cuts: Set<string>
  /** By way. */
  readonly weather: Map<string, Line.Weather>
  /** Hosts whose process stands still, with what it will accept when it goes on. */
  readonly paused: Map<string, Array<() => void>>
  readonly lines: Set<Line.Line>
  /** Readers to be woken, by the time at which something arrives. */
  readonly arrivals: Map<number, Array<Pipe.Pipe>>
  nextPort: number
  /** How often bytes were put on a connection that nobody wrote. */
  injected: number
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
    nextPort: 49152,
    injected: 0
  }
  return {
    state,
    cut: (a, b, direction = "both") => {
      state.cuts.add(Line.way(a, b))
      if (direction === "both") state.cuts.add(Line.way(b, a))
    },
    heal: (a, b, direction = "both") => {
      const there = state.cuts.delete(Line.way(a, b))
      const back = direction === "both" && state.cuts.delete(Line.way(b, a))
      if (there || back) for (const line of state.lines) if (joins(line, a, b)) line.wake()
    },
    healAll: () => {
      state.cuts.clear()
      for (const line of state.lines) line.wake()
    },
    isCut: (from, to) => state.cuts.has(Line.way(from, to)),
    setWeather: (from, to, weather) => {
      if (weather === undefined) state.weather.delete(Line.way(from, to))
      else state.weather.set(Line.way(from, to), weather)
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
    connected: (host) => {
      const others = new Set<string>()
      for (const {
        hosts: [one, other],
        passes
      } of state.lines) {
        if ((one === host || other === host) && passes(host)) others.add(one === host ? other : one)
      }
      return [...others]
    },
    inject: (from, to, bytes) => {
      const line = [...state.lines].find((line) => joins(line, from, to) && line.passes(from))
      if (line?.inject(from, bytes) !== true) return false
      state.injected++
      return true
    },
    vacate: (host) => {
      for (const [address, { host: at }] of state.listeners) if (at === host) state.listeners.delete(address)
    },
    exchange: (a, b) => {
      const other = (host: string): string => (host === a ? b : host === b ? a : host)
      const moved = (key: string): string => {
        const [from, to] = key.split(" ") as [string, string]
        return Line.way(other(from), other(to))
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
      const post = yield* Pipe.postOf(network.state.arrivals)
      return {
        listen: (address) => listen(network.state, host, address),
        dial: (address) => dial(network.state, post, host, address)
      }
    })
  )

const joins = ({ hosts: [one, other] }: Line.Line, a: string, b: string | undefined): boolean =>
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
  const listening: Listening = {
    host,
    connect: (from, post) => {
      // Before there is a line, of which nobody would hold the ends.
      if (Queue.isFullUnsafe(backlog)) {
        dropped++
        return undefined
      }
      const [near, far] = Line.connect(network, from, host, address, post)
      Queue.offerUnsafe(backlog, far)
      return near
    }
  }
  yield* Effect.acquireRelease(
    Effect.sync(() => void network.listeners.set(address, listening)),
    () =>
      Effect.gen(function* () {
        // Unless the host was vacated, and somebody else listens there by now.
        if (network.listeners.get(address) === listening) network.listeners.delete(address)
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
  post: Pipe.Post,
  host: string,
  text: string
): Effect.fn.Return<Connection, DialError, Scope.Scope> {
  const parsed = Address.parse(text)
  if (!parsed.ok) return yield* new DialError({ reason: "InvalidAddress", address: text, message: parsed.reason })
  const address = Address.format(parsed.value)
  const there = parsed.value.host
  const { connectTimeoutMs } = network.config
  const unanswered = (ms: number): Effect.Effect<never, DialError> => {
    const message = `${address} did not answer within ${connectTimeoutMs} ms`
    return Effect.andThen(Effect.sleep(ms), new DialError({ reason: "Unreachable", address: text, message }))
  }
  if (network.cuts.has(Line.way(host, there)) || network.cuts.has(Line.way(there, host))) {
    return yield* unanswered(connectTimeoutMs)
  }
  if (!network.hosts.has(there)) {
    const message = `there is no host ${there}`
    return yield* new DialError({ reason: "Unreachable", address: text, message })
  }
  // The first packet goes there and its answer comes back.
  const roundTripMs = network.config.latencyMs(host, there) + network.config.latencyMs(there, host)
  if (roundTripMs > 0) yield* Effect.sleep(roundTripMs)
  const connection = network.listeners.get(address)?.connect(host, post)
  if (connection === undefined) {
    // The system of a process that stands still opens what its backlog has room for, and keeps silent beyond.
    const isSilent = network.paused.has(there) && network.listeners.has(address)
    if (isSilent) return yield* unanswered(Math.max(0, connectTimeoutMs - roundTripMs))
    return yield* new DialError({ reason: "Refused", address: text, message: `nobody listens on ${address}` })
  }
  yield* Effect.addFinalizer(() => connection.close)
  return connection
})

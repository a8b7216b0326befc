/**
 * A connection whose two ends know each other: frames of plain data on numbered channels.
 *
 * Sending never waits: frames are encoded at once into a bounded queue, and one fiber writes all that has gathered.
 * Receiving is a pull, so that who cannot take more stops the peer. A close is said before it is done, and the closing
 * end goes on reading until the peer has seen it; otherwise TCP would answer bytes that nobody read with a reset, and
 * the reset could overtake the reason.
 *
 * What a peer sends can end its own link and nothing else: garbage, an oversize frame or an unknown channel close it
 * with `violation`, and are counted.
 *
 * @since 0.1.0
 */
import { Codec, type Machine } from "@starling/machine"
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import * as Frame from "./Frame.ts"
import * as Handshake from "./Handshake.ts"
import * as Outbox from "./internal/outbox.ts"
import { type Connection, Transport } from "./Transport.ts"

/** What `receive` hands out. @since 0.1.0 @category models */
export type { Frame } from "./Frame.ts"

/**
 * - `receive`: the next frames, at least one, in order. One call at a time; who stops calling stops the peer, by TCP's
 *   own backpressure. Fails once with the reason, after the last frame, and with the same reason for ever after: that
 *   failure is the link's end.
 * - `send`: never waits. False, and counted, if the link is closing or down, or the payload is no plain data or too
 *   large for a frame. A queue that would grow over its bound ends the link with `Overflow`.
 * - `close`: what was sent before still leaves, then the peer is told the reason. Returns when the peer has read it, or
 *   after a bounded time. Frames that arrive meanwhile are dropped.
 * - `closeUnsafe`: the same, without waiting.
 * - `closed`: why the link is down, as soon as it is. Frames that were read before may still be handed out by `receive`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Link {
  /** What the other side said of itself. */
  readonly hello: Handshake.Hello
  /** The protocol version both speak. */
  readonly version: number
  readonly direction: "dialed" | "accepted"
  /** The other end of the connection, for people. */
  readonly remote: string
  readonly receive: Effect.Effect<ReadonlyArray<Frame.Frame>, Machine.DownReason>
  readonly send: (channel: number, payload: unknown) => boolean
  readonly close: (reason: Machine.CloseReason) => Effect.Effect<void>
  readonly closeUnsafe: (reason: Machine.CloseReason) => void
  readonly closed: Effect.Effect<Machine.DownReason>
  /** Bytes that wait to be written. */
  readonly queueBytes: () => number
}

/** Why a dial gave no link; assignable to `Machine.OpenFailure`. @since 0.1.0 @category models */
export type DialFailure =
  | { readonly _tag: "Refused"; readonly message: string }
  | { readonly _tag: "Unreachable"; readonly message: string }
  | {
      readonly _tag: "Rejected"
      readonly code: Handshake.RefusalCode | "address"
      readonly message: string
      /** Of code `outdated`: the highest incarnation the other side knows of this node. */
      readonly incarnation?: number
    }

/** A connection that somebody opened did not become a link. @since 0.1.0 @category errors */
export class HandshakeFailed extends Data.TaggedError("HandshakeFailed")<{
  readonly code: Handshake.RefusalCode | "timeout" | "closed"
  readonly message: string
}> {}

/** @since 0.1.0 @category models */
export interface Config {
  /** Both ends give up a handshake after this long. Default 3,000 ms, our choice. */
  readonly handshakeMs: number
  /** The bound of what waits to be written. Default 8 MiB, our choice: eight frames of the largest size. */
  readonly queueBytesMax: number
  /** A write that makes no progress for so long ends the link with `Timeout`. Default 10,000 ms, our choice. */
  readonly writeStallMs: number
  /** How long a close may take: to write what waits, then for the peer to read it. Default 1,000 ms, our choice. */
  readonly closeMs: number
}

/** @since 0.1.0 */
export const defaults: Config = {
  handshakeMs: 3000,
  queueBytesMax: 8 * 1024 * 1024,
  writeStallMs: 10_000,
  closeMs: 1000
}

/** Counted over all links that share the record, for `/metrics`. @since 0.1.0 @category models */
export interface Counters {
  framesSent: number
  framesReceived: number
  bytesSent: number
  bytesReceived: number
  /** Frames that are no MessagePack of plain data, or not `[channel, payload]`. */
  garbage: number
  /** Frames whose length prefix is over the limit. */
  oversize: number
  /** Connections that ended in the middle of a frame. */
  truncated: number
  /** Frames on a channel that does not exist. */
  unknownChannel: number
  /** Words of the link itself that this version does not know; dropped. */
  unknownControl: number
  /** Links that ended because too much waited to be written. */
  overflows: number
  /** Links that ended because a write made no progress. */
  stalls: number
  /** Payloads that `send` could not put into a frame. */
  unsendable: number
  /** Payloads that `send` was given on a link that was closing or down. */
  sentAfterClose: number
  /** Handshakes that this side refused. */
  refused: number
  /** Handshakes that timed out or broke off. */
  handshakesFailed: number
}

/** @since 0.1.0 @category constructors */
export const makeCounters = (): Counters => ({
  framesSent: 0,
  framesReceived: 0,
  bytesSent: 0,
  bytesReceived: 0,
  garbage: 0,
  oversize: 0,
  truncated: 0,
  unknownChannel: 0,
  unknownControl: 0,
  overflows: 0,
  stalls: 0,
  unsendable: 0,
  sentAfterClose: 0,
  refused: 0,
  handshakesFailed: 0
})

/** @since 0.1.0 @category models */
export interface Options {
  /** Who this side is. */
  readonly hello: Handshake.Hello
  /** Channels 1..channelMax exist; a frame on another one ends the link with a violation. */
  readonly channelMax: number
  /** Asked once the other side is known to be of this fleet and version, and not this node itself. */
  readonly admit?: (theirs: Handshake.Hello) => Effect.Effect<Handshake.Refusal | undefined>
  readonly counters?: Counters
  readonly config?: Partial<Config>
}

/**
 * Connects to `address` and shakes hands. The link ends with the scope at the latest.
 *
 * @since 0.1.0
 * @category constructors
 */
export const dial = Effect.fnUntraced(function* (
  address: string,
  options: Options
): Effect.fn.Return<Link, DialFailure, Transport | Scope.Scope> {
  const transport = yield* Transport
  const context = contextOf(options)
  const connection = yield* Effect.mapError(transport.dial(address), (error): DialFailure =>
    error.reason === "InvalidAddress"
      ? { _tag: "Rejected", code: "address", message: error.message }
      : { _tag: error.reason, message: error.message }
  )
  return yield* Effect.onError(greet(connection, address, context), () => connection.close)
})

/**
 * Shakes hands on a connection that somebody opened. The link ends with the scope at the latest.
 *
 * @since 0.1.0
 * @category constructors
 */
export const accept = (connection: Connection, options: Options): Effect.Effect<Link, HandshakeFailed, Scope.Scope> =>
  Effect.onError(answer(connection, contextOf(options)), () => connection.close)

/** Channel 0: what the two ends of a link say to each other. */
const control = 0
/** Kinds 1 to 3 are the handshake's. */
const kindClose = 4

interface LinkContext {
  readonly options: Options
  readonly counters: Counters
  readonly config: Config
}

const contextOf = (options: Options): LinkContext => ({
  options,
  counters: options.counters ?? makeCounters(),
  config: { ...defaults, ...options.config }
})

/** The dialer's half of the handshake. */
const greet = Effect.fnUntraced(function* (
  connection: Connection,
  address: string,
  context: LinkContext
): Effect.fn.Return<Link, DialFailure, Scope.Scope> {
  const { config, counters, options } = context
  const splitter = Frame.makeSplitter(Handshake.messageBytesMax)
  const unanswered = (what: string) =>
    Effect.suspend((): Effect.Effect<never, DialFailure> => {
      counters.handshakesFailed++
      return Effect.fail({
        _tag: "Unreachable",
        message: `what listens at ${address} ${what}; is it the gossip address?`
      })
    })
  const reply = yield* say(connection, Handshake.encode({ _tag: "Hello", hello: options.hello })).pipe(
    Effect.andThen(hear(connection, splitter)),
    Effect.catchTag("ConnectionClosed", () => unanswered("went away during the handshake")),
    Effect.timeoutOrElse({
      duration: config.handshakeMs,
      orElse: () => unanswered(`said nothing for ${config.handshakeMs} ms`)
    })
  )
  const reject = (refusal: Handshake.Refusal): Effect.Effect<never, DialFailure> =>
    Effect.fail({ _tag: "Rejected", ...refusal })
  if (!reply.ok || reply.value._tag === "Hello") {
    counters.handshakesFailed++
    const why = reply.ok ? "handshake: a hello is no answer" : reply.reason
    return yield* reject({
      code: "garbage",
      message: `what listens at ${address} does not answer as a starling node (${why}); is it the gossip address?`
    })
  }
  if (reply.value._tag === "Refusal") {
    counters.handshakesFailed++
    return yield* reject(reply.value.refusal)
  }
  const { hello, version } = reply.value
  const verdict = yield* judge(context, hello)
  if (verdict._tag === "Refused") {
    counters.refused++
    // The other side has a link by now: it is closed as links are.
    yield* part(connection, [kindClose, "refused"], config)
    return yield* reject(verdict.refusal)
  }
  if (version !== verdict.version) {
    counters.handshakesFailed++
    yield* part(connection, [kindClose, "refused"], config)
    const message = `${Handshake.describe(hello)} chose protocol version ${version}, and ${verdict.version} was due`
    return yield* reject({ code: "version", message })
  }
  return yield* open(connection, splitter, hello, version, "dialed", context)
})

/** The acceptor's half of the handshake. */
const answer = Effect.fnUntraced(function* (
  connection: Connection,
  context: LinkContext
): Effect.fn.Return<Link, HandshakeFailed, Scope.Scope> {
  const { config, counters, options } = context
  const splitter = Frame.makeSplitter(Handshake.messageBytesMax)
  const broken = (code: "timeout" | "closed", what: string) =>
    Effect.suspend(() => {
      counters.handshakesFailed++
      return Effect.fail(new HandshakeFailed({ code, message: `${connection.remote} ${what} during the handshake` }))
    })
  const refused = Effect.fnUntraced(function* (refusal: Handshake.Refusal) {
    counters.refused++
    yield* part(connection, Handshake.encode({ _tag: "Refusal", refusal }), config)
    return yield* new HandshakeFailed({ code: refusal.code, message: refusal.message })
  })
  const silent = { duration: config.handshakeMs, orElse: () => broken("timeout", "fell silent") }
  const first = yield* hear(connection, splitter).pipe(
    Effect.catchTag("ConnectionClosed", () => broken("closed", "went away")),
    Effect.timeoutOrElse(silent)
  )
  if (!first.ok || first.value._tag !== "Hello") {
    const why = first.ok ? "handshake: expected a hello" : first.reason
    return yield* refused({
      code: "garbage",
      message: `${Handshake.describe(options.hello)} does not understand ${connection.remote} (${why})`
    })
  }
  const { hello } = first.value
  const verdict = yield* judge(context, hello)
  if (verdict._tag === "Refused") return yield* refused(verdict.refusal)
  const { version } = verdict
  yield* say(connection, Handshake.encode({ _tag: "Welcome", version, hello: options.hello })).pipe(
    Effect.catchTag("ConnectionClosed", () => broken("closed", "went away")),
    Effect.timeoutOrElse(silent)
  )
  return yield* open(connection, splitter, hello, version, "accepted", context)
})

const judge = Effect.fnUntraced(function* ({ options }: LinkContext, theirs: Handshake.Hello) {
  const verdict = Handshake.negotiate(options.hello, theirs)
  if (verdict._tag === "Refused" || options.admit === undefined) return verdict
  const refusal = yield* options.admit(theirs)
  return refusal === undefined ? verdict : { _tag: "Refused" as const, refusal }
})

const say = (connection: Connection, words: ReadonlyArray<unknown>) =>
  Effect.suspend(() => {
    const frame = Frame.encode(control, words)
    return frame.ok ? connection.write(frame.value) : Effect.die(frame.reason)
  })

/** The next message of a handshake, or why what came is none. */
const hear = Effect.fnUntraced(function* (connection: Connection, splitter: Frame.Splitter) {
  while (true) {
    const bytes = splitter.next()
    if (bytes === undefined) {
      for (const chunk of yield* connection.pull) splitter.push(chunk)
      continue
    }
    if (!bytes.ok) return bytes
    const frame = Frame.decode(bytes.value)
    if (!frame.ok) return frame
    return frame.value.channel === control
      ? Handshake.decode(frame.value.payload)
      : Codec.refuse("handshake: none came")
  }
})

/** Last words, and a bounded time for the other side to have read them. */
const part = (connection: Connection, words: ReadonlyArray<unknown>, config: Config): Effect.Effect<void> =>
  say(connection, words).pipe(
    Effect.andThen(connection.end),
    Effect.andThen(drain(connection)),
    Effect.ignore,
    Effect.timeoutOption(config.closeMs),
    Effect.andThen(connection.close)
  )

/** Reads and forgets until the other end is done. */
const drain = (connection: Connection): Effect.Effect<void> => Effect.ignore(Effect.forever(connection.pull))

const open = Effect.fnUntraced(function* (
  connection: Connection,
  splitter: Frame.Splitter,
  hello: Handshake.Hello,
  version: number,
  direction: "dialed" | "accepted",
  { config, counters, options }: LinkContext
): Effect.fn.Return<Link, never, Scope.Scope> {
  splitter.limit = Frame.frameBytesMax
  const outbox = Outbox.make()
  /** Done when the link is down, with the reason. */
  const closed = Deferred.makeUnsafe<Machine.DownReason>()
  /** Done when the link is down or this end has begun to close it. */
  const ending = Deferred.makeUnsafe<void>()
  let down: Machine.DownReason | undefined
  let closing: Machine.CloseReason | undefined
  let pulling = false
  // Frames may have come in one chunk with the last word of the handshake.
  let unread = true

  const finish = (reason: Machine.DownReason): void => {
    if (down !== undefined) return
    down = reason
    outbox.clear()
    Deferred.doneUnsafe(closed, Exit.succeed(reason))
    Deferred.doneUnsafe(ending, Exit.void)
  }

  const closeUnsafe = (reason: Machine.CloseReason): void => {
    if (down !== undefined || closing !== undefined) return
    closing = reason
    const frame = Frame.encodeShared(control, [kindClose, reason])
    if (frame.ok) outbox.push(frame.value)
    outbox.end()
    Deferred.doneUnsafe(ending, Exit.void)
  }

  const violate = (counter: "garbage" | "oversize" | "unknownChannel"): void => {
    counters[counter]++
    closeUnsafe("violation")
  }

  const send = (channel: number, payload: unknown): boolean => {
    if (down !== undefined || closing !== undefined) {
      counters.sentAfterClose++
      return false
    }
    const frame = Frame.encodeShared(channel, payload)
    if (!frame.ok) {
      counters.unsendable++
      return false
    }
    if (outbox.bytes() + frame.value.length > config.queueBytesMax) {
      counters.overflows++
      finish({ _tag: "Overflow" })
      return false
    }
    outbox.push(frame.value)
    counters.framesSent++
    return true
  }

  /** Takes what is whole, up to the frame that ends the link. */
  const take = (): ReadonlyArray<Frame.Frame> => {
    const frames: Array<Frame.Frame> = []
    while (true) {
      const bytes = down === undefined && closing === undefined ? splitter.next() : undefined
      if (bytes === undefined) break
      if (!bytes.ok) {
        violate("oversize")
        break
      }
      const frame = Frame.decode(bytes.value)
      if (!frame.ok) violate("garbage")
      else if (frame.value.channel === control) onControl(frame.value.payload)
      else if (frame.value.channel > options.channelMax) violate("unknownChannel")
      else frames.push(frame.value)
    }
    counters.framesReceived += frames.length
    return frames
  }

  const onControl = (payload: unknown): void => {
    if (!Array.isArray(payload) || payload[0] !== kindClose) {
      counters.unknownControl++
      return
    }
    const reason: unknown = payload[1]
    finish({ _tag: "ClosedByPeer", reason: isCloseReason(reason) ? reason : "done" })
  }

  const onPulled = (
    chunks: ReadonlyArray<Uint8Array>
  ): Effect.Effect<ReadonlyArray<Frame.Frame>, Machine.DownReason> => {
    pulling = false
    for (const chunk of chunks) {
      counters.bytesReceived += chunk.length
      // What comes after our own close is read only so that the peer can see the close.
      if (closing === undefined) splitter.push(chunk)
    }
    const frames = take()
    return frames.length > 0 ? Effect.succeed(frames) : next
  }

  const onEnd = (): Effect.Effect<never, Machine.DownReason> => {
    pulling = false
    if (down === undefined) {
      if (closing === undefined && splitter.pending() > 0) counters.truncated++
      finish(closing === undefined ? { _tag: "Reset" } : { _tag: "Local", reason: closing })
    }
    return Effect.flatMap(Deferred.await(closed), Effect.fail)
  }

  const pull = connection.pull.pipe(
    Effect.onInterrupt(() =>
      Effect.sync(() => {
        pulling = false
      })
    ),
    Effect.matchEffect({ onFailure: onEnd, onSuccess: onPulled })
  )

  const next: Effect.Effect<ReadonlyArray<Frame.Frame>, Machine.DownReason> = Effect.suspend(() => {
    if (down !== undefined) return Effect.fail(down)
    pulling = true
    return pull
  })

  const receive: Effect.Effect<ReadonlyArray<Frame.Frame>, Machine.DownReason> = Effect.suspend(() => {
    if (unread) {
      unread = false
      const frames = take()
      if (frames.length > 0) return Effect.succeed(frames)
    }
    if (closing !== undefined) return Effect.flatMap(Deferred.await(closed), Effect.fail)
    return next
  })

  let writes = 0
  let writing = false
  const writer = yield* Effect.gen(function* () {
    while (true) {
      const bytes = outbox.take()
      if (bytes === undefined) {
        if (outbox.ended()) break
        yield* outbox.wait
        continue
      }
      writes++
      writing = true
      yield* connection.write(bytes)
      writing = false
      outbox.written(bytes.length)
      counters.bytesSent += bytes.length
    }
    yield* connection.end
  }).pipe(
    Effect.catchTag("ConnectionClosed", () =>
      // The reader learns why, if the peer said it; nobody may be reading, though.
      Effect.andThen(
        Effect.sleep(config.closeMs),
        Effect.sync(() => finish({ _tag: "Reset" }))
      )
    ),
    Effect.forkScoped
  )

  // No clock is read: a write is stalled when so many beats in a row find the very same one unfinished.
  yield* Effect.gen(function* () {
    let same = 0
    let seen = 0
    while (true) {
      yield* Effect.sleep(config.writeStallMs / stallBeats)
      if (down !== undefined) break
      same = writing && writes === seen ? same + 1 : 0
      seen = writes
      if (same < stallBeats) continue
      counters.stalls++
      finish({ _tag: "Timeout" })
    }
  }).pipe(Effect.forkScoped)

  yield* Effect.gen(function* () {
    yield* Deferred.await(ending)
    if (closing !== undefined && down === undefined) {
      yield* Effect.timeoutOption(Fiber.await(writer), config.closeMs)
      const read = Effect.suspend(() => (pulling ? Deferred.await(closed) : drain(connection)))
      yield* Effect.timeoutOption(read, config.closeMs)
      finish({ _tag: "Local", reason: closing })
    }
    yield* connection.close
  }).pipe(Effect.forkScoped)

  yield* Effect.addFinalizer(() => Effect.sync(() => finish({ _tag: "Local", reason: closing ?? "done" })))

  return {
    hello,
    version,
    direction,
    remote: connection.remote,
    receive,
    send,
    closeUnsafe,
    close: (reason) =>
      Effect.suspend(() => {
        closeUnsafe(reason)
        return Effect.asVoid(Deferred.await(closed))
      }),
    closed: Deferred.await(closed),
    queueBytes: outbox.bytes
  }
})

/** A stall is noticed within a tenth of its time. */
const stallBeats = 10

const closeReasons: ReadonlySet<unknown> = new Set<Machine.CloseReason>([
  "done",
  "evicted",
  "replaced",
  "refused",
  "left",
  "silent",
  "violation"
])

/** A reason of a later version reads as `done`. */
const isCloseReason = (input: unknown): input is Machine.CloseReason => closeReasons.has(input)

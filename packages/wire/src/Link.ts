/**
 * A connection whose two ends know each other: frames of plain data on numbered channels.
 *
 * @since 0.1.0
 */
import type { Machine } from "@starling/machine"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Handshake from "./Handshake.ts"
import type { Connection, Transport } from "./Transport.ts"

/** One message: `payload` is plain data as a protocol's `encode` made it. @since 0.1.0 @category models */
export interface Frame {
  readonly channel: number
  readonly payload: unknown
}

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
  readonly receive: Effect.Effect<ReadonlyArray<Frame>, Machine.DownReason>
  readonly send: (channel: number, payload: unknown) => boolean
  readonly close: (reason: Machine.CloseReason) => Effect.Effect<void>
  readonly closeUnsafe: (reason: Machine.CloseReason) => void
  readonly closed: Effect.Effect<Machine.DownReason>
  /** Bytes that wait to be written. */
  readonly queueBytes: () => number
}

/** Why a dial gave no link; assignable to `Machine.OpenFailure`. @since 0.1.0 @category models */
export type DialFailure =
  | { readonly _tag: "Refused" }
  | { readonly _tag: "Unreachable" }
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
export const dial = (_address: string, _options: Options): Effect.Effect<Link, DialFailure, Transport | Scope.Scope> =>
  Effect.die("not yet written")

/**
 * Shakes hands on a connection that somebody opened.
 *
 * @since 0.1.0
 * @category constructors
 */
export const accept = (_connection: Connection, _options: Options): Effect.Effect<Link, HandshakeFailed, Scope.Scope> =>
  Effect.die("not yet written")

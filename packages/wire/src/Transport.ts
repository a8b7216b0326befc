/**
 * The transport port: connections of bytes, in order, with backpressure both ways.
 *
 * `wire` frames what travels here and never looks below; what implements the port knows sockets and never looks at a
 * frame. Nothing is read from a connection until somebody pulls, so who stops pulling stops the peer.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

/**
 * No byte will come or go any more. `eof`: the other end said that it is done, after everything it had written;
 * `reset`: the connection broke; `local`: this end closed it.
 *
 * @since 0.1.0
 * @category errors
 */
export class ConnectionClosed extends Data.TaggedError("ConnectionClosed")<{
  readonly reason: "eof" | "reset" | "local"
}> {}

/**
 * Nobody could be reached. `Refused`: the host answered that nobody listens; `Unreachable`: no answer, no route, or no
 * such name; `InvalidAddress`: the text is no address.
 *
 * @since 0.1.0
 * @category errors
 */
export class DialError extends Data.TaggedError("DialError")<{
  readonly reason: "Refused" | "Unreachable" | "InvalidAddress"
  readonly address: string
  readonly message: string
}> {}

/** The address cannot be listened on: `message` says which and why, `next` what to do about it. @since 0.1.0 @category errors */
export class ListenError extends Data.TaggedError("ListenError")<{
  readonly reason: "InUse" | "NotLocal" | "Forbidden" | "InvalidAddress" | "Unknown"
  readonly address: string
  readonly message: string
  readonly next: string
}> {}

/**
 * One connection; it ends with the scope it was made in at the latest.
 *
 * - `remote`: the other end, for people: `host:port`.
 * - `pull`: the next chunks, at least one, in order. One pull at a time. Bytes that arrived before the end are handed
 *   out before the end is reported. What is interrupted loses nothing.
 * - `write`: returns when there is room for more; bytes must not change afterwards. One write at a time.
 * - `end`: nothing more will be written; the other end reads everything and then `eof`. Reading goes on.
 * - `close`: at once; what the other end has not been handed yet may be lost. A pull or write that waits fails with
 *   `local`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Connection {
  readonly remote: string
  readonly pull: Effect.Effect<ReadonlyArray<Uint8Array>, ConnectionClosed>
  readonly write: (bytes: Uint8Array) => Effect.Effect<void, ConnectionClosed>
  readonly end: Effect.Effect<void>
  readonly close: Effect.Effect<void>
}

/**
 * - `address`: where it listens in fact: `host:port`, with the port that was chosen when 0 was asked for.
 * - `accept`: the next connection that somebody opened. Connections wait, bounded, until they are accepted; those beyond
 *   the bound are closed and counted in `dropped`. Never ends by itself.
 *
 * @since 0.1.0
 * @category models
 */
export interface Listener {
  readonly address: string
  readonly accept: Effect.Effect<Connection, never, Scope.Scope>
  readonly dropped: () => number
}

/** Connections that wait to be accepted. Our choice: a fleet's worth of neighbours at once. @since 0.1.0 */
export const backlogMax = 128

/**
 * - `listen`: until the scope closes; then the connections that came in are closed, too.
 * - `dial`: names are resolved anew at each call and every address is tried; ends within the connect timeout.
 *
 * @since 0.1.0
 * @category services
 */
export class Transport extends Context.Service<
  Transport,
  {
    readonly listen: (address: string) => Effect.Effect<Listener, ListenError, Scope.Scope>
    readonly dial: (address: string) => Effect.Effect<Connection, DialError, Scope.Scope>
  }
>()("@starling/wire/Transport") {}

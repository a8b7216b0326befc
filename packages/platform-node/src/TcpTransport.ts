/**
 * The transport over TCP.
 *
 * Everything this repository takes from Effect's socket modules, which are unstable, is in this file. Of TCP it hides
 * three habits: an end of stream arrives as an error, a socket that is closed politely waits for ever for a peer that
 * never reads, and a name may stand for several addresses, of which some may not answer.
 *
 * @since 0.1.0
 */
import * as NodeSocket from "@effect/platform-node/NodeSocket"
import * as NodeSocketServer from "@effect/platform-node/NodeSocketServer"
import { Address, Transport } from "@starling/wire"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as NetAddress from "effect/net/NetAddress"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import type * as SocketServer from "effect/socket/SocketServer"
import * as Dns from "node:dns"
import * as Net from "node:net"

/** @since 0.1.0 @category models */
export interface Config {
  /** A dial ends within this, names and all addresses together. Default 3,000 ms, our choice: a few lost SYNs. */
  readonly connectTimeoutMs: number
}

/** @since 0.1.0 */
export const defaults: Config = { connectTimeoutMs: 3000 }

/** @since 0.1.0 @category layers */
export const layer = (config: Partial<Config> = {}): Layer.Layer<Transport.Transport> =>
  Layer.succeed(Transport.Transport, { listen, dial: (address) => dial(address, { ...defaults, ...config }) })

const listen = Effect.fnUntraced(function* (
  text: string
): Effect.fn.Return<Transport.Listener, Transport.ListenError, Scope.Scope> {
  const parsed = Address.parse(text)
  if (!parsed.ok) {
    const next = "Give host:port, like 127.0.0.1:7740."
    return yield* new Transport.ListenError({ reason: "InvalidAddress", address: text, message: parsed.reason, next })
  }
  const server = yield* Effect.mapError(NodeSocketServer.make({ ...parsed.value, noDelay: true }), (error) =>
    listenError(text, parsed.value, error)
  )
  const backlog = yield* Queue.dropping<Transport.Connection>(Transport.backlogMax)
  let dropped = 0
  const onConnection = Effect.fnUntraced(
    function* (socket: Socket.Socket) {
      const raw = yield* Effect.serviceOption(NodeSocket.NetSocket)
      const remote = Option.match(raw, {
        onNone: () => "unknown",
        onSome: (conn) => Address.format({ host: conn.remoteAddress ?? "unknown", port: conn.remotePort ?? 0 })
      })
      const closed = Deferred.makeUnsafe<void>()
      const connection = yield* connect(socket, remote, () => Deferred.doneUnsafe(closed, Exit.void))
      if (Queue.offerUnsafe(backlog, connection)) yield* Deferred.await(closed)
      else dropped++
    },
    Effect.scoped,
    // A connection that broke before it was accepted is nobody's error; the server would log it as one.
    (handled) => Effect.ignoreCause(handled)
  )
  yield* Effect.forkScoped(server.run(onConnection))
  return {
    address: boundAddress(server.address, parsed.value),
    accept: Effect.uninterruptibleMask((restore) =>
      Effect.tap(restore(Queue.take(backlog)), (connection) => Effect.addFinalizer(() => connection.close))
    ),
    dropped: () => dropped
  }
})

/** The host as it was asked for, which may be a name, and the port that was bound. */
const boundAddress = (bound: NetAddress.SocketAddress, asked: Address.Address): string =>
  Address.format({ host: asked.host, port: NetAddress.isInetAddress(bound) ? bound.port : asked.port })

const dial = (text: string, config: Config): Effect.Effect<Transport.Connection, Transport.DialError, Scope.Scope> => {
  const parsed = Address.parse(text)
  if (!parsed.ok) {
    return Effect.fail(new Transport.DialError({ reason: "InvalidAddress", address: text, message: parsed.reason }))
  }
  const silent = new Transport.DialError({
    reason: "Unreachable",
    address: text,
    message: `${text} did not answer within ${config.connectTimeoutMs} ms`
  })
  return Effect.timeoutOrElse(tryAll(text, parsed.value, config), {
    duration: config.connectTimeoutMs,
    orElse: () => Effect.fail(silent)
  })
}

/** One address after the other, each with its share of the time, so that a dead one leaves time for the others. */
const tryAll = Effect.fnUntraced(function* (text: string, { host, port }: Address.Address, config: Config) {
  const addresses = yield* resolve(host, text)
  const share = config.connectTimeoutMs / addresses.length
  const failures: Array<string> = []
  let refused = false
  for (const { address, family } of addresses) {
    const attempt = yield* Effect.result(tryOne({ host: address, port, family, noDelay: true }, text, share))
    if (Result.isSuccess(attempt)) return attempt.success
    const code = codeOf(attempt.failure)
    refused ||= code === "ECONNREFUSED"
    failures.push(`${Address.format({ host: address, port })}: ${code ?? "no answer"}`)
  }
  return yield* new Transport.DialError({
    reason: refused ? "Refused" : "Unreachable",
    address: text,
    message: `nothing answers at ${text} (${failures.join(", ")})`
  })
})

const tryOne = Effect.fnUntraced(function* (options: Net.TcpNetConnectOpts, remote: string, timeoutMs: number) {
  const parent = yield* Effect.scope
  const scope = yield* Scope.fork(parent)
  const socket = yield* NodeSocket.fromDuplex(openSocket(options), { openTimeout: timeoutMs, chunkSize: chunksMax })
  return yield* connect(socket, remote, () => {}).pipe(
    Scope.provide(scope),
    Effect.onError(() => Scope.close(scope, Exit.void))
  )
})

/** Chunks of at most 64 KiB that one pull hands out: a batch stays about as large as a frame may be. */
const chunksMax = 16

const openSocket = (options: Net.TcpNetConnectOpts): Effect.Effect<Net.Socket, Socket.SocketError, Scope.Scope> =>
  Effect.acquireRelease(
    connectSocket(options),
    (conn) =>
      Effect.sync(() => {
        conn.destroy()
      }),
    { interruptible: true }
  )

const connectSocket = (options: Net.TcpNetConnectOpts): Effect.Effect<Net.Socket, Socket.SocketError> =>
  Effect.callback((resume) => {
    const conn = Net.createConnection(options)
    conn.once("connect", () => resume(Effect.succeed(conn)))
    // Stays for the life of the socket: an error event that nobody hears would end the process.
    conn.on("error", (cause: Error) =>
      resume(Effect.fail(new Socket.SocketError({ reason: new Socket.SocketOpenError({ kind: "Unknown", cause }) })))
    )
    return Effect.sync(() => {
      conn.destroy()
    })
  })

/** Names are asked for anew each time: the machines behind a name change while a node runs. */
const resolve = (host: string, text: string): Effect.Effect<ReadonlyArray<Dns.LookupAddress>, Transport.DialError> =>
  Effect.callback((resume) => {
    Dns.lookup(host, { all: true }, (error, addresses) => {
      if (error === null && addresses.length > 0) return resume(Effect.succeed(addresses))
      const message = `${text}: the name ${host} has no address (${error?.code ?? "empty answer"})`
      resume(Effect.fail(new Transport.DialError({ reason: "Unreachable", address: text, message })))
    })
  })

/** Acquiring the reader opens the socket; what is left of it is destroyed with the scope, whatever the peer does. */
const connect = Effect.fnUntraced(function* (
  socket: Socket.Socket,
  remote: string,
  onClose: () => void
): Effect.fn.Return<Transport.Connection, Socket.SocketError, Scope.Scope> {
  const reader = yield* Socket.readerBytes(socket)
  const writing = yield* Scope.make()
  const writer = yield* Scope.provide(socket.writer, writing)
  let closed = false
  const close = Effect.suspend(() => {
    if (closed) return Effect.void
    closed = true
    // In this order: once the scope of the socket has closed, a write would wait for a new one.
    return Effect.andThen(Effect.ignore(writer.write(new Socket.CloseEvent(1000))), Effect.sync(onClose))
  })
  yield* Effect.addFinalizer(() => close)
  const lost = (error: Socket.SocketError): Transport.ConnectionClosed =>
    new Transport.ConnectionClosed({ reason: closed ? "local" : isEnd(error) ? "eof" : "reset" })
  const gone = Effect.fail(new Transport.ConnectionClosed({ reason: "local" }))
  const pull = Effect.mapError(reader, lost)
  return {
    remote,
    pull: Effect.suspend(() => (closed ? gone : pull)),
    write: (bytes) => Effect.suspend(() => (closed ? gone : Effect.mapError(writer.write(bytes), lost))),
    end: Effect.suspend(() => (closed ? Effect.void : Scope.close(writing, Exit.void))),
    close
  }
})

/** The end of the stream, after its last byte. */
const isEnd = (error: Socket.SocketError): boolean =>
  error.reason._tag === "SocketCloseError" && error.reason.code === 1000

const codeOf = (error: Socket.SocketError | SocketServer.SocketServerError): string | undefined => {
  const cause: unknown = "cause" in error.reason ? error.reason.cause : undefined
  return typeof cause === "object" && cause !== null && "code" in cause && typeof cause.code === "string"
    ? cause.code
    : undefined
}

const listenError = (
  text: string,
  { port }: Address.Address,
  error: SocketServer.SocketServerError
): Transport.ListenError => {
  const code = codeOf(error)
  const make = (reason: Transport.ListenError["reason"], message: string, next: string) =>
    new Transport.ListenError({ reason, address: text, message: `cannot listen on ${text}: ${message}`, next })
  switch (code) {
    case "EADDRINUSE":
      return make("InUse", "another process listens there", `Choose another port, or end what listens on port ${port}.`)
    case "EADDRNOTAVAIL":
      return make("NotLocal", "it is no address of this host", "Choose an address of this host, or 127.0.0.1.")
    case "EACCES":
    case "EPERM":
      return make("Forbidden", "the system does not permit it", "Choose a port above 1023.")
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return make("InvalidAddress", "the name has no address", "Give an address of this host, or a name that has one.")
    default:
      return make("Unknown", code ?? error.message, "Choose another address.")
  }
}

/**
 * The links of an agent: connections with a finished handshake, by number, and what comes in on them.
 *
 * Frames are decoded here and told to the component of their channel. Work is admitted here and nowhere further in: while
 * a component has much to do, its links are not read, and TCP holds the peer back.
 */
import { type Machine, type Peer } from "@starling/machine"
import { Component, Wiring } from "@starling/member"
import { Handshake, Link, type Transport } from "@starling/wire"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"

/** A component with more than this many events waiting gets no further frames for the moment. Our choice. */
const congestedAt = 1024

/** Connections at once, dialled and accepted, with those in their handshake. Our choice: many times both views. */
export const linksMax = 256

/**
 * With more links than this, newcomers are told to try another node; the rest is for links that this node opens and for
 * handshakes. Our choice: half.
 */
export const welcomeMax = 128

/** Connections of others at once: beyond it they are closed unheard, so that no crowd keeps this node from dialling. */
export const inboundMax = 192

/**
 * With more than this waiting to be written on a link, payloads of broadcasts are left out and announced instead. Our
 * choice: a quarter of the bytes at which the link ends (`Link.defaults.queueBytesMax`), so that all else still leaves.
 */
const shedAboveBytes = 2 * 1024 * 1024

/** Refusals shown to people. Our choice: as many as fit on a screen. */
const refusalsMax = 4

export interface Counters {
  upTotal: number
  refusedTotal: number
  unknownKindTotal: number
  malformedTotal: number
  pausedTotal: number
  /** Payloads that were not sent on a link because too much waited there. */
  shedTotal: number
  /** Connections closed unheard because there were too many. */
  overloadedTotal: number
  /** Frames that were lost on purpose, to and from a data centre that this node is cut from. */
  cutTotal: number
}

export interface Entry {
  readonly link: Link.Link
  readonly peer: Peer.Peer
  /** Components that were told of the link or handed a frame of it. */
  readonly concerned: Set<Component.Component>
}

export interface Links {
  readonly byId: Map<Machine.LinkId, Entry>
  nextId: number
  readonly counters: Counters
  /** Connections that others opened and that are not closed yet, handshaken or not. */
  inbound: number
  /** Why the last dial of an address gave no link; the newest few. */
  readonly refusals: Map<string, string>
  /** Data centres that this node is cut from on purpose. */
  readonly cuts: Set<string>
  readonly wire: Link.Counters
  readonly tell: (delivery: Wiring.Delivery) => void
  readonly depth: (component: Component.Component) => number
}

export const make = (tell: Links["tell"], depth: Links["depth"]): Links => ({
  byId: new Map(),
  nextId: 1,
  counters: {
    upTotal: 0,
    refusedTotal: 0,
    unknownKindTotal: 0,
    malformedTotal: 0,
    pausedTotal: 0,
    shedTotal: 0,
    overloadedTotal: 0,
    cutTotal: 0
  },
  inbound: 0,
  refusals: new Map(),
  cuts: new Set(),
  wire: Link.makeCounters(),
  tell,
  depth
})

/** Who asked for a link, with the number that component gave the attempt. */
export interface Opener {
  readonly component: Component.Component
  readonly attempt: number
}

/** Dials and serves the link until it is down. Never fails: what goes wrong is told to the opener. */
export const dial = (
  links: Links,
  options: Link.Options,
  address: string,
  opener: Opener,
  refused: (failure: Link.DialFailure, isNews: boolean) => void
): Effect.Effect<void, never, Transport.Transport> =>
  Link.dial(address, options).pipe(
    Effect.matchEffect({
      onSuccess: (link) => {
        links.refusals.delete(address)
        return serve(links, link, opener)
      },
      onFailure: (failure) =>
        Effect.sync(() => {
          links.counters.refusedTotal++
          refused(failure, remember(links, address, failure.message))
          const { _tag } = failure
          const told: Machine.OpenFailure = _tag === "Rejected" ? failure : { _tag }
          links.tell(toOpener(opener, { _tag: "LinkRefused", attempt: opener.attempt, address, failure: told }))
        })
    }),
    Effect.scoped
  )

/** True when this is not what was said of that address the last time. */
const remember = ({ refusals }: Links, address: string, message: string): boolean => {
  const isNews = refusals.get(address) !== message
  refusals.delete(address)
  refusals.set(address, message)
  const [oldest] = refusals.keys()
  if (refusals.size > refusalsMax && oldest !== undefined) refusals.delete(oldest)
  return isNews
}

/** Serves a link that somebody opened until it is down. A handshake that fails is counted by the wire. */
export const accept = (
  links: Links,
  options: Link.Options,
  connection: Transport.Connection
): Effect.Effect<void, never, Scope.Scope> =>
  Link.accept(connection, options).pipe(
    Effect.flatMap((link) => serve(links, link, undefined)),
    Effect.catchTag("HandshakeFailed", (error) =>
      Effect.logDebug(`a connection did not become a link: ${error.message}`)
    )
  )

/** Whether frames to and from that node are lost on purpose. */
export const isCut = ({ cuts }: Links, { node }: Handshake.Hello): boolean => cuts.has(node.datacenter)

/** What a component says on a link. A link that is down says nothing; its component hears of that by itself. */
export const send = (links: Links, id: Machine.LinkId, channel: number, payload: unknown): void => {
  const link = links.byId.get(id)?.link
  if (link === undefined) return
  if (isCut(links, link.hello)) links.counters.cutTotal++
  else link.send(channel, payload)
}

/** Whether a payload should be left out on a link; the caller does as it is told, so it is counted here. */
export const isCongested = ({ byId, counters }: Links, id: Machine.LinkId): boolean => {
  const isLong = (byId.get(id)?.link.queueBytes() ?? 0) > shedAboveBytes
  if (isLong) counters.shedTotal++
  return isLong
}

/** Live links with their peers. */
export const neighbors = (links: Links): ReadonlyArray<Machine.Neighbor> =>
  [...links.byId].map(([link, { peer }]) => ({ link, peer }))

const serve = (links: Links, link: Link.Link, opener: Opener | undefined): Effect.Effect<void> =>
  Effect.suspend(() => {
    const id = links.nextId++
    const peer = Handshake.peerOf(link.hello)
    const entry: Entry = { link, peer, concerned: new Set([opener?.component ?? "view-manager"]) }
    links.byId.set(id, entry)
    links.counters.upTotal++
    links.tell(
      opener === undefined
        ? { to: "view-manager", event: { _tag: "LinkUp", link: id, peer } }
        : toOpener(opener, { _tag: "LinkUp", link: id, peer, attempt: opener.attempt })
    )
    return read(links, entry, id).pipe(
      Effect.onExit((exit) =>
        Effect.sync(() => {
          links.byId.delete(id)
          for (const delivery of Wiring.linkDown(id, downReason(exit), entry.concerned)) links.tell(delivery)
        })
      ),
      Effect.ignore
    )
  })

const read = (links: Links, entry: Entry, id: Machine.LinkId): Effect.Effect<never, Machine.DownReason> =>
  entry.link.receive.pipe(
    Effect.flatMap((frames) => {
      // What came behind the frame that ends the link is nobody's, whether it came at once with it or later.
      for (const frame of frames) if (!dispatch(links, entry, id, frame)) break
      return isBusy(links) ? pause(links) : Effect.void
    }),
    Effect.forever
  )

/** False if it ends the link. */
const dispatch = (
  links: Links,
  { link, concerned }: Entry,
  id: Machine.LinkId,
  { channel, payload }: Link.Frame
): boolean => {
  const component = Component.ofChannel(channel)
  if (component === undefined) return true
  if (isCut(links, link.hello)) {
    links.counters.cutTotal++
    return true
  }
  const decoded = Component.specs[component].decode(payload)
  if (decoded.ok) {
    concerned.add(component)
    links.tell({ to: component, event: { _tag: "Received", link: id, message: decoded.value } } as Wiring.Delivery)
  } else if (Component.isUnknownKind(decoded)) {
    // A later version may say more than this one understands.
    links.counters.unknownKindTotal++
  } else {
    links.counters.malformedTotal++
    link.closeUnsafe("violation")
    return false
  }
  return true
}

const isBusy = (links: Links): boolean => Component.components.some((component) => links.depth(component) > congestedAt)

const pause = (links: Links): Effect.Effect<void> =>
  Effect.suspend(() => {
    links.counters.pausedTotal++
    return Effect.sleep("5 millis").pipe(Effect.repeat({ while: () => isBusy(links) }))
  })

const toOpener = (
  opener: Opener,
  event: Extract<Machine.ShellEvent<never, never>, { readonly _tag: "LinkUp" | "LinkRefused" }>
): Wiring.Delivery => ({ to: opener.component, event }) as Wiring.Delivery

/** A link whose fiber was interrupted is closed by this side: the agent stops. */
const downReason = (exit: Exit.Exit<never, Machine.DownReason>): Machine.DownReason => {
  const failure = Exit.isFailure(exit) ? exit.cause.reasons.find((reason) => reason._tag === "Fail") : undefined
  return failure === undefined ? { _tag: "Local", reason: "left" } : failure.error
}

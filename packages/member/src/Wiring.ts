/**
 * The wiring table of a member: whose output is whose event. It is written once; the simulator and the agent follow it.
 *
 * | output of | reaches |
 * | --- | --- |
 * | view manager: `Views` | shuffler (both views); broadcast tree, lazy-push repair, clock, facts (the neighbours, unless only passive ones are news) |
 * | view manager: `NeighborDown`, `NeighborRefused` | facts (evidence) |
 * | shuffler: `Integrate` | view manager |
 * | broadcast tree: `Announce`, `Seen`, `Known`, `Late`, `Forgotten`, `Missed` | lazy-push repair |
 * | broadcast tree: `Delivered` | facts (topic 0), the application (topic 1) |
 * | broadcast tree: `Accepted`, `Rejected` | the application |
 * | lazy-push repair: `Graft`, `Shorter` | broadcast tree |
 * | clock: `FleetTime`, `Lease`, `Epoch` | the clock cell, and from there who `clockMoved` names |
 * | clock: `Answer` | the application |
 * | facts: `Broadcast` | broadcast tree |
 * | facts: `Remember` | view manager |
 * | facts: `Fleet` | clock |
 * | facts: `Answer`, `Apply`, `Changed`, `Outdated` | the application |
 *
 * @since 0.1.0
 */
import { type Clock, type ClockEstimator, NodeClock, type Stamp } from "@starling/clock"
import { Facts } from "@starling/fleet"
import type { BroadcastTree, LazyPushRepair, MessageId, Shuffler, ViewManager } from "@starling/gossip"
import type { Machine } from "@starling/machine"
import { type Component, type EventOf, type MessageOf, type OutputOf } from "./Component.ts"

/** An event on its way to a component. @since 0.1.0 @category models */
export type Delivery<C extends Component = Component> = {
  readonly [K in C]: { readonly to: K; readonly event: EventOf<K> }
}[C]

/**
 * What leaves the member towards the application that embeds it.
 *
 * @since 0.1.0
 * @category models
 */
export type ToApplication =
  | Extract<BroadcastTree.Output, { readonly _tag: "Accepted" | "Rejected" | "Delivered" }>
  | Extract<Clock.Output, { readonly _tag: "Answer" }>
  | Extract<Facts.Output, { readonly _tag: "Answer" | "Apply" | "Changed" | "Outdated" }>

/** @since 0.1.0 @category models */
export type Routed =
  | Delivery
  | { readonly to: "application"; readonly output: ToApplication }
  | { readonly to: "clock-cell"; readonly output: Exclude<Clock.Output, { readonly _tag: "Answer" }> }

/** Broadcasts of this topic carry configuration entries, those of `topicApplication` what an application sent. @since 0.1.0 */
export const topicConfiguration = 0

/** @since 0.1.0 */
export const topicApplication = 1

/** The token of broadcasts that facts send: nobody waits for their acceptance. @since 0.1.0 */
export const tokenFacts = 0

/** Who hears an output. @since 0.1.0 */
export const route = <C extends Component>(from: C, output: OutputOf<C>): ReadonlyArray<Routed> =>
  (table[from] as (output: OutputOf<C>) => ReadonlyArray<Routed>)(output)

/**
 * The deliveries among these that tell a component its neighbours. The newest of each component is told again when the
 * component is rebuilt: what it knew is gone, and nobody else would repeat it at once.
 *
 * @since 0.1.0
 */
export const isNeighborSet = (delivery: Delivery): boolean =>
  delivery.event._tag === "Neighbors" || delivery.event._tag === "Views"

/** What crashes before a step have lost, with one more; the newest. @since 0.2.0 */
export const lose = (lost: ReadonlyArray<Delivery>, delivery: Delivery): ReadonlyArray<Delivery> => [
  ...lost.slice(1 - lostMax),
  delivery
]

/** Whether components may disagree because this was lost. @since 0.2.0 */
export const excuses = ({ event }: Delivery): boolean => replacing.has(event._tag) || event._tag === "LinkDown"

/** Our choice: several times what one member is made to lose until its neighbours are told anew. */
const lostMax = 64

/** The same, without what is made up for by a delivery that was handled. @since 0.2.0 */
export const madeUp = (lost: ReadonlyArray<Delivery>, delivery: Delivery): ReadonlyArray<Delivery> =>
  lost.length > 0 && replacing.has(delivery.event._tag) ? lost.filter((one) => !isMadeUpFor(one, delivery)) : lost

/** Of one event among many of any other kind another says nothing. */
const replacing: ReadonlySet<string> = new Set(["Neighbors", "Views", "Fleet"])

/** Who has handled this, of those, knows at least what the loss of `lost` kept from it. */
const isMadeUpFor = (lost: Delivery, { event, to }: Delivery): boolean => {
  if (lost.to !== to || lost.event._tag !== event._tag) return false
  return !("version" in event && "version" in lost.event) || lost.event.version <= event.version
}

/**
 * What a component is told when it goes on after a crash: that it has started. The event that the crash lost may have been
 * the timer that keeps a period going; on an idle node nothing else would ever come. To a component whose timers run it
 * is harmless.
 *
 * @since 0.1.0
 */
export const afterCrash = (to: Component): ReadonlyArray<Delivery> => {
  const started = { to, event: { _tag: "Started" } } as const
  switch (to) {
    case "facts":
      // What the crash took may have been the word that stamps count now.
      return [started, restamp]
    case "lazy-push-repair":
      // Or the only word of a broadcast that no neighbour was there for.
      return [started, recount]
    case "broadcast-tree":
      // Or the question that repair, which crashed just before, has of it.
      return [started, recount]
    default:
      return [started]
  }
}

/** What the broadcast tree is told when repair was rebuilt, or went on after a crash. @since 0.1.0 */
export const recount: Delivery = { to: "broadcast-tree", event: { _tag: "Recount" } }

/**
 * The id of a broadcast that the broadcast tree hands over with this, to facts or to the application.
 *
 * @since 0.1.0
 */
export const handedOver = (routed: Routed): MessageId.MessageId | undefined => {
  if (routed.to === "application") return routed.output._tag === "Delivered" ? routed.output.id : undefined
  // Facts do not know what an id is made of; the table below put the broadcast tree's there.
  if (routed.to === "facts" && routed.event._tag === "Delivered") return routed.event.id as MessageId.MessageId
  return undefined
}

/**
 * Who hears that a link went down: who owns it (the component that opened it, or the view manager), and every component
 * that was handed a frame of it, which it may still hold. Neighbours that were lost are told by the view manager.
 *
 * @since 0.1.0
 */
export const linkDown = (
  link: Machine.LinkId,
  reason: Machine.DownReason,
  concerned: Iterable<Component>
): ReadonlyArray<Delivery> => [...new Set(concerned)].map((to) => ({ to, event: { _tag: "LinkDown", link, reason } }))

/**
 * The stamp that comes with an event, to be merged into the clock before the event is handled: so everything that this
 * node stamps after having seen another node's fact sorts after that fact. Of one that can only be held the epoch
 * alone is followed (`NodeClock`): what is stamped before it can be judged may sort before it, within its epoch.
 *
 * @since 0.1.0
 */
export const stampOf = (delivery: Delivery): Stamp.Stamp | undefined => {
  if (delivery.to !== "facts") return undefined
  switch (delivery.event._tag) {
    case "Received":
      return Facts.stampsOf(delivery.event.message)
    case "Delivered":
      return delivery.event.isAside === true ? undefined : Facts.stampOfPayload(delivery.event.payload)
    default:
      return undefined
  }
}

/**
 * What to do with a delivery by the clock of the node:
 *
 * - `Handle` it as it stands here: what bears a stamp beyond the guard was put aside, and `refused` are those stamps, to be
 *   counted. Taking it would break the law that what happens after it is stamped later. What came with it is taken.
 * - `Hold` it: it is to bear a stamp of this node, which does not know what time it is yet.
 *
 * @since 0.1.0
 * @category models
 */
export type Admission =
  | { readonly _tag: "Handle"; readonly delivery: Delivery; readonly refused: ReadonlyArray<Stamp.Stamp> }
  | { readonly _tag: "Hold" }

/** @since 0.1.0 */
export const admit = (clock: NodeClock.NodeClock, delivery: Delivery, at: ClockEstimator.Moment): Admission => {
  if (isStamped(delivery) && clock.phase !== "open") return hold
  const isRefused = (stamp: Stamp.Stamp) => NodeClock.judge(clock, stamp, at)._tag === "TimestampAhead"
  const greatest = stampOf(delivery)
  if (greatest === undefined) return { _tag: "Handle", delivery: placed(clock, delivery), refused: none }
  if (!isRefused(greatest)) return { _tag: "Handle", delivery, refused: none }
  return { _tag: "Handle", ...sifted(delivery, greatest, isRefused) }
}

const hold: Admission = { _tag: "Hold" }

/** What the facts will have to say again, if this node does not know the time yet. */
const placed = (clock: NodeClock.NodeClock, delivery: Delivery): Delivery => {
  if (clock.phase === "open" || delivery.to !== "facts") return delivery
  const { event, to } = delivery
  return event._tag === "NeighborDown" || event._tag === "Restamp"
    ? { to, event: { ...event, isEarly: true } }
    : delivery
}

const none: ReadonlyArray<Stamp.Stamp> = []

const sifted = (
  delivery: Delivery,
  greatest: Stamp.Stamp,
  isRefused: (stamp: Stamp.Stamp) => boolean
): { readonly delivery: Delivery; readonly refused: ReadonlyArray<Stamp.Stamp> } => {
  if (delivery.to !== "facts") return { delivery, refused: none }
  const { event, to } = delivery
  switch (event._tag) {
    case "Received": {
      const { message, refused } = Facts.sift(event.message, isRefused)
      return { delivery: { to, event: { ...event, message } }, refused }
    }
    case "Delivered":
      return { delivery: { to, event: { ...event, isAside: true } }, refused: [greatest] }
    default:
      return { delivery, refused: none }
  }
}

/** People will look for it in its true place: an event, or a revision of the configuration. */
const isStamped = ({ event, to }: Delivery): boolean =>
  to === "facts" && (event._tag === "RecordEvent" || event._tag === "SetConfig")

/** How many deliveries may be held; one more is answered with a refusal. Our choice: a burst of a node's first seconds. @since 0.1.0 */
export const heldMax = 1024

/** A held delivery: it is handled as of when it came, the first time. @since 0.1.0 */
export const occurredAt = (delivery: Delivery, at: Machine.Instant): Delivery =>
  ({ to: delivery.to, event: { at, ...delivery.event } }) as Delivery

/** What facts are told when the time is known, and when the epoch is another. @since 0.1.0 */
export const restamp: Delivery = { to: "facts", event: { _tag: "Restamp" } }

const nobody: ReadonlyArray<Delivery> = []

/** What the clock is told when the durable mark does not cover what was stamped or followed. @since 0.2.0 */
export const renew: Delivery = { to: "clock", event: { _tag: "Renew" } }

/**
 * Who is told that the clock cell has become another one. An epoch, whether it was begun here or heard of, is made durable as
 * soon as can be; and what this node says of itself is said again with stamps that count.
 *
 * @since 0.1.0
 */
export const clockMoved = (before: NodeClock.NodeClock, after: NodeClock.NodeClock): ReadonlyArray<Delivery> => {
  const isAnotherEpoch = before.reading.epoch !== after.reading.epoch
  const isKnown = before.phase === "probation" && after.phase === "ready"
  // Asked at every stamp that is followed.
  if (!isAnotherEpoch && !isKnown) return nobody
  return [
    ...(isAnotherEpoch ? [renew] : []),
    ...(isKnown || (isAnotherEpoch && after.phase === "open") ? [restamp] : [])
  ]
}

/** To who asked for one delivery too many. @since 0.1.0 */
export const noRoom = (delivery: Delivery): ToApplication | undefined =>
  "token" in delivery.event && delivery.to === "facts"
    ? {
        _tag: "Answer",
        token: delivery.event.token,
        answer: {
          _tag: "Invalid",
          where: "clock",
          message: `this node does not know yet what time it is, and ${heldMax} requests wait for that; try again in some seconds`
        }
      }
    : undefined

/** A frame on its way between members. @since 0.1.0 @category models */
export type Frame<C extends Component = Component> = {
  readonly [K in C]: { readonly channel: K; readonly message: MessageOf<K> }
}[C]

const table: { readonly [C in Component]: (output: OutputOf<C>) => ReadonlyArray<Routed> } = {
  "view-manager": (output: ViewManager.Output) => {
    switch (output._tag) {
      case "Views": {
        const { version, active, passive, news } = output
        const views: Routed = { to: "shuffler", event: { _tag: "Views", version, active, passive } }
        if (news === "passive") return [views]
        const event = { _tag: "Neighbors", version, neighbors: active } as const
        return [
          { to: "broadcast-tree", event },
          { to: "lazy-push-repair", event },
          { to: "clock", event },
          { to: "facts", event },
          views
        ]
      }
      case "NeighborDown":
      case "NeighborRefused":
        return [{ to: "facts", event: { _tag: "NeighborDown", peer: output.peer, cause: output.cause } }]
      default:
        return []
    }
  },
  shuffler: (output: Shuffler.Output) => [
    { to: "view-manager", event: { _tag: "Integrate", received: output.received, sent: output.sent } }
  ],
  "broadcast-tree": (output: BroadcastTree.Output) => {
    switch (output._tag) {
      case "Announce":
      case "Seen":
      case "Forgotten":
      case "Missed":
      case "Known":
      case "Late":
        return [{ to: "lazy-push-repair", event: output }]
      case "Delivered":
        return output.topic === topicConfiguration
          ? [{ to: "facts", event: { _tag: "Delivered", id: output.id, topic: output.topic, payload: output.payload } }]
          : [{ to: "application", output }]
      case "Accepted":
      case "Rejected":
        return output.token === tokenFacts ? [] : [{ to: "application", output }]
    }
  },
  "lazy-push-repair": (output: LazyPushRepair.Output) => [{ to: "broadcast-tree", event: output }],
  clock: (output: Clock.Output) => {
    switch (output._tag) {
      case "Answer":
        return [{ to: "application", output }]
      default:
        return [{ to: "clock-cell", output }]
    }
  },
  facts: (output: Facts.Output) => {
    switch (output._tag) {
      case "Broadcast":
        return [
          {
            to: "broadcast-tree",
            event: { _tag: "Broadcast", token: tokenFacts, topic: topicConfiguration, payload: output.payload }
          }
        ]
      case "Remember":
        return [{ to: "view-manager", event: { _tag: "Remembered", peers: output.peers } }]
      case "Fleet":
        return [{ to: "clock", event: { _tag: "Fleet", size: output.size } }]
      default:
        return [{ to: "application", output }]
    }
  }
}

/**
 * The wiring table of a member: whose output is whose event. It is written once; the simulator and the agent follow it.
 *
 * | output of | reaches |
 * | --- | --- |
 * | view manager: `Views` | shuffler (both views); broadcast tree, lazy-push repair, facts (the neighbours, unless only passive ones are news) |
 * | view manager: `NeighborDown`, `NeighborRefused` | facts (evidence) |
 * | shuffler: `Integrate` | view manager |
 * | broadcast tree: `Announce`, `Seen`, `Known`, `Late`, `Forgotten`, `Missed` | lazy-push repair |
 * | broadcast tree: `Delivered` | facts (topic 0), the application (topic 1) |
 * | broadcast tree: `Accepted`, `Rejected` | the application |
 * | lazy-push repair: `Graft`, `Shorter` | broadcast tree |
 * | clock: `Lease` | the clock cell |
 * | facts: `Broadcast` | broadcast tree |
 * | facts: `Remember` | view manager |
 * | facts: `Answer`, `Apply`, `Changed`, `Outdated` | the application |
 *
 * @since 0.1.0
 */
import { type Clock, Hlc, type Stamp } from "@starling/clock"
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
  | Extract<Facts.Output, { readonly _tag: "Answer" | "Apply" | "Changed" | "Outdated" }>

/** @since 0.1.0 @category models */
export type Routed =
  | Delivery
  | { readonly to: "application"; readonly output: ToApplication }
  | { readonly to: "clock-cell"; readonly lease: Clock.Output }

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

/**
 * What a component is told when it goes on after a crash: that it has started. The event that the crash lost may have been
 * the timer that keeps a period going; on an idle node nothing else would ever come. To a component whose timers run it
 * is harmless.
 *
 * @since 0.1.0
 */
export const afterCrash = (to: Component): ReadonlyArray<Delivery> => [{ to, event: { _tag: "Started" } }]

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
 * node stamps after having seen another node's fact sorts after that fact.
 *
 * @since 0.1.0
 */
export const stampOf = (delivery: Delivery): Stamp.Stamp | undefined => {
  if (delivery.to !== "facts") return undefined
  switch (delivery.event._tag) {
    case "Received":
      return Facts.stampsOf(delivery.event.message)
    case "Delivered":
      return Facts.stampOfPayload(delivery.event.payload)
    default:
      return undefined
  }
}

/**
 * True of an event whose stamp must not be followed (`Hlc.refuses`): it counts as not received. Handling it would break
 * the law that what happens after it is stamped later.
 *
 * @since 0.1.0
 */
export const isRefused = (reading: Hlc.Reading, delivery: Delivery): boolean => {
  const stamp = stampOf(delivery)
  return stamp !== undefined && Hlc.refuses(reading, stamp)
}

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
        return [{ to: "broadcast-tree", event }, { to: "lazy-push-repair", event }, { to: "facts", event }, views]
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
  clock: (output: Clock.Output) => [{ to: "clock-cell", lease: output }],
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
      default:
        return [{ to: "application", output }]
    }
  }
}
